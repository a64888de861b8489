//go:build cgo

package hsm_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// The same tests over different PKCS#11 implementations, because each reads the standard
// in its own way: SoftHSM; NSS softokn, the one of Firefox; SoftHSM behind p11-kit's remote
// procedure calls; and, by `make tokens`, others that SEALSMITH_TEST_TOKENS names.
func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("SoftHSM", func(t *testing.T) {
		t.Parallel()
		conform(t, softHSMShelf(t))
	})
	t.Run("NSS", func(t *testing.T) {
		t.Parallel()
		s := nssShelf(t)
		conform(t, s)
		t.Run("attribute it does not know", func(t *testing.T) { unknownAttribute(t, s) })
		t.Run("another database", func(t *testing.T) { otherReserved(t, s) })
	})
	t.Run("p11-kit", func(t *testing.T) {
		t.Parallel()
		s, server := p11kitShelf(t)
		conform(t, s)
		t.Run("network HSM lost", func(t *testing.T) { networkHSMLost(t, s, server) })
	})
	for name, s := range namedShelves(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conform(t, s)
		})
	}
}

// conform runs the suite. Its parts share the tokens, so they come one after the other,
// and the wrong PIN last: whether it is forgotten is the token's affair.
func conform(t *testing.T, s *shelf) {
	for _, alg := range s.algs {
		t.Run(alg, func(t *testing.T) { signsWith(t, s, alg) })
	}
	for _, part := range []struct {
		name string
		test func(*testing.T, *shelf)
	}{
		{"signatures at once", signsAtOnce},
		{"sessions lost", sessionsLost},
		{"logs in again", logsInAgain},
		{"no login per signature", noLoginPerSignature},
		{"token absent", tokenAbsent},
		{"key missing", keyMissing},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, s) })
	}
	if !s.oneLogin {
		t.Run("two tokens", func(t *testing.T) { twoTokens(t, s) })
	}
	t.Run("wrong PIN", func(t *testing.T) { wrongPIN(t, s) })
}

func signsWith(t *testing.T, s *shelf, alg string) {
	on := s.key(t, 0, alg)
	token := start(t, config(on.uri.Unredacted()))
	key, err := token.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if key.Alg != alg || !key.Chain[0].Equal(on.cert) {
		t.Errorf("key for %s with the certificate %s", key.Alg, key.Chain[0].Subject)
	}
	for _, input := range [][]byte{nil, []byte("header.payload"), make([]byte, 100_000)} {
		sig, err := token.Sign(t.Context(), key.ID, input)
		if err == nil {
			err = verify(key, input, sig)
		}
		if err != nil {
			t.Errorf("%d bytes: %v", len(input), err)
		}
	}
	h := token.Health()
	if h.State != hsm.StateReady || !strings.Contains(h.Reason, alg) || h.Label != on.uri.Token || h.Serial == "" || h.Alg != alg ||
		len(h.Certificates) != 1 || !h.Certificates[0].NotAfter.Equal(on.cert.NotAfter) || h.Signed != 3 || h.Failed != 0 || h.Logins != 1 || h.Rate <= 0 {
		t.Errorf("health %+v", h)
	}
}

func signsAtOnce(t *testing.T, s *shelf) {
	token := start(t, config(s.any(t, 0).uri.Unredacted()))
	token.await(t, hsm.StateReady)
	sealAll(t, token, 100)
	if h := token.Health(); h.Signed != 100 || h.Failed != 0 || h.Logins != 1 {
		t.Errorf("health %+v", h)
	}
}

// Somebody closes all sessions, which ends the login too. The next signature heals both.
func sessionsLost(t *testing.T, s *shelf) {
	uri := s.any(t, 0).uri
	token := start(t, config(uri.Unredacted()))
	token.await(t, hsm.StateReady)
	if err := token.sign(t); err != nil {
		t.Fatal(err)
	}
	module, err := cryptoki.Open(uri.ModulePath, "", "")
	if err != nil {
		t.Fatal(err)
	}
	slot := slotOf(t, module, uri)
	if err := module.Do(module.Epoch(), func(c *pkcs11.Ctx) error { return c.CloseAllSessions(slot) }); err != nil {
		t.Fatal(err)
	}
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
	if h := token.Health(); h.Failed != 0 || h.Logins != 2 {
		t.Errorf("health %+v", h)
	}
}

