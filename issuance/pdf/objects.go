package pdf

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// ErrUnreadable is returned for bytes that are no PDF of this package's own making: other
// writers may put objects where they are not looked for here.
var ErrUnreadable = errors.New("this is not a PDF written here")

// maxUpdates is how many cross-reference sections are followed: pages, attachment, seal.
const maxUpdates = 8

var (
	endPattern   = regexp.MustCompile(`startxref\n([0-9]{1,10})\n%%EOF\n?$`)
	sizePattern  = regexp.MustCompile(`/Size ([0-9]{1,7})\b`)
	rootPattern  = regexp.MustCompile(`/Root ([0-9]{1,7}) 0 R`)
	infoPattern  = regexp.MustCompile(`/Info ([0-9]{1,7}) 0 R`)
	prevPattern  = regexp.MustCompile(`/Prev ([0-9]{1,10})\b`)
	firstPattern = regexp.MustCompile(`/Kids \[([0-9]{1,7}) 0 R`)
	rangePattern = regexp.MustCompile(`^([0-9]{1,7}) ([0-9]{1,7})$`)
)

// document is a PDF with classic cross-reference tables (ISO 32000-1, 7.5.4), read as far as
// an update needs it.
type document struct {
	data             []byte
	offsets          map[int]int // of objects, by number; the newest wins
	start            int         // of the newest cross-reference table
	size, root, info int
}

// open reads the cross-reference tables of data, newest first.
func open(data []byte) (document, error) {
	d := document{data: data, offsets: map[int]int{}}
	start, ok := number(endPattern, data[max(len(data)-64, 0):])
	if !ok {
		return d, fmt.Errorf("%w: its end is missing", ErrUnreadable)
	}
	d.start = start
	for i := 0; ; i++ {
		trailer, err := d.table(start)
		if err != nil {
			return d, err
		}
		if i == 0 {
			var okSize, okRoot bool
			d.size, okSize = number(sizePattern, trailer)
			d.root, okRoot = number(rootPattern, trailer)
			d.info, _ = number(infoPattern, trailer)
			if !okSize || !okRoot {
				return d, fmt.Errorf("%w: its trailer names no catalog", ErrUnreadable)
			}
		}
		if start, ok = number(prevPattern, trailer); !ok {
			return d, nil
		}
		if i == maxUpdates {
			return d, fmt.Errorf("%w: it was updated more than %d times", ErrUnreadable, maxUpdates)
		}
	}
}

// table reads one cross-reference table and returns the trailer behind it.
func (d document) table(start int) ([]byte, error) {
	if start < 0 || start >= len(d.data) || !bytes.HasPrefix(d.data[start:], []byte("xref\n")) {
		return nil, fmt.Errorf("%w: there is no cross-reference table at %d", ErrUnreadable, start)
	}
	table, rest, found := bytes.Cut(d.data[start+len("xref\n"):], []byte("trailer\n"))
	if !found {
		return nil, fmt.Errorf("%w: a trailer is missing", ErrUnreadable)
	}
	next, left := 0, 0
	for line := range strings.Lines(string(table)) {
		if m := rangePattern.FindStringSubmatch(strings.TrimRight(line, " \r\n")); m != nil && left == 0 {
			next, _ = strconv.Atoi(m[1])
			left, _ = strconv.Atoi(m[2])
			continue
		}
		if len(line) != 20 || left == 0 {
			return nil, fmt.Errorf("%w: its cross-reference table is broken", ErrUnreadable)
		}
		at, err := strconv.Atoi(line[:10])
		if _, newer := d.offsets[next]; err == nil && line[17] == 'n' && !newer {
			d.offsets[next] = at
		}
		next, left = next+1, left-1
	}
	trailer, _, _ := bytes.Cut(rest, []byte("startxref"))
	return trailer, nil
}

// object returns the body of an object that is a dictionary without a stream.
func (d document) object(n int) (string, error) {
	at, ok := d.offsets[n]
	head := fmt.Sprintf("%d 0 obj", n)
	if !ok || at >= len(d.data) || !bytes.HasPrefix(d.data[at:], []byte(head)) {
		return "", fmt.Errorf("%w: object %d is not where it should be", ErrUnreadable, n)
	}
	body, _, found := bytes.Cut(d.data[at+len(head):], []byte("endobj"))
	text := strings.TrimSpace(string(body))
	if !found || !strings.HasPrefix(text, "<<") || !strings.HasSuffix(text, ">>") {
		return "", fmt.Errorf("%w: object %d is no dictionary", ErrUnreadable, n)
	}
	return text, nil
}

// firstPage returns number and body of the first page.
func (d document) firstPage() (int, string, error) {
	pages, err := d.object(1)
	if err != nil {
		return 0, "", err
	}
	n, ok := number(firstPattern, []byte(pages))
	if !ok {
		return 0, "", fmt.Errorf("%w: it has no pages", ErrUnreadable)
	}
	body, err := d.object(n)
	return n, body, err
}

func number(p *regexp.Regexp, b []byte) (int, bool) {
	m := p.FindSubmatch(b)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(string(m[1]))
	return n, err == nil
}

// with returns a dictionary with further entries.
func with(dictionary, entries string) string {
	return strings.TrimSuffix(dictionary, ">>") + " " + entries + " >>"
}

// update is an incremental update (ISO 32000-1, 7.5.6): new and changed objects behind the
// untouched bytes of a document.
type update struct {
	base    document
	buf     bytes.Buffer
	offsets map[int]int
	next    int // number of the next new object
	info    int
}

func newUpdate(base document) *update {
	u := &update{base: base, offsets: map[int]int{}, next: base.size, info: base.info}
	u.buf.Write(base.data)
	return u
}

// reserve returns the number of an object to be written later.
func (u *update) reserve() int {
	u.next++
	return u.next - 1
}

// put writes object n.
func (u *update) put(n int, body string) {
	u.offsets[n] = u.buf.Len()
	fmt.Fprintf(&u.buf, "%d 0 obj\n%s\nendobj\n", n, body)
}

// putStream writes object n with a stream; entries are those beside /Length.
func (u *update) putStream(n int, entries string, data []byte) {
	u.offsets[n] = u.buf.Len()
	fmt.Fprintf(&u.buf, "%d 0 obj\n<< %s /Length %d >>\nstream\n", n, entries, len(data))
	u.buf.Write(data)
	u.buf.WriteString("\nendstream\nendobj\n")
}

// close writes table and trailer and returns the whole file. The two parts of /ID are hashes,
// so that the same document has the same id.
func (u *update) close() []byte {
	start := u.buf.Len()
	u.buf.WriteString("xref\n")
	for _, n := range slices.Sorted(maps.Keys(u.offsets)) {
		fmt.Fprintf(&u.buf, "%d 1\n%010d 00000 n \n", n, u.offsets[n])
	}
	first, now := sha256.Sum256(u.base.data), sha256.Sum256(u.buf.Bytes())
	fmt.Fprintf(&u.buf, "trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R /Prev %d /ID [<%x> <%x>] >>\nstartxref\n%d\n%%%%EOF\n",
		u.next, u.base.root, u.info, u.base.start, first[:16], now[:16], start)
	return u.buf.Bytes()
}

// text writes a text string in UTF-16 (ISO 32000-1, 7.9.2.2), in hexadecimal digits: nothing in it needs an escape.
func text(s string) string {
	var b strings.Builder
	b.WriteString("<FEFF")
	for _, unit := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04X", unit)
	}
	b.WriteByte('>')
	return b.String()
}
