package lti_test

import (
	"bytes"
	"errors"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// TestLaunchEnvelope refuses launches whose token is right and whose delivery is not. The
// login survives each: delivered rightly, the token still works.
func TestLaunchEnvelope(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stranger := r.login(nil)
	for _, tt := range []struct {
		name    string
		form    func(f url.Values)
		cookies func(right []*http.Cookie) []*http.Cookie
		code    string
		status  int
	}{
		{name: "E2 no token", form: func(f url.Values) { f.Del("id_token") }, code: lti.CodeTokenMissing, status: 400},
		{name: "E9 no state", form: func(f url.Values) { f.Del("state") }, code: lti.CodeStateMissing, status: 401},
		{name: "E10 unknown state", form: func(f url.Values) { f.Set("state", strings.Repeat("A", 88)) }, code: lti.CodeStateUnknown, status: 401},
		{name: "state of another form", form: func(f url.Values) { f.Set("state", "' or 1=1 --") }, code: lti.CodeStateUnknown, status: 401},
		{name: "state with a semicolon", form: func(f url.Values) { f.Set("state", strings.Repeat(";", 43)) }, code: lti.CodeStateUnknown, status: 401},
		{name: "E6 two tokens", form: func(f url.Values) { f.Add("id_token", "e30.e30.e30") }, code: lti.CodeDuplicateParameter, status: 400},
		{name: "two states", form: func(f url.Values) { f.Add("state", f.Get("state")) }, code: lti.CodeDuplicateParameter, status: 400},
		{name: "E4 login required", form: func(f url.Values) { f.Set("error", "login_required"); f.Set("error_description", "<b>no</b>") }, code: lti.CodePlatformError, status: 401},
		{name: "E7 300 KB", form: func(f url.Values) { f.Set("x", strings.Repeat("x", 300<<10)) }, code: lti.CodeTooLarge, status: 413},
		{name: "L22 LTI 1.1", form: func(f url.Values) { f.Set("oauth_signature", "x") }, code: lti.CodeLTI11, status: 400},
		{name: "E12 no cookie", cookies: func([]*http.Cookie) []*http.Cookie { return nil }, code: lti.CodeCookieLost, status: 401},
		{name: "E12 cookie of another login", cookies: func([]*http.Cookie) []*http.Cookie { return stranger.cookies }, code: lti.CodeCookieLost, status: 401},
		{name: "E12 cookie with another value", cookies: func(right []*http.Cookie) []*http.Cookie {
			return []*http.Cookie{{Name: right[0].Name, Value: stranger.cookies[0].Value}}
		}, code: lti.CodeStateNotBound, status: 401},
		{name: "cookie of 10 KB", cookies: func(right []*http.Cookie) []*http.Cookie {
			return []*http.Cookie{{Name: right[0].Name, Value: strings.Repeat("x", 10<<10)}}
		}, code: lti.CodeStateNotBound, status: 401},
		{name: "C21 nonce of another open login", form: func(f url.Values) {
			f.Set("id_token", sign(r.claims(stranger), map[string]any{"kid": "k1"}, platformKey()))
		}, code: lti.CodeNonceMismatch, status: 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := r.login(nil)
			token := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
			form := url.Values{"id_token": {token}, "state": {a.state}}
			cookies := a.cookies
			if tt.form != nil {
				tt.form(form)
			}
			if tt.cookies != nil {
				cookies = tt.cookies(cookies)
			}
			o := r.post("/lti/launch", form, cookies...)
			got := o.check(t)
			if got.Code != tt.code || got.Status != tt.status {
				t.Errorf("got %s (%d), want %s (%d)", got.Code, got.Status, tt.code, tt.status)
			}
			if lost := errors.Is(o.problem, lti.ErrCookieLost); lost != (tt.code == lti.CodeCookieLost) {
				t.Errorf("errors.Is(…, ErrCookieLost) is %v", lost)
			}
			if right := r.deliver(a, token); right.entered == nil {
				t.Errorf("delivered rightly afterwards: %v", right.problem)
			}
		})
	}
}

