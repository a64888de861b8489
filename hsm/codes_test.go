//go:build cgo

package hsm_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
)

// everyCode lists the return values of PKCS#11 v2.40 section 5.1 but CKR_OK, and two that
// only vendors have.
func everyCode(t *testing.T) []pkcs11.Error {
	t.Helper()
	var codes []pkcs11.Error
	for code := pkcs11.Error(1); code < 0x300; code++ {
		if !strings.HasSuffix(code.Error(), ": ") { // the library has a name for it
			codes = append(codes, code)
		}
	}
	if len(codes) < 80 {
		t.Fatalf("only %d codes are known", len(codes))
	}
	return append(codes, pkcs11.CKR_VENDOR_DEFINED, pkcs11.CKR_VENDOR_DEFINED+0x1234)
}

// healing is what a code that comes once costs.
type healing struct {
	name   string
	logins uint64 // one at the start included
	resets uint64
	pauses bool // the signature may be put off
}

var (
	refusal  = healing{name: "refused", logins: 1}
	again    = healing{name: "made again", logins: 1}
	comeBack = healing{name: "token comes back", logins: 2, pauses: true}
	restart  = healing{name: "module starts anew", logins: 2, resets: 1, pauses: true}
)

// healed are the codes that something heals; every other one is the caller's.
var healed = map[pkcs11.Error]healing{
	pkcs11.CKR_SESSION_HANDLE_INVALID: again, pkcs11.CKR_SESSION_CLOSED: again,
	pkcs11.CKR_OPERATION_ACTIVE: again, pkcs11.CKR_OPERATION_NOT_INITIALIZED: again,
	pkcs11.CKR_USER_NOT_LOGGED_IN: again, pkcs11.CKR_OBJECT_HANDLE_INVALID: again, pkcs11.CKR_KEY_HANDLE_INVALID: again,
	pkcs11.CKR_TOKEN_NOT_PRESENT: comeBack, pkcs11.CKR_DEVICE_REMOVED: comeBack,
	pkcs11.CKR_TOKEN_NOT_RECOGNIZED: comeBack, pkcs11.CKR_SLOT_ID_INVALID: comeBack,
	pkcs11.CKR_DEVICE_ERROR: again, pkcs11.CKR_FUNCTION_FAILED: again, pkcs11.CKR_GENERAL_ERROR: again,
	pkcs11.CKR_HOST_MEMORY: again, pkcs11.CKR_DEVICE_MEMORY: again,
	pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED: restart,
	pkcs11.CKR_SESSION_COUNT:            again, pkcs11.CKR_FUNCTION_REJECTED: again,
	pkcs11.CKR_VENDOR_DEFINED: again, pkcs11.CKR_VENDOR_DEFINED + 0x1234: again,
}

// Whatever a driver answers to a call that a signature needs, once: the token seals
// afterwards, and it has cost what the code means and no more.
func TestEveryCodeOfSigning(t *testing.T) {
	made := makeToken(t, "codes-sign", "p256")
	for _, at := range []struct {
		name                    string
		answer, times, named, n int // the words that say what is answered, and how often
	}{
		{"C_OpenSession", callRV, callCount, call, openSession},
		{"C_SignInit", callRV, callCount, call, signInit},
		{"C_Sign", signRV, signRVCount, call, 0},
	} {
		for _, code := range everyCode(t) {
			t.Run(at.name+" "+code.Error(), func(t *testing.T) {
				word := faults(t)
				token := start(t, config(made.TokenURI))
				token.await(t, hsm.StateReady)
				word[at.named].Store(uint64(at.n))
				word[at.answer].Store(uint64(code))
				word[at.times].Store(1)
				signsAfter(t, token, code)
				if word[at.times].Load() != 0 {
					t.Error("the code was not answered")
				}
				costs(t, healingOf(code))
			})
		}
	}
}

