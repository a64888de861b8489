package demolms_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

const (
	lineItems  = "/mod/lti/services.php/2/lineitems?type_id=1"
	itemType   = "application/vnd.ims.lis.v2.lineitem+json"
	listType   = "application/vnd.ims.lis.v2.lineitemcontainer+json"
	scoreType  = "application/vnd.ims.lis.v1.score+json"
	resultType = "application/vnd.ims.lis.v2.resultcontainer+json"
	memberType = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
	members    = "/mod/lti/services.php/CourseSection/2/bindings/1/memberships"
)

// service calls with a token of all scopes.
func (b *bench) service(method, path, body string, headers ...string) answer {
	b.t.Helper()
	return b.serviceAs(client, nil, method, path, body, headers...)
}

func (b *bench) serviceAs(clientID string, scopes []string, method, path, body string, headers ...string) answer {
	b.t.Helper()
	if scopes == nil {
		scopes = []string{agsNS + "lineitem", agsNS + "result.readonly", agsNS + "score", nrps}
	}
	token, err := b.IssueToken(clientID, scopes...)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(http.DefaultClient, method, path, body, append(headers, "Authorization", "Bearer "+token)...)
}

func below(item demolms.LineItem, what string) string {
	return "/mod/lti/services.php/2/lineitems/" + strconv.Itoa(item.ID) + "/lineitem" + what + "?type_id=1"
}

func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.Body), &v); err != nil {
		t.Fatalf("status %d, body is not JSON: %v\n%s", a.Status, err, a.Body)
	}
	return v
}

func score(user string, given, highest float64, at time.Time) string {
	raw, _ := json.Marshal(map[string]any{
		"userId": user, "scoreGiven": given, "scoreMaximum": highest, "activityProgress": "Completed",
		"gradingProgress": "FullyGraded", "timestamp": at.Format(time.RFC3339Nano),
	})
	return string(raw)
}

func TestLineItems(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, item := b.place()

	made := b.service(http.MethodPost, lineItems, `{"label":"Decision","scoreMaximum":10,"resourceId":"r","tag":"d","gradesReleased":true}`, "Content-Type", itemType+"; charset=utf-8")
	if made.Status != http.StatusCreated || made.Header.Get("Content-Type") != itemType+"; charset=utf-8" {
		t.Fatalf("create: %d %s", made.Status, made.Body)
	}
	created := decode[map[string]any](t, made)
	id, _ := created["id"].(string)
	if created["gradesReleased"] != true || !strings.HasSuffix(id, "/lineitem?type_id=1") {
		t.Errorf("the body is not echoed with an id: %v", created)
	}

	list := decode[[]map[string]any](t, b.service(http.MethodGet, lineItems, "", "Accept", listType))
	want := []map[string]any{
		{"id": b.Issuer() + below(item, ""), "label": "Food systems record", "scoreMaximum": 100.0, "resourceId": "a-1", "tag": "sealsmith", "resourceLinkId": a.ID, "ltiLinkId": a.ID},
		{"id": id, "label": "Decision", "scoreMaximum": 10.0, "resourceId": "r", "tag": "d"},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	for query, n := range map[string]int{"&resource_id=r": 1, "&tag=sealsmith": 1, "&resource_link_id=" + a.ID: 1, "&tag=other": 0, "&limit=1": 1} {
		if got := decode[[]any](t, b.service(http.MethodGet, lineItems+query, "")); len(got) != n {
			t.Errorf("%s: %d items, want %d", query, len(got), n)
		}
	}

	if got := decode[map[string]any](t, b.do(http.DefaultClient, http.MethodGet, id, "", b.bearer()...)); got["label"] != "Decision" {
		t.Errorf("get: %v", got)
	}
	// PUT without resourceLinkId uncouples, and grades follow the new maximum.
	if err := b.SetGrade(item.ID, "maija", new(57.0)); err != nil {
		t.Fatal(err)
	}
	if got := b.service(http.MethodPut, below(item, ""), `{"label":"L","scoreMaximum":50}`, "Content-Type", itemType); got.Status != http.StatusOK {
		t.Fatalf("put: %d %s", got.Status, got.Body)
	}
	if got := b.LineItems("2")[0]; got.Activity != "" || got.ResourceID != "" || got.Max != 50 {
		t.Errorf("after PUT: %+v", got)
	}
	if g, err := b.Grade(item.ID, "maija"); err != nil || *g.Score != 28.5 {
		t.Errorf("grade after PUT: %v %v", *g.Score, err)
	}
	if got := b.do(http.DefaultClient, http.MethodDelete, id, "", b.bearer()...); got.Status != http.StatusNoContent {
		t.Errorf("delete: %d", got.Status)
	}
	if got := b.do(http.DefaultClient, http.MethodGet, id, "", b.bearer()...); got.Status != http.StatusNotFound {
		t.Errorf("get after delete: %d", got.Status)
	}
}

func (b *bench) bearer() []string {
	b.t.Helper()
	token, err := b.IssueToken(client, agsNS+"lineitem")
	if err != nil {
		b.t.Fatal(err)
	}
	return []string{"Authorization", "Bearer " + token}
}

func TestLineItemPagesHaveMoodlesLinks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.place()
	b.place()
	b.place()
	got := b.service(http.MethodGet, lineItems+"&limit=2", "").Header.Get("Link")
	want := "<" + b.Issuer() + "/mod/lti/services.php/2/lineitems?type_id=1&amp;limit=2&amp;from=2>; rel=“next”"
	if !strings.Contains(got, want) || strings.Contains(got, "“prev”") {
		t.Errorf("first page: %s", got)
	}
	got = b.service(http.MethodGet, lineItems+"&limit=2&from=2", "").Header.Get("Link")
	if strings.Contains(got, "“next”") || !strings.Contains(got, "“prev”") {
		t.Errorf("last page: %s", got)
	}
}

func TestServiceRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, item := b.place()
	if err := b.AddTool(demolms.Tool{ClientID: "other", LoginURL: b.tool.URL + "/login", LaunchURL: b.tool.URL + "/other"}); err != nil {
		t.Fatal(err)
	}
	good := `{"label":"L","scoreMaximum":1}`
	now := b.clock.Now()
	tests := []struct {
		name, method, path, body string
		headers                  []string
		as                       string
		scopes                   []string
		want                     int
	}{
		{name: "list with Accept json", method: "GET", path: lineItems, headers: []string{"Accept", "application/json"}, want: 400},
		{name: "list with Accept star", method: "GET", path: lineItems, headers: []string{"Accept", "*/*"}, want: 400},
		{name: "list with two types", method: "GET", path: lineItems, headers: []string{"Accept", listType + ", application/json;q=0.9"}, want: 400},
		{name: "list with the type of one", method: "GET", path: lineItems, headers: []string{"Accept", itemType}, want: 400},
		{name: "one with the type of the list", method: "GET", path: below(item, ""), headers: []string{"Accept", listType}, want: 400},
		{name: "unknown path", method: "GET", path: "/mod/lti/services.php/2/nope?type_id=1", want: 400},
		{name: "path behind the query", method: "POST", path: below(item, "") + "/scores", body: score("7", 1, 1, now), headers: []string{"Content-Type", scoreType}, want: 400},
		{name: "unknown course", method: "GET", path: "/mod/lti/services.php/999/lineitems?type_id=1", want: 404},
		{name: "other tool's type", method: "GET", path: "/mod/lti/services.php/2/lineitems?type_id=2", want: 401},
		{name: "list without scope", method: "GET", path: lineItems, scopes: []string{agsNS + "score"}, want: 401},
		{name: "create with readonly scope", method: "POST", path: lineItems, body: good, headers: []string{"Content-Type", itemType}, scopes: []string{agsNS + "lineitem.readonly"}, want: 401},
		{name: "create as json", method: "POST", path: lineItems, body: good, headers: []string{"Content-Type", "application/json"}, want: 400},
		{name: "create as a list", method: "POST", path: lineItems, body: good, headers: []string{"Content-Type", listType}, want: 400},
		{name: "create without label", method: "POST", path: lineItems, body: `{"scoreMaximum":20}`, headers: []string{"Content-Type", itemType}, want: 400},
		{name: "create without maximum", method: "POST", path: lineItems, body: `{"label":"x"}`, headers: []string{"Content-Type", itemType}, want: 400},
		{name: "create garbage", method: "POST", path: lineItems, body: `null`, headers: []string{"Content-Type", itemType}, want: 400},
		{name: "create on a foreign link", method: "POST", path: lineItems, body: `{"label":"x","scoreMaximum":1,"resourceLinkId":"777"}`, headers: []string{"Content-Type", itemType}, want: 403},
		{name: "create in unknown course", method: "POST", path: "/mod/lti/services.php/999/lineitems", body: good, headers: []string{"Content-Type", itemType}, want: 404},
		{name: "patch", method: "PATCH", path: below(item, ""), body: `{}`, headers: []string{"Content-Type", itemType}, want: 405},
		{name: "get missing", method: "GET", path: "/mod/lti/services.php/2/lineitems/9999/lineitem?type_id=1", want: 404},
		{name: "get of another tool", method: "GET", path: strings.TrimSuffix(below(item, ""), "?type_id=1"), as: "other", want: 403},
		{name: "delete of another tool", method: "DELETE", path: strings.TrimSuffix(below(item, ""), "?type_id=1"), as: "other", want: 403},
		{name: "put without label", method: "PUT", path: below(item, ""), body: `{"scoreMaximum":1}`, headers: []string{"Content-Type", itemType}, want: 400},
		{name: "put on a foreign link", method: "PUT", path: below(item, ""), body: `{"label":"x","scoreMaximum":1,"resourceLinkId":"777"}`, headers: []string{"Content-Type", itemType}, want: 403},
		{name: "put missing", method: "PUT", path: "/mod/lti/services.php/2/lineitems/9999/lineitem", body: good, headers: []string{"Content-Type", itemType}, want: 404},
		{name: "delete missing", method: "DELETE", path: "/mod/lti/services.php/2/lineitems/9999/lineitem", want: 404},
		{name: "results with Accept json", method: "GET", path: below(item, "/results"), headers: []string{"Accept", "application/json"}, want: 400},
		{name: "results without scope", method: "GET", path: below(item, "/results"), scopes: []string{agsNS + "lineitem"}, want: 401},
		{name: "results of another tool", method: "GET", path: strings.TrimSuffix(below(item, "/results"), "?type_id=1"), as: "other", want: 403},
		{name: "results in pages", method: "GET", path: below(item, "/results") + "&limit=1", want: 404},
		{name: "scores by GET", method: "GET", path: below(item, "/scores"), want: 405},
		{name: "score as json", method: "POST", path: below(item, "/scores"), body: score("7", 1, 1, now), headers: []string{"Content-Type", "application/json"}, want: 400},
		{name: "score without scope", method: "POST", path: below(item, "/scores"), body: score("7", 1, 1, now), headers: []string{"Content-Type", scoreType}, scopes: []string{agsNS + "lineitem"}, want: 401},
		{name: "members as json", method: "GET", path: members, headers: []string{"Accept", "application/json"}, want: 400},
		{name: "members without scope", method: "GET", path: members, scopes: []string{agsNS + "score"}, want: 401},
		{name: "members of another tool", method: "GET", path: strings.Replace(members, "bindings/1", "bindings/2", 1), want: 401},
		{name: "members of unknown course", method: "GET", path: strings.Replace(members, "/2/", "/999/", 1), want: 404},
		{name: "members of unknown link", method: "GET", path: members + "?rlid=99", want: 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			as := tt.as
			if as == "" {
				as = client
			}
			if got := b.serviceAs(as, tt.scopes, tt.method, tt.path, tt.body, tt.headers...); got.Status != tt.want {
				t.Errorf("status %d, want %d: %s", got.Status, tt.want, got.Body)
			}
		})
	}
}

func TestServiceTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, item := b.place()
	token, err := b.IssueToken(client, agsNS+"result.readonly")
	if err != nil {
		t.Fatal(err)
	}
	call := func(token string) int {
		return b.do(http.DefaultClient, http.MethodGet, below(item, "/results"), "", "Authorization", token).Status
	}
	for name, value := range map[string]string{"none": "", "unknown": "Bearer 00ff", "not bearer": "Basic " + token} {
		if got := call(value); got != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := call("Bearer " + token); got != http.StatusOK {
		t.Errorf("good token: %d", got)
	}
	b.clock.Add(time.Hour)
	if got := call("Bearer " + token); got != http.StatusUnauthorized {
		t.Errorf("expired token: %d", got)
	}
	if token, err = b.IssueToken(client, agsNS+"result.readonly"); err != nil {
		t.Fatal(err)
	}
	b.RevokeTokens()
	if got := call("Bearer " + token); got != http.StatusUnauthorized {
		t.Errorf("revoked token: %d", got)
	}
	if _, err := b.IssueToken("nobody"); err == nil {
		t.Error("a token for nobody")
	}
}

func TestScoresAndResults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, item := b.place()
	now := b.clock.Now()
	send := func(body string) answer {
		return b.service(http.MethodPost, below(item, "/scores"), body, "Content-Type", scoreType)
	}
	if got := send(score("7", 30, 60, now)); got.Status != http.StatusOK || got.Body != "" {
		t.Fatalf("score: %d %q", got.Status, got.Body)
	}
	if got := send(score("8", 0, 60, now)); got.Status != http.StatusOK {
		t.Fatalf("zero: %d", got.Status)
	}
	url := b.Issuer() + below(item, "")
	all := decode[[]map[string]any](t, b.service(http.MethodGet, below(item, "/results"), "", "Accept", resultType))
	want := []map[string]any{
		{"id": b.Issuer() + below(item, "/results") + "&user_id=7", "userId": "7", "resultScore": 50.0, "resultMaximum": 100.0, "scoreOf": url, "timestamp": "2026-11-24T09:00:00+00:00"},
		{"id": b.Issuer() + below(item, "/results") + "&user_id=8", "userId": "8", "resultScore": 0.0, "resultMaximum": 100.0, "scoreOf": url, "timestamp": "2026-11-24T09:00:00+00:00"},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	for query, n := range map[string]int{"&user_id=8": 1, "&user_id=9": 0, "&user_id=404": 0} {
		if got := decode[[]any](t, b.service(http.MethodGet, below(item, "/results")+query, "")); len(got) != n {
			t.Errorf("%s: %d rows, want %d", query, len(got), n)
		}
	}
	if got := send(score("7", 90, 60, now.Add(time.Second))); got.Status != http.StatusOK {
		t.Fatalf("over maximum: %d", got.Status)
	}
	if g, err := b.Grade(item.ID, "7"); err != nil || *g.Score != 100 {
		t.Errorf("over maximum is stored as %v", *g.Score)
	}
	if got := send(strings.Replace(score("7", 10, 60, now.Add(2*time.Second)), "FullyGraded", "PendingManual", 1)); got.Status != http.StatusOK {
		t.Fatalf("pending: %d", got.Status)
	}
	if g, err := b.Grade(item.ID, "7"); err != nil || g.Score != nil {
		t.Error("a pending score did not empty the grade")
	}
}

func TestScoreRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, item := b.place()
	now := b.clock.Now()
	send := func(body string) answer {
		return b.service(http.MethodPost, below(item, "/scores"), body, "Content-Type", scoreType)
	}
	if got := send(score("7", 1, 1, now)); got.Status != http.StatusOK {
		t.Fatalf("first score: %d", got.Status)
	}
	good := score("7", 1, 1, now.Add(time.Minute))
	for name, tt := range map[string]struct {
		body string
		want int
	}{
		"same second":         {score("7", 1, 1, now.Add(900*time.Millisecond)), 409},
		"earlier":             {score("7", 1, 1, now.Add(-time.Hour)), 409},
		"teacher":             {score("3", 1, 1, now), 400},
		"administrator":       {score("2", 1, 1, now), 400},
		"unknown user":        {score("424242", 1, 1, now), 400},
		"username for id":     {score("maija", 1, 1, now.Add(time.Minute)), 400},
		"no user":             {strings.Replace(good, `,"userId":"7"`, "", 1), 400},
		"no maximum":          {strings.Replace(good, `"scoreMaximum":1,`, "", 1), 400},
		"negative":            {strings.Replace(good, `"scoreGiven":1`, `"scoreGiven":-1`, 1), 400},
		"no grading progress": {strings.Replace(good, `"gradingProgress":"FullyGraded",`, "", 1), 400},
		"epoch":               {`{"userId":"7","activityProgress":"Completed","gradingProgress":"FullyGraded","timestamp":"1795330554015"}`, 400},
		"not JSON":            {"score=1", 400},
	} {
		if got := send(tt.body); got.Status != tt.want || got.Body != "[]" {
			t.Errorf("%s: %d %q, want %d and an empty list", name, got.Status, got.Body, tt.want)
		}
	}
	for name, body := range map[string]string{
		"number as user": strings.Replace(score("7", 1, 1, now.Add(time.Minute)), `"userId":"7"`, `"userId":7`, 1),
		"no zone":        strings.Replace(score("8", 1, 1, now.Add(time.Minute)), `2026-11-24T09:01:00Z`, `2026-11-24T09:01:00`, 1),
		"offset":         strings.Replace(score("9", 1, 1, now.Add(time.Minute)), `2026-11-24T09:01:00Z`, `2026-11-24T10:01:00+01:00`, 1),
	} {
		if got := send(body); got.Status != http.StatusOK {
			t.Errorf("%s: %d", name, got.Status)
		}
	}
}

