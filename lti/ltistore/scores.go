package ltistore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

var _ lti.ScoreStore = (*Store)(nil)

type scoreRow struct {
	OrganisationID string       `db:"organisation_id"`
	RegistrationID string       `db:"registration_id"`
	LineItemURL    string       `db:"line_item_url"`
	Score          string       `db:"score"`
	Version        int          `db:"version"`
	SentVersion    int          `db:"sent_version"`
	SentStamp      sql.NullTime `db:"sent_stamp"`
	Attempts       int          `db:"attempts"`
	NotBefore      time.Time    `db:"not_before"`
	State          string       `db:"state"`
	LastError      string       `db:"last_error"`
	UpdatedAt      time.Time    `db:"updated_at"`
}

func (r scoreRow) wanted() (lti.WantedScore, error) {
	w := lti.WantedScore{
		OrganisationID: r.OrganisationID, RegistrationID: r.RegistrationID, LineItemURL: r.LineItemURL,
		Version: r.Version, SentVersion: r.SentVersion, Attempts: r.Attempts, NotBefore: r.NotBefore.UTC(),
		State: lti.ScoreState(r.State), LastError: r.LastError, UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.SentStamp.Valid {
		w.SentStamp = r.SentStamp.Time.UTC()
	}
	if err := json.Unmarshal([]byte(r.Score), &w.Score); err != nil {
		return lti.WantedScore{}, fmt.Errorf("decode a score of registration %s: %w", r.RegistrationID, err)
	}
	return w, nil
}

const selectScore = `select
	organisation_id, registration_id, line_item_url, score, version, sent_version, sent_stamp,
	attempts, not_before, state, last_error, updated_at
	from scores `

func (s *Store) scores(ctx context.Context, where string, args ...any) ([]lti.WantedScore, error) {
	var rows []scoreRow
	if err := s.db.Select(ctx, &rows, selectScore+where, args...); err != nil {
		return nil, fmt.Errorf("select scores: %w", err)
	}
	list := make([]lti.WantedScore, 0, len(rows))
	for _, row := range rows {
		w, err := row.wanted()
		if err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	return list, nil
}

// WantScore implements lti.ScoreStore.
func (s *Store) WantScore(ctx context.Context, w lti.WantedScore) error {
	score, err := json.Marshal(w.Score)
	if err != nil {
		return fmt.Errorf("encode the score: %w", err)
	}
	now := sqldb.UTC(s.now())
	_, err = s.db.Exec(ctx, `insert into scores (
			organisation_id, registration_id, line_item_url, learner, score, version, sent_version, sent_stamp,
			attempts, not_before, state, last_error, updated_at
		) values (?, ?, ?, ?, ?, 1, 0, null, 0, ?, 'waiting', '', ?)
		on conflict (registration_id, line_item_url, learner) do update set
			score = excluded.score,
			version = scores.version + 1,
			attempts = case when scores.state = 'waiting' then scores.attempts else 0 end,
			not_before = case when scores.state = 'waiting' then scores.not_before else excluded.not_before end,
			state = 'waiting',
			last_error = '',
			updated_at = excluded.updated_at
		where scores.organisation_id = excluded.organisation_id
			and (scores.score <> excluded.score or scores.state = 'refused')`,
		w.OrganisationID, w.RegistrationID, w.LineItemURL, w.Score.UserID, string(score), now, now)
	if err != nil {
		return fmt.Errorf("note the score that is wanted: %w", err)
	}
	return nil
}

// DueScores implements lti.ScoreStore, across organisations: the work is one queue.
func (s *Store) DueScores(ctx context.Context, n int) ([]lti.WantedScore, error) {
	return s.scores(ctx, `where state = 'waiting' and not_before <= ?
		order by not_before, updated_at, registration_id, line_item_url, learner limit ?`, sqldb.UTC(s.now()), n)
}

// LeaseScore implements lti.ScoreStore.
func (s *Store) LeaseScore(ctx context.Context, w lti.WantedScore, until time.Time) (bool, error) {
	n, err := s.db.Exec(ctx, `update scores set not_before = ?, attempts = attempts + 1
		where organisation_id = ? and registration_id = ? and line_item_url = ? and learner = ?
			and version = ? and not_before = ? and state = 'waiting'`,
		sqldb.UTC(until), w.OrganisationID, w.RegistrationID, w.LineItemURL, w.Score.UserID, w.Version, sqldb.UTC(w.NotBefore))
	if err != nil {
		return false, fmt.Errorf("lease a score: %w", err)
	}
	return n == 1, nil
}

// SettleScore implements lti.ScoreStore.
func (s *Store) SettleScore(ctx context.Context, w lti.WantedScore) error {
	now := sqldb.UTC(s.now())
	stamp := sql.NullTime{Time: sqldb.UTC(w.SentStamp), Valid: !w.SentStamp.IsZero()}
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `update scores
			set state = ?, sent_version = ?, sent_stamp = ?, attempts = ?, not_before = ?, last_error = ?, updated_at = ?
			where organisation_id = ? and registration_id = ? and line_item_url = ? and learner = ? and version = ?`,
			string(w.State), w.SentVersion, stamp, w.Attempts, sqldb.UTC(w.NotBefore), w.LastError, now,
			w.OrganisationID, w.RegistrationID, w.LineItemURL, w.Score.UserID, w.Version)
		if err != nil {
			return fmt.Errorf("settle a score: %w", err)
		}
		if n > 0 {
			return nil
		}
		_, err = tx.Exec(ctx, `update scores
			set sent_version = ?, sent_stamp = ?, attempts = 0, not_before = case when attempts = 0 then not_before else ? end
			where organisation_id = ? and registration_id = ? and line_item_url = ? and learner = ? and version > ?`,
			w.SentVersion, stamp, sqldb.UTC(dueAfter(w, now)),
			w.OrganisationID, w.RegistrationID, w.LineItemURL, w.Score.UserID, w.Version)
		if err != nil {
			return fmt.Errorf("note what was sent before a newer wish: %w", err)
		}
		return nil
	})
}

