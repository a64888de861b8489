package lti_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/fetch"
)

// registrationCase is a bad or odd registration, by its number in the list of bad inputs.
// One that is decided elsewhere says where.
type registrationCase struct {
	name, elsewhere string
	test            func(r *registrarRig)
}

func TestRegistrationCases(t *testing.T) {
	t.Parallel()
	cases := slices.Concat(openingCases(), addressCases(), configurationCases(), replyCases(), afterwardsCases())
	for n := 1; n <= 28; n++ {
		if !slices.ContainsFunc(cases, func(c registrationCase) bool { return strings.HasPrefix(c.name, fmt.Sprintf("R%d ", n)) }) {
			t.Errorf("R%d is missing", n)
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.elsewhere != "" {
				t.Log("decided elsewhere: " + c.elsewhere)
				return
			}
			c.test(newRegistrarRig(t))
		})
	}
}

func openingCases() []registrationCase {
	return []registrationCase{
		{"R1 without openid_configuration", "", func(r *registrarRig) {
			r.open(r.ticket, nil)
			r.refused(lti.CodeConfigurationMissing, http.StatusBadRequest)
			if len(r.page.Manual) < 7 {
				r.t.Errorf("instructions for %d products", len(r.page.Manual))
			}
			r.untouched()
		}},
		{"R2 ticket missing, unknown, expired, used", "", func(r *registrarRig) {
			for _, ticket := range []string{"", "x", strings.Repeat("a", 43), strings.Repeat("a", 44)} {
				r.open(ticket, nil)
				r.refused(lti.CodeInvitationUnknown, http.StatusNotFound)
			}
			r.clock.advance(8 * 24 * time.Hour)
			r.register("")
			r.refused(lti.CodeInvitationExpired, http.StatusGone)
			r.ticket = r.invite()
			r.register("")
			id := r.registered().Registration.ID
			r.register("")
			if got := r.page.Refused; got == nil || got.Code != lti.CodeInvitationUsed || r.status != http.StatusGone {
				r.t.Errorf("used twice: %d %v", r.status, got)
			}
			if all := must(r.store.AllRegistrations(r.t.Context(), organisation)); len(all) != 1 || all[0].ID != id {
				r.t.Errorf("stored %+v", all)
			}
		}},
		{"R3 opened twice, only the last step counts", "", func(r *registrarRig) {
			r.platform.configuration.status = http.StatusServiceUnavailable
			r.register("")
			r.untouched()
			r.platform.configuration.status = 0
			r.platform.registration.status = http.StatusBadRequest
			r.register("")
			r.untouched()
			r.platform.registration.status = 0
			r.register("")
			r.registered()
		}},
		{"R3 HEAD and POST run nothing", "", func(r *registrarRig) {
			for _, method := range []string{http.MethodHead, http.MethodPost} {
				rec := httptest.NewRecorder()
				r.router.ServeHTTP(rec, httptest.NewRequest(method, toolURL+"/lti/register/"+r.ticket+"?openid_configuration="+url.QueryEscape(r.platform.URL+"/config"), http.NoBody))
				if refused, ok := errors.AsType[*lti.CheckError](r.problem); !ok || refused.Status != http.StatusMethodNotAllowed || rec.Header().Get("Allow") != "GET" {
					r.t.Errorf("%s: %v", method, r.problem)
				}
			}
			if gets, posts, _ := r.calls(); gets+posts != 0 {
				r.t.Error("the platform was called")
			}
		}},
		{"R23 drive-by: pending, and nobody comes in", "", func(r *registrarRig) {
			r.register("")
			reg := r.registered().Registration
			if reg.Status != lti.StatusPending {
				r.t.Errorf("stored as %s", reg.Status)
			}
			visit := newRigAt(r.t, toolURL, lti.Registration{Issuer: issuer, ClientID: clientID, Status: lti.StatusPending, Deployments: []string{"1"}})
			if got := visit.post("/lti/login", visit.loginForm()).check(r.t); got.Code != lti.CodePlatformPending {
				r.t.Errorf("login at a pending platform: %v", got)
			}
		}},
	}
}

