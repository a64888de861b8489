package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// errNoRedis is returned when the program redis-server is not installed.
var errNoRedis = errors.New("redis-server is not installed: install the package redis-server, or give the address of a Redis with --redis")

// redisChild is a redis-server of our own, on a unix socket, with an append-only file.
// Several processes may share a folder: the one that holds the lock runs the child, the
// others use the socket and take over when the holder ends.
//
// The child holds the lock too. When this process is killed, its child needs a moment to
// write and end, and removes the socket last: a successor that did not wait would have its
// own socket removed.
type redisChild struct {
	dir    string
	logger *slog.Logger
}

// newRedisChild prepares the folder. It fails with errNoRedis when there is no program.
func newRedisChild(dir string, logger *slog.Logger) (*redisChild, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errNoRedis
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the folder of Redis: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of Redis: %w", err)
	}
	return &redisChild{dir: dir, logger: logger}, nil
}

// socket is where the child listens. The address of a unix socket has at most 107 bytes
// on Linux; a folder deeper than that is reached through a short link.
func (r *redisChild) socket() (string, error) {
	path := filepath.Join(r.dir, "redis.sock")
	if len(path) <= 100 {
		return path, nil
	}
	name := fnv.New64a()
	_, _ = name.Write([]byte(r.dir)) // a hash never fails
	link := filepath.Join(os.TempDir(), fmt.Sprintf("sealsmith-%x", name.Sum64()))
	err := os.Symlink(r.dir, link)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("shorten the path of Redis: %w", err)
	}
	if target, err := os.Readlink(link); err != nil || target != r.dir {
		return "", fmt.Errorf("%s exists and is not ours: remove it", link)
	}
	return filepath.Join(link, "redis.sock"), nil
}

// run supervises the child until ctx ends, then stops it and waits for its last write.
func (r *redisChild) run(ctx context.Context) {
	lock, err := os.OpenFile(filepath.Join(r.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		r.logger.ErrorContext(ctx, "redis cannot be started", "err", err)
		return
	}
	defer lock.Close()
	for syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		if !sleep(ctx, 500*time.Millisecond) {
			return
		}
	}
	for delay := 100 * time.Millisecond; ctx.Err() == nil; delay = min(2*delay, 5*time.Second) {
		begun := time.Now()
		if err := r.once(ctx, lock); err != nil && ctx.Err() == nil {
			r.logger.WarnContext(ctx, "redis ended and is started again", "err", err)
		}
		if time.Since(begun) > time.Minute {
			delay = 100 * time.Millisecond
		}
		sleep(ctx, delay)
	}
}

// once runs the child until it ends or ctx does.
func (r *redisChild) once(ctx context.Context, lock *os.File) error {
	// Pdeathsig is sent when the thread that started the child ends, so it must not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	socket, err := r.socket()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(r.dir, "redis.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of Redis: %w", err)
	}
	defer log.Close()
	child := exec.CommandContext(ctx, "redis-server", "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700",
		"--dir", r.dir, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no")
	child.Stdout, child.Stderr = log, log
	child.ExtraFiles = []*os.File{lock} // flock belongs to the open file, which both share
	child.SysProcAttr = childAttributes()
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.WaitDelay = 10 * time.Second
	return child.Run()
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
