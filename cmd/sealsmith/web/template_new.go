package web

import (
	"errors"
	"net/http"

	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/starter"
)

// newPage asks with what to begin.
type newPage struct{ Starters []starterItem }

type starterItem struct {
	Name     string
	Title    Words
	ECTS     float64
	EQF      int
	Outcomes int
}

const emptyStarter = "empty"

// templateNew shows the choice, or the form that the choice begins with.
func (s *Web) templateNew(w http.ResponseWriter, r *http.Request, v *visit) error {
	all, err := starter.All()
	if err != nil {
		return err
	}
	from := r.URL.Query().Get("from")
	page := newPage{}
	for _, one := range all {
		if one.Slug == from {
			return s.showNew(w, r, v, one)
		}
		page.Starters = append(page.Starters, starterItem{
			Name: one.Slug, Title: words(one.Content.Title), ECTS: one.Content.ECTS,
			EQF: one.Content.EQF, Outcomes: len(one.Content.Outcomes),
		})
	}
	if from == emptyStarter {
		return s.showNew(w, r, v, starter.Starter{Content: templates.Content{Languages: []string{pageLanguage}, Instruction: pageLanguage}})
	}
	return s.show(w, r, http.StatusOK, view{name: "new", frame: v.frame(), page: &page})
}

func (s *Web) showNew(w http.ResponseWriter, r *http.Request, v *visit, from starter.Starter) error {
	page := s.newEditPage(from.Content, nil)
	page.values.Set("slug", from.Slug)
	if from.Slug == "" {
		for _, name := range []string{"ects", "hours", "eqf", "rule.min_percent"} {
			page.values.Del(name)
		}
	}
	return s.showEdit(w, r, v, http.StatusOK, page)
}

// templateAdd stores the form as a new template.
func (s *Web) templateAdd(w http.ResponseWriter, r *http.Request, v *visit) error {
	form, err := readPosted(r)
	if err != nil {
		return err
	}
	if form.more || len(form.problems) > 0 {
		return s.showEdit(w, r, v, formStatus(form, false), s.again(r, form))
	}
	added, err := s.deps.Templates.Add(r.Context(), v.organisation.ID, r.PostForm.Get("slug"), form.content, v.actor())
	if errors.Is(err, templates.ErrSlug) || errors.Is(err, templates.ErrDuplicate) {
		page := s.again(r, form)
		page.refuse("slug", s.fields[slugTrouble(err)])
		return s.showEdit(w, r, v, http.StatusUnprocessableEntity, page)
	}
	if err != nil {
		return err
	}
	return see303(w, r, v.path("templates/"+added.TemplateID+"?saved=1"))
}

func slugTrouble(err error) string {
	if errors.Is(err, templates.ErrDuplicate) {
		return "slug.taken"
	}
	return "slug.form"
}
