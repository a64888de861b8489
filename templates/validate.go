package templates

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sealsmith/sealsmith/templates/vocab"
)

// Most characters (not bytes) of a text, and most entries of a list.
const (
	maxTitle    = 160
	maxSentence = 400
	maxText     = 2000
	maxOutcomes = 12
	maxSkills   = 10
	maxECTS     = 60
	maxURL      = 500
	maxValidity = 240 // months
)

// Hours of work that make one ECTS credit (ECTS Users' Guide 2015, page 10).
const (
	leastHours = 25
	mostHours  = 30
)

var (
	escoForm  = regexp.MustCompile(`^http://data\.europa\.eu/esco/skill/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	brandForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	emailForm = regexp.MustCompile(`^[^\s@<>"]+@[^\s@<>"]+\.[^\s@<>".]+$`)
	// identifierForm is the organisationIdentifier of ETSI EN 319 412-1, section 5.1.4: three letters of the
	// scheme and a country, or a national scheme of two letters and a colon.
	identifierForm = regexp.MustCompile(`^([A-Z]{3}[A-Z]{2}|[A-Z]{2}:[A-Z]{2})-[A-Za-z0-9][A-Za-z0-9.+/:_ -]{0,60}$`)
)

// cycleLevels says which level of the EQF a cycle of the EHEA stands for.
var cycleLevels = map[string]int{"short": 5, "first": 6, "second": 7, "third": 8}

// Problem is one thing to mend in a form.
type Problem struct {
	// Field is the JSON path of the field, for example "outcomes[2].title".
	Field string
	// Sentence says what to write there.
	Sentence string
}

// Problems is what Validate returns when there is something to mend: all of it at once, in
// the order of the form. It is never empty when returned as an error.
type Problems []Problem

// Error joins field and sentence of every problem.
func (p Problems) Error() string {
	parts := make([]string, len(p))
	for i, one := range p {
		parts[i] = one.Field + ": " + one.Sentence
	}
	return strings.Join(parts, "; ")
}

func (p *Problems) add(field, format string, args ...any) {
	*p = append(*p, Problem{Field: field, Sentence: fmt.Sprintf(format, args...)})
}

func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Validate checks that the content is complete and plausible: every mandatory element of
// Annex I of the Council Recommendation 2022/C 243/02 is there, codes are in their lists,
// workload and credits fit each other, texts are plain. It returns Problems or nil.
func (c Content) Validate() error {
	v := contentCheck{c: c}
	v.languages()
	v.texts("title", c.Title, maxTitle, everyLanguage)
	v.texts("description", c.Description, maxText, mayBeEmpty)
	v.outcomes()
	v.workload()
	v.level()
	if c.ISCED != "" && !vocab.Subjects.Has(c.ISCED) {
		v.add("isced", "choose a field of the list ISCED-F; %q is not in it", c.ISCED)
	}
	if !vocab.Languages.Has(c.Instruction) {
		v.add("instruction", "choose the language in which the course is taught")
	}
	v.assessment()
	if !vocab.Modes.Has(c.Participation) {
		v.add("participation", "choose how learners take part")
	}
	v.quality()
	v.texts("prerequisites", c.Prerequisites, maxText, mayBeEmpty)
	if s := c.Stackability; s != nil {
		v.texts("stackability.into", s.Into, maxSentence, primaryLanguage)
		v.texts("stackability.note", s.Note, maxText, mayBeEmpty)
	}
	v.texts("further", c.Further, maxText, mayBeEmpty)
	v.webPage("homepage", c.Homepage)
	if r := c.Rule.MinPercent; math.IsNaN(r) || r <= 0 || r > 100 {
		v.add("rule.min_percent", "write a percentage above 0 and up to 100")
	}
	if c.Validity < 0 || c.Validity > maxValidity {
		v.add("validity_months", "write a number of months, at most %d, or leave it empty for credentials that do not end", maxValidity)
	}
	return v.err()
}

// need says in which languages a text must be there.
type need int

const (
	mayBeEmpty need = iota
	primaryLanguage
	everyLanguage
)

type contentCheck struct {
	Problems
	c Content
}

func (v *contentCheck) languages() {
	if len(v.c.Languages) == 0 || len(v.c.Languages) > 6 {
		v.add("languages", "choose one to six languages; the first is the primary one")
	}
	for i, l := range v.c.Languages {
		if !vocab.Languages.Has(l) {
			v.add("languages", "%q is not a language code of the list, such as en or nl", l)
		}
		if slices.Contains(v.c.Languages[:i], l) {
			v.add("languages", "%s is chosen twice", l)
		}
	}
}

// texts checks a text in all its languages. A text in a language that the content does not
// have would be lost without a word, so it is a problem too.
func (v *contentCheck) texts(field string, t Text, most int, n need) {
	for i, l := range v.c.Languages {
		if t[l] == "" && (n == everyLanguage || n == primaryLanguage && i == 0) {
			v.add(field, "write this text in %s", languageName(l))
		}
	}
	for _, l := range sortedKeys(t) {
		if !slices.Contains(v.c.Languages, l) {
			v.add(field, "there is a text in %s, which is not a language of this micro-credential", languageName(l))
		}
		v.plain(field, t[l], most)
	}
}

func languageName(code string) string {
	if t, ok := vocab.Languages.Lookup(code); ok {
		return t.Label("en")
	}
	return strconv.Quote(code)
}

func sortedKeys(t Text) []string {
	keys := make([]string, 0, len(t))
	for k := range t {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// plain wants one line of plain text: no control characters, none that turn the direction of
// writing (they can make a sealed text look like another), no space at either end.
func (p *Problems) plain(field, s string, most int) {
	switch {
	case !utf8.ValidString(s):
		p.add(field, "this text is damaged; type it again")
	case strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
	}):
		p.add(field, "write one line of plain text, without line breaks or control characters")
	case s != strings.TrimSpace(s):
		p.add(field, "remove the space at the beginning or the end")
	case utf8.RuneCountInString(s) > most:
		p.add(field, "write at most %d characters; these are %d", most, utf8.RuneCountInString(s))
	}
}

func (v *contentCheck) outcomes() {
	if n := len(v.c.Outcomes); n == 0 || n > maxOutcomes {
		v.add("outcomes", "write one to %d learning outcomes; there are %d", maxOutcomes, n)
	}
	labels := map[string]Text{}
	for i, o := range v.c.Outcomes {
		field := "outcomes[" + strconv.Itoa(i) + "]"
		v.texts(field+".title", o.Title, maxSentence, everyLanguage)
		for _, before := range v.c.Outcomes[:i] {
			if l := sameText(o.Title, before.Title); l != "" {
				v.add(field+".title", "this outcome is written twice (%s)", languageName(l))
			}
		}
		if o.Kind != "" && !vocab.SkillTypes.Has(o.Kind) {
			v.add(field+".kind", "choose skill or knowledge, or leave it open")
		}
		if o.Reuse != "" && !vocab.ReuseLevels.Has(o.Reuse) {
			v.add(field+".reuse", "choose a reusability level of the list, or leave it open")
		}
		v.skills(field+".skills", o.Skills, labels)
	}
}

// sameText returns a language in which both texts are the same, or "".
func sameText(a, b Text) string {
	for _, l := range sortedKeys(a) {
		if a[l] != "" && strings.EqualFold(a[l], b[l]) {
			return l
		}
	}
	return ""
}

// skills checks the ESCO skills of one outcome. labels remembers those of the outcomes
// before: one skill may serve two outcomes, but under one label, since a sealed file knows a
// concept by its URI alone.
func (v *contentCheck) skills(field string, skills []Skill, labels map[string]Text) {
	if len(skills) > maxSkills {
		v.add(field, "choose at most %d skills", maxSkills)
	}
	seen := map[string]bool{}
	for i, s := range skills {
		at := field + "[" + strconv.Itoa(i) + "]"
		if !escoForm.MatchString(s.URI) {
			v.add(at+".uri", "this is not the address of an ESCO skill, http://data.europa.eu/esco/skill/…")
		}
		if seen[s.URI] {
			v.add(at+".uri", "this skill is chosen twice")
		}
		seen[s.URI] = true
		v.texts(at+".label", s.Label, maxSentence, primaryLanguage)
		if before, ok := labels[s.URI]; ok && !equalText(before, s.Label) {
			v.add(at+".label", "the same skill has another label in an outcome above")
		}
		labels[s.URI] = s.Label
	}
}

func equalText(a, b Text) bool {
	if len(a) != len(b) {
		return false
	}
	for l, s := range a {
		if b[l] != s {
			return false
		}
	}
	return true
}

func (v *contentCheck) workload() {
	ects, hours := v.c.ECTS, v.c.Hours
	if math.IsNaN(ects) || ects <= 0 || ects > maxECTS || math.Abs(ects*100-math.Round(ects*100)) > 1e-9 {
		v.add("ects", "write the credits as a number above 0, up to %d, with at most two decimals", maxECTS)
		return
	}
	least, most := int(math.Floor(leastHours*ects)), int(math.Ceil(mostHours*ects))
	if hours < max(least, 1) || hours > most {
		v.add("hours", "%d hours do not fit %s ECTS: one credit is %d to %d hours of work, so write %d to %d hours or change the credits",
			hours, strconv.FormatFloat(ects, 'f', -1, 64), leastHours, mostHours, max(least, 1), most)
	}
}

func (v *contentCheck) level() {
	if v.c.EQF < 1 || v.c.EQF > 8 {
		v.add("eqf", "choose a level from 1 to 8")
		return
	}
	if v.c.Cycle == "" {
		return
	}
	level, ok := cycleLevels[v.c.Cycle]
	if !ok {
		v.add("cycle", "choose short, first, second or third cycle, or leave it open")
	} else if level != v.c.EQF {
		v.add("cycle", "the %s cycle is EQF level %d, but the level above is %d", v.c.Cycle, level, v.c.EQF)
	}
}

func (v *contentCheck) assessment() {
	a := v.c.Assessment
	v.texts("assessment.title", a.Title, maxSentence, primaryLanguage)
	if !vocab.AssessmentTypes.Has(a.Type) {
		v.add("assessment.type", "choose how the outcomes are assessed")
	}
	if !vocab.Modes.Has(a.Mode) {
		v.add("assessment.mode", "choose where or in which form the assessment takes place")
	}
	if a.Supervision != "" && !vocab.Supervisions.Has(a.Supervision) {
		v.add("assessment.supervision", "choose a kind of supervision of the list, or leave it open")
	}
	v.texts("assessment.grading", a.Grading, maxSentence, mayBeEmpty)
}

func (v *contentCheck) quality() {
	q := v.c.Quality
	if !vocab.QualityTypes.Has(q.Type) {
		v.add("quality.type", "choose how the quality is assured")
	}
	v.texts("quality.title", q.Title, maxSentence, primaryLanguage)
	v.texts("quality.agency", q.Agency, maxSentence, primaryLanguage)
	if !vocab.Countries.Has(q.AgencyCountry) {
		v.add("quality.agency_country", "choose the country of the agency")
	}
}

// webPage accepts an absolute https address without user name, or none.
func (p *Problems) webPage(field, s string) {
	if s == "" {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || len(s) > maxURL || strings.ContainsAny(s, " <>\"\\^`{|}") {
		p.add(field, "write a full address that begins with https://")
	}
}

// Validate checks that the organisation can stand as an awarding body in a credential. It
// returns Problems or nil. The slug is the store's matter.
func (o Organisation) Validate() error {
	var p Problems
	named := false
	for _, l := range sortedKeys(o.Name) {
		if !vocab.Languages.Has(l) {
			p.add("name", "%q is not a language code of the list, such as en or nl", l)
		}
		named = named || o.Name[l] != ""
		p.plain("name", o.Name[l], maxTitle)
	}
	if !named {
		p.add("name", "write the legal name of the organisation")
	}
	if !vocab.Countries.Has(o.Country) {
		p.add("country", "choose the country of the organisation")
	}
	if !identifierForm.MatchString(o.Identifier) {
		p.add("identifier", "write the identifier as it stands in the seal certificate, for example NTRNL-12345678 or VATBE-0123456789")
	}
	p.plain("registration", o.Registration, maxTitle)
	p.plain("address", o.Address, maxSentence)
	p.webPage("homepage", o.Homepage)
	if o.Email != "" && (len(o.Email) > 254 || !emailForm.MatchString(o.Email)) {
		p.add("email", "write an e-mail address, or leave it empty")
	}
	if o.Seal.Level != "" && !slices.Contains(SealLevels(), o.Seal.Level) {
		p.add("seal", "the level of the seal is B, T, LT or LTA, or empty for the highest that is set up")
	}
	if o.Brand != "" && !brandForm.MatchString(o.Brand) {
		p.add("brand", "write a colour as # and six digits 0-9, a-f, for example #1d4b73")
	}
	return p.err()
}
