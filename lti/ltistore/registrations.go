package ltistore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// ErrTaken is returned by AddRegistration when another organisation has registered the
// same issuer and client id. Nothing is changed then.
var ErrTaken = errors.New("another organisation has registered this issuer and client id")

type registrationRow struct {
	ID             string    `db:"id"`
	OrganisationID string    `db:"organisation_id"`
	Name           string    `db:"name"`
	Issuer         string    `db:"issuer"`
	ClientID       string    `db:"client_id"`
	AuthURL        string    `db:"auth_url"`
	TokenURL       string    `db:"token_url"`
	JWKSURL        string    `db:"jwks_url"`
	TokenAudience  string    `db:"token_audience"`
	CreatedAt      time.Time `db:"created_at"`
}

func (r registrationRow) registration() lti.Registration {
	return lti.Registration{
		ID: r.ID, OrganisationID: r.OrganisationID, Name: r.Name, Issuer: r.Issuer, ClientID: r.ClientID,
		AuthURL: r.AuthURL, TokenURL: r.TokenURL, JWKSURL: r.JWKSURL, TokenAudience: r.TokenAudience,
		CreatedAt: r.CreatedAt.UTC(),
	}
}

const selectRegistration = `select
	id, organisation_id, name, issuer, client_id, auth_url, token_url, jwks_url, token_audience, created_at
	from registrations `

// AddRegistration stores r with its deployments and returns it as stored. The same issuer
// and client id of the same organisation again updates name and addresses and adds the
// deployments that are new, so the operator's command can be repeated; deployments are
// never taken away by it. It fails with the sentence of r.Validate and with ErrTaken.
func (s *Store) AddRegistration(ctx context.Context, r lti.Registration) (lti.Registration, error) {
	if err := r.Validate(); err != nil {
		return lti.Registration{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return lti.Registration{}, fmt.Errorf("make a registration id: %w", err)
	}
	now := sqldb.UTC(s.now())
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `insert into registrations (
				id, organisation_id, name, issuer, client_id, auth_url, token_url, jwks_url, token_audience, created_at
			) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			on conflict (issuer, client_id) do nothing`,
			id.String(), r.OrganisationID, r.Name, r.Issuer, r.ClientID, r.AuthURL, r.TokenURL, r.JWKSURL, r.TokenAudience, now)
		if err != nil {
			return fmt.Errorf("insert a registration: %w", err)
		}
		n, err := tx.Exec(ctx, `update registrations
			set name = ?, auth_url = ?, token_url = ?, jwks_url = ?, token_audience = ?
			where issuer = ? and client_id = ? and organisation_id = ?`,
			r.Name, r.AuthURL, r.TokenURL, r.JWKSURL, r.TokenAudience, r.Issuer, r.ClientID, r.OrganisationID)
		if err != nil {
			return fmt.Errorf("update the registration: %w", err)
		}
		if n == 0 {
			return ErrTaken
		}
		var row registrationRow
		err = tx.Get(ctx, &row, selectRegistration+`where issuer = ? and client_id = ? and organisation_id = ?`,
			r.Issuer, r.ClientID, r.OrganisationID)
		if err != nil {
			return fmt.Errorf("select the registration: %w", err)
		}
		for _, d := range r.Deployments {
			if err := addDeployment(ctx, tx, row, d, now); err != nil {
				return err
			}
		}
		r, err = withDeployments(ctx, tx, row)
		return err
	})
	if err != nil {
		return lti.Registration{}, err
	}
	return r, nil
}

func addDeployment(ctx context.Context, tx *sqldb.Tx, r registrationRow, deployment string, now time.Time) error {
	_, err := tx.Exec(ctx, `insert into deployments (organisation_id, registration_id, deployment_id, created_at)
		values (?, ?, ?, ?) on conflict (registration_id, deployment_id) do nothing`,
		r.OrganisationID, r.ID, deployment, now)
	if err != nil {
		return fmt.Errorf("insert a deployment: %w", err)
	}
	return nil
}

func withDeployments(ctx context.Context, q sqldb.Queryer, row registrationRow) (lti.Registration, error) {
	r := row.registration()
	err := q.Select(ctx, &r.Deployments, `select deployment_id from deployments
		where organisation_id = ? and registration_id = ? order by deployment_id`, r.OrganisationID, r.ID)
	if err != nil {
		return lti.Registration{}, fmt.Errorf("select the deployments: %w", err)
	}
	return r, nil
}

// AllRegistrations returns the registrations of an organisation with their deployments,
// in the order of their names.
func (s *Store) AllRegistrations(ctx context.Context, organisationID string) ([]lti.Registration, error) {
	var rows []registrationRow
	err := s.db.Select(ctx, &rows, selectRegistration+`where organisation_id = ? order by name, id`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("select the registrations: %w", err)
	}
	list := make([]lti.Registration, 0, len(rows))
	for _, row := range rows {
		r, err := withDeployments(ctx, s.db, row)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// Registration returns one registration of the organisation with its deployments, or
// lti.ErrNotFound.
func (s *Store) Registration(ctx context.Context, organisationID, id string) (lti.Registration, error) {
	var row registrationRow
	err := s.db.Get(ctx, &row, selectRegistration+`where organisation_id = ? and id = ?`, organisationID, id)
	if errors.Is(err, sql.ErrNoRows) {
		return lti.Registration{}, fmt.Errorf("registration %s: %w", id, lti.ErrNotFound)
	}
	if err != nil {
		return lti.Registration{}, fmt.Errorf("select the registration: %w", err)
	}
	return withDeployments(ctx, s.db, row)
}

// RemoveRegistration deletes a registration of the organisation with its deployments,
// open logins and sessions; not there is lti.ErrNotFound. It fails, and changes nothing,
// while claims of learners refer to it.
func (s *Store) RemoveRegistration(ctx context.Context, organisationID, id string) error {
	n, err := s.db.Exec(ctx, `delete from registrations where organisation_id = ? and id = ?`, organisationID, id)
	if err != nil {
		return fmt.Errorf("delete registration %s: %w", id, err)
	}
	if n == 0 {
		return fmt.Errorf("registration %s: %w", id, lti.ErrNotFound)
	}
	return nil
}

// Registrations implements lti.Store, across organisations: the pair of issuer and client
// id is unique in the database.
func (s *Store) Registrations(ctx context.Context, issuer, clientID string) ([]lti.Registration, error) {
	query, args := selectRegistration+`where issuer = ? order by id`, []any{issuer}
	if clientID != "" {
		query, args = selectRegistration+`where issuer = ? and client_id = ?`, []any{issuer, clientID}
	}
	var rows []registrationRow
	if err := s.db.Select(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("select the registrations of an issuer: %w", err)
	}
	list := make([]lti.Registration, 0, len(rows))
	for _, row := range rows {
		list = append(list, row.registration())
	}
	return list, nil
}

// HasDeployment implements lti.Store.
func (s *Store) HasDeployment(ctx context.Context, r lti.Registration, deploymentID string) (bool, error) {
	var n int
	err := s.db.Get(ctx, &n, `select count(*) from deployments
		where organisation_id = ? and registration_id = ? and deployment_id = ?`, r.OrganisationID, r.ID, deploymentID)
	if err != nil {
		return false, fmt.Errorf("count the deployments: %w", err)
	}
	return n > 0, nil
}
