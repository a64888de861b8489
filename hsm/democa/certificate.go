package democa

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"time"
)

// Object identifiers: EN 319 412-5 (QCStatements), EN 319 412-1 section 5.1.4
// (organizationIdentifier), RFC 5280 section 4.2.1.12 and RFC 3161 section 2.3 (key
// purpose), RFC 6960 section 4.2.2.2.1 (no check).
var (
	oidQCStatements           = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
	oidQCCompliance           = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 1}
	oidQCType                 = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6}
	oidQCTypeESeal            = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6, 2}
	oidOrganizationIdentifier = asn1.ObjectIdentifier{2, 5, 4, 97}
	oidExtendedKeyUsage       = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidTimeStamping           = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	oidNoCheck                = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
)

// Certificate policies: QCP-l of qualified certificates for legal persons (EN 319 411-2
// section 5.3), NCP+ of the services (EN 319 411-1 section 5.3).
var (
	policyQCPl    = []uint64{0, 4, 0, 194112, 1, 1}
	policyNCPPlus = []uint64{0, 4, 0, 2042, 1, 2}
)

// Subject is whom an eSeal certificate names; see EN 319 412-3 section 4.2.1.
type Subject struct {
	// Organisation (O), CommonName (CN), OrganisationIdentifier (2.5.4.97, as
	// NTRNL-00000000) and Country (C) are all required by EN 319 412-3.
	Organisation, CommonName, OrganisationIdentifier, Country string
}

// role is a service of the provider that has a key of its own.
type role string

const (
	roleTSA  role = "time-stamping authority"
	roleTSA2 role = "second time-stamping authority"
	roleOCSP role = "OCSP responder"
)

// IssueSeal issues the eSeal certificate of a public key. keyID becomes the subject key
// identifier, the CKA_ID on a token; nil takes one from the key.
func (c *CA) IssueSeal(s Subject, pub crypto.PublicKey, keyID []byte) (*x509.Certificate, error) {
	template, err := c.template(policyQCPl)
	if err != nil {
		return nil, err
	}
	statements, err := qcStatements()
	if err != nil {
		return nil, err
	}
	template.Subject = pkix.Name{
		CommonName: s.CommonName, Organization: []string{s.Organisation}, Country: []string{s.Country},
		ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidOrganizationIdentifier, Value: s.OrganisationIdentifier}},
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	template.SubjectKeyId = keyID
	template.ExtraExtensions = []pkix.Extension{{Id: oidQCStatements, Value: statements}}
	cert, err := c.issue(template, pub)
	if err != nil {
		return nil, fmt.Errorf("issue the eSeal certificate: %w", err)
	}
	return cert, nil
}

// TSACertificate is the certificate of the first or the second time-stamping authority.
func (c *CA) TSACertificate(second bool) (*x509.Certificate, error) {
	service, err := c.service(tsaRole(second))
	return service.cert, err
}

func tsaRole(second bool) role {
	if second {
		return roleTSA2
	}
	return roleTSA
}

// service returns the key of a service, which is made when it is asked for first. It
// stays in memory: after a restart a service has another key, as real ones have sometimes.
func (c *CA) service(r role) (identity, error) {
	c.mu.Lock()
	made, ok := c.identities[r]
	c.mu.Unlock()
	if ok {
		return made, nil
	}
	made, err := c.makeService(r)
	if err != nil {
		return identity{}, fmt.Errorf("make the demo's %s: %w", r, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, ok := c.identities[r]; ok {
		return first, nil
	}
	c.identities[r] = made
	return made, nil
}

func (c *CA) makeService(r role) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), c.options.Rand)
	if err != nil {
		return identity{}, err
	}
	template, err := c.template(policyNCPPlus)
	if err != nil {
		return identity{}, err
	}
	template.Subject = c.name("Sealsmith demo " + string(r))
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if r == roleOCSP {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		template.ExtraExtensions = []pkix.Extension{{Id: oidNoCheck, Value: asn1.NullBytes}}
		template.OCSPServer, template.CRLDistributionPoints = nil, nil // its status is not asked for
		template.NotBefore = template.NotBefore.Add(-2 * staleness)    // a stale answer is wrong in its age only
	} else {
		purpose, err := asn1.Marshal([]asn1.ObjectIdentifier{oidTimeStamping})
		if err != nil {
			return identity{}, err
		}
		// x509 would not mark it critical, which RFC 3161 section 2.3 demands.
		template.ExtraExtensions = []pkix.Extension{{Id: oidExtendedKeyUsage, Critical: true, Value: purpose}}
	}
	cert, err := c.issue(template, key.Public())
	return identity{key, cert}, err
}

// issue signs a certificate and enters it in the register.
func (c *CA) issue(template *x509.Certificate, pub crypto.PublicKey) (*x509.Certificate, error) {
	if len(template.SubjectKeyId) == 0 {
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(der)
		template.SubjectKeyId = sum[:20]
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, pub, c.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return cert, c.register.add(c.registerPath(), entry{Serial: cert.SerialNumber.Text(16), Subject: cert.Subject.String()})
}

// template holds what all certificates below the root have in common.
func (c *CA) template(policy []uint64) (*x509.Certificate, error) {
	serial, err := serialNumber(c.options.Rand)
	if err != nil {
		return nil, err
	}
	id, err := x509.OIDFromInts(policy)
	if err != nil {
		return nil, fmt.Errorf("certificate policy: %w", err)
	}
	from := c.from()
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: from, NotAfter: from.Add(Validity),
		BasicConstraintsValid: true, Policies: []x509.OID{id},
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.base != "" {
		template.OCSPServer = []string{c.base + pathOCSP}
		template.IssuingCertificateURL = []string{c.base + pathRoot}
		template.CRLDistributionPoints = []string{c.base + pathCRL}
	}
	return template, nil
}

func (c *CA) rootTemplate() (*x509.Certificate, error) {
	serial, err := serialNumber(c.options.Rand)
	if err != nil {
		return nil, err
	}
	from := c.from()
	return &x509.Certificate{
		SerialNumber: serial, Subject: c.name("Sealsmith demo CA, trusted by nobody"),
		NotBefore: from, NotAfter: from.Add(rootValidity),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil
}

// from is one hour back, for verifiers whose clock is slow.
func (c *CA) from() time.Time { return c.now().Add(-time.Hour) }

func (c *CA) now() time.Time { return c.options.Now().UTC().Truncate(time.Second) }

func (c *CA) name(common string) pkix.Name {
	return pkix.Name{CommonName: common, Organization: []string{"Sealsmith demo"}, Country: []string{c.options.Country}}
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
