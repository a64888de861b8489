package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// registeredPage is what the administrator of an LMS sees after a registration, inside the
// LMS: what came of it, and what to do next.
type registeredPage struct {
	Title, Detail, Glyph string
	Ink                  int    // rings of the seal, 0: nothing came of it
	Cause                string // what the LMS said, empty: nothing of interest
	Do                   []string
	Facts                []row
	Manual               []lti.Instructions
	Code, Trace          string
	At                   time.Time
}

// closeScript tells the LMS that its frame or window may go.
const closeScript = "close.js"

// Registered is the Page of lti.RegistrarDeps.
func (s *Web) Registered(w http.ResponseWriter, r *http.Request, p lti.RegisterPage) {
	q := requestOf(r.Context())
	page := registeredPage{Trace: q.trace, At: s.deps.Now()}
	f := Frame{Framed: true, Narrow: true, Script: closeScript}
	status := http.StatusOK
	switch {
	case p.Refused != nil && wantsJSON(r):
		s.Problem(w, r, p.Refused)
		return
	case p.Refused != nil:
		q.kind, q.err, status = kindRegistration, p.Refused, p.Refused.Status
		page.refused(p)
	default:
		page.registered(*p.Registered, p.After)
		if o, err := s.deps.Templates.Organisation(r.Context(), p.Registered.Registration.OrganisationID); err == nil {
			f.Organisation = masthead(o, "")
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if err := s.show(w, r, status, view{name: "registered", frame: f, page: &page}); err != nil {
		s.Problem(w, r, err)
	}
}

func (p *registeredPage) refused(r lti.RegisterPage) {
	p.Code, p.Do, p.Manual, p.Glyph = r.Refused.Code, []string{r.Refused.Advice}, r.Manual, "link"
	p.Title, p.Detail = "Your LMS is not connected", "Nothing was kept here."
	switch r.Refused.Code {
	case lti.CodeConfigurationMissing:
		p.Title, p.Detail = "Paste this address into your LMS", "The invitation is good, and is still unused."
	case lti.CodeInvitationUnknown, lti.CodeInvitationUsed, lti.CodeInvitationExpired:
		p.Title, p.Detail = "This invitation is not open", "A registration address is good for one LMS and for some days."
	case lti.CodeRegistrationUnknown:
		p.Title = "We do not know whether your LMS is connected"
	}
	said := []string{}
	if r.Refused.Expected != "" {
		said = append(said, "Expected: "+r.Refused.Expected+".")
	}
	if r.Refused.Received != "" {
		said = append(said, "Received: "+r.Refused.Received)
	}
	if len(r.Manual) == 0 {
		p.Cause = strings.Join(said, " ")
	}
}

func (p *registeredPage) registered(done lti.Registered, after []string) {
	r := done.Registration
	p.Ink, p.Glyph = 3, "check"
	switch r.Status {
	case lti.StatusActive:
		p.Ink = 4
		p.Title, p.Detail = "Connected again", "This LMS was connected before, and goes on as it was."
	case lti.StatusPaused:
		p.Title, p.Detail = "Connected again, and paused as before", "An administrator of this tool has paused the connection and has to resume it."
		p.Do = append(p.Do, "On the page Connections of this tool an administrator resumes it. An operator does it with: sealsmith platforms resume "+r.ID)
	default:
		p.Title, p.Detail = "Connected. Somebody has to confirm it.", "Until then nobody comes in, so that nobody can connect an LMS in your name."
		if done.Again {
			p.Detail = "This LMS was connected before, but its addresses have changed, so nobody comes in until it is confirmed again."
		}
		p.Do = append(p.Do, "On the page Connections of this tool an administrator confirms it. An operator does it with: sealsmith platforms confirm "+r.ID)
	}
	p.Do = append(p.Do, after...)
	for _, other := range done.Others {
		p.Do = append(p.Do, "Your organisation has another connection to this LMS, “"+other.Name+"” with the client id "+other.ClientID+
			". If this one replaces it, pause the other once this one works: sealsmith platforms pause "+other.ID)
	}
	p.Facts = []row{{Label: "Connection", Values: []string{r.Name}}, {Label: "LMS", Values: []string{r.Issuer}}, {Label: "Client id", Values: []string{r.ClientID}}}
	if len(r.Deployments) > 0 {
		p.Facts = append(p.Facts, row{Label: "Deployments", Values: r.Deployments})
	}
	if foreign := r.ForeignHosts(); len(foreign) > 0 {
		p.Facts = append(p.Facts, row{Label: "Other hosts that keys, tokens or logins come from", Values: foreign})
	}
}
