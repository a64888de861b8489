package issuance_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// batch puts claims that are queued into a line of their own.
func (o *office) batch(tb testing.TB, name string, claims []issuance.Claim) {
	tb.Helper()
	for _, c := range claims {
		_, err := o.db.Exec(tb.Context(), `update claims set batch_id = ? where id = ?`, name, c.ID)
		check(tb, err)
	}
}

// many are claims of learners who all begin with a name.
func (o *office) many(tb testing.TB, name string, n int) []issuance.Claim {
	tb.Helper()
	all := make([]issuance.Claim, n)
	for i := range all {
		all[i] = o.claim(tb, fmt.Sprintf("%s-%03d", name, i))
	}
	return all
}

// offered is what one sweep puts into an empty queue, as learners without their numbers.
func (o *office) offered(tb testing.TB, w *issuance.Worker) []string {
	tb.Helper()
	o.queue.Lose()
	check(tb, w.SweepOnce(tb.Context()))
	jobs, err := o.queue.Next(tb.Context(), 1000, 0)
	check(tb, err)
	names := make([]string, len(jobs))
	for i, j := range jobs {
		var learner string
		check(tb, o.db.Get(tb.Context(), &learner, `select learner from claims where id = ?`, j.ID))
		names[i], _, _ = strings.Cut(learner, "-")
	}
	return names
}

func tally(names []string) map[string]int {
	n := map[string]int{}
	for _, name := range names {
		n[name]++
	}
	return n
}

// One learner is not behind a batch, one organisation not behind another, and an
// organisation with many batches has no larger part than one with a single learner.
func TestFairTurns(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.batch(t, "b1", o.many(t, "batch1", 30))
		o.batch(t, "b2", o.many(t, "batch2", 30))
		back := o.swap(t, "delta")
		o.clock.add(time.Second)
		o.many(t, "delta", 30)
		back()
		o.clock.add(time.Second)
		o.many(t, "late", 2)
		w := o.worker(t)
		w.Parallel = 3 // a window of 12
		if diff := cmp.Diff(map[string]int{"late": 2, "batch1": 2, "batch2": 2, "delta": 6}, tally(o.offered(t, w))); diff != "" {
			t.Errorf("offered (-want +got):\n%s", diff)
		}
	})
}

// What is in the stream is not offered again, and a window that is half full is left alone.
func TestWindow(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.many(t, "noor", 40)
		w := o.worker(t)
		o.queue.Lose()
		check(t, w.SweepOnce(t.Context()))
		wantLen(t, o, 8)
		check(t, w.SweepOnce(t.Context()))
		wantLen(t, o, 8)
		jobs, err := o.queue.Next(t.Context(), 4, 0)
		check(t, err)
		check(t, o.queue.Done(t.Context(), jobs...))
		check(t, w.SweepOnce(t.Context()))
		wantLen(t, o, 8)
		ids, err := o.queue.IDs(t.Context(), 100)
		check(t, err)
		slices.Sort(ids)
		if got := len(slices.Compact(ids)); got != 8 {
			t.Errorf("%d different jobs of 8", got)
		}
	})
}

// A slow token of one organisation holds up nobody else, and is kept busy itself.
func TestSlowTokenAlone(t *testing.T) {
	t.Parallel()
	_, err := renderer() // outside of the bubble: it is shared
	check(t, err)
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, sqldbtest.SQLite(t))
		o.clock.run()
		slow := &softToken{mint: newMint(t, nameOwner("Delta University", "NTRNL-87654321", "NL")), before: func() { time.Sleep(2 * time.Second) }}
		back := o.swap(t, "delta")
		delta := o.many(t, "delta", 30)
		back()
		polder := o.many(t, "polder", 30)
		o.token.set(func(s *softToken) { s.before = func() { time.Sleep(10 * time.Millisecond) } })
		w := o.worker(t)
		w.Own, w.Parallel = map[string]issuance.Sealer{"delta": slow}, 4
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); w.Run(ctx) }()
		time.Sleep(20 * time.Second)
		cancel()
		<-ended
		for _, c := range polder {
			o.sealed(t, c)
		}
		// Two attempts of two seconds each at a time.
		if n := slow.count(); n < 14 || n > len(delta) {
			t.Errorf("the slow token has made %d seals in 20 s", n)
		}
	})
}

