package jades

import (
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	// standardNames may not be listed in crit (RFC 7515, 4.1.11).
	standardNames = []string{
		"alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit",
		"epk", "apu", "apv", "iv", "tag", "p2s", "p2c", "enc", "zip",
	}
	// understood may be listed in crit.
	understood = []string{"b64", "iat", "sigT", "adoTst"}
	// iatFrom is when sigT stopped to be a time of sealing (TS 119 182-1 v1.2.1, 5.1.11 and 5.2.1).
	iatFrom = time.Date(2025, time.July, 15, 0, 0, 0, 0, time.UTC)
)

// sigTForm is the only form of sigT (TS 119 182-1 v1.1.1, 5.2.1).
const sigTForm = "2006-01-02T15:04:05Z"

func (s *Signature) problem(part Part, outcome Outcome, reason Reason, words string) {
	s.problems = append(s.problems, Finding{Part: part, Outcome: outcome, Reason: reason, Words: words})
}

// readHeader reads the protected header and keeps every problem for Verify. It takes no key
// from jwk, jku or x5u: those are ignored, as kid is.
func (s *Signature) readHeader(h map[string]json.RawMessage) {
	s.Alg = str(h["alg"])
	switch _, known := knownAlgorithms[s.Alg]; {
	case known:
	case s.Alg == "" || strings.EqualFold(s.Alg, "none") || strings.HasPrefix(s.Alg, "HS"):
		s.problem(PartHeader, Failed, ReasonAlgorithmRefused, fmt.Sprintf("algorithm %.20q is no seal of anybody", s.Alg))
	default:
		s.problem(PartHeader, Unknown, ReasonAlgorithmUnknown, fmt.Sprintf("algorithm %.20q is not known here", s.Alg))
	}
	s.readCrit(h)
	s.readTime(h)
	s.readChain(h["x5c"])
	s.readThumbprint(h)
	s.adoTst = h[adoTst]
}

func (s *Signature) readCrit(h map[string]json.RawMessage) {
	raw, present := h["crit"]
	bad := func(words string) { s.problem(PartHeader, Failed, ReasonCritMalformed, words) }
	var names []string
	if present && (json.Unmarshal(raw, &names) != nil || len(names) == 0) {
		bad("crit is not a list of names")
		return
	}
	if _, ok := h["b64"]; ok && !slices.Contains(names, "b64") {
		s.problem(PartHeader, Failed, ReasonB64NotCritical, "b64 is used and crit does not say so")
	}
	for i, name := range names {
		_, there := h[name]
		switch {
		case slices.Contains(standardNames, name):
			bad(fmt.Sprintf("crit lists %s, which every reader knows", name))
		case !there:
			bad(fmt.Sprintf("crit lists %.40q, which is not in the header", name))
		case slices.Contains(names[:i], name):
			bad(fmt.Sprintf("crit lists %.40q twice", name))
		case !slices.Contains(understood, name):
			s.problem(PartHeader, Unknown, ReasonCritUnknown, fmt.Sprintf("crit demands %.40q, which is not known here", name))
		}
	}
	if _, ok := h["sigD"]; ok && !slices.Contains(names, "sigD") {
		bad("sigD is used and crit does not say so")
	}
}

// readTime reads iat (whole seconds) or, for seals of that time, sigT.
func (s *Signature) readTime(h map[string]json.RawMessage) {
	iat, hasIat := h["iat"]
	sigT, hasSigT := h["sigT"]
	bad := func(words string) { s.problem(PartLevel, Failed, ReasonNotBaseline, words) }
	if hasIat {
		n, err := strconv.ParseInt(string(iat), 10, 64)
		if err != nil || n <= 0 || n > 253402300799 { // the year 9999
			bad("iat is not a whole number of seconds")
		} else {
			s.SealedAt = time.Unix(n, 0).UTC()
		}
	}
	switch {
	case hasIat && hasSigT:
		bad("both iat and sigT are there")
	case hasSigT:
		t, err := time.Parse(sigTForm, str(sigT))
		if err != nil {
			bad("sigT is not a time in UTC")
			return
		}
		s.SealedAt, s.Legacy = t.UTC(), true
		if !t.Before(iatFrom) {
			s.problem(PartLevel, OK, ReasonLegacyTime, "JAdES baseline by the rules of before 15 July 2025: the time stands in sigT")
		}
	case !hasIat:
		bad("neither iat nor sigT is there")
	}
}

