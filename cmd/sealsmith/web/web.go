package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/templates"
)

// Deps is what the pages need. All fields but Version are required.
type Deps struct {
	// PublicURL is the origin under which browsers see the server.
	PublicURL *url.URL
	// LTI finds the session of a request and signs deep linking responses: *lti.Tool.
	LTI LTI
	// Registrations finds the platform of a session, for the frames it may show us in, and
	// is what the pages about connections show and change.
	Registrations *ltistore.Store
	// Check tries whether a connection works: the Run of a lti.Checkup.
	Check func(ctx context.Context, r lti.Registration) []lti.Finding
	// Roster reads who is in a course: the Members of *lti.Services.
	Roster    func(ctx context.Context, r lti.Registration, membershipsURL string, q lti.MemberQuery) (lti.Roster, error)
	Templates *templates.Store
	Grading   *grading.Store
	Reader    *grading.Reader
	Desk      *issuance.Desk
	// Batches award to many, and take over files of results.
	Batches *batch.Store
	// PDFs makes certificates to be printed.
	PDFs *issuance.PDFs
	// Sealing says how the tokens of an organisation, by its slug, are, without touching them.
	Sealing func(slug string) SealingStatus
	// Tokens are those that serve an organisation by its slug, or all of this server ("").
	Tokens func(slug string) []TokenStatus
	// Stamps are the time-stamping authorities; none when none is set up.
	Stamps func() []StampStatus
	// Level is what credentials reach whose organisation names nothing else.
	Level templates.SealLevel
	// Verify checks a sealed file, as the command line does.
	Verify func(file []byte) issuance.Report
	// Ready asks every part of the server how it is.
	Ready func(ctx context.Context) []Component
	// Now is the clock.
	Now    func() time.Time
	Logger *slog.Logger
	// Version of the program, shown by /readyz.
	Version string
}

// LTI is what the pages need of the LTI tool.
type LTI interface {
	// Session returns the session with this id when the request carries its cookie, or
	// lti.ErrNoSession.
	Session(r *http.Request, sessionID string) (lti.Session, error)
	// DeepLinkingResponse signs the answer to a deep linking request, to be posted to
	// returnURL as the field JWT. It may be called again.
	DeepLinkingResponse(ctx context.Context, s lti.Session, reply lti.DeepLinkingReply) (returnURL, jwt string, err error)
}

// SealingStatus says whether credentials are being sealed.
type SealingStatus struct {
	Paused bool
	Slow   bool   // not paused, but slower than it could be
	Reason string // for everybody, the end of the sentence "Sealing is paused: …" or "… goes on slowly: …"; else empty
	Detail string // for administrators: what to do
	// Issuer is what the seal certificate says of itself; zero while no token was seen.
	Issuer hsm.SealFacts
	// Rate is how many seals a second the tokens have been measured to make; 0: not yet.
	Rate float64
	// Own tells that the organisation has tokens that seal for nobody else.
	Own bool
}

// TokenStatus is one token and how it is.
type TokenStatus struct {
	Name         string              `json:"name"` // its label, and its serial number when seen
	Purpose      string              `json:"purpose"`
	State        string              `json:"state"`
	OK           bool                `json:"ok"`
	Words        string              `json:"words"` // what is so, and what to do
	Algorithm    string              `json:"algorithm,omitempty"`
	Rate         float64             `json:"rate,omitempty"` // seals a second, measured
	Signed       uint64              `json:"signed"`         // since the server was started
	Failed       uint64              `json:"failed"`
	DaysLeft     int                 `json:"days_left,omitempty"` // of the certificate
	Certificates []CertificateStatus `json:"certificates,omitempty"`
}

// CertificateStatus is one certificate of a token's key.
type CertificateStatus struct {
	Name  string    `json:"name"`
	Role  string    `json:"role"` // current, next or retired
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}

// StampStatus is one time-stamping authority and how it is.
type StampStatus struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Unasked bool   `json:"unasked,omitempty"` // nothing is known of it yet
	Words   string `json:"words"`
}

// Component is one part of the server and how it is.
type Component struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Required bool   `json:"required"` // without it no page can be served
	Words    string `json:"words"`    // what is so, and what to do
	// Token has the details of a token.
	Token *TokenStatus `json:"token,omitempty"`
}

