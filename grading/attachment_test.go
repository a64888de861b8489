package grading_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/templates"
)

func TestAttach(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		want := grading.Attachment{
			ID: a.ID, OrganisationID: c.version.OrganisationID, RegistrationID: "r-polder", DeploymentID: "1", ContextID: "course-1", ContextTitle: "Food systems",
			TemplateID: c.version.TemplateID, VersionID: c.version.ID, MinPercent: 55, LineItemsURL: "https://lms.example/items", CreatedBy: "teacher", CreatedAt: start, State: grading.AttachmentActive,
		}
		got := c.reload(t, a)
		got.CreatedAt = got.CreatedAt.UTC()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attachment (-want +got):\n%s", diff)
		}
		var subject string
		must(t, c.db.Get(t.Context(), &subject, `select subject from audit where actor = 'lms:r-polder:teacher'`))
		if subject != a.ID {
			t.Errorf("audit of %s, want %s", subject, a.ID)
		}
	})
}

func TestAttachRefuses(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		for _, percent := range []float64{0, -1, 100.01, math.NaN(), math.Inf(1), math.Inf(-1)} {
			_, err := c.store.Attach(t.Context(), c.launch(), grading.Choice{Version: c.version, Rule: templates.Rule{MinPercent: percent}})
			wantErr(t, err, grading.ErrRule)
		}
		foreign := c.organisation(t, "fjord")
		_, err := c.store.Attach(t.Context(), c.launch(), grading.Choice{Version: foreign, Rule: templates.Rule{MinPercent: 55}})
		wantErr(t, err, templates.ErrNotFound)
		l := c.launch()
		l.RegistrationID = "no-such-platform"
		if _, err := c.store.Attach(t.Context(), l, grading.Choice{Version: c.version, Rule: templates.Rule{MinPercent: 55}}); err == nil {
			t.Error("attached to a platform that is not there")
		}
		if n := c.rows(t, "attachments"); n != 0 {
			t.Errorf("%d attachments", n)
		}
	})
}

// started is the first launch of the activity by a learner.
func started(c *course, a grading.Attachment) lti.Launch {
	l := c.launch()
	l.User = lti.User{Subject: "noor"}
	l.Custom = map[string]string{grading.CustomKey: a.ID}
	l.ResourceLink = lti.ResourceLink{ID: "link-1"}
	l.AGS = lti.AGS{LineItem: "https://lms.example/items/7", LineItems: "https://lms.example/items"}
	return l
}

func TestLaunched(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		l := started(c, a)
		first, err := c.store.Launched(t.Context(), l)
		must(t, err)
		if first.ID != a.ID || first.ResourceLinkID != "link-1" || first.LineItemURL != "https://lms.example/items/7" {
			t.Errorf("attachment %+v", first)
		}
		if diff := cmp.Diff(first, c.reload(t, a)); diff != "" {
			t.Errorf("stored (-returned +stored):\n%s", diff)
		}

		l.Custom = nil // the teacher has emptied the custom parameters
		byLink, err := c.store.Launched(t.Context(), l)
		must(t, err)
		if diff := cmp.Diff(first, byLink); diff != "" {
			t.Errorf("by resource link (-want +got):\n%s", diff)
		}

		l.AGS = lti.AGS{} // a launch without the grade service does not make us forget the column
		l.Context.Title = ""
		kept, err := c.store.Launched(t.Context(), l)
		must(t, err)
		if diff := cmp.Diff(first, kept); diff != "" {
			t.Errorf("with less in the launch (-want +got):\n%s", diff)
		}

		l = started(c, a) // moved: another column, another title
		l.AGS.LineItem, l.AGS.LineItems, l.Context.Title = "https://lms.example/items/8", "https://lms.example/new", "Food"
		moved, err := c.store.Launched(t.Context(), l)
		must(t, err)
		want := first
		want.LineItemURL, want.LineItemsURL, want.ContextTitle = "https://lms.example/items/8", "https://lms.example/new", "Food"
		if diff := cmp.Diff(want, moved); diff != "" {
			t.Errorf("moved (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, c.reload(t, a)); diff != "" {
			t.Errorf("moved, stored (-want +got):\n%s", diff)
		}
	})
}

