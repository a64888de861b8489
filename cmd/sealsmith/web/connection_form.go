package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
)

// handPage is the form of a connection, with what to enter in the LMS above it. For a
// connection that exists it corrects the addresses.
type handPage struct {
	Action, All, Back string
	ID                string // empty: a new connection
	Own               bool   // through which the administrator came
	Name              string // of the product, or of the connection
	How               lti.Instructions
	Copies            []copyField
	Fields            []handField
	Trouble           []formTrouble
	Known             string // address of the connection that exists already; empty: none
	Anew              string // address of the form for another connection with these values; empty: none
}

// copyField is one field of the LMS's form.
type copyField struct {
	ID, Label, Value string
	Copy             bool
	Lines            []string
}

// handField is one field of ours.
type handField struct {
	Name, Label, Value, Hint, Err string
	Optional, Fixed, URL          bool
}

// handFields are the fields of the form in its order. Label is for an LMS without
// instructions; flag is that of the command line, by which the instructions name the value.
var handFields = []struct {
	name, flag, label string
	optional, url     bool
}{
	{"name", "", "Name of the connection", true, false},
	{"issuer", "--issuer", "Issuer (Platform ID)", false, true},
	{"client_id", "--client-id", "Client ID", false, false},
	{"deployment", "--deployment", "Deployment ID", true, false},
	{"auth_url", "--auth-url", "Authentication request URL", false, true},
	{"token_url", "--token-url", "Access token URL", false, true},
	{"jwks_url", "--jwks-url", "Public key set URL", false, true},
	{"audience", "--audience", "Token audience", true, false},
}

// handLabel is the name of the value in the LMS.
func handLabel(how lti.Instructions, flag, own string) string {
	i := slices.IndexFunc(how.Returns, func(v lti.ReturnedValue) bool { return v.Flag == flag })
	if flag == "" || i < 0 || strings.HasPrefix(how.Returns[i].Label, "http") || strings.HasPrefix(how.Returns[i].Label, "the ") {
		return own
	}
	return how.Returns[i].Label
}

// byHand shows instructions and form for one product.
func (s *Web) byHand(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := s.newHandPage(v, mux.Vars(r)["family"])
	if err != nil {
		return err
	}
	values := formOf(lti.PlatformAddresses(lti.Registration{ProductFamily: page.How.Family}))
	if from := r.URL.Query().Get("from"); from != "" { // like one that is there, but for its issuer or client id
		reg, err := s.deps.Registrations.Registration(r.Context(), v.organisation.ID, from)
		if err != nil {
			return err
		}
		values = formOf(reg)
	}
	page.fill(values, nil)
	return s.showByHand(w, r, v, http.StatusOK, page)
}

func (s *Web) showByHand(w http.ResponseWriter, r *http.Request, v *visit, status int, page *handPage) error {
	f := v.frame()
	f.Script = copyScript
	return s.show(w, r, status, view{name: "byhand", frame: f, page: page})
}

func (s *Web) newHandPage(v *visit, family string) (*handPage, error) {
	page := &handPage{Action: v.path("connections/new/" + family), All: v.path("connections"), Back: v.path("connections/new")}
	addresses := lti.AddressesOf(s.deps.PublicURL, "")
	how, ok := lti.ManualInstructions(family, addresses)
	switch {
	case ok:
		page.How, page.Name = how, how.Name
	case family == familyOther:
		page.Name = "another LMS"
		page.How = lti.Instructions{Fields: []lti.FormField{
			{Label: "Launch URL, target link URI and redirection URI", Value: addresses.Launch, Copy: true},
			{Label: "Initiate login URL", Value: addresses.Login, Copy: true},
			{Label: "Public key set URL", Value: addresses.Keys, Copy: true},
			{Label: "Content selection URL (deep linking)", Value: addresses.Launch, Copy: true},
			{Label: "LTI version", Value: "1.3"},
			{Label: "Services", Value: "Assignment and Grade Services, Names and Role Provisioning"},
			{Label: "What the tool may know", Value: "the name of the person"},
		}}
	default:
		return nil, lti.ErrNotFound
	}
	for i, f := range page.How.Fields {
		page.Copies = append(page.Copies, copyField{
			ID: "f-" + strconv.Itoa(i+1), Label: f.Label, Value: f.Value, Copy: f.Copy, Lines: strings.Split(f.Value, "\n"),
		})
	}
	return page, nil
}

