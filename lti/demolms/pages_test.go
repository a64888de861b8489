package demolms_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

func TestRoleChooser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	home := b.get("/")
	for _, u := range b.Users() {
		if !strings.Contains(home.Body, `href="/as/`+u.Username+`"`) || !strings.Contains(home.Body, u.Name()) {
			t.Errorf("%s is not offered", u.Username)
		}
	}
	if got := b.get("/as/teacher"); got.URL.Path != "/course/2" || !strings.Contains(got.Body, "Femke Oosterdijk") || !strings.Contains(got.Body, "Add activity") {
		t.Errorf("teacher arrives at %s", got.URL)
	}
	if got := b.get("/as/maija"); got.URL.Path != "/course/2" || strings.Contains(got.Body, "Add activity") {
		t.Errorf("learner arrives at %s", got.URL)
	}
	if got := b.get("/as/admin"); got.URL.Path != "/admin/tool" {
		t.Errorf("administrator arrives at %s", got.URL)
	}
	if got := b.get("/as/teacher?next=/course/3/add"); got.URL.Path != "/course/3/add" || got.Status != http.StatusOK {
		t.Errorf("next leads to %s", got.URL)
	}
	if got := b.get("/as/nobody"); got.Status != http.StatusNotFound {
		t.Errorf("nobody: %d", got.Status)
	}
	b.post("/logout", nil)
	if got := b.get("/course/2"); got.Status != http.StatusForbidden || !strings.Contains(got.Body, "Who are you today?") {
		t.Errorf("after logging out: %d", got.Status)
	}
}

func TestNextStaysHere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, next := range []string{"https://elsewhere.example/", "//elsewhere.example/", `/\elsewhere.example`, "javascript:alert(1)", "course/2"} {
		if got := b.get("/as/maija?next=" + url.QueryEscape(next)); got.URL.Host != strings.TrimPrefix(b.Issuer(), "http://") || got.URL.Path != "/course/2" {
			t.Errorf("%s leads to %s", next, got.URL)
		}
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.get("/as/teacher")
	for _, path := range []string{"/knobs", "/course/2/gradebook", "/course/2/activities", "/logout"} {
		got := b.do(b.browser, http.MethodPost, path, "", "Sec-Fetch-Site", "cross-site", "Content-Type", "application/x-www-form-urlencoded")
		if got.Status != http.StatusForbidden {
			t.Errorf("%s: %d", path, got.Status)
		}
	}
}

func TestPagesThatAreNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.get("/as/teacher")
	for path, want := range map[string]int{
		"/course/99": 404, "/course/1": 404, "/course/99/add": 404, "/course/99/gradebook": 404, "/course/2/add?draft=7": 404, "/activity/99": 404,
		"/launch/99": 404, "/course/2/select/9": 404, "/course/99/select/1": 404,
	} {
		if got := b.get(path); got.Status != want {
			t.Errorf("%s: %d, want %d", path, got.Status, want)
		}
	}
	a, _ := b.place()
	if got := b.get("/launch/" + a.ID + "?fault=no-such-knob"); got.Status != http.StatusBadRequest {
		t.Errorf("unknown fault: %d", got.Status)
	}
}

func TestPagesShowTheToolAndNothingElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	policy := b.get("/").Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "frame-src 'self' "+b.tool.URL) || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %s", policy)
	}
	for path, kind := range map[string]string{"/static/lms.css": "text/css; charset=utf-8", "/static/lms.js": "text/javascript; charset=utf-8"} {
		if got := b.get(path); got.Status != http.StatusOK || got.Header.Get("Content-Type") != kind {
			t.Errorf("%s: %d %s", path, got.Status, got.Header.Get("Content-Type"))
		}
	}
}

func TestSelectionOpensInAFrame(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.get("/as/teacher")
	if got := b.get("/course/2/add"); !strings.Contains(got.Body, `href="/course/2/add?select=1"`) {
		t.Errorf("no button:\n%s", got.Body)
	}
	if got := b.get("/course/2/add?select=1&fault=deeplink-data"); !strings.Contains(got.Body, `src="/course/2/select/1?fault=deeplink-data"`) {
		t.Errorf("no frame:\n%s", got.Body)
	}
}

