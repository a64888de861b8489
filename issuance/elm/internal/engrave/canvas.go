// Package engrave draws what stands on a certificate: the line work of banknote engravers
// (waves round a ring, hypotrochoids, a band of crossing sines), text, and QR codes, on a
// canvas of 16 colours.
//
// A canvas holds one palette index per pixel. The palette is made from one colour, that of
// the organisation: steps from paper to that colour and from paper to ink. Drawing with
// part coverage looks up the nearest of the 16 colours in a table, so anti-aliased drawing
// over what is already there costs one look-up per pixel. Line work is first summed up in
// a Plane of its own, where lines that cross saturate as ink does.
//
// Text is set with kerning in a semi-bold serif and in the Go fonts, for Latin, Greek and
// Cyrillic. Missing tells which letters of a text no font has; Draw leaves them out, so
// callers ask first. Right-to-left and complex scripts are not shaped and count as missing.
//
// The package knows nothing of credentials and makes no files.
package engrave

import (
	"encoding/binary"
	"image"
	"image/color"
	"math"
)

// Ink is what one draws with.
type Ink int

// The inks. Brand is the colour of the organisation.
const (
	Brand Ink = iota
	Dark
	Muted
	Rule
	White
	inks
)

// Shares of brand colour and of dark ink in the steps of the palette; index 0 is paper.
var (
	brandSteps = [8]float64{.055, .115, .22, .34, .48, .64, .82, 1}
	darkSteps  = [7]float64{.13, .27, .42, .57, .72, .86, 1}
)

var (
	paper    = color.RGBA{R: 255, G: 255, B: 255, A: 255}
	darkInk  = color.RGBA{R: 0x16, G: 0x21, B: 0x2b, A: 255}
	mutedInk = color.RGBA{R: 0x4a, G: 0x58, B: 0x65, A: 255}
	ruleInk  = color.RGBA{R: 0xb4, G: 0xbb, B: 0xc1, A: 255}
)

// Palette is the 16 colours of a canvas and the result of drawing over each of them.
type Palette struct {
	Colors []color.RGBA
	// over[ink][coverage 0..15][index below] is the index that results.
	over [inks][16][16]uint8
}

// NewPalette makes the palette of a brand colour. A colour too light to be read on paper is
// darkened until its contrast is 4.5 to 1 (WCAG 2.2, 1.4.3).
func NewPalette(brand color.RGBA) *Palette {
	brand.A = 255
	for contrastOnPaper(brand) < 4.5 {
		brand = mix(brand, color.RGBA{A: 255}, .06)
	}
	p := &Palette{Colors: []color.RGBA{paper}}
	for _, s := range brandSteps {
		p.Colors = append(p.Colors, mix(paper, brand, s))
	}
	for _, s := range darkSteps {
		p.Colors = append(p.Colors, mix(paper, darkInk, s))
	}
	colours := [inks]color.RGBA{Brand: brand, Dark: darkInk, Muted: mutedInk, Rule: ruleInk, White: paper}
	for ink := range colours {
		for cover := range 16 {
			for below := range 16 {
				p.over[ink][cover][below] = p.nearest(mix(p.Colors[below], colours[ink], float64(cover)/15))
			}
		}
		p.over[ink][0] = [16]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	}
	return p
}

func mix(a, b color.RGBA, share float64) color.RGBA {
	m := func(x, y uint8) uint8 { return uint8(math.Round(float64(x) + (float64(y)-float64(x))*share)) }
	return color.RGBA{R: m(a.R, b.R), G: m(a.G, b.G), B: m(a.B, b.B), A: 255}
}

func (p *Palette) nearest(c color.RGBA) uint8 {
	best, at := math.MaxInt, 0
	for i, q := range p.Colors {
		r, g, b := int(c.R)-int(q.R), int(c.G)-int(q.G), int(c.B)-int(q.B)
		if d := 3*r*r + 6*g*g + b*b; d < best { // the eye sees green best
			best, at = d, i
		}
	}
	return uint8(at)
}

// contrastOnPaper is the contrast ratio of c to white as WCAG defines it.
func contrastOnPaper(c color.RGBA) float64 {
	lin := func(v uint8) float64 {
		x := float64(v) / 255
		if x <= .04045 {
			return x / 12.92
		}
		return math.Pow((x+.055)/1.055, 2.4)
	}
	return 1.05 / (.2126*lin(c.R) + .7152*lin(c.G) + .0722*lin(c.B) + .05)
}

