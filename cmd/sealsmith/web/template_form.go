package web

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sealsmith/sealsmith/templates"
)

// The fields of the form are named by the paths that templates.Problem uses, and a text
// has one input per language: title.en, outcomes[0].skills[1].label.nl.

// textFields are the texts that are one input per language.
var textFields = []string{
	"title", "description", "assessment.title", "assessment.grading", "quality.title", "quality.agency",
	"prerequisites", "stackability.into", "stackability.note", "further",
}

func outcomePath(i int) string { return "outcomes[" + strconv.Itoa(i) + "]" }

func skillPath(i, j int) string { return outcomePath(i) + ".skills[" + strconv.Itoa(j) + "]" }

// contentForm writes a content as the values of its form.
func contentForm(c templates.Content) url.Values {
	f := url.Values{}
	f.Set("languages", strings.Join(c.Languages, ", "))
	f.Set("ects", number(c.ECTS))
	f.Set("hours", strconv.Itoa(c.Hours))
	f.Set("rule.min_percent", number(c.Rule.MinPercent))
	f.Set("eqf", strconv.Itoa(c.EQF))
	f.Set("cycle", c.Cycle)
	f.Set("isced", c.ISCED)
	f.Set("instruction", c.Instruction)
	f.Set("participation", c.Participation)
	f.Set("homepage", c.Homepage)
	f.Set("assessment.type", c.Assessment.Type)
	f.Set("assessment.mode", c.Assessment.Mode)
	f.Set("assessment.supervision", c.Assessment.Supervision)
	f.Set("quality.type", c.Quality.Type)
	f.Set("quality.agency_country", c.Quality.AgencyCountry)
	if c.Assessment.ShowGrade {
		f.Set("assessment.show_grade", "yes")
	}
	if c.SecondPerson {
		f.Set("second_person", "yes")
	}
	for _, name := range textFields {
		setText(f, name, *textField(&c, name))
	}
	for i, o := range c.Outcomes {
		setText(f, outcomePath(i)+".title", o.Title)
		f.Set(outcomePath(i)+".kind", o.Kind)
		f.Set(outcomePath(i)+".reuse", o.Reuse)
		for j, skill := range o.Skills {
			f.Set(skillPath(i, j)+".uri", skill.URI)
			setText(f, skillPath(i, j)+".label", skill.Label)
		}
	}
	return f
}

func setText(f url.Values, name string, t templates.Text) {
	for lang, text := range t {
		f.Set(name+"."+lang, text)
	}
}

// textField is the place of a text in the content. Stackability is made where it is
// missing, and removed again by tidy when it stays empty.
func textField(c *templates.Content, name string) *templates.Text {
	if c.Stackability == nil {
		c.Stackability = &templates.Stackability{}
	}
	switch name {
	case "title":
		return &c.Title
	case "description":
		return &c.Description
	case "assessment.title":
		return &c.Assessment.Title
	case "assessment.grading":
		return &c.Assessment.Grading
	case "quality.title":
		return &c.Quality.Title
	case "quality.agency":
		return &c.Quality.Agency
	case "prerequisites":
		return &c.Prerequisites
	case "stackability.into":
		return &c.Stackability.Into
	case "stackability.note":
		return &c.Stackability.Note
	default:
		return &c.Further
	}
}

// Most rows that a form may have, so that a forged one costs nothing; Validate sets the
// real limits and says them.
const (
	mostOutcomes = 50
	mostSkills   = 30
)

// formContent reads the form. Rows that were left empty disappear. Figures that are none
// become problems here, everything else is judged by Validate.
func formContent(f url.Values) (templates.Content, templates.Problems) {
	var problems templates.Problems
	c := templates.Content{
		Languages: languageCodes(f.Get("languages")), Cycle: f.Get("cycle"), ISCED: f.Get("isced"), Instruction: f.Get("instruction"),
		Participation: f.Get("participation"), Homepage: strings.TrimSpace(f.Get("homepage")),
		SecondPerson: f.Get("second_person") == "yes",
	}
	c.ECTS = formFigure(f, "ects", &problems)
	c.Rule.MinPercent = formFigure(f, "rule.min_percent", &problems)
	c.Hours = int(formFigure(f, "hours", &problems))
	c.EQF, _ = strconv.Atoi(f.Get("eqf")) // a choice; Validate says what to choose
	c.Assessment = templates.Assessment{
		Type: f.Get("assessment.type"), Mode: f.Get("assessment.mode"), Supervision: f.Get("assessment.supervision"),
		ShowGrade: f.Get("assessment.show_grade") == "yes",
	}
	c.Quality = templates.Quality{Type: f.Get("quality.type"), AgencyCountry: f.Get("quality.agency_country")}
	for _, name := range textFields {
		*textField(&c, name) = formText(f, name, c.Languages)
	}
	if len(c.Stackability.Into) == 0 && len(c.Stackability.Note) == 0 {
		c.Stackability = nil
	}
	for i := range mostOutcomes {
		if o, any := formOutcome(f, i, c.Languages); any {
			c.Outcomes = append(c.Outcomes, o)
		}
	}
	return c, problems
}

func formOutcome(f url.Values, i int, languages []string) (o templates.Outcome, any bool) {
	o = templates.Outcome{Title: formText(f, outcomePath(i)+".title", languages), Kind: f.Get(outcomePath(i) + ".kind"), Reuse: f.Get(outcomePath(i) + ".reuse")}
	for j := range mostSkills {
		skill := templates.Skill{URI: strings.TrimSpace(f.Get(skillPath(i, j) + ".uri")), Label: formText(f, skillPath(i, j)+".label", languages)}
		if skill.URI != "" || len(skill.Label) > 0 {
			o.Skills = append(o.Skills, skill)
		}
	}
	return o, len(o.Title) > 0 || len(o.Skills) > 0
}

// formText reads a text in all its languages, as one line each; nil when all are empty.
func formText(f url.Values, name string, languages []string) templates.Text {
	var t templates.Text
	for _, lang := range languages {
		if text := strings.Join(strings.Fields(f.Get(name+"."+lang)), " "); text != "" {
			if t == nil {
				t = templates.Text{}
			}
			t[lang] = text
		}
	}
	return t
}

// languageCodes reads "en, nl" in any of the ways people separate things.
func languageCodes(list string) []string {
	codes := strings.FieldsFunc(strings.ToLower(list), func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\t' })
	return slices.Clip(codes[:min(len(codes), 10)])
}

func formFigure(f url.Values, name string, problems *templates.Problems) float64 {
	text := figure(f.Get(name))
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || value < -1e9 || value > 1e9 || value != value {
		*problems = append(*problems, templates.Problem{Field: name, Sentence: fmt.Sprintf("write a number; “%s” is none", f.Get(name))})
		return 0
	}
	return value
}

// figureFields are kept as they were typed when the form comes back.
var figureFields = []string{"ects", "hours", "rule.min_percent"}
