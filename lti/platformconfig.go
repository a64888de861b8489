package lti

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/sealsmith/sealsmith/lti/fetch"
)

// PlatformConfiguration is what a platform says of itself for the registration of a tool
// (Dynamic Registration 1.0, section 3.5: OpenID Connect Discovery with an LTI part). All
// of it has been checked: addresses can be used, and the issuer may speak from where the
// document came.
type PlatformConfiguration struct {
	Issuer          string
	AuthURL         string
	TokenURL        string
	JWKSURL         string
	RegistrationURL string
	// TokenAudience is the aud for service tokens, where it is not the token URL.
	TokenAudience string
	Scopes        []string
	Claims        []string
	Variables     []string // without the dollar sign
	Messages      []OfferedMessage
	ProductFamily string // as the platform calls itself, cleaned; may be empty
	Version       string // of the product, cleaned; may be empty
}

// OfferedMessage is a kind of message that a platform can send, and where in its pages.
type OfferedMessage struct {
	Type       string
	Placements []string // empty: the platform names none
}

// message returns the offer of that type.
func (c PlatformConfiguration) message(kind string) (OfferedMessage, bool) {
	i := slices.IndexFunc(c.Messages, func(m OfferedMessage) bool { return m.Type == kind })
	if i < 0 {
		return OfferedMessage{}, false
	}
	return c.Messages[i], true
}

const (
	configurationMaxBytes = 512 << 10 // Canvas lists some 200 variables in 20 kB
	maxOffers             = 2000      // entries of a list that are looked at
	claimPlatformConfig   = "https://purl.imsglobal.org/spec/lti-platform-configuration"
	claimToolConfig       = "https://purl.imsglobal.org/spec/lti-tool-configuration"
)

// cloudConfigurations are the issuers that many customers share and the hosts besides
// their own from which their configuration may come. Every other issuer speaks from its own
// host only: else anybody could register in the name of a platform whose users are
// trusted here (Dynamic Registration 1.0, section 3.5.1). Hosts are named whole, because
// customers of a cloud have names below its domain.
//
// Canvas: documentation of its dynamic registration and of its endpoints, 2023 and later.
// Blackboard: the document quoted in Behind the Blackboard, article 000090618; the portal
// answers under both names since the rebranding. Brightspace and Schoology speak from the
// host of their issuer.
var cloudConfigurations = map[string][]string{
	"canvas.instructure.com":      {"sso.canvaslms.com"},
	"canvas.beta.instructure.com": {"sso.beta.canvaslms.com"},
	"canvas.test.instructure.com": {"sso.test.canvaslms.com"},
	"blackboard.com":              {"developer.blackboard.com", "developer.anthology.com"},
}

// isCloudHost reports whether the host belongs to a cloud whose configuration is known to
// ask for the registration token.
func isCloudHost(host string) bool {
	for issuer, hosts := range cloudConfigurations {
		if host == issuer || slices.Contains(hosts, host) {
			return true
		}
	}
	return false
}

// hostOf returns host and port of an address, lower case, without the usual port.
func hostOf(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if port := u.Port(); port != "" && (u.Scheme != "https" || port != "443") {
		return host + ":" + port
	}
	return host
}

