package lti_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/fetch"
)

// keyPlatform is a key set behind a client that needs no network.
type keyPlatform struct {
	t     *testing.T
	clock *clock
	keys  lti.PlatformKeys
	reg   lti.Registration

	mu      sync.Mutex
	answer  func() (*http.Response, error)
	reads   int
	arrived chan struct{} // gets a value per reading
	hold    chan struct{} // a reading waits for it, when it is set
}

func newKeyPlatform(t *testing.T, keys ...map[string]any) *keyPlatform {
	t.Helper()
	p := &keyPlatform{t: t, clock: newClock(start), reg: lti.Registration{ID: "r1", JWKSURL: "https://lms.example.edu/jwks"}, arrived: make(chan struct{}, 1000)}
	client := &http.Client{Transport: p}
	p.keys = lti.NewPlatformKeys(func(lti.Registration) *http.Client { return client }, p.clock.Now)
	p.serve(publicSet(keys...))
	return p
}

// RoundTrip implements http.RoundTripper.
func (p *keyPlatform) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.reads++
	answer, hold := p.answer, p.hold
	p.mu.Unlock()
	p.arrived <- struct{}{}
	if hold != nil {
		<-hold
	}
	return answer()
}

func (p *keyPlatform) will(answer func() (*http.Response, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *keyPlatform) serve(body []byte) {
	p.will(func() (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}, nil
	})
}

func (p *keyPlatform) away() {
	p.will(func() (*http.Response, error) { return nil, errors.New("away") })
}

func (p *keyPlatform) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reads
}

func (p *keyPlatform) finds(kid string, want int) {
	p.t.Helper()
	if got, err := p.keys.Find(p.t.Context(), p.reg, kid); err != nil || got != want {
		p.t.Errorf("%s: found %d, %v; want %d", kid, got, err, want)
	}
}

func (p *keyPlatform) fails(kid string) {
	p.t.Helper()
	if got, err := p.keys.Find(p.t.Context(), p.reg, kid); err == nil {
		p.t.Errorf("%s: found %d, want an error", kid, got)
	}
}

func (p *keyPlatform) wasRead(times int) {
	p.t.Helper()
	if n := p.count(); n != times {
		p.t.Errorf("the key set was read %d times, want %d", n, times)
	}
}

// settle waits until the reading that goes on beside the launches has been taken over.
func (p *keyPlatform) settle(kid string, want int) {
	p.t.Helper()
	for range 1000 {
		if got, err := p.keys.Find(p.t.Context(), p.reg, kid); err == nil && got == want {
			return
		}
		time.Sleep(time.Millisecond)
	}
	p.t.Fatalf("%s is never found %d times", kid, want)
}

func key(kid string) map[string]any { return publicKey(kid, platformKey(), nil) }

// TestK9ColdCache: two hundred launches at once are one reading.
func TestK9ColdCache(t *testing.T) {
	t.Parallel()
	for range 20 {
		p := newKeyPlatform(t, key("k1"))
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { p.finds("k1", 1) })
		}
		wg.Wait()
		p.wasRead(1)
	}
}

// TestJ3ManyAtTheEndOfTheWindow: some of them look at the cache before the reading and ask
// after it; they must not read again.
func TestJ3ManyAtTheEndOfTheWindow(t *testing.T) {
	t.Parallel()
	for range 20 {
		p := newKeyPlatform(t, key("k1"))
		p.finds("k1", 1)
		p.clock.advance(time.Minute)
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() { p.finds(fmt.Sprint("made-up-", i), 0) })
		}
		wg.Wait()
		p.wasRead(2)
	}
}

// TestJ3Flood: made-up kids for ten minutes are ten readings, and a platform that changes
// its key meanwhile is understood within a minute.
func TestJ3Flood(t *testing.T) {
	t.Parallel()
	p := newKeyPlatform(t, key("k1"))
	p.finds("k1", 1)
	for minute := range 10 {
		for i := range 60 {
			p.clock.advance(time.Second)
			p.finds(fmt.Sprint("made-up-", minute, "-", i), 0)
			p.finds("k1", 1) // honest launches go on
		}
	}
	p.wasRead(11)
	p.serve(publicSet(key("k2")))
	p.clock.advance(time.Second)
	p.finds("k2", 0) // the flood has used up this minute
	p.clock.advance(time.Minute)
	p.finds("k2", 1)
	p.finds("k1", 0) // J34
	p.wasRead(12)
}

