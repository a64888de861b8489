package lti_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

const membersURL = issuer + "/members?type_id=1"

func TestMoodleMembers(t *testing.T) {
	t.Parallel()
	p, s, reg := newScript(t, newClock(start),
		captured(t, "nrps-members-limit20-page1"), captured(t, "nrps-members-limit20-page2"), captured(t, "nrps-members-limit20-lastpage"),
		captured(t, "nrps-members-role-instructor-uri"))
	roster, err := s.Members(t.Context(), reg, membersURL, lti.MemberQuery{Limit: 20})
	if err != nil || len(roster.Members) != 41 || roster.Partial || roster.Empty || roster.Skipped != 0 {
		t.Fatalf("got %d members, %+v, %v", len(roster.Members), roster, err)
	}
	if diff := cmp.Diff(lti.Context{ID: "2", Label: "DLC101", Title: "Data Literacy Certificate"}, roster.Context); diff != "" {
		t.Errorf("context (-want +got):\n%s", diff)
	}
	if first := p.requests[0]; first.line != "GET /members?type_id=1&limit=20" || first.accept != "application/vnd.ims.lti-nrps.v2.membershipcontainer+json" {
		t.Errorf("asked %+v", first)
	}
	roster, err = s.Members(t.Context(), reg, membersURL, lti.MemberQuery{Role: memberRole + "Instructor", ResourceLinkID: "1"})
	if err != nil || len(roster.Members) != 1 || !roster.Members[0].IsTeacher() || roster.Members[0].IsLearner() {
		t.Errorf("got %+v, %v", roster, err)
	}
	if last := p.requests[3].line; last != "GET /members?type_id=1&rlid=1&role=http%3A%2F%2Fpurl.imsglobal.org%2Fvocab%2Flis%2Fv2%2Fmembership%23Instructor" {
		t.Errorf("asked %s", last)
	}
}

