package web_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/cmd/sealsmith/web"
	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/artefacttest"
	"github.com/sealsmith/sealsmith/issuance/batch"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/pdf"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/starter"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const origin = "http://127.0.0.1:8080"

const (
	roleTeacher  = "http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"
	roleLearner  = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
	roleMentor   = "http://purl.imsglobal.org/vocab/lis/v2/membership#Mentor"
	roleAdmin    = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator"
	roleTestUser = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// world is a whole server over a fresh database: real stores, the real LTI tool, a worker
// with a key in memory. Only the platform's grades and the queue are made up.
type world struct {
	t         testing.TB
	db        *sqldb.DB
	pages     *web.Web
	handler   http.Handler
	router    *mux.Router
	store     *ltistore.Store
	templates *templates.Store
	grading   *grading.Store
	desk      *issuance.Desk
	batches   *batch.Store
	worker    *issuance.Worker
	token     *seal
	objects   *artefacttest.Memory
	grades    *grades
	log       *bytes.Buffer
	trust     *x509.CertPool
	qualify   issuance.Qualify // nil: no trusted lists

	mu       sync.Mutex
	members  lti.Roster
	listErr  error
	listed   []string
	sealing  web.SealingStatus
	tokens   []web.TokenStatus
	stamps   []web.StampStatus
	asked    []string // whose tokens
	parts    []web.Component
	found    []lti.Finding             // what a check finds
	checked  []string                  // registrations that were checked
	checking func(ctx context.Context) // runs in a check; nil: nothing does

	polder, fjord house
}

// house is an organisation with its platform and first template.
type house struct {
	org     templates.Organisation
	reg     lti.Registration
	version templates.Version
}

func newWorld(t testing.TB) *world { //nolint:thelper // as everywhere in this package
	t.Helper()
	w := &world{t: t, db: sqldbtest.SQLite(t), grades: &grades{}, log: &bytes.Buffer{}}
	now := func() time.Time { return noon }
	logger := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	public, err := url.Parse(origin)
	must(t, err)
	w.store = ltistore.New(w.db, now)
	w.templates = templates.NewStore(w.db, now)
	w.objects = new(artefacttest.Memory)
	w.desk = issuance.NewDesk(w.db, deaf{}, now, logger).WithObjects(w.objects)
	w.grading = grading.NewStore(w.db, w.desk, now)
	w.batches = batch.NewStore(w.db, w.grading, w.desk, now, logger)
	seal := newSeal(t)
	w.token, w.trust = seal, seal.pool
	w.sealing = web.SealingStatus{Issuer: hsm.InspectSeal(seal.cert)}
	w.parts = []web.Component{{Name: "database", OK: true, Required: true}, {Name: "token", OK: true}}
	pages, err := elm.NewRenderer()
	must(t, err)
	w.worker = &issuance.Worker{DB: w.db, Templates: w.templates, Sealer: seal, Pages: pages, PublicURL: public, Lease: time.Minute, Now: now, Logger: logger}
	tool, err := lti.New(lti.Deps{
		PublicURL: public, Store: w.store, HTTP: func(lti.Registration) *http.Client { return http.DefaultClient }, Secret: make([]byte, 32), Now: now, Rand: rand.Reader, Logger: logger,
		TraceID: func(context.Context) string { return "trace" }, Trace: func(lti.Trace) {}, Page: func(http.ResponseWriter, *http.Request, lti.Page) {},
		Notices: w.store, Notice: func(context.Context, lti.Registration, lti.Notice) error { return nil },
		Enter: func(http.ResponseWriter, *http.Request, lti.Session) {}, Problem: func(http.ResponseWriter, *http.Request, error) {},
	})
	must(t, err)
	printer, err := pdf.NewPrinter()
	must(t, err)
	pdfs := issuance.NewPDFs(issuance.PDFDeps{
		DB: w.db, Templates: w.templates, Printer: printer, Sealer: func(string) issuance.Sealer { return seal }, Patience: time.Hour, Objects: w.objects, Now: now, Logger: logger,
	})
	reader := &grading.Reader{Store: w.grading, Source: w.grades, Now: now, Logger: logger}
	w.pages, err = web.New(web.Deps{
		PublicURL: public, LTI: tool, Registrations: w.store, Roster: w.roster, Templates: w.templates, Grading: w.grading, Reader: reader, Desk: w.desk, Batches: w.batches, PDFs: pdfs,
		Sealing: w.status, Tokens: w.tokenList, Stamps: w.stampList, Level: templates.SealLTA, Ready: w.ready, Check: w.check, Now: now, Logger: logger, Version: "test",
		Verify: func(file []byte) issuance.Report {
			return issuance.Verify(file, issuance.VerifyOptions{Trust: w.trust, Qualify: w.qualify, Now: noon})
		},
	})
	must(t, err)
	w.router = mux.NewRouter()
	w.pages.Mount(w.router)
	w.handler = w.pages.Wrap(w.router)
	w.polder = w.newHouse("polder", "Polder University of Technology", "NTRNL-12345678", "https://moodle.polder.example", "#5a2a82")
	w.fjord = w.newHouse("fjord", "Fjordmark College", "NTRNO-987654321", "https://lms.fjord.example", "")
	return w
}

// roster is the platform's list of a course.
func (w *world) roster(_ context.Context, _ lti.Registration, address string, _ lti.MemberQuery) (lti.Roster, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed = append(w.listed, address)
	return w.members, w.listErr
}

func (w *world) status(string) web.SealingStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sealing
}

