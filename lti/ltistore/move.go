package ltistore

import (
	"context"
	"fmt"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// MoveRegistration gives the registration r.ID of r.OrganisationID a new issuer and new
// addresses: the platform has moved to another host, and everything that was attached and
// claimed through it stays. Name, client id and deployments stay as they are. It fails
// with the sentence of r.Validate, lti.ErrNotFound, and ErrTaken when issuer and client id
// belong to another registration already.
func (s *Store) MoveRegistration(ctx context.Context, r lti.Registration) error {
	if err := r.Validate(); err != nil {
		return err
	}
	n, err := s.db.Exec(ctx, `update registrations set issuer = ?, auth_url = ?, token_url = ?, jwks_url = ?, token_audience = ?
		where organisation_id = ? and id = ?`, r.Issuer, r.AuthURL, r.TokenURL, r.JWKSURL, r.TokenAudience, r.OrganisationID, r.ID)
	if sqldb.IsDuplicate(err) {
		return ErrTaken
	}
	if err != nil {
		return fmt.Errorf("move the registration: %w", err)
	}
	if n == 0 {
		return lti.ErrNotFound
	}
	s.forget()
	return nil
}
