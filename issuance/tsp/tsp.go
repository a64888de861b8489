// Package tsp is time-stamps: it reads RFC 3161 tokens and asks authorities for them.
//
// Parse accepts a token only if everything in it holds together: it is DER without a byte
// too many, has one signer whose certificate is for time-stamping alone and is named in
// the signed attributes (ESSCertID or ESSCertIDv2), the signature is right, and the time
// lies in that certificate's validity. What Parse cannot know is left to two more
// questions: Token.Covers says whether the token is about given bytes, Token.Chain whether
// the signer leads to a trust anchor. Client.Stamp asks all of them, and compares the
// answer with its request (nonce, imprint, policy, time), as RFC 3161 section 2.2 demands.
//
// The package does not know what is stamped (JAdES and PAdES say which bytes), fetches
// nothing but by the HTTP client it was given, and does not ask whether the signer's
// certificate was revoked; package revocation does.
//
// It fails with the sentinels below, one for each cause; texts say what an operator can do.
// Nothing is logged here, and no user name or password is in an error.
package tsp

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // for crypto.Hash.New
	_ "crypto/sha512" // for crypto.Hash.New
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Why an authority's answer or a token is not accepted.
var (
	// ErrMalformed is for bytes that are no token, or not in DER.
	ErrMalformed = errors.New("not a time-stamp in the form of RFC 3161")
	// ErrWeak is for digests and signatures with SHA-1 or older.
	ErrWeak = errors.New("the time-stamp uses SHA-1 or an algorithm that is not supported; ask the authority for SHA-256")
	// ErrSigner is for a signer whose certificate is missing, another, or not for
	// time-stamping alone.
	ErrSigner = errors.New("the signer of the time-stamp is not a time-stamping authority")
	// ErrSignature is for a token that was changed after it was signed.
	ErrSignature = errors.New("the signature of the time-stamp is wrong: it was changed, or is a forgery")
	// ErrRefused is for an authority that says no.
	ErrRefused = errors.New("the time-stamping authority refused")
	// ErrUnreachable is for an authority that does not answer, or with an HTTP error.
	ErrUnreachable = errors.New("the time-stamping authority cannot be reached")
	// ErrNonce is for an answer to another request.
	ErrNonce = errors.New("the time-stamp answers another request (nonce)")
	// ErrImprint is for a token about other bytes.
	ErrImprint = errors.New("the time-stamp is about other bytes than those sent (imprint)")
	// ErrPolicy is for a token under another policy than the one asked for.
	ErrPolicy = errors.New("the time-stamp has another policy than the one configured")
	// ErrTime is for a time that cannot be.
	ErrTime = errors.New("the time of the time-stamp cannot be right")
	// ErrChain is for a signer that leads to no trust anchor.
	ErrChain = errors.New("the certificate of the time-stamping authority leads to no trust anchor")
	// ErrConfig is for a Client that cannot work.
	ErrConfig = errors.New("time-stamp client")
)

// MaxToken is the most bytes that a token, or the answer with it, may have. Real ones have
// two to eight thousand.
const MaxToken = 256 << 10

// Token is a time-stamp whose signature and form are right. See RFC 3161 section 2.4.2.
type Token struct {
	Raw          []byte                // the TimeStampToken, DER: what is embedded in a seal
	Time         time.Time             // UTC
	Policy       asn1.ObjectIdentifier // under which it was given
	Accuracy     time.Duration         // Time may be off by this; 0 when the authority does not say
	SerialNumber *big.Int
	Nonce        *big.Int    // nil without one
	Hash         crypto.Hash // SHA-256, SHA-384 or SHA-512
	Imprint      []byte      // the digest of what was stamped
	Signer       *x509.Certificate
	Certificates []*x509.Certificate // all that the token carries, the signer's among them
}

// Covers reports whether the token is about these bytes, one part after the other.
func (t Token) Covers(parts ...[]byte) bool {
	return t.Hash.Available() && bytes.Equal(digest(t.Hash, parts...), t.Imprint)
}

func digest(h crypto.Hash, parts ...[]byte) []byte {
	hash := h.New()
	for _, part := range parts {
		hash.Write(part) // never fails
	}
	return hash.Sum(nil)
}

// Chain leads from the signer's certificate to one of the anchors, signer first and anchor
// last, by way of certificates in the token and extra ones, all valid at the given time:
// Token.Time for a token whose issuer is not under suspicion. It fails with ErrChain; no
// anchors at all (nil too) make no chain.
func (t Token) Chain(anchors *x509.CertPool, extra []*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	if anchors == nil || t.Signer == nil {
		return nil, fmt.Errorf("%w: none is configured", ErrChain)
	}
	between := x509.NewCertPool()
	for _, list := range [][]*x509.Certificate{t.Certificates, extra} {
		for _, cert := range list {
			between.AddCert(cert)
		}
	}
	chains, err := t.Signer.Verify(x509.VerifyOptions{
		Roots: anchors, Intermediates: between, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrChain, t.Signer.Subject, err)
	}
	return chains[0], nil
}
