package issuance

import (
	"context"
	"fmt"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// Renewal asks for a new credential in the place of one that ends.
type Renewal struct {
	OrganisationID, ClaimID string
	BatchID                 string // the line in which the claim waits; empty: its learner asked
	By                      string // as in the audit trail
}

// Renew puts the claim of a credential that ends soon, or has ended, into the queue again,
// inside a transaction of the caller. The new credential is made on the decision and the
// template version that stand now, is valid for a term of its own, and takes the place of the
// old one when it is sealed; until then the old one is what it is.
//
// It fails with ErrNotFound; with ErrNotComplete when nothing was completed since the old one
// was sealed; in words that fit with ErrState: the credential has no end or not soon, is not
// in force, or its name is being corrected. The Ending is that of the old one.
func (d *Desk) Renew(ctx context.Context, tx *sqldb.Tx, r Renewal) (Claim, Ending, error) {
	c, now, err := d.hold(ctx, tx, r.OrganisationID, r.ClaimID)
	if err != nil {
		return c, Ending{}, err
	}
	e, err := endOf(ctx, tx, r.OrganisationID, r.ClaimID)
	if err != nil {
		return c, e, refused{"it does not end"}
	}
	if err := d.renewable(ctx, tx, c, now, e); err != nil {
		return c, e, err
	}
	standing, err := grading.Latest(ctx, tx, c.OrganisationID, c.AttachmentID, c.Learner)
	if err != nil {
		return c, e, err
	}
	at := sqldb.UTC(d.now())
	n, err := tx.Exec(ctx, `update claims set state = ?, revision = revision + 1, term = revision + 1, decision_id = ?, version_id = ?, batch_id = ?, attempts = 0, not_before = ?, last_error = '', updated_at = ?
		where organisation_id = ? and id = ? and state = ? and revision = ?`,
		Queued, standing.ID, standing.VersionID, r.BatchID, at, at, c.OrganisationID, c.ID, c.State, c.Revision)
	if err != nil {
		return c, e, fmt.Errorf("queue a claim to be renewed: %w", err)
	}
	if n == 0 {
		return c, e, ErrState
	}
	c.State, c.Revision, c.Term, c.DecisionID, c.VersionID, c.BatchID = Queued, c.Revision+1, c.Revision+1, standing.ID, standing.VersionID, r.BatchID
	return c, e, sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: r.OrganisationID, At: at, Actor: r.By, Action: "claim renewed", Subject: c.ID, Detail: "credential " + e.CredentialID})
}

func (d *Desk) renewable(ctx context.Context, tx *sqldb.Tx, c Claim, now Standing, e Ending) error {
	var corrections int
	err := tx.Get(ctx, &corrections, `select count(*) from corrections where organisation_id = ? and claim_id = ? and state in ('asked', 'confirmed')`, c.OrganisationID, c.ID)
	switch {
	case err != nil:
		return fmt.Errorf("look for corrections: %w", err)
	case c.State != Sealed && c.State != Delivered || now.Withdrawn():
		return refused{"it is not in force, or waits for the seal already"}
	case corrections > 0:
		return refused{"its name is being corrected; renew it when that is done"}
	case !e.Soon(d.now()):
		return refused{"it does not end before " + day(e.ValidUntil)}
	case !e.Renewable():
		return ErrNotComplete
	}
	return nil
}

// RenewOwn is Renew by the learner, for the claim of an attachment.
func (d *Desk) RenewOwn(ctx context.Context, organisationID, attachmentID, learner string) error {
	own, err := d.OfLearner(ctx, organisationID, attachmentID, learner)
	if err != nil {
		return err
	}
	err = d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		_, _, err := d.Renew(ctx, tx, Renewal{OrganisationID: organisationID, ClaimID: own.ID, By: ByLearner})
		return err
	})
	if err != nil {
		return err
	}
	d.offer(ctx, own.ID)
	return nil
}
