// Package strip writes PNG images of which most rows never change. A Sheet keeps the rows
// that do not change already compressed; Encode compresses only the open spans and splices
// all strips into one image.
//
// The open spans are compressed by a simple method: a byte is written as it is, or as a match
// with what stands one of a few given distances before it, in a Huffman code that was made
// once for the sheet. That takes a tenth of the time of compress/flate at its fastest, because
// where to look is known, and makes smaller files, because matches reach over the strips.
//
// It works because a deflate stream (RFC 1951) may be cut after any sync flush: the strip
// ends on a byte boundary. A constant strip, compressed on its own, refers to nothing before it; an
// open one only to rows above it. The strips joined, closed by one empty final block, are one valid stream; its Adler-32
// (RFC 1950) is combined from those of the strips without reading their bytes again.
//
// Images have at most 16 colours, two pixels to a byte, no filter and no interlacing
// (W3C PNG, third edition). The package deliberately knows nothing of what is drawn. It
// fails with an error when sizes do not fit; writing to memory cannot fail otherwise.
package strip

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"image/color"
	"sync"
)

// openBytes is about what the open spans of a page take, compressed.
const openBytes = 24 << 10

const signature = "\x89PNG\r\n\x1a\n"

// ErrSize is returned when pixels, spans and the size of the image do not fit.
var ErrSize = errors.New("pixels do not fit the size of the image")

// Span is a range of rows, from Top up to but without Bottom.
type Span struct{ Top, Bottom int }

// Repeat is a distance in the picture. Columns are taken by twos, as they share bytes.
type Repeat struct{ Columns, Rows int }

// part is a run of rows: compressed, or open.
type part struct {
	rows     Span
	open     bool
	deflated []byte
	sum      uint32 // Adler-32 of the raw bytes
}

// Sheet is an image with open spans. It does not change and may be used by many goroutines.
type Sheet struct {
	width     int
	header    []byte // signature and all chunks before IDAT
	parts     []part
	open      []*openPart
	distances []int  // at which matches are looked for
	far       []word // for each of them
	code      *code
	scratch   sync.Pool // of *scratch
}

// NewSheet compresses the rows of pix outside the open spans. pix holds one palette index
// per pixel, row by row; perMetre is the resolution written into the file. Spans must be
// in order and must not touch each other. repeats say after what distance something in an open
// span is often the same, beside the byte and the two rows before.
func NewSheet(width, height, perMetre int, palette []color.RGBA, pix []byte, open []Span, repeats ...Repeat) (*Sheet, error) {
	if width <= 0 || height <= 0 || len(pix) != width*height || len(palette) == 0 || len(palette) > 16 {
		return nil, fmt.Errorf("%w: %d pixels, %d colours for %d x %d", ErrSize, len(pix), len(palette), width, height)
	}
	s := &Sheet{width: width, header: header(width, height, perMetre, palette), distances: []int{1, stride(width), 2 * stride(width)}}
	for _, r := range repeats {
		if d := r.Rows*stride(width) + r.Columns/2; d > 0 && d <= reach {
			s.distances = append(s.distances, d)
		}
	}
	row := 0
	for _, span := range open {
		if span.Top < row || span.Bottom <= span.Top || span.Bottom > height {
			return nil, fmt.Errorf("%w: open rows %d to %d", ErrSize, span.Top, span.Bottom)
		}
		if err := s.constant(Span{row, span.Top}, pix); err != nil {
			return nil, err
		}
		s.parts = append(s.parts, part{rows: span, open: true})
		s.open = append(s.open, newOpenPart(span, pix, width))
		row = span.Bottom
	}
	if err := s.constant(Span{row, height}, pix); err != nil {
		return nil, err
	}
	return s, s.Train(func(i int, _ Span) []byte { return s.open[i].pix })
}

func (s *Sheet) constant(rows Span, pix []byte) error {
	if rows.Top == rows.Bottom {
		return nil
	}
	raw := pack(nil, pix[rows.Top*s.width:rows.Bottom*s.width], s.width)
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return fmt.Errorf("start compression: %w", err)
	}
	if err := flush(w, raw); err != nil {
		return err
	}
	s.parts = append(s.parts, part{rows: rows, deflated: out.Bytes(), sum: adler32.Checksum(raw)})
	return nil
}

// flush compresses raw and ends on a byte boundary, without ending the stream.
func flush(w *flate.Writer, raw []byte) error {
	if _, err := w.Write(raw); err != nil {
		return fmt.Errorf("compress rows: %w", err)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("compress rows: %w", err)
	}
	return nil
}

