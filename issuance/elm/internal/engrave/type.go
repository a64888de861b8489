package engrave

import (
	"fmt"
	"image"
	"math"
	"strings"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"

	"github.com/sealsmith/sealsmith/issuance/internal/sealserif"
)

// Family is a typeface.
type Family int

// The typefaces: Serif for what is awarded, Sans for small print, Bold for its labels.
const (
	Serif Family = iota
	Sans
	Bold
)

// Style says how text is set. Size is in pixels per em, Tracking is added after each letter.
type Style struct {
	Family   Family
	Size     float64
	Tracking float64
}

// Typesetter measures and draws text. It is safe for concurrent use; rendered letters are
// kept, up to a bound.
type Typesetter struct {
	families [3][]*sfnt.Font // in the order in which a letter is looked for

	mu     sync.Mutex
	buf    sfnt.Buffer
	glyphs map[glyphKey]*glyph
	kerns  map[kernKey]fixed.Int26_6
	raster vector.Rasterizer
}

// maxGlyphs bounds the letters kept; at about a kilobyte each.
const maxGlyphs = 4096

// phases is the number of positions between two pixels in which a letter is rendered.
const phases = 4

type glyphKey struct {
	font  *sfnt.Font
	index sfnt.GlyphIndex
	size  fixed.Int26_6
	phase int
}

// maxKerns bounds the pairs of letters kept; at about fifty bytes each.
const maxKerns = 1 << 15

type kernKey struct {
	font        *sfnt.Font
	left, right sfnt.GlyphIndex
	size        fixed.Int26_6
}

// glyph is a rendered letter: a mask and where it lies from the origin.
type glyph struct {
	cover   []uint8 // 0 to 15
	w, x, y int
}

// faint is below which alpha nothing is drawn.
const faint = 32

// NewTypesetter parses the fonts.
func NewTypesetter() (*Typesetter, error) {
	t := &Typesetter{glyphs: map[glyphKey]*glyph{}, kerns: map[kernKey]fixed.Int26_6{}}
	var parsed [3]*sfnt.Font
	for i, raw := range [][]byte{sealserif.TTF, goregular.TTF, gobold.TTF} {
		f, err := sfnt.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("parse font %d: %w", i, err)
		}
		parsed[i] = f
	}
	serif, sans, bold := parsed[0], parsed[1], parsed[2]
	t.families = [3][]*sfnt.Font{Serif: {serif, bold}, Sans: {sans, serif}, Bold: {bold, serif}}
	return t, nil
}

// find returns the font and index of a letter; ok is false when no font has it. Letters that
// are written right to left, or that join, are never found: drawing them one by one would
// show another word.
func (t *Typesetter) find(f Family, r rune) (fn *sfnt.Font, index sfnt.GlyphIndex, ok bool) {
	for _, fn := range t.families[f] {
		if i, err := fn.GlyphIndex(&t.buf, r); err == nil && i != 0 {
			return fn, i, true
		}
	}
	return nil, 0, false
}

// Missing returns the letters of s that no font has, each once, in their order.
func (t *Typesetter) Missing(f Family, s string) []rune {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []rune
	for _, r := range s {
		if _, _, ok := t.find(f, r); !ok && !strings.ContainsRune(string(out), r) {
			out = append(out, r)
		}
	}
	return out
}

// Width is the length of a line of text in pixels.
func (t *Typesetter) Width(st Style, s string) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.set(st, s, nil)
}

// Draw sets one line of text with its baseline beginning at x, y.
func (t *Typesetter) Draw(c *Canvas, st Style, x, y float64, s string, ink Ink) {
	t.mu.Lock()
	defer t.mu.Unlock()
	baseline := int(math.Round(y))
	t.set(st, s, func(key glyphKey, at float64) {
		col := math.Floor(x + at)
		key.phase = int((x + at - col) * phases)
		g := t.render(key)
		c.mask(g.cover, g.w, int(col)+g.x, baseline+g.y, ink)
	})
}

