package ltistore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// InvitationLife is how long an invitation is good for when nothing else is said: mail to
// an LMS administrator is answered within a week, or forgotten.
const InvitationLife = 7 * 24 * time.Hour

const (
	ticketBytes    = 32 // nobody guesses 256 bits, so the tickets tried need no counting
	invitationID   = 16 // characters of the hash in an id
	maxInvitations = 200
)

var _ lti.Invitations = (*Store)(nil)

// Invite makes an invitation for the organisation and returns its ticket, which is
// stored as a hash and cannot be shown again. name is for the connection and may be empty;
// createdBy is for people; a life of 0 is InvitationLife. It fails only with the database.
func (s *Store) Invite(ctx context.Context, organisationID, name, createdBy string, life time.Duration) (string, error) {
	secret := make([]byte, ticketBytes)
	if _, err := io.ReadFull(rand.Reader, secret); err != nil {
		return "", fmt.Errorf("make a ticket: %w", err)
	}
	ticket := base64.RawURLEncoding.EncodeToString(secret)
	if life <= 0 {
		life = InvitationLife
	}
	now := sqldb.UTC(s.now())
	hash := hashOf(ticket)
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `insert into invitations (
				ticket_hash, organisation_id, name, created_by, created_at, expires_at, used_at, registration_id
			) values (?, ?, ?, ?, ?, ?, null, '')`, hash, organisationID, name, createdBy, now, now.Add(life))
		if err != nil {
			return fmt.Errorf("insert an invitation: %w", err)
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: organisationID, At: now, Actor: createdBy, Action: "platform invited", Subject: hash[:invitationID],
			Detail: "until " + now.Add(life).Format(time.RFC3339),
		})
	})
	if err != nil {
		return "", err
	}
	return ticket, nil
}

func hashOf(ticket string) string {
	sum := sha256.Sum256([]byte(ticket))
	return hex.EncodeToString(sum[:])
}

type invitationRow struct {
	TicketHash     string       `db:"ticket_hash"`
	OrganisationID string       `db:"organisation_id"`
	Name           string       `db:"name"`
	CreatedBy      string       `db:"created_by"`
	CreatedAt      time.Time    `db:"created_at"`
	ExpiresAt      time.Time    `db:"expires_at"`
	UsedAt         sql.NullTime `db:"used_at"`
	RegistrationID string       `db:"registration_id"`
}

const selectInvitation = `select
	ticket_hash, organisation_id, name, created_by, created_at, expires_at, used_at, registration_id
	from invitations `

func (r invitationRow) invitation() lti.Invitation {
	inv := lti.Invitation{
		ID: r.TicketHash[:invitationID], OrganisationID: r.OrganisationID, Name: r.Name, CreatedBy: r.CreatedBy,
		CreatedAt: r.CreatedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(), RegistrationID: r.RegistrationID,
	}
	if r.UsedAt.Valid {
		inv.UsedAt = r.UsedAt.Time.UTC()
	}
	return inv
}

// Invitation implements lti.Invitations, across organisations: which one it is follows
// from the ticket.
func (s *Store) Invitation(ctx context.Context, ticket string) (lti.Invitation, error) {
	return openInvitation(ctx, s.db, ticket, s.now())
}

func openInvitation(ctx context.Context, q sqldb.Queryer, ticket string, now time.Time) (lti.Invitation, error) {
	var row invitationRow
	err := q.Get(ctx, &row, selectInvitation+`where ticket_hash = ?`, hashOf(ticket))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return lti.Invitation{}, lti.ErrNotFound
	case err != nil:
		return lti.Invitation{}, fmt.Errorf("select the invitation: %w", err)
	case row.UsedAt.Valid:
		return lti.Invitation{}, lti.ErrInvitationUsed
	case !row.ExpiresAt.After(now):
		return lti.Invitation{}, lti.ErrInvitationExpired
	}
	return row.invitation(), nil
}

