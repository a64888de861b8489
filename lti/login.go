package lti

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/mux"
)

const (
	stateLifetime  = 10 * time.Minute // single sign-on takes detours
	maxRequestBody = 256 << 10
	maxHint        = 8 << 10
)

// login answers the platform's login initiation (Security Framework 1.0, section 5.1.1.1),
// by GET or POST, with a redirect to its authorization endpoint. The redirect is a GET,
// because a POST from our site would leave the platform's own SameSite=Lax cookies behind.
//
// In a frame it first makes sure that cookies work: once the platform has been asked, its
// message hint is used up, and the login cannot be begun again in a new window.
func (t *Tool) login(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		t.deps.Problem(w, r, refuse(CodeMethod, "GET or POST", r.Method))
		return
	}
	tr := t.newTrace(r, TraceLogin)
	location, err := t.beginLogin(w, r, tr)
	if err != nil {
		t.refused(w, r, tr, err)
		return
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusFound)
}

// beginLogin makes a login state, sets its cookie and returns where to go.
func (t *Tool) beginLogin(w http.ResponseWriter, r *http.Request, tr *Trace) (string, error) {
	p, err := readLogin(w, r)
	if err != nil {
		return "", err
	}
	reg, err := t.findRegistration(r.Context(), mux.Vars(r)["key"], p, tr)
	if err != nil {
		return "", err
	}
	tr.of(reg)
	if err := checkStatus(reg); err != nil {
		return "", err
	}
	st, err := t.secret.make(t.deps.Rand, reg, p.deployment, p.storage, t.deps.Now())
	if err != nil {
		return "", fmt.Errorf("make a login state: %w", err)
	}
	t.cookies.set(w, t.cookies.stateName(st.text), t.secret.browser(st), stateLifetime)
	if framed(r) && !t.cookies.proven(r) {
		return t.continueAddress(r, p, st), nil
	}
	return t.authRequest(reg, p, st)
}

// checkStatus refuses registrations that may not be used.
func checkStatus(reg Registration) error {
	switch reg.Status {
	case StatusPending:
		e := refuse(CodePlatformPending, "", "")
		e.Advice += " " + reg.ID
		return e
	case StatusPaused:
		return refuse(CodePlatformPaused, "", "")
	case StatusActive, "":
	}
	return nil
}

// framed reports whether the answer will be shown in a frame. Browsers say so on https and
// on this computer; one that does not say is treated as a window.
func framed(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "iframe", "frame", "embed", "object", "fencedframe":
		return true
	}
	return false
}

func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
}

// loginParameters are those of a login initiation. The form is what was received of them,
// to be sent again.
type loginParameters struct {
	issuer, clientID, hint, target, deployment string

	messageHint *string // echoed only if it was there
	storage     string  // platform storage target, "" when none or none of a sane form
	form        url.Values
}

// loginNames are the parameters of a login initiation that matter here.
var loginNames = []string{"iss", "client_id", "login_hint", "target_link_uri", "lti_deployment_id", "lti_message_hint", "lti_storage_target"}

// storageTarget is what a frame may be called: the value gets into our script's hands.
var storageTarget = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

func readLogin(w http.ResponseWriter, r *http.Request) (loginParameters, error) {
	p := loginParameters{form: url.Values{}}
	if err := readForm(w, r); err != nil {
		return p, err
	}
	if err := refuseLTI11(r.Form); err != nil {
		return p, err
	}
	for _, name := range loginNames {
		if !r.Form.Has(name) {
			continue
		}
		value, err := single(r.Form, name)
		if err != nil {
			return p, err
		}
		if len(value) > maxHint {
			return p, refuse(CodeTooLarge, fmt.Sprintf("%s of at most %d bytes", name, maxHint), "")
		}
		p.form.Set(name, value)
	}
	p.issuer, p.clientID, p.hint = p.form.Get("iss"), p.form.Get("client_id"), p.form.Get("login_hint")
	p.target, p.deployment = p.form.Get("target_link_uri"), p.form.Get("lti_deployment_id")
	if p.form.Has("lti_message_hint") {
		p.messageHint = new(p.form.Get("lti_message_hint"))
	}
	if target := p.form.Get("lti_storage_target"); storageTarget.MatchString(target) {
		p.storage = target
	}
	switch {
	case p.issuer == "":
		return p, refuse(CodeIssuerParameter, "iss", "")
	case p.hint == "":
		return p, refuse(CodeLoginHint, "login_hint", "")
	case len(p.deployment) > maxIDLength:
		return p, refuse(CodeDeploymentLength, "", "")
	}
	return p, nil
}

