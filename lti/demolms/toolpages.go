package demolms

import (
	"net/http"
	"net/url"
)

// toolsData is the list of tools of the site administration.
type toolsData struct {
	Tools []Tool
	// Address was typed and could not be used.
	Address, Error string
	// Activated and Registered say what has just been done.
	Activated, Registered bool
}

// registerData is a tool's registration page in its frame.
type registerData struct {
	// Frame is the registration address with its token, Next where the page
	// goes when the frame asks to be closed.
	Frame, Next string
	Update      bool
}

func (l *LMS) serveTools(w http.ResponseWriter, r *http.Request, _ *session) {
	q := r.URL.Query()
	l.renderTools(w, r, http.StatusOK, toolsData{Activated: q.Has("activated"), Registered: q.Has("registered")})
}

func (l *LMS) renderTools(w http.ResponseWriter, r *http.Request, status int, d toolsData) {
	d.Tools = l.Tools()
	l.renderStatus(w, r, status, "tools", view{Title: "External tools", Data: d})
}

// serveRegister opens a tool's registration page in a frame. With a client id
// the registration of that tool is updated.
func (l *LMS) serveRegister(w http.ResponseWriter, r *http.Request, _ *session) {
	q := r.URL.Query()
	address, err := l.RegistrationURL(q.Get("url"))
	if q.Has("update") {
		address, err = l.UpdateURL(q.Get("url"), q.Get("update"))
	}
	u, errParse := url.Parse(address)
	if err != nil || errParse != nil {
		l.renderTools(w, r, http.StatusBadRequest, toolsData{Address: q.Get("url"), Error: "This is not the registration address of a tool."})
		return
	}
	l.render(w, r, "register", view{
		Title: "Add a tool", Frames: []string{u.Scheme + "://" + u.Host},
		Data: registerData{Frame: address, Next: "/admin/tools?registered=1", Update: q.Has("update")},
	})
}

func (l *LMS) serveActivate(w http.ResponseWriter, r *http.Request, _ *session) {
	if err := r.ParseForm(); err != nil {
		l.errorPage(w, r, http.StatusBadRequest, "The form could not be read.")
		return
	}
	if err := l.Activate(r.PostForm.Get("client_id")); err != nil {
		l.errorPage(w, r, http.StatusNotFound, "This tool does not exist.")
		return
	}
	http.Redirect(w, r, "/admin/tools?activated=1", http.StatusSeeOther)
}
