package elm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// maxDepth bounds the nesting of a payload. The deepest path of the model that is in use has
// about twenty steps.
const maxDepth = 64

// node is a JSON object of the payload.
type node map[string]any

// parse reads one JSON object. It refuses a member that stands twice in an object, because
// two readers could then see two different credentials under one seal.
func parse(payload []byte) (node, error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	v, err := value(dec, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCredential, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the JSON object", ErrNotCredential)
	}
	n, ok := v.(node)
	if !ok {
		return nil, fmt.Errorf("%w: no JSON object", ErrNotCredential)
	}
	return n, nil
}

func value(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return object(dec, depth)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := value(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	return token, nil
}

func object(dec *json.Decoder, depth int) (node, error) {
	n := node{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("member name %v is no string", token)
		}
		if _, twice := n[key]; twice {
			return nil, fmt.Errorf("member %q stands twice", key)
		}
		if n[key], err = value(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return n, err
}

// list returns the values of a member that may be absent, single or an array.
func (n node) list(member string) []any {
	switch v := n[member].(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// nodes returns the objects of a member.
func (n node) nodes(member string) []node {
	var out []node
	for _, v := range n.list(member) {
		if o, ok := v.(node); ok {
			out = append(out, o)
		}
	}
	return out
}

// node returns the first object of a member, or an empty one.
func (n node) node(member string) node {
	if all := n.nodes(member); len(all) > 0 {
		return all[0]
	}
	return node{}
}

// str returns the first string or number of a member, or "".
func (n node) str(member string) string {
	for _, v := range n.list(member) {
		switch s := v.(type) {
		case string:
			return s
		case json.Number:
			return s.String()
		}
	}
	return ""
}

// is reports whether the object has this type.
func (n node) is(class string) bool { return slices.Contains(n.list("type"), any(class)) }

// text returns the texts of a language map in lang, else in English, else in the first
// language by code; and a bare string as it is.
func (n node) text(member, lang string) []string {
	var out []string
	for _, v := range n.list(member) {
		switch t := v.(type) {
		case string:
			out = append(out, t)
		case node:
			out = append(out, t.inLanguage(lang)...)
		}
	}
	return out
}

func (n node) inLanguage(lang string) []string {
	codes := make([]string, 0, len(n))
	for code := range n {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range append([]string{lang, "en"}, codes...) {
		var out []string
		for _, v := range n.list(code) {
			if s, ok := v.(string); ok && s != "" {
				out = append(out, s)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// first joins the texts of a member to one.
func (n node) first(member, lang string) string { return strings.Join(n.text(member, lang), "; ") }

// labels returns the preferred labels of the concepts of a member.
func (n node) labels(member, lang string) []string {
	var out []string
	for _, c := range n.nodes(member) {
		if s := c.first("prefLabel", lang); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// time returns a moment of the payload, the zero time when there is none to read.
func (n node) time(member string) time.Time {
	t, err := time.Parse(time.RFC3339, n.str(member))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
