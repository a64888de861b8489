package ltistore_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
)

func TestSetStatus(t *testing.T) {
	each(t, func(s *suite) {
		r := s.registration()
		r.Status = lti.StatusPending
		r, err := s.store.AddRegistration(s.Context(), r)
		s.must(err)
		steps := []struct {
			organisation string
			to           lti.Status
			want         error
		}{
			{"org-2", lti.StatusActive, lti.ErrNotFound},
			{"org-1", lti.StatusPaused, ltistore.ErrStatus}, // waits still
			{"org-1", lti.StatusActive, nil},
			{"org-1", lti.StatusActive, ltistore.ErrStatus},
			{"org-1", lti.StatusPending, ltistore.ErrStatus},
			{"org-1", lti.StatusPaused, nil},
			{"org-1", lti.StatusActive, nil},
		}
		for i, step := range steps {
			if err := s.store.SetStatus(s.Context(), step.organisation, r.ID, step.to, "operator"); !errors.Is(err, step.want) || (err == nil) != (step.want == nil) {
				s.Errorf("step %d to %s: %v, want %v", i, step.to, err, step.want)
			}
		}
		found, err := s.store.RegistrationByKey(s.Context(), r.ID)
		s.must(err)
		if found.Status != lti.StatusActive {
			s.Errorf("ended as %s", found.Status)
		}
		want := []string{"platform confirmed", "platform paused", "platform resumed"}
		if diff := cmp.Diff(want, s.trail("org-1")); diff != "" {
			s.Errorf("audit trail (-want +got):\n%s", diff)
		}
	})
}

func TestApproveDeployment(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		approved, err := s.store.SeeDeployment(s.Context(), r, "2", false)
		s.must(err)
		if approved {
			s.Fatal("a new deployment was approved by itself")
		}
		for _, d := range []string{"2", "3", "2"} {
			s.must(s.store.ApproveDeployment(s.Context(), "org-1", r.ID, d, "operator"))
		}
		got, err := s.store.Registration(s.Context(), "org-1", r.ID)
		s.must(err)
		if !slices.Equal(got.Deployments, []string{"1", "2", "3"}) || len(got.Pending) != 0 {
			s.Errorf("approved %v, pending %v", got.Deployments, got.Pending)
		}
		if err := s.store.ApproveDeployment(s.Context(), "org-2", r.ID, "4", "operator"); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("by another organisation: %v", err)
		}
		if err := s.store.ApproveDeployment(s.Context(), "org-1", r.ID, " ", "operator"); err == nil {
			s.Error("a deployment without a name was approved")
		}
	})
}

func TestSetSettings(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		s.must(s.store.SetPrivateHosts(s.Context(), "org-1", r.ID, []string{"lms.intra.example"}, "operator"))
		settings := lti.Settings{Algorithms: []string{"ES256"}, Hosts: []string{".cdn.example"}, PrivateHosts: []string{"10.0.0.1"}, Deployments: lti.DeploymentsAuto}
		s.must(s.store.SetSettings(s.Context(), "org-1", r.ID, settings, "lms:1:7"))
		got, err := s.store.RegistrationByKey(s.Context(), r.ID)
		s.must(err)
		want := settings
		want.PrivateHosts = []string{"lms.intra.example"} // a page cannot open the operator's network
		if diff := cmp.Diff(want, got.Settings); diff != "" {
			s.Errorf("settings (-want +got):\n%s", diff)
		}
		for _, bad := range []lti.Settings{{ClockSkew: 500}, {Algorithms: []string{"none"}}, {Hosts: []string{"a b"}}} {
			if err := s.store.SetSettings(s.Context(), "org-1", r.ID, bad, "operator"); err == nil {
				s.Errorf("settings %+v were stored", bad)
			}
		}
		if err := s.store.SetPrivateHosts(s.Context(), "org-1", r.ID, []string{".example"}, "operator"); err == nil {
			s.Error("a whole domain was opened")
		}
		if err := s.store.SetSettings(s.Context(), "org-2", r.ID, lti.Settings{}, "operator"); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("by another organisation: %v", err)
		}
		want2 := []string{"private hosts changed", "platform settings changed"}
		if diff := cmp.Diff(want2, s.trail("org-1")); diff != "" {
			s.Errorf("audit trail (-want +got):\n%s", diff)
		}
	})
}
