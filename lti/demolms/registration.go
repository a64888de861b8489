package demolms

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	configurationPath = "/mod/lti/openid-configuration.php"
	registrationPath  = "/mod/lti/openid-registration.php"

	claimPlatformConfig = "https://purl.imsglobal.org/spec/lti-platform-configuration"
	claimToolConfig     = "https://purl.imsglobal.org/spec/lti-tool-configuration"
	scopeOutcome        = "https://purl.imsglobal.org/spec/lti-bo/scope/basicoutcome"

	// A registration token is for a new tool or for one that is there.
	purposeNew    = "reg"
	purposeUpdate = "reg-update"
	// registrationLife is how long a registration token is good.
	registrationLife = time.Hour
)

// RegistrationURL is the tool's registration address with everything Moodle
// appends to it: the address of the configuration and a token that registers
// one tool within the hour (Dynamic Registration 1.0 section 3.3).
func (l *LMS) RegistrationURL(toolURL string) (string, error) {
	clientID, err := l.random(8)
	if err != nil {
		return "", err
	}
	return l.registrationURL(toolURL, clientID, purposeNew)
}

// UpdateURL is the tool's registration address with a token that reads and
// replaces the registration of a tool that is there already. The client id and
// the deployment stay.
func (l *LMS) UpdateURL(toolURL, clientID string) (string, error) {
	l.mu.Lock()
	t, err := l.toolByClient(clientID)
	l.mu.Unlock()
	if err != nil {
		return "", err
	}
	return l.registrationURL(toolURL, t.DeploymentID, purposeUpdate)
}

