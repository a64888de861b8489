package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/sealsmith/sealsmith/issuance"
)

// verifyPage asks for a file. Trouble says why the last one could not be taken: missing,
// empty, large or broken.
type verifyPage struct{ Trouble string }

func (s *Web) verifyForm(w http.ResponseWriter, r *http.Request) error {
	return s.showVerifyForm(w, r, http.StatusOK, "")
}

func (s *Web) showVerifyForm(w http.ResponseWriter, r *http.Request, status int, trouble string) error {
	return s.show(w, r, status, view{name: "verify", frame: Frame{Home: "/", Narrow: true}, page: &verifyPage{Trouble: trouble}})
}

// fileLimit is how large a file may be.
const fileLimit = 20 << 20

// verify checks the uploaded file and shows what came of it. The file stays in memory and
// is forgotten with the request.
func (s *Web) verify(w http.ResponseWriter, r *http.Request) error {
	name, file, err := uploaded(r)
	if err != nil {
		return s.refuseUpload(w, r, err)
	}
	report, err := s.verified(r.Context(), file)
	if err != nil {
		return err
	}
	if wantsJSON(r) {
		return s.json(w, r, http.StatusOK, "application/json", report)
	}
	page := s.resultPage(report)
	page.File = name
	return s.show(w, r, http.StatusOK, view{name: "result", frame: Frame{Home: "/", Nav: checkAnother()}, page: &page})
}

// verified is what the file says of itself, and what is known here: whether a credential of
// ours was withdrawn.
func (s *Web) verified(ctx context.Context, file []byte) (issuance.Report, error) {
	return s.deps.Desk.Ask(ctx, s.deps.Verify(file))
}

func checkAnother() []NavItem { return []NavItem{{Word: "Check another", Href: "/verify"}} }

var (
	errNoFile    = errors.New("no file was chosen")
	errEmptyFile = errors.New("the file is empty")
)

// uploaded reads the field "file" of a form, or the whole body of a request that is no
// form, as programs send it.
func uploaded(r *http.Request) (name string, file []byte, err error) {
	reader, err := r.MultipartReader()
	if errors.Is(err, http.ErrNotMultipart) {
		file, err = readUpload(r.Body)
		return "", file, err
	}
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", errForm, err)
	}
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return "", nil, errNoFile
		}
		if err != nil {
			return "", nil, fmt.Errorf("%w: %w", errForm, err)
		}
		if part.FormName() == "file" {
			return readPart(part)
		}
	}
}

func readPart(part *multipart.Part) (string, []byte, error) {
	file, err := readUpload(part)
	if errors.Is(err, errEmptyFile) && part.FileName() == "" {
		err = errNoFile
	}
	return part.FileName(), file, err
}

func readUpload(from io.Reader) ([]byte, error) {
	file, err := io.ReadAll(io.LimitReader(from, fileLimit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errForm, err)
	case len(file) > fileLimit:
		return nil, errTooLarge
	case len(file) == 0:
		return nil, errEmptyFile
	}
	return file, nil
}

// refuseUpload shows the form again with the reason beside it.
func (s *Web) refuseUpload(w http.ResponseWriter, r *http.Request, err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		err = errTooLarge
	}
	if wantsJSON(r) {
		if !errors.Is(err, errTooLarge) {
			err = errForm
		}
		return err
	}
	trouble, status := "broken", http.StatusUnprocessableEntity
	switch {
	case errors.Is(err, errNoFile):
		trouble = "missing"
	case errors.Is(err, errEmptyFile):
		trouble = "empty"
	case errors.Is(err, errTooLarge):
		trouble, status = "large", http.StatusRequestEntityTooLarge
		w.Header().Set("Connection", "close") // the rest of the upload is not waited for
	}
	return s.showVerifyForm(w, r, status, trouble)
}