func TestMemberShapes(t *testing.T) {
	t.Parallel()
	_, s, reg := newScript(t, newClock(start), reply{body: `{"context":{"id":"c","title":"<b>A</b>"},"members":[
		{"user_id":"1","roles":["Learner"],"name":"Zo\u00eb\u202e","email":"z@example.edu","picture":"x","lis_person_sourcedid":"S1"},
		{"user_id":2,"roles":"Instructor","status":"active"},
		{"user_id":"3"},
		{"user_id":"4","roles":null,"status":"Inactive"},
		{"user_id":"5","roles":["Learner","Instructor"],"status":"Suspended","email":"not one"},
		{"user_id":"6","roles":["Learner"],"status":"Deleted"},
		{"roles":["Learner"]},
		{"user_id":""},
		{"user_id":"7","user_id":"8"},
		"x", null,
		{"user_id":"9","message":[{"a":1},{"https://purl.imsglobal.org/spec/lti/claim/custom":{"group":"g1","n":5,"u":"$User.x"}}]},
		{"user_id":"10","message":{"https://purl.imsglobal.org/spec/lti/claim/custom":{"group":"g2"}}},
		{"user_id":"1","roles":["http://purl.imsglobal.org/vocab/lis/v2/membership/Learner#GuestLearner"]}
	]}`})
	roster, err := s.Members(t.Context(), reg, membersURL, lti.MemberQuery{})
	if err != nil || roster.Skipped != 6 || roster.Context.Title != "A" {
		t.Fatalf("skipped %d, %+v, %v", roster.Skipped, roster.Context, err)
	}
	var got []string
	for _, m := range roster.Members {
		got = append(got, fmt.Sprintf("%s %s teacher=%v learner=%v %s%s %v", m.UserID, m.Status, m.IsTeacher(), m.IsLearner(), m.Name, m.Email, m.Custom))
	}
	want := []string{
		"1 Active teacher=false learner=true  map[]", // as they came last
		"2 Active teacher=true learner=false  map[]",
		"3 Active teacher=false learner=false  map[]",
		"4 Inactive teacher=false learner=false  map[]",
		"5 Inactive teacher=true learner=false  map[]",
		"9 Active teacher=false learner=false  map[group:g1 n:5]",
		"10 Active teacher=false learner=false  map[group:g2]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	m := lti.Member{UserID: "7", Name: "Stella", Email: "s@example.edu"}
	if text := fmt.Sprintf("%v %+v %#v %s", m, m, m, slog.AnyValue(m).Resolve()); strings.Contains(text, "tella") || strings.Contains(text, "@") {
		t.Errorf("printed: %s", text)
	}
}

func TestMemberAnswers(t *testing.T) {
	t.Parallel()
	const one = `{"members":[{"user_id":"1"}]}`
	next := func(link string) map[string]string { return map[string]string{"Link": link} }
	p, s, reg := newScript(t, newClock(start))
	for _, tt := range []struct {
		name    string
		replies []reply
		want    string // members, partial, empty, differences; or the reason
	}{
		{"one", []reply{{body: one}}, "1 false false "},
		{"S24 nobody", []reply{{body: `{"members":[]}`}}, "0 false true "},
		{"null", []reply{{body: `{"members":null,"id":"x"}`}}, "0 false true "},
		{"members last", []reply{{body: `{"id":"x","context":{},"members":[{"user_id":"1"}],"more":{"a":[1]}}`}}, "1 false false "},
		{"differences", []reply{{body: one, header: next(`<` + issuer + `/members?since=A&amp;x=1>; rel=differences`)}}, "1 false false " + issuer + "/members?since=A&x=1"},
		{"relative differences", []reply{{body: one, header: next(`</d>; rel="differences"`)}}, "1 false false " + issuer + "/d"},
		{"foreign differences", []reply{{body: one, header: next(`<https://evil.example/d>; rel="differences"`)}}, "1 false false "},
		{"two pages", []reply{{body: one, header: next(`</p2>; rel="next"`)}, {body: `{"members":[{"user_id":"2"}]}`, header: next(`</d>; rel="differences"`)}}, "2 false false " + issuer + "/d"},
		{"S13 a foreign page", []reply{{body: one, header: next(`<https://evil.example/p2>; rel="next"`)}}, lti.ReasonForeignPage},
		{"S14 a loop", []reply{{body: one, header: next(`<` + membersURL + `>; rel="next"`)}}, "1 true false "},
		{"S12 HTML", []reply{{body: `<html>`}}, lti.ReasonAnswer},
		{"a list", []reply{{body: `[]`}}, lti.ReasonAnswer},
		{"no members", []reply{{body: `{}`}}, lti.ReasonAnswer},
		{"members twice", []reply{{body: `{"members":[],"members":[]}`}}, lti.ReasonAnswer},
		{"members is an object", []reply{{body: `{"members":{}}`}}, lti.ReasonAnswer},
		{"cut off", []reply{{body: `{"members":[{"user_id":"1"}`}}, lti.ReasonAnswer},
		{"broken", []reply{{body: `{"members":[{"user_id":"1"},}]}`}}, lti.ReasonAnswer},
		{"no end", []reply{{body: `{"members":[]`}}, lti.ReasonAnswer},
		{"nothing", []reply{{}}, lti.ReasonAnswer},
		{"S6 above the limit", []reply{{status: "403 Forbidden", body: `{"error":"above_response_limit"}`}}, lti.ReasonAboveLimit},
		{"a foreign resource link", []reply{{status: "404 Not Found"}}, lti.ReasonGone},
		{"too many bytes", []reply{{body: `{"id":"` + strings.Repeat("x", 33<<20) + `","members":[]}`}}, lti.ReasonTooLarge},
	} {
		p.start(&reg, tt.name, tt.replies...)
		roster, err := s.Members(t.Context(), reg, membersURL, lti.MemberQuery{})
		got := fmt.Sprintf("%d %v %v %s", len(roster.Members), roster.Partial, roster.Empty, roster.Differences)
		if err != nil {
			got = reasonOf(t, err)
		}
		if got != tt.want {
			t.Errorf("%s: got %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestMemberLimit(t *testing.T) {
	t.Parallel()
	for family, want := range map[string]string{"": "limit=1000", "canvas": "limit=50", "schoology": "limit=100"} {
		p, s, reg := newScript(t, newClock(start), reply{body: `{"members":[]}`})
		reg.ProductFamily = family
		if _, err := s.Members(t.Context(), reg, membersURL, lti.MemberQuery{Limit: 1000}); err != nil || !strings.HasSuffix(p.lines()[0], want) {
			t.Errorf("%s: asked %v (%v)", family, p.lines(), err)
		}
	}
}

func TestManyMembers(t *testing.T) { // S25
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"members":[{"user_id":"0"}`)
	for i := 1; i < 80_000; i++ {
		fmt.Fprintf(&b, `,{"user_id":"%d","roles":["Learner"],"name":"Member %d","email":"m%d@example.edu"}`, i, i, i)
	}
	b.WriteString(`]}`)
	_, s, reg := newScript(t, newClock(start), reply{body: b.String()})
	roster, err := s.Members(t.Context(), reg, membersURL, lti.MemberQuery{})
	if err != nil || len(roster.Members) != 50_000 || !roster.Partial {
		t.Errorf("%d members of 80,000, partial %v, %v", len(roster.Members), roster.Partial, err)
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	p, s, reg := newScript(t, newClock(start), reply{
		body:   `{"members":[{"user_id":"1","status":"Deleted"},{"user_id":"2","roles":["Learner"]}]}`,
		header: map[string]string{"Link": `</d?since=2>; rel="differences"`},
	}, reply{body: `{"members":[]}`})
	roster, err := s.Changes(t.Context(), reg, issuer+"/d?since=1")
	if err != nil || len(roster.Members) != 2 || roster.Members[0].Status != lti.MemberDeleted || roster.Differences != issuer+"/d?since=2" {
		t.Errorf("got %+v, %v", roster, err)
	}
	roster, err = s.Changes(t.Context(), reg, roster.Differences)
	if err != nil || roster.Empty || len(roster.Members) != 0 { // no change is no empty course
		t.Errorf("got %+v, %v", roster, err)
	}
	if diff := cmp.Diff([]string{"GET /d?since=1", "GET /d?since=2"}, p.lines()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
