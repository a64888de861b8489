package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/migrations"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "sqlite:", "mysql://x", "/tmp/x.db", "sqlite", "file:x"} {
		if _, err := sqldb.Open(t.Context(), address); !errors.Is(err, sqldb.ErrAddress) {
			t.Errorf("open %q: %v, want ErrAddress", address, err)
		}
	}
	if _, err := sqldb.Open(t.Context(), "postgres://nobody@127.0.0.1:1/x?connect_timeout=2"); err == nil {
		t.Error("a PostgreSQL that is not there was opened")
	}
}

func TestOddPath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "50% of #1?", "a b.db")
	db, err := sqldb.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if found, err := filepath.Glob(filepath.Join(filepath.Dir(path), "a b.db")); err != nil || len(found) != 1 {
		t.Errorf("the file is not where it was asked for: %v %v", found, err)
	}
}

func insertOrganisation(ctx context.Context, q sqldb.Queryer, id, slug string, at time.Time) error {
	_, err := q.Exec(ctx, `insert into organisations (id, slug, profile, created_at) values (?, ?, '{}', ?)`, id, slug, sqldb.UTC(at))
	return err
}

func TestPortable(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		at := time.Date(2026, 11, 24, 12, 0, 0, 123456789, time.FixedZone("X", 5*3600))
		if err := insertOrganisation(ctx, db, "a", "a", at); err != nil {
			t.Fatal(err)
		}
		var got time.Time
		if err := db.Get(ctx, &got, `select created_at from organisations where id = ?`, "a"); err != nil {
			t.Fatal(err)
		}
		if want := sqldb.UTC(at); !got.Equal(want) || want.Nanosecond() != 123456000 {
			t.Errorf("time read back %v, want %v", got, want)
		}
		err := insertOrganisation(ctx, db, "b", "a", at)
		if !sqldb.IsDuplicate(err) {
			t.Errorf("second slug a: %v, want a duplicate", err)
		}
		if _, err := db.Exec(ctx, `insert into templates (id, organisation_id, slug, created_at) values ('t', 'nobody', 's', ?)`, at); err == nil || sqldb.IsDuplicate(err) {
			t.Errorf("a template of nobody: %v, want a violated foreign key that is no duplicate", err)
		}
		if err := db.Get(ctx, &got, `select created_at from organisations where id = ?`, "z"); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("missing row: %v", err)
		}
	})
}

func TestOrderOfTimes(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		base := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		// Texts of different length, as SQLite stores them, and another zone.
		for id, at := range map[string]time.Time{
			"1": base.Add(-time.Hour).In(time.FixedZone("X", 9*3600)), "2": base, "3": base.Add(5 * time.Microsecond),
			"4": base.Add(50 * time.Millisecond), "5": base.Add(500 * time.Millisecond), "6": base.Add(500001 * time.Microsecond), "7": base.Add(time.Second),
		} {
			if err := insertOrganisation(t.Context(), db, id, id, at); err != nil {
				t.Fatal(err)
			}
		}
		var ids []string
		if err := db.Select(t.Context(), &ids, `select id from organisations order by created_at`); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"1", "2", "3", "4", "5", "6", "7"}, ids); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestInTx(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		boom := errors.New("boom")
		err := db.InTx(t.Context(), func(tx *sqldb.Tx) error {
			if err := insertOrganisation(t.Context(), tx, "a", "a", time.Unix(0, 0)); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Errorf("got %v", err)
		}
		var n int
		if err := db.Get(t.Context(), &n, `select count(*) from organisations`); err != nil || n != 0 {
			t.Errorf("%d rows after a rollback, %v", n, err)
		}
	})
}

