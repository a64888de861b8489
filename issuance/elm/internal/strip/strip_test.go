package strip

import (
	"bytes"
	"errors"
	"hash/adler32"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"slices"
	"testing"
)

func greys(n int) []color.RGBA {
	out := make([]color.RGBA, n)
	for i := range out {
		v := uint8(i * 17)
		out[i] = color.RGBA{R: v, G: 255 - v, B: v / 2, A: 255}
	}
	return out
}

// decode reads the file with the standard library and returns its palette indices.
func decode(t *testing.T, file []byte) (pix []byte, width, height int) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("image/png refuses the file: %v", err)
	}
	p, ok := img.(*image.Paletted)
	if !ok {
		t.Fatalf("decoded as %T, want a paletted image", img)
	}
	b := p.Bounds()
	for y := range b.Dy() {
		pix = append(pix, p.Pix[y*p.Stride:y*p.Stride+b.Dx()]...)
	}
	return pix, b.Dx(), b.Dy()
}

// spansFrom makes disjoint spans of a height from random bytes.
func spansFrom(cuts []byte, height int) []Span {
	var rows []int
	for _, c := range cuts {
		rows = append(rows, int(c)%(height+1))
	}
	slices.Sort(rows)
	rows = slices.Compact(rows)
	var spans []Span
	for i := 0; i+1 < len(rows); i += 2 {
		spans = append(spans, Span{rows[i], rows[i+1]})
	}
	return spans
}

// FuzzSplice: whatever is drawn and wherever the open spans lie, the standard decoder sees
// exactly the pixels, those of the sheet outside and the new ones inside the spans.
func FuzzSplice(f *testing.F) {
	f.Add(uint64(1), uint8(1), uint8(1), []byte{})
	f.Add(uint64(2), uint8(17), uint8(40), []byte{0, 10, 20, 40})
	f.Add(uint64(3), uint8(255), uint8(200), []byte{5, 6, 100, 200})
	f.Add(uint64(4), uint8(2), uint8(9), []byte{0, 9})
	f.Fuzz(func(t *testing.T, seed uint64, w, h uint8, cuts []byte) {
		width, height := int(w)+1, int(h)+1
		r := rand.New(rand.NewPCG(seed, 7))
		pix := make([]byte, width*height)
		for i := range pix {
			pix[i] = byte(r.Uint32() & r.Uint32() & 15) // runs and noise
		}
		spans := spansFrom(cuts, height)
		sheet, err := NewSheet(width, height, 5000, greys(16), pix, spans)
		if err != nil {
			t.Fatalf("NewSheet(%d x %d, %v): %v", width, height, spans, err)
		}
		for range 2 { // the second time with reused buffers
			want := bytes.Clone(pix)
			file, err := sheet.Encode(func(_ int, rows Span) []byte {
				part := want[rows.Top*width : rows.Bottom*width]
				for i := range part {
					part[i] = byte(r.IntN(16))
				}
				return part
			})
			if err != nil {
				t.Fatal(err)
			}
			got, gw, gh := decode(t, file)
			if gw != width || gh != height || !bytes.Equal(got, want) {
				t.Fatalf("%d x %d, %v: decoded pixels differ", width, height, spans)
			}
		}
	})
}

func FuzzCombine(f *testing.F) {
	f.Add([]byte(""), []byte(""))
	f.Add([]byte("a"), []byte(""))
	f.Add([]byte{0xff, 0xff}, bytes.Repeat([]byte{0xff}, 70000))
	f.Add(bytes.Repeat([]byte{1}, 65521), bytes.Repeat([]byte{0xfe}, 65521))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		got := combine(adler32.Checksum(a), adler32.Checksum(b), len(b))
		if want := adler32.Checksum(append(bytes.Clone(a), b...)); got != want {
			t.Errorf("combine of %d and %d bytes is %08x, want %08x", len(a), len(b), got, want)
		}
	})
}

func TestNewSheetRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		width   int
		colours int
		pix     int
		open    []Span
	}{
		{"no width", 0, 2, 0, nil},
		{"too few pixels", 4, 2, 15, nil},
		{"no colours", 4, 0, 16, nil},
		{"17 colours", 4, 17, 16, nil},
		{"span upside down", 4, 2, 16, []Span{{3, 2}}},
		{"empty span", 4, 2, 16, []Span{{2, 2}}},
		{"span below the image", 4, 2, 16, []Span{{2, 5}}},
		{"spans overlap", 4, 2, 16, []Span{{0, 3}, {2, 4}}},
		{"negative row", 4, 2, 16, []Span{{-1, 3}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := NewSheet(c.width, 4, 5000, greys(c.colours), make([]byte, c.pix), c.open); !errors.Is(err, ErrSize) {
				t.Errorf("got %v, want ErrSize", err)
			}
		})
	}
}

func TestEncodeRefusesWrongFill(t *testing.T) {
	t.Parallel()
	sheet, err := NewSheet(4, 4, 5000, greys(2), make([]byte, 16), []Span{{1, 3}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sheet.Encode(func(int, Span) []byte { return make([]byte, 7) }); !errors.Is(err, ErrSize) {
		t.Errorf("got %v, want ErrSize", err)
	}
}
