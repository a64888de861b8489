//go:build cgo

package hsm

import (
	"errors"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// class sorts the errors of a module by what heals them.
type class int

const (
	classCaller  class = iota // nothing: the same call fails again
	classSession              // another session
	classLogin                // another login, or the key's handle of now
	classToken                // the token coming back
	classDevice               // a fresh session, and if that fails too, a reset
	classModule               // a reset
	classBusy                 // time
	classStale                // everything anew: the module was reset by somebody else
)

// classes names the codes that are healed by something; all others are the caller's.
var classes = map[pkcs11.Error]class{
	pkcs11.CKR_SESSION_HANDLE_INVALID:    classSession,
	pkcs11.CKR_SESSION_CLOSED:            classSession,
	pkcs11.CKR_OPERATION_ACTIVE:          classSession,
	pkcs11.CKR_OPERATION_NOT_INITIALIZED: classSession,

	pkcs11.CKR_USER_NOT_LOGGED_IN:    classLogin,
	pkcs11.CKR_OBJECT_HANDLE_INVALID: classLogin,
	pkcs11.CKR_KEY_HANDLE_INVALID:    classLogin,

	pkcs11.CKR_TOKEN_NOT_PRESENT:    classToken,
	pkcs11.CKR_DEVICE_REMOVED:       classToken,
	pkcs11.CKR_TOKEN_NOT_RECOGNIZED: classToken,
	pkcs11.CKR_SLOT_ID_INVALID:      classToken,

	pkcs11.CKR_DEVICE_ERROR:    classDevice,
	pkcs11.CKR_FUNCTION_FAILED: classDevice,
	pkcs11.CKR_GENERAL_ERROR:   classDevice,
	pkcs11.CKR_HOST_MEMORY:     classDevice,
	pkcs11.CKR_DEVICE_MEMORY:   classDevice,

	pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED: classModule,

	pkcs11.CKR_SESSION_COUNT:     classBusy,
	pkcs11.CKR_FUNCTION_REJECTED: classBusy,
}

func classify(err error) class {
	if errors.Is(err, cryptoki.ErrStale) {
		return classStale
	}
	if errors.Is(err, ErrSignature) {
		return classLogin // the handle may be another key's by now: prove it again
	}
	if code, ok := errors.AsType[pkcs11.Error](err); ok {
		if code >= pkcs11.CKR_VENDOR_DEFINED {
			return classDevice
		}
		return classes[code]
	}
	return classCaller
}

// refusal says what a failed C_Login means. The attempt is spent whatever the code says:
// drivers answer CKR_GENERAL_ERROR to a wrong PIN.
func refusal(err error) string {
	code, _ := errors.AsType[pkcs11.Error](err)
	switch code {
	case pkcs11.CKR_PIN_INCORRECT:
		return "the token says that the PIN is wrong; put the right one into the PIN file, or give it by sealsmith token unseal"
	case pkcs11.CKR_PIN_LOCKED:
		return "the token has locked its PIN; unlock it with the PUK or ask who issued the token"
	case pkcs11.CKR_PIN_EXPIRED:
		return "the PIN has expired; set a new one with the vendor's tool and put it into the PIN file, or give it by sealsmith token unseal"
	case pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_INVALID:
		return "the token says that the PIN has a wrong length or form; put the right one into the PIN file, or give it by sealsmith token unseal"
	case pkcs11.CKR_USER_PIN_NOT_INITIALIZED:
		return "the token has no user PIN yet; set one with the vendor's tool"
	}
	return "the token refused the login (" + err.Error() + "), which may have spent an attempt; find out why, then allow one more"
}

// stateError ends a round of the supervisor in a state that an operator or time must
// change.
type stateError struct {
	state  State
	reason string
}

func (e *stateError) Error() string { return string(e.state) + ": " + e.reason }

// contextLoginError says that a login per signature was refused.
type contextLoginError struct{ err error }

func (e *contextLoginError) Error() string { return "log in for one signature: " + e.err.Error() }
func (e *contextLoginError) Unwrap() error { return e.err }
