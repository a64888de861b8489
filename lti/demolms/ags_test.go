package demolms_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

// statusLine posts a score and returns the whole status of the answer.
func (b *bench) statusLine(item demolms.LineItem, body string) string {
	b.t.Helper()
	token, err := b.IssueToken(client, agsNS+"score")
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.Issuer()+below(item, "/scores"), strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", scoreType)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Status
}

func TestReasonPhrases(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, item := b.place()
	body := score("7", 1, 1, b.clock.Now())
	if got := b.statusLine(item, body); got != "200 OK" {
		t.Fatalf("score: %s", got)
	}
	if got, want := b.statusLine(item, body), "409 Refusing score with an earlier timestamp for item "+strconv.Itoa(item.ID)+" and user 7"; got != want {
		t.Errorf("again: %s, want %s", got, want)
	}
	// What the tool sent comes back in the status line, on one line.
	if got, want := b.statusLine(item, "{\"userId\":\r\n\"3\"}"), `400 Incorrect score received{"userId":  "3"}`; got != want {
		t.Errorf("refused: %s, want %s", got, want)
	}
}

func TestSuspendedLearnerIsGraded(t *testing.T) {
	t.Parallel()
	b := setupWith(t, func(c *demolms.Config) {
		c.Site = demolms.PolderSite()
		c.Site.Users[4].Suspended = true
	})
	_, item := b.place()
	if got := b.service(http.MethodPost, below(item, "/scores"), score("9", 1, 1, b.clock.Now()), "Content-Type", scoreType); got.Status != http.StatusOK {
		t.Errorf("suspended: %d", got.Status)
	}
}

// resultRows are the scores of a line item by user.
func (b *bench) resultRows(item demolms.LineItem) map[string]float64 {
	b.t.Helper()
	out := map[string]float64{}
	for _, row := range decode[[]struct {
		UserID      string  `json:"userId"`
		ResultScore float64 `json:"resultScore"`
	}](b.t, b.service(http.MethodGet, below(item, "/results"), "")) {
		out[row.UserID] = row.ResultScore
	}
	return out
}

