package issuance_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/queuetest"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

var errRefused = errors.New("connection refused")

// Without its queue a worker goes on from the rows, and afterwards with the queue.
func TestRunWithoutQueue(t *testing.T) {
	running(t, func(t *testing.T, o *office, stop func()) {
		o.queue.Break(errRefused)
		all := o.claims(t, 25) // more than a page
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, c := range all {
			o.sealed(t, c)
		}
		o.queue.Break(nil)
		after := o.claim(t, "noor")
		wantLen(t, o, 1)
		time.Sleep(3 * time.Minute) // the sweeper comes once a minute
		synctest.Wait()
		stop()
		o.count(t, append(all, after))
		wantLen(t, o, 0)
	})
}

// Jobs that the queue had handed out when it went away come again and do no harm.
func TestQueueGoesAwayWhileSealing(t *testing.T) {
	running(t, func(t *testing.T, o *office, stop func()) {
		goOn := make(chan struct{})
		o.token.set(func(s *softToken) { s.before = func() { <-goOn } })
		all := o.claims(t, 5)
		time.Sleep(time.Second)
		synctest.Wait() // two are being sealed
		o.queue.Break(errRefused)
		close(goOn)
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, c := range all {
			o.sealed(t, c)
		}
		o.queue.Break(nil)
		o.queue.Expire()
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		o.count(t, all)
		wantLen(t, o, 0)
	})
}

// full is a queue that gives out and takes nothing, as a Redis without memory.
type full struct{ queuetest.Memory }

func (*full) Push(context.Context, ...string) error { return errors.New("OOM command not allowed") }

func TestRunWithFullQueue(t *testing.T) {
	t.Parallel()
	_, err := renderer() // outside of the bubble: it is shared
	check(t, err)
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, sqldbtest.SQLite(t))
		o.clock.run()
		all := o.claims(t, 5)
		o.queue.Lose()
		w := o.worker(t)
		w.Jobs = new(full)
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { w.Run(ctx) })
		time.Sleep(time.Minute)
		synctest.Wait()
		cancel()
		run.Wait()
		o.count(t, all)
	})
}

// While a token is away, or an attempt waits for its time, nothing comes from the rows.
func TestDirectWaits(t *testing.T) {
	running(t, func(t *testing.T, o *office, stop func()) {
		o.queue.Break(errRefused)
		o.token.set(func(s *softToken) { s.paused = true })
		all := o.claims(t, 3)
		time.Sleep(time.Hour)
		for _, c := range all {
			if got := o.wantState(t, c, issuance.Queued); got.Attempts != 0 || got.LastError != "" {
				t.Errorf("claim %+v", got)
			}
		}
		o.token.set(func(s *softToken) { s.paused, s.broken = false, hsm.ErrPaused })
		time.Sleep(time.Second)
		o.token.set(func(s *softToken) { s.broken = errors.New("CKR_DEVICE_ERROR") })
		time.Sleep(time.Second)
		o.token.set(func(s *softToken) { s.broken = nil })
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		stop()
		o.count(t, all)
	})
}

// One of several workers takes jobs from the rows: the lowest in name that is at work. When
// it shows no sign of work for a while, another follows.
func TestDirectIsForOne(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.claims(t, 20)
		workers := []*issuance.Worker{o.worker(t), o.worker(t), o.worker(t)}
		taken := func(w *issuance.Worker) []issuance.Job {
			jobs, err := w.Direct(t.Context())
			check(t, err)
			return jobs
		}
		low, high := workers[0], workers[0]
		for _, w := range workers {
			if n := len(taken(w)); n != 8 {
				t.Errorf("%d jobs while nobody is at work, want 8", n)
			}
			if w.Name() < low.Name() {
				low = w
			}
			if w.Name() > high.Name() {
				high = w
			}
		}
		begin := func(w *issuance.Worker) {
			w.Step = dieAt("sign", 1)
			wantErr(t, w.Seal(t.Context(), taken(w)[0].ID), errKilled)
		}
		begin(high)
		if n := len(taken(low)); n != 8 {
			t.Errorf("%d jobs for the lowest, want 8", n)
		}
		begin(low)
		for _, w := range workers {
			if n := len(taken(w)); (w == low) != (n == 8) || w != low && n != 0 {
				t.Errorf("%d jobs, the lowest is %t", n, w == low)
			}
		}
		o.clock.add(31 * time.Second) // low has died
		if n := len(taken(high)); n != 8 {
			t.Errorf("%d jobs after the lowest has died, want 8", n)
		}
	})
}
