package issuance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// ConfirmCorrection makes the corrected name that of the claim and puts the claim into the queue
// again. The old credential is in force until the corrected one is sealed. It fails with
// ErrCorrection without evidence, reference or words, with ErrNotFound, or, in words that fit,
// with ErrState: the correction does not wait any more, the credential is not in force, or the
// name is that of who confirms it. Where revoking takes two people, what staff have asked for
// themselves is ErrSecondPerson, and an operator without a name ErrNobody.
func (d *Desk) ConfirmCorrection(ctx context.Context, r Ruling) (Correction, error) {
	return d.rule(ctx, r, func(h *heldCorrection) error { return h.confirm(ctx, r) })
}

// Correct is Propose and ConfirmCorrection in one, for staff who have seen evidence before the
// learner has asked. The id in r is ignored. Errors are those of both, and ErrSecondPerson where
// revoking takes two people: then one proposes, and somebody else confirms.
func (d *Desk) Correct(ctx context.Context, p Proposal, r Ruling) (out Correction, err error) {
	err = d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		c, err := d.propose(ctx, tx, p)
		if err != nil {
			return err
		}
		r.OrganisationID, r.CorrectionID = c.OrganisationID, c.ID
		h, err := d.holdCorrection(ctx, tx, r)
		if err != nil {
			return err
		}
		if err := h.confirm(ctx, r); err != nil {
			return err
		}
		out = h.c
		return nil
	})
	if err != nil {
		return Correction{}, err
	}
	d.offer(ctx, out.ClaimID)
	return out, nil
}

// DeclineCorrection ends a correction that waits; the name stays. It fails with ErrCorrection
// without words, ErrNotFound, or ErrState when it does not wait any more.
func (d *Desk) DeclineCorrection(ctx context.Context, r Ruling) (Correction, error) {
	return d.rule(ctx, r, func(h *heldCorrection) error {
		if err := h.decided(r, CorrectionDeclined); err != nil {
			return err
		}
		h.c.EndedAt = h.c.DecidedAt
		return h.save(ctx, CorrectionAsked, "declined", r.By)
	})
}

// GiveUpCorrection ends a confirmed correction whose credential is not sealed and cannot be, or
// shall not be: the claim has its old name and its old credential again, which was in force all
// the time. Errors are those of DeclineCorrection; what is being sealed at this moment is ErrState.
func (d *Desk) GiveUpCorrection(ctx context.Context, r Ruling) (Correction, error) {
	return d.rule(ctx, r, func(h *heldCorrection) error {
		words, ok := tidy(r.Words, correctionWords)
		if !ok {
			return ErrCorrection
		}
		if h.c.State != CorrectionConfirmed {
			return refused{"nothing of it waits for the seal"}
		}
		n, err := h.tx.Exec(ctx, `update claims set state = ?, given_name = ?, family_name = ?, last_error = '', updated_at = ? where organisation_id = ? and id = ? and state in (?, ?)`,
			h.c.ClaimState, h.c.OldGiven, h.c.OldFamily, h.at, h.c.OrganisationID, h.c.ClaimID, Queued, Failed)
		if err != nil {
			return fmt.Errorf("take back the name of a claim: %w", err)
		}
		if n == 0 {
			return refused{"it is being sealed at this moment"}
		}
		h.c.State, h.c.Answer, h.c.EndedAt = CorrectionDropped, words, sql.NullTime{Time: h.at, Valid: true}
		return h.save(ctx, CorrectionConfirmed, "dropped", r.By)
	})
}

// TakeBackCorrection ends a correction that waits, by the learner who has asked. It fails with
// ErrNotFound, or ErrState when none waits.
func (d *Desk) TakeBackCorrection(ctx context.Context, organisationID, claimID string) error {
	return d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		if _, _, err := d.hold(ctx, tx, organisationID, claimID); err != nil {
			return err
		}
		at := sqldb.UTC(d.now())
		var c Correction
		err := tx.Get(ctx, &c, `update corrections set state = ?, ended_at = ? where organisation_id = ? and claim_id = ? and state = ? and asked_by = ? returning `+correctionNames,
			CorrectionWithdrawn, at, organisationID, claimID, CorrectionAsked, ByLearner)
		if errors.Is(err, sql.ErrNoRows) {
			return refused{"nothing that you have asked for waits any more"}
		}
		if err != nil {
			return fmt.Errorf("take back a correction: %w", err)
		}
		return auditCorrection(ctx, tx, c, done{"taken back", ByLearner, at})
	})
}

// heldCorrection is a correction, with the row of its claim taken until the commit.
type heldCorrection struct {
	tx    *sqldb.Tx
	c     Correction
	claim Claim
	now   Standing // of the claim's newest credential
	at    time.Time
}

// rule does what staff say to a correction. What is in the queue afterwards is offered.
func (d *Desk) rule(ctx context.Context, r Ruling, do func(h *heldCorrection) error) (Correction, error) {
	var h *heldCorrection
	err := d.db.InTx(ctx, func(tx *sqldb.Tx) (err error) {
		if h, err = d.holdCorrection(ctx, tx, r); err != nil {
			return err
		}
		return do(h)
	})
	if err != nil {
		return Correction{}, err
	}
	if h.c.State == CorrectionConfirmed {
		d.offer(ctx, h.c.ClaimID)
	}
	return h.c, nil
}

