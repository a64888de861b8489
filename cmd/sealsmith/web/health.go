package web

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"
)

// livez says that the process answers. It asks nothing else: a process that waits for its
// database or its token must not be restarted for it.
func (s *Web) livez(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, err := w.Write([]byte("ok\n"))
	return s.gone(r, err)
}

// readiness is the answer of readyz.
type readiness struct {
	Status     string      `json:"status"` // ready, degraded or unavailable
	Version    string      `json:"version,omitempty"`
	Waiting    int         `json:"waiting"` // claims in the queue
	Failed     int         `json:"failed"`  // claims that need a person
	Rate       float64     `json:"rate"`    // seals a second that the tokens of all together make
	ETA        string      `json:"eta"`     // when the last claim in the queue will be sealed, in words
	Components []Component `json:"components"`
}

// eta says when the queue will be empty.
func eta(waiting int, sealing SealingStatus) string {
	switch {
	case waiting == 0:
		return "nothing waits"
	case sealing.Paused:
		return "sealing is paused"
	}
	return untilSealed(waiting, sealing.Rate)
}

const readyWait = 3 * time.Second

// readyz says whether pages can be served. Only a part that is required and away makes it
// 503. A token that is away pauses sealing and a Redis slows it, nothing is lost, so the server
// stays ready and says "degraded": taking it out of service would hide the pages that
// explain the pause.
func (s *Web) readyz(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeoutCause(r.Context(), readyWait, fmt.Errorf("no answer within %s", readyWait))
	defer cancel()
	out := readiness{Status: "ready", Version: s.deps.Version, Components: s.deps.Ready(ctx)}
	status := http.StatusOK
	for _, c := range out.Components {
		switch {
		case c.OK || status != http.StatusOK:
		case c.Required:
			out.Status, status = "unavailable", http.StatusServiceUnavailable
		default:
			out.Status = "degraded"
		}
	}
	if status == http.StatusOK {
		load, err := s.deps.Desk.Load(ctx)
		if err != nil {
			return err
		}
		out.Waiting, out.Failed = load.Waiting, load.Failed
		sealing := s.deps.Sealing("")
		out.Rate, out.ETA = math.Round(10*sealing.Rate)/10, eta(load.Waiting, sealing)
	}
	return s.json(w, r, status, "application/json", out)
}
