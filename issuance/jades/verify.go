package jades

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Outcome is what came of looking at one part.
type Outcome string

// The outcomes. Unknown is never to be shown as Failed: it means that nothing wrong was found
// and that the good thing could not be shown either.
const (
	OK         Outcome = "ok"
	Failed     Outcome = "failed"
	Unknown    Outcome = "unknown"
	NotChecked Outcome = "not-checked"
)

// Part is what a Finding is about.
type Part string

// The parts, in the order in which Verify reports them.
const (
	PartHeader      Part = "header"      // the rules of the header
	PartIntegrity   Part = "integrity"   // the signature fits header and content
	PartCertificate Part = "certificate" // the certificate may seal and is the one referred to
	PartChain       Part = "chain"       // somebody trusted vouches for it
	PartValidity    Part = "validity"    // it was valid at sealing and is valid now
	PartLevel       Part = "level"       // JAdES baseline B
	PartTimestamps  Part = "timestamps"  // what was added after sealing; only when there is something
	PartCount       Part = "count"       // only when there is more than one seal
)

// Reason is a stable code of a Finding, for programs and for the choice of words.
type Reason string

// The reasons.
const (
	ReasonFine             Reason = "fine"
	ReasonAlgorithmRefused Reason = "algorithm_refused"
	ReasonAlgorithmUnknown Reason = "algorithm_unknown"
	ReasonCritMalformed    Reason = "crit_malformed"
	ReasonCritUnknown      Reason = "crit_unknown"
	ReasonB64NotCritical   Reason = "b64_not_critical"
	ReasonUnprotected      Reason = "header_outside_seal"
	ReasonChanged          Reason = "changed"
	ReasonKeyMismatch      Reason = "key_mismatch"
	ReasonWeakKey          Reason = "weak_key"
	ReasonNoKey            Reason = "no_key"
	ReasonNoCertificate    Reason = "no_certificate"
	ReasonBadCertificate   Reason = "bad_certificate"
	ReasonThumbprint       Reason = "thumbprint_differs"
	ReasonAuthority        Reason = "authority_certificate"
	ReasonKeyUsage         Reason = "key_usage"
	ReasonNoTrust          Reason = "no_trust"
	ReasonUnknownIssuer    Reason = "unknown_issuer"
	ReasonChainExpired     Reason = "chain_expired"
	ReasonChainBroken      Reason = "chain_broken"
	ReasonExpiredSince     Reason = "expired_since"
	ReasonExpiredBefore    Reason = "sealed_after_expiry"
	ReasonNotYetValid      Reason = "not_yet_valid"
	ReasonSealedBefore     Reason = "sealed_before_validity"
	ReasonSealedInFuture   Reason = "sealed_in_future"
	ReasonNoTime           Reason = "no_time"
	ReasonNotBaseline      Reason = "not_baseline"
	ReasonTimestamps       Reason = "timestamps_not_checked"
	ReasonTimestampsUnread Reason = "timestamps_unread"
	ReasonSeveral          Reason = "several_seals"
)

// skew is how far the clocks of sealer and reader may differ.
const skew = 5 * time.Minute

// Finding is the result for one part of one seal.
type Finding struct {
	// Signature is the index into File.Signatures.
	Signature int
	Part      Part
	Outcome   Outcome
	Reason    Reason
	// Words say it for a technician, in English.
	Words string
}

// Verify looks at every part of every seal. trust holds the certificates that vouch, nil for
// none; at is now. Each seal gives at least one finding for each of header, integrity,
// certificate, chain, validity and level, in this order; a seal is good when all of those
// are OK and no other finding is Failed or Unknown.
func (f File) Verify(trust *x509.CertPool, at time.Time) []Finding {
	var out []Finding
	for i, s := range f.Signatures {
		found := slices.Clone(s.problems)
		found = append(found, s.integrity(f.Payload))
		if s.Leaf() != nil {
			found = append(found, s.certificate()...)
			found = append(found, s.chain(trust, at), s.validity(at))
		} else {
			found = append(found,
				Finding{Part: PartChain, Outcome: NotChecked, Reason: ReasonNoCertificate, Words: "there is no certificate to look at"},
				Finding{Part: PartValidity, Outcome: NotChecked, Reason: ReasonNoCertificate, Words: "there is no certificate to look at"})
		}
		if len(s.Unsigned) > 0 {
			found = append(found, s.timestamps())
		}
		for j := range found {
			found[j].Signature = i
		}
		out = append(out, inOrder(i, found)...)
	}
	if n := len(f.Signatures); n > 1 {
		out = append(out, Finding{
			Signature: n - 1, Part: PartCount, Outcome: Unknown, Reason: ReasonSeveral,
			Words: fmt.Sprintf("the file carries %d seals; what several mean together is not judged here", n),
		})
	}
	return out
}

