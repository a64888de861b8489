package lti_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

func replyCases() []registrationCase {
	replying := func(a answering, code string, status int, shown string) func(*registrarRig) {
		return func(r *registrarRig) {
			r.platform.registration = a
			r.register("")
			if got := r.refused(code, status); !strings.Contains(got.Received, shown) {
				r.t.Errorf("shown %q, want %q", got.Received, shown)
			}
			if _, posts, _ := r.calls(); posts != 1 {
				r.t.Errorf("%d registrations, want 1", posts)
			}
			r.untouched()
		}
	}
	return []registrationCase{
		{"R17 token used already", "", replying(answering{status: 401, kind: "text/html; charset=utf-8", body: "token_already_used"}, lti.CodeRegistrationTokenUsed, http.StatusConflict, "token_already_used")},
		{"R18 refused with a reason", "", replying(answering{status: 400, body: map[string]any{"error": "invalid_client_metadata", "error_description": "no <b>scope</b> \u202eleft"}},
			lti.CodeRegistrationRefused, http.StatusBadGateway, "invalid_client_metadata no <b>scope</b> left")}, // pages escape it: web, TestRegisteredPage
		{"R18 refused without a reason", "", replying(answering{status: 403, kind: "text/html", body: "<h1>Forbidden</h1>"}, lti.CodeRegistrationRefused, http.StatusBadGateway, "403 Forbidden, text/html: Forbidden")},
		{"R19 no client id", "", replying(answering{body: map[string]any{"client_name": "x"}}, lti.CodeRegistrationNoClientID, http.StatusBadGateway, "200 OK")},
		{"R19 client id of another kind", "", replying(answering{body: `{"client_id":{"a":1}}`}, lti.CodeRegistrationNoClientID, http.StatusBadGateway, "200 OK")},
		{"R19 fraction as client id", "", replying(answering{body: `{"client_id":1.5}`}, lti.CodeRegistrationNoClientID, http.StatusBadGateway, "")},
		{"R19 empty client id", "", replying(answering{body: `{"client_id":""}`}, lti.CodeRegistrationNoClientID, http.StatusBadGateway, "")},
		{"R19 a page instead of a reply", "", replying(answering{kind: "text/html", body: "<p>Thank you"}, lti.CodeRegistrationForm, http.StatusBadGateway, "Thank you")},
		{"R19 client id twice", "", replying(answering{body: `{"client_id":"a","client_id":"b"}`}, lti.CodeRegistrationForm, http.StatusBadGateway, "")},
		{"R19 number as ids", "", func(r *registrarRig) {
			r.platform.registration = answering{body: `{"client_id":10000000000001,"` + toolPart + `":{"deployment_id":12}}`}
			r.register("")
			if got := r.registered().Registration; got.ClientID != "10000000000001" || !slices.Equal(got.Deployments, []string{"12"}) {
				r.t.Errorf("registered %+v", got)
			}
		}},
		{"R20 no answer in time", "", func(r *registrarRig) {
			r.platform.registration = answering{wait: true}
			r.client = impatient()
			r.register("")
			if got := r.refused(lti.CodeRegistrationUnknown, http.StatusGatewayTimeout); !strings.Contains(got.Advice, "look in your learning platform whether") {
				r.t.Errorf("advice %q", got.Advice)
			}
			if _, posts, _ := r.calls(); posts != 1 {
				r.t.Errorf("%d registrations, want 1", posts)
			}
			r.untouched()
		}},
		{"R20 server error", "", replying(answering{status: 502, kind: "text/html", body: "bad gateway"}, lti.CodeRegistrationUnknown, http.StatusGatewayTimeout, "502 Bad Gateway")},
		{"R20 nothing was sent", "", func(r *registrarRig) {
			gone := httptest.NewServer(http.NotFoundHandler())
			r.platform.with(map[string]any{"registration_endpoint": gone.URL + "/register"})
			gone.Close()
			r.register("")
			r.refused(lti.CodeRegistrationUnsent, http.StatusBadGateway)
		}},
	}
}

