package lti

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Session returns the session with that id if r carries its cookie and it has not
// expired, and ErrNoSession otherwise. The id may come straight from the address.
func (t *Tool) Session(r *http.Request, sessionID string) (Session, error) {
	if _, err := uuid.Parse(sessionID); err != nil || len(sessionID) != uuidLength {
		return Session{}, ErrNoSession
	}
	if len(r.CookiesNamed(t.cookies.sessionName(sessionID))) == 0 {
		return Session{}, ErrNoSession
	}
	s, hash, err := t.deps.Store.Session(r.Context(), sessionID)
	if errors.Is(err, ErrNotFound) {
		return Session{}, ErrNoSession
	}
	if err != nil {
		return Session{}, fmt.Errorf("find the session: %w", err)
	}
	if right, _ := t.cookies.holds(r, t.cookies.sessionName(sessionID), hash); !right {
		return Session{}, ErrNoSession
	}
	if !t.deps.Now().Before(s.ExpiresAt) {
		return Session{}, ErrNoSession
	}
	return s, nil
}

const uuidLength = 36

// sessionID derives the id of the session that a login state becomes when it is spent at
// the given time: a UUIDv7 whose random part comes from the state. So the id of the
// session behind a spent state can be told again when a browser repeats its POST, without
// a column for it; the id is no secret.
func sessionID(spentAt time.Time, stateHash string) string {
	sum := sha256.Sum256([]byte("session " + stateHash))
	var id uuid.UUID
	copy(id[:], sum[:])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(0, spentAt.UnixMilli())))
	copy(id[:6], ms[2:])
	id[6] = id[6]&0x0F | 0x70
	id[8] = id[8]&0x3F | 0x80
	return id.String()
}

// openSession stores the session of a checked launch, spending the state, and sets its
// cookie. Of two requests with one state, one gets ErrSpent.
func (t *Tool) openSession(ctx context.Context, w http.ResponseWriter, stateHash string, l Launch) (Session, error) {
	secret, err := randomText(t.deps.Rand, secretBytes)
	if err != nil {
		return Session{}, fmt.Errorf("make a session secret: %w", err)
	}
	now := t.deps.Now().UTC().Truncate(time.Microsecond)
	s := Session{
		ID:        sessionID(now, stateHash),
		Launch:    l,
		CreatedAt: now,
		ExpiresAt: now.Add(SessionLifetime),
	}
	if err := t.deps.Store.OpenSession(ctx, stateHash, s, digest(secret)); err != nil {
		return Session{}, fmt.Errorf("open the session: %w", err)
	}
	t.cookies.set(w, t.cookies.sessionName(s.ID), secret, SessionLifetime)
	return s, nil
}
