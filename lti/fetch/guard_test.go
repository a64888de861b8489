package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti/fetch"
)

// TestR5NamesOfPrivateAddresses resolves innocent names to what must not be called.
func TestR5NamesOfPrivateAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"127.0.0.1", "10.0.0.1", "172.20.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255",
		"::1", "::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::10.0.0.1",
		"::ffff:0:10.0.0.1", "64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:a00:1::1", "2001:0:a00:1::1", "2001:db8::1",
		"100::1", "5f00::1", "3fff::1", "4000::1",
	} {
		n := &names{answers: map[string][]string{"lms.example.": {address}}}
		_, err := get(t, fetch.New(fetch.Config{}.WithResolver(n.resolver())), "https://lms.example/")
		if !errors.Is(err, fetch.ErrBlocked) || fetch.Explain(err).Code != fetch.TroubleBlocked {
			t.Errorf("%s: got %v, want ErrBlocked", address, err)
		}
	}
}

// TestR5Disguised writes IPv4 addresses as some resolvers read them. None is asked.
func TestR5Disguised(t *testing.T) {
	t.Parallel()
	c := fetch.New(fetch.Config{AllowLoopback: true, AllowHosts: []string{"2130706433", "0x7f.1"}})
	for _, host := range []string{"2130706433", "0x7f.1", "0x7F000001", "0X7f.0.0.1", "127.1", "0177.0.0.1", "017700000001", "10.1", "example.0x10", "1.2.3.4.5"} {
		if _, err := get(t, c, "https://"+host+"/"); !errors.Is(err, fetch.ErrBlocked) {
			t.Errorf("%s: got %v, want ErrBlocked", host, err)
		}
	}
	if body, err := get(t, fetch.New(fetch.Config{}), "https://127.0.0.1./"); err == nil { // it resolves to nothing, or the dial refuses
		t.Errorf("with a dot at the end: %q", body)
	}
}

// TestR6Rebinding changes the answer of the name server between two calls.
func TestR6Rebinding(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") }))
	t.Cleanup(server.Close)
	n := &names{answers: map[string][]string{"rebind.localhost.": {"127.0.0.1", "10.0.0.1"}}}
	c := fetch.New(fetch.Config{AllowLoopback: true}.WithResolver(n.resolver()))
	address := "http://rebind.localhost:" + portOf(server)
	if body, err := get(t, c, address); err != nil || body != "here" {
		t.Fatalf("the allowed address: %q, %v", body, err)
	}
	c.CloseIdleConnections()
	if _, err := get(t, c, address); !errors.Is(err, fetch.ErrBlocked) {
		t.Errorf("after the name changed: %v, want ErrBlocked", err)
	}
}

// TestR7Redirects and K7: each stop of a chain is checked, by name and by address.
func TestR7K7Redirects(t *testing.T) {
	t.Parallel()
	var to string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/second", http.StatusFound)
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	t.Cleanup(server.Close)
	n := &names{answers: map[string][]string{"inside.example.": {"192.168.1.1"}}}
	c := fetch.New(fetch.Config{AllowLoopback: true}.WithResolver(n.resolver()))
	for _, to = range []string{
		"https://10.0.0.1/", "https://inside.example/", "http://inside.example/", "https://[::ffff:a00:1]/", "https://2130706433/", "https://u@lms.example/",
		"https://lms.example:22/", "gopher://lms.example/", "//169.254.169.254/latest/",
	} {
		if _, err := get(t, c, server.URL); !errors.Is(err, fetch.ErrBlocked) {
			t.Errorf("to %s: %v, want ErrBlocked", to, err)
		}
	}
}

