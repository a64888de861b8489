package demolms_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

const (
	platformConfig = "https://purl.imsglobal.org/spec/lti-platform-configuration"
	toolConfig     = "https://purl.imsglobal.org/spec/lti-tool-configuration"
	pns            = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
)

// newcomer is the registration of a second tool on the stub's host.
func (b *bench) newcomer() map[string]any {
	u := b.tool.URL
	return map[string]any{
		"application_type": "web", "response_types": []any{"id_token"}, "grant_types": []any{"implicit", "client_credentials"},
		"initiate_login_uri": u + "/login", "redirect_uris": []any{u + "/launch", u + "/dl"}, "client_name": "Newcomer",
		"jwks_uri": u + "/jwks", "token_endpoint_auth_method": "private_key_jwt", "contacts": []any{"ops@example.test"},
		"scope": "https://purl.imsglobal.org/spec/lti-bo/scope/basicoutcome " + agsNS + "lineitem " + nrps + " " + pns,
		toolConfig: map[string]any{
			"domain": strings.TrimPrefix(u, "http://"), "description": "Issues micro-credentials", "target_link_uri": u + "/launch",
			"custom_parameters": map[string]any{"history": "$Context.id.history", "static": "hello=world"},
			"claims":            []any{"iss", "sub", "name", "email"},
			"messages":          []any{map[string]any{"type": "LtiResourceLinkRequest"}, map[string]any{"type": "LtiDeepLinkingRequest", "target_link_uri": u + "/dl", "label": "Add"}},
		},
	}
}

// invitation opens the tool's registration address and returns its token.
func (b *bench) invitation() string {
	b.t.Helper()
	address, err := b.RegistrationURL(b.tool.URL + "/register?ticket=1")
	if err != nil {
		b.t.Fatal(err)
	}
	return b.tokenIn(address)
}

func (b *bench) tokenIn(address string) string {
	b.t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Query().Get("openid_configuration") != b.Issuer()+"/mod/lti/openid-configuration.php" {
		b.t.Fatalf("registration address %s: %v", address, err)
	}
	return u.Query().Get("registration_token")
}

func (b *bench) register(method, token string, body any) answer {
	b.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(http.DefaultClient, method, "/mod/lti/openid-registration.php", string(raw), "Content-Type", "application/json", "Authorization", "Bearer "+token)
}

func openidConfig(b *bench) answer { return b.get("/mod/lti/openid-configuration.php") }

