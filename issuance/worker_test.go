package issuance_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

func TestSeal(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		cred := o.sealed(t, c)
		got := o.now(t, c)
		if got.Attempts != 1 || got.LeaseToken != "" || got.LeaseUntil.Valid || got.LastError != "" {
			t.Errorf("claim %+v", got)
		}
		if cred.KeyID == "" || !cred.IssuedAt.Equal(o.clock.Now()) || len(cred.Link) != 32 || !cred.SealedAt.Valid {
			t.Errorf("credential %+v", cred)
		}
		r := issuance.Verify(cred.Sealed, issuance.VerifyOptions{Trust: o.token.mint.pool(), Now: o.clock.Now()})
		if r.Content.Learner != "Noor van den Berg" || r.Content.Title != o.version.Content.Title.In("en") {
			t.Errorf("content %+v", r.Content)
		}
		for _, action := range []string{"sealing begun", "credential sealed"} {
			if n := o.audits(t, action, c.ID); n != 1 {
				t.Errorf("%d times %s", n, action)
			}
		}
	})
}

func TestSealNothing(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.grade(t, "noor", 60)
		open, err := o.desk.OfLearner(t.Context(), o.org.ID, o.attachment.ID, "noor")
		check(t, err)
		for _, id := range []string{open.ID, "no-such-claim", "", strings.Repeat("x", 64)} {
			check(t, o.worker(t).Seal(t.Context(), id))
		}
		o.wantState(t, open, issuance.Open)
		if n := o.token.count(); n != 0 {
			t.Errorf("%d signatures", n)
		}
	})
}

func TestDoubleDeliverySealsOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 2 {
					if err := o.worker(t).Seal(t.Context(), c.ID); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		o.count(t, []issuance.Claim{c})
		if n := o.token.count(); n != 1 {
			t.Errorf("%d signatures", n)
		}
	})
}

// An attempt that fails waits longer each time; the last one leaves the claim to a person,
// with the cause in words.
func TestBackOff(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		o.token.broken = errors.New("CKR_DEVICE_ERROR")
		w := o.worker(t)
		for attempt, seconds := range []int{2, 4, 8, 16, 32, 64, 128, 256, 512, 512, 512} {
			wantErr(t, w.Seal(t.Context(), c.ID), o.token.broken)
			got := o.wantState(t, c, issuance.Queued)
			wait, least := got.NotBefore.Sub(o.clock.Now()), time.Duration(seconds)*time.Second
			if got.Attempts != attempt+1 || wait < least || wait > least+least/4 || !strings.Contains(got.LastError, "CKR_DEVICE_ERROR") || got.LeaseToken != "" {
				t.Fatalf("attempt %d: %+v", attempt+1, got)
			}
			o.clock.add(wait - time.Microsecond)
			check(t, w.Seal(t.Context(), c.ID)) // too early: nothing
			if again := o.now(t, c); again.Attempts != attempt+1 {
				t.Fatalf("attempt %d came too early", again.Attempts)
			}
			o.clock.add(time.Microsecond)
		}
		if w.Seal(t.Context(), c.ID) == nil {
			t.Error("no error")
		}
		got := o.wantState(t, c, issuance.Failed)
		if !strings.HasSuffix(got.LastError, "CKR_DEVICE_ERROR") || o.audits(t, "claim failed", c.ID) != 1 {
			t.Errorf("claim %+v, %d times failed", got, o.audits(t, "claim failed", c.ID))
		}
		o.clock.add(24 * time.Hour)
		check(t, w.Seal(t.Context(), c.ID))
		o.wantState(t, c, issuance.Failed)

		o.token.set(func(s *softToken) { s.broken = nil })
		check(t, o.desk.Retry(t.Context(), o.org.ID, c.ID, "operator"))
		check(t, w.Seal(t.Context(), c.ID))
		if got := o.now(t, c); got.LastError != "" {
			t.Errorf("sealed with the error %q", got.LastError)
		}
		o.count(t, []issuance.Claim{c})
	})
}

// What does not pass its checks never will: no second attempt, and no signature.
func TestCheckFailedIsFinal(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.failed(t, "noor")
		if c.Attempts != 1 || !strings.HasPrefix(c.LastError, "the credential does not pass its checks: ") {
			t.Errorf("claim %+v", c)
		}
		if n := o.token.count(); n != 0 {
			t.Errorf("%d signatures", n)
		}
		_, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
		wantErr(t, err, issuance.ErrNotFound)
	})
}

// A seal certificate without the organisation's identifier cannot be an issuer.
func TestUnfitCertificate(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sqldbtest.SQLite(t))
	o.token.mint = newMint(t, nameOwner("Polder", "", "NL"))
	c := o.claim(t, "noor")
	_, ok := errors.AsType[*issuance.CheckFailed](o.worker(t).Seal(t.Context(), c.ID))
	if got := o.wantState(t, c, issuance.Failed); !ok || !strings.Contains(got.LastError, "2.5.4.97") {
		t.Errorf("claim %+v", got)
	}
}

// A panic is one claim's failed attempt, not the end of the process.
func TestPanic(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		o.token.before = func() { panic("index out of range") }
		if o.worker(t).Seal(t.Context(), c.ID) == nil {
			t.Error("no error")
		}
		got := o.wantState(t, c, issuance.Queued)
		if got.Attempts != 1 || !got.NotBefore.After(o.clock.Now()) || !strings.Contains(got.LastError, "index out of range") {
			t.Errorf("claim %+v", got)
		}
		o.token.set(func(s *softToken) { s.before = nil })
		o.clock.add(time.Minute)
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		o.count(t, []issuance.Claim{c})
	})
}

