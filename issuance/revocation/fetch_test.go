package revocation_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/revocation"
)

// TestAddresses asks only what may be asked, and prints no secret.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*x509.Certificate){
		"none":         nil,
		"ldap":         func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"ldap://directory.example/cn=list"} },
		"file":         func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"file:///etc/passwd"} },
		"no host":      func(c *x509.Certificate) { c.OCSPServer = []string{"http:///ocsp"} },
		"relative":     func(c *x509.Certificate) { c.OCSPServer = []string{"ocsp"} },
		"not readable": func(c *x509.Certificate) { c.OCSPServer = []string{"http://[::1"} },
		"credentials":  func(c *x509.Certificate) { c.OCSPServer = []string{"http://user:sesame@127.0.0.1/ocsp"} },
	} {
		issuer := newAuthority(t, "issuer")
		leaf := issuer.issue(t, change)
		c := &revocation.Collector{HTTP: http.DefaultClient, Now: time.Now}
		_, err := c.Collect(t.Context(), []*x509.Certificate{leaf.cert, issuer.cert}, time.Time{})
		if !errors.Is(err, revocation.ErrNoSource) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) }
	}
	for name, h := range map[string]http.HandlerFunc{
		"not found":               http.NotFound,
		"to a file":               redirect("file:///etc/passwd"),
		"to another scheme":       redirect("ftp://127.0.0.1/"),
		"with credentials":        redirect("http://user:sesame@127.0.0.1/"),
		"in a circle":             redirect("/ocsp"),
		"without anything":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"ends in the middle":      func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "100") },
		"hangs up at once":        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"never ends, after bytes": endless,
		"never begins":            func(_ http.ResponseWriter, r *http.Request) { hangUp(r) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.site.put(h)
			c := s.site.collector()
			if strings.HasPrefix(name, "never") {
				c.Timeout = 20 * time.Millisecond
			}
			_, err := s.collect(t, c)
			if !errors.Is(err, revocation.ErrUnreachable) || strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "/ocsp") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// endless sends a byte and then nothing.
func endless(w http.ResponseWriter, r *http.Request) {
	_, _ = w.Write([]byte{0x30})
	_ = http.NewResponseController(w).Flush()
	hangUp(r)
}

// hangUp waits until the client does, which the server sees once the request is read.
func hangUp(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// TestRedirect follows where it may, unless the given client does not want to.
func TestRedirect(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	der := answer(t, s.issuer, s.issuer, good(s.leaf))
	s.site.put(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ocsp" {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
			return
		}
		_, _ = w.Write(der)
	})
	e, err := s.collect(t, s.site.collector())
	must(t, err)
	must(t, e.Status(s.leaf, s.issuer.cert, time.Now()))
	c := s.site.collector()
	client := *c.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("not there") }
	c.HTTP = &client
	if _, err := s.collect(t, c); !errors.Is(err, revocation.ErrUnreachable) || !strings.Contains(err.Error(), "not there") {
		t.Errorf("got %v", err)
	}
}

// TestRedirectTraps offers a good answer where nothing may be fetched from.
func TestRedirectTraps(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	der := answer(t, s.issuer, s.issuer, good(s.leaf))
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "answer"), der, 0o600))
	for name, to := range map[string]string{
		"file":        "file:///answer",
		"credentials": strings.Replace(s.site.url("/other"), "http://", "http://user:sesame@", 1),
	} {
		s.site.put(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/ocsp" {
				http.Redirect(w, r, to, http.StatusSeeOther) // which makes a GET of it
				return
			}
			_, _ = w.Write(der)
		})
		c := s.site.collector()
		transport := new(http.Transport)
		transport.RegisterProtocol("file", http.NewFileTransport(http.Dir(dir)))
		c.HTTP = &http.Client{Transport: transport}
		if _, err := s.collect(t, c); !errors.Is(err, revocation.ErrUnreachable) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: got %v", name, err)
		}
		transport.CloseIdleConnections()
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.collector.Collect(ctx, p.chain, time.Time{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	e, err := p.collector.Collect(t.Context(), p.chain, time.Time{})
	must(t, err)
	if len(e.OCSP) != 1 {
		t.Error("the responder is blamed for our leaving")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	other := newAuthority(t, "other")
	for name, test := range map[string]struct {
		collector *revocation.Collector
		chain     []*x509.Certificate
	}{
		"no client":          {&revocation.Collector{Now: time.Now}, p.chain},
		"no clock":           {&revocation.Collector{HTTP: http.DefaultClient}, p.chain},
		"no chain":           {p.collector, nil},
		"not in order":       {p.collector, []*x509.Certificate{p.chain[1], p.chain[0]}},
		"of another issuer":  {p.collector, []*x509.Certificate{p.chain[0], other.cert}},
		"two without anchor": {p.collector, []*x509.Certificate{p.chain[0], p.chain[0]}},
	} {
		if _, err := test.collector.Collect(t.Context(), test.chain, time.Time{}); !errors.Is(err, revocation.ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	e, err := p.collector.Collect(t.Context(), p.chain[1:], time.Time{})
	must(t, err)
	if len(e.OCSP)+len(e.CRLs) != 0 || p.asked.of("/ocsp") != 0 {
		t.Error("the anchor was asked about")
	}
}
