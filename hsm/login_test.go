//go:build cgo

package hsm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

// otherPIN writes a PIN file beside the token's own and returns the URI with it.
func otherPIN(t *testing.T, made tokenMade, content string, mode os.FileMode) (uriText, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return uri(t, made, func(u *hsm.URI) { u.PINSource = path }), path
}

// copyPIN puts the right PIN into a file.
func copyPIN(t *testing.T, made tokenMade, path string) {
	t.Helper()
	right, err := os.ReadFile(made.PINFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, right, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A service manager that restarts a server ten times must not spend ten PINs.
func TestWrongPINIsTriedOnce(t *testing.T) {
	t.Parallel()
	made := makeToken(t, "wrong-pin", "p256")
	text, path := otherPIN(t, made, "000000", 0o600)
	cfg := config(text)
	guard := hsm.NewSQLGuard(newDatabase(t), time.Now)
	cfg.Guard = guard
	var spent uint64
	for range 10 {
		token := start(t, cfg)
		token.await(t, hsm.StatePINBlocked)
		if err := token.Close(); err != nil {
			t.Fatal(err)
		}
		spent += token.Health().Logins
	}
	if spent != 1 {
		t.Fatalf("%d logins with a wrong PIN", spent)
	}

	// The right PIN is another PIN, but the token now reports a wrong one (SoftHSM does
	// too): an operator must say that it may be tried. It is, without a restart.
	copyPIN(t, made, path)
	token := start(t, cfg)
	token.await(t, hsm.StatePINBlocked)
	if err := guard.Unblock(t.Context(), made.Serial); err != nil {
		t.Fatal(err)
	}
	token.await(t, hsm.StateReady)
	if h := token.Health(); h.Logins != 1 {
		t.Errorf("%d logins", h.Logins)
	}
}

// The process died between the record and the end of a login: nobody knows whether the
// token counted it, so an operator decides.
func TestCrashDuringLogin(t *testing.T) {
	t.Parallel()
	made := makeToken(t, "crash", "p256")
	db := newDatabase(t)
	cfg := config(made.TokenURI)
	cfg.Guard = crashing{hsm.NewSQLGuard(db, func() time.Time { return time.Now().Add(-time.Minute) })}
	first := start(t, cfg)
	first.await(t, hsm.StateReady)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	guard := hsm.NewSQLGuard(db, time.Now)
	cfg.Guard = guard
	second := start(t, cfg)
	second.await(t, hsm.StatePINBlocked)
	if h := second.Health(); h.Logins != 0 {
		t.Errorf("%d logins after the crash", h.Logins)
	}
	if err := guard.Unblock(t.Context(), made.Serial); err != nil {
		t.Fatal(err)
	}
	second.await(t, hsm.StateReady)
	if h := second.Health(); h.Logins != 1 {
		t.Errorf("%d logins after the operator allowed one", h.Logins)
	}
}

// crashing never gets to record the end of an attempt.
type crashing struct{ hsm.PINGuard }

func (crashing) Finish(_ context.Context, _, _ string, _ bool) error { return nil }

func TestPINProvenGoodNeedsNoOperator(t *testing.T) {
	t.Parallel()
	made := makeToken(t, "good", "p256")
	cfg := config(made.TokenURI)
	cfg.Guard = hsm.NewSQLGuard(newDatabase(t), time.Now)
	for n := range 3 {
		token := start(t, cfg)
		token.await(t, hsm.StateReady)
		if err := token.Close(); err != nil {
			t.Fatal(err)
		}
		if h := token.Health(); h.Logins != 1 {
			t.Errorf("start %d: %d logins", n, h.Logins)
		}
	}
}

// While the record cannot be written there is no login; when it can, there is one.
func TestNoLoginWithoutRecord(t *testing.T) {
	t.Parallel()
	cfg := config(makeToken(t, "no-record", "p256").TokenURI)
	guard := &brokenGuard{memoryGuard: &memoryGuard{}, broken: make(chan struct{})}
	cfg.Guard = guard
	token := start(t, cfg)
	token.await(t, hsm.StateSuspect)
	if h := token.Health(); h.Logins != 0 {
		t.Errorf("%d logins without a record", h.Logins)
	}
	close(guard.broken)
	token.await(t, hsm.StateReady)
}

// brokenGuard cannot begin until its channel is closed.
type brokenGuard struct {
	*memoryGuard
	broken chan struct{}
}

func (g *brokenGuard) Begin(ctx context.Context, serial, fingerprint, host string) error {
	select {
	case <-g.broken:
		return g.memoryGuard.Begin(ctx, serial, fingerprint, host)
	default:
		return errors.New("database is away")
	}
}

// The end of a login that could not be recorded is recorded later: else the next restart
// would need an operator.
func TestEndOfLoginIsRecordedLater(t *testing.T) {
	t.Parallel()
	cfg := config(makeToken(t, "owed", "p256").TokenURI)
	guard := &memoryGuard{failed: errors.New("database is away")}
	cfg.Guard = guard
	token := start(t, cfg)
	if err := token.sign(t); err != nil {
		t.Errorf("the login was good, so it should seal: %v", err)
	}
	guard.mu.Lock()
	guard.failed, guard.finished = nil, make(chan struct{}, 1)
	guard.mu.Unlock()
	<-guard.finished
	if err := token.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, cfg).await(t, hsm.StateReady)
}

func TestPINFileRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, content string
		mode          os.FileMode
	}{
		{"readable by the group", "123456", 0o640},
		{"readable by all", "123456", 0o604},
		{"empty", "", 0o600},
		{"only a line break", "\n", 0o600},
		{"two lines", "123456\n654321\n", 0o600},
		{"with a zero byte", "1234\x0056", 0o600},
		{"shorter than the token takes", "1", 0o600},
		{"longer than the token takes", fmt.Sprintf("%0256d", 1), 0o600},
		{"absurdly long", fmt.Sprintf("%01000d", 1), 0o600},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			made := makeToken(t, unique("pin"), "p256") // a login is the whole process's
			text, path := otherPIN(t, made, test.content, test.mode)
			token := start(t, config(text))
			token.await(t, hsm.StateMisconfigured)
			paused(t, token.Token, hsm.StateMisconfigured)
			if h := token.Health(); h.Logins != 0 {
				t.Errorf("%d logins", h.Logins)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			copyPIN(t, made, path)
			token.await(t, hsm.StateReady)
		})
	}
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		made := makeToken(t, unique("pin"), "p256")
		text := uri(t, made, func(u *hsm.URI) { u.PINSource = filepath.Join(t.TempDir(), "pin") })
		start(t, config(text)).await(t, hsm.StateMisconfigured)
	})
	t.Run("a folder", func(t *testing.T) {
		t.Parallel()
		made := makeToken(t, unique("pin"), "p256")
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		start(t, config(uri(t, made, func(u *hsm.URI) { u.PINSource = dir }))).await(t, hsm.StateMisconfigured)
	})
	t.Run("with a line break at its end", func(t *testing.T) {
		t.Parallel()
		made := makeToken(t, unique("pin"), "p256")
		right, err := os.ReadFile(made.PINFile)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := otherPIN(t, made, string(right)+"\r\n", 0o400)
		start(t, config(text)).await(t, hsm.StateReady)
	})
}
