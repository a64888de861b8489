package jades

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"unicode/utf8"
)

// MaxFile is the size limit of a sealed file in bytes. Official samples have 150 kB; a page
// image at print resolution and many achievements stay far below.
const MaxFile = 20 << 20

// The family of errors of Parse. Each of the finer ones is wrapped by an *UnreadableError,
// which is ErrUnreadable as well.
var (
	// ErrUnreadable is every refusal of Parse: the file is not a sealed credential that can be read.
	ErrUnreadable = errors.New("not a readable sealed file")
	// ErrEmpty is a file without content.
	ErrEmpty = errors.New("file is empty")
	// ErrTooLarge is a file above MaxFile, or with more seals or certificates than any issuer makes.
	ErrTooLarge = errors.New("file is too large")
	// ErrOtherFormat is a file of another kind: a PDF, an archive, an image, a web page, a compact token.
	ErrOtherFormat = errors.New("file is of another kind")
	// ErrNotText is JSON in an encoding other than plain UTF-8: UTF-16, a byte order mark, stray bytes.
	ErrNotText = errors.New("file is not plain UTF-8")
	// ErrNotSealed is readable JSON that carries no seal.
	ErrNotSealed = errors.New("file carries no seal")
	// ErrMalformed is a damaged or deliberately ambiguous file.
	ErrMalformed = errors.New("file is malformed")
)

// UnreadableError is why Parse refused a file.
type UnreadableError struct {
	// Reason is one of ErrEmpty, ErrTooLarge, ErrOtherFormat, ErrNotText, ErrNotSealed, ErrMalformed.
	Reason error
	// Sentence tells the person who chose the file what it is and what to do.
	Sentence string
	// Detail says for a technician what was found and where; may be empty.
	Detail string
}

// Error returns reason and detail.
func (e *UnreadableError) Error() string {
	if e.Detail == "" {
		return e.Reason.Error()
	}
	return e.Reason.Error() + ": " + e.Detail
}

// Is makes every UnreadableError an ErrUnreadable.
func (e *UnreadableError) Is(target error) bool { return target == ErrUnreadable }

// Unwrap gives Reason to errors.Is.
func (e *UnreadableError) Unwrap() error { return e.Reason }

const askHolder = "Ask the holder for the sealed file; its name usually ends in .jsonld or .json."

func otherFormat(what string) error {
	return &UnreadableError{
		Reason:   ErrOtherFormat,
		Sentence: "This is " + what + ", not a credential file. " + askHolder,
		Detail:   what,
	}
}

func malformed(detail string) error {
	return &UnreadableError{
		Reason:   ErrMalformed,
		Sentence: "This file is damaged or was written by a program that does not follow the rules. " + askHolder,
		Detail:   detail,
	}
}

func tooLarge(detail string) error {
	return &UnreadableError{
		Reason:   ErrTooLarge,
		Sentence: "This file is too large to be a credential. " + askHolder,
		Detail:   detail,
	}
}

// ReadFile reads at most MaxFile bytes from r; a longer file is an ErrTooLarge without being read
// to its end.
func ReadFile(r io.Reader) ([]byte, error) {
	file, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read credential file: %w", err)
	}
	if len(file) > MaxFile {
		return nil, tooLarge(fmt.Sprintf("more than %d bytes", MaxFile))
	}
	return file, nil
}

// magic are first bytes of the files that people hand in instead of a credential.
var magic = []struct{ start, what string }{
	{"%PDF-", "a PDF"},
	{"PK\x03\x04", "an archive or an office document (ZIP, Word, Excel)"},
	{"PK\x05\x06", "an empty ZIP archive"},
	{"\xd0\xcf\x11\xe0", "an old office document (Word, Excel)"},
	{"\x89PNG", "a picture (PNG)"},
	{"\xff\xd8\xff", "a picture (JPEG)"},
	{"GIF8", "a picture (GIF)"},
	{"\x1f\x8b", "a compressed file (gzip)"},
	{"7z\xbc\xaf", "an archive (7z)"},
	{"Rar!", "an archive (RAR)"},
	{"{\\rtf", "a text document (RTF)"},
	{"-----BEGIN ", "a certificate or key file (PEM)"},
	{"\x30\x82", "a certificate or a signed container (DER)"},
	{"\x30\x80", "a signed container (BER)"},
}

var (
	markup  = regexp.MustCompile(`(?i)^\s*<(!doctype html|html|head|body)`)
	compact = regexp.MustCompile(`^\s*[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+(~|\s*$)`)
)

// sniff refuses what is not even text, and text of other kinds, each with its own sentence.
func sniff(file []byte) error {
	if len(file) > MaxFile {
		return tooLarge(fmt.Sprintf("%d bytes, the limit is %d", len(file), MaxFile))
	}
	if len(bytes.TrimSpace(file)) == 0 {
		return &UnreadableError{Reason: ErrEmpty, Sentence: "This file is empty. " + askHolder}
	}
	for _, m := range magic {
		if bytes.HasPrefix(file, []byte(m.start)) {
			return otherFormat(m.what)
		}
	}
	if err := encoding(file); err != nil {
		return err
	}
	switch {
	case markup.Match(file):
		return otherFormat("a web page (HTML)")
	case bytes.HasPrefix(bytes.TrimSpace(file), []byte("<")):
		return otherFormat("an XML file")
	case compact.Match(file):
		return otherFormat("a token in compact form (JWT, JWS or SD-JWT)")
	}
	return nil
}

func encoding(file []byte) error {
	notText := func(detail, sentence string) error {
		return &UnreadableError{Reason: ErrNotText, Detail: detail, Sentence: sentence + " " + askHolder}
	}
	const saved = "This file was saved again by another program, as %s. A sealed file must stay as it was, byte for byte."
	switch {
	case bytes.HasPrefix(file, []byte("\xff\xfe")), bytes.HasPrefix(file, []byte("\xfe\xff")),
		bytes.HasPrefix(file, []byte("{\x00")), bytes.HasPrefix(file, []byte("\x00{")):
		return notText("UTF-16", fmt.Sprintf(saved, "UTF-16 text"))
	case bytes.HasPrefix(file, []byte("\xef\xbb\xbf")):
		return notText("byte order mark in front", fmt.Sprintf(saved, "text with a byte order mark in front"))
	case !utf8.Valid(file):
		return notText("bytes that are not UTF-8", "This file holds bytes that are no text, so it is damaged or of another kind.")
	}
	return nil
}