// Canvas is a box of a page, of which the first pixel lies at Left, Top: one palette index per
// pixel. Coordinates are those of the page; what lies outside the box is not drawn.
type Canvas struct {
	Width, Height, Left, Top int
	Pix                      []uint8
	Palette                  *Palette
	// Coarse makes the edges of letters coarser and the file smaller: 0 to Coarsest.
	Coarse int
}

// NewCanvas returns an empty sheet of paper.
func NewCanvas(width, height int, p *Palette) *Canvas {
	return &Canvas{Width: width, Height: height, Pix: make([]uint8, width*height), Palette: p}
}

// Bounds is the box.
func (c *Canvas) Bounds() image.Rectangle {
	return image.Rect(c.Left, c.Top, c.Left+c.Width, c.Top+c.Height)
}

// Part returns a canvas of its own with a copy of a box, drawn into buf when it is large
// enough.
func (c *Canvas) Part(box image.Rectangle, buf []uint8) *Canvas {
	buf = buf[:0]
	for y := box.Min.Y; y < box.Max.Y; y++ {
		row := c.Pix[(y-c.Top)*c.Width:]
		buf = append(buf, row[box.Min.X-c.Left:box.Max.X-c.Left]...)
	}
	return &Canvas{
		Width: box.Dx(), Height: box.Dy(), Left: box.Min.X, Top: box.Min.Y,
		Pix: buf, Palette: c.Palette, Coarse: c.Coarse,
	}
}

// Rect fills whole pixels of a rectangle.
func (c *Canvas) Rect(x, y, w, h int, ink Ink) {
	box := image.Rect(x, y, x+w, y+h).Intersect(c.Bounds()).Sub(image.Pt(c.Left, c.Top))
	full := c.Palette.over[ink][15][0] // the same over all colours
	var above []uint8
	for row := box.Min.Y; row < box.Max.Y; row++ {
		line := c.Pix[row*c.Width+box.Min.X : row*c.Width+box.Max.X]
		if above == nil {
			for i := range line {
				line[i] = full
			}
			above = line
			continue
		}
		copy(line, above)
	}
}

// textSteps reduces the coverage of letters to a few steps: four cannot be told from sixteen
// at this resolution, but a compressor can. Canvas.Coarse picks the row.
var textSteps = [...][16]uint8{
	{0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 11, 11, 11, 15, 15, 15},
	{0, 0, 0, 5, 5, 5, 5, 5, 10, 10, 10, 10, 15, 15, 15, 15},
	{0, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 15, 15, 15, 15, 15},
}

// Coarsest is the greatest value of Canvas.Coarse.
const Coarsest = len(textSteps) - 1

// mask draws a mask of width w whose first pixel lies at x, y: how much of each pixel is covered,
// 0 to 15.
func (c *Canvas) mask(cover []uint8, w, x, y int, ink Ink) {
	from, to := max(c.Left-x, 0), min(c.Left+c.Width-x, w)
	if from >= to {
		return
	}
	var shades [16]*[16]uint8
	for i, step := range textSteps[c.Coarse] {
		shades[i] = &c.Palette.over[ink][step]
	}
	for ; len(cover) >= w; cover, y = cover[w:], y+1 {
		if y < c.Top || y >= c.Top+c.Height {
			continue
		}
		row, line := cover[from:to], c.Pix[(y-c.Top)*c.Width+x+from-c.Left:]
		for ; len(row) >= 8; row, line = row[8:], line[8:] {
			if binary.LittleEndian.Uint64(row) == 0 { // most of a letter is empty
				continue
			}
			for i, a := range row[:8] {
				line[i] = shades[a&15][line[i]&15]
			}
		}
		for i, a := range row {
			line[i] = shades[a&15][line[i]&15]
		}
	}
}

// Plane sums up line work: coverage per pixel, for the whole page.
type Plane struct {
	width, height int
	ink           []float32
}

// NewPlane returns a plane without lines.
func NewPlane(width, height int) *Plane {
	return &Plane{width: width, height: height, ink: make([]float32, width*height)}
}

// dot adds weight at a point, shared among the four pixels around it.
func (p *Plane) dot(x, y float64, weight float32) {
	x, y = x-.5, y-.5
	fx, fy := math.Floor(x), math.Floor(y)
	col, row := int(fx), int(fy)
	if col < 0 || row < 0 || col+1 >= p.width || row+1 >= p.height {
		return
	}
	dx, dy := float32(x-fx), float32(y-fy)
	at := p.ink[row*p.width+col:]
	at[0] += weight * (1 - dx) * (1 - dy)
	at[1] += weight * dx * (1 - dy)
	at[p.width] += weight * (1 - dx) * dy
	at[p.width+1] += weight * dx * dy
}

