package revocation

import (
	"crypto/x509"
	"time"
)

// How much is held at most, and how long.
const (
	maxHeld      = 512
	maxHeldBytes = 64 << 20
	longest      = time.Hour        // before a source is asked again, however long its answer counts
	shortest     = time.Minute      // and at least, while it counts
	live         = 10 * time.Second // between questions for something newer to a source that answers anew each time
	inAdvance    = 10 * time.Minute // and to one that makes its answers in advance
)

// held is the answer of a source, proven to be authentic. It is not changed any more.
type held struct {
	evidence Evidence
	list     *list         // of a list
	at, next time.Time     // thisUpdate and nextUpdate
	asked    time.Time     // when it came
	until    time.Time     // until when it is used
	pause    time.Duration // before something newer is asked for
	bytes    int
}

// keep makes an answer that came now fit for the cache.
func (c *Collector) keep(s Statement, e Evidence) *held {
	now := c.Now()
	h := &held{at: s.At, next: s.Until, asked: now, until: now.Add(shortest), pause: live}
	if s.At.Before(now.Add(-time.Minute)) {
		h.pause = inAdvance
	}
	if !s.Until.IsZero() {
		// Time to ask again before nextUpdate, should the source have an outage.
		margin := min(s.Until.Sub(s.At)/10, time.Hour)
		until := s.Until.Add(-margin)
		if most := now.Add(longest); until.After(most) {
			until = most
		}
		if least := earlier(now.Add(shortest), s.Until); until.Before(least) {
			until = least
		}
		h.until = until
	}
	e.Oldest, e.NextUpdate = s.At, s.Until
	h.evidence = e
	for _, list := range [][][]byte{e.OCSP, e.CRLs} {
		for _, der := range list {
			h.bytes += len(der)
		}
	}
	return h
}

// serves says whether the source need not be asked.
func (h *held) serves(now, since time.Time) bool {
	if now.After(h.until) || now.Before(h.asked) {
		return false
	}
	return !h.at.Before(since) || now.Sub(h.asked) < h.pause
}

// past says whether something newer was due already.
func (h *held) past(now time.Time) bool {
	if h.next.IsZero() {
		return now.After(h.until)
	}
	return now.After(h.next)
}

// speaksOf says whether it is about a certificate; an OCSP answer is held for one only.
func (h *held) speaksOf(cert *x509.Certificate) error {
	if h.list == nil {
		return nil
	}
	return h.list.speaksOf(cert)
}

// cache holds answers, those used last the longest. The Collector's mutex guards it.
type cache struct {
	entries map[string]*held
	recent  []string // keys, the one used last at the end
	bytes   int
}

func (c *Collector) held(key string) *held {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.cache.entries[key]
	if h != nil {
		c.cache.touch(key)
	}
	return h
}

func (c *Collector) hold(key string, h *held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cache.entries == nil {
		c.cache.entries = make(map[string]*held)
	}
	if old := c.cache.entries[key]; old != nil {
		c.cache.bytes -= old.bytes
	}
	c.cache.entries[key] = h
	c.cache.bytes += h.bytes
	c.cache.touch(key)
	for len(c.cache.entries) > maxHeld || c.cache.bytes > maxHeldBytes {
		oldest := c.cache.recent[0]
		c.cache.recent = c.cache.recent[1:]
		c.cache.bytes -= c.cache.entries[oldest].bytes
		delete(c.cache.entries, oldest)
	}
}

// touch puts a key at the end.
func (c *cache) touch(key string) {
	for i, k := range c.recent {
		if k == key {
			copy(c.recent[i:], c.recent[i+1:])
			c.recent[len(c.recent)-1] = key
			return
		}
	}
	c.recent = append(c.recent, key)
}
