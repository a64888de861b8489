// Package hsm seals with keys that never leave their token. It speaks PKCS#11 v2.40 to
// a USB token, a smart card, a network HSM or SoftHSM, and hands the rest of the server
// one small thing: Token, which names its current key and signs with it.
//
// One goroutine per session is the only code that calls C_SignInit and C_Sign, because
// two threads in one session crash the process; an anchor session holds the login. What
// breaks is healed without a restart where PKCS#11 allows it: lost sessions are opened
// again, a lost login is repeated with a PIN that the token has accepted before, a token
// that was unplugged is waited for, a module that has died is finalised and initialised.
//
// The first rule is that a token is never locked by us. Three wrong PINs destroy an
// eSeal token, and a server that restarts after every failure would spend them in
// seconds. So a PIN gets one attempt until the token has accepted it once; the attempt is
// written to the database before it is made (PINGuard), and a record that says "pending"
// or "bad" stops the next login until an operator allows one. A process that dies in a login
// with a PIN that was accepted before leaves one attempt more.
//
// The package deliberately does not know credentials, JSON, JAdES, HTTP or SQL schemas of
// others, and imports none of our packages. It does not judge trust: whether a seal
// certificate is qualified is a matter of the trusted list; InspectSeal says what the
// certificate itself claims.
//
// It fails in words: while the token cannot be used, Key and Sign return a *PausedError
// (which is ErrPaused) with a sentence for the operator, and Health says the same without
// touching the token. Work should then wait, not fail. A key that changed is
// ErrKeyChanged: build the document again for the new key.
package hsm

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// ErrPaused is what every *PausedError is: the token cannot be used now. The work is not
// lost, it should be tried again later.
var ErrPaused = errors.New("sealing is paused")

// ErrKeyChanged is returned by Sign when keyID is not the key the token holds now, for
// example after the certificate was renewed. Ask Key again and build the input anew.
var ErrKeyChanged = errors.New("the token holds another key now")

// ErrSignTimeout is returned by Sign when the module did not return in SignTimeout. The
// signature may have been made; making a second one does no harm.
var ErrSignTimeout = errors.New("the token did not answer in time")

// ErrSignature is returned by Sign when the token answered with a signature that does
// not verify under the seal certificate, twice. Nothing was released.
var ErrSignature = errors.New("the token made a signature that does not verify")

// ErrPIN is returned by Unseal for what cannot be a PIN, or when no PIN is wanted.
var ErrPIN = errors.New("the PIN was not taken")

// ErrConfig is returned by New for a Config that cannot work, whatever the token does.
var ErrConfig = errors.New("the token is configured wrongly")

// PausedError says why the token cannot be used now. It is ErrPaused.
type PausedError struct {
	State  State
	Reason string // one sentence: what is so, and what to do
}

// Error implements error.
func (e *PausedError) Error() string { return ErrPaused.Error() + ": " + e.Reason }

// Unwrap makes errors.Is(err, ErrPaused) true.
func (e *PausedError) Unwrap() error { return ErrPaused }

// State is where a Token stands.
type State string

// The states of a Token. Sign works in READY and DEGRADED; it waits for up to SignTimeout
// in CONNECTING and RECOVERING; in all others it returns a *PausedError at once.
const (
	StateStopped       State = "STOPPED"       // not started yet, or closed
	StateConnecting    State = "CONNECTING"    // started, nothing known yet
	StateAbsent        State = "ABSENT"        // no slot holds the token; polled for
	StateMisconfigured State = "MISCONFIGURED" // module, PIN file or URI need an operator
	StatePINNeeded     State = "PIN_NEEDED"    // no PIN file: an operator gives the PIN by Unseal
	StatePINBlocked    State = "PIN_BLOCKED"   // no login until an operator allows one
	StateKeyMissing    State = "KEY_MISSING"   // logged in, but no one key fits
	StateCertInvalid   State = "CERT_INVALID"  // the key's certificate cannot seal
	StateReady         State = "READY"         // every session signs
	StateDegraded      State = "DEGRADED"      // some sessions hang in the module
	StateSuspect       State = "SUSPECT"       // the device fails or hangs
	StateRecovering    State = "RECOVERING"    // was ready, is being connected again
)

func (s State) usable() bool    { return s == StateReady || s == StateDegraded }
func (s State) transient() bool { return s == StateConnecting || s == StateRecovering }

