package hsm

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ErrPINBlocked is returned by PINGuard.Begin when the PIN must not be tried: an earlier
// attempt failed, or its end is unknown because the process died in it.
var ErrPINBlocked = errors.New("the PIN is blocked until an operator allows an attempt")

// PINGuard is the durable record of login attempts: written before C_Login is called and
// completed afterwards, by every process that uses the token. A Token calls Begin, logs
// in, and calls Finish once; Begin without Finish is a crash. A PIN that was never proven is
// blocked by it; one that was good before gets one more attempt, and is blocked when that ends
// in a crash, too. Both may be called at once for different tokens or fingerprints.
type PINGuard interface {
	// Begin records that a login with this PIN is about to be made. It returns an error
	// that is ErrPINBlocked when the PIN failed before, or an attempt with one that was not
	// proven was never finished; any error means: do not log in.
	Begin(ctx context.Context, serial, fingerprint, host string) error
	// Finish records how the attempt ended.
	Finish(ctx context.Context, serial, fingerprint string, good bool) error
	// Allowed takes the permission of an operator to log in although the token reports
	// wrong PINs (CKF_USER_PIN_COUNT_LOW): true once per permission.
	Allowed(ctx context.Context, serial string) (bool, error)
}

// Queryer is what SQLGuard needs of a database: the methods of sqldb.DB.
type Queryer interface {
	// Get scans one row into dest; no row is sql.ErrNoRows.
	Get(ctx context.Context, dest any, query string, args ...any) error
	// Exec runs a statement and returns the number of rows it changed.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
}

// SQLGuard is the PINGuard on table pin_attempts. All processes that share a token must
// share the database. It is safe for concurrent use.
type SQLGuard struct {
	db  Queryer
	now func() time.Time
}

// NewSQLGuard returns a guard on db, which must not be inside a transaction: a record
// that can be rolled back protects nothing.
func NewSQLGuard(db Queryer, now func() time.Time) *SQLGuard { return &SQLGuard{db: db, now: now} }

const (
	attemptPending = "pending"
	attemptAgain   = "again" // under way, with a PIN that was good before
	attemptGood    = "good"
	attemptBad     = "bad"

	// pendingGrace is how long an attempt of another process may take before it counts as
	// crashed. C_Login on a slow card takes seconds.
	pendingGrace = 30 * time.Second
	pendingPoll  = 250 * time.Millisecond

	// The permission of Unblock is a row with this fingerprint, which no PIN has, and state.
	operator       = "operator"
	attemptAllowed = "allowed"
	// allowance is how long the permission lasts: the operator is waiting for the result.
	allowance = time.Hour
)

