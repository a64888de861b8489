//go:build cgo

package cryptoki

import (
	"errors"
	"slices"

	"github.com/miekg/pkcs11"
)

// Session is one session on one slot, valid in the epoch it was opened in. It must be used
// by one goroutine at a time: two threads in one session crash the process.
type Session struct {
	Module *Module
	Epoch  uint64
	Handle pkcs11.SessionHandle
}

// OpenSession opens a session; flags beside CKF_SERIAL_SESSION are CKF_RW_SESSION or 0.
func (m *Module) OpenSession(epoch uint64, slot, flags uint) (*Session, error) {
	s := &Session{Module: m, Epoch: epoch}
	err := s.Do(func(c *pkcs11.Ctx) (err error) {
		s.Handle, err = c.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|flags)
		return err
	})
	if err != nil {
		return nil, err
	}
	m.count(epoch, 1)
	return s, nil
}

// Do calls f with the module in the session's epoch.
func (s *Session) Do(f func(*pkcs11.Ctx) error) error { return s.Module.Do(s.Epoch, f) }

// Close closes the session; closing the last one of a token logs the process out. A nil
// session and one of an earlier epoch are closed already.
func (s *Session) Close() error {
	if s == nil {
		return nil
	}
	s.Module.count(s.Epoch, -1)
	err := s.Do(func(c *pkcs11.Ctx) error { return c.CloseSession(s.Handle) })
	if errors.Is(err, ErrStale) {
		return nil
	}
	return err
}

// LoggedIn asks whether the user is logged in, by C_GetSessionInfo: a private key that is
// not found may only be hidden by a lost login.
func (s *Session) LoggedIn() (in bool, err error) {
	err = s.Do(func(c *pkcs11.Ctx) error {
		info, err := c.GetSessionInfo(s.Handle)
		in = info.State == pkcs11.CKS_RO_USER_FUNCTIONS || info.State == pkcs11.CKS_RW_USER_FUNCTIONS
		return err
	})
	return in, err
}

// Find returns all objects that match the template.
func (s *Session) Find(template ...*pkcs11.Attribute) (found []pkcs11.ObjectHandle, err error) {
	const batch = 32
	err = s.Do(func(c *pkcs11.Ctx) error {
		if err := c.FindObjectsInit(s.Handle, template); err != nil {
			return err
		}
		for {
			some, _, err := c.FindObjects(s.Handle, batch)
			if err != nil {
				return errors.Join(err, c.FindObjectsFinal(s.Handle))
			}
			if len(some) == 0 {
				return c.FindObjectsFinal(s.Handle)
			}
			found = append(found, some...)
		}
	})
	return found, err
}

// Attribute reads one attribute; a token that does not know it or keeps it to itself gives
// nil, as NSS does for CKA_ALWAYS_AUTHENTICATE.
func (s *Session) Attribute(object pkcs11.ObjectHandle, kind uint) (value []byte, err error) {
	err = s.Do(func(c *pkcs11.Ctx) error {
		attrs, err := c.GetAttributeValue(s.Handle, object, []*pkcs11.Attribute{pkcs11.NewAttribute(kind, nil)})
		if err == nil && len(attrs) == 1 {
			value = attrs[0].Value
		}
		return err
	})
	if errors.Is(err, pkcs11.Error(pkcs11.CKR_ATTRIBUTE_TYPE_INVALID)) || errors.Is(err, pkcs11.Error(pkcs11.CKR_ATTRIBUTE_SENSITIVE)) {
		return nil, nil
	}
	return value, err
}

// True reads a CK_BBOOL attribute; absent is false.
func (s *Session) True(object pkcs11.ObjectHandle, kind uint) (bool, error) {
	value, err := s.Attribute(object, kind)
	return slices.ContainsFunc(value, func(b byte) bool { return b != 0 }), err
}

// Sign makes one signature. A context login, for keys with CKA_ALWAYS_AUTHENTICATE, is
// made between C_SignInit and C_Sign when login is not nil. After any error the session may
// hold an unfinished operation: close it.
func (s *Session) Sign(mechanism *pkcs11.Mechanism, key pkcs11.ObjectHandle, data []byte, login func(*pkcs11.Ctx) error) (sig []byte, err error) {
	err = s.Do(func(c *pkcs11.Ctx) error {
		if err := c.SignInit(s.Handle, []*pkcs11.Mechanism{mechanism}, key); err != nil {
			return err
		}
		if login != nil {
			if err := login(c); err != nil {
				return err
			}
		}
		sig, err = c.Sign(s.Handle, data)
		return err
	})
	return sig, err
}