// set walks along a line and returns its length.
func (t *Typesetter) set(st Style, s string, each func(key glyphKey, at float64)) float64 {
	ppem := fixed.Int26_6(math.Round(st.Size * 64))
	var (
		at    float64
		last  *sfnt.Font
		lastI sfnt.GlyphIndex
	)
	for _, r := range s {
		fn, index, ok := t.find(st.Family, r)
		if !ok {
			continue
		}
		if fn == last {
			at += float64(t.kern(kernKey{font: fn, left: lastI, right: index, size: ppem})) / 64
		}
		if each != nil {
			each(glyphKey{font: fn, index: index, size: ppem}, at)
		}
		if adv, err := fn.GlyphAdvance(&t.buf, index, ppem, font.HintingNone); err == nil {
			at += float64(adv)/64 + st.Tracking
		}
		last, lastI = fn, index
	}
	return at
}

// kern returns by how much a pair of letters is set wider, from the store or the font.
func (t *Typesetter) kern(key kernKey) fixed.Int26_6 {
	if k, ok := t.kerns[key]; ok {
		return k
	}
	if len(t.kerns) >= maxKerns {
		clear(t.kerns)
	}
	k, err := key.font.Kern(&t.buf, key.left, key.right, key.size, font.HintingNone)
	if err != nil {
		k = 0 // the font has no kerning
	}
	t.kerns[key] = k
	return k
}

// render returns a letter from the store or makes it.
func (t *Typesetter) render(key glyphKey) *glyph {
	if g, ok := t.glyphs[key]; ok {
		return g
	}
	if len(t.glyphs) >= maxGlyphs {
		clear(t.glyphs)
	}
	g := &glyph{}
	t.glyphs[key] = g
	segments, err := key.font.LoadGlyph(&t.buf, key.index, key.size, nil)
	if err != nil || len(segments) == 0 {
		return g
	}
	b := segments.Bounds()
	shift := float32(key.phase) / phases
	g.x, g.y = b.Min.X.Floor(), b.Min.Y.Floor()
	w, h := b.Max.X.Ceil()+1-g.x, b.Max.Y.Ceil()-g.y
	t.outline(segments, w, h, shift-float32(g.x), float32(-g.y))
	mask := image.NewAlpha(image.Rect(0, 0, w, h))
	t.raster.Draw(mask, mask.Bounds(), image.Opaque, image.Point{})
	g.cover, g.w = mask.Pix, w
	for i, a := range g.cover {
		g.cover[i] = a >> 4
		if a < faint {
			g.cover[i] = 0
		}
	}
	return g
}

func (t *Typesetter) outline(segments sfnt.Segments, w, h int, dx, dy float32) {
	t.raster.Reset(w, h)
	px := func(p fixed.Point26_6) (float32, float32) { return float32(p.X)/64 + dx, float32(p.Y)/64 + dy }
	for _, s := range segments {
		x0, y0 := px(s.Args[0])
		x1, y1 := px(s.Args[1])
		x2, y2 := px(s.Args[2])
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			t.raster.ClosePath()
			t.raster.MoveTo(x0, y0)
		case sfnt.SegmentOpLineTo:
			t.raster.LineTo(x0, y0)
		case sfnt.SegmentOpQuadTo:
			t.raster.QuadTo(x0, y0, x1, y1)
		case sfnt.SegmentOpCubeTo:
			t.raster.CubeTo(x0, y0, x1, y1, x2, y2)
		}
	}
	t.raster.ClosePath()
}

// Shrink returns the style at the largest size, from its own down to least, at which s is
// no longer than width.
func (t *Typesetter) Shrink(st Style, s string, width, least float64) Style {
	if w := t.Width(st, s); w > width {
		st.Size = max(least, math.Floor(st.Size*width/w*2)/2)
	}
	return st
}

// Wrap breaks s at spaces into lines no longer than width. A word that is longer stands on
// a line of its own.
func (t *Typesetter) Wrap(st Style, s string, width float64) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if longer := strings.TrimSpace(line + " " + word); line == "" || t.Width(st, longer) <= width {
			line = longer
			continue
		}
		lines = append(lines, line)
		line = word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// Cut shortens s with an ellipsis until it is no longer than width.
func (t *Typesetter) Cut(st Style, s string, width float64) string {
	if t.Width(st, s) <= width {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && t.Width(st, string(runes)+"…") > width {
		runes = runes[:len(runes)-1]
	}
	return strings.TrimRight(string(runes), " ,;") + "…"
}
