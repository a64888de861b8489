package lti_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/fetch"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

func newServices(tb testing.TB, tokenURL string) (*lti.Services, lti.Registration) {
	tb.Helper()
	return newServicesAt(tb, tokenURL, newClock(start))
}

func newServicesAt(tb testing.TB, tokenURL string, c *clock) (*lti.Services, lti.Registration) {
	tb.Helper()
	s, err := lti.NewServices(lti.ServiceDeps{
		Keys: ltistore.New(sqldbtest.SQLite(tb), c.Now), HTTP: anyPlatform(fetch.New(fetch.Config{AllowLoopback: true})),
		Now: c.Now, Rand: rand.Reader, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s, lti.Registration{ID: "reg-1", ClientID: clientID, TokenURL: tokenURL}
}

func serviceError(tb testing.TB, err error) *lti.ServiceError {
	tb.Helper()
	e, ok := errors.AsType[*lti.ServiceError](err)
	if !ok {
		tb.Fatalf("got %v, want a *ServiceError", err)
	}
	if e.Sentence() == "" {
		tb.Errorf("no sentence for reason %q", e.Reason)
	}
	return e
}

// platform is a grade service: tests say what each path answers.
type platform struct {
	*httptest.Server
	mu     sync.Mutex
	tokens int
	token  func(w http.ResponseWriter, r *http.Request, n int)
	answer http.HandlerFunc
}

func newPlatform(tb testing.TB, answer http.HandlerFunc) *platform {
	tb.Helper()
	p := &platform{answer: answer}
	p.token = func(w http.ResponseWriter, _ *http.Request, n int) {
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"bearer","expires_in":3600}`, n) // S4
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			p.mu.Lock()
			p.tokens++
			n := p.tokens
			p.mu.Unlock()
			p.token(w, r, n)
			return
		}
		p.answer(w, r)
	}))
	tb.Cleanup(p.Close)
	return p
}

func (p *platform) tokenCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tokens
}

func TestTokenRequest(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[]") })
	type request struct {
		Form      map[string]string
		Header    map[string]string
		Assertion map[string]any
	}
	var got request
	p.token = func(w http.ResponseWriter, r *http.Request, _ int) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		got.Form = map[string]string{}
		for name := range r.PostForm {
			got.Form[name] = r.PostForm.Get(name)
		}
		parts := strings.Split(got.Form["client_assertion"], ".")
		for i, into := range []any{&got.Header, &got.Assertion} {
			if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[i])), into); err != nil {
				t.Error(err)
			}
		}
		io.WriteString(w, `{"access_token":"t"}`)
	}
	s, reg := newServices(t, p.URL+"/token")
	reg.TokenAudience = "https://api.example.edu/auth/token"
	if _, err := s.Results(t.Context(), reg, p.URL+"/item?type_id=1", "user/7"); err != nil {
		t.Fatal(err)
	}
	delete(got.Form, "client_assertion")
	if len(got.Header["kid"]) != 43 || got.Assertion["jti"] == "" {
		t.Errorf("header %v, jti %v", got.Header, got.Assertion["jti"])
	}
	delete(got.Header, "kid")
	delete(got.Assertion, "jti")
	want := request{
		Form: map[string]string{
			"grant_type": "client_credentials", "scope": lti.ScopeResultReadOnly,
			"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		},
		Header: map[string]string{"alg": "RS256", "typ": "JWT"},
		Assertion: map[string]any{
			"iss": clientID, "sub": clientID, "aud": "https://api.example.edu/auth/token",
			"iat": float64(start.Unix() - 5), "exp": float64(start.Unix() + 120),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("token request (-want +got):\n%s", diff)
	}
}

func TestTokenCache(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[]") })
	c := newClock(start)
	s, reg := newServicesAt(t, p.URL+"/token", c)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.Results(t.Context(), reg, p.URL+"/item", ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := p.tokenCount(); n != 1 {
		t.Errorf("20 calls at once asked for %d tokens, want 1", n)
	}
	for _, tt := range []struct {
		wait time.Duration
		want int
	}{{3539 * time.Second, 1}, {time.Second, 2}} { // until a minute before the end
		c.advance(tt.wait)
		if _, err := s.Results(t.Context(), reg, p.URL+"/item", ""); err != nil {
			t.Fatal(err)
		}
		if n := p.tokenCount(); n != tt.want {
			t.Errorf("%v later: %d tokens, want %d", tt.wait, n, tt.want)
		}
	}
	if _, err := s.LineItems(t.Context(), reg, p.URL+"/items", lti.LineItemFilter{}); err != nil {
		t.Fatal(err)
	}
	other := reg
	other.ID = "reg-2"
	if _, err := s.Results(t.Context(), other, p.URL+"/item", ""); err != nil {
		t.Fatal(err)
	}
	if n := p.tokenCount(); n != 4 {
		t.Errorf("another scope and another registration: %d tokens, want 4", n)
	}
}

func TestTokenAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body, reason string
		status             int
	}{
		{"S2 expires_in as text", `{"access_token":"t","expires_in":"3600"}`, "", 200},
		{"S2 no expires_in", `{"access_token":"t","token_type":"Bearer"}`, "", 200},
		{"S2 expires_in 0", `{"access_token":"t","expires_in":0}`, "", 200},
		{"created", `{"access_token":"t"}`, "", 201},
		{"scope granted among others", `{"access_token":"t","scope":"x ` + lti.ScopeResultReadOnly + `"}`, "", 200},
		{"S3 scope not granted", `{"access_token":"t","scope":"x"}`, lti.ReasonScopeNotGranted, 200},
		{"S1 invalid client", `{"error":"invalid_client"}`, lti.ReasonTokenRefused, 400},
		{"unauthorized", `{}`, lti.ReasonTokenRefused, 401},
		{"busy", ``, lti.ReasonBusy, 503},
		{"S12 page of HTML", `<html>`, lti.ReasonAnswer, 200},
		{"no token", `{}`, lti.ReasonAnswer, 200},
		{"token is a number", `{"access_token":5}`, lti.ReasonAnswer, 200},
		{"token with a line break", `{"access_token":"a\r\nX: y"}`, lti.ReasonAnswer, 200},
		{"other token type", `{"access_token":"t","token_type":"mac"}`, lti.ReasonAnswer, 200},
		{"too large", `{"access_token":"` + strings.Repeat("t", 70<<10) + `"}`, lti.ReasonTooLarge, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[]") })
			p.token = func(w http.ResponseWriter, _ *http.Request, _ int) {
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			}
			s, reg := newServices(t, p.URL+"/token")
			_, err := s.Results(t.Context(), reg, p.URL+"/item", "")
			if tt.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			got := serviceError(t, err)
			if got.Reason != tt.reason || got.Status != tt.status {
				t.Errorf("got %v, want %s", got, tt.reason)
			}
			if tt.status == 200 && strings.Contains(err.Error(), `"access_token":"`) {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

func TestUnauthorizedGetsOneNewToken(t *testing.T) { // S5
	t.Parallel()
	var refuseAll atomic.Bool
	p := newPlatform(t, func(w http.ResponseWriter, r *http.Request) {
		if refuseAll.Load() || r.Header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, "[]")
	})
	s, reg := newServices(t, p.URL+"/token")
	if _, err := s.Results(t.Context(), reg, p.URL+"/item", ""); err != nil || p.tokenCount() != 2 {
		t.Errorf("got %v after %d tokens", err, p.tokenCount())
	}
	refuseAll.Store(true)
	_, err := s.Results(t.Context(), reg, p.URL+"/item", "")
	if got := serviceError(t, err); got.Reason != lti.ReasonUnauthorized || p.tokenCount() != 3 {
		t.Errorf("got %v after %d tokens, want %s after 3", got, p.tokenCount(), lti.ReasonUnauthorized)
	}
}

func TestResultRows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       string // user:score/maximum:refused, or the reason
	}{
		{"empty", `[]`, ""},
		{"score and maximum", `[{"userId":"7","resultScore":5,"resultMaximum":10}]`, "7:5/10:"},
		{"S17 no score", `[{"userId":"7","resultMaximum":10}]`, "7:-/10:"},
		{"S17 null", `[{"userId":"7","resultScore":null,"resultMaximum":null}]`, "7:-/1:"},
		{"S17 number as text", `[{"userId":"7","resultScore":"85","resultMaximum":"100"}]`, "7:85/100:"},
		{"S17 empty text", `[{"userId":"7","resultScore":"","resultMaximum":""}]`, "7:-/1:"},
		{"S17 above the maximum", `[{"userId":"7","resultScore":12,"resultMaximum":10}]`, "7:12/10:"},
		{"S17 negative", `[{"userId":"7","resultScore":-1,"resultMaximum":10}]`, "7:-/10:the score is negative"},
		{"S17 NaN as text", `[{"userId":"7","resultScore":"NaN"}]`, "7:-/1:the score is not a number"},
		{"infinite", `[{"userId":"7","resultScore":"Inf"}]`, "7:-/1:the score is not a number"},
		{"too large", `[{"userId":"7","resultScore":1e999}]`, "7:-/1:the score is not a number"},
		{"score is true", `[{"userId":"7","resultScore":true}]`, "7:-/1:the score is not a number"},
		{"S18 maximum 0", `[{"userId":"7","resultScore":1,"resultMaximum":0}]`, "7:-/1:the maximum is not a number above 0"},
		{"S18 no maximum", `[{"userId":"7","resultScore":0.6}]`, "7:0.6/1:"},
		{"user id is a number", `[{"userId":7,"resultScore":1}]`, "7:1/1:"},
		{"S20 user twice", `[{"userId":"7","resultScore":1,"timestamp":"2026-11-22T08:00:00Z"},{"userId":"7","resultScore":0,"timestamp":"2026-11-22T07:00:00Z"},{"userId":"8"}]`, "7:1/1: 8:-/1:"},
		{"S20 user twice without time", `[{"userId":"7","resultScore":1},{"userId":"7","resultScore":0}]`, "7:0/1:"},
		{"no user", `[{"resultScore":1}]`, lti.ReasonAnswer},
		{"user twice in a row", `[{"userId":"7","userId":"8"}]`, lti.ReasonAnswer},
		{"row is a text", `["x"]`, lti.ReasonAnswer},
		{"object", `{}`, lti.ReasonAnswer},
		{"S12 HTML", `<!doctype html>`, lti.ReasonAnswer},
		{"nothing", ``, lti.ReasonAnswer},
		{"cut off", `[{"userId":"7"`, lti.ReasonAnswer},
		{"too large", `[` + strings.Repeat(" ", 5<<20) + `]`, lti.ReasonTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, tt.body) })
			s, reg := newServices(t, p.URL+"/token")
			results, err := s.Results(t.Context(), reg, p.URL+"/item", "")
			if err != nil {
				if got := serviceError(t, err); got.Reason != tt.want {
					t.Errorf("got %v, want %q", got, tt.want)
				}
				return
			}
			var got []string
			for _, r := range results {
				score := "-"
				if r.Score != nil {
					score = fmt.Sprint(*r.Score)
				}
				got = append(got, fmt.Sprintf("%s:%s/%v:%s", r.UserID, score, r.Maximum, r.Refused))
			}
			if joined := strings.Join(got, " "); joined != tt.want {
				t.Errorf("got %q, want %q", joined, tt.want)
			}
		})
	}
}

