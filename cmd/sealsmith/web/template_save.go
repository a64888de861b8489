package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/templates"
)

// Buttons of the form.
const buttonMore = "more" // more empty rows, or other languages; nothing is saved

// posted is a form that came back.
type posted struct {
	content  templates.Content
	problems templates.Problems
	more     bool
}

func readPosted(r *http.Request) (posted, error) {
	if err := parseForm(r); err != nil {
		return posted{}, err
	}
	p := posted{more: r.PostForm.Get("do") == buttonMore}
	p.content, p.problems = formContent(r.PostForm)
	if invalid, ok := errors.AsType[templates.Problems](p.content.Validate()); ok {
		p.problems = append(p.problems, unreported(invalid, p.problems)...)
	}
	return p, nil
}

// unreported leaves out what Validate says of figures that could not be read at all.
func unreported(all, known templates.Problems) templates.Problems {
	fields := map[string]bool{}
	for _, one := range known {
		fields[one.Field] = true
	}
	var out templates.Problems
	for _, one := range all {
		if !fields[one.Field] {
			out = append(out, one)
		}
	}
	return out
}

// again is the form with what was typed; with more rows the problems can wait.
func (s *Web) again(r *http.Request, p posted) *editPage {
	problems := p.problems
	if p.more {
		problems = nil
	}
	page := s.newEditPage(p.content, problems)
	for _, name := range figureFields {
		page.values.Set(name, r.PostForm.Get(name))
	}
	page.values.Set("slug", r.PostForm.Get("slug"))
	page.values.Set("languages", r.PostForm.Get("languages"))
	if blanks, err := strconv.Atoi(r.PostForm.Get("blanks")); err == nil && p.more {
		page.Blanks = min(max(1, blanks+1), mostOutcomes-page.outcomes)
	}
	return page
}

// templateSave stores the form as the next version of the template.
func (s *Web) templateSave(w http.ResponseWriter, r *http.Request, v *visit) error {
	newest, err := s.deps.Templates.Newest(r.Context(), v.organisation.ID, mux.Vars(r)["id"])
	if err != nil {
		return err
	}
	form, err := readPosted(r)
	if err != nil {
		return err
	}
	moved := r.PostForm.Get("version") != strconv.Itoa(newest.Number)
	if form.more || len(form.problems) > 0 || moved {
		page := s.again(r, form)
		page.ID, page.Number, page.Moved, page.Title = newest.TemplateID, newest.Number, moved, words(newest.Content.Title)
		return s.showEdit(w, r, v, formStatus(form, moved), page)
	}
	saved, err := s.deps.Templates.Save(r.Context(), v.organisation.ID, newest.TemplateID, form.content, v.actor())
	if err != nil {
		return fmt.Errorf("save the form: %w", err)
	}
	same := ""
	if saved.Number == newest.Number {
		same = "yes"
	}
	return see303(w, r, withQuery(v.path("templates/"+saved.TemplateID), "saved", strconv.Itoa(saved.Number), "same", same))
}

func formStatus(p posted, moved bool) int {
	switch {
	case p.more:
		return http.StatusOK
	case moved:
		return http.StatusConflict
	default:
		return http.StatusUnprocessableEntity
	}
}
