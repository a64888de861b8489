package tsp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	// DefaultTimeout is how long one authority may take when the Client says nothing else.
	DefaultTimeout = 10 * time.Second
	// skew is how far the authority's clock and ours may be apart.
	skew = time.Minute
	// rest is how long an authority that failed is asked last.
	rest = time.Minute
)

// Authority is one time-stamping authority.
type Authority struct {
	// URL takes requests by POST, RFC 3161 section 3.4; without user name and password.
	URL string
	// Policy is asked for and insisted on; nil takes the authority's default.
	Policy asn1.ObjectIdentifier
	// User and Password are for HTTP Basic, both "" for none.
	User, Password string
}

// Client asks authorities, the first one first. All fields but Timeout and Rand are
// required; they must not change while it is used. It may be used at once from several
// goroutines and must not be copied.
type Client struct {
	Authorities []Authority
	HTTP        *http.Client
	Rand        io.Reader        // of nonces; nil is crypto/rand
	Now         func() time.Time // to judge the authority's clock
	// Anchors are what signers must lead to: the authorities' roots, or what a trusted list
	// says of them. nil accepts nobody.
	Anchors *x509.CertPool
	Timeout time.Duration // for one authority; 0 is DefaultTimeout

	mu     sync.Mutex
	health map[int]Health
}

// Health is what is known of one authority since the Client began.
type Health struct {
	Host        string
	LastSuccess time.Time // zero before the first
	LastFailure time.Time
	LastError   string // in words, "" before the first failure
}

// Health lists the authorities in their order, for a page about the state of the service.
func (c *Client) Health() []Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Health, len(c.Authorities))
	for i, a := range c.Authorities {
		out[i] = c.health[i]
		out[i].Host = a.host()
	}
	return out
}

// Stamp gets a token over the data, one part after the other, and returns it only when it
// is right in all that can be asked of it. When no authority gives one, the error joins
// what was wrong with each.
func (c *Client) Stamp(ctx context.Context, data ...[]byte) (Token, error) {
	if c.HTTP == nil || c.Now == nil || len(c.Authorities) == 0 {
		return Token{}, fmt.Errorf("%w: Authorities, HTTP and Now are required", ErrConfig)
	}
	if c.Anchors == nil {
		return Token{}, fmt.Errorf("%w: Anchors are required: %w", ErrConfig, ErrChain)
	}
	sum := digest(crypto.SHA256, data...)
	var failed []error
	for _, i := range c.order() {
		token, err := c.ask(ctx, c.Authorities[i], sum)
		if err != nil && ctx.Err() != nil {
			return Token{}, fmt.Errorf("time-stamp: %w", errors.Join(append(failed, context.Cause(ctx))...))
		}
		c.note(i, err)
		if err == nil {
			return token, nil
		}
		failed = append(failed, fmt.Errorf("time-stamping authority %s: %w", c.Authorities[i].host(), err))
	}
	return Token{}, errors.Join(failed...)
}

// order puts those that failed within the last minute behind the others.
func (c *Client) order() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first, last []int
	now := c.Now()
	for i := range c.Authorities {
		h := c.health[i]
		if h.LastFailure.After(h.LastSuccess) && now.Sub(h.LastFailure) < rest {
			last = append(last, i)
		} else {
			first = append(first, i)
		}
	}
	return append(first, last...)
}

func (c *Client) note(i int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.health == nil {
		c.health = make(map[int]Health)
	}
	h := c.health[i]
	if err == nil {
		h.LastSuccess = c.Now() // which ends the rest, within the same tick of the clock too
	} else {
		h.LastFailure, h.LastError = c.Now(), err.Error()
	}
	c.health[i] = h
}

// host names an authority without path and credentials.
func (a Authority) host() string {
	u, err := url.Parse(a.URL)
	if err != nil || u.Host == "" {
		return "with an unreadable address"
	}
	return u.Host
}

// ask does one exchange and all of the caller's duties, RFC 3161 section 2.2.
func (c *Client) ask(ctx context.Context, a Authority, sum []byte) (Token, error) {
	source := c.Rand
	if source == nil {
		source = rand.Reader
	}
	nonce, err := newNonce(source)
	if err != nil {
		return Token{}, fmt.Errorf("make a nonce: %w", err)
	}
	body, err := asn1.Marshal(request{
		Version: 1, Policy: a.Policy, Nonce: nonce, Certificates: true,
		Imprint: imprint{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, Parameters: asn1.NullRawValue}, sum},
	})
	if err != nil {
		return Token{}, fmt.Errorf("%w: encode the request: %w", ErrConfig, err)
	}
	asked := c.Now()
	answer, err := c.post(ctx, a, body)
	if err != nil {
		return Token{}, err
	}
	token, err := ParseResponse(answer)
	if err != nil {
		return Token{}, err
	}
	switch {
	case token.Nonce == nil || token.Nonce.Cmp(nonce) != 0:
		return Token{}, ErrNonce
	case token.Hash != crypto.SHA256 || !bytes.Equal(token.Imprint, sum):
		return Token{}, ErrImprint
	case a.Policy != nil && !token.Policy.Equal(a.Policy):
		return Token{}, fmt.Errorf("%w: %s, not %s", ErrPolicy, token.Policy, a.Policy)
	case token.Time.Before(asked.Add(-skew)):
		return Token{}, fmt.Errorf("%w: it says %s, but was asked for at %s; compare the clock of this machine", ErrTime, words(token.Time), words(asked))
	case token.Time.After(c.Now().Add(skew)):
		return Token{}, fmt.Errorf("%w: it says %s, which is in the future; compare the clock of this machine", ErrTime, words(token.Time))
	}
	_, err = token.Chain(c.Anchors, nil, token.Time)
	return token, err
}

// newNonce makes 64 random bits, of which the highest is 1: some authorities send nonces
// back in their full width.
func newNonce(source io.Reader) (*big.Int, error) {
	var b [8]byte
	if _, err := io.ReadFull(source, b[:]); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:]), nil
}

// post sends a request as RFC 3161 section 3.4 says.
func (c *Client) post(ctx context.Context, a Authority, body []byte) ([]byte, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: its address cannot be read", ErrConfig)
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	req.Header.Set("Accept", "application/timestamp-reply")
	if a.User != "" || a.Password != "" {
		req.SetBasicAuth(a.User, a.Password)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, unreachable(err, timeout)
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	if err := checkHeader(resp); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxToken+1))
	if err != nil {
		return nil, unreachable(err, timeout)
	}
	return answer, nil // ParseResponse refuses what is longer than MaxToken
}

func checkHeader(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusPaymentRequired:
		return fmt.Errorf("%w: HTTP status %d; check user name, password and contract", ErrRefused, resp.StatusCode)
	default:
		return fmt.Errorf("%w: HTTP status %d; check its address, or wait if it has an outage", ErrUnreachable, resp.StatusCode)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/timestamp-reply" {
		return fmt.Errorf("%w: it answers %.60q, not application/timestamp-reply; check its address", ErrMalformed, resp.Header.Get("Content-Type"))
	}
	return nil
}

// unreachable leaves the address out, in which there may be a secret.
func unreachable(err error, timeout time.Duration) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: no answer within %s: %w", ErrUnreachable, timeout, err)
	}
	return fmt.Errorf("%w: check address, network and proxy: %w", ErrUnreachable, err)
}
