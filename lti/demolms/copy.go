package demolms

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// CopyCourse makes a new run of a course as Moodle's course copy does: new
// ids for the course, its activities and its line items; the same tools, custom
// parameters, resource ids, tags and calculations; no grades. Tools that asked
// for it get a notice.
func (l *LMS) CopyCourse(id string) (Course, error) {
	return l.copyCourse(context.Background(), id)
}

func (l *LMS) copyCourse(ctx context.Context, id string) (Course, error) {
	l.mu.Lock()
	c, err := l.course(id)
	if err == nil && c.ID == siteCourse {
		err = ErrNotFound
	}
	var tools []Tool
	if err == nil {
		c = l.duplicate(c)
		tools = slices.Clone(l.tools)
	}
	l.mu.Unlock()
	if err != nil {
		return Course{}, err
	}
	for _, t := range tools {
		l.notify(ctx, t, noticeCopy, map[string]any{
			claimContext: map[string]any{"id": c.ID, "label": c.Label, "title": c.Title, "type": []string{"CourseSection"}},
			claimOrigins: []string{id},
		})
	}
	return c, l.Save()
}

// duplicate copies a course; the caller holds the lock.
func (l *LMS) duplicate(c Course) Course {
	highest := 1
	for _, o := range l.data.Courses {
		if n, err := strconv.Atoi(o.ID); err == nil {
			highest = max(highest, n)
		}
	}
	old := c.ID
	c.CopiedFrom, c.ID = old, strconv.Itoa(highest+1)
	c.Title, c.Label, c.Topics = c.Title+" (copy)", c.Label+"-"+c.ID, slices.Clone(c.Topics)
	if c.IDNumber != "" {
		c.IDNumber += "-" + c.ID
	}
	l.data.Courses = append(l.data.Courses, c)

	links := map[string]string{}
	for _, a := range l.activities(old) {
		n := l.nextID()
		copied := a
		copied.ID, copied.CMID, copied.Course, copied.CopiedFrom = strconv.Itoa(n), n+100, c.ID, a.ID
		links[a.ID] = copied.ID
		l.data.Activities = append(l.data.Activities, copied)
	}
	items := l.lineItems(func(i LineItem) bool { return i.Course == old })
	ids := map[int]int{}
	for _, i := range items {
		ids[i.ID] = l.nextID()
	}
	for _, i := range items {
		i.ID, i.Course, i.Activity, i.Formula = ids[i.ID], c.ID, links[i.Activity], remap(i.Formula, ids)
		if i.Review != nil {
			i.Review = &SubmissionReview{URL: i.Review.URL, Custom: maps.Clone(i.Review.Custom)}
		}
		l.data.LineItems = append(l.data.LineItems, i)
	}
	return c
}

func (l *LMS) serveCopy(w http.ResponseWriter, r *http.Request, _ *session) {
	c, ok := l.courseOf(w, r)
	if !ok {
		return
	}
	made, err := l.copyCourse(r.Context(), c.ID)
	if err != nil {
		l.cfg.Logger.ErrorContext(r.Context(), "course not copied", "err", err)
		l.errorPage(w, r, http.StatusInternalServerError, "The course could not be copied.")
		return
	}
	http.Redirect(w, r, "/course/"+made.ID+"?copied=1", http.StatusSeeOther)
}

// contextHistory are the ids of the courses a course was copied from, nearest
// first; the caller holds the lock.
func (l *LMS) contextHistory(c Course) []string {
	var out []string
	for c.CopiedFrom != "" {
		out = append(out, c.CopiedFrom)
		next, err := l.course(c.CopiedFrom)
		if err != nil {
			break
		}
		c = next
	}
	return out
}

// linkHistory does the same for the activities; the caller holds the lock.
func (l *LMS) linkHistory(a Activity) []string {
	var out []string
	for a.CopiedFrom != "" {
		out = append(out, a.CopiedFrom)
		next, err := l.activity(a.CopiedFrom)
		if err != nil {
			break
		}
		a = next
	}
	return out
}
