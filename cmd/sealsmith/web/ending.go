package web

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
)

// endingPage lists the credentials that end soon, or have ended and were not renewed.
type endingPage struct {
	At    string
	Tabs  tabs
	Class bool // of one activity, for which a renewal can be begun
	Days  int
	Items []endingItem
	More  bool
	Ready int // of this activity, who can be renewed
}

type endingItem struct {
	Who          string
	Known        bool // Who is a name
	Course       string
	Until        time.Time
	Ended, Ready bool
}

const endingShown = 200

// endings are those that the visitor may see: an administrator's those of the organisation,
// a teacher's those of the activity.
func (s *Web) endings(ctx context.Context, v *visit, limit int) ([]issuance.Ending, error) {
	attachment := ""
	if !v.launch.IsAdmin() {
		a, err := s.deps.Grading.Launched(ctx, v.launch)
		if err != nil {
			return nil, err
		}
		attachment = a.ID
	}
	return s.deps.Desk.Ending(ctx, v.organisation.ID, attachment, s.deps.Now().Add(issuance.RemindBefore), limit)
}

// ending shows the list.
func (s *Web) ending(w http.ResponseWriter, r *http.Request, v *visit) error {
	ctx := r.Context()
	all, err := s.endings(ctx, v, endingShown+1)
	if err != nil {
		return err
	}
	own, err := s.ownActivity(ctx, v)
	if err != nil {
		return err
	}
	page := endingPage{At: v.path(""), Class: own.ID != "", Days: int(issuance.RemindBefore.Hours() / 24), More: len(all) > endingShown}
	courses := map[string]string{}
	for _, e := range all[:min(len(all), endingShown)] {
		if _, known := courses[e.AttachmentID]; !known {
			a, err := s.deps.Grading.Attachment(ctx, v.organisation.ID, e.AttachmentID)
			if err != nil {
				return err
			}
			courses[e.AttachmentID] = a.ContextTitle
		}
		item := endingItem{Who: strings.TrimSpace(e.GivenName + " " + e.FamilyName), Course: courses[e.AttachmentID], Until: e.ValidUntil, Ended: e.Ended(s.deps.Now()), Ready: e.Renewable()}
		item.Known = item.Who != ""
		item.Who = cmp.Or(item.Who, e.Learner)
		if item.Ready && e.AttachmentID == own.ID {
			page.Ready++
		}
		page.Items = append(page.Items, item)
	}
	if v.launch.IsAdmin() {
		if page.Tabs, err = s.tabs(ctx, v, "batches"); err != nil {
			return err
		}
	}
	return s.show(w, r, http.StatusOK, view{name: "ending", frame: v.frame(), page: &page})
}

// endingFile is the list for a program that writes to people: this server does not.
func (s *Web) endingFile(w http.ResponseWriter, r *http.Request, v *visit) error {
	const most = 100_000
	all, err := s.endings(r.Context(), v, most)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	out.WriteString("\ufeff")
	table := csv.NewWriter(&out)
	lines := [][]string{{"learner id", "given name", "family name", "valid until", "ended", "can be renewed", "claim"}}
	for _, e := range all {
		lines = append(lines, []string{
			e.Learner, issuance.Inert(e.GivenName), issuance.Inert(e.FamilyName), e.ValidUntil.UTC().Format(time.DateOnly), yesNo(e.Ended(s.deps.Now())), yesNo(e.Renewable()), e.ClaimID,
		})
	}
	if err := table.WriteAll(lines); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return s.sendCSV(w, r, "ending.csv", out.Bytes())
}

// renewMany makes the dry run of a renewal for the activity.
func (s *Web) renewMany(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := s.deps.Grading.Launched(r.Context(), v.launch)
	if err != nil {
		return err
	}
	b, err := s.deps.Batches.DraftRenewal(r.Context(), batch.Order{Attachment: a, Title: "Renewal of " + date(s.deps.Now()), By: v.actor()})
	if err != nil {
		return err
	}
	return see303(w, r, v.path("batches/"+b.ID))
}

// renewOwn renews the learner's own credential.
func (s *Web) renewOwn(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.launch.IsTestUser() {
		return errTestUser
	}
	a, err := s.deps.Grading.Launched(r.Context(), v.launch)
	if err != nil {
		return err
	}
	if err := s.deps.Desk.RenewOwn(r.Context(), v.organisation.ID, a.ID, v.launch.User.Subject); err != nil {
		return err
	}
	return see303(w, r, v.path("learn"))
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// endOf puts on the page of a credential that it ends, when it does.
func (s *Web) endOf(ctx context.Context, c issuance.Claim, page *credentialPage) error {
	e, err := s.deps.Desk.EndOf(ctx, c.OrganisationID, c.ID)
	if errors.Is(err, issuance.ErrNotFound) {
		return nil
	}
	now := s.deps.Now()
	page.Until, page.Ended, page.Soon, page.Renewable = e.ValidUntil, e.Ended(now), e.Soon(now), e.Renewable()
	return err
}