func TestConfiguration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := decode[map[string]any](t, openidConfig(b))
	auth, token, jwks := b.URLs()
	for name, want := range map[string]any{
		"issuer": b.Issuer(), "authorization_endpoint": auth, "token_endpoint": token, "jwks_uri": jwks,
		"registration_endpoint": b.Issuer() + "/mod/lti/openid-registration.php", "response_types_supported": []any{"id_token"},
		"id_token_signing_alg_values_supported": []any{"RS256"}, "token_endpoint_auth_methods_supported": []any{"private_key_jwt"},
	} {
		if diff := cmp.Diff(want, c[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	p, _ := c[platformConfig].(map[string]any)
	if !equalJSON(p["messages_supported"], []string{"LtiResourceLinkRequest", "LtiDeepLinkingRequest"}) || p["product_family_code"] != "moodle" {
		t.Errorf("platform %v", p)
	}
	variables, _ := p["variables"].([]any)
	if !slices.Contains(variables, any("Context.id.history")) || slices.Contains(variables, any("ResourceLink.id.history")) {
		t.Errorf("variables %v", variables)
	}
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	invitation := b.invitation()
	if claims := payload(t, invitation); claims["scope"] != "reg" || claims["exp"] != claims["iat"].(float64)+3600 {
		t.Errorf("registration token %v", claims)
	}
	got := b.register(http.MethodPost, invitation, b.newcomer())
	if got.Status != http.StatusOK {
		t.Fatalf("registration: %d %s", got.Status, got.Body)
	}
	reply := decode[map[string]any](t, got)
	id, _ := reply["client_id"].(string)
	tool, _ := reply[toolConfig].(map[string]any)
	if id == "" || id != payload(t, invitation)["sub"] || tool["deployment_id"] != "2" {
		t.Errorf("client %q, deployment %v", id, tool["deployment_id"])
	}
	want := strings.Join([]string{agsNS + "score", agsNS + "result.readonly", agsNS + "lineitem.readonly", agsNS + "lineitem", nrps, pns}, " ")
	if reply["scope"] != want {
		t.Errorf("scope %v", reply["scope"])
	}
	if !equalJSON(tool["messages"], []any{map[string]any{"type": "LtiDeepLinkingRequest", "target_link_uri": b.tool.URL + "/dl"}}) {
		t.Errorf("messages %v", tool["messages"])
	}
	if !equalJSON(tool["custom_parameters"], map[string]string{"history": "$Context.id.history", "static": "hello"}) {
		t.Errorf("the echo of custom parameters is %v", tool["custom_parameters"])
	}
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		if got := b.register(method, invitation, b.newcomer()); got.Status != http.StatusUnauthorized || got.Body != "token_already_used" || got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s with a spent token: %d %s", method, got.Status, got.Body)
		}
	}
	stored := b.Tools()[1]
	if !stored.Pending || stored.Custom["static"] != "hello=world" || stored.DeepLinkURL != b.tool.URL+"/dl" || stored.HideNames {
		t.Errorf("stored %+v", stored)
	}
	// Pending is not enforced for launches; teachers are not offered the tool.
	a, err := b.Place("2", id, demolms.ContentItem{Type: "ltiResourceLink"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.SignLaunch("maija", a.ID, "n", nil); err != nil {
		t.Errorf("launch of a pending tool: %v", err)
	}
	b.get("/as/teacher")
	if page := b.get("/course/2/add"); strings.Contains(page.Body, "Newcomer") {
		t.Error("a pending tool is offered")
	}
	if err := b.Activate(id); err != nil {
		t.Fatal(err)
	}
	if page := b.get("/course/2/add"); !strings.Contains(page.Body, "Newcomer") || b.Tools()[1].Pending {
		t.Error("an active tool is not offered")
	}
	if err := b.Activate("nobody"); err == nil {
		t.Error("a tool that is not there was activated")
	}
}

func TestRegistrationUpdate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := decode[map[string]any](t, b.register(http.MethodPost, b.invitation(), b.newcomer()))
	id, _ := got["client_id"].(string)
	address, err := b.UpdateURL(b.tool.URL+"/register", id)
	if err != nil {
		t.Fatal(err)
	}
	token := b.tokenIn(address)
	if c := payload(t, token); c["sub"] != "2" || c["scope"] != "reg-update" {
		t.Errorf("token %v", c)
	}
	change := b.newcomer()
	change["client_name"] = "Renamed"
	change["scope"] = agsNS + "score"
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodGet} {
		reply := decode[map[string]any](t, b.register(method, token, change))
		if reply["client_id"] != id || reply["client_name"] != "Renamed" || reply["scope"] != agsNS+"score "+agsNS+"result.readonly "+agsNS+"lineitem.readonly" {
			t.Errorf("%s: %v", method, reply)
		}
	}
	if n := len(b.Tools()); n != 2 {
		t.Errorf("%d tools", n)
	}
	if _, err := b.UpdateURL(b.tool.URL, "nobody"); err == nil {
		t.Error("an address to update nothing")
	}
}

func TestRegistrationRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tool := func(change func(map[string]any)) func(map[string]any) {
		return func(m map[string]any) {
			c, _ := m[toolConfig].(map[string]any)
			c = maps.Clone(c)
			change(c)
			m[toolConfig] = c
		}
	}
	for want, change := range map[string]func(map[string]any){
		"missing_tool_configuration":         func(m map[string]any) { delete(m, toolConfig) },
		"only_web_apps_supported":            func(m map[string]any) { m["application_type"] = "native" },
		"invalid_response_types":             func(m map[string]any) { m["response_types"] = []any{"code"} },
		"invalid_grant_types":                func(m map[string]any) { m["grant_types"] = []any{"implicit"} },
		"missing_initiate_login_uri":         func(m map[string]any) { delete(m, "initiate_login_uri") },
		"missing_redirect_uris":              func(m map[string]any) { m["redirect_uris"] = []any{} },
		"missing_jwks_uri":                   func(m map[string]any) { delete(m, "jwks_uri") },
		"missing_client_name":                func(m map[string]any) { m["client_name"] = "" },
		"invalid_token_endpoint_auth_method": func(m map[string]any) { m["token_endpoint_auth_method"] = "none" },
		"missing_domain":                     tool(func(c map[string]any) { delete(c, "domain") }),
		"domain_targetlinkuri_mismatch":      tool(func(c map[string]any) { c["domain"] = "elsewhere.example" }),
		"invalid_json":                       func(m map[string]any) { m["redirect_uris"] = "x" },
	} {
		body := b.newcomer()
		change(body)
		if got := b.register(http.MethodPost, b.invitation(), body); got.Status != http.StatusBadRequest || got.Body != want {
			t.Errorf("%s: %d %s", want, got.Status, got.Body)
		}
	}
	old := b.invitation()
	b.clock.Add(time.Hour)
	for name, token := range map[string]string{
		"no token": "", "not a token": "abc", "too old": old,
		"another key":   b.toolToken(map[string]any{"sub": "x", "scope": "reg", "exp": b.clock.Now().Unix() + 60}, part(t, old, 0)["kid"].(string), toolKey()),
		"other purpose": "",
	} {
		if got := b.register(http.MethodPost, token, b.newcomer()); got.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if got := b.register(http.MethodGet, b.invitation(), nil); got.Status != http.StatusNotFound {
		t.Errorf("GET before the registration: %d", got.Status)
	}
	for _, address := range []string{"", "register", "ftp://tool.example/", "javascript:alert(1)", "https://a;b/"} {
		if got, err := b.RegistrationURL(address); err == nil {
			t.Errorf("%q became %s", address, got)
		}
	}
	if n := len(b.Tools()); n != 1 {
		t.Errorf("%d tools", n)
	}
}

func TestRegistrationPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.get("/as/teacher")
	if got := b.get("/admin/tools").Status; got != http.StatusForbidden {
		t.Errorf("teacher: %d", got)
	}
	b.get("/as/admin")
	if page := b.get("/admin/tools"); !strings.Contains(page.Body, "Add a tool by its registration address") {
		t.Fatalf("page:\n%s", page.Body)
	}
	page := b.get("/admin/register?url=" + url.QueryEscape("https://tool.example/register?ticket=1"))
	if !strings.Contains(page.Body, `src="https://tool.example/register?openid_configuration=`) || !strings.Contains(page.Body, "registration_token=") {
		t.Errorf("no frame:\n%s", page.Body)
	}
	if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, " https://tool.example") {
		t.Errorf("the frame may not be shown: %s", policy)
	}
	if got := b.get("/admin/register?url=nonsense"); got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "not the registration address") {
		t.Errorf("nonsense: %d", got.Status)
	}
	id, _ := decode[map[string]any](t, b.register(http.MethodPost, b.invitation(), b.newcomer()))["client_id"].(string)
	if page := b.get("/admin/tools?registered=1"); !strings.Contains(page.Body, "Pending") || !strings.Contains(page.Body, id) {
		t.Errorf("the pending tool is not shown:\n%s", page.Body)
	}
	if page := b.get("/admin/register?update=" + id + "&url=" + url.QueryEscape(b.tool.URL+"/register")); !strings.Contains(page.Body, "Update a tool") {
		t.Errorf("update:\n%s", page.Body)
	}
	if page := b.post("/admin/activate", url.Values{"client_id": {id}}); strings.Contains(page.Body, "Pending") || b.Tools()[1].Pending {
		t.Errorf("after activation:\n%s", page.Body)
	}
	if got := b.post("/admin/activate", url.Values{"client_id": {"nobody"}}).Status; got != http.StatusNotFound {
		t.Errorf("activate nobody: %d", got)
	}
}

func TestRegisteredToolsSurviveARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "lms.json")
	first := setupWith(t, func(c *demolms.Config) { c.StateFile = file })
	got := decode[map[string]any](t, first.register(http.MethodPost, first.invitation(), first.newcomer()))
	id, _ := got["client_id"].(string)
	second := setupWith(t, func(c *demolms.Config) {
		c.StateFile = file
		c.Tools = append(c.Tools, demolms.Tool{ClientID: "third", LoginURL: "http://x/", LaunchURL: "http://x/"})
	})
	tools := map[string]string{}
	for _, tool := range second.Tools() {
		tools[tool.ClientID] = tool.DeploymentID
	}
	if diff := cmp.Diff(map[string]string{client: "1", id: "2", "third": "3"}, tools); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
}

// configured checks one member of the configuration under a fault.
func configured(name string, want any) knobTest {
	return calls(openidConfig, func(t *testing.T, a answer) {
		t.Helper()
		got, there := decode[map[string]any](t, a)[name]
		if (want == nil && there) || (want != nil && !equalJSON(got, want)) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	})
}

