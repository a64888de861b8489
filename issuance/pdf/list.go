package pdf

import (
	"slices"
	"strings"

	"github.com/sealsmith/sealsmith/issuance/elm"
)

// line is one line of the list of elements.
type line struct {
	st     style
	x      float64
	text   string
	label  string  // in the left column, beside a first line
	dash   bool    // before the text
	gap    float64 // above the line
	with   int     // so many of the lines that follow stay on its page
	breaks bool    // stands on a new page
}

func (n line) height() float64 { return n.st.size * leading }

// draw writes the line with its upper edge at y.
func (n line) draw(l *layout, y float64) {
	y += n.st.size
	if n.label != "" {
		l.t.draw(style{sans, n.st.size, muted}, left, y, n.label)
	}
	if n.dash {
		l.fill(brand, n.x-5, y-n.st.size*.34, 2.2, .4)
	}
	l.t.draw(n.st, n.x, y, n.text)
}

// list sets the elements at the largest size at which they end before bottom; when none does,
// further pages follow and the letters stay at a size that reads well.
func (l *layout) list(top, bottom float64) []line {
	const comfortable = 3.5
	reads := l.set(comfortable)
	if top+height(reads)/2 > bottom { // no size would do, and what is long takes long to set
		return reads
	}
	for _, size := range []float64{3.8, comfortable, 3.3, 3.1, 2.9, 2.7} {
		if list := l.set(size); top+height(list) <= bottom {
			return list
		}
	}
	return reads
}

func height(list []line) float64 {
	h := 0.0
	for _, n := range list {
		h += n.gap + n.height()
	}
	return h
}

// set returns the lines of all elements that are not shown elsewhere on the page.
func (l *layout) set(size float64) []line {
	var abilities, out []line
	elements := slices.Clone(l.c.Elements)
	if l.c.Mandate != "" {
		elements = append(elements, elm.Element{Label: l.w.mandate, Values: []string{l.c.Mandate}})
	}
	if !l.c.ValidUntil.IsZero() {
		elements = append(elements, elm.Element{Label: l.w.validUntil, Values: []string{l.w.day(l.c.ValidUntil)}})
	}
	for _, e := range elements {
		switch {
		case l.facts[e.Key]:
		case e.Key == "outcomes":
			abilities = l.outcomes(e, size)
		case e.Key == "issued", e.Key == "valid_until", e.Key == "title" && len(e.Values) == 1 && e.Values[0] == l.c.Title: // in large letters already
		default:
			out = append(out, l.element(e, size)...)
		}
	}
	if len(out) > 0 && len(abilities) > 0 {
		out[0].gap = 1.4 * size
	}
	return append(abilities, out...)
}

func (l *layout) outcomes(e elm.Element, size float64) []line {
	const indent = 7
	out := []line{{st: style{serif, size * 1.2, ink}, x: left, text: l.w.outcomes, with: 2}}
	st := style{sans, size, ink}
	for _, v := range e.Values {
		for i, s := range l.t.wrap(st, v, measure-indent) {
			n := line{st: st, x: left + indent, text: s, dash: i == 0}
			if i == 0 {
				n.gap = size * .35
			}
			out = append(out, n)
		}
	}
	return out
}

// whole is the number of lines up to which an element is not divided between two pages.
const whole = 6

// element sets the name on the left and the values on the right. Skills are many and short,
// so they share lines.
func (l *layout) element(e elm.Element, size float64) []line {
	values := e.Values
	if e.Key == "skills" || e.Key == "awarding_body" || e.Key == "level" || e.Key == "learner" {
		values = []string{strings.Join(values, "; ")}
	}
	st := style{sans, size, ink}
	var out []line
	for _, v := range values {
		for _, s := range l.t.wrap(st, v, measure-column) {
			out = append(out, line{st: st, x: left + column, text: s})
		}
	}
	labels := l.t.wrap(style{sans, size, muted}, e.Label, column-3)
	for i, s := range labels {
		if i == len(out) {
			out = append(out, line{st: st, x: left + column})
		}
		out[i].label = s
	}
	if len(out) > 0 {
		out[0].gap = size * .55
		out[0].with = min(len(out)-1, 1)
		if len(out) <= whole {
			out[0].with = len(out) - 1
		}
	}
	return out
}
