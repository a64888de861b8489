package tsp_test

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance/tsp"
)

// TestHTTPErrors are those below the protocol.
func TestHTTPErrors(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/timestamp-reply")
			w.WriteHeader(code)
		}
	}
	hangUp := func(r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server sees it only then
		<-r.Context().Done()
	}
	for name, test := range map[string]struct {
		serve http.HandlerFunc
		want  error
	}{
		"unauthorized":       {status(http.StatusUnauthorized), tsp.ErrRefused},
		"payment required":   {status(http.StatusPaymentRequired), tsp.ErrRefused},
		"forbidden":          {status(http.StatusForbidden), tsp.ErrRefused},
		"not found":          {status(http.StatusNotFound), tsp.ErrUnreachable},
		"method not allowed": {status(http.StatusMethodNotAllowed), tsp.ErrUnreachable},
		"too many requests":  {status(http.StatusTooManyRequests), tsp.ErrUnreachable},
		"server error":       {status(http.StatusInternalServerError), tsp.ErrUnreachable},
		"created":            {status(http.StatusCreated), tsp.ErrUnreachable},
		"nothing":            {status(http.StatusOK), tsp.ErrMalformed},
		"no content type":    {func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil }, tsp.ErrMalformed},
		"sent elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "ftp://127.0.0.1/secret", http.StatusTemporaryRedirect)
		}, tsp.ErrUnreachable},
		"hangs up":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, tsp.ErrUnreachable},
		"never answers": {func(_ http.ResponseWriter, r *http.Request) { hangUp(r) }, tsp.ErrUnreachable},
		"never ends": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/timestamp-reply")
			_, _ = w.Write([]byte{0x30})
			_ = http.NewResponseController(w).Flush()
			hangUp(r)
		}, tsp.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.serve)
			t.Cleanup(server.Close)
			c := &tsp.Client{
				Authorities: []tsp.Authority{{URL: server.URL + "/secret", User: "secret", Password: "secret"}},
				HTTP:        server.Client(), Now: clock, Anchors: pool(), Timeout: time.Minute,
			}
			if strings.HasPrefix(name, "never") {
				c.Timeout = 20 * time.Millisecond
			}
			_, err := c.Stamp(t.Context(), nil)
			if !errors.Is(err, test.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if h := c.Health()[0]; h.LastError == "" || strings.Contains(h.LastError, "secret") || !h.LastSuccess.IsZero() {
				t.Errorf("health %+v", h)
			}
		})
	}
}

// TestAddresses are those that cannot be asked.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"http://[::1", "", "tsa", "file:///etc/passwd", "http://127.0.0.1:1/\x7f"} {
		c := &tsp.Client{Authorities: []tsp.Authority{{URL: address}}, HTTP: http.DefaultClient, Now: clock, Anchors: pool(), Timeout: time.Minute}
		if _, err := c.Stamp(t.Context(), nil); !errors.Is(err, tsp.ErrConfig) && !errors.Is(err, tsp.ErrUnreachable) {
			t.Errorf("%q: got %v", address, err)
		}
	}
}

// TestLiarRests asks one that lied second for a minute, as one that is down.
func TestLiarRests(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ca.SetFaults(democa.Faults{TSA: democa.TSAFaults{WrongImprint: true}})
	for range 3 {
		_, err := r.client.Stamp(t.Context(), nil)
		must(t, err)
	}
	if got := r.first.Load(); got != 1 {
		t.Errorf("the liar was asked %d times", got)
	}
	// When the second one fails, too, the first is asked again at once.
	r.ca.SetFaults(democa.Faults{TSA2: democa.TSAFaults{Down: true}})
	token, err := r.client.Stamp(t.Context(), nil)
	must(t, err)
	first, err := r.ca.TSACertificate(false)
	must(t, err)
	if !token.Signer.Equal(first) {
		t.Error("not from the first, which is well again")
	}
}

// TestNoRandomness does not ask with a nonce that can be guessed.
func TestNoRandomness(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.client.Rand = strings.NewReader("short")
	if _, err := r.client.Stamp(t.Context(), nil); err == nil || r.first.Load() != 0 {
		t.Errorf("got %v after %d requests", err, r.first.Load())
	}
}

// TestAtOnce uses one client from many sides.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.client.Rand = rand.Reader
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			token, err := r.client.Stamp(t.Context(), []byte("x"))
			if err != nil || !token.Covers([]byte("x")) {
				t.Errorf("got %v", err)
			}
			r.client.Health()
		})
	}
	wait.Wait()
}
