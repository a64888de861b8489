package web

import (
	"errors"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"
)

// funcs are what templates can call besides the partials in pages/partials, which take
// their arguments from them.
func funcs() template.FuncMap {
	return template.FuncMap{
		"args":     args,
		"ic":       newIcon,
		"ring":     newRings,
		"glyph":    glyph,
		"number":   number,
		"percent":  percent,
		"date":     date,
		"moment":   moment,
		"size":     size,
		"sentence": sentence,
		"capital":  capital,
		"add":      func(a, b int) int { return a + b },
		"join":     func(list []string, sep string) string { return strings.Join(list, sep) },
	}
}

// args makes the one argument of a partial from names and values.
func args(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("args: names and values must come in pairs")
	}
	out := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("args: name %v is not text", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	return out, nil
}

// iconArgs is the argument of the partial icon.
type iconArgs struct{ Name, Class string }

// newIcon names an icon and its classes. Icons that point somewhere turn round in
// right-to-left pages.
func newIcon(name string, classes ...string) (iconArgs, error) {
	if _, ok := icons[name]; !ok {
		return iconArgs{}, fmt.Errorf("there is no icon %q", name)
	}
	if slices.Contains([]string{"arrow", "back", "chev", "out"}, name) {
		classes = append(classes, "flip")
	}
	return iconArgs{Name: name, Class: strings.Join(classes, " ")}, nil
}

// ringArgs is one of the four rings of the seal.
type ringArgs struct {
	N     int
	Class string
}

// newRings says how each ring is drawn: ink rings from the inside are inked, live is the
// one being drawn (0: none). Ring 4 is the core and comes first, ring 1 the rim.
func newRings(ink, live int, state string) []ringArgs {
	rings := make([]ringArgs, 0, 4)
	for n := 1; n <= 4; n++ {
		r := ringArgs{N: n}
		switch fromCore := 5 - n; {
		case fromCore == live:
			r.Class = "live"
		case fromCore > ink:
			r.Class = "pale"
		case n == 4 && state == "ok":
			r.Class = "on"
		}
		rings = append(rings, r)
	}
	return rings
}

// glyph is the path of an icon, for the middle of the seal.
func glyph(name string) (string, error) {
	d, ok := icons[name]
	if !ok {
		return "", fmt.Errorf("there is no icon %q", name)
	}
	return d, nil
}

// number writes a figure without trailing zeros.
func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// percent writes a figure with at most one decimal.
func percent(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
}

func date(t time.Time) string { return t.UTC().Format("2 January 2006") }

func moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04") + " UTC" }

// size writes a number of bytes for people.
func size(n int) string {
	switch {
	case n < 1000:
		return strconv.Itoa(n) + " bytes"
	case n < 1000*1000:
		return strconv.Itoa((n+500)/1000) + " kB"
	default:
		return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB"
	}
}
