//go:build !cgo

package hsm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/hsm"
)

// A build without cgo pauses sealing and says why; the server runs.
func TestWithoutCgo(t *testing.T) {
	t.Parallel()
	token, err := hsm.New(plainConfig())
	if err != nil {
		t.Fatal(err)
	}
	token.Start(t.Context())
	_, keyErr := token.Key(t.Context())
	_, signErr := token.Sign(t.Context(), "", nil)
	for _, err := range []error{keyErr, signErr, token.Close()} {
		if err != nil && (!errors.Is(err, hsm.ErrPaused) || !strings.Contains(err.Error(), "CGO_ENABLED=1")) {
			t.Errorf("got %v", err)
		}
	}
	if keyErr == nil || signErr == nil || token.Health().State != hsm.StateMisconfigured {
		t.Error("the stub pretends to be a token")
	}
	if _, err := hsm.New(hsm.Config{}); !errors.Is(err, hsm.ErrConfig) {
		t.Errorf("got %v", err)
	}
}
