//go:build cgo

package ceremony

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// Survey loads the driver that uri names and looks at its slots and tokens, without a
// login. A token that cannot be read has a Problem; the error is ErrDriver when nothing
// can be said.
func Survey(uri hsm.URI) (Driver, error) {
	module, err := cryptoki.Open(uri.ModulePath, "", uri.InitReserved)
	if err != nil {
		return Driver{}, fmt.Errorf("%w: %w", ErrDriver, err)
	}
	epoch := module.Epoch()
	d := Driver{Path: uri.ModulePath}
	var slots []uint
	err = module.Do(epoch, func(c *pkcs11.Ctx) error {
		info, err := c.GetInfo()
		if err != nil {
			return err
		}
		d.Manufacturer, d.Description = trimmed(info.ManufacturerID), trimmed(info.LibraryDescription)
		d.Version, d.Cryptoki = version(info.LibraryVersion), version(info.CryptokiVersion)
		slots, err = c.GetSlotList(false)
		return err
	})
	if err != nil {
		return Driver{}, fmt.Errorf("%w: it does not list its slots: %w", ErrDriver, err)
	}
	for _, id := range slots {
		d.Slots = append(d.Slots, survey(module, epoch, id))
	}
	return d, nil
}

func version(v pkcs11.Version) string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

func survey(module *cryptoki.Module, epoch uint64, id uint) Slot {
	slot := Slot{ID: id}
	present := false
	err := module.Do(epoch, func(c *pkcs11.Ctx) error {
		info, err := c.GetSlotInfo(id)
		slot.Description, slot.Manufacturer = trimmed(info.SlotDescription), trimmed(info.ManufacturerID)
		slot.Removable, slot.Hardware = info.Flags&pkcs11.CKF_REMOVABLE_DEVICE != 0, info.Flags&pkcs11.CKF_HW_SLOT != 0
		present = info.Flags&pkcs11.CKF_TOKEN_PRESENT != 0
		return err
	})
	if err != nil {
		slot.Problem = err.Error()
		return slot
	}
	if !present {
		return slot
	}
	slot.Token, err = surveyToken(module, epoch, id)
	switch {
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_TOKEN_NOT_PRESENT)):
	case err != nil:
		slot.Problem = err.Error()
	}
	return slot
}

func surveyToken(module *cryptoki.Module, epoch uint64, slot uint) (*Token, error) {
	info, err := module.Token(epoch, slot)
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	t := &Token{
		Label: trimmed(info.Label), Serial: trimmed(info.SerialNumber), Model: trimmed(info.Model), Manufacturer: trimmed(info.ManufacturerID),
		Hardware: version(info.HardwareVersion), Firmware: version(info.FirmwareVersion), Flags: flagWords(info.Flags),
		PIN:      PIN{State: pinState(info.Flags), Shortest: info.MinPinLen, Longest: info.MaxPinLen},
		Sessions: Sessions{Most: limit(info.MaxSessionCount), Open: limit(info.SessionCount)},
	}
	if t.Mechanisms, err = mechanisms(module, epoch, slot); err != nil {
		return nil, fmt.Errorf("list the mechanisms: %w", err)
	}
	if info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
		return t, nil
	}
	session, err := module.OpenSession(epoch, slot, 0)
	if err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	t.Certificates, err = certificates(session)
	return t, errors.Join(err, session.Close())
}

// limit reads a count for which tokens write odd numbers when there is none.
func limit(n uint) uint {
	const noLimit = 1 << 20
	if n >= noLimit {
		return 0
	}
	return n
}

