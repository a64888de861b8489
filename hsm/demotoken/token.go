//go:build cgo

package demotoken

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/ceremony"
	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// usualModules is where distributions put SoftHSM.
var usualModules = []string{
	"/usr/lib/softhsm/libsofthsm2.so",
	"/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib64/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so",
	"/usr/local/lib/softhsm/libsofthsm2.so",
	"/opt/homebrew/lib/softhsm/libsofthsm2.so",
}

func makeToken(ctx context.Context, o Options, at place) (Made, error) {
	path, err := findModule(o.Module)
	if err != nil {
		return Made{}, err
	}
	module, err := cryptoki.Open(path, at.conf, "")
	switch {
	case errors.Is(err, cryptoki.ErrSetting):
		return Made{}, fmt.Errorf("%w (%w)", ErrOtherFolder, err)
	case errors.Is(err, cryptoki.ErrLoad):
		return Made{}, fmt.Errorf("%w (%w)", ErrNoSoftHSM, err)
	case err != nil:
		return Made{}, fmt.Errorf("open SoftHSM: %w", err)
	}
	unlock, err := module.LockLogin(ctx) // two makers would take the same free slot
	if err != nil {
		return Made{}, fmt.Errorf("wait for another demo token: %w", err)
	}
	defer unlock()
	m := &maker{options: o, at: at, module: module, path: path, epoch: module.Epoch()}
	made, done, err := at.load(o.Now())
	switch {
	case err != nil:
		return Made{}, fmt.Errorf("open the demo token: %w", err)
	case done:
		return made, m.check(made)
	}
	made, err = m.make()
	if err != nil {
		return Made{}, fmt.Errorf("make the demo token: %w", err)
	}
	return made, nil
}

func findModule(named string) (string, error) {
	if named != "" {
		if _, err := os.Stat(named); err != nil {
			return "", fmt.Errorf("%w (%w)", ErrNoSoftHSM, err)
		}
		return named, nil
	}
	for _, path := range usualModules {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", ErrNoSoftHSM
}

// maker makes one token.
type maker struct {
	options Options
	at      place
	module  *cryptoki.Module
	path    string
	epoch   uint64
}

// find returns the slot of the token that check accepts.
func (m *maker) find(accept func(pkcs11.TokenInfo) bool) (uint, pkcs11.TokenInfo, bool, error) {
	slots, err := m.module.Slots(m.epoch)
	if err != nil {
		return 0, pkcs11.TokenInfo{}, false, fmt.Errorf("list the slots: %w", err)
	}
	for _, slot := range slots {
		info, err := m.module.Token(m.epoch, slot)
		if err != nil {
			return 0, pkcs11.TokenInfo{}, false, fmt.Errorf("read the token in slot %d: %w", slot, err)
		}
		if accept(info) {
			return slot, info, true, nil
		}
	}
	return 0, pkcs11.TokenInfo{}, false, nil
}

func (m *maker) byLabel(info pkcs11.TokenInfo) bool { return info.Label == m.options.Label }

func uninitialised(info pkcs11.TokenInfo) bool {
	return info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0
}

// check insists that the token that token.json speaks of is there.
func (m *maker) check(made Made) error {
	_, _, ok, err := m.find(func(info pkcs11.TokenInfo) bool {
		return m.byLabel(info) && strings.TrimRight(info.SerialNumber, " \x00") == made.Serial
	})
	if err == nil && !ok {
		err = fmt.Errorf("%w: token %s is not in %s", ErrDamaged, made.Serial, m.at.tokens)
	}
	return err
}

func (m *maker) make() (Made, error) {
	pin, err := secret(m.at.pin, m.options.Rand)
	if err != nil {
		return Made{}, fmt.Errorf("make the PIN: %w", err)
	}
	soPIN, err := secret(m.at.soPIN, m.options.Rand)
	if err != nil {
		return Made{}, fmt.Errorf("make the security officer's PIN: %w", err)
	}
	slot, info, err := m.initialise(pin, soPIN)
	if err != nil {
		return Made{}, err
	}
	s := state{Label: m.options.Label, Serial: strings.TrimRight(info.SerialNumber, " \x00")}
	err = m.inSession(slot, pkcs11.CKU_USER, pin, func(session *cryptoki.Session) error {
		key, err := ceremony.GenerateOn(session, m.options.KeyType, m.options.Label)
		if err != nil {
			return err
		}
		s.KeyID = hex.EncodeToString(key.ID)
		ca, cert, err := issue(m.options, key.Public, key.ID)
		if err != nil {
			return err
		}
		s.CA, s.Seal = ca.Raw, cert.Raw
		return ceremony.ImportOn(session, cert, key.ID, m.options.Label)
	})
	if err != nil {
		return Made{}, err
	}
	s.TokenURI = m.uri(s)
	return m.at.save(s)
}

// initialise sets up the token, anew if a Make was interrupted after it.
func (m *maker) initialise(pin, soPIN string) (uint, pkcs11.TokenInfo, error) {
	slot, _, ok, err := m.find(m.byLabel)
	if err == nil && !ok {
		slot, _, ok, err = m.find(uninitialised)
	}
	if err != nil {
		return 0, pkcs11.TokenInfo{}, err
	}
	if !ok {
		return 0, pkcs11.TokenInfo{}, errors.New("SoftHSM offers no free slot")
	}
	err = m.module.Do(m.epoch, func(c *pkcs11.Ctx) error { return c.InitToken(slot, soPIN, m.options.Label) })
	if err != nil {
		return 0, pkcs11.TokenInfo{}, fmt.Errorf("initialise the token: %w", err)
	}
	slot, info, ok, err := m.find(m.byLabel) // an initialised token moves to another slot
	if err != nil {
		return 0, pkcs11.TokenInfo{}, err
	}
	if !ok {
		return 0, pkcs11.TokenInfo{}, errors.New("the token disappeared when it was initialised")
	}
	err = m.inSession(slot, pkcs11.CKU_SO, soPIN, func(session *cryptoki.Session) error {
		return session.Do(func(c *pkcs11.Ctx) error { return c.InitPIN(session.Handle, pin) })
	})
	if err != nil {
		return 0, pkcs11.TokenInfo{}, fmt.Errorf("set the PIN: %w", err)
	}
	return slot, info, nil
}

// inSession runs do in a writing session with a login; closing it logs out, as it is the
// token's only one.
func (m *maker) inSession(slot, user uint, pin string, do func(*cryptoki.Session) error) error {
	session, err := m.module.OpenSession(m.epoch, slot, pkcs11.CKF_RW_SESSION)
	if err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	err = session.Do(func(c *pkcs11.Ctx) error { return c.Login(session.Handle, user, pin) })
	if err != nil {
		return errors.Join(fmt.Errorf("log in: %w", err), session.Close())
	}
	return errors.Join(do(session), session.Close())
}

// uri names the token, its driver and its PIN file.
func (m *maker) uri(s state) string {
	id, _ := hex.DecodeString(s.KeyID) // written by make from bytes
	return hsm.URI{Token: s.Label, Serial: s.Serial, ID: id, ModulePath: m.path, PINSource: m.at.pin}.Unredacted()
}
