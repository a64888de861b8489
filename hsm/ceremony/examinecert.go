package ceremony

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

// Object identifiers of ETSI EN 319 412-5 (QCStatements) that hsm.InspectSeal does not
// read.
var (
	oidQCStatements  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
	oidQCLegislation = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 7}
)

const (
	day           = 24 * time.Hour
	preferredBits = 3072
)

// Expected is what a seal certificate is held against.
type Expected struct {
	Now time.Time
	// Identifiers are the organizationIdentifiers that the certificate may have, with the
	// name of who has it; empty: none is configured.
	Identifiers map[string]string
	// Issuers are authorities that may stand between the certificate and a root, and roots.
	Issuers []*x509.Certificate
}

// ExamineCertificate judges an eSeal certificate by what it says: EN 319 412-3 and -5, RFC
// 5280. Whether its issuer is on the EU trusted list is not looked at.
func ExamineCertificate(cert *x509.Certificate, e Expected) []Finding {
	facts := hsm.InspectSeal(cert)
	return []Finding{
		validity(cert, e.Now),
		keyUsage(cert),
		qcStatements(cert, facts),
		subject(facts, e.Identifiers),
		strength(cert),
		chain(cert, e),
	}
}

func validity(cert *x509.Certificate, now time.Time) Finding {
	f := Finding{Check: "validity", Outcome: OK}
	left := int(cert.NotAfter.Sub(now) / day)
	until := cert.NotAfter.UTC().Format(longDay)
	f.Seen = fmt.Sprintf("valid until %s, %d days left", until, left)
	switch {
	case now.After(cert.NotAfter):
		f.Outcome, f.Seen = Fail, "ended on "+until
		f.Do = "order a renewal, and put the new certificate on the token: sealsmith token import-cert"
	case now.Before(cert.NotBefore):
		f.Outcome, f.Seen = Warn, "valid only from "+cert.NotBefore.UTC().Format(longDay)
		f.Do = "nothing, if this is the next certificate: it takes over by itself. Else check the clock of this machine"
	case left < 7:
		f.Outcome, f.Do = Warn, "order the renewal today: sealing pauses when the certificate ends, and the issuer needs days"
	case left < 30:
		f.Outcome, f.Do = Warn, "order the renewal this week: the issuer may ask for identification again"
	case left < 60:
		f.Outcome, f.Do = Warn, "order the renewal now; the new certificate can be imported while the old one is valid"
	}
	return f
}

func keyUsage(cert *x509.Certificate) Finding {
	f := Finding{Check: "key usage", Outcome: OK, Seen: "contentCommitment, as for a seal"}
	usage := cert.KeyUsage
	switch {
	case cert.IsCA:
		f.Outcome, f.Seen, f.Do = Fail, "it is the certificate of an authority", "import the certificate that was issued to your organisation"
	case usage == 0:
		f.Outcome, f.Seen, f.Do = Warn, "the certificate does not say what its key is for", "ask the issuer whether it is an eSeal certificate"
	case usage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageDataEncipherment|x509.KeyUsageKeyAgreement) != 0:
		f.Outcome, f.Seen, f.Do = Warn, "the key may also be used for encryption", "ask the issuer for a certificate for seals only"
	case usage&x509.KeyUsageContentCommitment == 0:
		f.Outcome, f.Seen = Fail, "contentCommitment (nonRepudiation) is missing: readers take what it signs for a login, not for a seal"
		f.Do = "ask the issuer for an eSeal certificate; this one is for something else"
	case usage&x509.KeyUsageDigitalSignature != 0:
		f.Seen = "contentCommitment and digitalSignature: accepted; a certificate for seals alone has contentCommitment only"
	}
	return f
}

func qcStatements(cert *x509.Certificate, facts hsm.SealFacts) Finding {
	f := Finding{Check: "QCStatements", Outcome: OK, Seen: "claims a qualified certificate (QcCompliance) for seals (QcType eseal) with its key in a qualified device (QcSSCD)"}
	const ask = "ask the issuer; the verification page will call these seals what they are"
	switch {
	case foreignLaw(cert):
		f.Outcome, f.Seen, f.Do = Warn, "claims to be qualified under the law of a country outside of the EU (QcCClegislation)", ask
	case !facts.QcCompliance:
		f.Outcome, f.Seen, f.Do = Warn, "does not claim to be qualified (no QcCompliance): an advanced seal at most", ask
	case !facts.QcTypeESeal:
		f.Outcome, f.Seen, f.Do = Warn, "claims to be qualified, but not for seals (no QcType eseal): readers may call it a person's signature", ask
	case !facts.QcSSCD:
		f.Outcome, f.Seen = Warn, "QcCompliance and QcType eseal, but no QcSSCD: an advanced seal with a qualified certificate, not a qualified seal"
		f.Do = "nothing, if that is what was ordered"
	}
	return f
}

