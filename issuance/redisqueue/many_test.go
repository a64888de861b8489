package redisqueue_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sealsmith/sealsmith/issuance/queuetest"
	"github.com/sealsmith/sealsmith/issuance/redisqueue"
)

const password = "hush"

// ports finds free ports; a Cluster's bus takes the one that is 10000 higher.
func ports(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	var held []net.Listener
	for len(out) < n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		held = append(held, l)
		if port := l.Addr().(*net.TCPAddr).Port; port < 55000 { //nolint:forcetypeassert // of a TCP listener
			out = append(out, fmt.Sprint(port))
		}
	}
	for _, l := range held {
		must(t, l.Close())
	}
	return out
}

// node starts a redis-server on a port, which ends with the test.
func node(t *testing.T, port string, arguments ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	arguments = append(arguments, "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--logfile", filepath.Join(dir, "log"))
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", arguments...)
	must(t, cmd.Start())
	t.Cleanup(func() { end(cmd) })
	return cmd
}

func end(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}
}

// until waits until ok, at most half a minute.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal(what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func client(t *testing.T, address string) redis.UniversalClient {
	t.Helper()
	o, err := redisqueue.Options(address)
	must(t, err)
	c := redis.NewUniversalClient(o)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

// inTurn runs the conformance suite on one Redis for all of its parts, which begin with an
// empty one, in turn.
func inTurn(t *testing.T, address string) {
	t.Helper()
	var turn sync.Mutex
	queuetest.Run(t, func(t *testing.T) queuetest.Pair {
		turn.Lock()
		t.Cleanup(turn.Unlock)
		c := client(t, address)
		must(t, c.Del(t.Context(), redisqueue.Stream).Err())
		one, two := redisqueue.New(c, "one"), redisqueue.New(c, "two")
		return queuetest.Pair{One: one, Two: two, Expire: func() {
			one.TakeOverAfter(0)
			two.TakeOverAfter(0)
		}}
	})
}

// TestSentinel kills the master of a real group and goes on with the one that takes over.
func TestSentinel(t *testing.T) { //nolint:tparallel // the suite comes before the fall of the master
	t.Parallel()
	p := ports(t, 5)
	master := node(t, p[0], "--requirepass", password, "--masterauth", password)
	node(t, p[1], "--requirepass", password, "--masterauth", password, "--replicaof", "127.0.0.1 "+p[0])
	for _, port := range p[2:] {
		file := filepath.Join(t.TempDir(), "sentinel.conf")
		must(t, os.WriteFile(file, []byte("requirepass other\nsentinel monitor seal 127.0.0.1 "+p[0]+" 2\nsentinel auth-pass seal "+password+
			"\nsentinel sentinel-pass other\nsentinel down-after-milliseconds seal 500\nsentinel failover-timeout seal 3000\n"), 0o600))
		sentinel(t, port, file)
	}
	address := fmt.Sprintf("redis+sentinel://:%s@127.0.0.1:%s,127.0.0.1:%s,127.0.0.1:%s/seal/0?sentinel_password=other", password, p[2], p[3], p[4])
	for _, port := range p[2:] {
		s := redis.NewSentinelClient(&redis.Options{Addr: "127.0.0.1:" + port, Password: "other"})
		until(t, "the sentinels do not know each other and the replica", func() bool {
			m, err := s.Master(t.Context(), "seal").Result()
			return err == nil && m["num-other-sentinels"] == "2" && m["num-slaves"] == "1" && m["flags"] == "master"
		})
		must(t, s.Close())
	}
	t.Run("conformance", func(t *testing.T) { inTurn(t, address) })

	c := client(t, address)
	must(t, c.Del(t.Context(), redisqueue.Stream).Err())
	q := redisqueue.New(c, "one")
	must(t, q.Push(t.Context(), "held", "waiting"))
	if jobs, err := q.Next(t.Context(), 1, time.Millisecond); err != nil || len(jobs) != 1 {
		t.Fatalf("%v, %v", jobs, err)
	}
	if n, err := c.Do(t.Context(), "wait", 1, 5000).Int(); err != nil || n != 1 {
		t.Fatalf("%d replicas have it, %v", n, err)
	}
	end(master)
	until(t, "no other master", func() bool { return q.Ping(t.Context()) == nil })
	wantLen(t, q, 2)
	wantIDs(t, next(t, q), "waiting")
	q.TakeOverAfter(0)
	both := next(t, q)
	wantIDs(t, both, "held", "waiting")
	must(t, q.Done(t.Context(), both...))
	usable(t, q)
}

