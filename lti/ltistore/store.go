// Package ltistore keeps in SQL what package lti has to remember: registrations and
// deployments, login states, sessions, and the tool's signing keys.
//
// Registrations belong to an organisation, and every query of theirs names it, with one
// exception that lies in the protocol: a login and a session cookie arrive before any
// organisation is known. They are found by what the platform calls itself and by the hash
// of a secret, and the organisation follows from the row.
//
// Session secrets are stored as SHA-256 hashes. The private tool keys and the shared
// secrets of LTI 1.1 are sealed with a key that is not in the database (see Box), so
// whoever reads a backup of it cannot sign as the tool.
//
// The package deliberately checks no message and makes no secret but the tickets of
// invitations. It fails with lti.ErrNotFound, lti.ErrSpent, lti.ErrInvitationUsed,
// lti.ErrInvitationExpired, ErrTaken, and wrapped errors of the database.
package ltistore

import (
	"context"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// Store implements lti.Store, and what an operator needs besides. It is safe for
// concurrent use.
type Store struct {
	db    *sqldb.DB
	now   func() time.Time
	box   *Box // nil: keys are stored plain
	known *cache
	batch *sessionBatch
}

var _ lti.Store = (*Store)(nil)

// Option changes a Store that New makes.
type Option func(*Store)

// WithBox has private keys and shared secrets sealed with b. Without it they are stored
// plain, which is for tests, and those that are sealed already do not open.
func WithBox(b *Box) Option { return func(s *Store) { s.box = b } }

// New returns a store on db, which has to be migrated.
func New(db *sqldb.DB, now func() time.Time, options ...Option) *Store {
	s := &Store{db: db, now: now, known: newCache(), batch: &sessionBatch{}}
	for _, o := range options {
		o(s)
	}
	return s
}

// Sweep deletes the sessions that have expired and the traces older than a month, of all
// organisations, and returns how many rows went. Nothing depends on its being called; it
// keeps the database small and people's data short-lived.
func (s *Store) Sweep(ctx context.Context) (int64, error) {
	now := s.now()
	var gone int64
	for _, old := range []struct {
		what, query string
		before      time.Time
	}{
		{"expired sessions", `delete from sessions where expires_at <= ?`, now},
		{"old traces", `delete from launch_traces where at <= ?`, now.Add(-traceLife)},
		{"old invitations", `delete from invitations where expires_at <= ?`, now.Add(-traceLife)},
		{"tool keys that are published no more", `delete from tool_keys where retired_at <= ?`, now.Add(-lti.KeyOverlap)},
		{"old notices", `delete from notices where received_at <= ?`, now.Add(-noticeLife)},
	} {
		n, err := s.db.Exec(ctx, old.query, sqldb.UTC(old.before))
		if err != nil {
			return gone, fmt.Errorf("delete %s: %w", old.what, err)
		}
		gone += n
	}
	return gone, nil
}

const (
	traceLife  = 30 * 24 * time.Hour
	noticeLife = 400 * 24 * time.Hour // a platform may send a notice again after a restore
)
