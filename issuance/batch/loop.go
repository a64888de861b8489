package batch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

const (
	pageRows  = 100              // in one transaction: SQLite has one writer, and others wait for it
	leaseTime = time.Minute      // longer than a page takes
	idle      = 2 * time.Second  // between looks for something to do
	slowDown  = 15 * time.Second // after a page that could not be written
	draftLife = 7 * 24 * time.Hour
	// shownLife is how long a report keeps what a file said of people who were not found:
	// until the file has been corrected.
	shownLife = 30 * 24 * time.Hour
)

// Run works through what is due until ctx ends.
func (s *Store) Run(ctx context.Context) {
	var swept time.Time
	for ctx.Err() == nil {
		worked, err := s.Work(ctx)
		if err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "batch not gone on with, it is tried again", "err", err)
		}
		if now := s.now(); now.Sub(swept) > time.Hour {
			swept = now
			if err := s.Tidy(ctx); err != nil && ctx.Err() == nil {
				s.logger.WarnContext(ctx, "old batches not tidied", "err", err)
			}
		}
		if !worked || err != nil {
			rest(ctx, idle)
		}
	}
}

func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Work does one page of one batch that is due, the one that has waited longest, and says
// whether there was one. A batch on which a pause lies is not due.
func (s *Store) Work(ctx context.Context) (bool, error) {
	b, err := s.lease(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lease a batch: %w", err)
	}
	err = s.page(ctx, b, pageRows)
	if err == nil || ctx.Err() != nil || isStop(err) {
		return true, err
	}
	// One row may be what is in the way: alone it is set aside, and the others go on.
	if single := s.single(ctx, b); single == nil {
		return true, nil
	}
	_, noteErr := s.db.Exec(ctx, `update batches set lease_until = ?, last_error = ? where organisation_id = ? and id = ?`,
		sqldb.UTC(s.now().Add(slowDown)), err.Error(), b.OrganisationID, b.ID)
	return true, errors.Join(err, noteErr)
}

// lease takes a batch for one page. lease_until of a batch that nobody is at is when
// somebody was at it last, so that each has its turn.
func (s *Store) lease(ctx context.Context) (Batch, error) {
	now := sqldb.UTC(s.now())
	var b Batch
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		return tx.Get(ctx, &b, `update batches set lease_until = ? where (lease_until is null or lease_until <= ?) and state = ? and id = (
			select b.id from batches b where b.state = ? and b.starts_at <= ? and (b.lease_until is null or b.lease_until <= ?)
			and not exists (select 1 from pauses p where p.organisation_id in ('', b.organisation_id) and p.batch_id in ('', b.id))
			order by coalesce(b.lease_until, b.starts_at), b.id limit 1) returning `+batchNames,
			now.Add(leaseTime), now, Running, Running, now, now)
	})
	return b, err
}

// page does up to limit rows in one transaction, or ends the batch when none is left.
func (s *Store) page(ctx context.Context, b Batch, limit int) error {
	a, err := s.grading.Attachment(ctx, b.OrganisationID, b.AttachmentID)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		var rows []row
		err := tx.Select(ctx, &rows, `select number, learner, shown, given_name, family_name, score, maximum, raw, outcome, words from batch_rows
			where organisation_id = ? and batch_id = ? and outcome = '' order by number limit ?`, b.OrganisationID, b.ID, limit)
		if err != nil {
			return fmt.Errorf("read rows of a batch: %w", err)
		}
		if len(rows) == 0 {
			return s.finish(ctx, tx, b)
		}
		for _, r := range rows {
			done, err := s.row(ctx, tx, b, a, r)
			if err != nil {
				return fmt.Errorf("row %d: %w", r.Number, err)
			}
			if err := s.note(ctx, tx, b, r, done); err != nil {
				return err
			}
		}
		// Given back only if nobody has ended the batch meanwhile: then these rows are not done.
		n, err := tx.Exec(ctx, `update batches set lease_until = ?, last_error = '' where organisation_id = ? and id = ? and state = ?`,
			sqldb.UTC(s.now()), b.OrganisationID, b.ID, Running)
		if err != nil {
			return fmt.Errorf("give a batch back: %w", err)
		}
		if n == 0 {
			return errEnded
		}
		return s.step("page")
	})
}

// errEnded says that a person ended the batch while a page was at work; nothing of it is
// kept.
var errEnded = errors.New("the batch was ended meanwhile")

