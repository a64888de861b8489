package grading_test

import (
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/lti"
)

// inCopy is the launch of the activity of a in a course copied from its own.
func inCopy(c *course, a grading.Attachment) lti.Launch {
	l := started(c, a)
	l.Context = lti.Context{ID: "course-2", Title: "Food systems, again", History: []string{a.ContextID}}
	l.ResourceLink.ID, l.AGS = "link-9", lti.AGS{LineItem: "https://lms.example/items/70", LineItems: "https://lms.example/2/items"}
	return l
}

func TestCopiedCourseIsADraft(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		_, err := c.store.Launched(t.Context(), started(c, a))
		must(t, err)
		draft, err := c.store.Launched(t.Context(), inCopy(c, a))
		must(t, err)
		if draft.ID == a.ID || draft.State != grading.AttachmentDraft || draft.CopiedFrom != a.ID || draft.ContextID != "course-2" ||
			draft.ResourceLinkID != "link-9" || draft.VersionID != a.VersionID || draft.MinPercent != a.MinPercent || draft.LineItemURL != "https://lms.example/items/70" {
			t.Errorf("draft %+v", draft)
		}
		if again, err := c.store.Launched(t.Context(), inCopy(c, a)); err != nil || again.ID != draft.ID {
			t.Errorf("the second launch found %+v, %v", again, err)
		}
		if got := c.reload(t, a); got.ResourceLinkID != "link-1" || got.LineItemURL != "https://lms.example/items/7" {
			t.Errorf("the original became %+v", got)
		}
		if title, err := c.store.Origin(t.Context(), draft); err != nil || title != a.ContextTitle {
			t.Errorf("it came from %q, %v", title, err)
		}
		wantDue(t, c, time.Hour, 10, a) // a draft is not read
		must(t, c.store.Confirm(t.Context(), inCopy(c, a), draft))
		must(t, c.store.Confirm(t.Context(), inCopy(c, a), draft))
		if got := c.reload(t, draft); got.State != grading.AttachmentActive || got.CreatedBy != inCopy(c, a).User.Subject {
			t.Errorf("confirmed: %+v", got)
		}
		var events int
		must(t, c.db.Get(t.Context(), &events, `select count(*) from audit where subject = ?`, draft.ID))
		if events != 2 { // copied, confirmed
			t.Errorf("%d events", events)
		}
		// A copy of the copy still carries the id of the first.
		l := inCopy(c, a)
		l.Context, l.ResourceLink.ID = lti.Context{ID: "course-3", History: []string{"course-2", "course-1"}}, "link-20"
		third, err := c.store.Launched(t.Context(), l)
		must(t, err)
		if third.CopiedFrom != a.ID || third.ContextID != "course-3" {
			t.Errorf("copy of the copy %+v", third)
		}
	})
}

func TestCopiedActivityInTheSameCourse(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		_, err := c.store.Launched(t.Context(), started(c, a))
		must(t, err)
		l := started(c, a)
		l.ResourceLink.ID = "link-2"
		got, err := c.store.Launched(t.Context(), l)
		must(t, err)
		if got.ID == a.ID || got.State != grading.AttachmentDraft {
			t.Errorf("a duplicated activity is %+v", got)
		}
		if got := c.reload(t, a); got.ResourceLinkID != "link-1" {
			t.Errorf("the original became %+v", got)
		}
	})
}

func TestNoticeOfACopy(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		_, err := c.store.Launched(t.Context(), started(c, a))
		must(t, err)
		reg := lti.Registration{ID: a.RegistrationID, OrganisationID: a.OrganisationID}
		n := lti.Notice{ID: "n-1", Type: lti.NoticeContextCopy, DeploymentID: a.DeploymentID, Context: lti.Context{ID: "course-2", Title: "Again"}, OriginContexts: []string{a.ContextID}}
		for i, want := range []int{1, 0} {
			if made, err := c.store.CopyCourse(t.Context(), reg, n); err != nil || made != want {
				t.Errorf("notice %d made %d drafts, %v", i+1, made, err)
			}
		}
		for name, change := range map[string]func(n *lti.Notice){
			"N8 of another deployment": func(n *lti.Notice) { n.DeploymentID = "9" },
			"N9 of an unknown course":  func(n *lti.Notice) { n.OriginContexts = []string{"course-77"} },
			"of no course":             func(n *lti.Notice) { n.OriginContexts = nil },
			"to no course":             func(n *lti.Notice) { n.Context.ID = "" },
		} {
			other := n
			other.Context.ID = "course-5"
			change(&other)
			if made, err := c.store.CopyCourse(t.Context(), reg, other); err != nil || made != 0 {
				t.Errorf("%s: %d drafts, %v", name, made, err)
			}
		}
		draft, err := c.store.Launched(t.Context(), inCopy(c, a))
		must(t, err)
		if draft.State != grading.AttachmentDraft || draft.ResourceLinkID != "link-9" {
			t.Errorf("the launch found %+v", draft)
		}
		var rows int
		must(t, c.db.Get(t.Context(), &rows, `select count(*) from attachments`))
		if rows != 2 {
			t.Errorf("%d attachments: the launch did not find the notice's draft", rows)
		}
	})
}

func TestCopyRace(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		ids := make([]string, 10)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				got, err := c.store.Launched(t.Context(), inCopy(c, a))
				if err != nil {
					t.Error(err)
				}
				ids[i] = got.ID
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Errorf("two drafts: %v", ids)
			}
		}
	})
}

// TestAttachWithoutDeepLinking: a teacher chooses in the launched activity itself.
func TestAttachWithoutDeepLinking(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		l := started(c, a)
		l.Custom, l.ResourceLink.ID = nil, "link-5"
		_, err := c.store.Launched(t.Context(), l)
		wantErr(t, err, grading.ErrNotFound)
		made, err := c.store.Attach(t.Context(), l, grading.Choice{Version: c.version, Rule: a.Rule()})
		must(t, err)
		got, err := c.store.Launched(t.Context(), l)
		must(t, err)
		if got.ID != made.ID || got.ResourceLinkID != "link-5" || got.LineItemURL != l.AGS.LineItem || got.State != grading.AttachmentActive {
			t.Errorf("got %+v", got)
		}
	})
}