func TestResultsAddress(t *testing.T) {
	t.Parallel()
	var got string
	p := newPlatform(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.RequestURI() + " " + r.Header.Get("Accept")
		io.WriteString(w, `[{"userId":"other"}]`)
	})
	s, reg := newServices(t, p.URL+"/token")
	for address, want := range map[string]string{
		"/7/item?type_id=1": "/7/item/results?type_id=1&user_id=a%26b+c",
		"/7/item":           "/7/item/results?user_id=a%26b+c",
		"/7/it%2Fem?a=%20b": "/7/it%2Fem/results?a=%20b&user_id=a%26b+c",
	} {
		results, err := s.Results(t.Context(), reg, p.URL+address, "a&b c")
		if err != nil || len(results) != 0 { // a platform that ignores the filter
			t.Errorf("%s: got %v, %v", address, results, err)
		}
		if want += " application/vnd.ims.lis.v2.resultcontainer+json"; got != want {
			t.Errorf("%s: asked for %s, want %s", address, got, want)
		}
	}
}

func TestServiceStatuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		reason string
		again  bool
	}{
		{400, lti.ReasonRejected, false},
		{403, lti.ReasonForbidden, false}, // S6
		{404, lti.ReasonGone, false},      // S7
		{410, lti.ReasonGone, false},
		{422, lti.ReasonRejected, false}, // S10
		{429, lti.ReasonBusy, true},      // S11
		{500, lti.ReasonBusy, true},
		{503, lti.ReasonBusy, true},
		{304, lti.ReasonAnswer, false},
	} {
		p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(tt.status)
		})
		s, reg := newServices(t, p.URL+"/token")
		_, err := s.Results(t.Context(), reg, p.URL+"/item", "")
		got := serviceError(t, err)
		if got.Reason != tt.reason || got.Status != tt.status || got.Temporary() != tt.again || !got.RetryAt.Equal(start.Add(2*time.Minute)) {
			t.Errorf("%d: got %v, retry at %v, want %s", tt.status, got, got.RetryAt, tt.reason)
		}
	}
}

