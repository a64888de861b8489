package web

import (
	"net/http"
	"regexp"

	"github.com/gorilla/mux"
)

// colour is the only form in which a colour gets into a style sheet.
var colour = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// brand serves the one colour of an organisation; app.css derives all others and keeps
// them readable. Without a colour the sheet is empty and the house blue stays.
func (s *Web) brand(w http.ResponseWriter, r *http.Request) error {
	o, err := s.deps.Templates.OrganisationBySlug(r.Context(), mux.Vars(r)["slug"])
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", assetTypes[".css"])
	w.Header().Set("Cache-Control", "public, max-age=300")
	sheet := ""
	if colour.MatchString(o.Brand) {
		sheet = ":root{--brand:" + o.Brand + "}\n"
	}
	_, err = w.Write([]byte(sheet))
	return s.gone(r, err)
}
