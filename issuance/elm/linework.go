package elm

import "github.com/sealsmith/sealsmith/issuance/elm/internal/engrave"

// Position of the frame: the middle of its bands. Periods are whole pixels, even along x, and
// short, so that the compressor finds every repetition soon.
const (
	frameLeft, frameRight   = 63, 987
	frameTop, frameBottom   = 63, 1423
	periodX, periodsX       = 42, 22
	periodY, periodsY       = 40, 34
	palePeriod              = 60
	sealX, sealY            = 829.0, 217.0
	paleStrength            = .12
	frameStrength, hairline = .92, .95
)

// lineWork draws the engraving of the page: a pale band below the facts, the frame with its
// four corners, and the seal.
func lineWork(c *engrave.Canvas) {
	pale := engrave.NewPlane(pageWidth, pageHeight)
	pale.Band(left, factsTop+45, 13, palePeriod, 42, false, 1.1)
	c.Print(pale, engrave.Brand, paleStrength, 2)

	p := engrave.NewPlane(pageWidth, pageHeight)
	for _, y := range []float64{frameTop, frameBottom} {
		p.Band(frameLeft, int(y), periodsX, periodX, 16.5, false, hairline)
	}
	for _, x := range []float64{frameLeft, frameRight} {
		p.Band(int(x), frameTop, periodsY, periodY, 16.5, true, hairline)
	}
	for _, x := range []float64{frameLeft, frameRight} {
		for _, y := range []float64{frameTop, frameBottom} {
			p.Clear(x, y, 37)
			p.Ring(x, y, 30, 4.5, 18, 4, 5, hairline)
			p.Loops(x, y, 18, 7.5, 9, 5, 8, hairline)
			p.Circle(x, y, 36, hairline)
		}
	}
	c.Print(p, engrave.Brand, frameStrength, 4)
	frameRules(c)
	seal(c)
}

// frameRules draws the straight lines of the frame, leaving out the corners.
func frameRules(c *engrave.Canvas) {
	for _, r := range []struct{ inset, width int }{{39, 2}, {88, 2}, {94, 1}} {
		x0, y0 := r.inset, r.inset
		x1, y1 := pageWidth-x0, pageHeight-y0
		gap := 0
		if r.inset < 50 {
			gap = 62
		}
		c.Rect(x0+gap, y0, x1-x0-2*gap, r.width, engrave.Brand)
		c.Rect(x0+gap, y1-r.width, x1-x0-2*gap, r.width, engrave.Brand)
		c.Rect(x0, y0+gap, r.width, y1-y0-2*gap, engrave.Brand)
		c.Rect(x1-r.width, y0+gap, r.width, y1-y0-2*gap, engrave.Brand)
	}
}

func seal(c *engrave.Canvas) {
	p := engrave.NewPlane(pageWidth, pageHeight)
	p.Ring(sealX, sealY, 78, 5.5, 32, 4, 2.8, 1)
	p.Loops(sealX, sealY, 53, 15, 14, 5, 5.1, 1)
	p.Ring(sealX, sealY, 34, 6, 12, 4, 7.5, 1)
	p.Circle(sealX, sealY, 86, 1)
	p.Circle(sealX, sealY, 70.5, 1)
	p.Clear(sealX, sealY, 27)
	for _, r := range []float64{26, 27} {
		p.Circle(sealX, sealY, r, .9)
	}
	for i := range 4 { // the tick, four hairlines thick
		o := float64(i) - 1.5
		p.Line(sealX-10.5, sealY+1+o, sealX-3, sealY+8.5+o, 1)
		p.Line(sealX-3, sealY+8.5+o, sealX+11.5, sealY-7.5+o, 1)
	}
	c.Print(p, engrave.Brand, 1, 3)
}
