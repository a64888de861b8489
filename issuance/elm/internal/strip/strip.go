// Package strip writes PNG images of which most rows never change. A Sheet keeps the rows
// that do not change already compressed; Encode compresses only the open spans and splices
// all strips into one image.
//
// It works because a deflate stream (RFC 1951) may be cut after any sync flush: the strip
// ends on a byte boundary and, when it was compressed on its own, refers to nothing before
// it. The strips joined, closed by one empty final block, are one valid stream; its Adler-32
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

// Levels of compression: constant strips are compressed once and sent often, open spans are
// compressed for every image.
const (
	constantLevel = flate.BestCompression
	openLevel     = flate.BestSpeed
)

// openBytes is about what the open spans of a page take, compressed.
const openBytes = 24 << 10

const signature = "\x89PNG\r\n\x1a\n"

// ErrSize is returned when pixels, spans and the size of the image do not fit.
var ErrSize = errors.New("pixels do not fit the size of the image")

// Span is a range of rows, from Top up to but without Bottom.
type Span struct{ Top, Bottom int }

// part is a run of rows: compressed, or open.
type part struct {
	rows     Span
	open     bool
	deflated []byte
	sum      uint32 // Adler-32 of the raw bytes
}

// Sheet is an image with open spans. It does not change and may be used by many goroutines.
type Sheet struct {
	width   int
	header  []byte // signature and all chunks before IDAT
	parts   []part
	deflate sync.Pool
}

// NewSheet compresses the rows of pix outside the open spans. pix holds one palette index
// per pixel, row by row; perMetre is the resolution written into the file. Spans must be
// in order and must not touch each other.
func NewSheet(width, height, perMetre int, palette []color.RGBA, pix []byte, open []Span) (*Sheet, error) {
	if width <= 0 || height <= 0 || len(pix) != width*height || len(palette) == 0 || len(palette) > 16 {
		return nil, fmt.Errorf("%w: %d pixels, %d colours for %d x %d", ErrSize, len(pix), len(palette), width, height)
	}
	s := &Sheet{width: width, header: header(width, height, perMetre, palette)}
	row := 0
	for _, span := range open {
		if span.Top < row || span.Bottom <= span.Top || span.Bottom > height {
			return nil, fmt.Errorf("%w: open rows %d to %d", ErrSize, span.Top, span.Bottom)
		}
		if err := s.constant(Span{row, span.Top}, pix); err != nil {
			return nil, err
		}
		s.parts = append(s.parts, part{rows: span, open: true})
		row = span.Bottom
	}
	if err := s.constant(Span{row, height}, pix); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Sheet) constant(rows Span, pix []byte) error {
	if rows.Top == rows.Bottom {
		return nil
	}
	raw := pack(nil, pix[rows.Top*s.width:rows.Bottom*s.width], s.width)
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, constantLevel)
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

// scratch is what one Encode needs; it is reused because a flate.Writer is large.
type scratch struct {
	raw []byte
	w   *flate.Writer
}

// Encode returns the PNG file. For every open span, in order, fill returns its pixels, one
// palette index per pixel.
func (s *Sheet) Encode(fill func(i int, rows Span) []byte) ([]byte, error) {
	sc, ok := s.deflate.Get().(*scratch)
	if !ok {
		w, err := flate.NewWriter(nil, openLevel)
		if err != nil {
			return nil, fmt.Errorf("start compression: %w", err)
		}
		sc = &scratch{w: w}
	}
	defer s.deflate.Put(sc)
	var out bytes.Buffer
	out.Grow(s.ConstantSize() + openBytes)
	out.Write(s.header)
	start := out.Len()
	out.WriteString("\x00\x00\x00\x00IDAT\x78\x01") // zlib: deflate, 32 KiB window, no dictionary
	sum, i := uint32(1), 0
	for _, p := range s.parts {
		length := (p.rows.Bottom - p.rows.Top) * stride(s.width)
		if p.open {
			pix := fill(i, p.rows)
			if len(pix) != (p.rows.Bottom-p.rows.Top)*s.width {
				return nil, fmt.Errorf("%w: open span %d", ErrSize, i)
			}
			i++
			sc.raw = pack(sc.raw[:0], pix, s.width)
			sc.w.Reset(&out)
			if err := flush(sc.w, sc.raw); err != nil {
				return nil, err
			}
			sum = combine(sum, adler32.Checksum(sc.raw), length)
			continue
		}
		out.Write(p.deflated)
		sum = combine(sum, p.sum, length)
	}
	out.WriteString("\x01\x00\x00\xff\xff") // empty stored block, final
	out.Write(binary.BigEndian.AppendUint32(nil, sum))
	file := out.Bytes()
	binary.BigEndian.PutUint32(file[start:], uint32(len(file)-start-8)) //nolint:gosec // far below 4 GiB
	file = binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(file[start+4:]))
	return append(file, chunk("IEND", nil)...), nil
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
