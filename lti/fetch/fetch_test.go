package fetch_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/lti/fetch"
)

func get(t *testing.T, c *http.Client, address string, header ...string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range header {
		req.Header.Set("Authorization", h)
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := fetch.Read(res.Body, 1000)
	return string(body), err
}

// TestBlockedAddresses calls what must not be called. No packet leaves: the refusal comes
// before the connection.
func TestBlockedAddresses(t *testing.T) {
	t.Parallel()
	strict := fetch.New(fetch.Config{})
	for _, address := range []string{
		"https://127.0.0.1/", "https://localhost/", "https://127.1.2.3:8443/", "https://[::1]/",
		"https://10.0.0.1/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.1.1/",
		"https://169.254.169.254/latest/meta-data/", "https://100.64.0.1/", "https://100.100.100.200/", "https://168.63.129.16/",
		"https://0.0.0.0/", "https://0.1.2.3/", "https://224.0.0.1/", "https://255.255.255.255/", "https://240.0.0.1/",
		"https://192.0.0.1/", "https://192.0.2.1/", "https://198.18.0.1/", "https://198.51.100.1/", "https://203.0.113.1/",
		"https://[::]/", "https://[fc00::1]/", "https://[fd12::1]/", "https://[fe80::1]/", "https://[fec0::1]/", "https://[ff02::1]/",
		"https://[::ffff:10.0.0.1]/", "https://[::ffff:127.0.0.1]/", "https://[::10.0.0.1]/", "https://[64:ff9b::a00:1]/",
		"https://[2002:a00:1::]/", "https://[2001::1]/", "https://[2001:db8::1]/",
		"http://example.edu/", "http://127.0.0.1/", "http://8.8.8.8/", "ftp://example.edu/", "file:///etc/passwd",
		"https://user:pass@example.edu/", "https://user@127.0.0.1/",
	} {
		if _, err := get(t, strict, address); err == nil || !errors.Is(err, fetch.ErrBlocked) {
			t.Errorf("%s: got %v, want ErrBlocked", address, err)
		}
	}
}

func TestDevelopment(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") }))
	t.Cleanup(server.Close)
	lenient := fetch.New(fetch.Config{AllowLoopback: true})
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if body, err := get(t, lenient, "http://"+host+":"+port); err != nil || body != "here" {
			t.Errorf("%s: got %q, %v", host, body, err)
		}
	}
	for _, address := range []string{"http://8.8.8.8/", "http://example.edu/", "https://10.0.0.1/", "https://169.254.169.254/", "http://10.0.0.1/", "http://127.0.0.1.example.edu/"} {
		if _, err := get(t, lenient, address); !errors.Is(err, fetch.ErrBlocked) {
			t.Errorf("%s: got %v, want ErrBlocked", address, err)
		}
	}
}

// TestAllowedHosts reaches a private address by a listed name: the call gets as far as the
// connection, and fails there with another error than ErrBlocked.
func TestAllowedHosts(t *testing.T) {
	t.Parallel()
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	c := fetch.New(fetch.Config{AllowHosts: []string{"127.0.0.1", "LMS.internal."}})
	if _, err := get(t, c, "https://"+address+"/"); err == nil || errors.Is(err, fetch.ErrBlocked) {
		t.Errorf("a listed host got %v", err)
	}
	if _, err := get(t, c, "http://"+address+"/"); !errors.Is(err, fetch.ErrBlocked) {
		t.Errorf("a listed host without https got %v, want ErrBlocked", err)
	}
	if _, err := get(t, c, "https://localhost/"); !errors.Is(err, fetch.ErrBlocked) {
		t.Errorf("another name of the address got %v, want ErrBlocked", err)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "other "+r.Header.Get("Authorization"))
	}))
	t.Cleanup(other.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/to-other":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/to-private":
			http.Redirect(w, r, "https://10.0.0.1/", http.StatusFound)
		case "/to-plain":
			http.Redirect(w, r, "http://example.edu/", http.StatusFound)
		case "/to-file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/to-here":
			http.Redirect(w, r, "/", http.StatusSeeOther)
		default:
			io.WriteString(w, r.Method+" here "+r.Header.Get("Authorization"))
		}
	}))
	t.Cleanup(server.Close)
	c := fetch.New(fetch.Config{AllowLoopback: true})
	if body, err := get(t, c, server.URL+"/to-other"); err != nil || body != "other " {
		t.Errorf("without a token: got %q, %v", body, err)
	}
	if body, err := get(t, c, server.URL+"/to-here", "Bearer t"); err != nil || body != "GET here Bearer t" {
		t.Errorf("within the host: got %q, %v", body, err)
	}
	if _, err := get(t, c, server.URL+"/to-other", "Bearer t"); !errors.Is(err, fetch.ErrBlocked) {
		t.Errorf("token to another host: got %v, want ErrBlocked", err)
	}
	for _, path := range []string{"/to-private", "/to-plain", "/to-file"} {
		if _, err := get(t, c, server.URL+path); !errors.Is(err, fetch.ErrBlocked) {
			t.Errorf("%s: got %v, want ErrBlocked", path, err)
		}
	}
	if _, err := get(t, c, server.URL+"/round"); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("redirects without end: got %v", err)
	}
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/to-here", strings.NewReader("a=b"))
	if err != nil {
		t.Fatal(err)
	}
	if res, err := c.Do(post); err == nil {
		res.Body.Close()
		t.Error("a POST was turned into a GET")
	}
}

func TestProxySettingsAreIgnored(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	// Through the proxy the refused connection would be the error.
	if _, err := get(t, fetch.New(fetch.Config{AllowLoopback: true}), "https://10.0.0.1/"); !errors.Is(err, fetch.ErrBlocked) {
		t.Errorf("got %v, want ErrBlocked from the dial", err)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	if b, err := fetch.Read(strings.NewReader("1234567890"), 10); err != nil || string(b) != "1234567890" {
		t.Errorf("at the limit: %q, %v", b, err)
	}
	if _, err := fetch.Read(strings.NewReader("1234567890x"), 10); !errors.Is(err, fetch.ErrTooLarge) {
		t.Errorf("above the limit: %v", err)
	}
	bomb := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 100 {
			io.WriteString(z, strings.Repeat("0", 10000))
		}
		z.Close()
	}))
	t.Cleanup(bomb.Close)
	if _, err := get(t, fetch.New(fetch.Config{AllowLoopback: true}), bomb.URL); !errors.Is(err, fetch.ErrTooLarge) {
		t.Errorf("compressed: got %v, want ErrTooLarge", err)
	}
}

func TestTimeLimit(t *testing.T) {
	t.Parallel()
	if got := fetch.New(fetch.Config{}).Timeout; got.Seconds() != 5 {
		t.Errorf("a call may take %v in all, want 5 s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://example.edu/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := fetch.New(fetch.Config{}).Do(req); !errors.Is(err, context.Canceled) {
		if err == nil {
			res.Body.Close()
		}
		t.Errorf("cancelled: got %v", err)
	}
}