// signsAfter makes the signature that meets the code, and one more.
func signsAfter(t *testing.T, token started, code pkcs11.Error) {
	t.Helper()
	want := healingOf(code)
	err := token.sign(t)
	switch {
	case want == refusal:
		if !errors.Is(err, code) || errors.Is(err, hsm.ErrPaused) {
			t.Errorf("got %v, want the code", err)
		}
	case want.pauses && errors.Is(err, hsm.ErrPaused):
		token.await(t, hsm.StateReady)
	case err != nil:
		t.Errorf("%s: got %v", want.name, err)
	}
	if err := token.sign(t); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func healingOf(code pkcs11.Error) healing {
	if want, ok := healed[code]; ok {
		return want
	}
	return refusal
}

// costs compares what the token and the module have seen.
func costs(t *testing.T, want healing) {
	t.Helper()
	if got, resets := lab.word[logins].Load(), lab.word[finalizes].Load(); got != want.logins || resets != want.resets {
		t.Errorf("%s: %d logins and %d resets, want %d and %d", want.name, got, resets, want.logins, want.resets)
	}
}

// Whatever a driver answers, once, while the token is being connected: it becomes ready all
// the same, with the one login, or a second one where the code says that the first was lost.
func TestEveryCodeOfConnecting(t *testing.T) {
	made := makeToken(t, "codes-connect", "p256")
	for name, at := range map[string]uint64{
		"C_OpenSession": openSession, "C_FindObjectsInit": findObjectsInit, "C_FindObjects": findObjects, "C_SignInit": signInit,
	} {
		for _, code := range everyCode(t) {
			t.Run(name+" "+code.Error(), func(t *testing.T) {
				word := faults(t)
				word[call].Store(at)
				word[callRV].Store(uint64(code))
				word[callCount].Store(1)
				token := start(t, config(made.TokenURI))
				token.await(t, hsm.StateReady)
				if err := token.sign(t); err != nil {
					t.Error(err)
				}
				if word[callCount].Load() != 0 {
					t.Error("the code was not answered")
				}
				want := healingOf(code)
				if at == openSession {
					want.logins = 1 // it came before the login
				}
				costs(t, want)
			})
		}
	}
}

// Whatever a driver answers to C_Login: the attempt is spent, the operator reads why, and
// neither waiting nor starting anew makes a second one.
func TestEveryCodeOfLogin(t *testing.T) {
	made := makeToken(t, "codes-login", "p256")
	for _, code := range everyCode(t) {
		if code == pkcs11.CKR_USER_ALREADY_LOGGED_IN {
			continue // says nothing about the PIN: TestAlreadyLoggedIn
		}
		t.Run(code.Error(), func(t *testing.T) {
			word := faults(t)
			word[loginRV].Store(uint64(code))
			cfg := config(made.TokenURI)
			for range 2 {
				token := start(t, cfg)
				token.await(t, hsm.StatePINBlocked)
				paused(t, token.Token, hsm.StatePINBlocked)
				if reason := token.Health().Reason; !strings.Contains(reason, made.Serial) {
					t.Errorf("reason %q names no token", reason)
				}
				if err := token.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if got := word[logins].Load(); got != 1 {
				t.Errorf("%d logins, want 1", got)
			}
		})
	}
}

// The same of the login per signature that keys with CKA_ALWAYS_AUTHENTICATE want, after
// many good ones: the PIN may have been changed, so it is not tried again.
func TestEveryCodeOfLoginPerSignature(t *testing.T) {
	word := faults(t)
	made := makeToken(t, "codes-always", "p256")
	id := replaceKey(t, made, pkcs11.NewAttribute(pkcs11.CKA_ALWAYS_AUTHENTICATE, true))
	for _, code := range everyCode(t) {
		t.Run(code.Error(), func(t *testing.T) {
			cfg := config(uriWithID(t, made, id))
			token := start(t, cfg)
			if err := token.sign(t); err != nil {
				t.Fatal(err)
			}
			before := word[logins].Load()
			word[loginRV].Store(uint64(code))
			defer word[loginRV].Store(0)
			if err := token.sign(t); !errors.Is(err, hsm.ErrPaused) {
				t.Errorf("got %v, want a pause", err)
			}
			token.await(t, hsm.StatePINBlocked)
			if got := word[logins].Load() - before; got != 1 {
				t.Errorf("%d logins, want 1", got)
			}
		})
	}
}

// mostLogins is how many a token may see that loses each: at once, at once again, then 1,
// 2, 5, 15 and 60 seconds apart.
func mostLogins(in time.Duration) uint64 { return uint64(2 + in/time.Second) }

// A code that stays comes again after each login: as after any lost login, the next ones
// keep their distance, or none is needed.
func TestCodeThatStays(t *testing.T) {
	made := makeToken(t, "codes-stay", "p256")
	for _, code := range []pkcs11.Error{
		pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_DEVICE_ERROR,
		pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_SESSION_COUNT, pkcs11.CKR_ARGUMENTS_BAD,
	} {
		t.Run(code.Error(), func(t *testing.T) {
			word := faults(t)
			word[call].Store(signInit)
			word[callRV].Store(uint64(code))
			word[callCount].Store(1 << 40)
			begun := time.Now()
			token := start(t, config(made.TokenURI))
			until(t, "the code", func() bool { return word[callCount].Load() < 1<<40 })
			time.Sleep(300 * time.Millisecond)
			got, took := word[logins].Load(), time.Since(begun)
			if got == 0 || got > mostLogins(took) {
				t.Errorf("%d logins in %s", got, took)
			}
			word[callCount].Store(0)
			token.await(t, hsm.StateReady)
		})
	}
}

// A driver that says "already logged in" when nobody is, as SoftHSM says to a wrong PIN
// while somebody is: no key can be seen, and the logins that follow keep their distance.
func TestAlreadyLoggedIn(t *testing.T) {
	made := makeToken(t, "already", "p256")
	word := faults(t)
	word[loginRV].Store(pkcs11.CKR_USER_ALREADY_LOGGED_IN)
	cfg := config(made.TokenURI)
	cfg.SignTimeout = 300 * time.Millisecond
	begun := time.Now()
	token := start(t, cfg)
	token.await(t, hsm.StateRecovering)
	if err := token.sign(t); err == nil {
		t.Error("sealed without a login")
	}
	got, took := word[logins].Load(), time.Since(begun)
	if got == 0 || got > mostLogins(took) {
		t.Errorf("%d logins in %s", got, took)
	}
	word[loginRV].Store(0)
	token.await(t, hsm.StateReady)
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
}
