package elm

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/templates/vocab"
)

// Content is what a verifier shows of a payload. Everything comes from the bytes read,
// nothing from a database.
type Content struct {
	// ID of the credential, urn:credential:<UUID> as a rule.
	ID string
	// Language in which the texts below were read: the primary one, unless ReadIn was asked for another.
	Language string
	// Languages the credential says it is written in, primary one first.
	Languages []string
	// Title of the micro-credential, and Number of the certificate, "" when there is none.
	Title, Number string
	// Learner is the full name of the person.
	Learner string
	// IssuerName and IssuerIdentifier are what the payload says of who sealed it; they are to be compared with the certificate.
	IssuerName, IssuerIdentifier string
	// AwardingBody is the legal name of who awards; several are joined by "; ".
	AwardingBody string
	// Mandate is the statement under which the issuer seals for the awarding body, "" when it seals for itself.
	Mandate string
	// IssuedAt, ValidFrom and ValidUntil in UTC; zero when absent.
	IssuedAt, ValidFrom, ValidUntil time.Time
	// VerifyURL is the public page that the payload names for checking its state, "" when there is none.
	VerifyURL string
	// Replaces is the id of the credential whose place this one takes, "" when it names none.
	Replaces string
	// Elements are those of Annex I that the payload contains, mandatory ones first.
	Elements []Element
	// Pages are the pictures of the first page, one per language, as they stand in the payload.
	Pages []Picture
}

// Picture is a picture found in a payload: a PNG, as we write it, or a JPEG of other issuers.
type Picture struct {
	Language  string // ISO 639-1, "" when unknown
	MediaType string // image/png or image/jpeg, by the first bytes
	Data      []byte
}

// Element is one element of Annex I with its values in plain words.
type Element struct {
	// Key names the element: learner, title, country, awarding_body, issued, outcomes, workload, level, assessment,
	// participation, quality; optional: valid_until, prerequisites, supervision, grade, stackability, further; and skills (ESCO).
	Key string
	// Label is the name of the element in the language read, English when we have no words for it.
	Label string
	// Values are plain text, one line each.
	Values []string
	// Mandatory says whether Annex I demands the element.
	Mandatory bool
}

// elementLabels in the order of Annex I: key, English, Dutch, mandatory.
var elementLabels = []struct {
	key, en, nl string
	mandatory   bool
}{
	{"learner", "Learner", "Lerende", true},
	{"title", "Title of the micro-credential", "Titel van de microcredential", true},
	{"country", "Country of the issuer", "Land van de uitgever", true},
	{"awarding_body", "Awarding body", "Uitreikende instelling", true},
	{"issued", "Date of issue", "Datum van uitgifte", true},
	{"valid_until", "Valid until", "Geldig tot en met", false},
	{"outcomes", "Learning outcomes", "Leerresultaten", true},
	{"workload", "Notional workload", "Studielast", true},
	{"level", "Level", "Niveau", true},
	{"assessment", "Type of assessment", "Vorm van toetsing", true},
	{"participation", "Form of participation", "Vorm van deelname", true},
	{"quality", "Quality assurance", "Kwaliteitsborging", true},
	{"skills", "Skills (ESCO)", "Vaardigheden (ESCO)", false},
	{"prerequisites", "Prerequisites", "Toelatingseisen", false},
	{"supervision", "Supervision and identity check", "Toezicht en identiteitscontrole", false},
	{"grade", "Result", "Resultaat", false},
	{"stackability", "Integration and stackability", "Inpassing en stapelbaarheid", false},
	{"further", "Further information", "Meer informatie", false},
}

// Read returns what a payload says, in its primary language. It reads our own files and
// those of other issuers, with single values or arrays, and shows what is there: an element
// that is missing is left out. It returns an error wrapping ErrNotCredential for bytes that
// are no JSON object, that have a member twice, or that are no credential.
func Read(payload []byte) (Content, error) { return ReadIn(payload, "") }

