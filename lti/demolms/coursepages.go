package demolms

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// homeData is the role chooser.
type homeData struct {
	Users   []User
	Courses []Course
	// Next is where to go after logging in; empty for the first course.
	Next string
}

func (l *LMS) homeView(next string) view {
	return view{Title: "Log in", Data: homeData{Users: l.Users(), Courses: l.Courses(), Next: next}}
}

func (l *LMS) serveHome(w http.ResponseWriter, r *http.Request) {
	l.render(w, r, "home", l.homeView(""))
}

// serveAs logs in by one click, and goes on to next when that is a page here.
func (l *LMS) serveAs(w http.ResponseWriter, r *http.Request) {
	u, err := l.User(r.PathValue("user"))
	if err != nil {
		l.errorPage(w, r, http.StatusNotFound, "There is no such person here.")
		return
	}
	if s := l.session(r); s != nil {
		l.endSession(w, s)
	}
	if err := l.startSession(w, u.ID); err != nil {
		l.errorPage(w, r, http.StatusInternalServerError, "The session could not be made.")
		return
	}
	next := r.URL.Query().Get("next")
	if !local(next) {
		next = "/"
		if u.Role == Admin {
			next = "/admin/tool"
		} else if courses := l.Courses(); len(courses) > 0 {
			next = "/course/" + courses[0].ID
		}
	}
	http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // G710: local() lets only paths of this host through
}

