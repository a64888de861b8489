package jades

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"github.com/sealsmith/sealsmith/issuance/revocation"
)

// Bounds of what revocation data may cost. Responders send their own certificate, some the chain
// above it; a chain has a responder or two.
const (
	maxInside     = 4 // certificates in one OCSP response
	maxResponders = 4 // certificates of responders in xVals
)

// evidenceOf hands what came with the seal over to package revocation, which reads it, but for OCSP
// responses with keys that would keep a reader busy.
func (e *examination) evidenceOf(v Values) revocation.Evidence {
	out := revocation.Evidence{CRLs: v.CRLs}
	for _, der := range v.OCSP {
		if harmless(der) {
			out.OCSP = append(out.OCSP, der)
		}
	}
	for _, c := range e.certs {
		if slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) && len(out.Certificates) < maxResponders {
			out.Certificates = append(out.Certificates, c)
		}
	}
	return out
}

// harmless says whether the certificates in an OCSP response are few and have keys with which a
// signature may be checked.
func harmless(der []byte) bool {
	var response struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type  asn1.ObjectIdentifier
			Value []byte
		} `asn1:"explicit,tag:0"`
	}
	var basic struct {
		Data         asn1.RawValue
		Algorithm    pkix.AlgorithmIdentifier
		Signature    asn1.BitString
		Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	if _, err := asn1.Unmarshal(der, &response); err != nil {
		return false
	}
	if _, err := asn1.Unmarshal(response.Bytes.Value, &basic); err != nil || len(basic.Certificates) > maxInside {
		return false
	}
	return !slices.ContainsFunc(basic.Certificates, func(raw asn1.RawValue) bool {
		c, err := x509.ParseCertificate(raw.FullBytes)
		return err == nil && excessive(c.PublicKey) // what cannot be read is no key
	})
}
