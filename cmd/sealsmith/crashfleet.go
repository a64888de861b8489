package main

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// child is a process of ours that may be killed and started again.
type child struct {
	name    string
	command func() *exec.Cmd
	log     *os.File

	process *os.Process
	ended   chan struct{}
}

// start starts the process.
func (c *child) start(ctx context.Context) error {
	started := make(chan error, 1)
	c.ended = make(chan struct{})
	go func() {
		// Pdeathsig is sent when the thread that started the child ends, so it must not.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(c.ended)
		command := c.command()
		command.Stdout, command.Stderr = c.log, c.log
		if command.SysProcAttr == nil {
			command.SysProcAttr = childAttributes()
		}
		err := command.Start()
		c.process = command.Process
		started <- err
		if err == nil {
			_ = command.Wait() // how it ended is its log's business: mostly it was killed
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	return ctx.Err()
}

// signal sends a signal to a process that may have ended.
func (c *child) signal(s syscall.Signal) {
	if c.process != nil {
		_ = c.process.Signal(s)
	}
}

// freeze stops the process for a time, as a machine that is out of memory does.
func (c *child) freeze(ctx context.Context, d time.Duration) {
	process := c.process
	_ = process.Signal(syscall.SIGSTOP)
	sleep(ctx, d)
	_ = process.Signal(syscall.SIGCONT)
}

// stop ends the process as an init system does.
func (c *child) stop() {
	if c.process == nil {
		return
	}
	c.signal(syscall.SIGCONT)
	c.signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(30 * time.Second):
		c.signal(syscall.SIGKILL)
		<-c.ended
	}
}

// fleet is all processes of an installation.
type fleet struct {
	dir              string
	redis, postgres  *child // postgres is nil on SQLite
	postgresDir      string
	servers, workers []*child
	logs             []*os.File
}

// newFleet starts database and Redis, and says in the settings where the database is.
func newFleet(ctx context.Context, dir, database string, s *Settings) (*fleet, error) {
	f := &fleet{dir: dir}
	if err := os.MkdirAll(filepath.Join(dir, "redis"), 0o700); err != nil {
		return f, fmt.Errorf("make the folder of Redis: %w", err)
	}
	var err error
	f.redis, err = f.child("redis", func() *exec.Cmd {
		return exec.Command("redis-server", "--port", "0", "--unixsocket", filepath.Join(dir, "redis", "redis.sock"), "--dir", filepath.Join(dir, "redis"),
			"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no")
	})
	if err != nil {
		return f, err
	}
	if err := f.redis.start(ctx); err != nil {
		return f, err
	}
	if database == "sqlite" {
		return f, nil
	}
	p, err := newPostgres(ctx)
	f.postgresDir = p.dir
	if err != nil {
		return f, err
	}
	if f.postgres, err = f.child("postgres", p.command); err != nil {
		return f, err
	}
	s.Database = p.address()
	if err := f.postgres.start(ctx); err != nil {
		return f, err
	}
	return f, p.wait(ctx)
}

func (f *fleet) child(name string, command func() *exec.Cmd) (*child, error) {
	log, err := os.OpenFile(filepath.Join(f.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a log: %w", err)
	}
	f.logs = append(f.logs, log)
	return &child{name: name, command: command, log: log}, nil
}

// serve starts servers behind the balancer, and workers: two and three on PostgreSQL, one and
// one on SQLite.
func (f *fleet) serve(ctx context.Context, s Settings, front *balancer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	servers, workers := 2, 3
	if f.postgres == nil {
		servers, workers = 1, 1
	}
	common := []string{
		"--dir", s.Dir, "--public-url", s.PublicURL, "--database", s.Database, "--redis", s.Redis, "--token", s.Token, "--trust", s.Trust,
	}
	for i := range servers {
		address, err := freeAddress(ctx)
		if err != nil {
			return err
		}
		c, err := f.child(fmt.Sprintf("server-%d", i+1), func() *exec.Cmd {
			return exec.Command(self, append([]string{"serve", "--no-worker", "--listen", address}, common...)...)
		})
		if err != nil {
			return err
		}
		f.servers = append(f.servers, c)
		front.add("http://" + address)
	}
	for i := range workers {
		c, err := f.child(fmt.Sprintf("worker-%d", i+1), func() *exec.Cmd {
			return exec.Command(self, append([]string{"worker"}, common...)...)
		})
		if err != nil {
			return err
		}
		f.workers = append(f.workers, c)
	}
	for _, c := range append(f.servers, f.workers...) {
		if err := c.start(ctx); err != nil {
			return err
		}
	}
	return front.wait(ctx)
}

// victim chooses who is killed.
func (f *fleet) victim(kind string, random *mathrand.Rand) *child {
	switch kind {
	case killServer:
		return f.servers[random.IntN(len(f.servers))]
	case killWorker, killFrozen:
		return f.workers[random.IntN(len(f.workers))]
	case killPostgres:
		return f.postgres
	}
	return f.redis
}

// emptyRedis deletes what a killed Redis had kept.
func (f *fleet) emptyRedis() error {
	return os.RemoveAll(filepath.Join(f.dir, "redis", "appendonlydir"))
}

// end stops everything, what others stand on last.
func (f *fleet) end(context.Context) error {
	for _, c := range append(f.servers, f.workers...) {
		c.stop()
	}
	var errs []error
	if f.postgres != nil {
		f.postgres.signal(syscall.SIGINT) // "fast"
		f.postgres.stop()
	}
	if f.postgresDir != "" {
		errs = append(errs, os.RemoveAll(f.postgresDir))
	}
	if f.redis != nil {
		f.redis.stop()
	}
	for _, log := range f.logs {
		errs = append(errs, log.Close())
	}
	return errors.Join(errs...)
}