// ReadIn is Read with the texts in lang where the payload has them.
func ReadIn(payload []byte, lang string) (Content, error) {
	root, err := parse(payload)
	if err != nil {
		return Content{}, err
	}
	if !root.is("EuropeanDigitalCredential") && !root.is("VerifiableCredential") {
		return Content{}, fmt.Errorf("%w: its type is neither EuropeanDigitalCredential nor VerifiableCredential", ErrNotCredential)
	}
	display := root.node("displayParameter")
	c := Content{ID: root.str("id"), Languages: languagesOf(display), Language: lang}
	if c.Language == "" && len(c.Languages) > 0 {
		c.Language = c.Languages[0]
	}
	r := reader{root: root, lang: c.Language, values: map[string][]string{}}
	r.claims()
	c.Title = display.first("title", r.lang)
	if c.Title == "" {
		c.Title = strings.Join(r.values["title"], "; ")
	}
	for _, id := range root.nodes("identifier") {
		if c.Number == "" {
			c.Number = id.str("notation")
		}
	}
	subject, issuer := root.node("credentialSubject"), root.node("issuer")
	c.Learner = learnerName(subject, r.lang)
	c.IssuerName = issuer.first("legalName", r.lang)
	c.IssuerIdentifier = issuer.node("eIDASIdentifier").str("notation")
	c.AwardingBody = strings.Join(r.bodies, "; ")
	for _, e := range root.nodes("evidence") {
		if s := e.str("evidenceStatement"); s != "" {
			c.Mandate = s
		}
	}
	c.IssuedAt, c.ValidFrom, c.ValidUntil = root.time("issued"), root.time("validFrom"), root.time("validUntil")
	if c.IssuedAt.IsZero() {
		c.IssuedAt = root.time("issuanceDate")
	}
	if c.ValidUntil.IsZero() {
		c.ValidUntil = root.time("expirationDate")
	}
	c.VerifyURL, c.Pages = r.verifyURL, pagesOf(display)
	for _, claim := range subject.nodes("hasClaim") {
		c.Replaces = cmp.Or(c.Replaces, replaced(claim))
	}
	r.envelope(c)
	c.Elements = r.elements()
	return c, nil
}

func languageCode(concept node) string {
	if t, ok := vocab.Languages.ByURI(concept.str("id")); ok {
		return t.Code
	}
	return ""
}

func languagesOf(display node) []string {
	var out []string
	for _, c := range append(display.nodes("primaryLanguage"), display.nodes("language")...) {
		if code := languageCode(c); code != "" && !slices.Contains(out, code) {
			out = append(out, code)
		}
	}
	return out
}

func pagesOf(display node) []Picture {
	var out []Picture
	for _, d := range display.nodes("individualDisplay") {
		for _, detail := range d.nodes("displayDetail") {
			data, err := base64.StdEncoding.DecodeString(detail.node("image").str("content"))
			kind := mediaType(data)
			if err == nil && kind != "" && detail.str("page") == "1" {
				out = append(out, Picture{Language: languageCode(d.node("language")), MediaType: kind, Data: data})
			}
		}
	}
	return out
}

// mediaType knows the two kinds of picture by their first bytes; others are not shown.
func mediaType(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte(pngMagic)):
		return "image/png"
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return "image/jpeg"
	default:
		return ""
	}
}

func learnerName(subject node, lang string) string {
	if s := subject.first("fullName", lang); s != "" {
		return s
	}
	return strings.TrimSpace(subject.first("givenName", lang) + " " + subject.first("familyName", lang))
}

// reader collects the values of the elements.
type reader struct {
	root      node
	lang      string
	values    map[string][]string
	bodies    []string
	verifyURL string
}

// put adds values to an element, each once.
func (r *reader) put(key string, values ...string) {
	for _, v := range values {
		if v != "" && !slices.Contains(r.values[key], v) {
			r.values[key] = append(r.values[key], v)
		}
	}
}

// envelope reads what stands outside the claims.
func (r *reader) envelope(c Content) {
	subject := r.root.node("credentialSubject")
	r.put("learner", c.Learner)
	if born := subject.time("dateOfBirth"); !born.IsZero() {
		r.put("learner", born.Format(time.DateOnly))
	}
	for _, id := range append(subject.nodes("identifier"), subject.nodes("nationalID")...) {
		r.put("learner", strings.TrimPrefix(id.str("schemeName")+": "+id.str("notation"), ": "))
	}
	for _, place := range r.root.node("issuer").nodes("location") {
		for _, a := range place.nodes("address") {
			r.put("country", a.labels("countryCode", r.lang)...)
		}
	}
	if !c.IssuedAt.IsZero() {
		r.put("issued", c.IssuedAt.Format(time.DateOnly))
	}
	if !c.ValidUntil.IsZero() {
		r.put("valid_until", c.ValidUntil.Format(time.DateOnly))
	}
	if len(r.values["title"]) == 0 {
		r.put("title", c.Title)
	}
}

func (r *reader) claims() {
	for _, claim := range r.root.node("credentialSubject").nodes("hasClaim") {
		r.put("title", claim.text("title", r.lang)...)
		r.awarded(claim.node("awardedBy"))
		if !claim.is("LearningAchievement") {
			continue
		}
		for _, q := range claim.nodes("specifiedBy") {
			r.qualification(q)
		}
		for _, a := range claim.nodes("provenBy") {
			r.assessment(a)
		}
		for _, a := range claim.nodes("influencedBy") {
			r.put("participation", a.node("specifiedBy").labels("mode", r.lang)...)
		}
		for _, e := range claim.nodes("entitlesTo") {
			r.put("stackability", e.text("title", r.lang)...)
		}
		r.further(claim)
	}
}

func (r *reader) awarded(process node) {
	for _, body := range process.nodes("awardingBody") {
		name := body.first("legalName", r.lang)
		if name != "" && !slices.Contains(r.bodies, name) {
			r.bodies = append(r.bodies, name)
		}
		r.put("awarding_body", name, body.node("eIDASIdentifier").str("notation"))
		for _, a := range body.nodes("accreditation") {
			r.quality(a)
		}
	}
}

