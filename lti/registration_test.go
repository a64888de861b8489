package lti_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

func TestRegistrationValidate(t *testing.T) {
	t.Parallel()
	good := lti.Registration{
		OrganisationID: "org", Name: "LMS", Issuer: "https://lms.example.edu", ClientID: "c",
		AuthURL: "https://lms.example.edu/auth?x=1", TokenURL: "https://lms.example.edu/token", JWKSURL: "https://lms.example.edu/jwks",
		Deployments: []string{"1"},
	}
	for _, tt := range []struct {
		name   string
		change func(r *lti.Registration)
		want   string // part of the sentence; empty: valid
	}{
		{"good", func(*lti.Registration) {}, ""},
		{"issuer with a slash", func(r *lti.Registration) { r.Issuer += "/" }, ""},
		{"no deployments", func(r *lti.Registration) { r.Deployments = nil }, ""},
		{"loopback", func(r *lti.Registration) {
			r.Issuer, r.JWKSURL, r.AuthURL = "http://127.0.0.1:8900", "http://localhost/jwks", "http://[::1]:80/auth"
		}, ""},
		{"no organisation", func(r *lti.Registration) { r.OrganisationID = "" }, "the organisation is missing"},
		{"no name", func(r *lti.Registration) { r.Name = "" }, "the name is missing"},
		{"no issuer", func(r *lti.Registration) { r.Issuer = "" }, "the issuer is missing"},
		{"issuer not encrypted", func(r *lti.Registration) { r.Issuer = "http://lms.example.edu" }, "the issuer"},
		{"issuer with a query", func(r *lti.Registration) { r.Issuer += "?a=b" }, "query"},
		{"issuer with a fragment", func(r *lti.Registration) { r.Issuer += "#a" }, "fragment"},
		{"no client id", func(r *lti.Registration) { r.ClientID = "" }, "the client id is missing"},
		{"client id with a space", func(r *lti.Registration) { r.ClientID = "c " }, "space"},
		{"client id with a line break", func(r *lti.Registration) { r.ClientID = "a\nb" }, "control character"},
		{"R25 script", func(r *lti.Registration) { r.AuthURL = "javascript:alert(1)" }, "the authorization URL"},
		{"no authorization URL", func(r *lti.Registration) { r.AuthURL = "" }, "the authorization URL is missing"},
		{"relative", func(r *lti.Registration) { r.TokenURL = "/token" }, "the token URL"},
		{"not encrypted", func(r *lti.Registration) { r.JWKSURL = "http://lms.example.edu/jwks" }, "must begin with https://"},
		{"almost loopback", func(r *lti.Registration) { r.JWKSURL = "http://localhost.evil.example/jwks" }, "must begin with https://"},
		{"user name", func(r *lti.Registration) { r.JWKSURL = "https://a@lms.example.edu/" }, "user name"},
		{"not an address", func(r *lti.Registration) { r.JWKSURL = "https://[/" }, "not a web address"},
		{"empty deployment", func(r *lti.Registration) { r.Deployments = []string{""} }, "the deployment id is missing"},
		{"long deployment", func(r *lti.Registration) { r.Deployments = []string{long} }, "longer than 255"},
	} {
		r := good
		tt.change(&r)
		err := r.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

type noNotices struct{}

func (noNotices) SeenNotice(context.Context, lti.Registration, lti.Notice) (bool, error) {
	return false, nil
}

func (noNotices) MarkNotice(context.Context, lti.Registration, lti.Notice) error { return nil }

// minimalDeps are those of a tool that shows nothing.
func minimalDeps(public string, store lti.Store) lti.Deps {
	return lti.Deps{
		PublicURL: must(url.Parse(public)), Store: store, HTTP: anyPlatform(&http.Client{}), Secret: make([]byte, 32), Now: time.Now, Rand: rand.Reader,
		Logger:  slog.New(slog.DiscardHandler),
		TraceID: func(context.Context) string { return "" },
		Trace:   func(lti.Trace) {},
		Notices: noNotices{},
		Notice:  func(context.Context, lti.Registration, lti.Notice) error { return nil },
		Page:    func(http.ResponseWriter, *http.Request, lti.Page) {},
		Enter:   func(http.ResponseWriter, *http.Request, lti.Session) {},
		Problem: func(http.ResponseWriter, *http.Request, error) {},
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	store := newRig(t).store
	good := func(public string) lti.Deps {
		return minimalDeps(public, store)
	}
	for public, ok := range map[string]bool{
		"https://tool.example.edu": true, "https://tool.example.edu/": true, "http://localhost:8080": true, "http://127.0.0.1": true,
		"http://tool.example.edu": false, "https://tool.example.edu/path": false, "https://tool.example.edu?a=b": false,
		"https://a@tool.example.edu": false, "tool.example.edu": false, "": false, "ftp://localhost": false,
	} {
		if _, err := lti.New(good(public)); (err == nil) != ok {
			t.Errorf("public URL %q: got %v", public, err)
		}
	}
	for i, change := range []func(d *lti.Deps){
		func(d *lti.Deps) { d.PublicURL = nil }, func(d *lti.Deps) { d.Store = nil }, func(d *lti.Deps) { d.HTTP = nil },
		func(d *lti.Deps) { d.Now = nil }, func(d *lti.Deps) { d.Rand = nil }, func(d *lti.Deps) { d.Logger = nil },
		func(d *lti.Deps) { d.Enter = nil }, func(d *lti.Deps) { d.Problem = nil },
		func(d *lti.Deps) { d.Trace = nil }, func(d *lti.Deps) { d.TraceID = nil }, func(d *lti.Deps) { d.Page = nil },
		func(d *lti.Deps) { d.Secret = make([]byte, 31) },
	} {
		d := good("https://tool.example.edu")
		change(&d)
		if _, err := lti.New(d); err == nil {
			t.Errorf("case %d: a Tool without one of its dependencies", i)
		}
	}
	if _, err := lti.NewServices(lti.ServiceDeps{}); err == nil {
		t.Error("Services without dependencies")
	}
}

func TestCodes(t *testing.T) {
	t.Parallel()
	codes := lti.Codes()
	if len(codes) < 60 || !slices.IsSorted(codes) || !slices.Contains(codes, lti.CodeNonceMismatch) {
		t.Errorf("got %d codes: %v", len(codes), codes)
	}
}

// TestServerErrors: what the server itself cannot do is no refusal, and reaches Problem as
// a wrapped error.
func TestServerErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.login(nil)
	token := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
	if _, err := r.db.Exec(t.Context(), "drop table sessions"); err != nil {
		t.Fatal(err)
	}
	o := r.deliver(a, token)
	if refused := (*lti.CheckError)(nil); o.problem == nil || errors.As(o.problem, &refused) || o.rec.Code != 500 {
		t.Errorf("got %d, %v", o.rec.Code, o.problem)
	}
	if len(o.rec.Result().Cookies()) != 0 {
		t.Error("a cookie was set for a session that does not exist")
	}
}

// TestNoRandomness: without randomness there is no login, rather than a guessable one.
func TestNoRandomness(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var got error
	deps := minimalDeps(toolURL, r.store)
	deps.Rand = io.LimitReader(rand.Reader, 10)
	deps.Problem = func(_ http.ResponseWriter, _ *http.Request, err error) { got = err }
	tool, err := lti.New(deps)
	if err != nil {
		t.Fatal(err)
	}
	poor := rig{tb: t, public: r.public, reg: r.reg}
	poor.router = newRouter(tool)
	o := poor.post("/lti/login", r.loginForm())
	if !errors.Is(got, io.ErrUnexpectedEOF) || o.rec.Header().Get("Location") != "" || len(o.rec.Result().Cookies()) != 0 {
		t.Errorf("got %v, %v", got, o.rec.Header())
	}
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	got := r.launch(set("iss", "https://evil.example/\u202e\n"+strings.Repeat("x", 500))).check(t)
	text := got.Error() + got.LogValue().String()
	if strings.ContainsAny(text, "\n\u202e") || len(text) > 900 || !strings.Contains(text, issuer) {
		t.Errorf("got %q", text)
	}
	if text := fmt.Sprint(r.launch(set("nonce", "secret-secret-secret")).problem); strings.Contains(text, "secret-secret") {
		t.Errorf("got %q", text)
	}
}