func TestR8Addresses(t *testing.T) {
	t.Parallel()
	n := &names{answers: map[string][]string{"lms.example.": {"10.0.0.1"}, "listed.example.": {"169.254.169.254"}}}
	c := fetch.New(fetch.Config{AllowHosts: []string{"listed.example"}}.WithResolver(n.resolver()))
	for address, says := range map[string]string{
		"https://lms.example:22/":        "port 22",
		"https://lms.example:6379/":      "port 6379",
		"https://lms.example:80/":        "port 80",
		"https://lms.example/#f":         "fragment",
		"https://user@lms.example/":      "user name",
		"https://user:pass@lms.example/": "user name",
		"https://:443/":                  "no host",
		"https://lms.example:443/":       "not a public address", // the port is right, and the dial refuses
		"https://lms.example:8443/":      "not a public address",
		"https://listed.example:10443/":  "metadata service", // listed hosts have any port, and no metadata service
		"http://listed.example/":         "not https",
	} {
		_, err := get(t, c, address)
		if !errors.Is(err, fetch.ErrBlocked) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", address, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "pass") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

// TestListedHosts: what is listed may be private, in every form that private networks have.
func TestListedHosts(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1", "10.255.255.254", "100.64.0.9", "fd12::9"} {
		n := &names{answers: map[string][]string{"lms.internal.": {address}}}
		c := fetch.New(fetch.Config{AllowHosts: []string{"LMS.internal"}}.WithResolver(n.resolver()).WithTimeout(200 * time.Millisecond))
		if _, err := get(t, c, "https://lms.internal:1/"); err == nil || errors.Is(err, fetch.ErrBlocked) {
			t.Errorf("%s: got %v, want an attempt", address, err)
		}
	}
	for _, address := range []string{"100.100.100.200", "fe80::1", "0.0.0.0", "224.0.0.1", "64:ff9b::a9fe:a9fe", "::ffff:169.254.169.254"} {
		n := &names{answers: map[string][]string{"lms.internal.": {address}}}
		c := fetch.New(fetch.Config{AllowHosts: []string{"lms.internal"}}.WithResolver(n.resolver()))
		if _, err := get(t, c, "https://lms.internal/"); !errors.Is(err, fetch.ErrBlocked) {
			t.Errorf("%s: got %v, want ErrBlocked", address, err)
		}
	}
}

// TestK3SlowLoris sends a byte now and then: the body counts for the time limit.
func TestK3SlowLoris(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, " "); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}))
	t.Cleanup(server.Close)
	began := time.Now()
	_, err := get(t, fetch.New(fetch.Config{AllowLoopback: true}.WithTimeout(300*time.Millisecond)), server.URL)
	if took := time.Since(began); err == nil || took > 3*time.Second || fetch.Explain(err).Code != fetch.TroubleTimeout {
		t.Errorf("got %v after %v", err, took)
	}
}

// TestK4Headers: an answer whose head has no end.
func TestK4Headers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 100 {
			w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1<<10))
		}
	}))
	t.Cleanup(server.Close)
	if _, err := get(t, fetch.New(fetch.Config{AllowLoopback: true}), server.URL); err == nil {
		t.Error("took 100 kB of headers")
	}
}

