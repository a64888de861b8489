package issuance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// ItemOutcome is what has become of one credential of an order.
type ItemOutcome string

// The outcomes.
const (
	itemLeft    ItemOutcome = "" // not tried yet
	ItemRevoked ItemOutcome = "revoked"
	ItemAlready ItemOutcome = "already" // somebody else was faster
	ItemFailed  ItemOutcome = "failed"
)

// OrderItem is one credential of an order.
type OrderItem struct {
	CredentialID string      `db:"credential_id"`
	Outcome      ItemOutcome `db:"outcome"` // empty: not tried yet
	Cause        string      `db:"cause"`   // of already and failed, in words
	Name         string      `db:"name"`    // of the learner, as it was sealed
}

// OrderItems lists the credentials of an order, those first that could not be revoked, at most
// limit.
func (d *Desk) OrderItems(ctx context.Context, organisationID, id string, limit int) ([]OrderItem, error) {
	var all []OrderItem
	err := d.db.Select(ctx, &all, `select i.credential_id, i.outcome, i.cause, trim(coalesce(y.old_given, c.given_name) || ' ' || coalesce(y.old_family, c.family_name)) as name from withdrawal_items i
		join credentials k on k.id = i.credential_id and k.organisation_id = i.organisation_id join claims c on c.id = k.claim_id`+sealedNameJoin+`
		where i.organisation_id = ? and i.request_id = ?
		order by case i.outcome when ? then 0 when ? then 1 when ? then 2 else 3 end, i.credential_id limit ?`, organisationID, id, ItemFailed, ItemAlready, itemLeft, limit)
	if err != nil {
		return nil, fmt.Errorf("list what an order is about: %w", err)
	}
	return all, nil
}

// stepSize is how many credentials are revoked in one transaction: small enough that a worker
// who wants to write meanwhile hardly waits.
const stepSize = 50

// Step carries out a part of a confirmed order in one transaction, and returns the order as
// it stands then. What is not confirmed, or done, stays as it is. Several may do so at once,
// and after a crash the next one goes on: each credential is revoked once. It fails with
// ErrNotFound, and with errors of the database, which leave everything to the next one.
func (d *Desk) Step(ctx context.Context, organisationID, id string) (out Order, err error) {
	err = d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		// Takes the row, so that two do not do the same part.
		n, err := tx.Exec(ctx, `update withdrawal_requests set state = state where organisation_id = ? and id = ? and state = 'confirmed' and done_at is null`, organisationID, id)
		if err != nil {
			return fmt.Errorf("take an order: %w", err)
		}
		if n > 0 {
			if err := d.stepIn(ctx, tx, organisationID, id); err != nil {
				return err
			}
		}
		out, err = d.order(ctx, tx, organisationID, id)
		return err
	})
	return out, err
}

