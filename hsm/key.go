//go:build cgo

package hsm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

const minRSABits = 2048

// digestInfoSHA256 is the DER that precedes a SHA-256 hash in PKCS #1 v1.5 (RFC 8017
// section 9.2, note 1).
var digestInfoSHA256 = []byte{
	0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
}

// scheme is how one kind of key signs: the JWS algorithm and the mechanism of the token.
type scheme struct {
	alg       string
	mechanism uint
	whole     bool // the token hashes: it gets the input, not the digest
}

// schemeFor chooses by the certificate's key and what the token can do. Hashing here is
// preferred: not every token has the combined mechanisms, and less goes over the wire.
func schemeFor(pub crypto.PublicKey, mechanisms []uint) (scheme, string) {
	alg, choice := "", [2]uint{}
	switch key := pub.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return scheme{}, fmt.Sprintf("the RSA key has only %d bits; at least %d are needed", key.N.BitLen(), minRSABits)
		}
		alg, choice = "RS256", [2]uint{pkcs11.CKM_RSA_PKCS, pkcs11.CKM_SHA256_RSA_PKCS}
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			alg, choice = "ES256", [2]uint{pkcs11.CKM_ECDSA, pkcs11.CKM_ECDSA_SHA256}
		case elliptic.P384():
			alg, choice = "ES384", [2]uint{pkcs11.CKM_ECDSA, pkcs11.CKM_ECDSA_SHA384}
		}
	}
	if alg == "" {
		return scheme{}, "the certificate's key is of a kind that cannot seal; RSA, P-256 and P-384 can"
	}
	for i, mechanism := range choice {
		if slices.Contains(mechanisms, mechanism) {
			return scheme{alg: alg, mechanism: mechanism, whole: i == 1}, ""
		}
	}
	return scheme{}, "the token has no mechanism for " + alg
}

// data is what the token is given to sign.
func (s scheme) data(input []byte) []byte {
	switch {
	case s.whole:
		return input
	case s.alg == "RS256":
		digest := sha256.Sum256(input)
		return slices.Concat(digestInfoSHA256, digest[:])
	case s.alg == "ES384":
		digest := sha512.Sum384(input)
		return digest[:]
	}
	digest := sha256.Sum256(input)
	return digest[:]
}

// verify checks a signature in the form of JWS.
func (s scheme) verify(pub crypto.PublicKey, input, sig []byte) bool {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		digest := sha256.Sum256(input)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig) == nil
	case *ecdsa.PublicKey:
		size := (key.Curve.Params().BitSize + 7) / 8
		if len(sig) != 2*size {
			return false
		}
		hashed := scheme{alg: s.alg}.data(input)
		return ecdsa.Verify(key, hashed, new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:]))
	}
	return false
}

// sealKey is a key that was found on the token and proven to belong to its certificate.
type sealKey struct {
	Key
	scheme scheme
	object pkcs11.ObjectHandle // valid for the login it was found in
	pin    pin                 // only for a key that wants a login per signature
}

// sign makes a signature and verifies it before anybody sees it: a faulty card or a
// handle of another key must not leave the house.
func (k *sealKey) sign(s *cryptoki.Session, input []byte) ([]byte, error) {
	var login func(*pkcs11.Ctx) error
	if k.pin != nil {
		login = func(c *pkcs11.Ctx) error {
			if err := c.Login(s.Handle, pkcs11.CKU_CONTEXT_SPECIFIC, string(k.pin)); err != nil {
				return &contextLoginError{err}
			}
			return nil
		}
	}
	return k.signWith(s, input, login)
}

// signWith signs with a login of the caller's between C_SignInit and C_Sign, if any.
func (k *sealKey) signWith(s *cryptoki.Session, input []byte, login func(*pkcs11.Ctx) error) ([]byte, error) {
	sig, err := s.Sign(k.scheme.mechanism, k.object, k.scheme.data(input), login)
	if err != nil {
		return nil, err
	}
	if !k.scheme.verify(k.Chain[0].PublicKey, input, sig) {
		return nil, ErrSignature
	}
	return sig, nil
}

// newKey describes the key of a certificate, with the configured intermediates behind it.
func newKey(leaf *x509.Certificate, alg string, intermediates []*x509.Certificate) Key {
	sum := sha256.Sum256(leaf.Raw)
	return Key{
		ID:    hex.EncodeToString(sum[:]),
		Alg:   alg,
		Chain: append([]*x509.Certificate{leaf}, intermediates...),
	}
}

// chainProblem says where the configured intermediates do not continue the leaf.
func chainProblem(chain []*x509.Certificate) string {
	for i := range len(chain) - 1 {
		child, parent := chain[i], chain[i+1]
		if !bytes.Equal(child.RawIssuer, parent.RawSubject) || child.CheckSignatureFrom(parent) != nil {
			return fmt.Sprintf("the configured certificate %s did not issue %s; correct the chain of intermediates",
				parent.Subject.CommonName, child.Subject.CommonName)
		}
	}
	return ""
}
