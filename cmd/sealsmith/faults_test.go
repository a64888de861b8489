package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

const pausedWords = "Queued: sealing is paused, nothing is lost"

// claimPaused claims while nothing can be sealed, and finds out that nothing is lost.
func (r *rig) claimPaused(t *testing.T, reason string) {
	t.Helper()
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	if _, err := r.journey.expect(pausedWords, "The reason: "+reason); err != nil {
		t.Fatal(err)
	}
	r.wants(t, 1, "claims where state = 'queued' and attempts = 0 and last_error = ''")
	r.wants(t, 0, "credentials")
}

// untilSealed waits until the one claim is sealed, and looks at what was made of it.
func (r *rig) untilSealed(t *testing.T) {
	t.Helper()
	eventually(t, func() string {
		if n := r.count(t, "claims where state in ('sealed', 'delivered')"); n != 1 {
			return fmt.Sprintf("%d claims are sealed; readyz: %+v", n, r.readyz(t))
		}
		return ""
	})
	r.wants(t, 1, "credentials where sealed_at is not null and key_id <> ''")
	r.wants(t, 1, "credentials")
	r.wants(t, 0, "claims where lease_token <> ''")
	if _, err := r.journey.open(t.Context(), "It is yours."); err != nil {
		t.Error(err)
	}
}

// redisClient connects to the Redis of the server.
func (r *rig) redisClient(t *testing.T) *redis.Client {
	t.Helper()
	socket, err := (&redisChild{dir: filepath.Join(r.dir, "redis")}).socket()
	must(t, err)
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	t.Cleanup(func() { client.Close() })
	return client
}

// redisPID asks the Redis of the server for its process id.
func (r *rig) redisPID(t *testing.T) int {
	t.Helper()
	info, err := r.redisClient(t).InfoMap(t.Context(), "server").Result()
	must(t, err)
	pid, err := strconv.Atoi(info["Server"]["process_id"])
	must(t, err)
	return pid
}

// TestRedisKilled kills the server's Redis as the kernel does when memory is short.
func TestRedisKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// A redis-server that does not start while the file hold exists.
	real, err := exec.LookPath("redis-server")
	must(t, err)
	bin, hold := t.TempDir(), filepath.Join(t.TempDir(), "hold")
	script := fmt.Sprintf("#!/bin/sh\n[ ! -e '%s' ] || exit 1\nexec '%s' \"$@\"\n", hold, real)
	must(t, os.WriteFile(filepath.Join(bin, "redis-server"), []byte(script), 0o700))
	r.serve(t, "PATH="+bin+":"+os.Getenv("PATH"))
	r.untilReady(t, "ready")
	r.claimable(t)

	must(t, os.WriteFile(hold, nil, 0o600))
	must(t, syscall.Kill(r.redisPID(t), syscall.SIGKILL))
	r.untilReady(t, "degraded")
	if words := r.readyz(t).words("redis"); !strings.HasPrefix(words, "cannot be used, sealing goes on slowly from the database: ") {
		t.Errorf("readyz says of redis: %s", words)
	}
	r.claimSlow(t)
	must(t, os.Remove(hold))
	r.untilReady(t, "ready")
}

// claimSlow claims while Redis is away, sees that it goes on slowly, and has it sealed.
func (r *rig) claimSlow(t *testing.T) {
	t.Helper()
	if said, err := r.journey.open(t.Context(), "Sealing goes on slowly: the waiting list is not reachable."); err != nil {
		t.Errorf("%s, %v", said, err)
	}
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	if status := r.readyz(t).Status; status != "degraded" {
		t.Errorf("readyz is %s", status)
	}
}

// TestRedisElsewhere begins before the Redis of another machine does.
func TestRedisElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	port := freePort(t)
	r.serve(t, "SEALSMITH_REDIS=redis://127.0.0.1:"+port+"/0")
	r.untilReady(t, "degraded")
	r.claimable(t)
	r.claimSlow(t)
	if _, err := os.Stat(filepath.Join(r.dir, "redis")); err == nil {
		t.Error("the server has a Redis of its own beside the given one")
	}
	child := exec.CommandContext(t.Context(), "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	must(t, child.Start())
	t.Cleanup(func() { _ = child.Wait() })
	r.untilReady(t, "ready")
}

// TestTokenAbsent claims on a server without a token, and seals after a restart with one.
func TestTokenAbsent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t, "SEALSMITH_TOKEN=")
	r.untilReady(t, "degraded")
	if words := r.readyz(t).words("token"); words != "sealing is paused: no token is configured: start with --token or SEALSMITH_TOKEN" {
		t.Errorf("readyz says of the token: %s", words)
	}
	r.claimable(t)
	r.claimPaused(t, "no seal token is set up on this server")
	if n := r.readyz(t).Waiting; n != 1 {
		t.Errorf("readyz counts %d waiting claims", n)
	}
	if code := r.server.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("the server ended with exit %d", code)
	}
	r.serve(t)
	r.untilReady(t, "ready")
	r.untilSealed(t)
}