func (d *Desk) stepIn(ctx context.Context, tx *sqldb.Tx, organisationID, id string) error {
	o, err := d.order(ctx, tx, organisationID, id)
	if err != nil {
		return err
	}
	var todo []string
	err = tx.Select(ctx, &todo, `select credential_id from withdrawal_items where organisation_id = ? and request_id = ? and outcome = '' order by credential_id limit ?`, organisationID, id, stepSize)
	if err != nil {
		return fmt.Errorf("list what is left of an order: %w", err)
	}
	w := Withdrawal{OrganisationID: organisationID, Reason: o.Reason, Words: o.Words, By: o.AskedBy, request: o.ID}
	if o.Second {
		w.confirmed = o.DecidedBy
	}
	for _, w.CredentialID = range todo {
		outcome, cause, err := d.item(ctx, tx, w)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update withdrawal_items set outcome = ?, cause = ? where organisation_id = ? and request_id = ? and credential_id = ?`, outcome, cause, organisationID, id, w.CredentialID)
		if err != nil {
			return fmt.Errorf("note what has become of a credential: %w", err)
		}
	}
	if len(todo) == stepSize {
		return nil
	}
	return d.finish(ctx, tx, organisationID, id)
}

// item revokes one credential of an order. What is refused is an outcome; errors are those of
// the database.
func (d *Desk) item(ctx context.Context, tx *sqldb.Tx, w Withdrawal) (ItemOutcome, string, error) {
	_, err := d.actIn(ctx, tx, ActRevoke, w)
	switch {
	case err == nil:
		return ItemRevoked, "", nil
	case !errors.Is(err, ErrState) && !errors.Is(err, ErrNotFound):
		return "", "", err
	}
	now, again := ofOrganisation(ctx, tx, w.OrganisationID, w.CredentialID)
	if again == nil && now.InForce == StandsRevoked {
		return ItemAlready, err.Error(), nil
	}
	return ItemFailed, err.Error(), nil
}

// finish notes that every credential of an order has its outcome.
func (d *Desk) finish(ctx context.Context, tx *sqldb.Tx, organisationID, id string) error {
	at := sqldb.UTC(d.now())
	o, err := d.order(ctx, tx, organisationID, id)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `update withdrawal_requests set done_at = ? where organisation_id = ? and id = ?`, at, organisationID, id); err != nil {
		return fmt.Errorf("end an order: %w", err)
	}
	return sqldb.Audit(ctx, tx, sqldb.Event{
		OrganisationID: organisationID, At: at, Actor: o.AskedBy, Action: "revocation done", Subject: id,
		Detail: fmt.Sprintf("%d revoked, %d already, %d failed", o.Revoked, o.Already, o.Failed),
	})
}

// CarryOut steps until an order is done, or ctx ends.
func (d *Desk) CarryOut(ctx context.Context, organisationID, id string) (Order, error) {
	for {
		o, err := d.Step(ctx, organisationID, id)
		if err != nil || !o.Running() {
			return o, err
		}
	}
}

// tendEvery is how often the desk is looked after.
const tendEvery = 2 * time.Second

// Tend looks after what nobody waits for, until ctx ends: it carries out orders that are
// confirmed, ends those that nobody has decided about, and puts the names of what was sealed
// lately into the index that staff search. Several may do so on one database.
func (d *Desk) Tend(ctx context.Context) {
	for ctx.Err() == nil {
		if err := d.TendOnce(ctx); err != nil && ctx.Err() == nil {
			d.logger.WarnContext(ctx, "orders and names are not looked after; it is tried again", "err", err)
		}
		pause(ctx, tendEvery)
	}
}

// TendOnce does once what Tend does over and over.
func (d *Desk) TendOnce(ctx context.Context) error {
	var errs []error
	for {
		n, err := d.nameListed(ctx)
		errs = append(errs, err)
		if n < nameBatch || err != nil {
			break
		}
	}
	errs = append(errs, d.expire(ctx))
	var left []orderRow
	if err := d.db.Select(ctx, &left, orderFrom+`r.state = 'confirmed' and r.done_at is null order by r.decided_at, r.id`); err != nil {
		errs = append(errs, fmt.Errorf("list orders that are left: %w", err))
	}
	for _, row := range left {
		if _, err := d.CarryOut(ctx, row.OrganisationID, row.ID); err != nil {
			errs = append(errs, fmt.Errorf("carry out order %s: %w", row.ID, err))
		}
	}
	return errors.Join(errs...)
}

// expire ends the orders that nobody has decided about in time.
func (d *Desk) expire(ctx context.Context) error {
	at := sqldb.UTC(d.now())
	var old int
	if err := d.db.Get(ctx, &old, `select count(*) from withdrawal_requests where state = 'asked' and expires_at <= ?`, at); err != nil {
		return fmt.Errorf("count old orders: %w", err)
	}
	if old == 0 {
		return nil
	}
	return d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		var rows []orderRow
		err := tx.Select(ctx, &rows, `update withdrawal_requests set state = ?, decided_at = expires_at where state = 'asked' and expires_at <= ?
			returning id, organisation_id, selection, reason, words, state, second, total, asked_by, asked_at, expires_at, decided_by, decided_at, done_at`, OrderExpired, at)
		if err != nil {
			return fmt.Errorf("end old orders: %w", err)
		}
		for _, row := range rows {
			err := sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: row.OrganisationID, At: at, Actor: "worker", Action: "revocation expired", Subject: row.ID, Detail: "asked by " + row.AskedBy})
			if err != nil {
				return err
			}
		}
		return nil
	})
}
