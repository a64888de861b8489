package jades

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"golang.org/x/crypto/ocsp"
)

// harmless says whether the certificates in an OCSP response have keys with which the library may
// check a signature: it does so before anybody can ask.
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
	if _, err := asn1.Unmarshal(response.Bytes.Value, &basic); err != nil {
		return false
	}
	if len(basic.Certificates) == 0 {
		return true
	}
	c, err := x509.ParseCertificate(basic.Certificates[0].FullBytes) // the library looks at the first
	return err == nil && !excessive(c.PublicKey)
}

// answerData is ResponseData of RFC 6960, 4.2.1, as far as it says which certificates it is about.
type answerData struct {
	Version    int `asn1:"optional,default:0,explicit,tag:0"`
	Responder  asn1.RawValue
	ProducedAt time.Time `asn1:"generalized"`
	Answers    []struct {
		ID struct {
			Hash     pkix.AlgorithmIdentifier
			NameHash []byte
			KeyHash  []byte
			Serial   *big.Int
		}
		Status     asn1.RawValue
		ThisUpdate time.Time        `asn1:"generalized"`
		NextUpdate time.Time        `asn1:"generalized,explicit,tag:0,optional"`
		Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
	}
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

// names says whether r is about a certificate of issuer. The library compares serial numbers
// only, and a responder that serves several authorities meets the same number twice.
func names(r *ocsp.Response, issuer *x509.Certificate) bool {
	var data answerData
	if rest, err := asn1.Unmarshal(r.TBSResponseData, &data); err != nil || len(rest) > 0 || !r.IssuerHash.Available() {
		return false
	}
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &key); err != nil {
		return false
	}
	sum := func(b []byte) []byte {
		h := r.IssuerHash.New()
		h.Write(b)
		return h.Sum(nil)
	}
	for _, a := range data.Answers { // the library takes the first of this number
		if a.ID.Serial != nil && a.ID.Serial.Cmp(r.SerialNumber) == 0 {
			return bytes.Equal(a.ID.NameHash, sum(issuer.RawSubject)) && bytes.Equal(a.ID.KeyHash, sum(key.Key.RightAlign()))
		}
	}
	return false
}
