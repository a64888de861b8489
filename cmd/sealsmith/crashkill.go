package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

// Kinds of kills.
const (
	killServer       = "server"
	killWorker       = "worker"
	killRedis        = "redis"
	killRedisEmptied = "redis_emptied"
	killPostgres     = "postgres"
	killFrozen       = "worker_frozen" // stopped for longer than its leases, then let go on
)

// killAll kills as often as was asked for, at random points between the first seal and the
// last.
func (r *crash) killAll(ctx context.Context) error {
	points := make([]int, r.Kills)
	for i := range points {
		points[i] = r.random.IntN(max(r.Claims-r.Claims/20, 1))
	}
	slices.Sort(points)
	var later sync.WaitGroup
	defer later.Wait()
	for _, point := range points {
		if err := r.until(ctx, point); err != nil {
			return err
		}
		sleep(ctx, time.Duration(r.random.IntN(300))*time.Millisecond)
		kind := r.kinds()[r.random.IntN(len(r.kinds()))]
		r.line.Kills[kind]++
		if err := r.kill(ctx, kind, &later); err != nil {
			return fmt.Errorf("kill %s: %w", kind, err)
		}
	}
	return nil
}

func (r *crash) kinds() []string {
	kinds := []string{killServer, killWorker, killWorker, killRedis, killRedisEmptied}
	if r.fleet.postgres != nil {
		kinds = append(kinds, killWorker, killPostgres, killFrozen)
	}
	return kinds
}

// kill ends a process of the kind without a warning and starts it again a moment later.
func (r *crash) kill(ctx context.Context, kind string, later *sync.WaitGroup) error {
	victim := r.fleet.victim(kind, r.random)
	pause := time.Duration(r.random.IntN(1500)) * time.Millisecond
	switch kind {
	case killFrozen:
		process := victim.process
		later.Go(func() { freeze(ctx, process, leaseTime+5*time.Second) })
		return nil
	case killPostgres:
		victim.signal(syscall.SIGQUIT) // "immediate": no checkpoint, recovery at the next start
	default:
		victim.signal(syscall.SIGKILL)
	}
	<-victim.ended
	if kind == killWorker {
		held := r.held(ctx)
		later.Go(func() { r.watch(ctx, held) })
	}
	sleep(ctx, pause)
	if kind == killRedisEmptied {
		if err := r.fleet.emptyRedis(); err != nil {
			return err
		}
	}
	return victim.start(ctx)
}

// heldClaim is one claim with a worker.
type heldClaim struct {
	ID    string `db:"id"`
	Token string `db:"lease_token"`
}

// held lists the claims that are with workers now. Those of the dead are among them.
func (r *crash) held(ctx context.Context) []heldClaim {
	var all []heldClaim
	if err := r.app.db.Select(ctx, &all, `select id, lease_token from claims where state = 'sealing'`); err != nil {
		return nil // the database is away too, and the next kill measures
	}
	return all
}

// watch waits until none of these claims is with who had it, and notes how long that took.
func (r *crash) watch(ctx context.Context, held []heldClaim) {
	begun := time.Now()
	for len(held) > 0 && sleep(ctx, 50*time.Millisecond) {
		now := r.held(ctx)
		held = slices.DeleteFunc(held, func(h heldClaim) bool { return now != nil && !slices.Contains(now, h) })
		if len(now) == 0 && r.app.db.Ping(ctx) == nil {
			held = nil
		}
	}
	r.people.mu.Lock()
	defer r.people.mu.Unlock()
	r.line.TakeOver = max(r.line.TakeOver, time.Since(begun).Seconds())
}

// follow counts what is sealed until ctx ends, and does meanwhile what an operator would do.
func (r *crash) follow(ctx context.Context) {
	for asked := time.Now(); sleep(ctx, 20*time.Millisecond); {
		var sealed int64
		if r.app.db.Get(ctx, &sealed, `select count(*) from claims where state in ('sealed', 'delivered')`) == nil {
			r.people.sealed.Store(sealed) // else the database is away for a moment
		}
		if time.Since(asked) > 5*time.Second {
			asked = time.Now()
			r.unblock(ctx)
		}
	}
}

// until waits until n claims are sealed.
func (r *crash) until(ctx context.Context, n int) error {
	for r.people.sealed.Load() < int64(n) {
		if !sleep(ctx, 10*time.Millisecond) {
			return fmt.Errorf("%d of %d claims are sealed: %w", r.people.sealed.Load(), n, context.Cause(ctx))
		}
	}
	return nil
}

// untilAll waits until all claims are sealed, those whose name was corrected once more.
func (r *crash) untilAll(ctx context.Context) error {
	for {
		var open int
		err := r.app.db.Get(ctx, &open, `select count(*) from claims where state not in ('sealed', 'delivered')`)
		if err == nil && open == 0 {
			return nil
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return fmt.Errorf("%d claims are not sealed: %w", open, errors.Join(err, context.Cause(ctx)))
		}
	}
}

// unblock allows another login when a process was killed in the middle of one: the record
// blocks the PIN then, and an operator who knows that it is right says so.
func (r *crash) unblock(ctx context.Context) {
	var hanging int
	err := r.app.db.Get(ctx, &hanging, `select count(*) from pin_attempts where state = 'pending' and at < ?`, time.Now().UTC().Add(-30*time.Second))
	if err == nil && hanging > 0 && hsm.NewSQLGuard(r.app.db, time.Now).Unblock(ctx, r.token.Serial) == nil {
		r.people.mu.Lock()
		defer r.people.mu.Unlock()
		r.line.Unblocks++
	}
}