// Key is what a document needs to know of the key before it is sealed.
type Key struct {
	ID    string              // hex SHA-256 of the leaf's DER (x5t#S256 in hex)
	Alg   string              // JWS algorithm: RS256, PS256, ES256 or ES384 (RFC 7518 section 3.1)
	Chain []*x509.Certificate // leaf first, without the root: x5c (RFC 7515 section 4.1.6)
}

// Health is the state of a Token as last seen; reading it never touches the token.
type Health struct {
	State        State
	Reason       string        // one sentence for an operator: what is so, and what to do
	Since        time.Time     // when State was entered
	Label        string        // the token's label, as the URI or the token says it
	Serial       string        // the token's serial number, empty until seen
	KeyID        string        // empty until a key was proven
	Seal         SealFacts     // of the key's certificate; zero until a key was proven
	Alg          string        // JWS algorithm of the key, empty until proven
	Certificates []Certificate // of the key, newest first, empty until seen
	Sessions     int           // signing sessions of the current connection
	Busy         int           // signatures asked for and not yet answered
	Rate         float64       // signatures per second, measured under load; 0 until one was made
	Signed       uint64        // signatures released since Start
	Failed       uint64        // Sign calls that ended in an error of the token
	Logins       uint64        // calls of C_Login that this process has made
}

// Role says what a certificate of a key is for now.
type Role string

// The roles of the certificates of one key.
const (
	RoleCurrent Role = "current" // seals now
	RoleNext    Role = "next"    // takes over by itself on its first day
	RoleRetired Role = "retired" // has ended, or a newer one has taken over
)

// Certificate is a certificate of the seal key on its token.
type Certificate struct {
	ID                  string // hex SHA-256 of its DER
	CommonName          string
	NotBefore, NotAfter time.Time // UTC
	Role                Role
}

// Config says which token and key to use, and how. URI, Guard, PINSecret and
// Now are required.
type Config struct {
	// URI names module, token, key and PIN file (RFC 7512), see ParseURI. module-path is
	// required here. Without pin-source the PIN is given by Token.Unseal. An RSA key signs
	// with RS256, which every reader of credentials knows, unless x-algorithm says PS256 or
	// the token has no other mechanism.
	URI string
	// Sessions is the number of signing sessions, beside the one that keeps the login:
	// 1 for a card or USB token, the number of cores for SoftHSM, 16 to 32 for a network
	// HSM. 0 means 1. x-sessions of the URI comes before it.
	Sessions int
	// SignTimeout is how long one signature may take before its session counts as hung,
	// and how long Sign waits for a token that is being connected. 0 means 10 s.
	SignTimeout time.Duration
	// Guard keeps the record of login attempts; shared by all processes that use the token.
	Guard PINGuard
	// PINSecret keys the fingerprint under which Guard records a PIN, so that the record
	// does not give the PIN away. At least 16 random bytes, the same for all processes and
	// restarts of an installation: another secret would allow another attempt.
	PINSecret []byte
	// Chain holds the intermediates between the seal certificate and the root, in this
	// order, without the root. The leaf comes from the token.
	Chain []*x509.Certificate
	// Host names this machine in the record of login attempts.
	Host string
	// Getenv looks an environment variable up, to refuse drivers told to log the PIN
	// (PKCS11SPY, OPENSC_DEBUG). nil means that none is set.
	Getenv func(string) string
	// Now is the clock against which the certificate's validity is judged; required.
	Now func() time.Time
	// Logger receives changes of state; nil discards them.
	Logger *slog.Logger
	// PollInterval is how often an absent or refused token is tried, and an idle one
	// looked at. 0 means 2 s.
	PollInterval time.Duration
	// RescanInterval is how often the token is searched for certificates that were put on
	// it while it seals. 0 means 10 minutes.
	RescanInterval time.Duration
}

// Format prints the URI without its query, never the secret.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.redacted()) }

// LogValue implements slog.LogValuer like Format.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.redacted()) }

// MarshalText makes JSON of a Config what Format prints.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.redacted()), nil }

func (c Config) redacted() string {
	uri, err := ParseURI(c.URI)
	if err != nil {
		return "hsm.Config(malformed URI)"
	}
	return "hsm.Config(" + uri.String() + ")"
}
