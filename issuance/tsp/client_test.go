package tsp_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance/tsp"
)

var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// rig is a provider that is served, and a client that asks both its authorities.
type rig struct {
	ca     *democa.CA
	client *tsp.Client
	first  *atomic.Int64 // requests to the first authority
}

func newRig(tb testing.TB) rig {
	tb.Helper()
	ca, err := democa.New(democa.Options{Now: clock, Rand: rand.Reader})
	must(tb, err)
	r := rig{ca: ca, first: new(atomic.Int64)}
	handler := ca.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/tsa" {
			r.first.Add(1)
		}
		handler.ServeHTTP(w, req)
	}))
	tb.Cleanup(server.Close)
	ca.SetBaseURL(server.URL)
	r.client = &tsp.Client{
		Authorities: []tsp.Authority{{URL: server.URL + "/tsa", Policy: democa.Policy}, {URL: server.URL + "/tsa2"}},
		HTTP:        server.Client(), Rand: rand.Reader, Now: clock, Anchors: pool(ca.Certificate()), Timeout: time.Minute,
	}
	return r
}

func pool(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

func TestStamp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token, err := r.client.Stamp(t.Context(), []byte("a base64url"), []byte("signature"))
	must(t, err)
	if !token.Covers([]byte("a base64urlsignature")) || token.Covers([]byte("something else")) {
		t.Error("covers the wrong bytes")
	}
	if !token.Time.Equal(noon) || !token.Policy.Equal(democa.Policy) || token.Accuracy != time.Second || token.SerialNumber == nil {
		t.Errorf("token %+v", token)
	}
	signer, err := r.ca.TSACertificate(false)
	must(t, err)
	chain, err := token.Chain(r.client.Anchors, nil, token.Time)
	must(t, err)
	if !token.Signer.Equal(signer) || len(chain) != 2 || !chain[1].Equal(r.ca.Certificate()) {
		t.Error("signer or chain")
	}
	again, err := tsp.Parse(token.Raw)
	must(t, err)
	if !again.Signer.Equal(signer) {
		t.Error("Raw is another token")
	}
	if h := r.client.Health(); len(h) != 2 || !h[0].LastSuccess.Equal(noon) || h[0].LastError != "" || !strings.HasPrefix(h[0].Host, "127.0.0.1") {
		t.Errorf("health %+v", h)
	}
}

// TestFaults lets the first authority go wrong: the client says what is wrong with it, and
// gets the token from the second.
func TestFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		faults democa.TSAFaults
		want   error
	}{
		"down":               {democa.TSAFaults{Down: true}, tsp.ErrUnreachable},
		"slow":               {democa.TSAFaults{Slow: time.Hour}, tsp.ErrUnreachable},
		"garbage":            {democa.TSAFaults{Garbage: true}, tsp.ErrMalformed},
		"huge":               {democa.TSAFaults{HugeBody: true}, tsp.ErrMalformed},
		"rejected":           {democa.TSAFaults{Rejected: true}, tsp.ErrRefused},
		"wrong content type": {democa.TSAFaults{WrongContentType: true}, tsp.ErrMalformed},
		"wrong nonce":        {democa.TSAFaults{WrongNonce: true}, tsp.ErrNonce},
		"no nonce":           {democa.TSAFaults{NoNonce: true}, tsp.ErrNonce},
		"wrong imprint":      {democa.TSAFaults{WrongImprint: true}, tsp.ErrImprint},
		"other policy":       {democa.TSAFaults{OtherPolicy: true}, tsp.ErrPolicy},
		"future":             {democa.TSAFaults{Future: true}, tsp.ErrTime},
		"past":               {democa.TSAFaults{Past: true}, tsp.ErrTime},
		"no certificates":    {democa.TSAFaults{NoCertificates: true}, tsp.ErrSigner},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if test.faults.Slow > 0 {
				r.client.Timeout = 20 * time.Millisecond
			}
			r.ca.SetFaults(democa.Faults{TSA: test.faults, TSA2: test.faults})
			_, err := r.client.Stamp(t.Context(), []byte("x"))
			want := test.want
			if name == "other policy" { // the second has none to insist on
				must(t, err)
			} else if !errors.Is(err, want) || strings.Count(err.Error(), "time-stamping authority 127.0.0.1") != 2 {
				t.Errorf("got %v, want %v", err, want)
			}
			r = newRig(t)
			r.client.Authorities[0].URL += "?secret=sesame"
			if test.faults.Slow > 0 {
				r.client.Timeout = 3 * time.Second
			}
			r.ca.SetFaults(democa.Faults{TSA: test.faults})
			token, err := r.client.Stamp(t.Context(), []byte("x"))
			must(t, err)
			second, err := r.ca.TSACertificate(true)
			must(t, err)
			if !token.Signer.Equal(second) {
				t.Error("not from the second authority")
			}
			if h := r.client.Health()[0]; h.LastError == "" || !h.LastFailure.Equal(noon) || strings.Contains(h.LastError, "sesame") {
				t.Errorf("health %+v", h)
			}
		})
	}
}

func TestStrangerIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other, err := democa.New(democa.Options{Now: clock, Rand: rand.Reader})
	must(t, err)
	r.client.Anchors = pool(other.Certificate())
	if _, err := r.client.Stamp(t.Context(), nil); !errors.Is(err, tsp.ErrChain) {
		t.Errorf("got %v", err)
	}
	r.client.Anchors = nil
	if _, err := r.client.Stamp(t.Context(), nil); !errors.Is(err, tsp.ErrChain) || !errors.Is(err, tsp.ErrConfig) {
		t.Errorf("without anchors: %v", err)
	}
	if _, err := new(tsp.Client).Stamp(t.Context(), nil); !errors.Is(err, tsp.ErrConfig) {
		t.Errorf("empty client: %v", err)
	}
}

// TestBreaker asks an authority that failed second for a minute.
func TestBreaker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	now := noon
	r.client.Now = func() time.Time { return now }
	r.ca.SetFaults(democa.Faults{TSA: democa.TSAFaults{Down: true}})
	for range 3 {
		_, err := r.client.Stamp(t.Context(), nil)
		must(t, err)
	}
	if got := r.first.Load(); got != 1 {
		t.Errorf("asked %d times within a minute", got)
	}
	r.ca.SetFaults(democa.Faults{})
	now = noon.Add(time.Minute)
	_, err := r.client.Stamp(t.Context(), nil)
	must(t, err)
	if got := r.first.Load(); got != 2 {
		t.Errorf("asked %d times after a minute", got)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.client.Stamp(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if h := r.client.Health()[0]; !h.LastFailure.IsZero() {
		t.Error("the authority is blamed for our leaving")
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "college" || password != "sesame" {
			t.Error("not the credentials")
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	c := &tsp.Client{
		Authorities: []tsp.Authority{{URL: server.URL, User: "college", Password: "sesame"}},
		HTTP:        server.Client(), Now: clock, Anchors: pool(),
	}
	_, err := c.Stamp(t.Context(), nil)
	if !errors.Is(err, tsp.ErrRefused) || strings.Contains(err.Error(), "sesame") {
		t.Errorf("got %v", err)
	}
}

// TestOpenSSLVerifies gives our token to another implementation.
func TestOpenSSLVerifies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.client.Authorities[0].Policy = asn1.ObjectIdentifier(nil)
	token, err := r.client.Stamp(t.Context(), []byte("stamped"))
	must(t, err)
	dir := t.TempDir()
	in := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, content, 0o600))
		return path
	}
	root := in("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.ca.Certificate().Raw}))
	stamp := in("token", token.Raw)
	for name, good := range map[string]bool{"stamped": true, "tampered": false} {
		out, err := exec.Command("openssl", "ts", "-verify", "-token_in", "-in", stamp, "-data", in(name, []byte(name)),
			"-CAfile", root, "-attime", "1772452800").CombinedOutput()
		if (err == nil) != good {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}
