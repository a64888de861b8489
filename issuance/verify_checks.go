package issuance

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/templates/vocab"
)

// Tolerances of the dates. A token that is away may delay a seal for weeks after the
// credential was dated; a date ahead of the seal has no honest reason beyond time zones.
const (
	clockSkew   = 5 * time.Minute
	datedAhead  = 24 * time.Hour
	sealedAfter = 31 * 24 * time.Hour
)

// examination is one file while it is looked at.
type examination struct {
	now      time.Time
	file     jades.File
	findings []jades.Finding
	proofs   []jades.Proof
	leaf     *x509.Certificate
	facts    hsm.SealFacts
	envelope envelope
	content  *elm.Content
}

// several is a JSON member that holds one value or a list of values.
type several []json.RawMessage

// UnmarshalJSON takes both forms.
func (s *several) UnmarshalJSON(raw []byte) error {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{json.RawMessage(slices.Clone(raw))}
	}
	*s = list
	return nil
}

// ids returns the values themselves when they are texts, else their member id.
func (s several) ids() []string {
	var out []string
	for _, raw := range s {
		var text string
		var object struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(raw, &text) != nil && json.Unmarshal(raw, &object) == nil {
			text = object.ID
		}
		if text != "" {
			out = append(out, text)
		}
	}
	return out
}

// envelope is what the checks need of the payload beyond elm.Content.
type envelope struct {
	Context        several         `json:"@context"`
	Type           several         `json:"type"`
	Schema         several         `json:"credentialSchema"`
	Profiles       several         `json:"credentialProfiles"`
	Issued         json.RawMessage `json:"issued"`
	ValidFrom      json.RawMessage `json:"validFrom"`
	ValidUntil     json.RawMessage `json:"validUntil"`
	ExpirationDate json.RawMessage `json:"expirationDate"`
	Status         several         `json:"credentialStatus"`
	Issuer         struct {
		EIDAS struct {
			Spatial several `json:"spatial"`
		} `json:"eIDASIdentifier"`
	} `json:"issuer"`
}

func (e *examination) check(id string, outcome Outcome, reason string, args ...any) Answer {
	words := checkWords[id+"."+reason]
	if words == "" {
		words = checkWords[reason]
	}
	if len(args) > 0 {
		words = fmt.Sprintf(words, args...)
	}
	return Answer{ID: id, Title: titles[id], Outcome: outcome, Reason: reason, Words: words}
}

// read looks at the form of the content: strict JSON, the European model, its profile.
func (e *examination) read() Answer {
	fail := func(reason, detail string) Answer {
		c := e.check("format", OutcomeFailed, reason)
		c.Details = []string{detail}
		return c
	}
	if err := jades.CheckContent(e.file.Payload); err != nil {
		return fail("not_a_credential", err.Error())
	}
	content, err := elm.Read(e.file.Payload)
	if err != nil {
		return fail("not_a_credential", err.Error())
	}
	if err := json.Unmarshal(e.file.Payload, &e.envelope); err != nil {
		return fail("not_a_credential", err.Error())
	}
	e.content = &content
	var c Answer
	switch env := e.envelope; {
	case !slices.Contains(env.Context.ids(), "http://data.europa.eu/snb/model/context/edc-ap"),
		!slices.Contains(env.Type.ids(), "EuropeanDigitalCredential"):
		c = e.check("format", OutcomeUnknown, "other_model")
	case !slices.ContainsFunc(env.Schema.ids(), func(s string) bool { return strings.HasPrefix(s, "http://data.europa.eu/snb/model/ap/edc-") }),
		len(env.Profiles.ids()) == 0:
		c = e.check("format", OutcomeFailed, "no_profile")
	default:
		c = e.check("format", OutcomeOK, "fine")
	}
	c.Details = append(c.Details, "schema: "+strings.Join(e.envelope.Schema.ids(), ", "))
	if len(e.file.Outside) > 0 {
		c.Details = append(c.Details, "parts outside the seal, not read: "+strings.Join(e.file.Outside, ", "))
	}
	return c
}

// gather makes one check of all findings about the given parts. The worst outcome counts; among
// equals the part named first gives the words.
func (e *examination) gather(id string, parts ...jades.Part) Answer {
	c := e.check(id, OutcomeOK, "fine")
	var details []string
	for _, outcome := range []jades.Outcome{jades.OK, jades.NotChecked, jades.Unknown, jades.Failed} {
		for _, part := range slices.Backward(parts) {
			for _, f := range slices.Backward(e.findings) {
				if f.Part == part && f.Outcome == outcome && f.Reason != jades.ReasonFine && belongs(f, id) {
					c = e.check(id, Outcome(outcome), string(f.Reason))
				}
			}
		}
	}
	for _, f := range e.findings {
		if slices.Contains(parts, f.Part) && belongs(f, id) {
			details = append(details, fmt.Sprintf("%s: %s", f.Part, f.Words))
		}
	}
	c.Details = details
	return c
}

