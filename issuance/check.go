package issuance

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/sealsmith/sealsmith/issuance/elm"
)

// ErrSpent is returned when a Checked value is signed a second time.
var ErrSpent = errors.New("this check was used for a signature already")

// CheckFailed says that a payload must not be sealed. Trying again does not help.
type CheckFailed struct{ Err error }

// Error implements error.
func (e *CheckFailed) Error() string {
	return "the credential does not pass its checks: " + e.Err.Error()
}

// Unwrap returns what was found.
func (e *CheckFailed) Unwrap() error { return e.Err }

// Checked is a payload that has passed Check. Only Check and its like make one, and it serves
// for one signature: the compiler keeps unchecked bytes away from the key.
type Checked struct {
	payload []byte
	spent   *bool
}

// Check compares payload with what it was built from and applies the rules of the ELM
// application profile. It fails with *CheckFailed.
func Check(payload []byte, in elm.Input) (Checked, error) {
	return checked(payload, elm.Check(payload, in))
}

// check is Check by the forms that the worker keeps.
func (w *Worker) check(payload []byte, in elm.Input) (Checked, error) {
	return checked(payload, w.forms.Check(payload, in))
}

func checked(payload []byte, err error) (Checked, error) {
	if err != nil {
		return Checked{}, &CheckFailed{Err: err}
	}
	return Checked{payload: payload, spent: new(bool)}, nil
}

// spend returns the payload, once.
func (c Checked) spend() ([]byte, error) {
	if c.spent == nil || *c.spent {
		return nil, ErrSpent
	}
	*c.spent = true
	return c.payload, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// number is the certificate number that people read: organisation, year, and 40 bits of
// the credential's random id, so that nobody can count what was issued.
func number(slug, credentialID string, year int) string {
	hexID := credentialID[len(credentialID)-10:]
	return fmt.Sprintf("%s-%d-%s-%s", strings.ToUpper(slug), year, strings.ToUpper(hexID[:5]), strings.ToUpper(hexID[5:]))
}
