package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/templates"
)

// staffOnePage shows staff one credential, what was done to it, and what can be done.
type staffOnePage struct {
	At, All         string // address of the page, and of the list
	Title           Words
	Version         int
	Number, ID      string
	Claim           string
	Item            staffItem
	Public          string // its public page
	Activity, AllOf string // course, and all credentials of the activity
	History         []event
	Waiting         []orderItem // orders about it that wait for a second person, or run
	Two             bool        // revoking takes two people
	Said            string      // what was just done, in words
	Reasons         []option
	Words, Act      string // as they were typed
	Err             string
	May             map[string]bool // acts
	Correct         string          // address where its name is corrected; empty: it cannot be now
	After, Before   string          // pages of the corrected one in its place, and of the one whose place it took
}

// staffPreviewPage says what everybody will see after an act.
type staffPreviewPage struct {
	At                     string
	Act                    issuance.Act
	Reason                 issuance.Reason
	Words                  string
	Two                    bool
	Title                  Words
	Item                   staffItem
	Number                 string
	Headline, Told         string // by the verification page and the public page
	Band                   string
	Status                 string // address for programs
	Hidden                 bool   // the public page does not name the person any more
	Email                  string
	Suspended, Coming, Off bool // how it stands afterwards
}

var staffSaid = map[string]string{
	"revoked":    "The credential is withdrawn for good.",
	"suspended":  "The credential is suspended.",
	"reinstated": "The credential is in force again.",
	"asked":      "You have asked for it. Nothing is withdrawn until somebody else has confirmed it.",
}

// heldBy reads one sealed credential of the organisation by the id in the address.
func (s *Web) heldBy(r *http.Request, v *visit) (issuance.Standing, error) {
	now, err := s.deps.Desk.Standing(r.Context(), mux.Vars(r)["id"])
	if err == nil && now.OrganisationID != v.organisation.ID {
		return now, issuance.ErrNotFound
	}
	return now, err
}

func (s *Web) staffOne(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := s.newStaffOne(r, v)
	if err != nil {
		return err
	}
	page.Said = staffSaid[r.URL.Query().Get("done")]
	return s.show(w, r, http.StatusOK, view{name: "held", frame: v.frame(), page: page})
}

func (s *Web) newStaffOne(r *http.Request, v *visit) (*staffOnePage, error) {
	ctx, org := r.Context(), v.organisation.ID
	now, err := s.heldBy(r, v)
	if err != nil {
		return nil, err
	}
	version, err := s.deps.Templates.Version(ctx, org, now.VersionID)
	if err != nil {
		return nil, err
	}
	p := &staffOnePage{
		At: v.path("credentials/" + now.CredentialID), All: v.path("credentials"), Title: words(version.Content.Title), Version: version.Number, ID: now.CredentialID, Claim: now.ClaimID,
		Public: s.deps.PublicURL.JoinPath("c", now.Link).String(), Reasons: reasonOptions(""), May: map[string]bool{},
	}
	if p.Item, p.Number, err = s.staffItemOf(r, v, now, version); err != nil {
		return nil, err
	}
	if p.Activity, err = s.activity(ctx, org, now.AttachmentID); err != nil {
		return nil, err
	}
	if now.May(issuance.ActSuspend) == nil {
		p.Correct = v.path("corrections/new?credential=" + now.CredentialID)
	}
	if id := now.ReplacedBy.CredentialID; id != "" {
		p.After = v.path("credentials/" + id)
	}
	if id := now.Replaces.CredentialID; id != "" {
		p.Before = v.path("credentials/" + id)
	}
	p.AllOf = staffFilter{Attachment: now.AttachmentID}.query(p.All)
	for _, act := range []issuance.Act{issuance.ActRevoke, issuance.ActSuspend, issuance.ActReinstate} {
		p.May[string(act)] = now.May(act) == nil
	}
	if p.Two, err = s.takesTwo(r, v, now); err != nil {
		return nil, err
	}
	if err := s.waitingFor(r, v, p); err != nil {
		return nil, err
	}
	p.History, err = s.history(r, v, now)
	return p, err
}

