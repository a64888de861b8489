package web

import (
	"net/http"
	"net/url"

	"github.com/sealsmith/sealsmith/lti"
)

// betweenPage is a page between login and launch, see lti.Page.
type betweenPage struct {
	Kind   lti.PageKind
	Action string // of the form
	Window string // address to open in a new window, empty: there is none
	Fields []lti.Field
	// Storage is what storage.js works with; nil on pages without it.
	Storage *lti.StorageCall
}

// Scripts of these pages: one speaks to the platform's storage, and both hand over what
// was chosen in a window that was opened from here.
const (
	storageScript  = "storage.js"
	handoverScript = "handover.js"
)

// Between is the Page of lti.Deps.
func (s *Web) Between(w http.ResponseWriter, r *http.Request, p lti.Page) {
	page := betweenPage{Kind: p.Kind, Action: p.Action, Fields: p.Fields, Storage: p.Storage}
	f := Frame{Framed: true, Narrow: true, Script: handoverScript}
	if p.Storage != nil {
		f.Script = storageScript
	}
	if p.Kind == lti.PageWindow || p.Kind == lti.PageStore {
		// A link, not a form: the way leads through pages of the platform that no policy
		// of ours could list. Nothing in these fields is a secret.
		q := url.Values{}
		for _, field := range p.Fields {
			q.Set(field.Name, field.Value)
		}
		page.Window, page.Fields = p.Action+"?"+q.Encode(), nil
	}
	if p.Registration.OrganisationID != "" {
		if o, err := s.deps.Templates.Organisation(r.Context(), p.Registration.OrganisationID); err == nil {
			f.Organisation = masthead(o, "")
		}
	}
	platform := platformOrigins(p.Registration, lti.Launch{})
	w.Header().Set("Content-Security-Policy", policy(append([]string{"'self'"}, platform...), platform))
	w.Header().Set("Cache-Control", "no-store")
	if err := s.show(w, r, http.StatusOK, view{name: "between", frame: f, page: &page}); err != nil {
		s.Problem(w, r, err)
	}
}