// Begin implements PINGuard by compare-and-swap: of two processes one wins, the other
// waits up to 30 s for the winner's result.
func (g *SQLGuard) Begin(ctx context.Context, serial, fingerprint, host string) error {
	patience := time.NewTimer(pendingGrace)
	defer patience.Stop()
	for {
		won, err := g.claim(ctx, serial, fingerprint, host)
		if err != nil || won {
			return err
		}
		found, err := g.attempt(ctx, serial, fingerprint)
		if err != nil {
			return err
		}
		switch {
		case found.State == attemptBad:
			return fmt.Errorf("%w: the token refused it on %s", ErrPINBlocked, found.words())
		case found.State == attemptPending && g.now().Sub(found.At) >= pendingGrace:
			return fmt.Errorf("%w: the attempt of %s never ended", ErrPINBlocked, found.words())
		case found.State == attemptAgain && g.now().Sub(found.At) >= pendingGrace:
			// A process died while it logged in with a good PIN: a restart, not a wrong PIN. Who
			// takes over has the last attempt of this kind.
			if won, err := g.move(ctx, pinMove{serial, fingerprint, host, attemptAgain, attemptPending}); err != nil || won {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the login of another process: %w", context.Cause(ctx))
		case <-patience.C:
			return fmt.Errorf("%w: the attempt of %s does not end", ErrPINBlocked, found.words())
		case <-time.After(pendingPoll):
		}
	}
}

// claim moves nothing to pending, or good to again.
func (g *SQLGuard) claim(ctx context.Context, serial, fingerprint, host string) (bool, error) {
	rows, err := g.db.Exec(ctx, `insert into pin_attempts (token_serial, fingerprint, state, host, at)
		values (?, ?, ?, ?, ?) on conflict (token_serial, fingerprint) do nothing`,
		serial, fingerprint, attemptPending, host, g.now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return false, fmt.Errorf("record the login attempt: %w", err)
	}
	if rows > 0 {
		return true, nil
	}
	return g.move(ctx, pinMove{serial, fingerprint, host, attemptGood, attemptAgain})
}

// pinMove is a change of the state of a record.
type pinMove struct{ serial, fingerprint, host, from, to string }

// move is a compare-and-swap on the record. An attempt that is under way moves once it has
// taken too long.
func (g *SQLGuard) move(ctx context.Context, m pinMove) (bool, error) {
	at := g.now().UTC().Truncate(time.Microsecond)
	until := at
	if m.from == attemptAgain {
		until = at.Add(-pendingGrace)
	}
	rows, err := g.db.Exec(ctx, `update pin_attempts set state = ?, host = ?, at = ?
		where token_serial = ? and fingerprint = ? and state = ? and at <= ?`, m.to, m.host, at, m.serial, m.fingerprint, m.from, until)
	if err != nil {
		return false, fmt.Errorf("record the login attempt: %w", err)
	}
	return rows > 0, nil
}

type pinAttempt struct {
	State string    `db:"state"`
	Host  string    `db:"host"`
	At    time.Time `db:"at"`
}

func (a pinAttempt) words() string {
	return a.At.UTC().Format("2 January 2006 15:04:05") + " UTC (host " + a.Host + ")"
}

// attempt reads the record; one that has just gone reads as empty, so Begin claims again.
func (g *SQLGuard) attempt(ctx context.Context, serial, fingerprint string) (pinAttempt, error) {
	var found pinAttempt
	err := g.db.Get(ctx, &found, `select state, host, at from pin_attempts
		where token_serial = ? and fingerprint = ?`, serial, fingerprint)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return pinAttempt{}, fmt.Errorf("read the login attempts: %w", err)
	}
	return found, nil
}

// Finish implements PINGuard. It also records when Unblock removed the attempt meanwhile.
func (g *SQLGuard) Finish(ctx context.Context, serial, fingerprint string, good bool) error {
	state := attemptBad
	if good {
		state = attemptGood
	}
	_, err := g.db.Exec(ctx, `insert into pin_attempts (token_serial, fingerprint, state, host, at)
		values (?, ?, ?, '', ?)
		on conflict (token_serial, fingerprint) do update set state = excluded.state, at = excluded.at`,
		serial, fingerprint, state, g.now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return fmt.Errorf("record the end of the login attempt: %w", err)
	}
	return nil
}

// Unblock lets each blocked PIN of the token be tried exactly once more, within the hour
// even when the token reports that wrong PINs were given; at the last try before it locks
// no permission helps. The operator should know why the last attempt failed: a card locks
// after three wrong PINs. A PIN that is not blocked keeps its record.
func (g *SQLGuard) Unblock(ctx context.Context, serial string) error {
	_, err := g.db.Exec(ctx, `delete from pin_attempts where token_serial = ? and state in (?, ?)`,
		serial, attemptBad, attemptPending)
	if err != nil {
		return fmt.Errorf("unblock the token: %w", err)
	}
	_, err = g.db.Exec(ctx, `insert into pin_attempts (token_serial, fingerprint, state, host, at)
		values (?, ?, ?, '', ?)
		on conflict (token_serial, fingerprint) do update set state = excluded.state, at = excluded.at`,
		serial, operator, attemptAllowed, g.now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return fmt.Errorf("allow one login: %w", err)
	}
	return nil
}

// Allowed implements PINGuard: of two processes one gets the permission.
func (g *SQLGuard) Allowed(ctx context.Context, serial string) (bool, error) {
	rows, err := g.db.Exec(ctx, `delete from pin_attempts
		where token_serial = ? and fingerprint = ? and state = ? and at > ?`,
		serial, operator, attemptAllowed, g.now().Add(-allowance).UTC().Truncate(time.Microsecond))
	if err != nil {
		return false, fmt.Errorf("look for the operator's permission: %w", err)
	}
	return rows > 0, nil
}
