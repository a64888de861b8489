package pdf

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"codeberg.org/go-pdf/fpdf"
	"rsc.io/qr"

	"github.com/sealsmith/sealsmith/issuance/elm"
)

// The page in millimetres.
const (
	left, right = 27.0, 183.0
	measure     = right - left
	column      = 36.0  // of the names of elements
	footRule    = 224.0 // on the first page, above date, number and code
	pageEnd     = 268.0 // last baseline of a further page
	pageStart   = 33.0  // first baseline of a further page
	qrSize      = 27.0
	qrBottom    = 255.5
)

// leading is the distance of two lines in em.
const leading = 1.32

// maxPages bounds a certificate. A credential that needs more is not one of ours.
const maxPages = 60

// layout sets one certificate.
type layout struct {
	t     *typesetter
	out   *fpdf.Fpdf
	w     words
	c     elm.Content
	facts map[string]bool // elements that stand in the columns of the first page
	page  int
}

// certificate draws all pages.
func (l *layout) certificate(code *qr.Code) error {
	top := l.firstPage()
	list := l.list(top, footRule-4)
	pages := l.pages(list, top)
	if pages > maxPages {
		return fmt.Errorf("%w: it would have %d pages", ErrContent, pages)
	}
	l.foot(code, l.boxed(list))
	if pages > 1 {
		l.pageNumber(pages)
	}
	y := top
	for i, line := range list {
		if i > 0 && line.breaks {
			l.further(pages)
			y = pageStart
		}
		y += line.gap
		line.draw(l, y)
		y += line.height()
	}
	return nil
}

// boxed says whether a letter is missing anywhere.
func (l *layout) boxed(list []line) bool {
	for _, s := range []string{l.c.Title, l.c.Learner, l.c.AwardingBody, l.c.IssuerName, l.c.IssuerIdentifier, l.c.Number} {
		if !l.t.fonts.shows(sans, s) {
			return true
		}
	}
	return slices.ContainsFunc(list, func(n line) bool { return !l.t.fonts.shows(n.st.face, n.text+n.label) })
}

// pages marks where pages break and returns how many there are.
func (l *layout) pages(list []line, y float64) int {
	n, end := 1, footRule-4
	for i := range list {
		if y+list[i].gap > end || (list[i].with > 0 && y+list[i].gap+float64(1+list[i].with)*list[i].height() > end) {
			list[i].breaks, list[i].gap = true, 0
			y, end = pageStart, pageEnd
			n++
		}
		y += list[i].gap + list[i].height()
	}
	return n
}

func (l *layout) newPage(first bool) {
	l.out.AddPage()
	l.page++
	l.out.RawWriteStr(lineWork(first))
}

// further begins another page with a line that says whose it is.
func (l *layout) further(pages int) {
	l.newPage(false)
	l.pageNumber(pages)
	st := style{sans, 2.9, muted}
	l.t.draw(st, left, 26, l.t.wrap(st, l.c.Title+" · "+l.name(), measure-30)[0])
}

func (l *layout) pageNumber(pages int) {
	l.flushRight(style{sans, 2.9, muted}, 26, fmt.Sprintf(l.w.page, l.page, pages))
}

func (l *layout) flushRight(st style, y float64, s string) {
	l.t.draw(st, right-l.t.width(st, s), y, s)
}

func (l *layout) fill(c colour, x, y, w, h float64) {
	l.out.SetFillColor(c[0], c[1], c[2])
	l.out.Rect(x, y, w, h, "F")
}

// name is the learner's name, or a reference to the attached file when letters of it cannot
// be shown: half a name would name somebody else.
func (l *layout) name() string {
	if name := clean(l.c.Learner); name != "" && l.t.fonts.shows(serif, name) {
		return name
	}
	return l.w.nameInFile
}

// lines draws lines one below the other and returns where the next one would stand.
func (l *layout) lines(st style, x, y float64, lines []string) float64 {
	for _, s := range lines {
		l.t.draw(st, x, y, s)
		y += st.size * 1.15
	}
	return y
}

// firstPage sets everything above the list and returns where that begins.
func (l *layout) firstPage() float64 {
	l.newPage(true)
	l.head()
	l.t.draw(style{bold, 3.7, brand}, left, 57, l.w.kind)
	st, lines := l.t.fit(style{serif, 11.5, ink}, 5.5, l.c.Title, measure, 2)
	y := l.lines(st, left-.5, 59+st.size, lines)
	y--
	l.t.draw(style{sans, 3.5, muted}, left, y, l.w.awardedTo)
	st, lines = l.t.fit(style{serif, 8.6, brand}, 4.5, l.name(), measure, 2)
	y = l.lines(st, left-.3, y+1.5+st.size, lines)
	st, lines = l.t.fit(style{sans, 3.6, ink}, 3, l.w.showed, measure, 2)
	y = l.lines(st, left, y+.5, lines)
	return l.columns(y)
}

