package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/agsresults"
	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/pdf"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/fetch"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// Refusals of the pages themselves.
var (
	errNoPage      = errors.New("there is no such page")
	errMethod      = errors.New("the page does not take this kind of request")
	errCrossOrigin = errors.New("the form came from another site")
	errRole        = errors.New("the role does not open this page")
	errTestUser    = errors.New("a test user cannot do this")
	errForm        = errors.New("the form cannot be read")
	errTooLarge    = errors.New("more was sent than is accepted")

	errWrongPerson   = errors.New("the credential was awarded to the wrong person, whose name is in the file")
	errOwnConnection = errors.New("the connection is the one through which the administrator came")
)

// kindRegistration is the problem of a platform that could not register itself.
const kindRegistration = "registration"

// sentinel maps an error to the kind of problem it is for the reader.
type sentinel struct {
	err  error
	kind string
}

// sentinels is the table. A test fails when an exported Err… of our packages is neither
// here nor, being no answer to a request, in unreachable of the test.
func sentinels() []sentinel {
	return []sentinel{
		{errNoPage, "not-found"},
		{errMethod, "method"},
		{errCrossOrigin, "cross-origin"},
		{errRole, "role"},
		{errTestUser, "test-user"},
		{errForm, "form"},
		{errTooLarge, "too-large"},
		{errOwnConnection, "own-connection"},
		{errNoHistory, "no-history"},
		{errWrongPerson, "wrong-person"},

		{lti.ErrNoSession, "no-session"},
		{lti.ErrCookieLost, "cookie-lost"},
		{lti.ErrLaunchByGET, "launch"},
		{lti.ErrNotFound, "not-found"},
		{lti.ErrSpent, "no-session"},
		{ltistore.ErrStatus, "moved-on"},
		{ltistore.ErrKnown, "moved-on"},

		{templates.ErrNotFound, "not-found"},
		{templates.ErrDuplicate, "duplicate"},
		{templates.ErrSlug, "form"},

		{grading.ErrNotFound, "not-attached"},
		{grading.ErrUndecided, "undecided"},
		{grading.ErrDraft, "not-confirmed"},
		{grading.ErrRule, "form"},
		{agsresults.ErrNoColumn, "grades-unread"},
		{fetch.ErrBlocked, "grades-unread"},
		{fetch.ErrTooLarge, "grades-unread"},

		{issuance.ErrNotFound, "not-found"},
		{issuance.ErrNotComplete, "not-complete"},
		{issuance.ErrState, "moved-on"},
		{issuance.ErrName, "form"},
		{issuance.ErrCorrection, "form"},
		{issuance.ErrSpent, "internal"},
		{issuance.ErrFileAway, "file-away"},
		{issuance.ErrFileDamaged, "file-damaged"},
		{issuance.ErrFileErased, "file-erased"},
		{issuance.ErrPDFLater, "pdf-later"}, // before its causes
		{issuance.ErrWithdrawn, "withdrawn"},
		{issuance.ErrSuspended, "suspended"},
		{issuance.ErrReason, "form"},
		{issuance.ErrListUnsigned, "list-unsigned"},
		{issuance.ErrSecondPerson, "second-person"},
		{issuance.ErrSamePerson, "same-person"},
		{issuance.ErrNobody, "form"},
		{issuance.ErrCount, "moved-on"},
		{issuance.ErrSelection, "form"},
		{issuance.ErrWords, "form"},
		{issuance.ErrOtherSeal, "no-pdf"},
		{issuance.ErrRecord, "internal"},

		{pdf.ErrContent, "no-pdf"},
		{pdf.ErrStamp, "pdf-later"},
		{pdf.ErrKey, "pdf-later"},
		{pdf.ErrBadSignature, "internal"},
		{pdf.ErrSealed, "internal"},
		{pdf.ErrUnreadable, "internal"},

		{hsm.ErrPaused, "sealing-paused"},
		{hsm.ErrKeyChanged, "internal"},
		{hsm.ErrSignTimeout, "sealing-paused"},
		{hsm.ErrSignature, "internal"},
		{hsm.ErrConfig, "internal"},
	}
}

// problem is what is told about an error.
type problem struct {
	kind   string
	status int
	code   string // finer than the kind: the check of a launch that failed
	advice string // replaces the first thing to do
	cause  string // one more sentence about this case
}

// classify finds err in the table. What is not there is internal.
func (s *Web) classify(err error) problem {
	p := problem{kind: "internal"}
	refusal, refused := errors.AsType[*lti.CheckError](err)
	_, unread := errors.AsType[*grading.SourceError](err)
	service, called := errors.AsType[*lti.ServiceError](err)
	_, invalid := errors.AsType[templates.Problems](err)
	_, unsealable := errors.AsType[*issuance.CheckFailed](err)
	_, unbuildable := errors.AsType[elm.Problems](err)
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case refused:
		p.kind, p.code, p.advice = "launch", refusal.Code, refusal.Advice
		switch {
		case errors.Is(err, lti.ErrCookieLost):
			p.kind = "cookie-lost"
		case refusal.Step == lti.StepRegister:
			p.kind = kindRegistration
		}
	case called:
		p.kind, p.code, p.cause = "grades-unread", service.Reason, service.Sentence()
	case unread:
		p.kind = "grades-unread"
	case invalid:
		p.kind = "form"
	case unsealable, unbuildable:
		p.kind = "internal"
	case large:
		p.kind = "too-large"
	default:
		for _, row := range sentinels() {
			if errors.Is(err, row.err) {
				p.kind = row.kind
				break
			}
		}
		if p.kind == "internal" && (sqldb.IsAway(err) || sqldb.IsFull(err)) {
			p.kind = "database-away"
		}
	}
	p.status = s.problems[p.kind].Status
	if refused {
		p.status = refusal.Status
	}
	return p
}

