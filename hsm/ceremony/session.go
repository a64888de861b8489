//go:build cgo

package ceremony

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// Session is an operator at work on one token: logged in, and able to write. It must be
// used by one goroutine at a time.
type Session struct {
	cfg   hsm.Config
	uri   hsm.URI
	login *hsm.Login
	write *cryptoki.Session
}

// Open logs in to the token that cfg names, once, and opens a session that can write. The
// PIN comes from pin-source of the URI, or is pin. Errors are those of hsm.LogIn.
func Open(ctx context.Context, cfg hsm.Config, pin []byte) (*Session, error) {
	uri, err := hsm.ParseURI(cfg.URI)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", hsm.ErrConfig, err)
	}
	login, err := hsm.LogIn(ctx, cfg, pin)
	if err != nil {
		return nil, err
	}
	s := &Session{cfg: cfg, uri: uri, login: login}
	module, err := cryptoki.Open(uri.ModulePath, "", uri.InitReserved)
	if err == nil {
		s.write, err = module.OpenSession(module.Epoch(), login.Slot, pkcs11.CKF_RW_SESSION)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a session that can write: %w", err), login.Close(ctx))
	}
	return s, nil
}

// Close logs out. It fails when the end of the login attempt could not be recorded, which
// it tries even when ctx has ended.
func (s *Session) Close(ctx context.Context) error {
	return errors.Join(s.write.Close(), s.login.Close(ctx))
}

// Label returns the token's label.
func (s *Session) Label() string { return s.login.Label }

// Serial returns the token's serial number.
func (s *Session) Serial() string { return s.login.Serial() }

// URI returns the URI that names the token and one key on it, for the settings.
func (s *Session) URI(key Key) string {
	uri := s.uri
	uri.Token, uri.Serial, uri.ID, uri.Object = s.login.Label, s.login.Serial(), key.ID, ""
	return uri.Unredacted()
}

// Generate makes a key on the token: rsa3072, rsa2048, rsa4096, p256 or p384.
func (s *Session) Generate(kind, label string) (Key, error) { return GenerateOn(s.write, kind, label) }

// Keys lists the private keys that may sign; with id= or object= in the URI only those
// that they name.
func (s *Session) Keys() ([]Key, error) {
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
	}
	if len(s.uri.ID) > 0 {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, s.uri.ID))
	}
	if s.uri.Object != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, s.uri.Object))
	}
	objects, err := s.write.Find(template...)
	if err != nil {
		return nil, fmt.Errorf("look for keys: %w", err)
	}
	var keys []Key
	for _, object := range objects {
		key, err := describe(s.write, object)
		if err != nil {
			return nil, err
		}
		if err := s.addPublic(&key, object); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// addPublic looks for the public half: in the private object, in a public one, or in a
// certificate; cards often have only one of these.
func (s *Session) addPublic(key *Key, private pkcs11.ObjectHandle) error {
	objects := []pkcs11.ObjectHandle{private}
	if len(key.ID) > 0 {
		public, err := s.write.Find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), pkcs11.NewAttribute(pkcs11.CKA_ID, key.ID))
		if err != nil {
			return fmt.Errorf("look for public keys: %w", err)
		}
		objects = append(objects, public...)
	}
	for _, object := range objects {
		if pub, _, err := publicKey(s.write, object); err == nil {
			key.Public, key.Type = pub, KeyTypeOf(pub)
			return nil
		}
	}
	certs, err := certificates(s.write)
	if err != nil {
		return err
	}
	for _, c := range certs {
		if !c.X509.IsCA && len(key.ID) > 0 && bytes.Equal(c.ID, key.ID) {
			key.Public, key.Type = c.X509.PublicKey, KeyTypeOf(c.X509.PublicKey)
		}
	}
	return nil
}

// Key returns the one key that is meant: with an id that one, else the only one there is.
// The error is ErrNoKey and lists what there is.
func (s *Session) Key(id []byte) (Key, error) {
	keys, err := s.Keys()
	if err != nil {
		return Key{}, err
	}
	meant := slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { return len(id) > 0 && !bytes.Equal(k.ID, id) })
	switch {
	case len(keys) == 0:
		return Key{}, fmt.Errorf("%w: the token holds no key that may sign and that its URI names; sealsmith token genkey makes one", ErrNoKey)
	case len(meant) == 0:
		return Key{}, fmt.Errorf("%w: the token holds no key with the id %s; it holds %s", ErrNoKey, hex.EncodeToString(id), list(keys))
	case len(meant) > 1:
		return Key{}, fmt.Errorf("%w: the token holds %s; name one by --id", ErrNoKey, list(keys))
	case meant[0].Public == nil:
		return Key{}, fmt.Errorf("%w: the token does not tell the public half of %s", ErrNoKey, meant[0])
	}
	return meant[0], nil
}

func list(keys []Key) string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = key.String()
	}
	return strings.Join(names, "; ")
}

// Request makes a certificate request for a key, PEM (RFC 2986, RFC 7468), signed by the
// token and verified. The error is ErrSubject for a subject that cannot be certified.
func (s *Session) Request(ctx context.Context, key Key, subject Subject) ([]byte, error) {
	if err := subject.Check(); err != nil {
		return nil, err
	}
	signer, err := s.login.Signer(ctx, key.ID, key.Public)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, subject.template(signer.Algorithm()), signer)
	if err := errors.Join(err, signer.Close()); err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("read the request again: %w", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("check the request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// Import puts a certificate onto the token, beside the key that it was issued for, and
// reads it back. The error is ErrCertificate for one of another key, of an authority, that
// has ended, that may not sign, or that is on the token already.
func (s *Session) Import(cert *x509.Certificate, now time.Time) (Key, error) {
	if problem := importable(cert, now); problem != "" {
		return Key{}, fmt.Errorf("%w: %s", ErrCertificate, problem)
	}
	keys, err := s.Keys()
	if err != nil {
		return Key{}, err
	}
	i := slices.IndexFunc(keys, func(k Key) bool { return samePublic(k.Public, cert.PublicKey) })
	if i < 0 {
		return Key{}, fmt.Errorf("%w: it was issued for another key (%s) than those on the token: %s",
			ErrCertificate, KeyTypeOf(cert.PublicKey), cmp.Or(list(keys), "none"))
	}
	there, err := certificates(s.write)
	if err != nil {
		return Key{}, err
	}
	if slices.ContainsFunc(there, func(c Certificate) bool { return c.X509.Equal(cert) }) {
		return Key{}, fmt.Errorf("%w: it is on the token already", ErrCertificate)
	}
	if err := ImportOn(s.write, cert, keys[i].ID, keys[i].Label); err != nil {
		return Key{}, err
	}
	there, err = certificates(s.write)
	if err != nil {
		return Key{}, err
	}
	if !slices.ContainsFunc(there, func(c Certificate) bool { return c.X509.Equal(cert) && bytes.Equal(c.ID, keys[i].ID) }) {
		return Key{}, errors.New("the token took the certificate, but does not show it; look with sealsmith token info")
	}
	return keys[i], nil
}