// A token that goes away in the middle is not the claim's fault.
func TestPausedWhileSigning(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		o.token.before = func() { o.token.set(func(s *softToken) { s.paused = true }) }
		w := o.worker(t)
		for range 20 { // more often than a claim has attempts
			wantErr(t, w.Seal(t.Context(), c.ID), hsm.ErrPaused)
			got := o.wantState(t, c, issuance.Queued)
			if got.Attempts != 0 || got.NotBefore.After(o.clock.Now()) || !strings.Contains(got.LastError, "not plugged in") {
				t.Fatalf("claim %+v", got)
			}
		}
		o.token.set(func(s *softToken) { s.before, s.paused = nil, false })
		check(t, w.Seal(t.Context(), c.ID))
		o.count(t, []issuance.Claim{c})
	})
}

func TestSweep(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		all := o.claims(t, 3)
		w := o.worker(t)
		check(t, w.SweepOnce(t.Context()))
		wantLen(t, o, 3) // not doubled while there is something to do
		o.queue.Lose()
		o.token.broken = errors.New("CKR_DEVICE_ERROR")
		if w.Seal(t.Context(), all[0].ID) == nil { // waits two seconds or a little longer
			t.Error("no error")
		}
		w.Step = dieAt("store", 1)
		o.token.broken = nil
		wantErr(t, w.Seal(t.Context(), all[1].ID), errKilled) // leased for two minutes
		for _, step := range []struct {
			after time.Duration
			want  int64
		}{{0, 1}, {2500 * time.Millisecond, 2}, {2 * time.Minute, 3}} {
			o.clock.add(step.after)
			o.queue.Lose()
			check(t, w.SweepOnce(t.Context()))
			wantLen(t, o, step.want)
		}
		o.sealNext(t)
		o.count(t, all)
		check(t, w.SweepOnce(t.Context()))
		wantLen(t, o, 0)
		o.queue.Break(errors.New("connection refused"))
		if w.SweepOnce(t.Context()) == nil {
			t.Error("no error without a queue")
		}
	})
}

// running is an office whose workers run, in a bubble: its clock goes with time.Now.
func running(t *testing.T, test func(t *testing.T, o *office, stop func())) {
	t.Helper()
	t.Parallel()
	_, err := renderer() // outside of the bubble: it is shared
	check(t, err)
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, sqldbtest.SQLite(t))
		o.clock.run()
		w := o.worker(t)
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { w.Run(ctx) })
		var once sync.Once
		stop := func() { once.Do(func() { cancel(); run.Wait() }) }
		defer stop()
		test(t, o, stop)
	})
}

func TestRun(t *testing.T) {
	running(t, func(t *testing.T, o *office, stop func()) {
		all := o.claims(t, 5)
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		o.count(t, all)
		wantLen(t, o, 0)
	})
}

// While the token is away nothing is taken from the queue and no attempt is used up.
func TestRunPaused(t *testing.T) {
	running(t, func(t *testing.T, o *office, stop func()) {
		o.token.set(func(s *softToken) { s.paused = true })
		time.Sleep(time.Minute)
		all := o.claims(t, 5)
		time.Sleep(time.Hour)
		wantLen(t, o, 5)
		for _, c := range all {
			if got := o.wantState(t, c, issuance.Queued); got.Attempts != 0 {
				t.Errorf("claim %+v", got)
			}
		}
		o.token.set(func(s *softToken) { s.paused = false })
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		o.count(t, all)
	})
}

// A queue that lost everything is filled again from the rows; a token that breaks for a
// while costs attempts, not credentials.
func TestRunHeals(t *testing.T) {
	running(t, func(t *testing.T, o *office, stop func()) {
		o.token.set(func(s *softToken) { s.broken = errors.New("CKR_DEVICE_ERROR") })
		all := o.claims(t, 3)
		time.Sleep(5 * time.Minute)
		synctest.Wait() // no attempt is under way
		o.queue.Lose()
		for _, c := range all {
			if got := o.wantState(t, c, issuance.Queued); got.Attempts == 0 {
				t.Errorf("claim %+v", got)
			}
		}
		o.token.set(func(s *softToken) { s.broken = nil })
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		stop()
		o.count(t, all)
	})
}

// Told to stop, a worker finishes what it has begun and takes nothing new.
func TestRunStops(t *testing.T) {
	running(t, func(t *testing.T, o *office, stop func()) {
		goOn := make(chan struct{})
		o.token.set(func(s *softToken) { s.before = func() { <-goOn } })
		all := o.claims(t, 5)
		time.Sleep(time.Minute)
		synctest.Wait() // two are being sealed: the worker is twofold
		ended := make(chan struct{})
		go func() {
			stop()
			close(ended)
		}()
		time.Sleep(time.Minute)
		select {
		case <-ended:
			t.Error("stopped in the middle of a signature")
		default:
		}
		close(goOn)
		<-ended
		sealed := 0
		for _, c := range all {
			switch got := o.now(t, c); got.State {
			case issuance.Sealed:
				o.sealed(t, c)
				sealed++
			case issuance.Queued:
			default:
				t.Errorf("claim %+v", got)
			}
		}
		if sealed < 2 || sealed == 5 {
			t.Errorf("%d sealed", sealed)
		}
		wantLen(t, o, int64(5-sealed))
	})
}