// Web serves the pages. It is safe for concurrent use.
type Web struct {
	deps     Deps
	pages    *pages
	problems problemWords
	fields   map[string]string // names of the fields of the template form
	guard    *http.CrossOriginProtection
	rosters  rosters
	steps    map[lti.Step]stepWords
	checks   checks
	packed   packedLists
}

// New checks d, parses all pages, and returns a Web. It starts nothing.
func New(d Deps) (*Web, error) {
	if d.PublicURL == nil || d.LTI == nil || d.Registrations == nil || d.Check == nil || d.Roster == nil || d.Templates == nil || d.Grading == nil ||
		d.Reader == nil || d.Desk == nil || d.Batches == nil || d.PDFs == nil || d.Sealing == nil || d.Tokens == nil || d.Stamps == nil || d.Verify == nil || d.Ready == nil || d.Now == nil || d.Logger == nil {
		return nil, errors.New("web: every field of Deps but Version is required")
	}
	pages, err := newPages()
	if err != nil {
		return nil, err
	}
	words, err := newLanguage()
	if err != nil {
		return nil, err
	}
	s := &Web{
		deps: d, pages: pages, problems: words.Problems, fields: words.Fields, steps: words.Steps, guard: http.NewCrossOriginProtection(),
		rosters: rosters{lists: map[string]roster{}}, checks: checks{running: map[string]bool{}},
	}
	// The platform posts these from its own origin; the state cookie protects them.
	s.guard.AddInsecureBypassPattern("POST /lti/login")
	s.guard.AddInsecureBypassPattern("POST /lti/login/{key}")
	s.guard.AddInsecureBypassPattern("POST /lti/launch")
	s.guard.SetDenyHandler(s.do(func(http.ResponseWriter, *http.Request) error { return errCrossOrigin }))
	return s, nil
}

// Mount adds all pages to r, and to everything on r a note of the route for the log.
func (s *Web) Mount(r *mux.Router) {
	r.Use(noteRoute)
	r.NotFoundHandler = s.do(func(http.ResponseWriter, *http.Request) error { return errNoPage })
	r.MethodNotAllowedHandler = s.do(func(http.ResponseWriter, *http.Request) error { return errMethod })
	s.routes(r)
}

// routes is the whole table.
func (s *Web) routes(r *mux.Router) {
	get := func(path string, a action) { r.Handle(path, s.do(a)).Methods(http.MethodGet, http.MethodHead) }
	post := func(path string, a action) { r.Handle(path, s.do(a)).Methods(http.MethodPost) }

	// Anybody.
	get("/", s.front)
	get("/verify", s.verifyForm)
	post("/verify", s.verify)
	get("/c/{link}", s.public)
	get("/c/{link}/credential.jsonld", s.publicFile)
	get("/c/{link}/certificate.pdf", s.publicPDF)
	get("/status/{id}", s.status)
	get("/status/lists/{list}/{kind}", s.statusList)
	get("/brand/{slug}.css", s.brand)
	get("/static/{version}/{path:.+}", s.static)
	get("/favicon.ico", s.favicon)
	get("/problems/", s.kinds)
	get("/problems/{kind}", s.kind)
	get("/livez", s.livez)
	get("/readyz", s.readyz)

	// Whoever came through the LMS.
	get("/s/{sid}/", s.visit(anyRole, s.home))

	// Teachers who choose, and teachers of an activity.
	get("/s/{sid}/pick", s.visit(chooser, s.choosing(s.pick)))
	get("/s/{sid}/see", s.visit(chooser, s.choosing(s.see)))
	get("/s/{sid}/rule", s.visit(chooser, s.choosing(s.rule)))
	post("/s/{sid}/attach", s.visit(chooser, s.choosing(s.attach)))
	post("/s/{sid}/cancel", s.visit(chooser, s.cancel))
	get("/s/{sid}/class", s.visit(teacher, s.class))
	get("/s/{sid}/cohort", s.visit(teacher, s.cohortState))
	post("/s/{sid}/confirm", s.visit(teacher, s.confirmCopy))
	post("/s/{sid}/read", s.visit(teacher, s.read))

	// Learners.
	get("/s/{sid}/learn", s.visit(learner, s.learn))
	post("/s/{sid}/claim", s.visit(learner, s.claim))
	get("/s/{sid}/state", s.visit(learner, s.state))
	get("/s/{sid}/credential.jsonld", s.visit(learner, s.ownFile))
	get("/s/{sid}/certificate.pdf", s.visit(learner, s.ownPDF))
	get("/s/{sid}/name", s.visit(learner, s.name))
	post("/s/{sid}/name", s.visit(learner, s.propose))
	post("/s/{sid}/name/back", s.visit(learner, s.takeBack))

	// Whoever asks what is kept about somebody.
	get("/s/{sid}/privacy", s.visit(privacy, s.privacy))
	get("/s/{sid}/privacy.json", s.visit(privacy, s.privacyFile))

	// Administrators.
	get("/s/{sid}/templates", s.visit(admin, s.templates))
	get("/s/{sid}/templates/new", s.visit(admin, s.templateNew))
	post("/s/{sid}/templates/new", s.visit(admin, s.templateAdd))
	get("/s/{sid}/templates/{id}", s.visit(admin, s.templateEdit))
	post("/s/{sid}/templates/{id}", s.visit(admin, s.templateSave))
	get("/s/{sid}/seal", s.visit(admin, s.seal))
	post("/s/{sid}/seal/pause", s.visit(admin, s.pauseSealing))
	post("/s/{sid}/seal/resume", s.visit(admin, s.resumeSealing))
	post("/s/{sid}/seal/retry", s.visit(admin, s.retryStopped))
	post("/s/{sid}/seal/drop", s.visit(admin, s.dropStopped))
	s.correctionRoutes(get, post)
	s.staffRoutes(get, post)
	s.connectionRoutes(get, post)
	s.batchRoutes(get, post)
}