// readForm parses query and body within the size limit.
func readForm(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPost {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/x-www-form-urlencoded" {
			return refuse(CodeContentType, "application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxRequestBody)
	err := r.ParseForm()
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return refuse(CodeTooLarge, fmt.Sprintf("at most %d bytes", maxRequestBody), "")
	}
	if err != nil {
		return refuse(CodeForm, "", "").because(err)
	}
	return nil
}

// refuseLTI11 recognises the signed form of an LTI 1.1 launch.
func refuseLTI11(form url.Values) error {
	for _, name := range []string{"oauth_consumer_key", "oauth_signature", "lti_message_type"} {
		if form.Has(name) {
			return refuse(CodeLTI11, "an LTI 1.3 message", name)
		}
	}
	return nil
}

// single returns the one value of a parameter. The same value in query and body is one
// value; two different ones are an attempt to be read differently by two readers.
func single(form url.Values, name string) (string, error) {
	values := form[name]
	for _, v := range values {
		if v != values[0] {
			return "", refuse(CodeDuplicateParameter, "one "+name, "")
		}
	}
	return form.Get(name), nil
}

// findRegistration chooses the registration: by the key in the login address, by issuer
// and client id, or by the issuer alone when only one registration has it.
func (t *Tool) findRegistration(ctx context.Context, key string, p loginParameters, tr *Trace) (Registration, error) {
	if key != "" {
		return t.registrationOfKey(ctx, key, p, tr)
	}
	if !registrable(p.issuer, p.clientID) {
		return Registration{}, refuse(CodePlatformUnknown, "", p.issuer)
	}
	found, err := t.deps.Store.Registrations(ctx, p.issuer, p.clientID)
	if err != nil {
		return Registration{}, fmt.Errorf("find the registration: %w", err)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Registration{}, t.unknownPlatform(ctx, p, tr)
	}
	return Registration{}, refuse(CodePlatformAmbiguous, "a client_id", "")
}

// registrable reports whether this can be issuer and client id, or nothing, of a
// registration. What cannot is not looked for: the store would keep the answers to questions
// of any length that anybody makes up, and PostgreSQL fails at U+0000 and at bytes that are
// no UTF-8.
func registrable(issuer, clientID string) bool {
	return validateText("", issuer) == nil && (clientID == "" || validateText("", clientID) == nil) &&
		utf8.ValidString(issuer) && utf8.ValidString(clientID)
}

// registrationOfKey is for logins at the address of one registration. It must fit what the
// platform says of itself; a client id may be left out.
func (t *Tool) registrationOfKey(ctx context.Context, key string, p loginParameters, tr *Trace) (Registration, error) {
	if !loginPaths.MatchString("/lti/login/" + key) {
		return Registration{}, refuse(CodeLoginKey, "", "")
	}
	reg, err := t.deps.Store.RegistrationByKey(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return Registration{}, refuse(CodeLoginKey, "", "")
	}
	if err != nil {
		return Registration{}, fmt.Errorf("find the registration: %w", err)
	}
	if reg.Issuer == p.issuer && (p.clientID == "" || p.clientID == reg.ClientID) {
		return reg, nil
	}
	tr.of(reg)
	e := refuse(CodePlatformUnknown, "", p.issuer)
	e.Hint = differs(reg, p)
	return Registration{}, e
}

// unknownPlatform refuses. Which registrations there are is not told to the sender; when
// one is only a small mistake away, its administrators see this login with a hint.
func (t *Tool) unknownPlatform(ctx context.Context, p loginParameters, tr *Trace) error {
	e := refuse(CodePlatformUnknown, "", p.issuer)
	for _, issuer := range almost(p.issuer) {
		near, err := t.deps.Store.Registrations(ctx, issuer, "")
		if err != nil {
			return fmt.Errorf("find the registration: %w", err)
		}
		// Where one issuer serves many customers, a wrong client id may be anybody's.
		if len(near) == 1 && !near[0].Quirks().SharedIssuer {
			tr.of(near[0])
			e.Hint = differs(near[0], p)
			return e
		}
	}
	return e
}

// almost lists issuers that are one usual mistake away, the issuer itself first.
func almost(issuer string) []string {
	all := []string{issuer, otherSlash(issuer)}
	if lower := strings.ToLower(issuer); lower != issuer {
		all = append(all, lower, otherSlash(lower))
	}
	if rest, ok := strings.CutPrefix(issuer, "http://"); ok {
		all = append(all, "https://"+rest, otherSlash("https://"+rest))
	} else if rest, ok := strings.CutPrefix(issuer, "https://"); ok {
		all = append(all, "http://"+rest)
	}
	return all
}

// differs says in a sentence what is not as registered.
func differs(reg Registration, p loginParameters) string {
	switch {
	case reg.Issuer == p.issuer:
		return fmt.Sprintf("The platform says client id %q; registered is %q. Correct one of them.", show(p.clientID), reg.ClientID)
	case reg.Issuer == otherSlash(p.issuer):
		return fmt.Sprintf("The issuer differs from the registered one only by a slash at the end: the platform says %q. Register it exactly so.", show(p.issuer))
	case strings.EqualFold(reg.Issuer, p.issuer):
		return fmt.Sprintf("The issuer differs from the registered one only in capital letters: the platform says %q. Register it exactly so.", show(p.issuer))
	case withoutScheme(reg.Issuer) == withoutScheme(p.issuer):
		return fmt.Sprintf("The platform says %q, registered is %q: one has https and the other http. A proxy in front of the platform may be the cause; register the issuer exactly as it is sent.", show(p.issuer), reg.Issuer)
	}
	return fmt.Sprintf("The platform says issuer %q; registered is %q. Register it exactly as it is sent.", show(p.issuer), reg.Issuer)
}

func withoutScheme(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	return strings.TrimSuffix(rest, "/")
}

func otherSlash(issuer string) string {
	if without, had := strings.CutSuffix(issuer, "/"); had {
		return without
	}
	return issuer + "/"
}

// authRequest returns the address of the authentication request (Security Framework 1.0,
// section 5.1.1.2). A query of the authorization endpoint is kept as it is.
func (t *Tool) authRequest(reg Registration, p loginParameters, st loginState) (string, error) {
	u, err := url.Parse(reg.AuthURL)
	if err != nil {
		return "", fmt.Errorf("read the authorization URL of registration %s: %w", reg.ID, err)
	}
	q := url.Values{
		"scope":         {"openid"},
		"response_type": {"id_token"},
		"response_mode": {"form_post"},
		"prompt":        {"none"},
		"client_id":     {reg.ClientID},
		"redirect_uri":  {t.redirect},
		"login_hint":    {p.hint},
		"state":         {st.text},
		"nonce":         {t.secret.nonce(st)},
	}
	if p.messageHint != nil {
		q.Set("lti_message_hint", *p.messageHint)
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += q.Encode()
	return u.String(), nil
}
