package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/lti"
)

// tabs are the links between the pages of an administrator, who may teach, too.
type tabs struct {
	At      string // address of the session, with a slash at its end
	Class   bool
	Current string // class, templates, credentials, connections, corrections or seal; empty: none is shown
	// Corrections is how many wait for the administrator, Waiting how many orders to revoke
	// wait for a second person.
	Corrections, Waiting int
}

func (s *Web) tabs(ctx context.Context, v *visit, current string) (tabs, error) {
	t := tabs{At: v.path(""), Current: current}
	var err error
	if t.Corrections, err = s.deps.Desk.CorrectionsWaiting(ctx, v.organisation.ID); err != nil {
		return tabs{}, err
	}
	if t.Waiting, err = s.deps.Desk.OrdersWaiting(ctx, v.organisation.ID); err != nil {
		return tabs{}, err
	}
	if teacher(v.launch) == nil {
		_, err := s.deps.Grading.Launched(ctx, v.launch)
		if err != nil && !errors.Is(err, grading.ErrNotFound) {
			return tabs{}, err
		}
		t.Class = err == nil
	}
	return t, nil
}

// connectionsPage lists the connections of the organisation.
type connectionsPage struct {
	Tabs        tabs
	Items       []connectionItem
	Invitations []invitationItem
	Withdrawn   bool   // an invitation was withdrawn just now
	Sought      string // trace number that was not found; empty: none was sought
}

type connectionItem struct {
	ID, Name, Product, Issuer string
	Status                    lti.Status
	Own                       bool // through which the administrator came
	Waiting                   int  // deployments
	LastLaunch                time.Time
	Refused                   int // in the last day
}

type invitationItem struct {
	ID, Name, By string
	Until        time.Time
}

// aDay is how far back refusals are counted in the list.
const aDay = 24 * time.Hour

// connections shows the list.
func (s *Web) connections(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.showConnections(w, r, v, http.StatusOK, connectionsPage{Withdrawn: r.URL.Query().Has("withdrawn")})
}

func (s *Web) showConnections(w http.ResponseWriter, r *http.Request, v *visit, status int, page connectionsPage) error {
	ctx, org := r.Context(), v.organisation.ID
	all, err := s.deps.Registrations.AllRegistrations(ctx, org)
	if err != nil {
		return err
	}
	since := s.deps.Now().Add(-aDay)
	for _, reg := range all {
		lately, err := s.deps.Registrations.Lately(ctx, org, reg.ID, since)
		if err != nil {
			return err
		}
		page.Items = append(page.Items, connectionItem{
			ID: reg.ID, Name: reg.Name, Product: product(reg), Issuer: reg.Issuer, Status: reg.Status, Own: reg.ID == v.launch.RegistrationID,
			Waiting: len(reg.Pending), LastLaunch: lately.LastLaunch, Refused: lately.Refused,
		})
	}
	open, err := s.deps.Registrations.Invitations(ctx, org)
	if err != nil {
		return err
	}
	for _, inv := range open {
		page.Invitations = append(page.Invitations, invitationItem{ID: inv.ID, Name: inv.Name, By: inviter(v, inv.CreatedBy), Until: inv.ExpiresAt})
	}
	if page.Tabs, err = s.tabs(ctx, v, "connections"); err != nil {
		return err
	}
	return s.show(w, r, status, view{name: "connections", frame: v.frame(), page: &page})
}

// product is what the LMS is, for people; empty: it has not said.
func product(r lti.Registration) string {
	if name := r.Quirks().Name; name != "" {
		return name
	}
	return r.ProductFamily
}

// inviter says who made an invitation: names of people are not kept.
func inviter(v *visit, actor string) string {
	if actor == v.actor() {
		return "you"
	}
	if rest, ok := strings.CutPrefix(actor, "lms:"); ok {
		_, subject, _ := strings.Cut(rest, ":")
		return "LMS user " + subject
	}
	return actor
}

// withdraw ends an open invitation.
func (s *Web) withdraw(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := s.deps.Registrations.RevokeInvitation(r.Context(), v.organisation.ID, mux.Vars(r)["id"], v.actor()); err != nil {
		return err
	}
	return see303(w, r, v.path("connections?withdrawn=1"))
}

// findTrace leads to the launch whose number somebody has read from their page, whichever
// connection of the organisation it came through.
func (s *Web) findTrace(w http.ResponseWriter, r *http.Request, v *visit) error {
	number := traceNumber(r.URL.Query().Get("trace"))
	if number == "" {
		return see303(w, r, v.path("connections"))
	}
	tr, err := s.deps.Registrations.FindTrace(r.Context(), v.organisation.ID, number)
	if errors.Is(err, lti.ErrNotFound) {
		return s.showConnections(w, r, v, http.StatusNotFound, connectionsPage{Sought: number})
	}
	if err != nil {
		return err
	}
	return see303(w, r, v.path("connections/"+tr.RegistrationID+"/launches/"+tr.ID))
}

const (
	traceDigits = 16
	traceGroup  = 4
	maxSought   = 60
)

// traceNumber reads a number as people type or paste it: with other letters, with spaces,
// without hyphens. What is none stays as it was, cut to a fair length.
func traceNumber(typed string) string {
	typed = strings.TrimSpace(typed)
	digits := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' || r == '‐' || r == '–' {
			return -1
		}
		return unicode.ToLower(r)
	}, typed)
	if len(digits) == traceDigits && strings.Trim(digits, "0123456789abcdef") == "" {
		var groups []string
		for i := 0; i < traceDigits; i += traceGroup {
			groups = append(groups, digits[i:i+traceGroup])
		}
		return strings.Join(groups, "-")
	}
	if runes := []rune(typed); len(runes) > maxSought {
		return string(runes[:maxSought])
	}
	return typed
}
