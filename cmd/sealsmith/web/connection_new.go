package web

import (
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
)

// connectPage asks how an LMS shall be connected.
type connectPage struct {
	All            string
	Name, Trouble  string // of the invitation
	Families       []lti.Instructions
	Days           int
	OtherFamilyURL string
}

// invitedPage shows a registration address, once.
type invitedPage struct {
	All, Name string
	Address   copyRow
	Until     time.Time
	Families  []lti.Instructions
}

const (
	maxConnectionName  = 120
	maxOpenInvitations = 20
	// familyOther is an LMS for which there are no instructions.
	familyOther = "other"
)

// connect shows both ways: an invitation, and by hand.
func (s *Web) connect(w http.ResponseWriter, r *http.Request, v *visit) error {
	return s.showConnect(w, r, v, http.StatusOK, connectPage{})
}

func (s *Web) showConnect(w http.ResponseWriter, r *http.Request, v *visit, status int, page connectPage) error {
	page.All, page.Days = v.path("connections"), int(ltistore.InvitationLife/aDay)
	page.Families = lti.AllInstructions(lti.AddressesOf(s.deps.PublicURL, ""))
	return s.show(w, r, status, view{name: "connect", frame: v.frame(), page: &page})
}

// invite makes an invitation and shows its address, which nobody can show again.
func (s *Web) invite(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := parseForm(r); err != nil {
		return err
	}
	name := oneLine(r.PostForm.Get("name"))
	trouble := ""
	if len(name) > maxConnectionName {
		trouble = "Write a shorter name."
	}
	open, err := s.deps.Registrations.Invitations(r.Context(), v.organisation.ID)
	if err != nil {
		return err
	}
	if len(open) >= maxOpenInvitations {
		trouble = "There are many open invitations. Withdraw those that nobody needs any more, on the list of connections."
	}
	if trouble != "" {
		return s.showConnect(w, r, v, http.StatusUnprocessableEntity, connectPage{Name: name, Trouble: trouble})
	}
	ticket, err := s.deps.Registrations.Invite(r.Context(), v.organisation.ID, name, v.actor(), 0)
	if err != nil {
		return err
	}
	page := &invitedPage{
		All: v.path("connections"), Name: name, Until: s.deps.Now().Add(ltistore.InvitationLife),
		Address:  copyRow{ID: "address", Label: "Registration address", Value: s.deps.PublicURL.JoinPath("lti", "register", ticket).String()},
		Families: lti.AllInstructions(lti.AddressesOf(s.deps.PublicURL, "")),
	}
	f := v.frame()
	f.Script = copyScript
	return s.show(w, r, http.StatusOK, view{name: "invited", frame: f, page: page})
}

// oneLine is a text without control characters and superfluous spaces.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}
