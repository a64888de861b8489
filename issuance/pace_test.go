package issuance_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
	"github.com/sealsmith/sealsmith/templates"
)

// rated is a token that has measured itself, and counts who waits before it.
type rated struct {
	*softToken
	rate  float64
	takes time.Duration

	mu          sync.Mutex
	under, most int
}

func (r *rated) Rate() float64 { return r.rate }

func (r *rated) Sign(ctx context.Context, keyID string, input ...[]byte) ([]byte, error) {
	r.mu.Lock()
	r.under++
	r.most = max(r.most, r.under)
	r.mu.Unlock()
	time.Sleep(r.takes)
	r.mu.Lock()
	r.under--
	r.mu.Unlock()
	return r.softToken.Sign(ctx, keyID, input...)
}

// Before a slow token no more claims are under way than keep it busy; before a fast one as
// many as may be, and all of them come to an end.
func TestClaimsUnderWay(t *testing.T) {
	t.Parallel()
	_, err := renderer() // outside of the bubble: it is shared
	check(t, err)
	for _, test := range []struct {
		name        string
		rate        float64
		burst, most int
	}{
		{"not measured", 0, 8, 2},
		{"slow", 2, 8, 2},
		{"middling", 20, 8, 5},
		{"fast", 800, 8, 8},
		{"fast, no burst", 800, 0, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, sqldbtest.SQLite(t))
				o.clock.run()
				all := o.many(t, "noor", 24)
				w := o.worker(t)
				token := &rated{softToken: o.token, rate: test.rate, takes: time.Second}
				w.Sealer, w.Burst, w.Sweep = token, test.burst, time.Second
				ctx, end := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { defer close(ended); w.Run(ctx) }()
				time.Sleep(30 * time.Second)
				end()
				<-ended
				for _, c := range all {
					o.sealed(t, c)
				}
				if token.most != test.most {
					t.Errorf("%d claims were before the token at once, want %d", token.most, test.most)
				}
				if n, err := o.queue.Len(t.Context()); err != nil || n != 0 {
					t.Errorf("%d jobs are left in the queue (%v)", n, err)
				}
			})
		})
	}
}

// counted counts how jobs are taken out of a queue.
type counted struct {
	issuance.Jobs
	mu    sync.Mutex
	calls []int
	hold  chan struct{}
}

func (c *counted) Done(ctx context.Context, jobs ...issuance.Job) error {
	<-c.hold
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, len(jobs))
	return c.Jobs.Done(ctx, jobs...)
}

// Jobs that end while others are taken out of the queue are taken out together, and none is
// forgotten when the worker stops.
func TestDoneTogether(t *testing.T) {
	t.Parallel()
	_, err := renderer()
	check(t, err)
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, sqldbtest.SQLite(t))
		o.clock.run()
		o.claims(t, 9)
		w := o.worker(t)
		jobs := &counted{Jobs: o.queue, hold: make(chan struct{})}
		w.Jobs = jobs
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); w.Run(ctx) }()
		time.Sleep(10 * time.Second) // all are sealed
		end()
		time.Sleep(time.Second)
		close(jobs.hold)
		<-ended
		if len(jobs.calls) != 2 || jobs.calls[0]+jobs.calls[1] != 9 { // those that came first, and all others
			t.Errorf("jobs were taken out in calls of %v", jobs.calls)
		}
		if n, err := o.queue.Len(t.Context()); err != nil || n != 0 {
			t.Errorf("%d jobs are left in the queue (%v)", n, err)
		}
	})
}

// What a worker knows of an organisation is a second old at most.
func TestKnownOrganisation(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		w := o.worker(t)
		level := func(learner string) templates.SealLevel {
			c := o.claim(t, learner)
			check(t, w.Seal(t.Context(), c.ID))
			return o.sealed(t, c).Goal
		}
		check(t, o.templates.SetSeal(t.Context(), o.org.ID, templates.SealPolicy{Level: templates.SealT}, "operator"))
		first := level("a")
		check(t, o.templates.SetSeal(t.Context(), o.org.ID, templates.SealPolicy{Level: templates.SealLTA}, "operator"))
		o.clock.add(999 * time.Millisecond)
		second := level("b")
		o.clock.add(time.Millisecond)
		third := level("c")
		o.clock.add(-time.Hour) // set back: what is from the future is not believed
		check(t, o.templates.SetSeal(t.Context(), o.org.ID, templates.SealPolicy{Level: templates.SealLT}, "operator"))
		c := o.claim(t, "d")
		check(t, w.Seal(t.Context(), c.ID))
		fourth := o.sealed(t, c).Goal
		if first != templates.SealT || second != templates.SealT || third != templates.SealLTA || fourth != templates.SealLT {
			t.Errorf("levels %s %s %s %s", first, second, third, fourth)
		}
	})
}
