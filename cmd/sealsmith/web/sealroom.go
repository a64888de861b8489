package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
)

// sealRoom is the queue of an organisation before the seal: what waits, how long it takes,
// what has stopped, and whether a person has paused it.
type sealRoom struct {
	Waiting, Sealing int
	Rate             float64
	ETA              string
	Sealed           int    // lately, as many as were measured
	P50, P95         string // how long half of them, and nearly all, waited
	Paused           string // by an administrator of the organisation, in words; empty: not
	Everybody        bool   // the operator has paused everything, which nobody here can end
	Failed           int
	Stopped          []stoppedClaim // the first of them
}

// stoppedClaim needs a person.
type stoppedClaim struct {
	ID, Why  string
	Since    time.Time
	Attempts int
}

// stoppedShown is how many claims that have stopped are on the page.
const stoppedShown = 20

func (s *Web) sealRoom(ctx context.Context, v *visit) (sealRoom, error) {
	desk, org := s.deps.Desk, v.organisation.ID
	load, err := desk.LoadOf(ctx, org)
	if err != nil {
		return sealRoom{}, err
	}
	pace, err := desk.Pace(ctx, org)
	if err != nil {
		return sealRoom{}, err
	}
	pauses, err := desk.Pauses(ctx, org)
	if err != nil {
		return sealRoom{}, err
	}
	failed, err := desk.InQueue(ctx, org, []issuance.State{issuance.Failed}, stoppedShown)
	if err != nil {
		return sealRoom{}, err
	}
	sealing := s.deps.Sealing(v.organisation.Slug)
	room := sealRoom{Waiting: load.Waiting, Sealing: load.Sealing, Failed: load.Failed, Rate: sealing.Rate, ETA: eta(load.Waiting, sealing), Sealed: pace.Sealed}
	if pace.Sealed > 0 {
		room.P50, room.P95 = lasting(pace.P50), lasting(pace.P95)
	}
	if i := slices.IndexFunc(pauses, func(p issuance.Pause) bool { return p.OrganisationID == org && p.BatchID == "" }); i >= 0 {
		room.Paused = pausedBy(v, pauses[i])
	}
	room.Everybody = slices.ContainsFunc(pauses, func(p issuance.Pause) bool { return p.OrganisationID == "" })
	if room.Paused != "" || room.Everybody || sealing.Paused {
		room.ETA = ""
	}
	for _, c := range failed {
		room.Stopped = append(room.Stopped, stoppedClaim{ID: c.ID, Why: c.Cause(), Since: c.UpdatedAt, Attempts: c.Attempts})
	}
	return room, nil
}

func pausedBy(v *visit, p issuance.Pause) string {
	words := "Paused by " + who(v, p.By) + " on " + moment(p.At) + "."
	if p.Words != "" {
		words += " Everybody who waits reads: " + sentence(p.Words)
	}
	return words
}

// lasting says how long something took.
func lasting(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than a second"
	case d < 2*time.Minute:
		return counted(int(d.Round(time.Second).Seconds()), "second")
	case d < 2*time.Hour:
		return counted(int(d.Round(time.Minute).Minutes()), "minute")
	}
	return counted(int(d.Round(time.Hour).Hours()), "hour")
}

// counted writes a number with its unit, in the plural where that is due.
func counted(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// sealDone says what was done, by the word in the address. A pause is on the page anyway.
func sealDone(word string) string {
	switch word {
	case "resumed":
		return "Sealing goes on."
	case "retried":
		return "What had stopped is in the queue again."
	case "dropped":
		return "The claim was taken out of the queue. Its learner is asked again in the course."
	}
	return ""
}

// pauseSealing pauses the organisation of the visitor.
func (s *Web) pauseSealing(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := parseForm(r); err != nil {
		return err
	}
	err := s.deps.Desk.Pause(r.Context(), issuance.Pause{OrganisationID: v.organisation.ID, Words: r.PostForm.Get("words"), By: v.actor()})
	if err != nil {
		return err
	}
	return see303(w, r, v.path("seal"))
}

// resumeSealing ends that pause.
func (s *Web) resumeSealing(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := s.deps.Desk.Resume(r.Context(), v.organisation.ID, "", v.actor()); err != nil {
		return err
	}
	return see303(w, r, v.path("seal?done=resumed"))
}

// retryStopped puts one claim, or all that have stopped, back into the queue.
func (s *Web) retryStopped(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := parseForm(r); err != nil {
		return err
	}
	var err error
	if id := r.PostForm.Get("claim"); id != "" {
		err = s.deps.Desk.Retry(r.Context(), v.organisation.ID, id, v.actor())
	} else {
		_, err = s.deps.Desk.RetryFailed(r.Context(), v.organisation.ID, v.actor())
	}
	if err != nil {
		return err
	}
	return see303(w, r, v.path("seal?done=retried"))
}

// dropStopped takes one claim out of the queue.
func (s *Web) dropStopped(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := parseForm(r); err != nil {
		return err
	}
	if err := s.deps.Desk.Drop(r.Context(), v.organisation.ID, r.PostForm.Get("claim"), v.actor()); err != nil {
		return err
	}
	return see303(w, r, v.path("seal?done=dropped"))
}
