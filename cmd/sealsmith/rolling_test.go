package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// onPostgres moves a rig, before anything is started, to a PostgreSQL schema of its own.
func (r *rig) onPostgres(t *testing.T) {
	t.Helper()
	r.settings = append(r.settings, "SEALSMITH_DATABASE="+postgresSchema(t))
	must(t, r.db.Close())
	var err error
	r.db, err = sqldb.Open(t.Context(), strings.TrimPrefix(r.settings[len(r.settings)-1], "SEALSMITH_DATABASE="))
	must(t, err)
	succeed(t, r.settings, "migrate")
	r.register(t)
}

// postgresSchema is the address of an empty schema in the PostgreSQL of the tests.
func postgresSchema(t *testing.T) string {
	t.Helper()
	server := os.Getenv("SEALSMITH_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("SEALSMITH_TEST_POSTGRES is not set; run the tests by `make test`, which starts a PostgreSQL")
		}
		t.Skip("SKIPPED: SEALSMITH_TEST_POSTGRES is not set; `make test` starts a PostgreSQL and sets it")
	}
	address, err := freshSchema(t.Context(), server)
	must(t, err)
	return address
}

// cluster is two servers behind a load balancer, and three workers.
type cluster struct {
	*rig

	front   *balancer
	servers []*process
	where   []string // addresses of the servers
	workers []*process
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{rig: newRig(t), front: &balancer{every: 100 * time.Millisecond}}
	c.onPostgres(t)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", strings.Replace(c.url, "http://localhost", "127.0.0.1", 1))
	must(t, err)
	server := &http.Server{Handler: c.front.handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }() // until it is closed
	t.Cleanup(func() { must(t, server.Close()) })
	for i := range 2 {
		c.where = append(c.where, "127.0.0.1:"+freePort(t))
		c.front.add("http://" + c.where[i])
		c.servers = append(c.servers, c.startServer(t, i))
	}
	for range 3 {
		c.workers = append(c.workers, start(t, c.settings, "worker"))
	}
	must(t, c.front.wait(t.Context()))
	go c.front.watch(t.Context())
	return c
}

func (c *cluster) startServer(t *testing.T, i int) *process {
	t.Helper()
	return start(t, append(c.settings, "SEALSMITH_LISTEN="+c.where[i], "SEALSMITH_PUBLIC_URL="+c.url), "serve", "--no-worker", "--drain", "1s")
}

// visitors launch, look and claim until ctx ends, and count what they did. The first error that a
// person would have seen is kept.
func (c *cluster) visitors(ctx context.Context, n int) (wait func() (done int64, err error)) {
	var all sync.WaitGroup
	var done atomic.Int64
	failures := make([]error, n)
	for k := range n {
		all.Go(func() {
			for failures[k] == nil && ctx.Err() == nil {
				j := &journey{demo: c.journey.demo, browser: newBrowser(), activity: c.journey.activity}
				failures[k] = j.enter(context.WithoutCancel(ctx), journeyLearner)
				if failures[k] == nil && k%2 == 0 {
					if err := j.browser.submit(context.WithoutCancel(ctx), "Claim my micro-credential", nil); err != nil && !errors.Is(err, errNoForm) {
						failures[k] = err
					}
				}
				done.Add(1)
			}
		})
	}
	return func() (int64, error) {
		all.Wait()
		return done.Load(), errors.Join(failures...)
	}
}

// TestRollingRestart restarts two servers in turn, several times, while people launch and claim
// all the time: nobody sees an error.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.claimable(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	wait := c.visitors(ctx, 4)
	for range 2 {
		for i, server := range c.servers {
			if code := server.end(t, syscall.SIGTERM); code != 0 {
				t.Errorf("exit %d: %s", code, server.err.String())
			}
			c.servers[i] = c.startServer(t, i)
			must(t, c.front.wait(ctx))
		}
		for i, worker := range c.workers {
			if code := worker.end(t, syscall.SIGTERM); code != 0 {
				t.Errorf("exit %d: %s", code, worker.err.String())
			}
			c.workers[i] = start(t, c.settings, "worker")
		}
	}
	stop()
	done, err := wait()
	if err != nil || done < 20 {
		t.Errorf("%d visits, %v", done, err)
	}
	c.untilSealed(t)
	t.Logf("%d visits", done)
}

// TestDrain: a server that is told to stop says so for a while, and serves all the same.
func TestDrain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.command = []string{"serve", "--drain", "3s"}
	r.serve(t)
	r.untilReady(t, "ready")
	must(t, r.server.Process.Signal(syscall.SIGTERM))
	eventually(t, func() string {
		state := r.readyz(t)
		if words := state.words("server"); state.Status != "unavailable" || !strings.Contains(words, "told to stop") {
			return fmt.Sprintf("readyz: %+v", state)
		}
		return ""
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/verify", http.NoBody)
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	must(t, drain(response))
	if response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("while it drains: status %d, connection closed: %v", response.StatusCode, response.Close)
	}
	if code := r.server.exit(t); code != 0 {
		t.Errorf("exit %d", code)
	}
}
