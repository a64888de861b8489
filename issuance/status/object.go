package status

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// object is a JSON object by the exact names of its members: encoding/json would take "EXP" for
// "exp" when it fills a struct.
type object map[string]json.RawMessage

func readObject(text []byte) (object, error) {
	var o object
	if err := json.Unmarshal(text, &o); err != nil || o == nil {
		return nil, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	return o, nil
}

// member reads a member that is an object.
func (o object) member(name string) (object, error) {
	m, err := readObject(o[name])
	if err != nil {
		return nil, fmt.Errorf("%w: %s is missing or no object", ErrMalformed, name)
	}
	return m, nil
}

// text is a member that is a string, "" for anything else.
func (o object) text(name string) string {
	var s string
	if json.Unmarshal(o[name], &s) != nil {
		return ""
	}
	return s
}

// texts are the strings of a member that may be one or several; nil for anything else.
func (o object) texts(name string) []string {
	if s := o.text(name); s != "" {
		return []string{s}
	}
	var several []string
	if json.Unmarshal(o[name], &several) != nil {
		return nil
	}
	return several
}

// has says whether a member that may be one string or several has this one.
func (o object) has(name, wanted string) bool { return slices.Contains(o.texts(name), wanted) }

// number is a member that is a number from 0 to most; absent is 0.
func (o object) number(name string, most float64) (float64, error) {
	raw, there := o[name]
	if !there {
		return 0, nil
	}
	var n float64
	if string(raw) == "null" || json.Unmarshal(raw, &n) != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%w: %s is not a number between 0 and %.0f", ErrMalformed, name, most)
	}
	return n, nil
}

const year9999 = 253402300799 // seconds

// seconds is a NumericDate (RFC 7519, 2), zero when absent.
func (o object) seconds(name string) (time.Time, error) {
	n, err := o.number(name, year9999)
	if err != nil || o[name] == nil {
		return time.Time{}, err
	}
	return time.UnixMilli(int64(n * 1000)).UTC(), nil
}

// moment is a dateTimeStamp (VC Data Model 2.0, 4.9), zero when absent.
func (o object) moment(name string) (time.Time, error) {
	if o[name] == nil {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, o.text(name))
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %s is not a time with a zone", ErrMalformed, name)
	}
	return at.UTC(), nil
}