// inOrder sorts findings by part and adds the good word for a part without any problem.
func inOrder(signature int, found []Finding) []Finding {
	fine := map[Part]string{
		PartHeader: "the header keeps the rules",
		PartLevel:  "JAdES baseline B",
	}
	var out []Finding
	for _, part := range []Part{PartHeader, PartIntegrity, PartCertificate, PartChain, PartValidity, PartLevel, PartTimestamps} {
		n := len(out)
		for _, f := range found {
			if f.Part == part {
				out = append(out, f)
			}
		}
		if words := fine[part]; len(out) == n && words != "" {
			out = append(out, Finding{Signature: signature, Part: part, Outcome: OK, Reason: ReasonFine, Words: words})
		}
	}
	return out
}

// integrity checks the signature. Header problems do not stop it: that the bytes are
// unchanged and that the header breaks a rule are two facts.
func (s Signature) integrity(payload []byte) Finding {
	out := Finding{Part: PartIntegrity, Outcome: NotChecked, Reason: ReasonNoKey, Words: "there is no key to check with"}
	if _, known := knownAlgorithms[s.Alg]; !known || s.Leaf() == nil {
		return out
	}
	content := payload
	if s.Encoded {
		content = []byte(encodeURL(payload))
	}
	err := verify(s.Alg, s.Leaf().PublicKey, s.value, []byte(s.protected), []byte("."), content)
	switch {
	case err == nil:
		out.Outcome, out.Reason, out.Words = OK, ReasonFine, "the "+s.Alg+" signature fits header and content"
	case errors.Is(err, errKeyMismatch):
		out.Outcome, out.Reason, out.Words = Failed, ReasonKeyMismatch, err.Error()
	case errors.Is(err, errWeakKey):
		out.Outcome, out.Reason, out.Words = Failed, ReasonWeakKey, err.Error()
	default:
		out.Outcome, out.Reason, out.Words = Failed, ReasonChanged, "the "+s.Alg+" signature fits other bytes or another key"
	}
	return out
}

func (s Signature) certificate() []Finding {
	var out []Finding
	add := func(outcome Outcome, reason Reason, words string) {
		out = append(out, Finding{Part: PartCertificate, Outcome: outcome, Reason: reason, Words: words})
	}
	leaf := s.Leaf()
	if leaf.IsCA {
		add(Failed, ReasonAuthority, "the certificate is that of an authority, which signs certificates and not documents")
	}
	switch {
	case leaf.KeyUsage == 0: // EN 319 412-2, 4.3.2 wants it to be there
		add(Unknown, ReasonKeyUsage, "the certificate does not say what its key may be used for")
	case leaf.KeyUsage&(x509.KeyUsageContentCommitment|x509.KeyUsageDigitalSignature) == 0:
		add(Failed, ReasonKeyUsage, "the certificate allows neither contentCommitment nor digitalSignature")
	}
	if len(out) == 0 && !s.has(PartCertificate) {
		add(OK, ReasonFine, "the certificate may seal and is the one the header refers to")
	}
	return out
}

func (s Signature) has(part Part) bool {
	return slices.ContainsFunc(s.problems, func(f Finding) bool { return f.Part == part })
}