func logsInAgain(t *testing.T, s *shelf) {
	cfg := config(s.any(t, 0).uri.Unredacted())
	for range 3 {
		token := start(t, cfg)
		if err := token.sign(t); err != nil {
			t.Fatal(err)
		}
		if err := token.Close(); err != nil {
			t.Fatal(err)
		}
		if h := token.Health(); h.Logins != 1 || h.State != hsm.StateStopped {
			t.Errorf("health %+v", h)
		}
	}
}

// Implementations say in different ways that a key wants no PIN per signature.
func noLoginPerSignature(t *testing.T, s *shelf) {
	uri := s.any(t, 0).uri
	cfg := config(uri.Unredacted())
	token := start(t, cfg)
	token.await(t, hsm.StateReady)
	session, object := privateKey(t, uri)
	always, err := session.True(object, pkcs11.CKA_ALWAYS_AUTHENTICATE)
	if always || err != nil {
		t.Errorf("CKA_ALWAYS_AUTHENTICATE %v, %v", always, err)
	}
	if got := cfg.Guard.(*memoryGuard).attempts(); got != 1 {
		t.Errorf("%d attempts recorded", got)
	}
}

// privateKey opens a session and finds the key of the URI; a Token must be logged in.
func privateKey(t *testing.T, uri hsm.URI) (*cryptoki.Session, pkcs11.ObjectHandle) {
	t.Helper()
	module, err := cryptoki.Open(uri.ModulePath, "", "")
	if err != nil {
		t.Fatal(err)
	}
	session, err := module.OpenSession(module.Epoch(), slotOf(t, module, uri), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	})
	found, err := session.Find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_ID, uri.ID))
	if err != nil || len(found) != 1 {
		t.Fatalf("%d keys, %v", len(found), err)
	}
	return session, found[0]
}

func tokenAbsent(t *testing.T, s *shelf) {
	uri := s.any(t, 0).uri
	uri.Token = "nobody"
	token := start(t, config(uri.Unredacted()))
	token.await(t, hsm.StateAbsent)
	paused(t, token.Token, hsm.StateAbsent)
	if h := token.Health(); h.Logins != 0 || !strings.Contains(h.Reason, "plug it in") {
		t.Errorf("health %+v", h)
	}
}

func keyMissing(t *testing.T, s *shelf) {
	uri := s.any(t, 0).uri
	uri.ID = []byte("no such key")
	token := start(t, config(uri.Unredacted()))
	token.await(t, hsm.StateKeyMissing)
	paused(t, token.Token, hsm.StateKeyMissing)
	if h := token.Health(); h.Logins != 1 || !strings.Contains(h.Reason, "no private key") {
		t.Errorf("health %+v", h)
	}
}

