package lti_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// Section 1: the login.

func loginCases() []caseRow {
	const evil = `7"><script>&=+`
	hint := `{"cmid":4,"launchid":"ltilaunch1_610046020"}`
	return append([]caseRow{
		{number: "L1", input: "no iss", login: without("iss"), code: lti.CodeIssuerParameter, status: 400},
		{number: "L1", input: "empty iss", login: param("iss", ""), code: lti.CodeIssuerParameter, status: 400},
		{number: "L2", input: "no login_hint", login: without("login_hint"), code: lti.CodeLoginHint, status: 400},
		{number: "L3", input: "no target_link_uri", login: without("target_link_uri")},
		{number: "L4", input: "GET", play: byGET},
		{number: "L4", input: "POST", login: func(url.Values) {}},
		{number: "L5", input: "PUT", play: otherMethod(http.MethodPut, "/lti/login", "GET, POST"), code: lti.CodeMethod, status: 405},
		{number: "L5", input: "HEAD", play: otherMethod(http.MethodHead, "/lti/login", "GET, POST"), code: lti.CodeMethod, status: 405},
		{number: "L5", input: "DELETE", play: otherMethod(http.MethodDelete, "/lti/login", "GET, POST"), code: lti.CodeMethod, status: 405},
		{number: "L6", input: "unknown iss", login: param("iss", "https://evil.example"), code: lti.CodePlatformUnknown, status: 400},
		{number: "L6", input: "iss with U+0000, which PostgreSQL cannot even be asked for", login: param("iss", issuer+"\x00"), code: lti.CodePlatformUnknown, status: 400},
		{number: "L6", input: "iss that is no UTF-8", login: param("iss", "https://\xff.example"), code: lti.CodePlatformUnknown, status: 400},
		{number: "L6", input: "iss longer than any registered one", login: param("iss", "https://"+long+".example"), code: lti.CodePlatformUnknown, status: 400},
		{number: "L7", input: "unknown client_id", login: param("client_id", "other"), code: lti.CodePlatformUnknown, status: 400},
		{number: "L7", input: "client_id with U+0000", login: param("client_id", "other\x00"), code: lti.CodePlatformUnknown, status: 400},
		{number: "L7", input: "told apart from L6 by nothing", play: noOracle, code: lti.CodePlatformUnknown, status: 400, elsewhere: []string{". TestHints"}},
		{number: "L8", input: "many registrations, no client_id", play: twoClients("/lti/login"), code: lti.CodePlatformAmbiguous, status: 400},
		{number: "L8", input: "the same at the address of one registration", play: twoClients("/lti/login/second-key"), elsewhere: []string{". TestLoginOfOneRegistration"}},
		{number: "L8", input: "one registration, no client_id", login: param("client_id", ""), asks: func(q url.Values) bool { return q.Get("client_id") == clientID }},
		{number: "L8", input: "the address of no registration", play: loginAt("/lti/login/nobody"), code: lti.CodeLoginKey, status: 404},
		{number: "L8", input: "an address that can be none's", play: loginAt("/lti/login/%00"), code: lti.CodeLoginKey, status: 404},
		{number: "L8", input: "an address that is far too long", play: loginAt("/lti/login/" + strings.Repeat("k", 9000)), code: lti.CodeLoginKey, status: 404},
		{number: "L9", input: "a slash at the end", login: param("iss", issuer+"/"), code: lti.CodePlatformUnknown, status: 400, traced: hints("only by a slash at the end"), elsewhere: []string{". TestHints"}},
		{number: "L9", input: "capitals", login: param("iss", strings.ToUpper(issuer)), code: lti.CodePlatformUnknown, status: 400, traced: hints("only in capital letters")},
		{number: "L9", input: "http", login: param("iss", "http://lms.example.edu"), code: lti.CodePlatformUnknown, status: 400, traced: hints("one has https and the other http")},
		{number: "L10", input: "two iss", login: param("iss", issuer, "https://b.example"), code: lti.CodeDuplicateParameter, status: 400},
		{number: "L10", input: "two client_id", login: param("client_id", "other", clientID), code: lti.CodeDuplicateParameter, status: 400},
		{number: "L10", input: "two login_hint", login: param("login_hint", "7", "8"), code: lti.CodeDuplicateParameter, status: 400},
		{number: "L10", input: "two message hints", login: param("lti_message_hint", "a", "b"), code: lti.CodeDuplicateParameter, status: 400},
		{number: "L10", input: "one iss in the query, another in the body", play: inQuery("iss", "https://b.example"), code: lti.CodeDuplicateParameter, status: 400},
		{number: "L10", input: "the same iss in query and body", play: inQuery("iss", issuer)},
		{number: "L13", input: "lti_message_hint is JSON", login: param("lti_message_hint", hint), asks: func(q url.Values) bool { return q.Get("lti_message_hint") == hint }},
		{number: "L14", input: "no lti_message_hint", login: without("lti_message_hint"), asks: func(q url.Values) bool { return !q.Has("lti_message_hint") }},
		{number: "L14", input: "an empty one", login: param("lti_message_hint", ""), asks: func(q url.Values) bool { return q.Has("lti_message_hint") }},
		{
			number: "L15", input: "login_hint of 4 KB with markup", login: param("login_hint", strings.Repeat("h", 4<<10)+evil),
			asks: func(q url.Values) bool { return q.Get("login_hint") == strings.Repeat("h", 4<<10)+evil }, elsewhere: []string{". TestLoginRedirect"},
		},
		{number: "L15", input: "login_hint of 9 KB", login: param("login_hint", strings.Repeat("h", 9<<10)), code: lti.CodeTooLarge, status: 413},
		{number: "L15", input: "lti_message_hint of 9 KB", login: param("lti_message_hint", strings.Repeat("h", 9<<10)), code: lti.CodeTooLarge, status: 413},
		{number: "L15", input: "target_link_uri of 9 KB", login: param("target_link_uri", strings.Repeat("h", 9<<10)), code: lti.CodeTooLarge, status: 413},
		{number: "L15", input: "body of 300 KB", login: param("x", strings.Repeat("h", 300<<10)), code: lti.CodeTooLarge, status: 413},
		{number: "L15", input: "a body that is no form", play: badForm, code: lti.CodeForm, status: 400},
		{number: "L17", input: "the endpoint has a query", play: ownQuery},
		{
			number: "L18", input: "1,000 logins a second", elsewhere: []string{". TestJunkLoginsLeaveNoRows"},
			decided: "no 429: a login stores nothing, so there is nothing to exhaust; and a campus has one address, from which all its students come at nine o'clock",
		},
		{number: "L20", input: "another deployment than in the login", login: param("lti_deployment_id", "2"), claims: func(map[string]any) {}, code: lti.CodeDeploymentMismatch, status: 401},
		{number: "L20", input: "the deployment of the login", login: param("lti_deployment_id", "2"), claims: set(claim+"deployment_id", "2"), understood: func(l lti.Launch) bool { return l.DeploymentID == "2" }},
		{number: "L20", input: "lti_deployment_id of 256 characters", login: param("lti_deployment_id", long), code: lti.CodeDeploymentLength, status: 401},
		{number: "L21", input: "paused", play: withStatus(lti.StatusPaused), code: lti.CodePlatformPaused, status: 403},
		{number: "L21", input: "not confirmed yet", play: withStatus(lti.StatusPending), code: lti.CodePlatformPending, status: 403},
		{number: "L21", input: "paused between login and launch", play: pausedMeanwhile, code: lti.CodePlatformPaused, status: 403},
		{number: "L22", input: "LTI 1.1 at the login address", login: func(f url.Values) {
			f.Set("lti_message_type", "basic-lti-launch-request")
			f.Set("oauth_consumer_key", "k")
		}, code: lti.CodeLTI11, status: 400},
		{number: "L22", input: "LTI 1.1 at the launch address", answer: param("oauth_signature", "x"), code: lti.CodeLTI11, status: 400},
	}, frameCases()...)
}

