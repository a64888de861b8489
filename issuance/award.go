package issuance

import (
	"context"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// Award is the organisation's word that a claim is sealed without waiting for its learner:
// one of many of a batch.
type Award struct {
	OrganisationID, AttachmentID string
	Learner                      string // LTI subject
	Name                         Name   // as the platform or the file of grades tells it
	BatchID                      string // the line in which the claim waits
	By                           string // as in the audit trail
}

// Award queues an open claim, inside the transaction in which the batch notes that it has.
// The claim has no moment of consent: the learner has said nothing, and whether the
// credential is shown to anybody stays with them.
//
// It fails with ErrName; with ErrNotFound when nothing was ever completed; with
// ErrNotComplete when what stands now is no completion; with ErrState when the claim is no
// longer open: the learner has claimed, or it was awarded before. Workers find the claim by
// its row, when it is its line's turn.
func (d *Desk) Award(ctx context.Context, tx *sqldb.Tx, a Award) (Claim, error) {
	name, err := a.Name.Clean()
	if err != nil {
		return Claim{}, err
	}
	c, err := d.claim(ctx, tx, `select `+claimNames+` from claims where organisation_id = ? and attachment_id = ? and learner = ?`, a.OrganisationID, a.AttachmentID, a.Learner)
	if err != nil {
		return Claim{}, err
	}
	if c.State != Open {
		return c, ErrState
	}
	standing, err := grading.Latest(ctx, tx, a.OrganisationID, a.AttachmentID, a.Learner)
	if err != nil {
		return Claim{}, err
	}
	if !standing.Complete {
		return c, ErrNotComplete
	}
	at := sqldb.UTC(d.now())
	n, err := tx.Exec(ctx, `update claims set state = ?, given_name = ?, family_name = ?, batch_id = ?, decision_id = ?, version_id = ?, not_before = ?, updated_at = ?
		where organisation_id = ? and id = ? and state = ?`, Queued, name.Given, name.Family, a.BatchID, standing.ID, standing.VersionID, at, at, a.OrganisationID, c.ID, Open)
	if err != nil {
		return Claim{}, fmt.Errorf("award claim: %w", err)
	}
	if n == 0 { // the learner claimed at the same moment
		return c, ErrState
	}
	c.State, c.GivenName, c.FamilyName, c.DecisionID, c.VersionID, c.NotBefore, c.UpdatedAt = Queued, name.Given, name.Family, standing.ID, standing.VersionID, at, at
	return c, sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: a.OrganisationID, At: at, Actor: a.By, Action: "claim awarded", Subject: c.ID, Detail: "batch " + a.BatchID})
}

// Announced returns the day before which a claim of the learner is not sealed, because a
// batch that has been confirmed has it for then; the zero time when there is none.
func (d *Desk) Announced(ctx context.Context, organisationID, attachmentID, learner string) (time.Time, error) {
	return announced(ctx, d.db, Claim{OrganisationID: organisationID, AttachmentID: attachmentID, Learner: learner}, d.now())
}

func announced(ctx context.Context, q sqldb.Queryer, c Claim, now time.Time) (time.Time, error) {
	var all []time.Time
	err := q.Select(ctx, &all, `select b.starts_at from batch_rows r join batches b on b.id = r.batch_id and b.organisation_id = r.organisation_id
		where r.organisation_id = ? and r.learner = ? and r.outcome = '' and b.attachment_id = ? and b.state = 'running' and b.award and b.starts_at > ?
		order by b.starts_at limit 1`, c.OrganisationID, c.Learner, c.AttachmentID, sqldb.UTC(now))
	if err != nil || len(all) == 0 {
		return time.Time{}, wrap("look for an announced batch", err)
	}
	return all[0].UTC(), nil
}

// sealedFrom is when a claim that is confirmed at a time may be sealed.
func sealedFrom(ctx context.Context, tx *sqldb.Tx, c Claim, at time.Time) (time.Time, error) {
	announced, err := announced(ctx, tx, c, at)
	if err != nil || announced.After(at) {
		return announced, err
	}
	return at, nil
}

func wrap(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
