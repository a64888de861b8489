package jades

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep objects and arrays may be nested. The official samples need 10 levels.
const maxDepth = 64

// fault is where and why a text is not strict JSON.
type fault struct {
	at   int
	what string
	dup  bool // a member stands twice
}

// Error names the fault and its place.
func (f *fault) Error() string { return fmt.Sprintf("%s at byte %d", f.what, f.at) }

// scanner walks over one JSON text (RFC 8259) without building anything. It is stricter than
// encoding/json: members must be unique, surrogates paired, UTF-8 correct, nesting bounded.
type scanner struct {
	data  []byte
	pos   int
	names [][]byte // of the members of all objects that are open
}

// checkJSON says whether data is exactly one strict JSON value, nothing before or after it
// but white space.
func checkJSON(data []byte) error {
	s := scanner{data: data}
	s.space()
	if err := s.value(0); err != nil {
		return err
	}
	s.space()
	if s.pos != len(data) {
		return s.fault("something follows the end")
	}
	return nil
}

func (s *scanner) fault(what string) error {
	if s.pos >= len(s.data) {
		what = "the text ends too early"
	}
	return &fault{at: s.pos, what: what}
}

func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return &fault{at: s.pos, what: fmt.Sprintf("nested deeper than %d levels", maxDepth)}
	}
	switch c := s.peek(); {
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		_, err := s.skip()
		return err
	case c == '-' || digit(c):
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.fault("no JSON value")
}

func (s *scanner) word(w string) error {
	if s.pos+len(w) > len(s.data) || string(s.data[s.pos:s.pos+len(w)]) != w {
		return s.fault("no JSON value")
	}
	s.pos += len(w)
	return nil
}

func (s *scanner) object(depth int) error {
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	from, many := len(s.names), map[string]struct{}(nil)
	defer func() { s.names = s.names[:from] }()
	for {
		start := s.pos
		name, err := s.name()
		if err != nil {
			return err
		}
		if s.twice(name, from, &many) {
			return &fault{at: start, what: fmt.Sprintf("member %.40q stands twice", name), dup: true}
		}
		s.space()
		if s.peek() != ':' {
			return s.fault("no colon after a name")
		}
		s.pos++
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		more, err := s.more('}')
		if err != nil || !more {
			return err
		}
	}
}

// twice notes a name of an object, whose names stand in s.names from the given place on or in
// many, and tells whether it was there already. Few are compared one by one; a hostile object
// with a hundred thousand must not take a hundred thousand times as long.
func (s *scanner) twice(name []byte, from int, many *map[string]struct{}) bool {
	const few = 16
	names := s.names[from:]
	if *many == nil && len(names) < few {
		s.names = append(s.names, name)
		return slices.ContainsFunc(names, func(old []byte) bool { return bytes.Equal(old, name) })
	}
	if *many == nil {
		*many = make(map[string]struct{}, 2*few)
		for _, old := range names {
			(*many)[string(old)] = struct{}{}
		}
	}
	_, again := (*many)[string(name)]
	(*many)[string(name)] = struct{}{}
	return again
}

func (s *scanner) array(depth int) error {
	s.pos++
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		more, err := s.more(']')
		if err != nil || !more {
			return err
		}
	}
}

// more reads the comma between two elements or the closing bracket.
func (s *scanner) more(end byte) (bool, error) {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		return true, nil
	case end:
		s.pos++
		return false, nil
	}
	return false, s.fault("no comma and no closing bracket")
}

// text reads a string and returns it decoded.
func (s *scanner) text() (string, error) {
	name, err := s.name()
	return string(name), err
}

// name is text without a copy, where the string stands there as it is.
func (s *scanner) name() ([]byte, error) {
	start := s.pos
	plain, err := s.skip()
	if err != nil {
		return nil, err
	}
	if plain {
		return s.data[start+1 : s.pos-1], nil
	}
	return unescape(s.data[start:s.pos]), nil
}

// skip walks over a string; plain says that it stands there as it is, without escapes.
func (s *scanner) skip() (plain bool, err error) {
	if s.peek() != '"' {
		return false, s.fault("no string where one must stand")
	}
	s.pos++
	plain = true
	for {
		s.pos += ordinary(s.data[s.pos:])
		if s.pos == len(s.data) {
			return false, s.fault("string without end")
		}
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return plain, nil
		case c == '\\':
			plain = false
			if err := s.escape(); err != nil {
				return false, err
			}
		case c < 0x20:
			return false, s.fault("control character in a string")
		default:
			r, n := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && n == 1 {
				return false, s.fault("bytes that are not UTF-8")
			}
			s.pos += n
		}
	}
}

// ordinary counts the letters at the beginning that mean themselves, in ASCII. All of a file goes
// through here, so it looks at eight bytes at once.
func ordinary(text []byte) int {
	i := 0
	for ; i+8 <= len(text); i += 8 {
		if n := ordinaryOf(binary.LittleEndian.Uint64(text[i:])); n < 8 {
			return i + n
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// ordinaryOf is ordinary for eight bytes, the first of them lowest.
func ordinaryOf(eight uint64) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	quote, slash := eight^('"'*ones), eight^('\\'*ones)
	// A byte of zero borrows from its top bit, and so does one below 0x20. What is borrowed
	// from the next byte can mark that one wrongly, but never the first that is marked.
	marked := (eight | (eight - 0x20*ones) | (quote - ones) | (slash - ones)) & tops
	return bits.TrailingZeros64(marked) / 8
}

// unescape decodes a JSON string with its quotes that skip has walked over.
func unescape(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	return unescaped(make([]byte, 0, len(inner)), inner)
}

// unescaped appends inner, decoded, to out.
func unescaped(out, inner []byte) []byte {
	for {
		i := bytes.IndexByte(inner, '\\')
		if i < 0 {
			return append(out, inner...)
		}
		out = append(out, inner[:i]...)
		e := inner[i+1]
		inner = inner[i+2:]
		switch e {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex(inner)
			inner = inner[4:]
			if utf16.IsSurrogate(r) {
				r = utf16.DecodeRune(r, hex(inner[2:]))
				inner = inner[6:]
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, e) // a quote, a slash or a backslash
		}
	}
}

// hex reads four hexadecimal digits.
func hex(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits[:4]), 16, 16) // skip has seen to it
	return rune(n)
}

func (s *scanner) escape() error {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
		first, err := s.unit()
		if err != nil {
			return err
		}
		if first < 0xD800 || first > 0xDFFF {
			return nil
		}
		// encoding/json would silently turn half a pair into U+FFFD: other bytes than those sealed.
		if first > 0xDBFF || s.peek() != '\\' {
			return s.fault("half a surrogate pair")
		}
		s.pos++
		if s.peek() != 'u' {
			return s.fault("half a surrogate pair")
		}
		second, err := s.unit()
		if err != nil {
			return err
		}
		if second < 0xDC00 || second > 0xDFFF {
			return s.fault("half a surrogate pair")
		}
		return nil
	}
	return s.fault("unknown escape in a string")
}

// unit reads u and four hexadecimal digits.
func (s *scanner) unit() (rune, error) {
	s.pos++
	var r rune
	for range 4 {
		c := s.peek()
		switch {
		case digit(c):
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, s.fault("escape without four hexadecimal digits")
		}
		s.pos++
	}
	return r, nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	switch {
	case s.peek() == '0':
		s.pos++
	case digit(s.peek()):
		s.digits()
	default:
		return s.fault("number without digits")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.fault("number without digits")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.fault("number without digits")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for digit(s.peek()) {
		s.pos++
	}
	return s.pos > start
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
