package web_test

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/grading/agsresults"
	"github.com/sealsmith/sealsmith/lti"
)

func TestPick(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.choosing("teacher", roleTeacher))
	got := b.get("pick")
	want(t, got, http.StatusOK)
	says(t, got, "Which micro-credential does this course lead to?", "Search 2 templates", "All 2", "Sustainable Food Systems", "English, Dutch · version 1 of 20 November 2026", "A learner who earns it can")

	got = b.get("pick?q=food+systems")
	says(t, got, "1 found for “food systems”")
	if n := strings.Count(got.Body.String(), `type="radio"`); n != 1 || !strings.Contains(got.Body.String(), " checked") {
		t.Errorf("%d choices", n)
	}
	says(t, b.get("pick?q=voedselketen"), "1 found for") // Dutch words are searched, too
	says(t, b.get("pick?q=zzz"), "0 found for “zzz”", "No template contains these words.")
	hostile := b.get("pick?q=" + url.QueryEscape(`"><script>alert(1)</script>`))
	want(t, hostile, http.StatusOK)
	silent(t, hostile, "<script>alert")

	got = b.get("rule?q=food")
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "Nothing is chosen yet.")
}

func TestSeeShowsAllElements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.enter(w.polder.choosing("teacher", roleTeacher)).get("see?q=food&template=" + w.polder.version.TemplateID)
	want(t, got, http.StatusOK)
	says(t, got, "Name of the learner", "Country of the issuer", "Awarding body", "Learning outcomes", "Notional workload", "Level", "Type of assessment",
		"Form of participation", "Quality assurance", "Polder University of Technology")
	if !strings.Contains(got.Body.String(), `href="rule?q=food&amp;template=`) {
		t.Error("no way on")
	}
}

var jwtField = regexp.MustCompile(`name="JWT" value="([^"]+)"`)

// answer decodes the deep linking response of a page, without checking its signature.
func answer(t *testing.T, page string) map[string]any {
	t.Helper()
	m := jwtField.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no JWT in %s", page)
	}
	part, err := base64.RawURLEncoding.DecodeString(strings.Split(html.UnescapeString(m[1]), ".")[1])
	must(t, err)
	var claims map[string]any
	must(t, json.Unmarshal(part, &claims))
	return claims
}

const itemsClaim = "https://purl.imsglobal.org/spec/lti-dl/claim/content_items"

func TestAttach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.choosing("teacher", roleTeacher))
	got := b.get("rule?template=" + w.polder.version.TemplateID)
	want(t, got, http.StatusOK)
	says(t, got, "How do we know that a learner has finished?", "Least score, in per cent", "What happens next.")

	got = b.post("attach", url.Values{"template": {w.polder.version.TemplateID}, "version": {w.polder.version.ID}, "percent": {"62,5 %"}})
	want(t, got, http.StatusOK)
	says(t, got, "Chosen. Your LMS takes over.", "Go on in your course")
	if body := got.Body.String(); !strings.Contains(body, `action="https://return.example/deep?x=1" data-post`) || !strings.Contains(body, `/post.js"></script>`) {
		t.Error("the page does not return to the LMS")
	}
	if csp := got.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://return.example") {
		t.Errorf("CSP %s", csp)
	}
	item := answer(t, got.Body.String())[itemsClaim].([]any)[0].(map[string]any)
	id, _ := item["custom"].(map[string]any)["attachment"].(string)
	a, err := w.grading.Attachment(t.Context(), w.polder.org.ID, id)
	must(t, err)
	if a.MinPercent != 62.5 || a.VersionID != w.polder.version.ID || a.CreatedBy != "teacher" {
		t.Errorf("attached %+v", a)
	}
	line := map[string]any{
		"label": "Sustainable Food Systems", "scoreMaximum": 100.0, "resourceId": id, "tag": agsresults.Tag,
		"submissionReview": map[string]any{"reviewableStatus": []any{"InProgress", "Submitted", "Completed"}, "label": "Micro-credential", "url": origin + "/lti/launch"},
	}
	if diff := cmp.Diff(line, item["lineItem"]); diff != "" {
		t.Errorf("line item (-want +got):\n%s", diff)
	}

	got = b.post("cancel", nil)
	want(t, got, http.StatusOK)
	says(t, got, "Nothing was added", "Your course stays as it was.")
	if items := answer(t, got.Body.String())[itemsClaim].([]any); len(items) != 0 {
		t.Errorf("cancelling gives %v", items)
	}
}

func TestAttachRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.choosing("teacher", roleTeacher))
	for _, percent := range []string{"", "0", "-1", "100.1", "NaN", "Inf", "a lot", "1e999"} {
		got := b.post("attach", url.Values{"version": {w.polder.version.ID}, "percent": {percent}})
		want(t, got, http.StatusUnprocessableEntity)
		says(t, got, "Write a number above 0 and up to 100")
		if !strings.Contains(got.Body.String(), `aria-invalid="true"`) {
			t.Errorf("%q: the field is not marked", percent)
		}
	}
	want(t, b.post("attach", url.Values{"version": {"nonsense"}, "percent": {"55"}}), http.StatusNotFound)
	var n int
	must(t, w.db.Get(t.Context(), &n, `select count(*) from attachments`))
	if n != 0 {
		t.Errorf("%d attachments were stored", n)
	}
}

func TestPlatformsThatTakeNoActivity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	links := w.polder.choosing("teacher", roleTeacher)
	links.DeepLinking.AcceptTypes = []string{"link", "file"}
	got := w.enter(links).get("pick")
	want(t, got, http.StatusConflict)
	says(t, got, "Nothing can be added here", "A micro-credential can be added as an activity only.")

	lost := w.polder.choosing("teacher", roleTeacher)
	lost.DeepLinking.ReturnURL = ""
	got = w.enter(lost).get("pick")
	want(t, got, http.StatusConflict)
	says(t, got, "did not say where to send it")

	column := w.polder.choosing("teacher", roleTeacher)
	column.DeepLinking.AcceptLineItem = new(bool)
	says(t, w.enter(column).get("rule?template="+w.polder.version.TemplateID), "Your LMS does not offer a grade column with this activity.")
}

func TestClass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, l := w.attach(w.polder, "teacher", roleTeacher)
	b := w.enter(l)
	got := b.get("class")
	want(t, got, http.StatusOK)
	says(t, got, "Your class", "rule: at least 55 %", "Grades not read yet", "Nobody is here yet.")

	w.grades.set("ready-1", 85)
	w.grades.set("below-2", 40)
	got = b.post("read", nil)
	want(t, got, http.StatusSeeOther)
	got = b.get("class")
	says(t, got, "Grades read on 20 November 2026, 12:00 UTC", "Score 85 %, at least 55 % is asked.", "Can claim", "Score 40 %, at least 55 % is asked.", "On the way", "ready-1", "below-2")

	learner := l
	learner.Roles, learner.User.Subject = []string{roleLearner}, "ready-1"
	want(t, w.enter(learner).post("claim", url.Values{"given": {"Maija"}, "family": {"Meikäläinen"}}), http.StatusSeeOther)
	got = b.get("class")
	says(t, got, "Maija Meikäläinen", "Being sealed", "Claimed on 20 November 2026, waits for the seal.")

	w.grades.fail(&lti.ServiceError{Op: "read the results", Reason: lti.ReasonScopeNotGranted})
	got = b.post("read", nil)
	want(t, got, http.StatusOK)
	says(t, got, "The grades could not be read. The learning platform does not allow this tool to use its grade service.", "What was decided before stands.", "Last tried on")
	says(t, b.get("class"), "The grades could not be read. The learning platform does not allow this tool to use its grade service.")
	w.grades.fail(agsresults.ErrNoColumn)
	says(t, b.post("read", nil), "Your LMS offers no grade column to this activity.")
}
