package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/lti"
)

// after shows the page about a registration, as the Registrar asks for it.
func (w *world) after(p lti.RegisterPage, accept string) *httptest.ResponseRecorder {
	w.t.Helper()
	w.router.HandleFunc("/lti/register/{ticket}", func(out http.ResponseWriter, r *http.Request) { w.pages.Registered(out, r, p) })
	r := httptest.NewRequest(http.MethodGet, origin+"/lti/register/TICKET?registration_token=SECRET", http.NoBody)
	r.Header.Set("Accept", accept)
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

func TestRegisteredPage(t *testing.T) {
	t.Parallel()
	public, err := url.Parse(origin)
	must(t, err)
	refused := func(code string, status int) *lti.CheckError {
		return &lti.CheckError{Code: code, Step: lti.StepRegister, Status: status, Advice: "Look & see.", Expected: "<i>x</i>", Received: `400: no <b>scope</b>`}
	}
	connection := func(status lti.Status) lti.Registration {
		return lti.Registration{
			ID: "r-1", Name: "<script>Moodle</script>", Issuer: "https://lms.example", ClientID: "c-1", AuthURL: "https://lms.example/a", TokenURL: "https://lms.example/t",
			JWKSURL: "https://keys.example/j", Status: status, Deployments: []string{"1", "2"},
		}
	}
	tests := []struct {
		name   string
		page   lti.RegisterPage
		status int
		say    []string
	}{
		{
			"pending",
			lti.RegisterPage{Registered: &lti.Registered{Registration: connection(lti.StatusPending)}, After: []string{"Press Activate."}},
			200,
			[]string{"Connected. Somebody has to confirm it.", "sealsmith platforms confirm r-1", "Press Activate.", "keys.example", "Go on in your LMS"},
		},
		{"again", lti.RegisterPage{Registered: &lti.Registered{Again: true, Registration: connection(lti.StatusActive)}, After: []string{"Press Activate."}}, 200, []string{"goes on as it was"}},
		{"again, changed", lti.RegisterPage{Registered: &lti.Registered{Again: true, Registration: connection(lti.StatusPending)}}, 200, []string{"its addresses have changed"}},
		{"paused", lti.RegisterPage{Registered: &lti.Registered{Again: true, Registration: connection(lti.StatusPaused)}}, 200, []string{"sealsmith platforms resume r-1"}},
		{
			"beside another",
			lti.RegisterPage{Registered: &lti.Registered{Registration: connection(lti.StatusPending), Others: []lti.Registration{connection(lti.StatusActive)}}},
			200,
			[]string{"another connection to this LMS", "sealsmith platforms pause r-1"},
		},
		{
			"refused",
			lti.RegisterPage{Refused: refused(lti.CodeRegistrationRefused, 502)},
			502,
			[]string{"Your LMS is not connected", "Look & see.", "no <b>scope</b>", lti.CodeRegistrationRefused, "Trace"},
		},
		{"unknown outcome", lti.RegisterPage{Refused: refused(lti.CodeRegistrationUnknown, 504)}, 504, []string{"We do not know whether"}},
		{"used", lti.RegisterPage{Refused: refused(lti.CodeInvitationUsed, 410)}, 410, []string{"This invitation is not open"}},
		{
			"opened in a browser",
			lti.RegisterPage{Refused: refused(lti.CodeConfigurationMissing, 400), Manual: lti.AllInstructions(lti.AddressesOf(public, ""))},
			400,
			[]string{"Paste this address into your LMS", "Initiate login URL", origin + "/lti/login", "Brightspace", "Then send to the administrator of this tool what Sakai shows"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.log.Reset()
			got := w.after(test.page, "text/html")
			want(t, got, test.status)
			says(t, got, test.say...)
			silent(t, got, "SECRET", "TICKET", "<script>Moodle", "<b>scope")
			page := got.Body.String()
			noInlineCode(t, page)
			wellFormed(t, page)
			headers(t, got.Header(), false)
			if got.Header().Get("Cache-Control") != "no-store" || got.Header().Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("headers %v", got.Header())
			}
			log := w.log.String()
			if strings.Contains(log, "SECRET") || strings.Contains(log, "TICKET") {
				t.Errorf("log: %s", log)
			}
			if test.page.Refused != nil && (!strings.Contains(log, test.page.Refused.Code) || !strings.Contains(log, `"problem":"registration"`)) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// TestRegisteredForPrograms: who asks for JSON gets a problem document.
func TestRegisteredForPrograms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.after(lti.RegisterPage{Refused: &lti.CheckError{Code: lti.CodeInvitationUsed, Step: lti.StepRegister, Status: http.StatusGone, Advice: "Ask."}}, "application/json")
	want(t, got, http.StatusGone)
	says(t, got, origin+"/problems/registration", lti.CodeInvitationUsed)
}