func (w *world) tokenList(slug string) []web.TokenStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, slug)
	return w.tokens
}

func (w *world) stampList() []web.StampStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stamps
}

func (w *world) ready(context.Context) []web.Component {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.parts
}

// check notes that it was asked for.
func (w *world) check(ctx context.Context, r lti.Registration) []lti.Finding {
	if w.checking != nil {
		w.checking(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checked = append(w.checked, r.ID)
	return w.found
}

// pause takes the token away.
func (w *world) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sealing = web.SealingStatus{Paused: true, Reason: "the token is not plugged in", Detail: "slot 0 is empty"}
}

func (w *world) newHouse(slug, name, identifier, platform, brand string) house {
	w.t.Helper()
	ctx := w.t.Context()
	org, err := w.templates.AddOrganisation(ctx, templates.Organisation{
		Slug: slug, Name: templates.Text{"en": name}, Country: "NL",
		Identifier: identifier, Brand: brand, Email: "office@" + slug + ".example",
	})
	must(w.t, err)
	reg, err := w.store.AddRegistration(ctx, lti.Registration{
		OrganisationID: org.ID, Name: slug, Issuer: platform, ClientID: slug,
		AuthURL: platform + "/auth", TokenURL: platform + "/token", JWKSURL: platform + "/jwks", Deployments: []string{"1"},
	})
	must(w.t, err)
	starters, err := starter.All()
	must(w.t, err)
	var version templates.Version
	for _, s := range starters {
		v, err := w.templates.Add(ctx, org.ID, s.Slug, s.Content, "operator")
		must(w.t, err)
		if s.Slug == "sustainable-food-systems" {
			version = v
		}
	}
	return house{org, reg, version}
}

// launch is a resource link launch of the house's platform.
func (h house) launch(subject string, roles ...string) lti.Launch {
	return lti.Launch{
		RegistrationID: h.reg.ID, OrganisationID: h.org.ID, Issuer: h.reg.Issuer, ClientID: h.reg.ClientID, DeploymentID: "1",
		MessageType: lti.MessageResourceLink, Roles: roles,
		User:         lti.User{Subject: subject, GivenName: "Maija", FamilyName: "Meikäläinen", Name: "Maija Meikäläinen"},
		Context:      lti.Context{ID: "course-1", Title: "Sustainable Food Systems, autumn 2026"},
		ResourceLink: lti.ResourceLink{ID: "link-1"},
		AGS:          lti.AGS{LineItems: h.reg.Issuer + "/lineitems", LineItem: h.reg.Issuer + "/lineitems/7"},
		Presentation: lti.Presentation{ReturnURL: h.reg.Issuer + "/course/view?id=1"},
		IssuedAt:     noon,
	}
}

// choosing is a deep linking launch.
func (h house) choosing(subject string, roles ...string) lti.Launch {
	l := h.launch(subject, roles...)
	l.MessageType, l.ResourceLink = lti.MessageDeepLinking, lti.ResourceLink{}
	l.DeepLinking = &lti.DeepLinkingSettings{ReturnURL: "https://return.example/deep?x=1", AcceptTypes: []string{"ltiResourceLink"}}
	return l
}

// browser is one browser with the cookie of one session.
type browser struct {
	w      *world
	sid    string
	cookie *http.Cookie
}

// enter opens a session for the launch, through the real store.
func (w *world) enter(l lti.Launch) browser {
	w.t.Helper()
	id, secret := uuid.Must(uuid.NewV7()).String(), uuid.NewString()
	sum := sha256.Sum256([]byte(secret))
	must(w.t, w.store.OpenSession(w.t.Context(), lti.Session{ID: id, Launch: l, CreatedAt: noon, ExpiresAt: noon.Add(lti.SessionLifetime)}, hex.EncodeToString(sum[:])))
	return browser{w: w, sid: id, cookie: &http.Cookie{Name: "sealsmith-s-" + id, Value: secret}}
}

// path is the address of a page of the session.
func (b browser) path(page string) string { return "/s/" + b.sid + "/" + page }

func (b browser) get(page string) *httptest.ResponseRecorder {
	b.w.t.Helper()
	r := httptest.NewRequestWithContext(b.w.t.Context(), http.MethodGet, origin+b.path(page), nil)
	r.AddCookie(b.cookie)
	return b.w.do(r)
}

func (b browser) post(page string, form url.Values) *httptest.ResponseRecorder {
	b.w.t.Helper()
	r := httptest.NewRequestWithContext(b.w.t.Context(), http.MethodPost, origin+b.path(page), strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.AddCookie(b.cookie)
	return b.w.do(r)
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	out := httptest.NewRecorder()
	w.handler.ServeHTTP(out, r)
	return out
}

func (w *world) get(path string) *httptest.ResponseRecorder {
	w.t.Helper()
	return w.do(httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, origin+path, nil))
}

// attach attaches the house's template and returns a launch of that activity.
func (w *world) attach(h house, subject string, roles ...string) (grading.Attachment, lti.Launch) {
	w.t.Helper()
	l := h.launch(subject, roles...)
	teacher := h.choosing("teacher", roleTeacher)
	a, err := w.grading.Attach(w.t.Context(), teacher, grading.Choice{Version: h.version, Rule: templates.Rule{MinPercent: 55}})
	must(w.t, err)
	l.Custom = map[string]string{grading.CustomKey: a.ID}
	return a, l
}

// sealed is a browser of a learner who holds a sealed credential, with its public link.
func (w *world) sealed() (browser, string) {
	w.t.Helper()
	a, l := w.attach(w.polder, "learner-1", roleLearner)
	w.grades.set("learner-1", 85)
	b := w.enter(l)
	want(w.t, b.get("learn"), http.StatusOK)
	want(w.t, b.post("claim", url.Values{"given": {"Maija"}, "family": {"Meikäläinen"}}), http.StatusSeeOther)
	c, err := w.desk.OfLearner(w.t.Context(), w.polder.org.ID, a.ID, "learner-1")
	must(w.t, err)
	must(w.t, w.worker.Seal(w.t.Context(), c.ID))
	credential, err := w.desk.Credential(w.t.Context(), w.polder.org.ID, c.ID)
	must(w.t, err)
	return b, credential.Link
}

// want checks the status of an answer.
func want(tb testing.TB, got *httptest.ResponseRecorder, status int) {
	tb.Helper()
	if got.Code != status {
		tb.Fatalf("status %d, want %d; Location %q\n%s", got.Code, status, got.Header().Get("Location"), got.Body)
	}
}

// says checks that a page contains every sentence.
func says(tb testing.TB, got *httptest.ResponseRecorder, sentences ...string) {
	tb.Helper()
	text := plain(got.Body.String())
	for _, s := range sentences {
		if !strings.Contains(text, s) {
			tb.Errorf("the page does not say %q:\n%s", s, text)
		}
	}
}

// silent checks that a page contains none of the words.
func silent(tb testing.TB, got *httptest.ResponseRecorder, words ...string) {
	tb.Helper()
	for _, s := range words {
		if strings.Contains(got.Body.String(), s) {
			tb.Errorf("the page contains %q", s)
		}
	}
}

// grades is the platform: a source of grades that can be set, or out of reach.
type grades struct {
	mu    sync.Mutex
	score map[string]float64
	err   error
	reads int
}

func (g *grades) set(learner string, score float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.score == nil {
		g.score = map[string]float64{}
	}
	g.score[learner] = score
}

func (g *grades) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

// Name implements grading.Source.
func (g *grades) Name() string { return "ags-results" }

// Read implements grading.Source.
func (g *grades) Read(_ context.Context, a grading.Attachment, learner string) (string, []grading.Observation, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reads++
	if g.err != nil {
		return "", nil, g.err
	}
	var all []grading.Observation
	for who, score := range g.score {
		if learner == "" || learner == who {
			all = append(all, grading.Observation{
				Learner: who, Score: sql.NullFloat64{Float64: score, Valid: true}, Maximum: 100,
				Raw: fmt.Appendf(nil, `{"userId":%q,"resultScore":%v}`, who, score),
			})
		}
	}
	return a.LineItemURL, all, nil
}

// deaf is a queue that takes everything and keeps nothing: the rows are the truth.
type deaf struct{}

// Offer implements issuance.Queue.
func (deaf) Offer(context.Context, ...string) error { return nil }

// seal is a token in memory.
type seal struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
	away atomic.Bool
	made atomic.Int64 // signatures
}