// TestJ33J34Rotation: a new key counts at once when the last reading is a minute ago, and
// the set is replaced, not merged.
func TestJ33J34Rotation(t *testing.T) {
	t.Parallel()
	p := newKeyPlatform(t, key("k1"), key("shared"))
	p.finds("k1", 1)
	p.clock.advance(time.Minute)
	p.serve(publicSet(key("k2"), publicKey("shared", otherKey(), nil)))
	p.finds("k2", 1)
	p.finds("k1", 0)
	p.finds("shared", 1)
	p.wasRead(2)
}

// TestStaleWhileRevalidate: keys of an hour ago serve at once and are read beside it; keys
// of a night ago do not.
func TestStaleWhileRevalidate(t *testing.T) {
	t.Parallel()
	p := newKeyPlatform(t, key("k1"))
	p.finds("k1", 1)
	<-p.arrived
	p.clock.advance(time.Hour)
	p.serve(publicSet(key("k2")))
	p.hold = make(chan struct{})
	p.finds("k1", 1) // does not wait for the reading, which is held
	<-p.arrived
	p.finds("k1", 1)
	close(p.hold)
	p.settle("k2", 1)
	p.finds("k1", 0)
	p.wasRead(2)
	p.clock.advance(12 * time.Hour)
	p.serve(publicSet(key("k3")))
	p.finds("k2", 0) // J34: withdrawn in the night
	p.wasRead(3)
}

// TestK1K2Outage: keys serve for a day while the platform is away, and launches neither
// wait nor knock more often than every ten seconds.
func TestK1K2Outage(t *testing.T) {
	t.Parallel()
	p := newKeyPlatform(t, key("k1"))
	p.away()
	p.fails("k1") // K2
	p.clock.advance(9 * time.Second)
	p.fails("k1")
	p.wasRead(1)
	p.serve(publicSet(key("k1")))
	p.clock.advance(time.Second)
	p.finds("k1", 1)
	p.away()
	for range 5 {
		p.clock.advance(4 * time.Hour)
		p.finds("k1", 1) // K1
	}
	p.clock.advance(4 * time.Hour)
	p.fails("k1")
}

// TestK2CancelledLaunch: whoever leaves does not spoil the reading for the others.
func TestK2CancelledLaunch(t *testing.T) {
	t.Parallel()
	p := newKeyPlatform(t, key("k1"))
	p.hold = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := p.keys.Find(ctx, p.reg, "k1")
		left <- err
	}()
	<-p.arrived
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(p.hold)
	p.settle("k1", 1)
	p.wasRead(1)
}

// TestK11EmptySet: a platform that says it has no keys is believed after an hour.
func TestK11EmptySet(t *testing.T) {
	t.Parallel()
	p := newKeyPlatform(t, key("k1"))
	p.finds("k1", 1)
	p.serve([]byte(`{"keys":[]}`))
	p.clock.advance(time.Minute)
	p.finds("k2", 0) // reads the empty set
	p.finds("k1", 1) // the good ones stay
	p.wasRead(2)
	p.clock.advance(30 * time.Minute)
	p.finds("k2", 0)
	p.finds("k1", 1)
	p.clock.advance(30 * time.Minute)
	p.fails("k2")
	p.fails("k1")
	p.serve(publicSet(key("k1")))
	p.clock.advance(10 * time.Second)
	p.finds("k1", 1)
}

// TestK11EmptyForAMoment: empty twice with keys in between is not an hour of it.
func TestK11EmptyForAMoment(t *testing.T) {
	t.Parallel()
	p := newKeyPlatform(t, key("k1"))
	p.finds("k1", 1)
	for range 3 {
		p.serve([]byte(`{"keys":[]}`))
		p.clock.advance(time.Minute)
		p.finds("k2", 0)
		p.serve(publicSet(key("k1")))
		p.clock.advance(40 * time.Minute)
		p.finds("k2", 0)
	}
	p.serve([]byte(`{"keys":[]}`))
	p.clock.advance(time.Minute)
	p.finds("k2", 0)
	p.finds("k1", 1)
}

// TestKeysOfAnotherAddress: a changed address of the key set is read at once, and the keys
// of the old one count no more.
func TestKeysOfAnotherAddress(t *testing.T) {
	t.Parallel()
	p := newKeyPlatform(t, key("k1"))
	p.finds("k1", 1)
	p.serve(publicSet(key("k2")))
	p.reg.JWKSURL += "/new"
	p.finds("k1", 0)
	p.finds("k2", 1)
	p.wasRead(2)
}

