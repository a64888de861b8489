//go:build cgo

package demotoken

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // G505: a name for the key, as tokens and RFC 5280 make it, no protection
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
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
	err = m.inSession(slot, pkcs11.CKU_USER, pin, func(c *pkcs11.Ctx, h pkcs11.SessionHandle) error {
		pub, id, err := m.generate(c, h)
		if err != nil {
			return err
		}
		s.KeyID = hex.EncodeToString(id)
		s.CA, s.Seal, err = issue(m.options, pub, id)
		if err != nil {
			return err
		}
		return m.importCert(c, h, s.Seal, id)
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
	err = m.inSession(slot, pkcs11.CKU_SO, soPIN, func(c *pkcs11.Ctx, h pkcs11.SessionHandle) error { return c.InitPIN(h, pin) })
	if err != nil {
		return 0, pkcs11.TokenInfo{}, fmt.Errorf("set the PIN: %w", err)
	}
	return slot, info, nil
}

// inSession runs do in a writing session with a login; closing it logs out, as it is the
// token's only one.
func (m *maker) inSession(slot, user uint, pin string, do func(*pkcs11.Ctx, pkcs11.SessionHandle) error) error {
	session, err := m.module.OpenSession(m.epoch, slot, pkcs11.CKF_RW_SESSION)
	if err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	err = session.Do(func(c *pkcs11.Ctx) error {
		if err := c.Login(session.Handle, user, pin); err != nil {
			return fmt.Errorf("log in: %w", err)
		}
		return do(c, session.Handle)
	})
	return errors.Join(err, session.Close())
}

// generate makes the key on the token and names it by its public key.
func (m *maker) generate(c *pkcs11.Ctx, h pkcs11.SessionHandle) (crypto.PublicKey, []byte, error) {
	label := pkcs11.NewAttribute(pkcs11.CKA_LABEL, m.options.Label)
	public := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true), label}
	mechanism := uint(pkcs11.CKM_EC_KEY_PAIR_GEN)
	kind := keyTypes[m.options.KeyType]
	if kind.bits > 0 {
		mechanism = pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, kind.bits),
			pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	} else {
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, kind.curve))
	}
	private := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, false),
		pkcs11.NewAttribute(pkcs11.CKA_UNWRAP, false), label,
	}
	pubHandle, privHandle, err := c.GenerateKeyPair(h, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, public, private)
	if err != nil {
		return nil, nil, fmt.Errorf("generate the key: %w", err)
	}
	if err := neverLeaves(c, h, privHandle); err != nil {
		return nil, nil, err
	}
	pub, point, err := publicKey(c, h, pubHandle, m.options.KeyType)
	if err != nil {
		return nil, nil, err
	}
	id := sha1.Sum(point) //nolint:gosec // G401: a name for the key, no protection
	for _, object := range []pkcs11.ObjectHandle{pubHandle, privHandle} {
		if err := c.SetAttributeValue(h, object, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ID, id[:])}); err != nil {
			return nil, nil, fmt.Errorf("name the key: %w", err)
		}
	}
	return pub, id[:], nil
}

// neverLeaves reads back that the key was made on the token and cannot be taken out.
func neverLeaves(c *pkcs11.Ctx, h pkcs11.SessionHandle, key pkcs11.ObjectHandle) error {
	attrs, err := c.GetAttributeValue(h, key, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_LOCAL, nil), pkcs11.NewAttribute(pkcs11.CKA_ALWAYS_SENSITIVE, nil),
		pkcs11.NewAttribute(pkcs11.CKA_NEVER_EXTRACTABLE, nil),
	})
	if err != nil {
		return fmt.Errorf("read the key's protection: %w", err)
	}
	for _, attr := range attrs {
		if len(attr.Value) != 1 || attr.Value[0] != 1 {
			return fmt.Errorf("the token does not protect the key (attribute 0x%x)", attr.Type)
		}
	}
	return nil
}

// publicKey reads the key from the token, and the bytes of subjectPublicKey that name it.
func publicKey(c *pkcs11.Ctx, h pkcs11.SessionHandle, object pkcs11.ObjectHandle, kind string) (crypto.PublicKey, []byte, error) {
	if keyTypes[kind].bits > 0 {
		attrs, err := c.GetAttributeValue(h, object, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_MODULUS, nil), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, nil),
		})
		if err != nil {
			return nil, nil, fmt.Errorf("read the public key: %w", err)
		}
		pub := &rsa.PublicKey{N: new(big.Int).SetBytes(attrs[0].Value), E: int(new(big.Int).SetBytes(attrs[1].Value).Int64())}
		return pub, x509.MarshalPKCS1PublicKey(pub), nil
	}
	attrs, err := c.GetAttributeValue(h, object, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil)})
	if err != nil {
		return nil, nil, fmt.Errorf("read the public key: %w", err)
	}
	var point []byte
	if _, err := asn1.Unmarshal(attrs[0].Value, &point); err != nil {
		return nil, nil, fmt.Errorf("read the public key: %w", err)
	}
	curve := elliptic.P256()
	if kind == "p384" {
		curve = elliptic.P384()
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, nil, fmt.Errorf("read the public key: %w", err)
	}
	return pub, point, nil
}

func (m *maker) importCert(c *pkcs11.Ctx, h pkcs11.SessionHandle, der, id []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("read the eSeal certificate: %w", err)
	}
	serial, err := asn1.Marshal(cert.SerialNumber)
	if err != nil {
		return fmt.Errorf("encode the serial number: %w", err)
	}
	_, err = c.CreateObject(h, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE),
		pkcs11.NewAttribute(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE, cert.Raw), pkcs11.NewAttribute(pkcs11.CKA_SUBJECT, cert.RawSubject),
		pkcs11.NewAttribute(pkcs11.CKA_ISSUER, cert.RawIssuer), pkcs11.NewAttribute(pkcs11.CKA_SERIAL_NUMBER, serial),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_LABEL, m.options.Label),
	})
	if err != nil {
		return fmt.Errorf("import the eSeal certificate: %w", err)
	}
	return nil
}

// uri names the token, its driver and its PIN file.
func (m *maker) uri(s state) string {
	id, _ := hex.DecodeString(s.KeyID) // written by make from bytes
	return hsm.URI{Token: s.Label, Serial: s.Serial, ID: id, ModulePath: m.path, PINSource: m.at.pin}.Unredacted()
}