// problemWords are what is said about each kind of problem.
type problemWords map[string]struct {
	Status int      `json:"status"`
	Title  string   `json:"title"`
	Detail string   `json:"detail"`
	Do     []string `json:"do"`
	Glyph  string   `json:"glyph"`
}

// language is a file of lang.
type language struct {
	Problems problemWords           `json:"problems"`
	Fields   map[string]string      `json:"fields"` // of the template form, "#" stands for a number
	Steps    map[lti.Step]stepWords `json:"steps"`  // of launches
}

func newLanguage() (language, error) {
	var out language
	text, err := langFiles.ReadFile("lang/" + pageLanguage + ".json")
	if err != nil {
		return out, fmt.Errorf("read the sentences: %w", err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		return out, fmt.Errorf("decode the sentences: %w", err)
	}
	return out, nil
}

// problemPage is the page about a failure, and the page about a lost cookie.
type problemPage struct {
	Kind, Code, Title, Detail, Cause, Glyph, Trace string
	Do                                             []string
	At                                             time.Time
	Again                                          string // address to try again, empty: useless
	Return                                         string // address of the course, empty: not known
	Window, WindowHost                             string // what to open in a new window, empty: nothing
}

// problemDocument is RFC 9457.
type problemDocument struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"` // the trace id
	Code     string `json:"code,omitempty"`
}

// Problem answers a request that failed with err: with a page, or with a problem document
// for programs that ask for JSON. It is the Problem of lti.Deps. The cause goes into the
// one log line of the request; pages never show it.
func (s *Web) Problem(w http.ResponseWriter, r *http.Request, err error) {
	p := s.classify(err)
	q := requestOf(r.Context())
	q.kind, q.err = p.kind, err
	if p.status < http.StatusInternalServerError && p.code == "" {
		q.err = nil // a client's mistake is told by its kind
	}
	words := s.problems[p.kind]
	w.Header().Set("Cache-Control", "no-store")
	if p.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "30")
	}
	if wantsJSON(r) {
		s.problemJSON(w, r, p, q.trace)
		return
	}
	page := problemPage{
		Kind: p.kind, Code: p.code, Title: words.Title, Detail: words.Detail, Cause: p.cause, Glyph: words.Glyph,
		Trace: q.trace, Do: words.Do, At: s.deps.Now(),
	}
	if p.advice != "" {
		page.Do = []string{p.advice}
	}
	if r.Method == http.MethodGet && p.status >= http.StatusInternalServerError {
		page.Again = r.URL.RequestURI()
	}
	v := view{name: "problem", frame: Frame{Framed: inFrame(r), Narrow: true, Home: "/"}, page: &page}
	if v.frame.Framed {
		v.frame.Home = ""
	}
	if q.visit != nil {
		v.frame = q.visit.frame()
		page.Return = q.visit.launch.Presentation.ReturnURL
	}
	if p.kind == "cookie-lost" || p.kind == "no-session" {
		v.name = "cookie"
		page.Window, page.WindowHost = s.window(r)
	}
	if err := s.show(w, r, p.status, v); err != nil {
		s.deps.Logger.ErrorContext(r.Context(), "problem page not rendered", "request_id", q.trace, "err", err)
		http.Error(w, words.Title+"\n"+q.trace, p.status)
	}
}

// window is what can be opened in a new window after a cookie was lost in a frame: the
// same page, when the address says which; else the platform from which the browser came.
// A launch cannot be repeated by us: only the platform can start one.
func (s *Web) window(r *http.Request) (address, host string) {
	if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/s/") {
		return r.URL.RequestURI(), ""
	}
	from := origin(r.Header.Get("Origin"))
	if from == "" || from == origin(s.deps.PublicURL.String()) {
		return "", ""
	}
	_, host, _ = strings.Cut(from, "://")
	return from, host
}

func (s *Web) problemJSON(w http.ResponseWriter, r *http.Request, p problem, trace string) {
	words := s.problems[p.kind]
	detail := strings.TrimSpace(strings.Join([]string{words.Detail, p.cause, p.advice}, " "))
	err := s.json(w, r, p.status, "application/problem+json", problemDocument{
		Type: s.problemType(p.kind), Title: words.Title, Status: p.status, Detail: detail, Instance: trace, Code: p.code,
	})
	if err != nil {
		s.deps.Logger.ErrorContext(r.Context(), "problem document not written", "request_id", trace, "err", err)
	}
}

func (s *Web) problemType(kind string) string {
	return s.deps.PublicURL.JoinPath("problems", kind).String()
}

// json sends v.
func (s *Web) json(w http.ResponseWriter, r *http.Request, status int, contentType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	w.Header().Set("Content-Type", contentType)
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, err = w.Write(append(body, '\n'))
	return s.gone(r, err)
}

// wantsJSON reports whether the reader is a program: it asks for JSON and not for HTML, or
// says so in the address.
func wantsJSON(r *http.Request) bool {
	if r.URL.Query().Get("format") == "json" {
		return true
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}