func TestServicePaging(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, link, want string // %s is the server; want is rows, or the reason
	}{
		{"none", ``, "1"},
		{"next", `<%s/page2>; rel="next"`, "2"},
		{"relative", `</page2>; rel=next`, "2"},
		{"S15 in capitals", `<%s/page2>; REL="NEXT"`, "2"},
		{"S15 typographic quotes", `<%s/item>; rel=“first”, <%s/page2?a=1&amp;b=2>; rel=“next”`, "2"},
		{"comma in a title", `<%s/item>; title="a, b"; rel="prev", <%s/page2>; rel="next"`, "2"},
		{"several relations", `<%s/page2>; rel="last next"`, "2"},
		{"not next", `<%s/page2>; rel="nextish"`, "1"},
		{"broken", `<%s/page2; rel="next"`, "1"},
		{"S14 to itself", `<%s/item/results>; rel="next"`, "1"},
		{"S13 elsewhere", `<https://evil.example/page2>; rel="next"`, lti.ReasonForeignPage},
		{"S13 another port", `<http://127.0.0.1:1/page2>; rel="next"`, lti.ReasonForeignPage},
		{"with a user name", `<http://a@127.0.0.1/page2>; rel="next"`, lti.ReasonForeignPage},
		{"no address", `<http://[>; rel="next"`, lti.ReasonAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var p *platform
			p = newPlatform(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/page2" {
					io.WriteString(w, `[{"userId":"2"}]`)
					return
				}
				if tt.link != "" {
					w.Header().Set("Link", strings.ReplaceAll(tt.link, "%s", p.URL))
				}
				io.WriteString(w, `[{"userId":"1"}]`)
			})
			s, reg := newServices(t, p.URL+"/token")
			results, err := s.Results(t.Context(), reg, p.URL+"/item", "")
			got := fmt.Sprint(len(results))
			if err != nil {
				got = serviceError(t, err).Reason
			}
			if got != tt.want {
				t.Errorf("got %s (%v), want %s", got, err, tt.want)
			}
		})
	}
}

