package lti_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// serviceCase is one row of section 8 of the list of bad inputs: what platforms answer.
type serviceCase struct {
	number  string // S1 to S30
	input   string
	tokens  []reply
	replies []reply
	// do returns an outcome in words; an error counts as its reason.
	do   func(t *testing.T, p *serviceBench) (string, error)
	want string
	// elsewhere says where the case is decided when this package does not.
	elsewhere string
}

// serviceBench is what a case works with.
type serviceBench struct {
	*script
	*lti.Services
	reg   lti.Registration
	clock *clock
}

func (b *serviceBench) results(t *testing.T) (string, error) {
	t.Helper()
	rows, err := b.Results(t.Context(), b.reg, itemURL, "")
	var list []string
	for _, r := range rows {
		score := "-"
		if r.Score != nil {
			score = fmt.Sprint(*r.Score)
		}
		list = append(list, fmt.Sprintf("%s:%s/%v%s", r.UserID, score, r.Maximum, r.Refused))
	}
	return strings.Join(list, " "), err
}

func (b *serviceBench) post(t *testing.T) (string, error) {
	t.Helper()
	stamp, err := b.PostScore(t.Context(), b.reg, itemURL, full(48), time.Time{})
	return fmt.Sprintf("sent %s in %d calls", stamp.Format("15:04:05"), len(b.lines())), err
}

func (b *serviceBench) members(t *testing.T) (string, error) {
	t.Helper()
	roster, err := b.Members(t.Context(), b.reg, membersURL, lti.MemberQuery{})
	var list []string
	for _, m := range roster.Members {
		list = append(list, fmt.Sprintf("%s teacher=%v learner=%v %v", m.UserID, m.IsTeacher(), m.IsLearner(), m.Custom))
	}
	return fmt.Sprintf("%s skipped=%d partial=%v empty=%v", strings.Join(list, ", "), roster.Skipped, roster.Partial, roster.Empty), err
}

func (b *serviceBench) ensure(t *testing.T) (string, error) {
	t.Helper()
	item, created, err := b.EnsureLineItem(t.Context(), b.reg, itemsURL, lti.LineItem{Label: "A", ScoreMaximum: 1, ResourceID: "a-1", ResourceLinkID: "l-1"})
	return fmt.Sprintf("%s created=%v", strings.TrimPrefix(item.ID, issuer), created), err
}

// twice does it again and tells how many requests and tokens that took.
func twice(do func(b *serviceBench, t *testing.T) (string, error)) func(t *testing.T, b *serviceBench) (string, error) {
	return func(t *testing.T, b *serviceBench) (string, error) {
		t.Helper()
		_, first := do(b, t)
		_, second := do(b, t)
		return fmt.Sprintf("%s, %s after %d tokens and %d calls", reasonOf(t, first), reasonOf(t, second), b.tokenCount(), len(b.lines())), nil
	}
}

func once(do func(b *serviceBench, t *testing.T) (string, error)) func(t *testing.T, b *serviceBench) (string, error) {
	return func(t *testing.T, b *serviceBench) (string, error) { return do(b, t) }
}

// lives tells how long a token is used.
func lives(t *testing.T, b *serviceBench) (string, error) {
	t.Helper()
	for b.tokenCount() < 2 {
		if _, err := b.results(t); err != nil {
			return "", err
		}
		b.clock.advance(time.Second)
	}
	return fmt.Sprint(b.clock.Now().Sub(start) - time.Second), nil
}

func endless(body string, n int) []reply {
	list := make([]reply, n)
	for i := range list {
		list[i] = reply{body: body}
	}
	return list
}

func linked(body, link string) reply {
	return reply{body: body, header: map[string]string{"Link": link}}
}