// local tells whether an address is a path on this host.
func local(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(address, "/") &&
		!strings.HasPrefix(address, "//") && !strings.Contains(address, `\`)
}

func (l *LMS) serveLogout(w http.ResponseWriter, r *http.Request) {
	if s := l.session(r); s != nil {
		l.endSession(w, s)
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// courseData is a course with what the person may do in it.
type courseData struct {
	Course     Course
	Activities []Activity
	Teaches    bool
	// Added is how many activities the last form made.
	Added string
	// Copied is set on the first look at a copy.
	Copied bool
}

// courseOf finds the course of a request, or answers that there is none. The
// front page is not a course to look at.
func (l *LMS) courseOf(w http.ResponseWriter, r *http.Request) (Course, bool) {
	l.mu.Lock()
	c, err := l.course(r.PathValue("course"))
	l.mu.Unlock()
	if err != nil || c.ID == siteCourse {
		l.errorPage(w, r, http.StatusNotFound, "This course does not exist.")
		return Course{}, false
	}
	return c, true
}

func (l *LMS) serveCourse(w http.ResponseWriter, r *http.Request, s *session) {
	c, ok := l.courseOf(w, r)
	if !ok {
		return
	}
	u, err := l.User(s.user)
	l.render(w, r, "course", view{Title: c.Title, Data: courseData{
		Course: c, Activities: l.Activities(c.ID), Teaches: err == nil && u.Role != Learner, Added: r.URL.Query().Get("added"), Copied: r.URL.Query().Has("copied"),
	}})
}

// addData is the form for a new activity in its three states: choose a tool,
// select content in a frame, save what was selected.
type addData struct {
	Course Course
	Tools  []Tool
	// Select is the type id of the tool whose content is being selected.
	Select string
	// Fault is passed on to the launch in the frame.
	Fault   string
	Nothing bool
	Draft   string
	Items   []ContentItem
	Tool    Tool
}

func (l *LMS) serveAdd(w http.ResponseWriter, r *http.Request, s *session) {
	c, ok := l.courseOf(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	active := slices.DeleteFunc(l.Tools(), func(t Tool) bool { return t.Pending })
	d := addData{Course: c, Tools: active, Select: q.Get("select"), Fault: q.Get("fault"), Nothing: q.Has("nothing"), Draft: q.Get("draft")}
	if d.Draft != "" {
		l.mu.Lock()
		draft, found := s.drafts[d.Draft]
		t, err := l.toolByClient(draft.clientID)
		l.mu.Unlock()
		if !found || err != nil || draft.course != c.ID {
			l.errorPage(w, r, http.StatusNotFound, "This selection is not there any more. Select the content again.")
			return
		}
		d.Items, d.Tool = draft.items, t
	}
	l.render(w, r, "add", view{Title: "Add an activity", Storage: l.storageView(r), Data: d})
}

// serveCreate saves a selection. A single item may be renamed in the form.
func (l *LMS) serveCreate(w http.ResponseWriter, r *http.Request, s *session) {
	c, ok := l.courseOf(w, r)
	if !ok {
		return
	}
	if err := r.ParseForm(); err != nil {
		l.errorPage(w, r, http.StatusBadRequest, "The form could not be read.")
		return
	}
	made, err := l.createDraft(c.ID, s, r.PostForm)
	if err != nil {
		l.cfg.Logger.InfoContext(r.Context(), "activity not created", "err", err)
		l.errorPage(w, r, http.StatusConflict, "Nothing was added: this selection has been saved already, or it is gone.")
		return
	}
	l.saved(r.Context())
	http.Redirect(w, r, "/course/"+c.ID+"?added="+strconv.Itoa(made), http.StatusSeeOther)
}

func (l *LMS) createDraft(course string, s *session, form url.Values) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	draft, ok := s.drafts[form.Get("draft")]
	if !ok || draft.course != course {
		return 0, fmt.Errorf("selection %q: %w", form.Get("draft"), ErrNotFound)
	}
	if len(draft.items) == 1 && form.Has("title") {
		draft.items[0].Title, draft.items[0].Text = strings.TrimSpace(form.Get("title")), form.Get("text")
	}
	for _, item := range draft.items {
		if _, err := l.place(course, draft.clientID, item); err != nil {
			return 0, err
		}
	}
	delete(s.drafts, form.Get("draft"))
	return len(draft.items), nil
}

// activityData is a tool in its frame.
type activityData struct {
	Activity Activity
	Course   Course
	// Frame and Window are the launch addresses.
	Frame, Window string
	Teaches       bool
}

func (l *LMS) serveActivity(w http.ResponseWriter, r *http.Request, s *session) {
	l.mu.Lock()
	a, err := l.activity(r.PathValue("activity"))
	c, errCourse := l.course(a.Course)
	l.mu.Unlock()
	u, errUser := l.User(s.user)
	if err != nil || errCourse != nil || errUser != nil || c.ID == siteCourse {
		l.errorPage(w, r, http.StatusNotFound, "This activity does not exist.")
		return
	}
	l.renderFrame(w, r, activityData{Activity: a, Course: c, Teaches: u.Role != Learner}, "/launch/"+a.ID)
}

// renderFrame shows a tool in its frame, launched at an address of ours.
func (l *LMS) renderFrame(w http.ResponseWriter, r *http.Request, d activityData, launch string) {
	q := url.Values{}
	if f := r.URL.Query().Get("fault"); f != "" {
		q.Set("fault", f)
	}
	frame := url.URL{Path: launch, RawQuery: q.Encode()}
	q.Set("window", "1")
	window := url.URL{Path: launch, RawQuery: q.Encode()}
	d.Frame, d.Window = frame.String(), window.String()
	l.render(w, r, "activity", view{Title: d.Activity.Title, Storage: l.storageView(r), Data: d})
}

// serveAdminTool opens a tool from the site administration. The front page is
// the context, which makes it the launch of an administrator who is in no
// course. The resource link is made at the first visit.
func (l *LMS) serveAdminTool(w http.ResponseWriter, r *http.Request, _ *session) {
	l.mu.Lock()
	tools := slices.Clone(l.tools)
	l.mu.Unlock()
	if len(tools) == 0 {
		http.Redirect(w, r, "/admin/tools", http.StatusSeeOther)
		return
	}
	t := tools[0]
	if i := slices.IndexFunc(tools, func(t Tool) bool { return t.DeploymentID == r.URL.Query().Get("type") }); i >= 0 {
		t = tools[i]
	}
	a, err := l.AdminActivity(t.ClientID)
	if err != nil {
		l.errorPage(w, r, http.StatusInternalServerError, "The tool could not be opened.")
		return
	}
	l.renderFrame(w, r, activityData{Activity: a, Course: Course{ID: siteCourse, Title: "Site administration"}}, "/launch/"+a.ID)
}

// AdminActivity is the resource link by which an administrator opens a tool
// outside any course; it is made when it does not exist yet.
func (l *LMS) AdminActivity(clientID string) (Activity, error) {
	a, err := l.adminActivity(clientID)
	if err != nil {
		return Activity{}, err
	}
	return a, l.Save()
}

func (l *LMS) adminActivity(clientID string) (Activity, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.activities(siteCourse) {
		if a.ClientID == clientID {
			return a, nil
		}
	}
	t, err := l.toolByClient(clientID)
	if err != nil {
		return Activity{}, err
	}
	return l.place(siteCourse, clientID, ContentItem{Title: t.Name})
}

// knobsData is the page of all knobs, grouped by area.
type knobsData struct {
	Areas []knobArea
	Saved bool
	Error string
}

type knobArea struct {
	Area Area
	Rows []knobRow
}

type knobRow struct {
	KnobInfo
	Value   Value
	Choices []Value
}

func (l *LMS) serveKnobs(w http.ResponseWriter, r *http.Request) {
	l.renderKnobs(w, r, http.StatusOK, knobsData{Saved: r.URL.Query().Has("saved")})
}

func (l *LMS) renderKnobs(w http.ResponseWriter, r *http.Request, status int, d knobsData) {
	for _, info := range Knobs() {
		row := knobRow{KnobInfo: info, Value: l.Get(info.Knob), Choices: []Value{Off, Once, On}}
		if info.Slow {
			row.Choices = append(row.Choices, "2s", "6s", "15s")
		}
		if !slices.Contains(row.Choices, row.Value) {
			row.Choices = append(row.Choices, row.Value)
		}
		if n := len(d.Areas); n == 0 || d.Areas[n-1].Area != info.Area {
			d.Areas = append(d.Areas, knobArea{Area: info.Area})
		}
		last := &d.Areas[len(d.Areas)-1]
		last.Rows = append(last.Rows, row)
	}
	l.renderStatus(w, r, status, "knobs", view{Title: "Knobs", Data: d})
}

// serveSetKnobs turns the knobs the form names and leaves the others; the
// field "reset" turns all off first.
func (l *LMS) serveSetKnobs(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		l.renderKnobs(w, r, http.StatusBadRequest, knobsData{Error: "The form could not be read."})
		return
	}
	if r.PostForm.Has("reset") {
		l.Reset()
		http.Redirect(w, r, "/knobs?saved=1", http.StatusSeeOther)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(r.PostForm)) {
		if err := l.Set(Knob(name), Value(r.PostForm.Get(name))); err != nil {
			l.renderKnobs(w, r, http.StatusBadRequest, knobsData{Error: err.Error()})
			return
		}
	}
	http.Redirect(w, r, "/knobs?saved=1", http.StatusSeeOther)
}
