package revocation

import (
	"fmt"
	"testing"
	"time"
)

// TestCacheIsBounded in number and in bytes, and keeps what was used last.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := &Collector{Now: func() time.Time { return time.Time{} }}
	for i := range 3 * maxHeld {
		c.hold(fmt.Sprint(i), &held{bytes: 1})
		c.held("0")
	}
	if len(c.cache.entries) != maxHeld || len(c.cache.recent) != maxHeld || c.cache.bytes != maxHeld {
		t.Errorf("%d answers, %d keys, %d bytes", len(c.cache.entries), len(c.cache.recent), c.cache.bytes)
	}
	if c.held("0") == nil || c.held("1") != nil || c.held(fmt.Sprint(3*maxHeld-1)) == nil {
		t.Error("not those used last")
	}
	const many = 5
	for i := range many {
		c.hold("big", &held{bytes: maxHeldBytes / 2})
		c.hold(fmt.Sprint("big", i), &held{bytes: maxHeldBytes / 2})
	}
	if c.cache.bytes > maxHeldBytes || len(c.cache.entries) != len(c.cache.recent) || c.held("big") == nil {
		t.Errorf("%d bytes in %d answers", c.cache.bytes, len(c.cache.entries))
	}
	c.hold("too big", &held{bytes: maxHeldBytes + 1})
	if len(c.cache.entries) != 0 || c.cache.bytes != 0 {
		t.Error("holds more than it may")
	}
	for i := range 5000 {
		c.note(fmt.Sprint(i), ErrUnreachable)
	}
	if len(c.failed) > 1024 {
		t.Errorf("remembers %d failures", len(c.failed))
	}
}

// TestLifetime is how long answers are used, by how long they count.
func TestLifetime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	c := &Collector{Now: func() time.Time { return now }}
	for _, test := range []struct{ age, left, want time.Duration }{
		{0, 10 * time.Minute, 9 * time.Minute},
		{0, 30 * 24 * time.Hour, time.Hour},
		{23 * time.Hour, time.Hour, time.Minute}, // its last hour: asked again soon
		{time.Hour, 30 * time.Second, 30 * time.Second},
		{0, 0, time.Minute}, // no nextUpdate
	} {
		s := Statement{At: now.Add(-test.age), Until: now.Add(test.left)}
		if test.left == 0 {
			s.Until = time.Time{}
		}
		h := c.keep(s, Evidence{})
		if got := h.until.Sub(now); got != test.want {
			t.Errorf("age %s, left %s: used for %s, want %s", test.age, test.left, got, test.want)
		}
		if !h.serves(now, time.Time{}) || h.serves(h.until.Add(1), time.Time{}) || h.serves(now.Add(-1), time.Time{}) {
			t.Error("used at the wrong time")
		}
	}
}