func mechanisms(module *cryptoki.Module, epoch uint64, slot uint) (all []Mechanism, err error) {
	err = module.Do(epoch, func(c *pkcs11.Ctx) error {
		list, err := c.GetMechanismList(slot)
		if err != nil {
			return err
		}
		for _, m := range list {
			info, err := c.GetMechanismInfo(slot, []*pkcs11.Mechanism{m})
			if err != nil {
				continue // listed, but not to be described: it counts as able to nothing
			}
			all = append(all, Mechanism{
				Code: m.Mechanism, Name: mechanismName(m.Mechanism), Shortest: info.MinKeySize, Longest: info.MaxKeySize,
				Sign:     info.Flags&pkcs11.CKF_SIGN != 0,
				Generate: info.Flags&(pkcs11.CKF_GENERATE_KEY_PAIR|pkcs11.CKF_GENERATE) != 0,
				Hardware: info.Flags&pkcs11.CKF_HW != 0,
			})
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Mechanism) int { return cmp.Compare(a.Code, b.Code) })
	return all, err
}

// mechanismName knows those that matter for signatures.
func mechanismName(code uint) string {
	name, ok := map[uint]string{
		pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN: "RSA_PKCS_KEY_PAIR_GEN", pkcs11.CKM_RSA_PKCS: "RSA_PKCS", pkcs11.CKM_RSA_X_509: "RSA_X_509",
		pkcs11.CKM_RSA_PKCS_PSS: "RSA_PKCS_PSS", pkcs11.CKM_SHA256_RSA_PKCS: "SHA256_RSA_PKCS", pkcs11.CKM_SHA384_RSA_PKCS: "SHA384_RSA_PKCS",
		pkcs11.CKM_SHA512_RSA_PKCS: "SHA512_RSA_PKCS", pkcs11.CKM_SHA256_RSA_PKCS_PSS: "SHA256_RSA_PKCS_PSS",
		pkcs11.CKM_SHA384_RSA_PKCS_PSS: "SHA384_RSA_PKCS_PSS", pkcs11.CKM_SHA512_RSA_PKCS_PSS: "SHA512_RSA_PKCS_PSS",
		pkcs11.CKM_SHA1_RSA_PKCS: "SHA1_RSA_PKCS", pkcs11.CKM_EC_KEY_PAIR_GEN: "EC_KEY_PAIR_GEN", pkcs11.CKM_ECDSA: "ECDSA",
		pkcs11.CKM_ECDSA_SHA1: "ECDSA_SHA1", pkcs11.CKM_ECDSA_SHA256: "ECDSA_SHA256", pkcs11.CKM_ECDSA_SHA384: "ECDSA_SHA384",
		pkcs11.CKM_ECDSA_SHA512: "ECDSA_SHA512",
	}[code]
	if !ok {
		return fmt.Sprintf("0x%08x", code)
	}
	return name
}

func pinState(flags uint) PINState {
	switch {
	case flags&pkcs11.CKF_LOGIN_REQUIRED == 0:
		return PINNotNeeded
	case flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return PINLocked
	case flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return PINFinalTry
	case flags&pkcs11.CKF_USER_PIN_INITIALIZED == 0:
		return PINUnset
	case flags&pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH != 0:
		return PINPad
	case flags&pkcs11.CKF_USER_PIN_COUNT_LOW != 0:
		return PINCountLow
	}
	return PINFine
}

// flagWords says the flags of CK_TOKEN_INFO in words (PKCS #11 v2.40 section 3.2).
func flagWords(flags uint) []string {
	var words []string
	for _, flag := range []struct {
		bit  uint
		word string
	}{
		{pkcs11.CKF_TOKEN_INITIALIZED, "initialised"},
		{pkcs11.CKF_RNG, "has a random number generator"},
		{pkcs11.CKF_WRITE_PROTECTED, "write protected"},
		{pkcs11.CKF_LOGIN_REQUIRED, "wants a login"},
		{pkcs11.CKF_USER_PIN_INITIALIZED, "user PIN is set"},
		{pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH, "PIN is entered on a key pad"},
		{pkcs11.CKF_USER_PIN_COUNT_LOW, "a wrong user PIN was given"},
		{pkcs11.CKF_USER_PIN_FINAL_TRY, "one wrong user PIN more locks it"},
		{pkcs11.CKF_USER_PIN_LOCKED, "user PIN is locked"},
		{pkcs11.CKF_USER_PIN_TO_BE_CHANGED, "user PIN must be changed"},
		{pkcs11.CKF_SO_PIN_COUNT_LOW, "a wrong security officer's PIN was given"},
		{pkcs11.CKF_SO_PIN_FINAL_TRY, "one wrong security officer's PIN more locks it"},
		{pkcs11.CKF_SO_PIN_LOCKED, "security officer's PIN is locked"},
		{pkcs11.CKF_ERROR_STATE, "in an error state"},
	} {
		if flags&flag.bit != 0 {
			words = append(words, flag.word)
		}
	}
	return words
}
