//go:build cgo

package ceremony

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // G505: a name for the key, as tokens and RFC 5280 make it, no protection
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// GenerateOn makes a key on the token of a session that can write and is logged in, for
// packages of hsm that have such a session. It names the key by the SHA-1 of its public
// key and reads back how the token protects it.
func GenerateOn(s *cryptoki.Session, kind, label string) (Key, error) {
	if !KnowsKeyType(kind) {
		return Key{}, fmt.Errorf("%w, not %q", ErrKeyType, printable(kind))
	}
	public, private, err := generate(s, kind, label)
	if err != nil {
		return Key{}, fmt.Errorf("generate the key: %w", err)
	}
	key, err := finish(s, public, private)
	if err != nil {
		// A key that is not what was asked for must not stay and be taken for one.
		return Key{}, errors.Join(err, destroy(s, public), destroy(s, private))
	}
	return key, nil
}

func generate(s *cryptoki.Session, kind, label string) (public, private pkcs11.ObjectHandle, err error) {
	name := pkcs11.NewAttribute(pkcs11.CKA_LABEL, label)
	publicTemplate := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true), name}
	mechanism := uint(pkcs11.CKM_EC_KEY_PAIR_GEN)
	if bits := keyTypes[kind].bits; bits > 0 {
		mechanism = pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN
		publicTemplate = append(publicTemplate, pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, bits),
			pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	} else {
		publicTemplate = append(publicTemplate, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, keyTypes[kind].curve))
	}
	privateTemplate := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, false),
		pkcs11.NewAttribute(pkcs11.CKA_UNWRAP, false), name,
	}
	err = s.Do(func(c *pkcs11.Ctx) error {
		public, private, err = c.GenerateKeyPair(s.Handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, publicTemplate, privateTemplate)
		return err
	})
	return public, private, err
}

