package issuance_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// shortLease is what the program uses; signatures here are longer.
const shortLease = 20 * time.Second

// bubble runs n workers with short leases in a bubble of synctest.
func bubble(t *testing.T, n int, test func(t *testing.T, o *office)) {
	t.Helper()
	t.Parallel()
	_, err := renderer() // outside of the bubble: it is shared
	check(t, err)
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, sqldbtest.SQLite(t))
		o.clock.run()
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		for range n {
			w := o.worker(t)
			w.Lease, w.Sweep = shortLease, time.Second
			run.Go(func() { w.Run(ctx) })
		}
		defer func() { cancel(); run.Wait() }()
		test(t, o)
	})
}

// alone is a claim and a worker with a token of its own, for which nobody races: the workers of
// the bubble see no token until back is called.
func (o *office) alone(tb testing.TB) (c issuance.Claim, w *issuance.Worker, token *softToken, back func()) {
	tb.Helper()
	o.token.set(func(s *softToken) { s.paused = true })
	time.Sleep(3 * time.Second) // until nobody waits at the queue any more
	c = o.claim(tb, "noor")
	o.queue.Lose()
	token = &softToken{mint: o.token.mint}
	w = o.worker(tb)
	w.Lease, w.Sealer = shortLease, token
	return c, w, token, func() { o.token.set(func(s *softToken) { s.paused = false }) }
}

// A signature of ninety seconds under a lease of twenty: the worker renews it, and nobody else
// signs, though the queue hands the job out again and again.
func TestLeaseIsRenewedWhileSigning(t *testing.T) {
	bubble(t, 3, func(t *testing.T, o *office) {
		o.token.set(func(s *softToken) { s.before = func() { time.Sleep(90 * time.Second) } })
		c := o.claim(t, "noor")
		for range 8 {
			time.Sleep(10 * time.Second)
			o.queue.Expire()
			check(t, o.queue.Push(t.Context(), c.ID, c.ID))
		}
		synctest.Wait()
		if got := o.wantState(t, c, issuance.Sealing); got.Attempts != 1 {
			t.Errorf("%d attempts", got.Attempts)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		o.count(t, []issuance.Claim{c})
		if n := o.token.count(); n != 1 {
			t.Errorf("%d signatures", n)
		}
	})
}

// While the database cannot be written the lease cannot be renewed: it ends, another worker
// seals, and what the first one has made in the end is not stored. One credential is left,
// which is the intent.
func TestLeaseEndsWhileSigning(t *testing.T) {
	bubble(t, 1, func(t *testing.T, o *office) {
		c, slow, token, back := o.alone(t)
		signing, done := make(chan struct{}), make(chan error, 1)
		token.set(func(s *softToken) {
			s.before = func() {
				close(signing)
				time.Sleep(time.Minute)
			}
		})
		go func() { done <- slow.Seal(t.Context(), c.ID) }()
		<-signing
		back()
		intent, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
		check(t, err)
		// As after a stop of the whole process for a while: the lease has run out.
		_, err = o.db.Exec(t.Context(), `update claims set lease_until = ? where id = ?`, sqldb.UTC(o.clock.Now().Add(-time.Second)), c.ID)
		check(t, err)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		theirs := o.sealed(t, c)
		if <-done == nil {
			t.Error("the late worker thinks that it has sealed")
		}
		if diff := cmp.Diff(theirs, o.sealed(t, c)); diff != "" {
			t.Errorf("the late worker changed the credential (-before +after):\n%s", diff)
		}
		if theirs.ID != intent.ID || !theirs.IssuedAt.Equal(intent.IssuedAt) || theirs.PayloadSHA256 != intent.PayloadSHA256 {
			t.Errorf("credential %s of %s, intent %s of %s", theirs.ID, theirs.IssuedAt, intent.ID, intent.IssuedAt)
		}
		if n := o.audits(t, "credential sealed", c.ID); n != 1 || o.token.count() != 1 || token.count() != 1 {
			t.Errorf("%d times sealed, %d and %d signatures", n, o.token.count(), token.count())
		}
	})
}

// A worker that dies gives its claim to others within the lease and a look of the relay.
func TestClaimsOfTheDeadGoOn(t *testing.T) {
	bubble(t, 1, func(t *testing.T, o *office) {
		c, dead, _, back := o.alone(t)
		dead.Step = dieAt("sign", 1)
		wantErr(t, dead.Seal(t.Context(), c.ID), errKilled)
		back()
		died := o.clock.Now()
		for o.now(t, c).State != issuance.Sealed {
			time.Sleep(100 * time.Millisecond)
			if o.clock.Now().Sub(died) > 30*time.Second {
				t.Fatal("half a minute later the claim has not gone on")
			}
		}
		o.count(t, []issuance.Claim{c})
	})
}

// An attempt that hangs for ever does not hold its claim for ever.
func TestHangingAttemptLosesItsLease(t *testing.T) {
	bubble(t, 1, func(t *testing.T, o *office) {
		c, hanging, token, back := o.alone(t)
		goOn, done := make(chan struct{}), make(chan error, 1)
		token.set(func(s *softToken) { s.before = func() { <-goOn } })
		go func() { done <- hanging.Seal(t.Context(), c.ID) }()
		synctest.Wait()
		back()
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		o.wantState(t, c, issuance.Sealing)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		theirs := o.sealed(t, c)
		close(goOn)
		if <-done == nil {
			t.Error("the hanging worker thinks that it has sealed")
		}
		if diff := cmp.Diff(theirs, o.sealed(t, c)); diff != "" {
			t.Errorf("the hanging worker changed the credential (-before +after):\n%s", diff)
		}
	})
}

// clocked is a worker whose clock is off, beside a database that knows better.
func (o *office) clocked(tb testing.TB, off *time.Duration) *issuance.Worker {
	tb.Helper()
	w := o.worker(tb)
	w.Lease = shortLease
	w.Now = func() time.Time { return o.clock.Now().Add(*off) }
	w.Clock = func(context.Context) (time.Time, error) { return o.clock.Now(), nil }
	return w
}

// The clock of one worker jumps: while it is wrong the worker touches no claim, so no date in a
// credential and no lease is wrong, and the others go on.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 6 * time.Second, -6 * time.Second} {
		t.Run(jump.String(), func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				var off time.Duration
				w := o.clocked(t, &off)
				all := o.claims(t, 3)
				check(t, w.Seal(t.Context(), all[0].ID))
				off = jump
				if err := w.Seal(t.Context(), all[1].ID); err == nil {
					t.Error("a worker seals by a wrong clock")
				}
				if got := o.wantState(t, all[1], issuance.Queued); got.Attempts != 0 || got.LastError != "" {
					t.Errorf("claim %+v", got)
				}
				check(t, o.worker(t).Seal(t.Context(), all[1].ID))
				off = 0
				check(t, w.Seal(t.Context(), all[2].ID))
				o.count(t, all)
				for _, c := range all {
					if cred := o.sealed(t, c); !cred.IssuedAt.Equal(sealedAt.Truncate(time.Second)) {
						t.Errorf("issued at %s", cred.IssuedAt)
					}
				}
			})
		})
	}
}

