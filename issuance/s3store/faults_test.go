package s3store_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/s3store"
	"github.com/sealsmith/sealsmith/issuance/s3store/s3test"
)

// between stands between the store and the real server, and does something else now and then.
type between struct {
	*httptest.Server

	mu    sync.Mutex
	fault func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	asked int
}

func newBetween(t *testing.T, host string) *between {
	t.Helper()
	b := &between{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host}) // keeps the Host that is signed
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.asked++
		fault := b.fault
		b.mu.Unlock()
		if fault == nil || !fault(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *between) host() string { return strings.TrimPrefix(b.URL, "http://") }

func (b *between) set(fault func(w http.ResponseWriter, r *http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault, b.asked = fault, 0
}

func (b *between) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// answer is an error of the protocol.
func answer(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>`+code+`</Code><Message>the key is hush-hush</Message><RequestId>1</RequestId></Error>`)
	return true
}

func away(t *testing.T, err error, says string) {
	t.Helper()
	if !errors.Is(err, issuance.ErrFileAway) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v, want one that wraps ErrFileAway and says %q", err, says)
	}
}

const name = "o/c/sealed-0-x"

// all asks the store for everything it can do.
func all(t *testing.T, s *s3store.Store, check func(t *testing.T, err error)) {
	t.Helper()
	check(t, s.Put(t.Context(), name, []byte("body")))
	_, err := s.Get(t.Context(), name, 100)
	check(t, err)
	check(t, s.Delete(t.Context(), name))
	_, err = s.List(t.Context(), "", 10)
	check(t, err)
	check(t, s.Ping(t.Context()))
}

func TestWrongKeys(t *testing.T) {
	t.Parallel()
	b := s3test.New(t)
	for _, keys := range []s3store.Keys{{AccessKey: b.Keys.AccessKey, SecretKey: "hush-hush"}, {AccessKey: "nobody-hush", SecretKey: b.Keys.SecretKey}} {
		s, err := s3store.Open(b.Address(b.Host), keys)
		if err != nil {
			t.Fatal(err)
		}
		unknown := keys.AccessKey != b.Keys.AccessKey
		all(t, s, func(t *testing.T, err error) {
			t.Helper()
			if unknown && err != nil && strings.Contains(err.Error(), "the bucket is not there") {
				return // who is nobody is not told that there is a bucket
			}
			away(t, err, "refuses our keys")
			if strings.Contains(err.Error(), b.Keys.SecretKey) {
				t.Error("the secret is told")
			}
		})
	}
}

func TestBucketMissing(t *testing.T) {
	t.Parallel()
	b := s3test.New(t)
	b.Name += "x"
	s, err := s3store.Open(b.Address(b.Host), b.Keys)
	if err != nil {
		t.Fatal(err)
	}
	all(t, s, func(t *testing.T, err error) {
		t.Helper()
		away(t, err, "the bucket is not there")
	})
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	s, err := s3store.Open(s3store.Address{Bucket: "bucket", Endpoint: "127.0.0.1:1", Region: "us-east-1"}, s3store.Keys{AccessKey: "a", SecretKey: "hush-hush"})
	if err != nil {
		t.Fatal(err)
	}
	all(t, s, func(t *testing.T, err error) {
		t.Helper()
		away(t, err, "connection refused")
	})
}

// A store that asks for less, once or always; whose clock is another one; that says nothing we know.
func TestAnswersOfAnOverloadedStore(t *testing.T) {
	t.Parallel()
	b := s3test.New(t)
	net := newBetween(t, b.Host)
	s := b.Store(t, net.host())
	for _, fault := range []struct {
		status     int
		code, says string
	}{
		{http.StatusServiceUnavailable, "SlowDown", "overloaded or out of order (SlowDown)"},
		{http.StatusInternalServerError, "InternalError", "overloaded or out of order (InternalError)"},
		{http.StatusForbidden, "RequestTimeTooSkewed", "set them by NTP"},
		{http.StatusForbidden, "AccessDenied", "refuses our keys (AccessDenied)"},
		{http.StatusBadRequest, "ExpiredToken", "refuses our keys (ExpiredToken)"},
		{http.StatusConflict, "OperationAborted", "it answered OperationAborted"},
	} {
		net.set(func(w http.ResponseWriter, _ *http.Request) bool { return answer(w, fault.status, fault.code) })
		err := s.Put(t.Context(), name, []byte("body"))
		away(t, err, fault.says)
		_, err = s.Get(t.Context(), name, 100)
		away(t, err, fault.says)
	}
	// Once is healed by a second try, and nothing is told.
	for _, do := range []func() error{
		func() error { return s.Put(t.Context(), name, []byte("body")) },
		func() error { _, err := s.Get(t.Context(), name, 100); return err },
		func() error { return s.Delete(t.Context(), name) },
	} {
		first := true
		net.set(func(w http.ResponseWriter, _ *http.Request) bool {
			was := first
			first = false
			return was && answer(w, http.StatusServiceUnavailable, "SlowDown")
		})
		if err := do(); err != nil {
			t.Error(err)
		}
		if n := net.count(); n != 2 {
			t.Errorf("asked %d times, want 2", n)
		}
	}
}

func TestSlowStore(t *testing.T) {
	t.Parallel()
	b := s3test.New(t)
	net := newBetween(t, b.Host)
	s := b.Store(t, net.host())
	if err := s.Put(t.Context(), name, []byte("body")); err != nil {
		t.Fatal(err)
	}
	net.set(func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return true
	})
	for _, do := range []func(ctx context.Context) error{
		func(ctx context.Context) error { return s.Put(ctx, name, []byte("body")) },
		func(ctx context.Context) error { _, err := s.Get(ctx, name, 100); return err },
		s.Ping,
	} {
		ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		away(t, do(ctx), "context deadline exceeded")
		stop()
	}
	net.set(nil)
	if body, err := s.Get(t.Context(), name, 100); err != nil || string(body) != "body" {
		t.Errorf("%q, %v", body, err)
	}
}

// A body that is cut or changed on the way is never taken for the object: the store says so, or
// the hash does, which issuance compares.
func TestBodySpoiltOnTheWay(t *testing.T) {
	t.Parallel()
	b := s3test.New(t)
	net := newBetween(t, b.Host)
	s := b.Store(t, net.host())
	body := []byte(strings.Repeat("0123456789", 1000))
	if err := s.Put(t.Context(), name, body); err != nil {
		t.Fatal(err)
	}
	cut := func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		w.Header().Set("Content-Length", "10000")
		w.Header().Set("ETag", `"abc"`)
		w.Header().Set("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT")
		_, _ = w.Write(body[:5000])
		return true
	}
	net.set(cut)
	if got, err := s.Get(t.Context(), name, 100_000); !errors.Is(err, issuance.ErrFileAway) || got != nil {
		t.Errorf("a body that was cut: %d bytes, %v", len(got), err)
	}
	// The bytes that go there are other ones than were signed and hashed: the server refuses them.
	net.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("X"), io.LimitReader(skip(r.Body), 1<<20)))
		}
		return false
	})
	if err := s.Put(t.Context(), "o/c/sealed-1-x", body); !errors.Is(err, issuance.ErrFileAway) {
		t.Errorf("a body that was changed on its way to the store: %v", err)
	}
	net.set(nil)
	if _, err := s.Get(t.Context(), "o/c/sealed-1-x", 100_000); !errors.Is(err, issuance.ErrNoObject) {
		t.Errorf("the store has taken it all the same: %v", err)
	}
}

// skip leaves out one byte.
func skip(r io.Reader) io.Reader {
	_, _ = io.CopyN(io.Discard, r, 1)
	return r
}
