package lti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Session returns the session with that id if r carries its cookie and it has not
// expired, and ErrNoSession otherwise. The id may come straight from the address.
func (t *Tool) Session(r *http.Request, sessionID string) (Session, error) {
	if len(r.CookiesNamed(t.cookies.sessionName(sessionID))) == 0 {
		return Session{}, ErrNoSession
	}
	s, hash, err := t.session(r.Context(), sessionID)
	if err != nil {
		return Session{}, err
	}
	if !t.cookies.holds(r, t.cookies.sessionName(sessionID), hash) {
		return Session{}, ErrNoSession
	}
	return s, nil
}

const uuidLength = 36

// session reads a session that has not expired, and the hash of its secret, for callers
// that check the secret; ErrNoSession.
func (t *Tool) session(ctx context.Context, id string) (Session, string, error) {
	if _, err := uuid.Parse(id); err != nil || len(id) != uuidLength {
		return Session{}, "", ErrNoSession
	}
	s, hash, err := t.deps.Store.Session(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Session{}, "", ErrNoSession
	}
	if err != nil {
		return Session{}, "", fmt.Errorf("find the session: %w", err)
	}
	if !t.deps.Now().Before(s.ExpiresAt) {
		return Session{}, "", ErrNoSession
	}
	return s, hash, nil
}

// openSession stores the session of a checked launch and returns it with its secret. Of two
// requests with one state, one gets ErrSpent.
func (t *Tool) openSession(ctx context.Context, st loginState, l Launch) (Session, string, error) {
	secret, err := randomText(t.deps.Rand, secretBytes)
	if err != nil {
		return Session{}, "", fmt.Errorf("make a session secret: %w", err)
	}
	now := t.deps.Now().UTC().Truncate(time.Microsecond)
	s := Session{ID: st.session(), Launch: l, CreatedAt: now, ExpiresAt: now.Add(SessionLifetime)}
	if err := t.deps.Store.OpenSession(ctx, s, digest(secret)); err != nil {
		return Session{}, "", fmt.Errorf("open the session: %w", err)
	}
	return s, secret, nil
}
