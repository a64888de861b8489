package lti_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// reply is what a scripted platform answers. The zero value is an empty 200.
type reply struct {
	status string // "409 Refusing score with an earlier timestamp": the phrase matters
	body   string
	header map[string]string
}

// sent is a request as a platform saw it.
type sent struct{ line, accept, contentType, bearer, body string }

// script is a platform without a network. It answers what handle says, or else the
// replies one after the other; tokens it gives by itself unless tokens says otherwise.
type script struct {
	tb       testing.TB
	mu       sync.Mutex
	tokens   []reply
	replies  []reply
	handle   func(r sent) reply
	requests []sent
	asked    int    // for tokens
	audience string // of the last token request
	scopes   string
}

func (p *script) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	got := sent{r.Method + " " + r.URL.RequestURI(), r.Header.Get("Accept"), r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)}
	answer := p.answer(got)
	if answer.status == "" {
		answer.status = "200 OK"
	}
	code, err := strconv.Atoi(answer.status[:3])
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for name, value := range answer.header {
		header.Set(name, value)
	}
	return &http.Response{
		Status: answer.status, StatusCode: code, Request: r, Header: header, Body: io.NopCloser(strings.NewReader(answer.body)),
	}, nil
}

func (p *script) answer(got sent) reply {
	p.mu.Lock()
	if strings.HasPrefix(got.line, "POST /token") {
		defer p.mu.Unlock()
		p.asked++
		form := must(url.ParseQuery(got.body))
		var claims struct{ Aud string }
		assertion := strings.Split(form.Get("client_assertion"), ".")
		if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(assertion[1])), &claims); err != nil {
			p.tb.Error(err)
		}
		p.audience, p.scopes = claims.Aud, form.Get("scope")
		if len(p.tokens) > 0 {
			answer := p.tokens[0]
			p.tokens = p.tokens[1:]
			return answer
		}
		return reply{body: `{"access_token":"token-` + strconv.Itoa(p.asked) + `","token_type":"bearer","expires_in":3600}`}
	}
	p.requests = append(p.requests, got)
	if p.handle != nil {
		p.mu.Unlock()
		return p.handle(got)
	}
	defer p.mu.Unlock()
	if len(p.replies) == 0 {
		p.tb.Errorf("unexpected request %+v", got)
		return reply{status: "500 Internal Server Error"}
	}
	answer := p.replies[0]
	p.replies = p.replies[1:]
	return answer
}

// start begins another case: other replies, no requests and no token yet for reg.
func (p *script) start(reg *lti.Registration, name string, replies ...reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replies, p.requests, p.asked = replies, nil, 0
	reg.ID = name
}

// lines returns method and address of all requests but those for tokens.
func (p *script) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for _, r := range p.requests {
		list = append(list, r.line)
	}
	return list
}

func (p *script) tokenCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// newScript returns Services whose platforms, all of them, are the script.
func newScript(tb testing.TB, c *clock, replies ...reply) (*script, *lti.Services, lti.Registration) {
	tb.Helper()
	p := &script{tb: tb, replies: replies}
	return p, servicesOver(tb, c, p), lti.Registration{ID: "reg-1", Issuer: issuer, ClientID: clientID, TokenURL: issuer + "/token"}
}

func servicesOver(tb testing.TB, c *clock, platform http.RoundTripper) *lti.Services {
	tb.Helper()
	s, err := lti.NewServices(lti.ServiceDeps{
		Keys: ltistore.New(sqldbtest.SQLite(tb), c.Now), HTTP: anyPlatform(&http.Client{Transport: platform}),
		Now: c.Now, Rand: rand.Reader, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// reasonOf returns the reason of a *ServiceError, or "".
func reasonOf(tb testing.TB, err error) string {
	tb.Helper()
	if err == nil {
		return ""
	}
	return serviceError(tb, err).Reason
}
