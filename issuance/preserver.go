package issuance

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/issuance/revocation"
	"github.com/sealsmith/sealsmith/issuance/tsp"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// Stamper gives time-stamps. *tsp.Client is one.
type Stamper interface {
	// Stamp returns a token over the data, one part after the other, that is right in all that
	// can be asked of it.
	Stamp(ctx context.Context, data ...[]byte) (tsp.Token, error)
}

// Collector gets what proves that certificates were not revoked. *revocation.Collector is one.
type Collector interface {
	// Collect asks about each certificate of a chain but its anchor, for answers that are not
	// older than since where the authorities give such.
	Collect(ctx context.Context, chain []*x509.Certificate, since time.Time) (revocation.Evidence, error)
}

// Preserver adds to sealed credentials what proves them when the certificate of the seal has
// ended and nobody can be asked any more: a time-stamp (JAdES B-T), the certificates and
// revocation data of seal and time-stamp (B-LT), a time-stamp over all of that (B-LTA), and
// another one over it before the certificate of its authority ends. The seal itself is made
// and stored before, by Worker: a token is held for the signature only, and an authority that
// is down delays no learner.
//
// Each stage is stored before the next begins; a killed process costs one stage at most. What
// fails is tried again for as long as it takes, later each time. Several may work on one
// database.
type Preserver struct {
	DB     *sqldb.DB
	Stamps Stamper
	Status Collector
	// Trust vouches for seals, StampTrust for authorities. With nil for Trust the chain that
	// came with the seal is taken as it is.
	Trust, StampTrust *x509.CertPool
	Parallel          int              // credentials at once
	Lease             time.Duration    // longer than the slowest stage: all authorities until their time-outs
	Every             time.Duration    // how often the database is asked for what is due
	Objects           Objects          // finds files that were carried to an object store; nil: none were
	Now               func() time.Time // the clock
	Logger            *slog.Logger
	// Step, when set, is called before each stage is stored with the level it reaches; an error
	// ends the attempt there as kill -9 would. Tests kill with it.
	Step func(level templates.SealLevel) error
}

// never is later than every time that is compared with it: there is nothing to do any more.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// proof is a row of credential_proofs while it is worked on.
type proof struct {
	CredentialID   string              `db:"credential_id"`
	OrganisationID string              `db:"organisation_id"`
	Goal           templates.SealLevel `db:"goal"`
	Level          templates.SealLevel `db:"level"`
	File           []byte              `db:"file"` // null while Level is B: then it is that of the credential
	Attempts       int                 `db:"attempts"`
	LeaseUntil     time.Time           `db:"lease_until"`
	RenewAt        sql.NullTime        `db:"renew_at"`
	FileObject     string              `db:"file_object"` // where File is when it is not here
}

// Run works until ctx ends, then finishes the stages it has begun and returns.
func (p *Preserver) Run(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := p.RunOnce(ctx)
		if err != nil && ctx.Err() == nil {
			p.Logger.WarnContext(ctx, "proofs are not looked at", "err", err)
		}
		if n < preserveBatch || err != nil {
			pause(ctx, p.Every)
		}
	}
}

// preserveBatch is how many credentials are asked for at once.
const preserveBatch = 200

// RunOnce looks once for what is due and works on it. It returns how much that was.
func (p *Preserver) RunOnce(ctx context.Context) (int, error) {
	now := sqldb.UTC(p.Now())
	var ids []string
	err := p.DB.Select(ctx, &ids, `select credential_id from credential_proofs where not_before <= ? and (lease_until is null or lease_until <= ?)
		order by not_before, credential_id limit ?`, now, now, preserveBatch)
	if err != nil {
		return 0, fmt.Errorf("list proofs that are due: %w", err)
	}
	todo := make(chan string)
	var all sync.WaitGroup
	for range max(p.Parallel, 1) {
		all.Go(func() {
			for id := range todo {
				p.do(ctx, id)
			}
		})
	}
	for _, id := range ids {
		select {
		case todo <- id:
		case <-ctx.Done():
		}
	}
	close(todo)
	all.Wait()
	return len(ids), nil
}

// do handles one credential; a panic, of a file that the code cannot bear, must not end the
// process and with it everything else.
func (p *Preserver) do(ctx context.Context, id string) {
	defer func() {
		if cause := recover(); cause != nil {
			p.Logger.ErrorContext(ctx, "adding a proof panicked", "credential_id", id, "panic", cause, "stack", string(debug.Stack()))
		}
	}()
	if err := p.Preserve(context.WithoutCancel(ctx), id); err != nil {
		p.Logger.WarnContext(ctx, "proof not added to a sealed credential; it is tried again", "credential_id", id, "err", err)
	}
}

