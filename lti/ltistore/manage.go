package ltistore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// ErrStatus is returned by SetStatus for a change that is none: who confirms what has
// been confirmed, or paused meanwhile, should look first.
var ErrStatus = errors.New("the platform is not in that state")

// ErrKnown is returned by Connect for a connection that the organisation has already.
var ErrKnown = errors.New("the organisation has this connection already")

// Connect stores a registration that an administrator has entered: who may do that need
// not wait for a confirmation. It fails with the sentence of Registration.Validate, with
// ErrKnown and the registration that is there, and with ErrTaken, of which both
// organisations' trails tell.
func (s *Store) Connect(ctx context.Context, r lti.Registration, actor string) (lti.Registration, error) {
	if err := r.Validate(); err != nil {
		return lti.Registration{}, err
	}
	r.ID, r.Status = uuid.Must(uuid.NewV7()).String(), lti.StatusActive
	now := sqldb.UTC(s.now())
	var owner string
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		known, found, err := registrationOf(ctx, tx, r.Issuer, r.ClientID)
		switch {
		case err != nil:
			return err
		case found && known.OrganisationID == r.OrganisationID:
			r = known
			return ErrKnown
		case found:
			owner = known.OrganisationID
			return ErrTaken
		}
		row, err := rowOf(r, now)
		if err != nil {
			return err
		}
		if err := upsert(ctx, tx, row); err != nil {
			return err
		}
		for _, d := range r.Deployments {
			if err := addDeployment(ctx, tx, row, d, now); err != nil {
				return err
			}
		}
		r.CreatedAt = now
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: r.OrganisationID, At: now, Actor: actor, Action: "platform connected", Subject: r.ID, Detail: inWords(r),
		})
	})
	switch {
	case errors.Is(err, ErrKnown):
		return r, err
	case errors.Is(err, ErrTaken) && owner != "":
		return lti.Registration{}, errors.Join(err, s.noteTaken(ctx, taken{r: r, owner: owner, actor: actor, theirActor: "somebody else's administrator", subject: r.ClientID}))
	case err != nil:
		return lti.Registration{}, err
	}
	s.forget()
	return r, nil
}

// Correct changes name, addresses and token audience of a registration of the organisation
// to those of r; issuer and client id, by which it is known, stay. It fails with the
// sentence of Registration.Validate and lti.ErrNotFound.
func (s *Store) Correct(ctx context.Context, organisationID, id string, to lti.Registration, actor string) error {
	return s.manage(ctx, organisationID, id, func(tx *sqldb.Tx, r lti.Registration, now time.Time) (sqldb.Event, error) {
		r.Name, r.AuthURL, r.TokenURL, r.JWKSURL, r.TokenAudience = to.Name, to.AuthURL, to.TokenURL, to.JWKSURL, to.TokenAudience
		if err := r.Validate(); err != nil {
			return sqldb.Event{}, err
		}
		_, err := tx.Exec(ctx, `update registrations set name = ?, auth_url = ?, token_url = ?, jwks_url = ?, token_audience = ?
			where organisation_id = ? and id = ?`, r.Name, r.AuthURL, r.TokenURL, r.JWKSURL, r.TokenAudience, organisationID, id)
		if err != nil {
			return sqldb.Event{}, fmt.Errorf("correct the registration: %w", err)
		}
		return sqldb.Event{At: now, Actor: actor, Action: "platform corrected", Subject: id, Detail: inWords(r)}, nil
	})
}

// inWords are the values that decide whom a registration trusts.
func inWords(r lti.Registration) string {
	return fmt.Sprintf("issuer %s, client id %s, logins %s, tokens %s, keys %s", r.Issuer, r.ClientID, r.AuthURL, r.TokenURL, r.JWKSURL)
}

// statusChanges are the states from which a registration goes to another, and the word for
// it in the audit trail. Nothing goes back to pending by hand.
var statusChanges = map[lti.Status]map[lti.Status]string{
	lti.StatusActive: {lti.StatusPending: "platform confirmed", lti.StatusPaused: "platform resumed"},
	lti.StatusPaused: {lti.StatusActive: "platform paused"},
}

