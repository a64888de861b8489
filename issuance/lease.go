package issuance

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// lease takes the claim for one attempt, by compare-and-swap: it must be queued and due,
// or its former lease must have ended. ErrNotFound means that there is nothing to do.
func (w *Worker) lease(ctx context.Context, claimID string) (Claim, error) {
	now := sqldb.UTC(w.Now())
	token, err := w.random(16 - nameBytes)
	if err != nil {
		return Claim{}, err
	}
	token = w.name() + token
	var c Claim
	taken := false
	err = w.inTx(ctx, func(tx *sqldb.Tx) error {
		err := tx.Get(ctx, &c, `update claims set state = ?, lease_token = ?, lease_until = ?, attempts = attempts + 1, updated_at = ?
			where id = ? and case state when ? then not_before <= ? when ? then lease_until < ? else false end`+notPaused+` returning `+claimNames,
			Sealing, token, now.Add(w.Lease), now, claimID, Queued, now, Sealing, now)
		if taken = !errors.Is(err, sql.ErrNoRows); !taken {
			return nil // no failure, which would be one of the whole group
		}
		return err
	})
	if err != nil {
		return Claim{}, fmt.Errorf("lease claim: %w", err)
	}
	if !taken {
		return Claim{}, ErrNotFound
	}
	return c, nil
}

// release gives the claim back: to wait until notBefore, or for good when next is Failed.
// A lease that was lost in the meantime is left to its new holder.
func (w *Worker) release(ctx context.Context, c Claim, next State, notBefore time.Time, words string) error {
	now := sqldb.UTC(w.Now())
	return w.DB.InTx(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `update claims set state = ?, not_before = ?, last_error = ?, attempts = ?, lease_token = '', lease_until = null, updated_at = ?
			where organisation_id = ? and id = ? and state = ? and lease_token = ?`,
			next, sqldb.UTC(notBefore), words, c.Attempts, now, c.OrganisationID, c.ID, Sealing, c.LeaseToken)
		if err != nil {
			return fmt.Errorf("release claim: %w", err)
		}
		if n == 0 || next != Failed {
			return nil
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: c.OrganisationID, At: now, Actor: "worker", Action: "claim failed", Subject: c.ID, Detail: words})
	})
}

// intent stores the payload before the key is touched, if the lease still holds.
func (w *Worker) intent(ctx context.Context, c Claim, cred Credential) error {
	return w.inTx(ctx, func(tx *sqldb.Tx) error {
		// Locks the row against the next lease, too.
		n, err := tx.Exec(ctx, `update claims set updated_at = ? where organisation_id = ? and id = ? and state = ? and lease_token = ?`,
			cred.CreatedAt, c.OrganisationID, c.ID, Sealing, c.LeaseToken)
		if err != nil {
			return fmt.Errorf("hold the lease: %w", err)
		}
		if n == 0 {
			return errLeaseLost
		}
		_, err = tx.Exec(ctx, `insert into credentials (id, organisation_id, claim_id, issued_at, valid_until, payload, payload_sha256, key_id, link, created_at, revision, replaces)
			values (?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?)`,
			cred.ID, cred.OrganisationID, cred.ClaimID, cred.IssuedAt, cred.ValidUntil, cred.Payload, cred.PayloadSHA256, cred.Link, cred.CreatedAt,
			cred.Revision, sql.NullString{String: cred.Replaces, Valid: cred.Replaces != ""})
		if err != nil {
			return fmt.Errorf("store intent: %w", err)
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: c.OrganisationID, At: w.Now(), Actor: "worker", Action: "sealing begun",
			Subject: c.ID, Detail: "credential " + cred.ID + " sha256 " + cred.PayloadSHA256,
		})
	})
}

// rewrite replaces the payload of an intent that was never sealed, keeping id and
// link: the seal certificate has changed since, and the issuer is taken from it, or the
// intent has grown old. A worker that has lost its lease must not: the new holder may be
// sealing the payload that stands.
func (w *Worker) rewrite(ctx context.Context, c Claim, cred Credential) error {
	n, err := w.DB.Exec(ctx, `update credentials set payload = ?, payload_sha256 = ?, issued_at = ?, valid_until = ? where organisation_id = ? and id = ? and sealed_at is null
		and exists (select 1 from claims where claims.id = credentials.claim_id and claims.state = ? and claims.lease_token = ?)`,
		cred.Payload, cred.PayloadSHA256, cred.IssuedAt, cred.ValidUntil, cred.OrganisationID, cred.ID, Sealing, c.LeaseToken)
	if err != nil {
		return fmt.Errorf("rewrite intent: %w", err)
	}
	if n == 0 {
		return errLeaseLost
	}
	return nil
}

// errLeaseLost says that another worker holds the claim now; its result will stand.
var errLeaseLost = errors.New("the lease of the claim was lost")

// keep stores the sealed file and ends the claim, if the lease still holds.
func (w *Worker) keep(ctx context.Context, c Claim, cred Credential) error {
	now := sqldb.UTC(w.Now())
	return w.inTx(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `update claims set state = ?, last_error = '', lease_token = '', lease_until = null, updated_at = ?
			where organisation_id = ? and id = ? and state = ? and lease_token = ?`, Sealed, now, c.OrganisationID, c.ID, Sealing, c.LeaseToken)
		if err != nil {
			return fmt.Errorf("end claim: %w", err)
		}
		if n == 0 {
			return errLeaseLost
		}
		// The payload is in the sealed file now. SQLite writes a row anew whole, and would write it again.
		n, err = tx.Exec(ctx, `update credentials set payload = ?, sealed = ?, sealed_at = ?, key_id = ? where organisation_id = ? and id = ? and sealed_at is null`,
			[]byte{}, cred.Sealed, now, cred.KeyID, cred.OrganisationID, cred.ID)
		if err != nil {
			return fmt.Errorf("store sealed credential: %w", err)
		}
		if n == 0 && !cred.SealedAt.Valid {
			return fmt.Errorf("store sealed credential %s: %w", cred.ID, ErrState)
		}
		if err := plan(ctx, tx, cred, now); err != nil {
			return err
		}
		if err := enlist(ctx, tx, cred.OrganisationID, cred.ID, now); err != nil {
			return err
		}
		if err := takePlace(ctx, tx, cred, now); err != nil {
			return err
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: c.OrganisationID, At: now, Actor: "worker", Action: "credential sealed",
			Subject: c.ID, Detail: "credential " + cred.ID + " key " + cred.KeyID,
		})
	})
}

func (w *Worker) random(n int) (string, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}
	return hex.EncodeToString(b), nil
}
