package pdf

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // links SHA-256 in, for crypto.Hash
	_ "crypto/sha512" // links SHA-384 in, for crypto.Hash
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
)

const (
	minRSA = 2048 // bits; below, a seal can be forged
	// sha256Size is the length of the salt of PS256 (RFC 7518, 3.5).
	sha256Size = 32
)

var (
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA256WithRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidPSS           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidMGF1          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidECDSAWithS256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidECDSAWithS384 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}
)

// algorithm is one way to seal: its name in JWS (RFC 7518, 3.1) and what CMS calls it.
type algorithm struct {
	name      string
	hash      crypto.Hash
	hashOID   asn1.ObjectIdentifier
	signature asn1.ObjectIdentifier
	verify    x509.SignatureAlgorithm
	curve     elliptic.Curve // nil means RSA
}

// algorithms that a token seals with.
var algorithms = []algorithm{
	{name: "RS256", hash: crypto.SHA256, hashOID: oidSHA256, signature: oidSHA256WithRSA, verify: x509.SHA256WithRSA},
	{name: "PS256", hash: crypto.SHA256, hashOID: oidSHA256, signature: oidPSS, verify: x509.SHA256WithRSAPSS},
	{name: "ES256", hash: crypto.SHA256, hashOID: oidSHA256, signature: oidECDSAWithS256, verify: x509.ECDSAWithSHA256, curve: elliptic.P256()},
	{name: "ES384", hash: crypto.SHA384, hashOID: oidSHA384, signature: oidECDSAWithS384, verify: x509.ECDSAWithSHA384, curve: elliptic.P384()},
}

// algorithmNamed finds an algorithm by its name in JWS.
func algorithmNamed(name string) (algorithm, bool) {
	i := slices.IndexFunc(algorithms, func(a algorithm) bool { return a.name == name })
	if i < 0 {
		return algorithm{}, false
	}
	return algorithms[i], true
}

// fits says whether the key of c can make signatures of a.
func (a algorithm) fits(c *x509.Certificate) error {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if a.curve == nil && k.N.BitLen() >= minRSA {
			return nil
		}
	case *ecdsa.PublicKey:
		if a.curve == k.Curve {
			return nil
		}
	}
	return fmt.Errorf("%w: the certificate's key makes no %s", ErrKey, a.name)
}

type pssParameters struct {
	Hash pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
	MGF  pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
	Salt int                      `asn1:"explicit,tag:2"`
}

// identifier is the signatureAlgorithm of CMS: RFC 4055, 3.1 and 5 for RSA, RFC 5754, 3.3 for ECDSA.
func (a algorithm) identifier() (pkix.AlgorithmIdentifier, error) {
	id := pkix.AlgorithmIdentifier{Algorithm: a.signature}
	switch {
	case a.signature.Equal(oidSHA256WithRSA):
		id.Parameters = asn1.NullRawValue
	case a.signature.Equal(oidPSS):
		sum := pkix.AlgorithmIdentifier{Algorithm: a.hashOID, Parameters: asn1.NullRawValue}
		der, err := asn1.Marshal(sum)
		if err != nil {
			return id, fmt.Errorf("encode hash of PSS: %w", err)
		}
		mgf := pkix.AlgorithmIdentifier{Algorithm: oidMGF1, Parameters: asn1.RawValue{FullBytes: der}}
		if der, err = asn1.Marshal(pssParameters{Hash: sum, MGF: mgf, Salt: sha256Size}); err != nil {
			return id, fmt.Errorf("encode parameters of PSS: %w", err)
		}
		id.Parameters = asn1.RawValue{FullBytes: der}
	}
	return id, nil
}

// fromJWS turns a signature as a token's Sign returns it into the one of CMS: the r||s of
// ECDSA (RFC 7518, 3.4) becomes DER (RFC 5753, 2.1.1); RSA stays as it is.
func (a algorithm) fromJWS(signature []byte) ([]byte, error) {
	if a.curve == nil {
		return signature, nil
	}
	width := (a.curve.Params().BitSize + 7) / 8
	if len(signature) != 2*width {
		return nil, fmt.Errorf("%w: it has %d bytes, not %d", ErrBadSignature, len(signature), 2*width)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(signature[:width]), new(big.Int).SetBytes(signature[width:]),
	})
	if err != nil {
		return nil, fmt.Errorf("encode signature: %w", err)
	}
	return der, nil
}

func (a algorithm) sum(parts ...[]byte) []byte {
	h := a.hash.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
