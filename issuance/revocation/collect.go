package revocation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
	"golang.org/x/sync/singleflight"
)

// Limits of what one source may answer and take.
const (
	MaxOCSP        = 64 << 10         // bytes of an OCSP answer; real ones have one to five thousand
	MaxList        = 8 << 20          // bytes of a certificate list
	DefaultTimeout = 10 * time.Second // for one request when the Collector says nothing else
)

// rest is how long a source that failed is asked last.
const rest = time.Minute

// Collector asks issuers and shares their answers. HTTP and Now are required; the fields
// must not change while it is used. It may be used at once from several goroutines and must
// not be copied.
type Collector struct {
	// HTTP fetches. It must let plain http through, which is what issuers use: their answers
	// are signed. Redirects are followed to http and https only, whatever it says itself.
	HTTP *http.Client
	Now  func() time.Time
	// Timeout of one request; 0 is DefaultTimeout.
	Timeout time.Duration

	flight singleflight.Group
	mu     sync.Mutex
	cache  cache
	failed map[string]time.Time // by key of a source
}

// Collect gets evidence about each certificate of a chain, which leads from the certificate
// in question to an anchor, both included; the anchor, and short-lived certificates, are
// not asked about. The chain must have been verified.
//
// since asks for answers that were made (thisUpdate) not before that second: after a
// time-stamp, say. A source that makes its answers in advance cannot give one that new; then
// its latest one is taken, as long as it is of the present, and Evidence.Oldest tells. A
// source is not asked again for something newer within ten seconds, or within ten minutes
// if it makes answers in advance, so Oldest may lie so much before since, too. The zero
// time takes any answer of the present.
//
// The answers are authentic and of the present, but may say that a certificate is revoked:
// ask Evidence.Status. Collect fails with all but RevokedError, joined from all sources of a
// certificate, and when ctx ends.
func (c *Collector) Collect(ctx context.Context, chain []*x509.Certificate, since time.Time) (Evidence, error) {
	if c.HTTP == nil || c.Now == nil {
		return Evidence{}, fmt.Errorf("%w: HTTP and Now are required", ErrConfig)
	}
	if len(chain) == 0 {
		return Evidence{}, fmt.Errorf("%w: the chain is empty", ErrConfig)
	}
	var out Evidence
	for i, cert := range chain[:len(chain)-1] {
		issuer := chain[i+1]
		if !bytes.Equal(cert.RawIssuer, issuer.RawSubject) {
			return Evidence{}, fmt.Errorf("%w: %q is not the issuer of %q", ErrConfig, name(issuer), name(cert))
		}
		if ShortLived(cert) {
			continue
		}
		found, err := c.about(ctx, cert, issuer, since.Truncate(time.Second))
		if err != nil {
			return Evidence{}, fmt.Errorf("revocation of %q: %w", name(cert), err)
		}
		out = out.Merge(found)
	}
	return out, nil
}

// source is one address that may be asked about a certificate.
type source struct {
	address string
	list    bool // a certificate list, not OCSP
	key     string
}

// sources are what a certificate names, OCSP first (EN 319 411-2 makes it the source that
// every qualified certificate has).
func sources(cert, issuer *x509.Certificate) []source {
	const most = 8
	of := sha256.Sum256(issuer.Raw)
	about := sha256.Sum256(cert.Raw)
	var out []source
	for _, address := range cert.OCSPServer {
		if usable(address) {
			out = append(out, source{address: address, key: fmt.Sprintf("ocsp %x %x %s", of, about, address)})
		}
	}
	for _, address := range cert.CRLDistributionPoints {
		if usable(address) {
			out = append(out, source{address: address, list: true, key: fmt.Sprintf("list %x %s", of, address)})
		}
	}
	return out[:min(len(out), most)]
}

// about gets evidence from the first source that gives some.
func (c *Collector) about(ctx context.Context, cert, issuer *x509.Certificate, since time.Time) (Evidence, error) {
	all := sources(cert, issuer)
	if len(all) == 0 {
		return Evidence{}, ErrNoSource
	}
	var failed []error
	var earlier *held // what a source said before, still of the present, which fails now
	for _, s := range c.order(all) {
		h, err := c.from(ctx, s, cert, issuer, since)
		if err == nil {
			return h.evidence, nil
		}
		if ctx.Err() != nil {
			return Evidence{}, errors.Join(append(failed, context.Cause(ctx))...)
		}
		if earlier == nil {
			earlier = h
		}
		failed = append(failed, fmt.Errorf("%s: %w", host(s.address), err))
	}
	if earlier != nil {
		return earlier.evidence, nil
	}
	return Evidence{}, errors.Join(failed...)
}

// order puts those that failed within the last minute behind the others.
func (c *Collector) order(all []source) []source {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first, last []source
	for _, s := range all {
		if at, ok := c.failed[s.key]; ok && c.Now().Sub(at) < rest {
			last = append(last, s)
		} else {
			first = append(first, s)
		}
	}
	return append(first, last...)
}

// note keeps that a source failed, or works again.
func (c *Collector) note(key string, err error) {
	const most = 1024
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		delete(c.failed, key)
		return
	}
	if c.failed == nil || len(c.failed) >= most {
		c.failed = make(map[string]time.Time)
	}
	c.failed[key] = c.Now()
}

