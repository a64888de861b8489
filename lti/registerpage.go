package lti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"

	"github.com/gorilla/mux"
)

var ticketForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// Mount adds two endpoints to r: /lti/register/{ticket}, the address that a platform's
// administrator pastes there (Dynamic Registration 1.0, section 3.3), and
// /lti/config.json, by which Canvas is set up without registration.
//
// The registration token reaches no log and no other host than the platform's: it goes
// with the registration itself, to the address that the configuration names, and already
// with the request for the configuration where that is the custom (Canvas) and the host is
// one of that cloud. Any other host gets it for its configuration only after it refused
// without, and if it is the host whose page sent the browser here.
func (g *Registrar) Mount(r *mux.Router) {
	r.HandleFunc("/lti/register", g.register)
	r.HandleFunc("/lti/register/", g.register)
	r.HandleFunc("/lti/register/{ticket}", g.register)
	r.HandleFunc("/lti/config.json", g.config)
}

// register runs a whole registration in one GET, because that is what platforms send. The
// invitation is spent by the last step only, so opening the address early or twice costs
// nothing.
func (g *Registrar) register(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	w.Header().Set("Referrer-Policy", "no-referrer") // the address has the platform's token
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		g.deps.Problem(w, r, refuse(CodeMethod, http.MethodGet, r.Method))
		return
	}
	done, err := g.run(r)
	if refused, ok := errors.AsType[*CheckError](err); ok {
		page := RegisterPage{Refused: refused}
		if refused.Code == CodeConfigurationMissing {
			page.Manual = AllInstructions(AddressesOf(g.deps.PublicURL, ""))
		}
		g.deps.Page(w, r, page)
		return
	}
	if err != nil {
		g.deps.Problem(w, r, err)
		return
	}
	page := RegisterPage{Registered: &done}
	if i, ok := ManualInstructions(done.Registration.Quirks().Family, AddressesOf(g.deps.PublicURL, done.Registration.LoginKey)); ok {
		page.After = i.After
	}
	g.deps.Page(w, r, page)
}

func (g *Registrar) run(r *http.Request) (Registered, error) {
	ctx, ticket := r.Context(), mux.Vars(r)["ticket"]
	inv, err := g.invitation(ctx, ticket)
	if err != nil {
		return Registered{}, err
	}
	q := r.URL.Query()
	address, token := q.Get("openid_configuration"), q.Get("registration_token")
	switch {
	case address == "":
		return Registered{}, refuse(CodeConfigurationMissing, "openid_configuration", "")
	case len(q["openid_configuration"]) > 1 || len(q["registration_token"]) > 1:
		return Registered{}, refuse(CodeDuplicateParameter, "", "")
	}
	c, err := g.configuration(ctx, address, token, r.Header)
	if err != nil {
		return Registered{}, err
	}
	reg, err := g.Register(ctx, c, token, inv)
	if err != nil {
		return Registered{}, err
	}
	return g.keep(context.WithoutCancel(ctx), ticket, inv, reg) // the platform has added us by now
}

func (g *Registrar) invitation(ctx context.Context, ticket string) (Invitation, error) {
	if !ticketForm.MatchString(ticket) {
		return Invitation{}, refuse(CodeInvitationUnknown, "", "")
	}
	inv, err := g.deps.Invitations.Invitation(ctx, ticket)
	switch {
	case errors.Is(err, ErrNotFound):
		return Invitation{}, refuse(CodeInvitationUnknown, "", "")
	case errors.Is(err, ErrInvitationUsed):
		return Invitation{}, refuse(CodeInvitationUsed, "", "")
	case errors.Is(err, ErrInvitationExpired):
		return Invitation{}, refuse(CodeInvitationExpired, "", "")
	case err != nil:
		return Invitation{}, fmt.Errorf("read the invitation: %w", err)
	}
	return inv, nil
}

// configuration decides whether the token goes along, see Mount.
func (g *Registrar) configuration(ctx context.Context, address, token string, header http.Header) (PlatformConfiguration, error) {
	u, err := checkServiceURL(CodeConfigurationAddress, "openid_configuration", address)
	if err != nil {
		return PlatformConfiguration{}, err
	}
	if isCloudHost(hostOf(u)) {
		return g.Fetch(ctx, address, token)
	}
	c, err := g.Fetch(ctx, address, "")
	refused, ok := errors.AsType[*CheckError](err)
	if ok && refused.Code == CodeConfigurationRefused && token != "" && cameFrom(header, u) {
		return g.Fetch(ctx, address, token)
	}
	return c, err
}

// cameFrom reports whether the browser says that a page of that host sent it.
func cameFrom(header http.Header, host *url.URL) bool {
	from, err := url.Parse(header.Get("Referer"))
	return err == nil && from.Host != "" && from.Scheme == host.Scheme && hostOf(from) == hostOf(host)
}

// keep stores the registration and spends the invitation.
func (g *Registrar) keep(ctx context.Context, ticket string, inv Invitation, reg Registration) (Registered, error) {
	done, err := g.deps.Invitations.UseInvitation(ctx, ticket, reg)
	switch {
	case errors.Is(err, ErrTaken):
		g.deps.Logger.WarnContext(ctx, "registration of another organisation's platform refused",
			"organisation", inv.OrganisationID, "invitation", inv.ID, "issuer", reg.Issuer, "client_id", reg.ClientID)
		return Registered{}, refuse(CodeRegistrationTaken, "", reg.Issuer).because(err)
	case errors.Is(err, ErrInvitationUsed), errors.Is(err, ErrInvitationExpired), errors.Is(err, ErrNotFound):
		return Registered{}, refuse(CodeInvitationLost, "", "").because(err)
	case err != nil:
		return Registered{}, fmt.Errorf("keep the registration: %w", err)
	}
	r := done.Registration
	g.deps.Logger.InfoContext(ctx, "platform registered", "organisation", r.OrganisationID, "invitation", inv.ID,
		"registration", r.ID, "issuer", r.Issuer, "status", string(r.Status), "again", done.Again, "foreign_hosts", r.ForeignHosts())
	return done, nil
}

// ForeignHosts returns the hosts among the registered addresses that are neither the
// issuer's nor known to belong to its cloud. Nothing is wrong with them as such, but an
// administrator should know them before confirming: keys and tokens come from there.
func (r Registration) ForeignHosts() []string {
	known := Registration{Issuer: r.Issuer} // what the platform calls itself does not count here
	var foreign []string
	for _, address := range []string{r.AuthURL, r.TokenURL, r.JWKSURL} {
		u, err := url.Parse(address)
		if err != nil || known.ownsHost(u.Hostname()) || slices.Contains(foreign, u.Hostname()) {
			continue
		}
		foreign = append(foreign, u.Hostname())
	}
	return foreign
}
