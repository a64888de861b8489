package jades

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // links SHA-256 in, for crypto.Hash
	_ "crypto/sha512" // links SHA-384 and SHA-512 in, for crypto.Hash
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Bounds of an RSA key in bits. Below, a seal can be forged; above, a hostile file could make
// one check last for seconds.
const (
	minRSA = 2048
	maxRSA = 8192
)

var (
	errKeyMismatch  = errors.New("algorithm does not fit the key")
	errWeakKey      = errors.New("key is too short or of a size nobody uses")
	errDoesNotFit   = errors.New("signature does not fit")
	errAlgorithm    = errors.New("algorithm is not known")
	sealAlgorithms  = []string{"RS256", "PS256", "ES256", "ES384"}
	knownAlgorithms = map[string]algorithm{ // RFC 7518, 3.1; nothing symmetric, no "none"
		"RS256": {hash: crypto.SHA256},
		"RS384": {hash: crypto.SHA384},
		"RS512": {hash: crypto.SHA512},
		"PS256": {hash: crypto.SHA256, pss: true},
		"PS384": {hash: crypto.SHA384, pss: true},
		"PS512": {hash: crypto.SHA512, pss: true},
		"ES256": {hash: crypto.SHA256, curve: elliptic.P256()},
		"ES384": {hash: crypto.SHA384, curve: elliptic.P384()},
		"ES512": {hash: crypto.SHA512, curve: elliptic.P521()},
	}
)

// algorithm is one row of RFC 7518, 3.1. A nil curve means RSA.
type algorithm struct {
	hash  crypto.Hash
	pss   bool
	curve elliptic.Curve
}

// fits says whether public can make signatures of alg: the type of key, the very curve, the
// length. Generic libraries leave this out, which is how a key of one kind is passed off as another.
func fits(alg string, public crypto.PublicKey) error {
	a, ok := knownAlgorithms[alg]
	if !ok {
		return fmt.Errorf("%w: %.20q", errAlgorithm, alg)
	}
	switch k := public.(type) {
	case *rsa.PublicKey:
		if a.curve != nil {
			return fmt.Errorf("%w: %s with an RSA key", errKeyMismatch, alg)
		}
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return fmt.Errorf("%w: RSA with %d bits", errWeakKey, n)
		}
		return nil
	case *ecdsa.PublicKey:
		if a.curve != k.Curve {
			return fmt.Errorf("%w: %s with a key on %s", errKeyMismatch, alg, k.Params().Name)
		}
		return nil
	}
	return fmt.Errorf("%w: %s with %T", errKeyMismatch, alg, public)
}

// CheckSignature says whether a signature in the form of JWS (RFC 7518, 3) was made with the
// private half of public over input, under the rules that hold for seals: the algorithm is known
// and asymmetric, and the key is of its kind and neither too short nor too long. For packages
// that sign other things with the keys of seals.
func CheckSignature(alg string, public crypto.PublicKey, signature, input []byte) error {
	return verify(alg, public, signature, input)
}

// verify checks one signature over the parts of input, in the form that JWS gives it
// (r||s of fixed width for ECDSA, RFC 7518, 3.4).
func verify(alg string, public crypto.PublicKey, signature []byte, input ...[]byte) error {
	if err := fits(alg, public); err != nil {
		return err
	}
	a := knownAlgorithms[alg]
	h := a.hash.New()
	for _, part := range input {
		h.Write(part)
	}
	digest := h.Sum(nil)
	ok := false
	switch k := public.(type) {
	case *rsa.PublicKey:
		if a.pss {
			ok = rsa.VerifyPSS(k, a.hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		} else {
			ok = rsa.VerifyPKCS1v15(k, a.hash, digest, signature) == nil
		}
	case *ecdsa.PublicKey:
		width := (a.curve.Params().BitSize + 7) / 8
		if len(signature) == 2*width {
			r, s := new(big.Int).SetBytes(signature[:width]), new(big.Int).SetBytes(signature[width:])
			ok = ecdsa.Verify(k, digest, r, s)
		}
	}
	if !ok {
		return errDoesNotFit
	}
	return nil
}

// excessive says whether checking one signature of that key would take longer than a reader
// waits: a million bits of RSA fit into a time-stamp token and take minutes.
func excessive(public crypto.PublicKey) bool {
	k, ok := public.(*rsa.PublicKey)
	return ok && (k.N.BitLen() > maxRSA || (k.N.BitLen() > 4096 && k.E > 65537)) // the usual exponent
}

// maySeal says whether alg is one that Seal makes.
func maySeal(alg string) bool { return slices.Contains(sealAlgorithms, alg) }
