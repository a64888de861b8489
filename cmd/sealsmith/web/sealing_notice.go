package web

import (
	"context"
	"slices"
	"strings"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/templates"
)

// sealingNotice is said on every page where it matters.
type sealingNotice struct {
	Paused, Slow   bool
	ByHand         bool   // a person has paused it
	Reason, Detail string // Reason without a full stop
	Waiting        int
}

// sealingNotice tells what keeps the claims of an organisation from being sealed: its tokens,
// or a person.
func (s *Web) sealingNotice(ctx context.Context, o templates.Organisation) (sealingNotice, error) {
	pauses, err := s.deps.Desk.Pauses(ctx, o.ID)
	if err != nil {
		return sealingNotice{}, err
	}
	status := s.deps.Sealing(o.Slug)
	notice := sealingNotice{Paused: status.Paused, Slow: status.Slow, Reason: strings.TrimSuffix(status.Reason, "."), Detail: status.Detail}
	if i := slices.IndexFunc(pauses, func(p issuance.Pause) bool { return p.BatchID == "" }); i >= 0 {
		notice.Paused, notice.ByHand = true, true
		notice.Reason, notice.Detail = pausedWords(pauses[i], "it"), ""
	}
	if !notice.Paused && !notice.Slow {
		return sealingNotice{}, nil
	}
	load, err := s.deps.Desk.LoadOf(ctx, o.ID)
	if err != nil {
		return sealingNotice{}, err
	}
	notice.Waiting = load.Waiting
	return notice, nil
}

// pausedWords says who has paused something, and why when that was told.
func pausedWords(p issuance.Pause, what string) string {
	who := "an administrator of the organisation has paused " + what
	switch {
	case p.By == issuance.WorkerPaused:
		who = "this server has stopped " + what + " by itself"
	case p.OrganisationID == "" || p.By == issuance.Operator || strings.HasPrefix(p.By, issuance.Operator+":"):
		who = "the operator of this server has paused " + what
	}
	if p.Words == "" {
		return who
	}
	return who + " (" + strings.TrimSuffix(p.Words, ".") + ")"
}
