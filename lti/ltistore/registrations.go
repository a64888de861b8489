package ltistore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// ErrTaken is lti.ErrTaken: another organisation has registered the same issuer and client
// id. Nothing is changed then.
var ErrTaken = lti.ErrTaken

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
	Status         string    `db:"status"`
	LoginKey       string    `db:"login_key"`
	ProductFamily  string    `db:"product_family"`
	Settings       string    `db:"settings"`
	CreatedAt      time.Time `db:"created_at"`
}

func (r registrationRow) registration() (lti.Registration, error) {
	reg := lti.Registration{
		ID: r.ID, OrganisationID: r.OrganisationID, Name: r.Name, Issuer: r.Issuer, ClientID: r.ClientID,
		AuthURL: r.AuthURL, TokenURL: r.TokenURL, JWKSURL: r.JWKSURL, TokenAudience: r.TokenAudience,
		Status: lti.Status(r.Status), LoginKey: r.LoginKey, ProductFamily: r.ProductFamily, CreatedAt: r.CreatedAt.UTC(),
	}
	if err := json.Unmarshal([]byte(r.Settings), &reg.Settings); err != nil {
		return lti.Registration{}, fmt.Errorf("decode the settings of registration %s: %w", r.ID, err)
	}
	return reg, nil
}

func rowOf(r lti.Registration, createdAt time.Time) (registrationRow, error) {
	settings, err := json.Marshal(r.Settings)
	if err != nil {
		return registrationRow{}, fmt.Errorf("encode the settings: %w", err)
	}
	return registrationRow{
		ID: r.ID, OrganisationID: r.OrganisationID, Name: r.Name, Issuer: r.Issuer, ClientID: r.ClientID,
		AuthURL: r.AuthURL, TokenURL: r.TokenURL, JWKSURL: r.JWKSURL, TokenAudience: r.TokenAudience,
		Status: string(cmp.Or(r.Status, lti.StatusActive)), LoginKey: r.LoginKey, ProductFamily: r.ProductFamily,
		Settings: string(settings), CreatedAt: createdAt,
	}, nil
}

const selectRegistration = `select
	id, organisation_id, name, issuer, client_id, auth_url, token_url, jwks_url, token_audience,
	status, login_key, product_family, settings, created_at
	from registrations `

// AddRegistration stores r with its deployments and returns it as stored. The same issuer
// and client id of the same organisation again updates name, addresses, login key, product
// family and settings and adds the deployments that are new, so a registration can be
// repeated; deployments are never taken away by it, and the status stays as it was: who
// repeats a registration does not thereby confirm it. An empty r.ID gets one. It fails with
// the sentence of r.Validate and with ErrTaken.
func (s *Store) AddRegistration(ctx context.Context, r lti.Registration) (lti.Registration, error) {
	if err := r.Validate(); err != nil {
		return lti.Registration{}, err
	}
	if r.ID == "" {
		r.ID = uuid.Must(uuid.NewV7()).String()
	}
	now := sqldb.UTC(s.now())
	row, err := rowOf(r, now)
	if err != nil {
		return lti.Registration{}, err
	}
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		if err := upsert(ctx, tx, row); err != nil {
			return err
		}
		err := tx.Get(ctx, &row, selectRegistration+`where issuer = ? and client_id = ? and organisation_id = ?`,
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
	s.forget()
	return r, nil
}

func upsert(ctx context.Context, tx *sqldb.Tx, r registrationRow) error {
	_, err := tx.Exec(ctx, `insert into registrations (
			id, organisation_id, name, issuer, client_id, auth_url, token_url, jwks_url, token_audience,
			status, login_key, product_family, settings, created_at
		) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		on conflict (issuer, client_id) do nothing`,
		r.ID, r.OrganisationID, r.Name, r.Issuer, r.ClientID, r.AuthURL, r.TokenURL, r.JWKSURL, r.TokenAudience,
		r.Status, r.LoginKey, r.ProductFamily, r.Settings, r.CreatedAt)
	if err != nil {
		return fmt.Errorf("insert a registration: %w", err)
	}
	n, err := tx.Exec(ctx, `update registrations
		set name = ?, auth_url = ?, token_url = ?, jwks_url = ?, token_audience = ?,
		settings = case when ? = '{}' then settings else ? end,
		login_key = case when ? = '' then login_key else ? end,
		product_family = case when ? = '' then product_family else ? end
		where issuer = ? and client_id = ? and organisation_id = ?`,
		r.Name, r.AuthURL, r.TokenURL, r.JWKSURL, r.TokenAudience, r.Settings, r.Settings,
		r.LoginKey, r.LoginKey, r.ProductFamily, r.ProductFamily,
		r.Issuer, r.ClientID, r.OrganisationID)
	if err != nil {
		return fmt.Errorf("update the registration: %w", err)
	}
	if n == 0 {
		return ErrTaken
	}
	return nil
}

// addDeployment adds an approved deployment, and approves one that waited.
func addDeployment(ctx context.Context, tx *sqldb.Tx, r registrationRow, deployment string, now time.Time) error {
	_, err := tx.Exec(ctx, `insert into deployments (organisation_id, registration_id, deployment_id, created_at, status)
		values (?, ?, ?, ?, 'approved') on conflict (registration_id, deployment_id) do update set status = 'approved'`,
		r.OrganisationID, r.ID, deployment, now)
	if err != nil {
		return fmt.Errorf("insert a deployment: %w", err)
	}
	return nil
}

func withDeployments(ctx context.Context, q sqldb.Queryer, row registrationRow) (lti.Registration, error) {
	r, err := row.registration()
	if err != nil {
		return lti.Registration{}, err
	}
	var rows []struct {
		ID     string `db:"deployment_id"`
		Status string `db:"status"`
	}
	err = q.Select(ctx, &rows, `select deployment_id, status from deployments
		where organisation_id = ? and registration_id = ? order by deployment_id`, r.OrganisationID, r.ID)
	if err != nil {
		return lti.Registration{}, fmt.Errorf("select the deployments: %w", err)
	}
	for _, d := range rows {
		if d.Status == deploymentApproved {
			r.Deployments = append(r.Deployments, d.ID)
		} else {
			r.Pending = append(r.Pending, d.ID)
		}
	}
	return r, nil
}

const (
	deploymentApproved = "approved"
	deploymentPending  = "pending"
)

// AllRegistrations returns the registrations of an organisation with their deployments,
// in the order of their names.
func (s *Store) AllRegistrations(ctx context.Context, organisationID string) ([]lti.Registration, error) {
	return selectRegistrations(ctx, s.db, `where organisation_id = ? order by name, id`, organisationID)
}

// selectRegistrations reads registrations with their deployments; rest follows the columns.
func selectRegistrations(ctx context.Context, q sqldb.Queryer, rest string, args ...any) ([]lti.Registration, error) {
	var rows []registrationRow
	if err := q.Select(ctx, &rows, selectRegistration+rest, args...); err != nil {
		return nil, fmt.Errorf("select registrations: %w", err)
	}
	list := make([]lti.Registration, 0, len(rows))
	for _, row := range rows {
		r, err := withDeployments(ctx, q, row)
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
	s.forget()
	return nil
}