// formOf are the values of the form for a registration.
func formOf(r lti.Registration) url.Values {
	return url.Values{
		"name": {r.Name}, "issuer": {r.Issuer}, "client_id": {r.ClientID}, "auth_url": {r.AuthURL}, "token_url": {r.TokenURL},
		"jwks_url": {r.JWKSURL}, "audience": {r.TokenAudience},
	}
}

// fill puts values and problems into the fields.
func (p *handPage) fill(values url.Values, problems []lti.Problem) {
	known := lti.PlatformAddresses(lti.Registration{ProductFamily: p.How.Family, Issuer: "https://lms.example"})
	for _, f := range handFields {
		if p.ID != "" && f.name == "deployment" {
			continue
		}
		one := handField{
			Name: f.name, Label: handLabel(p.How, f.flag, f.label), Value: values.Get(f.name), Optional: f.optional, URL: f.url,
			Fixed: p.ID != "" && (f.name == "issuer" || f.name == "client_id"),
		}
		for _, problem := range problems {
			if problem.Field == f.name {
				one.Err = sentence(problem.Sentence)
				p.Trouble = append(p.Trouble, formTrouble{Anchor: f.name, Label: one.Label, Sentence: problem.Sentence})
			}
		}
		p.hint(&one, known)
		p.Fields = append(p.Fields, one)
	}
}

// hint says what is not plain. known has an address where the product always has the same
// one below its issuer.
func (p *handPage) hint(f *handField, known lti.Registration) {
	address := map[string]string{"auth_url": known.AuthURL, "token_url": known.TokenURL, "jwks_url": known.JWKSURL}[f.Name]
	switch {
	case f.Fixed:
		f.Hint = "By this the connection is known, so it stays."
	case f.Name == "name" && p.ID != "":
		f.Hint = "For your own lists."
	case f.Name == "name":
		f.Hint = "For your own lists, such as “Moodle of the faculty of arts”. Empty: the host of the LMS."
	case f.Name == "issuer":
		f.Hint = "Exactly as the LMS shows it: a slash at the end counts."
	case f.Name == "deployment":
		f.Hint = "If you do not know it yet, leave it empty: the first launch shows it here."
	case f.Name == "audience":
		f.Hint = "Only where the LMS names one; else it is the access token URL."
	case p.ID == "" && f.Value == "" && address != "":
		f.Optional = true
		f.Hint = "Leave it empty if " + p.Name + " shows nothing else: " + strings.Replace(address, "https://lms.example", "…", 1)
		if !strings.Contains(address, "lms.example") {
			f.Hint = "Leave it empty if " + p.Name + " shows nothing else: " + address
		}
	}
}

// entered reads the form. Spaces around a value come from copying; an address that was
// left empty is the product's usual one.
func entered(form url.Values, family string, v *visit) lti.Registration {
	get := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	r := lti.Registration{
		OrganisationID: v.organisation.ID, Name: oneLine(form.Get("name")), Issuer: get("issuer"), ClientID: get("client_id"), AuthURL: get("auth_url"),
		TokenURL: get("token_url"), JWKSURL: get("jwks_url"), TokenAudience: get("audience"), ProductFamily: family,
	}
	usual := lti.PlatformAddresses(r)
	r.Issuer, r.AuthURL = cmp.Or(r.Issuer, usual.Issuer), cmp.Or(r.AuthURL, usual.AuthURL)
	r.TokenURL, r.JWKSURL = cmp.Or(r.TokenURL, usual.TokenURL), cmp.Or(r.JWKSURL, usual.JWKSURL)
	if r.Name == "" {
		if u, err := url.Parse(r.Issuer); err == nil {
			r.Name = cmp.Or(u.Host, r.Issuer)
		}
	}
	if d := get("deployment"); d != "" {
		r.Deployments = []string{d}
	}
	return r
}

// troubles are the problems of what was entered; that of a name made from the issuer is
// the issuer's.
func troubles(r lti.Registration, form url.Values) []lti.Problem {
	problems := r.Problems()
	if len(r.Name) > maxConnectionName && form.Get("name") != "" {
		problems = append(problems, lti.Problem{Field: "name", Sentence: "write a shorter name"})
	}
	return slices.DeleteFunc(problems, func(p lti.Problem) bool { return p.Field == "name" && oneLine(form.Get("name")) == "" })
}

