package templates

// Text is one text in several languages: ISO 639-1 code to plain text. At least the
// primary language of the content is there.
type Text map[string]string

// In returns the text in lang, else in English, else in any language (the first by code).
func (t Text) In(lang string) string {
	for _, l := range []string{lang, "en"} {
		if s := t[l]; s != "" {
			return s
		}
	}
	best := ""
	for l, s := range t {
		if s != "" && (best == "" || l < best) {
			best = l
		}
	}
	return t[best]
}

// Content is everything that a version promises. Fields named "code" hold keys of the
// lists in package vocab. The comment of each field names the element of Annex I.
type Content struct {
	// Languages of the texts, ISO 639-1; the first is the primary one.
	Languages []string `json:"languages"`
	// Title of the micro-credential (Annex I, mandatory).
	Title Text `json:"title"`
	// Description is one or two sentences for the learner and the recogniser.
	Description Text `json:"description"`
	// Outcomes are the learning outcomes (Annex I, mandatory), three to six as a rule.
	Outcomes []Outcome `json:"outcomes"`
	// ECTS is the notional workload in credit points (Annex I, mandatory), for example 3 or 0.5.
	ECTS float64 `json:"ects"`
	// Hours is the same workload in hours; 25 to 30 hours make one ECTS credit.
	Hours int `json:"hours"`
	// EQF is the level in the European Qualifications Framework, 1 to 8 (Annex I, mandatory).
	EQF int `json:"eqf"`
	// Cycle is the cycle in the framework of the EHEA (Annex I, where applicable): "", "short", "first", "second" or "third".
	Cycle string `json:"cycle,omitempty"`
	// ISCED is the ISCED-F code of the subject, vocab.Subjects.
	ISCED string `json:"isced,omitempty"`
	// Instruction is the language of instruction, ISO 639-1.
	Instruction string `json:"instruction"`
	// Assessment says how the outcomes are tested (Annex I, mandatory).
	Assessment Assessment `json:"assessment"`
	// Participation is the form of participation (Annex I, mandatory): code of vocab.Modes.
	Participation string `json:"participation"`
	// Quality says who assures the quality and how (Annex I, mandatory).
	Quality Quality `json:"quality"`
	// Prerequisites to enrol (Annex I, optional).
	Prerequisites Text `json:"prerequisites,omitempty"`
	// Stackability says into what the credential can be integrated (Annex I, optional).
	Stackability *Stackability `json:"stackability,omitempty"`
	// Further information (Annex I, optional).
	Further Text `json:"further,omitempty"`
	// Homepage of the course, an https URL.
	Homepage string `json:"homepage,omitempty"`
	// Rule is what earns the credential.
	Rule Rule `json:"rule"`
	// SecondPerson demands that a second person confirms before a credential of this version
	// is revoked. It is a rule of the house and stands in no credential.
	SecondPerson bool `json:"second_person,omitempty"`
}

// Outcome is one learning outcome with the ESCO skills it leads to.
type Outcome struct {
	Title  Text    `json:"title"`
	Skills []Skill `json:"skills,omitempty"`
	// Kind is "skill" or "knowledge", the skill type of ESCO; Reuse is its reusability level: "transversal",
	// "cross-sector", "sector-specific" or "occupation-specific". Empty: not stated.
	Kind  string `json:"kind,omitempty"`
	Reuse string `json:"reuse,omitempty"`
}

// Skill is a concept of ESCO: its URI and its preferred label.
type Skill struct {
	URI   string `json:"uri"`
	Label Text   `json:"label"`
}

// Assessment describes how a learner is tested.
type Assessment struct {
	Title Text `json:"title"`
	// Type: code of vocab.AssessmentTypes (Annex I: type of assessment, mandatory).
	Type string `json:"type"`
	// Mode: code of vocab.Modes.
	Mode string `json:"mode"`
	// Supervision and identity verification during assessment: code of vocab.Supervisions (Annex I, optional).
	Supervision string `json:"supervision,omitempty"`
	// Grading names the grading scheme in words, for example "percentage, pass mark 55 %".
	Grading Text `json:"grading,omitempty"`
	// ShowGrade puts the grade achieved into the credential (Annex I, optional).
	ShowGrade bool `json:"show_grade"`
}

// Quality says how the quality is assured.
type Quality struct {
	// Type: code of vocab.QualityTypes.
	Type string `json:"type"`
	// Title of the accreditation or the decision, for example "Institutional audit 2024, positive".
	Title Text `json:"title"`
	// Agency that accredited, with its country (ISO 3166-1 alpha-2).
	Agency        Text   `json:"agency"`
	AgencyCountry string `json:"agency_country"`
}

// Stackability says of what larger qualification the micro-credential is a part.
type Stackability struct {
	// Into names the larger programme.
	Into Text `json:"into"`
	// Note says on which conditions.
	Note Text `json:"note,omitempty"`
}

// Rule is what earns the credential.
type Rule struct {
	// MinPercent is the least score, in per cent of the maximum of our own grade column, 0 < x <= 100.
	MinPercent float64 `json:"min_percent"`
}
