//go:build cgo

package hsm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	_ "github.com/mattn/go-sqlite3"

	"github.com/sealsmith/sealsmith/hsm"
)

// database is the Queryer of these tests. The real one is sqldb.DB, which hsm must not
// import.
type database struct{ *sqlx.DB }

func (d database) Get(ctx context.Context, dest any, query string, args ...any) error {
	return d.GetContext(ctx, dest, d.Rebind(query), args...)
}

func (d database) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := d.ExecContext(ctx, d.Rebind(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func newDatabase(t *testing.T) database {
	t.Helper()
	db, err := openSQLite(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	return withTable(t, db, "sqlite")
}

// withTable creates pin_attempts as the migration does.
func withTable(t *testing.T, db *sqlx.DB, dialect string) database {
	t.Helper()
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	migration, err := os.ReadFile(filepath.Join("..", "migrations", dialect, "00001_init.sql"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(migration), "create table pin_attempts")
	table, _, closed := strings.Cut(table, ");")
	if !found || !closed {
		t.Fatal("the migration has no table pin_attempts")
	}
	if _, err := db.ExecContext(t.Context(), "create table pin_attempts"+table+")"); err != nil {
		t.Fatal(err)
	}
	return database{db}
}

// eachDatabase runs a test on SQLite, and on PostgreSQL where SEALSMITH_TEST_POSTGRES is set.
func eachDatabase(t *testing.T, test func(*testing.T, database)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newDatabase(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := os.Getenv("SEALSMITH_TEST_POSTGRES")
		if server == "" {
			if os.Getenv("CI") == "true" {
				t.Fatal("SEALSMITH_TEST_POSTGRES is not set; run the tests by `make test`, which starts a PostgreSQL")
			}
			t.Skip("SKIPPED: SEALSMITH_TEST_POSTGRES is not set; `make test` starts a PostgreSQL and sets it")
		}
		test(t, postgres(t, server))
	})
}

func postgres(t *testing.T, server string) database {
	t.Helper()
	admin, err := sqlx.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	schema := fmt.Sprintf("hsm%d", time.Now().UnixNano())
	if _, err := admin.ExecContext(t.Context(), "create schema "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := admin.ExecContext(context.WithoutCancel(t.Context()), "drop schema "+schema+" cascade")
		if err := errors.Join(err, admin.Close()); err != nil {
			t.Error(err)
		}
	})
	joint := "?"
	if strings.Contains(server, "?") {
		joint = "&"
	}
	db, err := sqlx.Open("pgx", server+joint+"search_path="+schema)
	if err != nil {
		t.Fatal(err)
	}
	return withTable(t, db, "postgres")
}

// clock is a clock that a test sets.
type clock struct{ now atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	c.set(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	return c
}
func (c *clock) set(at time.Time)    { c.now.Store(&at) }
func (c *clock) read() time.Time     { return *c.now.Load() }
func (c *clock) add(d time.Duration) { c.set(c.read().Add(d)) }

func TestSQLGuard(t *testing.T) {
	t.Parallel()
	const serial, print = "s1", "f1"
	type step struct {
		do   string // begin, good, bad, unblock, later
		want error  // of begin
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"first attempt", []step{{"begin", nil}}},
		{"again after a good one", []step{{"begin", nil}, {"good", nil}, {"begin", nil}, {"good", nil}, {"begin", nil}}},
		{"never again after a bad one", []step{{"begin", nil}, {"bad", nil}, {"begin", hsm.ErrPINBlocked}, {"later", nil}, {"begin", hsm.ErrPINBlocked}}},
		{"a good PIN that went bad", []step{{"begin", nil}, {"good", nil}, {"begin", nil}, {"bad", nil}, {"begin", hsm.ErrPINBlocked}}},
		{"crash", []step{{"begin", nil}, {"later", nil}, {"begin", hsm.ErrPINBlocked}}},
		{"crash with a PIN that was good: once more", []step{{"begin", nil}, {"good", nil}, {"begin", nil}, {"later", nil}, {"begin", nil}, {"later", nil}, {"begin", hsm.ErrPINBlocked}}},
		{"such a crash is over after a good one", []step{{"begin", nil}, {"good", nil}, {"begin", nil}, {"later", nil}, {"begin", nil}, {"good", nil}, {"begin", nil}, {"later", nil}, {"begin", nil}}},
		{"a PIN that went bad after such a crash", []step{{"begin", nil}, {"good", nil}, {"begin", nil}, {"later", nil}, {"begin", nil}, {"bad", nil}, {"begin", hsm.ErrPINBlocked}}},
		{"unblock a bad one, once", []step{{"begin", nil}, {"bad", nil}, {"unblock", nil}, {"begin", nil}, {"bad", nil}, {"begin", hsm.ErrPINBlocked}}},
		{"unblock a crash, once", []step{{"begin", nil}, {"later", nil}, {"unblock", nil}, {"begin", nil}, {"later", nil}, {"begin", hsm.ErrPINBlocked}}},
		{"unblock during an attempt that fails", []step{{"begin", nil}, {"unblock", nil}, {"bad", nil}, {"begin", hsm.ErrPINBlocked}}},
		{"unblock nothing", []step{{"unblock", nil}, {"begin", nil}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			eachDatabase(t, func(t *testing.T, db database) {
				now := newClock()
				guard := hsm.NewSQLGuard(db, now.read)
				for i, step := range test.steps {
					var err error
					switch step.do {
					case "begin":
						err = guard.Begin(t.Context(), serial, print, "host")
					case "good", "bad":
						err = guard.Finish(t.Context(), serial, print, step.do == "good")
					case "unblock":
						err = guard.Unblock(t.Context(), serial)
					case "later":
						now.add(31 * time.Second)
					}
					if !errors.Is(err, step.want) || (err == nil) != (step.want == nil) {
						t.Fatalf("step %d, %s: got %v, want %v", i+1, step.do, err, step.want)
					}
				}
			})
		})
	}
}

// The permission to log in on a token that reports wrong PINs is for one login and one hour.
func TestSQLGuardAllowed(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db database) {
		now := newClock()
		guard := hsm.NewSQLGuard(db, now.read)
		ask := func(serial string, want bool) {
			t.Helper()
			got, err := guard.Allowed(t.Context(), serial)
			if err != nil || got != want {
				t.Errorf("allowed on %s: %v, %v; want %v", serial, got, err, want)
			}
		}
		unblock := func() {
			t.Helper()
			if err := guard.Unblock(t.Context(), "s1"); err != nil {
				t.Fatal(err)
			}
		}
		ask("s1", false)
		unblock()
		unblock()
		ask("s2", false)
		ask("s1", true)
		ask("s1", false)
		unblock()
		now.add(time.Hour)
		ask("s1", false)
		unblock()
		ask("s1", true)
	})
}

