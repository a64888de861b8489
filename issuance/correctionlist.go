package issuance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// Correction returns a correction by its id, or ErrNotFound.
func (d *Desk) Correction(ctx context.Context, organisationID, id string) (Correction, error) {
	return correction(ctx, d.db, organisationID, id)
}

func correction(ctx context.Context, q sqldb.Queryer, organisationID, id string) (Correction, error) {
	var c Correction
	err := q.Get(ctx, &c, `select `+correctionNames+` from corrections where organisation_id = ? and id = ?`, organisationID, id)
	if errors.Is(err, sql.ErrNoRows) {
		return Correction{}, ErrNotFound
	}
	if err != nil {
		return Correction{}, fmt.Errorf("read a correction: %w", err)
	}
	return c, nil
}

// Corrections lists corrections of an organisation: those in the states, or all when none is
// named; at most limit. What is open comes with the oldest first, as it is to be decided, all
// else with the newest first.
func (d *Desk) Corrections(ctx context.Context, organisationID string, states []CorrectionState, limit int) ([]Correction, error) {
	condition, args, order := "", []any{organisationID}, "asked_at desc, id desc"
	for _, s := range states {
		if !slices.Contains(CorrectionStates(), s) {
			return nil, fmt.Errorf("%w: no correction is %q", ErrState, s)
		}
		args = append(args, s)
	}
	if len(states) > 0 {
		condition = ` and state in (` + strings.TrimSuffix(strings.Repeat("?, ", len(states)), ", ") + `)`
		if !slices.ContainsFunc(states, func(s CorrectionState) bool { return s != CorrectionAsked && s != CorrectionConfirmed }) {
			order = "asked_at, id"
		}
	}
	var all []Correction
	err := d.db.Select(ctx, &all, `select `+correctionNames+` from corrections where organisation_id = ?`+condition+` order by `+order+` limit ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("list corrections: %w", err)
	}
	return all, nil
}

// CorrectionsOf lists all corrections of a claim, the newest first.
func (d *Desk) CorrectionsOf(ctx context.Context, organisationID, claimID string) ([]Correction, error) {
	var all []Correction
	err := d.db.Select(ctx, &all, `select `+correctionNames+` from corrections where organisation_id = ? and claim_id = ? order by asked_at desc, id desc`, organisationID, claimID)
	if err != nil {
		return nil, fmt.Errorf("list corrections of a claim: %w", err)
	}
	return all, nil
}

// CorrectionsWaiting counts what waits for staff of an organisation: what was asked, and what
// was confirmed and could not be sealed.
func (d *Desk) CorrectionsWaiting(ctx context.Context, organisationID string) (int, error) {
	var n int
	err := d.db.Get(ctx, &n, `select count(*) from corrections x join claims c on c.id = x.claim_id and c.organisation_id = x.organisation_id
		where x.organisation_id = ? and (x.state = ? or x.state = ? and c.state = ?)`, organisationID, CorrectionAsked, CorrectionConfirmed, Failed)
	if err != nil {
		return 0, fmt.Errorf("count corrections: %w", err)
	}
	return n, nil
}

// CredentialsOf returns all that a claim became, the newest first, intents included; what was
// erased is left out. It fails with ErrFileAway and ErrFileDamaged.
func (d *Desk) CredentialsOf(ctx context.Context, organisationID, claimID string) ([]Credential, error) {
	var rows []credentialRow
	err := d.db.Select(ctx, &rows, credentialFrom+`k.organisation_id = ? and k.claim_id = ? and k.erased_at is null order by k.revision desc`, organisationID, claimID)
	if err != nil {
		return nil, fmt.Errorf("list credentials of a claim: %w", err)
	}
	all := make([]Credential, len(rows))
	for i := range rows {
		if all[i], err = rows[i].open(ctx, d.objects); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// CredentialByID returns one credential of the organisation by its id, a UUID, also when it is
// an intent only (Sealed nil), or ErrNotFound.
func (d *Desk) CredentialByID(ctx context.Context, organisationID, id string) (Credential, error) {
	return openCredential(ctx, d.db, d.objects, `k.organisation_id = ? and k.id = ?`, organisationID, id)
}
