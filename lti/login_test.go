package lti_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

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
