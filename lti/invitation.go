package lti

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrInvitationUsed is returned for an invitation that has become a registration.
	ErrInvitationUsed = errors.New("the invitation has been used")
	// ErrInvitationExpired is returned for an invitation that is too old or was withdrawn.
	ErrInvitationExpired = errors.New("the invitation has expired")
	// ErrTaken is returned when the pair of issuer and client id belongs to another
	// organisation. Nothing of theirs is changed then.
	ErrTaken = errors.New("another organisation has registered this issuer and client id")
)

// Invitation lets one platform register itself for an organisation. Who holds its ticket
// needs no account here; therefore what comes of it waits for an administrator.
type Invitation struct {
	ID             string // for lists and commands; tells nothing of the ticket
	OrganisationID string
	Name           string // for the connection; empty: the host of the platform
	CreatedBy      string
	CreatedAt      time.Time
	ExpiresAt      time.Time
	UsedAt         time.Time // zero: not used
	RegistrationID string    // what it became; empty until used
}

// Invitations keeps invitations. Package ltistore implements it in SQL.
type Invitations interface {
	// Invitation returns the invitation with this ticket: ErrNotFound, ErrInvitationUsed
	// or ErrInvitationExpired when it is not open. It changes nothing, so a platform may
	// open the registration address as often as it likes.
	Invitation(ctx context.Context, ticket string) (Invitation, error)
	// UseInvitation spends the invitation and stores r with its deployments as approved,
	// both or neither. Of many callers exactly one succeeds; the others get
	// ErrInvitationUsed. The status of what is stored is the store's decision, see
	// ltistore. It fails with ErrTaken when issuer and client id belong to another
	// organisation.
	UseInvitation(ctx context.Context, ticket string, r Registration) (Registered, error)
}

// Registered is what became of an invitation.
type Registered struct {
	// Registration as it is stored: pending, unless it was known and nothing that
	// matters has changed.
	Registration Registration
	// Again says that it was known and has been brought up to date.
	Again bool
	// Others are further registrations of the organisation at the same issuer, which this
	// one may be meant to replace.
	Others []Registration
}
