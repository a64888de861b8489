package ltistore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
)

func (s *suite) invited(life time.Duration) string {
	s.Helper()
	ticket, err := s.store.Invite(s.Context(), "org-1", "Moodle of arts", "operator", life)
	s.must(err)
	return ticket
}

// discovered is what dynamic registration finds.
func (s *suite) discovered() lti.Registration {
	r := s.registration()
	r.Status, r.LoginKey, r.ProductFamily = lti.StatusPending, "key-1", "moodle"
	return r
}

// trail returns the actions in the audit trail of an organisation.
func (s *suite) trail(organisation string) []string {
	s.Helper()
	var actions []string
	s.must(s.db.Select(s.Context(), &actions, `select action from audit where organisation_id = ? order by id`, organisation))
	return actions
}

func TestInvitations(t *testing.T) {
	each(t, func(s *suite) {
		first := s.invited(0)
		s.now = s.now.Add(time.Minute)
		second := s.invited(time.Hour)
		if len(first) != 43 || first == second {
			s.Errorf("tickets %q and %q", first, second)
		}
		got, err := s.store.Invitation(s.Context(), first)
		s.must(err)
		want := lti.Invitation{
			ID: got.ID, OrganisationID: "org-1", Name: "Moodle of arts", CreatedBy: "operator", CreatedAt: start, ExpiresAt: start.Add(ltistore.InvitationLife),
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got.ID) != 16 {
			s.Errorf("invitation (-want +got):\n%s", diff)
		}
		var stored []string
		s.must(s.db.Select(s.Context(), &stored, `select ticket_hash from invitations`))
		if slices.ContainsFunc(stored, func(h string) bool { return strings.Contains(h, first) || h == first || len(h) != 64 }) {
			s.Errorf("a ticket is stored: %v", stored)
		}
		open, err := s.store.Invitations(s.Context(), "org-1")
		s.must(err)
		if len(open) != 2 || open[1].ID != got.ID {
			s.Errorf("open invitations %+v", open)
		}
		if foreign, err := s.store.Invitations(s.Context(), "org-2"); err != nil || len(foreign) != 0 {
			s.Errorf("shown to another organisation: %v, %v", foreign, err)
		}
		for _, ticket := range []string{"", first[:42], strings.ToLower(first) + "x", "%"} {
			if _, err := s.store.Invitation(s.Context(), ticket); !errors.Is(err, lti.ErrNotFound) {
				s.Errorf("ticket %q: %v", ticket, err)
			}
		}
		s.now = s.now.Add(time.Hour)
		if _, err := s.store.Invitation(s.Context(), second); !errors.Is(err, lti.ErrInvitationExpired) {
			s.Errorf("an hour later: %v", err)
		}
	})
}

func TestRevokeInvitation(t *testing.T) {
	each(t, func(s *suite) {
		ticket := s.invited(0)
		inv, err := s.store.Invitation(s.Context(), ticket)
		s.must(err)
		if err := s.store.RevokeInvitation(s.Context(), "org-2", inv.ID, "operator"); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("withdrawn by another organisation: %v", err)
		}
		s.must(s.store.RevokeInvitation(s.Context(), "org-1", inv.ID, "operator"))
		if _, err := s.store.Invitation(s.Context(), ticket); !errors.Is(err, lti.ErrInvitationExpired) {
			s.Errorf("after it was withdrawn: %v", err)
		}
		if err := s.store.RevokeInvitation(s.Context(), "org-1", inv.ID, "operator"); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("withdrawn twice: %v", err)
		}
		if _, err := s.store.UseInvitation(s.Context(), ticket, s.discovered()); !errors.Is(err, lti.ErrInvitationExpired) {
			s.Errorf("used after it was withdrawn: %v", err)
		}
		want := []string{"platform invited", "invitation withdrawn"}
		if diff := cmp.Diff(want, s.trail("org-1")); diff != "" {
			s.Errorf("audit trail (-want +got):\n%s", diff)
		}
	})
}

func TestUseInvitation(t *testing.T) {
	each(t, func(s *suite) {
		ticket := s.invited(0)
		r := s.discovered()
		r.Status = lti.StatusActive // nobody registers a platform and confirms it at once
		done, err := s.store.UseInvitation(s.Context(), ticket, r)
		s.must(err)
		want := s.discovered()
		want.ID, want.CreatedAt = done.Registration.ID, start
		if diff := cmp.Diff(lti.Registered{Registration: want}, done); diff != "" {
			s.Errorf("registered (-want +got):\n%s", diff)
		}
		found, err := s.store.RegistrationByKey(s.Context(), "key-1")
		s.must(err)
		if found.ID != done.Registration.ID || found.Status != lti.StatusPending || !slices.Equal(found.Deployments, []string{"1"}) {
			s.Errorf("stored %+v", found)
		}
		if _, err := s.store.Invitation(s.Context(), ticket); !errors.Is(err, lti.ErrInvitationUsed) {
			s.Errorf("after use: %v", err)
		}
		if _, err := s.store.UseInvitation(s.Context(), ticket, s.discovered()); !errors.Is(err, lti.ErrInvitationUsed) {
			s.Errorf("used twice: %v", err)
		}
		if diff := cmp.Diff([]string{"platform invited", "platform registered"}, s.trail("org-1")); diff != "" {
			s.Errorf("audit trail (-want +got):\n%s", diff)
		}
		foreign := s.discovered()
		foreign.OrganisationID = "org-2"
		if _, err := s.store.UseInvitation(s.Context(), s.invited(0), foreign); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("an invitation of one organisation registered for another: %v", err)
		}
		bad := s.discovered()
		bad.AuthURL = "javascript:alert(1)"
		if _, err := s.store.UseInvitation(s.Context(), s.invited(0), bad); err == nil {
			s.Error("an unusable registration was stored")
		}
	})
}

