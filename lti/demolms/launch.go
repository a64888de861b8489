package demolms

import (
	"net/http"
	"strings"
)

// serveLaunch is the page a frame or a new window opens: it posts the login
// initiation of an activity to its tool (Security Framework 5.1.1.1).
func (l *LMS) serveLaunch(w http.ResponseWriter, r *http.Request, s *session) {
	l.mu.Lock()
	a, err := l.activity(r.PathValue("activity"))
	l.mu.Unlock()
	if err != nil {
		l.errorPage(w, r, http.StatusNotFound, "This activity does not exist.")
		return
	}
	if u, err := l.User(s.user); err != nil || (a.Course == siteCourse && u.Role != Admin) {
		l.errorPage(w, r, http.StatusForbidden, "Only an administrator can open this.")
		return
	}
	l.initiate(w, r, s, Launch{User: s.user, Activity: a.ID, Window: r.URL.Query().Get("window") != ""})
}

// serveSelect begins content selection (Deep Linking 2.0) for a course.
func (l *LMS) serveSelect(w http.ResponseWriter, r *http.Request, s *session) {
	c, ok := l.courseOf(w, r)
	if !ok {
		return
	}
	l.mu.Lock()
	t, err := l.toolByType(r.PathValue("type"))
	l.mu.Unlock()
	if err != nil {
		l.errorPage(w, r, http.StatusNotFound, "This tool does not exist.")
		return
	}
	l.initiate(w, r, s, Launch{User: s.user, DeepLink: true, Course: c.ID, ClientID: t.ClientID})
}

func (l *LMS) initiate(w http.ResponseWriter, r *http.Request, s *session, launch Launch) {
	named, err := l.nameFault(r.URL.Query().Get("fault"))
	if err != nil {
		l.errorPage(w, r, http.StatusBadRequest, "There is no knob of that name.")
		return
	}
	launch.Faults = named
	out, err := l.initiation(s, launch)
	if err != nil {
		l.cfg.Logger.ErrorContext(r.Context(), "login initiation failed", "err", err)
		l.errorPage(w, r, http.StatusInternalServerError, "The launch could not be prepared.")
		return
	}
	l.postPage(w, r, "Opening the tool", out)
}

func (l *LMS) initiation(s *session, launch Launch) (posting, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	launch, err := l.resolve(launch)
	if err != nil {
		return posting{}, err
	}
	t, err := l.toolByClient(launch.ClientID)
	if err != nil {
		return posting{}, err
	}
	messageHint, faults, err := l.begin(s, launch)
	if err != nil {
		return posting{}, err
	}
	if faults[LoginLTI11] {
		return posting{address: t.LoginURL, fields: l.lti11(launch, t)}, nil
	}
	out := posting{address: t.LoginURL, fields: []field{
		{"iss", l.cfg.Issuer},
		{"target_link_uri", l.target(launch, t)},
		{"login_hint", loginHint(s.user, faults)},
		{"lti_message_hint", messageHint},
		{"client_id", t.ClientID},
		{"lti_deployment_id", t.DeploymentID},
	}}
	out.fields = append(out.fields, l.storageFields(faults)...)
	return spoilLogin(out, faults, t), nil
}

// serveReturn is where a tool sends a person back to (launch_presentation
// return_url). Messages are shown as plain text, markup stripped.
func (l *LMS) serveReturn(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := returnView{Activity: q.Get("instanceid"), Course: q.Get("course"), Message: strings.TrimSpace(cleanText(q.Get("lti_msg")))}
	if e := strings.TrimSpace(cleanText(q.Get("lti_errormsg"))); e != "" {
		v.Error = e
	}
	l.mu.Lock()
	if a, err := l.activity(v.Activity); err == nil {
		v.Title = a.Title
	}
	l.mu.Unlock()
	l.render(w, r, "return", view{Title: "Back from the tool", Data: v})
}