func TestCalculatedLineItem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, first := b.place()
	_, second := b.place()
	_, total := b.place()
	ref := func(i demolms.LineItem) string { return "[[gi" + strconv.Itoa(i.ID) + "]]" }
	if err := b.SetFormula(total.ID, "=average("+ref(first)+", "+ref(second)+"*0.5)"); err != nil {
		t.Fatal(err)
	}
	for user, grades := range map[string][2]*float64{"7": {new(80.0), new(100.0)}, "8": {new(60.0), nil}} {
		for i, item := range []demolms.LineItem{first, second} {
			if grades[i] != nil {
				if err := b.SetGrade(item.ID, user, grades[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{"7": 65, "8": 30}, b.resultRows(total)); diff != "" {
		t.Errorf("calculated (-want +got):\n%s", diff)
	}
	if err := b.SetGrade(first.ID, "8", new(100.0)); err != nil {
		t.Fatal(err)
	}
	if got := b.resultRows(total)["8"]; got != 50 {
		t.Errorf("after a change of the source: %v", got)
	}
	// One score of the tool ends the calculation for this learner for good.
	if got := b.service(http.MethodPost, below(total, "/scores"), score("7", 11, 100, b.clock.Now()), "Content-Type", scoreType); got.Status != http.StatusOK {
		t.Fatalf("score: %d", got.Status)
	}
	if err := b.SetGrade(first.ID, "7", new(100.0)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]float64{"7": 11, "8": 50}, b.resultRows(total)); diff != "" {
		t.Errorf("overridden (-want +got):\n%s", diff)
	}
	// A teacher's grade does the same until the cell is emptied.
	if err := b.SetGrade(total.ID, "8", new(99.0)); err != nil {
		t.Fatal(err)
	}
	if g, err := b.Grade(total.ID, "8"); err != nil || *g.Score != 99 || !g.Overridden {
		t.Errorf("typed: %+v %v", g, err)
	}
	if err := b.SetGrade(total.ID, "8", nil); err != nil {
		t.Fatal(err)
	}
	if got := b.resultRows(total)["8"]; got != 50 {
		t.Errorf("after emptying the cell: %v", got)
	}
	// The copy of a course calculates from the copies.
	course, err := b.CopyCourse("2")
	if err != nil {
		t.Fatal(err)
	}
	items := b.LineItems(course.ID)
	if want := "=average(" + ref(items[0]) + ", " + ref(items[1]) + "*0.5)"; items[2].Formula != want {
		t.Errorf("copied formula %s, want %s", items[2].Formula, want)
	}
}

func TestFormulas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, first := b.place()
	_, total := b.place()
	elsewhere, err := b.Place("3", client, demolms.ContentItem{LineItem: &demolms.ItemLineItem{ScoreMaximum: 1}})
	if err != nil {
		t.Fatal(err)
	}
	other := b.LineItems("3")[0]
	if err := b.SetGrade(first.ID, "7", new(40.0)); err != nil {
		t.Fatal(err)
	}
	gi := func(id int) string { return "[[gi" + strconv.Itoa(id) + "]]" }
	for formula, want := range map[string]float64{
		"=sum(" + gi(first.ID) + "," + gi(first.ID) + ")": 80, "=max(" + gi(first.ID) + "," + gi(first.ID) + "*2)": 80,
		"=min(" + gi(first.ID) + "," + gi(first.ID) + "*2)": 40, "=sum(" + gi(first.ID) + "*9)": 100,
	} {
		if err := b.SetFormula(total.ID, formula); err != nil {
			t.Fatal(err)
		}
		if g, err := b.Grade(total.ID, "7"); err != nil || *g.Score != want {
			t.Errorf("%s: %v", formula, *g.Score)
		}
	}
	for _, wrong := range []string{
		"1", "=average()", "=average(1)", "=product(" + gi(first.ID) + ")", "=sum(" + gi(999) + ")", "=sum(" + gi(total.ID) + ")", "=sum(" + gi(other.ID) + ")",
		"=sum(" + gi(first.ID) + "*x)",
	} {
		if err := b.SetFormula(total.ID, wrong); err == nil {
			t.Errorf("%s was stored", wrong)
		}
	}
	if err := b.SetFormula(first.ID, "=sum("+gi(total.ID)+")"); err == nil {
		t.Error("a circle was stored")
	}
	if err := b.SetFormula(999, ""); err == nil {
		t.Errorf("a formula without line item (%s)", elsewhere.ID)
	}
	if err := b.SetFormula(total.ID, "=sum("+gi(first.ID)+"*2)"); err != nil {
		t.Fatal(err)
	}
	b.get("/as/teacher")
	name := "formula-" + strconv.Itoa(total.ID)
	if got := b.post("/course/2/gradebook", url.Values{name: {"=nonsense"}}); got.Status != http.StatusBadRequest {
		t.Errorf("nonsense: %d", got.Status)
	}
	// The cell that shows a calculated grade is not typed by saving the page.
	page := b.post("/course/2/gradebook", url.Values{name: {"=sum(" + gi(first.ID) + ")"}, "grade-" + strconv.Itoa(total.ID) + "-7": {"80"}})
	if g, err := b.Grade(total.ID, "7"); err != nil || *g.Score != 40 || g.Overridden || !strings.Contains(page.Body, "=sum("+gi(first.ID)+")") {
		t.Errorf("after saving: %+v\n%s", g, page.Body)
	}
	if err := b.SetFormula(total.ID, ""); err != nil {
		t.Fatal(err)
	}
	if g, err := b.Grade(total.ID, "7"); err != nil || g.Score != nil {
		t.Errorf("without formula: %+v", g)
	}
}

func TestTeacherChangesALineItem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, item := b.place()
	if err := b.SetGrade(item.ID, "7", new(80.0)); err != nil {
		t.Fatal(err)
	}
	if err := b.SetMaximum(item.ID, 10); err != nil {
		t.Fatal(err)
	}
	if got := b.resultRows(item)["7"]; got != 8 {
		t.Errorf("grade after the change: %v", got)
	}
	for _, err := range []error{b.SetMaximum(item.ID, 0), b.SetMaximum(999, 1), b.DeleteLineItem(999)} {
		if err == nil {
			t.Error("no error")
		}
	}
	if err := b.DeleteLineItem(item.ID); err != nil {
		t.Fatal(err)
	}
	if got := b.service(http.MethodGet, below(item, ""), ""); got.Status != http.StatusNotFound {
		t.Errorf("after deleting: %d", got.Status)
	}
}

func TestAudienceOfARegistration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.Set(demolms.RegistrationAuthServer, demolms.Once); err != nil {
		t.Fatal(err)
	}
	server, _ := decode[map[string]any](t, openidConfig(b))["authorization_server"].(string)
	id, _ := decode[map[string]any](t, b.register(http.MethodPost, b.invitation(), b.newcomer()))["client_id"].(string)
	for audience, want := range map[string]int{server: http.StatusOK, b.Issuer() + "/mod/lti/token.php": http.StatusBadRequest} {
		claims := b.assertion()
		claims["iss"], claims["sub"], claims["aud"] = id, id, audience
		if got := b.post("/mod/lti/token.php", tokenForm(b.toolToken(claims, "tool-key", toolKey()), nrps)); got.Status != want {
			t.Errorf("%s: %d %s", audience, got.Status, got.Body)
		}
	}
}

