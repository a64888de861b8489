package ltistore_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
)

func TestConnect(t *testing.T) {
	each(t, func(s *suite) {
		r, err := s.store.Connect(s.Context(), s.registration(), "lms:x:boss")
		s.must(err)
		if r.Status != lti.StatusActive || r.ID == "" {
			s.Errorf("stored %+v", r)
		}
		stored, err := s.store.Registration(s.Context(), "org-1", r.ID)
		s.must(err)
		if diff := cmp.Diff(r, stored); diff != "" {
			s.Errorf("stored (-returned +stored):\n%s", diff)
		}
		again := s.registration()
		again.JWKSURL = "https://elsewhere.example/jwks"
		known, err := s.store.Connect(s.Context(), again, "lms:x:boss")
		if !errors.Is(err, ltistore.ErrKnown) || known.ID != r.ID || known.JWKSURL != r.JWKSURL {
			s.Errorf("again: %+v, %v", known, err)
		}
		again.OrganisationID = "org-2"
		if _, err := s.store.Connect(s.Context(), again, "lms:y:boss"); !errors.Is(err, ltistore.ErrTaken) {
			s.Errorf("another organisation: %v", err)
		}
		again.ClientID = ""
		if _, err := s.store.Connect(s.Context(), again, "lms:y:boss"); err == nil {
			s.Error("stored without a client id")
		}
		if diff := cmp.Diff([]string{"platform connected", "registration refused"}, s.trail("org-1")); diff != "" {
			s.Errorf("audit trail (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"registration refused"}, s.trail("org-2")); diff != "" {
			s.Errorf("audit trail of the other (-want +got):\n%s", diff)
		}
	})
}

func TestCorrect(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		to := lti.Registration{
			Name: "New", Issuer: "https://other.example", ClientID: "other", AuthURL: "https://lms.example.edu/auth2",
			TokenURL: "https://lms.example.edu/token2", JWKSURL: "https://lms.example.edu/jwks2", TokenAudience: "",
		}
		if err := s.store.Correct(s.Context(), "org-2", r.ID, to, "boss"); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("another organisation: %v", err)
		}
		s.must(s.store.Correct(s.Context(), "org-1", r.ID, to, "boss"))
		found, err := s.store.Registration(s.Context(), "org-1", r.ID)
		s.must(err)
		r.Name, r.AuthURL, r.TokenURL, r.JWKSURL, r.TokenAudience = to.Name, to.AuthURL, to.TokenURL, to.JWKSURL, ""
		if diff := cmp.Diff(r, found); diff != "" {
			s.Errorf("corrected (-want +got):\n%s", diff)
		}
		to.AuthURL = "javascript:alert(1)"
		if err := s.store.Correct(s.Context(), "org-1", r.ID, to, "boss"); err == nil {
			s.Error("a script was stored")
		}
		if diff := cmp.Diff([]string{"platform corrected"}, s.trail("org-1")); diff != "" {
			s.Errorf("audit trail (-want +got):\n%s", diff)
		}
	})
}

func TestLately(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		got, err := s.store.Lately(s.Context(), "org-1", r.ID, start)
		s.must(err)
		if got.Refused != 0 || !got.LastLaunch.IsZero() {
			s.Errorf("of nothing: %+v", got)
		}
		traces := s.store.NewTraces(slog.New(slog.DiscardHandler))
		for i, tr := range []lti.Trace{
			{Kind: lti.TraceLaunch, Code: lti.CodeReplay}, // too old
			{Kind: lti.TraceLaunch},
			{Kind: lti.TraceLogin, Code: lti.CodePlatformUnknown},
			{Kind: lti.TraceLaunch, Code: lti.CodeSignature},
			{Kind: lti.TraceNotice, Context: `"kind":"launch"`},
		} {
			tr.ID, tr.OrganisationID, tr.RegistrationID, tr.At = string(rune('a'+i)), "org-1", r.ID, start.Add(time.Duration(i)*time.Minute)
			traces.Add(tr)
		}
		s.must(traces.Flush(s.Context()))
		got, err = s.store.Lately(s.Context(), "org-1", r.ID, start.Add(30*time.Second))
		s.must(err)
		if want := (ltistore.Lately{LastLaunch: start.Add(time.Minute), Refused: 2}); got != want {
			s.Errorf("got %+v, want %+v", got, want)
		}
		if got, err = s.store.Lately(s.Context(), "org-2", r.ID, start); err != nil || got != (ltistore.Lately{}) {
			s.Errorf("another organisation sees %+v, %v", got, err)
		}
	})
}
