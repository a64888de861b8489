package web_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/lti"
)

// TestCopiedCourse: what came with a copy waits for its teacher; learners are told.
func TestCopiedCourse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, launched := w.attach(w.polder, "learner-1", roleLearner)
	copied := launched
	copied.Context = lti.Context{ID: "copy", Title: "Food, spring 2027", History: []string{launched.Context.ID}}
	copied.ResourceLink.ID = "link-in-copy"
	learner := w.enter(copied)
	got := learner.get("learn")
	want(t, got, http.StatusConflict)
	says(t, got, "Your teacher has not confirmed this yet")
	want(t, learner.post("confirm", nil), http.StatusForbidden)

	copied.Roles, copied.User.Subject = []string{roleTeacher}, "teacher-2"
	teacher := w.enter(copied)
	got = teacher.get("class")
	want(t, got, http.StatusOK)
	says(t, got, "This course was copied", "Sustainable Food Systems", "at least 55", launched.Context.Title)
	want(t, teacher.get("pick"), http.StatusOK) // another may be chosen instead
	want(t, teacher.post("confirm", nil), http.StatusSeeOther)
	says(t, teacher.get("class"), "Your class")
	want(t, teacher.get("pick"), http.StatusSeeOther)
	if got := learner.get("learn"); got.Code == http.StatusConflict {
		t.Errorf("the learner still waits: %s", got.Body)
	}
}

// TestChooseInTheActivity: where a platform has no deep linking, the teacher chooses in
// the launched activity.
func TestChooseInTheActivity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.polder.launch("teacher-1", roleTeacher)
	l.ResourceLink.ID = "bare-link"
	l.AGS = lti.AGS{LineItem: "https://moodle.polder.example/items/9", LineItems: "https://moodle.polder.example/items", Scopes: []string{lti.ScopeLineItem, lti.ScopeScore}}
	teacher := w.enter(l)
	got := teacher.get("pick")
	want(t, got, http.StatusOK)
	if strings.Contains(got.Body.String(), "Cancel") {
		t.Error("there is nothing to cancel")
	}
	got = teacher.get("rule?template=" + w.polder.version.TemplateID)
	says(t, got, "Who gives that grade?", "Also show in my gradebook who has claimed")
	form := url.Values{"version": {w.polder.version.ID}, "percent": {"55"}, "source": {"activity"}, "mark": {"1"}}
	got = teacher.post("attach", form)
	want(t, got, http.StatusSeeOther)
	if to := got.Header().Get("Location"); to != teacher.path("class") {
		t.Errorf("sent to %s", to)
	}
	says(t, teacher.get("class"), "Your class")
	a, err := w.grading.Launched(t.Context(), l)
	must(t, err)
	if !a.Mark || a.ResourceLinkID != "bare-link" || a.LineItemURL != l.AGS.LineItem {
		t.Errorf("attached %+v", a)
	}
	if got := teacher.post("attach", form); got.Code != http.StatusSeeOther {
		t.Errorf("attached twice: %d", got.Code)
	}
	var rows int
	must(t, w.db.Get(t.Context(), &rows, `select count(*) from attachments`))
	if rows != 1 {
		t.Errorf("%d attachments", rows)
	}
}

// TestFormulaTakesAColumnOfItsOwn: the platform is not asked for a column with the activity.
func TestFormulaTakesAColumnOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for source, column := range map[string]bool{"activity": true, "formula": false, "": true} {
		teacher := w.enter(w.polder.choosing("t", roleTeacher))
		got := teacher.post("attach", url.Values{"version": {w.polder.version.ID}, "percent": {"60"}, "source": {source}})
		want(t, got, http.StatusOK)
		if has := strings.Contains(fmt.Sprint(answer(t, got.Body.String())[itemsClaim]), "lineItem:"); has != column {
			t.Errorf("source %q: a column with the activity is %v", source, has)
		}
	}
}

func TestSubmissionReview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, l := w.attach(w.polder, "teacher-1", roleTeacher)
	l.MessageType, l.ForUser = lti.MessageSubmissionReview, "learner-1"
	got := w.enter(l).get("class")
	want(t, got, http.StatusOK)
	says(t, got, "learner-1", "whose work you asked to see")
}

