package demotoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"time"
)

// Object identifiers: EN 319 412-5 (QCStatements), EN 319 412-1 section 5.1.4
// (organizationIdentifier).
var (
	oidQCStatements           = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
	oidQCCompliance           = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 1}
	oidQCType                 = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6}
	oidQCTypeESeal            = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6, 2}
	oidOrganizationIdentifier = asn1.ObjectIdentifier{2, 5, 4, 97}
)

// policyQCPl is QCP-l, the policy of qualified certificates for legal persons (EN 319
// 411-2 section 5.3).
var policyQCPl = []uint64{0, 4, 0, 194112, 1, 1}

// issue makes a CA, lets it issue the eSeal certificate for pub, and forgets its key.
func issue(o Options, pub crypto.PublicKey, keyID []byte) (ca, seal []byte, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), o.Rand)
	if err != nil {
		return nil, nil, fmt.Errorf("make the demo CA's key: %w", err)
	}
	// One hour back, for verifiers whose clock is slow.
	from := o.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	caTemplate := &x509.Certificate{
		Subject: pkix.Name{
			CommonName: "Sealsmith demo CA, trusted by nobody", Organization: []string{"Sealsmith demo"}, Country: []string{o.Country},
		},
		NotBefore: from, NotAfter: from.Add(2 * Validity),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if caTemplate.SerialNumber, err = serialNumber(o.Rand); err != nil {
		return nil, nil, err
	}
	ca, err = x509.CreateCertificate(rand.Reader, caTemplate, caTemplate, caKey.Public(), caKey)
	if err != nil {
		return nil, nil, fmt.Errorf("issue the demo CA's certificate: %w", err)
	}
	parent, err := x509.ParseCertificate(ca)
	if err != nil {
		return nil, nil, fmt.Errorf("read the demo CA's certificate: %w", err)
	}
	template, err := sealTemplate(o, from, keyID)
	if err != nil {
		return nil, nil, err
	}
	seal, err = x509.CreateCertificate(rand.Reader, template, parent, pub, caKey)
	if err != nil {
		return nil, nil, fmt.Errorf("issue the eSeal certificate: %w", err)
	}
	return ca, seal, nil
}

func sealTemplate(o Options, from time.Time, keyID []byte) (*x509.Certificate, error) {
	serial, err := serialNumber(o.Rand)
	if err != nil {
		return nil, err
	}
	policy, err := x509.OIDFromInts(policyQCPl)
	if err != nil {
		return nil, fmt.Errorf("policy of the eSeal certificate: %w", err)
	}
	statements, err := qcStatements()
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject: pkix.Name{
			CommonName: o.CommonName, Organization: []string{o.Organisation}, Country: []string{o.Country},
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidOrganizationIdentifier, Value: o.OrganisationIdentifier}},
		},
		NotBefore: from, NotAfter: from.Add(Validity),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
		SubjectKeyId:          keyID,
		Policies:              []x509.OID{policy},
		ExtraExtensions:       []pkix.Extension{{Id: oidQCStatements, Value: statements}},
	}, nil
}

// qcStatements claims QcCompliance and QcType eseal. It leaves QcSSCD out, which would
// claim that the key is in a qualified device.
func qcStatements() ([]byte, error) {
	type compliance struct{ ID asn1.ObjectIdentifier }
	type kind struct {
		ID    asn1.ObjectIdentifier
		Types []asn1.ObjectIdentifier
	}
	der, err := asn1.Marshal(struct {
		Compliance compliance
		Type       kind
	}{compliance{oidQCCompliance}, kind{oidQCType, []asn1.ObjectIdentifier{oidQCTypeESeal}}})
	if err != nil {
		return nil, fmt.Errorf("encode the QCStatements: %w", err)
	}
	return der, nil
}

// serialNumber makes a positive serial number of 127 random bits.
func serialNumber(source io.Reader) (*big.Int, error) {
	const bits, size = 127, 16
	random := make([]byte, size)
	if _, err := io.ReadFull(source, random); err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	n := new(big.Int).SetBytes(random)
	n.SetBit(n, bits, 0)
	return n.SetBit(n, bits-1, 1), nil
}
