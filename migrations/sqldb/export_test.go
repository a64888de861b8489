package sqldb

import "runtime"

// Settle waits until so many callers wait for the next group.
func (g *Group) Settle(n int) {
	for {
		g.mu.Lock()
		waiting := len(g.waiting)
		g.mu.Unlock()
		if waiting == n {
			return
		}
		runtime.Gosched()
	}
}
