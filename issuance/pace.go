package issuance

import (
	"context"
	"math"
	"sync"
)

// pace is how many claims are under way, and who waits for one of them to end. The zero value
// is ready.
type pace struct {
	mu    sync.Mutex
	under int
	freed chan struct{}
}

// paceSeconds is about how long a claim is under way without its signature on a machine with
// other things to do: what is written of it, with many others, must reach the disk three times.
const paceSeconds = .25

// parallel is how many claims may be under way now. Before a slow token more than Parallel
// would only wait, each with a lease, where nobody can pass them. Before tokens that sign
// hundreds a second they must be so many that the disk is not what all wait for.
func (w *Worker) parallel() int {
	rate := rateOf(w.Sealer)
	for _, own := range w.Own {
		rate = min(rate, rateOf(own))
	}
	return int(min(max(rate*paceSeconds, float64(w.Parallel), 1), max(float64(w.Burst), float64(w.Parallel), 1)))
}

// rateOf is the number of signatures a second that have been measured; 0 when nobody knows.
// Tokens that are away do not count: nothing is asked of them.
func rateOf(s Sealer) float64 {
	r, ok := s.(interface{ Rate() float64 })
	switch {
	case !s.Usable():
		return math.Inf(1)
	case !ok:
		return 0
	}
	return r.Rate()
}

// enter waits until fewer than most claims are under way, and counts one more until leave is
// called. It returns false when ctx ends.
func (p *pace) enter(ctx context.Context, most func() int) bool {
	for {
		p.mu.Lock()
		if p.freed == nil {
			p.freed = make(chan struct{}, 1)
		}
		if p.under < most() {
			p.under++
			p.mu.Unlock()
			return ctx.Err() == nil
		}
		p.mu.Unlock()
		select {
		case <-p.freed:
		case <-ctx.Done():
			return false
		}
	}
}

func (p *pace) leave() {
	p.mu.Lock()
	p.under--
	p.mu.Unlock()
	select {
	case p.freed <- struct{}{}:
	default:
	}
}
