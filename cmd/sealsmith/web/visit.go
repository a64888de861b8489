package web

import (
	"net/http"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/templates"
)

// visit is one request of somebody who came through the LMS: who, from where, for whom.
type visit struct {
	session      lti.Session
	launch       lti.Launch
	organisation templates.Organisation
	platform     lti.Registration
}

// visitAction is an action inside a session.
type visitAction func(w http.ResponseWriter, r *http.Request, v *visit) error

// role says whether a launch may come to a page: nil, errRole or errTestUser.
type role func(l lti.Launch) error

func only(may bool) error {
	if may {
		return nil
	}
	return errRole
}

// anyRole lets everybody with a session in; home sends each where they belong.
func anyRole(lti.Launch) error { return nil }

// chooser chooses a micro-credential for a course: who teaches there, or administers the
// platform and came by a deep linking request.
func chooser(l lti.Launch) error {
	return only(l.IsTeacher() && l.ResourceLink.ID != "" || l.DeepLinking != nil && (l.IsTeacher() || l.IsAdmin()))
}

// privacy is whoever asks what is kept about them, or about somebody, by the message of a
// platform that is made for it.
func privacy(l lti.Launch) error { return only(l.MessageType == lti.MessageDataPrivacy) }

func teacher(l lti.Launch) error { return only(l.DeepLinking == nil && l.IsTeacher()) }

// learner is a learner, or a test user, who may look; claim refuses the latter.
func learner(l lti.Launch) error {
	return only(l.DeepLinking == nil && (l.IsLearner() || l.IsTestUser()))
}

// admin edits what the organisation promises.
func admin(l lti.Launch) error { return only(l.IsAdmin()) }

// visit finds the session of the request, allows its platform to show the answer in a
// frame, and refuses roles that may not come here.
func (s *Web) visit(may role, next visitAction) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		session, err := s.deps.LTI.Session(r, mux.Vars(r)["sid"])
		if err != nil {
			return err
		}
		v := &visit{session: session, launch: session.Launch}
		if v.organisation, err = s.deps.Templates.Organisation(r.Context(), v.launch.OrganisationID); err != nil {
			return err
		}
		if v.platform, err = s.deps.Registrations.Registration(r.Context(), v.launch.OrganisationID, v.launch.RegistrationID); err != nil {
			return err
		}
		requestOf(r.Context()).visit = v
		var forms []string
		if v.launch.DeepLinking != nil {
			if o := origin(v.launch.DeepLinking.ReturnURL); o != "" {
				forms = append(forms, o)
			}
		}
		w.Header().Set("Content-Security-Policy", policy(append([]string{"'self'"}, platformOrigins(v.platform, v.launch)...), forms))
		w.Header().Set("Cache-Control", "no-store")
		if err := may(v.launch); err != nil {
			return err
		}
		return next(w, r, v)
	}
}

// path is the address of a page of this session.
func (v *visit) path(page string) string { return "/s/" + v.session.ID + "/" + page }

// frame surrounds a page of the session.
func (v *visit) frame() Frame {
	return Frame{Framed: true, Organisation: masthead(v.organisation, v.launch.Context.Title)}
}

// actor is how the person appears in the audit trail and as author of versions.
func (v *visit) actor() string { return "lms:" + v.launch.RegistrationID + ":" + v.launch.User.Subject }

func masthead(o templates.Organisation, sub string) Masthead {
	return Masthead{Slug: o.Slug, Name: words(o.Name), Sub: sub}
}

// pageLanguage is the language of the pages themselves.
const pageLanguage = "en"

// words picks the text for a page and says in which language it is.
func words(t templates.Text) Words {
	text := t.In(pageLanguage)
	if text == "" || t[pageLanguage] == text {
		return Words{Lang: pageLanguage, Text: text}
	}
	// In has chosen the first language by code.
	best := ""
	for lang, s := range t {
		if s == text && (best == "" || lang < best) {
			best = lang
		}
	}
	return Words{Lang: best, Text: text}
}

// see303 sends the browser to another page with a GET.
func see303(w http.ResponseWriter, r *http.Request, address string) error {
	http.Redirect(w, r, address, http.StatusSeeOther) //nolint:gosec // G710: every address begins with the path of the session
	return nil
}
