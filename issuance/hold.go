package issuance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// holdMost is how long a worker renews one lease: longer than the slowest signature. An
// attempt that hangs for longer is left to another worker.
const holdMost = 10 * time.Minute

// beat is how often a lease is renewed. Several renewals may fail before others see it end, and
// a worker that renews is one at work, see lately.
func (w *Worker) beat() time.Duration { return w.Lease / 5 }

// hold renews the lease of a claim until the returned function is called, which waits for the
// last renewal. So a lease can be short, and the claims of a worker that has died go on soon,
// though a signature may take long. A lease that is lost all the same (the process was stopped
// for a while, the database was away) is not taken back: who has it now goes on, and what
// comes of this attempt is not stored.
func (w *Worker) hold(ctx context.Context, c Claim) (letGo func()) {
	end := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() {
		ticker := time.NewTicker(w.beat())
		defer ticker.Stop()
		for range int(holdMost / w.beat()) {
			select {
			case <-end:
				return
			case <-ticker.C:
			}
			if w.onTime(ctx) != nil {
				continue // the end of the lease would be wrong
			}
			if err := w.renew(ctx, c); errors.Is(err, errLeaseLost) {
				w.Logger.WarnContext(ctx, "another worker has taken the claim over", "claim_id", c.ID)
				return
			} else if err != nil {
				w.Logger.WarnContext(ctx, "lease not renewed, it is tried again", "claim_id", c.ID, "err", err)
			}
		}
	})
	return func() {
		close(end)
		beating.Wait()
	}
}

// renew moves the end of the lease, if it still holds.
func (w *Worker) renew(ctx context.Context, c Claim) error {
	n, err := w.DB.Exec(ctx, `update claims set lease_until = ? where organisation_id = ? and id = ? and state = ? and lease_token = ?`,
		sqldb.UTC(w.Now()).Add(w.Lease), c.OrganisationID, c.ID, Sealing, c.LeaseToken)
	if err != nil {
		return fmt.Errorf("renew the lease: %w", err)
	}
	if n == 0 {
		return errLeaseLost
	}
	return nil
}

// MaxSkew is how far the clock of a worker may be from the database's. Leases and dates of issue
// are made by it: one that is far ahead takes claims from others and seals dates that are still
// to come; one that is far behind finds nothing due.
const MaxSkew = 5 * time.Second

// errUnfit says that this process must not seal now, whatever the claim.
var errUnfit = errors.New("nothing is sealed here now")

// fit tells whether this process may seal: its clock is right, and the database is the one that
// it has sealed for.
func (w *Worker) fit(ctx context.Context) error {
	if err := w.onTime(ctx); err != nil {
		return err
	}
	return w.current(ctx)
}

// ready is asked last before the key is touched: the seal says when it was made, and the
// credential is noted outside of the database.
func (w *Worker) ready(ctx context.Context, c Claim, cred Credential) error {
	if err := w.onTime(ctx); err != nil {
		return err
	}
	return w.note(c, cred)
}

// onTime compares the clock with the database's. When that does not answer, nothing is known
// against the clock, and nothing can be leased either.
func (w *Worker) onTime(ctx context.Context) error {
	if w.Clock == nil {
		return nil
	}
	off, err := Skew(ctx, w.Clock, w.Now)
	if err != nil {
		return err
	}
	wrong := off.Abs() > MaxSkew
	if w.skewed.Swap(wrong) != wrong && ctx.Err() == nil {
		w.Logger.ErrorContext(ctx, "the clock of this machine differs from the database's; while it does this worker seals nothing: let NTP set it", "wrong", wrong, "ahead", off.Round(time.Millisecond).String())
	}
	if wrong {
		return fmt.Errorf("%w: the clock of this machine is %s ahead of the database's", errUnfit, off.Round(time.Millisecond))
	}
	return nil
}

// Skew returns by how much now is ahead of clock, to the nearest that the time of the answer
// lets know: less than nothing when it is behind.
func Skew(ctx context.Context, clock func(context.Context) (time.Time, error), now func() time.Time) (time.Duration, error) {
	before := now()
	at, err := clock(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask for the database's clock: %w", err)
	}
	after := now()
	switch {
	case before.After(at):
		return before.Sub(at), nil
	case after.Before(at):
		return after.Sub(at), nil
	}
	return 0, nil
}