func TestPrivacy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, l := w.attach(w.polder, "learner-1", roleLearner)
	w.record(a, "learner-1", 40)
	w.record(a, "learner-1", 80)
	w.record(a, "learner-2", 80)
	want(t, w.enter(l).get("privacy"), http.StatusForbidden)
	l.MessageType = lti.MessageDataPrivacy
	own := w.enter(l)
	if got := own.get(""); got.Header().Get("Location") != own.path("privacy") {
		t.Errorf("sent to %q", got.Header().Get("Location"))
	}
	got := own.get("privacy")
	want(t, got, http.StatusOK)
	says(t, got, "You are known here as LMS user", "learner-1", "Sustainable Food Systems")
	var doc struct {
		Subject string
		Records []struct{ Raw string }
		Claims  []struct{ State string }
	}
	must(t, json.Unmarshal(own.get("privacy.json").Body.Bytes(), &doc))
	if doc.Subject != "learner-1" || len(doc.Records) != 2 || len(doc.Claims) != 1 || doc.Claims[0].State != "open" {
		t.Errorf("kept: %+v", doc)
	}
	l.Roles, l.User.Subject, l.ForUser = []string{roleAdmin}, "boss", "learner-2"
	got = w.enter(l).get("privacy")
	says(t, got, "The person is known here as LMS user", "learner-2")
	foreign := w.fjord.launch("boss", roleAdmin)
	foreign.MessageType, foreign.ForUser = lti.MessageDataPrivacy, "learner-2"
	says(t, w.enter(foreign).get("privacy"), "Nothing is kept about this person")
}

// record keeps a score as the background reading does.
func (w *world) record(a grading.Attachment, learner string, score float64) {
	w.t.Helper()
	_, err := w.grading.Record(w.t.Context(), a, "ags-results", grading.Observation{
		Learner: learner, Score: sql.NullFloat64{Float64: score, Valid: true}, Maximum: 100, Raw: fmt.Appendf(nil, `{"s":%v}`, score),
	})
	must(w.t, err)
}

// TestNamesOfTheClass: names come from the platform while the page is made, and are kept
// for a moment only; without them the page shows numbers.
func TestNamesOfTheClass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, l := w.attach(w.polder, "teacher-1", roleTeacher)
	w.record(a, "learner-1", 80)
	w.record(a, "learner-2", 40)
	teacher := w.enter(l)
	silent(t, teacher.get("class"), "Ada Lovelace") // the launch names no list
	l.NRPS.URL = w.polder.reg.Issuer + "/members"
	w.members = lti.Roster{Members: []lti.Member{{UserID: "learner-1", Name: "Ada Lovelace"}, {UserID: "learner-2"}}}
	teacher = w.enter(l)
	for range 3 {
		says(t, teacher.get("class"), "Ada Lovelace", "LMS user learner-2")
	}
	if len(w.listed) != 1 {
		t.Errorf("the platform was asked %d times", len(w.listed))
	}
	if strings.Contains(w.log.String(), "Lovelace") {
		t.Error("a name is in the log")
	}
	l.NRPS.URL += "?other"
	w.listErr, w.members = &lti.ServiceError{Reason: lti.ReasonForbidden}, lti.Roster{}
	got := w.enter(l).get("class")
	want(t, got, http.StatusOK)
	says(t, got, "LMS user learner-1", "Just now names could not be read")
}

// TestFramesOfACloud: the pages of a cloud's customers may show the tool.
func TestFramesOfACloud(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reg, err := w.store.AddRegistration(t.Context(), lti.Registration{
		OrganisationID: w.polder.org.ID, Name: "Canvas", Issuer: "https://canvas.instructure.com", ClientID: "1",
		AuthURL: "https://sso.canvaslms.com/api/lti/authorize_redirect", TokenURL: "https://sso.canvaslms.com/login/oauth2/token",
		JWKSURL: "https://sso.canvaslms.com/api/lti/security/jwks", Deployments: []string{"1"}, Settings: lti.Settings{Hosts: []string{"canvas.polder.example"}},
	})
	must(t, err)
	l := w.polder.choosing("t", roleTeacher)
	l.RegistrationID, l.Issuer = reg.ID, reg.Issuer
	csp := w.enter(l).get("pick").Header().Get("Content-Security-Policy")
	for _, want := range []string{"https://*.instructure.com", "https://sso.canvaslms.com", "https://canvas.polder.example"} {
		if !strings.Contains(csp[strings.Index(csp, "frame-ancestors"):], want) {
			t.Errorf("no %s in %s", want, csp)
		}
	}
}

// TestCrossSitePosts: what platforms post comes from their sites; nothing else may.
func TestCrossSitePosts(t *testing.T) { // D15, E21
	t.Parallel()
	w := newWorld(t)
	teacher := w.enter(w.polder.choosing("t", roleTeacher))
	post := func(path, site string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, origin+path, strings.NewReader("a=b"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", site)
		r.Header.Set("Origin", "https://evil.example")
		r.AddCookie(teacher.cookie)
		return w.do(r).Code
	}
	for _, path := range []string{teacher.path("attach"), teacher.path("cancel"), "/lti/confirm", "/lti/open", "/verify"} {
		if got := post(path, "cross-site"); got != http.StatusForbidden {
			t.Errorf("%s from another site: %d", path, got)
		}
	}
	for _, path := range []string{"/lti/login", "/lti/login/some-key", "/lti/launch"} {
		if got := post(path, "cross-site"); got == http.StatusForbidden {
			t.Errorf("%s from a platform: %d", path, got)
		}
	}
}