// TestS16TokensStay sends a token and a form to a host that points elsewhere.
func TestS16TokensStay(t *testing.T) {
	t.Parallel()
	ca := newAuthority()
	var status int
	var to string
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begin" {
			http.Redirect(w, r, to, status)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s|%s", r.Host, r.Method, r.Header.Get("Authorization"), body, r.Referer())
	}
	hosts := []string{"lms.localhost", "sub.lms.localhost", "other.localhost"}
	port := serve(t, ca.issue(time.Now().Add(time.Hour), hosts...), handler)
	n := &names{answers: map[string][]string{}}
	for _, h := range hosts {
		n.answers[h+"."] = []string{"127.0.0.1"}
	}
	c := fetch.New(fetch.Config{AllowLoopback: true}.WithRoots(ca.pool()).WithResolver(n.resolver()))
	call := func(method, token string) (string, error) {
		req := must(http.NewRequestWithContext(t.Context(), method, "https://lms.localhost:"+port+"/begin?ticket=secret", strings.NewReader("assertion=x")))
		if method == http.MethodGet {
			req.Body, req.GetBody, req.ContentLength = nil, nil, 0
		}
		if token != "" {
			req.Header.Set("Authorization", token)
		}
		res, err := c.Do(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		b, err := fetch.Read(res.Body, 1000)
		return string(b), err
	}
	for _, tt := range []struct {
		method, token, to string
		status            int
		blocked           bool
	}{
		{"GET", "Bearer t", "https://sub.lms.localhost:" + port + "/", 302, true},
		{"GET", "Bearer t", "https://other.localhost:" + port + "/", 307, true},
		{"GET", "Bearer t", "http://lms.localhost:" + port + "/", 302, true},
		{"GET", "Bearer t", "https://lms.localhost:1/", 302, true},
		{"GET", "Bearer t", "/here", 302, false},
		{"GET", "Bearer t", "https://LMS.localhost:" + port + "/here", 302, false},
		{"GET", "", "https://other.localhost:" + port + "/", 302, false},
		{"POST", "", "https://sub.lms.localhost:" + port + "/", 307, true},
		{"POST", "", "https://other.localhost:" + port + "/", 308, true},
		{"POST", "", "/here", 307, false},
	} {
		to, status = tt.to, tt.status
		got, err := call(tt.method, tt.token)
		if tt.blocked != errors.Is(err, fetch.ErrBlocked) || !tt.blocked && err != nil {
			t.Errorf("%+v: got %q, %v", tt, got, err)
		}
		if strings.Contains(got, "secret") {
			t.Errorf("%+v: the ticket went along as Referer: %q", tt, got)
		}
	}
}

// TestS30: the host of a service moves into a private network while calls go on.
func TestS30ServiceMovesInside(t *testing.T) {
	t.Parallel()
	ca := newAuthority()
	port := serve(t, ca.issue(time.Now().Add(time.Hour), "lms.localhost"), func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	n := &names{answers: map[string][]string{"lms.localhost.": {"127.0.0.1", "172.16.5.5"}}}
	c := fetch.New(fetch.Config{AllowLoopback: true}.WithRoots(ca.pool()).WithResolver(n.resolver()))
	for range 3 { // one connection: nothing is resolved again
		if body, err := get(t, c, "https://lms.localhost:"+port, "Bearer t"); err != nil || body != "ok" {
			t.Fatalf("%q, %v", body, err)
		}
	}
	c.CloseIdleConnections()
	if _, err := get(t, c, "https://lms.localhost:"+port, "Bearer t"); !errors.Is(err, fetch.ErrBlocked) {
		t.Errorf("got %v", err)
	}
}

// TestClientsDoNotShare: a registration may call a private host, and its open connection
// serves nobody else.
func TestClientsDoNotShare(t *testing.T) {
	t.Parallel()
	ca := newAuthority()
	port := serve(t, ca.issue(time.Now().Add(time.Hour), "lms.internal"), func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "inside") })
	n := &names{answers: map[string][]string{"lms.internal.": {"127.0.0.1"}}}
	clients := fetch.NewClients(fetch.Config{}.WithRoots(ca.pool()).WithResolver(n.resolver()))
	address := "https://lms.internal:" + port
	if body, err := get(t, clients.For([]string{"lms.internal"}), address); err != nil || body != "inside" {
		t.Fatalf("who may: %q, %v", body, err)
	}
	for _, other := range [][]string{nil, {"other.internal"}} {
		if body, err := get(t, clients.For(other), address); !errors.Is(err, fetch.ErrBlocked) {
			t.Errorf("%v: got %q, %v; want ErrBlocked", other, body, err)
		}
	}
	if body, err := get(t, clients.For([]string{"other.internal", "LMS.internal."}), address); err != nil || body != "inside" {
		t.Errorf("who may call two: %q, %v", body, err)
	}
}

func TestClientsAreBounded(t *testing.T) {
	t.Parallel()
	clients := fetch.NewClients(fetch.Config{})
	first, kept := clients.For([]string{"a", "b"}), clients.For([]string{"kept"})
	if clients.For([]string{"B.", "a", "b"}) != first || clients.For(nil) != clients.For([]string{}) || clients.For(nil) == first {
		t.Error("the same hosts have two clients, or others share one")
	}
	for i := range 100 {
		clients.For([]string{fmt.Sprint("h", i)})
		if clients.For([]string{"kept"}) != kept {
			t.Fatal("a client in use was given up")
		}
	}
	if clients.For([]string{"a", "b"}) == first {
		t.Error("a client nobody used was kept beside 100 others")
	}
}