func sentinel(t *testing.T, port, file string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", file, "--sentinel", "--port", port, "--bind", "127.0.0.1",
		"--dir", filepath.Dir(file), "--logfile", file+".log")
	must(t, cmd.Start())
	t.Cleanup(func() { end(cmd) })
}

// TestCluster makes a real Cluster, moves the queue to another node while it is in use,
// and loses the node.
func TestCluster(t *testing.T) { //nolint:tparallel // the suite comes before the move
	t.Parallel()
	p := ports(t, 3)
	nodes := make(map[string]*exec.Cmd)
	var all []string
	for _, port := range p {
		nodes[port] = node(t, port, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "1000",
			"--requirepass", password, "--masterauth", password)
		all = append(all, "127.0.0.1:"+port)
		c := client(t, "redis://:"+password+"@127.0.0.1:"+port)
		until(t, "the node does not answer", func() bool { return c.Ping(t.Context()).Err() == nil })
	}
	cli(t, append([]string{"--cluster", "create", "--cluster-yes"}, all...)...)
	address := "redis+cluster://:" + password + "@" + strings.Join(all[:2], ",") // a few nodes will do
	c := client(t, address)
	q := redisqueue.New(c, "one")
	until(t, "the Cluster is not ready", func() bool {
		return strings.Contains(c.ClusterInfo(t.Context()).Val(), "cluster_state:ok") && q.Ping(t.Context()) == nil
	})
	t.Run("conformance", func(t *testing.T) { inTurn(t, address) })
	usable(t, q)

	from, to := owners(t, c)
	// A command that is sent again after a slow answer may leave a job that came before twice.
	must(t, c.Del(t.Context(), redisqueue.Stream).Err())
	must(t, q.Ping(t.Context()))
	must(t, q.Push(t.Context(), "a", "b"))
	held := next(t, q)
	wantIDs(t, held, "a", "b")
	move(t, from, to)
	wantLen(t, q, 2)
	must(t, q.Done(t.Context(), held...))
	usable(t, q)
	if now, _ := owners(t, c); now != to {
		t.Fatalf("the queue is at %v, not at %v", now, to)
	}

	end(nodes[to.addr[strings.LastIndex(to.addr, ":")+1:]])
	until(t, "no error without its node", func() bool { return q.Ping(t.Context()) != nil })
	wantErrors(t, q)
}

// place is a node of a Cluster.
type place struct{ addr, id string }

// owners returns the node that has the queue, and another one.
func owners(t *testing.T, c redis.UniversalClient) (owner, other place) {
	t.Helper()
	slot := c.ClusterKeySlot(t.Context(), redisqueue.Stream).Val()
	slots, err := c.ClusterSlots(t.Context()).Result()
	must(t, err)
	for _, s := range slots {
		p := place{s.Nodes[0].Addr, s.Nodes[0].ID}
		if int64(s.Start) <= slot && slot <= int64(s.End) {
			owner = p
		}
	}
	for _, s := range slots {
		if s.Nodes[0].ID != owner.id {
			return owner, place{s.Nodes[0].Addr, s.Nodes[0].ID}
		}
	}
	t.Fatal("no other node")
	return owner, other
}

// move moves the slot of the queue between nodes as an operator's tool does.
func move(t *testing.T, from, to place) {
	t.Helper()
	source, target := client(t, "redis://:"+password+"@"+from.addr), client(t, "redis://:"+password+"@"+to.addr)
	slot, err := source.ClusterKeySlot(t.Context(), redisqueue.Stream).Result()
	must(t, err)
	host, port, err := net.SplitHostPort(to.addr)
	must(t, err)
	must(t, target.Do(t.Context(), "cluster", "setslot", slot, "importing", from.id).Err())
	must(t, source.Do(t.Context(), "cluster", "setslot", slot, "migrating", to.id).Err())
	must(t, source.Do(t.Context(), "migrate", host, port, redisqueue.Stream, 0, 5000, "auth", password).Err())
	must(t, target.Do(t.Context(), "cluster", "setslot", slot, "node", to.id).Err())
	must(t, source.Do(t.Context(), "cluster", "setslot", slot, "node", to.id).Err())
}

// cli runs the operator's tool.
func cli(t *testing.T, arguments ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "redis-cli", arguments...)
	cmd.Env = append(os.Environ(), "REDISCLI_AUTH="+password)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("redis-cli %s: %v: %s", strings.Join(arguments, " "), err, out)
	}
}