func TestSQLGuardKeepsTokensAndPINsApart(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db database) {
		guard := hsm.NewSQLGuard(db, newClock().read)
		begin := func(serial, print string) error { return guard.Begin(t.Context(), serial, print, "host") }
		for _, err := range []error{
			begin("s1", "f1"), guard.Finish(t.Context(), "s1", "f1", false),
			begin("s2", "f1"), guard.Finish(t.Context(), "s2", "f1", false),
			begin("s1", "f2"), guard.Finish(t.Context(), "s1", "f2", true),
			guard.Unblock(t.Context(), "s2"),
			begin("s2", "f1"),
			begin("s1", "f2"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := begin("s1", "f1"); !errors.Is(err, hsm.ErrPINBlocked) {
			t.Errorf("unblocking s2 unblocked s1: %v", err)
		}
	})
}

// Sixteen replicas start at once with a PIN nobody has tried: one attempt at a time, and
// after a bad one none.
func TestSQLGuardRace(t *testing.T) {
	t.Parallel()
	for _, good := range []bool{true, false} {
		t.Run(fmt.Sprintf("good=%v", good), func(t *testing.T) {
			t.Parallel()
			eachDatabase(t, func(t *testing.T, db database) {
				guard := hsm.NewSQLGuard(db, newClock().read)
				var inside, attempts, blocked atomic.Int32
				var wg sync.WaitGroup
				for n := range 4 {
					wg.Go(func() {
						err := guard.Begin(t.Context(), "s", "f", fmt.Sprint(n))
						if errors.Is(err, hsm.ErrPINBlocked) {
							blocked.Add(1)
							return
						}
						if err != nil || inside.Add(1) != 1 {
							t.Errorf("two attempts at once, or %v", err)
						}
						attempts.Add(1)
						inside.Add(-1)
						if err := guard.Finish(t.Context(), "s", "f", good); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if good && attempts.Load() != 4 || !good && (attempts.Load() != 1 || blocked.Load() != 3) {
					t.Errorf("%d attempts, %d blocked", attempts.Load(), blocked.Load())
				}
			})
		})
	}
}

func TestSQLGuardWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	guard := hsm.NewSQLGuard(newDatabase(t), newClock().read)
	if err := guard.Begin(t.Context(), "s", "f", "one"); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancelCause(t.Context())
	stopped := errors.New("server stops")
	end(stopped)
	if err := guard.Begin(ctx, "s", "f", "two"); err == nil || errors.Is(err, hsm.ErrPINBlocked) {
		t.Errorf("got %v", err)
	}
}

// Whatever the database answers, an error means: do not log in.
func TestSQLGuardDatabaseAway(t *testing.T) {
	t.Parallel()
	db, err := sqlx.Open("sqlite3", "file:"+filepath.Join(t.TempDir(), "empty.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	guard := hsm.NewSQLGuard(database{db}, newClock().read)
	for name, err := range map[string]error{
		"begin":   guard.Begin(t.Context(), "s", "f", "h"),
		"finish":  guard.Finish(t.Context(), "s", "f", true),
		"unblock": guard.Unblock(t.Context(), "s"),
		"allowed": second(guard.Allowed(t.Context(), "s")),
	} {
		if err == nil || errors.Is(err, hsm.ErrPINBlocked) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func second(_ bool, err error) error { return err }
