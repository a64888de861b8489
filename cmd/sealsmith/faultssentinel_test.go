package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// redisServer starts a redis-server of the test's own, which ends with the test.
func redisServer(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), "redis-server", append(arguments, "--bind", "127.0.0.1", "--dir", dir, "--logfile", filepath.Join(dir, "log"))...)
	must(t, child.Start())
	t.Cleanup(func() { _ = child.Wait() }) // killed at the end of the context
	return child
}

// TestRedisFailover kills the master under a server that Sentinels lead to it: what is
// claimed meanwhile is sealed, and the new master is found.
func TestRedisFailover(t *testing.T) {
	t.Parallel()
	const password = "hush-hush"
	r := newRig(t)
	port := freePort(t)
	master := redisServer(t, "--port", port, "--requirepass", password, "--masterauth", password)
	redisServer(t, "--port", freePort(t), "--requirepass", password, "--masterauth", password, "--replicaof", "127.0.0.1 "+port)
	var sentinels []string
	for range 3 {
		file := filepath.Join(t.TempDir(), "sentinel.conf")
		must(t, os.WriteFile(file, []byte("sentinel monitor seal 127.0.0.1 "+port+" 2\nsentinel auth-pass seal "+password+
			"\nsentinel down-after-milliseconds seal 500\nsentinel failover-timeout seal 3000\n"), 0o600))
		at := freePort(t)
		redisServer(t, file, "--sentinel", "--port", at)
		sentinels = append(sentinels, "127.0.0.1:"+at)
	}
	for _, at := range sentinels {
		s := redis.NewSentinelClient(&redis.Options{Addr: at})
		eventually(t, func() string {
			m, err := s.Master(t.Context(), "seal").Result()
			if err == nil && m["num-other-sentinels"] == "2" && m["num-slaves"] == "1" && m["flags"] == "master" {
				return ""
			}
			return fmt.Sprintf("the sentinel says of the master: %v, %v", m, err)
		})
		must(t, s.Close())
	}
	r.serve(t, "SEALSMITH_REDIS=redis+sentinel://:"+password+"@"+strings.Join(sentinels, ",")+"/seal")
	r.untilReady(t, "ready")
	r.claimable(t)

	must(t, master.Process.Kill())
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	r.untilReady(t, "ready")
	if body, err := r.get(t, "/readyz"); err != nil || strings.Contains(body, password) || strings.Contains(r.server.err.String(), password) {
		t.Errorf("the password is told: %s, %v", body, err)
	}
}