func TestTeacherOverrideWinsSilently(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, item := b.place()
	if err := b.SetGrade(item.ID, "maija", new(59.0)); err != nil {
		t.Fatal(err)
	}
	later := b.clock.Now().Add(time.Hour)
	if got := b.service(http.MethodPost, below(item, "/scores"), score("7", 90, 100, later), "Content-Type", scoreType); got.Status != http.StatusOK {
		t.Fatalf("score: %d", got.Status)
	}
	if g, err := b.Grade(item.ID, "maija"); err != nil || *g.Score != 59 || !g.Overridden {
		t.Errorf("the teacher's grade is %v", *g.Score)
	}
	for _, wrong := range []float64{-1, 101} {
		if err := b.SetGrade(item.ID, "maija", &wrong); err == nil {
			t.Errorf("grade %v was typed", wrong)
		}
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	b := setupWith(t, func(c *demolms.Config) {
		c.Site = demolms.PolderSite()
		c.Site.Users[4].Suspended = true
	})
	a, _ := b.place()
	type container struct {
		ID      string
		Context map[string]string
		Members []map[string]any
	}
	got := decode[container](t, b.service(http.MethodGet, members, "", "Accept", memberType))
	if len(got.Members) != 3 || got.ID != b.Issuer()+members || got.Context["id"] != "2" {
		t.Fatalf("members: %+v", got)
	}
	want := map[string]any{
		"status": "Active", "roles": []any{"Learner"}, "user_id": "7", "lis_person_sourcedid": "STU-1000", "name": "Maija Meikäläinen",
		"given_name": "Maija", "family_name": "Meikäläinen", "email": "maija@polder.example", "ext_user_username": "maija",
	}
	if diff := cmp.Diff(want, got.Members[1]); diff != "" {
		t.Errorf("member (-want +got):\n%s", diff)
	}
	for query, n := range map[string]int{
		"?role=Instructor": 1, "?role=Learner": 2, "?role=Mentor": 0, "?rlid=" + a.ID: 3, "?limit=2": 2, "?limit=2&from=2": 1,
		"?role=http%3A%2F%2Fpurl.imsglobal.org%2Fvocab%2Flis%2Fv2%2Fmembership%23Learner": 2,
	} {
		if got := decode[container](t, b.service(http.MethodGet, members+query, "")); len(got.Members) != n {
			t.Errorf("%s: %d members, want %d", query, len(got.Members), n)
		}
	}
	if got, want := b.service(http.MethodGet, members+"?limit=2", "").Header.Get("Link"), "<"+b.Issuer()+members+`?limit=2&from=2>; rel="next"`; got != want {
		t.Errorf("Link %s, want %s", got, want)
	}
}