// frameCases are targets and storage targets, which the login carries unsigned.
func frameCases() []caseRow {
	var rows []caseRow
	for number, targets := range map[string][]string{
		"L11": {"https://evil.example/"},
		"L12": {"javascript:alert(1)", "//evil.example/", "https://tool.example.edu@evil.example/", "https://tool.example.edu.evil.example/", `\evil`},
	} {
		for _, target := range targets {
			rows = append(
				rows,
				caseRow{number: number, input: "target_link_uri " + target, login: param("target_link_uri", target), asks: func(q url.Values) bool {
					return !strings.Contains(q.Encode(), "evil") && q.Get("redirect_uri") == toolURL+"/lti/launch"
				}},
				caseRow{number: number, input: "and its launch", login: param("target_link_uri", target), claims: func(map[string]any) {}, understood: func(l lti.Launch) bool {
					return l.TargetLinkURI == toolURL+"/lti/launch"
				}},
			)
		}
	}
	for _, target := range []string{`"];alert(1)//`, "a b", strings.Repeat("x", 65), "<b>", "a\nb", ""} {
		rows = append(rows, caseRow{number: "L16", input: "lti_storage_target " + target, play: inFrameWith(target, lti.PageWindow)})
	}
	return append(
		rows,
		caseRow{number: "L16", input: "lti_storage_target of a sane form", play: inFrameWith("post_message_forwarding", lti.PageStore)},
		caseRow{number: "L19", input: "cookies blocked, no storage", play: inFrameWith("", lti.PageWindow), elsewhere: []string{". TestFrameWithoutCookies", "cmd/sealsmith TestBrowserCookies"}},
	)
}

