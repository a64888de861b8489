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

// ErrNewer is returned by Migrate when the database has been migrated by a newer release.
var ErrNewer = errors.New("the database was migrated by a newer release of Sealsmith: start that release, or restore a backup")

// Migrate applies every migration that the database lacks and returns the version it
// has then. Several processes may call it at once. A database newer than this program
// is refused with ErrNewer.
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
	if have > newest {
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
// knows: ErrOlder and ErrNewer say how it differs.
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
	case have > newest:
		return fmt.Errorf("%w (schema %d, this program knows %d)", ErrNewer, have, newest)
	case have < newest:
		return fmt.Errorf("%w (schema %d, this program knows %d)", ErrOlder, have, newest)
	}
	return nil
}
