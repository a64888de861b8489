package issuance

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance/status"
)

// ListedStatus is what a signed status list says of one credential. Whoever makes one has checked the
// signature of the list, and found the credential's place in it.
type ListedStatus struct {
	Value      status.Value
	URI        string // of the list
	Index      int
	SignedAt   time.Time         // UTC
	ValidUntil time.Time         // UTC; zero: the list does not say
	Signer     *x509.Certificate // who signed the list
}

// WithListed adds to a report what a status list says, without asking any server. A list counts only
// when the organisation that sealed the credential has signed it; of a file that was changed
// nothing is known, whatever a list says. That a credential was withdrawn counts for ever; that it
// was not, until the list runs out: later the report says of when the answer is, and leaves the
// verdict to the other checks.
func (r Report) WithListed(l ListedStatus) Report {
	if r.Content == nil || r.Seal == nil {
		return r
	}
	checks := make([]Answer, len(r.Checks))
	copy(checks, r.Checks)
	at := -1
	for i, c := range checks {
		if c.ID == "seal" && c.Outcome != OutcomeOK {
			return r
		}
		if c.ID == "revocation" {
			at = i
		}
	}
	if at < 0 {
		return r
	}
	checks[at] = r.listed(l)
	r.Checks, r.Next = checks, ""
	r.conclude()
	if r.Reason == checks[at].Reason {
		r.Headline = fmt.Sprintf(r.Headline, orUnnamed(r.Seal.Organisation))
	}
	return r
}

// listed is the check “Withdrawn or not” by a list.
func (r Report) listed(l ListedStatus) Answer {
	a := Answer{
		ID: "revocation", Title: titles["revocation"], Outcome: OutcomeNotChecked,
		Details: []string{fmt.Sprintf("%s, index %d", l.URI, l.Index)},
	}
	signer := hsm.InspectSeal(l.Signer)
	switch {
	case signer.OrganisationIdentifier == "" || signer.OrganisationIdentifier != r.Seal.OrganisationIdentifier || signer.Country != r.Seal.Country:
		a.Reason = "list_other"
	case l.Value == status.Suspended:
		a.Outcome, a.Reason = OutcomeFailed, "list_suspended"
	case l.Value != status.Valid:
		a.Outcome, a.Reason = OutcomeFailed, "list_revoked"
	case !l.ValidUntil.IsZero() && !r.CheckedAt.Before(l.ValidUntil):
		a.Reason = "list_in_force_old"
	default:
		a.Outcome, a.Reason = OutcomeOK, "list_in_force"
	}
	until := "another one is signed"
	if !l.ValidUntil.IsZero() {
		until = moment(l.ValidUntil)
	}
	switch a.Words = checkWords["revocation."+a.Reason]; a.Reason {
	case "list_in_force", "list_in_force_old":
		a.Words = fmt.Sprintf(a.Words, moment(l.SignedAt), until)
	case "list_revoked", "list_suspended":
		a.Words = fmt.Sprintf(a.Words, moment(l.SignedAt))
	}
	return a
}
