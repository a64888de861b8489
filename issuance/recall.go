package issuance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/issuance/sealbook"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// ErrRestored says that the database does not know a credential that was given to the key: it was
// put back to an earlier state, or is another one.
var ErrRestored = errors.New("the database is older than what was sealed: a backup was restored, or it is another database; nothing is sealed until `sealsmith reconcile` was run")

// WorkerPaused is who has paused when a worker did: before a restored database is sealed from.
const WorkerPaused = "worker"

// restoredWords are shown to everybody who waits.
const restoredWords = "The database was put back to an earlier state. Before sealing goes on, an operator brings it in line with what was sealed since."

// Known asks whether the database knows the credential that was noted last: ErrRestored means
// that it does not. An empty book knows nothing against it.
func Known(ctx context.Context, q sqldb.Queryer, book sealbook.Book) error {
	n, found, err := book.Last()
	if err != nil || !found || n.Reconciled {
		return err
	}
	known, err := exists(ctx, q, `select count(*) from credentials where id = ?`, n.CredentialID)
	if err != nil || known {
		return err
	}
	return fmt.Errorf("%w (credential %s of %s is not in it)", ErrRestored, n.CredentialID, n.At.Format(time.RFC3339))
}

func exists(ctx context.Context, q sqldb.Queryer, query string, args ...any) (bool, error) {
	var n int
	if err := q.Get(ctx, &n, query, args...); err != nil {
		return false, fmt.Errorf("look for what is known: %w", err)
	}
	return n > 0, nil
}

// current stops sealing, here and everywhere, when the database is older than the book. Where the
// book cannot be read nothing is sealed either: what is not noted could be sealed twice.
func (w *Worker) current(ctx context.Context) error {
	if w.Book == nil {
		return nil
	}
	err := Known(ctx, w.DB, *w.Book)
	old := errors.Is(err, ErrRestored)
	if !w.older.Swap(old) && old {
		w.Logger.ErrorContext(ctx, "sealing stops", "err", err)
		now := sqldb.UTC(w.Now())
		stop := Pause{Words: restoredWords, By: WorkerPaused}
		if err := w.DB.InTx(ctx, func(tx *sqldb.Tx) error { return stop.store(ctx, tx, now) }); err != nil {
			w.Logger.ErrorContext(ctx, "other workers could not be stopped", "err", err)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnfit, err)
	}
	return nil
}

// note writes down what is about to be sealed.
func (w *Worker) note(c Claim, cred Credential) error {
	if w.Book == nil {
		return nil
	}
	err := w.Book.Add(sealbook.Note{
		At: sqldb.UTC(w.Now()), CredentialID: cred.ID, OrganisationID: c.OrganisationID, ClaimID: c.ID, AttachmentID: c.AttachmentID, Learner: c.Learner,
		IssuedAt: cred.IssuedAt.UTC(), Link: cred.Link, PayloadSHA256: cred.PayloadSHA256, Revision: cred.Revision, Replaces: cred.Replaces,
	})
	if err != nil {
		return fmt.Errorf("%w: %w; make room or rights for the seal book", errUnfit, err)
	}
	return nil
}

// Recalled is what came of one note.
type Recalled string

// The outcomes of Recall.
const (
	// RecallKnown: the database knows the credential.
	RecallKnown Recalled = "known"
	// RecallDone: its id, link and date stand again, and it will be sealed with them.
	RecallDone Recalled = "recalled"
	// RecallNoClaim: the learner has no claim yet, which is opened when the grades are read again; or
	// the correction of a name, from which it was made, is not there.
	RecallNoClaim Recalled = "no claim"
	// RecallOther: the claim has become another credential. Two are valid now; a person has to
	// withdraw one.
	RecallOther Recalled = "other credential"
	// RecallNoCorrection: it is a corrected credential, and the database does not know that a
	// correction was confirmed. When that is done again, the credential can be recalled.
	RecallNoCorrection Recalled = "no correction"
)

// Recall brings a credential that was noted outside of the database back into it, as an intent
// that is sealed when its claim is. The file that the learner may have and the one that is
// sealed anew have the same id, link and date. Doing it again changes nothing; a dry run never does.
func (d *Desk) Recall(ctx context.Context, n sealbook.Note, by string, dryRun bool) (Recalled, error) {
	outcome := RecallKnown
	err := d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		known, err := exists(ctx, tx, `select count(*) from credentials where id = ?`, n.CredentialID)
		if err != nil || known {
			return err
		}
		n.Revision = max(n.Revision, 1) // books of the release before corrections do not say
		var claim string
		if claim, outcome, err = recallable(ctx, tx, n); err != nil || outcome != RecallDone || dryRun {
			return err
		}
		at := sqldb.UTC(d.now())
		_, err = tx.Exec(ctx, `insert into credentials (id, organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, link, created_at, revision, replaces)
			values (?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?)`, n.CredentialID, n.OrganisationID, claim, sqldb.UTC(n.IssuedAt), []byte{}, n.PayloadSHA256, n.Link, at,
			n.Revision, sql.NullString{String: n.Replaces, Valid: n.Replaces != ""})
		if err != nil {
			return fmt.Errorf("store the recalled intent: %w", err)
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: n.OrganisationID, At: at, Actor: by, Action: "credential recalled", Subject: claim, Detail: "credential " + n.CredentialID + " sha256 " + n.PayloadSHA256,
		})
	})
	return outcome, err
}

// recallable finds the claim of a credential that the database does not know, and says what can
// be done: RecallDone, or why nothing can.
func recallable(ctx context.Context, q sqldb.Queryer, n sealbook.Note) (claimID string, _ Recalled, _ error) {
	var claim struct {
		ID       string `db:"id"`
		Revision int    `db:"revision"`
	}
	err := q.Get(ctx, &claim, `select id, revision from claims where organisation_id = ? and (id = ? or attachment_id = ? and learner = ?)`,
		n.OrganisationID, n.ClaimID, n.AttachmentID, n.Learner)
	if errors.Is(err, sql.ErrNoRows) {
		return "", RecallNoClaim, nil
	}
	if err != nil {
		return "", "", fmt.Errorf("find the claim: %w", err)
	}
	other, err := exists(ctx, q, `select count(*) from credentials where organisation_id = ? and claim_id = ? and revision = ?`, n.OrganisationID, claim.ID, n.Revision)
	if err != nil || other {
		return claim.ID, RecallOther, err
	}
	if n.Revision > 1 {
		before, err := exists(ctx, q, `select count(*) from credentials where organisation_id = ? and claim_id = ? and id = ? and sealed_at is not null`, n.OrganisationID, claim.ID, n.Replaces)
		if err != nil || !before || claim.Revision != n.Revision {
			return claim.ID, RecallNoCorrection, err
		}
	}
	return claim.ID, RecallDone, nil
}
