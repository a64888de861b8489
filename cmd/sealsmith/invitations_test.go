package main

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// TestPlatformCommands is the operator's way with invitations and with a platform.
func TestPlatformCommands(t *testing.T) {
	t.Parallel()
	settings := []string{"SEALSMITH_DIR=" + t.TempDir(), "SEALSMITH_PUBLIC_URL=https://seal.example"}
	found := map[string]string{}
	types(t, settings, found,
		command{"platforms instructions --lms Moodle", 0, `(?s)^Moodle: Site administration.*\n  Initiate login URL +https://seal\.example/lti/login\n.*  --client-id +Client ID\n`},
		command{"platforms instructions --lms d2l", 0, `(?m)^  OpenID Connect Login URL +https://seal\.example/lti/login$`},
		command{"platforms instructions --lms olat", 1, `there are instructions for moodle, canvas, `},
		command{"platforms invite", 1, `there is no organisation yet`},
		command{"organisations add polder --name Polder --country NL --identifier NTRNL-12345678", 0, `Added`},
		command{"platforms invitations", 0, `^No invitation is open`},
		command{"platforms invite --days 91", 1, `--days must be 1 to 90`},
		command{"platforms invite --name Arts", 0, `(?s)^Invitation of polder, for one LMS, good for 7 days\..*\n  https://seal\.example/lti/register/[A-Za-z0-9_-]{43}\n.*Moodle +Site administration.*Open edX +by hand`},
		command{"platforms invitations", 0, `(?m)^([0-9a-f]{16}) +Arts +operator +20`},
		command{"platforms invitations --revoke nonsense", 1, `open invitation nonsense: not found`},
		command{"platforms invitations --revoke $WORD", 0, `^Withdrew invitation `},
		command{"platforms invitations", 0, `^No invitation is open`},

		command{"platforms add --issuer https://lms.example --client-id a --deployment 1" + strings.Replace(lmsFlags, "https://lms.example/jwks", "https://keys.example/jwks", 1), 0, `(?s)^Platform (\S+) of polder\n.*on other hosts than the issuer +keys\.example\n`},
		command{"platforms confirm $WORD", 1, `is active`},
		command{"platforms pause $WORD", 0, `^Paused platform `},
		command{"platforms list", 0, `paused\n$`},
		command{"platforms pause $WORD", 1, `is paused`},
		command{"platforms resume $WORD", 0, `is active again`},
		command{"platforms resume nonsense", 1, `platform nonsense of polder: .*not found`},
		command{"platforms approve $WORD --deployment 106:8a,b", 0, `^Approved deployment 106:8a,b\.\n$`},
		command{"platforms set $WORD --skew 181", 1, `0 to 180 seconds`},
		command{"platforms set $WORD --private-host .example", 1, `named whole`},
		command{"platforms set $WORD --deployments never", 2, `--deployments`},
		command{
			"platforms set $WORD --host .cdn.example --host b.example --skew 90 --algorithm ES256 --deployments ask --private-host lms.intra --trusted-azp x", 0,
			`\{"algorithms":\["ES256"\],"clock_skew_s":90,"trusted_azp":\["x"\],"hosts":\["\.cdn\.example","b\.example"\],"private_hosts":\["lms\.intra"\],"deployments":"ask"\}`,
		},
		command{"platforms set $WORD --host= --skew 0 --deployments default", 0, `\{"algorithms":\["ES256"\],"trusted_azp":\["x"\],"private_hosts":\["lms\.intra"\]\}`},
		command{"platforms set $WORD --private-host= --algorithm= --trusted-azp=", 0, `: none\n$`},
		command{"platforms show $WORD", 0, `(?m)^  deployments +1, 106:8a,b$`},
	)
}

// TestDynamicRegistration: an LMS takes an invitation to the running server, is let in by
// the operator, and comes again with an update of its tool.
func TestDynamicRegistration(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	address := regexp.MustCompile(`http://localhost:\d+/lti/register/\S+`)
	open := func(registration string) (string, int) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, registration, http.NoBody)
		must(t, err)
		response, err := http.DefaultTransport.RoundTrip(request) // as it is: no redirects
		must(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		must(t, err)
		return string(body), response.StatusCode
	}
	begun, err := r.lms.RegistrationURL(address.FindString(succeed(t, r.settings, "platforms", "invite", "--name", "Arts")))
	must(t, err)
	if page, status := open(begun); status != http.StatusOK || !strings.Contains(page, "Somebody has to confirm it") || !strings.Contains(page, "Activate") {
		t.Fatalf("registered: %d %s", status, page)
	}
	if page, status := open(begun); status != http.StatusGone || !strings.Contains(page, "invitation-used") {
		t.Errorf("opened again: %d %s", status, page)
	}
	tools := r.lms.Tools()
	tool := tools[len(tools)-1]
	login := tool.LoginURL + "?" + url.Values{"iss": {r.lms.Issuer()}, "login_hint": {"7"}, "target_link_uri": {r.url + "/lti/launch"}, "client_id": {tool.ClientID}}.Encode()
	if page, status := open(login); status != http.StatusForbidden || !strings.Contains(page, "platform-pending") {
		t.Errorf("login before it is confirmed: %d %s", status, page)
	}
	found := map[string]string{}
	types(t, r.settings, found,
		command{"platforms list", 0, `(?m)^(\S+) +Arts +http\S+ +\S+ +\d+ +waits for confirmation$`},
		command{"platforms confirm $WORD", 0, `(?s)^Confirmed platform .*Activate`},
		command{"platforms confirm $WORD", 1, `is active`},
		command{"platforms show $WORD", 0, `(?s)product +Moodle\n.*initiate login URL +http://localhost:\d+/lti/login/\S{22}\n`},
	)
	eventually(t, func() string { // the server keeps what it knows of a platform for some seconds
		if page, status := open(login); status != http.StatusFound {
			return page
		}
		return ""
	})
	updated, err := r.lms.UpdateURL(address.FindString(succeed(t, r.settings, "platforms", "invite")), tool.ClientID)
	must(t, err)
	if page, status := open(updated); status != http.StatusOK || !strings.Contains(page, "Connected again") {
		t.Errorf("updated: %d %s", status, page)
	}
	types(t, r.settings, found, command{"platforms list", 0, `(?m)^$WORD +Arts .* active$`})
	if log := r.server.err.String(); strings.Contains(log, "registration_token") || !strings.Contains(log, "platform registered") {
		t.Errorf("log: %s", log)
	}
}
