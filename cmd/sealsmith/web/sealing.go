package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
)

// sealingPage shows a claim on its way to the seal.
type sealingPage struct {
	Title    Words
	Claim    string
	Failed   bool
	Email    string // of the organisation's office
	Live     string // address that the page's script follows
	Position int
	Eta      string
	Done     int // per cent
	Ring     int // the ring being drawn, 0: none
	Mark     string
	Steps    []event
	Sealing  sealingNotice
	Day      time.Time // before which it is not sealed; zero: none is set
	Awarded  bool      // by the organisation, without a claim of the learner
}

// progress is where a claim stands in the queue.
type progress struct {
	shown    string // changes when the page must be rendered anew
	position int
	eta      string
	percent  int
	batch    string        // why the batch of the claim is paused; empty: it is not
	again    time.Duration // after which it is worth asking again
	day      time.Time     // before which it is not sealed; zero: none is set
}

// liveScript follows the state of a sealingPage.
const liveScript = "live.js"

// refreshSeconds is how often a browser without scripts asks again.
const refreshSeconds = 5

func (s *Web) showSealing(w http.ResponseWriter, r *http.Request, v *visit, c issuance.Claim) error {
	version, err := s.deps.Templates.Version(r.Context(), v.organisation.ID, c.VersionID)
	if err != nil {
		return err
	}
	at, err := s.progress(r.Context(), v, c)
	if err != nil {
		return err
	}
	page := sealingPage{
		Title: words(version.Content.Title), Claim: c.ID, Failed: c.State == issuance.Failed, Email: v.organisation.Email,
		Live: "state?shown=" + url.QueryEscape(at.shown), Position: at.position, Eta: at.eta, Done: at.percent,
	}
	if page.Sealing, err = s.sealingNotice(r.Context(), v.organisation); err != nil {
		return err
	}
	if at.batch != "" && !page.Sealing.Paused {
		page.Sealing = sealingNotice{Paused: true, ByHand: true, Reason: at.batch}
	}
	page.Mark, page.Day, page.Awarded = strconv.Itoa(at.position), at.day, !c.ConsentAt.Valid
	if !page.Day.IsZero() {
		page.Mark = ""
	}
	if !page.Sealing.Paused && page.Day.IsZero() {
		page.Ring = 4
	}
	page.Steps = sealingSteps(c, page)
	f := v.frame()
	if !page.Failed {
		f.Script, f.Refresh = liveScript, refreshSeconds
	}
	return s.show(w, r, http.StatusOK, view{name: "sealing", frame: f, page: &page})
}

func sealingSteps(c issuance.Claim, page sealingPage) []event {
	wait := event{Kind: "now", Icon: "clock", Title: "Waiting for the seal", Words: "The token makes one seal after the other. Organisations and batches take turns, so a large one does not keep you waiting."}
	switch {
	case !page.Day.IsZero():
		wait.Title, wait.Words = "Waiting for its day", "Your organisation seals it on "+date(page.Day)+", together with those of others."
	case page.Sealing.Paused:
		wait.Icon, wait.Words = "pause", "Sealing is paused. The claim is in the database and waits."
	case c.State == issuance.Sealing:
		wait.Title, wait.Words = "Being sealed now", "The content is checked, sealed, and the seal is checked again."
	}
	begun := event{Kind: "ok", Icon: "check", Title: "You said yes", State: "done", Words: moment(c.ConsentAt.Time) + ". Your name and the content are kept with the claim."}
	if page.Awarded {
		begun.Title, begun.Words = "Awarded by your organisation", "In the name that it knows you by. You need not do anything; whom you show it to is up to you."
	}
	return []event{
		begun,
		wait,
		{Kind: "off", Icon: "lock", Title: "Sealed", State: "to come"},
		{Kind: "off", Icon: "down", Title: "Yours to save", State: "to come"},
	}
}

// secondsPerSeal is a slow token, for as long as nothing was measured.
const secondsPerSeal = 2

// progress finds the place of a claim in the queue.
func (s *Web) progress(ctx context.Context, v *visit, c issuance.Claim) (progress, error) {
	p := progress{shown: string(c.State), position: 1, again: askAgain(1, 0)}
	if c.State != issuance.Queued && c.State != issuance.Sealing {
		return p, nil
	}
	// A claim that was tried and waits for its next attempt has no day.
	if c.State == issuance.Queued && c.Attempts == 0 && c.NotBefore.After(s.deps.Now()) {
		return progress{shown: "scheduled", position: 1, eta: "on " + date(c.NotBefore), percent: 10, again: time.Minute, day: c.NotBefore}, nil
	}
	sealing := s.deps.Sealing(v.organisation.Slug)
	turn, err := s.deps.Desk.Turn(ctx, c, sealing.Own)
	if err != nil {
		return p, err
	}
	p.position = turn.Ahead + 1
	p.percent = max(10, 60-10*turn.Ahead)
	if c.State == issuance.Sealing {
		p.percent = 90
	}
	p.again = askAgain(p.position, sealing.Rate)
	if sealing.Paused || turn.Paused != nil {
		p.shown = "paused"
		p.eta = "as soon as sealing goes on"
		if turn.Paused != nil && turn.Paused.BatchID != "" {
			p.batch = pausedWords(*turn.Paused, "the batch that it belongs to")
		}
		return p, nil
	}
	p.shown = "waiting" // the step from queued to sealing is too short to render the page for
	p.eta = untilSealed(p.position, sealing.Rate)
	return p, nil
}

// askAgain is how long a browser waits before it asks for the place in the queue again: two
// seconds when the turn is near, up to a minute when thousands are ahead, who all ask.
func askAgain(position int, rate float64) time.Duration {
	const nearest, farthest, parts = 2 * time.Second, time.Minute, 20
	return min(max(time.Duration(secondsFor(position, rate)/parts*float64(time.Second)), nearest), farthest)
}

// secondsFor is how long n seals take at a measured rate.
func secondsFor(n int, rate float64) float64 {
	if rate <= 0 {
		rate = 1 / float64(secondsPerSeal)
	}
	return float64(n) / rate
}

// untilSealed is how long n seals take at a measured rate, in words.
func untilSealed(n int, rate float64) string {
	const minute, hour = 60, 60 * 60
	switch seconds := int(secondsFor(n, rate)); {
	case seconds < minute:
		return "less than a minute"
	case seconds < 2*hour:
		return fmt.Sprintf("about %d minutes", (seconds+minute-1)/minute)
	default:
		return fmt.Sprintf("about %d hours", (seconds+hour-1)/hour)
	}
}

// liveState is what live.js reads.
type liveState struct {
	Done     bool   `json:"done"` // load the page anew
	Position int    `json:"position"`
	Eta      string `json:"eta"`
	Percent  int    `json:"percent"` // value of the progress element
}

// state answers one server-sent event and ends: the browser asks again after the time told,
// and no connection is held open while people wait.
func (s *Web) state(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, err := s.ownClaim(r.Context(), v)
	if err != nil {
		return err
	}
	at, err := s.progress(r.Context(), v, c)
	if err != nil {
		return err
	}
	data, err := json.Marshal(liveState{Done: at.shown != r.URL.Query().Get("shown"), Position: at.position, Eta: at.eta, Percent: at.percent})
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, err = fmt.Fprintf(w, "retry: %d\ndata: %s\n\n", at.again.Milliseconds(), data)
	return s.gone(r, err)
}