func TestLaunchContentType(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.login(nil)
	token := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
	var multi bytes.Buffer
	w := multipart.NewWriter(&multi)
	for name, value := range map[string]string{"id_token": token, "state": a.state} {
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, kind, body string }{
		{"E3 JSON", "application/json", `{"id_token":"x"}`},
		{"E19 multipart", w.FormDataContentType(), multi.String()},
		{"none", "", "id_token=x"},
		{"text", "text/plain", "id_token=x"},
	} {
		req := httptest.NewRequest(http.MethodPost, toolURL+"/lti/launch", strings.NewReader(tt.body))
		req.Header.Set("Content-Type", tt.kind)
		if got := r.do(req).check(t); got.Code != lti.CodeContentType || got.Status != http.StatusUnsupportedMediaType {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
	req := httptest.NewRequest(http.MethodPost, toolURL+"/lti/launch", strings.NewReader("id_token=%zz"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if got := r.do(req).check(t); got.Code != lti.CodeForm {
		t.Errorf("broken escape: got %v", got)
	}
}

func TestTokenParametersInTheQueryDoNotCount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.login(nil)
	token := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
	q := url.Values{"id_token": {token}, "state": {a.state}}
	if got := r.post("/lti/launch?"+q.Encode(), url.Values{}, a.cookies...).check(t); got.Code != lti.CodeTokenMissing {
		t.Errorf("got %v", got)
	}
}

// TestMixUp: a token of one platform with the state of another (E11).
func TestMixUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := r.reg
	other.ID, other.Issuer, other.ClientID = "", "https://second.example.edu", "client-9"
	other, err := r.store.AddRegistration(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	a := r.login(url.Values{"iss": {other.Issuer}, "client_id": {other.ClientID}})
	got := r.deliver(a, sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())).check(t)
	if got.Code != lti.CodeIssuerMismatch || got.RegistrationID != other.ID {
		t.Errorf("got %v for %q", got, got.RegistrationID)
	}
}

func TestDeploymentOfTheLogin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.login(url.Values{"lti_deployment_id": {"2"}}) // L20
	m := r.claims(a)
	got := r.deliver(a, sign(m, map[string]any{"kid": "k1"}, platformKey())).check(t)
	if got.Code != lti.CodeDeploymentMismatch {
		t.Errorf("got %v", got)
	}
	m[claim+"deployment_id"] = "2"
	if o := r.deliver(a, sign(m, map[string]any{"kid": "k1"}, platformKey())); o.entered == nil {
		t.Errorf("the deployment of the login: %v", o.problem)
	}
}

func TestUnknownDeploymentNamesTheCommand(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	got := r.launch(set(claim+"deployment_id", "x'; rm -rf / #")).check(t)
	want := "sealsmith platforms approve " + r.reg.ID + ` --deployment='x'\''; rm -rf / #'`
	if !strings.Contains(got.Advice, want) {
		t.Errorf("got advice %q, want it to hold %q", got.Advice, want)
	}
	if got := r.launch(set(claim+"deployment_id", "a\u202eb")).check(t); strings.Contains(got.Advice, "platforms approve") {
		t.Errorf("a command to be copied hides a character: %q", got.Advice)
	}
}

func TestSecondPOST(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.login(nil)
	token := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
	first := r.deliver(a, token)
	s := first.session(t)
	r.clock.advance(2 * time.Second)
	if got := r.deliver(a, token).check(t); got.Code != lti.CodeReplay { // from a browser without the session
		t.Errorf("replay: got %v", got)
	}
	again := attempt{state: a.state, cookies: first.rec.Result().Cookies()} // E14
	if o := r.deliver(again, token); o.entered == nil || o.entered.ID != s.ID {
		t.Errorf("double click: got %v", o.problem)
	}
	r.clock.advance(lti.SessionLifetime)
	if got := r.deliver(again, token).check(t); got.Code != lti.CodeStateExpired {
		t.Errorf("much later: got %v", got)
	}
}

// TestReplayRace posts one launch fifty times at once (E15).
func TestReplayRace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.login(nil)
	token := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
	const n = 50
	outcomes := make([]outcome, n)
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			outcomes[i] = r.deliver(a, token)
		})
	}
	done.Wait()
	won := 0
	for _, o := range outcomes {
		if o.entered != nil {
			won++
		} else if got := o.check(t); got.Code != lti.CodeReplay {
			t.Errorf("a loser got %v", got)
		}
	}
	var sessions int
	if err := r.db.Get(t.Context(), &sessions, `select count(*) from sessions`); err != nil {
		t.Fatal(err)
	}
	if won != 1 || sessions != 1 {
		t.Errorf("%d won and %d sessions exist, want 1 and 1", won, sessions)
	}
}

func TestTwoTabs(t *testing.T) { // E16
	t.Parallel()
	r := newRig(t)
	a, b := r.login(nil), r.login(nil)
	both := append(a.cookies, b.cookies...)
	a.cookies, b.cookies = both, both
	for _, tab := range []attempt{b, a} {
		if o := r.deliver(tab, sign(r.claims(tab), map[string]any{"kid": "k1"}, platformKey())); o.entered == nil {
			t.Error(o.problem)
		}
	}
}
