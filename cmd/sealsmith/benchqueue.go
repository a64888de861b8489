package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sealsmith/sealsmith/hsm/demotoken"
)

// queuedLine is one measured line: what a long queue costs, and how long the claims of a worker
// stay with it after kill -9.
type queuedLine struct {
	Bench     string  `json:"bench"`
	Database  string  `json:"database"`
	Queued    int     `json:"queued"`
	PerSecond float64 `json:"credentials_per_s"`
	Server    float64 `json:"server_rss_mib"` // the most so far
	Worker    float64 `json:"worker_rss_mib"`
	TakeOver  float64 `json:"take_over_s"` // the longest of three kills
	Held      int     `json:"claims_taken_over"`
}

// queued starts a server and two workers over n claims that wait, lets them work for a while,
// and kills workers.
func (b bench) queued(ctx context.Context, database string, n int) (err error) {
	if n == 0 {
		return nil
	}
	dir := filepath.Join(b.dir, "queued-"+database)
	token, err := demotoken.Make(ctx, demotoken.Options{Dir: b.tokens(), Label: "bench-queued", KeyType: "p256", Now: time.Now, Rand: rand.Reader})
	if err != nil {
		return err
	}
	s := Settings{
		Dir: filepath.Join(dir, "var"), Listen: "127.0.0.1:0", PublicURL: "http://localhost:1", Redis: "unix:" + filepath.Join(dir, "redis", "redis.sock"),
		Token: token.TokenURI, Trust: token.CAFile, Database: "sqlite:" + filepath.Join(dir, "var", "sealsmith.db"),
	}
	f, err := newFleet(ctx, dir, database, &s)
	defer func() { err = errors.Join(err, f.end()) }()
	if err != nil {
		return err
	}
	a, err := newApp(ctx, s, newLogger(b.err.err, 4))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	course, err := openCourse(ctx, a)
	if err != nil {
		return err
	}
	if err := course.seed(ctx, 1); err != nil {
		return err
	}
	if err := cloneClaims(ctx, a, n-1); err != nil {
		return err
	}
	front := &balancer{every: time.Second}
	f.size(1, 2)
	if err := f.serve(ctx, s, front); err != nil {
		return err
	}
	line := queuedLine{Bench: "queued", Database: database, Queued: n}
	r := &crash{app: a, fleet: f, people: &crowd{}}
	if err := b.work(ctx, r, &line); err != nil {
		return err
	}
	return b.out.Encode(line)
}

// work measures memory and rate, then the kills.
func (b bench) work(ctx context.Context, r *crash, line *queuedLine) error {
	over, stop := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { r.follow(over) })
	defer following.Wait()
	defer stop()
	if err := r.until(ctx, 50); err != nil {
		return err
	}
	begun, before := time.Now(), r.people.sealed.Load()
	sleep(ctx, 20*time.Second)
	line.PerSecond = float64(r.people.sealed.Load()-before) / time.Since(begun).Seconds()
	line.Server = processRSS(r.fleet.servers[0].process.Pid)
	for _, w := range r.fleet.workers {
		line.Worker = max(line.Worker, processRSS(w.process.Pid))
	}
	for i := range 3 {
		victim := r.fleet.workers[i%2]
		victim.signal(syscall.SIGKILL)
		<-victim.ended
		died := time.Now()
		held := r.held(ctx)
		for len(held) > 0 && sleep(ctx, 20*time.Millisecond) {
			now := r.held(ctx)
			held = slices.DeleteFunc(held, func(h heldClaim) bool {
				gone := now != nil && !slices.Contains(now, h)
				if gone && time.Since(died) > time.Second { // else it was with the other worker
					line.Held++
				}
				return gone
			})
		}
		line.TakeOver = max(line.TakeOver, time.Since(died).Seconds())
		if err := victim.start(ctx); err != nil {
			return err
		}
		sleep(ctx, 3*time.Second)
	}
	return ctx.Err()
}

// cloneClaims puts n more learners behind the one that waits: 100,000 confirmed one by one take
// minutes and measure nothing here.
func cloneClaims(ctx context.Context, a *app, n int) error {
	_, err := a.db.Exec(ctx, `with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)
		insert into claims (id, organisation_id, attachment_id, decision_id, version_id, registration_id, learner, state, given_name, family_name, consent_at,
			attempts, not_before, lease_token, last_error, created_at, updated_at)
		select 'clone-' || i, organisation_id, attachment_id, decision_id, version_id, registration_id, 'clone-' || i, state, given_name, 'Clone ' || i, consent_at,
			0, not_before, '', '', created_at, updated_at from claims, n`, n)
	if err != nil {
		return fmt.Errorf("put learners into the queue: %w", err)
	}
	return nil
}
