package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// grouped has a group with a table of numbers.
func grouped(t *testing.T, do func(t *testing.T, db *sqldb.DB, g *sqldb.Group)) {
	t.Helper()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		if _, err := db.Exec(t.Context(), `create table numbers (n integer primary key)`); err != nil {
			t.Fatal(err)
		}
		do(t, db, &sqldb.Group{DB: db})
	})
}

func insert(ctx context.Context, n int) func(tx *sqldb.Tx) error {
	return func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `insert into numbers (n) values (?)`, n)
		return err
	}
}

func count(t *testing.T, db *sqldb.DB) (n int) {
	t.Helper()
	if err := db.Get(t.Context(), &n, `select count(*) from numbers`); err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever comes together, each is told of its own: what is told as done is there, and what
// failed is not, also when it failed after it had written.
func TestGroup(t *testing.T) {
	grouped(t, func(t *testing.T, db *sqldb.DB, g *sqldb.Group) {
		errOwn := errors.New("own")
		const callers, each = 16, 10
		var all sync.WaitGroup
		for c := range callers {
			all.Go(func() {
				for i := range each {
					n := c*each + i
					err := g.InTx(t.Context(), func(tx *sqldb.Tx) error {
						if err := insert(t.Context(), n)(tx); err != nil {
							return err
						}
						switch n % 7 {
						case 3:
							return errOwn
						case 5:
							return tx.Get(t.Context(), new(int), `select n from numbers where n = -1`)
						case 6:
							panic("six")
						}
						return nil
					})
					var want string
					switch n % 7 {
					case 3:
						want = errOwn.Error()
					case 5:
						want = sql.ErrNoRows.Error()
					case 6:
						want = "a mistake in the program: six"
					}
					if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
						t.Errorf("%d: %v", n, err)
					}
				}
			})
		}
		all.Wait()
		want := 0
		for n := range callers * each {
			if n%7 != 3 && n%7 != 5 && n%7 != 6 {
				want++
			}
		}
		if got := count(t, db); got != want {
			t.Errorf("%d rows, want %d", got, want)
		}
	})
}

// Those that come while a transaction is under way are written in one.
func TestGroupGathers(t *testing.T) {
	grouped(t, func(t *testing.T, db *sqldb.DB, g *sqldb.Group) {
		const others = 40 // more than fit into one group
		groups := (others + g.Most() - 1) / g.Most()
		var begun, all sync.WaitGroup
		var mu sync.Mutex
		seen := map[*sqldb.Tx]int{}
		begun.Add(others)
		all.Go(func() {
			err := g.InTx(t.Context(), func(tx *sqldb.Tx) error {
				for range others {
					all.Go(func() {
						begun.Done()
						if err := g.InTx(t.Context(), func(tx *sqldb.Tx) error {
							mu.Lock()
							defer mu.Unlock()
							seen[tx]++
							return insert(t.Context(), 100+len(seen)*1000+seen[tx])(tx)
						}); err != nil {
							t.Error(err)
						}
					})
				}
				begun.Wait()
				g.Settle(others)
				return insert(t.Context(), 1)(tx)
			})
			if err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if count(t, db) != others+1 || len(seen) != groups {
			t.Errorf("%d rows in %d groups: %v", count(t, db), len(seen)+1, seen)
		}
	})
}

func TestGroupEnded(t *testing.T) {
	grouped(t, func(t *testing.T, db *sqldb.DB, g *sqldb.Group) {
		ctx, end := context.WithCancel(t.Context())
		// What has been begun is finished, because others may be in it.
		err := g.InTx(ctx, func(tx *sqldb.Tx) error {
			end()
			return insert(t.Context(), 1)(tx)
		})
		if err != nil || count(t, db) != 1 {
			t.Errorf("%d rows, %v", count(t, db), err)
		}
		if err := g.InTx(ctx, insert(t.Context(), 2)); !errors.Is(err, context.Canceled) || count(t, db) != 1 {
			t.Errorf("%d rows, %v", count(t, db), err)
		}
	})
}

// When the end of a transaction fails, everybody in it is told so, and nothing is there.
func TestGroupEndFails(t *testing.T) {
	grouped(t, func(t *testing.T, db *sqldb.DB, g *sqldb.Group) {
		// A constraint that is looked at in the end, on both databases.
		if _, err := db.Exec(t.Context(), `create table children (n integer references numbers (n) deferrable initially deferred)`); err != nil {
			t.Fatal(err)
		}
		var begun, all sync.WaitGroup
		errs := make([]error, 3)
		begun.Add(2)
		orphan := func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `insert into children (n) values (7)`)
			return err
		}
		all.Go(func() {
			errs[0] = g.InTx(t.Context(), func(tx *sqldb.Tx) error {
				all.Go(func() { begun.Done(); errs[1] = g.InTx(t.Context(), insert(t.Context(), 2)) })
				all.Go(func() { begun.Done(); errs[2] = g.InTx(t.Context(), orphan) })
				begun.Wait()
				g.Settle(2)
				return insert(t.Context(), 1)(tx)
			})
		})
		all.Wait()
		if errs[0] != nil || errs[1] == nil || errs[2] == nil || count(t, db) != 1 {
			t.Errorf("%d rows, %v", count(t, db), errs)
		}
		if err := g.InTx(t.Context(), insert(t.Context(), 2)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// A new SQLite has large pages and keeps them; an older one keeps its own.
func TestPageSize(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "sealsmith.db")
		want := 16384
		if old {
			want = 4096
			raw, err := sql.Open("sqlite3", path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := raw.ExecContext(t.Context(), `create table t (n integer)`); err != nil {
				t.Fatal(err)
			}
			if err := raw.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			db, err := sqldb.Open(t.Context(), "sqlite:"+path)
			if err != nil {
				t.Fatal(err)
			}
			var size int
			var mode string
			if err := errors.Join(db.Get(t.Context(), &size, `pragma page_size`), db.Get(t.Context(), &mode, `pragma journal_mode`), db.Close()); err != nil || size != want || mode != "wal" {
				t.Errorf("old %v: pages of %d bytes, journal %s (%v)", old, size, mode, err)
			}
		}
	}
}
