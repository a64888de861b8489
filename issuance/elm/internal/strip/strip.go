// Package strip writes PNG images of which most never changes. A Sheet keeps compressed what
// does not change; Encode compresses only what is drawn in a few open boxes and splices all
// into one image.
//
// Rows without a box are compressed once by compress/flate. It works because a deflate stream
// (RFC 1951) may be cut after any sync flush: the strip ends on a byte boundary and, compressed
// on its own, refers to nothing before it. The strips joined, closed by one empty final block,
// are one valid stream.
//
// Rows with a box are compressed by a simple method: a byte is written as it is, or as a match with
// what stands one of a few given distances before it, in a Huffman code that was made once for
// the sheet. That takes a tenth of the time of compress/flate at its fastest, because where to
// look is known, and makes smaller files, because matches reach over the strips. What stands
// beside the boxes, matched only with what never changes either, is kept as the bits it is
// written in.
//
// The Adler-32 of the stream (RFC 1950) is that of the sheet, corrected by the bytes that are
// not the sheet's.
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
	"image"
	"image/color"
	"sync"
)

const signature = "\x89PNG\r\n\x1a\n"

// ErrSize is returned when pixels, boxes and the size of the image do not fit.
var ErrSize = errors.New("pixels do not fit the size of the image")

// Repeat is a distance in the picture. Columns are taken by twos, as they share bytes.
type Repeat struct{ Columns, Rows int }

// Box is a part of the image that is drawn for every file. Patterned is one on whose ground
// the repeats of the sheet are seen.
type Box struct {
	image.Rectangle
	Patterned bool
}

// part is a run of rows: compressed, or with boxes in it.
type part struct {
	deflated []byte
	open     *openRows
}

// Sheet is an image with open boxes. It does not change and may be used by many goroutines.
type Sheet struct {
	width, height int
	pix           []byte // one index per pixel
	boxes         []Box
	header        []byte // signature and all chunks before IDAT
	parts         []part
	sum           uint32 // Adler-32 of the packed rows
	distances     []int  // at which matches are looked for
	far           []word // for each of them
	code          *code
	scratch       sync.Pool // of *scratch
}

// NewSheet compresses what is outside the open boxes. pix holds one palette index per pixel,
// row by row, and must not change afterwards; perMetre is the resolution written into the file.
// Boxes must not overlap and must begin and end at an even column, or end with the image.
// repeats say after what distance something beside the boxes is often the same, besides the
// byte and the two rows before.
func NewSheet(width, height, perMetre int, palette []color.RGBA, pix []byte, boxes []Box, repeats ...Repeat) (*Sheet, error) {
	if width <= 0 || height <= 0 || len(pix) != width*height || len(palette) == 0 || len(palette) > 16 {
		return nil, fmt.Errorf("%w: %d pixels, %d colours for %d x %d", ErrSize, len(pix), len(palette), width, height)
	}
	if err := fit(boxes, width, height); err != nil {
		return nil, err
	}
	n, raw := stride(width), pack(pix, width)
	s := &Sheet{
		width: width, height: height, pix: pix, boxes: boxes, sum: adler32.Checksum(raw),
		header: header(width, height, perMetre, palette), distances: []int{1, n, 2 * n},
	}
	for _, r := range repeats {
		if d := r.Rows*n + r.Columns/2; d > 0 && d <= reach {
			s.distances = append(s.distances, d)
		}
	}
	row := 0
	for _, rows := range openSpans(boxes) {
		if err := s.constant(raw[row*n : rows.top*n]); err != nil {
			return nil, err
		}
		s.parts = append(s.parts, part{open: s.newOpenRows(rows, raw, row)})
		row = rows.bottom
	}
	if err := s.constant(raw[row*n:]); err != nil {
		return nil, err
	}
	return s, s.Train(s.asDrawn)
}

// asDrawn fills a box with what the sheet has there.
func (s *Sheet) asDrawn(_ int, box Box) []byte {
	var out []byte
	for y := box.Min.Y; y < box.Max.Y; y++ {
		out = append(out, s.pix[y*s.width+box.Min.X:y*s.width+box.Max.X]...)
	}
	return out
}

// fit says whether the boxes are as NewSheet wants them.
func fit(boxes []Box, width, height int) error {
	for i, b := range boxes {
		if b.Empty() || !b.In(image.Rect(0, 0, width, height)) || b.Min.X%2 != 0 || b.Max.X%2 != 0 && b.Max.X != width {
			return fmt.Errorf("%w: open box %v", ErrSize, b)
		}
		for _, other := range boxes[:i] {
			if b.Overlaps(other.Rectangle) {
				return fmt.Errorf("%w: open boxes %v and %v overlap", ErrSize, other, b)
			}
		}
	}
	return nil
}

// constant adds rows without boxes.
func (s *Sheet) constant(raw []byte) error {
	if len(raw) == 0 {
		return nil
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return fmt.Errorf("start compression: %w", err)
	}
	if err := flush(w, raw); err != nil {
		return err
	}
	s.parts = append(s.parts, part{deflated: out.Bytes()})
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

// scratch is what one Encode needs: the packed rows of each part, and the file.
type scratch struct {
	raw    [][]byte
	tokens []token
	file   []byte
}

func (s *Sheet) newScratch() *scratch {
	sc := &scratch{raw: make([][]byte, len(s.parts))}
	for i, p := range s.parts {
		if p.open != nil {
			sc.raw[i] = bytes.Clone(p.open.raw)
		}
	}
	return sc
}

// Encode returns the PNG file. For every open box, by its index, fill returns its pixels, one
// palette index per pixel.
func (s *Sheet) Encode(fill func(i int, box Box) []byte) ([]byte, error) {
	sc, ok := s.scratch.Get().(*scratch)
	if !ok {
		sc = s.newScratch()
	}
	defer s.scratch.Put(sc)
	out := append(sc.file[:0], s.header...)
	start := len(out)
	out = append(out, "\x00\x00\x00\x00IDAT\x78\x01"...) // zlib: deflate, 32 KiB window, no dictionary
	var all change
	for i, p := range s.parts {
		if p.open == nil {
			out = append(out, p.deflated...)
			continue
		}
		c, err := s.draw(p.open, sc.raw[i], fill)
		if err != nil {
			return nil, err
		}
		all.add(c)
		out = s.deflate(out, p.open, sc, sc.raw[i])
	}
	out = append(out, "\x01\x00\x00\xff\xff"...) // empty stored block, final
	out = binary.BigEndian.AppendUint32(out, all.of(s.sum))
	binary.BigEndian.PutUint32(out[start:], uint32(len(out)-start-8)) //nolint:gosec // far below 4 GiB
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[start+4:]))
	sc.file = append(out, iend...)
	return bytes.Clone(sc.file), nil
}

// ConstantSize is the number of bytes that the rows without boxes take in every file.
func (s *Sheet) ConstantSize() int {
	n := len(s.header)
	for _, p := range s.parts {
		n += len(p.deflated)
	}
	return n
}

// stride is the length of a raw row: the filter byte and two pixels to a byte.
func stride(width int) int { return 1 + (width+1)/2 }

// pack returns the raw rows of pix.
func pack(pix []byte, width int) []byte {
	dst := make([]byte, 0, len(pix)/width*stride(width))
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

// iend is the last chunk of every file.
const iend = "\x00\x00\x00\x00IEND\xaeB`\x82"

func chunk(kind string, data []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(data))) //nolint:gosec // a few bytes
	out = append(append(out, kind...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}
