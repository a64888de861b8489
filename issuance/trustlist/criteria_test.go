package trustlist_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/issuance/trustlist"
	"github.com/sealsmith/sealsmith/issuance/trustlist/trustlisttest"
)

const (
	nsXAdES = `xmlns:x="http://uri.etsi.org/01903/v1.3.2#"`
	nsAdd   = `xmlns:t="http://uri.etsi.org/02231/v2/additionaltypes#"`
)

func list(assert string, parts ...string) string {
	return fmt.Sprintf(`<e:CriteriaList assert="%s">%s</e:CriteriaList>`, assert, strings.Join(parts, ""))
}

func bits(named ...string) string {
	var b strings.Builder
	for _, n := range named {
		name, value, _ := strings.Cut(n, "=")
		fmt.Fprintf(&b, `<e:KeyUsageBit name="%s">%s</e:KeyUsageBit>`, name, value)
	}
	return "<e:KeyUsage>" + b.String() + "</e:KeyUsage>"
}

func policySet(oids ...string) string {
	var b strings.Builder
	for _, o := range oids {
		fmt.Fprintf(&b, `<e:PolicyIdentifier><x:Identifier %s>%s</x:Identifier></e:PolicyIdentifier>`, nsXAdES, o)
	}
	return "<e:PolicySet>" + b.String() + "</e:PolicySet>"
}

func other(kind, part string, oids ...string) string {
	var b strings.Builder
	for _, o := range oids {
		fmt.Fprintf(&b, `<t:%s><x:Identifier %s Qualifier="OIDAsURN">%s</x:Identifier></t:%s>`, part, nsXAdES, o, part)
	}
	return fmt.Sprintf(`<e:otherCriteriaList><t:%s %s>%s</t:%s></e:otherCriteriaList>`, kind, nsAdd, b.String(), kind)
}

