//go:build cgo

package hsm_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// The tests of this file break the one module of the process, so none is parallel.

// signers sign all the time; every failure is an error of the test.
type signers struct {
	progress chan int // which of them made a signature
	stop     chan struct{}
	wg       sync.WaitGroup
}

const signerCount = 16

func load(t *testing.T, token started) *signers {
	t.Helper()
	key, err := token.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &signers{progress: make(chan int), stop: make(chan struct{})}
	for n := range signerCount {
		s.wg.Go(func() {
			for {
				sig, err := token.Sign(t.Context(), key.ID, []byte("header.payload"))
				if err == nil {
					err = verify(key, []byte("header.payload"), sig)
				}
				if err != nil {
					t.Errorf("under load: %v", err)
					return
				}
				select {
				case s.progress <- n:
				case <-s.stop:
					return
				}
			}
		})
	}
	return s
}

// round waits until each has made two signatures, so one that began after the call.
func (s *signers) round(t *testing.T) {
	t.Helper()
	patience := time.After(20 * time.Second)
	made, left := [signerCount]int{}, signerCount
	for left > 0 {
		select {
		case n := <-s.progress:
			if made[n]++; made[n] == 2 {
				left--
			}
		case <-patience:
			t.Fatal("some signer makes no progress")
		}
	}
}

func (s *signers) end() {
	close(s.stop)
	s.wg.Wait()
}

// A module forgets all sessions and the login: a USB hub that reset, a network HSM that
// failed over. Nobody who is sealing may notice.
func TestSessionLossUnderLoad(t *testing.T) {
	made := makeToken(t, "loss", "p256")
	word := faults(t)
	token := start(t, config(made.TokenURI))
	work := load(t, token)
	const losses = 2
	for range losses {
		work.round(t) // each signature may be hit by one loss, not by two
		word[loss].Add(1)
	}
	work.round(t)
	work.end()
	if h := token.Health(); h.Failed != 0 || h.Logins != 1+losses {
		t.Errorf("health %+v", h)
	}
}

// Another user of the same module in this process closes our sessions under us.
func TestSessionsClosedBySomebodyElse(t *testing.T) {
	faults(t)
	token := start(t, config(makeToken(t, "closed", "p256").TokenURI))
	token.await(t, hsm.StateReady)
	other := pkcs11.New(lab.module)
	slots, err := other.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		if err := other.CloseAllSessions(slot); err != nil {
			t.Fatal(err)
		}
	}
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
	if h := token.Health(); h.Failed != 0 || h.Logins != 2 {
		t.Errorf("health %+v", h)
	}
}

func TestTokenRemoved(t *testing.T) {
	made := makeToken(t, "removed", "p256")
	word := faults(t)
	token := start(t, config(made.TokenURI))
	token.await(t, hsm.StateReady)
	word[removed].Store(1)
	word[loss].Add(1)
	token.await(t, hsm.StateAbsent)
	paused(t, token.Token, hsm.StateAbsent)
	word[removed].Store(0)
	token.await(t, hsm.StateReady)
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
	if got := word[logins].Load(); got != 2 {
		t.Errorf("%d logins, want one before and one after", got)
	}
}

// The token is pulled while it signs: that signature waits as long as it may and then
// pauses, it does not fail for good.
func TestTokenRemovedWhileSigning(t *testing.T) {
	made := makeToken(t, "pulled", "p256")
	word := faults(t)
	token := start(t, config(made.TokenURI))
	token.await(t, hsm.StateReady)
	word[signDelay].Store(50_000)
	before := word[signs].Load()
	failed := make(chan error, 1)
	go func() { failed <- token.sign(t) }()
	for word[signs].Load() == before { // the call is inside the module now
		runtime.Gosched()
	}
	word[removed].Store(1)
	if err := <-failed; !errors.Is(err, hsm.ErrPaused) {
		t.Errorf("got %v", err)
	}
	word[removed].Store(0)
	word[signDelay].Store(0)
	token.await(t, hsm.StateReady)
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
}

func TestDeviceErrorOnce(t *testing.T) {
	made := makeToken(t, "once", "p256")
	word := faults(t)
	token := start(t, config(made.TokenURI))
	token.await(t, hsm.StateReady)
	word[signRVCount].Store(1)
	word[signRV].Store(pkcs11.CKR_DEVICE_ERROR)
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
	if word[logins].Load() != 1 || word[finalizes].Load() != 0 {
		t.Errorf("%d logins, %d resets: a single failure needs neither", word[logins].Load(), word[finalizes].Load())
	}
}

