package lti_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// FuzzRoster answers with whatever members and Link header come.
func FuzzRoster(f *testing.F) {
	var answer reply
	p, s, reg := newScript(f, newClock(start))
	p.handle = func(sent) reply { return answer }
	for _, capture := range []string{"nrps-members-limit20-lastpage", "nrps-members-role-instructor-uri"} {
		f.Add(captured(f, capture).body, "")
	}
	f.Add(`{"members":[{"user_id":"1","message":{"https://purl.imsglobal.org/spec/lti/claim/custom":{"a":1}}},{"user_id":1}]}`, `</d>; rel=differences, </members>; rel=“next”`)
	f.Add(`{"members":null,"context":{"id":"\u0000"}}`, `<https://evil.example/d>; REL='differences'`)
	f.Add(`{"members":[{"user_id":"1","status":"deleted","roles":"Instructor"},[],{}]`, `<;>,<>;rel="next",,`)
	f.Fuzz(func(t *testing.T, body, link string) {
		answer = reply{body: body, header: map[string]string{"Link": link}}
		for name, read := range map[string]func() (lti.Roster, error){
			"members": func() (lti.Roster, error) { return s.Members(t.Context(), reg, membersURL, lti.MemberQuery{}) },
			"changes": func() (lti.Roster, error) { return s.Changes(t.Context(), reg, membersURL) },
		} {
			roster, err := read()
			if err != nil {
				serviceError(t, err)
				continue
			}
			if roster.Differences != "" && !strings.HasPrefix(roster.Differences, issuer) {
				t.Errorf("differences at %s", roster.Differences)
			}
			seen := map[string]bool{}
			for _, m := range roster.Members {
				switch {
				case m.UserID == "" || len(m.UserID) > 255 || seen[m.UserID]:
					t.Errorf("user %q is missing or there twice", m.UserID)
				case m.Status == lti.MemberDeleted && name == "members", m.Status == "":
					t.Errorf("status %q", m.Status)
				case m.IsTeacher() && m.IsLearner():
					t.Errorf("%q is both", m.UserID)
				case strings.ContainsAny(m.Name+m.Email, "\x00\r\n\u202e"):
					t.Errorf("name %q, e-mail %q", m.Name, m.Email)
				}
				seen[m.UserID] = true
			}
		}
	})
}

// FuzzRetryAfter refuses with whatever header comes. Whatever it says, the platform is
// called again within a day, and not before the time the error names.
func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{"", "0", "120", " 5 ", "-1", "1e9", "99999999999999999999", "Tue, 24 Nov 2026 09:10:00 GMT", "Tue, 24 Nov 2016 09:10:00 GMT", "Tuesday, 24-Nov-26 09:10:00 GMT", "soon"} {
		f.Add(value)
	}
	var value string
	n := 0
	c := newClock(start)
	p, s, reg := newScript(f, c)
	p.handle = func(sent) reply {
		return reply{status: "503 Service Unavailable", header: map[string]string{"Retry-After": value}}
	}
	f.Fuzz(func(t *testing.T, v string) {
		value = v
		n++
		c.ns.Store(start.UnixNano())
		p.start(&reg, fmt.Sprint("reg-", n)) // for whom nothing waits yet
		_, err := s.Results(t.Context(), reg, itemURL, "")
		refused := serviceError(t, err)
		wait := refused.RetryAt.Sub(c.Now())
		switch {
		case refused.Reason != lti.ReasonBusy || !refused.Temporary() || len(p.lines()) != 1:
			t.Errorf("got %v after %v", err, p.lines())
		case refused.RetryAt.IsZero():
			return
		case wait <= 0 || wait > 24*time.Hour:
			t.Errorf("%q: wait %v", v, wait)
		}
		c.advance(wait - 1)
		if _, err := s.Results(t.Context(), reg, itemURL, ""); len(p.lines()) != 1 || reasonOf(t, err) != lti.ReasonBusy {
			t.Errorf("%q: called before the time: %v, %v", v, p.lines(), err)
		}
		c.advance(1)
		if _, err := s.Results(t.Context(), reg, itemURL, ""); len(p.lines()) != 2 {
			t.Errorf("%q: not called at the time: %v", v, err)
		}
	})
}

// FuzzUpdateLineItem changes the label of whatever line item comes: everything else goes
// back as it came.
func FuzzUpdateLineItem(f *testing.F) {
	var item string
	var put string
	p, s, reg := newScript(f, newClock(start))
	p.handle = func(r sent) reply {
		if strings.HasPrefix(r.line, "PUT") {
			put = r.body
		}
		return reply{body: item}
	}
	f.Add(moodleItem)
	f.Add(`{"label":"<b>A</b>","scoreMaximum":"10","resourceLinkId":7,"gradesReleased":"true","submissionReview":[],"startDateTime":5}`)
	f.Add(`{"label":1,"scoreMaximum":1e2,"LABEL":"x","x":{"y":[1,{"z":"\u0000"}]}}`)
	f.Fuzz(func(t *testing.T, body string) {
		item, put = body, ""
		p.start(&reg, "update")
		_, err := s.UpdateLineItem(t.Context(), reg, itemURL, func(i *lti.LineItem) {
			if i.ScoreMaximum > 0 && !math.IsInf(i.ScoreMaximum, 0) {
				i.Label += "!"
			}
		})
		if err != nil || put == "" {
			return
		}
		var before, after map[string]any
		if json.Unmarshal([]byte(body), &before) != nil || json.Unmarshal([]byte(put), &after) != nil {
			t.Fatalf("%s became %s", body, put)
		}
		before["label"] = after["label"]
		want, got := string(must(json.Marshal(before))), string(must(json.Marshal(after)))
		if want != got {
			t.Errorf("%s became %s", want, got)
		}
	})
}
