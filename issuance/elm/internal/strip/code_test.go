package strip

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// The tables of RFC 1951, 3.2.5, as they stand there.
var (
	lengthBase = []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthBits = []uint{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase   = []int{
		1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
		4097, 6145, 8193, 12289, 16385, 24577,
	}
	distBits = []uint{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

func TestSymbols(t *testing.T) {
	t.Parallel()
	for n := shortest; n <= longest; n++ {
		s, extra, width := lengthSymbol(n)
		if i := s - 257; i < 0 || i >= len(lengthBase) || lengthBase[i]+int(extra) != n || lengthBits[i] != width || extra >= 1<<width {
			t.Errorf("length %d: symbol %d, %d in %d bits", n, s, extra, width)
		}
	}
	for d := 1; d <= reach; d++ {
		if s, extra, width := distSymbol(d); s >= distCount || distBase[s]+int(extra) != d || distBits[s] != width || extra >= 1<<width {
			t.Fatalf("distance %d: symbol %d, %d in %d bits", d, s, extra, width)
		}
	}
}

// Words are complete and none is too long, however uneven the weights are.
func TestLengths(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{19, distCount, letterCount} {
		for _, most := range []int{9, 15} {
			fibonacci, flat, random := make([]int, n), make([]int, n), make([]int, n)
			for i := range n {
				fibonacci[i] = 1
				if i > 1 && i < 80 {
					fibonacci[i] = fibonacci[i-1] + fibonacci[i-2]
				}
				random[i] = dice.IntN(1 << dice.IntN(20))
			}
			for name, weights := range map[string][]int{"fibonacci": fibonacci, "flat": flat, "random": random} {
				lengths := lengthsOf(weights, most)
				sum := 0
				for _, l := range lengths {
					sum += 1 << (most - l)
				}
				if slices.Max(lengths) > most || slices.Min(lengths) < 1 || sum != 1<<most {
					t.Errorf("%d %s weights, at most %d bits: %v", n, name, most, lengths)
				}
			}
		}
	}
}

// What is written of any bytes, with any code, is read by compress/flate: whether written token by
// token or kept as words.
func FuzzDeflate(f *testing.F) {
	f.Add([]byte("abcabcabcabc"), []byte("abc"), uint16(0))
	f.Add(bytes.Repeat([]byte{0}, 2000), []byte{}, uint16(3))
	f.Add(bytes.Repeat([]byte("0123456789"), 900), []byte{1, 2, 3}, uint16(526))
	f.Fuzz(func(t *testing.T, raw, seen []byte, above uint16) {
		from := min(int(above), len(raw))
		s := &Sheet{distances: []int{1, 2, 3, 10, 526, 32768}}
		var c counts
		for _, b := range seen {
			c.letters[b] += 100
			c.dists[int(b)%distCount] += 7
		}
		s.setCode(newCode(c))
		middle := (from + len(raw)) / 2
		runs := make([]int, len(raw)+1)
		for i := range raw {
			runs[i] = len(raw) - i
		}
		var before, w bitWriter
		for _, v := range s.code.head {
			before.write(v)
		}
		before.tokens(besides(raw[:middle], from, runs, s.distances), raw[from:], s.code, s.far)
		for _, v := range before.words() {
			w.write(v)
		}
		w.tokens(tokens(nil, raw, middle, len(raw), s.distances), raw[middle:], s.code, s.far)
		w.write(s.code.letters[endOfBlock])
		w.write(word{0b001, 3})
		w.align()
		got, err := io.ReadAll(flate.NewReaderDict(bytes.NewReader(append(w.out, 0, 0, 0xff, 0xff)), raw[:from]))
		if err != nil || !bytes.Equal(got, raw[from:]) {
			t.Errorf("%d bytes after %d: %v", len(raw)-from, from, err)
		}
	})
}

// Beside the boxes nothing is matched with what is drawn anew.
func TestBesides(t *testing.T) {
	t.Parallel()
	raw := []byte("0123456789-0123456789-0123456789")
	for _, c := range []struct {
		name  string
		boxed int // a byte in a box
		want  []token
	}{
		{"all constant", -1, []token{{0, 21, 0}, {}}},
		{"the box in the middle of the source", 4, []token{{5, 16, 0}, {}}},
		{"the box before the source", 0, []token{{1, 20, 0}, {}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := &openRows{raw: raw, steps: []step{{from: len(raw), to: len(raw)}}}
			if c.boxed >= 0 {
				o.steps = slices.Insert(o.steps, 0, step{from: c.boxed, to: c.boxed + 1})
			}
			if got := besides(raw, 11, o.constantRuns(), []int{11}); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
