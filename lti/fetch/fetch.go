// Package fetch makes the one HTTP client by which Sealsmith calls other hosts: key sets,
// token endpoints and services of learning platforms.
//
// Those addresses are typed in by people or come in messages, so the client is careful.
// It speaks https only; it refuses addresses of private networks, of this computer, and
// of cloud metadata services, and looks at the address that is really dialled, after name
// resolution and for every connection, so that a name that changes its mind gains
// nothing. A call ends after five seconds in all, redirects are few, are checked like the
// first address and never carry a token to another host. Proxy settings of the environment
// are not followed, because a proxy would dial unseen.
//
// Two exceptions are made on request: http and addresses of this computer for
// development, and hosts by name that are known to live in a private network.
//
// The package knows nothing of what is fetched. It fails with the errors of net/http, in
// which errors.Is finds ErrBlocked, and with ErrTooLarge from Read.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
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
	// AllowHosts are host names, without port, that may have a private address; https is
	// still required.
	AllowHosts []string
}

// New returns the client. Share one: it keeps connections.
func New(c Config) *http.Client {
	g := guard{loopback: c.AllowLoopback, hosts: make(map[string]bool, len(c.AllowHosts))}
	for _, h := range c.AllowHosts {
		g.hosts[canonicalHost(h)] = true
	}
	return &http.Client{
		Timeout: totalTimeout,
		Transport: &transport{guard: g, next: &http.Transport{
			Proxy:                  nil,
			DialContext:            g.dial,
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
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	first := via[0]
	// net/http drops Authorization for foreign hosts but keeps it for sub-domains.
	if first.Header.Get("Authorization") != "" && (r.URL.Host != first.URL.Host || r.URL.Scheme != first.URL.Scheme) {
		return fmt.Errorf("%w: redirect with a token from %s to %s", ErrBlocked, first.URL.Host, r.URL.Host)
	}
	if r.Method != first.Method {
		return fmt.Errorf("redirect turns %s into %s", first.Method, r.Method)
	}
	return nil
}

type guard struct {
	loopback bool
	hosts    map[string]bool
}

func (g guard) checkURL(u *url.URL) error {
	switch {
	case u.User != nil:
		return fmt.Errorf("%w: user name in %s", ErrBlocked, u.Host)
	case u.Host == "":
		return fmt.Errorf("%w: no host", ErrBlocked)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && g.loopback && loopbackName(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%w: %s://%s is not https", ErrBlocked, u.Scheme, u.Host)
}

func (g guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrBlocked, address)
	}
	d := net.Dialer{Timeout: connectTimeout}
	if !g.hosts[canonicalHost(host)] {
		d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			return g.checkAddress(resolved)
		}
	}
	return d.DialContext(ctx, network, address)
}

// checkAddress sees the address the kernel is about to connect to.
func (g guard) checkAddress(resolved string) error {
	ap, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return fmt.Errorf("%w: %q", ErrBlocked, resolved)
	}
	ip := ap.Addr().WithZone("").Unmap()
	if ip.IsLoopback() && g.loopback {
		return nil
	}
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return fmt.Errorf("%w: %s is not a public address", ErrBlocked, ip)
	}
	for _, p := range reserved {
		if p.Contains(ip) {
			return fmt.Errorf("%w: %s is a reserved address", ErrBlocked, ip)
		}
	}
	return nil
}

// reserved are the ranges of the IANA special-purpose registries that the methods of
// netip.Addr do not cover, and the prefixes by which an IPv6 address stands for an IPv4 one.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("168.63.129.16/32"), // metadata service of a cloud, on a public address
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
	netip.MustParsePrefix("fec0::/10"),
}

func loopbackName(host string) bool {
	if h := canonicalHost(host); h == "localhost" || strings.HasSuffix(h, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func canonicalHost(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
