package elm

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"rsc.io/qr"

	"github.com/sealsmith/sealsmith/issuance/elm/internal/engrave"
	"github.com/sealsmith/sealsmith/templates/vocab"
)

// The four facts stand in columns between two rules.
const (
	factWidth = float64(measure) / 4
	factsTop  = 618
)

func factX(i int) float64 { return left + float64(i)*factWidth + 14 }

// drawing sets the words of one page onto a canvas.
type drawing struct {
	c    *engrave.Canvas
	t    *engrave.Typesetter
	w    words
	in   Input
	lang string
}

func serif(size float64) engrave.Style { return engrave.Style{Family: engrave.Serif, Size: size} }
func sans(size float64) engrave.Style  { return engrave.Style{Family: engrave.Sans, Size: size} }

// line sets one line that is made smaller, then cut, to fit the width.
func (d *drawing) line(st engrave.Style, x, y, width float64, s string, ink engrave.Ink) {
	st = d.t.Shrink(st, s, width, st.Size*.7)
	d.t.Draw(d.c, st, x, y, d.t.Cut(st, s, width), ink)
}

// block sets at most n lines, at the largest size from st down to least at which s fits.
func (d *drawing) block(st engrave.Style, least float64, s string, width float64, n int) (engrave.Style, []string) {
	lines := d.t.Wrap(st, s, width)
	for (len(lines) > n || d.widest(st, lines) > width) && st.Size > least {
		st.Size = max(least, st.Size-max(.5, st.Size*.04))
		st.Tracking = 0
		lines = d.t.Wrap(st, s, width)
	}
	if len(lines) > n {
		lines = append(lines[:n-1], d.t.Cut(st, strings.Join(lines[n-1:], " "), width))
	}
	for i, l := range lines {
		lines[i] = d.t.Cut(st, l, width)
	}
	return st, lines
}

func (d *drawing) widest(st engrave.Style, lines []string) float64 {
	w := 0.0
	for _, l := range lines {
		w = max(w, d.t.Width(st, l))
	}
	return w
}

// name sets the learner's name: in one line, made smaller or set in two when it is long.
func (d *drawing) name() {
	name := strings.Join(strings.FieldsFunc(d.in.Learner.FullName(), unicode.IsSpace), " ")
	if len(d.t.Missing(engrave.Serif, name)) > 0 {
		name = d.w.page.nameInFile
	}
	const ink = engrave.Brand
	st := d.t.Shrink(serif(44), name, measure, 30)
	if d.t.Width(st, name) <= measure {
		d.t.Draw(d.c, st, left-1.5, 525, name, ink)
		return
	}
	st, lines := d.block(serif(30), 9, name, measure, 2)
	for i, l := range lines {
		d.t.Draw(d.c, st, left-1, 505+float64(i)*33, l, ink)
	}
}

func (d *drawing) result() {
	d.line(serif(25), factX(3), 686, factWidth-14, d.w.mark(d.in), engrave.Dark)
}

// issue sets what every copy has of its own: date and number.
func (d *drawing) issue() {
	d.line(serif(21), left, 1181, 250, d.w.day(d.in.IssuedAt), engrave.Dark)
	if until := d.in.ValidUntil(); !until.IsZero() {
		d.line(sans(14), left, 1201, 250, d.w.page.until+" "+d.w.day(until), engrave.Dark)
	}
	d.line(serif(21), left, 1248, 250, d.in.Number, engrave.Dark)
}

// qr draws the QR code of the address of verification.
func (d *drawing) qr(code *qr.Code) {
	n := code.Size
	scale := qrSize / n // at least 2: a code has at most 61 modules
	size := n * scale
	x0, y0 := right-size, qrBottom-size
	d.c.Rect(x0-3*scale, y0-scale, size+3*scale, size+scale, engrave.White) // quiet zone; below and right is paper
	for y := range n {
		for x := 0; x < n; x++ {
			run := x
			for x < n && code.Black(x, y) {
				x++
			}
			if x > run {
				d.c.Rect(x0+run*scale, y0+y*scale, (x-run)*scale, scale, engrave.Dark)
			}
		}
	}
}