func tokenCases(t *testing.T) []serviceCase {
	t.Helper()
	results, post := (*serviceBench).results, (*serviceBench).post
	token := func(members string) []reply { return []reply{{body: `{"access_token":"t"` + members + `}`}} }
	return []serviceCase{
		{number: "S1", input: "invalid_client", tokens: []reply{{status: "400 Bad Request", body: `{"error":"invalid_client"}`}}, do: twice(post), want: "token-refused, token-refused after 1 tokens and 0 calls"},
		{number: "S1", input: "Moodle's JSON that is none", tokens: []reply{captured(t, "token-error-bad-signature")}, do: twice(results), want: "token-refused, token-refused after 1 tokens and 0 calls"},
		{number: "S2", input: "no expires_in", tokens: token(``), replies: endless("[]", 400), do: lives, want: "4m0s"},
		{number: "S2", input: "expires_in as text", tokens: token(`,"expires_in":"120"`), replies: endless("[]", 400), do: lives, want: "1m0s"},
		{number: "S2", input: "expires_in 0", tokens: token(`,"expires_in":0`), replies: endless("[]", 400), do: lives, want: "4m0s"},
		{number: "S2", input: "expires_in 1", tokens: token(`,"expires_in":1`), replies: endless("[]", 400), do: lives, want: "15s"},
		{number: "S3", input: "another scope", tokens: token(`,"scope":"` + lti.ScopeLineItem + `"`), do: twice(results), want: "scope-not-granted, scope-not-granted after 1 tokens and 0 calls"},
		{number: "S3", input: "one of two scopes", tokens: token(`,"scope":"` + lti.ScopeScore + `"`), replies: []reply{{}, {}}, do: twice(post), want: ",  after 1 tokens and 2 calls"},
		{number: "S3", input: "one of two scopes refuses both", tokens: []reply{{status: "400 Bad Request", body: `{"error":"invalid_scope"}`}}, replies: []reply{{}, {}}, do: twice(post), want: ",  after 2 tokens and 2 calls"},
		{number: "S4", input: "token_type bearer", tokens: token(`,"token_type":"bearer"`), replies: endless("[]", 1), do: once(results), want: ""},
		{number: "S5", input: "401 with an old token", replies: []reply{{status: "401 Unauthorized"}, {}}, do: once(post), want: "sent 09:00:00 in 2 calls"},
		{number: "S5", input: "401 for good", replies: []reply{{status: "401 Unauthorized"}, {status: "401 Unauthorized"}}, do: once(post), want: lti.ReasonUnauthorized},
	}
}

func scoreCases(t *testing.T) []serviceCase {
	t.Helper()
	post := (*serviceBench).post
	conflict := captured(t, "ags-score-same-timestamp-409")
	wait := func(status, value string) []reply {
		return []reply{{status: status, header: map[string]string{"Retry-After": value}}}
	}
	said := func(t *testing.T, b *serviceBench) (string, error) {
		t.Helper()
		_, err := b.post(t)
		e := serviceError(t, err)
		return fmt.Sprintf("%s %q %q", e.Reason, e.Phrase, e.Body), nil
	}
	waits := func(t *testing.T, b *serviceBench) (string, error) {
		t.Helper()
		_, first := b.post(t)
		_, second := b.results(t)
		if !serviceError(t, second).Temporary() {
			t.Error("a pause is not temporary")
		}
		return fmt.Sprintf("%s %s, %s %s, %d calls", reasonOf(t, first), serviceError(t, first).RetryAt.Sub(start),
			reasonOf(t, second), serviceError(t, second).RetryAt.Sub(start), len(b.lines())), nil
	}
	return []serviceCase{
		{number: "S6", input: "403", replies: []reply{{status: "403 Forbidden"}}, do: once(post), want: lti.ReasonForbidden},
		{number: "S6", input: "403 above_response_limit", replies: []reply{{status: "403 Forbidden", body: `"above_response_limit"`}}, do: once((*serviceBench).members), want: lti.ReasonAboveLimit},
		{number: "S6", input: "403 of Canvas, which is busy", replies: []reply{{status: "403 Forbidden", body: `403 Forbidden (Rate Limit Exceeded)`}}, do: once(post), want: lti.ReasonBusy},
		{number: "S7", input: "404", replies: []reply{{status: "404 Not Found"}}, do: once(post), want: lti.ReasonGone},
		{number: "S8", input: "409 and equal", replies: []reply{conflict, {body: `[{"userId":"7","resultScore":80,"resultMaximum":100}]`}}, do: once(post), want: "sent 09:00:00 in 2 calls"},
		{number: "S8", input: "409 and another", replies: []reply{conflict, {body: `[{"userId":"7","resultScore":8,"resultMaximum":100,"timestamp":"2026-11-24T10:00:00+00:00"}]`}, {}}, do: once(post), want: "sent 10:00:01 in 3 calls"},
		{number: "S9", input: "400 Incorrect score received", replies: []reply{captured(t, "ags-score-teacher-not-gradable")}, do: said, want: `rejected "Incorrect score received" ""`},
		{number: "S10", input: "422", replies: []reply{{status: "422 Unprocessable Entity", body: `{"message":"not gradable"}`}}, do: said, want: `rejected "" "{\"message\":\"not gradable\"}"`},
		{number: "S11", input: "503 for seconds", replies: wait("503 Service Unavailable", "120"), do: waits, want: "busy 2m0s, busy 2m0s, 1 calls"},
		{number: "S11", input: "429 until a date", replies: wait("429 Too Many Requests", "Tue, 24 Nov 2026 09:10:00 GMT"), do: waits, want: "busy 10m0s, busy 10m0s, 1 calls"},
		{number: "S11", input: "503 for a month", replies: wait("503 Service Unavailable", "2592000"), do: waits, want: "busy 24h0m0s, busy 24h0m0s, 1 calls"},
		{number: "S12", input: "200 with HTML", replies: []reply{{body: "\n<!DOCTYPE html><title>Maintenance</title>"}}, do: once(post), want: lti.ReasonAnswer},
		{number: "S12", input: "200 with text for people", replies: []reply{{body: "back soon", header: map[string]string{"Content-Type": "text/html"}}}, do: once(post), want: lti.ReasonAnswer},
	}
}

