package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
	"github.com/sealsmith/sealsmith/templates"
)

// The queue on the admin socket: what `sealsmith queue` does, for programs. Every request
// names the organisation by its slug, changes are POSTed as JSON, and answers are JSON:
//
//	GET  /queue?organisation=SLUG[&state=failed]   what waits and what has stopped
//	POST /queue/retry   {"organisation", "claim"}  without claim: all that have stopped
//	POST /queue/drop    {"organisation", "claim"}
//	POST /queue/pause   {"organisation", "batch", "words"}
//	POST /queue/resume  {"organisation", "batch"}
//
// Whoever can open the socket is the operator.

// queueOrder is the body of a POST.
type queueOrder struct {
	Organisation string `json:"organisation"`
	Claim        string `json:"claim"`
	Batch        string `json:"batch"`
	Words        string `json:"words"`
}

// maxOrder bounds the body of a request.
const maxOrder = 8 << 10

func (a *app) adminQueue(mux *http.ServeMux) {
	mux.HandleFunc("GET /queue", a.queueOf)
	for name, do := range map[string]func(context.Context, string, queueOrder) (int, error){
		"retry": a.retryOrder,
		"drop": func(ctx context.Context, organisationID string, q queueOrder) (int, error) {
			return 1, a.desk.Drop(ctx, organisationID, q.Claim, operator)
		},
		"pause": func(ctx context.Context, organisationID string, q queueOrder) (int, error) {
			if q.Batch != "" {
				if _, err := a.batches.Batch(ctx, organisationID, q.Batch); err != nil {
					return 0, err
				}
			}
			return 1, a.desk.Pause(ctx, issuance.Pause{OrganisationID: organisationID, BatchID: q.Batch, Words: q.Words, By: operator})
		},
		"resume": func(ctx context.Context, organisationID string, q queueOrder) (int, error) {
			return 1, a.desk.Resume(ctx, organisationID, q.Batch, operator)
		},
	} {
		mux.HandleFunc("POST /queue/"+name, func(w http.ResponseWriter, r *http.Request) {
			var q queueOrder
			body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
			body.DisallowUnknownFields()
			if err := body.Decode(&q); err != nil {
				refuseAdmin(w, http.StatusBadRequest, fmt.Errorf("the body must be JSON with organisation, claim, batch or words: %w", err))
				return
			}
			o, err := a.organisationBySlug(r.Context(), q.Organisation)
			if err != nil {
				refuseAdmin(w, http.StatusNotFound, err)
				return
			}
			n, err := do(r.Context(), o.ID, q)
			if err != nil {
				refuseAdmin(w, adminStatus(err), err)
				return
			}
			writeAdmin(w, map[string]int{"done": n})
		})
	}
}

func (a *app) retryOrder(ctx context.Context, organisationID string, q queueOrder) (int, error) {
	if q.Claim == "" {
		return a.desk.RetryFailed(ctx, organisationID, operator)
	}
	return 1, a.desk.Retry(ctx, organisationID, q.Claim, operator)
}

// queueOf answers with what waits, has stopped and is paused.
func (a *app) queueOf(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	o, err := a.organisationBySlug(ctx, r.URL.Query().Get("organisation"))
	if err != nil {
		refuseAdmin(w, http.StatusNotFound, err)
		return
	}
	var states []issuance.State
	if state := r.URL.Query().Get("state"); state != "" {
		states = append(states, issuance.State(state))
	}
	const most = 1000
	claims, err := a.desk.InQueue(ctx, o.ID, states, most)
	if err != nil {
		refuseAdmin(w, adminStatus(err), err)
		return
	}
	load, err := a.desk.LoadOf(ctx, o.ID)
	if err != nil {
		refuseAdmin(w, adminStatus(err), err)
		return
	}
	pauses, err := a.desk.Pauses(ctx, o.ID)
	if err != nil {
		refuseAdmin(w, adminStatus(err), err)
		return
	}
	all := make([]queuedClaim, len(claims))
	for i := range claims {
		all[i] = describeClaim(claims[i])
	}
	writeAdmin(w, struct {
		Waiting int           `json:"waiting"`
		Sealing int           `json:"sealing"`
		Failed  int           `json:"failed"`
		Pauses  []queuePause  `json:"pauses"`
		Claims  []queuedClaim `json:"claims"` // the first thousand
	}{load.Waiting, load.Sealing, load.Failed, describePauses(pauses), all})
}

func (a *app) organisationBySlug(ctx context.Context, slug string) (templates.Organisation, error) {
	all, err := a.templates.Organisations(ctx)
	if err != nil {
		return templates.Organisation{}, err
	}
	for _, o := range all {
		if o.Slug == slug {
			return o, nil
		}
	}
	return templates.Organisation{}, fmt.Errorf("there is no organisation %q", slug)
}

func adminStatus(err error) int {
	switch {
	case errors.Is(err, issuance.ErrNotFound), errors.Is(err, batch.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, issuance.ErrState):
		return http.StatusConflict
	case errors.Is(err, issuance.ErrWords):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

func refuseAdmin(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // the operator's program has gone
}
