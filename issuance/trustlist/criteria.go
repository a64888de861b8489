package trustlist

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"
)

// answer is yes, no, or unknown: a condition that is not understood.
type answer int

const (
	no answer = iota
	yes
	unknown
)

func is(b bool) answer {
	if b {
		return yes
	}
	return no
}

// meets says whether a certificate meets the criteria (TS 119 612 section 5.5.9.2.2), and
// otherwise unknown with what was not understood.
func (c Criteria) meets(cert *x509.Certificate) (answer, []string) {
	unsupported := slices.Clone(c.Unsupported)
	var all []answer
	for range c.Unsupported {
		all = append(all, unknown)
	}
	for _, bits := range c.KeyUsage {
		a, odd := keyUsage(bits, cert)
		all, unsupported = append(all, a), append(unsupported, odd...)
	}
	for _, set := range c.Policies {
		all = append(all, is(containsAll(policies(cert), set)))
	}
	for _, set := range c.SubjectOIDs {
		all = append(all, is(containsAll(attributes(cert), set)))
	}
	for _, set := range c.ExtKeyUsage {
		all = append(all, is(containsAll(purposes(cert), set)))
	}
	for _, list := range c.Lists {
		a, odd := list.meets(cert)
		all, unsupported = append(all, a), append(unsupported, odd...)
	}
	a := combine(c.Assert, all)
	if a != unknown {
		return a, nil
	}
	if len(unsupported) == 0 {
		unsupported = []string{"criteria with assert=" + c.Assert}
	}
	return unknown, unsupported
}

// combine joins the answers to single conditions. Nothing to ask is not met.
func combine(assert string, all []answer) answer {
	if len(all) == 0 {
		return unknown
	}
	some := slices.Contains(all, unknown)
	switch {
	case assert == "all" && slices.Contains(all, no), assert == "none" && slices.Contains(all, yes):
		return no
	case assert == "atLeastOne" && slices.Contains(all, yes):
		return yes
	case some:
		return unknown
	case assert == "all" || assert == "none":
		return yes
	case assert == "atLeastOne":
		return no
	}
	return unknown
}

// keyUsage compares the bits that a list names; the others may be anything.
func keyUsage(want map[string]bool, cert *x509.Certificate) (answer, []string) {
	bits := map[string]x509.KeyUsage{
		"digitalSignature": x509.KeyUsageDigitalSignature, "nonRepudiation": x509.KeyUsageContentCommitment,
		"keyEncipherment": x509.KeyUsageKeyEncipherment, "dataEncipherment": x509.KeyUsageDataEncipherment,
		"keyAgreement": x509.KeyUsageKeyAgreement, "keyCertSign": x509.KeyUsageCertSign, "crlSign": x509.KeyUsageCRLSign,
		"encipherOnly": x509.KeyUsageEncipherOnly, "decipherOnly": x509.KeyUsageDecipherOnly,
	}
	var odd []string
	fits := true
	for name, set := range want {
		bit, ok := bits[name]
		if !ok {
			odd = append(odd, "key usage "+name)
			continue
		}
		fits = fits && (cert.KeyUsage&bit != 0) == set
	}
	slices.Sort(odd)
	switch {
	case !fits:
		return no, nil
	case len(odd) > 0 || len(want) == 0:
		return unknown, odd
	}
	return yes, nil
}

// containsAll is false for an empty set: a condition without content is met by nothing.
func containsAll(have, want []string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return len(want) > 0
}

func policies(cert *x509.Certificate) []string {
	out := make([]string, 0, len(cert.Policies))
	for _, p := range cert.Policies {
		out = append(out, p.String())
	}
	return out
}

func attributes(cert *x509.Certificate) []string {
	out := make([]string, 0, len(cert.Subject.Names))
	for _, n := range cert.Subject.Names {
		out = append(out, n.Type.String())
	}
	return out
}

// purposes reads the extended key usage as object identifiers, which lists use.
func purposes(cert *x509.Certificate) []string {
	var out []string
	for _, ext := range cert.Extensions {
		if !ext.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 37}) {
			continue
		}
		var ids []asn1.ObjectIdentifier
		if rest, err := asn1.Unmarshal(ext.Value, &ids); err != nil || len(rest) > 0 {
			continue
		}
		for _, id := range ids {
			out = append(out, id.String())
		}
	}
	return out
}

// join lists words for people.
func join(words []string) string { return strings.Join(words, ", ") }
