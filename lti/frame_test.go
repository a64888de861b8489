package lti_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// inFrame plays a browser that shows the tool in a frame, and says so.
func (r *rig) inFrame(path string, form url.Values, cookies ...*http.Cookie) outcome {
	req := httptest.NewRequest(http.MethodPost, r.public+path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Dest", "iframe")
	for _, c := range cookies {
		req.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r.do(req)
}

// follow goes where an answer sends the browser.
func (r *rig) follow(o outcome, cookies ...*http.Cookie) outcome {
	r.tb.Helper()
	req := httptest.NewRequest(http.MethodGet, o.rec.Header().Get("Location"), nil)
	req.Header.Set("Sec-Fetch-Dest", "iframe")
	for _, c := range cookies {
		req.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r.do(req)
}

// attemptOf reads what the platform was asked.
func attemptOf(location string, cookies []*http.Cookie) attempt {
	q := must(url.Parse(location)).Query()
	return attempt{state: q.Get("state"), nonce: q.Get("nonce"), cookies: cookies, query: q}
}

func TestFrameWithCookies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.inFrame("/lti/login", r.loginForm())
	if to := first.rec.Header().Get("Location"); !strings.HasPrefix(to, toolURL+"/lti/continue?") {
		t.Fatalf("the first login in a frame goes to %q, %v", to, first.problem)
	}
	set := first.rec.Result().Cookies()
	second := r.follow(first, set...)
	to := second.rec.Header().Get("Location")
	if !strings.HasPrefix(to, issuer+"/auth?tenant=7&") {
		t.Fatalf("with its cookie it goes to %q, %v, page %+v", to, second.problem, second.page)
	}
	kept := second.rec.Result().Cookies()
	if len(kept) != 1 || kept[0].Name != "__Host-sealsmith-kept" || !kept[0].Partitioned {
		t.Errorf("the mark is %v", kept)
	}
	a := attemptOf(to, set)
	r.deliver(a, sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())).session(t)
	if tr := r.lastTrace(); tr.Browser != lti.BrowserCookie || tr.Code != "" {
		t.Errorf("trace %+v", tr)
	}
	// With the mark the next login takes no detour.
	again := r.inFrame("/lti/login", r.loginForm(), kept...)
	if to := again.rec.Header().Get("Location"); !strings.HasPrefix(to, issuer+"/auth?") {
		t.Errorf("the next login goes to %q", to)
	}
}

// TestFrameWithoutCookies: without cookies and storage there is one button, for a window
// in which the login begins anew with what the platform sent.
func TestFrameWithoutCookies(t *testing.T) { // L19
	t.Parallel()
	r := newRig(t)
	form := r.loginForm()
	form.Set("lti_message_hint", `{"cmid":4,"launchid":"x"}`)
	o := r.follow(r.inFrame("/lti/login/"+r.reg.ID, form))
	if o.page == nil || o.page.Kind != lti.PageWindow || o.page.Storage != nil || o.page.Action != toolURL+"/lti/login/"+r.reg.ID {
		t.Fatalf("got %+v, %v", o.page, o.problem)
	}
	again := url.Values{}
	for _, f := range o.page.Fields {
		again.Set(f.Name, f.Value)
	}
	for name := range form {
		if again.Get(name) != form.Get(name) {
			t.Errorf("%s became %q, was %q", name, again.Get(name), form.Get(name))
		}
	}
	req := httptest.NewRequest(http.MethodGet, o.page.Action+"?"+again.Encode(), nil)
	req.Header.Set("Sec-Fetch-Dest", "document")
	window := r.do(req)
	a := attemptOf(window.rec.Header().Get("Location"), window.rec.Result().Cookies())
	if a.query.Get("lti_message_hint") != form.Get("lti_message_hint") {
		t.Errorf("the message hint became %q", a.query.Get("lti_message_hint"))
	}
	r.deliver(a, sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())).session(t)
}

// stored plays a login up to the page that puts the secret into platform storage.
func (r *rig) stored(target string) (attempt, *lti.StorageCall) {
	r.tb.Helper()
	form := r.loginForm()
	form.Set("lti_storage_target", target)
	o := r.follow(r.inFrame("/lti/login", form))
	if o.page == nil || o.page.Kind != lti.PageStore || o.page.Storage == nil {
		r.tb.Fatalf("got %+v, %v", o.page, o.problem)
	}
	return attemptOf(o.page.Storage.Next, nil), o.page.Storage
}