// errTwice says that another process has done a row; nothing of this page is kept.
var errTwice = errors.New("another process has done this row")

// note writes what came of a row, once. The name goes: the claim has it, or nobody needs it.
func (s *Store) note(ctx context.Context, tx *sqldb.Tx, b Batch, r row, done done) error {
	n, err := tx.Exec(ctx, `update batch_rows set outcome = ?, words = ?, claim_id = ?, revision = ?, given_name = '', family_name = '', raw = ''
		where organisation_id = ? and batch_id = ? and number = ? and outcome = ''`, done.outcome, done.words, done.claimID, max(done.revision, 1), b.OrganisationID, b.ID, r.Number)
	if err != nil {
		return fmt.Errorf("note a row of a batch: %w", err)
	}
	if n == 0 {
		return errTwice
	}
	return nil
}

// finish ends a batch whose rows are all done.
func (s *Store) finish(ctx context.Context, tx *sqldb.Tx, b Batch) error {
	at := sqldb.UTC(s.now())
	n, err := tx.Exec(ctx, `update batches set state = ?, ended_at = ?, lease_until = null, last_error = '' where organisation_id = ? and id = ? and state = ?`,
		Finished, at, b.OrganisationID, b.ID, Running)
	if err != nil {
		return fmt.Errorf("end batch: %w", err)
	}
	if n == 0 {
		return nil
	}
	if err := s.clear(ctx, tx, b, Broken); err != nil {
		return err
	}
	if err := sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: b.OrganisationID, At: at, Actor: "batch", Action: "batch finished", Subject: b.ID}); err != nil {
		return err
	}
	return s.step("finish")
}

// single does the first row alone; a row that cannot be written although the database
// answers is set aside with the cause.
func (s *Store) single(ctx context.Context, b Batch) error {
	cause := s.page(ctx, b, 1)
	if cause == nil || errors.Is(cause, errEnded) || errors.Is(cause, errTwice) {
		return nil
	}
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		var number int
		err := tx.Get(ctx, &number, `select number from batch_rows where organisation_id = ? and batch_id = ? and outcome = '' order by number limit 1`, b.OrganisationID, b.ID)
		if err != nil {
			return fmt.Errorf("find the row that is in the way: %w", err)
		}
		if err := s.note(ctx, tx, b, row{Number: number}, done{outcome: Broken, words: cause.Error()}); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update batches set lease_until = ? where organisation_id = ? and id = ?`, sqldb.UTC(s.now()), b.OrganisationID, b.ID)
		return err
	})
}

// Tidy ends drafts that nobody has confirmed for a week, and forgets what files said of
// people who were not found.
func (s *Store) Tidy(ctx context.Context) error {
	var old []Batch
	err := s.db.Select(ctx, &old, `select `+batchNames+` from batches where state = ? and created_at < ? order by created_at limit 100`, Draft, sqldb.UTC(s.now().Add(-draftLife)))
	if err != nil {
		return fmt.Errorf("list old drafts: %w", err)
	}
	for _, b := range old {
		if _, err := s.Cancel(ctx, b.OrganisationID, b.ID, "batch"); err != nil && !errors.Is(err, ErrState) {
			return err
		}
	}
	_, err = s.db.Exec(ctx, `update batch_rows set shown = '' where shown <> '' and batch_id in (select id from batches where ended_at < ?)`, sqldb.UTC(s.now().Add(-shownLife)))
	if err != nil {
		return fmt.Errorf("forget who was not found: %w", err)
	}
	return nil
}

// stop wraps an error of Step.
type stop struct{ error }

// Unwrap returns what Step said.
func (s *stop) Unwrap() error { return s.error }

func isStop(err error) bool {
	_, is := errors.AsType[*stop](err)
	return is
}

func (s *Store) step(name string) error {
	if s.Step == nil {
		return nil
	}
	if err := s.Step(name); err != nil {
		return &stop{err}
	}
	return nil
}

// done is what came of a row.
type done struct {
	outcome  Outcome
	words    string
	claimID  string
	revision int // of the claim, which this row has brought about; 0 stands for 1
}

func (s *Store) row(ctx context.Context, tx *sqldb.Tx, b Batch, a grading.Attachment, r row) (done, error) {
	switch b.Kind {
	case Importing:
		return s.importRow(ctx, tx, b, a, r)
	case Renewing:
		return s.renewRow(ctx, tx, b, r)
	case Awarding:
	}
	return s.awardRow(ctx, tx, b, r)
}
