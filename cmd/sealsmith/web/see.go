package web

import (
	"net/http"

	"github.com/sealsmith/sealsmith/issuance/elm"
)

// seePage shows a teacher all elements that others will read.
type seePage struct {
	Title, Description Words
	Number             int
	Rows               []row
	Back, Choose       string
}

const exampleLearner = "Name of the learner"

// see shows a template as the credential it becomes, with an example name and score.
func (s *Web) see(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, query := r.URL.Query().Get("template"), r.URL.Query().Get("q")
	version, err := s.deps.Templates.Newest(r.Context(), v.organisation.ID, id)
	if err != nil {
		return err
	}
	c := version.Content
	rows, _, err := s.preview(draft{
		organisation: v.organisation, version: version, learner: elm.Learner{FamilyName: exampleLearner},
		score: c.Rule.MinPercent, maximum: 100,
	})
	if err != nil {
		return err
	}
	page := seePage{
		Title: words(c.Title), Description: words(c.Description), Number: version.Number, Rows: rows,
		Back: withQuery("pick", "q", query, "template", id), Choose: withQuery("rule", "q", query, "template", id),
	}
	return s.show(w, r, http.StatusOK, view{name: "see", frame: v.frame(), page: &page})
}
