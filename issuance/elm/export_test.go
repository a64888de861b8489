package elm

// Keep sets the number of pages kept.
func (r *Renderer) Keep(n int) { r.keep = n }

// Kept returns the number of pages kept.
func (r *Renderer) Kept() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sheets)
}
