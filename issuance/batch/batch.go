package batch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// Errors that people can meet.
var (
	ErrNotFound = errors.New("there is no such batch")
	ErrState    = errors.New("this batch has moved on; open its page again")
	ErrDigest   = errors.New("this is not what was shown; open the batch again, look at it, and confirm what you see")
	ErrEmpty    = errors.New("nothing would be done: look at the reasons in the list")
	ErrOrder    = errors.New("the title of a batch has 1 to 120 letters, and its day is not more than two years ahead")
)

// Kind is what a batch does.
type Kind string

// The kinds.
const (
	Awarding  Kind = "award"   // seals for all who have finished and have not claimed
	Importing Kind = "import"  // takes over a file of results
	Renewing  Kind = "renewal" // seals anew what ends
)

// State is how far a batch is. What follows a finished one is the worker's: Counts says how
// many of its claims are sealed.
type State string

// The states.
const (
	Draft     State = "draft"     // shown, not confirmed
	Running   State = "running"   // confirmed; rows are to be done, at StartsAt or now
	Finished  State = "finished"  // every row has its outcome
	Cancelled State = "cancelled" // ended by a person, or never confirmed
)

// Outcome is what came of a row. Codes are kept and never change.
type Outcome string

// The outcomes. The codes of csvfile's troubles are outcomes, too.
const (
	ToDo        Outcome = ""             // nothing yet
	Awarded     Outcome = "awarded"      // the claim waits for the token, or is further
	Completed   Outcome = "completed"    // imported and complete: the learner can claim
	Imported    Outcome = "imported"     // imported, and not complete
	NotComplete Outcome = "not-complete" // what is asked is not reached
	HasClaimed  Outcome = "claimed"      // the learner was first, or another batch
	Withdrawn   Outcome = "withdrawn"    // the credential was revoked or replaced: a person decides
	NoName      Outcome = "no-name"      // nobody tells a name that can be sealed
	NotThere    Outcome = "not-there"    // no active learner of the course any more
	BetterOne   Outcome = "better-one"   // a result that stands is complete, the file's is not
	Broken      Outcome = "broken"       // the row could not be written
	Dropped     Outcome = "dropped"      // the batch was cancelled first
	StillGood   Outcome = "still-good"   // renewal: the credential does not end soon
	NotNow      Outcome = "not-now"      // renewal: it is suspended, or waits for something else
	OldResult   Outcome = "old-result"   // renewal: nothing was decided since the credential was sealed
)

// Batch is one batch.
type Batch struct {
	ID             string       `db:"id"`
	OrganisationID string       `db:"organisation_id"`
	AttachmentID   string       `db:"attachment_id"`
	Kind           Kind         `db:"kind"`
	Title          string       `db:"title"`
	State          State        `db:"state"`
	Award          bool         `db:"award"`       // what is complete is sealed without waiting for the learner
	FileName       string       `db:"file_name"`   // of an import
	FileSHA256     string       `db:"file_sha256"` // of an import, hex
	Digest         string       `db:"digest"`      // hex SHA-256 over what was shown
	CreatedBy      string       `db:"created_by"`  // as in the audit trail
	CreatedAt      time.Time    `db:"created_at"`
	ConfirmedBy    string       `db:"confirmed_by"` // empty: nobody has
	ConfirmedAt    sql.NullTime `db:"confirmed_at"`
	StartsAt       time.Time    `db:"starts_at"` // nothing is done before
	EndedAt        sql.NullTime `db:"ended_at"`
	LastError      string       `db:"last_error"` // in words; empty: all went well
}

const batchNames = `id, organisation_id, attachment_id, kind, title, state, award, file_name, file_sha256, digest, created_by, created_at,
	confirmed_by, confirmed_at, starts_at, ended_at, last_error`

// Store keeps batches and works through them. It is safe for concurrent use.
type Store struct {
	db      *sqldb.DB
	grading *grading.Store
	desk    *issuance.Desk
	now     func() time.Time
	logger  *slog.Logger
	// Step, when set, is called before each commit with what will be committed; an error
	// ends the attempt there as kill -9 would. Tests kill servers with it.
	Step func(name string) error
}

// NewStore returns a store on db that records results with results and awards with desk.
func NewStore(db *sqldb.DB, results *grading.Store, desk *issuance.Desk, now func() time.Time, logger *slog.Logger) *Store {
	return &Store{db: db, grading: results, desk: desk, now: now, logger: logger}
}