// connectByHand stores what the LMS gave back, and checks at once whether it works.
func (s *Web) connectByHand(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := s.newHandPage(v, mux.Vars(r)["family"])
	if err != nil {
		return err
	}
	if err := parseForm(r); err != nil {
		return err
	}
	reg := entered(r.PostForm, page.How.Family, v)
	problems := troubles(reg, r.PostForm)
	status := http.StatusUnprocessableEntity
	if len(problems) == 0 {
		stored, err := s.deps.Registrations.Connect(r.Context(), reg, v.actor())
		switch {
		case errors.Is(err, ltistore.ErrKnown):
			status, page.Known = http.StatusConflict, v.path("connections/"+stored.ID)
			problems = []lti.Problem{{Field: "client_id", Sentence: "your organisation has a connection with this issuer and client id already: “" + stored.Name + "”"}}
		case errors.Is(err, ltistore.ErrTaken):
			status = http.StatusConflict
			problems = []lti.Problem{{Field: "client_id", Sentence: "this issuer and client id belong to another organisation here, and stay there; both were told. If the LMS serves both, ask the operator of this tool"}}
		case err != nil:
			return err
		default:
			return s.showChecked(w, r, v, stored, true)
		}
	}
	page.fill(r.PostForm, problems)
	return s.showByHand(w, r, v, status, page)
}

// addresses shows the form for correcting a connection.
func (s *Web) addresses(w http.ResponseWriter, r *http.Request, v *visit) error {
	reg, page, err := s.newCorrection(r, v)
	if err != nil {
		return err
	}
	page.fill(formOf(reg), nil)
	return s.showByHand(w, r, v, http.StatusOK, page)
}

func (s *Web) newCorrection(r *http.Request, v *visit) (lti.Registration, *handPage, error) {
	reg, err := s.deps.Registrations.Registration(r.Context(), v.organisation.ID, mux.Vars(r)["id"])
	if err != nil {
		return reg, nil, err
	}
	at := v.path("connections/" + reg.ID)
	page := &handPage{Action: at + "/addresses", All: v.path("connections"), Back: at, ID: reg.ID, Own: reg.ID == v.launch.RegistrationID, Name: reg.Name}
	page.Anew = v.path("connections/new/" + familyOther)
	if how, ok := lti.ManualInstructions(reg.Quirks().Family, lti.ToolAddresses{}); ok {
		page.How = lti.Instructions{Family: how.Family, Returns: how.Returns}
		page.Anew = v.path("connections/new/" + how.Family)
	}
	page.Anew = withQuery(page.Anew, "from", reg.ID)
	return reg, page, nil
}

// correct stores other addresses. Those by which the administrator has just come in work,
// and are not changed through themselves.
func (s *Web) correct(w http.ResponseWriter, r *http.Request, v *visit) error {
	reg, page, err := s.newCorrection(r, v)
	if err != nil {
		return err
	}
	if err := parseForm(r); err != nil {
		return err
	}
	form := r.PostForm
	form.Set("issuer", reg.Issuer)
	form.Set("client_id", reg.ClientID)
	next := reg
	get := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	next.Name, next.AuthURL, next.TokenURL = cmp.Or(oneLine(form.Get("name")), reg.Name), get("auth_url"), get("token_url")
	next.JWKSURL, next.TokenAudience = get("jwks_url"), get("audience")
	problems := troubles(next, form)
	if page.Own {
		const works = "you have come in by this one, so it works; an operator changes it with: sealsmith platforms add"
		if next.AuthURL != reg.AuthURL {
			problems = append(problems, lti.Problem{Field: "auth_url", Sentence: works})
		}
		if next.JWKSURL != reg.JWKSURL {
			problems = append(problems, lti.Problem{Field: "jwks_url", Sentence: works})
		}
	}
	if len(problems) > 0 {
		page.fill(form, problems)
		return s.showByHand(w, r, v, http.StatusUnprocessableEntity, page)
	}
	if err := s.deps.Registrations.Correct(r.Context(), v.organisation.ID, reg.ID, next, v.actor()); err != nil {
		return err
	}
	if next, err = s.deps.Registrations.Registration(r.Context(), v.organisation.ID, reg.ID); err != nil {
		return err
	}
	return s.showChecked(w, r, v, next, true)
}
