package lti_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

const (
	moodle       = "http://127.0.0.1:8900"
	moodleClient = "G0mAxiwB5Gx37Gm"
)

// capturedLaunch is what a test needs of a recorded launch.
type capturedLaunch struct {
	Step1 struct{ Form map[string]string } `json:"step1_login_initiation"`
	Step2 struct{ State, Nonce string }    `json:"step2_auth_request"`
	Step3 struct {
		Form map[string]string `json:"form_params"`
	} `json:"step3_launch"`
	Payload struct {
		IAT int64
	} `json:"id_token_payload"`
	JWKS json.RawMessage `json:"platform_jwks"`
}

func readCapture[T any](tb testing.TB, name string) T {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "moodle", name+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return v
}

// replay puts a recorded launch before a tool whose clock stands at the moment of the
// recording, and whose login state holds the recorded nonce.
func replay(t *testing.T, name, public string, reg lti.Registration) outcome {
	t.Helper()
	c := readCapture[capturedLaunch](t, name)
	reg.Issuer = moodle
	r := newRigAt(t, public, reg)
	r.jwks.serve(http.StatusOK, c.JWKS)
	r.clock.ns.Store(time.Unix(c.Payload.IAT, 0).UnixNano())
	a := r.login(url.Values{"lti_message_hint": {c.Step1.Form["lti_message_hint"]}})
	if got := a.query.Get("lti_message_hint"); got != c.Step1.Form["lti_message_hint"] {
		t.Errorf("the message hint became %q", got)
	}
	// The nonce of the recording takes the place of the one just made.
	r.tool.ExpectNonce(c.Step2.Nonce)
	form := url.Values{"state": {a.state}}
	for name, value := range c.Step3.Form {
		if name != "state" {
			form.Set(name, value)
		}
	}
	return r.post("/lti/launch", form, a.cookies...)
}

