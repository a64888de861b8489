package lti_test

import (
	"bytes"
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

// Section 2: the platform's answer, its state, and the browser that brings it.

const formType = "application/x-www-form-urlencoded"

func answerCases() []caseRow {
	alike := func(name, value string) func([]*http.Cookie) []*http.Cookie {
		return func(right []*http.Cookie) []*http.Cookie {
			return []*http.Cookie{{Name: right[0].Name + name, Value: value}}
		}
	}
	return []caseRow{
		{number: "E1", input: "GET", play: otherMethod(http.MethodGet, "/lti/launch", "POST"), code: lti.CodeLaunchByGET, status: 405, elsewhere: []string{". TestMethods", "cmd/sealsmith TestLaunchAddressInBrowser"}},
		{number: "E1", input: "HEAD", play: otherMethod(http.MethodHead, "/lti/launch", "POST"), code: lti.CodeLaunchByGET, status: 405},
		{number: "E1", input: "PATCH", play: otherMethod(http.MethodPatch, "/lti/launch", "POST"), code: lti.CodeMethod, status: 405},
		{number: "E2", input: "no id_token, no error", answer: without("id_token"), code: lti.CodeTokenMissing, status: 400},
		{number: "E2", input: "id_token empty", answer: param("id_token", ""), code: lti.CodeTokenMissing, status: 400},
		{number: "E2", input: "an empty form", answer: func(f url.Values) { clear(f) }, code: lti.CodeTokenMissing, status: 400},
		{number: "E2", input: "id_token in the query", play: tokenInQuery, code: lti.CodeTokenMissing, status: 400},
		{number: "E3", input: "JSON", play: bodyOf("application/json", `{"id_token":"x"}`), code: lti.CodeContentType, status: 415},
		{number: "E3", input: "no content type", play: bodyOf("", "id_token=x"), code: lti.CodeContentType, status: 415},
		{number: "E3", input: "text", play: bodyOf("text/plain", "id_token=x"), code: lti.CodeContentType, status: 415},
		{
			number: "E4", input: "login_required", answer: func(f url.Values) { f.Del("id_token"); f.Set("error", "login_required") }, code: lti.CodePlatformError, status: 401,
			decided: "the state is not consumed: the error is not signed, and whoever has seen a state could end the login of another",
		},
		{number: "E4", input: "login_required, beside a token", answer: param("error", "login_required"), code: lti.CodePlatformError, status: 401},
		{number: "E4", input: "with a state of nobody", answer: func(f url.Values) { f.Set("error", "x"); f.Set("state", "x") }, code: lti.CodePlatformError, status: 401},
		{
			number: "E5", input: "error_description is markup", answer: func(f url.Values) { f.Set("error", "server_error"); f.Set("error_description", "<script>\x00\u202e") },
			code: lti.CodePlatformError, status: 401, traced: func(tr lti.Trace) bool { return tr.Received == "server_error: <script>" },
			elsewhere: []string{"cmd/sealsmith/web TestProblems", "cmd/sealsmith TestLaunchFaults"}, // what is kept is plain text; pages escape it
		},
		{number: "E6", input: "two id_token", answer: func(f url.Values) { f.Add("id_token", "e30.e30.e30") }, code: lti.CodeDuplicateParameter, status: 400},
		{number: "E6", input: "the same id_token twice", answer: func(f url.Values) { f.Add("id_token", f.Get("id_token")) }, code: lti.CodeDuplicateParameter, status: 400},
		{number: "E6", input: "two states", answer: func(f url.Values) { f.Add("state", f.Get("state")) }, code: lti.CodeDuplicateParameter, status: 400},
		{number: "E6", input: "two errors", answer: param("error", "a", "b"), code: lti.CodeDuplicateParameter, status: 400},
		{number: "E7", input: "300 KB", answer: param("x", strings.Repeat("x", 300<<10)), code: lti.CodeTooLarge, status: 413},
		{number: "E7", input: "a token of 300 KB", token: func(good string) string { return good + strings.Repeat("A", 300<<10) }, code: lti.CodeTooLarge, status: 413},
		{number: "E8", input: "a token of 200 KB", claims: set("filler", strings.Repeat("x", 150<<10)), understood: func(l lti.Launch) bool { return l.ResourceLink.ID == "link-1" }},
		{number: "E9", input: "no state", answer: without("state"), code: lti.CodeStateMissing, status: 401},
		{number: "E9", input: "no state and no cookie", answer: without("state"), cookies: func([]*http.Cookie) []*http.Cookie { return nil }, code: lti.CodeStateMissing, status: 401},
		{number: "E10", input: "unknown state", answer: param("state", strings.Repeat("A", 88)), code: lti.CodeStateUnknown, status: 401, elsewhere: []string{". TestStateIsOurs", ". FuzzState"}},
		{number: "E10", input: "state is SQL", answer: param("state", "' or 1=1 --"), code: lti.CodeStateUnknown, status: 401},
		{number: "E10", input: "state of 100 KB", answer: param("state", strings.Repeat("A", 100<<10)), code: lti.CodeStateUnknown, status: 401},
		{number: "E10", input: "state of semicolons", answer: param("state", strings.Repeat(";", 43)), code: lti.CodeStateUnknown, status: 401},
		{number: "E10", input: "state with padding", answer: func(f url.Values) { f.Set("state", f.Get("state")+"==") }, code: lti.CodeStateUnknown, status: 401},
		{number: "E11", input: "state of another platform", play: mixedUp, code: lti.CodeIssuerMismatch, status: 401, decided: "the state says whose login it is, and the token is not that platform's: the code says the latter"},
		{number: "E11", input: "state of a registration that is gone", play: registrationGone, code: lti.CodeStateUnknown, status: 401},
		{number: "E12", input: "no cookie", cookies: func([]*http.Cookie) []*http.Cookie { return nil }, code: lti.CodeCookieLost, status: 401},
		{number: "E12", input: "cookie of another login", cookies: alike("x", "x"), code: lti.CodeCookieLost, status: 401},
		{number: "E12", input: "cookie with another value", cookies: alike("", strings.Repeat("x", 43)), code: lti.CodeStateNotBound, status: 401},
		{number: "E12", input: "cookie of 10 KB", cookies: alike("", strings.Repeat("x", 10<<10)), code: lti.CodeStateNotBound, status: 401},
		{number: "E12", input: "an empty cookie", cookies: alike("", ""), code: lti.CodeStateNotBound, status: 401},
		{number: "E12", input: "somebody signed in as somebody else", play: loginCSRF, code: lti.CodeCookieLost, status: 401},
		{number: "E13", input: "after ten minutes", play: afterAWait(10 * time.Minute), code: lti.CodeStateExpired, status: 401},
		{number: "E13", input: "a second before", play: afterAWait(10*time.Minute - time.Second), understood: func(lti.Launch) bool { return true }},
		{number: "E14", input: "again, from another browser", play: secondPOST(false), code: lti.CodeReplay, status: 401, elsewhere: []string{"cmd/sealsmith TestLaunchReplayed"}},
		{number: "E14", input: "a double click", play: secondPOST(true), understood: func(lti.Launch) bool { return true }, status: 303},
		{number: "E15", input: "fifty at once", play: fiftyAtOnce, code: lti.CodeReplay, status: 401, elsewhere: []string{"lti/ltistore TestOpenSessionRace"}},
		{number: "E16", input: "two tabs", play: twoTabs, understood: func(lti.Launch) bool { return true }},
		{number: "E17", input: "further fields", answer: func(f url.Values) {
			for _, name := range []string{"session_state", "lti_storage_target", "utf8", "authenticity_token"} {
				f.Set(name, "✓")
			}
		}, understood: func(lti.Launch) bool { return true }},
		{number: "E18", input: "charset=UTF-8", play: deliveredWith("Content-Type", formType+"; charset=UTF-8"), understood: func(lti.Launch) bool { return true }},
		{number: "E19", input: "multipart", play: multipartForm, code: lti.CodeContentType, status: 415},
		{number: "E20", input: "Origin: null", play: deliveredWith("Origin", "null"), understood: func(lti.Launch) bool { return true }, elsewhere: []string{"cmd/sealsmith TestBrowser"}},
		{
			number: "E21", input: "the guard against forms of other sites", elsewhere: []string{"cmd/sealsmith/web TestProblems", "cmd/sealsmith TestBrowser"},
			decided: "the guard is of package web, whose tests post launches from another site and other forms as well",
		},
		{number: "E22", input: "POST to /lti/launch/", play: slashAfter("/lti/launch/")},
		{number: "E22", input: "POST to /lti/notices/", play: slashAfter("/lti/notices/")},
	}
}

func (r *rig) token(a attempt) string {
	return sign(r.claims(a), map[string]any{"kid": r.keyID}, platformKey())
}

func tokenInQuery(_ *testing.T, r *rig) played {
	a := r.login(nil)
	q := url.Values{"id_token": {r.token(a)}, "state": {a.state}}
	return played{outcome: r.post("/lti/launch?"+q.Encode(), url.Values{}, a.cookies...)}
}

func bodyOf(kind, body string) func(*testing.T, *rig) played {
	return func(_ *testing.T, r *rig) played {
		return played{outcome: r.by(http.MethodPost, "/lti/launch", kind, body)}
	}
}

func mixedUp(t *testing.T, r *rig) played {
	t.Helper()
	other := r.reg
	other.ID, other.Issuer, other.ClientID = "", "https://second.example.edu", "client-9"
	other, err := r.store.AddRegistration(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	a := r.login(url.Values{"iss": {other.Issuer}, "client_id": {other.ClientID}})
	o := r.deliver(a, r.token(a))
	if got := o.check(t); got.RegistrationID != other.ID {
		t.Errorf("noted for registration %q", got.RegistrationID)
	}
	return played{outcome: o, login: a}
}

func registrationGone(t *testing.T, r *rig) played {
	t.Helper()
	a := r.login(nil)
	token := r.token(a)
	if err := r.store.RemoveRegistration(t.Context(), organisation, r.reg.ID); err != nil {
		t.Fatal(err)
	}
	return played{outcome: r.deliver(a, token), login: a}
}

// loginCSRF brings a good launch into a browser that has a login of its own under way.
func loginCSRF(t *testing.T, r *rig) played {
	t.Helper()
	attacker, victim := r.login(nil), r.login(nil)
	token := r.token(attacker)
	o := r.deliver(attempt{state: attacker.state, cookies: victim.cookies}, token)
	r.deliver(attacker, token).session(t)
	return played{outcome: o, login: attacker}
}

func afterAWait(d time.Duration) func(*testing.T, *rig) played {
	return func(_ *testing.T, r *rig) played {
		a := r.login(nil)
		r.clock.advance(d)
		return played{outcome: r.deliver(a, r.token(a)), login: a}
	}
}

func secondPOST(sameBrowser bool) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		a := r.login(nil)
		token := r.token(a)
		first := r.deliver(a, token)
		s := first.session(t)
		r.clock.advance(2 * time.Second)
		again := a
		if sameBrowser {
			again.cookies = first.rec.Result().Cookies()
		}
		o := r.deliver(again, token)
		if sameBrowser && o.session(t).ID != s.ID {
			t.Error("another session")
		}
		r.clock.advance(lti.SessionLifetime)
		r.deliver(again, token).expect(t, "much later", lti.CodeStateExpired)
		return played{outcome: o, login: a}
	}
}

