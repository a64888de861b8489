package strip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// reach is how far back a match may be (RFC 1951, 3.2.5).
const reach = 32 << 10

// openPart is a span that is drawn for every image.
type openPart struct {
	rows  Span
	pix   []byte   // of the sheet, one index per pixel
	above int      // packed bytes above the span that a match may reach
	raw   []byte   // those bytes, then the rows of the sheet, packed
	sums  [][2]int // of each of its rows, see rowSum
}

// rowSum is what Adler-32 needs of a row: the sum of its bytes, and the sum of them each
// multiplied by its distance from the end.
func rowSum(row []byte) (sum [2]int) {
	for i, c := range row {
		sum[0] += int(c)
		sum[1] += (len(row) - i) * int(c)
	}
	return sum
}

func newOpenPart(rows Span, pix []byte, width int) *openPart {
	n := stride(width)
	first := max(rows.Top-reach/n, 0)
	o := &openPart{
		rows: rows, pix: pix[rows.Top*width : rows.Bottom*width],
		above: (rows.Top - first) * n, raw: pack(nil, pix[first*width:rows.Bottom*width], width),
	}
	for at := o.above; at < len(o.raw); at += n {
		o.sums = append(o.sums, rowSum(o.raw[at:at+n]))
	}
	return o
}

// draw packs pix over raw, a copy of o.raw, where it differs from the sheet, and returns the
// Adler-32 of everything up to the end of the span.
func (o *openPart) draw(pix, raw []byte, width int, sum uint32) uint32 {
	const mod = 65521
	low, high, n := int(sum&0xffff), int(sum>>16), stride(width)
	for y := range o.rows.Bottom - o.rows.Top {
		now, was, row := o.sums[y], o.pix[y*width:(y+1)*width], raw[o.above+y*n+1:o.above+(y+1)*n]
		if drawn := pix[y*width : (y+1)*width]; !bytes.Equal(drawn, was) {
			from, to := differ(drawn, was)
			from &^= 1 // whole bytes
			for x := from; x < to; x += 2 {
				c := drawn[x] << 4
				if x+1 < width {
					c |= drawn[x+1] & 15
				}
				delta := int(c) - int(row[x/2])
				now[0] += delta
				now[1] += (len(row) - x/2) * delta
				row[x/2] = c
			}
		}
		high = (high + n*low + now[1]) % mod
		low = (low + now[0]) % mod
	}
	return uint32(high)<<16 | uint32(low) //nolint:gosec // both below 65521
}

// clean makes raw a copy of o.raw again.
func (o *openPart) clean(raw []byte) { copy(raw[o.above:], o.raw[o.above:]) }

// differ returns from where up to where two rows of one length, which are not equal, are not
// the same.
func differ(a, b []byte) (from, to int) {
	from, to = same(a, b), len(a)
	for to-from > 8 && binary.LittleEndian.Uint64(a[to-8:]) == binary.LittleEndian.Uint64(b[to-8:]) {
		to -= 8
	}
	for a[to-1] == b[to-1] {
		to--
	}
	return from, to
}

// token is a letter, or a match: its length and at which of the distances.
type token uint32

const isMatch token = 1 << 31

func match(length, which int) token { return isMatch | token(which)<<16 | token(length) } //nolint:gosec // both small
func (t token) length() int         { return int(t & 0xffff) }
func (t token) which() int          { return int(t &^ isMatch >> 16) }

// tokens appends what the bytes of raw from above on are written as: each the letter, or the
// longest match with what stands at one of the distances.
func tokens(out []token, raw []byte, above int, distances []int) []token {
	for at := above; at < len(raw); {
		best, which := 0, 0
		if at+8 <= len(raw) {
			now := binary.LittleEndian.Uint64(raw[at:])
			for i, d := range distances {
				if d > at || (now^binary.LittleEndian.Uint64(raw[at-d:]))&worthMask != 0 {
					continue
				}
				if n := same(raw[at:], raw[at-d:]); n > best {
					best, which = n, i
				}
				if best >= enough {
					break
				}
			}
		}
		if best == 0 {
			out = append(out, token(raw[at]))
			at++
			continue
		}
		at += best
		for best > 0 {
			n := min(best, longest)
			if rest := best - n; rest > 0 && rest < shortest {
				n -= shortest
			}
			out = append(out, match(n, which))
			best -= n
		}
	}
	return out
}

// enough is a length from which no longer one is looked for.
const enough = 96

// worth is the length from which a match is shorter than its letters, as it takes some twenty
// bits; worthMask are so many bytes.
const (
	worth     = 6
	worthMask = 1<<(8*worth) - 1
)

// same counts the bytes at the beginning that are the same in both; b is the longer.
func same(a, b []byte) int {
	n := 0
	for len(a)-n >= 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
		n += 8
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}

// Train draws the open spans once, as the images to come will look, and makes the code from
// it in which they are written. Without it they are larger. It must not be called after Encode.
func (s *Sheet) Train(fill func(i int, rows Span) []byte) error {
	var seen counts
	for i, o := range s.open {
		pix := fill(i, o.rows)
		if len(pix) != len(o.pix) {
			return fmt.Errorf("%w: open span %d", ErrSize, i)
		}
		raw := bytes.Clone(o.raw)
		o.draw(pix, raw, s.width, 1)
		for _, t := range tokens(nil, raw, o.above, s.distances) {
			if t&isMatch == 0 {
				seen.letters[t]++
				continue
			}
			symbol, _, _ := lengthSymbol(t.length())
			seen.letters[symbol]++
			symbol, _, _ = distSymbol(s.distances[t.which()])
			seen.dists[symbol]++
		}
		seen.letters[endOfBlock]++
	}
	s.setCode(newCode(seen))
	return nil
}

func (s *Sheet) setCode(c *code) {
	s.code, s.far = c, nil
	for _, d := range s.distances {
		symbol, extra, width := distSymbol(d)
		w := c.dists[symbol]
		s.far = append(s.far, word{w.bits | extra<<w.n, w.n + width})
	}
}

// deflate appends the span to out, compressed, as one block and an empty one behind it that ends
// on a byte boundary.
func (s *Sheet) deflate(out []byte, list []token) []byte {
	w := bitWriter{out: out}
	for _, word := range s.code.head {
		w.write(word)
	}
	letters, lengths := &s.code.letters, &s.code.lengths
	for _, t := range list {
		if t&isMatch == 0 {
			w.write(letters[t])
			continue
		}
		w.write(lengths[t.length()])
		w.write(s.far[t.which()])
	}
	w.write(letters[endOfBlock])
	w.write(word{0, 3})
	w.align()
	return append(w.out, 0, 0, 0xff, 0xff)
}
