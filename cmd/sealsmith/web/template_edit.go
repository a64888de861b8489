package web

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/vocab"
)

// editPage is the form of a template, new or not. Its methods give the template each
// field's value, its problem and its choices.
type editPage struct {
	ID      string // of the template; empty: a new one
	From    string // starter of a new one
	Title   Words
	Number  int // newest version; the form was filled from it
	Saved   int // version that was just saved, 0: none
	Same    bool
	Moved   bool // somebody else has saved a version since
	Blanks  int  // empty outcomes at the end
	Trouble []formTrouble

	values    url.Values
	problems  map[string][]string
	languages []string
	outcomes  int
	labels    map[string]string
}

// formTrouble is one line of the summary: a link to the field and what to write there.
type formTrouble struct{ Anchor, Label, Sentence string }

// option is one choice of a select.
type option struct {
	Code, Word string
	On         bool
}

// textInput is one language of a text.
type textInput struct{ Name, Lang, Language, Value, Err string }

// outcomeForm and skillForm are rows of the form.
type (
	outcomeForm struct {
		Path   string
		Number int
		Skills []skillForm
	}
	skillForm struct {
		Path   string
		Number int
	}
)

// newEditPage fills the form with a content. Values that are no content, such as a figure
// that is none, can be set on it afterwards.
func (s *Web) newEditPage(c templates.Content, problems templates.Problems) *editPage {
	p := &editPage{Title: words(c.Title), Blanks: 1, values: contentForm(c), problems: map[string][]string{}, languages: c.Languages, outcomes: len(c.Outcomes), labels: s.fields}
	if len(p.languages) == 0 {
		p.languages = []string{pageLanguage}
	}
	for _, one := range problems {
		p.refuse(one.Field, one.Sentence)
	}
	return p
}

// refuse notes a problem of a field.
func (p *editPage) refuse(field, sentence string) {
	p.problems[field] = append(p.problems[field], sentence)
	p.Trouble = append(p.Trouble, formTrouble{Anchor: p.anchor(field, sentence), Label: p.Label(field), Sentence: sentence})
}

// languageOf is the index of the language that a problem of a text names, else the first.
func (p *editPage) languageOf(problem string) int {
	for i, lang := range p.languages {
		if strings.Contains(problem, languageNames([]string{lang})[0]) {
			return i
		}
	}
	return 0
}

// anchor is the id of the input that a field's problem is shown at.
func (p *editPage) anchor(field, problem string) string {
	last := field[strings.LastIndexByte(field, '.')+1:]
	switch last {
	case "title", "description", "grading", "agency", "prerequisites", "into", "note", "further", "label":
		return field + "." + p.languages[p.languageOf(problem)]
	case "outcomes":
		return outcomePath(0) + ".title." + p.languages[0]
	}
	if strings.HasSuffix(field, ".skills") {
		return field + "[0].uri"
	}
	return field
}

var index = regexp.MustCompile(`\[(\d+)\]`)

// Label is the name of a field: of "outcomes[1].title" that of "outcomes.title" with the
// number put in.
func (p *editPage) Label(field string) string {
	label := p.labels[index.ReplaceAllString(field, "")]
	if label == "" {
		return field
	}
	for _, m := range index.FindAllStringSubmatch(field, -1) {
		if i, err := strconv.Atoi(m[1]); err == nil {
			label = strings.Replace(label, "#", strconv.Itoa(i+1), 1)
		}
	}
	return label
}

// Value is what stands in a field.
func (p *editPage) Value(field string) string { return p.values.Get(field) }

// Err is what is wrong with a field, in one sentence or several.
func (p *editPage) Err(field string) string {
	var out []string
	for _, one := range p.problems[field] {
		out = append(out, sentence(one))
	}
	return strings.Join(out, " ")
}

// Texts are the inputs of a text, one per language; a problem stands at the language that
// it names, else at the first.
func (p *editPage) Texts(field string) []textInput {
	out := make([]textInput, 0, len(p.languages))
	for i, lang := range p.languages {
		in := textInput{Name: field + "." + lang, Lang: lang, Language: languageNames([]string{lang})[0], Value: p.Value(field + "." + lang)}
		for _, problem := range p.problems[field] {
			if p.languageOf(problem) == i {
				in.Err = strings.TrimSpace(in.Err + " " + sentence(problem))
			}
		}
		out = append(out, in)
	}
	return out
}

// Outcomes are the rows of learning outcomes, with empty ones at the end.
func (p *editPage) Outcomes() []outcomeForm {
	out := make([]outcomeForm, 0, p.outcomes+p.Blanks)
	for i := range p.outcomes + p.Blanks {
		o := outcomeForm{Path: outcomePath(i), Number: i + 1}
		for j := range mostSkills {
			o.Skills = append(o.Skills, skillForm{Path: skillPath(i, j), Number: j + 1})
			if p.Value(skillPath(i, j)+".uri") == "" && p.Value(skillPath(i, j)+".label."+p.languages[0]) == "" {
				break // one empty row
			}
		}
		out = append(out, o)
	}
	return out
}

// Options are the choices of a field. Lists that are not mandatory begin with an empty one.
func (p *editPage) Options(list, field string) []option {
	tables := map[string]*vocab.List{
		"modes": vocab.Modes, "assessments": vocab.AssessmentTypes, "supervisions": vocab.Supervisions,
		"qualities": vocab.QualityTypes, "levels": vocab.EQF, "subjects": vocab.Subjects, "languages": vocab.Languages, "countries": vocab.Countries,
		"kinds": vocab.SkillTypes, "reuses": vocab.ReuseLevels,
	}
	value := p.Value(field)
	options := []option{{Word: "–", On: value == ""}}
	if list == "cycles" {
		for _, code := range []string{"short", "first", "second", "third"} {
			options = append(options, option{Code: code, Word: p.labels["cycle."+code], On: value == code})
		}
		return options
	}
	for _, term := range tables[list].Terms() {
		word := term.Label(pageLanguage)
		if list == "subjects" {
			word = term.Code + " " + word
		}
		options = append(options, option{Code: term.Code, Word: word, On: value == term.Code})
	}
	return options
}

// templateEdit shows the form with the newest version.
func (s *Web) templateEdit(w http.ResponseWriter, r *http.Request, v *visit) error {
	newest, err := s.deps.Templates.Newest(r.Context(), v.organisation.ID, mux.Vars(r)["id"])
	if err != nil {
		return err
	}
	page := s.newEditPage(newest.Content, nil)
	page.ID, page.Number = newest.TemplateID, newest.Number
	if saved, err := strconv.Atoi(r.URL.Query().Get("saved")); err == nil && saved == newest.Number {
		page.Saved, page.Same = saved, r.URL.Query().Has("same")
	}
	return s.showEdit(w, r, v, http.StatusOK, page)
}

func (s *Web) showEdit(w http.ResponseWriter, r *http.Request, v *visit, status int, page *editPage) error {
	return s.show(w, r, status, view{name: "edit", frame: v.frame(), page: page})
}

// sentence makes a sentence of what begins in lower case and lacks its full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}