// checkServiceURL returns the address if a server may be called there in a registration.
// Ports are 443 and, as universities use it, 8443; on this computer, which only the
// client of a development server calls, any. Other ports would make this tool a scanner
// of other people's networks.
func checkServiceURL(code, label, address string) (*url.URL, error) {
	if err := validateURL(label, address); err != nil {
		return nil, refuse(code, label, withoutQuery(address)).because(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, refuse(code, label, withoutQuery(address)).because(err)
	}
	if port := u.Port(); port != "" && port != "443" && port != "8443" && !isLoopbackHost(u.Hostname()) {
		return nil, refuse(code, label+" on port 443 or 8443", withoutQuery(address))
	}
	if numericHost(u.Hostname()) {
		return nil, refuse(CodeAddressBlocked, "", withoutQuery(address))
	}
	return u, nil
}

// numericHost recognises the ways of writing an IPv4 address that some resolvers know and
// netip does not, such as 2130706433 and 0x7f.1: a name whose last part is a number
// (WHATWG URL, "ends in a number").
func numericHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false // looked at when it is dialled
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := strings.ToLower(labels[len(labels)-1])
	hex, isHex := strings.CutPrefix(last, "0x")
	if isHex {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// withoutQuery is what may be shown and logged of an address: platforms put tokens into
// the query.
func withoutQuery(address string) string {
	before, _, _ := strings.Cut(address, "?")
	if _, host, ok := strings.Cut(before, "@"); ok {
		return "…@" + host
	}
	return before
}

// Fetch reads the configuration of a platform (Dynamic Registration 1.0, section 3.4) and
// checks it. A token goes along when there is one; to whom it may go is the caller's
// decision, see Registrar.Mount. Redirects are not followed. The error is a *CheckError, or
// wraps the cancellation of ctx.
func (g *Registrar) Fetch(ctx context.Context, address, token string) (PlatformConfiguration, error) {
	u, err := checkServiceURL(CodeConfigurationAddress, "openid_configuration", address)
	if err != nil {
		return PlatformConfiguration{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody) //nolint:gosec // G704: see below
	if err != nil {
		return PlatformConfiguration{}, refuse(CodeConfigurationAddress, "", withoutQuery(address)).because(err)
	}
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := g.client(Registration{}).Do(req) //nolint:gosec // G704: the platform names the address; the client refuses what is not public
	if err != nil {
		return PlatformConfiguration{}, unreachable(CodeConfigurationSilent, u, err)
	}
	defer res.Body.Close()
	body, err := fetch.Read(res.Body, configurationMaxBytes)
	switch {
	case errors.Is(err, fetch.ErrTooLarge):
		return PlatformConfiguration{}, refuse(CodeConfigurationTooLarge, "", u.Host).because(err)
	case err != nil:
		return PlatformConfiguration{}, unreachable(CodeConfigurationSilent, u, err)
	}
	if code := configurationStatus(res.StatusCode); code != "" {
		return PlatformConfiguration{}, refuse(code, "", cameBack(res, body, token))
	}
	document, err := parseObject(body)
	if err != nil {
		return PlatformConfiguration{}, refuse(CodeConfigurationForm, "JSON", cameBack(res, body, token)).because(err)
	}
	return readConfiguration(document, u)
}

func configurationStatus(status int) string {
	switch {
	case status == http.StatusOK:
		return ""
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return CodeConfigurationRefused
	case status >= 300 && status < 400:
		return CodeConfigurationRedirect
	}
	return CodeConfigurationForm
}

// readConfiguration checks a document that came from the address at.
func readConfiguration(document object, at *url.URL) (PlatformConfiguration, error) {
	var c PlatformConfiguration
	issuer, err := readIssuer(document, at)
	if err != nil {
		return c, err
	}
	c.Issuer = issuer
	for _, member := range []struct {
		name string
		into *string
	}{
		{"authorization_endpoint", &c.AuthURL},
		{"token_endpoint", &c.TokenURL},
		{"jwks_uri", &c.JWKSURL},
		{"registration_endpoint", &c.RegistrationURL},
	} {
		value, is := document.text(member.name)
		if is != present || value == "" {
			return c, refuse(CodeConfigurationMember, member.name, "")
		}
		if _, err := checkServiceURL(CodeConfigurationEndpoint, member.name, value); err != nil {
			return c, err
		}
		*member.into = value
	}
	if err := checkMethods(document); err != nil {
		return c, err
	}
	c.TokenAudience = tokenAudience(document, c.TokenURL)
	c.Scopes, c.Claims = document.offers("scopes_supported"), document.offers("claims_supported")
	return c, c.readLTI(document)
}

func readIssuer(document object, at *url.URL) (string, error) {
	issuer, is := document.text("issuer")
	if is != present || issuer == "" {
		return "", refuse(CodeConfigurationMember, "issuer", "")
	}
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#"):
		return "", refuse(CodeConfigurationIssuer, "", issuer)
	case validateURL("the issuer", issuer) != nil || validateText("the issuer", issuer) != nil:
		return "", refuse(CodeConfigurationIssuer, "", issuer)
	}
	own, from := hostOf(u), hostOf(at)
	if own != from && !slices.Contains(cloudConfigurations[own], from) {
		return "", refuse(CodeConfigurationForeign, from, own)
	}
	return issuer, nil
}

// checkMethods looks for what LTI requires of every platform. Of the lists that may be
// left out in discovery, one that is there has to name it.
func checkMethods(document object) error {
	algorithms := document.offers("id_token_signing_alg_values_supported")
	if !slices.Contains(algorithms, "RS256") {
		return refuse(CodeConfigurationAlgorithm, "RS256", strings.Join(algorithms, " "))
	}
	for _, must := range []struct{ list, value string }{
		{"response_types_supported", "id_token"},
		{"token_endpoint_auth_methods_supported", "private_key_jwt"},
		{"token_endpoint_auth_signing_alg_values_supported", "RS256"},
	} {
		offers := document.offers(must.list)
		if _, is := document.texts(must.list); is != absent && !slices.Contains(offers, must.value) {
			return refuse(CodeConfigurationAuth, must.list+": "+must.value, strings.Join(offers, " "))
		}
	}
	return nil
}

// tokenAudience returns authorization_server, which is the aud of service token requests
// (Dynamic Registration 1.0, section 3.5.2). Canvas puts the bare host of its token
// endpoint there but accepts the address of the endpoint only (security_controller.rb and
// client_credentials_provider.rb): such a value says nothing.
func tokenAudience(document object, tokenURL string) string {
	audience, _ := document.text("authorization_server")
	if u, err := url.Parse(tokenURL); err != nil || strings.EqualFold(audience, u.Host) || audience == tokenURL {
		return ""
	}
	if validateText("the audience", audience) != nil {
		return ""
	}
	return audience
}

func (c *PlatformConfiguration) readLTI(document object) error {
	platform, is := document.object(claimPlatformConfig)
	if is != present {
		return refuse(CodeConfigurationNotLTI, claimPlatformConfig, "")
	}
	c.ProductFamily, c.Version = platform.plain("product_family_code"), platform.plain("version")
	for _, variable := range platform.offers("variables") {
		c.Variables = append(c.Variables, strings.TrimPrefix(variable, "$"))
	}
	messages, ok := readMessages(platform)
	if !ok {
		return refuse(CodeConfigurationMember, "messages_supported", "")
	}
	c.Messages = messages
	return nil
}

// readMessages reads messages_supported: objects, or strings as older Moodle sends them,
// with the placements beside the list.
func readMessages(platform object) ([]OfferedMessage, bool) {
	raw, ok := platform.raw("messages_supported")
	var elements []json.RawMessage
	if !ok || raw[0] != '[' || json.Unmarshal(raw, &elements) != nil {
		return nil, false
	}
	beside := platform.offers("placements")
	var messages []OfferedMessage
	for _, e := range elements[:min(len(elements), maxOffers)] {
		var m OfferedMessage
		if inner, err := parseObject(e); err == nil {
			m.Type, _ = inner.text("type")
			m.Placements = inner.offers("placements")
		} else if json.Unmarshal(e, &m.Type) == nil && m.Type == MessageDeepLinking {
			m.Placements = beside
		}
		if m.Type != "" {
			messages = append(messages, m)
		}
	}
	return messages, true
}

// offers returns a list of strings without those that cannot be meant.
func (o object) offers(name string) []string {
	all, _ := o.texts(name)
	all = all[:min(len(all), maxOffers)]
	return slices.DeleteFunc(all, func(s string) bool { return validateText(name, s) != nil })
}
