//go:build cgo

package ceremony_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/ceremony"
)

// statements are QCStatements: each an id, and for QcType what it is for.
func statements(t *testing.T, ids ...int) pkix.Extension {
	t.Helper()
	type statement struct {
		ID    asn1.ObjectIdentifier
		Types []asn1.ObjectIdentifier `asn1:"optional,omitempty"`
	}
	var all []statement
	for _, id := range ids {
		s := statement{ID: asn1.ObjectIdentifier{0, 4, 0, 1862, 1, id}}
		if id == 6 {
			s.Types = []asn1.ObjectIdentifier{{0, 4, 0, 1862, 1, 6, 2}}
		}
		all = append(all, s)
	}
	der, err := asn1.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}, Value: der}
}

func TestExamineCertificate(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	until := func(days int) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(0, 0, days).Add(time.Hour) }
	}
	claims := func(ids ...int) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{statements(t, ids...)} }
	}
	usage := func(u x509.KeyUsage) func(*x509.Certificate) { return func(c *x509.Certificate) { c.KeyUsage = u } }
	identified := func(id string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: id}}
		}
	}
	for name, test := range map[string]struct {
		pub     any
		change  func(*x509.Certificate)
		check   string
		outcome ceremony.Outcome
		says    string
	}{
		"a year left":   {change: until(365), check: "validity", outcome: ceremony.OK, says: "365 days left"},
		"50 days left":  {change: until(50), check: "validity", outcome: ceremony.Warn, says: "50 days left"},
		"20 days left":  {change: until(20), check: "validity", outcome: ceremony.Warn, says: "20 days left"},
		"3 days left":   {change: until(3), check: "validity", outcome: ceremony.Warn, says: "3 days left"},
		"over":          {change: until(-2), check: "validity", outcome: ceremony.Fail, says: "ended on"},
		"not begun":     {change: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, check: "validity", outcome: ceremony.Warn, says: "valid only from"},
		"for seals":     {change: usage(x509.KeyUsageContentCommitment), check: "key usage", outcome: ceremony.OK, says: "contentCommitment"},
		"for logins":    {change: usage(x509.KeyUsageDigitalSignature), check: "key usage", outcome: ceremony.Fail, says: "is missing"},
		"for mail":      {change: usage(x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment), check: "key usage", outcome: ceremony.Warn, says: "encryption"},
		"for nothing":   {change: usage(0), check: "key usage", outcome: ceremony.Warn, says: "does not say"},
		"an authority":  {change: func(c *x509.Certificate) { c.IsCA = true }, check: "key usage", outcome: ceremony.Fail, says: "authority"},
		"qualified":     {change: claims(1, 4, 6), check: "QCStatements", outcome: ceremony.OK, says: "QcSSCD"},
		"no device":     {change: claims(1, 6), check: "QCStatements", outcome: ceremony.Warn, says: "no QcSSCD"},
		"not for seals": {change: claims(1, 4), check: "QCStatements", outcome: ceremony.Warn, says: "no QcType eseal"},
		"not qualified": {change: claims(4, 6), check: "QCStatements", outcome: ceremony.Warn, says: "no QcCompliance"},
		"foreign law":   {change: claims(1, 4, 6, 7), check: "QCStatements", outcome: ceremony.Warn, says: "outside of the EU"},
		"broken claims": {change: func(c *x509.Certificate) {
			e := statements(t, 1, 4, 6)
			e.Value = e.Value[:len(e.Value)-1]
			c.ExtraExtensions = []pkix.Extension{e}
		}, check: "QCStatements", outcome: ceremony.Warn, says: "no QcCompliance"},
		"ours":             {change: identified("NTRNL-12345678"), check: "organisation", outcome: ceremony.OK, says: "that of havenstad"},
		"somebody else's":  {change: identified("NTRNL-99999999"), check: "organisation", outcome: ceremony.Fail, says: "the organisations here have NTRNL-12345678 (havenstad)"},
		"a near miss":      {change: identified("NTRNL-12345678 "), check: "organisation", outcome: ceremony.Fail, says: "the organisations here"},
		"nobody's":         {change: func(*x509.Certificate) {}, check: "organisation", outcome: ceremony.Fail, says: "no organizationIdentifier"},
		"RSA 2048":         {pub: &small.PublicKey, change: func(*x509.Certificate) {}, check: "strength", outcome: ceremony.Warn, says: "rsa2048"},
		"Ed25519":          {pub: edwards, change: func(*x509.Certificate) {}, check: "strength", outcome: ceremony.Fail, says: "ed25519"},
		"P-256":            {change: func(*x509.Certificate) {}, check: "strength", outcome: ceremony.OK, says: "p256"},
		"complete chain":   {change: func(*x509.Certificate) {}, check: "chain", outcome: ceremony.OK, says: "seal ← Test CA"},
		"a name to hijack": {change: func(c *x509.Certificate) { c.Subject.CommonName = "x\x1b[2J\u202e" }, check: "chain", outcome: ceremony.OK, says: "x?[2J? ← Test CA"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cert, ca := issueChain(t, test.pub, test.change)
			found(t, ceremony.ExamineCertificate(cert, ceremony.Expected{
				Now: time.Now(), Identifiers: map[string]string{"NTRNL-12345678": "havenstad"}, Issuers: []*x509.Certificate{ca},
			}), test.check, test.outcome, test.says)
		})
	}
	cert, ca := issueChain(t, nil, func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://ca.example/ca.cer"} })
	ours := map[string]string{"NTRNL-12345678": "polder", "NTRNO-987654321": "fjord"}
	found(t, ceremony.ExamineCertificate(cert, ceremony.Expected{Now: time.Now(), Identifiers: ours}), "organisation", ceremony.Fail, "no organizationIdentifier")
	alliance, _ := issueChain(t, nil, identified("NTRBE-0123456789"))
	found(t, ceremony.ExamineCertificate(alliance, ceremony.Expected{Now: time.Now(), Identifiers: ours}), "organisation", ceremony.Warn, "NTRNL-12345678 (polder), NTRNO-987654321 (fjord)")
	_, stranger := issueChain(t, nil, func(*x509.Certificate) {}) // of the same name
	found(t, ceremony.ExamineCertificate(cert, ceremony.Expected{Now: time.Now(), Issuers: []*x509.Certificate{stranger}}), "chain", ceremony.Warn, "is not here")
	found(t, ceremony.ExamineCertificate(cert, ceremony.Expected{Now: ca.NotAfter.Add(time.Hour), Issuers: []*x509.Certificate{ca}}), "chain", ceremony.Fail, "Test CA ended")
	found(t, ceremony.ExamineCertificate(ca, ceremony.Expected{Now: time.Now()}), "chain", ceremony.Fail, "issued by itself")
}

func found(t *testing.T, findings []ceremony.Finding, check string, outcome ceremony.Outcome, says string) {
	t.Helper()
	for _, f := range findings {
		if f.Check == check {
			if f.Outcome != outcome || !strings.Contains(f.Seen, says) || outcome == ceremony.Fail && f.Do == "" {
				t.Errorf("got %+v", f)
			}
			return
		}
	}
	t.Errorf("no finding %s", check)
}
