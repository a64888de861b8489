package lti

import (
	"errors"
	"sync"
	"time"
)

// errPaused is the cause when a call was not made because the platform asked to wait.
var errPaused = errors.New("not called: the platform asked to wait")

// pauseKey is a host as one registration calls it: what one customer of a cloud did too
// often does not stop the others.
type pauseKey struct{ registration, host string }

// pauses remembers, in memory, which hosts asked to be left alone until when.
type pauses struct {
	mu    *sync.Mutex
	until map[pauseKey]time.Time
}

func newPauses() pauses {
	return pauses{mu: &sync.Mutex{}, until: map[pauseKey]time.Time{}}
}

func (p pauses) get(k pauseKey, now time.Time) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.until[k]
	return until, ok && now.Before(until)
}

// put notes a pause and forgets those that have ended, so that the map stays small.
func (p pauses) put(k pauseKey, until, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, end := range p.until {
		if !now.Before(end) {
			delete(p.until, other)
		}
	}
	if until.After(p.until[k]) {
		p.until[k] = until
	}
}