// pinAttempt is the record of the last attempt with a PIN.
type pinAttempt struct {
	State string
	At    time.Time
}

func (r *rig) pinAttempts(t *testing.T) []pinAttempt {
	t.Helper()
	var all []pinAttempt
	must(t, r.db.Select(t.Context(), &all, "select state, at from pin_attempts where state in ('bad', 'pending', 'good') order by at"))
	return all
}

// TestPINWrong pins what protects the token: one login per PIN, whatever is restarted, and
// one more when an operator says so.
func TestPINWrong(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	right, err := os.ReadFile(r.token.PINFile)
	must(t, err)
	must(t, os.WriteFile(r.token.PINFile, []byte("not-the-pin"), 0o600))
	r.serve(t)
	blocked := func() {
		t.Helper()
		eventually(t, func() string {
			words := r.readyz(t).words("token")
			if strings.Contains(words, "unblock the token "+r.token.Serial) && !strings.Contains(words, string(right)) {
				return ""
			}
			return "readyz says of the token: " + words
		})
	}
	blocked()
	first := r.pinAttempts(t)
	if len(first) != 1 || first[0].State != "bad" {
		t.Fatalf("attempts: %+v", first)
	}
	for range 3 {
		r.server.end(t, syscall.SIGTERM)
		r.serve(t)
		blocked()
		if again := r.pinAttempts(t); len(again) != 1 || again[0] != first[0] {
			t.Fatalf("a restart spent an attempt: %+v, then %+v", first, again)
		}
	}
	succeed(t, r.settings, "token", "unblock", r.token.Serial)
	eventually(t, func() string {
		if again := r.pinAttempts(t); len(again) == 1 && again[0].State == "bad" && again[0].At.After(first[0].At) {
			return ""
		}
		return fmt.Sprintf("unblock allowed no attempt: %+v", r.readyz(t))
	})
	must(t, os.WriteFile(r.token.PINFile, right, 0o600))
	succeed(t, r.settings, "token", "unblock", r.token.Serial)
	r.untilReady(t, "ready")
	if all := r.pinAttempts(t); all[len(all)-1].State != "good" {
		t.Errorf("attempts: %+v", all)
	}
}

// TestKilledWhileSealing kills the server in the middle of an attempt. The next one seals
// the claim, once.
func TestKilledWhileSealing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)
	page := r.journey.browser
	killed := make(chan string, 1)
	go func() {
		for {
			var state string
			if err := r.db.Get(t.Context(), &state, "select state from claims"); err != nil {
				killed <- err.Error()
				return
			}
			if state == "sealing" {
				_ = r.server.Process.Kill()
				killed <- ""
				return
			}
		}
	}()
	// The server may be gone before it has answered.
	err := page.submit(t.Context(), "Claim my micro-credential", nil)
	if words := <-killed; words != "" {
		t.Fatalf("%s; claim: %v", words, err)
	}
	if code := r.server.exit(t); code != -1 {
		t.Fatalf("exit %d", code)
	}
	r.wants(t, 1, "claims where state = 'sealing'") // or the kill was too late to test anything
	r.wants(t, 0, "credentials where sealed_at is not null")

	r.serve(t)
	r.untilReady(t, "ready")
	r.wants(t, 1, "claims where state = 'sealing'") // the dead worker's lease counts while it lasts
	r.leasesEnd(t)
	r.untilSealed(t)
	r.wants(t, 1, "claims where attempts = 2")
}

// leasesEnd lets two minutes pass for the database and for Redis: nobody holds a claim or
// a job any more.
func (r *rig) leasesEnd(t *testing.T) {
	t.Helper()
	const stream, group, idle = "{sealsmith}:claims", "sealers", 2 * time.Minute
	_, err := r.db.Exec(t.Context(), "update claims set lease_until = ?", sqldb.UTC(time.Now().Add(-time.Second)))
	must(t, err)
	client := r.redisClient(t)
	held, err := client.XPendingExt(t.Context(), &redis.XPendingExtArgs{Stream: stream, Group: group, Start: "-", End: "+", Count: 10}).Result()
	must(t, err)
	for _, job := range held {
		must(t, client.Do(t.Context(), "xclaim", stream, group, job.Consumer, 0, job.ID, "idle", idle.Milliseconds(), "justid").Err())
	}
}

// TestEnd ends a server as an init system does.
func TestEnd(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.serve(t)
			r.untilReady(t, "ready")
			child := r.redisPID(t)
			code := r.server.end(t, signal)
			if want := map[bool]int{true: -1, false: 0}[signal == syscall.SIGKILL]; code != want {
				t.Errorf("exit %d, want %d: %s", code, want, r.server.err.String())
			}
			eventually(t, func() string {
				if syscall.Kill(child, 0) != nil {
					return ""
				}
				if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child)); err == nil && strings.Contains(string(status), ") Z ") {
					return "" // ended, and waits for init
				}
				return "the redis-server still runs"
			})
			noRedisIn(t, r.dir)
		})
	}
}
