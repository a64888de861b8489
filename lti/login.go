package lti

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	stateLifetime  = 10 * time.Minute // single sign-on takes detours
	maxRequestBody = 256 << 10
	maxHint        = 8 << 10
)

// login answers the platform's login initiation (Security Framework 1.0, section 5.1.1.1),
// by GET or POST, with a redirect to its authorization endpoint. The redirect is a GET,
// because a POST from our site would leave the platform's own SameSite=Lax cookies behind.
func (t *Tool) login(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		t.deps.Problem(w, r, refuse(CodeMethod, "GET or POST", r.Method))
		return
	}
	location, err := t.beginLogin(w, r)
	if err != nil {
		t.deps.Problem(w, r, err)
		return
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusFound)
}

// beginLogin stores a login state, sets its cookie and returns where to go.
func (t *Tool) beginLogin(w http.ResponseWriter, r *http.Request) (string, error) {
	p, err := readLogin(w, r)
	if err != nil {
		return "", err
	}
	reg, err := t.findRegistration(r.Context(), p.issuer, p.clientID)
	if err != nil {
		return "", err
	}
	var secrets [3]string
	for i := range secrets {
		if secrets[i], err = randomText(t.deps.Rand, secretBytes); err != nil {
			return "", fmt.Errorf("make a login state: %w", err)
		}
	}
	state, nonce, browser := secrets[0], secrets[1], secrets[2]
	location, err := authRequest(reg, p, t.redirect, state, nonce)
	if err != nil {
		return "", err
	}
	now := t.deps.Now().UTC()
	err = t.deps.Store.CreateState(r.Context(), LoginState{
		StateHash:      digest(state),
		NonceHash:      digest(nonce),
		BrowserHash:    digest(browser),
		Registration:   reg,
		TargetLinkURI:  show(p.target),
		DeploymentHint: p.deployment,
		CreatedAt:      now,
		ExpiresAt:      now.Add(stateLifetime),
	})
	if err != nil {
		return "", fmt.Errorf("store the login state: %w", err)
	}
	t.cookies.set(w, t.cookies.stateName(state), browser, stateLifetime)
	return location, nil
}

type loginParameters struct {
	issuer, clientID, hint, target, deployment string
	messageHint                                *string // echoed only if it was there
}

func readLogin(w http.ResponseWriter, r *http.Request) (loginParameters, error) {
	var p loginParameters
	if err := readForm(w, r); err != nil {
		return p, err
	}
	if err := refuseLTI11(r.Form); err != nil {
		return p, err
	}
	for _, f := range []struct {
		name string
		into *string
	}{
		{"iss", &p.issuer},
		{"client_id", &p.clientID},
		{"login_hint", &p.hint},
		{"target_link_uri", &p.target},
		{"lti_deployment_id", &p.deployment},
	} {
		value, err := single(r.Form, f.name)
		if err != nil {
			return p, err
		}
		*f.into = value
	}
	if r.Form.Has("lti_message_hint") {
		value, err := single(r.Form, "lti_message_hint")
		if err != nil {
			return p, err
		}
		p.messageHint = &value
	}
	switch {
	case p.issuer == "":
		return p, refuse(CodeIssuerParameter, "iss", "")
	case p.hint == "":
		return p, refuse(CodeLoginHint, "login_hint", "")
	case len(p.hint) > maxHint || p.messageHint != nil && len(*p.messageHint) > maxHint:
		return p, refuse(CodeTooLarge, fmt.Sprintf("a hint of at most %d bytes", maxHint), "")
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

// findRegistration chooses the registration: by issuer and client id, or by the issuer
// alone when only one registration has it.
func (t *Tool) findRegistration(ctx context.Context, issuer, clientID string) (Registration, error) {
	found, err := t.deps.Store.Registrations(ctx, issuer, clientID)
	if err != nil {
		return Registration{}, fmt.Errorf("find the registration: %w", err)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
	default:
		return Registration{}, refuse(CodePlatformAmbiguous, "a client_id", "")
	}
	other := otherSlash(issuer)
	almost, err := t.deps.Store.Registrations(ctx, other, clientID)
	if err != nil {
		return Registration{}, fmt.Errorf("find the registration: %w", err)
	}
	if len(almost) > 0 {
		return Registration{}, refuse(CodePlatformSlash, other, issuer)
	}
	return Registration{}, refuse(CodePlatformUnknown, "", issuer)
}

func otherSlash(issuer string) string {
	if without, had := strings.CutSuffix(issuer, "/"); had {
		return without
	}
	return issuer + "/"
}

// authRequest returns the address of the authentication request (Security Framework 1.0,
// section 5.1.1.2). A query of the authorization endpoint is kept as it is.
func authRequest(reg Registration, p loginParameters, redirect, state, nonce string) (string, error) {
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
		"redirect_uri":  {redirect},
		"login_hint":    {p.hint},
		"state":         {state},
		"nonce":         {nonce},
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
