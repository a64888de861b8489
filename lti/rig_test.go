package lti_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/fetch"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

const (
	claim        = "https://purl.imsglobal.org/spec/lti/claim/"
	dlClaim      = "https://purl.imsglobal.org/spec/lti-dl/claim/"
	agsClaim     = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
	memberRole   = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
	issuer       = "https://lms.example.edu"
	clientID     = "client-1"
	organisation = "org-1"
	toolURL      = "https://tool.example.edu"
)

var start = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// testKeys are made once: making RSA keys is what takes long.
var (
	platformKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherKey    = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
)

// clock is moved by hand.
type clock struct{ ns atomic.Int64 }

func newClock(t time.Time) *clock {
	c := &clock{}
	c.ns.Store(t.UnixNano())
	return c
}
func (c *clock) Now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// keyServer serves a key set that tests can change.
type keyServer struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	body   []byte
	calls  int
}

func newKeyServer(tb testing.TB, body []byte) *keyServer {
	tb.Helper()
	s := &keyServer{status: http.StatusOK, body: body}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls++
		w.WriteHeader(s.status)
		w.Write(s.body)
	}))
	tb.Cleanup(s.Close)
	return s
}

func (s *keyServer) serve(status int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body = status, body
}

func (s *keyServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// publicSet returns a JWKS; each entry is the public key with the members of extra.
func publicSet(keys ...map[string]any) []byte {
	return must(json.Marshal(map[string]any{"keys": keys}))
}

func publicKey(kid string, key *rsa.PrivateKey, extra map[string]any) map[string]any {
	var m map[string]any
	k := must(jwk.FromRaw(key.Public()))
	if err := json.Unmarshal(must(json.Marshal(k)), &m); err != nil {
		panic(err)
	}
	m["kid"] = kid
	maps.Copy(m, extra)
	return m
}

// rig is a tool with a database, a registered platform, and hands to play both.
type rig struct {
	tb      testing.TB
	tool    *lti.Tool
	router  *mux.Router
	db      *sqldb.DB
	store   *ltistore.Store
	clock   *clock
	reg     lti.Registration
	jwks    *keyServer
	public  string
	keyID   string
	deps    lti.Deps // what the tool was made of
	mu      sync.Mutex
	traces  []lti.Trace
	notices []lti.Notice
}

type outcomeKey struct{}

// outcome is what a request came to.
type outcome struct {
	rec     *httptest.ResponseRecorder
	entered *lti.Session
	page    *lti.Page
	problem error
}

func (o outcome) check(tb testing.TB) *lti.CheckError {
	tb.Helper()
	refused, ok := o.problem.(*lti.CheckError) //nolint:errorlint // Problem gets refusals unwrapped, which this checks.
	if !ok {
		tb.Fatalf("got problem %v (entered %v), want a *CheckError", o.problem, o.entered != nil)
	}
	return refused
}

func (o outcome) session(tb testing.TB) lti.Session {
	tb.Helper()
	if o.entered == nil {
		tb.Fatalf("not entered: %v", o.problem)
	}
	return *o.entered
}

func newRig(tb testing.TB) *rig {
	tb.Helper()
	return newRigAt(tb, toolURL, lti.Registration{})
}

// newRigAt makes a rig with another public URL or registration; empty fields get defaults.
func newRigAt(tb testing.TB, public string, reg lti.Registration) *rig {
	tb.Helper()
	r := &rig{tb: tb, public: public, clock: newClock(start), keyID: "k1"}
	r.jwks = newKeyServer(tb, publicSet(publicKey("k1", platformKey(), nil)))
	r.db = sqldbtest.SQLite(tb)
	r.store = ltistore.New(r.db, r.clock.Now)
	addOrganisation(tb, r.db, organisation)
	if reg.Issuer == "" {
		reg = lti.Registration{Issuer: issuer, ClientID: clientID, Deployments: []string{"1", "2"}}
	}
	reg.OrganisationID, reg.Name = organisation, "Test platform"
	if reg.Settings.Deployments == "" {
		reg.Settings.Deployments = lti.DeploymentsAsk
	}
	reg.AuthURL = strings.TrimSuffix(reg.Issuer, "/") + "/auth?tenant=7"
	reg.TokenURL = strings.TrimSuffix(reg.Issuer, "/") + "/token"
	reg.JWKSURL = r.jwks.URL + "/jwks"
	var err error
	if r.reg, err = r.store.AddRegistration(tb.Context(), reg); err != nil {
		tb.Fatal(err)
	}
	r.deps = lti.Deps{
		PublicURL: must(url.Parse(public)),
		Store:     r.store,
		HTTP:      anyPlatform(fetch.New(fetch.Config{AllowLoopback: true})),
		Secret:    []byte("a secret of thirty-two bytes or so"),
		TraceID:   func(context.Context) string { return "trace-1" },
		Trace: func(tr lti.Trace) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.traces = append(r.traces, tr)
		},
		Notices: r.store,
		Notice: func(_ context.Context, _ lti.Registration, n lti.Notice) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.notices = append(r.notices, n)
			return nil
		},
		Page: func(w http.ResponseWriter, req *http.Request, p lti.Page) {
			if o, ok := req.Context().Value(outcomeKey{}).(*outcome); ok {
				o.page = &p
			}
			w.WriteHeader(http.StatusOK)
		},
		Now:    r.clock.Now,
		Rand:   rand.Reader,
		Logger: slog.New(slog.DiscardHandler),
		Enter: func(w http.ResponseWriter, req *http.Request, s lti.Session) {
			if o, ok := req.Context().Value(outcomeKey{}).(*outcome); ok {
				o.entered = &s
			}
			http.Redirect(w, req, "/s/"+s.ID+"/", http.StatusSeeOther)
		},
		Problem: func(w http.ResponseWriter, req *http.Request, err error) {
			status := http.StatusInternalServerError
			if refused, ok := err.(*lti.CheckError); ok { //nolint:errorlint // as above
				status = refused.Status
			}
			if o, ok := req.Context().Value(outcomeKey{}).(*outcome); ok {
				o.problem = err
			}
			w.WriteHeader(status)
		},
	}
	if r.tool, err = lti.New(r.deps); err != nil {
		tb.Fatal(err)
	}
	r.router = newRouter(r.tool)
	return r
}