// TestExplain makes each kind of trouble and reads what is said of it.
func TestExplain(t *testing.T) {
	t.Parallel()
	ca, foreign := newAuthority(), newAuthority()
	ok := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }
	later := time.Now().Add(time.Hour)
	plain := httptest.NewServer(http.HandlerFunc(ok))
	t.Cleanup(plain.Close)
	self := httptest.NewUnstartedServer(http.HandlerFunc(ok))
	self.Config.ErrorLog = log.New(io.Discard, "", 0)
	self.StartTLS()
	t.Cleanup(self.Close)
	cutOff := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "short")
	}))
	t.Cleanup(cutOff.Close)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	round := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }))
	t.Cleanup(round.Close)
	closed := httptest.NewServer(http.HandlerFunc(ok))
	closed.Close()
	n := &names{answers: map[string][]string{"lms.localhost.": {"127.0.0.1"}}}
	c := fetch.New(fetch.Config{AllowLoopback: true}.WithRoots(ca.pool()).WithResolver(n.resolver()).WithTimeout(500 * time.Millisecond))
	for _, tt := range []struct{ name, address, code, words string }{
		{"no such name", "https://nobody.localhost/", fetch.TroubleName, "the name nobody.localhost does not resolve"},
		{"private", "https://10.0.0.1/", fetch.TroubleBlocked, "the address may not be called: 10.0.0.1 is not a public address"},
		{"K8 intermediate", "https://lms.localhost:" + serve(t, foreign.issue(later, "lms.localhost"), ok), fetch.TroubleUntrusted, "the TLS certificate is not trusted: unknown authority, or an intermediate certificate is missing"},
		{"K8 self-signed", "https://127.0.0.1:" + portOf(self), fetch.TroubleUntrusted, "the TLS certificate is not trusted: it is self-signed"},
		{"K8 expired", "https://lms.localhost:" + serve(t, ca.issue(time.Now().Add(-time.Hour), "lms.localhost"), ok), fetch.TroubleExpired, "the TLS certificate is valid from "},
		{"K8 other name", "https://lms.localhost:" + serve(t, ca.issue(later, "www.localhost"), ok), fetch.TroubleOtherName, "the TLS certificate is for www.localhost, not for lms.localhost"},
		{"no TLS", "https://lms.localhost:" + portOf(plain), fetch.TroubleTLS, "what answers there does not speak TLS"},
		{"K1 refused", closed.URL, fetch.TroubleRefused, "nothing listens there: the connection was refused"},
		{"cut", cutOff.URL, fetch.TroubleCut, "the connection was cut before the answer was complete"},
		{"K3 slow", silent.URL, fetch.TroubleTimeout, "the answer took longer than 5 s"},
		{"round", round.URL, fetch.TroubleRedirect, "the address redirects in a way that is not followed: more than 3 redirects"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := get(t, c, tt.address)
			if got := fetch.Explain(err); got.Code != tt.code || !strings.HasPrefix(got.Words, tt.words) || len(got.Words) > 120 {
				t.Errorf("got %+v of %v", got, err)
			}
		})
	}
	n2 := &names{fail: true}
	_, err := get(t, fetch.New(fetch.Config{}.WithResolver(n2.resolver())), "https://"+strings.Repeat("long.", 30)+"example/")
	if got := fetch.Explain(err); got.Code != fetch.TroubleName || len(got.Words) > 120 {
		t.Errorf("a failing name server: %+v of %v", got, err)
	}
	_, large := fetch.Read(strings.NewReader("12"), 1)
	for err, code := range map[error]string{large: fetch.TroubleTooLarge, context.Canceled: fetch.TroubleCancelled, io.ErrClosedPipe: fetch.TroubleUnknown} {
		if got := fetch.Explain(err); got.Code != code {
			t.Errorf("%v: %+v", err, got)
		}
	}
}
