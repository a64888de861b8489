package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// cohort is how far those of a class are who have claimed.
type cohort struct {
	Sealed, All int
	ETA         string // when the last one that waits is sealed, in words
	Live        string // address that the page's script follows
}

// cohortSeconds is how often a browser asks again how far a class is.
const cohortSeconds = 5

func (s *Web) cohort(ctx context.Context, v *visit, attachmentID string) (cohort, error) {
	counted, err := s.deps.Desk.Cohort(ctx, v.organisation.ID, attachmentID)
	if err != nil {
		return cohort{}, err
	}
	c := cohort{Sealed: counted.Sealed, All: counted.Sealed + counted.Waiting}
	c.Live = "cohort?shown=" + strconv.Itoa(c.All)
	sealing := s.deps.Sealing(v.organisation.Slug)
	ahead, paused := 0, sealing.Paused
	if counted.Last.ID != "" {
		turn, err := s.deps.Desk.Turn(ctx, counted.Last, sealing.Own)
		if err != nil {
			return c, err
		}
		ahead, paused = turn.Ahead, paused || turn.Paused != nil
	}
	switch {
	case paused:
		c.ETA = "as soon as sealing goes on"
	case counted.Waiting > 0:
		c.ETA = "in " + untilSealed(ahead+1, sealing.Rate)
	}
	return c, nil
}

// cohortState answers one server-sent event and ends, as state does.
func (s *Web) cohortState(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := s.deps.Grading.Launched(r.Context(), v.launch)
	if err != nil {
		return err
	}
	c, err := s.cohort(r.Context(), v, a.ID)
	if err != nil {
		return err
	}
	over := c.Sealed == c.All || strconv.Itoa(c.All) != r.URL.Query().Get("shown")
	data, err := json.Marshal(liveState{Done: over, Position: c.Sealed, Eta: c.ETA, Percent: c.Sealed})
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, err = fmt.Fprintf(w, "retry: %d\ndata: %s\n\n", cohortSeconds*1000, data)
	return s.gone(r, err)
}