// foreignLaw looks for QcCClegislation; a text that does not parse claims nothing.
func foreignLaw(cert *x509.Certificate) bool {
	for _, ext := range cert.Extensions {
		if !ext.Id.Equal(oidQCStatements) {
			continue
		}
		var statements []struct {
			ID   asn1.ObjectIdentifier
			Info asn1.RawValue `asn1:"optional"`
		}
		if rest, err := asn1.Unmarshal(ext.Value, &statements); err != nil || len(rest) > 0 {
			return false
		}
		for _, s := range statements {
			if s.ID.Equal(oidQCLegislation) {
				return true
			}
		}
	}
	return false
}

func subject(facts hsm.SealFacts, expected map[string]string) Finding {
	f := Finding{Check: "organisation", Outcome: OK}
	f.Seen = fmt.Sprintf("%s, %s, %s", printable(facts.Organisation), printable(facts.OrganisationIdentifier), printable(facts.Country))
	name, known := expected[facts.OrganisationIdentifier]
	switch {
	case facts.OrganisationIdentifier == "":
		f.Outcome, f.Seen = Fail, fmt.Sprintf("the certificate of %q has no organizationIdentifier (2.5.4.97): nobody can tell whose seal it is", printable(facts.Organisation+facts.CommonName))
		f.Do = "ask the issuer for an eSeal certificate by EN 319 412-3"
	case len(expected) == 0:
		f.Outcome = NotAsked
		f.Seen += "; no organisation is known to compare it with"
		f.Do = "sealsmith organisations add"
	case !known:
		f.Outcome = Fail
		if len(expected) > 1 {
			f.Outcome = Warn // as it is where an alliance seals for its members
		}
		f.Seen += "; the organisations here have " + identifiers(expected)
		f.Do = "if the owner of this seal may seal on behalf of them, nothing: each credential says so. Else correct the identifier of the organisation, or use the token of the right one"
	default:
		f.Seen += ": that of " + name
	}
	return f
}

func identifiers(expected map[string]string) string {
	var all []string
	for id, name := range expected {
		all = append(all, fmt.Sprintf("%s (%s)", printable(id), printable(name)))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func strength(cert *x509.Certificate) Finding {
	f := Finding{Check: "strength", Outcome: OK, Seen: KeyTypeOf(cert.PublicKey) + ", certified with " + cert.SignatureAlgorithm.String()}
	switch pub := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		switch bits := pub.N.BitLen(); {
		case bits < 2048:
			f.Outcome, f.Do = Fail, "RSA below 2048 bits does not seal; order a certificate for an RSA key of 3072 bits or for P-256"
		case bits < preferredBits:
			f.Outcome, f.Do = Warn, "RSA 2048 is accepted until 2030 at most (SOG-IS, BSI); order 3072 bits or P-256 next time"
		}
	case *ecdsa.PublicKey:
	default:
		f.Outcome, f.Do = Fail, "this kind of key cannot seal; RSA, P-256 and P-384 can"
	}
	if cert.SignatureAlgorithm == x509.SHA1WithRSA || cert.SignatureAlgorithm == x509.ECDSAWithSHA1 {
		f.Outcome, f.Do = Fail, "the certificate is certified with SHA-1, which nobody accepts any more"
	}
	return f
}

// chain follows the issuers to a root among those that are given.
func chain(cert *x509.Certificate, e Expected) Finding {
	f := Finding{Check: "chain", Outcome: OK}
	path := []string{printable(cert.Subject.CommonName)}
	const most = 8
	for at := cert; len(path) < most; {
		if bytes.Equal(at.RawIssuer, at.RawSubject) {
			f.Seen = "complete: " + strings.Join(path, " ← ")
			if len(path) == 1 {
				f.Outcome, f.Seen, f.Do = Fail, "the certificate was issued by itself: anybody can make one like it", "order one from a trust service provider"
			}
			return f
		}
		i := slices.IndexFunc(e.Issuers, func(ca *x509.Certificate) bool {
			return ca.IsCA && bytes.Equal(ca.RawSubject, at.RawIssuer) && at.CheckSignatureFrom(ca) == nil
		})
		if i < 0 {
			f.Outcome = Warn
			f.Seen = fmt.Sprintf("%s, but the certificate of its issuer %q is not here", strings.Join(path, " ← "), printable(at.Issuer.CommonName))
			f.Do = "put the authority's certificate into the file of SEALSMITH_TRUST" + from(at)
			return f
		}
		at = e.Issuers[i]
		path = append(path, printable(at.Subject.CommonName))
		if e.Now.After(at.NotAfter) {
			f.Outcome, f.Seen = Fail, fmt.Sprintf("the authority %s ended on %s", path[len(path)-1], at.NotAfter.UTC().Format(longDay))
			f.Do = "order a certificate of an authority that is valid"
			return f
		}
	}
	f.Outcome, f.Seen, f.Do = Fail, "the issuers go round in a circle", "look at the certificates of the authorities"
	return f
}

// from says where the issuer publishes its certificate, when the certificate tells.
func from(cert *x509.Certificate) string {
	if len(cert.IssuingCertificateURL) == 0 {
		return ""
	}
	return "; it is published at " + printable(cert.IssuingCertificateURL[0])
}