func TestGradebook(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.get("/as/teacher")
	if got := b.get("/course/2/gradebook"); !strings.Contains(got.Body, "There is nothing to grade") {
		t.Errorf("empty gradebook:\n%s", got.Body)
	}
	_, item := b.place()
	saved := b.post("/course/2/gradebook", url.Values{"grade-2-7": {"84,5"}, "grade-2-8": {" 0 "}, "grade-2-9": {""}, "grade-2-3": {"50"}})
	if !strings.Contains(saved.Body, "The grades were saved.") || !strings.Contains(saved.Body, `name="grade-2-7" value="84.5"`) {
		t.Fatalf("after saving:\n%s", saved.Body)
	}
	for user, want := range map[string]*float64{"7": new(84.5), "8": new(0.0), "9": nil, "3": nil} {
		g, err := b.Grade(item.ID, user)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, g.Score); diff != "" {
			t.Errorf("user %s (-want +got):\n%s", user, diff)
		}
	}
	// A cell that is sent again unchanged keeps its time.
	before, err := b.Grade(item.ID, "7")
	if err != nil {
		t.Fatal(err)
	}
	b.clock.Add(time.Hour)
	b.post("/course/2/gradebook", url.Values{"grade-2-7": {"84.5"}, "grade-2-8": {""}})
	if after, err := b.Grade(item.ID, "7"); err != nil || !after.At.Equal(before.At) {
		t.Errorf("unchanged grade moved from %v to %v", before.At, after.At)
	}
	if g, err := b.Grade(item.ID, "8"); err != nil || g.Score != nil || g.Overridden {
		t.Errorf("emptied cell: %+v", g)
	}
	for _, wrong := range []string{"101", "-1", "good", "NaN"} {
		got := b.post("/course/2/gradebook", url.Values{"grade-2-7": {"1"}, "grade-2-9": {wrong}})
		if got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "must be a number from 0 to 100") {
			t.Errorf("%s: %d", wrong, got.Status)
		}
		if g, err := b.Grade(item.ID, "7"); err != nil || *g.Score != 84.5 {
			t.Errorf("%s: the other cell was saved as %v", wrong, *g.Score)
		}
	}
}

func TestStateSurvivesARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "lms.json")
	withFile := func(c *demolms.Config) { c.StateFile = file }
	first := setupWith(t, withFile)
	a, item := first.place()
	if err := first.SetGrade(item.ID, "maija", new(80.0)); err != nil {
		t.Fatal(err)
	}
	token, err := first.SignLaunch("maija", a.ID, "n", nil)
	if err != nil {
		t.Fatal(err)
	}

	second := setupWith(t, func(c *demolms.Config) { withFile(c); c.Key = toolKey(); c.Site = demolms.FjordmarkSite() })
	if diff := cmp.Diff(first.Activities("2"), second.Activities("2")); diff != "" {
		t.Errorf("activities (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff(first.LineItems("2"), second.LineItems("2")); diff != "" {
		t.Errorf("line items (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff(first.Users(), second.Users()); diff != "" {
		t.Errorf("users (-first +second):\n%s", diff)
	}
	if g, err := second.Grade(item.ID, "maija"); err != nil || *g.Score != 80 {
		t.Errorf("grade %v %v", g.Score, err)
	}
	second.verified(token)
	if b, _ := second.place(); b.ID == a.ID {
		t.Error("an id was given twice")
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the key is readable by others: %v", info.Mode())
	}
}

func TestBrokenStateFileIsAnError(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"not JSON": "{", "no key": "{}", "bad key": `{"key":"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"}`} {
		file := filepath.Join(t.TempDir(), "lms.json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := demolms.New(demolms.Config{Issuer: "http://127.0.0.1:1", Now: time.Now, StateFile: file, Key: platformKey()}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := demolms.New(demolms.Config{Issuer: "http://127.0.0.1:1", Now: time.Now, StateFile: filepath.Join(t.TempDir(), "none", "lms.json"), Key: platformKey()}); err == nil {
		t.Error("a state file that cannot be written is no error")
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]demolms.Config{
		"no clock":       {Issuer: "http://127.0.0.1:1"},
		"no issuer":      {Now: time.Now},
		"trailing slash": {Issuer: "http://127.0.0.1:1/", Now: time.Now},
		"tool":           {Issuer: "http://127.0.0.1:1", Now: time.Now, Key: platformKey(), Tools: []demolms.Tool{{ClientID: "x"}}},
	} {
		if _, err := demolms.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTwoInstitutionsDoNotShareASession(t *testing.T) {
	t.Parallel()
	polder := setup(t)
	fjord := setupWith(t, func(c *demolms.Config) { c.Site = demolms.FjordmarkSite() })
	fjord.browser = polder.browser
	polder.get("/as/maija")
	fjord.get("/as/ola")
	if got := polder.get("/course/2"); !strings.Contains(got.Body, "Maija Meikäläinen") {
		t.Error("the second log-in ended the first")
	}
	if got := fjord.get("/course/2"); !strings.Contains(got.Body, "Ola Nordmann") || fjord.Name() != "Fjordmark College" {
		t.Error("the second institution has other people")
	}
}