// holdCorrection reads a correction, takes its claim, and reads it again: whoever has had the
// claim before may have decided.
func (d *Desk) holdCorrection(ctx context.Context, tx *sqldb.Tx, r Ruling) (*heldCorrection, error) {
	c, err := correction(ctx, tx, r.OrganisationID, r.CorrectionID)
	if err != nil {
		return nil, err
	}
	h := &heldCorrection{tx: tx, at: sqldb.UTC(d.now())}
	if h.claim, h.now, err = d.hold(ctx, tx, c.OrganisationID, c.ClaimID); err != nil {
		return nil, err
	}
	h.c, err = correction(ctx, tx, r.OrganisationID, r.CorrectionID)
	return h, err
}

// decided notes the ruling in the correction, or says why there is nothing to decide.
func (h *heldCorrection) decided(r Ruling, state CorrectionState) error {
	words, ok := tidy(r.Words, correctionWords)
	if !ok {
		return ErrCorrection
	}
	switch {
	case h.c.State == CorrectionWithdrawn:
		return refused{"the learner has taken it back"}
	case h.c.State != CorrectionAsked && h.c.DecidedAt.Valid:
		return refused{"it was decided already, on " + day(h.c.DecidedAt.Time)}
	case h.c.State != CorrectionAsked:
		return refused{"it does not wait any more"}
	case r.By == "lms:"+h.claim.RegistrationID+":"+h.claim.Learner:
		return refused{"nobody decides about their own name; somebody else has to"}
	}
	h.c.State, h.c.Answer, h.c.DecidedBy, h.c.DecidedAt = state, words, r.By, sql.NullTime{Time: h.at, Valid: true}
	return nil
}

// second refuses who has asked themselves where revoking takes two people. A learner who has asked
// and one of staff who has seen a proof are two already.
func (h *heldCorrection) second(ctx context.Context, by string) error {
	if h.c.AskedBy == ByLearner || by != h.c.AskedBy && by != Operator {
		return nil
	}
	two, err := templates.RevokingTakesTwo(ctx, h.tx, h.c.OrganisationID, []string{h.claim.VersionID})
	switch {
	case err != nil || !two:
		return err
	case by == Operator:
		return ErrNobody
	}
	return ErrSecondPerson
}

func (h *heldCorrection) confirm(ctx context.Context, r Ruling) error {
	if err := h.second(ctx, r.By); err != nil {
		return err
	}
	reference, ok := tidy(r.Reference, correctionReference)
	if !ok || r.Evidence.Words() == "" {
		return ErrCorrection
	}
	if err := h.decided(r, CorrectionConfirmed); err != nil {
		return err
	}
	if err := correctable(h.claim, h.now); err != nil {
		return err
	}
	h.c.Evidence, h.c.Reference, h.c.Revision, h.c.ClaimState = r.Evidence, reference, h.claim.Revision+1, h.claim.State
	n, err := h.tx.Exec(ctx, `update claims set state = ?, given_name = ?, family_name = ?, revision = ?, attempts = 0, not_before = ?, last_error = '', updated_at = ?
		where organisation_id = ? and id = ? and state = ? and revision = ?`,
		Queued, h.c.NewGiven, h.c.NewFamily, h.c.Revision, h.at, h.at, h.c.OrganisationID, h.c.ClaimID, h.claim.State, h.claim.Revision)
	if err != nil {
		return fmt.Errorf("queue a corrected claim: %w", err)
	}
	if n == 0 {
		return ErrState
	}
	return h.save(ctx, CorrectionAsked, "confirmed", r.By)
}

// save writes the correction down when it is still as it was read.
func (h *heldCorrection) save(ctx context.Context, before CorrectionState, action, by string) error {
	n, err := h.tx.Exec(ctx, `update corrections set state = ?, evidence = ?, reference = ?, answer = ?, decided_by = ?, decided_at = ?, ended_at = ?, revision = ?, claim_state = ?
		where organisation_id = ? and id = ? and state = ?`,
		h.c.State, h.c.Evidence, h.c.Reference, h.c.Answer, h.c.DecidedBy, h.c.DecidedAt, h.c.EndedAt, h.c.Revision, h.c.ClaimState,
		h.c.OrganisationID, h.c.ID, before)
	if err != nil {
		return fmt.Errorf("decide about a correction: %w", err)
	}
	if n == 0 {
		return ErrState
	}
	return auditCorrection(ctx, h.tx, h.c, done{action, by, h.at})
}

// done is who did what to a correction, and when.
type done struct {
	action, by string
	at         time.Time
}

// auditCorrection writes what happened into the trail, without the names.
func auditCorrection(ctx context.Context, tx *sqldb.Tx, c Correction, what done) error {
	detail := "correction " + c.ID + " credential " + c.CredentialID
	if c.Evidence != "" {
		detail += " evidence " + string(c.Evidence)
	}
	return sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: c.OrganisationID, At: what.at, Actor: what.by, Action: "correction " + what.action, Subject: c.ClaimID, Detail: detail})
}