// finish names both halves of a new key and checks its protection.
func finish(s *cryptoki.Session, public, private pkcs11.ObjectHandle) (Key, error) {
	pub, bits, err := publicKey(s, public)
	if err != nil {
		return Key{}, fmt.Errorf("read the public key: %w", err)
	}
	id := sha1.Sum(bits) //nolint:gosec // G401: a name for the key, no protection
	err = s.Do(func(c *pkcs11.Ctx) error {
		for _, object := range []pkcs11.ObjectHandle{public, private} {
			if err := c.SetAttributeValue(s.Handle, object, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ID, id[:])}); err != nil {
				return fmt.Errorf("name the key: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return Key{}, err
	}
	key, err := describe(s, private)
	if err != nil {
		return Key{}, err
	}
	key.Public, key.Type = pub, KeyTypeOf(pub)
	a := key.Attributes
	if !a.Local || !a.Sensitive || !a.AlwaysSensitive || a.Extractable || !a.NeverExtractable || !a.Sign || a.Decrypt || a.Unwrap {
		return Key{}, fmt.Errorf("%w: %+v", ErrUnprotected, a)
	}
	return key, nil
}

func destroy(s *cryptoki.Session, object pkcs11.ObjectHandle) error {
	return s.Do(func(c *pkcs11.Ctx) error { return c.DestroyObject(s.Handle, object) })
}

// describe reads a private key without its public half.
func describe(s *cryptoki.Session, object pkcs11.ObjectHandle) (key Key, err error) {
	if key.ID, err = s.Attribute(object, pkcs11.CKA_ID); err != nil {
		return key, fmt.Errorf("read the key's id: %w", err)
	}
	label, err := s.Attribute(object, pkcs11.CKA_LABEL)
	if err != nil {
		return key, fmt.Errorf("read the key's label: %w", err)
	}
	key.Label, key.Type = printable(string(label)), "unknown"
	a := &key.Attributes
	for kind, to := range map[uint]*bool{
		pkcs11.CKA_LOCAL: &a.Local, pkcs11.CKA_SENSITIVE: &a.Sensitive, pkcs11.CKA_ALWAYS_SENSITIVE: &a.AlwaysSensitive,
		pkcs11.CKA_EXTRACTABLE: &a.Extractable, pkcs11.CKA_NEVER_EXTRACTABLE: &a.NeverExtractable, pkcs11.CKA_SIGN: &a.Sign,
		pkcs11.CKA_DECRYPT: &a.Decrypt, pkcs11.CKA_UNWRAP: &a.Unwrap, pkcs11.CKA_ALWAYS_AUTHENTICATE: &a.AlwaysAuthenticate,
	} {
		if *to, err = s.True(object, kind); err != nil {
			return key, fmt.Errorf("read the key's protection: %w", err)
		}
	}
	return key, nil
}

// publicKey reads a public key, and the bytes of its subjectPublicKey that name it. The
// private half of an RSA key serves as well.
func publicKey(s *cryptoki.Session, object pkcs11.ObjectHandle) (crypto.PublicKey, []byte, error) {
	kind, err := s.Attribute(object, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return nil, nil, err
	}
	read := func(attribute uint) (value []byte) {
		if err == nil {
			value, err = s.Attribute(object, attribute)
		}
		return value
	}
	switch ulong(kind) {
	case pkcs11.CKK_RSA:
		modulus, exponent := read(pkcs11.CKA_MODULUS), read(pkcs11.CKA_PUBLIC_EXPONENT)
		if err != nil || len(modulus) == 0 || len(exponent) == 0 || len(exponent) > 4 {
			return nil, nil, errors.Join(err, errors.New("the token does not tell the RSA key"))
		}
		pub := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
		return pub, x509.MarshalPKCS1PublicKey(pub), nil
	case pkcs11.CKK_EC:
		params, point := read(pkcs11.CKA_EC_PARAMS), read(pkcs11.CKA_EC_POINT)
		if err != nil {
			return nil, nil, err
		}
		return ecKey(params, point)
	}
	return nil, nil, errors.New("the key is neither RSA nor on a curve")
}

// ecKey takes the point as a DER OCTET STRING, as it should be, or bare, as some tokens
// have it.
func ecKey(params, point []byte) (crypto.PublicKey, []byte, error) {
	var curve elliptic.Curve
	switch {
	case bytes.Equal(params, keyTypes["p256"].curve):
		curve = elliptic.P256()
	case bytes.Equal(params, keyTypes["p384"].curve):
		curve = elliptic.P384()
	default:
		return nil, nil, errors.New("the key is on a curve that cannot seal; P-256 and P-384 can")
	}
	var inner []byte
	if rest, err := asn1.Unmarshal(point, &inner); err == nil && len(rest) == 0 {
		point = inner
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, nil, fmt.Errorf("the point of the key: %w", err)
	}
	return pub, point, nil
}

// ulong reads a CK_ULONG, which comes in the machine's byte order and width.
func ulong(b []byte) uint {
	switch len(b) {
	case 8:
		return uint(binary.NativeEndian.Uint64(b))
	case 4:
		return uint(binary.NativeEndian.Uint32(b))
	}
	return ^uint(0)
}

// ImportOn puts a certificate beside the key with CKA_ID id. It does not look whether it
// belongs there; Session.Import does.
func ImportOn(s *cryptoki.Session, cert *x509.Certificate, id []byte, label string) error {
	serial, err := asn1.Marshal(cert.SerialNumber)
	if err != nil {
		return fmt.Errorf("encode the serial number: %w", err)
	}
	err = s.Do(func(c *pkcs11.Ctx) error {
		_, err := c.CreateObject(s.Handle, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE),
			pkcs11.NewAttribute(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509),
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
			pkcs11.NewAttribute(pkcs11.CKA_VALUE, cert.Raw), pkcs11.NewAttribute(pkcs11.CKA_SUBJECT, cert.RawSubject),
			pkcs11.NewAttribute(pkcs11.CKA_ISSUER, cert.RawIssuer), pkcs11.NewAttribute(pkcs11.CKA_SERIAL_NUMBER, serial),
			pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("import the certificate: %w", err)
	}
	return nil
}

// certificates reads all certificates that a session can see, whatever they are for; those
// that do not parse are none.
func certificates(s *cryptoki.Session) ([]Certificate, error) {
	objects, err := s.Find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE),
		pkcs11.NewAttribute(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509))
	if err != nil {
		return nil, fmt.Errorf("look for certificates: %w", err)
	}
	var found []Certificate
	for _, object := range objects {
		der, err := s.Attribute(object, pkcs11.CKA_VALUE)
		if err != nil {
			return nil, fmt.Errorf("read a certificate: %w", err)
		}
		id, err := s.Attribute(object, pkcs11.CKA_ID)
		if err != nil {
			return nil, fmt.Errorf("read a certificate: %w", err)
		}
		if cert, err := x509.ParseCertificate(der); err == nil {
			found = append(found, Certificate{ID: id, X509: cert})
		}
	}
	return found, nil
}

func trimmed(text string) string { return printable(strings.TrimRight(text, " \x00")) }
