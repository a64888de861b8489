package issuance

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/trustlist"
)

// Verdict is the answer in one word; the command line turns it into its exit code.
type Verdict string

// The verdicts. Not valid covers what is false and what could not be confirmed: Report.Reason
// and Report.Failed tell the two apart.
const (
	VerdictValid      Verdict = "valid"
	VerdictNotValid   Verdict = "not-valid"
	VerdictUnreadable Verdict = "unreadable"
)

// Outcome is what came of one check. Unknown must never look like failed: nothing wrong was
// found, and the good thing could not be confirmed either.
type Outcome string

// The outcomes.
const (
	OutcomeOK         Outcome = "ok"
	OutcomeFailed     Outcome = "failed"
	OutcomeUnknown    Outcome = "unknown"
	OutcomeNotChecked Outcome = "not-checked"
)

// Answer is the answer to one question that Verify asks.
type Answer struct {
	// ID is stable: format, seal, certificate, issuer, dates, content, revocation, and timestamps
	// when there are any.
	ID string `json:"id"`
	// Title names the question in a few words.
	Title   string  `json:"title"`
	Outcome Outcome `json:"outcome"`
	// Reason is a stable code for the outcome, for programs and translations.
	Reason string `json:"reason"`
	// Words answer in a sentence for somebody who recognises credentials, in English.
	Words string `json:"words"`
	// Details are facts for a technician.
	Details []string `json:"details,omitempty"`
}

// SealReport is what is known about the seal: claims of the certificate and of the seal
// itself, to be relied on only as far as the checks say.
type SealReport struct {
	Organisation           string    `json:"organisation"`
	OrganisationIdentifier string    `json:"organisation_identifier"` // 2.5.4.97
	Country                string    `json:"country"`                 // ISO 3166-1 alpha-2
	CommonName             string    `json:"common_name"`
	CertifiedBy            string    `json:"certified_by"` // the authority the certificate names
	SerialNumber           string    `json:"serial_number"`
	Fingerprint            string    `json:"fingerprint"` // SHA-256 of the certificate, hexadecimal
	ValidFrom              time.Time `json:"valid_from"`
	ValidUntil             time.Time `json:"valid_until"`
	Algorithm              string    `json:"algorithm"`
	SealedAt               time.Time `json:"sealed_at,omitzero"` // as the seal claims
	// Kind says in a sentence what the certificate claims to be (QCStatements).
	Kind string `json:"kind"`
}

// Report is the result of Verify.
type Report struct {
	Verdict Verdict `json:"verdict"`
	// Reason is a stable code for the headline, for example genuine, changed, unknown_issuer, expired,
	// and after Desk.Ask revoked or suspended.
	Reason   string   `json:"reason"`
	Headline string   `json:"headline"`
	Next     string   `json:"next"` // what to do now, in a sentence; empty when there is nothing to do
	Checks   []Answer `json:"checks"`
	// Content is what the file says; nil when it cannot be read. Rely on it only when the verdict is valid.
	Content *elm.Content `json:"-"`
	Seal    *SealReport  `json:"seal,omitempty"` // nil without a certificate that can be read
	// Level is what proves the seal later; nil when the file cannot be read.
	Level *LevelReport `json:"level,omitempty"`
	// Qualification is what the seal is by the trusted lists of the EU; nil when the file cannot be
	// read. It does not touch the verdict.
	Qualification *trustlist.Qualification `json:"qualification,omitempty"`
	// SHA256 of the whole file, hexadecimal.
	SHA256    string    `json:"sha256"`
	CheckedAt time.Time `json:"checked_at"`

	// ReplacedBy and Replaces are the credentials after and before this one, after Desk.Ask; both mostly empty.
	ReplacedBy Successor `json:"-"`
	Replaces   Successor `json:"-"`

	payload string // hex SHA-256 of what is sealed, for Desk.Ask
}

// Failed says whether something in the file is wrong, as opposed to not confirmed.
func (r Report) Failed() bool {
	for _, c := range r.Checks {
		if c.Outcome == OutcomeFailed {
			return true
		}
	}
	return false
}

// MarshalJSON adds the content, without its pictures, in names that stay as they are.
func (r Report) MarshalJSON() ([]byte, error) {
	type plain Report
	return json.Marshal(struct {
		plain
		Content    *contentReport `json:"content,omitempty"`
		ReplacedBy string         `json:"replaced_by,omitempty"`
		Replaces   string         `json:"replaces,omitempty"`
	}{plain(r), reportContent(r.Content), r.ReplacedBy.URN(), r.Replaces.URN()})
}

type contentReport struct {
	ID               string          `json:"id"`
	Title            string          `json:"title"`
	Number           string          `json:"number,omitempty"`
	Learner          string          `json:"learner"`
	IssuerName       string          `json:"issuer_name"`
	IssuerIdentifier string          `json:"issuer_identifier"`
	AwardingBody     string          `json:"awarding_body"`
	Mandate          string          `json:"mandate,omitempty"`
	Issued           time.Time       `json:"issued,omitzero"`
	ValidFrom        time.Time       `json:"valid_from,omitzero"`
	ValidUntil       time.Time       `json:"valid_until,omitzero"`
	Elements         []elementReport `json:"elements"`
}

type elementReport struct {
	Key       string   `json:"key"`
	Label     string   `json:"label"`
	Values    []string `json:"values"`
	Mandatory bool     `json:"mandatory"`
}