// The QR code stands on its bottom edge, flush right, at most this large.
const (
	qrSize   = 136
	qrBottom = 1278
)

// sealedX is where the column of the seal holder begins.
const sealedX = 400.0

// constant sets everything that all learners share.
func (d *drawing) constant() {
	d.head()
	d.title()
	d.facts()
	d.outcomes()
	d.more()
	d.foot()
}

// headWidth is the room between the initial and the engraved seal.
const headWidth = 510.0

// head names the awarding body beside a square with its initial.
func (d *drawing) head() {
	name := d.in.Awarding.Name.In(d.lang)
	d.c.Rect(left, 131, 60, 60, engrave.Brand)
	initial, _ := utf8.DecodeRuneInString(name)
	s := string(unicode.ToUpper(initial))
	d.t.Draw(d.c, serif(38), left+30-d.t.Width(serif(38), s)/2, 174, s, engrave.White)
	st, lines := d.block(serif(21), 12, name, headWidth, 2)
	y := 156 - float64(len(lines)-1)*10
	for i, l := range lines {
		if i > 0 {
			y += st.Size * 1.15
		}
		d.t.Draw(d.c, st, left+75, y, l, engrave.Dark)
	}
	if country, ok := vocab.Countries.Lookup(d.in.Awarding.Country); ok {
		d.line(sans(16), left+75, y+25, headWidth, country.Label(d.lang), engrave.Muted)
	}
}

func (d *drawing) title() {
	kind := engrave.Style{Family: engrave.Bold, Size: 19, Tracking: 1.6}
	d.t.Draw(d.c, kind, left, 286, d.w.page.kind, engrave.Brand)
	title := d.in.Version.Content.Title.In(d.lang)
	st := serif(62)
	st.Tracking = -1
	st = d.t.Shrink(st, title, measure, 50)
	y, lines := 366.0, []string{title}
	if d.t.Width(st, title) > measure {
		st, lines = d.block(serif(50), 22, title, measure, 3)
		y = 352 - float64(max(len(lines)-2, 0))*12
	}
	for i, l := range lines {
		d.t.Draw(d.c, st, left-3, y+float64(i)*st.Size*1.12, l, engrave.Dark)
	}
	d.t.Draw(d.c, sans(18), left, 472, d.w.page.awardedTo, engrave.Muted)
	st, lines = d.block(sans(18.5), 15, d.w.page.showed, measure, 2)
	for i, l := range lines {
		d.t.Draw(d.c, st, left, 570+float64(i)*24, l, engrave.Dark)
	}
}

func (d *drawing) facts() {
	content, p := d.in.Version.Content, d.w.page
	d.c.Rect(left, factsTop, measure, 2, engrave.Brand)
	d.c.Rect(left, factsTop+90, measure, 2, engrave.Brand)
	for i, f := range [][2]string{
		{p.credits, fmt.Sprintf(p.creditUnit, d.w.number(content.ECTS))},
		{p.workload, fmt.Sprintf(p.hours, content.Hours)},
		{p.level, fmt.Sprintf(p.levelUnit, content.EQF)},
		{p.mark, ""}, // the value is the learner's own
	} {
		if i > 0 {
			d.c.Rect(int(factX(i))-14, 634, 1, 60, engrave.Rule)
		}
		d.t.Draw(d.c, sans(15), factX(i), 655, f[0], engrave.Muted)
		d.line(serif(25), factX(i), 686, factWidth-20, f[1], engrave.Dark)
	}
}