// SetStatus confirms (pending to active), pauses (active to paused) or resumes (paused to
// active) a registration of the organisation. actor is for the audit trail. It fails with
// lti.ErrNotFound, and with ErrStatus when there is no such change from its present state.
func (s *Store) SetStatus(ctx context.Context, organisationID, id string, to lti.Status, actor string) error {
	return s.manage(ctx, organisationID, id, func(tx *sqldb.Tx, r lti.Registration, now time.Time) (sqldb.Event, error) {
		action, ok := statusChanges[to][r.Status]
		if !ok {
			return sqldb.Event{}, fmt.Errorf("%w: it is %s", ErrStatus, r.Status)
		}
		n, err := tx.Exec(ctx, `update registrations set status = ? where organisation_id = ? and id = ? and status = ?`,
			string(to), organisationID, id, string(r.Status))
		if err != nil {
			return sqldb.Event{}, fmt.Errorf("set the status: %w", err)
		}
		if n == 0 {
			return sqldb.Event{}, ErrStatus
		}
		return sqldb.Event{At: now, Actor: actor, Action: action, Subject: id}, nil
	})
}

// ApproveDeployment lets launches of a deployment in, whether it has been seen or not. It
// may be repeated. It fails with the sentence of Registration.Validate and lti.ErrNotFound.
func (s *Store) ApproveDeployment(ctx context.Context, organisationID, id, deploymentID, actor string) error {
	return s.manage(ctx, organisationID, id, func(tx *sqldb.Tx, r lti.Registration, now time.Time) (sqldb.Event, error) {
		r.Deployments = []string{deploymentID}
		if err := r.Validate(); err != nil {
			return sqldb.Event{}, err
		}
		row := registrationRow{ID: id, OrganisationID: organisationID}
		if err := addDeployment(ctx, tx, row, deploymentID, now); err != nil {
			return sqldb.Event{}, err
		}
		return sqldb.Event{At: now, Actor: actor, Action: "deployment approved", Subject: id, Detail: deploymentID}, nil
	})
}

// SetSettings replaces the settings of a registration, except the private hosts: those
// stay as they are, so that no page can open the operator's network by mistake. It fails
// with the sentence of Registration.Validate and lti.ErrNotFound.
func (s *Store) SetSettings(ctx context.Context, organisationID, id string, settings lti.Settings, actor string) error {
	return s.manage(ctx, organisationID, id, func(tx *sqldb.Tx, r lti.Registration, now time.Time) (sqldb.Event, error) {
		settings.PrivateHosts = r.Settings.PrivateHosts
		detail, err := putSettings(ctx, tx, r, settings)
		return sqldb.Event{At: now, Actor: actor, Action: "platform settings changed", Subject: id, Detail: detail}, err
	})
}

// SetPrivateHosts names the hosts of a registration that may have an address in a private
// network; none closes it again. Only an operator's command may call it: each name opens
// that network to what a platform asks this server to fetch.
func (s *Store) SetPrivateHosts(ctx context.Context, organisationID, id string, hosts []string, actor string) error {
	return s.manage(ctx, organisationID, id, func(tx *sqldb.Tx, r lti.Registration, now time.Time) (sqldb.Event, error) {
		settings := r.Settings
		settings.PrivateHosts = hosts
		_, err := putSettings(ctx, tx, r, settings)
		return sqldb.Event{At: now, Actor: actor, Action: "private hosts changed", Subject: id, Detail: strings.Join(hosts, ", ")}, err
	})
}

// putSettings stores the settings and returns them as text.
func putSettings(ctx context.Context, tx *sqldb.Tx, r lti.Registration, settings lti.Settings) (string, error) {
	r.Settings = settings
	if err := r.Validate(); err != nil {
		return "", err
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return "", fmt.Errorf("encode the settings: %w", err)
	}
	_, err = tx.Exec(ctx, `update registrations set settings = ? where organisation_id = ? and id = ?`, string(text), r.OrganisationID, r.ID)
	if err != nil {
		return "", fmt.Errorf("store the settings: %w", err)
	}
	return string(text), nil
}

// manage changes one registration of the organisation and writes the event that change
// returns, both or neither.
func (s *Store) manage(ctx context.Context, organisationID, id string,
	change func(tx *sqldb.Tx, r lti.Registration, now time.Time) (sqldb.Event, error),
) error {
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		var row registrationRow
		err := tx.Get(ctx, &row, selectRegistration+`where organisation_id = ? and id = ?`, organisationID, id)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("registration %s: %w", id, lti.ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("select the registration: %w", err)
		}
		r, err := row.registration()
		if err != nil {
			return err
		}
		event, err := change(tx, r, sqldb.UTC(s.now()))
		if err != nil {
			return err
		}
		event.OrganisationID = organisationID
		return sqldb.Audit(ctx, tx, event)
	})
	if err != nil {
		return err
	}
	s.forget()
	return nil
}
