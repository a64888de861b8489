//go:build cgo

package hsm_test

import (
	"errors"
	"strings"
	"testing"

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

// healing is what a code that comes once out of C_Sign costs.
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

// Whatever a driver answers to C_Sign, once: the token seals afterwards, and it has cost
// what the code means and no more.
func TestEveryCodeOfSign(t *testing.T) {
	made := makeToken(t, "codes-sign", "p256")
	for _, code := range everyCode(t) {
		t.Run(code.Error(), func(t *testing.T) {
			want, ok := healed[code]
			if !ok {
				want = refusal
			}
			word := outage(t)
			token := start(t, config(made.TokenURI))
			token.await(t, hsm.StateReady)
			word[signRVCount].Store(1)
			word[signRV].Store(uint64(code))
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
			if got, resets := word[logins].Load(), word[finalizes].Load(); got != want.logins || resets != want.resets {
				t.Errorf("%s: %d logins and %d resets, want %d and %d", want.name, got, resets, want.logins, want.resets)
			}
		})
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
			word := outage(t)
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

// A driver that says "already logged in" when nobody is, as SoftHSM says to a wrong PIN
// while somebody is: no key can be seen, and the logins that follow keep their distance.
func TestAlreadyLoggedIn(t *testing.T) {
	made := makeToken(t, "already", "p256")
	word := outage(t)
	word[loginRV].Store(pkcs11.CKR_USER_ALREADY_LOGGED_IN)
	token := start(t, config(made.TokenURI))
	token.await(t, hsm.StateRecovering)
	if err := token.sign(t); err == nil {
		t.Error("sealed without a login")
	}
	if got := word[logins].Load(); got > 5 { // 0, 0, 1, 2 and 5 seconds apart, within SignTimeout
		t.Errorf("%d logins", got)
	}
	word[loginRV].Store(0)
	token.await(t, hsm.StateReady)
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
}