func afterwardsCases() []registrationCase {
	return []registrationCase{
		{"R21 another organisation's platform", "", func(r *registrarRig) {
			theirs := must(r.store.AddRegistration(r.t.Context(), lti.Registration{
				OrganisationID: "org-2", Name: "Theirs", Issuer: r.platform.URL, ClientID: "c-9", AuthURL: r.platform.URL + "/auth",
				TokenURL: r.platform.URL + "/token", JWKSURL: r.platform.URL + "/jwks", LoginKey: "theirs",
			}))
			r.register("")
			r.refused(lti.CodeRegistrationTaken, http.StatusConflict)
			r.untouched()
			if after := must(r.store.Registration(r.t.Context(), "org-2", theirs.ID)); after.LoginKey != "theirs" || after.Name != "Theirs" {
				r.t.Errorf("theirs became %+v", after)
			}
			if !strings.Contains(r.log.String(), "registration of another organisation's platform refused") {
				r.t.Errorf("log: %s", r.log.String())
			}
			for _, o := range []string{organisation, "org-2"} {
				var told int
				if err := r.db.Get(r.t.Context(), &told, `select count(*) from audit where organisation_id = ? and action = 'registration refused'`, o); err != nil || told != 1 {
					r.t.Errorf("%s was told %d times (%v)", o, told, err)
				}
			}
		}},
		{"R22 the same organisation again", "", func(r *registrarRig) {
			r.register("")
			first := r.registered().Registration
			must(0, r.store.SetStatus(r.t.Context(), organisation, first.ID, lti.StatusActive, "operator"))
			r.ticket = r.invite()
			r.register("")
			second := r.registered()
			if !second.Again || second.Registration.ID != first.ID || second.Registration.Status != lti.StatusActive || second.Registration.LoginKey == first.LoginKey {
				r.t.Errorf("again: %+v", second)
			}
			r.platform.with(map[string]any{"jwks_uri": r.platform.URL + "/other"})
			r.ticket = r.invite()
			r.register("")
			if got := r.registered(); !got.Again || got.Registration.Status != lti.StatusPending {
				r.t.Errorf("with other keys: %+v", got)
			}
			r.platform.registration.body = map[string]any{"client_id": "c-10"}
			r.ticket = r.invite()
			r.register("")
			if got := r.registered(); got.Again || len(got.Others) != 1 || got.Others[0].ID != first.ID {
				r.t.Errorf("as a second tool: %+v", got)
			}
		}},
		{"R22 the invitation is gone when the platform has answered", "", func(r *registrarRig) {
			id := must(r.store.Invitation(r.t.Context(), r.ticket)).ID
			r.client = &http.Client{Transport: before{http.MethodPost, func() { must(0, r.store.RevokeInvitation(r.t.Context(), organisation, id, "operator")) }}}
			r.register("")
			if got := r.refused(lti.CodeInvitationLost, http.StatusGone); !strings.Contains(got.Advice, "it would be there twice") {
				r.t.Errorf("advice %q", got.Advice)
			}
		}},
	}
}

// before does something when a request of that method is sent.
type before struct {
	method string
	do     func()
}

func (b before) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == b.method {
		b.do()
	}
	return http.DefaultTransport.RoundTrip(r)
}

// dynregCapture is a recorded step of Moodle's registration.
type dynregCapture struct {
	Response struct {
		Status  int
		Headers map[string]string
		JSON    json.RawMessage `json:"body_json"`
		Text    string          `json:"body_text"`
	}
}

func (c dynregCapture) answering() answering {
	body := c.Response.Text
	if body == "" {
		body = string(c.Response.JSON)
	}
	return answering{status: c.Response.Status, kind: c.Response.Headers["content-type"], body: body}
}

