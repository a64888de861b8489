package trustlist

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"

	"github.com/sealsmith/sealsmith/hsm"
)

// judge says what a certificate is, from its own claims and the qualifiers of the list that
// apply to it. A qualifier whose criteria are not understood makes the answer unknown when it
// would change it.
func (p Period) judge(leaf *x509.Certificate) opinion {
	var sure []string
	var perhaps [][]string
	var odd []string
	for _, q := range p.Qualifiers {
		met, unsupported := q.Criteria.meets(leaf)
		switch met {
		case yes:
			sure = append(sure, q.Names...)
		case unknown:
			perhaps = append(perhaps, q.Names)
			odd = append(odd, unsupported...)
		case no:
		}
	}
	claims := claimsOf(leaf)
	o := claims.decide(sure)
	all := slices.Clone(sure)
	for _, names := range perhaps {
		all = append(all, names...)
	}
	perhaps = append(perhaps, all)
	for _, names := range perhaps {
		if claims.decide(slices.Concat(sure, names)).code != o.code {
			return opinion{code: CodeUnknown, reasons: []string{"The list sets a condition that is not understood here: " + join(odd) + "."}}
		}
	}
	return o
}

// claims is what a certificate says of itself (EN 319 412-5).
type claims struct {
	qualified, seal, device bool
	elsewhere               bool // QcCClegislation: qualified by the law of a state outside the EU
}

func claimsOf(leaf *x509.Certificate) claims {
	f := hsm.InspectSeal(leaf)
	return claims{qualified: f.QcCompliance, seal: f.QcTypeESeal, device: f.QcSSCD, elsewhere: otherLaw(leaf)}
}

// otherLaw says whether the certificate names the legislation that it is qualified by, which
// certificates of the EU do not (EN 319 412-5 section 4.2.4).
func otherLaw(leaf *x509.Certificate) bool {
	for _, ext := range leaf.Extensions {
		if !ext.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}) {
			continue
		}
		var statements []struct {
			ID   asn1.ObjectIdentifier
			Info asn1.RawValue `asn1:"optional"`
		}
		if _, err := asn1.Unmarshal(ext.Value, &statements); err != nil {
			return false // then the certificate claims nothing at all
		}
		for _, s := range statements {
			if s.ID.Equal(asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 7}) {
				return true
			}
		}
	}
	return false
}

// known says whether a qualifier of TS 119 612 section 5.5.9.2.3 is understood. Those that say
// "as in the certificate" change nothing.
func known(name string) bool {
	switch name {
	case "QCStatement", "NotQualified", "QCForESig", "QCForESeal", "QCForWSA", "QCForLegalPerson",
		"QCWithSSCD", "QCWithQSCD", "QCQSCDManagedOnBehalf", "QCNoSSCD", "QCNoQSCD", "QCSSCDStatusAsInCert", "QCQSCDStatusAsInCert":
		return true
	}
	return false
}

// decide joins what the certificate claims with the qualifiers that apply (TS 119 615 sections
// 4.4 and 4.5): the list has the last word, and a list that contradicts itself has none.
func (c claims) decide(names []string) opinion {
	has := func(any ...string) bool {
		return slices.ContainsFunc(any, func(n string) bool { return slices.Contains(names, n) })
	}
	for _, n := range names {
		if !known(n) {
			return opinion{code: CodeUnknown, reasons: []string{"The list says something of such certificates that is not understood here: " + n + "."}}
		}
	}
	purposes := 0
	for _, n := range []string{"QCForESig", "QCForESeal", "QCForWSA"} {
		if has(n) {
			purposes++
		}
	}
	with, without := has("QCWithSSCD", "QCWithQSCD", "QCQSCDManagedOnBehalf"), has("QCNoSSCD", "QCNoQSCD")
	if purposes > 1 || has("NotQualified") && has("QCStatement") || with && without {
		return opinion{code: CodeUnknown, reasons: []string{"The list contradicts itself about such certificates: " + strings.Join(names, ", ") + "."}}
	}
	no := func(why string) opinion { return opinion{code: CodeNotQualified, reasons: []string{why}} }
	switch {
	case has("NotQualified"):
		return no("The list says that such certificates are not qualified.")
	case c.elsewhere:
		return no("The certificate says that it is qualified by the law of a state outside the European Union.")
	case !c.qualified && !has("QCStatement"):
		return no("The certificate does not say that it is a qualified one, and the list does not say it of such certificates.")
	case purposes == 1 && !has("QCForESeal"):
		return no("The list says that such certificates are for something else than seals.")
	case !c.seal && !has("QCForESeal"):
		return no("The certificate is a qualified one, but not for seals.")
	}
	said := "The certificate says that it is a qualified one for electronic seals."
	if !c.qualified || !c.seal {
		said = "The list says that such certificates are qualified ones for electronic seals."
	}
	switch {
	case with:
		return opinion{code: CodeQualified, reasons: []string{said, "The list says that the keys of such certificates are in a qualified device."}}
	case without:
		return opinion{code: CodeAdvanced, reasons: []string{said, "The list says that the keys of such certificates are not in a qualified device."}}
	case c.device:
		return opinion{code: CodeQualified, reasons: []string{said, "The certificate says that its key is in a qualified device."}}
	}
	return opinion{code: CodeAdvanced, reasons: []string{said, "Nothing says that its key is in a qualified device."}}
}