// Batch returns one batch of the organisation, or ErrNotFound.
func (s *Store) Batch(ctx context.Context, organisationID, id string) (Batch, error) {
	return one(ctx, s.db, organisationID, id)
}

func one(ctx context.Context, q sqldb.Queryer, organisationID, id string) (Batch, error) {
	var b Batch
	err := q.Get(ctx, &b, `select `+batchNames+` from batches where organisation_id = ? and id = ?`, organisationID, id)
	if errors.Is(err, sql.ErrNoRows) {
		return Batch{}, ErrNotFound
	}
	if err != nil {
		return Batch{}, fmt.Errorf("read batch: %w", err)
	}
	return b, nil
}

// List returns the newest batches of an organisation, or of one attachment of it, at most
// limit.
func (s *Store) List(ctx context.Context, organisationID, attachmentID string, limit int) ([]Batch, error) {
	query, args := `select `+batchNames+` from batches where organisation_id = ?`, []any{organisationID}
	if attachmentID != "" {
		query, args = query+` and attachment_id = ?`, append(args, attachmentID)
	}
	var all []Batch
	if err := s.db.Select(ctx, &all, query+` order by created_at desc, id desc limit ?`, append(args, limit)...); err != nil {
		return nil, fmt.Errorf("list batches: %w", err)
	}
	return all, nil
}

// Confirm lets a draft run: by names who says so, digest what that person has seen. It
// fails with ErrDigest when that is something else, with ErrEmpty when no row would do
// anything, with ErrState when the batch is no draft any more.
func (s *Store) Confirm(ctx context.Context, organisationID, id, digest, by string) (Batch, error) {
	var b Batch
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) (err error) {
		at := sqldb.UTC(s.now())
		n, err := tx.Exec(ctx, `update batches set state = ?, confirmed_by = ?, confirmed_at = ? where organisation_id = ? and id = ? and state = ? and digest = ?`,
			Running, by, at, organisationID, id, Draft, digest)
		if err != nil {
			return fmt.Errorf("confirm batch: %w", err)
		}
		if b, err = one(ctx, tx, organisationID, id); err != nil {
			return err
		}
		if n == 0 && b.State == Draft {
			return ErrDigest
		}
		if n == 0 {
			return ErrState
		}
		var todo int
		if err := tx.Get(ctx, &todo, `select count(*) from batch_rows where organisation_id = ? and batch_id = ? and outcome = ''`, organisationID, id); err != nil {
			return fmt.Errorf("count what is to be done: %w", err)
		}
		if todo == 0 {
			return ErrEmpty
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: organisationID, At: at, Actor: by, Action: "batch confirmed", Subject: id,
			Detail: fmt.Sprintf("%d rows, digest %s", todo, digest),
		})
	})
	if err != nil {
		return Batch{}, err
	}
	return b, nil
}

// Cancel ends a batch that is a draft or has rows to do. What it has done stays done: its
// claims go on to the token.
func (s *Store) Cancel(ctx context.Context, organisationID, id, by string) (Batch, error) {
	var b Batch
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) (err error) {
		at := sqldb.UTC(s.now())
		n, err := tx.Exec(ctx, `update batches set state = ?, ended_at = ? where organisation_id = ? and id = ? and state in (?, ?)`,
			Cancelled, at, organisationID, id, Draft, Running)
		if err != nil {
			return fmt.Errorf("cancel batch: %w", err)
		}
		if b, err = one(ctx, tx, organisationID, id); err != nil {
			return err
		}
		if n == 0 {
			return ErrState
		}
		if err := s.clear(ctx, tx, b, Dropped); err != nil {
			return err
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: organisationID, At: at, Actor: by, Action: "batch cancelled", Subject: id})
	})
	if err != nil {
		return Batch{}, err
	}
	return b, nil
}

// clear ends the rows of a batch: those that are to be done get an outcome, and what is
// about people and not needed any more goes.
func (s *Store) clear(ctx context.Context, tx *sqldb.Tx, b Batch, rest Outcome) error {
	_, err := tx.Exec(ctx, `update batch_rows set outcome = case when outcome = '' then ? else outcome end, given_name = '', family_name = '', raw = ''
		where organisation_id = ? and batch_id = ?`, rest, b.OrganisationID, b.ID)
	if err != nil {
		return fmt.Errorf("clear the rows of a batch: %w", err)
	}
	return nil
}
