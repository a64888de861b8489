package demolms_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

// customOf is the custom claim of a launch.
func (b *bench) customOf(activity string, faults ...demolms.Knob) map[string]any {
	b.t.Helper()
	token, err := b.Sign(demolms.Launch{User: "maija", Activity: activity, Faults: faults})
	if err != nil {
		b.t.Fatal(err)
	}
	custom, _ := payload(b.t, token)[claimNS+"custom"].(map[string]any)
	return custom
}

func TestCopyCourse(t *testing.T) {
	t.Parallel()
	b := setupWith(t, func(c *demolms.Config) { c.Tools[0].Custom = map[string]string{"history": "$Context.id.history"} })
	a, item := b.place()
	if err := b.SetGrade(item.ID, "maija", new(80.0)); err != nil {
		t.Fatal(err)
	}
	b.service(http.MethodPost, lineItems, `{"label":"Stand-alone","scoreMaximum":10,"resourceId":"r","tag":"d"}`, "Content-Type", itemType)
	first, err := b.CopyCourse("2")
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.CopyCourse(first.ID)
	if err != nil {
		t.Fatal(err)
	}
	if first.ID != "4" || second.ID != "5" || second.Label == first.Label || len(b.Courses()) != 4 {
		t.Errorf("courses %+v and %+v", first, second)
	}
	links, items := b.Activities(first.ID), b.LineItems(first.ID)
	if len(links) != 1 || len(items) != 2 {
		t.Fatalf("%d activities, %d line items", len(links), len(items))
	}
	want := a
	want.ID, want.CMID, want.Course, want.CopiedFrom = links[0].ID, links[0].CMID, "4", a.ID
	if diff := cmp.Diff(want, links[0]); diff != "" || links[0].ID == a.ID {
		t.Errorf("activity (-want +got):\n%s", diff)
	}
	wantItem := item
	wantItem.ID, wantItem.Course, wantItem.Activity = items[0].ID, "4", links[0].ID
	if diff := cmp.Diff(wantItem, items[0]); diff != "" || items[0].ID == item.ID {
		t.Errorf("line item (-want +got):\n%s", diff)
	}
	if items[1].Activity != "" || items[1].ResourceID != "r" {
		t.Errorf("stand-alone item %+v", items[1])
	}
	if g, err := b.Grade(items[0].ID, "maija"); err != nil || g.Score != nil {
		t.Error("a grade was copied")
	}
	deepest := b.Activities(second.ID)[0]
	for link, history := range map[string]string{a.ID: "", links[0].ID: "2", deepest.ID: "4,2"} {
		if custom := b.customOf(link); custom["history"] != history || custom["links"] != "$ResourceLink.id.history" || custom["Attachment"] != "a-1" {
			t.Errorf("custom of %s: %v", link, custom)
		}
	}
	if custom := b.customOf(deepest.ID, demolms.LaunchLinkHistory); custom["links"] != links[0].ID+","+a.ID {
		t.Errorf("history of links: %v", custom)
	}
	for _, id := range []string{"1", "99"} {
		if _, err := b.CopyCourse(id); !errors.Is(err, demolms.ErrNotFound) {
			t.Errorf("copy of %s: %v", id, err)
		}
	}
}

func TestCopyButton(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.place()
	b.get("/as/maija")
	if got := b.post("/course/2/copy", nil).Status; got != http.StatusForbidden || strings.Contains(b.get("/course/2").Body, "Copy this course") {
		t.Errorf("learner: %d", got)
	}
	b.get("/as/teacher")
	if page := b.get("/course/2"); !strings.Contains(page.Body, `action="/course/2/copy"`) {
		t.Errorf("no button:\n%s", page.Body)
	}
	got := b.post("/course/2/copy", nil)
	if got.URL.Path != "/course/4" || !strings.Contains(got.Body, "The course was copied") || !strings.Contains(got.Body, "Food systems record") {
		t.Errorf("arrived at %s:\n%s", got.URL, got.Body)
	}
}

func TestCustomVariables(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, err := b.Place("2", client, demolms.ContentItem{Type: "ltiResourceLink", Title: "T", Custom: map[string]string{
		"id": "$User.id", "name": "$Person.name.full", "course": "$Context.title", "sis": "$CourseSection.sourcedId", "link": "$ResourceLink.title",
		"unknown": "$Does.Not.Exist", "embedded": "x-$User.id-y", "Mixed": "Yes", "money": "$",
	}})
	if err != nil {
		t.Fatal(err)
	}
	custom := b.customOf(a.ID)
	delete(custom, "context_memberships_url")
	want := map[string]any{
		"id": "7", "name": "Maija Meikäläinen", "course": "Sustainable Food Systems", "sis": "SIS-SFS-24", "link": "T",
		"unknown": "$Does.Not.Exist", "embedded": "x-$User.id-y", "Mixed": "Yes", "mixed": "Yes", "money": "$",
	}
	if diff := cmp.Diff(want, custom); diff != "" {
		t.Errorf("custom (-want +got):\n%s", diff)
	}
}
