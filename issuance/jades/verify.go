package jades

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
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
	PartLevel       Part = "level"       // the header makes level B
	PartTimestamps  Part = "timestamps"  // what was added after sealing; only when there is something
	PartRevocation  Part = "revocation"  // the certificate was not withdrawn; only when the file says something about it
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
	ReasonSeveral          Reason = "several_seals"

	// ReasonLegacyTime: the seal is good, and its time stands where the rules have it no longer.
	ReasonLegacyTime Reason = "legacy_time"
	// ReasonExpiredProven: the certificate has ended, and a time-stamp proves the seal older.
	ReasonExpiredProven Reason = "expired_since_proven"

	ReasonTimestampsUnread     Reason = "timestamps_unread" // something added that cannot be read
	ReasonTimestampUnread      Reason = "timestamp_unreadable"
	ReasonTimestampForged      Reason = "timestamp_changed"
	ReasonTimestampSigner      Reason = "timestamp_no_authority"
	ReasonTimestampForm        Reason = "timestamp_form_unknown"
	ReasonTimestampSeveral     Reason = "timestamp_several_tokens"
	ReasonTimestampWeak        Reason = "timestamp_weak"
	ReasonTimestampOther       Reason = "timestamp_covers_other_bytes"
	ReasonTimestampOutside     Reason = "timestamp_outside_certificate"
	ReasonTimestampOrder       Reason = "timestamp_order"
	ReasonTimestampAuthority   Reason = "timestamp_unknown_authority"
	ReasonTimestampExpired     Reason = "timestamp_authority_expired"
	ReasonTimestampRevoked     Reason = "timestamp_authority_revoked"
	ReasonTimestampAfterExpiry Reason = "timestamp_after_expiry"
	ReasonTimestampBeforeClaim Reason = "timestamp_before_claimed_time"
	ReasonLevelNotReached      Reason = "level_not_reached"

	ReasonRevokedBefore    Reason = "revoked_before_sealing"
	ReasonRevokedSince     Reason = "revoked_since" // good: a time-stamp proves the seal older
	ReasonRevokedUnproven  Reason = "revoked_unproven"
	ReasonNoRevocationData Reason = "no_revocation_data"
	ReasonStaleData        Reason = "revocation_data_out_of_time"
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

// VerifyOptions is what Verify needs besides the file.
type VerifyOptions struct {
	// Trust holds the certificates that vouch for seals, nil for none.
	Trust *x509.CertPool
	// TimestampTrust holds the certificates that vouch for time-stamp authorities; nil means Trust.
	TimestampTrust *x509.CertPool
	// At is the present time.
	At time.Time
}

// Verify looks at every part of every seal. Each seal gives at least one finding for each of
// header, integrity, certificate, chain, validity and level, in this order; a seal is good when
// all of those are OK and no other finding is Failed or Unknown. It asks nobody: certificates
// and revocation data are those in the file.
func (f File) Verify(o VerifyOptions) Verification {
	var out Verification
	for i, s := range f.Signatures {
		found := slices.Clone(s.problems)
		integrity := s.integrity(f.Payload)
		found = append(found, integrity)
		e := examination{sig: s, payload: f.Payload, opts: o, fits: integrity.Outcome == OK}
		proof := Proof{Claimed: s.claimedLevel()}
		if s.Leaf() != nil {
			found = append(found, s.certificate()...)
			e.prepare()
			found = append(found, e.chained(), e.validity())
			found = append(found, e.added(&proof)...)
		} else {
			found = append(found,
				Finding{Part: PartChain, Outcome: NotChecked, Reason: ReasonNoCertificate, Words: "there is no certificate to look at"},
				Finding{Part: PartValidity, Outcome: NotChecked, Reason: ReasonNoCertificate, Words: "there is no certificate to look at"})
		}
		proof.ProvenAt, proof.Chain = e.proven, e.chain
		for j := range found {
			found[j].Signature = i
		}
		out.Findings = append(out.Findings, inOrder(i, found)...)
		out.Proofs = append(out.Proofs, proof)
	}
	if n := len(f.Signatures); n > 1 {
		out.Findings = append(out.Findings, Finding{
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
	for _, part := range []Part{PartHeader, PartIntegrity, PartCertificate, PartChain, PartValidity, PartLevel, PartTimestamps, PartRevocation} {
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

// has says whether the header gave reason for doubt about part.
func (s Signature) has(part Part) bool {
	return slices.ContainsFunc(s.problems, func(f Finding) bool { return f.Part == part && f.Outcome != OK })
}