// seal: does it fit every byte, and was it made by the rules?
func (e *examination) seal() Answer {
	c := e.gather("seal", jades.PartIntegrity, jades.PartHeader, jades.PartLevel, jades.PartCount)
	at := e.file.Signatures[0].SealedAt
	if c.Outcome != OutcomeOK || at.IsZero() {
		return c
	}
	proven := "."
	if t := e.proof().ProvenAt; !t.IsZero() {
		proven = fmt.Sprintf("; a time-stamp proves that it existed on %s.", moment(t))
	}
	c.Words = fmt.Sprintf("The seal fits every byte of the record. It was made on %s, as it says itself%s", moment(at), proven)
	if c.Reason == string(jades.ReasonLegacyTime) {
		c.Words += " " + legacyTime
	}
	return c
}

// certificate: may it seal, does somebody trusted vouch for it, was it in its time?
func (e *examination) certificate() Answer {
	c := e.gather("certificate", jades.PartCertificate, jades.PartRevocation, jades.PartChain, jades.PartValidity)
	if e.leaf == nil {
		return c
	}
	c.Details = append(c.Details, e.kind())
	switch c.Reason {
	case "fine":
		c.Words = fmt.Sprintf("The certificate belongs to %s (%s), somebody you trust vouches for it, and it is valid until %s.",
			orUnnamed(e.facts.Organisation), orUnnamed(e.facts.OrganisationIdentifier), day(e.facts.NotAfter))
	case string(jades.ReasonRevokedBefore), string(jades.ReasonRevokedSince), string(jades.ReasonRevokedUnproven):
		c.Words = fmt.Sprintf(c.Words, orUnnamed(e.facts.Organisation))
	case string(jades.ReasonUnknownIssuer), string(jades.ReasonNoTrust), string(jades.ReasonExpiredSince), string(jades.ReasonExpiredBefore), string(jades.ReasonExpiredProven):
		c.Words = fmt.Sprintf(c.Words, orUnnamed(e.facts.Organisation), day(e.facts.NotAfter))
	}
	if stranger := c.Reason == string(jades.ReasonUnknownIssuer) || c.Reason == string(jades.ReasonNoTrust); stranger && e.now.After(e.facts.NotAfter) {
		c.Words += " That day has passed."
	}
	return c
}

// kind says what the certificate claims to be. Whether it is, only the trusted list of the
// country can say.
func (e *examination) kind() string {
	switch f := e.facts; {
	case f.QcCompliance && f.QcTypeESeal && f.QcSSCD:
		return "The certificate says it is a qualified one for electronic seals with its key in a qualified device."
	case f.QcCompliance && f.QcTypeESeal:
		return "The certificate says it is a qualified one for electronic seals, so by its own words this is an advanced seal with a qualified certificate."
	case f.QcCompliance:
		return "The certificate says it is a qualified one, but not for electronic seals."
	}
	return "The certificate does not say that it is a qualified one."
}

// issuer: does the credential name the same organisation as the certificate of its seal?
func (e *examination) issuer() Answer {
	name, id := e.content.IssuerName, e.content.IssuerIdentifier
	switch {
	case e.leaf == nil:
		return e.check("issuer", OutcomeNotChecked, "no_certificate")
	case id == "" || e.facts.OrganisationIdentifier == "":
		return e.check("issuer", OutcomeUnknown, "no_identifier", orUnnamed(name), orUnnamed(e.facts.Organisation))
	case id != e.facts.OrganisationIdentifier:
		return e.check("issuer", OutcomeFailed, "identifier_differs", orUnnamed(name), id, orUnnamed(e.facts.Organisation), e.facts.OrganisationIdentifier)
	case !sameName(name, e.facts.Organisation):
		return e.check("issuer", OutcomeFailed, "name_differs", orUnnamed(name), orUnnamed(e.facts.Organisation))
	}
	if code, ok := e.country(); ok && e.facts.Country != "" && !strings.EqualFold(code, e.facts.Country) {
		return e.check("issuer", OutcomeFailed, "country_differs", code, e.facts.Country)
	}
	c := e.check("issuer", OutcomeOK, "fine", name, id)
	if body := e.content.AwardingBody; body != "" && !sameName(body, name) {
		if e.content.Mandate != "" {
			c.Words += fmt.Sprintf(" It seals on behalf of %s; the mandate is part of the sealed record.", body)
			c.Details = append(c.Details, "mandate: "+e.content.Mandate)
		} else {
			c.Words += fmt.Sprintf(" The award is that of %s; the record states no mandate.", body)
		}
	}
	return c
}

// country is the alpha-2 code of the country in which the identifier of the issuer is valid.
func (e *examination) country() (string, bool) {
	for _, uri := range e.envelope.Issuer.EIDAS.Spatial.ids() {
		if t, ok := vocab.Countries.ByURI(uri); ok {
			return t.Code, true
		}
	}
	return "", false
}

// sameName compares names without regard to case and white space.
func sameName(a, b string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(a), " "), strings.Join(strings.Fields(b), " "))
}