// fiftyAtOnce posts one launch fifty times: one wins.
func fiftyAtOnce(t *testing.T, r *rig) played {
	t.Helper()
	a := r.login(nil)
	token := r.token(a)
	outcomes := make([]outcome, 50)
	var ready, done sync.WaitGroup
	ready.Add(len(outcomes))
	for i := range outcomes {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			outcomes[i] = r.deliver(a, token)
		})
	}
	done.Wait()
	var loser outcome
	won := 0
	for _, o := range outcomes {
		if o.entered != nil {
			won++
			continue
		}
		loser = o
		o.expect(t, "a loser", lti.CodeReplay)
	}
	if n := countSessions(t, r); won != 1 || n != 1 {
		t.Errorf("%d won and %d sessions exist, want 1 and 1", won, n)
	}
	return played{outcome: loser, login: a}
}

func twoTabs(t *testing.T, r *rig) played {
	t.Helper()
	a, b := r.login(nil), r.login(nil)
	both := append(a.cookies, b.cookies...)
	a.cookies, b.cookies = both, both
	r.deliver(b, r.token(b)).session(t)
	return played{outcome: r.deliver(a, r.token(a)), login: a}
}

func deliveredWith(header, value string) func(*testing.T, *rig) played {
	return func(_ *testing.T, r *rig) played {
		a := r.login(nil)
		body := url.Values{"id_token": {r.token(a)}, "state": {a.state}}.Encode()
		req := httptest.NewRequest(http.MethodPost, r.public+"/lti/launch", strings.NewReader(body))
		req.Header.Set("Content-Type", formType)
		req.Header.Set(header, value)
		req.AddCookie(&http.Cookie{Name: a.cookies[0].Name, Value: a.cookies[0].Value})
		return played{outcome: r.do(req), login: a}
	}
}

func multipartForm(t *testing.T, r *rig) played {
	t.Helper()
	a := r.login(nil)
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range map[string]string{"id_token": r.token(a), "state": a.state} {
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bodyOf(w.FormDataContentType(), body.String())(t, r)
}

// slashAfter: a redirect would make a GET of the POST and lose its body.
func slashAfter(path string) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		o := r.post(path, url.Values{"id_token": {"x"}})
		if o.rec.Code != http.StatusNotFound || o.rec.Header().Get("Location") != "" {
			t.Errorf("%s got %d to %q", path, o.rec.Code, o.rec.Header().Get("Location"))
		}
		return played{outcome: o}
	}
}
