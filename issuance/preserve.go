package issuance

import (
	"context"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// plan notes in the transaction of the seal that more is to be added to it.
func plan(ctx context.Context, tx *sqldb.Tx, cred Credential, now time.Time) error {
	if templates.SealB.Reaches(cred.Goal) || cred.Goal == "" {
		return nil
	}
	_, err := tx.Exec(ctx, `insert into credential_proofs (credential_id, organisation_id, goal, level, not_before, attempts, last_error, updated_at)
		values (?, ?, ?, ?, ?, 0, '', ?) on conflict (credential_id) do nothing`,
		cred.ID, cred.OrganisationID, cred.Goal, templates.SealB, now, now)
	if err != nil {
		return fmt.Errorf("plan the proofs: %w", err)
	}
	return nil
}

// ProofLoad is how many sealed credentials wait for what is to be added to them.
type ProofLoad struct {
	Waiting   int
	LastError string // of the one that has waited longest, in words, renewals included; empty when none has failed
}

// Proofs counts the credentials of an organisation that have not reached their level.
func (d *Desk) Proofs(ctx context.Context, organisationID string) (ProofLoad, error) {
	var l ProofLoad
	err := d.db.Get(ctx, &l.Waiting, `select count(*) from credential_proofs where organisation_id = ? and level <> goal`, organisationID)
	if err != nil {
		return ProofLoad{}, fmt.Errorf("count proofs: %w", err)
	}
	var words []string
	err = d.db.Select(ctx, &words, `select last_error from credential_proofs where organisation_id = ? and last_error <> '' order by updated_at limit 1`, organisationID)
	if err != nil {
		return ProofLoad{}, fmt.Errorf("read why proofs wait: %w", err)
	}
	if len(words) > 0 {
		l.LastError = words[0]
	}
	return l, nil
}
