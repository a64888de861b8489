package sqldb

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// Group runs transactions of many callers as one, because what a transaction costs is mostly
// its end: while one is being written to the disk, those that come meanwhile gather, and are
// written together next. A caller who is alone waits for nobody. Nothing is told as done
// before it is on the disk.
//
// When one of a group fails, all of it is rolled back and each is run again by itself, so that
// a failure is the business of its caller only. What is given to InTx must therefore bear to
// be run twice, and must not wait for anything but SQL. When the end of a group fails, it
// fails for all, as it would have for each.
//
// The zero value with a DB is ready, and safe for concurrent use.
type Group struct {
	DB *DB

	mu      sync.Mutex
	waiting []*member
	turn    chan struct{} // held by who runs a group
}

// The size of a group is bounded, and with it how long other writers wait for SQLite's only writer.
// On PostgreSQL what a member costs grows with the group: of 32, three times the CPU time of the
// database that one of 4 takes (measured, also with a disk that is waited for).
const (
	groupMostSQLite   = 32
	groupMostPostgres = 4
)

func (g *Group) most() int {
	if g.DB.postgres {
		return groupMostPostgres
	}
	return groupMostSQLite
}

// member is one caller's part.
type member struct {
	do   func(tx *Tx) error
	done chan struct{} // closed when err is known
	err  error
}

// InTx is DB.InTx in a group. The transaction is not ended by the end of ctx: others are in it.
func (g *Group) InTx(ctx context.Context, do func(tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m := &member{do: do, done: make(chan struct{})}
	g.mu.Lock()
	if g.turn == nil {
		g.turn = make(chan struct{}, 1)
	}
	g.waiting = append(g.waiting, m)
	turn := g.turn
	g.mu.Unlock()
	for {
		select {
		case <-m.done:
			return m.err
		case turn <- struct{}{}:
			if group := g.take(); len(group) > 0 {
				g.run(context.WithoutCancel(ctx), group)
			}
			<-turn
		}
	}
}

// take returns who is next.
func (g *Group) take() []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), g.most())
	group := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return group
}

func (g *Group) run(ctx context.Context, group []*member) {
	failed := false
	err := g.DB.InTx(ctx, func(tx *Tx) error {
		for _, m := range group {
			if err := m.safely(tx); err != nil {
				failed = true
				return err
			}
		}
		return nil
	})
	for _, m := range group {
		m.err = err
		if failed && len(group) > 1 {
			m.err = g.DB.InTx(ctx, m.safely)
		}
		close(m.done)
	}
}

// safely turns a panic into an error: it must not reach who runs the group for others.
func (m *member) safely(tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a mistake in the program: %v\n%s", p, debug.Stack())
		}
	}()
	return m.do(tx)
}
