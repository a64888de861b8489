package lti_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/fetch"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

const (
	platformPart = "https://purl.imsglobal.org/spec/lti-platform-configuration"
	toolPart     = "https://purl.imsglobal.org/spec/lti-tool-configuration"
	regToken     = "registration-token-SECRET-0123456789"
)

// answering is how the fake platform answers at one address.
type answering struct {
	status int // 0: 200
	kind   string
	body   any // string as it is, else JSON
	wait   bool
	header http.Header
}

// fakePlatform is the platform's side of a registration: a configuration and an address
// to register at.
type fakePlatform struct {
	*httptest.Server
	mu            sync.Mutex
	configuration answering
	registration  answering
	gets, posts   []*http.Request
	bodies        []map[string]any
	left          chan struct{} // closed when the test ends: whoever waits may go
}

func newFakePlatform(tb testing.TB) *fakePlatform {
	tb.Helper()
	p := &fakePlatform{left: make(chan struct{})}
	m := http.NewServeMux()
	m.HandleFunc("GET /config", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.gets = append(p.gets, r)
		a := p.configuration
		p.mu.Unlock()
		p.answer(w, a)
	})
	m.HandleFunc("POST /register", func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		p.mu.Lock()
		p.posts, p.bodies = append(p.posts, r), append(p.bodies, body)
		a := p.registration
		p.mu.Unlock()
		p.answer(w, a)
	})
	p.Server = httptest.NewServer(m)
	tb.Cleanup(p.Close)
	tb.Cleanup(func() { close(p.left) })
	p.configuration = answering{body: p.document(p.URL)}
	p.registration = answering{status: http.StatusCreated, body: map[string]any{"client_id": "c-9", toolPart: map[string]any{"deployment_id": "1"}}}
	return p
}

func (p *fakePlatform) answer(w http.ResponseWriter, a answering) {
	if a.wait {
		<-p.left
		return
	}
	maps.Copy(w.Header(), a.header)
	kind := a.kind
	if kind == "" {
		kind = "application/json"
	}
	w.Header().Set("Content-Type", kind)
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	text, ok := a.body.(string)
	if !ok {
		text = string(must(json.Marshal(a.body)))
	}
	io.WriteString(w, text)
}

// document is a configuration with everything in it, below base.
func (p *fakePlatform) document(base string) map[string]any {
	return map[string]any{
		"issuer":                                base,
		"authorization_endpoint":                base + "/auth",
		"token_endpoint":                        base + "/token",
		"jwks_uri":                              base + "/jwks",
		"registration_endpoint":                 base + "/register",
		"token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"RS256"},
		"response_types_supported":                         []string{"id_token"},
		"subject_types_supported":                          []string{"public", "pairwise"},
		"id_token_signing_alg_values_supported":            []string{"RS256"},
		"scopes_supported":                                 []string{"openid", lti.ScopeLineItem, lti.ScopeResultReadOnly},
		"claims_supported":                                 []string{"sub", "iss", "name", "email"},
		platformPart: map[string]any{
			"product_family_code": "moodle", "version": "4.5",
			"messages_supported": []any{
				map[string]any{"type": lti.MessageResourceLink},
				map[string]any{"type": lti.MessageDeepLinking, "placements": []string{"ContentArea", "RichTextEditor"}},
			},
			"variables": []string{"Context.id.history", "CourseSection.timeFrame.begin", "Context.timeFrame.begin"},
		},
	}
}

// with changes members of the configuration; a nil value takes one away.
func (p *fakePlatform) with(changes map[string]any) {
	d := p.document(p.URL)
	for name, value := range changes {
		if value == nil {
			delete(d, name)
		} else {
			d[name] = value
		}
	}
	p.configuration = answering{body: d}
}

// anywhere sends requests for every host to one server.
type anywhere struct{ server *url.URL }

func (a anywhere) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := r.Clone(r.Context())
	sent.Host = r.URL.Host
	sent.URL.Scheme, sent.URL.Host = a.server.Scheme, a.server.Host
	return http.DefaultTransport.RoundTrip(sent)
}

// registrarRig is a Registrar with a database, an invitation, and a platform.
type registrarRig struct {
	t        *testing.T
	db       *sqldb.DB
	store    *ltistore.Store
	clock    *clock
	router   *mux.Router
	log      bytes.Buffer
	platform *fakePlatform
	client   *http.Client
	ticket   string
	referer  string
	page     *lti.RegisterPage // of the last request
	problem  error             // likewise
	header   http.Header
	status   int
}

func newRegistrarRig(t *testing.T) *registrarRig {
	t.Helper()
	r := &registrarRig{t: t, clock: newClock(start), platform: newFakePlatform(t), client: fetch.New(fetch.Config{AllowLoopback: true})}
	r.db = sqldbtest.SQLite(t)
	r.store = ltistore.New(r.db, r.clock.Now)
	addOrganisation(t, r.db, organisation)
	addOrganisation(t, r.db, "org-2")
	r.ticket = r.invite()
	r.router = mux.NewRouter()
	r.registrar().Mount(r.router)
	return r
}

func (r *registrarRig) invite() string {
	r.t.Helper()
	return must(r.store.Invite(r.t.Context(), organisation, "", "operator", 0))
}

