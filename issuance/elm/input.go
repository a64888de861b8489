package elm

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/vocab"
)

// ErrNotCredential is returned by Read for bytes that are no European Digital Credential.
var ErrNotCredential = errors.New("this is not a European Digital Credential")

// Input is everything a payload is built from; the same Input gives the same bytes.
type Input struct {
	// CredentialID is a UUID; the id in the file is urn:credential:<UUID>.
	CredentialID string
	// Number is the certificate number as printed, for example PUT-2026-000123.
	Number string
	// IssuedAt is the moment of sealing, in UTC and whole seconds.
	IssuedAt time.Time
	// ValidSince is from when the validity counts; zero: IssuedAt. Of a credential that takes
	// the place of a wrong one it is when that one was issued: correcting a name prolongs
	// nothing.
	ValidSince time.Time
	// AwardedAt is when the decision fell.
	AwardedAt time.Time
	// Issuer is what the seal certificate says of its owner.
	Issuer hsm.SealFacts
	// Awarding is the organisation that awards the micro-credential.
	Awarding templates.Organisation
	// Version is the template version on which the decision was made.
	Version templates.Version
	// Learner is who earned it.
	Learner Learner
	// Score of Maximum points is the evidence; shown when the template says so.
	Score, Maximum float64
	// VerifyURL is the public page of this credential.
	VerifyURL string
	// Replaces is the UUID of the credential whose place this one takes; empty: of none.
	Replaces string
}

// Learner is the person as confirmed when claiming. At least one of the two names is there.
type Learner struct {
	GivenName, FamilyName string
	// Email may be empty.
	Email string
	// Identifier is the pseudonymous id in the learning platform; may be empty.
	Identifier string
}

// FullName is the given name followed by the family name, or the only one there is.
func (l Learner) FullName() string {
	return strings.TrimSpace(l.GivenName + " " + l.FamilyName)
}

// Page is the picture of the certificate in one language: a PNG image.
type Page struct {
	Language string // ISO 639-1
	PNG      []byte
}

// ByMandate reports whether the organisation that seals is another than the one that awards.
func (in Input) ByMandate() bool {
	return in.Awarding.Identifier != in.Issuer.OrganisationIdentifier
}

// ValidUntil is when the credential ends; the zero time says that it does not.
func (in Input) ValidUntil() time.Time {
	since := in.ValidSince
	if since.IsZero() {
		since = in.IssuedAt
	}
	return in.Version.Content.ValidUntil(since)
}

// replaces is the id in the file of the credential whose place this one takes, or "".
func (in Input) replaces() string {
	if in.Replaces == "" {
		return ""
	}
	return urnPrefix + in.Replaces
}

// primary is the primary language of the texts.
func (in Input) primary() string {
	if len(in.Version.Content.Languages) == 0 {
		return "en"
	}
	return in.Version.Content.Languages[0]
}

// Problem is one reason why a payload must not be sealed.
type Problem struct {
	// Path is the member in the payload or the field of the Input, for example "issuer.eIDASIdentifier".
	Path string
	// Sentence says what is wrong.
	Sentence string
}

// Problems is a list of reasons, in the order found; it is never empty when returned.
type Problems []Problem

// Error joins all sentences.
func (p Problems) Error() string {
	parts := make([]string, len(p))
	for i, one := range p {
		parts[i] = one.Path + ": " + one.Sentence
	}
	return strings.Join(parts, "; ")
}

func (p *Problems) add(path, format string, args ...any) {
	*p = append(*p, Problem{Path: path, Sentence: fmt.Sprintf(format, args...)})
}

func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// problems says why no payload can be built from the input.
func (in Input) problems() Problems {
	var p Problems
	if id, err := uuid.Parse(in.CredentialID); err != nil || id.String() != in.CredentialID {
		p.add("CredentialID", "is not a UUID in lower case")
	}
	if id, err := uuid.Parse(in.Replaces); in.Replaces != "" && (err != nil || id.String() != in.Replaces || in.Replaces == in.CredentialID) {
		p.add("Replaces", "is not the UUID of another credential in lower case")
	}
	in.namesOK(&p)
	if in.IssuedAt.IsZero() || !in.IssuedAt.Equal(in.IssuedAt.Truncate(time.Second)) {
		p.add("IssuedAt", "is not a moment in whole seconds")
	}
	if in.AwardedAt.IsZero() || in.AwardedAt.After(in.IssuedAt) {
		p.add("AwardedAt", "is missing or after the moment of sealing")
	}
	if in.Issuer.Organisation == "" || in.Issuer.OrganisationIdentifier == "" {
		p.add("Issuer", "the seal certificate names no organisation or no organisationIdentifier (2.5.4.97)")
	}
	if !vocab.Countries.Has(in.Issuer.Country) {
		p.add("Issuer.Country", "%q is not a country of the authority table", in.Issuer.Country)
	}
	if in.Awarding.Identifier == "" {
		p.add("Awarding.Identifier", "is empty, so it cannot be known whether this is sealed by mandate")
	}
	if u, err := url.Parse(in.VerifyURL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		p.add("VerifyURL", "is not an address of a web page")
	}
	in.scoreOK(&p)
	return p
}

func (in Input) namesOK(p *Problems) {
	if in.Learner.FullName() == "" {
		p.add("Learner", "has no name")
	}
	for _, text := range []string{
		in.Learner.GivenName, in.Learner.FamilyName, in.Learner.Email, in.Learner.Identifier,
		in.Number, in.Issuer.Organisation, in.Issuer.CommonName,
	} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			p.add("Input", "%q contains control characters", text)
		}
	}
	if in.Learner.Email != "" && !strings.Contains(in.Learner.Email, "@") {
		p.add("Learner.Email", "is not an e-mail address")
	}
}

func (in Input) scoreOK(p *Problems) {
	finite := func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) && x >= 0 }
	if in.Version.Content.Assessment.ShowGrade && (!finite(in.Score) || !finite(in.Maximum) || in.Maximum == 0) {
		p.add("Score", "the grade is to be shown, but %v of %v is not one", in.Score, in.Maximum)
	}
}