func hints(words string) func(lti.Trace) bool {
	return func(tr lti.Trace) bool { return strings.Contains(tr.Hint, words) && tr.Step == lti.StepPlatform }
}

func byGET(_ *testing.T, r *rig) played {
	o := r.by(http.MethodGet, "/lti/login?"+r.loginForm().Encode(), "", "")
	a := attemptOf(o.rec.Header().Get("Location"), o.rec.Result().Cookies())
	r.deliver(a, sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())).session(r.tb)
	return played{outcome: o}
}

func otherMethod(method, path, allow string) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		o := r.by(method, path, "", "")
		if got := o.rec.Header().Get("Allow"); got != allow {
			t.Errorf("Allow is %q, want %q", got, allow)
		}
		return played{outcome: o}
	}
}

// noOracle compares what a stranger is told about a registered issuer and about others.
func noOracle(t *testing.T, r *rig) played {
	t.Helper()
	form := r.loginForm()
	form.Set("client_id", "other")
	near := r.post("/lti/login", form)
	form.Set("iss", "https://somebody.example.com")
	far := r.post("/lti/login", form)
	a, b := near.check(t), far.check(t)
	if a.Code != b.Code || a.Status != b.Status || a.Advice != b.Advice || a.Expected != "" || b.Expected != "" || len(near.rec.Header()) != len(far.rec.Header()) {
		t.Errorf("%v is not as %v", a, b)
	}
	return played{outcome: near}
}

func twoClients(path string) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		second := r.reg
		second.ID, second.ClientID, second.LoginKey = "", "client-2", "second-key"
		if _, err := r.store.AddRegistration(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		form := r.loginForm()
		form.Del("client_id")
		o := r.post(path, form)
		if q := must(url.Parse(o.rec.Header().Get("Location"))).Query(); o.problem == nil && q.Get("client_id") != "client-2" {
			t.Errorf("the platform is asked %v", q)
		}
		return played{outcome: o}
	}
}

func loginAt(path string) func(*testing.T, *rig) played {
	return func(_ *testing.T, r *rig) played { return played{outcome: r.post(path, r.loginForm())} }
}

func inQuery(name, value string) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		o := r.by(http.MethodPost, "/lti/login?"+url.Values{name: {value}}.Encode(), "application/x-www-form-urlencoded", r.loginForm().Encode())
		if o.problem == nil && o.rec.Code != http.StatusFound {
			t.Errorf("got %d", o.rec.Code)
		}
		return played{outcome: o}
	}
}

func badForm(_ *testing.T, r *rig) played {
	return played{outcome: r.by(http.MethodPost, "/lti/login", "application/x-www-form-urlencoded", "iss=%zz")}
}

// ownQuery logs two people in at the same endpoint: its query stays, and neither gets the
// other's hint.
func ownQuery(t *testing.T, r *rig) played {
	t.Helper()
	for _, hint := range []string{"anna", "berta"} {
		a := r.login(url.Values{"login_hint": {hint}})
		if a.query.Get("tenant") != "7" || len(a.query["login_hint"]) != 1 || a.query.Get("login_hint") != hint {
			t.Errorf("the platform is asked %v", a.query)
		}
	}
	return played{}
}

func inFrameWith(target string, want lti.PageKind) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		form := r.loginForm()
		form.Set("lti_storage_target", target)
		o := r.follow(r.inFrame("/lti/login", form))
		if o.page == nil || o.page.Kind != want || (want == lti.PageStore) != (o.page.Storage != nil) || o.entered != nil {
			t.Errorf("got %+v, %v", o.page, o.problem)
		}
		return played{outcome: o}
	}
}

func withStatus(status lti.Status) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		r.setStatus(t, status)
		return played{outcome: r.post("/lti/login", r.loginForm())}
	}
}

func (r *rig) setStatus(t *testing.T, status lti.Status) {
	t.Helper()
	if _, err := r.db.Exec(t.Context(), `update registrations set status = ?`, status); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(6 * time.Second) // so long an answer may be remembered
}

func pausedMeanwhile(t *testing.T, r *rig) played {
	t.Helper()
	a := r.login(nil)
	token := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
	r.setStatus(t, lti.StatusPaused)
	o := r.deliver(a, token)
	r.setStatus(t, lti.StatusActive)
	r.deliver(a, token).session(t)
	return played{outcome: o}
}
