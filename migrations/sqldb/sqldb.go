// Package sqldb is the floor on which all stores stand: it opens SQLite or PostgreSQL,
// applies the schema, runs transactions, and hides the few places where the two differ.
//
// One query text serves both: placeholders are ?, and are rebound here. SQLite gets one
// writer connection and a separate read pool, because with a shared pool writers starve
// each other (p99 10 times worse, measured); on PostgreSQL both are the same pool.
//
// Times are stored in UTC, truncated to microseconds (see UTC): PostgreSQL keeps no more,
// and SQLite compares times as text.
//
// The package deliberately knows no table but the audit trail. It fails with the driver's
// errors wrapped; a unique violation is recognised by IsDuplicate, a missing row is
// sql.ErrNoRows.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // database/sql driver "pgx"
	"github.com/jmoiron/sqlx"
	"github.com/mattn/go-sqlite3"
)

// ErrAddress is returned by Open for a database address of an unknown form.
var ErrAddress = errors.New("the database address must be sqlite:PATH or postgres://…")

// DB is one open database. Methods of DB outside InTx read from the read pool, Exec
// writes on the writer. It is safe for concurrent use.
type DB struct {
	writer, reader *sqlx.DB
	postgres       bool
	bare           string // SQLite: how the file is opened without foreign keys, for Migrate
}

// Queryer is what a store method needs: DB and Tx both have it, so that one method
// serves inside and outside a transaction.
type Queryer interface {
	// Get scans one row into dest, a pointer to a struct or value; no row is sql.ErrNoRows.
	Get(ctx context.Context, dest any, query string, args ...any) error
	// Select scans all rows into dest, a pointer to a slice.
	Select(ctx context.Context, dest any, query string, args ...any) error
	// Exec runs a statement and returns the number of rows it changed.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
}

// Open opens the database at address: sqlite:PATH (the folder is made if missing) or
// postgres://… (a libpq URL). It pings, and does not migrate.
func Open(ctx context.Context, address string) (*DB, error) {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok && path != "" {
		return openSQLite(ctx, path)
	}
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		return openPostgres(ctx, address)
	}
	return nil, ErrAddress
}

func openSQLite(ctx context.Context, path string) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the database: %w", err)
	}
	// synchronous=FULL: a sealed credential that was reported stored survives a power cut.
	// Prepared statements are kept: preparing costs as much as running (measured).
	const common = "?_busy_timeout=5000&_foreign_keys=on&_journal_mode=WAL&_synchronous=FULL&_stmt_cache_size=64"
	file := "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	if err := largePages(ctx, path, file); err != nil {
		return nil, err
	}
	// A group of claims fits into the cache of the writer: what does not is written to the journal
	// before its time and more than once, a quarter of all that SQL costs (measured).
	writer, err := sqlx.Open("sqlite3", file+common+"&_cache_size=-8000&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	writer.SetMaxOpenConns(1)
	if err := writer.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), writer.Close())
	}
	// Each connection that reads keeps a megabyte; the file is in the system's cache anyway.
	reader, err := sqlx.Open("sqlite3", file+common+"&_cache_size=-1000&_query_only=on")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s for reading: %w", path, err), writer.Close())
	}
	reader.SetMaxOpenConns(4)
	reader.SetMaxIdleConns(4)
	return &DB{writer: writer, reader: reader, bare: file + "?_busy_timeout=5000&_foreign_keys=off&_journal_mode=WAL&_synchronous=FULL&_txlock=immediate"}, nil
}

// largePages makes a new database with pages of 16 kB. A credential takes two hundred, of which
// each page costs four system calls until it is in its place: with the usual pages of 4 kB
// storing one takes a quarter more CPU time (measured). An older database keeps its pages.
func largePages(ctx context.Context, path, file string) error {
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return nil
	}
	db, err := sqlx.Open("sqlite3", file+"?_busy_timeout=5000")
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, `pragma page_size = 16384; pragma journal_mode = wal`)
	if err != nil {
		err = fmt.Errorf("make %s: %w", path, err)
	}
	return errors.Join(err, db.Close())
}

func openPostgres(ctx context.Context, address string) (*DB, error) {
	pool, err := sqlx.Open("pgx", address)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	pool.SetMaxOpenConns(16)
	pool.SetMaxIdleConns(8)
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open PostgreSQL: %w", err), pool.Close())
	}
	return &DB{writer: pool, reader: pool, postgres: true}, nil
}

// Close closes all connections.
func (db *DB) Close() error {
	if db.postgres {
		return db.writer.Close()
	}
	return errors.Join(db.reader.Close(), db.writer.Close())
}

// Ping reports whether the database answers, for readiness.
func (db *DB) Ping(ctx context.Context) error { return db.reader.PingContext(ctx) }

// Clock returns the time by the clock of the database: of its machine, when that is another one.
func (db *DB) Clock(ctx context.Context) (time.Time, error) {
	var at time.Time
	if db.postgres {
		err := db.Get(ctx, &at, `select clock_timestamp()`)
		return at.UTC(), err
	}
	var text string
	if err := db.Get(ctx, &text, `select strftime('%Y-%m-%dT%H:%M:%fZ', 'now')`); err != nil {
		return at, err
	}
	return time.Parse(time.RFC3339Nano, text)
}

// Get implements Queryer on the read pool.
func (db *DB) Get(ctx context.Context, dest any, query string, args ...any) error {
	return db.reader.GetContext(ctx, dest, db.reader.Rebind(query), args...)
}

// Select implements Queryer on the read pool.
func (db *DB) Select(ctx context.Context, dest any, query string, args ...any) error {
	return db.reader.SelectContext(ctx, dest, db.reader.Rebind(query), args...)
}

// Exec implements Queryer on the writer.
func (db *DB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := db.writer.ExecContext(ctx, db.writer.Rebind(query), args...)
	if err != nil {
		return 0, advised(err)
	}
	return res.RowsAffected()
}

// Tx is a transaction on the writer; UPDATE … RETURNING belongs in one.
type Tx struct{ tx *sqlx.Tx }

// InTx runs do in one transaction: committed when do returns nil, rolled back
// otherwise. do must not keep tx.
func (db *DB) InTx(ctx context.Context, do func(tx *Tx) error) error {
	tx, err := db.writer.BeginTxx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := advised(do(&Tx{tx})); err != nil {
		if back := tx.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) {
			return errors.Join(err, fmt.Errorf("roll back: %w", back))
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return advised(fmt.Errorf("commit: %w", err))
	}
	return nil
}

// Get implements Queryer inside the transaction.
func (t *Tx) Get(ctx context.Context, dest any, query string, args ...any) error {
	return t.tx.GetContext(ctx, dest, t.tx.Rebind(query), args...)
}

// Select implements Queryer inside the transaction.
func (t *Tx) Select(ctx context.Context, dest any, query string, args ...any) error {
	return t.tx.SelectContext(ctx, dest, t.tx.Rebind(query), args...)
}

// Exec implements Queryer inside the transaction.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.tx.ExecContext(ctx, t.tx.Rebind(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// IsDuplicate reports whether err is a violation of a unique or primary key.
func IsDuplicate(err error) bool {
	if lite, ok := errors.AsType[sqlite3.Error](err); ok {
		return lite.ExtendedCode == sqlite3.ErrConstraintUnique || lite.ExtendedCode == sqlite3.ErrConstraintPrimaryKey
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "23505"
	}
	return false
}

// UTC returns t as all stores keep it: UTC, truncated to microseconds, so that what is
// read back equals what was written and SQLite orders it rightly.
func UTC(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
