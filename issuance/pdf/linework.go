package pdf

import (
	"fmt"
	"math"
	"strings"
)

// Lines are written as PDF operators (ISO 32000-1, 8.5) in hundredths of a millimetre with y
// upwards: whole numbers, and the same few hundred bytes for each period of the frame, which
// compress to almost nothing.
const (
	unit     = 72 / 25.4 / 100 // points
	pageWide = 21000
	pageHigh = 29700
)

// The frame: the middle of its bands, and one period of them.
const (
	frameInset = 1260
	periodsX   = 15
	periodsY   = 23
	swing      = 330.0 // from the middle to the crest
)

// drawing collects operators.
type drawing struct{ strings.Builder }

func (d *drawing) op(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

// path writes n+1 points of a curve.
func (d *drawing) path(n int, at func(t float64) (x, y float64)) {
	lastX, lastY := math.MaxInt, math.MaxInt
	for i := range n + 1 {
		fx, fy := at(float64(i) / float64(n))
		x, y := int(math.Round(fx)), int(math.Round(fy))
		switch {
		case i == 0:
			d.op("%d %d m", x, y)
		case x != lastX || y != lastY:
			d.op("%d %d l", x, y)
		}
		lastX, lastY = x, y
	}
}

// ring draws n waved rings round the origin, each turned by turn degrees.
func (d *drawing) ring(radius, amp float64, waves, n int, turn float64) {
	for i := range n {
		o := float64(i) * turn * math.Pi / 180
		d.path(max(waves*8, 48), func(t float64) (float64, float64) {
			t *= 2 * math.Pi
			r := radius + amp*math.Sin(float64(waves)*t)
			return r * math.Cos(t+o), r * math.Sin(t+o)
		})
	}
	d.op("S")
}

// loops draws n hypotrochoids with k loops round the origin, each turned by turn degrees.
func (d *drawing) loops(radius, arm float64, k, n int, turn float64) {
	for i := range n {
		sin, cos := math.Sincos(float64(i) * turn * math.Pi / 180)
		d.path(k*18, func(t float64) (float64, float64) {
			t *= 2 * math.Pi
			x := radius*math.Cos(t) + arm*math.Cos(float64(k-1)*t)
			y := radius*math.Sin(t) - arm*math.Sin(float64(k-1)*t)
			return x*cos - y*sin, x*sin + y*cos
		})
	}
	d.op("S")
}

// disc clears a circle.
func (d *drawing) disc(radius float64) {
	d.op("1 1 1 rg")
	d.path(48, func(t float64) (float64, float64) {
		return radius * math.Cos(2*math.Pi*t), radius * math.Sin(2*math.Pi*t)
	})
	d.op("f")
}

// tile is one period of crossing sines along x.
func tile(period float64) string {
	var d drawing
	wave := func(amp, length, phase float64) {
		d.path(16, func(t float64) (float64, float64) {
			return t * period, amp * math.Sin(2*math.Pi*t*period/length+phase)
		})
	}
	for i := range 6 {
		wave(swing, period, float64(i)*math.Pi/3)
	}
	for i := range 2 {
		wave(swing*.45, period/2, float64(i)*math.Pi)
	}
	d.op("S")
	return d.String()
}

// frame draws the bands, their corners and the rules beside them.
func (d *drawing) frame() {
	wide, high := float64(pageWide-2*frameInset)/periodsX, float64(pageHigh-2*frameInset)/periodsY
	across, along := tile(wide), tile(high)
	for _, y := range []int{frameInset, pageHigh - frameInset} {
		for i := range periodsX {
			d.at(int(math.Round(frameInset+float64(i)*wide)), y, across)
		}
	}
	for _, x := range []int{frameInset, pageWide - frameInset} {
		for i := range periodsY {
			d.op("q 0 1 -1 0 %d %d cm", x, int(math.Round(frameInset+float64(i)*high)))
			d.op("%sQ", along)
		}
	}
	var corner drawing
	corner.disc(740)
	corner.ring(600, 90, 18, 4, 5)
	corner.loops(360, 150, 9, 5, 8)
	corner.ring(720, 0, 0, 1, 0)
	for _, x := range []int{frameInset, pageWide - frameInset} {
		for _, y := range []int{frameInset, pageHigh - frameInset} {
			d.at(x, y, corner.String())
		}
	}
	d.op("30 w")
	d.op("%d %d %d %d re S", 1760, 1760, pageWide-3520, pageHigh-3520)
	d.op("14 w")
	d.op("%d %d %d %d re S", 1880, 1880, pageWide-3760, pageHigh-3760)
}

// seal draws the engraved seal with its tick round x, y.
func (d *drawing) seal(x, y int) {
	var s drawing
	s.ring(1560, 110, 32, 4, 2.8)
	s.loops(1060, 300, 14, 5, 5.1)
	s.ring(680, 120, 12, 4, 7.5)
	s.ring(1720, 0, 0, 1, 0)
	s.ring(1410, 0, 0, 1, 0)
	s.disc(540)
	s.ring(540, 0, 0, 1, 0)
	s.op("80 w 1 J 1 j -210 -20 m -60 -170 l 230 150 l S")
	d.at(x, y, s.String())
}

func (d *drawing) at(x, y int, operators string) {
	d.op("q 1 0 0 1 %d %d cm", x, y)
	d.op("%sQ", operators)
}

// lineWork returns the operators for the frame, and on a first page the seal.
func lineWork(first bool) string {
	var d drawing
	d.op("q %.6f 0 0 %.6f 0 0 cm", unit, unit)
	d.op("%.3f %.3f %.3f RG 17 w", float64(brand[0])/255, float64(brand[1])/255, float64(brand[2])/255)
	d.frame()
	if first {
		d.seal(16580, pageHigh-4340)
	}
	d.op("Q")
	return d.String()
}
