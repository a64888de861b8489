package lti_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

const itemsURL = issuer + "/7/items?type_id=1"

func TestEnsureLineItem(t *testing.T) {
	t.Parallel()
	list := "GET /7/items?type_id=1&resource_id=a-1&tag=claimed"
	const create = "POST /7/items?type_id=1"
	row := func(id, link string) string {
		return `{"id":"` + issuer + `/7/items/` + id + `?type_id=1","label":"A","scoreMaximum":1,"resourceId":"a-1","tag":"claimed","resourceLinkId":"` + link + `"}`
	}
	p, s, reg := newScript(t, newClock(start))
	for _, tt := range []struct {
		name    string
		replies []reply
		lines   []string
		want    string // id, "new id", or the reason
	}{
		{"none", []reply{{body: `[]`}, {status: "201 Created", body: row("5", "link-1")}}, []string{list, create}, "new 5"},
		{"a filter that is ignored", []reply{{body: `[` + strings.ReplaceAll(row("4", ""), "a-1", "a-2") + `]`}, {status: "201 Created", body: row("5", "link-1")}}, []string{list, create}, "new 5"},
		{"S26 Location only", []reply{{body: `[]`}, {status: "201 Created", header: map[string]string{"Location": "/7/items/6?type_id=1"}}}, []string{list, create}, "new 6"},
		{"S26 nothing", []reply{{body: `[]`}, {status: "201 Created"}, {body: `[` + row("7", "link-1") + `]`}}, []string{list, create, list}, "new 7"},
		{"ours", []reply{{body: `[` + row("3", "link-1") + `]`}}, []string{list}, "3"},
		{"of no link", []reply{{body: `[` + row("3", "") + `]`}}, []string{list}, "3"},
		{"of another link", []reply{{body: `[` + row("3", "link-9") + `]`}}, []string{list}, lti.ReasonUnclear},
		{"S27 two after a restore", []reply{{body: `[` + row("3", "link-9") + `,` + row("4", "link-1") + `]`}}, []string{list}, "4"},
		{"S27 two, none ours", []reply{{body: `[` + row("3", "link-9") + `,` + row("4", "") + `]`}}, []string{list}, lti.ReasonUnclear},
		{"S27 two, both ours", []reply{{body: `[` + row("3", "link-1") + `,` + row("4", "link-1") + `]`}}, []string{list}, lti.ReasonUnclear},
		{"M41 on a foreign host", []reply{{body: `[` + strings.ReplaceAll(row("3", "link-1"), issuer, "https://evil.example") + `]`}}, []string{list}, lti.ReasonUnclear},
		{"forbidden", []reply{{status: "403 Forbidden"}}, []string{list}, lti.ReasonForbidden},
	} {
		p.start(&reg, tt.name, tt.replies...)
		item, created, err := s.EnsureLineItem(t.Context(), reg, itemsURL, lti.LineItem{
			Label: "A", ScoreMaximum: 1, ResourceID: "a-1", Tag: "claimed", ResourceLinkID: "link-1",
		})
		got := strings.TrimSuffix(strings.TrimPrefix(item.ID, issuer+"/7/items/"), "?type_id=1")
		if created {
			got = "new " + got
		}
		if err != nil {
			got = reasonOf(t, err)
		}
		if got != tt.want {
			t.Errorf("%s: got %q (%v), want %q", tt.name, got, err, tt.want)
		}
		if diff := cmp.Diff(tt.lines, p.lines()); diff != "" || p.tokenCount() != 1 {
			t.Errorf("%s: %d tokens, requests (-want +got):\n%s", tt.name, p.tokenCount(), diff)
		}
	}
	if _, _, err := s.EnsureLineItem(t.Context(), reg, itemsURL, lti.LineItem{Label: "A", ScoreMaximum: 1}); err == nil {
		t.Error("an item that cannot be found again was made")
	}
}

func TestEnsureLineItemOnce(t *testing.T) {
	t.Parallel()
	p, s, reg := newScript(t, newClock(start))
	var mu sync.Mutex
	made := 0
	p.handle = func(r sent) reply {
		mu.Lock()
		defer mu.Unlock()
		row := `{"id":"` + issuer + `/7/items/1","label":"A","resourceId":"a-1"}`
		switch {
		case strings.HasPrefix(r.line, "POST"):
			made++
			return reply{status: "201 Created", body: row}
		case made == 0:
			return reply{body: `[]`}
		}
		return reply{body: `[` + row + `]`}
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if item, _, err := s.EnsureLineItem(t.Context(), reg, itemsURL, lti.LineItem{Label: "A", ScoreMaximum: 1, ResourceID: "a-1"}); err != nil || item.ID == "" {
				t.Errorf("got %+v, %v", item, err)
			}
		})
	}
	all.Wait()
	if made != 1 {
		t.Errorf("made %d columns", made)
	}
}

// moodleItem is as Moodle shows it, and has members nobody here knows.
const moodleItem = `{"id":"https://lms.example.edu/7/item?type_id=1","label":"Badge","scoreMaximum":60,"resourceId":"r-1","tag":"credential",` +
	`"resourceLinkId":"1","ltiLinkId":"1","gradesReleased":true,"startDateTime":"2026-11-01T00:00:00+01:00","endDateTime":"2027-01-31T00:00:00Z",` +
	`"submissionReview":{"url":"https://tool.example.edu/x","custom":{"rev":"1"},"new":1},"https://stub.example/ext":{"a":1.50}}`