// from gets the answer of one source: the one held, or a new one. With an error comes what
// is held and still of the present, if anything.
func (c *Collector) from(ctx context.Context, s source, cert, issuer *x509.Certificate, since time.Time) (*held, error) {
	now := c.Now()
	h := c.held(s.key)
	if h == nil || !h.serves(now, since) {
		fresh, err := c.ask(ctx, s, cert, issuer)
		if err != nil {
			if h != nil && (h.past(now) || h.speaksOf(cert) != nil) {
				h = nil
			}
			return h, err
		}
		h = fresh
	}
	if err := h.speaksOf(cert); err != nil {
		return nil, err
	}
	return h, nil
}

// ask lets one of those that want the same answer fetch it for all. It goes on when one of
// them leaves; each request has its own time limit.
func (c *Collector) ask(ctx context.Context, s source, cert, issuer *x509.Certificate) (*held, error) {
	result := c.flight.DoChan(s.key, func() (any, error) {
		ctx := context.WithoutCancel(ctx)
		var h *held
		var err error
		if s.list {
			h, err = c.fetchList(ctx, s, issuer)
		} else {
			h, err = c.fetchOCSP(ctx, s, cert, issuer)
		}
		c.note(s.key, err)
		if err == nil {
			c.hold(s.key, h)
		}
		return h, err
	})
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case r := <-result:
		h, _ := r.Val.(*held)
		return h, r.Err
	}
}

func (c *Collector) fetchOCSP(ctx context.Context, s source, cert, issuer *x509.Certificate) (*held, error) {
	question, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: OCSP request: %w", ErrConfig, err)
	}
	der, err := c.fetch(ctx, s.address, question, MaxOCSP)
	if err != nil {
		return nil, err
	}
	a, err := readOCSP(der, cert, issuer, nil)
	if err != nil {
		return nil, err
	}
	if err := c.current(a.Statement); err != nil {
		return nil, err
	}
	if a.Unknown {
		return nil, fmt.Errorf("%w: OCSP status unknown", ErrUnknown)
	}
	h := c.keep(a.Statement, Evidence{OCSP: [][]byte{der}})
	if a.responder != nil {
		if !within(a.responder, c.Now()) {
			return nil, fmt.Errorf("%w: the certificate of the OCSP responder has run out", ErrSignature)
		}
		own, err := c.responder(ctx, a.responder, issuer)
		if err != nil {
			return nil, err
		}
		h.evidence.Certificates = []*x509.Certificate{a.responder}
		h.evidence.CRLs = own
	}
	return h, nil
}

// responder gets the lists about a responder that does not say that nobody needs to ask.
// If it names none, the issuer vouches for it by its short life (RFC 6960 section
// 4.2.2.2.1 leaves this to the client).
func (c *Collector) responder(ctx context.Context, cert, issuer *x509.Certificate) ([][]byte, error) {
	if ShortLived(cert) {
		return nil, nil
	}
	var failed []error
	for _, s := range sources(cert, issuer) {
		if !s.list {
			continue // it would answer for itself
		}
		h, err := c.from(ctx, s, cert, issuer, time.Time{})
		if h == nil {
			failed = append(failed, fmt.Errorf("%s: %w", host(s.address), err))
			continue
		}
		if err := h.evidence.Status(cert, issuer, c.Now()); err != nil {
			// Not wrapped: a *RevokedError would be taken for one about the seal.
			return nil, fmt.Errorf("%w: its responder: %s", ErrSignature, err.Error())
		}
		return h.evidence.CRLs, nil
	}
	if len(failed) > 0 {
		return nil, fmt.Errorf("the list about its responder: %w", errors.Join(failed...))
	}
	return nil, nil
}

func (c *Collector) fetchList(ctx context.Context, s source, issuer *x509.Certificate) (*held, error) {
	der, err := c.fetch(ctx, s.address, nil, MaxList)
	if err != nil {
		return nil, err
	}
	l, err := readList(der)
	if err != nil {
		return nil, err
	}
	if err := l.signedBy(issuer); err != nil {
		return nil, err
	}
	statement := Statement{At: l.head.ThisUpdate, Until: l.head.NextUpdate}
	if statement.Until.IsZero() {
		return nil, fmt.Errorf("%w: a list without nextUpdate", ErrMalformed)
	}
	if err := c.current(statement); err != nil {
		return nil, err
	}
	h := c.keep(statement, Evidence{CRLs: [][]byte{der}})
	h.list = &l
	return h, nil
}

// current says whether an answer is of the present.
func (c *Collector) current(s Statement) error {
	const withoutNext = 24 * time.Hour
	now := c.Now()
	switch {
	case s.At.After(now.Add(skew)):
		return fmt.Errorf("%w: they are from the future (%s); compare the clock of this machine", ErrStale, words(s.At))
	case !s.Until.IsZero() && s.Until.Before(s.At):
		return fmt.Errorf("%w: nextUpdate lies before thisUpdate", ErrMalformed)
	case !s.Until.IsZero() && now.After(s.Until):
		return fmt.Errorf("%w: newer ones were due on %s; compare the clock of this machine, then ask the issuer", ErrStale, words(s.Until))
	case s.Until.IsZero() && s.At.Before(now.Add(-withoutNext)):
		return fmt.Errorf("%w: they are of %s; ask the issuer", ErrStale, words(s.At))
	}
	return nil
}