// token checks one member of a granted token.
func granted(name string, want any) knobTest {
	return calls(endpoint, func(t *testing.T, a answer) {
		t.Helper()
		got, there := decode[map[string]any](t, a)[name]
		if a.Status != http.StatusOK || (want == nil && there) || (want != nil && !equalJSON(got, want)) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	})
}

func agsTests() map[demolms.Knob]knobTest {
	list := func(b *bench) answer { return b.service(http.MethodGet, lineItems, "") }
	post := func(b *bench) answer {
		return b.service(http.MethodPost, below(b.LineItems("2")[0], "/scores"), score("7", 1, 1, b.clock.Now()), "Content-Type", scoreType)
	}
	return map[demolms.Knob]knobTest{
		demolms.EndpointRefused: calls(endpoint, func(t *testing.T, a answer) {
			t.Helper()
			if a.Status != http.StatusBadRequest || decode[map[string]any](t, a)["error"] != "invalid_client" {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		}),
		demolms.EndpointBrokenJSON: calls(endpoint, func(t *testing.T, a answer) {
			t.Helper()
			if a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `"error" : ""kid" invalid`) {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		}),
		demolms.EndpointNoExpiry: granted("expires_in", nil), demolms.EndpointTextExpiry: granted("expires_in", "3600"),
		demolms.EndpointZeroExpiry: granted("expires_in", 0), demolms.EndpointLowerCase: granted("token_type", "bearer"),
		demolms.ServicesDenied: calls(func(b *bench) answer { list(b); return list(b) }, status(401)),
		demolms.ServicesBusy: calls(list, func(t *testing.T, a answer) {
			t.Helper()
			if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "1" {
				t.Errorf("%d %v", a.Status, a.Header)
			}
		}),
		demolms.ServicesDown: calls(list, func(t *testing.T, a answer) {
			t.Helper()
			if at, err := http.ParseTime(a.Header.Get("Retry-After")); err != nil || a.Status != http.StatusServiceUnavailable || at.Second() != 1 {
				t.Errorf("%d %v", a.Status, a.Header)
			}
		}),
		demolms.ServicesRedirect: calls(func(b *bench) answer {
			c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			return b.do(c, http.MethodGet, lineItems, "")
		}, func(t *testing.T, a answer) {
			t.Helper()
			if a.Status != http.StatusTemporaryRedirect || a.Header.Get("Location") != "https://elsewhere.example"+lineItems {
				t.Errorf("%d %v", a.Status, a.Header)
			}
		}),
		demolms.LineItemsGone: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			_, item := b.place()
			turn(t, b, k)
			status(404)(t, b.service(http.MethodGet, below(item, ""), ""))
			status(404)(t, post(b))
			status(404)(t, resultsOf(b))
			if got := list(b); got.Body != "[]" {
				t.Errorf("list %s", got.Body)
			}
		},
		demolms.LineItemsNoID: calls(func(b *bench) answer {
			return b.service(http.MethodPost, lineItems, `{"label":"L","scoreMaximum":1}`, "Content-Type", itemType)
		}, func(t *testing.T, a answer) {
			t.Helper()
			if got := decode[map[string]any](t, a); a.Status != http.StatusCreated || got["id"] != nil || !strings.HasSuffix(a.Header.Get("Location"), "/lineitem?type_id=1") {
				t.Errorf("%d %v %v", a.Status, got, a.Header)
			}
		}),
		demolms.LineItemsTwice: calls(list, func(t *testing.T, a answer) {
			t.Helper()
			items := decode[[]map[string]any](t, a)
			if len(items) != 2 || items[0]["resourceId"] != "a-1" || items[0]["resourceLinkId"] != nil || items[1]["resourceLinkId"] == nil || items[0]["id"] == items[1]["id"] {
				t.Errorf("items %v", items)
			}
		}),
		demolms.ResultsTwice: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			b.fill()
			turn(t, b, k)
			rows := decode[[]map[string]any](t, resultsOf(b))
			if len(rows) != 6 || rows[0]["userId"] != rows[1]["userId"] || rows[1]["resultScore"] != 25.0 || rows[1]["timestamp"] != b.clock.Now().Add(-time.Hour).Format("2006-01-02T15:04:05+00:00") {
				t.Errorf("rows %v", rows)
			}
		},
		demolms.ScoresHTML: calls(post, isHTML), demolms.ScoresForbidden: calls(post, status(403)),
		demolms.ScoresConflict: calls(post, func(t *testing.T, a answer) {
			t.Helper()
			if a.Status != http.StatusConflict || a.Body != "[]" {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		}),
		demolms.ScoresInvalid: calls(post, status(422)),
	}
}