func newSeal(tb testing.TB) *seal {
	tb.Helper()
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	root := certificate(tb, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example Trust Service"}, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign,
	}, nil, ca.Public(), ca)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	leaf := certificate(tb, &x509.Certificate{SerialNumber: big.NewInt(2), KeyUsage: x509.KeyUsageContentCommitment, Subject: pkix.Name{
		CommonName: "Alliance Seal", Organization: []string{"Alliance of Challenge-driven Universities"}, Country: []string{"BE"},
		ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "NTRBE-0123456789"}},
	}}, root, key.Public(), ca)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return &seal{key: key, cert: leaf, pool: pool}
}

func certificate(tb testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	tb.Helper()
	template.NotBefore, template.NotAfter, template.BasicConstraintsValid = noon.AddDate(-1, 0, 0), noon.AddDate(1, 0, 0), true
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	must(tb, err)
	c, err := x509.ParseCertificate(der)
	must(tb, err)
	return c
}

// Key implements issuance.Sealer.
func (s *seal) Key(context.Context) (hsm.Key, error) {
	if s.away.Load() {
		return hsm.Key{}, &hsm.PausedError{State: hsm.StateAbsent, Reason: "the token is not plugged in"}
	}
	sum := sha256.Sum256(s.cert.Raw)
	return hsm.Key{ID: hex.EncodeToString(sum[:]), Alg: "ES256", Chain: []*x509.Certificate{s.cert}}, nil
}

// Usable implements issuance.Sealer.
func (s *seal) Usable() bool { return !s.away.Load() }

// Sign implements issuance.Sealer.
func (s *seal) Sign(_ context.Context, _ string, input ...[]byte) ([]byte, error) {
	s.made.Add(1)
	sum := sha256.Sum256(bytes.Join(input, nil))
	r, sig, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		return nil, err
	}
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	sig.FillBytes(out[32:])
	return out, nil
}
