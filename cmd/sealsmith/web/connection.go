package web

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/lti"
)

// connectionPage is one connection: how it is, what waits, and what has happened.
type connectionPage struct {
	At                  string // address of the page, without a slash at its end
	All                 string // address of the list
	ID, Name, Product   string
	Status              lti.Status
	Own                 bool     // through which the administrator came
	Seen                string   // stands for the addresses that this page shows
	Foreign             []string // hosts of addresses that are not the issuer's
	Approved, Waiting   []string // deployments
	Facts, Ours         []copyRow
	Exceptions          []row
	Private             []string // hosts in a private network
	Notices             []lti.Subscription
	Trouble             bool // a subscription was not taken
	Said                string
	Findings            []finding
	Checked             bool
	Launches            []launchRow
	Lead                string // what the last launches come to
	Refused             bool   // only those that were refused are shown
	Manual              []string
	Moved, Busy, Joined bool
}

// copyRow is a value with a button that copies it.
type copyRow struct{ ID, Label, Value, Note string }

// launchesShown is the length of the list of launches.
const launchesShown = 50

// copyScript serves the buttons that copy.
const copyScript = "copy.js"

// said are the sentences after an action, by what the address says was done.
var said = map[string]string{
	"active": "It is active: people come in.", "paused": "It is paused: nobody comes in. Nothing is lost.",
	"approved": "The deployment is approved: people come in through it.", "notices": "We ask for the notices again within a minute.",
}

// connection shows one connection.
func (s *Web) connection(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := s.newConnectionPage(r, v)
	if err != nil {
		return err
	}
	page.Said = said[r.URL.Query().Get("done")]
	return s.showConnection(w, r, v, http.StatusOK, page)
}

func (s *Web) showConnection(w http.ResponseWriter, r *http.Request, v *visit, status int, page *connectionPage) error {
	f := v.frame()
	f.Script = copyScript
	return s.show(w, r, status, view{name: "connection", frame: f, page: page})
}

// newConnectionPage reads the connection that the address names.
func (s *Web) newConnectionPage(r *http.Request, v *visit) (*connectionPage, error) {
	reg, err := s.deps.Registrations.Registration(r.Context(), v.organisation.ID, mux.Vars(r)["id"])
	if err != nil {
		return nil, err
	}
	return s.connectionPageOf(r.Context(), v, reg, r.URL.Query().Get("only") == "refused")
}

func (s *Web) connectionPageOf(ctx context.Context, v *visit, reg lti.Registration, onlyRefused bool) (*connectionPage, error) {
	p := &connectionPage{
		At: v.path("connections/" + reg.ID), All: v.path("connections"), ID: reg.ID, Name: reg.Name, Product: product(reg), Status: reg.Status,
		Own: reg.ID == v.launch.RegistrationID, Seen: addressesSeen(reg), Foreign: reg.ForeignHosts(), Approved: reg.Deployments, Waiting: reg.Pending,
		Private: reg.Settings.PrivateHosts, Refused: onlyRefused, Exceptions: exceptionRows(reg.Settings),
	}
	ours := lti.AddressesOf(s.deps.PublicURL, cmp.Or(reg.LoginKey, reg.ID))
	p.Facts = copyRows("theirs", [][2]string{
		{"Issuer", reg.Issuer},
		{"Client id", reg.ClientID},
		{"Authentication request URL", reg.AuthURL},
		{"Access token URL", reg.TokenURL},
		{"Public key set URL", reg.JWKSURL},
		{"Token audience", reg.TokenAudience},
	})
	p.Ours = copyRows("ours", [][2]string{
		{"Login URL", ours.Login}, {"Launch URL and redirection URI", ours.Launch}, {"Public key set URL", ours.Keys},
	})
	if i, ok := lti.ManualInstructions(reg.Quirks().Family, ours); ok {
		p.Manual = i.After
	}
	var err error
	if p.Notices, err = s.deps.Registrations.Subscriptions(ctx, reg.OrganisationID, reg.ID); err != nil {
		return nil, err
	}
	p.Trouble = slices.ContainsFunc(p.Notices, func(n lti.Subscription) bool { return n.Trouble != "" })
	traces, err := s.deps.Registrations.LastTraces(ctx, reg.OrganisationID, reg.ID, onlyRefused, launchesShown)
	if err != nil {
		return nil, err
	}
	for _, tr := range traces {
		p.Launches = append(p.Launches, s.newLaunchRow(tr))
	}
	if !onlyRefused {
		p.summarise()
	}
	return p, nil
}

