package issuance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// standsFor is the condition for the credential of a claim that has nobody in its place.
const standsFor = `k.organisation_id = ? and k.claim_id = ? and k.sealed_at is not null and k.replaced_by is null`

// replaced returns the id of the credential whose place the next one of the claim will take:
// none for the first revision.
func (w *Worker) replaced(ctx context.Context, c Claim) (string, error) {
	if c.Revision == 1 {
		return "", nil
	}
	old, err := credential(ctx, w.DB, standsFor, c.OrganisationID, c.ID)
	if err != nil {
		return "", fmt.Errorf("find the credential to be replaced: %w", err)
	}
	return old.ID, nil
}

// firstIssue is when the first credential of the claim's term was issued: no award is later, its
// end counts from then, and it is the same in all revisions but those that renew.
func (w *Worker) firstIssue(ctx context.Context, c Claim, cred Credential) (time.Time, error) {
	if c.Revision == c.Term {
		return cred.IssuedAt, nil
	}
	var at time.Time
	err := w.DB.Get(ctx, &at, `select issued_at from credentials where organisation_id = ? and claim_id = ? and revision = ?`, c.OrganisationID, c.ID, c.Term)
	if err != nil {
		return at, fmt.Errorf("read when the first credential was issued: %w", err)
	}
	return at, nil
}

// takePlace puts a credential that is sealed in the place of the one it replaces, in the same
// transaction: one of the two is in force at every moment. When that one is suspended, so is
// the new one: a correct name says nothing about why.
func takePlace(ctx context.Context, tx *sqldb.Tx, cred Credential, now time.Time) error {
	if cred.Replaces == "" {
		return nil
	}
	n, err := tx.Exec(ctx, `update credentials set replaced_by = ?, replaced_at = coalesce(replaced_at, ?) where organisation_id = ? and id = ? and (replaced_by is null or replaced_by = ?)`,
		cred.ID, now, cred.OrganisationID, cred.Replaces, cred.ID)
	if err != nil {
		return fmt.Errorf("replace a credential: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("replace credential %s by %s: %w", cred.Replaces, cred.ID, ErrState)
	}
	_, err = tx.Exec(ctx, `insert into withdrawals (credential_id, number, organisation_id, kind, reason, words, actor, at)
		select ?, 1, organisation_id, kind, reason, words, actor, ? from withdrawals where credential_id = ? and kind = ?
			and number = (select max(x.number) from withdrawals x where x.credential_id = ?) on conflict (credential_id, number) do nothing`,
		cred.ID, now, cred.Replaces, ActSuspend, cred.Replaces)
	if err != nil {
		return fmt.Errorf("hand a suspension on: %w", err)
	}
	_, err = tx.Exec(ctx, `update corrections set state = ?, ended_at = ? where organisation_id = ? and claim_id = ? and revision = ? and state = ?`,
		CorrectionDone, now, cred.OrganisationID, cred.ClaimID, cred.Revision, CorrectionConfirmed)
	if err != nil {
		return fmt.Errorf("end a correction: %w", err)
	}
	return sqldb.Audit(ctx, tx, sqldb.Event{
		OrganisationID: cred.OrganisationID, At: now, Actor: "worker", Action: "credential replaced",
		Subject: cred.ClaimID, Detail: "credential " + cred.Replaces + " by " + cred.ID,
	})
}

// mend finds claims with a confirmed correction that nobody is at. Only a worker of the release
// before corrections leaves one, which knows one credential per claim and stops when it finds
// that sealed: it may share the queue while servers are brought up to date.
func (w *Worker) mend(ctx context.Context) error {
	// Both conditions on the state, so that either database takes the small index.
	const left = `id in (select claim_id from corrections where state in ('asked', 'confirmed') and state = 'confirmed') and state in (?, ?)`
	found, err := exists(ctx, w.DB, `select count(*) from claims where `+left, Sealed, Delivered)
	if err != nil || !found {
		return err
	}
	now := sqldb.UTC(w.Now())
	n, err := w.DB.Exec(ctx, `update claims set state = ?, attempts = 0, not_before = ?, updated_at = ? where `+left, Queued, now, now, Sealed, Delivered)
	if err != nil {
		return fmt.Errorf("look after corrections: %w", err)
	}
	w.Logger.WarnContext(ctx, "corrected claims wait for the seal again: a worker of an older release had them", "claims", n)
	return nil
}

// dropCorrection ends a correction of the claim that is not done, if there is one: nothing comes
// of it any more. The name of the claim becomes again that of its credential.
func dropCorrection(ctx context.Context, tx *sqldb.Tx, organisationID, claimID string, what done) error {
	var c Correction
	err := tx.Get(ctx, &c, `update corrections set state = ?, ended_at = ? where organisation_id = ? and claim_id = ? and state in ('asked', 'confirmed')
		returning `+correctionNames, CorrectionDropped, what.at, organisationID, claimID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("drop a correction: %w", err)
	}
	if c.Revision != 0 {
		_, err := tx.Exec(ctx, `update claims set given_name = ?, family_name = ? where organisation_id = ? and id = ?`, c.OldGiven, c.OldFamily, organisationID, claimID)
		if err != nil {
			return fmt.Errorf("take back the name of a claim: %w", err)
		}
	}
	return auditCorrection(ctx, tx, c, what)
}

// eraseCorrections ends what was asked about a credential that is erased, and takes the name in it
// out of the corrections before and after it. While a corrected one waits it is refused: that one
// is made from what is to be erased.
func eraseCorrections(ctx context.Context, tx *sqldb.Tx, at time.Time, e erasure) error {
	waits, err := exists(ctx, tx, `select count(*) from corrections where organisation_id = ? and claim_id = ? and state = ?`, e.organisationID, e.claimID, CorrectionConfirmed)
	if err != nil {
		return err
	}
	if waits {
		return refused{"a corrected credential of it waits for the seal; wait for that, or give the correction up"}
	}
	if err := dropCorrection(ctx, tx, e.organisationID, e.claimID, done{"dropped", e.by, at}); err != nil {
		return err
	}
	for _, query := range []string{
		`update corrections set old_given = '', old_family = '' where organisation_id = ? and claim_id = ? and credential_id = ?`,
		`update corrections set new_given = '', new_family = '' where organisation_id = ? and claim_id = ? and revision > 1 and revision = (select revision from credentials where id = ?)`,
	} {
		if _, err := tx.Exec(ctx, query, e.organisationID, e.claimID, e.credentialID); err != nil {
			return fmt.Errorf("erase the name in a correction: %w", err)
		}
	}
	return nil
}