// chain builds a path from the certificate to trust, at the present time; when that fails for
// age alone, at the claimed time of sealing, because age has its own finding.
func (s Signature) chain(trust *x509.CertPool, at time.Time) Finding {
	out := Finding{Part: PartChain, Outcome: Unknown}
	if trust == nil {
		out.Reason, out.Words = ReasonNoTrust, "no certificates were given that vouch for others"
		return out
	}
	err := s.path(trust, at)
	aged := isAge(err)
	if aged && !s.SealedAt.IsZero() && !s.SealedAt.After(at.Add(skew)) {
		err = s.path(trust, s.SealedAt)
	}
	switch invalid, ok := errors.AsType[x509.CertificateInvalidError](err); {
	case err == nil:
		out.Outcome, out.Reason, out.Words = OK, ReasonFine, "a trusted certificate vouches for it"
		if aged {
			out.Words = "a trusted certificate vouched for it at the claimed time of sealing"
		}
	case ok && invalid.Reason == x509.Expired:
		out.Reason, out.Words = ReasonChainExpired, "a certificate on the way to a trusted one is out of its time"
	case ok:
		out.Outcome, out.Reason, out.Words = Failed, ReasonChainBroken, "the chain breaks a rule of its authority: "+err.Error()
	default:
		out.Reason, out.Words = ReasonUnknownIssuer, "no trusted certificate vouches for "+s.Leaf().Issuer.String()
	}
	return out
}

func (s Signature) path(trust *x509.CertPool, at time.Time) error {
	between := x509.NewCertPool()
	for _, c := range slices.Concat(s.Chain[1:], s.Extra) {
		between.AddCert(c)
	}
	_, err := s.Leaf().Verify(x509.VerifyOptions{
		Roots:         trust,
		Intermediates: between,
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

func isAge(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

// validity holds the claimed time of sealing and the present against the dates of the
// certificate. Baseline B proves no time: after the end of the certificate nobody can say
// from the file alone that it was sealed before.
func (s Signature) validity(at time.Time) Finding {
	leaf := s.Leaf()
	from, to := leaf.NotBefore.UTC(), leaf.NotAfter.UTC()
	set := func(o Outcome, r Reason, format string, args ...any) Finding {
		return Finding{Part: PartValidity, Outcome: o, Reason: r, Words: fmt.Sprintf(format, args...)}
	}
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	sealed := s.SealedAt
	switch {
	case at.Before(from):
		return set(Failed, ReasonNotYetValid, "the certificate begins on %s", stamp(from))
	case sealed.IsZero():
		return set(Unknown, ReasonNoTime, "the seal claims no time that can be read")
	case sealed.After(at.Add(skew)):
		return set(Failed, ReasonSealedInFuture, "the claimed time of sealing %s lies in the future", stamp(sealed))
	case sealed.Before(from):
		return set(Failed, ReasonSealedBefore, "sealed on %s, the certificate begins on %s", stamp(sealed), stamp(from))
	case sealed.After(to):
		return set(Failed, ReasonExpiredBefore, "sealed on %s, the certificate ended on %s", stamp(sealed), stamp(to))
	case at.After(to):
		return set(Unknown, ReasonExpiredSince, "the certificate ended on %s; sealed before, on %s, as it says itself", stamp(to), stamp(sealed))
	}
	return set(OK, ReasonFine, "valid from %s to %s, sealed on %s", stamp(from), stamp(to), stamp(sealed))
}

// timestamps reports what was added after sealing, without judging it.
func (s Signature) timestamps() Finding {
	return Finding{
		Part: PartTimestamps, Outcome: NotChecked, Reason: ReasonTimestamps,
		Words: fmt.Sprintf("carries %s (as level %s does), which this version does not yet check", strings.Join(s.Unsigned, ", "), s.claimedLevel()),
	}
}

// claimedLevel is the level that the unsigned parts would make if all of them were good.
func (s Signature) claimedLevel() string {
	has := func(name string) bool { return slices.Contains(s.Unsigned, name) }
	switch {
	case has("sigTst") && has("xVals") && has("rVals") && has("arcTst"):
		return "LTA"
	case has("sigTst") && has("xVals") && has("rVals"):
		return "LT"
	case has("sigTst"):
		return "T"
	}
	return "B"
}
