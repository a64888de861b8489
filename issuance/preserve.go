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
