//go:build cgo

package hsm_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/hsm"
)

// withoutPINFile returns a token that waits for an operator, its PIN and its guard.
func withoutPINFile(t *testing.T, label string) (started, []byte, *memoryGuard) {
	t.Helper()
	made := makeToken(t, label, "p256")
	pin, err := os.ReadFile(made.PINFile)
	if err != nil {
		t.Fatal(err)
	}
	guard := &memoryGuard{}
	cfg := config(uri(t, made, func(u *hsm.URI) { u.PINSource = "" }))
	cfg.Guard = guard
	token := start(t, cfg)
	token.await(t, hsm.StatePINNeeded)
	return token, pin, guard
}

func TestUnseal(t *testing.T) {
	t.Parallel()
	token, pin, _ := withoutPINFile(t, "unseal")
	paused(t, token.Token, hsm.StatePINNeeded)
	if err := token.Unseal(t.Context(), pin); err != nil {
		t.Fatal(err)
	}
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
	if err := token.Unseal(t.Context(), pin); !errors.Is(err, hsm.ErrPIN) {
		t.Errorf("a second PIN for a token that seals: %v", err)
	}
	if h := token.Health(); h.Logins != 1 {
		t.Errorf("%d logins", h.Logins)
	}
}

func TestUnsealWrongPIN(t *testing.T) {
	t.Parallel()
	token, pin, guard := withoutPINFile(t, "unseal-wrong")
	wrong := []byte("0000000000000000")
	for range 3 { // the second and third time no login is made
		err := token.Unseal(t.Context(), wrong)
		paused, ok := errors.AsType[*hsm.PausedError](err)
		// Who looks late finds the token waiting for another PIN, and reads why.
		late := ok && paused.State == hsm.StatePINNeeded && strings.Contains(paused.Reason, "not kept")
		if !ok || paused.State != hsm.StatePINBlocked && !late {
			t.Fatalf("got %v", err)
		}
		token.await(t, hsm.StatePINNeeded)
	}
	h := token.Health()
	if h.Logins != 1 || !strings.Contains(h.Reason, "not kept") {
		t.Errorf("%d logins, reason %q", h.Logins, h.Reason)
	}
	// SoftHSM reports by a flag that a wrong PIN was given: not even the right one is tried
	// before an operator allows it.
	if err := token.Unseal(t.Context(), pin); !errors.Is(err, hsm.ErrPaused) {
		t.Errorf("the right PIN without permission: %v", err)
	}
	token.await(t, hsm.StatePINNeeded)
	guard.allow()
	if err := token.Unseal(t.Context(), pin); err != nil {
		t.Errorf("the right PIN with permission: %v", err)
	}
	if h := token.Health(); h.Logins != 2 {
		t.Errorf("%d logins", h.Logins)
	}
}

func TestUnsealRefuses(t *testing.T) {
	t.Parallel()
	token, _, _ := withoutPINFile(t, "refuses")
	for _, text := range []string{"", "12\n34", "12\x0034", strings.Repeat("1", 257)} {
		if err := token.Unseal(t.Context(), []byte(text)); !errors.Is(err, hsm.ErrPIN) {
			t.Errorf("%.10q: %v", text, err)
		}
	}
	short := token.Unseal(t.Context(), []byte("1"))
	if paused, ok := errors.AsType[*hsm.PausedError](short); !ok || paused.State != hsm.StatePINNeeded || !strings.Contains(paused.Reason, "no login was made") {
		t.Errorf("a PIN that the token says is too short: %v", short)
	}
	if h := token.Health(); h.Logins != 0 {
		t.Errorf("%d logins", h.Logins)
	}
	withFile := start(t, config(makeToken(t, unique("file"), "p256").TokenURI))
	if err := withFile.Unseal(t.Context(), []byte("1234")); !errors.Is(err, hsm.ErrPIN) {
		t.Errorf("a token with a PIN file: %v", err)
	}
}