// TestManyWriters: writers wait for each other instead of failing with "database is locked".
func TestManyWriters(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		if _, err := db.Exec(t.Context(), `insert into secrets (name, value, created_at) values ('n', ?, ?)`, []byte{0}, sqldb.UTC(time.Unix(0, 0))); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 20 {
					err := db.InTx(t.Context(), func(tx *sqldb.Tx) error {
						var at time.Time
						if err := tx.Get(t.Context(), &at, `update secrets set value = value where name = 'n' returning created_at`); err != nil {
							return err
						}
						_, err := tx.Exec(t.Context(), `update secrets set created_at = ? where name = 'n'`, sqldb.UTC(at.Add(time.Second)))
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		var at time.Time
		if err := db.Get(t.Context(), &at, `select created_at from secrets where name = 'n'`); err != nil || at.Unix() != 160 {
			t.Errorf("%d of 160 increments, %v", at.Unix(), err)
		}
	})
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		if err := db.Current(ctx); err != nil {
			t.Errorf("a migrated database is not current: %v", err)
		}
		first, err := db.Migrate(ctx)
		if err != nil {
			t.Fatalf("second migration: %v", err)
		}
		if v, err := db.Version(ctx); err != nil || v != first {
			t.Errorf("version %d %v, want %d", v, err, first)
		}
		if _, err := db.Exec(ctx, `insert into goose_db_version (version_id, is_applied) values (99999, ?)`, true); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Migrate(ctx); !errors.Is(err, sqldb.ErrNewer) {
			t.Errorf("migrate a newer database: %v, want ErrNewer", err)
		}
		if err := db.Current(ctx); !errors.Is(err, sqldb.ErrNewer) {
			t.Errorf("use a newer database: %v, want ErrNewer", err)
		}
		if _, err := db.Exec(ctx, `delete from goose_db_version where version_id > 0`); err != nil {
			t.Fatal(err)
		}
		if err := db.Current(ctx); !errors.Is(err, sqldb.ErrOlder) {
			t.Errorf("use an older database: %v, want ErrOlder", err)
		}
	})
}

// TestSameNumbers: both folders carry the same files, and the same tables in each.
func TestSameNumbers(t *testing.T) {
	t.Parallel()
	names := map[string][]string{}
	for _, folder := range []string{"sqlite", "postgres"} {
		entries, err := migrations.Files.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			text, err := migrations.Files.ReadFile(folder + "/" + entry.Name())
			if err != nil {
				t.Fatal(err)
			}
			names[folder] = append(names[folder], entry.Name())
			for line := range strings.Lines(string(text)) {
				name, ok := strings.CutPrefix(line, "create table ")
				if ok && !strings.Contains(string(text), "alter table "+strings.TrimSuffix(name, " (\n")+" rename to ") { // SQLite makes some anew
					names[folder] = append(names[folder], name)
				}
			}
		}
	}
	if diff := cmp.Diff(names["sqlite"], names["postgres"]); diff != "" {
		t.Errorf("sqlite and postgres differ:\n%s", diff)
	}
	if len(names["sqlite"]) < 10 {
		t.Errorf("only %v found", names["sqlite"])
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		first, err := db.Secret(t.Context(), "x", strings.NewReader(strings.Repeat("a", 32)), time.Unix(0, 0))
		if err != nil || len(first) != 32 {
			t.Fatalf("%q %v", first, err)
		}
		again, err := db.Secret(t.Context(), "x", strings.NewReader(strings.Repeat("b", 32)), time.Unix(0, 0))
		if err != nil || string(again) != string(first) {
			t.Errorf("second call %q %v, want the first secret", again, err)
		}
		if _, err := db.Secret(t.Context(), "y", strings.NewReader("short"), time.Unix(0, 0)); err == nil {
			t.Error("a secret of 5 bytes was made")
		}
	})
}

func TestAudit(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		for _, action := range []string{"first", "second"} {
			if err := sqldb.Audit(t.Context(), db, sqldb.Event{At: time.Unix(1, 0), Actor: "operator", Action: action, Subject: "s"}); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		if err := db.Select(t.Context(), &got, `select action from audit order by id`); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"first", "second"}, got); diff != "" {
			t.Error(diff)
		}
	})
}
