// Package sqldbtest gives tests a fresh, migrated database of each kind.
//
// SQLite always, in the test's temporary folder. PostgreSQL when SEALSMITH_TEST_POSTGRES
// holds a postgres:// URL: one schema per test, dropped at its end; `make test` starts
// such a server. With CI=true a missing PostgreSQL fails the test instead of leaving it out.
package sqldbtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// SQLite returns an empty migrated SQLite database.
func SQLite(tb testing.TB) *sqldb.DB {
	tb.Helper()
	return open(tb, "sqlite:"+filepath.Join(tb.TempDir(), "test.db"))
}

// Each runs test once per kind of database; short tests (go test -short) on SQLite only.
func Each(t *testing.T, test func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	if !testing.Short() {
		t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
	}
}

// Postgres returns an empty migrated schema of the PostgreSQL server, or leaves the test out.
func Postgres(tb testing.TB) *sqldb.DB {
	tb.Helper()
	server := os.Getenv("SEALSMITH_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("CI") == "true" {
			tb.Fatal("SEALSMITH_TEST_POSTGRES is not set; run the tests by `make test`, which starts a PostgreSQL")
		}
		tb.Skip("SKIPPED: SEALSMITH_TEST_POSTGRES is not set; `make test` starts a PostgreSQL and sets it")
	}
	return postgres(tb, server)
}

func postgres(tb testing.TB, server string) *sqldb.DB {
	tb.Helper()
	schema := fmt.Sprintf("t%d", time.Now().UnixNano())
	admin, err := sqldb.Open(tb.Context(), server)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := admin.Exec(tb.Context(), "create schema "+schema); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(tb.Context()), 30*time.Second)
		defer stop()
		if _, err := admin.Exec(ctx, "drop schema "+schema+" cascade"); err != nil {
			tb.Errorf("drop schema: %v", err)
		}
		if err := admin.Close(); err != nil {
			tb.Error(err)
		}
	})
	sep := "?"
	if strings.Contains(server, "?") {
		sep = "&"
	}
	return open(tb, server+sep+"search_path="+url.QueryEscape(schema))
}

func open(tb testing.TB, address string) *sqldb.DB {
	tb.Helper()
	db, err := sqldb.Open(tb.Context(), address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	if _, err := db.Migrate(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return db
}
