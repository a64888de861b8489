// Package ltistore keeps in SQL what package lti has to remember: registrations and
// deployments, login states, sessions, and the tool's signing keys.
//
// Registrations belong to an organisation, and every query of theirs names it, with one
// exception that lies in the protocol: a login and a session cookie arrive before any
// organisation is known. They are found by what the platform calls itself and by the hash
// of a secret, and the organisation follows from the row.
//
// Session secrets are stored as SHA-256 hashes; the private tool keys are
// stored as they are, so whoever reads the database can sign as the tool towards
// learning platforms.
//
// The package deliberately checks no message and makes no secret but the tickets of
// invitations. It fails with lti.ErrNotFound, lti.ErrSpent, lti.ErrInvitationUsed,
// lti.ErrInvitationExpired, ErrTaken, and wrapped errors of the database.
package ltistore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
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
	known *cache
}

var _ lti.Store = (*Store)(nil)

// New returns a store on db, which has to be migrated.
func New(db *sqldb.DB, now func() time.Time) *Store {
	return &Store{db: db, now: now, known: newCache()}
}

// OpenSession implements lti.Store. The id comes from the login state, so the primary key
// is what makes a state good for one session only.
func (s *Store) OpenSession(ctx context.Context, session lti.Session, secretHash string) error {
	launch, err := json.Marshal(session.Launch)
	if err != nil {
		return fmt.Errorf("encode the launch: %w", err)
	}
	l := session.Launch
	_, err = s.db.Exec(ctx, `insert into sessions (
			id, organisation_id, registration_id, secret_hash, launch, created_at, expires_at
		) values (?, ?, ?, ?, ?, ?, ?)`,
		session.ID, l.OrganisationID, l.RegistrationID, secretHash, string(launch), sqldb.UTC(session.CreatedAt), sqldb.UTC(session.ExpiresAt))
	if sqldb.IsDuplicate(err) {
		return lti.ErrSpent
	}
	if err != nil {
		return fmt.Errorf("insert a session: %w", err)
	}
	return nil
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

const retiredKeyLife = 24 * time.Hour // how long platforms may still hold a retired key

// ToolKeys implements lti.KeyStore.
func (s *Store) ToolKeys(ctx context.Context) ([]lti.ToolKey, error) {
	var rows []struct {
		KID       string       `db:"kid"`
		Private   []byte       `db:"private"`
		CreatedAt time.Time    `db:"created_at"`
		RetiredAt sql.NullTime `db:"retired_at"`
	}
	err := s.db.Select(ctx, &rows, `select kid, private, created_at, retired_at from tool_keys
		where retired_at is null or retired_at > ?
		order by created_at, kid`, sqldb.UTC(s.now().Add(-retiredKeyLife)))
	if err != nil {
		return nil, fmt.Errorf("select the tool keys: %w", err)
	}
	keys := make([]lti.ToolKey, 0, len(rows))
	for _, r := range rows {
		k := lti.ToolKey{KID: r.KID, Private: r.Private, CreatedAt: r.CreatedAt.UTC()}
		if r.RetiredAt.Valid {
			k.RetiredAt = r.RetiredAt.Time.UTC()
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// AddToolKey implements lti.KeyStore.
func (s *Store) AddToolKey(ctx context.Context, k lti.ToolKey) error {
	retired := sql.NullTime{Time: sqldb.UTC(k.RetiredAt), Valid: !k.RetiredAt.IsZero()}
	_, err := s.db.Exec(ctx, `insert into tool_keys (kid, private, created_at, retired_at) values (?, ?, ?, ?)`,
		k.KID, k.Private, sqldb.UTC(k.CreatedAt), retired)
	if err != nil {
		return fmt.Errorf("insert a tool key: %w", err)
	}
	return nil
}

// RetireToolKey stops signing with a key; it stays published for a day. A key that is not
// there, or is retired already, is lti.ErrNotFound.
func (s *Store) RetireToolKey(ctx context.Context, kid string) error {
	n, err := s.db.Exec(ctx, `update tool_keys set retired_at = ? where kid = ? and retired_at is null`, sqldb.UTC(s.now()), kid)
	if err != nil {
		return fmt.Errorf("retire tool key %s: %w", kid, err)
	}
	if n == 0 {
		return fmt.Errorf("tool key %s: %w", kid, lti.ErrNotFound)
	}
	return nil
}

// LTI11Secrets implements lti.Store.
func (s *Store) LTI11Secrets(ctx context.Context, r lti.Registration, consumerKey string) ([][]byte, error) {
	var secrets [][]byte
	err := s.db.Select(ctx, &secrets, `select secret from lti11_keys
		where organisation_id = ? and registration_id = ? and consumer_key = ? order by created_at, id`,
		r.OrganisationID, r.ID, consumerKey)
	if err != nil {
		return nil, fmt.Errorf("select the LTI 1.1 secrets: %w", err)
	}
	return secrets, nil
}