func TestLaunchedRefuses(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		_, err := c.store.Launched(t.Context(), started(c, a))
		must(t, err)
		other := c.organisation(t, "fjord")
		for _, test := range []struct {
			name   string
			change func(l *lti.Launch)
		}{
			{"another organisation", func(l *lti.Launch) { l.OrganisationID = other.OrganisationID }},
			{"another registration", func(l *lti.Launch) { l.RegistrationID = "x-polder" }},
			{"another deployment", func(l *lti.Launch) { l.DeploymentID = "2" }},
			{"no course", func(l *lti.Launch) { l.Context = lti.Context{} }},
			{"an unknown key", func(l *lti.Launch) {
				l.Custom, l.ResourceLink.ID = map[string]string{grading.CustomKey: "no-such-attachment"}, "link-9"
			}},
			{"no key, unknown link", func(l *lti.Launch) { l.Custom, l.ResourceLink.ID = nil, "link-9" }},
			{"no key, no link", func(l *lti.Launch) { l.Custom, l.ResourceLink.ID = nil, "" }},
			{"no key, another registration", func(l *lti.Launch) { l.Custom, l.RegistrationID = nil, "x-polder" }},
			{"no key, another course", func(l *lti.Launch) { l.Custom, l.Context.ID = nil, "course-2" }},
			{"no key, another organisation", func(l *lti.Launch) { l.Custom, l.OrganisationID = nil, other.OrganisationID }},
		} {
			l := started(c, a)
			test.change(&l)
			if got, err := c.store.Launched(t.Context(), l); err == nil || got != (grading.Attachment{}) {
				t.Errorf("%s: got %+v", test.name, got)
			} else {
				wantErr(t, err, grading.ErrNotFound)
			}
		}
		_, err = c.store.Attachment(t.Context(), other.OrganisationID, a.ID)
		wantErr(t, err, grading.ErrNotFound)
		if got := c.reload(t, a); got.ResourceLinkID != "link-1" {
			t.Errorf("a refused launch left %+v", got)
		}
	})
}

// Of two attachments of one link the newer one counts: the teacher has chosen again.
func TestLaunchedByLinkTakesTheNewest(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		var last grading.Attachment
		for range 3 {
			c.clock.add(time.Minute)
			last = c.attach(t)
			_, err := c.store.Launched(t.Context(), started(c, last))
			must(t, err)
		}
		l := started(c, last)
		l.Custom = nil
		got, err := c.store.Launched(t.Context(), l)
		must(t, err)
		if got.ID != last.ID {
			t.Errorf("got %s, want %s", got.ID, last.ID)
		}
	})
}

func TestDue(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		var all []grading.Attachment
		for range 4 {
			c.clock.add(time.Minute)
			a := c.attach(t)
			all = append(all, a)
		}
		for i, a := range all[:3] { // the fourth has no column yet
			l := started(c, a)
			l.ResourceLink.ID = a.ID
			_, err := c.store.Launched(t.Context(), l)
			must(t, err)
			all[i] = c.reload(t, a)
		}
		r := &grading.Reader{Store: c.store, Source: &source{column: all[0].LineItemURL}, Now: c.clock.Now}
		c.clock.add(time.Minute)
		_, err := r.All(t.Context(), all[0])
		must(t, err)
		wantDue(t, c, time.Minute, 10, all[1], all[2], all[0])
		wantDue(t, c, 0, 10, all[1], all[2])
		wantDue(t, c, time.Minute, 1, all[1])
	})
}

func wantDue(tb testing.TB, c *course, after time.Duration, limit int, want ...grading.Attachment) {
	tb.Helper()
	due, err := c.store.Due(tb.Context(), c.clock.Now().Add(after), limit)
	must(tb, err)
	ids := func(all []grading.Attachment) []string {
		var out []string
		for _, a := range all {
			out = append(out, a.ID)
		}
		return out
	}
	if diff := cmp.Diff(ids(want), ids(due)); diff != "" {
		tb.Errorf("due (-want +got):\n%s", diff)
	}
}
