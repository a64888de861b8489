package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// fileForm is a form with one file, and short values beside it.
type fileForm struct {
	name   string
	file   []byte
	values map[string]string
}

// uploadedForm reads a form with the field "file". Values are cut at a kilobyte, and so are
// their number and the parts.
func uploadedForm(r *http.Request) (fileForm, error) {
	form := fileForm{values: map[string]string{}}
	reader, err := r.MultipartReader()
	if err != nil {
		return form, fmt.Errorf("%w: %w", errForm, err)
	}
	fileErr := errNoFile
	const mostParts, mostValue = 20, 1000
	for range mostParts {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return form, fmt.Errorf("%w: %w", errForm, err)
		}
		if part.FormName() == "file" {
			if form.name, form.file, fileErr = readPart(part); errors.Is(fileErr, errForm) || errors.Is(fileErr, errTooLarge) {
				return form, fileErr
			}
			continue
		}
		value, err := io.ReadAll(io.LimitReader(part, mostValue))
		if err != nil {
			return form, fmt.Errorf("%w: %w", errForm, err)
		}
		form.values[part.FormName()] = string(value)
	}
	return form, fileErr
}