func pageCases() []serviceCase {
	results := (*serviceBench).results
	row := `[{"userId":"1"}]`
	return []serviceCase{
		{number: "S13", input: "next on another host", replies: []reply{linked(row, `<https://evil.example/x>; rel="next"`)}, do: once(results), want: lti.ReasonForeignPage},
		{number: "S13", input: "next on a sub-domain", replies: []reply{linked(row, `<https://x.lms.example.edu/x>; rel="next"`)}, do: once(results), want: lti.ReasonForeignPage},
		{number: "S14", input: "next is itself", replies: []reply{linked(`{"members":[{"user_id":"1"}]}`, `<`+membersURL+`>; rel="next"`)}, do: once((*serviceBench).members), want: "1 teacher=false learner=false map[] skipped=0 partial=true empty=false"},
		{number: "S15", input: "typographic quotes, REL, &amp;", replies: []reply{linked(row, `<`+issuer+`/P2?a=1&amp;b=2>; REL=“Next”`), {body: `[{"userId":"2"}]`}}, do: func(t *testing.T, b *serviceBench) (string, error) {
			t.Helper()
			if _, err := b.results(t); err != nil {
				return "", err
			}
			return b.lines()[1], nil
		}, want: "GET /P2?a=1&b=2"},
		{number: "S16", input: "302 to another host", elsewhere: "lti/fetch refuses it; TestRedirectsKeepTheTokenHome"},
		{number: "S17", input: "scores of all sorts", replies: []reply{{body: `[{"userId":"1","resultScore":null},{"userId":"2","resultScore":"85","resultMaximum":100},{"userId":"3","resultScore":-1},{"userId":"4","resultScore":12,"resultMaximum":10},{"userId":"5","resultScore":"NaN"},{"userId":"6"}]`}}, do: once(results), want: "1:-/1 2:85/100 3:-/1the score is negative 4:12/10 5:-/1the score is not a number 6:-/1"},
		{number: "S18", input: "maximum 0 or absent", replies: []reply{{body: `[{"userId":"1","resultScore":0.5},{"userId":"2","resultScore":1,"resultMaximum":0}]`}}, do: once(results), want: "1:0.5/1 2:-/1the maximum is not a number above 0"},
		{number: "S19", input: "a user nobody knows", replies: []reply{{body: `[{"userId":"nobody","resultScore":1}]`}}, do: once(results), want: "nobody:1/1"}, // grading keeps it unmatched
		{number: "S20", input: "two rows", replies: []reply{{body: `[{"userId":"1","resultScore":1,"timestamp":"2026-11-24T09:00:00Z"},{"userId":"1","resultScore":0.2,"timestamp":"2026-11-24T08:00:00Z"}]`}}, do: once(results), want: "1:1/1"},
	}
}

