package demolms_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

func TestLaunchRoundTrip(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, item := b.place()
	b.get("/as/maija")

	page := b.get("/activity/" + a.ID)
	if !strings.Contains(page.Body, `src="/launch/`+a.ID+`"`) || !strings.Contains(page.Body, "window=1") {
		t.Fatalf("activity page shows no frame and no new window:\n%s", page.Body)
	}
	action, initiation := b.begin("/launch/" + a.ID)
	if action != b.tool.URL+"/login" {
		t.Errorf("initiation goes to %s", action)
	}
	hint := initiation.Get("lti_message_hint")
	if !strings.HasPrefix(hint, `{"cmid":`) || !strings.Contains(hint, `"launchid":"ltilaunch`) {
		t.Errorf("message hint %q is not Moodle's", hint)
	}
	initiation.Del("lti_message_hint")
	want := url.Values{
		"iss": {b.Issuer()}, "target_link_uri": {b.tool.URL + "/launch"}, "login_hint": {"7"},
		"client_id": {client}, "lti_deployment_id": {"1"},
	}
	if diff := cmp.Diff(want, initiation); diff != "" {
		t.Errorf("initiation (-want +got):\n%s", diff)
	}

	action, response := b.launch("/launch/" + a.ID)
	if action != b.tool.URL+"/launch" || response.Get("state") != "the-state" {
		t.Fatalf("response to %s with state %q", action, response.Get("state"))
	}
	claims := b.verified(response.Get("id_token"))
	lineItem, err := b.LineItemURL(item.ID)
	if err != nil {
		t.Fatal(err)
	}
	now := float64(b.clock.Now().Unix())
	for name, want := range map[string]any{
		"iss": b.Issuer(), "aud": client, "sub": "7", "nonce": "the-nonce", "iat": now, "exp": now + 60, "name": "Maija Meikäläinen",
		claimNS + "deployment_id": "1", claimNS + "version": "1.3.0", claimNS + "message_type": "LtiResourceLinkRequest",
		claimNS + "target_link_uri": b.tool.URL + "/launch",
		claimNS + "roles":           []any{"http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"},
		claimNS + "context":         map[string]any{"id": "2", "label": "SFS24", "title": "Sustainable Food Systems", "type": []any{"CourseSection"}},
		claimNS + "resource_link":   map[string]any{"id": a.ID, "title": "Food systems record", "description": "What you have shown"},
		"https://purl.imsglobal.org/spec/lti-ags/claim/endpoint": map[string]any{
			"scope":     []any{agsNS + "lineitem", agsNS + "lineitem.readonly", agsNS + "result.readonly", agsNS + "score"},
			"lineitems": b.Issuer() + "/mod/lti/services.php/2/lineitems?type_id=1", "lineitem": lineItem,
		},
	} {
		if diff := cmp.Diff(want, claims[name]); diff != "" {
			t.Errorf("claim %s (-want +got):\n%s", name, diff)
		}
	}
	custom, _ := claims[claimNS+"custom"].(map[string]any)
	if custom["Attachment"] != "a-1" || custom["attachment"] != "a-1" {
		t.Errorf("custom %v lacks a parameter in one of its two spellings", custom)
	}
	if diff := cmp.Diff(map[string]any{"typ": "JWT", "alg": "RS256"}, dropKid(part(t, response.Get("id_token"), 0))); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func dropKid(h map[string]any) map[string]any { delete(h, "kid"); return h }

func TestLaunchRoles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	const m, p = "http://purl.imsglobal.org/vocab/lis/v2/membership#", "http://purl.imsglobal.org/vocab/lis/v2/"
	for user, want := range map[string][]any{
		"teacher": {m + "Instructor"},
		"jan":     {m + "Learner"},
		"admin":   {p + "institution/person#Administrator", m + "Instructor", p + "system/person#Administrator"},
	} {
		token, err := b.SignLaunch(user, a.ID, "n", nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, payload(t, token)[claimNS+"roles"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", user, diff)
		}
	}
}

func TestAdministratorLaunchesOutsideCourses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.get("/as/admin")
	page := b.get("/admin/tool")
	if page.Status != http.StatusOK || !strings.Contains(page.Body, "Site administration") {
		t.Fatalf("status %d:\n%s", page.Status, page.Body)
	}
	a, err := b.AdminActivity(client)
	if err != nil {
		t.Fatal(err)
	}
	_, response := b.launch("/launch/" + a.ID)
	claims := b.verified(response.Get("id_token"))
	context, _ := claims[claimNS+"context"].(map[string]any)
	if context["id"] != "1" {
		t.Errorf("context %v is not the front page", context)
	}
	if again, err := b.AdminActivity(client); err != nil || again.ID != a.ID {
		t.Errorf("second visit made another link: %v %v", again.ID, err)
	}
	b.get("/as/teacher")
	if got := b.get("/launch/" + a.ID).Status; got != http.StatusForbidden {
		t.Errorf("teacher opens the administrator's link: %d", got)
	}
}