// TestCriteria: the list says of certificates that meet the criteria that they are not
// qualified. Not met leaves the certificate qualified; what is not understood makes it unknown.
func TestCriteria(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	policy := func(text string) x509.OID {
		oid, err := x509.ParseOID(text)
		must(t, err)
		return oid
	}
	leaf := w.ca.Issue(t, x509.Certificate{
		Subject: pkix.Name{CommonName: "Seal", Organization: []string{"Polder"}, Country: []string{"NL"}}, KeyUsage: x509.KeyUsageContentCommitment | x509.KeyUsageDigitalSignature,
		Policies: []x509.OID{policy("0.4.0.194112.1.3"), policy("1.3.6.1.4.1.99999.1")}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		ExtraExtensions: []pkix.Extension{trustlisttest.QCStatements(t, full()...)},
	}, nil)
	const met, not, unknown = trustlist.CodeNotQualified, trustlist.CodeQualified, trustlist.CodeUnknown
	odd := `<e:otherCriteriaList><z:Moon xmlns:z="urn:z"></z:Moon></e:otherCriteriaList>`
	yes, no := bits("nonRepudiation=true"), bits("nonRepudiation=false")
	for name, c := range map[string]struct {
		criteria string
		want     trustlist.Code
		says     string
	}{
		"bit set":               {list("all", yes), met, ""},
		"bit set, as 1":         {list("all", bits("nonRepudiation=1")), met, ""},
		"bit not set":           {list("all", no), not, ""},
		"two bits":              {list("all", bits("nonRepudiation=true", "digitalSignature=true", "keyCertSign=false")), met, ""},
		"one of two bits":       {list("all", bits("nonRepudiation=true", "keyAgreement=true")), not, ""},
		"unknown bit":           {list("all", bits("nonRepudiation=true", "moon=true")), unknown, "key usage moon"},
		"unknown bit, other no": {list("all", bits("nonRepudiation=false", "moon=true")), not, ""},
		"no bits":               {list("all", bits()), unknown, ""},

		"policy":              {list("all", policySet("0.4.0.194112.1.3")), met, ""},
		"policy as URN":       {list("all", policySet("urn:oid:0.4.0.194112.1.3")), met, ""},
		"policy as loud URN":  {list("all", policySet(" URN:OID:0.4.0.194112.1.3 ")), met, ""},
		"both policies":       {list("all", policySet("0.4.0.194112.1.3", "1.3.6.1.4.1.99999.1")), met, ""},
		"one of two policies": {list("all", policySet("0.4.0.194112.1.3", "1.2.3")), not, ""},
		"no policies":         {list("all", policySet()), not, ""},
		"sets":                {list("atLeastOne", policySet("1.2.3"), policySet("0.4.0.194112.1.3")), met, ""},

		"subject":           {list("all", other("CertSubjectDNAttribute", "AttributeOID", "urn:oid:2.5.4.10")), met, ""},
		"subject without":   {list("all", other("CertSubjectDNAttribute", "AttributeOID", "2.5.4.10", "2.5.4.97")), not, ""},
		"purpose":           {list("all", other("ExtendedKeyUsage", "KeyPurposeId", "1.3.6.1.5.5.7.3.4")), met, ""},
		"another purpose":   {list("all", other("ExtendedKeyUsage", "KeyPurposeId", "1.3.6.1.5.5.7.3.1")), not, ""},
		"other, unknown":    {list("all", odd), unknown, "Moon"},
		"element, unknown":  {list("all", yes, `<e:Moon></e:Moon>`), unknown, "Moon"},
		"description":       {list("all", yes, `<e:Description>of seals</e:Description>`), met, ""},
		"all, one not":      {list("all", yes, no), not, ""},
		"all, unknown, not": {list("all", odd, no), not, ""},
		"one of":            {list("atLeastOne", no, yes), met, ""},
		"one of, unknown":   {list("atLeastOne", odd, yes), met, ""},
		"one of, not known": {list("atLeastOne", odd, no), unknown, "Moon"},
		"none of":           {list("none", no), met, ""},
		"none of, one":      {list("none", no, yes), not, ""},
		"none of, unknown":  {list("none", no, odd), unknown, "Moon"},
		"nested":            {list("all", yes, list("none", no, list("atLeastOne", no, no))), met, ""},
		"nested, not":       {list("all", yes, list("none", yes)), not, ""},
		"nested, unknown":   {list("all", yes, list("none", odd)), unknown, "Moon"},
		"empty":             {list("all"), unknown, "assert=all"},
		"another assert":    {list("most", yes), unknown, "assert=most"},
		"no criteria":       {"", unknown, "without criteria"},
	} {
		service := w.granted(t, func(s *trustlisttest.State) { s.Extensions = trustlisttest.Qualification(c.criteria, "NotQualified") })
		s, path := w.store(t, w.nl(t, service).Sign(t, w.dutch))
		q := s.Qualify(leaf, nil, w.now)
		if q.Code != c.want || !strings.Contains(strings.Join(q.Reasons, " "), c.says) {
			t.Errorf("%s: %s %q, want %s with %q", name, q.Code, q.Reasons, c.want, c.says)
		}
		if again := w.load(t, path).Qualify(leaf, nil, w.now); again.Code != q.Code {
			t.Errorf("%s: %s when read again", name, again.Code)
		}
	}
}

// TestUnknownNeverBetter: a condition that is not understood and would make a seal qualified
// does not, and one that would change nothing is no obstacle.
func TestUnknownNeverBetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	odd := list("all", `<e:otherCriteriaList><z:Moon xmlns:z="urn:z"></z:Moon></e:otherCriteriaList>`)
	for _, c := range []struct {
		names  string
		claims []string
		want   trustlist.Code
	}{
		{"QCWithQSCD", []string{trustlisttest.QcCompliance, trustlisttest.QcESeal}, trustlist.CodeUnknown},
		{"QCStatement", []string{trustlisttest.QcESeal}, trustlist.CodeUnknown},
		{"QCNoQSCD", full(), trustlist.CodeUnknown},
		{"QCWithQSCD", full(), trustlist.CodeQualified},
		{"QCForESeal", full(), trustlist.CodeQualified},
	} {
		service := w.granted(t, func(s *trustlisttest.State) { s.Extensions = trustlisttest.Qualification(odd, c.names) })
		s, _ := w.store(t, w.nl(t, service).Sign(t, w.dutch))
		if q := s.Qualify(w.seal(t, c.claims...), nil, w.now); q.Code != c.want {
			t.Errorf("%s %v: %s %q, want %s", c.names, c.claims, q.Code, q.Reasons, c.want)
		}
	}
}
