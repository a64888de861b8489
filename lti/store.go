package lti

import (
	"context"
	"errors"
)

var (
	// ErrNotFound is returned by a Store for a state, session or registration that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrSpent is returned by Store.OpenSession when the login state became a session already.
	ErrSpent = errors.New("the login state is spent")
	// ErrNoSession is returned by Tool.Session: unknown id, no or a wrong cookie, or expired.
	// Which of these it was is not told.
	ErrNoSession = errors.New("no such session in this browser")
)

// Store keeps what has to survive between two requests. Package ltistore implements it in
// SQL. Login and launch come before any organisation is known, so registrations are found
// by what the platform calls itself; the organisation follows from the registration and is
// named in everything written. A login writes nothing at all.
type Store interface {
	KeyStore
	// Registrations returns those of the issuer with their deployments, compared exactly;
	// with a client id at most one. None is an empty slice, not an error. An answer may be
	// a few seconds old.
	Registrations(ctx context.Context, issuer, clientID string) ([]Registration, error)
	// RegistrationByKey returns the registration with this id or login key, with its
	// deployments; ErrNotFound. An answer may be a few seconds old.
	RegistrationByKey(ctx context.Context, key string) (Registration, error)
	// SeeDeployment notes a deployment that is not known to be approved, as approved or
	// as waiting, unless it is noted already, and reports whether it is approved.
	SeeDeployment(ctx context.Context, r Registration, deploymentID string, approve bool) (bool, error)
	// OpenSession creates the session; ErrSpent when there is one with this id, which is
	// how a login state used twice shows. Of many callers exactly one succeeds.
	OpenSession(ctx context.Context, s Session, secretHash string) error
	// Session returns the session, expired or not, and the hash of its secret; ErrNotFound.
	Session(ctx context.Context, id string) (Session, string, error)
	// LTI11Secrets returns the shared secrets that the registration's platform had under
	// LTI 1.1 with this consumer key, for the migration claim; often none.
	LTI11Secrets(ctx context.Context, r Registration, consumerKey string) ([][]byte, error)
}
