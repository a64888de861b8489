// Package trustlisttest makes trusted lists for tests: a list of the lists, national lists and
// the authorities on them, signed as the real ones are.
//
// It writes the XML by hand in canonical form and signs that text, so that a mistake in the
// reader's canonical form is not repeated here. It deliberately knows nothing of package
// trustlist. It fails by ending the test.
package trustlisttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// Namespaces as they stand in the lists.
const (
	nsTSL  = "http://uri.etsi.org/02231/v2#"
	nsDSig = "http://www.w3.org/2000/09/xmldsig#"
	nsAdd  = "http://uri.etsi.org/02231/v2/additionaltypes#"
	nsECC  = "http://uri.etsi.org/TrstSvc/SvcInfoExt/eSigDir-1999-93-EC-TrustedList/#"
	prefix = "http://uri.etsi.org/TrstSvc/"

	// CA and TSA are the types of services.
	CA  = prefix + "Svctype/CA/QC"
	TSA = prefix + "Svctype/TSA/QTST"

	exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#"
)

// Party has a certificate and the key of it.
type Party struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// Day is the start of a day, UTC, from "2006-01-02".
func Day(tb testing.TB, text string) time.Time {
	tb.Helper()
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

// NewSigner makes somebody who signs lists: with RSA when asked for, else with P-256. The
// certificate is its own issuer, as those of most real signers are, from 2015 to 2045.
func NewSigner(tb testing.TB, name string, withRSA bool) Party {
	tb.Helper()
	var key crypto.Signer
	var err error
	if withRSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Country: []string{"EU"}}, NotBefore: Day(tb, "2015-01-01"), NotAfter: Day(tb, "2045-01-01"), KeyUsage: x509.KeyUsageDigitalSignature}
	return Party{issue(tb, template, template, key.Public(), key), key}
}

// NewAuthority makes an authority of a country that issues certificates; its own is from 2015
// to 2045. Above is who certifies it, nil for itself.
func NewAuthority(tb testing.TB, name, country string, above *Party) Party {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, Country: []string{country}}, NotBefore: Day(tb, "2015-01-01"), NotAfter: Day(tb, "2045-01-01"),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if above == nil {
		return Party{issue(tb, template, template, key.Public(), key), key}
	}
	return Party{issue(tb, template, above.Certificate, key.Public(), above.Key), key}
}

// Object identifiers of QCStatements (EN 319 412-5).
const (
	QcCompliance = "0.4.0.1862.1.1"
	QcSSCD       = "0.4.0.1862.1.4"
	QcESeal      = "0.4.0.1862.1.6.2" // stands in the statement QcType
	QcESign      = "0.4.0.1862.1.6.1" // stands in the statement QcType
	QcOtherLaw   = "0.4.0.1862.1.7"
)

// QCStatements is the extension that makes these claims.
func QCStatements(tb testing.TB, ids ...string) pkix.Extension {
	tb.Helper()
	type statement struct {
		ID   asn1.ObjectIdentifier
		Info []asn1.ObjectIdentifier `asn1:"optional,omitempty"`
	}
	var all []statement
	for _, id := range ids {
		if id == QcESeal || id == QcESign {
			all = append(all, statement{OID(tb, "0.4.0.1862.1.6"), []asn1.ObjectIdentifier{OID(tb, id)}})
			continue
		}
		all = append(all, statement{ID: OID(tb, id)})
	}
	der, err := asn1.Marshal(all)
	if err != nil {
		tb.Fatal(err)
	}
	return pkix.Extension{Id: OID(tb, "1.3.6.1.5.5.7.1.3"), Value: der}
}

// OID reads an object identifier with dots.
func OID(tb testing.TB, text string) asn1.ObjectIdentifier {
	tb.Helper()
	var out asn1.ObjectIdentifier
	for part := range strings.SplitSeq(text, ".") {
		var n int
		if _, err := fmt.Sscan(part, &n); err != nil {
			tb.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// Issue makes the authority certify a key for seals. Template says the rest; validity is from
// 2025 to 2028 and key usage that of seals unless it says otherwise.
func (p Party) Issue(tb testing.TB, template x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	tb.Helper()
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(3)
	}
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = Day(tb, "2025-01-01"), Day(tb, "2028-01-01")
	}
	if template.KeyUsage == 0 {
		template.KeyUsage = x509.KeyUsageContentCommitment
	}
	if key == nil {
		made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		key = made.Public()
	}
	return issue(tb, &template, p.Certificate, key, p.Key)
}

func issue(tb testing.TB, template, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, by)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// sign signs canonical bytes as an XML signature does, and names the method.
func (p Party) sign(tb testing.TB, signed []byte) (method string, value []byte) {
	tb.Helper()
	sum := sha256.Sum256(signed)
	switch key := p.Key.(type) {
	case *rsa.PrivateKey:
		value, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			tb.Fatal(err)
		}
		return "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", value
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			tb.Fatal(err)
		}
		return "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	default:
		tb.Fatalf("a key of type %T", p.Key)
		return "", nil
	}
}

func encode(der []byte) string { return base64.StdEncoding.EncodeToString(der) }
