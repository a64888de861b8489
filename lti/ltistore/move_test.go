package ltistore_test

import (
	"errors"
	"testing"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
)

func TestMoveRegistration(t *testing.T) {
	each(t, func(s *suite) {
		t := s.T
		r := s.added()
		moved := r
		moved.Issuer, moved.AuthURL, moved.JWKSURL = "https://new.example", "https://new.example/auth", "https://new.example/jwks"
		s.must(s.store.MoveRegistration(t.Context(), moved))
		got, err := s.store.Registration(t.Context(), r.OrganisationID, r.ID)
		s.must(err)
		if got.Issuer != moved.Issuer || got.AuthURL != moved.AuthURL || got.ClientID != r.ClientID || len(got.Deployments) != len(r.Deployments) {
			t.Errorf("after the move: %+v", got)
		}
		other := moved
		other.OrganisationID = "somebody-else"
		if err := s.store.MoveRegistration(t.Context(), other); !errors.Is(err, lti.ErrNotFound) {
			t.Errorf("move another organisation's registration: %v, want ErrNotFound", err)
		}
		bad := moved
		bad.AuthURL = "http://new.example/auth"
		if err := s.store.MoveRegistration(t.Context(), bad); err == nil {
			t.Error("moved to an address without TLS")
		}
		second := s.registration()
		second.Issuer = "https://second.example"
		second, err = s.store.AddRegistration(t.Context(), second)
		s.must(err)
		second.Issuer = moved.Issuer
		if err := s.store.MoveRegistration(t.Context(), second); !errors.Is(err, ltistore.ErrTaken) {
			t.Errorf("move onto another registration: %v, want ErrTaken", err)
		}
	})
}
