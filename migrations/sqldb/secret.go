package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"
)

// Secret returns the 32 random bytes kept under name, made from random on first use. It
// is for keys that all processes of one installation share and that never leave it.
func (db *DB) Secret(ctx context.Context, name string, random io.Reader, now time.Time) ([]byte, error) {
	var value []byte
	err := db.Get(ctx, &value, `select value from secrets where name = ?`, name)
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return value, err
	}
	fresh := make([]byte, 32)
	if _, err := io.ReadFull(random, fresh); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	_, err = db.Exec(ctx, `insert into secrets (name, value, created_at) values (?, ?, ?) on conflict (name) do nothing`, name, fresh, UTC(now))
	if err != nil {
		return nil, fmt.Errorf("keep secret %s: %w", name, err)
	}
	if err := db.Get(ctx, &value, `select value from secrets where name = ?`, name); err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, err)
	}
	return value, nil
}