func TestPause(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		one := o.claim(t, "one")
		two := o.claim(t, "two")
		o.batch(t, "b", []issuance.Claim{two})
		two.BatchID = "b"
		w := o.worker(t)
		check(t, o.desk.Pause(ctx, issuance.Pause{OrganisationID: o.org.ID, BatchID: "b", Words: " The dates are  wrong. ", By: "operator"}))
		if diff := cmp.Diff(map[string]int{"one": 1}, tally(o.offered(t, w))); diff != "" {
			t.Errorf("offered (-want +got):\n%s", diff)
		}
		check(t, w.Seal(ctx, two.ID)) // offered before the pause
		o.wantState(t, two, issuance.Queued)
		turn, err := o.desk.Turn(ctx, two, false)
		check(t, err)
		if turn.Paused == nil || turn.Paused.Words != "The dates are wrong." || turn.Paused.By != "operator" {
			t.Errorf("%+v", turn.Paused)
		}
		for _, whose := range []string{o.org.ID, ""} {
			check(t, o.desk.Pause(ctx, issuance.Pause{OrganisationID: whose, By: "operator"}))
			check(t, w.Seal(ctx, one.ID))
			o.wantState(t, one, issuance.Queued)
			if names := o.offered(t, w); len(names) != 0 {
				t.Errorf("paused by %q: %v are offered", whose, names)
			}
			check(t, o.desk.Resume(ctx, whose, "", "operator"))
			wantErr(t, o.desk.Resume(ctx, whose, "", "operator"), issuance.ErrState)
		}
		check(t, w.Seal(ctx, one.ID))
		o.sealed(t, one)
		all, err := o.desk.Pauses(ctx, o.org.ID)
		check(t, err)
		if len(all) != 1 || all[0].BatchID != "b" {
			t.Errorf("%+v", all)
		}
		check(t, o.desk.Resume(ctx, o.org.ID, "b", "operator"))
		check(t, w.Seal(ctx, two.ID))
		o.sealed(t, two)
		wantErr(t, o.desk.Pause(ctx, issuance.Pause{Words: "to\x00day"}), issuance.ErrWords)
		wantErr(t, o.desk.Pause(ctx, issuance.Pause{Words: strings.Repeat("x", 501)}), issuance.ErrWords)
		if n := o.audits(t, "sealing paused", "b") + o.audits(t, "sealing resumed", "b"); n != 2 {
			t.Errorf("%d events", n)
		}
	})
}

// Another organisation's pause stops nobody.
func TestPauseOfAnother(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		check(t, o.desk.Pause(t.Context(), issuance.Pause{OrganisationID: "another", By: "operator"}))
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		o.sealed(t, c)
		if all, err := o.desk.Pauses(t.Context(), o.org.ID); err != nil || len(all) != 0 {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

func TestDrop(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		queued, failed := o.claim(t, "noor"), o.failed(t, "bo")
		for _, c := range []issuance.Claim{queued, failed} {
			check(t, o.desk.Drop(ctx, o.org.ID, c.ID, "operator"))
			got := o.wantState(t, c, issuance.Open)
			if got.FamilyName != "" || got.ConsentAt.Valid || got.Attempts != 0 || got.LastError != "" {
				t.Errorf("%+v", got)
			}
			wantErr(t, o.desk.Drop(ctx, o.org.ID, c.ID, "operator"), issuance.ErrState)
			if n := o.audits(t, "claim dropped", c.ID); n != 1 {
				t.Errorf("%d times dropped", n)
			}
		}
		wantErr(t, o.desk.Drop(ctx, "another", queued.ID, "operator"), issuance.ErrNotFound)
		again, err := o.desk.Confirm(ctx, o.org.ID, o.attachment.ID, "noor", noor)
		check(t, err)
		check(t, o.worker(t).Seal(ctx, again.ID))
		o.sealed(t, again)
		wantErr(t, o.desk.Drop(ctx, o.org.ID, again.ID, "operator"), issuance.ErrState)
	})
}

