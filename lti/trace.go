package lti

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Trace is what is told about one login or launch to the administrators of the tool: which
// step failed, what was expected and what came, and what to do. Values are masked or cut
// and names of people are left out; claims appear by name only.
type Trace struct {
	ID             string    `json:"id"` // as on the page that the person saw
	At             time.Time `json:"at"`
	Kind           TraceKind `json:"kind"`
	OrganisationID string    `json:"-"`
	RegistrationID string    `json:"-"`
	Code           string    `json:"code,omitempty"` // empty: it succeeded
	Step           Step      `json:"step,omitempty"`
	Status         int       `json:"status,omitempty"`
	Expected       string    `json:"expected,omitempty"`
	Received       string    `json:"received,omitempty"`
	Advice         string    `json:"advice,omitempty"`
	Hint           string    `json:"hint,omitempty"`
	Cause          string    `json:"cause,omitempty"`

	Browser      Browser  `json:"browser,omitempty"` // what proved that the browser is the same
	Framed       bool     `json:"framed,omitempty"`
	MessageType  string   `json:"message_type,omitempty"`
	Deployment   string   `json:"deployment,omitempty"`
	Context      string   `json:"context,omitempty"`
	ResourceLink string   `json:"resource_link,omitempty"`
	Role         string   `json:"role,omitempty"` // what the roles come to: teacher, learner, admin, test user, other
	Algorithm    string   `json:"algorithm,omitempty"`
	KID          string   `json:"kid,omitempty"`
	Claims       []string `json:"claims,omitempty"`  // names of those present
	Ignored      []string `json:"ignored,omitempty"` // and of those nobody could use
	// ClockAhead is the time stamp of the token minus our clock, in seconds, as far as a
	// message that has just been made tells; nil before it was read.
	ClockAhead *int  `json:"clock_ahead_s,omitempty"`
	Took       int64 `json:"took_us"`

	began time.Time
}

// TraceKind says what was tried.
type TraceKind string

// What is traced.
const (
	TraceLogin  TraceKind = "login"
	TraceLaunch TraceKind = "launch"
	TraceNotice TraceKind = "notice"
)

// Browser says what proved that a launch came from the browser that began it.
type Browser string

// The proofs.
const (
	BrowserCookie  Browser = "cookie"
	BrowserStorage Browser = "platform storage"
)

func (t *Tool) newTrace(r *http.Request, kind TraceKind) *Trace {
	now := t.deps.Now()
	return &Trace{ID: t.deps.TraceID(r.Context()), At: now.UTC(), Kind: kind, Framed: framed(r), began: now}
}

// of notes to which registration the message belongs.
func (tr *Trace) of(r Registration) { tr.RegistrationID, tr.OrganisationID = r.ID, r.OrganisationID }

// read notes what the token says of itself, before anything in it is believed.
func (tr *Trace) read(token idToken) {
	tr.KID, tr.Algorithm = show(token.kid), show(token.alg)
	if len(token.claims) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(token.claims))
	for i := range names {
		names[i] = show(names[i])
	}
	tr.Claims = names[:min(len(names), maxTracedClaims)]
	if iat, is := token.claims.number("iat"); is == present && iat > 0 && iat < latestSeconds {
		tr.ClockAhead = new(int(int64(iat) - tr.At.Unix()))
	}
}

const maxTracedClaims = 60

// accepted notes what a launch was about.
func (tr *Trace) accepted(l Launch) {
	tr.MessageType, tr.Deployment, tr.Context, tr.ResourceLink = l.MessageType, show(l.DeploymentID), show(l.Context.ID), show(l.ResourceLink.ID)
	tr.Role = l.roleWord()
}

func (l Launch) roleWord() string {
	switch {
	case l.IsTestUser():
		return "test user"
	case l.IsTeacher():
		return "teacher"
	case l.IsLearner():
		return "learner"
	case l.IsAdmin():
		return "admin"
	}
	return "other"
}

// refuse notes why a message was refused, and in the refusal whose it was.
func (tr *Trace) refuse(e *CheckError) {
	e.RegistrationID = tr.RegistrationID
	tr.Code, tr.Step, tr.Status = e.Code, e.Step, e.Status
	tr.Expected, tr.Received, tr.Advice, tr.Hint = e.Expected, e.Received, e.Advice, e.Hint
	if cause := errors.Unwrap(e); cause != nil {
		tr.Cause = show(cause.Error())
	}
}

// refused hands the trace and the answer on.
func (t *Tool) refused(w http.ResponseWriter, r *http.Request, tr *Trace, err error) {
	refused, ok := errors.AsType[*CheckError](err)
	if ok {
		tr.refuse(refused)
		if refused.Code == CodeKeysUnavailable {
			w.Header().Set("Retry-After", "30")
		}
	} else {
		tr.Code, tr.Status = "internal", http.StatusInternalServerError
	}
	if tr.RegistrationID != "" {
		tr.Took = t.deps.Now().Sub(tr.began).Microseconds()
		t.deps.Trace(*tr)
	} else {
		t.deps.Logger.LogAttrs(r.Context(), slog.LevelDebug, "refused without a registration", slog.String("code", tr.Code))
	}
	t.deps.Problem(w, r, err)
}
