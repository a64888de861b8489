package web

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// rosters keeps the names of courses for a moment, in memory only: a teacher who looks at
// the class twice does not make the platform list it twice, and nothing about people is
// stored.
type rosters struct {
	mu    sync.Mutex
	lists map[string]roster
}

type roster struct {
	names map[string]string // by LTI subject
	at    time.Time
	why   string // it could not be read, in words; empty: it was
}

const (
	rosterLife = 5 * time.Minute
	maxRosters = 500
)

// names returns the names of the course of the launch, as far as its platform tells them,
// and in words why it does not. A teacher's page does without them.
func (s *Web) names(ctx context.Context, v *visit) roster {
	address := v.launch.NRPS.URL
	if address == "" {
		return roster{}
	}
	key, now := v.launch.RegistrationID+"\x00"+address, s.deps.Now()
	s.rosters.mu.Lock()
	known, ok := s.rosters.lists[key]
	s.rosters.mu.Unlock()
	if ok && now.Sub(known.at) < rosterLife && !now.Before(known.at) {
		return known
	}
	fresh := roster{at: now, names: map[string]string{}}
	list, err := s.deps.Roster(ctx, v.platform, address, lti.MemberQuery{})
	if refused, is := errors.AsType[*lti.ServiceError](err); is {
		fresh.why = refused.Sentence()
	} else if err != nil {
		fresh.why = "The learning platform did not answer as it should."
	}
	if err != nil {
		s.deps.Logger.InfoContext(ctx, "names of a course not read", "registration", v.launch.RegistrationID, "err", err)
	}
	for _, m := range list.Members {
		if m.Name != "" {
			fresh.names[m.UserID] = m.Name
		}
	}
	s.rosters.mu.Lock()
	defer s.rosters.mu.Unlock()
	if len(s.rosters.lists) >= maxRosters {
		clear(s.rosters.lists)
	}
	s.rosters.lists[key] = fresh
	return fresh
}