func (s *Signature) readChain(raw json.RawMessage) {
	var list []string
	if raw == nil || json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		s.problem(PartCertificate, Failed, ReasonNoCertificate, "x5c is missing or not a list of certificates")
		return
	}
	if len(list) > maxChain {
		s.problem(PartCertificate, Failed, ReasonBadCertificate, fmt.Sprintf("x5c has %d certificates, the limit is %d", len(list), maxChain))
		return
	}
	for i, text := range list {
		c, err := decodeCertificate(text)
		if err != nil {
			s.problem(PartCertificate, Failed, ReasonBadCertificate, fmt.Sprintf("certificate %d: %v", i+1, err))
			s.Chain = nil
			return
		}
		s.Chain = append(s.Chain, c)
	}
}

func decodeCertificate(text string) (*x509.Certificate, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("not base64")
	}
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("not base64")
	}
	if len(der) > maxCertificate {
		return nil, fmt.Errorf("longer than %d bytes", maxCertificate)
	}
	c, err := x509.ParseCertificate(der)
	if err == nil && excessive(c.PublicKey) {
		return nil, fmt.Errorf("its key has more than %d bits", maxRSA)
	}
	return c, err
}

// readThumbprint wants exactly one reference to the certificate (TS 119 182-1, 6.3), and
// that one to fit: x5t#S256, or x5t#o for other digests (5.2.2.2), which DSS makes with SHA-512
// unless told otherwise.
func (s *Signature) readThumbprint(h map[string]json.RawMessage) {
	raw, usual := h["x5t#S256"]
	other, also := h["x5t#o"]
	if _, list := h["sigX5ts"]; list {
		s.problem(PartLevel, Unknown, ReasonNotBaseline, "sigX5ts is not known here")
	}
	switch {
	case usual && also:
		s.problem(PartLevel, Unknown, ReasonNotBaseline, "x5t#S256 and x5t#o are both there")
		s.compareThumbprint("x5t#S256", crypto.SHA256, str(raw))
	case usual:
		s.compareThumbprint("x5t#S256", crypto.SHA256, str(raw))
	case also:
		s.readOtherThumbprint(other)
	default:
		s.problem(PartLevel, Failed, ReasonNotBaseline, "x5t#S256 is missing")
	}
}

func (s *Signature) readOtherThumbprint(raw json.RawMessage) {
	var o struct {
		Algorithm string `json:"digAlg"`
		Value     string `json:"digVal"`
	}
	_ = json.Unmarshal(raw, &o) // what cannot be read names no digest
	var hash crypto.Hash
	switch o.Algorithm {
	case "S384":
		hash = crypto.SHA384
	case "S512":
		hash = crypto.SHA512
	default: // SHA-256 has x5t#S256, and must not stand here
		s.problem(PartLevel, Unknown, ReasonNotBaseline, fmt.Sprintf("x5t#o with the digest %.20q is not known here", o.Algorithm))
		return
	}
	s.compareThumbprint("x5t#o", hash, o.Value)
}

func (s *Signature) compareThumbprint(name string, hash crypto.Hash, text string) {
	if s.Leaf() == nil {
		return
	}
	sum := hash.New()
	sum.Write(s.Leaf().Raw)
	got, decoded := decodeURL(text)
	if !decoded || subtle.ConstantTimeCompare(sum.Sum(nil), got) != 1 {
		s.problem(PartCertificate, Failed, ReasonThumbprint, name+" is not the fingerprint of the first certificate in x5c")
	}
}

// readUnsigned reads the header that the seal does not cover. Everything in it but etsiU is
// ignored; a name that must be covered is a problem.
func (s *Signature) readUnsigned(unsigned, h map[string]json.RawMessage) {
	for _, name := range slices.Sorted(maps.Keys(unsigned)) {
		_, both := h[name]
		covered := slices.Contains(standardNames, name) || slices.Contains(understood, name)
		if both || (covered && name != "kid") {
			s.problem(PartHeader, Failed, ReasonUnprotected, fmt.Sprintf("%.40q stands outside the seal", name))
		}
	}
	raw, ok := unsigned["etsiU"]
	if !ok {
		return
	}
	list, isList := listOf(raw)
	if !isList || len(list) > maxUnsigned {
		s.problem(PartTimestamps, NotChecked, ReasonTimestampsUnread, "etsiU cannot be read")
		return
	}
	for _, item := range list {
		c := readComponent(item)
		s.components = append(s.components, c)
		if c.name == "" {
			s.problem(PartTimestamps, NotChecked, ReasonTimestampsUnread, "an element of etsiU cannot be read")
			continue
		}
		s.Unsigned = append(s.Unsigned, c.name)
	}
	over := s.gather()
	s.Extra = s.values.Certificates
	if over {
		s.problem(PartTimestamps, NotChecked, ReasonTimestampsUnread, "certificates or revocation data in etsiU cannot be read or are more than a reader takes")
	}
}
