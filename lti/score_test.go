package lti_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

const itemURL = issuer + "/7/item?type_id=1"

func full(given float64) lti.Score {
	return lti.Score{UserID: "7", ScoreGiven: &given, ScoreMaximum: 60, ActivityProgress: lti.ActivityCompleted, GradingProgress: lti.GradingFull}
}

// captured is what a recorded exchange was answered with.
func captured(tb testing.TB, name string) reply {
	tb.Helper()
	e := readCapture[exchange](tb, name)
	body := e.Response.Text
	if body == "" {
		body = string(e.Response.JSON)
	}
	header := map[string]string{"Content-Type": e.Response.Headers["content-type"]}
	if link := e.Response.Headers["link"]; link != "" {
		header["Link"] = strings.ReplaceAll(link, moodle, issuer)
	}
	here := strings.NewReplacer(moodle, issuer, strings.ReplaceAll(moodle, "/", `\/`), issuer)
	return reply{status: fmt.Sprintf("%d %s", e.Response.Status, e.Response.Reason), body: here.Replace(body), header: header}
}

func TestPostScoreRequest(t *testing.T) {
	t.Parallel()
	c := newClock(start.Add(123456 * time.Microsecond))
	p, s, reg := newScript(t, c, captured(t, "ags-score-ok"), reply{status: "201 Created", body: `{"x":1}`}, reply{status: "204 No Content"})
	score := full(48)
	score.Comment, score.ScoringUserID = "Well done <b>", "3"
	score.StartedAt, score.SubmittedAt = start.Add(-time.Hour), start.Add(-time.Minute)
	stamp, err := s.PostScore(t.Context(), reg, itemURL, score, time.Time{})
	if err != nil || !stamp.Equal(start.Add(123*time.Millisecond)) {
		t.Fatalf("got %v, %v", stamp, err)
	}
	got := p.requests[0]
	want := sent{
		line: "POST /7/item/scores?type_id=1", accept: "application/vnd.ims.lis.v1.score+json", contentType: "application/vnd.ims.lis.v1.score+json",
		bearer: "Bearer token-1", body: `{"activityProgress":"Completed","comment":"Well done <b>","gradingProgress":"FullyGraded","scoreGiven":48,` +
			`"scoreMaximum":60,"scoringUserId":"3","submission":{"startedAt":"2026-11-24T08:00:00.000Z","submittedAt":"2026-11-24T08:59:00.000Z"},` +
			`"timestamp":"2026-11-24T09:00:00.123Z","userId":"7"}`,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sent{})); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	for range 2 { // any 2xx is a success
		if _, err := s.PostScore(t.Context(), reg, itemURL, lti.Score{UserID: "7", ActivityProgress: lti.ActivityInitialized, GradingProgress: lti.GradingNotReady}, stamp); err != nil {
			t.Error(err)
		}
	}
	if last := p.requests[2].body; strings.Contains(last, "score") || strings.Contains(last, "submission") { // clears the score
		t.Errorf("sent %s", last)
	}
	if p.tokenCount() != 1 {
		t.Errorf("%d tokens", p.tokenCount())
	}
}

func TestScoreStamps(t *testing.T) {
	t.Parallel()
	now := start.Add(123 * time.Millisecond)
	p, s, reg := newScript(t, newClock(now))
	for _, tt := range []struct {
		name, family string
		after        time.Duration // from now; 0: none
		want         string
	}{
		{"first", "", 0, "09:00:00.123"},
		{"long after", "moodle", -time.Hour, "09:00:00.123"},
		{"in the same millisecond", "", 100 * time.Microsecond, "09:00:00.124"},
		{"the clock went back", "", time.Minute, "09:01:00.124"},
		{"Moodle counts seconds", "moodle", -100 * time.Millisecond, "09:00:01.023"},
		{"Moodle, half a second ahead", "moodle", 500 * time.Millisecond, "09:00:01.623"},
	} {
		p.start(&reg, tt.name, reply{})
		reg.ProductFamily = tt.family
		var after time.Time
		if tt.after != 0 {
			after = now.Add(tt.after)
		}
		stamp, err := s.PostScore(t.Context(), reg, itemURL, full(1), after)
		if err != nil || !strings.Contains(p.requests[0].body, `"timestamp":"2026-11-24T`+tt.want+`Z"`) {
			t.Errorf("%s: %v, sent %s", tt.name, err, p.requests[0].body)
		}
		if got := stamp.Format("15:04:05.000"); got != tt.want {
			t.Errorf("%s: returned %s, sent %s", tt.name, got, tt.want)
		}
	}
}