// anyPlatform gives every registration the same client.
func anyPlatform(c *http.Client) func(lti.Registration) *http.Client {
	return func(lti.Registration) *http.Client { return c }
}

// lastTrace is what the administrators see of the newest login or launch.
func (r *rig) lastTrace() lti.Trace {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.traces) == 0 {
		r.tb.Fatal("nothing was traced")
	}
	return r.traces[len(r.traces)-1]
}

func newRouter(tool *lti.Tool) *mux.Router {
	router := mux.NewRouter()
	tool.Mount(router)
	return router
}

func addOrganisation(tb testing.TB, db *sqldb.DB, id string) {
	tb.Helper()
	_, err := db.Exec(tb.Context(), `insert into organisations (id, slug, profile, created_at) values (?, ?, ?, ?)`,
		id, id, "{}", sqldb.UTC(start))
	if err != nil {
		tb.Fatal(err)
	}
}

func (r *rig) do(req *http.Request) outcome {
	o := &outcome{rec: httptest.NewRecorder()}
	ctx := context.WithValue(req.Context(), outcomeKey{}, o)
	r.router.ServeHTTP(o.rec, req.WithContext(ctx))
	return *o
}

func (r *rig) post(path string, form url.Values, cookies ...*http.Cookie) outcome {
	req := httptest.NewRequest(http.MethodPost, r.public+path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		req.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r.do(req)
}

func (r *rig) loginForm() url.Values {
	return url.Values{
		"iss": {r.reg.Issuer}, "client_id": {r.reg.ClientID}, "login_hint": {"7"},
		"target_link_uri": {r.public + "/lti/launch"},
	}
}

// attempt is a login that the platform has received.
type attempt struct {
	state, nonce string
	cookies      []*http.Cookie
	query        url.Values
}

func (r *rig) login(extra url.Values) attempt {
	r.tb.Helper()
	form := r.loginForm()
	maps.Copy(form, extra)
	o := r.post("/lti/login", form)
	if o.rec.Code != http.StatusFound {
		r.tb.Fatalf("login answered %d: %v", o.rec.Code, o.problem)
	}
	q := must(url.Parse(o.rec.Header().Get("Location"))).Query()
	return attempt{state: q.Get("state"), nonce: q.Get("nonce"), cookies: o.rec.Result().Cookies(), query: q}
}

// claims returns those of a learner's ordinary launch.
func (r *rig) claims(a attempt) map[string]any {
	now := r.clock.Now().Unix()
	return map[string]any{
		"iss": r.reg.Issuer, "aud": r.reg.ClientID, "sub": "user-7",
		"iat": now, "exp": now + 60, "nonce": a.nonce,
		"name": "Stella Student", "given_name": "Stella", "family_name": "Student", "email": "stella@example.edu",
		claim + "message_type":    "LtiResourceLinkRequest",
		claim + "version":         "1.3.0",
		claim + "deployment_id":   "1",
		claim + "target_link_uri": r.public + "/lti/launch",
		claim + "roles":           []string{memberRole + "Learner"},
		claim + "resource_link":   map[string]any{"id": "link-1", "title": "Badge"},
		claim + "context":         map[string]any{"id": "course-1", "label": "DLC", "title": "Data literacy"},
	}
}

func deepLinking(m map[string]any) {
	m[claim+"message_type"] = "LtiDeepLinkingRequest"
	m[claim+"roles"] = []string{memberRole + "Instructor"}
	delete(m, claim+"resource_link")
	m[dlClaim+"deep_linking_settings"] = map[string]any{
		"deep_link_return_url": issuer + "/return",
		"accept_types":         []string{"ltiResourceLink", "link"},
		"accept_multiple":      true,
	}
}

// sign returns a compact JWS. Payload may be a map or ready bytes.
func sign(payload any, header map[string]any, key *rsa.PrivateKey) string {
	body, ready := payload.([]byte)
	if !ready {
		body = must(json.Marshal(payload))
	}
	h := jws.NewHeaders()
	for name, value := range header {
		if err := h.Set(name, value); err != nil {
			panic(err)
		}
	}
	return string(must(jws.Sign(body, jws.WithKey(jwa.RS256, key, jws.WithProtectedHeaders(h)))))
}

// signRaw signs with a header written by hand, which the library would not write.
func signRaw(header string, payload []byte, key *rsa.PrivateKey) string {
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(rs256(input, key))
}

// deliver posts a token for the attempt.
func (r *rig) deliver(a attempt, token string) outcome {
	return r.post("/lti/launch", url.Values{"id_token": {token}, "state": {a.state}}, a.cookies...)
}

// launch plays a whole launch with changed claims.
func (r *rig) launch(change func(m map[string]any)) outcome {
	r.tb.Helper()
	a := r.login(nil)
	m := r.claims(a)
	if change != nil {
		change(m)
	}
	return r.deliver(a, sign(m, map[string]any{"kid": r.keyID}, platformKey()))
}
