package issuance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// ErrWords is for words that cannot be shown to people.
var ErrWords = errors.New("the words may have 500 letters and no control characters")

// Pause keeps claims from being sealed until a person lets them go on. What is being sealed
// at this moment is finished: when nothing is, the line is drained.
type Pause struct {
	OrganisationID string    `db:"organisation_id"` // empty: all of this installation
	BatchID        string    `db:"batch_id"`        // empty: the whole organisation
	Words          string    `db:"words"`           // why, shown to everybody who waits; may be empty
	By             string    `db:"actor"`           // as in the audit trail
	At             time.Time `db:"at"`
}

// Holds tells whether the pause is for claims of a batch of an organisation; batchID is empty for
// what learners have claimed themselves.
func (p Pause) Holds(organisationID, batchID string) bool {
	return (p.OrganisationID == "" || p.OrganisationID == organisationID) && (p.BatchID == "" || p.BatchID == batchID)
}

// notPaused is the part of a condition on claims that a pause makes false.
const notPaused = ` and not exists (select 1 from pauses p where p.organisation_id in ('', claims.organisation_id) and p.batch_id in ('', claims.batch_id))`

// Pause stops the sealing of all claims, of those of an organisation, or of those of a batch.
// A second pause of the same replaces its words. It fails with ErrWords.
func (d *Desk) Pause(ctx context.Context, p Pause) error {
	p.Words = strings.Join(strings.Fields(p.Words), " ")
	if !utf8.ValidString(p.Words) || utf8.RuneCountInString(p.Words) > withdrawalWords || strings.ContainsFunc(p.Words, hidden) {
		return ErrWords
	}
	at := sqldb.UTC(d.now())
	return d.db.InTx(ctx, func(tx *sqldb.Tx) error { return p.store(ctx, tx, at) })
}

func (p Pause) store(ctx context.Context, tx *sqldb.Tx, at time.Time) error {
	_, err := tx.Exec(ctx, `insert into pauses (organisation_id, batch_id, words, actor, at) values (?, ?, ?, ?, ?)
		on conflict (organisation_id, batch_id) do update set words = excluded.words, actor = excluded.actor, at = excluded.at`,
		p.OrganisationID, p.BatchID, p.Words, p.By, at)
	if err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	return sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: p.OrganisationID, At: at, Actor: p.By, Action: "sealing paused", Subject: p.subject(), Detail: p.Words})
}

func (p Pause) subject() string {
	if p.BatchID != "" {
		return p.BatchID
	}
	return p.OrganisationID
}

// Resume ends a pause. ErrState means that there was none.
func (d *Desk) Resume(ctx context.Context, organisationID, batchID, by string) error {
	p := Pause{OrganisationID: organisationID, BatchID: batchID}
	return d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `delete from pauses where organisation_id = ? and batch_id = ?`, organisationID, batchID)
		if err != nil {
			return fmt.Errorf("resume: %w", err)
		}
		if n == 0 {
			return refused{"sealing is not paused"}
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: organisationID, At: sqldb.UTC(d.now()), Actor: by, Action: "sealing resumed", Subject: p.subject()})
	})
}

// Pauses lists the pauses that concern an organisation: those of everybody first, then its
// own, then those of its batches.
func (d *Desk) Pauses(ctx context.Context, organisationID string) ([]Pause, error) {
	return pauses(ctx, d.db, organisationID)
}

// pauses lists those that concern an organisation, or all pauses ("").
func pauses(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Pause, error) {
	var all []Pause
	err := q.Select(ctx, &all, `select organisation_id, batch_id, words, actor, at from pauses where ? = '' or organisation_id in ('', ?) order by organisation_id, batch_id`,
		organisationID, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list pauses: %w", err)
	}
	return all, nil
}

// Drop takes a claim that waits or has failed out of the queue, by hand: it is open again, and
// its learner is asked anew. A claim that is being sealed, or is sealed, is ErrState; so is one
// with a credential whose correction waits, which has a way of its own to be given up.
func (d *Desk) Drop(ctx context.Context, organisationID, claimID, by string) error {
	return d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		at := sqldb.UTC(d.now())
		n, err := tx.Exec(ctx, `update claims set state = ?, batch_id = '', given_name = '', family_name = '', consent_at = null, attempts = 0, not_before = ?, last_error = '', updated_at = ?
			where organisation_id = ? and id = ? and state in (?, ?) and revision = 1`, Open, at, at, organisationID, claimID, Queued, Failed)
		if err != nil {
			return fmt.Errorf("drop claim: %w", err)
		}
		if n == 0 {
			c, err := d.byID(ctx, tx, organisationID, claimID)
			if err != nil {
				return err
			}
			if c.Revision > 1 && c.Revision == c.Term && (c.State == Queued || c.State == Failed) {
				return refused{"it has a credential already, and what waits is its renewal: try it again"}
			}
			if c.Revision > 1 && (c.State == Queued || c.State == Failed) {
				return refused{"a corrected credential of it waits; give the correction up instead, on the page Corrections or by sealsmith corrections end"}
			}
			return refused{"a claim that is " + string(c.State) + " is not in the queue"}
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: organisationID, At: at, Actor: by, Action: "claim dropped", Subject: claimID})
	})
}

// RetryFailed puts all failed claims of an organisation back into the queue, by hand, and
// returns how many.
func (d *Desk) RetryFailed(ctx context.Context, organisationID, by string) (int, error) {
	const page = 1000
	done := 0
	for {
		failed, err := d.InQueue(ctx, organisationID, []State{Failed}, page)
		if err != nil || len(failed) == 0 {
			return done, err
		}
		for _, c := range failed {
			switch err := d.Retry(ctx, organisationID, c.ID, by); {
			case errors.Is(err, ErrState): // by somebody else, in this moment
			case err != nil:
				return done, err
			default:
				done++
			}
		}
	}
}
