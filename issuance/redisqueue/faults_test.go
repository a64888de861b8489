package redisqueue_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/redisqueue"
)

func TestGarbageIsRemoved(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	q := redisqueue.New(s.client, "one")
	for _, values := range [][]any{{"other", "x"}, {"claim", ""}, {"claim", strings.Repeat("x", 65)}} {
		must(t, s.client.XAdd(t.Context(), &redis.XAddArgs{Stream: redisqueue.Stream, Values: values}).Err())
	}
	must(t, q.Push(t.Context(), "a"))
	wantLen(t, q, 4)
	wantIDs(t, next(t, q), "a")
	wantLen(t, q, 1)
	q.TakeOverAfter(0)
	wantIDs(t, next(t, q), "a")
}

// A key of another type under our name is an operator's mistake: an error, not a panic.
func TestForeignKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	q := redisqueue.New(s.client, "one")
	must(t, s.client.Set(t.Context(), redisqueue.Stream, "x", 0).Err())
	wantErrors(t, q)
	wantError(t, q.Ping(t.Context()), "WRONGTYPE")
	must(t, s.client.Del(t.Context(), redisqueue.Stream).Err())
	usable(t, q)
}

func wantErrors(t *testing.T, q *redisqueue.Queue) {
	t.Helper()
	if err := q.Push(t.Context(), "b"); err == nil {
		t.Error("Push: no error")
	}
	if jobs, err := q.Next(t.Context(), 1, time.Millisecond); err == nil {
		t.Errorf("Next: %v and no error", jobs)
	}
	if n, err := q.Len(t.Context()); err == nil {
		t.Errorf("Len: %d and no error", n)
	}
	if err := q.Done(t.Context(), issuance.Job{ID: "b", Receipt: "1-1"}); err == nil {
		t.Error("Done: no error")
	}
}

func wantError(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("error %v, want %s", err, words)
	}
}

// usable waits until the queue can be used, and sends a job through it.
func usable(t *testing.T, q *redisqueue.Queue) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	for err := q.Ping(t.Context()); err != nil; err = q.Ping(t.Context()) {
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	must(t, q.Push(t.Context(), "usable"))
	for {
		jobs := next(t, q)
		must(t, q.Done(t.Context(), jobs...))
		if slices.ContainsFunc(jobs, func(j issuance.Job) bool { return j.ID == "usable" }) {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("the job does not come")
		}
	}
}

// Jobs that were handed out and that nobody holds come again: a Redis that lost its last
// writes, or an operator, has made them so. The stream would never run dry.
func TestJobsThatNobodyHolds(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(s *server, held []issuance.Job) error{
		"acknowledged, not deleted": func(s *server, held []issuance.Job) error {
			return s.client.XAck(t.Context(), redisqueue.Stream, redisqueue.Group, held[0].Receipt, held[1].Receipt).Err()
		},
		"consumer deleted": func(s *server, _ []issuance.Job) error {
			return s.client.XGroupDelConsumer(t.Context(), redisqueue.Stream, redisqueue.Group, "one").Err()
		},
		"group begun at the end": func(s *server, _ []issuance.Job) error {
			return errors.Join(s.client.XGroupDestroy(t.Context(), redisqueue.Stream, redisqueue.Group).Err(),
				s.client.XGroupCreate(t.Context(), redisqueue.Stream, redisqueue.Group, "$").Err())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			q := redisqueue.New(s.client, "one")
			must(t, q.Push(t.Context(), "a", "b"))
			held := next(t, q)
			wantIDs(t, held, "a", "b")
			must(t, lose(s, held))
			wantIDs(t, next(t, q)) // finds them
			again := next(t, q)
			wantIDs(t, again, "a", "b")
			must(t, q.Done(t.Context(), again...))
			wantLen(t, q, 0)
		})
	}
}

// Deleted and not acknowledged is what a Redis that died in the middle of Done leaves.
func TestDeletedOnly(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	q := redisqueue.New(s.client, "one")
	must(t, q.Push(t.Context(), "a"))
	held := next(t, q)
	wantIDs(t, held, "a")
	must(t, s.client.XDel(t.Context(), redisqueue.Stream, held[0].Receipt).Err())
	q.TakeOverAfter(0)
	wantIDs(t, next(t, q))
	pending, err := s.client.XPending(t.Context(), redisqueue.Stream, redisqueue.Group).Result()
	must(t, err)
	if pending.Count != 0 {
		t.Errorf("%d jobs are held", pending.Count)
	}
}

// A dead worker's job is found behind many that live workers hold: Redis looks at ten times
// the limit in one call.
func TestTakenOverBehindOthers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	alive, q := redisqueue.New(s.client, "alive"), redisqueue.New(s.client, "one")
	for range 50 {
		must(t, alive.Push(t.Context(), "held"))
	}
	must(t, alive.Push(t.Context(), "left"))
	if jobs, err := alive.Next(t.Context(), 50, time.Millisecond); err != nil || len(jobs) != 50 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	left, err := alive.Next(t.Context(), 1, time.Millisecond)
	must(t, err)
	wantIDs(t, left, "left")
	must(t, s.client.Do(t.Context(), "xclaim", redisqueue.Stream, redisqueue.Group, "dead", 0, left[0].Receipt, "idle", 120_000, "justid").Err())
	for range 6 {
		jobs, err := q.Next(t.Context(), 1, 0)
		must(t, err)
		if len(jobs) > 0 {
			wantIDs(t, jobs, "left")
			return
		}
	}
	t.Error("not taken over")
}

