package ltistore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// sessionRow is a session as it is stored.
type sessionRow struct {
	id, organisation, registration, secretHash, launch string

	createdAt, expiresAt time.Time
}

// sessionBatch joins the sessions of launches that happen at the same moment into one
// statement: a course of two hundred that opens an activity together waits for a few
// commits, not for two hundred. Whoever comes while a commit is under way waits for the
// next, which one of the waiting makes for all.
type sessionBatch struct {
	mu      sync.Mutex
	busy    bool
	waiting []*sessionWish
}

type sessionWish struct {
	row  sessionRow
	err  error
	turn chan bool // true: it is yours to commit for all who wait; false: err is set
}

const maxSessionBatch = 64

// OpenSession implements lti.Store. The id comes from the login state, so the primary key
// is what makes a state good for one session only.
func (s *Store) OpenSession(ctx context.Context, session lti.Session, secretHash string) error {
	launch, err := json.Marshal(session.Launch)
	if err != nil {
		return fmt.Errorf("encode the launch: %w", err)
	}
	wish := &sessionWish{turn: make(chan bool, 1), row: sessionRow{
		id: session.ID, organisation: session.Launch.OrganisationID, registration: session.Launch.RegistrationID,
		secretHash: secretHash, launch: string(launch), createdAt: sqldb.UTC(session.CreatedAt), expiresAt: sqldb.UTC(session.ExpiresAt),
	}}
	if s.batch.join(wish) || <-wish.turn {
		s.commit(ctx)
	}
	return wish.err
}

// join adds a wish and reports whether its owner has to commit at once.
func (b *sessionBatch) join(w *sessionWish) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, w)
	if b.busy {
		return false
	}
	b.busy = true
	return true
}

// take returns the wishes to be committed now.
func (b *sessionBatch) take() []*sessionWish {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting), maxSessionBatch)
	now := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	return now
}

// next hands the work to one who has come in the meantime.
func (b *sessionBatch) next() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.busy = false
		return
	}
	b.waiting[0].turn <- true
}

// commit stores all who wait, the caller among them.
func (s *Store) commit(ctx context.Context) {
	wishes := s.batch.take()
	// Others wait for it: it must not end with the request of whoever happens to do it. The
	// database has time limits of its own.
	ctx = context.WithoutCancel(ctx)
	rows := make([]sessionRow, 0, len(wishes))
	seen := make(map[string]bool, len(wishes))
	for _, w := range wishes {
		if seen[w.row.id] { // twice at the same moment: one wins
			w.err = lti.ErrSpent
			continue
		}
		seen[w.row.id] = true
		rows = append(rows, w.row)
	}
	stored, err := s.insertSessions(ctx, rows)
	for _, w := range wishes {
		switch {
		case w.err != nil:
		case err != nil && len(rows) > 1: // one of them may be why: each for itself
			w.err = s.insertSession(ctx, w.row)
		case err != nil:
			w.err = err
		case !stored[w.row.id]:
			w.err = lti.ErrSpent
		}
	}
	s.batch.next()
	for i, w := range wishes {
		if i > 0 { // the first is the caller
			w.turn <- false
		}
	}
}

func (s *Store) insertSession(ctx context.Context, row sessionRow) error {
	stored, err := s.insertSessions(ctx, []sessionRow{row})
	if err == nil && !stored[row.id] {
		return lti.ErrSpent
	}
	return err
}

// insertSessions stores the sessions whose ids are new and returns which those were.
func (s *Store) insertSessions(ctx context.Context, rows []sessionRow) (map[string]bool, error) {
	const (
		columns = 7
		into    = `insert into sessions (id, organisation_id, registration_id, secret_hash, launch, created_at, expires_at) values (?, ?, ?, ?, ?, ?, ?)`
		fresh   = ` on conflict (id) do nothing`
	)
	args := make([]any, 0, columns*len(rows))
	for _, r := range rows {
		args = append(args, r.id, r.organisation, r.registration, r.secretHash, r.launch, r.createdAt, r.expiresAt)
	}
	if len(rows) == 1 {
		n, err := s.db.Exec(ctx, into+fresh, args...)
		if err != nil {
			return nil, fmt.Errorf("insert a session: %w", err)
		}
		return map[string]bool{rows[0].id: n == 1}, nil
	}
	query := into + strings.Repeat(`, (?, ?, ?, ?, ?, ?, ?)`, len(rows)-1) + fresh + ` returning id`
	var ids []string
	if err := s.db.InTx(ctx, func(tx *sqldb.Tx) error { return tx.Select(ctx, &ids, query, args...) }); err != nil {
		return nil, fmt.Errorf("insert sessions: %w", err)
	}
	stored := make(map[string]bool, len(ids))
	for _, id := range ids {
		stored[id] = true
	}
	return stored, nil
}

// Session implements lti.Store.
func (s *Store) Session(ctx context.Context, id string) (lti.Session, string, error) {
	var row struct {
		SecretHash string    `db:"secret_hash"`
		Launch     string    `db:"launch"`
		CreatedAt  time.Time `db:"created_at"`
		ExpiresAt  time.Time `db:"expires_at"`
	}
	err := s.db.Get(ctx, &row, `select secret_hash, launch, created_at, expires_at from sessions where id = ?`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return lti.Session{}, "", lti.ErrNotFound
	}
	if err != nil {
		return lti.Session{}, "", fmt.Errorf("select the session: %w", err)
	}
	session := lti.Session{ID: id, CreatedAt: row.CreatedAt.UTC(), ExpiresAt: row.ExpiresAt.UTC()}
	if err := json.Unmarshal([]byte(row.Launch), &session.Launch); err != nil {
		return lti.Session{}, "", fmt.Errorf("decode the launch of session %s: %w", id, err)
	}
	return session, row.SecretHash, nil
}
