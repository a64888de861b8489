package redisqueue_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/queuetest"
	"github.com/sealsmith/sealsmith/issuance/redisqueue"
)

// server is a redis-server of the test's own, on a unix socket in its temporary folder.
type server struct {
	dir    string
	cmd    *exec.Cmd
	client *redis.Client
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{dir: t.TempDir()}
	s.start(t)
	s.client = redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket(), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() {
		must(t, s.client.Close())
		s.kill(t)
	})
	s.ready(t)
	return s
}

func (s *server) socket() string { return filepath.Join(s.dir, "s") }

// start starts it with an append-only file that is written before each answer.
// A file that may not grow is an error to it, not the signal that would end it.
func (s *server) start(t *testing.T) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is not installed; on Debian and Ubuntu: apt install redis-server")
	}
	// The end of the test's context must not end the server before the cleanup does.
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), "/bin/sh", "-c", `trap "" XFSZ; exec "$0" "$@"`, program, "--port", "0", "--unixsocket", s.socket(), "--dir", s.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--logfile", filepath.Join(s.dir, "log"))
	must(t, s.cmd.Start())
}

// ready waits for the first answer; a server that is loading its file answers LOADING.
func (s *server) ready(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	for s.client.Ping(ctx).Err() != nil {
		if ctx.Err() != nil {
			t.Fatal("redis-server does not answer")
		}
	}
}

func (s *server) kill(t *testing.T) {
	t.Helper()
	if s.cmd.ProcessState != nil {
		return
	}
	must(t, s.cmd.Process.Kill())
	_ = s.cmd.Wait() // "signal: killed"
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func next(t *testing.T, q issuance.Jobs) []issuance.Job {
	t.Helper()
	jobs, err := q.Next(t.Context(), 10, time.Millisecond)
	must(t, err)
	return jobs
}

func wantIDs(t *testing.T, jobs []issuance.Job, want ...string) {
	t.Helper()
	var got []string
	for _, j := range jobs {
		got = append(got, j.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
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

func TestConformance(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(t *testing.T) queuetest.Pair {
		s := newServer(t)
		one, two := redisqueue.New(s.client, "one"), redisqueue.New(s.client, "two")
		return queuetest.Pair{One: one, Two: two, Expire: func() {
			one.TakeOverAfter(0)
			two.TakeOverAfter(0)
		}}
	})
}

// A Redis that was emptied, or restarted without its file, has no group any more.
func TestVanishedGroupIsMadeAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	q := redisqueue.New(s.client, "one")
	must(t, q.Push(t.Context(), "a"))
	held := next(t, q)
	wantIDs(t, held, "a")
	must(t, s.client.FlushAll(t.Context()).Err())
	must(t, q.Done(t.Context(), held...)) // its job is gone: no error
	must(t, q.Push(t.Context(), "b"))     // the stream is there again, without a group
	wantIDs(t, next(t, q), "b")
}

func TestGroupVanishesWhileWaiting(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	q := redisqueue.New(s.client, "one")
	wantIDs(t, next(t, q)) // makes the group
	type answer struct {
		jobs []issuance.Job
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		jobs, err := q.Next(t.Context(), 10, time.Minute)
		got <- answer{jobs, err}
	}()
	for !strings.Contains(s.client.Info(t.Context(), "clients").Val(), "blocked_clients:1") {
		if t.Context().Err() != nil {
			t.Fatal("Next does not wait")
		}
	}
	must(t, s.client.FlushAll(t.Context()).Err())
	if a := <-got; a.err != nil || len(a.jobs) != 0 {
		t.Errorf("got %v, %v; want nothing", a.jobs, a.err)
	}
	must(t, q.Push(t.Context(), "a"))
	wantIDs(t, next(t, q), "a")
}

func TestKilledAndRestarted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	q := redisqueue.New(s.client, "one")
	must(t, q.Ping(t.Context()))
	must(t, q.Push(t.Context(), "held", "waiting"))
	if jobs, err := q.Next(t.Context(), 1, time.Millisecond); err != nil || len(jobs) != 1 {
		t.Fatalf("got %v, %v", jobs, err)
	}
	s.kill(t)
	wantErrors(t, q)
	if q.Ping(t.Context()) == nil {
		t.Error("Ping: no error")
	}

	s.start(t)
	s.ready(t)
	must(t, q.Ping(t.Context()))
	wantLen(t, q, 2)
	wantIDs(t, next(t, q), "waiting")
	other := redisqueue.New(s.client, "two")
	other.TakeOverAfter(0)
	both := next(t, other)
	wantIDs(t, both, "held", "waiting")
	must(t, other.Done(t.Context(), both...))
	wantLen(t, q, 0)
}
