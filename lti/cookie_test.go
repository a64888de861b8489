package lti_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

func TestCookies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ public, prefix string }{
		{"https://tool.example.edu", "__Host-"},
		{"http://localhost:8080", ""},
		{"http://127.0.0.1:8080", ""},
	} {
		t.Run(tt.public, func(t *testing.T) {
			t.Parallel()
			r := newRigAt(t, tt.public, lti.Registration{})
			a := r.login(nil)
			token := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
			o := r.deliver(a, token)
			s := o.session(t)
			after := o.rec.Result().Cookies()
			if len(a.cookies) != 1 || len(after) != 3 {
				t.Fatalf("%d cookies at login and %d at launch, want 1 and 3", len(a.cookies), len(after))
			}
			state, session, gone, kept := a.cookies[0], after[0], after[1], after[2]
			if want := tt.prefix + "sealsmith-st-" + a.state[:8]; state.Name != want || gone.Name != want {
				t.Errorf("state cookies %q and %q, want %q", state.Name, gone.Name, want)
			}
			if want := tt.prefix + "sealsmith-s-" + s.ID; session.Name != want {
				t.Errorf("session cookie %q, want %q", session.Name, want)
			}
			if state.MaxAge != 600 || session.MaxAge != int(lti.SessionLifetime.Seconds()) || gone.MaxAge >= 0 || gone.Value != "" {
				t.Errorf("Max-Age %d, %d, %d", state.MaxAge, session.MaxAge, gone.MaxAge)
			}
			if kept.Name != tt.prefix+"sealsmith-kept" || kept.Value != "1" {
				t.Errorf("the mark that cookies work is %s", kept.Raw)
			}
			for _, c := range []*http.Cookie{state, session, gone, kept} {
				if !c.Secure || !c.HttpOnly || !c.Partitioned || c.SameSite != http.SameSiteNoneMode || c.Path != "/" || c.Domain != "" {
					t.Errorf("attributes of %s", c.Raw)
				}
			}
			for _, secret := range []string{state.Value, session.Value} {
				if len(secret) != 43 || strings.Contains(o.rec.Header().Get("Location"), secret) {
					t.Errorf("secret %q, redirect to %s", secret, o.rec.Header().Get("Location"))
				}
			}
		})
	}
}

func TestOldSessionCookiesGo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var kept []*http.Cookie
	var ids []string
	launchNext := func() outcome {
		a := r.login(nil)
		a.cookies = append(a.cookies, kept...)
		return r.deliver(a, sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey()))
	}
	for range 14 {
		o := launchNext()
		s := o.session(t)
		kept = append(kept, o.rec.Result().Cookies()[0])
		ids = append(ids, s.ID)
		r.clock.advance(time.Second)
	}
	o := launchNext() // the browser is made to carry 14, two above the limit
	gone := map[string]bool{}
	for _, c := range o.rec.Result().Cookies() {
		if c.MaxAge < 0 {
			gone[strings.TrimPrefix(c.Name, "__Host-sealsmith-s-")] = true
		}
	}
	if !gone[ids[0]] || !gone[ids[1]] || gone[ids[2]] || gone[ids[13]] {
		t.Errorf("expired %v of %v", gone, ids)
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.launch(nil)
	s := o.session(t)
	cookie := o.rec.Result().Cookies()[0]
	other := r.launch(nil)
	otherCookie := other.rec.Result().Cookies()[0]
	request := func(cookies ...*http.Cookie) *http.Request {
		req := httptest.NewRequest(http.MethodGet, toolURL+"/s/"+s.ID+"/", nil)
		for _, c := range cookies {
			req.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
		return req
	}
	got, err := r.tool.Session(request(otherCookie, cookie), s.ID)
	if err != nil || got.ID != s.ID || got.Launch.User.Subject != "user-7" {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, tt := range []struct {
		name string
		req  *http.Request
		id   string
	}{
		{"no cookie", request(), s.ID},
		{"cookie of another session", request(otherCookie), s.ID},
		{"secret of another session", request(&http.Cookie{Name: cookie.Name, Value: otherCookie.Value}), s.ID},
		{"empty secret", request(&http.Cookie{Name: cookie.Name, Value: ""}), s.ID},
		{"unknown id", request(&http.Cookie{Name: "__Host-sealsmith-s-019aaaaa-0000-7000-8000-000000000000", Value: "x"}), "019aaaaa-0000-7000-8000-000000000000"},
		{"not an id", request(cookie), "../" + s.ID},
		{"id in braces", request(cookie), "{" + s.ID + "}"},
		{"empty id", request(cookie), ""},
	} {
		if _, err := r.tool.Session(tt.req, tt.id); !errors.Is(err, lti.ErrNoSession) {
			t.Errorf("%s: got %v, want ErrNoSession", tt.name, err)
		}
	}
	r.clock.advance(lti.SessionLifetime)
	if _, err := r.tool.Session(request(cookie), s.ID); !errors.Is(err, lti.ErrNoSession) {
		t.Errorf("expired: got %v, want ErrNoSession", err)
	}
}
