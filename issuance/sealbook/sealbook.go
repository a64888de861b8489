// Package sealbook notes which credentials are sealed in a file outside of the database, so that
// a database that was put back to an earlier state is recognised before anything is sealed twice.
//
// A worker notes a credential after its intent is committed and before the key is touched. From
// then on the credential may have been handed out; a database that does not know it is older
// than what was given to learners, or is another one. The notes hold what is needed to make the
// same credential again: its id, link and date.
//
// The file is JSON lines, one note each, appended in one write, so that several processes of a
// machine share it. Machines have one each. It holds pseudonymous ids and no names. When it has
// grown to MaxSize it is moved aside once, to the same name with .1.
//
// A note is given to the system and not waited for until the disk has it: a process that is
// killed loses none, a machine that loses its power may lose those of the last seconds. Losing
// the file loses only the protection. The package knows neither claims nor databases. It fails
// with errors of the file system: a full disk, a folder that may not be written.
package sealbook

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// MaxSize is the size in bytes after which a new file is begun; about 150,000 notes.
const MaxSize = 64 << 20

// tail is how much of the end of a file holds its last note.
const tail = 4096

// Note is one credential that is about to be sealed; or, with Reconciled, the word of a person
// that what stands before is settled.
type Note struct {
	At             time.Time `json:"at"`
	CredentialID   string    `json:"credential,omitempty"` // UUID
	OrganisationID string    `json:"organisation,omitempty"`
	ClaimID        string    `json:"claim,omitempty"`
	AttachmentID   string    `json:"attachment,omitempty"`
	Learner        string    `json:"learner,omitempty"` // LTI subject
	IssuedAt       time.Time `json:"issued_at,omitzero"`
	Link           string    `json:"link,omitempty"`     // name of the public page
	PayloadSHA256  string    `json:"sha256,omitempty"`   // hexadecimal
	Revision       int       `json:"revision,omitempty"` // of the claim; 0 is 1
	Replaces       string    `json:"replaces,omitempty"` // UUID of the credential whose place it takes
	Reconciled     bool      `json:"reconciled,omitempty"`
}

// Book is a file of notes. It keeps nothing open and may be used by many at once.
type Book struct {
	// Path of the file; its folder must be there.
	Path string
}

// Add appends a note.
func (b Book) Add(n Note) error {
	line, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode a note: %w", err)
	}
	if info, err := os.Stat(b.Path); err == nil && info.Size() > MaxSize {
		if err := os.Rename(b.Path, b.older()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("begin a new book: %w", err)
		}
	}
	f, err := os.OpenFile(b.Path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the book: %w", err)
	}
	// A write that was cut off, by a full disk, must not spoil the note after it.
	if cut, err := cutOff(f); err != nil || cut {
		line = append([]byte("\n"), line...)
	}
	_, err = f.Write(append(line, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write into the book: %w", err)
	}
	return nil
}

// cutOff tells whether a file ends within a line.
func cutOff(f *os.File) (bool, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return false, err
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, size-1)
	return last[0] != '\n', err
}

func (b Book) older() string { return b.Path + ".1" }

// Last returns the last note, or false when there is none.
func (b Book) Last() (Note, bool, error) {
	for _, path := range []string{b.Path, b.older()} {
		n, found, err := last(path)
		if err != nil || found {
			return n, found, err
		}
	}
	return Note{}, false, nil
}

func last(path string) (Note, bool, error) {
	f, err := os.Open(path) //nolint:gosec // G304: the file that the settings name
	if errors.Is(err, os.ErrNotExist) {
		return Note{}, false, nil
	}
	if err != nil {
		return Note{}, false, fmt.Errorf("open the book: %w", err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return Note{}, false, fmt.Errorf("read the book: %w", err)
	}
	end := make([]byte, min(size, tail))
	if _, err := f.ReadAt(end, size-int64(len(end))); err != nil && !errors.Is(err, io.EOF) {
		return Note{}, false, fmt.Errorf("read the book: %w", err)
	}
	lines := bytes.Split(end, []byte("\n"))
	for _, line := range slices.Backward(lines) {
		var n Note
		if json.Unmarshal(line, &n) == nil {
			return n, true, nil
		}
	}
	return Note{}, false, nil
}

// Each calls do with every note since the last that a person has settled, oldest first. Lines that
// cannot be read are left out.
func (b Book) Each(do func(Note) error) error {
	var open []Note
	for _, path := range []string{b.older(), b.Path} {
		if err := read(path, func(n Note) {
			if n.Reconciled {
				open = nil
			} else {
				open = append(open, n)
			}
		}); err != nil {
			return err
		}
	}
	for _, n := range open {
		if err := do(n); err != nil {
			return err
		}
	}
	return nil
}

// errNoBook says that a file is something else than a seal book.
var errNoBook = errors.New("the file holds no note of a credential: name the seal book of a machine with workers, seals.log in its folder")

// Check fails when the file holds no note, which is so of no book: the first note makes
// the file. Who names another file for a book must not read that nothing is missing.
func (b Book) Check() error {
	notes := 0
	for _, path := range []string{b.older(), b.Path} {
		if err := read(path, func(Note) { notes++ }); err != nil {
			return err
		}
	}
	if notes == 0 {
		return fmt.Errorf("%s: %w", b.Path, errNoBook)
	}
	return nil
}

func read(path string, do func(Note)) error {
	f, err := os.Open(path) //nolint:gosec // G304: the file that the settings name
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the book: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var n Note
		if json.Unmarshal(lines.Bytes(), &n) == nil && (n.CredentialID != "" || n.Reconciled) {
			do(n)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the book: %w", err)
	}
	return nil
}
