package web

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/sealsmith/sealsmith/issuance"
)

// revokeManyPage revokes all credentials of a filter: first it asks for the reason, then it
// says what will be, and asks whether that is meant.
type revokeManyPage struct {
	All            string // address of the list with the filter
	Filter         staffFilter
	About          string
	Total          int
	Two            bool
	Sample         []staffItem
	Reasons        []option
	Reason         issuance.Reason
	Words, Err     string
	Moved          bool // the number has changed since it was looked at
	Sure           bool // the last question
	Headline, Told string
	Hidden         bool
}

const sampleShown = 10

// revokeMany counts what the filter is about and shows some of it.
func (s *Web) revokeMany(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := s.newRevokeMany(r, v, readFilter(r.URL.Query()))
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, view{name: "many", frame: v.frame(), page: page})
}

func (s *Web) newRevokeMany(r *http.Request, v *visit, f staffFilter) (*revokeManyPage, error) {
	f.Name, f.Standing, f.After = "", "", ""
	if f.Version == "" && f.Attachment == "" {
		return nil, issuance.ErrSelection // days alone are for the operator
	}
	p := &revokeManyPage{All: f.query(v.path("credentials")), Filter: f, Reasons: reasonOptions("")}
	sel := f.selection(v.organisation.ID)
	var err error
	if p.About, err = s.about(r, v, sel); err != nil {
		return nil, err
	}
	preview, err := s.deps.Desk.Preview(r.Context(), sel, sampleShown)
	if err != nil {
		return nil, err
	}
	versions, err := s.deps.Templates.Versions(r.Context(), v.organisation.ID)
	if err != nil {
		return nil, err
	}
	p.Total, p.Two, p.Sample = preview.Total, preview.Second, staffItems(preview.Sample, versions)
	return p, nil
}

// revokeManyNow asks once more, or does it: "do" is preview or revoke.
func (s *Web) revokeManyNow(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := parseForm(r); err != nil {
		return err
	}
	page, err := s.newRevokeMany(r, v, readFilter(r.PostForm))
	if err != nil {
		return err
	}
	page.Reason, page.Words = issuance.Reason(r.PostForm.Get("reason")), r.PostForm.Get("words")
	page.Reasons = reasonOptions(page.Reason)
	expect, err := strconv.Atoi(r.PostForm.Get("expect"))
	order := issuance.Withdrawal{Reason: page.Reason, Words: page.Words}
	status := http.StatusOK
	switch {
	case order.Check(issuance.ActRevoke) != nil:
		page.Err = "Choose a reason. “Another reason” needs words beside it, and words may have 500 letters."
		status = http.StatusUnprocessableEntity
	case err != nil || expect != page.Total:
		page.Moved, status = true, http.StatusConflict
	case r.PostForm.Get("do") == "revoke":
		err := s.orderMany(w, r, v, page)
		if !errors.Is(err, issuance.ErrCount) {
			return err
		}
		page.Moved, status = true, http.StatusConflict // in this very moment
	default:
		page.Sure = true
		after := issuance.Standing{}.After(issuance.ActRevoke, page.Reason, page.Words, s.deps.Now())
		page.Headline, page.Told = after.Told(words(v.organisation.Name).Text, s.deps.Now())
		page.Hidden = after.HidesPerson()
	}
	return s.show(w, r, status, view{name: "many", frame: v.frame(), page: page})
}

func (s *Web) orderMany(w http.ResponseWriter, r *http.Request, v *visit, page *revokeManyPage) error {
	o, err := s.deps.Desk.AskRevoke(r.Context(), issuance.Ask{
		Selection: page.Filter.selection(v.organisation.ID), Reason: page.Reason, Words: page.Words, By: v.actor(), Expect: page.Total,
	})
	if err != nil {
		return err
	}
	done := "asked"
	if o.Running() {
		done = "ordered"
		if _, err := s.deps.Desk.Step(r.Context(), v.organisation.ID, o.ID); err != nil {
			return err
		}
	}
	return see303(w, r, withQuery(v.path("credentials/orders/"+o.ID), "done", done))
}