func TestPlatformStorage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, put := r.stored("post_message_forwarding")
	if put.Target != "post_message_forwarding" || put.Origin != issuer || len(put.Value) != 43 || strings.Contains(put.Next, put.Value) {
		t.Errorf("stored as %+v", put)
	}
	if a.query.Has("lti_storage_target") || a.query.Get("redirect_uri") != toolURL+"/lti/launch" {
		t.Errorf("the platform is asked %v", a.query)
	}
	token := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
	o := r.deliver(a, token)
	if o.page == nil || o.page.Kind != lti.PageRecall || o.page.Storage.Key != put.Key || o.page.Storage.Value != "" || o.page.Action != toolURL+"/lti/confirm" {
		t.Fatalf("got %+v, %v", o.page, o.problem)
	}
	confirm := func(secret string) outcome {
		return r.post("/lti/confirm", url.Values{"id_token": {token}, "state": {a.state}, "secret": {secret}})
	}
	for _, wrong := range []string{"", "undefined", a.state, a.nonce, put.Key} { // P3
		if got := confirm(wrong).check(t); got.Code != lti.CodeStateNotBound {
			t.Errorf("secret %q: got %v", wrong, got)
		}
	}
	o = confirm(put.Value)
	if o.page == nil || o.page.Kind != lti.PageOpen || o.page.Action != toolURL+"/lti/open" {
		t.Fatalf("got %+v, %v", o.page, o.problem)
	}
	if tr := r.lastTrace(); tr.Browser != lti.BrowserStorage || tr.Code != "" {
		t.Errorf("trace %+v", tr)
	}
	if got := confirm(put.Value).check(t); got.Code != lti.CodeReplay {
		t.Errorf("confirmed twice: %v", got)
	}
	form := url.Values{}
	for _, f := range o.page.Fields {
		form.Set(f.Name, f.Value)
	}
	bad := url.Values{"session": {form.Get("session")}, "secret": {put.Value}}
	if got := r.post("/lti/open", bad); got.entered != nil || got.problem == nil {
		t.Error("another secret opened the session in a window")
	}
	open := r.post("/lti/open", form)
	s := open.session(t)
	req := httptest.NewRequest(http.MethodGet, toolURL+"/s/"+s.ID+"/", nil)
	for _, c := range open.rec.Result().Cookies() {
		req.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	if got, err := r.tool.Session(req, s.ID); err != nil || got.Launch.User.Subject != "user-7" {
		t.Errorf("the window's session: %v, %v", got, err)
	}
	r.clock.advance(11 * time.Minute)
	if late := r.post("/lti/open", form); late.entered != nil {
		t.Error("the frame's key opened a window eleven minutes later")
	}
}

// TestStorageChecksEverythingElse: what cannot pass is not parked either.
func TestStorageChecksEverythingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, put := r.stored("_parent")
	m := r.claims(a)
	m["nonce"] = "another"
	bad := sign(m, map[string]any{"kid": "k1"}, platformKey())
	if got := r.deliver(a, bad).check(t); got.Code != lti.CodeNonceMismatch {
		t.Errorf("got %v", got)
	}
	if got := r.post("/lti/confirm", url.Values{"id_token": {bad}, "state": {a.state}, "secret": {put.Value}}).check(t); got.Code != lti.CodeNonceMismatch {
		t.Errorf("confirmed: %v", got)
	}
	good := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
	r.clock.advance(2 * time.Minute) // P7: the token has an end of its own
	if got := r.post("/lti/confirm", url.Values{"id_token": {good}, "state": {a.state}, "secret": {put.Value}}).check(t); got.Code != lti.CodeExpired {
		t.Errorf("two minutes later: %v", got)
	}
}

// TestStorageNotAnnounced: Blackboard has storage and does not say so in the login.
func TestStorageNotAnnounced(t *testing.T) {
	t.Parallel()
	r := newRigAt(t, toolURL, lti.Registration{Issuer: "https://blackboard.com", ClientID: clientID, Deployments: []string{"1"}})
	o := r.follow(r.inFrame("/lti/login", r.loginForm()))
	if o.page == nil || o.page.Kind != lti.PageStore || o.page.Storage.Target != "" {
		t.Errorf("got %+v, %v", o.page, o.problem)
	}
}

func TestContinueRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.inFrame("/lti/login", r.loginForm()).rec.Header().Get("Location")
	for name, change := range map[string]func(q url.Values){
		"no state":       func(q url.Values) { q.Del("state") },
		"a state of air": func(q url.Values) { q.Set("state", strings.Repeat("A", 100)) },
		"a changed state": func(q url.Values) {
			first := "B"
			if strings.HasPrefix(q.Get("state"), first) {
				first = "C"
			}
			q.Set("state", first+q.Get("state")[1:])
		},
		"no hint": func(q url.Values) { q.Del("login_hint") },
	} {
		u := must(url.Parse(good))
		q := u.Query()
		change(q)
		u.RawQuery = q.Encode()
		o := r.do(httptest.NewRequest(http.MethodGet, u.String(), nil))
		if o.problem == nil || o.page != nil || o.rec.Header().Get("Location") != "" {
			t.Errorf("%s: got %d, %+v", name, o.rec.Code, o.page)
		}
	}
	u := must(url.Parse(good))
	q := u.Query()
	q.Set("at", "//evil.example/")
	u.RawQuery = q.Encode()
	if o := r.do(httptest.NewRequest(http.MethodGet, u.String(), nil)); o.page == nil || o.page.Action != toolURL+"/lti/login" {
		t.Errorf("the window would open %+v", o.page)
	}
	if got := r.do(httptest.NewRequest(http.MethodPost, good, nil)).check(t); got.Code != lti.CodeMethod {
		t.Errorf("by POST: %v", got)
	}
}

// TestStateIsOurs: states are values of ours or nothing.
func TestStateIsOurs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.login(nil)
	token := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
	for i := range a.state { // each character counts
		c := byte('A')
		if a.state[i] == c {
			c = 'B'
		}
		changed := attempt{state: a.state[:i] + string(c) + a.state[i+1:], cookies: a.cookies}
		if o := r.deliver(changed, token); o.entered != nil {
			t.Fatalf("entered with character %d changed", i)
		}
	}
	r.deliver(a, token).session(t)
}

func TestLoginOfOneRegistration(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	second := r.reg
	second.ID, second.ClientID, second.LoginKey = "", "client-2", "second-key"
	second, err := r.store.AddRegistration(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	form := r.loginForm()
	form.Del("client_id")
	for path, want := range map[string]string{"/lti/login/" + r.reg.ID: clientID, "/lti/login/" + second.ID: "client-2", "/lti/login/second-key": "client-2"} {
		o := r.post(path, form)
		if q := must(url.Parse(o.rec.Header().Get("Location"))).Query(); q.Get("client_id") != want {
			t.Errorf("%s asks for %q, %v", path, q.Get("client_id"), o.problem)
		}
	}
	if got := r.post("/lti/login/nobody", form).check(t); got.Code != lti.CodeLoginKey || got.Status != 404 {
		t.Errorf("unknown key: %v", got)
	}
	form.Set("client_id", clientID)
	if got := r.post("/lti/login/second-key", form).check(t); got.Code != lti.CodePlatformUnknown || !strings.Contains(r.lastTrace().Hint, `registered is "client-2"`) {
		t.Errorf("another client: %v, hint %q", got, r.lastTrace().Hint)
	}
}

// TestHints: who runs the tool learns what differs, who knocks at the door does not.
func TestHints(t *testing.T) { // L6, L7, L9
	t.Parallel()
	r := newRig(t)
	for sent, hint := range map[string]string{
		issuer + "/":                   "only by a slash at the end",
		strings.ToUpper(issuer):        "only in capital letters",
		"http://lms.example.edu":       "one has https and the other http",
		issuer + "\x00other":           "",
		"https://somebody.example.com": "",
	} {
		form := r.loginForm()
		form.Set("iss", sent)
		before := len(r.traces)
		got := r.post("/lti/login", form).check(t)
		if got.Code != lti.CodePlatformUnknown || got.Expected != "" || strings.Contains(got.Advice, "lms.example") {
			t.Errorf("%q: got %v with advice %q", sent, got, got.Advice)
		}
		if hint == "" {
			if len(r.traces) != before {
				t.Errorf("%q was traced: %+v", sent, r.lastTrace())
			}
			continue
		}
		if tr := r.lastTrace(); len(r.traces) == before || !strings.Contains(tr.Hint, hint) || tr.RegistrationID != r.reg.ID || tr.Step != lti.StepPlatform {
			t.Errorf("%q: trace %+v", sent, tr)
		}
	}
	shared := newRigAt(t, toolURL, lti.Registration{Issuer: "https://canvas.instructure.com", ClientID: clientID, Deployments: []string{"1"}})
	form := shared.loginForm()
	form.Set("client_id", "of-another-customer")
	shared.post("/lti/login", form).check(t)
	if len(shared.traces) != 0 { // whose it is cannot be known
		t.Errorf("traced: %+v", shared.traces)
	}
}
