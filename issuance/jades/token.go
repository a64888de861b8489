package jades

import (
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
)

// token is a time-stamp token whose own signature holds.
type token struct {
	Time         time.Time
	Hash         crypto.Hash
	Imprint      []byte
	Signer       *x509.Certificate
	Certificates []*x509.Certificate
}

var errToken = errors.New("not a time-stamp token whose signature holds")

func parseToken(der []byte) (token, error) {
	p, err := pkcs7.Parse(der)
	if err != nil {
		return token{}, fmt.Errorf("%w: %w", errToken, err)
	}
	signer := p.GetOnlySigner()
	if signer == nil || p.Verify() != nil {
		return token{}, errToken
	}
	t, err := timestamp.Parse(der)
	if err != nil {
		return token{}, fmt.Errorf("%w: %w", errToken, err)
	}
	return token{t.Time, t.HashAlgorithm, t.HashedMessage, signer, t.Certificates}, nil
}

// Covers says whether the token is about the parts, one after the other.
func (t token) Covers(parts ...[]byte) bool {
	h := t.Hash.New()
	for _, p := range parts {
		h.Write(p)
	}
	return subtle.ConstantTimeCompare(h.Sum(nil), t.Imprint) == 1
}

// Chain builds a chain from the signer to anchors as of at.
func (t token) Chain(anchors *x509.CertPool, extra []*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, c := range append(t.Certificates[:len(t.Certificates):len(t.Certificates)], extra...) {
		between.AddCert(c)
	}
	chains, err := t.Signer.Verify(x509.VerifyOptions{
		Roots: anchors, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	if err != nil {
		return nil, err
	}
	return chains[0], nil
}
