// Package queuetest says in tests what a queue of claims has to do, and has the smallest
// queue that does it.
//
// Run is the conformance suite for issuance.Jobs: redisqueue passes it on a real Redis,
// Memory passes it in memory. So what workers are tested with behaves as what they work
// with. The package deliberately does not test what a queue may do as it likes: to lose
// jobs, to double them, to mix their order.
package queuetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance"
)

// Pair is one empty queue seen by two workers.
type Pair struct {
	One, Two issuance.Jobs
	// Expire makes all jobs that are handed out count as left by a dead worker.
	Expire func()
}

// Run tests the queue that open makes, a fresh one for each part.
func Run(t *testing.T, open func(t *testing.T) Pair) {
	t.Helper()
	for _, part := range []struct {
		name string
		test func(t *testing.T, p Pair)
	}{
		{"empty", empty},
		{"nothing is pushed or done", nothing},
		{"handed out until done", untilDone},
		{"a job is with one worker", oneWorker},
		{"a double is a job of its own", doubled},
		{"a dead worker's job comes again", takenOver},
		{"a late worker's end does no harm", lateDone},
		{"the limit holds for jobs that come again", takenOverInParts},
		{"who waits is woken", woken},
		{"what is in it is told, handed out or not", told},
		{"a long queue is offered nothing", offered},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.test(t, open(t))
		})
	}
}

const moment = 5 * time.Millisecond

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func next(t *testing.T, q issuance.Jobs, limit int) []issuance.Job {
	t.Helper()
	jobs, err := q.Next(t.Context(), limit, moment)
	must(t, err)
	return jobs
}

func ids(jobs []issuance.Job) []string {
	out := make([]string, 0, len(jobs))
	for _, j := range jobs {
		out = append(out, j.ID)
	}
	slices.Sort(out)
	return out
}

func wantIDs(t *testing.T, got []issuance.Job, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), ids(got)); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func wantLen(t *testing.T, q issuance.Jobs, want int64) {
	t.Helper()
	n, err := q.Len(t.Context())
	must(t, err)
	if n != want {
		t.Errorf("length %d, want %d", n, want)
	}
}

func empty(t *testing.T, p Pair) {
	wantLen(t, p.One, 0)
	wantIDs(t, next(t, p.One, 10))
	jobs, err := p.One.Next(t.Context(), 10, 0)
	must(t, err)
	wantIDs(t, jobs)
	wantLen(t, p.One, 0)
}

func nothing(t *testing.T, p Pair) {
	must(t, p.One.Push(t.Context()))
	must(t, p.One.Done(t.Context()))
	must(t, p.One.Done(t.Context(), issuance.Job{ID: "stranger", Receipt: "1-1"}))
	wantLen(t, p.Two, 0)
}

func untilDone(t *testing.T, p Pair) {
	must(t, p.One.Push(t.Context(), "a", "b"))
	must(t, p.Two.Push(t.Context(), "c"))
	wantLen(t, p.One, 3)
	first := next(t, p.One, 2)
	if len(first) != 2 {
		t.Fatalf("%d jobs, want 2", len(first))
	}
	all := append(first, next(t, p.One, 10)...)
	wantIDs(t, all, "a", "b", "c")
	wantLen(t, p.Two, 3)
	must(t, p.One.Done(t.Context(), all[0]))
	wantLen(t, p.Two, 2)
	must(t, p.One.Done(t.Context(), all...)) // one of them for the second time
	wantLen(t, p.Two, 0)
	p.Expire()
	wantIDs(t, next(t, p.Two, 10))
}

func oneWorker(t *testing.T, p Pair) {
	must(t, p.One.Push(t.Context(), "a"))
	wantIDs(t, next(t, p.One, 10), "a")
	wantIDs(t, next(t, p.Two, 10))
	wantIDs(t, next(t, p.One, 10))
}

func doubled(t *testing.T, p Pair) {
	must(t, p.One.Push(t.Context(), "a", "a"))
	jobs := next(t, p.One, 10)
	wantIDs(t, jobs, "a", "a")
	must(t, p.One.Done(t.Context(), jobs[0]))
	wantLen(t, p.One, 1)
}

func takenOver(t *testing.T, p Pair) {
	must(t, p.One.Push(t.Context(), "a", "b"))
	wantIDs(t, next(t, p.One, 10), "a", "b")
	p.Expire()
	jobs := next(t, p.Two, 10)
	wantIDs(t, jobs, "a", "b")
	must(t, p.Two.Done(t.Context(), jobs...))
	wantLen(t, p.One, 0)
}

func lateDone(t *testing.T, p Pair) {
	must(t, p.One.Push(t.Context(), "a"))
	late := next(t, p.One, 1)
	p.Expire()
	jobs := next(t, p.Two, 1)
	wantIDs(t, jobs, "a")
	must(t, p.One.Done(t.Context(), late...))
	must(t, p.Two.Done(t.Context(), jobs...))
	wantLen(t, p.One, 0)
	must(t, p.One.Push(t.Context(), "b"))
	wantIDs(t, next(t, p.Two, 10), "b")
}

func takenOverInParts(t *testing.T, p Pair) {
	must(t, p.One.Push(t.Context(), "a", "b", "c"))
	wantIDs(t, next(t, p.One, 10), "a", "b", "c")
	p.Expire()
	var all []issuance.Job
	for range 3 {
		jobs := next(t, p.Two, 1)
		if len(jobs) != 1 {
			t.Fatalf("%d jobs, want 1", len(jobs))
		}
		must(t, p.Two.Done(t.Context(), jobs...))
		all = append(all, jobs...)
	}
	wantIDs(t, all, "a", "b", "c")
}

func woken(t *testing.T, p Pair) {
	got := make(chan []issuance.Job, 1)
	go func() {
		jobs, err := p.One.Next(t.Context(), 10, time.Minute)
		if err != nil {
			t.Error(err)
		}
		got <- jobs
	}()
	must(t, p.Two.Push(t.Context(), "a"))
	wantIDs(t, <-got, "a")
}

func told(t *testing.T, p Pair) {
	must(t, p.One.Push(t.Context(), "a", "b", "c"))
	wantIDs(t, next(t, p.One, 1), "a")
	all, err := p.Two.IDs(t.Context(), 10)
	must(t, err)
	slices.Sort(all)
	if diff := cmp.Diff([]string{"a", "b", "c"}, all); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if some, err := p.Two.IDs(t.Context(), 2); err != nil || len(some) != 2 {
		t.Errorf("%v, %v", some, err)
	}
}

func offered(t *testing.T, p Pair) {
	for range 100 {
		must(t, p.One.Offer(t.Context(), "a"))
	}
	n, err := p.One.Len(t.Context())
	must(t, err)
	if n < 1 || n > 50 {
		t.Errorf("%d jobs of a hundred that were offered", n)
	}
	must(t, p.One.Push(t.Context(), "b"))
	wantLen(t, p.One, n+1)
}
