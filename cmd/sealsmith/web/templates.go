package web

import (
	"net/http"
	"time"
)

// templatesPage lists what the organisation promises.
type templatesPage struct {
	Items   []templateItem
	Tabs    tabs
	Sealing sealingNotice
}

type templateItem struct {
	ID         string
	Title      Words
	ECTS       float64
	Hours, EQF int
	Number     int
	At         time.Time
}

func (s *Web) templates(w http.ResponseWriter, r *http.Request, v *visit) error {
	all, err := s.deps.Templates.List(r.Context(), v.organisation.ID)
	if err != nil {
		return err
	}
	page := templatesPage{}
	for _, version := range all {
		c := version.Content
		page.Items = append(page.Items, templateItem{
			ID: version.TemplateID, Title: words(c.Title), ECTS: c.ECTS, Hours: c.Hours, EQF: c.EQF,
			Number: version.Number, At: version.CreatedAt,
		})
	}
	if page.Sealing, err = s.sealingNotice(r.Context(), v.organisation); err != nil {
		return err
	}
	if page.Tabs, err = s.tabs(r.Context(), v, "templates"); err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, view{name: "templates", frame: v.frame(), page: &page})
}