// A full Redis takes no jobs but gives out and ends those that it has.
func TestFull(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	q := redisqueue.New(s.client, "one")
	must(t, q.Push(t.Context(), "a"))
	wantIDs(t, next(t, q), "a")
	must(t, q.Push(t.Context(), "b"))
	must(t, s.client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	must(t, s.client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	wantError(t, q.Ping(t.Context()), "OOM")
	wantError(t, q.Push(t.Context(), "c"), "OOM")
	jobs := next(t, q)
	wantIDs(t, jobs, "b")
	must(t, q.Done(t.Context(), jobs...))
	wantLen(t, q, 1)
	must(t, s.client.ConfigSet(t.Context(), "maxmemory", "0").Err())
	usable(t, q)
}

// An emptied full Redis does not even take the group.
func TestFullAndEmpty(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	q := redisqueue.New(s.client, "one")
	must(t, s.client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	_, err := q.Next(t.Context(), 1, time.Millisecond)
	wantError(t, err, "OOM")
	must(t, s.client.ConfigSet(t.Context(), "maxmemory", "0").Err())
	usable(t, q)
}

// A replica answers and refuses: a failover went wrong, or the address is of the wrong one.
func TestReplica(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	q := redisqueue.New(s.client, "one")
	must(t, q.Push(t.Context(), "a"))
	must(t, s.client.ReplicaOf(t.Context(), "127.0.0.1", "1").Err()) // nobody is there
	wantError(t, q.Ping(t.Context()), "READONLY")
	wantError(t, q.Push(t.Context(), "b"), "READONLY")
	_, err := q.Next(t.Context(), 1, time.Millisecond)
	wantError(t, err, "READONLY")
	wantError(t, q.Done(t.Context(), issuance.Job{ID: "a", Receipt: "1-1"}), "READONLY")
	wantLen(t, q, 1)
	must(t, s.client.ReplicaOf(t.Context(), "no", "one").Err())
	usable(t, q)
}

// wantMisconfigured wants all that writes to fail because Redis cannot write its files.
func wantMisconfigured(t *testing.T, q *redisqueue.Queue) {
	t.Helper()
	wantError(t, q.Ping(t.Context()), "MISCONF")
	wantError(t, q.Push(t.Context(), "b"), "MISCONF")
	_, err := q.Next(t.Context(), 1, time.Millisecond)
	wantError(t, err, "MISCONF")
	wantError(t, q.Done(t.Context(), issuance.Job{ID: "a", Receipt: "1-1"}), "MISCONF")
}

// A disk that is full stops the append-only file, and a Redis that cannot write it refuses
// to write at all.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	q := redisqueue.New(s.client, "one")
	must(t, q.Push(t.Context(), "a"))
	must(t, s.client.ConfigSet(t.Context(), "appendfsync", "everysec").Err()) // with "always" it ends itself
	limit := func(bytes string) {
		must(t, exec.CommandContext(t.Context(), "prlimit", "--pid", strconv.Itoa(s.cmd.Process.Pid), "--fsize="+bytes+":unlimited").Run())
	}
	limit("1")
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	for q.Push(t.Context(), "b") == nil {
		if ctx.Err() != nil {
			t.Fatal("the file did not stop")
		}
	}
	wantMisconfigured(t, q)
	limit("unlimited")
	usable(t, q)
}

// Snapshots that fail have the same effect.
func TestSnapshotFails(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	q := redisqueue.New(s.client, "one")
	must(t, q.Push(t.Context(), "a"))
	// A folder in the place of the snapshot stops it, also for root.
	name := filepath.Join(s.dir, "dump.rdb")
	must(t, os.Mkdir(name, 0o700))
	must(t, os.WriteFile(filepath.Join(name, "x"), nil, 0o600))
	must(t, s.client.ConfigSet(t.Context(), "save", "3600 1").Err())
	must(t, s.client.BgSave(t.Context()).Err())
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	for !strings.Contains(s.client.Info(t.Context(), "persistence").Val(), "rdb_last_bgsave_status:err") {
		if ctx.Err() != nil {
			t.Fatal("the snapshot did not fail")
		}
	}
	wantMisconfigured(t, q)
	must(t, os.RemoveAll(name))
	must(t, s.client.ConfigSet(t.Context(), "save", "").Err())
	usable(t, q)
}

// A Redis that hangs costs a bounded time.
func TestSlow(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	q := redisqueue.New(s.client, "one")
	must(t, q.Push(t.Context(), "a"))
	q.AnswerWithin(20 * time.Millisecond)
	must(t, s.client.Do(t.Context(), "client", "pause", 2000, "all").Err())
	_, lenErr := q.Len(t.Context())
	_, nextErr := q.Next(t.Context(), 1, time.Millisecond)
	for what, err := range map[string]error{
		"ping": q.Ping(t.Context()), "push": q.Push(t.Context(), "b"), "len": lenErr, "next": nextErr,
		"done": q.Done(t.Context(), issuance.Job{ID: "a", Receipt: "1-1"}),
	} {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	q.AnswerWithin(30 * time.Second)
	usable(t, q)
}
