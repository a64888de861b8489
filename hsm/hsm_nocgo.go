//go:build !cgo

package hsm

import (
	"context"
	"crypto/x509"
	"log/slog"
)

// withoutCgo is the whole truth about a Token in a build without cgo.
const withoutCgo = "this binary was built without cgo and cannot load the token's driver; build it with CGO_ENABLED=1 and a C compiler"

// Token stands in for the token in a build without cgo: everything else of the server
// works, sealing is paused. It keeps nothing of its Config that must not be printed.
type Token struct{ logger *slog.Logger }

// New checks cfg as the real one does.
func New(cfg Config) (*Token, error) {
	cfg, _, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	return &Token{logger: cfg.Logger}, nil
}

// Start logs what is missing.
func (t *Token) Start(ctx context.Context) {
	t.logger.ErrorContext(ctx, "token cannot be used", "reason", withoutCgo)
}

// Close does nothing.
func (t *Token) Close() error { return nil }

// Key returns a *PausedError.
func (t *Token) Key(context.Context) (Key, error) { return Key{}, paused() }

// Sign returns a *PausedError.
func (t *Token) Sign(context.Context, string, ...[]byte) ([]byte, error) { return nil, paused() }

// Vouches tells of no signature.
func (t *Token) Vouches(string, *x509.Certificate) bool { return false }

// Unseal returns a *PausedError.
func (t *Token) Unseal(context.Context, []byte) error { return paused() }

// Health says what is missing.
func (t *Token) Health() Health {
	return Health{State: StateMisconfigured, Reason: withoutCgo}
}

func paused() error { return &PausedError{State: StateMisconfigured, Reason: withoutCgo} }