// dueAfter says when a wish that came while w was worked on is due: at once, unless the
// platform was in trouble.
func dueAfter(w lti.WantedScore, now time.Time) time.Time {
	if w.State == lti.ScoreWaiting && w.SentVersion < w.Version {
		return w.NotBefore
	}
	return now
}

// DelayScores implements lti.ScoreStore.
func (s *Store) DelayScores(ctx context.Context, r lti.Registration, until time.Time) error {
	_, err := s.db.Exec(ctx, `update scores set not_before = ?
		where organisation_id = ? and registration_id = ? and state = 'waiting' and not_before < ?`,
		sqldb.UTC(until), r.OrganisationID, r.ID, sqldb.UTC(until))
	if err != nil {
		return fmt.Errorf("delay the scores of a registration: %w", err)
	}
	return nil
}

// RetryScores makes all scores of the registration due that wait or were refused: somebody
// has changed a setting. It returns how many these are.
func (s *Store) RetryScores(ctx context.Context, r lti.Registration) (int64, error) {
	n, err := s.db.Exec(ctx, `update scores set state = 'waiting', attempts = 0, not_before = ?
		where organisation_id = ? and registration_id = ? and state in ('waiting', 'refused')`,
		sqldb.UTC(s.now()), r.OrganisationID, r.ID)
	if err != nil {
		return 0, fmt.Errorf("retry the scores of a registration: %w", err)
	}
	return n, nil
}

// MoveScores lets what is wanted in one line item be wanted in another, where nothing was
// sent yet: the column was deleted in the platform and has been made anew. What is wanted
// there already stays.
func (s *Store) MoveScores(ctx context.Context, r lti.Registration, fromURL, toURL string) error {
	now := sqldb.UTC(s.now())
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `insert into scores (
				organisation_id, registration_id, line_item_url, learner, score, version, sent_version, sent_stamp,
				attempts, not_before, state, last_error, updated_at
			) select organisation_id, registration_id, ?, learner, score, 1, 0, null, 0, ?, 'waiting', '', ?
			from scores where organisation_id = ? and registration_id = ? and line_item_url = ?
			on conflict (registration_id, line_item_url, learner) do nothing`,
			toURL, now, now, r.OrganisationID, r.ID, fromURL)
		if err != nil {
			return fmt.Errorf("move scores: %w", err)
		}
		_, err = tx.Exec(ctx, `delete from scores where organisation_id = ? and registration_id = ? and line_item_url = ?`,
			r.OrganisationID, r.ID, fromURL)
		if err != nil {
			return fmt.Errorf("delete moved scores: %w", err)
		}
		return nil
	})
}

// Scores returns what is wanted in one line item, in the order of the learners; of all
// line items of the registration when lineItemURL is empty.
func (s *Store) Scores(ctx context.Context, r lti.Registration, lineItemURL string) ([]lti.WantedScore, error) {
	return s.scores(ctx, `where organisation_id = ? and registration_id = ? and (line_item_url = ? or ? = '')
		order by line_item_url, learner`, r.OrganisationID, r.ID, lineItemURL, lineItemURL)
}

// LearnerScores returns what is wanted for one learner, for an export of their data.
func (s *Store) LearnerScores(ctx context.Context, r lti.Registration, learner string) ([]lti.WantedScore, error) {
	return s.scores(ctx, `where organisation_id = ? and registration_id = ? and learner = ? order by line_item_url`,
		r.OrganisationID, r.ID, learner)
}

// ForgetScores deletes what is wanted for one learner, and returns how many rows went. What
// the platform has stays there.
func (s *Store) ForgetScores(ctx context.Context, r lti.Registration, learner string) (int64, error) {
	n, err := s.db.Exec(ctx, `delete from scores where organisation_id = ? and registration_id = ? and learner = ?`,
		r.OrganisationID, r.ID, learner)
	if err != nil {
		return 0, fmt.Errorf("forget the scores of a learner: %w", err)
	}
	return n, nil
}