// date reads a member: absent gives zero and true, anything but a date with time and zone gives false.
func date(raw json.RawMessage) (time.Time, bool) {
	if raw == nil {
		return time.Time{}, true
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, text)
	return t.UTC(), err == nil
}

// dates: issued when the seal could, in force now?
func (e *examination) dates() Answer {
	until, okUntil := date(e.envelope.ValidUntil)
	expires, okExpires := date(e.envelope.ExpirationDate)
	from, okFrom := date(e.envelope.ValidFrom)
	_, okIssued := date(e.envelope.Issued)
	if until.IsZero() || (!expires.IsZero() && expires.Before(until)) {
		until = expires
	}
	issued, sealed := e.content.IssuedAt, e.file.Signatures[0].SealedAt
	switch {
	case !okUntil || !okExpires || !okFrom || !okIssued:
		return e.check("dates", OutcomeUnknown, "date_unread")
	case issued.IsZero():
		return e.check("dates", OutcomeFailed, "no_issue_date")
	case issued.After(e.now.Add(clockSkew)):
		return e.check("dates", OutcomeFailed, "issued_in_future", day(issued))
	case e.leaf != nil && (issued.Before(e.leaf.NotBefore.Add(-datedAhead)) || issued.After(e.leaf.NotAfter)):
		return e.check("dates", OutcomeFailed, "outside_certificate", day(issued), day(e.leaf.NotBefore), day(e.leaf.NotAfter))
	case !sealed.IsZero() && issued.Sub(sealed) > datedAhead:
		return e.check("dates", OutcomeFailed, "dated_after_seal", day(issued), day(sealed))
	case !until.IsZero() && !until.After(e.now):
		return e.check("dates", OutcomeFailed, "expired", day(until))
	case from.After(e.now.Add(clockSkew)):
		return e.check("dates", OutcomeFailed, "not_in_force", day(from))
	case !sealed.IsZero() && sealed.Sub(issued) > sealedAfter:
		return e.check("dates", OutcomeUnknown, "sealed_long_after", day(issued), day(sealed))
	case until.IsZero():
		return e.check("dates", OutcomeOK, "no_expiry", day(issued))
	}
	return e.check("dates", OutcomeOK, "fine", day(issued), day(until))
}

// says: is what makes a credential in it?
func (e *examination) says() Answer {
	switch {
	case e.content.Title == "":
		return e.check("content", OutcomeFailed, "no_title")
	case e.content.Learner == "":
		return e.check("content", OutcomeFailed, "no_learner")
	case e.content.AwardingBody == "":
		return e.check("content", OutcomeFailed, "no_awarding_body")
	}
	have := make(map[string]bool)
	for _, el := range e.content.Elements {
		have[el.Key] = len(el.Values) > 0
	}
	var missing []string
	for _, m := range annexI {
		if !have[m.key] {
			missing = append(missing, m.words)
		}
	}
	if len(missing) > 0 {
		return e.check("content", OutcomeOK, "elements_missing", strings.Join(missing, ", "))
	}
	return e.check("content", OutcomeOK, "fine")
}

// revocation is never checked here: European Digital Credentials have no way to say it in the
// file. Desk.Ask knows of those that are kept in its database.
func (e *examination) revocation() Answer {
	if len(e.envelope.Status) > 0 {
		c := e.check("revocation", OutcomeNotChecked, "status_not_read")
		c.Details = e.envelope.Status.ids()
		return c
	}
	if e.content != nil && e.content.VerifyURL != "" {
		if address := statusAddress(e.content.ID, e.content.VerifyURL); address != "" {
			c := e.check("revocation", OutcomeNotChecked, "no_status_but_address", address)
			c.Details = []string{e.content.VerifyURL, address}
			return c
		}
		c := e.check("revocation", OutcomeNotChecked, "no_status_but_page")
		c.Details = []string{e.content.VerifyURL}
		return c
	}
	return e.check("revocation", OutcomeNotChecked, "no_status")
}

func (e *examination) sealReport() *SealReport {
	if e.leaf == nil {
		return nil
	}
	sum := sha256.Sum256(e.leaf.Raw)
	sig := e.file.Signatures[0]
	return &SealReport{
		Organisation: e.facts.Organisation, OrganisationIdentifier: e.facts.OrganisationIdentifier, Country: e.facts.Country,
		CommonName: e.facts.CommonName, CertifiedBy: e.leaf.Issuer.String(), SerialNumber: e.leaf.SerialNumber.Text(16),
		Fingerprint: hex.EncodeToString(sum[:]), ValidFrom: e.facts.NotBefore, ValidUntil: e.facts.NotAfter,
		Algorithm: sig.Alg, SealedAt: sig.SealedAt, Kind: e.kind(),
	}
}

func day(t time.Time) string    { return t.UTC().Format("2 January 2006") }
func moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05 UTC") }

func orUnnamed(s string) string {
	if s == "" {
		return "(no name)"
	}
	return s
}
