package revocation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// usable says whether an address in a certificate may be asked: http or https, without user
// name and password. Lists in directories (ldap) are not read.
func usable(address string) bool {
	u, err := url.Parse(address)
	return err == nil && fetchable(u)
}

func fetchable(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// host names a source.
func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an unreadable address"
	}
	return u.Host
}

// fetch posts an OCSP request (RFC 6960 appendix A), or gets a list when there is none.
func (c *Collector) fetch(ctx context.Context, address string, question []byte, most int64) ([]byte, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	method, accept := http.MethodGet, "application/pkix-crl"
	if question != nil {
		method, accept = http.MethodPost, "application/ocsp-response"
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(question))
	if err != nil {
		return nil, fmt.Errorf("%w: its address cannot be read", ErrNoSource)
	}
	req.Header.Set("Accept", accept)
	if question != nil {
		req.Header.Set("Content-Type", "application/ocsp-request")
	}
	resp, err := c.client().Do(req)
	if err != nil {
		return nil, unreachable(err, timeout)
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: HTTP status %d; wait if it has an outage, or ask the issuer", ErrUnreachable, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return nil, unreachable(err, timeout)
	}
	if int64(len(body)) > most {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, most)
	}
	return body, nil
}

// client is HTTP, but choosy about where it is sent.
func (c *Collector) client() *http.Client {
	const most = 5
	client := *c.HTTP
	own := client.CheckRedirect
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		switch {
		case !fetchable(req.URL):
			return fmt.Errorf("it sends elsewhere than to http or https (%.20q)", req.URL.Scheme)
		case len(via) >= most:
			return fmt.Errorf("it sends elsewhere more than %d times", most)
		case own != nil:
			return own(req, via)
		}
		return nil
	}
	return &client
}

// unreachable leaves the address out.
func unreachable(err error, timeout time.Duration) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: no answer within %s: %w", ErrUnreachable, timeout, err)
	}
	return fmt.Errorf("%w: let this machine reach it, by firewall and proxy: %w", ErrUnreachable, err)
}
