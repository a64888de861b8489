package strip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// reach is how far back a match may be (RFC 1951, 3.2.5).
const reach = 32 << 10

// span is a range of rows, from top up to but without bottom.
type span struct{ top, bottom int }

// openSpans returns the rows that have boxes, in order.
func openSpans(boxes []Box) []span {
	boxes = slices.Clone(boxes)
	slices.SortFunc(boxes, func(a, b Box) int { return a.Min.Y - b.Min.Y })
	var out []span
	for _, b := range boxes {
		if n := len(out); n > 0 && b.Min.Y < out[n-1].bottom {
			out[n-1].bottom = max(out[n-1].bottom, b.Max.Y)
			continue
		}
		out = append(out, span{b.Min.Y, b.Max.Y})
	}
	return out
}

// openRows is a span of rows with boxes in them.
type openRows struct {
	boxes []int  // of the sheet
	first int    // row with which raw begins
	raw   []byte // packed rows of the sheet: those above that a match may reach, then the span
	steps []step
}

// step is one row of a box, bytes from up to to of raw, and before it what stands after the box
// before: the tokens, and the bits in which they are written.
type step struct {
	after    int
	beside   []token
	bits     []word
	from, to int
	near     []int // distances at which matches are looked for in the box
}

// newOpenRows prepares the rows. No match reaches above least, which is drawn anew each time.
func (s *Sheet) newOpenRows(rows span, raw []byte, least int) *openRows {
	n := stride(s.width)
	o := &openRows{first: max(rows.top-reach/n, least)}
	o.raw = bytes.Clone(raw[o.first*n : rows.bottom*n])
	for i, b := range s.boxes {
		near := s.distances[:2]
		if b.Patterned {
			near = s.distances
		}
		if b.Min.Y < rows.bottom && b.Max.Y > rows.top {
			o.boxes = append(o.boxes, i)
			for y := b.Min.Y; y < b.Max.Y; y++ {
				at := (y-o.first)*n + 1
				o.steps = append(o.steps, step{from: at + b.Min.X/2, to: at + (b.Max.X+1)/2, near: near})
			}
		}
	}
	slices.SortFunc(o.steps, func(a, b step) int { return a.from - b.from })
	o.steps = append(o.steps, step{from: len(o.raw), to: len(o.raw)})
	runs := o.constantRuns()
	at := (rows.top - o.first) * n
	for i := range o.steps {
		st := &o.steps[i]
		st.after, st.beside = at, besides(o.raw[:st.from], at, runs, s.distances)
		at = st.to
	}
	return o
}

// constantRuns returns for each byte of raw how many from it on are in no box.
func (o *openRows) constantRuns() []int {
	runs := make([]int, len(o.raw)+1)
	i := len(o.steps) - 1
	for at := len(o.raw) - 1; at >= 0; at-- {
		for i > 0 && at < o.steps[i].from {
			i--
		}
		if at < o.steps[i].from || at >= o.steps[i].to {
			runs[at] = runs[at+1] + 1
		}
	}
	return runs
}

// draw packs what fill draws in the boxes over raw, which is a copy of o.raw but for what was
// drawn in the boxes before, and returns what that changes.
func (s *Sheet) draw(o *openRows, raw []byte, fill func(i int, box Box) []byte) (change, error) {
	var all change
	n := stride(s.width)
	for _, i := range o.boxes {
		b := s.boxes[i]
		drawn, w := fill(i, b), b.Dx()
		if len(drawn) != w*b.Dy() {
			return change{}, fmt.Errorf("%w: open box %d", ErrSize, i)
		}
		for y := b.Min.Y; y < b.Max.Y; y++ {
			now, was := drawn[:w], s.pix[y*s.width+b.Min.X:y*s.width+b.Max.X]
			drawn = drawn[w:]
			at := (y-o.first)*n + 1 + b.Min.X/2
			to := at + (w+1)/2
			if bytes.Equal(now, was) {
				copy(raw[at:to], o.raw[at:to])
				continue
			}
			c := packRow(raw[at:to], o.raw[at:to], now, was)
			// so far counted from the end of the row of the box
			c.high += c.low * ((s.height-o.first)*n - to)
			all.add(c)
		}
	}
	return all, nil
}

// change is by how much the two sums of Adler-32 differ (RFC 1950, 8.2): of the bytes, and of
// the bytes each multiplied by its place, counted from the end.
type change struct{ low, high int }