// Two tokens of one library: each has its login, and what ends one leaves the other alone.
func twoTokens(t *testing.T, s *shelf) {
	on := []sealable{s.any(t, 0), s.any(t, 1)} // first the keys, which are made with a login
	var tokens []started
	for _, key := range on {
		tokens = append(tokens, start(t, config(key.uri.Unredacted())))
	}
	var keys []string
	for _, token := range tokens {
		token.await(t, hsm.StateReady)
		keys = append(keys, token.Health().KeyID)
	}
	if keys[0] == keys[1] {
		t.Fatal("both tokens have the same key")
	}
	var both sync.WaitGroup
	for _, token := range tokens {
		both.Go(func() { sealAll(t, token, 20) })
	}
	both.Wait()
	if _, err := tokens[1].Sign(t.Context(), keys[0], nil); !errors.Is(err, hsm.ErrKeyChanged) {
		t.Errorf("a signature for the other's key: %v", err)
	}
	if err := tokens[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := tokens[1].sign(t); err != nil {
		t.Errorf("after the other was closed: %v", err)
	}
	for n, token := range tokens {
		if h := token.Health(); h.Logins != 1 || h.Failed != 0 || h.Signed != uint64(20+n) {
			t.Errorf("health %+v", h)
		}
	}
}

// A wrong PIN costs one attempt, however often we start. The right one then is let in:
// at once, or with an operator's permission where the token reports the wrong one.
func wrongPIN(t *testing.T, s *shelf) {
	uri := s.any(t, 1).uri
	right := uri.PINSource
	uri.PINSource = filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(uri.PINSource, []byte("98769876"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(uri.Unredacted())
	guard := cfg.Guard.(*memoryGuard)
	for n := range 3 {
		token := start(t, cfg)
		token.await(t, hsm.StatePINBlocked)
		paused(t, token.Token, hsm.StatePINBlocked)
		if err := token.Close(); err != nil {
			t.Fatal(err)
		}
		if h := token.Health(); h.Logins != uint64(max(1-n, 0)) {
			t.Errorf("start %d: %d logins", n, h.Logins)
		}
	}
	uri.PINSource = right
	cfg.URI = uri.Unredacted()
	guard.allow()
	token := start(t, cfg)
	token.await(t, hsm.StateReady)
	if err := token.sign(t); err != nil {
		t.Error(err)
	}
	if h := token.Health(); h.Logins != 1 {
		t.Errorf("%d logins with the right PIN", h.Logins)
	}
}

// NSS answers with an error where others answer that a key wants no PIN per signature.
func unknownAttribute(t *testing.T, s *shelf) {
	uri := s.any(t, 0).uri
	token := start(t, config(uri.Unredacted()))
	token.await(t, hsm.StateReady)
	session, object := privateKey(t, uri)
	err := session.Do(func(c *pkcs11.Ctx) error {
		_, err := c.GetAttributeValue(session.Handle, object, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ALWAYS_AUTHENTICATE, nil)})
		return err
	})
	if !errors.Is(err, pkcs11.Error(pkcs11.CKR_ATTRIBUTE_TYPE_INVALID)) {
		t.Errorf("got %v; then the case is tested no more", err)
	}
}

// The library is initialised once: who wants other parameters is told.
func otherReserved(t *testing.T, s *shelf) {
	uri := s.any(t, 0).uri
	uri.InitReserved = "configdir='sql:/nowhere'"
	token := start(t, config(uri.Unredacted()))
	token.await(t, hsm.StateMisconfigured)
	if h := token.Health(); !strings.Contains(h.Reason, "another setting") {
		t.Errorf("reason %q", h.Reason)
	}
}

// The server is killed under signatures: the client's module knows no slots and no session
// until it is finalised and initialised, however soon the server is back. All signatures
// are made, each caller gets one, and the token sees one login more for each outage.
func networkHSMLost(t *testing.T, s *shelf, server *p11kitServer) {
	on := s.any(t, 0)
	token := start(t, config(on.uri.Unredacted()))
	token.await(t, hsm.StateReady)
	server.word[signDelay].Store(2000)
	before := server.word[logins].Load()
	const outages, each = 2, 100
	done := make(chan struct{})
	go func() {
		defer close(done)
		sealAll(t, token, outages*each)
	}()
	for n := range outages {
		for server.word[signs].Load() < uint64(n*each+each/4) {
			time.Sleep(time.Millisecond)
		}
		server.kill(t)
		token.await(t, hsm.StateAbsent) // the client lists no slots when its server is gone
		paused(t, token.Token, hsm.StateAbsent)
		server.start(t)
		token.await(t, hsm.StateReady)
	}
	<-done
	h := token.Health()
	if h.Signed != outages*each || h.Logins != 1+outages {
		t.Errorf("%d signatures released, %d logins; health %+v", h.Signed, h.Logins, h)
	}
	if got := server.word[logins].Load() - before; got != outages {
		t.Errorf("the token saw %d logins after %d outages", got, outages)
	}
	if n := server.word[races].Load(); n != 0 {
		t.Errorf("%d times two threads were in one session", n)
	}
}

// sealAll makes n signatures as the queue does: by several workers, each work done once,
// put back while sealing is paused. Any other error is one of the test.
func sealAll(t *testing.T, token started, n int) {
	t.Helper()
	work := make(chan int)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for item := range work {
				if err := sealOne(t, token, fmt.Appendf(nil, "header.%d", item)); err != nil {
					t.Errorf("item %d: %v", item, err)
				}
			}
		})
	}
	for item := range n {
		work <- item
	}
	close(work)
	workers.Wait()
}

// sealOne tries until the token has sealed.
func sealOne(t *testing.T, token started, input []byte) error {
	t.Helper()
	for {
		key, err := token.Key(t.Context())
		if err == nil {
			var sig []byte
			if sig, err = token.Sign(t.Context(), key.ID, input); err == nil {
				return verify(key, input, sig)
			}
		}
		if !errors.Is(err, hsm.ErrPaused) {
			return err
		}
		time.Sleep(5 * time.Millisecond) // the queue would wait longer
	}
}