func addressCases() []registrationCase {
	closed := func(r *registrarRig) { r.client = fetch.New(fetch.Config{}) }
	return []registrationCase{
		{"R4 configuration over http", "", func(r *registrarRig) {
			closed(r)
			r.register("http://lms.example.edu/config")
			r.refused(lti.CodeConfigurationAddress, http.StatusBadRequest)
			r.register("http://localhost/config") // development only: the client decides
			r.refused(lti.CodeAddressBlocked, http.StatusBadRequest)
			for _, address := range []string{"ftp://lms.example.edu/", "javascript:alert(1)", "lms.example.edu/config", "https:///config", "file:///etc/passwd"} {
				r.register(address)
				r.refused(lti.CodeConfigurationAddress, http.StatusBadRequest)
			}
			r.untouched()
		}},
		{"R5 private and reserved addresses", "", func(r *registrarRig) {
			closed(r)
			for _, host := range []string{
				"127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "[::1]", "[fc00::1]", "[fe80::1]",
				"[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "0.0.0.0", "224.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "1.2.3.4.5", "127.1",
			} {
				r.register("https://" + host + "/")
				r.refused(lti.CodeAddressBlocked, http.StatusBadRequest)
			}
			r.untouched()
		}},
		{"R6 DNS rebinding", "lti/fetch looks at the address that is dialled, for every connection: TestBlockedAddresses", nil},
		{"R7 redirects are not followed", "", func(r *registrarRig) {
			r.platform.configuration = answering{status: http.StatusFound, header: http.Header{"Location": {r.platform.URL + "/config?again"}}, body: ""}
			r.register("")
			r.refused(lti.CodeConfigurationRedirect, http.StatusBadGateway)
			r.platform.with(nil)
			r.platform.registration = answering{status: http.StatusTemporaryRedirect, header: http.Header{"Location": {r.platform.URL + "/register"}}, body: ""}
			r.register("")
			r.refused(lti.CodeRegistrationRedirect, http.StatusBadGateway)
			if gets, posts, _ := r.calls(); gets != 2 || posts != 1 {
				r.t.Errorf("%d reads and %d registrations", gets, posts)
			}
			r.untouched()
		}},
		{"R8 ports, user names, fragments", "", func(r *registrarRig) {
			closed(r)
			for _, address := range []string{
				"https://lms.example.edu:22/config", "https://lms.example.edu:6379/config", "https://me:secret@lms.example.edu/config", "https://me@lms.example.edu/",
				"https://lms.example.edu/config#x", "https://lms.example.edu:99999/",
			} {
				r.register(address)
				if got := r.refused(lti.CodeConfigurationAddress, http.StatusBadRequest); strings.Contains(fmt.Sprint(got, got.Received), "secret") {
					r.t.Errorf("a password is shown: %v", got)
				}
			}
			r.platform.with(map[string]any{"token_endpoint": "https://lms.example.edu:25/token"})
			r.client = fetch.New(fetch.Config{AllowLoopback: true})
			r.register("")
			r.refused(lti.CodeConfigurationEndpoint, http.StatusBadRequest)
		}},
		{"R8 port 8443 is usual", "", func(r *registrarRig) {
			base := "https://lms.example.edu:8443"
			r.client = &http.Client{Transport: anywhere{must(url.Parse(r.platform.URL))}}
			r.platform.configuration.body = r.platform.document(base)
			r.register(base + "/config")
			if got := r.registered().Registration; got.Issuer != base || got.Name != "lms.example.edu:8443" {
				r.t.Errorf("registered %+v", got)
			}
		}},
		{"R9 configuration too large, slow, HTML, nothing", "", func(r *registrarRig) {
			r.platform.configuration.body = `{"issuer":"` + strings.Repeat("x", 600<<10) + `"}`
			r.register("")
			r.refused(lti.CodeConfigurationTooLarge, http.StatusBadGateway)
			r.platform.configuration = answering{kind: "text/html; charset=utf-8", body: "<!doctype html><title>Maintenance <b>today</b></title>"}
			r.register("")
			if got := r.refused(lti.CodeConfigurationForm, http.StatusBadGateway); !strings.Contains(got.Received, "200 OK, text/html: Maintenance today") {
				r.t.Errorf("came back: %q", got.Received)
			}
			r.platform.configuration = answering{body: ""}
			r.register("")
			if got := r.refused(lti.CodeConfigurationForm, http.StatusBadGateway); !strings.Contains(got.Received, "application/json, begins with nothing") && !strings.HasSuffix(got.Received, ": nothing") {
				r.t.Errorf("came back: %q", got.Received)
			}
			r.platform.configuration = answering{status: http.StatusNotFound, kind: "text/plain", body: "no"}
			r.register("")
			r.refused(lti.CodeConfigurationForm, http.StatusBadGateway)
			r.platform.configuration = answering{wait: true}
			r.client = impatient()
			r.register("")
			if got := r.refused(lti.CodeConfigurationSilent, http.StatusBadGateway); !strings.Contains(got.Received, "no answer in time") {
				r.t.Errorf("slow: %q", got.Received)
			}
			r.untouched()
		}},
		{"R27 the token goes to the platform only", "", testTokenRule},
		{"R28 the token is in no log and no header", "", testTokenStaysSecret},
	}
}