// Line draws a straight line of a width in pixels.
func (p *Plane) Line(x0, y0, x1, y1, width float64) {
	length := math.Hypot(x1-x0, y1-y0)
	p.curve(width, length, func(t float64) (float64, float64) {
		return x0 + (x1-x0)*t/length, y0 + (y1-y0)*t/length
	})
}

// step is the distance of two dots of a line, in pixels.
const step = .4

// curve draws the points at(t) for t from 0 to end. Steps follow the speed of the curve, so
// that the line has the same weight everywhere.
func (p *Plane) curve(width, end float64, at func(t float64) (x, y float64)) {
	const probe = 1e-4
	for t := 0.0; t < end; {
		x, y := at(t)
		nx, ny := at(t + probe)
		speed := math.Hypot(nx-x, ny-y) / probe
		dt := step / max(speed, step)
		p.dot(x, y, float32(width*speed*dt))
		t += dt
	}
}

// Ring draws n waved rings round a centre, each turned by turn degrees: the radius swings by
// amp round radius, waves times.
func (p *Plane) Ring(cx, cy, radius, amp float64, waves, n int, turn, width float64) {
	for i := range n {
		o := float64(i) * turn * math.Pi / 180
		p.curve(width, 2*math.Pi, func(t float64) (float64, float64) {
			r := radius + amp*math.Sin(float64(waves)*t)
			return cx + r*math.Cos(t+o), cy + r*math.Sin(t+o)
		})
	}
}

// Loops draws n hypotrochoids round a centre, each turned by turn degrees and with k loops.
func (p *Plane) Loops(cx, cy, radius, arm float64, k, n int, turn, width float64) {
	for i := range n {
		o := float64(i) * turn * math.Pi / 180
		sin, cos := math.Sincos(o)
		p.curve(width, 2*math.Pi, func(t float64) (float64, float64) {
			x := radius*math.Cos(t) + arm*math.Cos(float64(k-1)*t)
			y := radius*math.Sin(t) - arm*math.Sin(float64(k-1)*t)
			return cx + x*cos - y*sin, cy + x*sin + y*cos
		})
	}
}

// Circle draws a circle.
func (p *Plane) Circle(cx, cy, radius, width float64) { p.Ring(cx, cy, radius, 0, 0, 1, 0, width) }

// Band draws one band of n periods of crossing sines along a straight line, the middle of
// which begins at x, y. One period is drawn once and stamped n times, so that the picture
// repeats exactly and compresses well; an even period along x repeats in whole bytes.
func (p *Plane) Band(x, y, n, period int, amp float64, vertical bool, width float64) {
	half := int(amp) + 3
	tile := NewPlane(3*period, 2*half)
	sine := func(amp, period, phase float64) {
		tile.curve(width, float64(tile.width), func(t float64) (float64, float64) {
			return t, float64(half) + amp*math.Sin(2*math.Pi*t/period+phase)
		})
	}
	for i := range 8 {
		sine(amp, float64(period), float64(i)*math.Pi/4)
	}
	for i := range 3 {
		sine(amp*15/33, float64(period)/2, float64(i)*math.Pi*2/3)
	}
	for along := range n * period {
		for across := range 2 * half {
			col, row := x+along, y-half+across
			if vertical {
				col, row = x-half+across, y+along
			}
			if col >= 0 && row >= 0 && col < p.width && row < p.height {
				p.ink[row*p.width+col] += tile.ink[across*tile.width+period+along%period]
			}
		}
	}
}

// Clear removes the lines inside a circle.
func (p *Plane) Clear(cx, cy, radius float64) {
	for row := max(int(cy-radius), 0); row <= min(int(cy+radius), p.height-1); row++ {
		for col := max(int(cx-radius), 0); col <= min(int(cx+radius), p.width-1); col++ {
			if math.Hypot(float64(col)+.5-cx, float64(row)+.5-cy) <= radius {
				p.ink[row*p.width+col] = 0
			}
		}
	}
}

// Print draws the lines onto the canvas with an ink at a strength from 0 to 1, in so many
// steps of coverage: fewer steps make a smaller file.
func (c *Canvas) Print(p *Plane, ink Ink, strength float64, steps int) {
	for i, v := range p.ink {
		cover := math.Round(min(float64(v), 1)*float64(steps)) / float64(steps) * strength
		if n := int(cover*15 + .5); n > 0 {
			c.Pix[i] = c.Palette.over[ink][n][c.Pix[i]]
		}
	}
}