// TestUseInvitationAgain: what becomes of a platform that the organisation has already.
func TestUseInvitationAgain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before lti.Status
		change func(*lti.Registration)
		want   lti.Status
	}{
		{"active, same addresses", lti.StatusActive, func(*lti.Registration) {}, lti.StatusActive},
		{"active, another name and deployment", lti.StatusActive, func(r *lti.Registration) { r.Name, r.Deployments = "Mine", []string{"2"} }, lti.StatusActive},
		{"active, other keys", lti.StatusActive, func(r *lti.Registration) { r.JWKSURL = "https://keys.example/jwks" }, lti.StatusPending},
		{"active, other login", lti.StatusActive, func(r *lti.Registration) { r.AuthURL += "2" }, lti.StatusPending},
		{"active, other tokens", lti.StatusActive, func(r *lti.Registration) { r.TokenURL += "2" }, lti.StatusPending},
		{"active, other audience", lti.StatusActive, func(r *lti.Registration) { r.TokenAudience = "" }, lti.StatusPending},
		{"pending", lti.StatusPending, func(*lti.Registration) {}, lti.StatusPending},
		{"paused, other keys", lti.StatusPaused, func(r *lti.Registration) { r.JWKSURL += "2" }, lti.StatusPaused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(s *suite) {
				before := s.registration()
				before.Status, before.LoginKey, before.Settings.ClockSkew = test.before, "old", 90
				before, err := s.store.AddRegistration(s.Context(), before)
				s.must(err)
				s.now = s.now.Add(time.Hour)
				r := s.discovered()
				test.change(&r)
				done, err := s.store.UseInvitation(s.Context(), s.invited(0), r)
				s.must(err)
				got := done.Registration
				if !done.Again || got.ID != before.ID || got.Name != before.Name || got.Status != test.want || got.LoginKey != "key-1" || got.Settings.ClockSkew != 90 || got.JWKSURL != r.JWKSURL {
					s.Errorf("again %v, registration %+v", done.Again, got)
				}
				if len(done.Others) != 0 || !slices.Contains(got.Deployments, "1") {
					s.Errorf("deployments %v, others %v", got.Deployments, done.Others)
				}
			})
		})
	}
}

func TestUseInvitationBesides(t *testing.T) {
	each(t, func(s *suite) {
		old := s.added()
		r := s.discovered()
		r.ClientID = "c-2"
		done, err := s.store.UseInvitation(s.Context(), s.invited(0), r)
		s.must(err)
		if done.Again || len(done.Others) != 1 || done.Others[0].ID != old.ID || done.Registration.ID == old.ID {
			s.Errorf("again %v, others %+v", done.Again, done.Others)
		}
	})
}

// TestUseInvitationOfOthers: R21, nobody takes over another organisation's platform.
func TestUseInvitationOfOthers(t *testing.T) {
	each(t, func(s *suite) {
		theirs := s.discovered()
		theirs.OrganisationID, theirs.LoginKey = "org-2", "theirs"
		theirs, err := s.store.AddRegistration(s.Context(), theirs)
		s.must(err)
		ticket := s.invited(0)
		r := s.discovered()
		r.JWKSURL = "https://evil.example/jwks"
		if _, err := s.store.UseInvitation(s.Context(), ticket, r); !errors.Is(err, ltistore.ErrTaken) {
			s.Errorf("got %v, want ErrTaken", err)
		}
		after, err := s.store.Registration(s.Context(), "org-2", theirs.ID)
		s.must(err)
		if diff := cmp.Diff(theirs, after); diff != "" {
			s.Errorf("theirs was changed (-before +after):\n%s", diff)
		}
		if _, err := s.store.Invitation(s.Context(), ticket); err != nil {
			s.Errorf("the invitation was spent: %v", err)
		}
		for _, organisation := range []string{"org-1", "org-2"} {
			if trail := s.trail(organisation); !slices.Contains(trail, "registration refused") {
				s.Errorf("%s was not told: %v", organisation, trail)
			}
		}
		var leaked int
		s.must(s.db.Get(s.Context(), &leaked, `select count(*) from audit where organisation_id <> 'org-2' and detail like '%org-2%' or organisation_id <> 'org-1' and detail like '%org-1%'`))
		if leaked != 0 {
			s.Error("the trail names the other organisation")
		}
	})
}

func TestUseInvitationRace(t *testing.T) {
	each(t, func(s *suite) {
		ticket := s.invited(0)
		const n = 8
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			r := s.discovered()
			r.ClientID, r.LoginKey = fmt.Sprint("c-", i), fmt.Sprint("key-", i)
			wg.Go(func() { _, errs[i] = s.store.UseInvitation(s.Context(), ticket, r) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, lti.ErrInvitationUsed) {
				s.Errorf("a loser got %v", err)
			}
		}
		all, err := s.store.AllRegistrations(s.Context(), "org-1")
		s.must(err)
		if won != 1 || len(all) != 1 {
			s.Errorf("%d won, %d registrations", won, len(all))
		}
	})
}