// Preserve takes one credential as far as it gets now; nothing when it is not due. The error
// is for the log; the row keeps it in words.
func (p *Preserver) Preserve(ctx context.Context, credentialID string) error {
	row, err := p.take(ctx, credentialID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if row.File, err = p.file(ctx, row); err != nil {
		return errors.Join(err, p.postpone(ctx, row, err))
	}
	for {
		if over, err := p.over(ctx, row); err != nil || over {
			return err
		}
		next, err := p.stage(ctx, row)
		if err == nil {
			err = p.step(next.Level)
		}
		if _, dead := errors.AsType[*stopped](err); dead {
			return err
		}
		if err != nil {
			return errors.Join(err, p.postpone(ctx, row, err))
		}
		done, err := p.keep(ctx, &next)
		if err != nil || done {
			return err
		}
		row = next
	}
}

// over ends the work on a credential that was revoked or replaced: what does not count need
// not be proven for years, and authorities charge for that. What it has stays.
func (p *Preserver) over(ctx context.Context, row proof) (bool, error) {
	var ended int
	err := p.DB.Get(ctx, &ended, `select count(*) from credentials k join claims c on c.id = k.claim_id and c.organisation_id = k.organisation_id
		where k.organisation_id = ? and k.id = ? and (c.state = ? or k.replaced_by is not null)`, row.OrganisationID, row.CredentialID, Revoked)
	if err != nil {
		return false, fmt.Errorf("ask whether a credential counts: %w", err)
	}
	if ended == 0 {
		return false, nil
	}
	now := sqldb.UTC(p.Now())
	return true, p.DB.InTx(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `update credential_proofs set goal = level, not_before = ?, attempts = 0, last_error = '', lease_until = null, renew_at = null, updated_at = ?
			where organisation_id = ? and credential_id = ? and lease_until = ?`, never, now, row.OrganisationID, row.CredentialID, row.LeaseUntil)
		if err != nil {
			return fmt.Errorf("end the proofs of a credential: %w", err)
		}
		if n == 0 {
			return nil // somebody else is at it
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: row.OrganisationID, At: now, Actor: "preserver", Action: "proofs ended", Subject: row.CredentialID, Detail: "it does not count any more",
		})
	})
}

func (p *Preserver) step(level templates.SealLevel) error { return stopAt(p.Step, level) }

// take leases a row by compare-and-swap. ErrNotFound means that there is nothing to do.
func (p *Preserver) take(ctx context.Context, credentialID string) (proof, error) {
	now := sqldb.UTC(p.Now())
	var row proof
	err := p.DB.InTx(ctx, func(tx *sqldb.Tx) error {
		return tx.Get(ctx, &row, `update credential_proofs set lease_until = ?, attempts = attempts + 1, updated_at = ?
			where credential_id = ? and not_before <= ? and (lease_until is null or lease_until <= ?)
			returning credential_id, organisation_id, goal, level, file, attempts, lease_until, renew_at, file_object`,
			now.Add(p.Lease), now, credentialID, now, now)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return proof{}, ErrNotFound
	}
	if err != nil {
		return proof{}, fmt.Errorf("lease a proof: %w", err)
	}
	return row, nil
}

// file is the file that a row begins with, wherever it is.
func (p *Preserver) file(ctx context.Context, row proof) ([]byte, error) {
	if row.File != nil {
		return row.File, nil
	}
	cred, err := openCredential(ctx, p.DB, p.Objects, `k.organisation_id = ? and k.id = ?`, row.OrganisationID, row.CredentialID)
	return cred.Sealed, err
}

// keep stores a stage that was reached, if the lease still holds. done says that nothing is
// left to do for now; otherwise the lease begins anew.
func (p *Preserver) keep(ctx context.Context, row *proof) (done bool, err error) {
	now := sqldb.UTC(p.Now())
	done = row.Level.Reaches(row.Goal)
	due, lease := now, sql.NullTime{Time: now.Add(p.Lease), Valid: true}
	if done {
		due, lease = never, sql.NullTime{}
		if row.RenewAt.Valid {
			due = row.RenewAt.Time
		}
	}
	err = p.DB.InTx(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `update credential_proofs set file = ?, level = ?, not_before = ?, attempts = 0, last_error = '', lease_until = ?, renew_at = ?, updated_at = ?,
			file_object = '', file_sha256 = '', file_bytes = 0, file_moves = file_moves + 1
			where organisation_id = ? and credential_id = ? and lease_until = ?`,
			row.File, row.Level, due, lease, row.RenewAt, now, row.OrganisationID, row.CredentialID, row.LeaseUntil)
		if err != nil {
			return fmt.Errorf("store a proof: %w", err)
		}
		if n == 0 {
			return errLeaseLost
		}
		if err := leave(ctx, tx, row.OrganisationID, row.FileObject, now); err != nil {
			return err
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: row.OrganisationID, At: now, Actor: "preserver", Action: "proof added",
			Subject: row.CredentialID, Detail: "JAdES level " + string(row.Level),
		})
	})
	row.LeaseUntil, row.FileObject = lease.Time, ""
	return done, err
}

// maxBackoff is how long a proof that keeps failing waits for the next try.
const maxBackoff = time.Hour

// postpone gives a row back after a failed stage. A lease that was lost meanwhile is left to
// its new holder.
func (p *Preserver) postpone(ctx context.Context, row proof, cause error) error {
	now := sqldb.UTC(p.Now())
	wait := min(time.Second<<min(row.Attempts, 12), maxBackoff)
	_, err := p.DB.Exec(ctx, `update credential_proofs set attempts = ?, last_error = ?, not_before = ?, lease_until = null, updated_at = ?
		where organisation_id = ? and credential_id = ? and lease_until = ?`,
		max(row.Attempts, 1), cause.Error(), now.Add(wait), now, row.OrganisationID, row.CredentialID, row.LeaseUntil)
	if err != nil {
		return fmt.Errorf("postpone a proof: %w", err)
	}
	return nil
}
