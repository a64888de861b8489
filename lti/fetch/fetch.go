// Package fetch makes the one HTTP client by which Sealsmith calls other hosts: key sets,
// token endpoints and services of learning platforms.
//
// Those addresses are typed in by people or come in messages, so the client is careful.
// It speaks https on the usual ports only; it refuses addresses of private networks, of
// this computer, and of cloud metadata services, and looks at the address that is really
// dialled, after name resolution and for every connection, so that a name that changes its
// mind gains nothing. A call ends after five seconds in all, redirects are few, are checked
// like the first address and never carry a token or a form to another host. Proxy settings
// of the environment are not followed, because a proxy would dial unseen.
//
// Two exceptions are made on request: http and addresses of this computer for
// development, and hosts by name that are known to live in a private network, or to listen
// on an unusual port. A client with exceptions shares no connection with another one: a
// connection that is open already is not checked again.
//
// The package knows nothing of what is fetched. It fails with the errors of net/http, in
// which errors.Is finds ErrBlocked, and with ErrTooLarge from Read; Explain puts either
// into words for people.
package fetch

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

var (
	// ErrBlocked is found in the error of a call whose address may not be called.
	ErrBlocked = errors.New("address not allowed")
	// ErrTooLarge is returned by Read for a body above the limit.
	ErrTooLarge = errors.New("answer too large")
)

const (
	totalTimeout   = 5 * time.Second
	connectTimeout = 3 * time.Second
	maxRedirects   = 3
	maxHeaderBytes = 64 << 10
)

// Config says which exceptions are made. The zero value makes none.
type Config struct {
	// AllowLoopback permits this computer, by https and by plain http: development only.
	AllowLoopback bool
	// AllowHosts are host names, without port, that may have a private address and listen
	// on any port; https is still required, and a metadata service is still refused.
	AllowHosts []string

	resolver *net.Resolver  // nil: that of the system
	roots    *x509.CertPool // nil: those of the system
	timeout  time.Duration  // 0: totalTimeout
}

// New returns the client. Share one: it keeps connections.
func New(c Config) *http.Client {
	g := guard{loopback: c.AllowLoopback, resolver: c.resolver, hosts: make(map[string]bool, len(c.AllowHosts))}
	for _, h := range c.AllowHosts {
		g.hosts[canonicalHost(h)] = true
	}
	return &http.Client{
		Timeout: cmp.Or(c.timeout, totalTimeout),
		Transport: &transport{guard: g, next: &http.Transport{
			Proxy:                  nil,
			DialContext:            g.dial,
			TLSClientConfig:        &tls.Config{RootCAs: c.roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    8,
			MaxConnsPerHost:        32,
			IdleConnTimeout:        60 * time.Second,
			TLSHandshakeTimeout:    connectTimeout,
			ResponseHeaderTimeout:  totalTimeout,
			MaxResponseHeaderBytes: maxHeaderBytes,
		}},
		CheckRedirect: checkRedirect,
	}
}

// Read returns the whole body, at most limit bytes of it after decompression; more is
// ErrTooLarge. It does not close the body.
func Read(body io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return b, nil
}

// transport checks the address of every request, the first and the redirected.
type transport struct {
	guard guard
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.guard.checkURL(r.URL); err != nil {
		if r.Body != nil {
			err = errors.Join(err, r.Body.Close())
		}
		return nil, err
	}
	return t.next.RoundTrip(r)
}

// CloseIdleConnections lets http.Client.CloseIdleConnections through.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return redirectError(fmt.Sprintf("more than %d redirects", maxRedirects))
	}
	first := via[0]
	if r.Method != first.Method {
		return redirectError(fmt.Sprintf("it turns %s into %s", first.Method, r.Method))
	}
	// net/http drops Authorization for foreign hosts but keeps it for sub-domains, and it
	// sends a form again to whoever asks by 307 or 308: with a signed assertion in it.
	secret := first.Header.Get("Authorization") != "" || first.Method != http.MethodGet && first.Method != http.MethodHead
	if secret && origin(r.URL) != origin(first.URL) {
		return blocked("redirect with a token or a form from %s to %s", first.URL.Host, r.URL.Host)
	}
	r.Header.Del("Referer") // the query of an address may hold a ticket
	return nil
}

// origin is scheme, host and port of an address, written in one way.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	}
	return u.Scheme + "://" + canonicalHost(u.Hostname()) + ":" + port
}