func (r *reader) qualification(q node) {
	for _, o := range q.nodes("learningOutcome") {
		r.put("outcomes", o.text("title", r.lang)...)
		r.put("skills", o.labels("relatedESCOSkill", r.lang)...)
	}
	r.put("outcomes", r.notes(q, "learningOutcomeSummary")...)
	for _, p := range q.nodes("creditPoint") {
		r.put("workload", credit(p, r.lang))
	}
	r.put("workload", hours(q.str("volumeOfLearning"), r.lang))
	for _, l := range q.nodes("eqfLevel") {
		r.put("level", eqf(l, r.lang))
	}
	r.put("level", q.labels("nqfLevel", r.lang)...)
	r.put("level", q.labels("educationLevel", r.lang)...)
	r.put("participation", q.labels("mode", r.lang)...)
	for _, a := range q.nodes("accreditation") {
		r.quality(a)
	}
	r.put("prerequisites", r.notes(q, "entryRequirement")...)
	for _, whole := range q.nodes("isPartOf") {
		r.put("stackability", whole.text("title", r.lang)...)
	}
	r.put("stackability", r.notes(q, "additionalNote")...)
	for _, h := range q.nodes("homepage") {
		r.put("further", h.str("contentURL"))
	}
}

func (r *reader) assessment(a node) {
	spec := a.node("specifiedBy")
	r.put("assessment", a.text("title", r.lang)...)
	r.put("assessment", spec.labels("dcType", r.lang)...)
	r.put("assessment", spec.labels("mode", r.lang)...)
	r.put("assessment", spec.node("gradingScheme").text("title", r.lang)...)
	r.put("supervision", a.labels("idVerification", r.lang)...)
	r.put("grade", r.notes(a, "grade")...)
}

func (r *reader) quality(a node) {
	r.put("quality", a.text("title", r.lang)...)
	r.put("quality", a.labels("dcType", r.lang)...)
	r.put("quality", a.node("accreditingAgent").text("legalName", r.lang)...)
}

func (r *reader) notes(n node, member string) []string {
	var out []string
	for _, note := range n.nodes(member) {
		out = append(out, note.text("noteLiteral", r.lang)...)
	}
	return out
}

// further reads the notes and documents of a claim. One document that we write ourselves is
// the page where the state of the credential can be seen; it is known by its title.
func (r *reader) further(claim node) {
	for _, doc := range claim.nodes("supplementaryDocument") {
		url := doc.str("contentURL")
		if title := doc.first("title", "en"); title == allWords["en"].verify || title == allWords["nl"].verify {
			r.verifyURL = url
			continue
		}
		r.put("further", url)
	}
	for _, n := range claim.nodes("additionalNote") {
		literal := n.text("noteLiteral", r.lang)
		if r.verifyURL == "" || !strings.HasSuffix(strings.Join(literal, ""), " "+r.verifyURL) {
			r.put("further", literal...)
		}
	}
}

// replaced is the id of another credential in a note that we write ourselves, known by its
// subject.
func replaced(claim node) string {
	for _, n := range claim.nodes("additionalNote") {
		for lang, w := range allWords {
			if n.node("subject").first("prefLabel", lang) != w.replaces {
				continue
			}
			for word := range strings.FieldsSeq(n.first("noteLiteral", lang)) {
				if id := strings.TrimRight(word, ".,"); strings.HasPrefix(id, urnPrefix) {
					return id
				}
			}
		}
	}
	return ""
}

func credit(p node, lang string) string {
	point, framework := p.str("point"), p.node("framework")
	if point == "" {
		return ""
	}
	if t, ok := vocab.CreditFrameworks.ByURI(framework.str("id")); ok && t.Code == "ects" {
		return fmt.Sprintf(wordsIn(lang).page.creditUnit, point)
	}
	return strings.TrimSpace(point + " " + framework.first("prefLabel", lang))
}

var wholeHours = regexp.MustCompile(`^PT([0-9]{1,6})H$`)

// hours writes a duration of whole hours in words and leaves any other as it is.
func hours(duration, lang string) string {
	m := wholeHours.FindStringSubmatch(duration)
	if m == nil {
		return duration
	}
	return strings.Replace(wordsIn(lang).page.hours, "%d", m[1], 1)
}

func eqf(level node, lang string) string {
	if t, ok := vocab.EQF.ByURI(level.str("id")); ok {
		return "EQF " + t.Code
	}
	return level.first("prefLabel", lang)
}

func (r *reader) elements() []Element {
	var out []Element
	for _, e := range elementLabels {
		if len(r.values[e.key]) == 0 {
			continue
		}
		label := e.en
		if r.lang == "nl" {
			label = e.nl
		}
		out = append(out, Element{Key: e.key, Label: label, Values: r.values[e.key], Mandatory: e.mandatory})
	}
	return out
}