func TestUpdateLineItem(t *testing.T) {
	t.Parallel()
	const replaced = `"https://stub.example/ext":{"a":1.50},"id":"https://lms.example.edu/7/item?type_id=1"`
	const rest = `"ltiLinkId":"1","resourceId":"r-1"`
	p, s, reg := newScript(t, newClock(start))
	for _, tt := range []struct {
		name   string
		change func(i *lti.LineItem)
		want   []string // parts of what is sent; none: nothing is sent
		not    string
	}{
		{"nothing", func(*lti.LineItem) {}, nil, ""},
		{"the id", func(i *lti.LineItem) { i.ID = "https://evil.example/" }, nil, ""},
		{"label", func(i *lti.LineItem) { i.Label = "New" }, []string{
			replaced, rest, `"label":"New"`, `"scoreMaximum":60`, `"resourceLinkId":"1"`, `"gradesReleased":true`,
			`"startDateTime":"2026-11-01T00:00:00+01:00"`, `"endDateTime":"2027-01-31T00:00:00Z"`, `{"url":"https://tool.example.edu/x","custom":{"rev":"1"},"new":1}`,
		}, "Badge"},
		{"end", func(i *lti.LineItem) { i.EndsAt = start }, []string{`"endDateTime":"2026-11-24T09:00:00Z"`, `"startDateTime":"2026-11-01T00:00:00+01:00"`}, "2027"},
		{"no end, not released", func(i *lti.LineItem) { i.EndsAt, i.GradesReleased = time.Time{}, new(false) }, []string{`"gradesReleased":false`, replaced}, "endDateTime"},
		{"review", func(i *lti.LineItem) { i.SubmissionReview.Label = "Look" }, []string{`"submissionReview":{"label":"Look","url":"https://tool.example.edu/x","custom":{"rev":"1"}}`}, `"new"`},
		{"maximum", func(i *lti.LineItem) { i.ScoreMaximum = 100 }, []string{`"scoreMaximum":100`, replaced}, ""},
	} {
		p.start(&reg, tt.name, reply{body: moodleItem}, reply{body: moodleItem})
		if _, err := s.UpdateLineItem(t.Context(), reg, itemURL, tt.change); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.want == nil {
			if len(p.requests) != 1 {
				t.Errorf("%s: sent %v", tt.name, p.requests)
			}
			continue
		}
		got := p.requests[1]
		if got.line != "PUT /7/item?type_id=1" || got.contentType != "application/vnd.ims.lis.v2.lineitem+json" || got.accept != got.contentType || p.tokenCount() != 1 {
			t.Errorf("%s: %+v with %d tokens", tt.name, got, p.tokenCount())
		}
		for _, part := range tt.want {
			if !strings.Contains(got.body, part) {
				t.Errorf("%s: %s is missing in %s", tt.name, part, got.body)
			}
		}
		if tt.not != "" && strings.Contains(got.body, tt.not) {
			t.Errorf("%s: %s is in %s", tt.name, tt.not, got.body)
		}
	}
	for name, replies := range map[string][]reply{
		lti.ReasonGone:   {{status: "404 Not Found"}},
		lti.ReasonAnswer: {{body: moodleItem}, {body: "<!doctype html>", header: map[string]string{"Content-Type": "text/html"}}},
	} {
		p.start(&reg, name, replies...)
		_, err := s.UpdateLineItem(t.Context(), reg, itemURL, func(i *lti.LineItem) { i.Label = "New" })
		if got := reasonOf(t, err); got != name {
			t.Errorf("got %v, want %s", err, name)
		}
	}
	p.start(&reg, "maximum 0", reply{body: moodleItem})
	if _, err := s.UpdateLineItem(t.Context(), reg, itemURL, func(i *lti.LineItem) { i.ScoreMaximum = 0 }); err == nil {
		t.Error("a maximum of 0 was sent")
	}
}

func TestDeleteLineItem(t *testing.T) {
	t.Parallel()
	p, s, reg := newScript(t, newClock(start))
	for _, tt := range []struct {
		name, resourceID string
		replies          []reply
		want             string
		calls            int
	}{
		{"ours", "r-1", []reply{{body: moodleItem}, {status: "204 OK"}}, "", 2},
		{"gone", "r-1", []reply{{status: "404 Not Found"}}, "", 1},
		{"gone meanwhile", "r-1", []reply{{body: moodleItem}, {status: "410 Gone"}}, "", 2},
		{"not ours", "r-2", []reply{{body: moodleItem}}, lti.ReasonUnclear, 1},
		{"of nobody", "", []reply{{body: `{"id":"x","label":"A"}`}}, lti.ReasonUnclear, 1},
		{"coupled, on Canvas", "r-1", []reply{{body: moodleItem}, {status: "401 Unauthorized"}, {status: "401 Unauthorized"}}, lti.ReasonUnauthorized, 3},
	} {
		p.start(&reg, tt.name, tt.replies...)
		err := s.DeleteLineItem(t.Context(), reg, itemURL, tt.resourceID)
		if got := reasonOf(t, err); got != tt.want || len(p.requests) != tt.calls {
			t.Errorf("%s: got %v after %v, want %q", tt.name, err, p.lines(), tt.want)
		}
		if last := p.requests[len(p.requests)-1]; tt.calls > 1 && last.line != "DELETE /7/item?type_id=1" {
			t.Errorf("%s: %+v", tt.name, last)
		}
	}
}