// A clock that jumps in the middle of an attempt: before the signature the claim goes back to
// be sealed by others as it was intended; afterwards it is kept, as what was signed is right.
func TestClockJumpsInAnAttempt(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		for _, at := range []string{"sign", "store"} {
			t.Run(jump.String()+" before "+at, func(t *testing.T) {
				each(t, func(t *testing.T, o *office) {
					var off time.Duration
					w := o.clocked(t, &off)
					w.Step = func(step string) error {
						if step == at {
							off = jump
						}
						return nil
					}
					c := o.claim(t, "noor")
					if err := w.Seal(t.Context(), c.ID); (err != nil) != (at == "sign") {
						t.Errorf("sealed: %v", err)
					}
					if at == "sign" {
						if got := o.wantState(t, c, issuance.Queued); got.Attempts != 0 || got.NotBefore.After(o.clock.Now()) {
							t.Errorf("claim %+v", got)
						}
					}
					check(t, o.worker(t).Seal(t.Context(), c.ID))
					if cred := o.sealed(t, c); !cred.IssuedAt.Equal(sealedAt.Truncate(time.Second)) || o.token.count() != 1 {
						t.Errorf("issued at %s, %d signatures", cred.IssuedAt, o.token.count())
					}
					o.count(t, []issuance.Claim{c})
				})
			})
		}
	}
}

// A running worker whose clock is wrong leaves the queue to others, and goes on by itself when
// the clock is right again. Without an answer it seals nothing either.
func TestRunWithWrongClock(t *testing.T) {
	t.Parallel()
	_, err := renderer()
	check(t, err)
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, sqldbtest.SQLite(t))
		o.clock.run()
		var mu sync.Mutex
		off, away := time.Hour, error(nil)
		set := func(d time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			off, away = d, err
		}
		w := o.worker(t)
		w.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return o.clock.Now().Add(off)
		}
		w.Clock = func(context.Context) (time.Time, error) {
			mu.Lock()
			defer mu.Unlock()
			return o.clock.Now(), away
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { w.Run(ctx) })
		defer func() { cancel(); run.Wait() }()
		all := o.claims(t, 3)
		for _, wrong := range []error{nil, errors.New("the database is away")} {
			set(time.Hour, wrong)
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			wantLen(t, o, 3)
			for _, c := range all {
				if got := o.wantState(t, c, issuance.Queued); got.Attempts != 0 {
					t.Errorf("claim %+v", got)
				}
			}
		}
		set(0, nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		o.count(t, all)
	})
}

func TestSkew(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	clock := func(context.Context) (time.Time, error) { return at, nil }
	for _, test := range []struct {
		name          string
		before, after time.Duration
		want          time.Duration
	}{
		{"the same", 0, 0, 0},
		{"a slow answer", -3 * time.Second, 3 * time.Second, 0},
		{"ahead", time.Hour, time.Hour + time.Second, time.Hour},
		{"behind", -time.Hour, -time.Hour + time.Second, -time.Hour + time.Second},
	} {
		times := []time.Time{at.Add(test.before), at.Add(test.after)}
		now := func() time.Time {
			next := times[0]
			times = times[1:]
			return next
		}
		if got, err := issuance.Skew(t.Context(), clock, now); err != nil || got != test.want {
			t.Errorf("%s: %s %v, want %s", test.name, got, err, test.want)
		}
	}
	broken := errors.New("away")
	_, err := issuance.Skew(t.Context(), func(context.Context) (time.Time, error) { return at, broken }, func() time.Time { return at })
	wantErr(t, err, broken)
}