// outcomes lists what the holder is able to do, in letters as large as the room allows.
func (d *drawing) outcomes() {
	const top, bottom, indent = 806.0, 982.0, 26.0
	d.t.Draw(d.c, serif(22), left, 768, d.w.page.outcomes, engrave.Dark)
	var (
		st     engrave.Style
		blocks [][]string
	)
	for _, size := range []float64{18.5, 17.5, 16.5, 15.5, 14.5, 13.5, 12.5} {
		st, blocks = sans(size), nil
		height := 0.0
		for _, o := range d.in.Version.Content.Outcomes {
			lines := d.t.Wrap(st, o.Title.In(d.lang), measure-indent)
			blocks = append(blocks, lines)
			height += float64(len(lines))*st.Size*1.32 + st.Size*.62
		}
		if top+height-st.Size*1.9 <= bottom {
			break
		}
	}
	y := top
	for i, lines := range blocks {
		if y+float64(len(lines)-1)*st.Size*1.32 > bottom {
			d.t.Draw(d.c, st, left+indent, y, fmt.Sprintf(d.w.page.more, len(blocks)-i), engrave.Muted)
			return
		}
		d.c.Rect(left+2, int(y-st.Size*.36), 11, 2, engrave.Brand)
		for _, l := range lines {
			d.t.Draw(d.c, st, left+indent, y, d.t.Cut(st, l, measure-indent), engrave.Dark)
			y += st.Size * 1.32
		}
		y += st.Size * .62
	}
}

// more says how it was assessed, taught and assured.
func (d *drawing) more() {
	content, p := d.in.Version.Content, d.w.page
	assessed := content.Assessment.Title.In(d.lang)
	if s := d.w.identityOK[content.Assessment.Supervision]; s != "" {
		assessed += "; " + s
	}
	taught := d.w.participate[content.Participation]
	if l, ok := vocab.Languages.Lookup(content.Instruction); ok {
		taught += "; " + l.Label(d.lang)
	}
	quality := content.Quality.Title.In(d.lang) + "; " + content.Quality.Agency.In(d.lang)
	y := 1016.0
	for _, f := range [][2]string{{p.assessed, assessed}, {p.taught, taught}, {p.quality, quality}} {
		d.line(sans(16), left, y, 140, f[0], engrave.Muted)
		st, lines := d.block(sans(16), 12.5, f[1], measure-150, 2)
		for i, l := range lines {
			d.t.Draw(d.c, st, left+150, y+float64(i)*19, l, engrave.Dark)
		}
		y += 29 + float64(len(lines)-1)*17
	}
}

// foot holds the labels of the learner's own rows, the seal holder, and what this page is.
func (d *drawing) foot() {
	p := d.w.page
	d.c.Rect(left, 1122, measure, 1, engrave.Rule)
	d.t.Draw(d.c, sans(15), left, 1156, p.issued, engrave.Muted)
	d.t.Draw(d.c, sans(15), left, 1223, p.number, engrave.Muted)
	d.t.Draw(d.c, sans(15), sealedX, 1156, p.sealedBy, engrave.Muted)
	st, lines := d.block(serif(21), 12, d.in.Issuer.Organisation, 320, 3)
	for i, l := range lines {
		d.t.Draw(d.c, st, sealedX, 1181+float64(i)*st.Size*1.2, l, engrave.Dark)
	}
	d.toRight(sans(15), 1304, p.scan, engrave.Dark)
	if u, err := url.Parse(d.in.VerifyURL); err == nil {
		host := d.t.Cut(engrave.Style{Family: engrave.Bold, Size: 15}, u.Host, 270)
		d.toRight(engrave.Style{Family: engrave.Bold, Size: 15}, 1325, host, engrave.Brand)
	}
	for i, s := range []string{p.footer1, p.footer2} {
		st := d.t.Shrink(sans(13), s, measure, 9)
		d.t.Draw(d.c, st, pageWidth/2-d.t.Width(st, s)/2, 1361+float64(i)*18, s, engrave.Muted)
	}
}

func (d *drawing) toRight(st engrave.Style, y float64, s string, ink engrave.Ink) {
	d.t.Draw(d.c, st, right-d.t.Width(st, s), y, s, ink)
}
