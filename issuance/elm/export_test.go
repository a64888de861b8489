package elm

import "rsc.io/qr"

// Keep sets the number of pages kept.
func (r *Renderer) Keep(n int) { r.keep = n }

// Kept returns the number of pages kept.
func (r *Renderer) Kept() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sheets)
}

// Fits says whether a form is kept that serves for in.
func (f *Forms) Fits(in Input, lang string) bool {
	_, ok := f.find(in, lang)
	return ok
}

// IsImage is open to the tests that compare it with ImageOK.
var IsImage = isImage

// ImageOK is the rule that Check applies to an image.
func ImageOK(text string) bool { return literalOK(text, kindImage) }

// Whole draws a page onto one canvas, with nothing kept and no box around what is personal, and
// returns its palette indices.
func (r *Renderer) Whole(in Input, lang string) ([]byte, error) {
	s, err := r.sheet(in, lang)
	if err != nil {
		return nil, err
	}
	code, err := qr.Encode(in.VerifyURL, qr.M)
	if err != nil {
		return nil, err
	}
	d := drawing{c: s.canvas.Part(s.canvas.Bounds(), nil), t: r.text, w: wordsIn(lang), in: in, lang: lang}
	for i := range personalBoxes {
		d.personal(i, code)
	}
	return d.c.Pix, nil
}
