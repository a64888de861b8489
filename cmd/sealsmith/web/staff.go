package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/templates"
)

// staffRoutes are the pages of administrators about sealed credentials.
func (s *Web) staffRoutes(get, post func(path string, a action)) {
	const at = "/s/{sid}/credentials"
	get(at, s.visit(admin, s.staffList))
	get(at+"/revoke", s.visit(admin, s.revokeMany))
	post(at+"/revoke", s.visit(admin, s.revokeManyNow))
	get(at+"/orders", s.visit(admin, s.orders))
	get(at+"/orders/{id}", s.visit(admin, s.order))
	get(at+"/orders/{id}/state", s.visit(admin, s.orderState))
	post(at+"/orders/{id}/{decision:confirm|decline|withdraw}", s.visit(admin, s.orderDecide))
	get(at+"/{id}", s.visit(admin, s.staffOne))
	post(at+"/{id}/preview", s.visit(admin, s.staffPreview))
	post(at+"/{id}/act", s.visit(admin, s.staffAct))
}

// staffFilter is what the list of credentials is filtered by, as it stands in the address.
type staffFilter struct {
	Name, Standing, Version, Attachment, From, Until, After string
}

const maxQuery = 200 // letters of what is looked for

func readFilter(q url.Values) staffFilter {
	f := staffFilter{
		Name: strings.TrimSpace(q.Get("q")), Standing: q.Get("standing"), Version: q.Get("version"), Attachment: q.Get("attachment"),
		From: q.Get("from"), Until: q.Get("until"), After: q.Get("after"),
	}
	if runes := []rune(f.Name); len(runes) > maxQuery {
		f.Name = string(runes[:maxQuery])
	}
	return f
}

// query writes the filter as an address of page, without the place in the list.
func (f staffFilter) query(page string, more ...string) string {
	return withQuery(page, append([]string{"q", f.Name, "standing", f.Standing, "version", f.Version, "attachment", f.Attachment, "from", f.From, "until", f.Until}, more...)...)
}

// days are the bounds of time that the filter sets: From is the first day, Until the last one.
// What is no day sets none.
func (f staffFilter) days() (from, until time.Time) {
	if t, err := time.Parse(time.DateOnly, f.From); err == nil {
		from = t
	}
	if t, err := time.Parse(time.DateOnly, f.Until); err == nil {
		until = t.AddDate(0, 0, 1)
	}
	return from, until
}

// selection is the filter as what an order to revoke is about.
func (f staffFilter) selection(organisationID string) issuance.Selection {
	from, until := f.days()
	return issuance.Selection{OrganisationID: organisationID, AttachmentID: f.Attachment, VersionID: f.Version, SealedFrom: from, SealedUntil: until}
}

// staffListPage finds credentials.
type staffListPage struct {
	Tabs      tabs
	Filter    staffFilter
	Standings []option
	Versions  []option
	Activity  string // course of the activity that is filtered by; empty: all activities
	AllOf     string // the same without the activity
	Items     []staffItem
	First     string // address of the first page; empty: this is it
	Next      string // address of the next page; empty: this is the last one
	Many      string // address where all of them can be revoked; empty: the filter is too wide or too fine
}

// staffItem is one credential in a list.
type staffItem struct {
	ID, Name string
	Title    Words
	Number   int // version
	SealedAt time.Time
	InForce  issuance.InForce
	Since    time.Time
	Because  string
}

const staffShown = 50 // credentials on a page

