package web

import (
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/trustlist"
)

// resultPage says what came of checking a file. Tone is ok, unknown (nothing wrong, not
// confirmed), withdrawn, bad or unreadable.
type resultPage struct {
	Tone, Headline, Next                     string
	File                                     string // as it was uploaded
	Link                                     string // of a credential of ours, empty for uploads
	Bytes                                    int
	Printed                                  bool   // a PDF is given out
	Band                                     string // word on the seal of a withdrawn credential
	Withdrawn                                string // why, in sentences
	Asked                                    bool   // the credential is ours, and was looked up
	After                                    placed // the corrected one that took its place
	Before                                   placed // whose place it took
	Hidden                                   bool   // whose it was is not told any more
	Title, Learner, AwardingBody, IssuerName string
	Number, Fingerprint                      string
	Qualified                                string // that it is qualified or based on a qualified certificate, in words; else empty
	IssuedAt, CheckedAt                      time.Time
	Checks                                   []event
	Rows, Technical                          []row
}

// placed is another credential of the same learner, whose name was corrected.
type placed struct {
	There bool
	Page  string // its public page; empty: nobody is led there
}

func newPlaced(s issuance.Successor) placed {
	p := placed{There: s.CredentialID != ""}
	if s.Link != "" {
		p.Page = "/c/" + s.Link
	}
	return p
}

// event is one thing in a list of things in order.
type event struct {
	Kind, Icon   string // ok, warn, bad, now or off; name of an icon
	Title, Words string
	State        string // what the colour says, for screen readers
}

func (s *Web) resultPage(r issuance.Report) resultPage {
	p := resultPage{Tone: tone(r), Headline: r.Headline, Next: r.Next, CheckedAt: r.CheckedAt, Rows: contentRows(r.Content), After: newPlaced(r.ReplacedBy), Before: newPlaced(r.Replaces)}
	if c := r.Content; c != nil {
		p.Title, p.Learner, p.AwardingBody, p.IssuerName = c.Title, c.Learner, c.AwardingBody, c.IssuerName
		p.IssuedAt, p.Number = c.IssuedAt, c.Number
	}
	for _, c := range r.Checks {
		p.Checks = append(p.Checks, checkEvent(c))
		if c.ID == "revocation" && c.Outcome != issuance.OutcomeNotChecked {
			p.Asked, p.Withdrawn, p.Band = true, c.Words, band(issuance.InForce(c.Reason))
		}
		if q := r.Qualification; q != nil && c.ID == "certificate" {
			p.Checks = append(p.Checks, qualificationEvent(*q))
			if qualified(*q) {
				p.Qualified = q.Words
			}
		}
	}
	p.Technical = []row{{Label: "SHA-256 of the file", Values: []string{r.SHA256}}}
	if seal := r.Seal; seal != nil {
		p.Fingerprint = seal.Fingerprint
		if seal.Organisation != "" {
			p.IssuerName = seal.Organisation
		}
		p.Technical = append(p.Technical,
			row{Label: "Certificate", Values: []string{seal.CommonName, seal.OrganisationIdentifier}},
			row{Label: "Certified by", Values: []string{seal.CertifiedBy}},
			row{Label: "Fingerprint, SHA-256", Values: []string{seal.Fingerprint}},
			row{Label: "Valid", Values: []string{date(seal.ValidFrom) + " to " + date(seal.ValidUntil)}},
			row{Label: "Algorithm", Values: []string{seal.Algorithm}})
	}
	if level := r.Level; level != nil {
		p.Technical = append(p.Technical, row{Label: "JAdES baseline level", Values: []string{levelWords(*level), level.Words}})
	}
	if q := r.Qualification; q != nil && len(q.Reasons) > 0 {
		p.Technical = append(p.Technical, row{Label: "By the trusted lists", Values: q.Reasons})
	}
	for _, c := range r.Checks {
		if len(c.Details) > 0 {
			p.Technical = append(p.Technical, row{Label: c.Title, Values: c.Details})
		}
	}
	return p
}

// levelWords are the level in short: the one that the file reaches, and the one it was made for.
func levelWords(l issuance.LevelReport) string {
	switch {
	case l.Reached == "":
		return "none"
	case l.Reached != l.Claimed:
		return l.Reached + ", made up as " + l.Claimed
	}
	return l.Reached
}

func qualified(q trustlist.Qualification) bool {
	return q.Code == trustlist.CodeQualified || q.Code == trustlist.CodeAdvanced
}

// qualificationEvent is grey for everything but a yes: a seal that is not qualified is no
// worse for that, and what is not known is nobody's fault.
func qualificationEvent(q trustlist.Qualification) event {
	e := event{Kind: "off", Icon: "bar", Title: "Qualified or not", Words: q.Words, State: "not known"}
	switch {
	case qualified(q):
		e.Kind, e.Icon, e.State = "ok", "check", "holds"
	case q.Code == trustlist.CodeNotQualified, q.Code == trustlist.CodeNotListed:
		e.State = "no"
	}
	return e
}

func tone(r issuance.Report) string {
	switch {
	case r.Verdict == issuance.VerdictValid:
		return "ok"
	case r.Verdict == issuance.VerdictUnreadable:
		return "unreadable"
	case band(issuance.InForce(r.Reason)) != "":
		return "withdrawn"
	case r.Failed():
		return "bad"
	default:
		return "unknown"
	}
}

// band is the word on the seal of a credential that does not count now, else empty.
func band(standing issuance.InForce) string {
	switch standing {
	case issuance.StandsRevoked:
		return "WITHDRAWN"
	case issuance.StandsSuspended:
		return "SUSPENDED"
	case issuance.StandsReplaced:
		return "REPLACED"
	case issuance.StandsInForce:
	}
	return ""
}

// checkEvent never leaves a bare tick: the title says what was asked, the words what came
// of it, and the state says the colour aloud.
func checkEvent(c issuance.Answer) event {
	e := event{Title: strings.TrimSuffix(c.Title, "."), Words: c.Words}
	switch c.Outcome {
	case issuance.OutcomeOK:
		e.Kind, e.Icon, e.State = "ok", "check", "holds"
	case issuance.OutcomeFailed:
		e.Kind, e.Icon, e.State = "bad", "alert", "failed"
	case issuance.OutcomeUnknown:
		e.Kind, e.Icon, e.State = "warn", "help", "not known"
	case issuance.OutcomeNotChecked:
		e.Kind, e.Icon, e.State = "off", "bar", "not checked"
	}
	return e
}