func (r *registrarRig) deps() lti.RegistrarDeps {
	return lti.RegistrarDeps{
		PublicURL: must(url.Parse(toolURL)), HTTP: func(lti.Registration) *http.Client { return r.client }, Rand: rand.Reader,
		Logger: slog.New(slog.NewJSONHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Invitations: r.store,
		Page: func(w http.ResponseWriter, req *http.Request, p lti.RegisterPage) {
			r.page = &p
			if p.Refused != nil {
				r.registrarLog().InfoContext(req.Context(), "refused", "err", p.Refused)
				w.WriteHeader(p.Refused.Status)
			}
		},
		Problem: func(w http.ResponseWriter, _ *http.Request, err error) {
			r.problem = err
			w.WriteHeader(http.StatusInternalServerError)
		},
		Tool: lti.ToolDescription{
			Name: map[string]string{"en": "Seals", "nl": "Zegels"}, AttachLabel: map[string]string{"en": "Seal", "fi": "Sinetti"}, Description: "Seals things.",
			LogoURL: toolURL + "/logo.svg", PolicyURL: toolURL + "/policy", Contacts: []string{"ops@example.edu"},
		},
	}
}

// registrarLog stands for the log line that the caller of the Registrar writes.
func (r *registrarRig) registrarLog() *slog.Logger {
	return slog.New(slog.NewJSONHandler(&r.log, nil))
}

func (r *registrarRig) registrar() *lti.Registrar {
	r.t.Helper()
	return must(lti.NewRegistrar(r.deps()))
}

// open is the browser opening the registration address; nothing in q stays out.
func (r *registrarRig) open(ticket string, q url.Values) {
	r.t.Helper()
	r.page, r.problem = nil, nil
	address := toolURL + "/lti/register"
	if ticket != "" {
		address += "/" + ticket
	}
	req := httptest.NewRequest(http.MethodGet, address+"?"+q.Encode(), http.NoBody)
	if r.referer != "" {
		req.Header.Set("Referer", r.referer)
	}
	rec := httptest.NewRecorder()
	r.router.ServeHTTP(rec, req)
	r.header, r.status = rec.Result().Header, rec.Code
}

// register lets the platform begin a registration with its configuration at address,
// empty: where it is.
func (r *registrarRig) register(address string) {
	r.t.Helper()
	if address == "" {
		address = r.platform.URL + "/config"
	}
	r.open(r.ticket, url.Values{"openid_configuration": {address}, "registration_token": {regToken}})
}

// refused expects the last request to have failed with this code and status, without
// having cost the invitation, and returns the refusal.
func (r *registrarRig) refused(code string, status int) *lti.CheckError {
	r.t.Helper()
	if r.problem != nil || r.page == nil || r.page.Refused == nil {
		r.t.Fatalf("not refused: page %+v, problem %v", r.page, r.problem)
	}
	got := r.page.Refused
	if got.Code != code || got.Status != status || r.status != status || got.Step != lti.StepRegister || got.Advice == "" {
		r.t.Errorf("refused with %d %v (step %s), want %d %s", got.Status, got, got.Step, status, code)
	}
	if all := must(r.store.AllRegistrations(r.t.Context(), organisation)); len(all) > 0 {
		r.t.Errorf("something was stored: %+v", all)
	}
	return got
}

// untouched expects the invitation to be open still.
func (r *registrarRig) untouched() {
	r.t.Helper()
	if _, err := r.store.Invitation(r.t.Context(), r.ticket); err != nil {
		r.t.Errorf("the invitation is not open any more: %v", err)
	}
}

func (r *registrarRig) registered() lti.Registered {
	r.t.Helper()
	if r.problem != nil || r.page == nil || r.page.Registered == nil || r.status != http.StatusOK {
		r.t.Fatalf("not registered: page %+v, problem %v", r.page, r.problem)
	}
	return *r.page.Registered
}

// sent is the body of the only registration that arrived at the platform.
func (r *registrarRig) sent() map[string]any {
	r.t.Helper()
	r.platform.mu.Lock()
	defer r.platform.mu.Unlock()
	if len(r.platform.bodies) != 1 {
		r.t.Fatalf("%d registrations arrived", len(r.platform.bodies))
	}
	return r.platform.bodies[0]
}

// calls counts what arrived at the platform, and how much of it had the token.
func (r *registrarRig) calls() (gets, posts, withToken int) {
	r.platform.mu.Lock()
	defer r.platform.mu.Unlock()
	for _, call := range append(append([]*http.Request{}, r.platform.gets...), r.platform.posts...) {
		if strings.Contains(call.Header.Get("Authorization"), regToken) {
			withToken++
		}
	}
	return len(r.platform.gets), len(r.platform.posts), withToken
}

// impatient waits for a tenth of a second only.
func impatient() *http.Client {
	c := fetch.New(fetch.Config{AllowLoopback: true})
	c.Timeout = 100 * time.Millisecond
	return c
}

// fixed answers everything with one body.
type fixed []byte

func (f fixed) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(f)), Request: r}, nil
}

func fuzzDeps(client *http.Client) lti.RegistrarDeps {
	r := &registrarRig{client: client}
	d := r.deps()
	d.Invitations = ltistore.New(nil, time.Now)
	return d
}
