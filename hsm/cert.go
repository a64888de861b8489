package hsm

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"time"
)

// Object identifiers of ETSI EN 319 412-5 (QCStatements) and EN 319 412-1 section 5.1.4
// (organizationIdentifier).
var (
	oidQCStatements           = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
	oidQCCompliance           = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 1}
	oidQCSSCD                 = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 4}
	oidQCType                 = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6}
	oidQCTypeESeal            = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6, 2}
	oidOrganizationIdentifier = asn1.ObjectIdentifier{2, 5, 4, 97}
)

// SealFacts is what a seal certificate says of itself. It is a claim of the issuing CA,
// not a judgement: whether the seal is qualified depends on the EU trusted list too.
type SealFacts struct {
	Organisation           string // O of the subject, the legal person that seals
	CommonName             string // CN of the subject
	OrganisationIdentifier string // 2.5.4.97, for example NTRNL-12345678 (EN 319 412-1)
	Country                string // C of the subject, ISO 3166-1 alpha-2
	QcCompliance           bool   // claims to be an EU qualified certificate
	QcSSCD                 bool   // claims that the key lives in a qualified device
	QcTypeESeal            bool   // claims to be for electronic seals
	NotBefore              time.Time
	NotAfter               time.Time
	ContentCommitment      bool // keyUsage contains contentCommitment (nonRepudiation)
}

// InspectSeal reads the facts from a seal certificate. A QCStatements extension that does
// not parse counts as absent: the certificate then claims nothing. A nil cert has no facts.
func InspectSeal(cert *x509.Certificate) SealFacts {
	if cert == nil {
		return SealFacts{}
	}
	facts := SealFacts{
		Organisation:           first(cert.Subject.Organization),
		CommonName:             cert.Subject.CommonName,
		OrganisationIdentifier: attribute(cert.Subject, oidOrganizationIdentifier),
		Country:                first(cert.Subject.Country),
		NotBefore:              cert.NotBefore.UTC(),
		NotAfter:               cert.NotAfter.UTC(),
		ContentCommitment:      cert.KeyUsage&x509.KeyUsageContentCommitment != 0,
	}
	for _, ext := range cert.Extensions {
		if ext.Id.Equal(oidQCStatements) {
			facts.QcCompliance, facts.QcSSCD, facts.QcTypeESeal = qcStatements(ext.Value)
		}
	}
	return facts
}

// qcStatement is one element of QCStatements (RFC 3739 section 3.2.6).
type qcStatement struct {
	ID   asn1.ObjectIdentifier
	Info asn1.RawValue `asn1:"optional"`
}

func qcStatements(der []byte) (compliance, sscd, eseal bool) {
	var statements []qcStatement
	rest, err := asn1.Unmarshal(der, &statements)
	if err != nil || len(rest) > 0 {
		return false, false, false
	}
	for _, statement := range statements {
		switch {
		case statement.ID.Equal(oidQCCompliance):
			compliance = true
		case statement.ID.Equal(oidQCSSCD):
			sscd = true
		case statement.ID.Equal(oidQCType):
			eseal = eseal || listsESeal(statement.Info.FullBytes)
		}
	}
	return compliance, sscd, eseal
}

func listsESeal(der []byte) bool {
	var types []asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(der, &types); err != nil || len(rest) > 0 {
		return false
	}
	for _, id := range types {
		if id.Equal(oidQCTypeESeal) {
			return true
		}
	}
	return false
}

// problem says why a certificate cannot serve at a time, in the words of Health, or nothing
// when it can. A seal is a commitment to content: its certificate wants contentCommitment
// (EN 319 412-2 section 4.3.2). Keys for something else sign data of protocols, and their
// certificates have digitalSignature.
func (u URI) problem(cert *x509.Certificate, now time.Time) string {
	may, word := x509.KeyUsageContentCommitment, "contentCommitment, once called nonRepudiation: order an eSeal certificate"
	if u.Purpose != "" && u.Purpose != purposeSeal {
		may, word = may|x509.KeyUsageDigitalSignature, "digitalSignature"
	}
	const day = "2 January 2006"
	switch {
	case cert.IsCA:
		return fmt.Sprintf("the certificate %s is a CA's; a seal needs an end-entity certificate", cert.Subject.CommonName)
	case cert.KeyUsage != 0 && cert.KeyUsage&may == 0:
		return fmt.Sprintf("the key usage of the certificate %s lacks %s", cert.Subject.CommonName, word)
	case now.After(cert.NotAfter):
		return fmt.Sprintf("the seal certificate ended on %s; put the renewed certificate on the token", cert.NotAfter.UTC().Format(day))
	case now.Before(cert.NotBefore):
		return fmt.Sprintf("the seal certificate is valid only from %s; check the clock of this machine", cert.NotBefore.UTC().Format(day))
	}
	return ""
}

func attribute(name pkix.Name, id asn1.ObjectIdentifier) string {
	for _, attr := range name.Names {
		if attr.Type.Equal(id) {
			if text, ok := attr.Value.(string); ok {
				return text
			}
		}
	}
	return ""
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
