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

// boxesFrom makes boxes that do not overlap from random bytes: each four are one, unless it lies
// on one before.
func boxesFrom(cuts []byte, width, height int) []Box {
	var boxes []Box
	for ; len(cuts) >= 4; cuts = cuts[4:] {
		x0, y0 := int(cuts[0])%width&^1, int(cuts[1])%height
		x1, y1 := min((x0+2+int(cuts[2]))&^1, width), min(y0+1+int(cuts[3])/2, height)
		b := Box{Rectangle: image.Rect(x0, y0, x1, y1), Patterned: cuts[3]%2 == 1}
		if !slices.ContainsFunc(boxes, func(other Box) bool { return b.Overlaps(other.Rectangle) }) {
			boxes = append(boxes, b)
		}
	}
	return boxes
}

// drawOver draws into a box of an image of a width, and returns what it drew: what is there,
// noise, one colour, or part of each.
func drawOver(dice *rand.Rand, pix []byte, width int, box Box) []byte {
	kind := dice.IntN(4)
	var drawn []byte
	for y := box.Min.Y; y < box.Max.Y; y++ {
		row := pix[y*width+box.Min.X : y*width+box.Max.X]
		for i := range row {
			if kind == 1 || kind == 3 && dice.IntN(9) == 0 {
				row[i] = byte(dice.IntN(16))
			}
			if kind == 2 {
				row[i] = 7
			}
		}
		drawn = append(drawn, row...)
	}
	return drawn
}

// FuzzSplice: whatever is drawn and wherever the open boxes lie, the standard decoder, which
// checks all sums, sees exactly the pixels: those of the sheet outside and the new ones inside
// the boxes; and the same pixels give the same file.
func FuzzSplice(f *testing.F) {
	f.Add(uint64(1), uint8(1), uint8(1), []byte{})
	f.Add(uint64(2), uint8(17), uint8(40), []byte{0, 10, 255, 20, 0, 35, 255, 255})
	f.Add(uint64(3), uint8(255), uint8(200), []byte{0, 5, 255, 2, 4, 100, 40, 201, 60, 110, 3, 100, 70, 90, 255, 200})
	f.Add(uint64(4), uint8(2), uint8(9), []byte{0, 0, 255, 255})
	f.Add(uint64(5), uint8(99), uint8(9), []byte{0, 0, 255, 0, 0, 1, 50, 0, 60, 1, 255, 1, 0, 2, 255, 2, 0, 9, 255, 0})
	f.Fuzz(func(t *testing.T, seed uint64, w, h uint8, cuts []byte) {
		width, height := int(w)+1, int(h)+1
		r := rand.New(rand.NewPCG(seed, 7))
		pix := make([]byte, width*height)
		for i := range pix {
			pix[i] = byte(r.Uint32() & r.Uint32() & 15) // runs and noise
		}
		boxes := boxesFrom(cuts, width, height)
		sheet, err := NewSheet(width, height, 5000, greys(16), pix, boxes, Repeat{Columns: 6}, Repeat{Rows: 3})
		if err != nil {
			t.Fatalf("NewSheet(%d x %d, %v): %v", width, height, boxes, err)
		}
		for range 3 { // after the first time with reused buffers
			want := bytes.Clone(pix)
			drawn := make([][]byte, len(boxes))
			for i, box := range boxes {
				drawn[i] = drawOver(r, want, width, box)
			}
			file, err := sheet.Encode(func(i int, _ Box) []byte { return drawn[i] })
			if err != nil {
				t.Fatal(err)
			}
			got, gw, gh := decode(t, file)
			if gw != width || gh != height || !bytes.Equal(got, want) {
				t.Fatalf("%d x %d, %v: decoded pixels differ", width, height, boxes)
			}
			again, err := sheet.Encode(func(i int, _ Box) []byte { return drawn[i] })
			if err != nil || !bytes.Equal(again, file) {
				t.Fatalf("%d x %d, %v: another file for the same pixels (%v)", width, height, boxes, err)
			}
		}
	})
}

