package web

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/lti"
)

// stepWords are what is said about a step of a login, launch or notice.
type stepWords struct {
	Name   string `json:"name"`   // what is done in it
	Failed string `json:"failed"` // what went wrong, begins in lower case and has no full stop
}

// launchRow is one line of the list of launches.
type launchRow struct {
	ID                 string
	At                 time.Time
	Kind               lti.TraceKind
	Role, Message      string
	Browser            lti.Browser
	Framed             bool
	Code, Failed       string // Failed: the step that failed, in words
	Expected, Received string
	Advice, Hint       string
	Clock              string // difference of the clocks, in words; empty: not known
	ClockOff           bool   // it is more than a message takes
}

func (s *Web) newLaunchRow(tr lti.Trace) launchRow {
	row := launchRow{
		ID: tr.ID, At: tr.At, Kind: tr.Kind, Role: tr.Role, Message: tr.MessageType, Browser: tr.Browser, Framed: tr.Framed, Code: tr.Code,
		Expected: tr.Expected, Received: tr.Received, Advice: tr.Advice, Hint: tr.Hint, Clock: clock(tr.ClockAhead),
	}
	row.ClockOff = row.Clock != "" && row.Clock != clock(new(0))
	if tr.Code != "" {
		row.Failed = s.stepFailed(tr.Step)
	}
	return row
}

// stepFailed says what went wrong. A trace without a step is a failure of this server.
func (s *Web) stepFailed(step lti.Step) string {
	if words := s.steps[step].Failed; words != "" {
		return words
	}
	return "something went wrong on this server"
}

// clock says how far the platform's clock is from ours. Some seconds are the time that a
// message takes.
func clock(ahead *int) string {
	switch {
	case ahead == nil:
		return ""
	case *ahead > 1:
		return strconv.Itoa(*ahead) + " seconds ahead of ours"
	case *ahead < -1:
		return strconv.Itoa(-*ahead) + " seconds behind ours"
	}
	return "the same as ours"
}

// launchPage is one trace in full.
type launchPage struct {
	launchRow
	Connection, All string // addresses
	Name            string // of the connection
	Steps           []launchStep
	Facts           []row
	Claims, Ignored []string
	Cause           string
	Took            string
	Status          int
}

// launchStep is one step in order. Kind and Icon are those of the partial tl.
type launchStep struct{ Kind, Icon, Title, State, Words string }

// The steps in the order in which each kind goes through them. A launch says by its state
// for which connection it is, and its token is read before the browser is asked who it is.
var (
	loginSteps  = []lti.Step{lti.StepRequest, lti.StepPlatform}
	launchSteps = []lti.Step{
		lti.StepRequest, lti.StepAnswer, lti.StepPlatform, lti.StepToken, lti.StepBrowser, lti.StepKey, lti.StepParties, lti.StepTimes, lti.StepNonce, lti.StepMessage,
	}
	noticeSteps = []lti.Step{lti.StepRequest, lti.StepPlatform, lti.StepToken, lti.StepKey, lti.StepParties, lti.StepTimes, lti.StepMessage}
)

func stepsOf(kind lti.TraceKind) []lti.Step {
	switch kind {
	case lti.TraceLogin:
		return loginSteps
	case lti.TraceNotice:
		return noticeSteps
	default:
		return launchSteps
	}
}

// launchTrace shows one login, launch or notice step by step.
func (s *Web) launchTrace(w http.ResponseWriter, r *http.Request, v *visit) error {
	vars := mux.Vars(r)
	reg, err := s.deps.Registrations.Registration(r.Context(), v.organisation.ID, vars["id"])
	if err != nil {
		return err
	}
	tr, err := s.deps.Registrations.FindTrace(r.Context(), v.organisation.ID, vars["trace"])
	if err != nil {
		return err
	}
	if tr.RegistrationID != reg.ID {
		return lti.ErrNotFound
	}
	page := &launchPage{
		launchRow: s.newLaunchRow(tr), Connection: v.path("connections/" + reg.ID), All: v.path("connections"), Name: reg.Name,
		Steps: s.launchStepsOf(tr), Facts: launchFacts(tr), Claims: tr.Claims, Ignored: tr.Ignored, Cause: tr.Cause,
		Took: time.Duration(tr.Took * int64(time.Microsecond)).Round(10 * time.Microsecond).String(), Status: tr.Status,
	}
	f := v.frame()
	f.Script = copyScript
	return s.show(w, r, http.StatusOK, view{name: "launch", frame: f, page: page})
}

func (s *Web) launchStepsOf(tr lti.Trace) []launchStep {
	order := stepsOf(tr.Kind)
	if tr.Code != "" && tr.Step != "" && !slices.Contains(order, tr.Step) {
		order = append(slices.Clone(order), tr.Step)
	}
	var out []launchStep
	failed := false
	for _, step := range order {
		one := launchStep{Kind: "ok", Icon: "check", Title: s.steps[step].Name, State: "passed"}
		switch {
		case failed:
			one.Kind, one.Icon, one.State = "off", "bar", "not reached"
		case tr.Code != "" && tr.Step == step:
			failed = true
			one.Kind, one.Icon, one.State, one.Words = "bad", "alert", "failed", sentence(s.stepFailed(step))
		default:
			one.Words = stepFact(tr, step)
		}
		out = append(out, one)
	}
	if tr.Code != "" && !failed {
		// Nothing that was sent is wrong; where it broke is in the log only.
		return []launchStep{{Kind: "bad", Icon: "alert", Title: capital(s.stepFailed("")), State: "failed"}}
	}
	return out
}

// stepFact is what a step that passed has found; empty: nothing worth telling.
func stepFact(tr lti.Trace, step lti.Step) string {
	switch step {
	case lti.StepKey:
		return "Key " + tr.KID + ", " + tr.Algorithm + "."
	case lti.StepTimes:
		if tr.ClockAhead != nil {
			return "The platform’s clock: " + clock(tr.ClockAhead) + "."
		}
	case lti.StepBrowser:
		switch tr.Browser {
		case lti.BrowserCookie:
			return "Our cookie came back."
		case lti.BrowserStorage:
			return "The platform’s storage gave our secret back."
		}
	case lti.StepMessage:
		if tr.Role != "" {
			return "Role here: " + tr.Role + "."
		}
	default:
	}
	return ""
}

// launchFacts are what the message was about, as far as it was read.
func launchFacts(tr lti.Trace) []row {
	var rows []row
	for _, fact := range [][2]string{
		{"Message", tr.MessageType},
		{"Deployment", tr.Deployment},
		{"Course", tr.Context},
		{"Place in the course", tr.ResourceLink},
		{"Key of the signature (kid)", tr.KID},
		{"Algorithm", tr.Algorithm},
	} {
		if fact[1] != "" {
			rows = append(rows, row{Label: fact[0], Values: []string{fact[1]}})
		}
	}
	return rows
}
