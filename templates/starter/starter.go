// Package starter ships complete, realistic micro-credentials to begin with: the demo uses
// them and a new organisation may copy one instead of facing an empty form. Each is a file
// <slug>.json holding a templates.Content, in English and Dutch, with skills of ESCO
// ("This service uses the ESCO classification of the European Commission."; the Dutch skill
// labels are our translations).
//
// The package deliberately knows no organisation and no store. It reads only what is
// compiled in, and fails only when one of these files is broken, which its tests exclude.
package starter

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/sealsmith/sealsmith/templates"
)

//go:embed *.json
var files embed.FS

// Starter is one ready micro-credential.
type Starter struct {
	// Slug is the short name proposed for the template.
	Slug    string
	Content templates.Content
}

// All returns the starters by slug, each valid.
func All() ([]Starter, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, fmt.Errorf("list starters: %w", err)
	}
	all := make([]Starter, 0, len(names))
	for _, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read starter %s: %w", name, err)
		}
		content, err := Decode(raw)
		if err != nil {
			return nil, fmt.Errorf("starter %s: %w", name, err)
		}
		all = append(all, Starter{Slug: strings.TrimSuffix(name, ".json"), Content: content})
	}
	return all, nil
}

// Decode reads one content from JSON, strictly: a member that Content does not have is
// refused, because it would be a promise lost without a word. The result is valid.
func Decode(raw []byte) (templates.Content, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	var c templates.Content
	if err := dec.Decode(&c); err != nil {
		return templates.Content{}, fmt.Errorf("decode template: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return templates.Content{}, errors.New("decode template: something follows the end")
	}
	if err := c.Validate(); err != nil {
		return templates.Content{}, err
	}
	return c, nil
}