// FuzzPackRow: a row packed over another is as if packed by itself, and what that changes is the
// Adler-32 that the standard library computes of the whole.
func FuzzPackRow(f *testing.F) {
	f.Add([]byte("a"), []byte("b"), []byte(""), uint16(0))
	f.Add([]byte("0123456789abcdef?"), []byte("0123456789abcdef!"), []byte("before"), uint16(1))
	f.Add(bytes.Repeat([]byte{15}, 300), make([]byte, 300), []byte{255}, uint16(65521))
	f.Add(make([]byte, 300), bytes.Repeat([]byte{15}, 300), []byte{}, uint16(65535))
	f.Fuzz(func(t *testing.T, was, now, before []byte, after uint16) {
		n := min(len(was), len(now))
		if n == 0 {
			return
		}
		was, now = was[:n], now[:n]
		old, want := pack(was, n)[1:], pack(now, n)[1:]
		raw := bytes.Repeat([]byte{0x5a}, len(old)) // of the image before
		c := packRow(raw, old, now, was)
		if !bytes.Equal(raw, want) {
			t.Fatalf("%x packed over %x is %x, want %x", now, was, raw, want)
		}
		c.high += c.low * int(after)
		tail := bytes.Repeat([]byte{0xfe}, int(after))
		sum := c.of(adler32.Checksum(slices.Concat(before, old, tail)))
		if want := adler32.Checksum(slices.Concat(before, want, tail)); sum != want {
			t.Errorf("%d pixels, %d bytes before and %d after: sum %08x, want %08x", n, len(before), after, sum, want)
		}
	})
}

func TestNewSheetRefuses(t *testing.T) {
	t.Parallel()
	box := func(x0, y0, x1, y1 int) Box {
		return Box{Rectangle: image.Rectangle{Min: image.Pt(x0, y0), Max: image.Pt(x1, y1)}}
	}
	for _, c := range []struct {
		name    string
		width   int
		colours int
		pix     int
		open    []Box
	}{
		{"no width", 0, 2, 0, nil},
		{"too few pixels", 4, 2, 15, nil},
		{"no colours", 4, 0, 16, nil},
		{"17 colours", 4, 17, 16, nil},
		{"box upside down", 4, 2, 16, []Box{box(0, 3, 4, 2)}},
		{"empty box", 4, 2, 16, []Box{box(2, 2, 2, 3)}},
		{"box below the image", 4, 2, 16, []Box{box(0, 2, 4, 5)}},
		{"box beside the image", 4, 2, 16, []Box{box(0, 2, 6, 3)}},
		{"boxes overlap", 4, 2, 16, []Box{box(0, 0, 4, 3), box(2, 2, 4, 4)}},
		{"negative row", 4, 2, 16, []Box{box(0, -1, 4, 3)}},
		{"begins amid a byte", 4, 2, 16, []Box{box(1, 0, 4, 3)}},
		{"ends amid a byte", 4, 2, 16, []Box{box(0, 0, 3, 3)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := NewSheet(c.width, 4, 5000, greys(c.colours), make([]byte, c.pix), c.open); !errors.Is(err, ErrSize) {
				t.Errorf("got %v, want ErrSize", err)
			}
		})
	}
}

// TestWrongFill: a fill of another size is refused, and leaves nothing behind in the next file.
func TestWrongFill(t *testing.T) {
	t.Parallel()
	boxes := []Box{{Rectangle: image.Rect(0, 1, 2, 3)}, {Rectangle: image.Rect(2, 1, 4, 3)}}
	sheet, err := NewSheet(4, 4, 5000, greys(2), make([]byte, 16), boxes)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := func(i int, _ Box) []byte { return bytes.Repeat([]byte{1}, 4-i) }
	if err := sheet.Train(spoilt); !errors.Is(err, ErrSize) {
		t.Errorf("Train: got %v, want ErrSize", err)
	}
	if _, err := sheet.Encode(spoilt); !errors.Is(err, ErrSize) {
		t.Errorf("Encode: got %v, want ErrSize", err)
	}
	file, err := sheet.Encode(func(int, Box) []byte { return make([]byte, 4) })
	if err != nil {
		t.Fatal(err)
	}
	if got, _, _ := decode(t, file); !bytes.Equal(got, make([]byte, 16)) {
		t.Errorf("decoded %x after an error, want zeros", got)
	}
}
