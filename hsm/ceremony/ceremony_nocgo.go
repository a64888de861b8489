//go:build !cgo

package ceremony

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

var errWithoutCgo = fmt.Errorf("%w: this binary was built without cgo; build it with CGO_ENABLED=1 and a C compiler", ErrDriver)

// Survey returns ErrDriver in a build without cgo.
func Survey(hsm.URI) (Driver, error) { return Driver{}, errWithoutCgo }

// Session stands in for a session in a build without cgo; there never is one.
type Session struct{}

// Open checks cfg as the real one does and returns a *hsm.PausedError.
func Open(ctx context.Context, cfg hsm.Config, pin []byte) (*Session, error) {
	if _, err := hsm.LogIn(ctx, cfg, pin); err != nil {
		return nil, err
	}
	return nil, errWithoutCgo
}

// Close does nothing.
func (*Session) Close(context.Context) error { return nil }

// Label returns nothing.
func (*Session) Label() string { return "" }

// Serial returns nothing.
func (*Session) Serial() string { return "" }

// URI returns nothing.
func (*Session) URI(Key) string { return "" }

// Generate returns ErrDriver.
func (*Session) Generate(string, string) (Key, error) { return Key{}, errWithoutCgo }

// Keys returns ErrDriver.
func (*Session) Keys() ([]Key, error) { return nil, errWithoutCgo }

// Key returns ErrDriver.
func (*Session) Key([]byte) (Key, error) { return Key{}, errWithoutCgo }

// Request returns ErrDriver.
func (*Session) Request(context.Context, Key, Subject) ([]byte, error) { return nil, errWithoutCgo }

// Import returns ErrDriver.
func (*Session) Import(*x509.Certificate, time.Time) (Key, error) { return Key{}, errWithoutCgo }

// SelfTest returns ErrDriver.
func SelfTest(context.Context, hsm.Config, []byte, []string, Expected) (Record, []byte, error) {
	return Record{}, nil, errWithoutCgo
}

// Bench returns ErrDriver.
func Bench(context.Context, hsm.Config, []byte, int, time.Duration) (Rate, error) {
	return Rate{}, errWithoutCgo
}
