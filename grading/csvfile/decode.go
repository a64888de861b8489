package csvfile

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The most that a file may have.
const (
	MaxBytes = 10 << 20
	MaxRows  = 100_000
)

// FileError says why nothing of a file can be used, and what to do.
type FileError struct{ Words string }

// Error implements error.
func (e *FileError) Error() string { return e.Words }

func refuse(words string) error { return &FileError{Words: words} }

// upper1252 is what Windows-1252 has between 0x80 and 0x9F; its five empty places stay
// what they are.
const upper1252 = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ"

// decode returns the text of a file, and a remark when it was not UTF-8.
func decode(file []byte) (text, remark string, err error) {
	switch {
	case len(file) > MaxBytes:
		return "", "", refuse("The file is larger than 10 MB. Leave out columns that are not needed, or make two files of it.")
	case len(bytes.TrimSpace(file)) == 0:
		return "", "", refuse("The file is empty. Choose another one.")
	case bytes.HasPrefix(file, []byte("PK\x03\x04")), bytes.HasPrefix(file, []byte("\xd0\xcf\x11\xe0")):
		return "", "", refuse("This is a workbook, not a text file. Open it in the spreadsheet and save it as “CSV UTF-8”.")
	case bytes.HasPrefix(file, []byte("%PDF")):
		return "", "", refuse("This is a PDF. Export the results as a CSV file.")
	}
	switch {
	case bytes.HasPrefix(file, []byte("\xff\xfe")):
		text, remark = wide(file[2:], binary.LittleEndian), "The file was read as UTF-16."
	case bytes.HasPrefix(file, []byte("\xfe\xff")):
		text, remark = wide(file[2:], binary.BigEndian), "The file was read as UTF-16."
	case utf8.Valid(file):
		text = strings.TrimPrefix(string(file), "\ufeff")
	default:
		text, remark = narrow(file), "The file is no UTF-8; it was read as Windows-1252. Look whether names and special letters are right, or save it as “CSV UTF-8”."
	}
	if strings.ContainsRune(text, 0) {
		return "", "", refuse("This is no text file. Export the results as a CSV file.")
	}
	return text, remark, nil
}

func wide(b []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

func narrow(b []byte) string {
	upper := []rune(upper1252)
	var out strings.Builder
	out.Grow(len(b) + len(b)/8)
	for _, c := range b {
		if c >= 0x80 && c <= 0x9f {
			out.WriteRune(upper[c-0x80])
			continue
		}
		out.WriteRune(rune(c)) // below and above it is Latin-1
	}
	return out.String()
}

// separator says what stands between the cells: the sign that the header line has most
// often outside quotation marks, or the one that Excel's line "sep=;" names. skip is the
// number of lines before the header.
func separator(text string) (sep rune, rest string, skip int) {
	line, after, _ := strings.Cut(text, "\n")
	if named, ok := strings.CutPrefix(strings.ToLower(strings.TrimRight(line, "\r")), "sep="); ok && utf8.RuneCountInString(named) == 1 {
		sep, _ = utf8.DecodeRuneInString(named)
		return sep, after, 1
	}
	quoted := false
	counts := map[rune]int{}
	for _, c := range line {
		if c == '"' {
			quoted = !quoted
		} else if !quoted {
			counts[c]++
		}
	}
	sep = ','
	for _, c := range []rune{';', '\t'} {
		if counts[c] > counts[sep] {
			sep = c
		}
	}
	return sep, text, 0
}
