package elm

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/vocab"
)

// achievement is the one claim of the credential: what was achieved, how it was proven, by
// whom it was awarded, and the qualification that specifies it.
func (b *builder) achievement(body organisation) achievement {
	content := b.in.Version.Content
	awarded := awardingProcess{
		ID: b.id("awardingProcess"), Type: "AwardingProcess",
		AwardingBody: []organisation{body}, AwardingDate: moment(b.in.AwardedAt),
	}
	a := achievement{
		ID: b.id("learningAchievement"), Type: "LearningAchievement",
		Title: b.text(content.Title),
		Description: b.say(func(w words, lang string) string {
			return fmt.Sprintf(w.completed, content.Title.In(lang))
		}),
		AwardedBy:      awarded,
		ProvenBy:       []assessment{b.assessment(awarded)},
		InfluencedBy:   []activity{b.activity(awarded)},
		CreditReceived: []creditPoint{b.credits()},
		SpecifiedBy:    b.qualification(body),
	}
	a.AdditionalNote = []note{*b.note(
		b.say(func(w words, _ string) string { return fmt.Sprintf(w.verifyAt, b.in.VerifyURL) }),
		b.free(b.say(func(w words, _ string) string { return w.verify })))}
	if b.in.Replaces != "" {
		// The model has no property for it, so it is a note with a subject of its own: people read it in every viewer.
		a.AdditionalNote = append(a.AdditionalNote, *b.note(
			b.say(func(w words, _ string) string { return fmt.Sprintf(w.replacesIt, urnPrefix+b.in.Replaces) }),
			b.free(b.say(func(w words, _ string) string { return w.replaces }))))
	}
	if content.Further != nil {
		a.AdditionalNote = append(a.AdditionalNote, *b.note(b.text(content.Further),
			b.free(b.say(func(w words, _ string) string { return w.further }))))
	}
	a.SupplementaryDocument = []webResource{{
		ID: b.id("webResource"), Type: "WebResource",
		Title: b.say(func(w words, _ string) string { return w.verify }), ContentURL: b.in.VerifyURL,
	}}
	return a
}

func (b *builder) languageOfInstruction() []concept {
	return []concept{b.concept(vocab.Languages, b.in.Version.Content.Instruction, "instruction")}
}

func (b *builder) result(w words, lang string) string {
	if b.grade != nil {
		return b.grade(lang)
	}
	return w.result(b.in)
}

func (b *builder) assessment(awarded awardingProcess) assessment {
	how := b.in.Version.Content.Assessment
	a := assessment{
		ID: b.id("learningAssessment"), Type: "LearningAssessment",
		Title:     b.text(how.Title),
		AwardedBy: awarded,
		Grade:     *b.note(b.say(b.result), nil),
		SpecifiedBy: assessmentSpec{
			ID: b.id("learningAssessmentSpec"), Type: "LearningAssessmentSpecification",
			Title:    b.text(how.Title),
			DcType:   b.concept(vocab.AssessmentTypes, how.Type, "assessment.type"),
			Mode:     []concept{b.concept(vocab.Modes, how.Mode, "assessment.mode")},
			Language: b.languageOfInstruction(),
		},
	}
	if how.Supervision != "" {
		c := b.concept(vocab.Supervisions, how.Supervision, "assessment.supervision")
		a.IDVerification = &c
	}
	if title := b.text(how.Grading); title != nil {
		a.SpecifiedBy.GradingScheme = &gradingScheme{ID: b.id("gradingScheme"), Type: "GradingScheme", Title: title}
	}
	return a
}

func (b *builder) hours() string { return "PT" + strconv.Itoa(b.in.Version.Content.Hours) + "H" }

func (b *builder) activity(awarded awardingProcess) activity {
	content := b.in.Version.Content
	return activity{
		ID: b.id("activity"), Type: "LearningActivity",
		Title: b.text(content.Title), AwardedBy: awarded, Workload: b.hours(),
		SpecifiedBy: activitySpec{
			ID: b.id("learningActivitySpec"), Type: "LearningActivitySpecification",
			Title:            b.text(content.Title),
			Mode:             []concept{b.concept(vocab.Modes, content.Participation, "participation")},
			Language:         b.languageOfInstruction(),
			VolumeOfLearning: b.hours(),
		},
	}
}