// A claim that was dropped after its intent and claimed again under another name has one
// credential, under the later name.
func TestDropAfterIntent(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, intent := o.intent(t)
		o.clock.add(3 * time.Minute)
		w := o.worker(t)
		o.token.set(func(s *softToken) { s.broken = errors.New("CKR_DEVICE_ERROR") })
		if w.Seal(t.Context(), c.ID) == nil {
			t.Fatal("sealed by a broken token")
		}
		o.token.set(func(s *softToken) { s.broken = nil })
		check(t, o.desk.Drop(t.Context(), o.org.ID, c.ID, "operator"))
		_, err := o.desk.Confirm(t.Context(), o.org.ID, o.attachment.ID, "noor", issuance.Name{Given: "Nora", Family: "Dijk"})
		check(t, err)
		check(t, w.Seal(t.Context(), c.ID))
		cred := o.sealed(t, c)
		if cred.ID != intent.ID || !strings.Contains(string(cred.Payload), "Dijk") || strings.Contains(string(cred.Payload), "van den Berg") {
			t.Errorf("credential %s, intent %s: %s", cred.ID, intent.ID, cred.Payload)
		}
	})
}

func TestRetryFailed(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		a, b := o.failed(t, "a"), o.failed(t, "b")
		back := o.swap(t, "delta")
		other := o.failed(t, "c")
		back()
		n, err := o.desk.RetryFailed(t.Context(), o.org.ID, "lms:x")
		check(t, err)
		if n != 2 {
			t.Errorf("%d claims", n)
		}
		o.wantState(t, a, issuance.Queued)
		o.wantState(t, b, issuance.Queued)
		o.wantState(t, other, issuance.Failed)
	})
}

// The place that a learner is told is the one in which the relay deals.
func TestTurnIsAsDealt(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.batch(t, "b1", o.many(t, "batch", 9))
		back := o.swap(t, "delta")
		o.many(t, "delta", 4)
		back()
		o.many(t, "own", 5)
		w := o.worker(t)
		w.Parallel = 100
		o.queue.Lose()
		check(t, w.SweepOnce(t.Context()))
		jobs, err := o.queue.Next(t.Context(), 100, 0)
		check(t, err)
		if len(jobs) != 18 {
			t.Fatalf("%d jobs", len(jobs))
		}
		for at, j := range jobs {
			var organisation string
			check(t, o.db.Get(t.Context(), &organisation, `select organisation_id from claims where id = ?`, j.ID))
			c, err := o.desk.Claim(t.Context(), organisation, j.ID)
			check(t, err)
			turn, err := o.desk.Turn(t.Context(), c, false)
			check(t, err)
			// Who begins a round changes, so a place is exact up to those who share the round.
			if turn.Ahead < at-3 || turn.Ahead > at+3 {
				t.Errorf("%s is dealt after %d and told %d", c.Learner, at, turn.Ahead)
			}
		}
	})
}

func TestPace(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		if p, err := o.desk.Pace(t.Context(), o.org.ID); err != nil || p != (issuance.Pace{}) {
			t.Errorf("%+v, %v", p, err)
		}
		w := o.worker(t)
		for i := range 20 {
			c := o.claim(t, fmt.Sprint("l", i))
			o.clock.add(time.Duration(i+1) * time.Second)
			check(t, w.Seal(t.Context(), c.ID))
		}
		p, err := o.desk.Pace(t.Context(), o.org.ID)
		check(t, err)
		if diff := cmp.Diff(issuance.Pace{Sealed: 20, P50: 10 * time.Second, P95: 19 * time.Second}, p); diff != "" {
			t.Errorf("pace (-want +got):\n%s", diff)
		}
		o.clock.add(25 * time.Hour)
		if p, err := o.desk.Pace(t.Context(), o.org.ID); err != nil || p.Sealed != 0 {
			t.Errorf("%+v, %v", p, err)
		}
	})
}