// A module that has lost its device for good answers every call with CKR_DEVICE_ERROR,
// until it is finalised. Two tokens of the module both come back.
func TestModuleReset(t *testing.T) {
	word := faults(t)
	one := start(t, config(makeToken(t, "dead-1", "p256").TokenURI))
	two := start(t, config(makeToken(t, "dead-2", "p256").TokenURI))
	one.await(t, hsm.StateReady)
	two.await(t, hsm.StateReady)
	word[dead].Store(1)
	for _, token := range []started{one, two} {
		if err := token.sign(t); err != nil {
			t.Error(err)
		}
		if h := token.Health(); h.Failed != 0 || h.Logins != 2 {
			t.Errorf("health %+v", h)
		}
	}
	if got := word[finalizes].Load(); got != 1 {
		t.Errorf("%d resets, want 1", got)
	}
}

func TestOneSessionHangs(t *testing.T) {
	word := faults(t)
	cfg := config(makeToken(t, "hangs", "p256").TokenURI)
	cfg.SignTimeout = 200 * time.Millisecond
	token := start(t, cfg)
	token.await(t, hsm.StateReady)
	word[hang].Store(1)
	if err := token.sign(t); !errors.Is(err, hsm.ErrSignTimeout) {
		t.Errorf("the one that hangs: %v", err)
	}
	token.await(t, hsm.StateDegraded)
	if err := token.sign(t); err != nil {
		t.Errorf("on the other session: %v", err)
	}
	word[hang].Store(0)
	token.await(t, hsm.StateReady)
	if got := word[finalizes].Load(); got != 0 {
		t.Errorf("%d resets under a running call", got)
	}
}

func TestAllSessionsHang(t *testing.T) {
	word := faults(t)
	cfg := config(makeToken(t, "all-hang", "p256").TokenURI)
	cfg.SignTimeout = 200 * time.Millisecond
	token := start(t, cfg)
	token.await(t, hsm.StateReady)
	word[hang].Store(2)
	for range 2 {
		if err := token.sign(t); !errors.Is(err, hsm.ErrSignTimeout) {
			t.Errorf("got %v", err)
		}
	}
	token.await(t, hsm.StateSuspect)
	paused(t, token.Token, hsm.StateSuspect)
	// The caller's patience may be shorter than ours.
	ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if _, err := token.Sign(ctx, token.Health().KeyID, nil); err == nil {
		t.Error("signed on a session that hangs")
	}
	word[hang].Store(0)
	token.await(t, hsm.StateReady)
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
	if got := word[finalizes].Load(); got != 0 {
		t.Errorf("%d resets under a running call", got)
	}
}

// A card that makes a wrong signature once is asked again; one that always does never gets
// a signature out.
func TestWrongSignature(t *testing.T) {
	made := makeToken(t, "wrong-sig", "p256")
	word := faults(t)
	token := start(t, config(made.TokenURI))
	token.await(t, hsm.StateReady)
	word[wrongSig].Store(1)
	if err := token.sign(t); err != nil {
		t.Errorf("one wrong signature: %v", err)
	}
	if got := word[wrongSig].Load(); got != 0 {
		t.Error("the fault was not used")
	}
	key, err := token.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	word[wrongSig].Store(1 << 40)
	if sig, err := token.Sign(t.Context(), key.ID, nil); err == nil || sig != nil {
		t.Errorf("released a wrong signature, error %v", err)
	}
	token.await(t, hsm.StateCertInvalid)
}

func TestSessionLimit(t *testing.T) {
	word := faults(t)
	word[maxSessions].Store(word[sessionsOpen].Load() + 2)
	cfg := config(makeToken(t, "limit", "p256").TokenURI)
	cfg.Sessions = 8
	token := start(t, cfg)
	work := load(t, token)
	work.round(t)
	work.end()
	if h := token.Health(); h.Sessions != 1 || h.Failed != 0 {
		t.Errorf("health %+v", h)
	}
}

