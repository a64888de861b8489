package tsp

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// hashes are the digests that a token may use.
var hashes = map[string]crypto.Hash{
	"2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// Signature algorithms: those that name their digest, and the two that take it from the
// digest algorithm beside them.
var (
	signatures = map[string]struct {
		algorithm x509.SignatureAlgorithm
		hash      crypto.Hash
	}{
		"1.2.840.113549.1.1.11": {x509.SHA256WithRSA, crypto.SHA256},
		"1.2.840.113549.1.1.12": {x509.SHA384WithRSA, crypto.SHA384},
		"1.2.840.113549.1.1.13": {x509.SHA512WithRSA, crypto.SHA512},
		"1.2.840.10045.4.3.2":   {x509.ECDSAWithSHA256, crypto.SHA256},
		"1.2.840.10045.4.3.3":   {x509.ECDSAWithSHA384, crypto.SHA384},
		"1.2.840.10045.4.3.4":   {x509.ECDSAWithSHA512, crypto.SHA512},
	}
	rsaWith   = map[crypto.Hash]x509.SignatureAlgorithm{crypto.SHA256: x509.SHA256WithRSA, crypto.SHA384: x509.SHA384WithRSA, crypto.SHA512: x509.SHA512WithRSA}
	ecdsaWith = map[crypto.Hash]x509.SignatureAlgorithm{crypto.SHA256: x509.ECDSAWithSHA256, crypto.SHA384: x509.ECDSAWithSHA384, crypto.SHA512: x509.ECDSAWithSHA512}
	pssWith   = map[crypto.Hash]x509.SignatureAlgorithm{crypto.SHA256: x509.SHA256WithRSAPSS, crypto.SHA384: x509.SHA384WithRSAPSS, crypto.SHA512: x509.SHA512WithRSAPSS}
)

// Names of algorithms that do not name their digest.
const (
	nameRSA = "1.2.840.113549.1.1.1"
	nameEC  = "1.2.840.10045.2.1"
	namePSS = "1.2.840.113549.1.1.10"
)

func hashOf(a pkix.AlgorithmIdentifier) (crypto.Hash, error) {
	hash, ok := hashes[a.Algorithm.String()]
	if !ok {
		return 0, fmt.Errorf("%w: digest %s", ErrWeak, a.Algorithm)
	}
	return hash, nil
}

// signatureAlgorithm insists that the signature uses the digest that the token announces.
func signatureAlgorithm(a pkix.AlgorithmIdentifier, hash crypto.Hash) (x509.SignatureAlgorithm, error) {
	switch name := a.Algorithm.String(); name {
	case nameRSA:
		return rsaWith[hash], nil
	case nameEC:
		return ecdsaWith[hash], nil
	case namePSS:
		return pssAlgorithm(a.Parameters)
	default:
		known, ok := signatures[name]
		if !ok {
			return 0, fmt.Errorf("%w: signature %s", ErrWeak, name)
		}
		if known.hash != hash {
			return 0, fmt.Errorf("%w: digest and signature use different algorithms", ErrMalformed)
		}
		return known.algorithm, nil
	}
}

// pssAlgorithm accepts what crypto/x509 verifies: MGF1 with the same digest, a salt of its
// length. The defaults of RFC 8017 appendix A.2.3 are SHA-1, so all must be there.
func pssAlgorithm(parameters asn1.RawValue) (x509.SignatureAlgorithm, error) {
	var p struct {
		Hash    pkix.AlgorithmIdentifier `asn1:"explicit,tag:0,optional"`
		MGF     pkix.AlgorithmIdentifier `asn1:"explicit,tag:1,optional"`
		Salt    int                      `asn1:"explicit,tag:2,optional,default:20"`
		Trailer int                      `asn1:"explicit,tag:3,optional,default:1"`
	}
	if err := decode("RSASSA-PSS", parameters.FullBytes, &p); err != nil {
		return 0, err
	}
	hash, err := hashOf(p.Hash)
	if err != nil {
		return 0, err
	}
	var mask pkix.AlgorithmIdentifier
	if err := decode("RSASSA-PSS", p.MGF.Parameters.FullBytes, &mask); err != nil {
		return 0, err
	}
	if !p.MGF.Algorithm.Equal(oidMGF1) || !mask.Algorithm.Equal(p.Hash.Algorithm) || p.Salt != hash.Size() || p.Trailer != 1 {
		return 0, fmt.Errorf("%w: parameters of RSASSA-PSS", ErrWeak)
	}
	return pssWith[hash], nil
}