// scratch is what one Encode needs: the open spans with the rows above them.
type scratch struct {
	raw    [][]byte
	tokens []token
}

// Encode returns the PNG file. For every open span, in order, fill returns its pixels, one
// palette index per pixel.
func (s *Sheet) Encode(fill func(i int, rows Span) []byte) ([]byte, error) {
	sc, ok := s.scratch.Get().(*scratch)
	if !ok {
		sc = &scratch{}
		for _, o := range s.open {
			sc.raw = append(sc.raw, bytes.Clone(o.raw))
		}
	}
	defer s.scratch.Put(sc)
	out := make([]byte, 0, s.ConstantSize()+openBytes)
	out = append(out, s.header...)
	start := len(out)
	out = append(out, "\x00\x00\x00\x00IDAT\x78\x01"...) // zlib: deflate, 32 KiB window, no dictionary
	sum, i := uint32(1), 0
	for _, p := range s.parts {
		if !p.open {
			out = append(out, p.deflated...)
			sum = combine(sum, p.sum, (p.rows.Bottom-p.rows.Top)*stride(s.width))
			continue
		}
		o, raw, pix := s.open[i], sc.raw[i], fill(i, p.rows)
		if len(pix) != len(o.pix) {
			return nil, fmt.Errorf("%w: open span %d", ErrSize, i)
		}
		sum = o.draw(pix, raw, s.width, sum)
		sc.tokens = tokens(sc.tokens[:0], raw, o.above, s.distances)
		out = s.deflate(out, sc.tokens)
		o.clean(raw)
		i++
	}
	out = append(out, "\x01\x00\x00\xff\xff"...) // empty stored block, final
	out = binary.BigEndian.AppendUint32(out, sum)
	binary.BigEndian.PutUint32(out[start:], uint32(len(out)-start-8)) //nolint:gosec // far below 4 GiB
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[start+4:]))
	return append(out, chunk("IEND", nil)...), nil
}

// ConstantSize is the number of bytes that every file of the sheet has in common.
func (s *Sheet) ConstantSize() int {
	n := len(s.header)
	for _, p := range s.parts {
		n += len(p.deflated)
	}
	return n
}

// stride is the length of a raw row: the filter byte and two pixels to a byte.
func stride(width int) int { return 1 + (width+1)/2 }

// pack appends the raw rows of pix to dst.
func pack(dst, pix []byte, width int) []byte {
	for ; len(pix) >= width; pix = pix[width:] {
		row := pix[:width]
		dst = append(dst, 0) // filter type none
		for len(row) >= 2 {
			dst = append(dst, row[0]<<4|row[1]&15)
			row = row[2:]
		}
		if len(row) == 1 {
			dst = append(dst, row[0]<<4)
		}
	}
	return dst
}

// combine returns the Adler-32 of two byte strings joined, from their own and the length of
// the second.
func combine(a, b uint32, lengthB int) uint32 {
	const mod = 65521
	n := uint32(lengthB % mod) //nolint:gosec // below 65521
	low := (a&0xffff + b&0xffff + mod - 1) % mod
	high := (n*(a&0xffff)%mod + a>>16 + b>>16 + mod - n) % mod
	return high<<16 | low
}

func header(width, height, perMetre int, palette []color.RGBA) []byte {
	ihdr := binary.BigEndian.AppendUint32(nil, uint32(width))    //nolint:gosec // checked positive
	ihdr = binary.BigEndian.AppendUint32(ihdr, uint32(height))   //nolint:gosec // checked positive
	ihdr = append(ihdr, 4, 3, 0, 0, 0)                           // 4 bits, palette, deflate, no filter set, no interlacing
	phys := binary.BigEndian.AppendUint32(nil, uint32(perMetre)) //nolint:gosec // a resolution
	phys = binary.BigEndian.AppendUint32(phys, uint32(perMetre)) //nolint:gosec // a resolution
	plte := make([]byte, 0, 3*len(palette))
	for _, c := range palette {
		plte = append(plte, c.R, c.G, c.B)
	}
	out := []byte(signature)
	out = append(out, chunk("IHDR", ihdr)...)
	out = append(out, chunk("PLTE", plte)...)
	return append(out, chunk("pHYs", append(phys, 1))...)
}

func chunk(kind string, data []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(data))) //nolint:gosec // a few bytes
	out = append(append(out, kind...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}
