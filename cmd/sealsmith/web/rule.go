package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sealsmith/sealsmith/lti"
)

// rulePage asks for the least score. Version pins what the teacher has seen.
type rulePage struct {
	Template, Version string
	Title             Words
	ECTS              float64
	Number            int
	Percent           string
	Trouble           string // sentence, shown at the field
	NoGrade           bool   // the platform makes no grade column for the item
	Columns           bool   // the platform lets us make columns
	Scores            bool   // and write scores into them
	Calculated, Mark  bool   // what was chosen
	Back              string
	Sealing           sealingNotice
}

// rule shows the question with the template's own figure.
func (s *Web) rule(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := r.URL.Query().Get("template")
	if id == "" {
		return s.showPick(w, r, v, true)
	}
	if ok, err := s.acceptable(w, r, v); !ok {
		return err
	}
	version, err := s.deps.Templates.Newest(r.Context(), v.organisation.ID, id)
	if err != nil {
		return err
	}
	c := version.Content
	page := rulePage{
		Template: id, Version: version.ID, Title: words(c.Title), ECTS: c.ECTS, Number: version.Number,
		Percent: number(c.Rule.MinPercent), Back: withQuery("pick", "q", r.URL.Query().Get("q"), "template", id),
	}
	return s.showRule(w, r, v, http.StatusOK, page)
}

func (s *Web) showRule(w http.ResponseWriter, r *http.Request, v *visit, status int, page rulePage) error {
	ags := v.launch.AGS
	page.Columns = ags.LineItems != "" && slices.Contains(ags.Scopes, lti.ScopeLineItem)
	page.Scores = page.Columns && slices.Contains(ags.Scopes, lti.ScopeScore)
	page.NoGrade = !page.Columns && ags.LineItem == ""
	if d := v.launch.DeepLinking; d != nil {
		page.NoGrade = !page.Columns && d.AcceptLineItem != nil && !*d.AcceptLineItem
	}
	var err error
	if page.Sealing, err = s.sealingNotice(r.Context(), v.organisation); err != nil {
		return err
	}
	return s.show(w, r, status, view{name: "rule", frame: v.frame(), page: &page})
}

// figure reads a number as people write it, with a comma or a point, with or without %.
func figure(text string) string {
	text = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "%"))
	return strings.Replace(text, ",", ".", 1)
}
