package jades

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"time"

	"github.com/sealsmith/sealsmith/issuance/revocation"
)

// Bounds of what revocation data may cost. Responders send their own certificate, some the chain
// above it; a chain has a responder or two.
const (
	maxInside     = 4 // certificates in one OCSP response
	maxResponders = 4 // certificates of responders in xVals
)

// evidence is what came with the seal about withdrawn certificates. Package revocation reads it;
// here it is only sorted, so that nothing is read that cannot be about a certificate: a file that
// was renewed for decades has dozens of answers.
type evidence struct {
	ocsp, lists []source
	responders  []*x509.Certificate
}

// source is one OCSP response, with the serial numbers that it is about, or one list, with the name
// of who made it.
type source struct {
	der     []byte
	serials []*big.Int
	issuer  []byte
}

// evidenceOf leaves out what cannot be read and OCSP responses with keys that would keep a reader
// busy.
func (e *examination) evidenceOf(v Values) evidence {
	var out evidence
	for _, der := range v.OCSP {
		if serials, ok := spokenOf(der); ok {
			out.ocsp = append(out.ocsp, source{der: der, serials: serials})
		}
	}
	for _, der := range v.CRLs {
		var list struct {
			Signed struct {
				Version   int `asn1:"optional,default:0"`
				Algorithm pkix.AlgorithmIdentifier
				Issuer    asn1.RawValue
			}
		}
		if _, err := asn1.Unmarshal(der, &list); err == nil {
			out.lists = append(out.lists, source{der: der, issuer: list.Signed.Issuer.FullBytes})
		}
	}
	for _, c := range e.certs {
		if slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) && len(out.responders) < maxResponders {
			out.responders = append(out.responders, c)
		}
	}
	return out
}

// about is what may speak of c, a certificate of issuer.
func (v evidence) about(c, issuer *x509.Certificate) revocation.Evidence {
	out := revocation.Evidence{}
	for _, s := range v.ocsp {
		if slices.ContainsFunc(s.serials, func(n *big.Int) bool { return n.Cmp(c.SerialNumber) == 0 }) {
			out.OCSP = append(out.OCSP, s.der)
		}
	}
	for _, s := range v.lists {
		if bytes.Equal(s.issuer, issuer.RawSubject) {
			out.CRLs = append(out.CRLs, s.der)
		}
	}
	for _, c := range v.responders {
		if bytes.Equal(c.RawIssuer, issuer.RawSubject) {
			out.Certificates = append(out.Certificates, c)
		}
	}
	return out
}

// spokenOf are the serial numbers in an OCSP response (RFC 6960, 4.2.1). It is false for one whose
// certificates are many or have keys with which no signature may be checked.
func spokenOf(der []byte) (serials []*big.Int, ok bool) {
	var response struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type  asn1.ObjectIdentifier
			Value []byte
		} `asn1:"explicit,tag:0"`
	}
	var basic struct {
		Data struct {
			Version   int `asn1:"optional,default:0,explicit,tag:0"`
			Responder asn1.RawValue
			Produced  time.Time `asn1:"generalized"`
			Responses []struct {
				ID struct {
					Hash              pkix.AlgorithmIdentifier
					NameHash, KeyHash []byte
					Serial            *big.Int
				}
			}
		}
		Algorithm    pkix.AlgorithmIdentifier
		Signature    asn1.BitString
		Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	if _, err := asn1.Unmarshal(der, &response); err != nil {
		return nil, false
	}
	if _, err := asn1.Unmarshal(response.Bytes.Value, &basic); err != nil || len(basic.Certificates) > maxInside {
		return nil, false
	}
	for _, raw := range basic.Certificates {
		if c, err := x509.ParseCertificate(raw.FullBytes); err == nil && excessive(c.PublicKey) { // what cannot be read is no key
			return nil, false
		}
	}
	for _, r := range basic.Data.Responses {
		serials = append(serials, r.ID.Serial)
	}
	return serials, true
}
