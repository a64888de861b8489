package issuance

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// steps are those of the program that stand before the cause in an error of a worker. The log has
// them; a person who has to do something about the cause is kept from it by them.
var steps = regexp.MustCompile(`^(?:(?:seal|build|draw the page|ask for the key|sign with key [0-9a-f]+|sealing is paused): )+`)

// Cause says in words for people why an attempt came to nothing, out of what a worker has kept.
func Cause(kept string) string { return steps.ReplaceAllString(kept, "") }

// Cause says in words for people why the last attempt came to nothing; empty: there was none.
func (c Claim) Cause() string { return Cause(c.LastError) }

// InQueue lists claims of an organisation that are not sealed yet though their learners have
// confirmed them, in the order in which they are tried: for operators. states are Queued,
// Sealing and Failed, or none for all three; at most limit are returned.
func (d *Desk) InQueue(ctx context.Context, organisationID string, states []State, limit int) ([]Claim, error) {
	all := []State{Queued, Sealing, Failed}
	if len(states) == 0 {
		states = all
	}
	args := []any{organisationID}
	for _, s := range states {
		if !slices.Contains(all, s) {
			return nil, fmt.Errorf("%w: a claim that is %s waits for nothing", ErrState, s)
		}
		args = append(args, s)
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(states)), ", ")
	var out []Claim
	err := d.db.Select(ctx, &out, `select `+claimNames+` from claims where organisation_id = ? and state in (`+marks+`) order by not_before, id limit ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("list claims in the queue: %w", err)
	}
	return out, nil
}

// Claim returns a claim by its id, or ErrNotFound.
func (d *Desk) Claim(ctx context.Context, organisationID, claimID string) (Claim, error) {
	return d.byID(ctx, d.db, organisationID, claimID)
}

// RetryProofs lets the credentials of an organisation that have not reached their level, or
// whose last renewal came to nothing, be tried again at once, by hand: after what was in the
// way is gone. It returns how many.
func (d *Desk) RetryProofs(ctx context.Context, organisationID, by string) (int, error) {
	var n int64
	err := d.db.InTx(ctx, func(tx *sqldb.Tx) (err error) {
		at := sqldb.UTC(d.now())
		n, err = tx.Exec(ctx, `update credential_proofs set not_before = ?, attempts = 0, updated_at = ? where organisation_id = ? and credential_id in
			(select credential_id from credential_proofs where organisation_id = ? and level <> goal union select credential_id from credential_proofs where organisation_id = ? and last_error <> '')`,
			at, at, organisationID, organisationID, organisationID)
		if err != nil {
			return fmt.Errorf("retry proofs: %w", err)
		}
		if n == 0 {
			return nil
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: organisationID, At: at, Actor: by, Action: "proofs retried", Subject: organisationID, Detail: fmt.Sprint(n)})
	})
	return int(n), err
}