// staffItemOf is the credential as it stands in lists, and its number.
func (s *Web) staffItemOf(r *http.Request, v *visit, now issuance.Standing, version templates.Version) (staffItem, string, error) {
	name, err := s.deps.Desk.SealedName(r.Context(), v.organisation.ID, now.CredentialID)
	if err != nil {
		return staffItem{}, "", err
	}
	credential, err := s.deps.Desk.CredentialByID(r.Context(), v.organisation.ID, now.CredentialID)
	if err != nil {
		return staffItem{}, "", err
	}
	certificate := ""
	if content, err := elm.Read(credential.Payload); err == nil {
		certificate = content.Number
	}
	items := staffItems([]issuance.Listed{{Standing: now, Name: name}}, []templates.Version{version})
	return items[0], certificate, nil
}

// takesTwo reports whether revoking it takes two people now.
func (s *Web) takesTwo(r *http.Request, v *visit, now issuance.Standing) (bool, error) {
	p, err := s.deps.Desk.Preview(r.Context(), issuance.Selection{OrganisationID: v.organisation.ID, IDs: []string{now.CredentialID}}, 0)
	return p.Second, err
}

// waitingFor finds the orders about it that are not over; while one waits nobody asks again.
func (s *Web) waitingFor(r *http.Request, v *visit, p *staffOnePage) error {
	orders, err := s.deps.Desk.OrdersOf(r.Context(), v.organisation.ID, p.ID)
	if err != nil {
		return err
	}
	for _, o := range orders {
		if o.State == issuance.OrderAsked || o.Running() {
			p.Waiting = append(p.Waiting, newOrderItem(v, o))
			p.May[string(issuance.ActRevoke)] = false
		}
	}
	return nil
}

// history is what was done to a credential, with who and why.
func (s *Web) history(r *http.Request, v *visit, now issuance.Standing) ([]event, error) {
	done, err := s.deps.Desk.Withdrawals(r.Context(), v.organisation.ID, now.CredentialID)
	if err != nil {
		return nil, err
	}
	events := []event{{Kind: "ok", Icon: "lock", Title: "Sealed", State: "done", Words: moment(now.SealedAt)}}
	for _, one := range done {
		e := event{Kind: "warn", Icon: "pause", Title: "Suspended", State: "not in force", Words: moment(one.At) + ", by " + who(v, one.By)}
		switch one.Act {
		case issuance.ActRevoke:
			e.Icon, e.Title = "alert", "Withdrawn for good"
		case issuance.ActReinstate:
			e.Kind, e.Icon, e.Title, e.State = "ok", "check", "In force again", "in force"
		case issuance.ActSuspend:
		}
		if one.Second != "" {
			e.Words += ", confirmed by " + who(v, one.Second)
		}
		e.Words = strings.TrimSpace(e.Words + ". " + issuance.Standing{Reason: one.Reason, Words: one.Words}.Because())
		events = append(events, e)
	}
	if now.InForce == issuance.StandsReplaced {
		events = append(events, event{Kind: "warn", Icon: "redo", Title: "Replaced by another one", State: "not in force", Words: moment(now.Since)})
	}
	return events, nil
}

func reasonOptions(chosen issuance.Reason) []option {
	all := []option{{Word: "Choose a reason", On: chosen == ""}}
	for _, reason := range issuance.Reasons() {
		all = append(all, option{Code: string(reason), Word: reason.Words(), On: reason == chosen})
	}
	return all
}