func TestNewWindowIsATarget(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	b.get("/as/maija")
	for query, want := range map[string]string{"": "iframe", "?window=1": "window"} {
		_, response := b.launch("/launch/" + a.ID + query)
		presentation, _ := payload(t, response.Get("id_token"))[claimNS+"launch_presentation"].(map[string]any)
		if presentation["document_target"] != want {
			t.Errorf("%q: target %v, want %s", query, presentation["document_target"], want)
		}
	}
}

func TestAuthRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(q url.Values)
		// want is the error posted to the tool; empty for the error page.
		want string
	}{
		{"unregistered redirect address", func(q url.Values) { q.Set("redirect_uri", q.Get("redirect_uri")+"/") }, ""},
		{"redirect address elsewhere", func(q url.Values) { q.Set("redirect_uri", "https://elsewhere.example/launch") }, ""},
		{"no redirect address", func(q url.Values) { q.Del("redirect_uri") }, ""},
		{"scope", func(q url.Values) { q.Set("scope", "openid profile") }, ""},
		{"response type", func(q url.Values) { q.Set("response_type", "code") }, ""},
		{"no nonce", func(q url.Values) { q.Del("nonce") }, ""},
		{"no message hint", func(q url.Values) { q.Del("lti_message_hint") }, ""},
		{"invented message hint", func(q url.Values) { q.Set("lti_message_hint", `{"launchid":"ltilaunch1_1"}`) }, ""},
		{"message hint is not JSON", func(q url.Values) { q.Set("lti_message_hint", "x") }, ""},
		{"other client", func(q url.Values) { q.Set("client_id", "nope") }, "unauthorized_client"},
		{"other login hint", func(q url.Values) { q.Set("login_hint", "8") }, "access_denied"},
		{"no response mode", func(q url.Values) { q.Del("response_mode") }, "invalid_request"},
		{"other response mode", func(q url.Values) { q.Set("response_mode", "fragment") }, "invalid_request"},
		{"prompt", func(q url.Values) { q.Set("prompt", "login") }, "invalid_request"},
	}
	b := setup(t)
	a, _ := b.place()
	b.get("/as/maija")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, initiation := b.begin("/launch/" + a.ID)
			q := b.authRequest(initiation)
			tt.change(q)
			page := b.auth(q)
			if tt.want == "" {
				if page.Status != http.StatusNotFound || strings.Contains(page.Body, "data-submit") {
					t.Fatalf("status %d, want an error page that posts nothing:\n%s", page.Status, page.Body)
				}
				return
			}
			action, response := b.form(page)
			if action != b.tool.URL+"/launch" || response.Get("error") != tt.want || response.Get("state") != "the-state" || response.Has("id_token") {
				t.Errorf("posted %v to %s, want error %s", response, action, tt.want)
			}
		})
	}
}

func TestMessageHintIsSpentOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	b.get("/as/maija")
	_, initiation := b.begin("/launch/" + a.ID)
	q := b.authRequest(initiation)
	b.form(b.auth(q))
	if got := b.auth(q); got.Status != http.StatusNotFound {
		t.Errorf("second use of a message hint: status %d", got.Status)
	}
}

func TestMessageHintBelongsToTheBrowser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	b.get("/as/maija")
	_, initiation := b.begin("/launch/" + a.ID)
	b.browser = newBrowser(t)
	b.get("/as/maija")
	if got := b.auth(b.authRequest(initiation)); got.Status != http.StatusNotFound {
		t.Errorf("message hint used in another browser: status %d", got.Status)
	}
}