func TestEndlessPages(t *testing.T) { // S14
	t.Parallel()
	var n atomic.Int64
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", fmt.Sprintf(`</page%d>; rel="next"`, n.Add(1)))
		io.WriteString(w, "[]")
	})
	s, reg := newServices(t, p.URL+"/token")
	_, err := s.Results(t.Context(), reg, p.URL+"/item", "")
	if got := serviceError(t, err); got.Reason != lti.ReasonTooLarge || n.Load() > 502 {
		t.Errorf("got %v after %d pages", got, n.Load())
	}
}

func TestRedirectsKeepTheTokenHome(t *testing.T) { // S16
	t.Parallel()
	var leaked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked.Store(true)
		io.WriteString(w, "[]")
	}))
	t.Cleanup(other.Close)
	p := newPlatform(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/out/results":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/in/results":
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		default:
			io.WriteString(w, `[{"userId":"`+r.Header.Get("Authorization")+`"}]`)
		}
	})
	s, reg := newServices(t, p.URL+"/token")
	_, err := s.Results(t.Context(), reg, p.URL+"/out", "")
	if got := serviceError(t, err); got.Reason != lti.ReasonAddress || leaked.Load() {
		t.Errorf("got %v, leaked %v", got, leaked.Load())
	}
	results, err := s.Results(t.Context(), reg, p.URL+"/in", "")
	if err != nil || len(results) != 1 || results[0].UserID != "Bearer token-1" {
		t.Errorf("within the host: got %v, %v", results, err)
	}
}