func platformBlock(name string, want any) knobTest {
	return calls(openidConfig, func(t *testing.T, a answer) {
		t.Helper()
		p, _ := decode[map[string]any](t, a)[platformConfig].(map[string]any)
		if !equalJSON(p[name], want) {
			t.Errorf("%s is %v", name, p[name])
		}
	})
}

func contains(name, want string) knobTest {
	return calls(openidConfig, func(t *testing.T, a answer) {
		t.Helper()
		if got, _ := decode[map[string]any](t, a)[name].(string); !strings.Contains(got, want) {
			t.Errorf("%s is %v", name, got)
		}
	})
}

func registrationTests() map[demolms.Knob]knobTest {
	reply := func(b *bench) answer { return b.register(http.MethodPost, b.invitation(), b.newcomer()) }
	return map[demolms.Knob]knobTest{
		demolms.RegistrationMessageObjects: platformBlock("messages_supported", []any{
			map[string]any{"type": "LtiResourceLinkRequest"}, map[string]any{"type": "LtiDeepLinkingRequest", "placements": []string{"ContentArea"}},
		}),
		demolms.RegistrationMarkup:         platformBlock("product_family_code", `moodle<script>alert("x")</script>`),
		demolms.RegistrationNoPlatform:     configured(platformConfig, nil),
		demolms.RegistrationNoRegistration: configured("registration_endpoint", nil),
		demolms.RegistrationNoJWKS:         configured("jwks_uri", nil),
		demolms.RegistrationNoToken:        configured("token_endpoint", nil),
		demolms.RegistrationNoAuth:         configured("authorization_endpoint", nil),
		demolms.RegistrationForeignIssuer:  configured("issuer", "https://elsewhere.example"),
		demolms.RegistrationIssuerQuery:    contains("issuer", "?tenant=1"),
		demolms.RegistrationNoRS256:        configured("id_token_signing_alg_values_supported", []string{"ES512"}),
		demolms.RegistrationForeignJWKS:    configured("jwks_uri", "https://elsewhere.example/keys"),
		demolms.RegistrationAuthQuery:      contains("authorization_endpoint", "/mod/lti/auth.php?tenant=1"),
		demolms.RegistrationAuthServer:     configured("authorization_server", "https://auth.elsewhere.example/tokens"),
		demolms.RegistrationConfigHTML:     calls(openidConfig, isHTML),
		demolms.RegistrationConfigHuge:     calls(openidConfig, isHuge),
		demolms.RegistrationConfigSlow:     slow(openidConfig, constant("/mod/lti/openid-configuration.php")),
		demolms.RegistrationConfigBearer: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			turn(t, b, k)
			status(http.StatusUnauthorized)(t, openidConfig(b))
			status(http.StatusOK)(t, b.do(b.browser, http.MethodGet, "/mod/lti/openid-configuration.php", "", "Authorization", "Bearer "+b.invitation()))
		},
		demolms.RegistrationReply400: calls(reply, func(t *testing.T, a answer) {
			t.Helper()
			if got := decode[map[string]string](t, a); a.Status != http.StatusBadRequest || got["error"] != "invalid_client_metadata" || !strings.Contains(got["error_description"], "<script>") {
				t.Errorf("%d %v", a.Status, got)
			}
		}),
		demolms.RegistrationReplyUsed: calls(reply, func(t *testing.T, a answer) {
			t.Helper()
			if a.Status != http.StatusUnauthorized || a.Body != "token_already_used" {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		}),
		demolms.RegistrationReplyNoClient: calls(reply, func(t *testing.T, a answer) {
			t.Helper()
			if got := decode[map[string]any](t, a); a.Status != http.StatusOK || got["client_id"] != nil || got[toolConfig] == nil {
				t.Errorf("%d %v", a.Status, got)
			}
		}),
		demolms.RegistrationReply201: calls(reply, status(http.StatusCreated)),
		demolms.RegistrationReplySlow: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			if err := b.Set(k, "1ms"); err != nil {
				t.Fatal(err)
			}
			status(http.StatusOK)(t, reply(b))
			turn(t, b, k)
			c := &http.Client{Timeout: 200 * time.Millisecond}
			raw, _ := json.Marshal(b.newcomer())
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.Issuer()+"/mod/lti/openid-registration.php", strings.NewReader(string(raw)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+b.invitation())
			if resp, err := c.Do(req); err == nil {
				resp.Body.Close()
				t.Error("an answer came")
			}
			if n := len(b.Tools()); n != 3 {
				t.Errorf("%d tools: the slow registration is not stored", n)
			}
		},
	}
}