func TestAuthWithoutSessionRepostsThenAsksForLogin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	b.get("/as/maija")
	_, initiation := b.begin("/launch/" + a.ID)
	b.browser = newBrowser(t)
	auth, _, _ := b.URLs()
	action, fields := b.form(b.auth(b.authRequest(initiation)))
	if !strings.HasSuffix(auth, action) || fields.Get("repost") != "1" || fields.Get("nonce") != "the-nonce" {
		t.Fatalf("first answer posts %v to %s, want the request again", fields, action)
	}
	action, response := b.form(b.post(action, fields))
	if action != b.tool.URL+"/launch" || response.Get("error") != "login_required" {
		t.Errorf("second answer posts %v to %s", response, action)
	}
	fields.Set("redirect_uri", "https://elsewhere.example/launch")
	if got := b.post("/mod/lti/auth.php", fields); got.Status != http.StatusNotFound {
		t.Errorf("login_required was sent to an address that is not registered: %d", got.Status)
	}
}

func TestAuthByPost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	b.get("/as/maija")
	_, initiation := b.begin("/launch/" + a.ID)
	_, response := b.form(b.post("/mod/lti/auth.php", b.authRequest(initiation)))
	b.verified(response.Get("id_token"))
}

func TestStateAndNonceAreCleanedAsText(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	b.get("/as/maija")
	_, initiation := b.begin("/launch/" + a.ID)
	q := b.authRequest(initiation)
	q.Set("state", `a+b/c=d <x>&"q`)
	q.Set("nonce", "n<b>1</b>+/=")
	_, response := b.form(b.auth(q))
	if got, want := response.Get("state"), `a+b/c=d &"q`; got != want {
		t.Errorf("state %q, want %q", got, want)
	}
	if got := payload(t, response.Get("id_token"))["nonce"]; got != "n1+/=" {
		t.Errorf("nonce %q", got)
	}
}

func TestToolThatHidesNames(t *testing.T) {
	t.Parallel()
	b := setupWith(t, func(c *demolms.Config) { c.Tools[0].HideNames = true })
	a, _ := b.place()
	token, err := b.SignLaunch("maija", a.ID, "n", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"name", "given_name", "family_name", "email"} {
		if v, ok := payload(t, token)[c]; ok {
			t.Errorf("%s is sent: %v", c, v)
		}
	}
}

func TestTwoLineItemsOnOneLinkHideBoth(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	b.service(http.MethodPost, lineItems, `{"label":"Second","scoreMaximum":10,"resourceLinkId":"`+a.ID+`"}`, "Content-Type", itemType)
	token, err := b.SignLaunch("maija", a.ID, "n", nil)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, _ := payload(t, token)["https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"].(map[string]any)
	if v, ok := endpoint["lineitem"]; ok {
		t.Errorf("lineitem %v is named although there are two", v)
	}
}

func TestSignMutatesLast(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	token, err := b.SignLaunch("maija", a.ID, "n", func(claims, header map[string]any) {
		claims["sub"] = "somebody"
		header["kid"] = "some-key"
	})
	if err != nil {
		t.Fatal(err)
	}
	if payload(t, token)["sub"] != "somebody" || part(t, token, 0)["kid"] != "some-key" {
		t.Error("the change did not reach the token")
	}
	for _, wrong := range []demolms.Launch{
		{User: "nobody", Activity: a.ID},
		{User: "maija", Activity: "999"},
		{User: "maija", DeepLink: true, Course: "999", ClientID: client},
		{User: "maija", DeepLink: true, Course: "2", ClientID: "nope"},
		{User: "maija", Activity: a.ID, Faults: []demolms.Knob{"no-such-knob"}},
	} {
		if _, err := b.Sign(wrong); err == nil {
			t.Errorf("signed %+v", wrong)
		}
	}
}

func TestReturnShowsMessagesWithoutMarkup(t *testing.T) {
	t.Parallel()
	b := setup(t)
	page := b.get("/mod/lti/return.php?course=2&lti_errormsg=" + url.QueryEscape("Tool error <b>x</b>"))
	if !strings.Contains(page.Body, "An error occurred when launching the external tool: Tool error x<") {
		t.Errorf("page:\n%s", page.Body)
	}
}
