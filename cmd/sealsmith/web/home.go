package web

import (
	"errors"
	"net/http"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/lti"
)

// Enter is the Enter of lti.Deps: it sends the browser to the session's first page.
func (s *Web) Enter(w http.ResponseWriter, r *http.Request, session lti.Session) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "/s/"+session.ID+"/", http.StatusSeeOther)
}

// home sends everybody to the page that fits the message and the role. Who has several
// roles comes to the class first, which links to the others.
func (s *Web) home(w http.ResponseWriter, r *http.Request, v *visit) error {
	switch l := v.launch; {
	case l.DeepLinking != nil:
		return see303(w, r, v.path("pick"))
	case l.MessageType == lti.MessageDataPrivacy:
		return see303(w, r, v.path("privacy"))
	case learner(l) == nil:
		return see303(w, r, v.path("learn"))
	case l.IsTeacher():
		_, err := s.deps.Grading.Launched(r.Context(), l)
		if errors.Is(err, grading.ErrNotFound) && l.IsAdmin() {
			return see303(w, r, v.path("templates"))
		}
		if errors.Is(err, grading.ErrNotFound) && chooser(l) == nil {
			return see303(w, r, v.path("pick"))
		}
		if err != nil {
			return err
		}
		return see303(w, r, v.path("class"))
	case l.IsAdmin():
		return see303(w, r, v.path("templates"))
	default:
		return errRole
	}
}