func memberCases() []serviceCase {
	members, ensure := (*serviceBench).members, (*serviceBench).ensure
	item := func(id, link string) string {
		return `{"id":"/i/` + id + `","label":"A","resourceId":"a-1","resourceLinkId":"` + link + `"}`
	}
	return []serviceCase{
		{number: "S21", input: "message is an object", replies: []reply{{body: `{"members":[{"user_id":"1","message":{"https://purl.imsglobal.org/spec/lti/claim/custom":{"a":"b"}}}]}`}}, do: once(members), want: "1 teacher=false learner=false map[a:b] skipped=0 partial=false empty=false"},
		{number: "S22", input: "no user_id, and Deleted", replies: []reply{{body: `{"members":[{"name":"x"},{"user_id":"2","status":"Deleted"},{"user_id":"3","roles":["Learner"]}]}`}}, do: once(members), want: "3 teacher=false learner=true map[] skipped=2 partial=false empty=false"},
		{number: "S23", input: "no roles", replies: []reply{{body: `{"members":[{"user_id":"1"}]}`}}, do: once(members), want: "1 teacher=false learner=false map[] skipped=0 partial=false empty=false"},
		{number: "S24", input: "nobody", replies: []reply{{body: `{"members":[]}`}}, do: once(members), want: " skipped=0 partial=false empty=true"},
		{number: "S25", input: "80,000 members", elsewhere: "TestManyMembers, which takes a while"},
		{number: "S26", input: "created without id", replies: []reply{{body: `[]`}, {status: "201 Created", header: map[string]string{"Location": "/i/9"}}}, do: once(ensure), want: "/i/9 created=true"},
		{number: "S26", input: "created without anything", replies: []reply{{body: `[]`}, {status: "200 OK", body: `{}`}, {body: `[` + item("8", "") + `]`}}, do: once(ensure), want: "/i/8 created=true"},
		{number: "S27", input: "two, one ours", replies: []reply{{body: `[` + item("1", "l-0") + `,` + item("2", "l-1") + `]`}}, do: once(ensure), want: "/i/2 created=false"},
		{number: "S27", input: "two, none ours", replies: []reply{{body: `[` + item("1", "l-0") + `,` + item("2", "l-2") + `]`}}, do: once(ensure), want: lti.ReasonUnclear},
		{number: "S28", input: "the maximum was changed", replies: []reply{{body: `[{"userId":"1","resultScore":30,"resultMaximum":60}]`}}, do: once((*serviceBench).results), want: "1:30/60"}, // the ratio counts, not the maximum once asked for
		{number: "S29", input: "a grade lowered afterwards", elsewhere: "grading and issuance: an event, and a policy"},
		{number: "S30", input: "the host is now private", elsewhere: "lti/fetch blocks it when dialling; TestServiceAddresses"},
	}
}

func TestServiceCases(t *testing.T) {
	t.Parallel()
	c := newClock(start)
	p, s, reg := newScript(t, c)
	seen := map[string]bool{}
	for _, tt := range slices.Concat(tokenCases(t), scoreCases(t), pageCases(), memberCases()) {
		seen[tt.number] = true
		if tt.elsewhere != "" {
			continue
		}
		c.ns.Store(start.UnixNano())
		p.tokens = tt.tokens
		b := &serviceBench{script: p, Services: s, clock: c, reg: reg}
		p.start(&b.reg, tt.number+" "+tt.input, tt.replies...)
		got, err := tt.do(t, b)
		if err != nil {
			got = reasonOf(t, err)
		}
		if got != tt.want {
			t.Errorf("%s %s: got %q (%v), want %q", tt.number, tt.input, got, err, tt.want)
		}
	}
	for n := 1; n <= 30; n++ {
		if name := fmt.Sprintf("S%d", n); !seen[name] {
			t.Errorf("%s is in no row", name)
		}
	}
}
