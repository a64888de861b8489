package lti_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

func TestLoginRedirect(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hint := `{"cmid":4,"launchid":"ltilaunch1_610046020"}`
	for _, method := range []string{http.MethodGet, http.MethodPost} { // L4
		form := r.loginForm()
		form.Set("lti_message_hint", hint)
		form.Set("login_hint", `7"><script>&=+`)
		form.Set("target_link_uri", "javascript:alert(1)") // L12: unsigned, plays no part
		var o outcome
		if method == http.MethodPost {
			o = r.post("/lti/login", form)
		} else {
			o = r.do(httptest.NewRequest(method, toolURL+"/lti/login?"+form.Encode(), nil))
		}
		if o.rec.Code != http.StatusFound {
			t.Fatalf("%s: got %d, %v", method, o.rec.Code, o.problem)
		}
		u := must(url.Parse(o.rec.Header().Get("Location")))
		if got := u.Scheme + "://" + u.Host + u.Path; got != issuer+"/auth" {
			t.Errorf("redirects to %s", got)
		}
		if !strings.HasPrefix(u.RawQuery, "tenant=7&") { // L17
			t.Errorf("the endpoint's own query is lost: %s", u.RawQuery)
		}
		q := u.Query()
		for _, secret := range []string{"state", "nonce"} {
			if len(q.Get(secret)) < 43 || len(q.Get(secret)) > 255 || strings.ContainsAny(q.Get(secret), "+/=<>") {
				t.Errorf("%s is %q", secret, q.Get(secret))
			}
			q.Del(secret)
		}
		want := url.Values{
			"tenant": {"7"}, "scope": {"openid"}, "response_type": {"id_token"}, "response_mode": {"form_post"},
			"prompt": {"none"}, "client_id": {clientID}, "redirect_uri": {toolURL + "/lti/launch"},
			"login_hint": {`7"><script>&=+`}, "lti_message_hint": {hint}, // L13
		}
		if diff := cmp.Diff(want, q); diff != "" {
			t.Errorf("%s: authentication request (-want +got):\n%s", method, diff)
		}
		if got := o.rec.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control is %q", got)
		}
	}
}

func TestLoginEchoesTheMessageHintOnlyIfPresent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if a := r.login(nil); a.query.Has("lti_message_hint") { // L14
		t.Error("a message hint was made up")
	}
	if a := r.login(url.Values{"lti_message_hint": {""}}); !a.query.Has("lti_message_hint") {
		t.Error("an empty message hint was not echoed")
	}
}

func TestLoginWithoutClientID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if a := r.login(url.Values{"client_id": {""}}); a.query.Get("client_id") != clientID {
		t.Errorf("the only registration of the issuer was not taken: %v", a.query)
	}
	second := r.reg
	second.ID, second.ClientID = "", "client-2"
	if _, err := r.store.AddRegistration(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	form := r.loginForm()
	form.Del("client_id")
	if got := r.post("/lti/login", form).check(t); got.Code != lti.CodePlatformAmbiguous || got.Status != 400 { // L8
		t.Errorf("got %v", got)
	}
}

func TestLoginRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, tt := range []struct {
		name   string
		change func(f url.Values)
		code   string
		status int
	}{
		{"L1 no issuer", func(f url.Values) { f.Del("iss") }, lti.CodeIssuerParameter, 400},
		{"L2 no login hint", func(f url.Values) { f.Del("login_hint") }, lti.CodeLoginHint, 400},
		{"L6 unknown issuer", func(f url.Values) { f.Set("iss", "https://evil.example") }, lti.CodePlatformUnknown, 400},
		{"L7 unknown client", func(f url.Values) { f.Set("client_id", "other") }, lti.CodePlatformUnknown, 400},
		{"L9 slash at the end", func(f url.Values) { f.Set("iss", issuer+"/") }, lti.CodePlatformUnknown, 400},
		{"L9 capitals", func(f url.Values) { f.Set("iss", strings.ToUpper(issuer)) }, lti.CodePlatformUnknown, 400},
		{"L10 two issuers", func(f url.Values) { f.Add("iss", "https://b.example") }, lti.CodeDuplicateParameter, 400},
		{"L10 two message hints", func(f url.Values) { f["lti_message_hint"] = []string{"a", "b"} }, lti.CodeDuplicateParameter, 400},
		{"L15 login hint of 9 KB", func(f url.Values) { f.Set("login_hint", strings.Repeat("h", 9<<10)) }, lti.CodeTooLarge, 413},
		{"message hint of 9 KB", func(f url.Values) { f.Set("lti_message_hint", strings.Repeat("h", 9<<10)) }, lti.CodeTooLarge, 413},
		{"body of 300 KB", func(f url.Values) { f.Set("x", strings.Repeat("h", 300<<10)) }, lti.CodeTooLarge, 413},
		{"deployment hint too long", func(f url.Values) { f.Set("lti_deployment_id", long) }, lti.CodeDeploymentLength, 401},
		{"L22 LTI 1.1", func(f url.Values) {
			f.Set("lti_message_type", "basic-lti-launch-request")
			f.Set("oauth_consumer_key", "k")
		}, lti.CodeLTI11, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			form := r.loginForm()
			tt.change(form)
			o := r.post("/lti/login", form)
			got := o.check(t)
			if got.Code != tt.code || got.Status != tt.status {
				t.Errorf("got %v (%d), want %s (%d)", got, got.Status, tt.code, tt.status)
			}
			if len(o.rec.Result().Cookies()) != 0 {
				t.Error("a refused login sets a cookie")
			}
		})
	}
}

func TestLoginSameValueInQueryAndBody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	req := httptest.NewRequest(http.MethodPost, toolURL+"/lti/login?iss="+url.QueryEscape(issuer), strings.NewReader(r.loginForm().Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8") // E18
	if o := r.do(req); o.rec.Code != http.StatusFound {
		t.Errorf("got %d, %v", o.rec.Code, o.problem)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, tt := range []struct {
		method, path, code, allow string
	}{
		{http.MethodPut, "/lti/login", lti.CodeMethod, "GET, POST"}, // L5
		{http.MethodHead, "/lti/login", lti.CodeMethod, "GET, POST"},
		{http.MethodGet, "/lti/launch", lti.CodeLaunchByGET, "POST"}, // E1
		{http.MethodHead, "/lti/launch", lti.CodeLaunchByGET, "POST"},
		{http.MethodPatch, "/lti/launch", lti.CodeMethod, "POST"},
		{http.MethodPost, "/lti/jwks", lti.CodeMethod, "GET, HEAD"},
	} {
		o := r.do(httptest.NewRequest(tt.method, toolURL+tt.path, nil))
		got := o.check(t)
		if got.Code != tt.code || o.rec.Code != http.StatusMethodNotAllowed || o.rec.Header().Get("Allow") != tt.allow {
			t.Errorf("%s %s: got %v, Allow %q", tt.method, tt.path, got, o.rec.Header().Get("Allow"))
		}
		if byGET := errors.Is(o.problem, lti.ErrLaunchByGET); byGET != (tt.code == lti.CodeLaunchByGET) {
			t.Errorf("%s %s: ErrLaunchByGET is %v", tt.method, tt.path, byGET)
		}
	}
}

func TestStateExpires(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.login(nil)
	r.clock.advance(10*time.Minute - time.Second)
	b := r.login(nil)
	if o := r.deliver(a, sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())); o.entered == nil {
		t.Errorf("just in time, got %v", o.problem)
	}
	r.clock.advance(10 * time.Minute) // E13
	got := r.deliver(b, sign(r.claims(b), map[string]any{"kid": "k1"}, platformKey())).check(t)
	if got.Code != lti.CodeStateExpired || got.RegistrationID != r.reg.ID {
		t.Errorf("got %v for registration %q", got, got.RegistrationID)
	}
}
