package sqldb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/sealsmith/sealsmith/migrations"
)

// ErrNewer is returned by Migrate and Current when the database has been migrated by a release so
// much newer that this one cannot work with it.
var ErrNewer = errors.New("the database was migrated by a newer release of Sealsmith: start that release, or restore a backup")

// generation groups the numbers of migrations: those of one hundred only add, so that a release
// which knows some of them works on the schema of all. A migration that takes something away from
// an older release begins the next hundred.
const generation = 100

// tooNew tells whether a program that knows migrations up to newest must leave a schema alone.
func tooNew(have, newest int64) bool { return have > newest && have/generation != newest/generation }

// Migrate applies every migration that the database lacks and returns the version it
// has then. Several processes may call it at once. A database that a newer release has only added
// to is left as it is; one of a later generation is refused with ErrNewer.
func (db *DB) Migrate(ctx context.Context) (version int64, err error) {
	handle := db.writer
	if !db.postgres {
		// A table that is made anew must not take along, or be held by, the rows that point at it. SQLite
		// knows no switch for that inside a transaction; migrations that need it check the keys themselves.
		if handle, err = sqlx.Open("sqlite3", db.bare); err != nil {
			return 0, fmt.Errorf("open the database for migrations: %w", err)
		}
		handle.SetMaxOpenConns(1)
		defer func() { err = errors.Join(err, handle.Close()) }()
	}
	p, err := db.provider(handle)
	if err != nil {
		return 0, err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the schema version: %w", err)
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	if have > newest && !tooNew(have, newest) {
		return have, nil
	}
	if tooNew(have, newest) {
		return have, fmt.Errorf("%w (schema %d, this program knows %d)", ErrNewer, have, newest)
	}
	if _, err := p.Up(ctx); err != nil {
		return have, fmt.Errorf("migrate: %w", err)
	}
	return newest, nil
}

// Version returns the schema version of the database: 0 when it is empty.
func (db *DB) Version(ctx context.Context) (int64, error) {
	p, err := db.provider(db.writer)
	if err != nil {
		return 0, err
	}
	return p.GetDBVersion(ctx)
}

// Embedded reports whether the database is a SQLite file, which this program owns
// alone and may migrate by itself.
func (db *DB) Embedded() bool { return !db.postgres }

func (db *DB) provider(handle *sqlx.DB) (*goose.Provider, error) {
	dialect, folder := goose.DialectSQLite3, "sqlite"
	var options []goose.ProviderOption
	if db.postgres {
		dialect, folder = goose.DialectPostgres, "postgres"
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // seconds between tries, tries
		if err != nil {
			return nil, fmt.Errorf("prepare the migration lock: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations.Files, folder)
	if err != nil {
		return nil, fmt.Errorf("open the migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, handle.DB, files, options...)
	if err != nil {
		return nil, fmt.Errorf("prepare the migrations: %w", err)
	}
	return p, nil
}

// ErrOlder is returned by Current when migrations are missing.
var ErrOlder = errors.New("the database schema is older than this program: run `sealsmith migrate`")

// Current checks, without changing anything, that the schema is the one this program
// knows, or one that newer releases have only added to: ErrOlder and ErrNewer say how it differs.
func (db *DB) Current(ctx context.Context) error {
	p, err := db.provider(db.writer)
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	switch {
	case tooNew(have, newest):
		return fmt.Errorf("%w (schema %d, this program knows %d)", ErrNewer, have, newest)
	case have < newest:
		return fmt.Errorf("%w (schema %d, this program knows %d)", ErrOlder, have, newest)
	}
	return nil
}
