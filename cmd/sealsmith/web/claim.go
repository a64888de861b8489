package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/lti"
)

// claimPage shows exactly what will be sealed, and asks.
type claimPage struct {
	Title, AwardingBody         Words
	Name, Given, Family         string
	Sealer                      string // who seals, empty while no token was seen
	NameTrouble                 bool
	NameFixed                   bool // it is the platform's, and not for the learner to change
	GivenTrouble, FamilyTrouble string
	Percent, Need               float64
	Rows                        []row
	Steps                       []event
	Unread                      string
	Decided                     bool
	At                          time.Time
	Preview                     bool
	Sealing                     sealingNotice
}

// claimForm is what came back from the page; refused says that the name could not be used.
type claimForm struct {
	given, family string
	refused       bool
}

func (s *Web) showClaim(w http.ResponseWriter, r *http.Request, v *visit, at standing, form claimForm) error {
	version, err := s.deps.Templates.Version(r.Context(), v.organisation.ID, at.decided.VersionID)
	if err != nil {
		return err
	}
	u := v.launch.User
	told, fixed := toldName(u)
	page := claimPage{NameFixed: fixed, Title: words(version.Content.Title), AwardingBody: words(v.organisation.Name), Unread: at.unread, Decided: at.decided.ID != "", At: at.decided.At, Steps: claimSteps()}
	page.Given, page.Family = told.Given, told.Family
	page.Name = strings.TrimSpace(page.Given + " " + page.Family)
	status := http.StatusOK
	if form.refused {
		status = http.StatusUnprocessableEntity
		page.Given, page.Family, page.NameTrouble = form.given, form.family, true
		page.FamilyTrouble = nameTrouble
	}
	if len(at.decided.Reasons) > 0 {
		page.Percent, page.Need = at.decided.Reasons[0].Percent, at.decided.Reasons[0].Need
	}
	if page.Sealing, err = s.sealingNotice(r.Context(), v.organisation); err != nil {
		return err
	}
	learner := elm.Learner{GivenName: page.Given, FamilyName: page.Family, Identifier: u.Subject}
	if page.Name == "" || form.refused {
		learner = elm.Learner{FamilyName: "–", Identifier: u.Subject}
	}
	var content elm.Content
	page.Rows, content, err = s.preview(draft{
		organisation: v.organisation, version: version, learner: learner,
		score: at.decided.Evidence.Score.Float64, maximum: at.decided.Evidence.Maximum,
	})
	if err != nil {
		return err
	}
	if s.deps.Sealing(v.organisation.Slug).Issuer.Organisation != "" {
		page.Sealer = content.IssuerName
	}
	page.Rows = without(page.Rows, "learner", "issued") // the name stands above, the day is that of sealing
	return s.show(w, r, status, view{name: "claim", frame: v.frame(), page: &page})
}

// claimSteps say beforehand what will happen.
func claimSteps() []event {
	return []event{
		{Kind: "off", Icon: "check", Title: "Your claim is kept", Words: "With your name and the time. From then on the content is frozen."},
		{Kind: "off", Icon: "lock", Title: "It is sealed", Words: "The organisation’s token makes one seal after the other; usually it is done within a minute."},
		{Kind: "off", Icon: "down", Title: "You save the file", Words: "Here, in this activity, now or later."},
	}
}

// toldName is the name that the platform told. When it can be used, it is what will be
// sealed, whatever a form says: who finished a course must not claim in a friend's name.
// Without one (privacy settings of the platform) the learner writes it, and the teacher
// sees under which name was claimed.
func toldName(u lti.User) (name issuance.Name, fixed bool) {
	given, family := platformName(u.GivenName, u.FamilyName, u.Name)
	clean, err := issuance.Name{Given: given, Family: family}.Clean()
	if err != nil {
		return issuance.Name{Given: given, Family: family}, false
	}
	return clean, true
}

// claim is the learner's yes.
func (s *Web) claim(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.launch.IsTestUser() {
		return errTestUser
	}
	a, err := s.deps.Grading.Launched(r.Context(), v.launch)
	if err != nil {
		return err
	}
	if err := parseForm(r); err != nil {
		return err
	}
	form := claimForm{given: r.PostForm.Get("given"), family: r.PostForm.Get("family")}
	name, fixed := toldName(v.launch.User)
	if !fixed {
		name = issuance.Name{Given: form.given, Family: form.family}
	}
	_, err = s.deps.Desk.Confirm(r.Context(), v.organisation.ID, a.ID, v.launch.User.Subject, name)
	if !errors.Is(err, issuance.ErrName) {
		if err != nil {
			return err
		}
		return see303(w, r, v.path("learn"))
	}
	at, err := s.stands(r.Context(), v, a)
	if err != nil {
		return err
	}
	if at.claim.State != issuance.Open || !at.decided.Complete {
		return see303(w, r, v.path("learn"))
	}
	form.refused = true
	return s.showClaim(w, r, v, at, form)
}