func (s *Web) staffList(w http.ResponseWriter, r *http.Request, v *visit) error {
	ctx, org := r.Context(), v.organisation.ID
	f := readFilter(r.URL.Query())
	if found, err := s.named(ctx, org, f.Name); err != nil || found != "" {
		if err != nil {
			return err
		}
		return see303(w, r, v.path("credentials/"+found))
	}
	page := staffListPage{Filter: f, Standings: standingOptions(f.Standing)}
	versions, err := s.deps.Templates.Versions(ctx, org)
	if err != nil {
		return err
	}
	page.Versions = versionOptions(versions, f.Version)
	if page.Activity, err = s.activity(ctx, org, f.Attachment); err != nil {
		return err
	}
	from, until := f.days()
	found, next, err := s.deps.Desk.Search(ctx, issuance.Search{
		OrganisationID: org, Name: f.Name, InForce: issuance.InForce(f.Standing), AttachmentID: f.Attachment, VersionID: f.Version,
		SealedFrom: from, SealedUntil: until, After: f.After, Limit: staffShown,
	})
	if err != nil {
		return err
	}
	page.Items = staffItems(found, versions)
	page.links(v, f, next)
	if page.Tabs, err = s.tabs(ctx, v, "credentials"); err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, view{name: "credentials", frame: v.frame(), page: &page})
}

func (p *staffListPage) links(v *visit, f staffFilter, next string) {
	at := v.path("credentials")
	if next != "" {
		p.Next = f.query(at, "after", next)
	}
	if f.After != "" {
		p.First = f.query(at)
	}
	wide := f
	wide.Attachment = ""
	p.AllOf = wide.query(at)
	if f.Name == "" && f.Standing == "" && (f.Version != "" || f.Attachment != "") && len(p.Items) > 0 {
		p.Many = f.query(v.path("credentials/revoke"))
	}
}

// named finds the one credential whose id, or whose link, was typed into the search; empty
// when that was something else.
func (s *Web) named(ctx context.Context, organisationID, typed string) (string, error) {
	if strings.ContainsAny(typed, " \t") || !strings.ContainsAny(typed, "/0123456789") {
		return "", nil
	}
	now, err := s.deps.Desk.Find(ctx, organisationID, typed)
	if errors.Is(err, issuance.ErrNotFound) || err == nil && now.InForce == "" {
		return "", nil
	}
	return now.CredentialID, err
}

// activity is the course of an activity of the organisation, for people; empty for none.
func (s *Web) activity(ctx context.Context, organisationID, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	a, err := s.deps.Grading.Attachment(ctx, organisationID, id)
	if errors.Is(err, grading.ErrNotFound) {
		return "", errNoPage
	}
	return cmp.Or(a.ContextTitle, a.ContextID, id), err
}

func staffItems(found []issuance.Listed, versions []templates.Version) []staffItem {
	byID := make(map[string]templates.Version, len(versions))
	for _, version := range versions {
		byID[version.ID] = version
	}
	items := make([]staffItem, len(found))
	for i, one := range found {
		version := byID[one.VersionID]
		items[i] = staffItem{
			ID: one.CredentialID, Name: one.Name, Title: words(version.Content.Title), Number: version.Number, SealedAt: one.SealedAt,
			InForce: one.InForce, Since: one.Since, Because: one.Because(),
		}
	}
	return items
}

func standingOptions(chosen string) []option {
	all := []option{
		{Code: "", Word: "However they stand"},
		{Code: string(issuance.StandsInForce), Word: "In force"},
		{Code: string(issuance.StandsSuspended), Word: "Suspended"},
		{Code: string(issuance.StandsRevoked), Word: "Withdrawn"},
		{Code: string(issuance.StandsReplaced), Word: "Replaced"},
	}
	for i := range all {
		all[i].On = all[i].Code == chosen
	}
	return all
}

func versionOptions(versions []templates.Version, chosen string) []option {
	all := []option{{Code: "", Word: "All templates", On: chosen == ""}}
	for _, version := range versions {
		all = append(all, option{Code: version.ID, Word: versionWords(version), On: version.ID == chosen})
	}
	return all
}

func versionWords(version templates.Version) string {
	return words(version.Content.Title).Text + ", version " + number(float64(version.Number))
}

// who says who did something: names of people are not kept.
func who(v *visit, actor string) string {
	if name, ok := strings.CutPrefix(actor, issuance.Operator+":"); ok {
		return "the operator " + name
	}
	switch actor {
	case issuance.Operator:
		return "the operator"
	case issuance.WorkerPaused:
		return "this server"
	}
	return inviter(v, actor)
}
