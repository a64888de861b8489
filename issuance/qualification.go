package issuance

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/trustlist"
)

// Qualify says what a seal is by the trusted lists of the EU, as trustlist.Store does: leaf is
// its certificate, chain are further certificates in any order, at is the time that counts.
type Qualify func(leaf *x509.Certificate, chain []*x509.Certificate, at time.Time) trustlist.Qualification

// look verifies the seal with those who are trusted now, or with those who were when it is
// proven to have existed: an authority that ended later could still vouch for it then.
func (o VerifyOptions) look(file jades.File) jades.Verification {
	how := jades.VerifyOptions{Trust: o.Trust, TimestampTrust: o.TimestampTrust, At: o.Now}
	found := file.Verify(how)
	chained := !slices.ContainsFunc(found.Findings, func(f jades.Finding) bool { return f.Part == jades.PartChain && f.Outcome != jades.OK })
	if chained || o.TrustAt == nil || len(found.Proofs) == 0 || found.Proofs[0].ProvenAt.IsZero() {
		return found
	}
	if how.TimestampTrust == nil {
		how.TimestampTrust = how.Trust
	}
	how.Trust = o.TrustAt(found.Proofs[0].ProvenAt)
	return file.Verify(how)
}

// qualification asks the trusted lists. The time that counts is the one that a time-stamp
// proves, else now: what the seal says of its own time proves nothing. A list speaks of
// certificates, so a seal is called qualified only when it and its certificate hold.
func (e *examination) qualification(ask Qualify, seal, certificate Answer) *trustlist.Qualification {
	if e.leaf == nil || seal.Outcome == OutcomeFailed || certificate.Outcome == OutcomeFailed {
		return &trustlist.Qualification{Code: trustlist.CodeUnknown, Words: "The trusted lists were not asked: they say nothing about a seal that does not hold."}
	}
	if ask == nil {
		q := trustlist.NoList()
		return &q
	}
	at, chain := e.now, e.file.Signatures[0].Chain
	if len(e.proofs) > 0 {
		if proven := e.proofs[0].ProvenAt; !proven.IsZero() {
			at = proven
		}
		chain = append(slices.Clip(chain), e.proofs[0].Chain...)
	}
	q := ask(e.leaf, append(slices.Clip(chain), e.file.Signatures[0].Extra...), at)
	if (seal.Outcome != OutcomeOK || certificate.Outcome != OutcomeOK) && (q.Code == trustlist.CodeQualified || q.Code == trustlist.CodeAdvanced) {
		q.Reasons = append([]string{"What the list says of its certificate: " + q.Words}, q.Reasons...)
		q.Code, q.Words = trustlist.CodeUnknown, "Whether this is a qualified electronic seal cannot be said, because the seal itself could not be confirmed."
	}
	return &q
}
