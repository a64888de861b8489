package demolms

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// gradebookData is the table of learners and line items.
type gradebookData struct {
	Course Course
	Items  []LineItem
	Rows   []gradeRow
	Saved  bool
	Error  string
}

type gradeRow struct {
	User  User
	Cells []gradeCell
}

type gradeCell struct {
	// Field is the name of the form field.
	Field, Value, Label string
	Max                 float64
	Overridden          bool
	// Review is where the submission can be looked at; may be empty.
	Review string
}

func formulaField(item int) string { return "formula-" + strconv.Itoa(item) }

func gradeField(item int, user string) string { return "grade-" + strconv.Itoa(item) + "-" + user }

func (l *LMS) serveGradebook(w http.ResponseWriter, r *http.Request, _ *session) {
	if c, ok := l.courseOf(w, r); ok {
		l.renderGradebook(w, r, http.StatusOK, gradebookData{Course: c, Saved: r.URL.Query().Has("saved")})
	}
}

func (l *LMS) renderGradebook(w http.ResponseWriter, r *http.Request, status int, d gradebookData) {
	d.Items = l.LineItems(d.Course.ID)
	for _, u := range l.Users() {
		if u.Role != Learner {
			continue
		}
		row := gradeRow{User: u}
		for _, i := range d.Items {
			g, err := l.Grade(i.ID, u.ID)
			if err != nil {
				continue
			}
			cell := gradeCell{Field: gradeField(i.ID, u.ID), Max: i.Max, Overridden: g.Overridden, Label: i.Label + ", " + u.Name()}
			if g.Score != nil {
				cell.Value = strconv.FormatFloat(*g.Score, 'f', -1, 64)
				if i.Review != nil && i.Activity != "" {
					cell.Review = "/review/" + strconv.Itoa(i.ID) + "/" + url.PathEscape(u.ID)
				}
			}
			row.Cells = append(row.Cells, cell)
		}
		d.Rows = append(d.Rows, row)
	}
	l.renderStatus(w, r, status, "gradebook", view{Title: "Gradebook", Data: d})
}

func (l *LMS) serveGrades(w http.ResponseWriter, r *http.Request, _ *session) {
	c, ok := l.courseOf(w, r)
	if !ok {
		return
	}
	if err := r.ParseForm(); err != nil {
		l.errorPage(w, r, http.StatusBadRequest, "The form could not be read.")
		return
	}
	if err := l.typeGrades(c.ID, r.PostForm); err != nil {
		l.renderGradebook(w, r, http.StatusBadRequest, gradebookData{Course: c, Error: "Nothing was saved: " + err.Error() + "."})
		return
	}
	l.saved(r.Context())
	http.Redirect(w, r, "/course/"+c.ID+"/gradebook?saved=1", http.StatusSeeOther)
}

// typeGrades stores the cells that changed, all of them or none.
func (l *LMS) typeGrades(course string, form url.Values) error {
	type change struct {
		item  LineItem
		user  User
		score *float64
	}
	var changes []change
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range l.lineItems(func(i LineItem) bool { return i.Course == course }) {
		for _, u := range l.data.Users {
			name := gradeField(i.ID, u.ID)
			if u.Role != Learner || !form.Has(name) {
				continue
			}
			score, err := typedScore(form.Get(name))
			if err != nil || (score != nil && (*score < 0 || *score > i.Max)) {
				return fmt.Errorf("the grade of %s in %q must be a number from 0 to %v", u.Name(), i.Label, i.Max)
			}
			if !same(score, l.grade(i, u.ID).Score) {
				changes = append(changes, change{i, u, score})
			}
		}
	}
	if err := l.typeFormulas(course, form); err != nil {
		return err
	}
	for _, c := range changes {
		if err := l.setGrade(c.item.ID, c.user.ID, c.score); err != nil {
			return err
		}
	}
	return nil
}

// typeFormulas stores the calculations of a form, all of them or none.
func (l *LMS) typeFormulas(course string, form url.Values) error {
	before := slices.Clone(l.data.LineItems)
	for _, i := range l.lineItems(func(i LineItem) bool { return i.Course == course }) {
		if name := formulaField(i.ID); form.Has(name) {
			if err := l.setFormula(i.ID, form.Get(name)); err != nil {
				l.data.LineItems = before
				return err
			}
		}
	}
	return nil
}

// typedScore reads a cell; an empty one is no grade. A comma is as good as a
// point.
func typedScore(s string) (*float64, error) {
	s = strings.ReplaceAll(strings.TrimSpace(s), ",", ".")
	if s == "" {
		return nil, nil //nolint:nilnil // an empty cell is neither a grade nor a mistake
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) {
		return nil, fmt.Errorf("%q is not a number", s)
	}
	return &f, nil
}

func same(a, b *float64) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
