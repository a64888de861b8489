// Package ltistore keeps in SQL what package lti has to remember: registrations and
// deployments, login states, sessions, and the tool's signing keys.
//
// Registrations belong to an organisation, and every query of theirs names it, with one
// exception that lies in the protocol: a login and a session cookie arrive before any
// organisation is known. They are found by what the platform calls itself and by the hash
// of a secret, and the organisation follows from the row.
//
// Login states and session secrets are stored as SHA-256 hashes; the private tool keys are
// stored as they are, so whoever reads the database can sign as the tool towards
// learning platforms.
//
// The package deliberately checks no message and makes no secret. It fails with
// lti.ErrNotFound, lti.ErrSpent, ErrTaken, and wrapped errors of the database.
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
	db  *sqldb.DB
	now func() time.Time
}

var _ lti.Store = (*Store)(nil)

// New returns a store on db, which has to be migrated.
func New(db *sqldb.DB, now func() time.Time) *Store { return &Store{db: db, now: now} }

// CreateState implements lti.Store.
func (s *Store) CreateState(ctx context.Context, st lti.LoginState) error {
	_, err := s.db.Exec(ctx, `insert into login_states (
			state_hash, organisation_id, registration_id, nonce_hash, browser_hash,
			target_link_uri, deployment_hint, created_at, expires_at
		) values (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		st.StateHash, st.Registration.OrganisationID, st.Registration.ID, st.NonceHash, st.BrowserHash,
		st.TargetLinkURI, st.DeploymentHint, sqldb.UTC(st.CreatedAt), sqldb.UTC(st.ExpiresAt))
	if err != nil {
		return fmt.Errorf("insert a login state: %w", err)
	}
	return nil
}

type stateRow struct {
	registrationRow
	NonceHash      string       `db:"nonce_hash"`
	BrowserHash    string       `db:"browser_hash"`
	TargetLinkURI  string       `db:"target_link_uri"`
	DeploymentHint string       `db:"deployment_hint"`
	StateCreatedAt time.Time    `db:"state_created_at"`
	ExpiresAt      time.Time    `db:"expires_at"`
	UsedAt         sql.NullTime `db:"used_at"`
}

// State implements lti.Store: the state with its registration in one query.
func (s *Store) State(ctx context.Context, stateHash string) (lti.LoginState, error) {
	var row stateRow
	err := s.db.Get(ctx, &row, `select
			r.id, r.organisation_id, r.name, r.issuer, r.client_id, r.auth_url, r.token_url,
			r.jwks_url, r.token_audience, r.created_at,
			s.nonce_hash, s.browser_hash, s.target_link_uri, s.deployment_hint,
			s.created_at as state_created_at, s.expires_at, s.used_at
		from login_states s
		join registrations r on r.id = s.registration_id and r.organisation_id = s.organisation_id
		where s.state_hash = ?`, stateHash)
	if errors.Is(err, sql.ErrNoRows) {
		return lti.LoginState{}, lti.ErrNotFound
	}
	if err != nil {
		return lti.LoginState{}, fmt.Errorf("select the login state: %w", err)
	}
	st := lti.LoginState{
		StateHash:      stateHash,
		NonceHash:      row.NonceHash,
		BrowserHash:    row.BrowserHash,
		Registration:   row.registration(),
		TargetLinkURI:  row.TargetLinkURI,
		DeploymentHint: row.DeploymentHint,
		CreatedAt:      row.StateCreatedAt.UTC(),
		ExpiresAt:      row.ExpiresAt.UTC(),
	}
	if row.UsedAt.Valid {
		st.UsedAt = row.UsedAt.Time.UTC()
	}
	return st, nil
}

// OpenSession implements lti.Store. The update is the lock: of many transactions with one
// state, one changes the row.
func (s *Store) OpenSession(ctx context.Context, stateHash string, session lti.Session, secretHash string) error {
	launch, err := json.Marshal(session.Launch)
	if err != nil {
		return fmt.Errorf("encode the launch: %w", err)
	}
	l, at := session.Launch, sqldb.UTC(session.CreatedAt)
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `update login_states set used_at = ?
			where state_hash = ? and organisation_id = ? and registration_id = ?
			and used_at is null and expires_at > ?`,
			at, stateHash, l.OrganisationID, l.RegistrationID, at)
		if err != nil {
			return fmt.Errorf("spend the login state: %w", err)
		}
		if n != 1 {
			return lti.ErrSpent
		}
		_, err = tx.Exec(ctx, `insert into sessions (
				id, organisation_id, registration_id, secret_hash, launch, created_at, expires_at
			) values (?, ?, ?, ?, ?, ?, ?)`,
			session.ID, l.OrganisationID, l.RegistrationID, secretHash, string(launch), at, sqldb.UTC(session.ExpiresAt))
		if err != nil {
			return fmt.Errorf("insert a session: %w", err)
		}
		return nil
	})
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

// Sweep deletes the login states and sessions that have expired, of all organisations,
// and returns how many rows went. Nothing depends on its being called; it keeps the
// database small and people's data short-lived.
func (s *Store) Sweep(ctx context.Context) (int64, error) {
	now := sqldb.UTC(s.now())
	states, err := s.db.Exec(ctx, `delete from login_states where expires_at <= ?`, now)
	if err != nil {
		return 0, fmt.Errorf("delete expired login states: %w", err)
	}
	sessions, err := s.db.Exec(ctx, `delete from sessions where expires_at <= ?`, now)
	if err != nil {
		return states, fmt.Errorf("delete expired sessions: %w", err)
	}
	return states + sessions, nil
}

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
