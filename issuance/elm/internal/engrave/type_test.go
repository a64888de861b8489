package engrave

import (
	"image"
	"image/color"
	"slices"
	"strings"
	"testing"
)

func typesetter(t *testing.T) *Typesetter {
	t.Helper()
	ts, err := NewTypesetter()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

func TestMissing(t *testing.T) {
	t.Parallel()
	ts := typesetter(t)
	for _, c := range []struct{ name, text, want string }{
		{"Latin, Greek, Cyrillic", "Łódź Ørsted Ñandú ß Ελλάδα Їжак ’–…%", ""},
		{"Chinese, each once", "王小王", "王小"},
		{"Arabic", "سلام", "سلام"},
		{"emoji", "A🎓", "🎓"},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, f := range []Family{Serif, Sans, Bold} {
				if got := string(ts.Missing(f, c.text)); got != c.want {
					t.Errorf("family %d: missing %q, want %q", f, got, c.want)
				}
			}
		})
	}
}

func TestFitting(t *testing.T) {
	t.Parallel()
	ts := typesetter(t)
	st := Style{Family: Serif, Size: 30}
	text := "Wolfeschlegelsteinhausenbergerdorff and a few words more, which need some lines"
	lines := ts.Wrap(st, text, 300)
	if got := strings.Join(lines, " "); got != text {
		t.Errorf("wrapping lost words: %q", got)
	}
	for _, l := range lines {
		if strings.Contains(l, " ") && ts.Width(st, l) > 300 {
			t.Errorf("line %q is longer than the measure", l)
		}
	}
	if cut := ts.Cut(st, text, 300); !strings.HasSuffix(cut, "…") || ts.Width(st, cut) > 300 {
		t.Errorf("cut to %q", cut)
	}
	if cut := ts.Cut(st, "short", 300); cut != "short" {
		t.Errorf("cut what fits to %q", cut)
	}
	if small := ts.Shrink(st, text, 900, 10); small.Size >= 30 || ts.Width(small, text) > 900 {
		t.Errorf("shrunk to %v, %v pixels", small.Size, ts.Width(small, text))
	}
	if least := ts.Shrink(st, text, 10, 12); least.Size != 12 {
		t.Errorf("shrunk below the least size: %v", least.Size)
	}
}

// TestPartDrawsAsThePage: a part of a page drawn on its own is the same as in the whole page,
// wherever it is cut.
func TestPartDrawsAsThePage(t *testing.T) {
	t.Parallel()
	ts := typesetter(t)
	blank := NewCanvas(200, 100, NewPalette(color.RGBA{R: 0x1d, G: 0x4b, B: 0x73, A: 255}))
	draw := func(c *Canvas) *Canvas {
		ts.Draw(c, Style{Family: Serif, Size: 44}, -3.3, 58, "Ågår ÿ Ωμέγα", Brand)
		c.Rect(150, 30, 100, 20, Dark)
		c.Rect(10, 50, 100, 3, White)
		return c
	}
	page := draw(blank.Part(blank.Bounds(), nil))
	for _, box := range []image.Rectangle{
		image.Rect(0, 40, 200, 60), image.Rect(30, 0, 71, 100), image.Rect(17, 33, 18, 66), image.Rect(140, 20, 200, 100), image.Rect(199, 99, 200, 100),
	} {
		if got := draw(blank.Part(box, make([]uint8, 3))); !slices.Equal(got.Pix, page.Part(box, nil).Pix) {
			t.Errorf("%v differs from what the page has there", box)
		}
	}
}

func TestPaletteHasContrast(t *testing.T) {
	t.Parallel()
	for _, c := range []color.RGBA{{R: 255, G: 255, B: 255}, {R: 255, G: 255}, {G: 255, B: 128}, {}, {R: 0x1d, G: 0x4b, B: 0x73}} {
		p := NewPalette(c)
		if len(p.Colors) != 16 {
			t.Fatalf("%d colours", len(p.Colors))
		}
		if full := p.Colors[len(brandSteps)]; contrastOnPaper(full) < 4.5 {
			t.Errorf("brand %v became %v with a contrast of %.2f", c, full, contrastOnPaper(full))
		}
	}
}

// FuzzMask: a mask is drawn pixel by pixel as the palette has it, and nothing beside it.
func FuzzMask(f *testing.F) {
	f.Add([]byte{15, 0, 7, 2}, uint8(2), int8(0), int8(0), uint8(0))
	f.Add(slices.Repeat([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 15}, 20), uint8(22), int8(-5), int8(-3), uint8(1))
	f.Add(slices.Repeat([]byte{9}, 400), uint8(40), int8(12), int8(8), uint8(2))
	f.Fuzz(func(t *testing.T, cover []byte, w uint8, x, y int8, coarse uint8) {
		for i := range cover {
			cover[i] &= 15
		}
		width := int(w) + 1
		c := NewCanvas(40, 12, NewPalette(color.RGBA{R: 0x1d, G: 0x4b, B: 0x73, A: 255}))
		c.Left, c.Top, c.Coarse = 3, 2, int(coarse)%(Coarsest+1)
		for i := range c.Pix {
			c.Pix[i] = uint8(i*i) % 16
		}
		want := slices.Clone(c.Pix)
		for i := range len(cover) / width * width {
			if at := image.Pt(int(x)+i%width, int(y)+i/width); at.In(c.Bounds()) {
				p := &want[(at.Y-c.Top)*c.Width+at.X-c.Left]
				*p = c.Palette.over[Brand][textSteps[c.Coarse][cover[i]]][*p]
			}
		}
		c.mask(cover, width, int(x), int(y), Brand)
		if !slices.Equal(c.Pix, want) {
			t.Errorf("%d pixels, %d to a row, at %d,%d differ", len(cover), width, x, y)
		}
	})
}