// Invitations returns the open invitations of the organisation, the newest first.
func (s *Store) Invitations(ctx context.Context, organisationID string) ([]lti.Invitation, error) {
	var rows []invitationRow
	err := s.db.Select(ctx, &rows, selectInvitation+`where organisation_id = ? and used_at is null and expires_at > ?
		order by created_at desc, ticket_hash limit ?`, organisationID, sqldb.UTC(s.now()), maxInvitations)
	if err != nil {
		return nil, fmt.Errorf("select the invitations: %w", err)
	}
	list := make([]lti.Invitation, 0, len(rows))
	for _, r := range rows {
		list = append(list, r.invitation())
	}
	return list, nil
}

// RevokeInvitation withdraws an open invitation of the organisation, by its id; it has
// expired from then on. One that is not there or not open is lti.ErrNotFound.
func (s *Store) RevokeInvitation(ctx context.Context, organisationID, id, actor string) error {
	now := sqldb.UTC(s.now())
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `update invitations set expires_at = ?
			where organisation_id = ? and substr(ticket_hash, 1, 16) = ? and used_at is null and expires_at > ?`, now, organisationID, id, now)
		if err != nil {
			return fmt.Errorf("withdraw invitation %s: %w", id, err)
		}
		if n == 0 {
			return fmt.Errorf("open invitation %s: %w", id, lti.ErrNotFound)
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: organisationID, At: now, Actor: actor, Action: "invitation withdrawn", Subject: id})
	})
}

// UseInvitation implements lti.Invitations. A platform that is new is pending, whatever
// r.Status says. One that the organisation has already is brought up to date, with its name
// and settings as they were. It stays active only if
// keys, tokens and logins come from the same addresses as before: else whoever holds an
// invitation could lead a connection that people trust somewhere else, so it waits for an
// administrator again. What an administrator has paused stays paused.
//
// When the platform belongs to another organisation nothing is changed, and the trails of
// both say so.
func (s *Store) UseInvitation(ctx context.Context, ticket string, r lti.Registration) (lti.Registered, error) {
	if err := r.Validate(); err != nil {
		return lti.Registered{}, err
	}
	now := sqldb.UTC(s.now())
	var done lti.Registered
	var inv lti.Invitation
	var owner string
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		var err error
		if inv, err = openInvitation(ctx, tx, ticket, now); err != nil {
			return err
		}
		if inv.OrganisationID != r.OrganisationID {
			return lti.ErrNotFound
		}
		known, found, err := registrationOf(ctx, tx, r.Issuer, r.ClientID)
		if err != nil {
			return err
		}
		if found && known.OrganisationID != r.OrganisationID {
			owner = known.OrganisationID
			return ErrTaken
		}
		done, err = register(ctx, tx, r, known, now)
		if err != nil {
			return err
		}
		inv.UsedAt, inv.RegistrationID = now, done.Registration.ID
		return spend(ctx, tx, ticket, inv, done)
	})
	if errors.Is(err, ErrTaken) {
		return lti.Registered{}, errors.Join(err, s.noteTaken(ctx, taken{r: r, owner: owner, actor: "invitation:" + inv.ID, theirActor: "somebody else's invitation", subject: inv.ID}))
	}
	if err != nil {
		return lti.Registered{}, err
	}
	s.forget()
	return done, nil
}

// registrationOf finds a registration in all organisations.
func registrationOf(ctx context.Context, tx *sqldb.Tx, issuer, clientID string) (lti.Registration, bool, error) {
	var row registrationRow
	err := tx.Get(ctx, &row, selectRegistration+`where issuer = ? and client_id = ?`, issuer, clientID)
	if errors.Is(err, sql.ErrNoRows) {
		return lti.Registration{}, false, nil
	}
	if err != nil {
		return lti.Registration{}, false, fmt.Errorf("select the registration: %w", err)
	}
	known, err := row.registration()
	return known, true, err
}