func (c *change) add(d change) {
	c.low += d.low
	c.high += d.high
}

// of returns the sum of the changed bytes from that of the bytes before.
func (c change) of(sum uint32) uint32 {
	const mod = 65521
	low := (int(sum&0xffff) + c.low) % mod
	high := (int(sum>>16) + c.high) % mod
	return uint32((high+mod)%mod)<<16 | uint32((low+mod)%mod)
}

// packRow packs the pixels now over raw. old and was are the bytes and pixels of the sheet
// there; it returns how the sums differ from old to raw.
func packRow(raw, old, now, was []byte) change {
	var c change
	copy(raw, old)
	whole := len(now) &^ 7
	for x := 0; x < whole; x += 8 {
		n, w := binary.LittleEndian.Uint64(now[x:x+8]), binary.LittleEndian.Uint64(was[x:x+8])
		if n == w {
			continue
		}
		n, w = pairs(n), pairs(w)
		binary.LittleEndian.PutUint32(raw[x/2:], squeeze(n))
		// each byte is 16 bits wide; a multiplication sums them up in the highest
		const bias = 255
		diff := n + bias*0x0001000100010001 - w
		low := int(diff*0x0001000100010001>>48) - 4*bias
		c.low += low
		c.high += low*(len(raw)-x/2) - (int(diff*0x0000000100020003>>48) - 6*bias)
	}
	for x := whole; x < len(now); x += 2 {
		b := now[x] << 4
		if x+1 < len(now) {
			b |= now[x+1] & 15
		}
		raw[x/2] = b
		low := int(b) - int(old[x/2])
		c.low += low
		c.high += low * (len(raw) - x/2)
	}
	return c
}

// pairs joins eight pixels to four bytes, each in 16 bits.
func pairs(pix uint64) uint64 {
	pix &= 0x0f0f0f0f0f0f0f0f
	return (pix<<4 | pix>>8) & 0x00ff00ff00ff00ff
}

// squeeze takes the four bytes of pairs together.
func squeeze(p uint64) uint32 {
	p = (p | p>>8) & 0x0000ffff0000ffff
	return uint32((p | p>>16) & 0xffffffff)
}

// Train draws the open boxes once, as the images to come will look, and makes the code from
// it in which they are written. Without it they are larger. It must not be called after Encode.
func (s *Sheet) Train(fill func(i int, box Box) []byte) error {
	var seen counts
	for _, p := range s.parts {
		if p.open == nil {
			continue
		}
		raw := bytes.Clone(p.open.raw)
		if _, err := s.draw(p.open, raw, fill); err != nil {
			return err
		}
		for _, st := range p.open.steps {
			seen.add(st.beside, raw[st.after:], s.distances)
			seen.add(tokens(nil, raw, st.from, st.to, st.near), raw[st.from:], s.distances)
		}
		seen.letters[endOfBlock]++
	}
	s.setCode(newCode(seen))
	return nil
}

// setCode makes c the code of the sheet and writes in it what stands beside the boxes.
func (s *Sheet) setCode(c *code) {
	s.code, s.far = c, nil
	for _, d := range s.distances {
		symbol, extra, width := distSymbol(d)
		w := c.dists[symbol]
		s.far = append(s.far, word{w.bits | extra<<w.n, w.n + width})
	}
	for _, p := range s.parts {
		if p.open == nil {
			continue
		}
		for i := range p.open.steps {
			st := &p.open.steps[i]
			var w bitWriter
			if i == 0 {
				for _, v := range c.head {
					w.write(v)
				}
			}
			w.tokens(st.beside, p.open.raw[st.after:], c, s.far)
			st.bits = w.words()
		}
	}
}

// deflate appends the rows to out, compressed, as one block and an empty one behind it that
// ends on a byte boundary.
func (s *Sheet) deflate(out []byte, o *openRows, sc *scratch, raw []byte) []byte {
	w := bitWriter{out: out}
	for i := range o.steps {
		st := &o.steps[i]
		for _, word := range st.bits {
			w.write(word)
		}
		sc.tokens = tokens(sc.tokens[:0], raw, st.from, st.to, st.near)
		w.tokens(sc.tokens, raw[st.from:], s.code, s.far)
	}
	w.write(s.code.letters[endOfBlock])
	w.write(word{0, 3})
	w.align()
	return append(w.out, 0, 0, 0xff, 0xff)
}