func TestScoreConflict(t *testing.T) { // S8
	t.Parallel()
	conflict := captured(t, "ags-score-same-timestamp-409")
	row := func(score, at string) reply {
		return reply{body: `[{"userId":"7","resultScore":` + score + `,"resultMaximum":100,"timestamp":"` + at + `"}]`}
	}
	post, read := "POST /7/item/scores?type_id=1", "GET /7/item/results?type_id=1&user_id=7"
	p, s, reg := newScript(t, newClock(start))
	for _, tt := range []struct {
		name    string
		replies []reply
		lines   []string
		stamp   string
		reason  string
	}{
		{"equal on another scale", []reply{conflict, row("80", "2026-11-24T09:05:00Z")}, []string{post, read}, "09:05:00.000", ""},
		{"another value", []reply{conflict, row("10", "2026-11-24T09:05:00+00:00"), {}}, []string{post, read, post}, "09:05:01.000", ""},
		{"no row", []reply{conflict, {body: `[]`}, {}}, []string{post, read, post}, "09:00:01.000", ""},
		{"results may not be read", []reply{conflict, {status: "403 Forbidden"}, {}}, []string{post, read, post}, "09:00:01.000", ""},
		{"results are out of reach", []reply{conflict, {status: "502 Bad Gateway"}}, []string{post, read}, "", lti.ReasonBusy},
		{"again", []reply{conflict, row("10", "2026-11-24T09:05:00Z"), conflict}, []string{post, read, post}, "", lti.ReasonConflict},
	} {
		p.start(&reg, tt.name, tt.replies...)
		stamp, err := s.PostScore(t.Context(), reg, itemURL, full(48), time.Time{})
		if got := reasonOf(t, err); got != tt.reason {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.reason)
		}
		if diff := cmp.Diff(tt.lines, p.lines()); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", tt.name, diff)
		}
		if tt.reason == "" && stamp.Format("15:04:05.000") != tt.stamp {
			t.Errorf("%s: stamp %v, want %s", tt.name, stamp, tt.stamp)
		}
		if p.tokenCount() != 1 {
			t.Errorf("%s: %d tokens for sending and reading, want 1", tt.name, p.tokenCount())
		}
	}
}

func TestScoreRefusals(t *testing.T) { // S9, S10
	t.Parallel()
	_, s, reg := newScript(t, newClock(start), captured(t, "ags-score-teacher-not-gradable"), reply{status: "422 Unprocessable Entity", body: `{"errors":"user not found in course"}`},
		reply{status: "400 Attempts used up", body: `{"errors":"max"}`})
	for _, want := range [][2]string{{"Incorrect score received", ""}, {"", `{"errors":"user not found in course"}`}, {"Attempts used up", `{"errors":"max"}`}} {
		_, err := s.PostScore(t.Context(), reg, itemURL, full(48), time.Time{})
		got := serviceError(t, err)
		if got.Reason != lti.ReasonRejected || got.Temporary() || got.Phrase != want[0] || got.Body != want[1] {
			t.Errorf("got %v, phrase %q, body %q", got, got.Phrase, got.Body)
		}
		if strings.Contains(err.Error(), "scoreGiven") { // Moodle's phrase repeats the score
			t.Errorf("the error tells the score: %v", err)
		}
	}
}

func TestScoreIsChecked(t *testing.T) {
	t.Parallel()
	_, services, reg := newScript(t, newClock(start))
	for name, change := range map[string]func(s *lti.Score){
		"no user":               func(s *lti.Score) { s.UserID = "" },
		"long user":             func(s *lti.Score) { s.UserID = strings.Repeat("x", 256) },
		"no activity progress":  func(s *lti.Score) { s.ActivityProgress = "" },
		"odd grading progress":  func(s *lti.Score) { s.GradingProgress = "Bogus" },
		"negative":              func(s *lti.Score) { s.ScoreGiven = new(-1.0) },
		"not a number":          func(s *lti.Score) { s.ScoreGiven = new(math.NaN()) },
		"infinite":              func(s *lti.Score) { s.ScoreGiven = new(math.Inf(1)) },
		"no maximum":            func(s *lti.Score) { s.ScoreMaximum = 0 },
		"infinite maximum":      func(s *lti.Score) { s.ScoreMaximum = math.Inf(1) },
		"grader is a space":     func(s *lti.Score) { s.ScoringUserID = " " },
		"ends before it begins": func(s *lti.Score) { s.StartedAt, s.SubmittedAt = start, start.Add(-time.Second) },
	} {
		score := full(1)
		change(&score)
		if _, err := services.PostScore(t.Context(), reg, itemURL, score, time.Time{}); err == nil || score.Validate() == nil {
			t.Errorf("%s: sent", name)
		}
	}
	above := full(61)
	if err := above.Validate(); err != nil {
		t.Errorf("above the maximum: %v", err)
	}
}
