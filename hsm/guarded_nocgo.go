//go:build !cgo

package hsm

import "context"

// Login stands in for a login in a build without cgo; there never is one.
type Login struct{}

// LogIn checks cfg as the real one does and returns a *PausedError.
func LogIn(_ context.Context, cfg Config, _ []byte) (*Login, error) {
	if _, _, err := cfg.complete(); err != nil {
		return nil, err
	}
	return nil, paused()
}