// testTokenRule: a configuration is asked for without the token, unless the host is one of
// a cloud that wants it, or refused and sent the browser itself.
func testTokenRule(r *registrarRig) {
	r.platform.configuration.status = http.StatusUnauthorized
	for _, referer := range []string{"", "https://elsewhere.example/", r.platform.URL[:len(r.platform.URL)-1] + "x/", "::"} {
		r.referer = referer
		r.register("")
		r.refused(lti.CodeConfigurationRefused, http.StatusBadGateway)
	}
	if _, _, withToken := r.calls(); withToken != 0 {
		r.t.Errorf("the token went out %d times", withToken)
	}
	r.referer = r.platform.URL + "/admin/page"
	r.register("")
	if gets, _, withToken := r.calls(); gets != 6 || withToken != 1 {
		r.t.Errorf("after %d reads the token went out %d times, want once", gets, withToken)
	}

	canvas := newRegistrarRig(r.t)
	canvas.client = &http.Client{Transport: anywhere{must(url.Parse(canvas.platform.URL))}}
	document := canvas.platform.document("https://sso.canvaslms.com")
	document["issuer"] = "https://canvas.instructure.com"
	document["registration_endpoint"] = "https://learn.university.example/register"
	document["authorization_server"] = "sso.canvaslms.com"
	canvas.platform.configuration.body = document
	canvas.platform.registration.body = `{"client_id": 10000000000001}`
	canvas.register("https://sso.canvaslms.com/config")
	got := canvas.registered().Registration
	if gets, _, withToken := canvas.calls(); gets != 1 || withToken != 2 {
		r.t.Errorf("Canvas: %d reads, token %d times", gets, withToken)
	}
	if got.ClientID != "10000000000001" || got.TokenAudience != "" || len(got.Deployments) != 0 || len(got.ForeignHosts()) != 0 {
		r.t.Errorf("Canvas: %+v, foreign hosts %v", got, got.ForeignHosts())
	}
}

func testTokenStaysSecret(r *registrarRig) {
	if r.register(""); r.header.Get("Cache-Control") != "no-store" || r.header.Get("Referrer-Policy") != "no-referrer" {
		r.t.Errorf("headers %v", r.header)
	}
	id := r.registered().Registration.ID
	must(0, r.store.RemoveRegistration(r.t.Context(), organisation, id))
	r.ticket = r.invite()
	for _, a := range []answering{
		{status: http.StatusUnauthorized, kind: "text/plain", body: "bad token Bearer " + regToken},
		{status: http.StatusBadRequest, body: map[string]any{"error": "invalid_token", "error_description": "what is " + regToken + "?"}},
		{status: http.StatusInternalServerError, kind: "text/html", body: "<pre>" + regToken + "</pre>"},
		{body: `{"note":"` + regToken + `"}`},
		{wait: true},
	} {
		r.platform.registration = a
		if a.wait {
			r.client = impatient()
		}
		r.register(r.platform.URL + "/config?registration_token=" + regToken)
	}
	r.platform.configuration = answering{status: http.StatusForbidden, kind: "text/plain", body: regToken}
	r.referer = r.platform.URL
	r.register(r.platform.URL + "/config?registration_token=" + regToken)
	r.Close()
	r.register(r.platform.URL + "/config?registration_token=" + regToken)
	if log := r.log.String(); strings.Contains(log, "SECRET") || strings.Contains(log, r.ticket) || !strings.Contains(log, "registration-outcome-unknown") {
		r.t.Errorf("log:\n%s", log)
	}
}

// Close ends the platform.
func (r *registrarRig) Close() { r.platform.CloseClientConnections(); r.platform.Listener.Close() }
