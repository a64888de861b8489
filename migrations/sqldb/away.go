package sqldb

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
)

// IsAway reports that the database cannot be reached, was stopped while it was asked, or is too
// busy to answer: what was asked for may work in a moment. Connections come back by themselves.
func IsAway(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		// 08: connection; 53300: too many of them; 57P01 to 57P03: shut down, crashed, starting.
		return strings.HasPrefix(pg.Code, "08") || pg.Code == "53300" || strings.HasPrefix(pg.Code, "57P0")
	}
	if lite, ok := errors.AsType[sqlite3.Error](err); ok {
		return lite.Code == sqlite3.ErrBusy || lite.Code == sqlite3.ErrLocked || lite.Code == sqlite3.ErrCantOpen
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.Timeout(err)
}

// IsFull reports that there was no room on the disk of the database. Nothing was changed, and it
// works again when there is.
func IsFull(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "53100"
	}
	lite, ok := errors.AsType[sqlite3.Error](err)
	return ok && lite.Code == sqlite3.ErrFull
}

// advised adds to an error what an operator can do about it.
func advised(err error) error {
	if !IsFull(err) {
		return err
	}
	return fmt.Errorf("no room is left for the database; make room on its disk, nothing is lost and it goes on by itself: %w", err)
}
