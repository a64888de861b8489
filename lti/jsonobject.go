package lti

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

var (
	errNotObject       = errors.New("not a JSON object")
	errDuplicateMember = errors.New("a member occurs twice")
	errTooDeep         = errors.New("nested too deeply")
)

const maxDepth = 32

// object is a JSON object whose members are still raw. Names are compared exactly, while
// encoding/json would let "SUB" overwrite a field tagged "sub"; and an object with a
// member twice does not come into being, while encoding/json takes the last.
type object map[string]json.RawMessage

// parseObject reads a JSON object and refuses duplicate members at every depth. The
// values point into raw.
func parseObject(raw []byte) (object, error) {
	if !json.Valid(raw) {
		return nil, errNotObject
	}
	return validObject(raw)
}

// validObject reads an object from JSON that is known to be valid.
func validObject(raw []byte) (object, error) {
	s := scanner{data: raw}
	s.space()
	if s.data[s.at] != '{' {
		return nil, errNotObject
	}
	o := object{}
	if err := s.members(o, 0); err != nil {
		return nil, err
	}
	return o, nil
}

// scanner walks over JSON that is known to be valid.
type scanner struct {
	data []byte
	at   int
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// members reads the object that begins here into o.
func (s *scanner) members(o object, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	s.at++ // {
	for {
		s.space()
		switch s.data[s.at] {
		case '}':
			s.at++
			return nil
		case ',':
			s.at++
			continue
		}
		name, err := s.name()
		if err != nil {
			return err
		}
		if _, twice := o[name]; twice {
			return fmt.Errorf("%w: %q", errDuplicateMember, show(name))
		}
		s.space()
		s.at++ // :
		value, err := s.value(depth)
		if err != nil {
			return err
		}
		o[name] = value
	}
}

func (s *scanner) name() (string, error) {
	raw := s.text()
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var name string
	if err := json.Unmarshal(raw, &name); err != nil {
		return "", errNotObject
	}
	return name, nil
}

// text returns the string that begins here, with its quotes.
func (s *scanner) text() []byte {
	start := s.at
	for s.at++; s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
	return s.data[start:s.at]
}

func (s *scanner) value(depth int) (json.RawMessage, error) {
	s.space()
	start := s.at
	var err error
	switch s.data[s.at] {
	case '{':
		err = s.members(object{}, depth+1)
	case '[':
		err = s.elements(depth + 1)
	case '"':
		s.text()
	default:
		for s.at < len(s.data) && bytes.IndexByte([]byte(",]} \t\r\n"), s.data[s.at]) < 0 {
			s.at++
		}
	}
	return s.data[start:s.at], err
}

// listOf returns the elements of an array in JSON that is known to be valid.
func listOf(raw []byte) []json.RawMessage {
	s := scanner{data: raw, at: 1}
	var list []json.RawMessage
	for {
		s.space()
		switch s.data[s.at] {
		case ']':
			return list
		case ',':
			s.at++
		default:
			element, err := s.value(0)
			if err != nil { // too deep: nothing of it is wanted
				return list
			}
			list = append(list, element)
		}
	}
}

func (s *scanner) elements(depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	s.at++ // [
	for {
		s.space()
		switch s.data[s.at] {
		case ']':
			s.at++
			return nil
		case ',':
			s.at++
		default:
			if _, err := s.value(depth); err != nil {
				return err
			}
		}
	}
}

// A member is absent (null counts as absent), or of the type asked for, or of a wrong one.
type presence int

const (
	absent presence = iota
	present
	wrongType
)

func (o object) raw(name string) (json.RawMessage, bool) {
	raw, ok := o[name]
	return raw, ok && string(raw) != "null"
}

func (o object) text(name string) (string, presence) {
	raw, ok := o.raw(name)
	if !ok {
		return "", absent
	}
	s, err := unquote(raw)
	if err != nil {
		return "", wrongType
	}
	return s, present
}

// unquote returns the text of a JSON string. Most need no decoding.
func unquote(raw []byte) (string, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", errNotObject
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

// number returns a JSON number; fractions are kept, text that looks like a number is not one.
func (o object) number(name string) (float64, presence) {
	raw, ok := o.raw(name)
	if !ok {
		return 0, absent
	}
	if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, wrongType
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, wrongType
	}
	return f, present
}

// texts returns an array of strings; elements of other types are left out.
func (o object) texts(name string) ([]string, presence) {
	raw, ok := o.raw(name)
	if !ok {
		return nil, absent
	}
	if raw[0] != '[' {
		return nil, wrongType
	}
	elements := listOf(raw)
	list := make([]string, 0, len(elements))
	for _, e := range elements {
		if s, err := unquote(e); err == nil {
			list = append(list, s)
		}
	}
	return list, present
}

func (o object) object(name string) (object, presence) {
	raw, ok := o.raw(name)
	if !ok {
		return nil, absent
	}
	inner, err := validObject(raw) // it came out of a whole that was valid
	if err != nil {
		return nil, wrongType
	}
	return inner, present
}

// truth returns a boolean; "true" and "false" as text are taken, as some platforms send.
func (o object) truth(name string) *bool {
	raw, ok := o.raw(name)
	if !ok {
		return nil
	}
	switch string(raw) {
	case `true`, `"true"`:
		return new(true)
	case `false`, `"false"`:
		return new(false)
	}
	return nil
}

// marshal encodes v without escaping <, > and &: what was received is given back as it was.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
