package lti

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrNotFound is returned by a Store for a state, session or registration that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrSpent is returned by Store.OpenSession when the login state was spent already, or has expired.
	ErrSpent = errors.New("the login state is spent")
	// ErrNoSession is returned by Tool.Session: unknown id, no or a wrong cookie, or expired.
	// Which of these it was is not told.
	ErrNoSession = errors.New("no such session in this browser")
)

// Store keeps what has to survive between two requests. Package ltistore implements it in
// SQL. Login and launch come before any organisation is known, so states are found by the
// hash of a secret and registrations by what the platform calls itself; the organisation
// follows from the registration and is named in everything written.
type Store interface {
	KeyStore
	// Registrations returns those of the issuer, compared exactly; with a client id at
	// most one. Deployments are not filled in. None is an empty slice, not an error.
	Registrations(ctx context.Context, issuer, clientID string) ([]Registration, error)
	// CreateState stores a login state.
	CreateState(ctx context.Context, s LoginState) error
	// State returns the login state, spent or not, with its registration; ErrNotFound.
	State(ctx context.Context, stateHash string) (LoginState, error)
	// HasDeployment reports whether the deployment belongs to the registration.
	HasDeployment(ctx context.Context, r Registration, deploymentID string) (bool, error)
	// OpenSession spends the state and creates the session in one transaction; of many
	// callers exactly one succeeds, the others get ErrSpent and leave nothing behind.
	OpenSession(ctx context.Context, stateHash string, s Session, secretHash string) error
	// Session returns the session, expired or not, and the hash of its secret; ErrNotFound.
	Session(ctx context.Context, id string) (Session, string, error)
}

// KeyStore keeps the tool's signing keys.
type KeyStore interface {
	// ToolKeys returns the keys to be published, the oldest first: those not retired, and
	// those retired for less than a day.
	ToolKeys(ctx context.Context) ([]ToolKey, error)
	// AddToolKey stores a new key.
	AddToolKey(ctx context.Context, k ToolKey) error
}

// ToolKey is a signing key of the tool.
type ToolKey struct {
	KID       string // RFC 7638 thumbprint, SHA-256, base64url
	Private   []byte // PKCS #8 DER
	CreatedAt time.Time
	RetiredAt time.Time // zero: in use
}

// LoginState is one login attempt. It holds hashes (hex SHA-256) of what the browser and
// the platform must bring back, never the values.
type LoginState struct {
	StateHash      string
	NonceHash      string
	BrowserHash    string // of the secret in the state cookie
	Registration   Registration
	TargetLinkURI  string // unsigned, kept for the log only
	DeploymentHint string // lti_deployment_id, which the claim must equal; empty: none was sent
	CreatedAt      time.Time
	ExpiresAt      time.Time
	UsedAt         time.Time // zero: not spent
}
