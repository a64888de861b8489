package jades

import "encoding/json"

// span is a piece of a file, from the first byte to before the last.
type span struct{ from, to int }

func (s span) of(data []byte) []byte { return data[s.from:s.to] }

// layout is where the parts of a file with one seal stand, so that something can be put between
// them while every byte that is there stays.
type layout struct {
	protected span // with its quotes
	header    span // from brace to brace; empty when there is none
	etsiU     span // from bracket to bracket; empty when there is none
	members   int  // how many members header has
	elements  []span
}

// members calls visit with the name and the place of each value of the object at s.pos.
func (s *scanner) members(visit func(name string, value span)) error {
	if s.peek() != '{' {
		return s.fault("no object where one must stand")
	}
	s.pos++
	s.space()
	for more := s.peek() != '}'; more; {
		name, err := s.text()
		if err != nil {
			return err
		}
		s.space()
		s.pos++ // the colon
		s.space()
		start := s.pos
		if err := s.value(0); err != nil {
			return err
		}
		visit(name, span{start, s.pos})
		if more, err = s.more('}'); err != nil {
			return err
		}
	}
	return nil
}

// items calls visit with the place of each element of the array at s.pos.
func (s *scanner) items(visit func(value span)) error {
	if s.peek() != '[' {
		return s.fault("no list where one must stand")
	}
	s.pos++
	s.space()
	for more := s.peek() != ']'; more; {
		start := s.pos
		err := s.value(0)
		if err != nil {
			return err
		}
		visit(span{start, s.pos})
		if more, err = s.more(']'); err != nil {
			return err
		}
	}
	return nil
}

// objectOf splits an object into its members, which stay where they are. It is for text that
// checkJSON has accepted, with white space around it at most; false for anything but an object.
func objectOf(data []byte) (map[string]json.RawMessage, bool) {
	s := scanner{data: data}
	s.space()
	if s.peek() != '{' {
		return nil, false
	}
	out := make(map[string]json.RawMessage)
	err := s.members(func(name string, value span) { out[name] = value.of(data) })
	return out, err == nil
}

// listOf does the same for an array.
func listOf(data []byte) ([]json.RawMessage, bool) {
	s := scanner{data: data}
	s.space()
	if s.peek() != '[' {
		return nil, false
	}
	out := []json.RawMessage{}
	err := s.items(func(value span) { out = append(out, value.of(data)) })
	return out, err == nil
}

// locate finds the parts in a file that Parse has accepted and that has one seal.
func locate(file []byte) (layout, error) {
	var l layout
	var list, seal span
	s := scanner{data: file}
	s.space()
	err := s.members(func(name string, value span) {
		if name == "signatures" {
			list = value
		}
	})
	if err != nil {
		return l, err
	}
	s.pos = list.from
	if err := s.items(func(value span) { seal = value }); err != nil {
		return l, err
	}
	s.pos = seal.from
	err = s.members(func(name string, value span) {
		switch name {
		case "protected":
			l.protected = value
		case "header":
			l.header = value
		}
	})
	if err != nil || l.header.to == 0 {
		return l, err
	}
	s.pos = l.header.from
	err = s.members(func(name string, value span) {
		l.members++
		if name == "etsiU" {
			l.etsiU = value
		}
	})
	if err != nil || l.etsiU.to == 0 {
		return l, err
	}
	s.pos = l.etsiU.from
	return l, s.items(func(value span) { l.elements = append(l.elements, value) })
}

// with returns a copy of file in which element, a base64url text, is the last of etsiU.
func (l layout) with(file []byte, element string) []byte {
	var at int
	text := `"` + element + `"`
	switch {
	case len(l.elements) > 0:
		at, text = l.elements[len(l.elements)-1].to, ","+text
	case l.etsiU.to > 0:
		at = l.etsiU.from + 1
	case l.members > 0:
		at, text = l.header.from+1, `"etsiU":[`+text+`],`
	case l.header.to > 0:
		at, text = l.header.from+1, `"etsiU":[`+text+`]`
	default:
		at, text = l.protected.to, `,"header":{"etsiU":[`+text+`]}`
	}
	out := make([]byte, 0, len(file)+len(text))
	out = append(out, file[:at]...)
	out = append(out, text...)
	return append(out, file[at:]...)
}
