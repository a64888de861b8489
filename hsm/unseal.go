//go:build cgo

package hsm

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// Unseal gives the PIN of a token whose URI names no pin-source, and waits until the token
// has taken or refused it, or ctx ends. The PIN is kept in memory only, for a login that
// gets lost; a PIN that was refused is forgotten and never tried again. It gets one attempt,
// like one from a file. The caller should clear pin afterwards.
//
// The error is ErrPIN when no PIN is wanted or the text cannot be one, else a *PausedError
// that says why the token still does not seal.
func (t *Token) Unseal(ctx context.Context, secret []byte) error {
	if problem := pinProblem(secret); problem != "" {
		return fmt.Errorf("%w: it %s", ErrPIN, problem)
	}
	if err := t.take(secret); err != nil {
		return err
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
	for {
		now := t.snapshot()
		switch {
		case now.State.usable():
			return nil
		case !now.State.transient():
			return &PausedError{now.State, now.Reason}
		}
		select {
		case <-now.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take keeps the PIN when one is waited for.
func (t *Token) take(secret []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.uri.PINSource != "":
		return fmt.Errorf("%w: the token has a PIN file, pin-source in its URI", ErrPIN)
	case t.health.State != StatePINNeeded:
		return fmt.Errorf("%w: the token does not wait for one (%s: %s)", ErrPIN, t.health.State, t.health.Reason)
	}
	t.given.wipe()
	t.given = bytes.Clone(secret)
	t.enter(StateConnecting, "a PIN was given and is being tried")
	return nil
}

// pin returns a copy of the PIN of now, for the caller to wipe.
func (t *Token) pin() (pin, error) {
	if t.uri.PINSource != "" {
		secret, err := readPIN(t.uri.PINSource)
		if err != nil {
			return nil, &stateError{StateMisconfigured, err.Error()}
		}
		return secret, nil
	}
	t.mu.Lock()
	secret := pin(bytes.Clone(t.given))
	t.mu.Unlock()
	if len(secret) == 0 {
		return nil, t.needPIN()
	}
	return secret, nil
}

// needPIN is the state of a token that waits for an operator, with what came of the last
// PIN.
func (t *Token) needPIN() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	reason := "the token waits for its PIN: sealsmith token unseal, on this machine"
	if t.refused != "" {
		reason += ". The last one was not kept: " + t.refused
	}
	return &stateError{StatePINNeeded, reason}
}

func (t *Token) holdsPIN() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.given) > 0
}

// forgetPIN drops a PIN that Unseal gave; false when none was given.
func (t *Token) forgetPIN(why string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.uri.PINSource != "" {
		return false
	}
	t.given.wipe()
	t.given, t.refused = nil, why+" ("+t.cfg.Now().UTC().Format(time.TimeOnly)+" UTC)"
	return true
}
