package web

import (
	"context"
	"strings"
)

// sealingNotice is said on every page where it matters.
type sealingNotice struct {
	Paused, Slow   bool
	Reason, Detail string // Reason without a full stop
	Waiting        int
}

func (s *Web) sealingNotice(ctx context.Context, slug string) (sealingNotice, error) {
	status := s.deps.Sealing(slug)
	if !status.Paused && !status.Slow {
		return sealingNotice{}, nil
	}
	load, err := s.deps.Desk.Load(ctx)
	if err != nil {
		return sealingNotice{}, err
	}
	return sealingNotice{Paused: status.Paused, Slow: status.Slow, Reason: strings.TrimSuffix(status.Reason, "."), Detail: status.Detail, Waiting: load.Waiting}, nil
}