func TestMoodleLaunches(t *testing.T) {
	t.Parallel()
	main := lti.Registration{ClientID: moodleClient, Deployments: []string{"1"}}
	private := lti.Registration{ClientID: "crosssiteclient", Deployments: []string{"3"}}
	for _, tt := range []struct {
		capture string
		public  string
		reg     lti.Registration
		check   func(t *testing.T, l lti.Launch)
	}{
		{"sealsmith-launch-teacher-copied-course", "http://localhost:8090", lti.Registration{ClientID: "HArDB65FeCJMURN", Deployments: []string{"6"}}, func(t *testing.T, l lti.Launch) {
			t.Helper()
			if !l.IsTeacher() || l.Context.ID != "11" || !slices.Equal(l.Context.History, []string{"2"}) || l.Custom["attachment"] == "" {
				t.Errorf("got %s", must(json.Marshal(l)))
			}
			if l.NRPS.URL != moodle+"/mod/lti/services.php/CourseSection/11/bindings/6/memberships" || !slices.Contains(l.AGS.Scopes, lti.ScopeScore) || l.Notices.URL != "" {
				t.Errorf("services: %+v, %+v, %+v", l.AGS, l.NRPS, l.Notices)
			}
		}},
		{"launch-submission-review", "http://127.0.0.1:8910", main, func(t *testing.T, l lti.Launch) {
			t.Helper()
			if l.MessageType != lti.MessageSubmissionReview || l.ForUser == "" || l.ForUser == l.User.Subject || !l.IsTeacher() {
				t.Errorf("got %s", must(json.Marshal(l)))
			}
		}},
		{"launch-student", "http://127.0.0.1:8910", main, func(t *testing.T, l lti.Launch) {
			t.Helper()
			if !l.IsLearner() || l.IsTeacher() || l.IsAdmin() || l.User.GivenName != "Stella" || l.User.Email != "student1@example.test" {
				t.Errorf("user: %s", must(json.Marshal(l)))
			}
			if l.AGS.LineItem != moodle+"/mod/lti/services.php/2/lineitems/4/lineitem?type_id=1" || len(l.AGS.Scopes) != 4 {
				t.Errorf("AGS: %+v", l.AGS)
			}
			want := lti.Platform{GUID: "a7db422bca747ae050d79e5f9f1b516a", Name: "RTC", ProductFamily: "moodle", Version: "2024100706"}
			if l.Platform != want || l.Context.ID != "2" || l.Context.Label != "DLC101" || l.Context.Title != "Data Literacy Certificate" {
				t.Errorf("platform %+v, context %+v", l.Platform, l.Context)
			}
			if l.Custom["static"] != "hello=world" || l.Custom["mixed_case"] != "Yes" || l.Custom["Mixed_Case"] != "Yes" {
				t.Errorf("custom: %v", l.Custom)
			}
			for _, open := range []string{"unknown_var", "res_history"} {
				if v, ok := l.Custom[open]; ok {
					t.Errorf("unresolved %s is %q", open, v)
				}
			}
			if !strings.HasPrefix(l.Presentation.ReturnURL, moodle+"/mod/lti/return.php") || l.Presentation.DocumentTarget != "iframe" {
				t.Errorf("presentation: %+v", l.Presentation)
			}
		}},
		{"launch-teacher", "http://127.0.0.1:8910", main, func(t *testing.T, l lti.Launch) {
			t.Helper()
			if !l.IsTeacher() || l.IsLearner() || l.IsAdmin() {
				t.Errorf("roles: %v", l.Roles)
			}
		}},
		{"launch-manager", "http://127.0.0.1:8910", main, func(t *testing.T, l lti.Launch) {
			t.Helper()
			if !l.IsTeacher() || l.IsAdmin() {
				t.Errorf("roles: %v", l.Roles)
			}
		}},
		{"launch-admin", "http://127.0.0.1:8910", main, func(t *testing.T, l lti.Launch) {
			t.Helper()
			if !l.IsTeacher() || !l.IsAdmin() {
				t.Errorf("roles: %v", l.Roles)
			}
		}},
		{"launch-student-unicode-noidnumber", "http://127.0.0.1:8910", main, func(t *testing.T, l lti.Launch) {
			t.Helper()
			if l.User.Name != "Zoë Ñandú O'Brien-Łukasz" {
				t.Errorf("name: %q", l.User.Name)
			}
		}},
		{"launch-student-after-platform-key-rotation", "http://127.0.0.1:8910", main, func(t *testing.T, l lti.Launch) {
			t.Helper()
			if l.TargetLinkURI != "http://127.0.0.1:8910/launch?cred=42" {
				t.Errorf("target: %s", l.TargetLinkURI)
			}
		}},
		{"crosssite-iframe-student", "http://localhost:8910", private, func(t *testing.T, l lti.Launch) {
			t.Helper()
			if (l.User != lti.User{Subject: "7"}) {
				t.Errorf("user: %s", must(json.Marshal(l.User)))
			}
		}},
		{"deeplink-single-request", "http://127.0.0.1:8910", main, func(t *testing.T, l lti.Launch) {
			t.Helper()
			want := &lti.DeepLinkingSettings{
				ReturnURL: l.DeepLinking.ReturnURL, AcceptTypes: []string{"ltiResourceLink"},
				AcceptMultiple: new(true), Title: "Stub Credential Tool",
			}
			if diff := cmp.Diff(want, l.DeepLinking); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if !strings.HasPrefix(l.DeepLinking.ReturnURL, moodle+"/mod/lti/contentitem_return.php?course=2&id=1&") || l.ResourceLink.ID != "" {
				t.Errorf("returns to %s, link %q", l.DeepLinking.ReturnURL, l.ResourceLink.ID)
			}
		}},
	} {
		t.Run(tt.capture, func(t *testing.T) {
			t.Parallel()
			tt.check(t, replay(t, tt.capture, tt.public, tt.reg).session(t).Launch)
		})
	}
}

func TestMoodleRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		capture, public string
		reg             lti.Registration
		code            string
		advice          string
	}{
		{
			"launch-aud-is-activity-resourcekey-not-client-id", "http://localhost:8910",
			lti.Registration{ClientID: "crosssiteclient", Deployments: []string{"3"}},
			lti.CodeAudienceMismatch, "Consumer key",
		},
		{
			"launch-student", "http://127.0.0.1:8910",
			lti.Registration{ClientID: moodleClient, Deployments: []string{"2"}},
			lti.CodeDeploymentUnknown, "--deployment='1'",
		},
		{
			"launch-student", "https://tool.example.edu",
			lti.Registration{ClientID: moodleClient, Deployments: []string{"1"}},
			lti.CodeTargetForeign, "another address",
		},
	} {
		t.Run(tt.capture+" "+tt.code, func(t *testing.T) {
			t.Parallel()
			got := replay(t, tt.capture, tt.public, tt.reg).check(t)
			if got.Code != tt.code || !strings.Contains(got.Advice, tt.advice) {
				t.Errorf("got %v with advice %q", got, got.Advice)
			}
		})
	}
}

func TestMoodleAuthenticationError(t *testing.T) {
	t.Parallel()
	c := readCapture[capturedLaunch](t, "auth-error-login_hint-mismatch")
	r := newRig(t)
	form := url.Values{}
	for name, value := range c.Step3.Form {
		form.Set(name, value)
	}
	got := r.post("/lti/launch", form).check(t)
	if got.Code != lti.CodePlatformError || !strings.HasPrefix(got.Received, c.Step3.Form["error"]) {
		t.Errorf("got %v for %v", got, c.Step3.Form)
	}
}

// exchange is a recorded service call.
type exchange struct {
	Request struct {
		Method, URL string
		Headers     map[string]any
	}
	Response struct {
		Status  int
		Reason  string
		Headers map[string]string
		Text    string          `json:"body_text"`
		JSON    json.RawMessage `json:"body_json"`
	}
}

// moodleServices answers recorded requests, and only those: path, query and Accept have to
// be what was recorded. Its own address stands where Moodle's stood.
func moodleServices(t *testing.T, token string, names ...string) (address string, requests func() []string) {
	t.Helper()
	recorded := map[string]exchange{}
	for _, name := range names {
		e := readCapture[exchange](t, name)
		accept, ok := e.Request.Headers["Accept"].(string)
		if !ok {
			t.Fatalf("%s: no Accept", name)
		}
		recorded[e.Request.Method+" "+strings.TrimPrefix(e.Request.URL, moodle)+" "+accept] = e
	}
	tokens := readCapture[exchange](t, token)
	var mu sync.Mutex
	var seen []string
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Method+" "+r.URL.RequestURI())
		mu.Unlock()
		e, ok := recorded[r.Method+" "+r.URL.RequestURI()+" "+strings.Join(r.Header["Accept"], ",")]
		switch {
		case r.URL.Path == "/mod/lti/token.php":
			e = tokens
		case !ok:
			http.Error(w, "not recorded: "+r.URL.RequestURI(), http.StatusTeapot)
			return
		case r.Header.Get("Authorization") != "Bearer REDACTED":
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body := e.Response.Text
		if body == "" {
			body = string(e.Response.JSON)
		}
		here := strings.NewReplacer(moodle, server.URL, strings.ReplaceAll(moodle, "/", `\/`), server.URL)
		w.Header().Set("Content-Type", e.Response.Headers["content-type"])
		if link := e.Response.Headers["link"]; link != "" {
			w.Header().Set("Link", here.Replace(link))
		}
		w.WriteHeader(e.Response.Status)
		w.Write([]byte(here.Replace(body)))
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), seen...)
	}
}