// TestKeysAreBounded: registrations come and go, and those in use stay.
func TestKeysAreBounded(t *testing.T) {
	t.Parallel()
	p := newKeyPlatform(t, key("k1"))
	for i := range lti.MaxKeysPlatforms + 50 {
		p.clock.advance(time.Millisecond)
		p.reg.ID = fmt.Sprint("r", i)
		p.finds("k1", 1)
		if len(p.arrived) > 900 {
			for len(p.arrived) > 0 {
				<-p.arrived
			}
		}
	}
	if n := p.keys.Len(); n != lti.MaxKeysPlatforms {
		t.Errorf("%d key sets kept, want %d", n, lti.MaxKeysPlatforms)
	}
	before := p.count()
	p.finds("k1", 1)
	p.reg.ID = "r100"
	p.finds("k1", 1)
	p.wasRead(before)
}

// TestPanicOfTheClient ends the launch, not the process.
func TestPanicOfTheClient(t *testing.T) {
	t.Parallel()
	p := newKeyPlatform(t)
	p.will(func() (*http.Response, error) { panic("bug") })
	p.fails("k1")
}

func ecKey(kid, alg string, curve elliptic.Curve) map[string]any {
	private := must(ecdsa.GenerateKey(curve, rand.Reader))
	size := (curve.Params().BitSize + 7) / 8
	coordinate := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, size))) }
	m := map[string]any{"kty": "EC", "kid": kid, "crv": curve.Params().Name, "x": coordinate(private.X), "y": coordinate(private.Y)}
	if alg != "" {
		m["alg"] = alg
	}
	return m
}

// TestKeysOfASet looks for what a set makes of single keys.
func TestKeysOfASet(t *testing.T) {
	t.Parallel()
	off := ecKey("off", "ES256", elliptic.P256())
	off["y"] = off["x"]
	mixed := ecKey("mixed", "ES256", elliptic.P384())
	mixed["crv"] = "P-256"
	huge := publicKey("huge", platformKey(), map[string]any{"n": base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 2048))})
	small := func(kid, e string) map[string]any { return publicKey(kid, platformKey(), map[string]any{"e": e}) }
	p := newKeyPlatform(t,
		key("rsa"), ecKey("ec", "", elliptic.P256()), ecKey("ec384", "ES384", elliptic.P384()), off, mixed, ecKey("p224", "", elliptic.P224()),
		map[string]any{"kty": "EC", "kid": "bitcoin", "crv": "secp256k1", "x": off["x"], "y": off["x"]},
		map[string]any{"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": off["x"]},
		key("twice"), publicKey("twice", otherKey(), nil), huge, small("e1", "AQ"), small("e2", "Ag"),
		publicKey("short", platformKey(), map[string]any{"n": base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 128))}),
		key("weak-and-good"), publicKey("weak-and-good", platformKey(), map[string]any{"e": "AQ"}),
	)
	for kid, want := range map[string]int{
		"rsa": 1, "ec": 1, "ec384": 1, "off": 0, "mixed": 0, "p224": 0, "bitcoin": 0, "ed": 0, "twice": 2,
		"huge": -1, "e1": -1, "e2": -1, "short": -1, "weak-and-good": 1,
	} {
		p.finds(kid, want)
	}
	p.wasRead(1)
}