func TestLineItemScopes(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `[{"id":"https://a.example/1","label":"A","scoreMaximum":"10","tag":"x"},{"id":"https://a.example/2","label":"B","tag":"y"}]`)
	})
	p.token = func(w http.ResponseWriter, r *http.Request, _ int) {
		if r.FormValue("scope") != lti.ScopeLineItem { // a platform that grants the full scope only
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"error":"invalid_scope"}`)
			return
		}
		io.WriteString(w, `{"access_token":"t"}`)
	}
	s, reg := newServices(t, p.URL+"/token")
	items, err := s.LineItems(t.Context(), reg, p.URL+"/items", lti.LineItemFilter{Tag: "x"})
	if err != nil || len(items) != 1 || items[0].ScoreMaximum != 10 { // the filter is applied here, too
		t.Errorf("got %+v, %v", items, err)
	}
}

func TestCreateLineItem(t *testing.T) {
	t.Parallel()
	reply := func(status int, location, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if got := must(io.ReadAll(r.Body)); string(got) != `{"label":"A","scoreMaximum":100}` {
				t.Errorf("sent %s", got)
			}
			if location != "" {
				w.Header().Set("Location", location)
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		id     string
	}{
		{"id in the body", reply(201, "", `{"id":"/items/1?type_id=1"}`), "/items/1?type_id=1"},
		{"S26 Location", reply(201, "/items/2", ``), "/items/2"},
		{"M41 id on a foreign host", reply(201, "https://evil.example/2", `{"id":"https://evil.example/1"}`), ""},
		{"S26 neither", reply(200, "", `{}`), ""},
		{"HTML", reply(200, "https://a.example/3", `<html>`), ""},
	} {
		p := newPlatform(t, tt.answer)
		s, reg := newServices(t, p.URL+"/token")
		item, err := s.CreateLineItem(t.Context(), reg, p.URL+"/items", lti.LineItem{ID: "ignored", Label: "A", ScoreMaximum: 100})
		if strings.TrimPrefix(item.ID, p.URL) != tt.id || (err == nil) != (tt.id != "") {
			t.Errorf("%s: got %+v, %v", tt.name, item, err)
		}
	}
	s, reg := newServices(t, "https://a.example/token")
	for _, item := range []lti.LineItem{{Label: " ", ScoreMaximum: 1}, {Label: "A"}, {Label: "A", ScoreMaximum: -1}} {
		if _, err := s.CreateLineItem(t.Context(), reg, "https://a.example/items", item); err == nil {
			t.Errorf("%+v was sent", item)
		}
	}
}

func TestServiceAddresses(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	s, reg := newServices(t, p.URL+"/token")
	for _, address := range []string{"", "x", "ftp://a.example/", "http://a.example/", "https://u:p@a.example/", "https://10.0.0.1/items"} {
		_, err := s.Results(t.Context(), reg, address, "")
		if got := serviceError(t, err); got.Reason != lti.ReasonAddress {
			t.Errorf("%q: got %v", address, got)
		}
	}
	down := newPlatform(t, nil)
	down.Close()
	_, err := s.Results(t.Context(), reg, down.URL+"/item", "")
	if got := serviceError(t, err); got.Reason != lti.ReasonUnreachable || !got.Temporary() {
		t.Errorf("down: got %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.LineItem(ctx, reg, p.URL+"/item"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}