// staffOrder is the form of an act.
func (s *Web) staffOrder(r *http.Request, v *visit, id string) (issuance.Act, issuance.Withdrawal, error) {
	if err := parseForm(r); err != nil {
		return "", issuance.Withdrawal{}, err
	}
	act := issuance.Act(r.PostForm.Get("act"))
	switch act {
	case issuance.ActRevoke, issuance.ActSuspend, issuance.ActReinstate:
	default:
		return "", issuance.Withdrawal{}, errForm
	}
	return act, issuance.Withdrawal{OrganisationID: v.organisation.ID, CredentialID: id, Reason: issuance.Reason(r.PostForm.Get("reason")), Words: r.PostForm.Get("words"), By: v.actor()}, nil
}

// staffPreview says what everybody will see, before anything is done.
func (s *Web) staffPreview(w http.ResponseWriter, r *http.Request, v *visit) error {
	now, err := s.heldBy(r, v)
	if err != nil {
		return err
	}
	act, order, err := s.staffOrder(r, v, now.CredentialID)
	if err != nil {
		return err
	}
	if err := order.Check(act); err != nil {
		return s.staffAgain(w, r, v, act, order)
	}
	if err := now.May(act); err != nil {
		return err
	}
	version, err := s.deps.Templates.Version(r.Context(), v.organisation.ID, now.VersionID)
	if err != nil {
		return err
	}
	page := staffPreviewPage{
		At: v.path("credentials/" + now.CredentialID), Act: act, Reason: order.Reason, Words: order.Words, Title: words(version.Content.Title), Email: v.organisation.Email,
		Status: s.deps.PublicURL.JoinPath("status", now.CredentialID).String(),
	}
	if page.Item, page.Number, err = s.staffItemOf(r, v, now, version); err != nil {
		return err
	}
	after := now.After(act, order.Reason, order.Words, s.deps.Now())
	page.Headline, page.Told = after.Told(words(v.organisation.Name).Text, s.deps.Now())
	page.Band, page.Hidden = band(after.InForce), after.HidesPerson()
	page.Off, page.Suspended, page.Coming = after.InForce == issuance.StandsRevoked, after.InForce == issuance.StandsSuspended, !after.Withdrawn()
	if act == issuance.ActRevoke {
		if page.Two, err = s.takesTwo(r, v, now); err != nil {
			return err
		}
	}
	return s.show(w, r, http.StatusOK, view{name: "foretold", frame: v.frame(), page: &page})
}

// staffAgain shows the page again with what has to be mended.
func (s *Web) staffAgain(w http.ResponseWriter, r *http.Request, v *visit, act issuance.Act, order issuance.Withdrawal) error {
	page, err := s.newStaffOne(r, v)
	if err != nil {
		return err
	}
	page.Act, page.Words, page.Reasons = string(act), order.Words, reasonOptions(order.Reason)
	page.Err = "Choose a reason. “Another reason” needs words beside it, and words may have 500 letters."
	return s.show(w, r, http.StatusUnprocessableEntity, view{name: "held", frame: v.frame(), page: page})
}

// staffAct does it.
func (s *Web) staffAct(w http.ResponseWriter, r *http.Request, v *visit) error {
	now, err := s.heldBy(r, v)
	if err != nil {
		return err
	}
	act, order, err := s.staffOrder(r, v, now.CredentialID)
	if err != nil {
		return err
	}
	done := string(act)
	switch act {
	case issuance.ActSuspend:
		_, err = s.deps.Desk.Suspend(r.Context(), order)
	case issuance.ActReinstate:
		_, err = s.deps.Desk.Reinstate(r.Context(), order)
	case issuance.ActRevoke:
		_, err = s.deps.Desk.Revoke(r.Context(), order)
		if errors.Is(err, issuance.ErrSecondPerson) {
			done = "asked"
			_, err = s.deps.Desk.AskRevoke(r.Context(), issuance.Ask{
				Selection: issuance.Selection{OrganisationID: order.OrganisationID, IDs: []string{order.CredentialID}}, Reason: order.Reason, Words: order.Words, By: order.By, Expect: 1,
			})
		}
	}
	if err != nil {
		return err
	}
	return see303(w, r, withQuery(v.path("credentials/"+now.CredentialID), "done", done))
}