// head names the awarding body beside a square with its initial.
func (l *layout) head() {
	name := clean(l.c.AwardingBody)
	if name == "" {
		name = clean(l.c.IssuerName)
	}
	l.fill(brand, left, 26.5, 12, 12)
	initial, _ := utf8.DecodeRuneInString(name)
	if s := string(unicode.ToUpper(initial)); name != "" && l.t.fonts.shows(serif, s) {
		st := style{serif, 7.6, white}
		l.t.draw(st, left+6-l.t.width(st, s)/2, 35.2, s)
	}
	st, lines := l.t.fit(style{serif, 4.4, ink}, 2.6, name, 102, 2)
	l.lines(st, left+15, 34-float64(len(lines)-1)*st.size*.55, lines)
}

// columns sets workload, level and result in large letters between two rules, as far as they
// are there and short enough; the others go into the list.
func (l *layout) columns(y float64) float64 {
	type fact struct{ label, value string }
	var facts []fact
	l.facts = map[string]bool{}
	const width = measure / 3
	for _, e := range l.c.Elements {
		if e.Key != "workload" && e.Key != "level" && e.Key != "grade" {
			continue
		}
		value := clean(strings.Join(e.Values, ", "))
		if e.Key == "level" && len(e.Values) > 1 {
			value = clean(e.Values[0]) // the whole is in the list
		}
		if value != "" && l.t.width(style{serif, 4.2, ink}, value) <= width-6 && l.t.width(style{sans, 3, ink}, clean(e.Label)) <= width-6 {
			facts = append(facts, fact{clean(e.Label), value})
			l.facts[e.Key] = e.Key != "level" || len(e.Values) == 1
		}
	}
	if len(facts) == 0 {
		return y + 3
	}
	l.fill(brand, left, y, measure, .4)
	l.fill(brand, left, y+16, measure, .4)
	for i, f := range facts {
		x := left + float64(i)*width
		if i > 0 {
			l.fill(rule, x, y+3, .2, 10.5)
			x += 3
		}
		l.t.draw(style{sans, 3, muted}, x, y+6.4, f.label)
		l.t.draw(style{serif, 4.8, ink}, x, y+12.4, l.t.wrap(style{serif, 4.2, ink}, f.value, width)[0])
	}
	return y + 23
}

// foot says when, which, by whom, and how to check.
func (l *layout) foot(code *qr.Code, boxed bool) {
	label, value := style{sans, 3, muted}, style{serif, 4.2, ink}
	l.fill(rule, left, footRule, measure, .2)
	y := footRule + 7
	if !l.c.IssuedAt.IsZero() {
		l.t.draw(label, left, y, l.w.issued)
		l.t.draw(value, left, y+5, l.w.day(l.c.IssuedAt))
		y += 13
	}
	if l.c.Number != "" {
		l.t.draw(label, left, y, l.w.number)
		st, lines := l.t.fit(value, 2.4, l.c.Number, 48, 1)
		l.lines(st, left, y+5, lines)
	}
	l.t.draw(label, 80, footRule+7, l.w.sealedBy)
	st, lines := l.t.fit(value, 2.4, l.c.IssuerName, 66, 3)
	y = l.lines(st, 80, footRule+12, lines)
	st, lines = l.t.fit(label, 2.2, l.c.IssuerIdentifier, 66, 1)
	l.lines(st, 80, y, lines)
	l.qr(code)
	st = style{sans, 2.7, muted}
	who := clean(l.c.IssuerName)
	if l.c.IssuerIdentifier != "" {
		who = strings.TrimSpace(who + " (" + clean(l.c.IssuerIdentifier) + ")")
	}
	notes := []string{fmt.Sprintf(l.w.attached, AttachmentName, who), l.w.original}
	if boxed {
		notes[1] += " " + l.w.boxes
	}
	y = 268.5
	for _, s := range notes {
		st, lines := l.t.fit(st, 1.9, s, measure, 2)
		for _, line := range lines {
			l.t.draw(st, 105-l.t.width(st, line)/2, y, line)
			y += st.size * 1.25
		}
	}
}

// qr draws the code as rectangles, one per run of dark modules, and the address below.
func (l *layout) qr(code *qr.Code) {
	if code == nil {
		return
	}
	scale := qrSize / float64(code.Size)
	x0, y0 := right-qrSize, qrBottom-qrSize
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > from {
				l.fill(ink, x0+float64(from)*scale, y0+float64(y)*scale, float64(x-from)*scale, scale+.01)
			}
		}
	}
	l.out.LinkString(x0, y0, qrSize, qrSize, l.c.VerifyURL)
	l.flushRight(style{sans, 2.9, ink}, qrBottom+4, l.w.scan)
	if u, err := url.Parse(l.c.VerifyURL); err == nil {
		st, lines := l.t.fit(style{bold, 2.9, brand}, 1.8, u.Host, 60, 1)
		for _, s := range lines[:min(len(lines), 1)] {
			l.flushRight(st, qrBottom+8, s)
		}
	}
}