// TestKeySetTrouble reads what a wrong or broken address answers, and what is said of it.
func TestKeySetTrouble(t *testing.T) {
	t.Parallel()
	many := make([]map[string]any, 101)
	for i := range many {
		many[i] = key(fmt.Sprint("k", i))
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 50 {
		z.Write(bytes.Repeat([]byte(" "), 1<<20))
	}
	z.Close()
	good := publicSet(key("k1"))
	self := httptest.NewUnstartedServer(http.NotFoundHandler())
	self.Config.ErrorLog = log.New(io.Discard, "", 0)
	self.StartTLS()
	t.Cleanup(self.Close)
	for _, tt := range []struct {
		name    string
		status  int
		header  string
		body    []byte
		address string // instead
		code    string // empty: it works
		words   string
	}{
		{"K10 text/plain", 200, "Content-Type: text/plain", good, "", "", ""},
		{"K10 text/html, and yet a key set", 200, "Content-Type: text/html", good, "", "", ""},
		{"K1 refused", 0, "", nil, "http://127.0.0.1:1/", fetch.TroubleRefused, "nothing listens there: the connection was refused"},
		{"K1 no such name", 0, "", nil, "https://nobody.invalid/", fetch.TroubleName, "the name nobody.invalid does not resolve"},
		{"K2 down", 503, "", good, "", lti.KeySetStatus, "the address answers with status 503 Service Unavailable, not with a key set"},
		{"K2 not there", 404, "", nil, "", lti.KeySetStatus, "the address answers with status 404 Not Found, not with a key set"},
		{"K2 behind a login", 401, "", nil, "", lti.KeySetStatus, "the address answers with status 401 Unauthorized, not with a key set; it has to be open to everybody"},
		{"K2 no content", 204, "", nil, "", lti.KeySetStatus, "the address answers with status 204 No Content, not with a key set"},
		{"K4 gzip bomb", 200, "Content-Encoding: gzip", bomb.Bytes(), "", fetch.TroubleTooLarge, "the answer is too large"},
		{"K4 600 kB", 200, "", append(bytes.Repeat([]byte(" "), 600<<10), good...), "", fetch.TroubleTooLarge, "the answer is too large"},
		{"K5 101 keys", 200, "", publicSet(many...), "", lti.KeySetTooMany, "the key set has 101 keys, more than 100"},
		{"K6 HTML", 200, "Content-Type: application/json", []byte("\ufeff \n<!doctype html><title>Log in</title>"), "", lti.KeySetHTML, "the address answers a page of HTML, not a key set"},
		{"K7 redirect inside", 302, "Location: https://10.0.0.1/jwks", nil, "", fetch.TroubleBlocked, "the address may not be called: 10.0.0.1 is not a public address"},
		{"K7 private", 0, "", nil, "https://192.168.0.1/", fetch.TroubleBlocked, "the address may not be called: 192.168.0.1 is not a public address"},
		{"K8 self-signed", 0, "", nil, self.URL, fetch.TroubleUntrusted, "the TLS certificate is not trusted: it is self-signed"},
		{"K11 empty", 200, "", []byte(`{"keys":[]}`), "", lti.KeySetEmpty, "the key set has no key that can check a signature"},
		{"K11 for encryption only", 200, "", publicSet(publicKey("k1", platformKey(), map[string]any{"use": "enc"})), "", lti.KeySetEmpty, "the key set has no key that can check a signature"},
		{"nothing", 200, "", nil, "", lti.KeySetMalformed, "the answer is not a key set: it is not a JSON object"},
		{"a list", 200, "", []byte("[]"), "", lti.KeySetMalformed, "the answer is not a key set: it is not a JSON object"},
		{"keys twice", 200, "", []byte(`{"keys":[],"keys":[]}`), "", lti.KeySetMalformed, "the answer is not a key set: it has a member twice"},
		{"keys is null", 200, "", []byte(`{"keys":null}`), "", lti.KeySetMalformed, "the answer is not a key set: it has no list of keys"},
		{"one key", 200, "", must(json.Marshal(key("k1"))), "", lti.KeySetMalformed, "the address answers a single key, not a key set"},
		{"configuration", 200, "", []byte(`{"issuer":"x","jwks_uri":"y"}`), "", lti.KeySetMalformed, "the address answers the platform's configuration; the key set is at the address it names as jwks_uri"},
		{"no address", 0, "", nil, "https://lms.example/%zz", lti.KeySetMalformed, "the address of the key set cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if name, value, ok := strings.Cut(tt.header, ": "); ok {
					w.Header().Set(name, value)
				}
				w.WriteHeader(tt.status)
				w.Write(tt.body)
			}))
			t.Cleanup(server.Close)
			address := server.URL
			if tt.address != "" {
				address = tt.address
			}
			report, err := lti.CheckKeySet(t.Context(), fetch.New(fetch.Config{AllowLoopback: true}), address)
			if tt.code == "" {
				if err != nil || fmt.Sprint(report.KIDs) != "[k1]" {
					t.Errorf("got %v, %v", report, err)
				}
				return
			}
			why, ok := errors.AsType[*lti.KeySetError](err)
			if !ok || why.Code != tt.code || why.Words != tt.words || why.Error() != tt.words || len([]rune(why.Words)) > 120 {
				t.Errorf("got %+v, want %s: %s", err, tt.code, tt.words)
			}
		})
	}
}

// TestTraceNamesTheTrouble: who looks at a refused launch reads what is wrong with the
// address of the keys, whole.
func TestTraceNamesTheTrouble(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.jwks.serve(200, []byte("<html>"))
	if got := r.launchWith("k1", platformKey()).check(t); got.Code != lti.CodeKeysUnavailable || got.Status != 503 {
		t.Errorf("got %v", got)
	}
	if last := r.traces[len(r.traces)-1]; last.Cause != "the address answers a page of HTML, not a key set" || last.Expected != r.reg.JWKSURL {
		t.Errorf("trace: %+v", last)
	}
}