func (b *builder) credits() creditPoint {
	return creditPoint{
		ID: b.id("creditPoint"), Type: "CreditPoint",
		Framework: b.concept(vocab.CreditFrameworks, "ects", "ects"),
		Point:     strconv.FormatFloat(b.in.Version.Content.ECTS, 'f', -1, 64),
	}
}

func (b *builder) qualification(body organisation) qualification {
	content := b.in.Version.Content
	level := b.concept(vocab.EQF, strconv.Itoa(content.EQF), "eqf")
	q := qualification{
		ID: b.id("qualification"), Type: "Qualification",
		Title:            b.text(content.Title),
		Description:      b.text(content.Description),
		DcType:           []concept{b.concept(vocab.LearningOpportunities, "short-learning-programme", "dcType")},
		Language:         b.languageOfInstruction(),
		Mode:             []concept{b.concept(vocab.Modes, content.Participation, "participation")},
		EqfLevel:         &level,
		CreditPoint:      []creditPoint{b.credits()},
		VolumeOfLearning: b.hours(),
		EntryRequirement: b.note(b.text(content.Prerequisites), nil),
		Accreditation:    []accreditation{b.accreditation(body)},
	}
	if content.ISCED != "" {
		q.ThematicArea = []concept{b.concept(vocab.Subjects, content.ISCED, "isced")}
	}
	if content.Cycle != "" {
		q.EducationLevel = []concept{*b.free(b.say(func(w words, _ string) string { return w.cycles[content.Cycle] }))}
	}
	for i, o := range content.Outcomes {
		q.LearningOutcome = append(q.LearningOutcome, b.outcome(o, "outcomes["+strconv.Itoa(i)+"]"))
	}
	if s := content.Stackability; s != nil {
		q.IsPartialQualification = true
		q.IsPartOf = []qualification{{ID: b.id("qualification"), Type: "Qualification", Title: b.text(s.Into)}}
		if n := b.text(s.Note); n != nil {
			q.AdditionalNote = []note{*b.note(n, b.free(b.say(func(w words, _ string) string { return w.stackable })))}
		}
	}
	if content.Homepage != "" {
		q.Homepage = []webResource{{ID: b.id("webResource"), Type: "WebResource", ContentURL: content.Homepage}}
	}
	return q
}

func (b *builder) outcome(o templates.Outcome, field string) learningOutcome {
	out := learningOutcome{ID: b.id("learningOutcome"), Type: "LearningOutcome", Title: b.text(o.Title)}
	if o.Kind != "" {
		c := b.concept(vocab.SkillTypes, o.Kind, field+".kind")
		out.DcType = &c
	}
	if o.Reuse != "" {
		c := b.concept(vocab.ReuseLevels, o.Reuse, field+".reuse")
		out.ReusabilityLevel = &c
	}
	for _, s := range o.Skills {
		out.RelatedESCOSkill = append(out.RelatedESCOSkill, conceptOf(s.URI, vocab.EscoSkills, b.text(s.Label)))
	}
	return out
}

func (b *builder) accreditation(body organisation) accreditation {
	quality := b.in.Version.Content.Quality
	a := accreditation{
		ID: b.id("accreditation"), Type: "Accreditation",
		Title:  b.text(quality.Title),
		DcType: b.concept(vocab.QualityTypes, quality.Type, "quality.type"),
		AccreditingAgent: organisation{
			ID: b.id("org"), Type: "Organisation", LegalName: b.text(quality.Agency),
			Location: []location{{ID: b.id("location"), Type: "Location", Address: []address{{
				ID: b.id("address"), Type: "Address",
				CountryCode: b.concept(vocab.Countries, quality.AgencyCountry, "quality.agency_country"),
			}}}},
		},
	}
	if strings.HasPrefix(quality.Type, "institutional") {
		a.Organisation = []organisation{body}
	}
	return a
}