func (l *LMS) registrationURL(toolURL, subject, purpose string) (string, error) {
	u, err := url.Parse(toolURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.ContainsAny(u.Host, " ;,'") {
		return "", fmt.Errorf("registration address %q is not an http address", toolURL)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.cfg.Now()
	signed, err := segments(map[string]any{"typ": "JWT", "alg": "RS256", "kid": keyID(&l.key.PublicKey)},
		map[string]any{"sub": subject, "scope": purpose, "iat": now.Unix(), "exp": now.Add(registrationLife).Unix()})
	if err != nil {
		return "", err
	}
	token, err := signRS256(signed, l.key)
	if err != nil {
		return "", err
	}
	q := u.Query()
	q.Set("openid_configuration", l.cfg.Issuer+configurationPath)
	q.Set("registration_token", token)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Activate lets teachers use a tool that registered itself; until then it is
// pending and not offered to them. As in Moodle, launches and services of a
// pending tool work all the same.
func (l *LMS) Activate(clientID string) error {
	l.mu.Lock()
	t, err := l.toolByClient(clientID)
	if err == nil && t.Pending {
		t.Pending = false
		l.keepRegistered(t)
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.Save()
}

// keepRegistered stores a tool that registered itself, also for the next
// start; the caller holds the lock.
func (l *LMS) keepRegistered(t Tool) {
	for _, list := range []*[]Tool{&l.tools, &l.data.Tools} {
		if i := slices.IndexFunc(*list, func(o Tool) bool { return o.ClientID == t.ClientID }); i >= 0 {
			(*list)[i] = t
			continue
		}
		*list = append(*list, t)
	}
	delete(l.toolKeys, t.ClientID)
}

// registration is what a tool sends and what it gets back (Dynamic
// Registration 1.0 section 3.5), as far as Moodle keeps it.
type registration struct {
	ClientID        string             `json:"client_id,omitempty"`
	ApplicationType string             `json:"application_type"`
	ResponseTypes   []string           `json:"response_types"`
	GrantTypes      []string           `json:"grant_types"`
	LoginURI        string             `json:"initiate_login_uri"`
	RedirectURIs    []string           `json:"redirect_uris"`
	ClientName      string             `json:"client_name"`
	JWKSURI         string             `json:"jwks_uri"`
	LogoURI         string             `json:"logo_uri,omitempty"`
	AuthMethod      string             `json:"token_endpoint_auth_method"`
	Scope           string             `json:"scope"`
	Tool            *toolConfiguration `json:"https://purl.imsglobal.org/spec/lti-tool-configuration"`
}

type toolConfiguration struct {
	Version       string            `json:"version,omitempty"`
	DeploymentID  string            `json:"deployment_id,omitempty"`
	TargetLinkURI string            `json:"target_link_uri"`
	Domain        string            `json:"domain"`
	Description   string            `json:"description"`
	Messages      []toolMessage     `json:"messages"`
	Custom        map[string]string `json:"custom_parameters"`
	Claims        []string          `json:"claims"`
}

type toolMessage struct {
	Type          string `json:"type"`
	TargetLinkURI string `json:"target_link_uri,omitempty"`
}

// fault names the first thing that keeps a registration out, in Moodle's
// words; empty when it is good.
func (r registration) fault() string {
	switch {
	case r.Tool == nil:
		return "missing_tool_configuration"
	case r.ApplicationType != "" && r.ApplicationType != "web":
		return "only_web_apps_supported"
	case !slices.Contains(r.ResponseTypes, "id_token"):
		return "invalid_response_types"
	case !slices.Contains(r.GrantTypes, "implicit") || !slices.Contains(r.GrantTypes, "client_credentials"):
		return "invalid_grant_types"
	case r.LoginURI == "":
		return "missing_initiate_login_uri"
	case len(r.RedirectURIs) == 0:
		return "missing_redirect_uris"
	case r.JWKSURI == "":
		return "missing_jwks_uri"
	case r.ClientName == "":
		return "missing_client_name"
	case r.AuthMethod != "private_key_jwt":
		return "invalid_token_endpoint_auth_method"
	case r.Tool.Domain == "":
		return "missing_domain"
	case !within(r.Tool.TargetLinkURI, r.Tool.Domain), !within(r.LoginURI, r.Tool.Domain):
		return "domain_targetlinkuri_mismatch"
	default:
		return ""
	}
}

// within tells whether an address is on a host.
func within(address, domain string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Host == domain || u.Hostname() == domain)
}

// apply makes the tool of a registration. The scopes become Moodle's three
// settings: full grade sync, reading and scoring, or nothing.
func (r registration) apply(t Tool) Tool {
	t.Name, t.LoginURL, t.LaunchURL, t.DeepLinkURL = r.ClientName, r.LoginURI, r.Tool.TargetLinkURI, r.Tool.TargetLinkURI
	t.RedirectURIs, t.JWKSURL, t.LogoURL = r.RedirectURIs, r.JWKSURI, r.LogoURI
	t.Domain, t.Description, t.Custom = r.Tool.Domain, r.Tool.Description, r.Tool.Custom
	for _, m := range r.Tool.Messages {
		if m.Type == messageDeepLink {
			t.DeepLinkURL = cmp.Or(m.TargetLinkURI, t.DeepLinkURL)
		}
	}
	asked := strings.Fields(r.Scope)
	t.Scopes = []string{}
	switch {
	case slices.Contains(asked, scopeLineItem):
		t.Scopes = append(t.Scopes, scopeScore, scopeResult, scopeLineItemRead, scopeLineItem)
	case len(gradeScopes(asked)) > 0:
		t.Scopes = append(t.Scopes, scopeScore, scopeResult, scopeLineItemRead)
	}
	for _, s := range []string{scopeMembers, scopeNotices} {
		if slices.Contains(asked, s) {
			t.Scopes = append(t.Scopes, s)
		}
	}
	t.HideNames = !slices.ContainsFunc(r.Tool.Claims, func(c string) bool {
		return c == "name" || c == "given_name" || c == "family_name"
	})
	return t
}

// echo is the registration as Moodle gives it back: without the resource link
// message, labels and contacts, and with custom values cut at their first
// equals sign although the whole value is kept.
func echo(t Tool) registration {
	claims := []string{"sub", "iss"}
	if !t.HideNames {
		claims = append(claims, "name", "family_name", "given_name", "email")
	}
	custom := map[string]string{}
	for name, value := range t.Custom {
		custom[name], _, _ = strings.Cut(value, "=")
	}
	messages := []toolMessage{}
	if t.DeepLinkURL != "" {
		messages = append(messages, toolMessage{Type: messageDeepLink, TargetLinkURI: t.DeepLinkURL})
	}
	return registration{
		ClientID: t.ClientID, ApplicationType: "web", ResponseTypes: []string{"id_token"},
		GrantTypes: []string{"client_credentials", "implicit"}, LoginURI: t.LoginURL, RedirectURIs: t.RedirectURIs,
		ClientName: t.Name, JWKSURI: t.JWKSURL, LogoURI: t.LogoURL, AuthMethod: "private_key_jwt", Scope: strings.Join(t.Scopes, " "),
		Tool: &toolConfiguration{
			Version: ltiVersion, DeploymentID: t.DeploymentID, TargetLinkURI: t.LaunchURL, Domain: t.Domain,
			Description: t.Description, Messages: messages, Custom: custom, Claims: claims,
		},
	}
}

// serveRegistration registers a tool (POST), replaces its registration (POST
// or PUT with a token for an update) or shows it (GET). Refusals are text in
// text/html, as Moodle's.
func (l *LMS) serveRegistration(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && l.refusedRegistration(w) {
		return
	}
	subject, purpose, err := l.registrationToken(r)
	if err != nil {
		writeBody(w, http.StatusUnauthorized, htmlType, err.Error())
		return
	}
	t, err := l.registrationOf(subject, purpose)
	if err != nil {
		writeBody(w, http.StatusUnauthorized, htmlType, err.Error())
		return
	}
	if r.Method != http.MethodGet {
		var in registration
		if err := json.NewDecoder(io.LimitReader(r.Body, maxServiceBody)).Decode(&in); err != nil {
			writeBody(w, http.StatusBadRequest, htmlType, "invalid_json")
			return
		}
		if fault := in.fault(); fault != "" {
			writeBody(w, http.StatusBadRequest, htmlType, fault)
			return
		}
		l.mu.Lock()
		t = in.apply(t)
		t.TokenAudience = l.audience
		t.DeploymentID = cmp.Or(t.DeploymentID, l.freeType(len(l.tools)+1))
		l.keepRegistered(t)
		l.mu.Unlock()
		l.saved(r.Context())
	} else if t.LoginURL == "" {
		writeBody(w, http.StatusNotFound, htmlType, "not_found")
		return
	}
	l.answerRegistration(w, r, echo(t))
}

func (l *LMS) answerRegistration(w http.ResponseWriter, r *http.Request, out registration) {
	// The tool is stored before a slow answer: who gives up waiting has been
	// registered nevertheless.
	if !l.wait(r.Context(), RegistrationReplySlow) {
		return
	}
	status := http.StatusOK
	if l.take(RegistrationReply201) {
		status = http.StatusCreated
	}
	if l.take(RegistrationReplyNoClient) {
		out.ClientID = ""
	}
	raw, err := json.Marshal(out)
	if err != nil {
		http.Error(w, "registration failed", http.StatusInternalServerError)
		return
	}
	writeBody(w, status, jsonType+"; charset=utf-8", string(raw))
}

var (
	errRegistrationToken = errors.New("invalid_registration_token")
	errTokenUsed         = errors.New("token_already_used")
)

// registrationToken checks the bearer token of a registration.
func (l *LMS) registrationToken(r *http.Request) (subject, purpose string, err error) {
	value, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found {
		return "", "", errRegistrationToken
	}
	tok, err := parseToken(value)
	if err != nil {
		return "", "", errRegistrationToken
	}
	l.mu.Lock()
	key := &l.key.PublicKey
	l.mu.Unlock()
	exp, ok := number(tok.claims, "exp")
	if tok.verify(keySet{keyID(key): key}) != nil || !ok || exp <= l.cfg.Now().Unix() {
		return "", "", errRegistrationToken
	}
	return text(tok.claims, "sub"), text(tok.claims, "scope"), nil
}

// registrationOf is the tool a token is about: a new one, pending, or the one
// to be updated. A token for a new tool is spent once that tool exists.
func (l *LMS) registrationOf(subject, purpose string) (Tool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch purpose {
	case purposeNew:
		if _, err := l.toolByClient(subject); err == nil {
			return Tool{}, errTokenUsed
		}
		return Tool{ClientID: subject, Pending: true}, nil
	case purposeUpdate:
		return l.toolByType(subject)
	default:
		return Tool{}, errRegistrationToken
	}
}

// freeType is the first unused deployment id from n on; the caller holds the
// lock.
func (l *LMS) freeType(n int) string {
	for ; ; n++ {
		id := strconv.Itoa(n)
		taken := func(t Tool) bool { return t.DeploymentID == id }
		if !slices.ContainsFunc(l.tools, taken) && !slices.ContainsFunc(l.data.Tools, taken) {
			return id
		}
	}
}
