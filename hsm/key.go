//go:build cgo

package hsm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

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

// algorithms gives for each JWS algorithm the mechanism that takes a digest and the one
// that takes the whole input. Hashing here is preferred: not every token has the combined
// mechanisms, and less goes over the wire.
var algorithms = map[string][2]uint{
	algRS256: {pkcs11.CKM_RSA_PKCS, pkcs11.CKM_SHA256_RSA_PKCS},
	algPS256: {pkcs11.CKM_RSA_PKCS_PSS, pkcs11.CKM_SHA256_RSA_PKCS_PSS},
	algES256: {pkcs11.CKM_ECDSA, pkcs11.CKM_ECDSA_SHA256},
	algES384: {pkcs11.CKM_ECDSA, pkcs11.CKM_ECDSA_SHA384},
}

// candidates returns the algorithms that a key can have, the preferred one first, or why
// it can have none.
func candidates(pub crypto.PublicKey, wanted string) ([]string, string) {
	var choice []string
	switch key := pub.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return nil, fmt.Sprintf("the RSA key has only %d bits; at least %d are needed", key.N.BitLen(), minRSABits)
		}
		choice = []string{algRS256, algPS256}
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			choice = []string{algES256}
		case elliptic.P384():
			choice = []string{algES384}
		}
	}
	switch {
	case len(choice) == 0:
		return nil, "the certificate's key is of a kind that cannot seal; RSA, P-256 and P-384 can"
	case wanted == "":
		return choice, ""
	case !slices.Contains(choice, wanted):
		return nil, fmt.Sprintf("x-algorithm asks for %s, but the certificate's key can only make %s", wanted, strings.Join(choice, " or "))
	}
	return []string{wanted}, ""
}

// schemeFor chooses by the certificate's key, the wanted algorithm ("" for none) and what
// the token can do.
func schemeFor(pub crypto.PublicKey, wanted string, mechanisms []uint) (scheme, string) {
	choice, problem := candidates(pub, wanted)
	if problem != "" {
		return scheme{}, problem
	}
	for _, alg := range choice {
		for i, mechanism := range algorithms[alg] {
			if slices.Contains(mechanisms, mechanism) {
				return scheme{alg: alg, mechanism: mechanism, whole: i == 1}, ""
			}
		}
	}
	return scheme{}, "the token has no mechanism for " + strings.Join(choice, " or ")
}

// pkcs11 is the mechanism with its parameters. The salt of PSS is as long as the hash (RFC
// 7518 section 3.5); drivers differ in what they do without being told.
func (s scheme) pkcs11() *pkcs11.Mechanism {
	if s.alg == algPS256 {
		return pkcs11.NewMechanism(s.mechanism, pkcs11.NewPSSParams(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, sha256.Size))
	}
	return pkcs11.NewMechanism(s.mechanism, nil)
}

// data is what the token is given to sign.
func (s scheme) data(m *message) []byte {
	switch {
	case s.whole:
		return m.whole()
	case s.alg == algRS256:
		return slices.Concat(digestInfoSHA256, m.digest(s.alg))
	}
	return m.digest(s.alg)
}

// verify checks a signature in the form of JWS.
func (s scheme) verify(pub crypto.PublicKey, m *message, sig []byte) bool {
	digest := m.digest(s.alg)
	switch key := pub.(type) {
	case *rsa.PublicKey:
		if s.alg == algPS256 {
			return rsa.VerifyPSS(key, crypto.SHA256, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, sig) == nil
	case *ecdsa.PublicKey:
		size := (key.Curve.Params().BitSize + 7) / 8
		if len(sig) != 2*size {
			return false
		}
		return ecdsa.Verify(key, digest, new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:]))
	}
	return false
}

// sealKey is a key that was found on the token and proven to belong to its certificate.
type sealKey struct {
	Key
	scheme scheme
	object pkcs11.ObjectHandle // valid for the login it was found in
	pin    pin                 // only for a key that wants a login per signature

	certificates []Certificate     // all of this key, newest first
	seen         [sha256.Size]byte // of all certificates on the token, see fingerprintOf
}

// succeeded tells whether a certificate that was waiting for its first day has it now.
func (k *sealKey) succeeded(now time.Time) bool {
	return slices.ContainsFunc(k.certificates, func(c Certificate) bool { return c.Role == RoleNext && !now.Before(c.NotBefore) })
}

// describe lists the certificates of the key among those on the token.
func (k *sealKey) describe(certs []storedCert, now time.Time) {
	k.seen = fingerprintOf(certs)
	public, ok := k.Chain[0].PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return
	}
	for _, c := range certs {
		if !public.Equal(c.cert.PublicKey) {
			continue
		}
		role := RoleRetired
		switch {
		case c.cert.Equal(k.Chain[0]):
			role = RoleCurrent
		case now.Before(c.cert.NotBefore):
			role = RoleNext
		}
		k.certificates = append(k.certificates, Certificate{
			ID: keyID(c.cert), CommonName: c.cert.Subject.CommonName,
			NotBefore: c.cert.NotBefore.UTC(), NotAfter: c.cert.NotAfter.UTC(), Role: role,
		})
	}
	slices.SortFunc(k.certificates, func(a, b Certificate) int { return b.NotBefore.Compare(a.NotBefore) })
}

// fingerprintOf tells whether the certificates on a token are others than before.
func fingerprintOf(certs []storedCert) [sha256.Size]byte {
	ids := make([]string, len(certs))
	for i, c := range certs {
		ids[i] = keyID(c.cert)
	}
	slices.Sort(ids)
	return sha256.Sum256([]byte(strings.Join(ids, " ")))
}

func keyID(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// make makes a signature, which is to be verified before anybody sees it.
func (k *sealKey) make(s *cryptoki.Session, m *message) ([]byte, error) {
	var login func(*pkcs11.Ctx) error
	if k.pin != nil {
		login = func(c *pkcs11.Ctx) error {
			if err := c.Login(s.Handle, pkcs11.CKU_CONTEXT_SPECIFIC, string(k.pin)); err != nil {
				return &contextLoginError{err}
			}
			return nil
		}
	}
	return s.Sign(k.scheme.pkcs11(), k.object, k.scheme.data(m), login)
}

// proof makes a signature and verifies it, with a login of the caller's between C_SignInit
// and C_Sign, if any.
func (k *sealKey) proof(s *cryptoki.Session, m *message, login func(*pkcs11.Ctx) error) error {
	sig, err := s.Sign(k.scheme.pkcs11(), k.object, k.scheme.data(m), login)
	if err == nil && !k.verifies(m, sig) {
		err = ErrSignature
	}
	return err
}

// verifies checks a signature with the certificate's key.
func (k *sealKey) verifies(m *message, sig []byte) bool {
	return k.scheme.verify(k.Chain[0].PublicKey, m, sig)
}

// newKey describes the key of a certificate, with the configured intermediates behind it.
func newKey(leaf *x509.Certificate, alg string, intermediates []*x509.Certificate) Key {
	return Key{
		ID:    keyID(leaf),
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
