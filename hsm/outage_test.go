//go:build cgo

package hsm_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/sealsmith/sealsmith/hsm"
)

// control is the file through which a fault injector is told and asked.
type control = [words]atomic.Uint64

// newControl maps a control file of its own, for an injector in another process.
func newControl(t *testing.T, path string) *control {
	t.Helper()
	if err := os.WriteFile(path, make([]byte, words*8), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	mem, err := syscall.Mmap(int(file.Fd()), 0, words*8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	return (*control)(unsafe.Pointer(&mem[0]))
}

// pull takes one token out of its slot; its sessions and its login are lost.
func pull(t *testing.T, word *control, made tokenMade) {
	t.Helper()
	serial, err := strconv.ParseUint(made.Serial, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	word[pulled].Store(serial)
}

// until waits for a counter of the injector.
func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !reached(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// The token is pulled twice while 500 signatures wait, and put back later. Each of the 500
// is made and released once; the token has seen a login for each time it was put in, and
// hardly more signatures than were released.
func TestPulledDuring500Signatures(t *testing.T) {
	made := makeToken(t, "pulled-500", "p256")
	word := faults(t)
	cfg := config(made.TokenURI)
	guard := cfg.Guard.(*memoryGuard)
	token := start(t, cfg)
	token.await(t, hsm.StateReady)
	word[signDelay].Store(1000)
	before := word[signs].Load()
	const all, pulls = 500, 2
	done := make(chan struct{})
	go func() {
		defer close(done)
		sealAll(t, token, all)
	}()
	for n := range pulls {
		until(t, "signatures", func() bool { return word[signs].Load()-before >= uint64(n*200+100) })
		pull(t, word, made)
		token.await(t, hsm.StateAbsent)
		// What was made before is still being verified, and released, by its callers.
		asked := word[signs].Load()
		paused(t, token.Token, hsm.StateAbsent)
		time.Sleep(20 * cfg.PollInterval) // it is looked for some times
		if got := word[signs].Load(); got != asked {
			t.Errorf("%d signatures were asked of a token that is away", got-asked)
		}
		word[pulled].Store(0)
		token.await(t, hsm.StateReady)
	}
	<-done
	h := token.Health()
	if h.Signed != all || h.Logins != 1+pulls || uint64(guard.attempts()) != h.Logins {
		t.Errorf("%d released, %d logins, %d recorded", h.Signed, h.Logins, guard.attempts())
	}
	if got := word[logins].Load(); got != 1+pulls {
		t.Errorf("the token saw %d logins", got)
	}
	// Each pull spoils what each session does then, and each connection proves the key once.
	if got, most := word[signs].Load()-before, uint64(all+pulls*(2*cfg.Sessions+1)); got > most {
		t.Errorf("the token was asked for %d signatures, %d at most were needed", got, most)
	}
}

// Two tokens on one module: pulling one pauses that one and nothing else.
func TestPulledTokenPausesOnlyItself(t *testing.T) {
	word := faults(t)
	first, second := makeToken(t, "pulled-one", "p256"), makeToken(t, "stays", "p256")
	one, two := start(t, config(first.TokenURI)), start(t, config(second.TokenURI))
	one.await(t, hsm.StateReady)
	two.await(t, hsm.StateReady)
	work := load(t, two) // any failure of it is one of the test
	for range 2 {
		work.round(t)
		pull(t, word, first)
		one.await(t, hsm.StateAbsent)
		paused(t, one.Token, hsm.StateAbsent)
		work.round(t)
		word[pulled].Store(0)
		one.await(t, hsm.StateReady)
		if err := one.sign(t); err != nil {
			t.Error(err)
		}
	}
	work.end()
	if h := two.Health(); h.Logins != 1 || h.Failed != 0 || h.State != hsm.StateReady {
		t.Errorf("the token that stayed: %+v", h)
	}
	for len(two.states) > 0 {
		if state := <-two.states; state != hsm.StateReady {
			t.Errorf("the token that stayed became %s", state)
		}
	}
	if h := one.Health(); h.Logins != 3 {
		t.Errorf("%d logins on the token that was put in three times", h.Logins)
	}
	if got := word[finalizes].Load(); got != 0 {
		t.Errorf("%d resets, which the other token would have felt", got)
	}
}

// A module that has died under the load of two tokens comes back for both, with one login
// and one reset more.
func TestModuleDiesUnderLoad(t *testing.T) {
	first, second := makeToken(t, "dies-1", "p256"), makeToken(t, "dies-2", "p256") // which logs in, too
	word := faults(t)
	tokens := []started{start(t, config(first.TokenURI)), start(t, config(second.TokenURI))}
	for _, token := range tokens {
		token.await(t, hsm.StateReady)
	}
	before := word[signs].Load()
	const each = 200
	var work sync.WaitGroup
	for _, token := range tokens {
		work.Go(func() { sealAll(t, token, each) })
	}
	until(t, "signatures", func() bool { return word[signs].Load()-before > each/2 })
	word[dead].Store(1)
	work.Wait()
	for _, token := range tokens {
		if h := token.Health(); h.Signed != each || h.Logins != 2 {
			t.Errorf("%d released, %d logins", h.Signed, h.Logins)
		}
	}
	if resets, seen := word[finalizes].Load(), word[logins].Load(); resets != 1 || seen != 4 {
		t.Errorf("%d resets, %d logins", resets, seen)
	}
}

// While a call hangs in a module that has died, nothing is finalised: that would crash the
// process. When the call returns, the module is reset and the token seals.
func TestNoResetUnderAHangingCall(t *testing.T) {
	word := faults(t)
	cfg := config(makeToken(t, "hangs-dead", "p256").TokenURI)
	cfg.SignTimeout = 200 * time.Millisecond
	token := start(t, cfg)
	token.await(t, hsm.StateReady)
	word[hang].Store(1)
	if err := token.sign(t); !errors.Is(err, hsm.ErrSignTimeout) {
		t.Fatalf("the one that hangs: %v", err)
	}
	word[dead].Store(1)
	if err := token.sign(t); err == nil {
		t.Error("sealed on a dead module")
	}
	token.await(t, hsm.StateSuspect)
	if got := word[finalizes].Load(); got != 0 {
		t.Errorf("%d resets under a running call", got)
	}
	word[hang].Store(0)
	token.await(t, hsm.StateReady)
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
	if got := word[finalizes].Load(); got != 1 {
		t.Errorf("%d resets, want 1", got)
	}
}

// Days of wear in seconds: the module loses everything and two tokens are started and
// closed, over and over under load. The number of open sessions stays what it was.
func TestWear(t *testing.T) {
	word := faults(t)
	first, second := makeToken(t, "wear-1", "p256"), makeToken(t, "wear-2", "p256")
	before := word[sessionsOpen].Load()
	const rounds = 6
	for n := range rounds {
		one, two := start(t, config(first.TokenURI)), start(t, config(second.TokenURI))
		work := load(t, one)
		work.round(t)
		if n%2 == 0 {
			word[loss].Add(1)
		} else {
			word[dead].Store(1)
		}
		work.round(t)
		work.end()
		two.await(t, hsm.StateReady)
		const most = 2 * (1 + 2 + 1) // anchor, two workers, and one that looks for the key
		if got := word[sessionsOpen].Load(); got > before+most {
			t.Errorf("round %d: %d sessions are open, %d were", n, got, before)
		}
		for _, token := range []started{one, two} {
			if err := token.Close(); err != nil {
				t.Fatal(err)
			}
			if h := token.Health(); h.Failed != 0 || h.Logins > 2 {
				t.Errorf("round %d: health %+v", n, h)
			}
		}
		if got := word[sessionsOpen].Load(); got != before {
			t.Fatalf("round %d: %d sessions are open after all were closed, %d were", n, got, before)
		}
	}
}

// The certificate ends while sixteen are signing: nothing is released afterwards, all that
// wait are told to wait, and no login is made.
func TestCertificateEndsUnderLoad(t *testing.T) {
	made := makeToken(t, "ends", "p256")
	word := faults(t)
	var ended atomic.Bool
	cfg := config(made.TokenURI)
	cfg.Now = func() time.Time {
		if ended.Load() {
			return made.Seal.NotAfter.Add(time.Second)
		}
		return time.Now()
	}
	token := start(t, cfg)
	key, err := token.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var released atomic.Int64
	var signers sync.WaitGroup
	for range 16 {
		signers.Go(func() {
			for {
				late := ended.Load() // before the call
				_, err := token.Sign(t.Context(), key.ID, []byte("header.payload"))
				why, isPause := errors.AsType[*hsm.PausedError](err)
				switch {
				case err == nil && late:
					t.Error("sealed with a certificate that had ended")
					return
				case err == nil:
					released.Add(1)
				case isPause && why.State == hsm.StateCertInvalid:
					return
				default:
					t.Errorf("got %v", err)
					return
				}
			}
		})
	}
	until(t, "signatures", func() bool { return released.Load() > 50 })
	ended.Store(true)
	signers.Wait()
	token.await(t, hsm.StateCertInvalid)
	if got := word[logins].Load(); got != 1 {
		t.Errorf("%d logins", got)
	}
}

// A plug with a loose contact: the token comes and goes, and its login with it. It sees
// logins that keep their distance, and works when it stays.
func TestLooseContact(t *testing.T) {
	made := makeToken(t, "loose", "p256")
	word := faults(t)
	begun := time.Now()
	token := start(t, config(made.TokenURI))
	token.await(t, hsm.StateReady)
	for range 12 {
		pull(t, word, made)
		time.Sleep(20 * time.Millisecond) // two polls
		word[pulled].Store(0)
		time.Sleep(20 * time.Millisecond)
	}
	got, took := word[logins].Load(), time.Since(begun)
	if got < 2 || got > mostLogins(took) {
		t.Errorf("%d logins in %s", got, took)
	}
	until(t, "the token", func() bool { return token.Health().State == hsm.StateReady })
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
}

// A caller who has less patience than the token's driver is let go while the session still
// hangs, and the other session goes on.
func TestCallerLeavesAHangingSession(t *testing.T) {
	word := faults(t)
	token := start(t, config(makeToken(t, "leaves", "p256").TokenURI))
	key, err := token.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	word[hang].Store(1)
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := token.Sign(ctx, key.ID, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	for range 10 {
		if err := token.sign(t); err != nil {
			t.Errorf("on the other session: %v", err)
		}
	}
	if h := token.Health(); h.Signed != 10 || word[hang].Load() != 1 || word[finalizes].Load() != 0 {
		t.Errorf("%d signatures, %d resets", h.Signed, word[finalizes].Load())
	}
	word[hang].Store(0)
}