// TestMoodleRegistration replays what a Moodle 4.5 said.
func TestMoodleRegistration(t *testing.T) {
	t.Parallel()
	r := newRegistrarRig(t)
	r.client = &http.Client{Transport: anywhere{must(url.Parse(r.platform.URL))}}
	moodlePaths := http.NewServeMux()
	moodlePaths.HandleFunc("GET /mod/lti/openid-configuration.php", func(w http.ResponseWriter, _ *http.Request) { r.platform.answer(w, r.platform.configuration) })
	posts := 0
	moodlePaths.HandleFunc("POST /mod/lti/openid-registration.php", func(w http.ResponseWriter, _ *http.Request) {
		posts++
		r.platform.answer(w, r.platform.registration)
	})
	r.platform.Config.Handler = moodlePaths
	r.platform.configuration = readCapture[dynregCapture](t, "dynreg-1-openid-configuration").answering()
	r.platform.registration = readCapture[dynregCapture](t, "dynreg-2-registration").answering()
	r.register(moodle + "/mod/lti/openid-configuration.php")
	got := r.registered().Registration
	want := lti.Registration{
		ID: got.ID, OrganisationID: organisation, Name: "127.0.0.1:8900", Issuer: moodle, ClientID: moodleClient,
		AuthURL: moodle + "/mod/lti/auth.php", TokenURL: moodle + "/mod/lti/token.php", JWKSURL: moodle + "/mod/lti/certs.php",
		Status: lti.StatusPending, LoginKey: got.LoginKey, ProductFamily: "moodle", CreatedAt: start, Deployments: []string{"1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	r.ticket = r.invite()
	r.platform.registration = readCapture[dynregCapture](t, "dynreg-3-registration-repeated-same-token").answering()
	r.register(moodle + "/mod/lti/openid-configuration.php")
	if refused := r.page.Refused; refused == nil || refused.Code != lti.CodeRegistrationTokenUsed || posts != 2 {
		t.Errorf("the same token again: %v after %d registrations", refused, posts)
	}
}

// TestRegistrarErrors: what the server cannot do is no refusal.
func TestRegistrarErrors(t *testing.T) {
	t.Parallel()
	if _, err := lti.NewRegistrar(lti.RegistrarDeps{}); err == nil {
		t.Error("a Registrar without anything was made")
	}
	r := newRegistrarRig(t)
	poor := r.deps()
	poor.Rand = strings.NewReader("short")
	registrar := must(lti.NewRegistrar(poor))
	c := must(registrar.Fetch(t.Context(), r.platform.URL+"/config", ""))
	if _, err := registrar.Register(t.Context(), c, "", lti.Invitation{OrganisationID: organisation}); err == nil || len(r.platform.posts) != 0 {
		t.Errorf("registered with a login key that can be guessed: %v", err)
	}
	if _, err := r.db.Exec(t.Context(), "drop table invitations"); err != nil {
		t.Fatal(err)
	}
	r.register("")
	if r.problem == nil || r.page != nil || r.status != http.StatusInternalServerError {
		t.Errorf("without a table: page %+v, problem %v", r.page, r.problem)
	}
}

func TestCanvasConfiguration(t *testing.T) {
	t.Parallel()
	r := newRegistrarRig(t)
	rec := httptest.NewRecorder()
	r.router.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, toolURL+"/lti/config.json", http.NoBody))
	if h := rec.Header(); rec.Code != http.StatusOK || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("%d %v", rec.Code, h)
	}
	var got map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for member, want := range map[string]any{
		"title": "Seals", "description": "Seals things.", "target_link_uri": toolURL + "/lti/launch", "oidc_initiation_url": toolURL + "/lti/login", "public_jwk_url": toolURL + "/lti/jwks",
	} {
		if got[member] != want {
			t.Errorf("%s is %v, want %v", member, got[member], want)
		}
	}
	extension := got["extensions"].([]any)[0].(map[string]any)
	if extension["platform"] != "canvas.instructure.com" || extension["domain"] != "tool.example.edu" || len(extension["settings"].(map[string]any)["placements"].([]any)) != 2 {
		t.Errorf("extension %v", extension)
	}
	if len(got["scopes"].([]any)) != 6 || got["custom_fields"].(map[string]any)["context_history"] != "$Context.id.history" {
		t.Errorf("scopes %v, fields %v", got["scopes"], got["custom_fields"])
	}
	r.router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, toolURL+"/lti/config.json", http.NoBody))
	if r.problem == nil {
		t.Error("POST was answered")
	}
}

