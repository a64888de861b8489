package pdf

import (
	"fmt"
	"strings"
	"unicode"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/text/unicode/norm"

	"github.com/sealsmith/sealsmith/issuance/internal/sealserif"
)

// face is a typeface; its number is its name in the file.
type face int

// The typefaces: serif for what is awarded, sans for everything else, bold for small headings.
const (
	serif face = iota
	sans
	bold
	faces
)

func (f face) name() string { return [faces]string{"SealSerif", "GoRegular", "GoBold"}[f] }

// missing stands for letters that no font here has.
const missing = '□'

// planes is how many code points are looked up: the basic multilingual plane, beyond which
// fpdf writes other letters than those asked for.
const planes = 1 << 16

// fonts knows which typeface has which letter. It is read only, once made.
type fonts struct {
	files [faces][]byte
	has   [faces][planes]bool
}

func newFonts() (*fonts, error) {
	f := &fonts{files: [faces][]byte{serif: sealserif.TTF, sans: goregular.TTF, bold: gobold.TTF}}
	for i, raw := range f.files {
		parsed, err := sfnt.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("parse font %s: %w", face(i).name(), err)
		}
		var buf sfnt.Buffer
		for r := rune(' '); r < planes; r++ {
			g, err := parsed.GlyphIndex(&buf, r)
			f.has[i][r] = err == nil && g != 0
		}
	}
	return f, nil
}

// find returns the typeface that shows r where want is asked for.
func (f *fonts) find(want face, r rune) (face, bool) {
	other := serif
	if want == serif {
		other = bold
	}
	for _, one := range [...]face{want, other} {
		if r >= 0 && r < planes && f.has[one][r] {
			return one, true
		}
	}
	return want, false
}

// shows says whether all letters of s can be shown; none is missing then.
func (f *fonts) shows(want face, s string) bool {
	for _, r := range clean(s) {
		if _, ok := f.find(want, r); !ok {
			return false
		}
	}
	return true
}

// clean returns s in one line, without control characters and other invisible ones, and with
// letters and their accents composed, because fonts are drawn letter by letter here.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r):
			return -1
		}
		return r
	}, norm.NFC.String(strings.ToValidUTF8(s, "\ufffd")))
	return strings.Join(strings.Fields(s), " ")
}

// run is a part of a line in one typeface.
type run struct {
	face face
	text string
}

// each calls do for the letters of a clean text. Those that no font has become one box per word.
func (f *fonts) each(want face, s string, do func(in face, r rune)) {
	boxed := false
	for _, r := range s {
		in, ok := f.find(want, r)
		if !ok {
			if boxed {
				continue
			}
			r = missing
			in, _ = f.find(want, r)
		}
		boxed = !ok
		do(in, r)
	}
}

// runs splits a clean text by typeface.
func (f *fonts) runs(want face, s string) []run {
	var (
		out  []run
		text strings.Builder
		last face
	)
	flush := func() {
		if text.Len() > 0 {
			out = append(out, run{last, text.String()})
			text.Reset()
		}
	}
	f.each(want, s, func(in face, r rune) {
		if in != last {
			flush()
		}
		last = in
		text.WriteRune(r)
	})
	flush()
	return out
}

// colour is red, green and blue.
type colour [3]int

// Colours of the page, those of the interface on paper. An organisation's own colour is not
// in the credential, so the house's is taken.
var (
	brand = colour{0x1d, 0x4b, 0x73}
	ink   = colour{0x16, 0x21, 0x2b}
	muted = colour{0x4a, 0x58, 0x65}
	rule  = colour{0x8a, 0x94, 0x9c}
	white = colour{255, 255, 255}
)

// style says how text is set; the size is in millimetres per em.
type style struct {
	face face
	size float64
	ink  colour
}

// typesetter measures and writes text into one PDF.
type typesetter struct {
	fonts  *fonts
	out    *fpdf.Fpdf
	widths [faces]map[rune]float64 // per em
}

func newTypesetter(f *fonts, out *fpdf.Fpdf) *typesetter {
	t := &typesetter{fonts: f, out: out}
	for i := range faces {
		out.AddUTF8FontFromBytes(i.name(), "", f.files[i])
		t.widths[i] = map[rune]float64{}
	}
	return t
}

func (t *typesetter) letter(f face, r rune) float64 {
	w, ok := t.widths[f][r]
	if !ok {
		t.out.SetFont(f.name(), "", 10)
		w = float64(t.out.GetStringSymbolWidth(string(r))) / 1000
		t.widths[f][r] = w
	}
	return w
}

// width of a clean text in millimetres.
func (t *typesetter) width(st style, s string) float64 {
	w := 0.0
	t.fonts.each(st.face, s, func(in face, r rune) { w += t.letter(in, r) })
	return w * st.size
}

// draw writes a clean text with its baseline beginning at x, y in millimetres.
func (t *typesetter) draw(st style, x, y float64, s string) {
	t.out.SetTextColor(st.ink[0], st.ink[1], st.ink[2])
	for _, part := range t.fonts.runs(st.face, s) {
		t.out.SetFont(part.face.name(), "", st.size*72/25.4)
		t.out.Text(x, y, part.text)
		for _, r := range part.text {
			x += t.letter(part.face, r) * st.size
		}
	}
}

// wrap breaks a text into lines no longer than width: at spaces, and within a word only when
// it is longer than a line.
func (t *typesetter) wrap(st style, s string, width float64) []string {
	var lines []string
	line, used, space := "", 0.0, t.width(st, " ")
	for word := range strings.FieldsSeq(clean(s)) {
		w := t.width(st, word)
		if line != "" && used+space+w <= width {
			line, used = line+" "+word, used+space+w
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for w > width {
			head := t.cut(st, word, width)
			lines = append(lines, head)
			word, w = word[len(head):], w-t.width(st, head)
		}
		line, used = word, w
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// cut returns the beginning of a word that fits, at least one letter; it ends behind a mark
// when there is one in the second half.
func (t *typesetter) cut(st style, word string, width float64) string {
	w, mark := 0.0, 0
	for i, r := range word {
		in, ok := t.fonts.find(st.face, r)
		shown := r
		if !ok {
			shown = missing
		}
		w += t.letter(in, shown) * st.size
		switch {
		case w > width && mark > i/2:
			return word[:mark]
		case w > width && i > 0:
			return word[:i]
		case strings.ContainsRune("/-_?&.", r):
			mark = i + 1
		}
	}
	return word
}

// fit wraps s at the largest size from st down to least at which it takes at most n lines.
// At the least size it may take more.
func (t *typesetter) fit(st style, least float64, s string, width float64, n int) (style, []string) {
	for {
		lines := t.wrap(st, s, width)
		if len(lines) <= n && !t.broken(lines, s) || st.size <= least {
			return st, lines
		}
		st.size = max(least, st.size*.95)
	}
}

// broken says whether a word was broken.
func (t *typesetter) broken(lines []string, s string) bool {
	return strings.Join(lines, " ") != clean(s)
}