// register stores r; known is what there was, with an empty id if nothing.
func register(ctx context.Context, tx *sqldb.Tx, r, known lti.Registration, now time.Time) (lti.Registered, error) {
	r.ID = known.ID
	if known.ID == "" {
		r.ID, r.Status = uuid.Must(uuid.NewV7()).String(), lti.StatusPending
	} else {
		r.Name, r.Status = known.Name, statusAfter(known, r)
	}
	row, err := rowOf(r, now)
	if err != nil {
		return lti.Registered{}, err
	}
	if err := upsert(ctx, tx, row); err != nil {
		return lti.Registered{}, err
	}
	if _, err := tx.Exec(ctx, `update registrations set status = ? where organisation_id = ? and id = ?`, row.Status, r.OrganisationID, r.ID); err != nil {
		return lti.Registered{}, fmt.Errorf("set the status: %w", err)
	}
	for _, d := range r.Deployments {
		if err := addDeployment(ctx, tx, row, d, now); err != nil {
			return lti.Registered{}, err
		}
	}
	done := lti.Registered{Again: known.ID != ""}
	same, err := selectRegistrations(ctx, tx, `where organisation_id = ? and issuer = ? order by name, id`, r.OrganisationID, r.Issuer)
	if err != nil {
		return lti.Registered{}, err
	}
	for _, stored := range same {
		if stored.ID == r.ID {
			done.Registration = stored
		} else {
			done.Others = append(done.Others, stored)
		}
	}
	return done, nil
}

// statusAfter is the status of a registration that was repeated.
func statusAfter(known, r lti.Registration) lti.Status {
	same := known.AuthURL == r.AuthURL && known.TokenURL == r.TokenURL && known.JWKSURL == r.JWKSURL && known.TokenAudience == r.TokenAudience
	if known.Status == lti.StatusActive && !same {
		return lti.StatusPending
	}
	return known.Status
}

func spend(ctx context.Context, tx *sqldb.Tx, ticket string, inv lti.Invitation, done lti.Registered) error {
	n, err := tx.Exec(ctx, `update invitations set used_at = ?, registration_id = ? where ticket_hash = ? and used_at is null`,
		inv.UsedAt, inv.RegistrationID, hashOf(ticket))
	if err != nil {
		return fmt.Errorf("spend the invitation: %w", err)
	}
	if n == 0 { // another transaction was faster
		return lti.ErrInvitationUsed
	}
	action := "platform registered"
	if done.Again {
		action = "platform registered again"
	}
	return sqldb.Audit(ctx, tx, sqldb.Event{
		OrganisationID: inv.OrganisationID, At: inv.UsedAt, Actor: "invitation:" + inv.ID, Action: action, Subject: inv.RegistrationID,
		Detail: fmt.Sprintf("issuer %s, client id %s, %s", done.Registration.Issuer, done.Registration.ClientID, done.Registration.Status),
	})
}

// taken is the attempt to register what belongs to another organisation.
type taken struct {
	r                 lti.Registration
	owner             string // organisation that has it
	actor, theirActor string // who tried, in the trail of either
	subject           string // of the event in the trail of who tried
}

// noteTaken tells both organisations, neither of which learns who the other is.
func (s *Store) noteTaken(ctx context.Context, t taken) error {
	at := sqldb.UTC(s.now())
	what := fmt.Sprintf("issuer %s, client id %s", t.r.Issuer, t.r.ClientID)
	events := []sqldb.Event{
		{OrganisationID: t.r.OrganisationID, At: at, Actor: t.actor, Action: "registration refused", Subject: t.subject, Detail: what + " belongs to another organisation"},
		{OrganisationID: t.owner, At: at, Actor: t.theirActor, Action: "registration refused", Subject: t.r.ClientID, Detail: what + ": another organisation tried to register it"},
	}
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		for _, e := range events {
			if err := sqldb.Audit(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}