// batchRoutes are the pages about many learners at once: teachers propose, administrators
// confirm.
func (s *Web) batchRoutes(get, post func(path string, a action)) {
	get("/s/{sid}/award", s.visit(teacher, s.award))
	post("/s/{sid}/award", s.visit(teacher, s.awardNow))
	post("/s/{sid}"+importPath, s.visit(teacher, s.importFile))
	get("/s/{sid}/ending", s.visit(staff, s.ending))
	get("/s/{sid}/ending.csv", s.visit(staff, s.endingFile))
	post("/s/{sid}/ending", s.visit(teacher, s.renewMany))
	post("/s/{sid}/renew", s.visit(learner, s.renewOwn))
	const at = "/s/{sid}/batches"
	get(at, s.visit(staff, s.batches))
	get(at+"/{id}", s.visit(staff, s.batch))
	get(at+"/{id}/state", s.visit(staff, s.batchState))
	get(at+"/{id}/report.csv", s.visit(staff, s.batchReport))
	post(at+"/{id}/cancel", s.visit(staff, s.batchDo(s.cancelBatch)))
	post(at+"/{id}/confirm", s.visit(admin, s.batchDo(s.confirmBatch)))
	post(at+"/{id}/pause", s.visit(admin, s.batchDo(s.pauseBatch)))
	post(at+"/{id}/resume", s.visit(admin, s.batchDo(s.resumeBatch)))
}

// importPath takes a file, so its limit is that of uploads, see Wrap.
const importPath = "/award/file"

// connectionRoutes are the pages of administrators about the platforms.
func (s *Web) connectionRoutes(get, post func(path string, a action)) {
	const at = "/s/{sid}/connections"
	get(at, s.visit(admin, s.connections))
	get(at+"/find", s.visit(admin, s.findTrace))
	get(at+"/new", s.visit(admin, s.connect))
	post(at+"/new", s.visit(admin, s.invite))
	get(at+"/new/{family}", s.visit(admin, s.byHand))
	post(at+"/new/{family}", s.visit(admin, s.connectByHand))
	post(at+"/invitations/{id}/withdraw", s.visit(admin, s.withdraw))
	get(at+"/{id}", s.visit(admin, s.connection))
	post(at+"/{id}/status", s.visit(admin, s.connectionStatus))
	post(at+"/{id}/approve", s.visit(admin, s.approve))
	post(at+"/{id}/notices", s.visit(admin, s.retryNotices))
	post(at+"/{id}/check", s.visit(admin, s.check))
	get(at+"/{id}/addresses", s.visit(admin, s.addresses))
	post(at+"/{id}/addresses", s.visit(admin, s.correct))
	get(at+"/{id}/launches/{trace}", s.visit(admin, s.launchTrace))
}

// action is a handler that may fail; its error becomes a problem page.
type action func(w http.ResponseWriter, r *http.Request) error

// do makes a handler of an action.
func (s *Web) do(a action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a(w, r); err != nil {
			s.Problem(w, r, err)
		}
	})
}
