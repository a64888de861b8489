package elm

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