func reportContent(c *elm.Content) *contentReport {
	if c == nil {
		return nil
	}
	out := &contentReport{
		ID: c.ID, Title: c.Title, Number: c.Number, Learner: c.Learner, IssuerName: c.IssuerName, IssuerIdentifier: c.IssuerIdentifier,
		AwardingBody: c.AwardingBody, Mandate: c.Mandate, Issued: c.IssuedAt, ValidFrom: c.ValidFrom, ValidUntil: c.ValidUntil,
		Elements: make([]elementReport, 0, len(c.Elements)),
	}
	for _, e := range c.Elements {
		out.Elements = append(out.Elements, elementReport(e))
	}
	return out
}

// VerifyOptions is what Verify needs besides the file.
type VerifyOptions struct {
	// Trust holds the certificates of authorities (or of seals) that are trusted; nil for none.
	Trust *x509.CertPool
	// TimestampTrust holds the certificates that vouch for time-stamp authorities; nil means Trust.
	TimestampTrust *x509.CertPool
	// TrustAt returns the certificates that were trusted at an earlier time, nil for nobody. It is
	// asked when nobody vouches for a seal now and a time-stamp proves that it is older; nil when
	// nothing is known of earlier times.
	TrustAt func(at time.Time) *x509.CertPool
	// Qualify asks the trusted lists of the EU; nil when there are none.
	Qualify Qualify
	// Now is the present time.
	Now time.Time
}

// Verify answers whether a sealed file is genuine, from its bytes alone: it asks no database
// and no server. It never fails; a file that it cannot read has the verdict unreadable.
func Verify(file []byte, opts VerifyOptions) Report {
	sum := sha256.Sum256(file)
	r := Report{SHA256: hex.EncodeToString(sum[:]), CheckedAt: opts.Now.UTC()}
	sealed, err := jades.Parse(file)
	if err != nil {
		return r.unreadable(err)
	}
	r.payload = digest(sealed.Payload)
	found := opts.look(sealed)
	e := examination{now: opts.Now, file: sealed, findings: found.Findings, proofs: found.Proofs}
	e.leaf = sealed.Signatures[0].Leaf()
	e.facts = hsm.InspectSeal(e.leaf)
	format := e.read()
	seal := e.seal()
	certificate := e.certificate()
	r.Checks = []Answer{format, seal, certificate}
	r.Qualification = e.qualification(opts.Qualify, seal, certificate)
	if seal.Outcome == OutcomeFailed || e.content == nil {
		// What a changed file says of its issuer and its dates means nothing.
		for _, id := range []string{"issuer", "dates", "content"} {
			r.Checks = append(r.Checks, e.check(id, OutcomeNotChecked, "not_reliable"))
		}
	} else {
		r.Checks = append(r.Checks, e.issuer(), e.dates(), e.says())
	}
	r.Checks = append(r.Checks, e.revocation())
	if c, any := e.timestamps(); any {
		r.Checks = append(r.Checks, c)
	}
	r.Content, r.Seal, r.Level = e.content, e.sealReport(), e.level()
	r.conclude()
	return r
}

func (r Report) unreadable(err error) Report {
	r.Verdict, r.Reason, r.Headline = VerdictUnreadable, "unreadable", headlines["unreadable"].headline
	c := Answer{ID: "format", Title: titles["format"], Outcome: OutcomeFailed, Reason: "unreadable", Details: []string{err.Error()}}
	if u, ok := errors.AsType[*jades.UnreadableError](err); ok {
		c.Words, c.Reason = u.Sentence, unreadableReason(u)
		r.Reason = c.Reason
	}
	if r.Reason == "not_sealed" {
		r.Headline = headlines["not_sealed"].headline
	}
	r.Next = headlines["unreadable"].next
	r.Checks = []Answer{c}
	return r
}

// unreadableReason is the stable code of a refusal.
func unreadableReason(err error) string {
	for _, known := range []struct {
		err  error
		code string
	}{
		{jades.ErrEmpty, "empty"},
		{jades.ErrTooLarge, "too_large"},
		{jades.ErrOtherFormat, "other_format"},
		{jades.ErrNotText, "not_text"},
		{jades.ErrNotSealed, "not_sealed"},
		{jades.ErrMalformed, "malformed"},
	} {
		if errors.Is(err, known.err) {
			return known.code
		}
	}
	return "unreadable"
}

// conclude draws verdict and headline from the checks: what failed comes before what is
// unknown, and the seal comes before everything that it protects. A time-stamp that is false
// tells of a file that somebody changed; one that cannot be confirmed leaves the seal as good as
// it is without.
func (r *Report) conclude() {
	for _, outcome := range []Outcome{OutcomeFailed, OutcomeUnknown} {
		for _, id := range []string{"seal", "certificate", "issuer", "format", "revocation", "dates", "content", "timestamps"} {
			for _, c := range r.Checks {
				if c.ID == id && c.Outcome == outcome && (id != "timestamps" || outcome == OutcomeFailed) {
					r.Verdict, r.Reason = VerdictNotValid, c.Reason
					h := headlineFor(c)
					r.Headline, r.Next = h.headline, h.next
					return
				}
			}
		}
	}
	r.Verdict, r.Reason, r.Headline = VerdictValid, "genuine", headlines["genuine"].headline
}