func TestMoodleResults(t *testing.T) {
	t.Parallel()
	base, requests := moodleServices(t, "token-ok-all-scopes", "ags-results-list", "ags-results-user_id-filter", "ags-results-calculated-item", "ags-results-deleted-lineitem")
	s, reg := newServices(t, base+"/mod/lti/token.php")
	item := func(id string) string {
		return base + "/mod/lti/services.php/2/lineitems/" + id + "/lineitem?type_id=1"
	}
	all, err := s.Results(t.Context(), reg, item("4"), "")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 10 || *all[0].Score != 48 || all[0].Maximum != 60 || all[0].UserID != "7" || all[0].Comment != "Well done <b>bold</b>" {
		t.Errorf("got %d results, the first %+v", len(all), all[0])
	}
	if zero := all[4]; zero.UserID != "16" || zero.Score == nil || *zero.Score != 0 {
		t.Errorf("the result of 0 became %+v", zero)
	}
	if want := time.Date(2026, 11, 22, 6, 55, 52, 0, time.UTC); !all[0].Timestamp.Equal(want) {
		t.Errorf("timestamp %v, want %v", all[0].Timestamp, want)
	}
	one, err := s.Results(t.Context(), reg, item("4"), "7")
	if err != nil || len(one) != 1 || *one[0].Score != 48 {
		t.Errorf("filtered: got %v, %v", one, err)
	}
	calculated, err := s.Results(t.Context(), reg, item("7"), "")
	if err != nil || len(calculated) < 2 || *calculated[0].Score != 30 || *calculated[1].Score != 85 {
		t.Errorf("calculated: got %v, %v", calculated, err)
	}
	_, err = s.Results(t.Context(), reg, item("11"), "")
	if got := serviceError(t, err); got.Reason != lti.ReasonGone || got.Status != 404 || !strings.Contains(got.Body, "Grade item 11") {
		t.Errorf("deleted item: got %v", got)
	}
	tokens := 0
	for _, r := range requests() {
		if strings.Contains(r, "token.php") {
			tokens++
		}
		if strings.Contains(r, "limit=") {
			t.Errorf("a limit was sent: %s", r)
		}
	}
	if tokens != 1 {
		t.Errorf("asked for %d tokens, want 1", tokens)
	}
}

func TestMoodleLineItems(t *testing.T) {
	t.Parallel()
	base, _ := moodleServices(t, "token-ok-all-scopes", "ags-lineitems-list-limit2-page1", "ags-lineitems-list-limit2-page2", "ags-lineitem-get", "ags-lineitem-create")
	s, reg := newServices(t, base+"/mod/lti/token.php")
	list := base + "/mod/lti/services.php/2/lineitems?type_id=1"
	items, err := s.LineItems(t.Context(), reg, list+"&limit=2", lti.LineItemFilter{})
	if err != nil {
		t.Fatal(err)
	}
	want := lti.LineItem{
		ID: base + "/mod/lti/services.php/2/lineitems/4/lineitem?type_id=1", Label: "Data Literacy badge",
		ScoreMaximum: 60, ResourceID: "res-dlb-1", Tag: "credential", ResourceLinkID: "1",
		SubmissionReview: &lti.SubmissionReview{URL: "http://127.0.0.1:8910/launch", Custom: map[string]string{"rev": "1"}},
	}
	if len(items) != 3 || items[2].Label != "Multi A" { // the third is on the second page
		t.Fatalf("got %+v", items)
	}
	if diff := cmp.Diff(want, items[0]); diff != "" {
		t.Errorf("first item (-want +got):\n%s", diff)
	}
	one, err := s.LineItem(t.Context(), reg, want.ID)
	if diff := cmp.Diff(want, one); err != nil || diff != "" {
		t.Errorf("got %v (-want +got):\n%s", err, diff)
	}
	created, err := s.CreateLineItem(t.Context(), reg, list, lti.LineItem{Label: "Credential decision", ScoreMaximum: 100, ResourceID: "cred-decision"})
	if err != nil || created.ID != base+"/mod/lti/services.php/2/lineitems/7/lineitem?type_id=1" {
		t.Errorf("created %+v, %v", created, err)
	}
}

func TestMoodleTokenRefusals(t *testing.T) {
	t.Parallel()
	base, _ := moodleServices(t, "token-error-bad-signature") // its body is not JSON
	s, reg := newServices(t, base+"/mod/lti/token.php")
	_, err := s.Results(t.Context(), reg, base+"/x", "")
	if got := serviceError(t, err); got.Reason != lti.ReasonTokenRefused || got.Status != 400 || !strings.Contains(got.Body, `"kid" invalid`) || got.Temporary() {
		t.Errorf("got %v", got)
	}
	base, _ = moodleServices(t, "token-partial-tool-readonly")
	s, reg = newServices(t, base+"/mod/lti/token.php")
	_, err = s.CreateLineItem(t.Context(), reg, base+"/x", lti.LineItem{Label: "a", ScoreMaximum: 1})
	if got := serviceError(t, err); got.Reason != lti.ReasonScopeNotGranted { // S3
		t.Errorf("got %v", got)
	}
}
