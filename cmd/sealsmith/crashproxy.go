package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// balancer stands before several servers as a load balancer does: in turn, to those whose
// /readyz said 200 lately, and to another one when a connection is refused. What was sent to a
// server is not sent again to another.
type balancer struct {
	every time.Duration // between questions to /readyz

	mu       sync.Mutex
	backends []*backend
	next     int
}

// backend is one server.
type backend struct {
	url   *url.URL
	ready bool
}

// errNoBackend is returned while no server can be reached.
var errNoBackend = errors.New("no server can be reached")

// maxBody bounds what is kept of a request to be sent to another server.
const maxBody = 1 << 20

func (b *balancer) add(address string) {
	u, err := url.Parse(address)
	if err != nil {
		return // an address that we made
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = append(b.backends, &backend{url: u})
}

// choose returns the backends in the order in which they are tried: those that are ready
// first, beginning after the one that had the last request.
func (b *balancer) choose() []*backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	var ready, rest []*backend
	for i := range b.backends {
		one := b.backends[(b.next+i)%len(b.backends)]
		if one.ready {
			ready = append(ready, one)
		} else {
			rest = append(rest, one)
		}
	}
	return append(ready, rest...)
}

// handler passes requests on.
func (b *balancer) handler() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host },
		Transport: &balancedTransport{b, &http.Transport{
			DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, MaxIdleConnsPerHost: 16, DisableCompression: true,
		}},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
}

type balancedTransport struct {
	*balancer

	to *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *balancedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, maxBody)); err != nil {
			return nil, fmt.Errorf("read the request: %w", err)
		}
	}
	err := errNoBackend
	for _, one := range t.choose() {
		out := r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host = one.url.Scheme, one.url.Host
		out.Body = io.NopCloser(bytes.NewReader(body))
		if len(body) == 0 {
			out.Body = http.NoBody
		}
		response, failure := t.to.RoundTrip(out)
		if failure == nil {
			return response, nil
		}
		err = failure
		if op, ok := errors.AsType[*net.OpError](failure); !ok || op.Op != "dial" {
			break // it may have been done
		}
	}
	return nil, err
}

// watch asks the servers whether they are ready until ctx ends.
func (b *balancer) watch(ctx context.Context) {
	for b.look(ctx); sleep(ctx, b.every); {
		b.look(ctx)
	}
}

// look asks all servers once, and returns how many are ready.
func (b *balancer) look(ctx context.Context) int {
	b.mu.Lock()
	all := append([]*backend(nil), b.backends...)
	b.mu.Unlock()
	n := 0
	for _, one := range all {
		ready := isReady(ctx, one.url)
		b.mu.Lock()
		one.ready = ready
		b.mu.Unlock()
		if ready {
			n++
		}
	}
	return n
}

func isReady(ctx context.Context, u *url.URL) bool {
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("readyz").String(), http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// wait waits until all servers are ready.
func (b *balancer) wait(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	for b.look(ctx) < len(b.backends) {
		if !sleep(ctx, 50*time.Millisecond) {
			return errors.New("the servers did not start")
		}
	}
	return nil
}
