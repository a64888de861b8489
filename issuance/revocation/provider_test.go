package revocation_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance/revocation"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// watch is a clock that moves when it is told to.
type watch struct {
	mu sync.Mutex
	at time.Time
}

func (w *watch) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *watch) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

// counter counts requests by path.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) add(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[string]int)
	}
	c.n[path]++
}

func (c *counter) of(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[path]
}

// provider is the demo's provider with a seal certificate, and a collector that asks it.
type provider struct {
	ca        *democa.CA
	chain     []*x509.Certificate
	clock     *watch
	asked     *counter
	collector *revocation.Collector
}

func newProvider(tb testing.TB) provider {
	tb.Helper()
	return newProviderAt(tb, time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC))
}

func newProviderAt(tb testing.TB, at time.Time) provider {
	tb.Helper()
	clock := &watch{at: at}
	ca, err := democa.New(democa.Options{Now: clock.now, Rand: rand.Reader})
	must(tb, err)
	asked := new(counter)
	handler := ca.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.add(r.URL.Path)
		handler.ServeHTTP(w, r)
	}))
	tb.Cleanup(server.Close)
	ca.SetBaseURL(server.URL)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	seal, err := ca.IssueSeal(democa.Subject{
		Organisation: "Demo College", CommonName: "Demo College seal", OrganisationIdentifier: "NTRNL-00000000", Country: "NL",
	}, key.Public(), nil)
	must(tb, err)
	return provider{
		ca: ca, chain: []*x509.Certificate{seal, ca.Certificate()}, clock: clock, asked: asked,
		collector: &revocation.Collector{HTTP: server.Client(), Now: clock.now, Timeout: time.Minute},
	}
}

// fresh collects without anything that is held.
func (p provider) fresh(tb testing.TB) revocation.Evidence {
	tb.Helper()
	c := &revocation.Collector{HTTP: p.collector.HTTP, Now: p.collector.Now, Timeout: time.Minute}
	e, err := c.Collect(tb.Context(), p.chain, time.Time{})
	must(tb, err)
	return e
}

func (p provider) status(e revocation.Evidence) error {
	return e.Status(p.chain[0], p.chain[1], p.clock.now())
}

func TestGood(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	e, err := p.collector.Collect(t.Context(), p.chain, time.Time{})
	must(t, err)
	if len(e.OCSP) != 1 || len(e.CRLs) != 0 || len(e.Certificates) != 1 || !e.Oldest.Equal(p.clock.now()) || !e.NextUpdate.Equal(p.clock.now().Add(time.Hour)) {
		t.Errorf("evidence: %d OCSP, %d CRLs, %d certificates, %s to %s", len(e.OCSP), len(e.CRLs), len(e.Certificates), e.Oldest, e.NextUpdate)
	}
	must(t, p.status(e))
	if p.asked.of("/ocsp") != 1 || p.asked.of("/crl") != 0 {
		t.Error("asked elsewhere, or twice")
	}
}

func TestRevoked(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]democa.Faults{"OCSP": {}, "list": {OCSP: democa.OCSPFaults{Down: true}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.ca.SetFaults(faults)
			p.clock.pass(time.Hour)
			at := p.clock.now().Add(-time.Minute)
			must(t, p.ca.Revoke(p.chain[0].SerialNumber, at, 1))
			e, err := p.collector.Collect(t.Context(), p.chain, time.Time{})
			must(t, err)
			var revoked *revocation.RevokedError
			if err := p.status(e); !errors.As(err, &revoked) {
				t.Fatalf("got %v", err)
			}
			if !revoked.At.Equal(at) || revoked.Reason != 1 || revoked.Serial.Cmp(p.chain[0].SerialNumber) != 0 || revoked.Certificate != "Demo College seal" {
				t.Errorf("got %+v", revoked)
			}
			if err := e.Status(p.chain[0], p.chain[1], at.Add(-time.Second)); err != nil {
				t.Errorf("before it was revoked: %v", err)
			}
		})
	}
}

func TestOCSPDownTakesTheList(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.ca.SetFaults(democa.Faults{OCSP: democa.OCSPFaults{Down: true}})
	e, err := p.collector.Collect(t.Context(), p.chain, time.Time{})
	must(t, err)
	if len(e.OCSP) != 0 || len(e.CRLs) != 1 {
		t.Errorf("evidence: %d OCSP, %d CRLs", len(e.OCSP), len(e.CRLs))
	}
	must(t, p.status(e))
}