func TestSessionsAreClosed(t *testing.T) {
	word := faults(t)
	made := makeToken(t, "churn", "p256")
	before := word[sessionsOpen].Load()
	for range 5 {
		token := start(t, config(made.TokenURI))
		if err := token.sign(t); err != nil {
			t.Fatal(err)
		}
		if err := token.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := word[sessionsOpen].Load(); got != before {
		t.Errorf("%d sessions are open, %d were", got, before)
	}
}

// Flags that say the token is near its end forbid the login, whatever PIN we have.
func TestPINFlagsForbidLogin(t *testing.T) {
	made := makeToken(t, "flags", "p256")
	for left, name := range []string{"locked", "final try", "somebody failed"} {
		t.Run(name, func(t *testing.T) {
			word := faults(t)
			word[pinLeft].Store(uint64(left))
			word[pinMax].Store(3)
			token := start(t, config(made.TokenURI))
			token.await(t, hsm.StatePINBlocked)
			paused(t, token.Token, hsm.StatePINBlocked)
			if got := word[logins].Load(); got != 0 {
				t.Errorf("%d logins", got)
			}
			word[pinLeft].Store(3) // the operator logged in with the vendor's tool
			token.await(t, hsm.StateReady)
		})
	}
}

// Drivers answer all sorts of codes to a wrong PIN; each of them has spent the attempt.
func TestEveryLoginErrorSpendsTheAttempt(t *testing.T) {
	made := makeToken(t, "login-errors", "p256")
	for _, code := range []pkcs11.Error{
		pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_ARGUMENTS_BAD,
		pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_USER_PIN_NOT_INITIALIZED,
		pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_VENDOR_DEFINED + 7,
	} {
		t.Run(code.Error(), func(t *testing.T) {
			word := faults(t)
			word[loginRV].Store(uint64(code))
			cfg := config(made.TokenURI)
			token := start(t, cfg)
			token.await(t, hsm.StatePINBlocked)
			word[loginRV].Store(0) // the device is well again, but who knows what it counted
			again := start(t, cfg)
			again.await(t, hsm.StatePINBlocked)
			if got := word[logins].Load(); got != 1 {
				t.Errorf("%d logins, want 1", got)
			}
		})
	}
}

// The PIN was changed on the token while we are connected: the next login is the last.
func TestPINChangedWhileConnected(t *testing.T) {
	made := makeToken(t, "changed", "p256")
	word := faults(t)
	token := start(t, config(made.TokenURI))
	token.await(t, hsm.StateReady)
	word[loginRV].Store(pkcs11.CKR_PIN_INCORRECT)
	word[loss].Add(1)
	token.await(t, hsm.StatePINBlocked)
	if got := word[logins].Load(); got != 2 {
		t.Errorf("%d logins, want the good one and one refused", got)
	}
}

// Keys that want the PIN for each signature (CKA_ALWAYS_AUTHENTICATE), as those on
// qualified devices may.
func TestAlwaysAuthenticate(t *testing.T) {
	word := faults(t)
	made := makeToken(t, "always", "p256")
	id := replaceKey(t, made, pkcs11.NewAttribute(pkcs11.CKA_ALWAYS_AUTHENTICATE, true))
	cfg := config(uriWithID(t, made, id))
	guard := cfg.Guard.(*memoryGuard)
	token := start(t, cfg)
	for range 3 {
		if err := token.sign(t); err != nil {
			t.Fatal(err)
		}
	}
	if h := token.Health(); h.Sessions != 1 {
		t.Errorf("%d sessions, want 1: the token takes one PIN at a time", h.Sessions)
	}
	if got := guard.attempts(); got != 2 {
		t.Errorf("%d recorded attempts, want one of the login and one of the first signature", got)
	}
	word[loginRV].Store(pkcs11.CKR_PIN_INCORRECT)
	if err := token.sign(t); !errors.Is(err, hsm.ErrPaused) {
		t.Errorf("refused login for a signature: %v", err)
	}
	token.await(t, hsm.StatePINBlocked)
	spent := word[logins].Load()
	word[loginRV].Store(0)
	again := start(t, cfg)
	again.await(t, hsm.StatePINBlocked)
	if got := word[logins].Load() - spent; got > 1 {
		t.Errorf("%d logins after the refused one", got)
	}
}

// replaceKey makes another key with a certificate in place of the token's, and returns
// its CKA_ID.
func replaceKey(t *testing.T, made tokenMade, extra ...*pkcs11.Attribute) []byte {
	t.Helper()
	id := []byte{0xa1, 0x02}
	onToken(t, made, func(s *cryptoki.Session, c *pkcs11.Ctx) error {
		for _, class := range []uint{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY, pkcs11.CKO_CERTIFICATE} {
			if err := destroy(s, c, class); err != nil {
				return err
			}
		}
		pub := generateEC(t, c, s.Handle, id, extra...)
		return importCert(c, s.Handle, selfIssued(t, pub, certChange{}), id)
	})
	return id
}