// summarise says what the newest launches come to.
func (p *connectionPage) summarise() {
	launches := slices.DeleteFunc(slices.Clone(p.Launches), func(l launchRow) bool { return l.Kind == lti.TraceNotice })
	run := 0
	for _, l := range launches {
		if l.Code == "" || l.Failed != launches[0].Failed {
			break
		}
		run++
	}
	switch {
	case p.Status != lti.StatusActive || len(launches) == 0:
	case run > 1:
		p.Lead = "The last " + strconv.Itoa(run) + " launches were refused for the same reason: " + launches[0].Failed + "."
	case run == 1:
		p.Lead = "The last launch was refused: " + launches[0].Failed + "."
	default:
		p.Lead = "The last launch came in."
	}
}

func copyRows(prefix string, values [][2]string) []copyRow {
	var rows []copyRow
	for _, value := range values {
		if value[1] != "" {
			rows = append(rows, copyRow{ID: prefix + "-" + strconv.Itoa(len(rows)+1), Label: value[0], Value: value[1]})
		}
	}
	return rows
}

// exceptionRows are the settings that differ from the rules, but for the private hosts.
func exceptionRows(s lti.Settings) []row {
	var rows []row
	for _, e := range []row{
		{Label: "Further hosts of the platform", Values: s.Hosts},
		{Label: "Algorithms that may sign launches", Values: s.Algorithms},
		{Label: "Further audiences that are trusted", Values: s.TrustedAudiences},
		{Label: "Further authorised parties", Values: s.TrustedAZP},
	} {
		if len(e.Values) > 0 {
			rows = append(rows, e)
		}
	}
	if s.ClockSkew > 0 {
		rows = append(rows, row{Label: "Tolerated difference of the clocks", Values: []string{strconv.Itoa(s.ClockSkew) + " seconds"}})
	}
	switch s.Deployments {
	case lti.DeploymentsAsk:
		rows = append(rows, row{Label: "New deployments", Values: []string{"wait for approval"}})
	case lti.DeploymentsAuto:
		rows = append(rows, row{Label: "New deployments", Values: []string{"are approved by themselves"}})
	}
	return rows
}

// addressesSeen stands for the addresses of a connection, so that nobody confirms others
// than those that the page has shown.
func addressesSeen(r lti.Registration) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{r.Issuer, r.ClientID, r.AuthURL, r.TokenURL, r.JWKSURL, r.TokenAudience}, "\n")))
	return hex.EncodeToString(sum[:8])
}

// connectionStatus confirms, pauses or resumes. The connection through which the
// administrator came is not paused here: nobody should lock themselves out by a click.
func (s *Web) connectionStatus(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := s.newConnectionPage(r, v)
	if err != nil {
		return err
	}
	if err := parseForm(r); err != nil {
		return err
	}
	to := lti.Status(r.PostForm.Get("to"))
	if to != lti.StatusActive && to != lti.StatusPaused {
		return errForm
	}
	if to == lti.StatusPaused && page.Own {
		return errOwnConnection
	}
	if page.Status == lti.StatusPending && r.PostForm.Get("seen") != page.Seen {
		page.Moved = true
		return s.showConnection(w, r, v, http.StatusConflict, page)
	}
	if err := s.deps.Registrations.SetStatus(r.Context(), v.organisation.ID, page.ID, to, v.actor()); err != nil {
		return err
	}
	return see303(w, r, page.At+"?done="+string(to))
}

// approve lets a deployment in that has been seen and waits.
func (s *Web) approve(w http.ResponseWriter, r *http.Request, v *visit) error {
	reg, err := s.deps.Registrations.Registration(r.Context(), v.organisation.ID, mux.Vars(r)["id"])
	if err != nil {
		return err
	}
	if err := parseForm(r); err != nil {
		return err
	}
	deployment := r.PostForm.Get("deployment")
	if !slices.Contains(reg.Pending, deployment) && !slices.Contains(reg.Deployments, deployment) {
		return lti.ErrNotFound
	}
	if slices.Contains(reg.Pending, deployment) { // else somebody else was faster
		if err := s.deps.Registrations.ApproveDeployment(r.Context(), v.organisation.ID, reg.ID, deployment, v.actor()); err != nil {
			return err
		}
	}
	return see303(w, r, v.path("connections/"+reg.ID+"?done=approved"))
}

// retryNotices asks again for the notices that the platform did not promise.
func (s *Web) retryNotices(w http.ResponseWriter, r *http.Request, v *visit) error {
	reg, err := s.deps.Registrations.Registration(r.Context(), v.organisation.ID, mux.Vars(r)["id"])
	if err != nil {
		return err
	}
	if err := s.deps.Registrations.RetrySubscriptions(r.Context(), v.organisation.ID, reg.ID); err != nil {
		return err
	}
	return see303(w, r, v.path("connections/"+reg.ID+"?done=notices"))
}