// TestInstructions: every product has what a connection needs.
func TestInstructions(t *testing.T) {
	t.Parallel()
	a := lti.AddressesOf(must(url.Parse(toolURL)), "key-1")
	if a.Login != toolURL+"/lti/login/key-1" || a.Domain != "tool.example.edu" {
		t.Errorf("addresses %+v", a)
	}
	for _, i := range lti.AllInstructions(a) {
		var values, flags []string
		for _, f := range i.Fields {
			if f.Label == "" || f.Value == "" {
				t.Errorf("%s: field %+v", i.Name, f)
			}
			values = append(values, f.Value)
		}
		for _, r := range i.Returns {
			flags = append(flags, r.Flag)
		}
		for _, flag := range []string{"--issuer", "--client-id", "--deployment", "--auth-url", "--token-url", "--jwks-url"} {
			if !slices.Contains(flags, flag) {
				t.Errorf("%s does not say where %s comes from", i.Name, flag)
			}
		}
		all := strings.Join(values, "\n")
		canvas := i.Family == "canvas" && strings.Contains(all, a.Config)
		if !strings.Contains(all, a.Launch) || !canvas && (!strings.Contains(all, a.Login) || !strings.Contains(all, a.Keys)) {
			t.Errorf("%s is not told all addresses", i.Name)
		}
		if i.Where == "" || len(i.After) == 0 || (lti.Registration{ProductFamily: i.Family}).Quirks().Name != i.Name {
			t.Errorf("%s: %+v", i.Family, i)
		}
	}
	for _, name := range []string{"Moodle", "d2l", "blackboard", "OpenEdX"} {
		if _, ok := lti.ManualInstructions(name, a); !ok {
			t.Errorf("no instructions for %s", name)
		}
	}
	if _, ok := lti.ManualInstructions("olat", a); ok {
		t.Error("instructions for an unknown product")
	}
}

// FuzzPlatformConfiguration: whatever a platform says of itself, it is refused with a code
// of the table, or every address in it can be used and the issuer is where it came from.
func FuzzPlatformConfiguration(f *testing.F) {
	p := newFakePlatform(f)
	seed := must(json.Marshal(p.document("https://lms.example.edu")))
	f.Add(seed)
	f.Add([]byte(strings.Replace(string(seed), `"issuer":"https://lms.example.edu"`, `"issuer":"https://lms.example.edu#"`, 1)))
	f.Add([]byte(`{"issuer":"https://blackboard.com"}`))
	f.Add([]byte(`{"issuer":"https://LMS.example.edu/a","` + platformPart + `":{"messages_supported":["LtiDeepLinkingRequest",{}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		client := &http.Client{Transport: fixed(body)}
		registrar := must(lti.NewRegistrar(fuzzDeps(client)))
		c, err := registrar.Fetch(t.Context(), "https://lms.example.edu/config", "")
		if err != nil {
			if refused, ok := err.(*lti.CheckError); !ok || !slices.Contains(lti.Codes(), refused.Code) || refused.Step != lti.StepRegister { //nolint:errorlint // unwrapped, which this checks
				t.Fatalf("got %v", err)
			}
			return
		}
		issuer := must(url.Parse(c.Issuer))
		if !strings.EqualFold(issuer.Host, "lms.example.edu") && !strings.EqualFold(issuer.Host, "lms.example.edu:443") {
			t.Errorf("speaks for %q", c.Issuer)
		}
		r := lti.Registration{OrganisationID: "o", Name: "n", Issuer: c.Issuer, ClientID: "c", AuthURL: c.AuthURL, TokenURL: c.TokenURL, JWKSURL: c.JWKSURL, TokenAudience: c.TokenAudience}
		if err := r.Validate(); err != nil {
			t.Errorf("accepted what cannot be used: %v", err)
		}
	})
}
