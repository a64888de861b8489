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

// Most is how many a group has at most.
func (g *Group) Most() int { return g.most() }
