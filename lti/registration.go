package lti

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Registration is one connection to a platform. Its key is the pair of Issuer and
// ClientID: one issuer may serve many customers, each with a client id of its own.
type Registration struct {
	ID             string
	OrganisationID string
	Name           string // for people: "Moodle of the faculty of arts"
	Issuer         string // exact, as the platform writes it: a trailing slash counts
	ClientID       string
	AuthURL        string // OpenID Connect authorization endpoint
	TokenURL       string // OAuth 2.0 token endpoint
	JWKSURL        string // public keys of the platform
	TokenAudience  string // aud of service token requests; empty: TokenURL, or what Quirks says
	Status         Status // empty: StatusActive
	LoginKey       string // a name besides ID in the login address /lti/login/{key}; may be empty
	ProductFamily  string // "moodle", "canvas"; as the platform calls itself, may be empty
	Settings       Settings
	CreatedAt      time.Time
	Deployments    []string // approved ids, case-sensitive; filled where the registration is listed or shown
	Pending        []string // ids that were seen and wait for an administrator; filled likewise
}

// Status says whether a registration may be used.
type Status string

// The states of a registration. A pending one was made by dynamic registration and waits
// until an administrator confirms it; a paused one was active.
const (
	StatusPending Status = "pending"
	StatusActive  Status = "active"
	StatusPaused  Status = "paused"
)

// Settings are the exceptions of one registration. The zero value makes none.
type Settings struct {
	// Algorithms are the JWS algorithms id_tokens may be signed with, of those that
	// Security Framework 1.1 approves; empty: RS256 only.
	Algorithms []string `json:"algorithms,omitempty"`
	// ClockSkew is the difference of the clocks in seconds that is tolerated, at most 180;
	// 0: 60.
	ClockSkew int `json:"clock_skew_s,omitempty"`
	// TrustedAudiences may stand in aud beside our client id.
	TrustedAudiences []string `json:"trusted_audiences,omitempty"`
	// TrustedAZP may stand in azp instead of our client id (Blackboard has sent such).
	TrustedAZP []string `json:"trusted_azp,omitempty"`
	// Hosts are further host names of the platform: of its services, and of the pages it
	// has us return to. An entry that begins with a dot stands for all hosts below it.
	Hosts []string `json:"hosts,omitempty"`
	// PrivateHosts are host names that may have an address in a private network: an LMS
	// on the premises. Only an operator sets them, because they open that network.
	PrivateHosts []string `json:"private_hosts,omitempty"`
	// Deployments says what happens to a deployment id that is seen for the first time.
	Deployments DeploymentPolicy `json:"deployments,omitempty"`
}

// DeploymentPolicy says what happens to a deployment that is seen for the first time.
type DeploymentPolicy string

// The policies. Empty is automatic where the issuer serves one customer only, and asks
// where anybody can be a customer of the same issuer (Quirks.SharedIssuer).
const (
	DeploymentsAsk  DeploymentPolicy = "ask"
	DeploymentsAuto DeploymentPolicy = "auto"
)

// approvesDeployments reports whether a new deployment needs nobody's word.
func (r Registration) approvesDeployments() bool {
	switch r.Settings.Deployments {
	case DeploymentsAuto:
		return true
	case DeploymentsAsk:
		return false
	}
	return !r.Quirks().SharedIssuer
}

// Hosts are the further host names of the platform, of its settings and of its product's
// cloud; one that begins with a dot stands for all hosts below it.
func (r Registration) Hosts() []string { return slices.Concat(r.Settings.Hosts, r.Quirks().Hosts) }

// ownsHost reports whether host belongs to the platform: to one of the registered
// addresses, to also (an address in a signed message), to the settings, or to the cloud of
// its product family.
func (r Registration) ownsHost(host string, also ...string) bool {
	host = strings.ToLower(host)
	for _, address := range append([]string{r.Issuer, r.AuthURL, r.TokenURL, r.JWKSURL}, also...) {
		if u, err := url.Parse(address); err == nil && u.Hostname() != "" && strings.EqualFold(u.Hostname(), host) {
			return true
		}
	}
	for _, known := range r.Hosts() {
		known = strings.ToLower(known)
		if host == known || strings.HasPrefix(known, ".") && strings.HasSuffix(host, known) {
			return true
		}
	}
	return false
}

// Validate returns a sentence about the first field that cannot be used, or nil.
// Addresses must be https, except on this computer (localhost, 127.0.0.1, ::1).
func (r Registration) Validate() error {
	if problems := r.Problems(); len(problems) > 0 {
		return errors.New(problems[0].Sentence)
	}
	return nil
}

// Problem is what is wrong with one field of a registration.
type Problem struct {
	Field    string // organisation, name, issuer, client_id, auth_url, token_url, jwks_url, deployment or settings
	Sentence string // begins in lower case and has no full stop
}

// Problems returns what Validate finds, for each field that cannot be used its first.
func (r Registration) Problems() []Problem {
	var found []Problem
	note := func(field string, err error) {
		if err != nil && !slices.ContainsFunc(found, func(p Problem) bool { return p.Field == field }) {
			found = append(found, Problem{field, err.Error()})
		}
	}
	note("organisation", validateText("the organisation", r.OrganisationID))
	note("name", validateText("the name", r.Name))
	note("issuer", validateIssuer(r.Issuer))
	note("client_id", validateText("the client id", r.ClientID))
	note("auth_url", validateURL("the authorization URL", r.AuthURL))
	note("token_url", validateURL("the token URL", r.TokenURL))
	note("jwks_url", validateURL("the key set URL", r.JWKSURL))
	for _, d := range r.Deployments {
		note("deployment", validateText("the deployment id", d))
	}
	note("settings", r.Settings.validate())
	return found
}

func validateIssuer(issuer string) error {
	if err := validateText("the issuer", issuer); err != nil {
		return err
	}
	if u, err := url.Parse(issuer); err == nil && (u.RawQuery != "" || u.Fragment != "") {
		return fmt.Errorf("the issuer %q must not have a query or a fragment", issuer)
	}
	return validateURL("the issuer", issuer)
}

// algorithms are those approved by Security Framework 1.1.
var algorithms = []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"}

const maxSkew = 180 // seconds

var hostName = regexp.MustCompile(`^\.?([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

func (s Settings) validate() error {
	for _, a := range s.Algorithms {
		if !slices.Contains(algorithms, a) {
			return fmt.Errorf("the algorithm %q is not one of %s", a, strings.Join(algorithms, ", "))
		}
	}
	if s.ClockSkew < 0 || s.ClockSkew > maxSkew {
		return fmt.Errorf("the clock difference must be 0 to %d seconds, not %d", maxSkew, s.ClockSkew)
	}
	for _, h := range slices.Concat(s.Hosts, s.PrivateHosts) {
		if !hostName.MatchString(h) {
			return fmt.Errorf("%q is not a host name", h)
		}
	}
	for _, h := range s.PrivateHosts {
		if strings.HasPrefix(h, ".") {
			return fmt.Errorf("a host in a private network is named whole, not %q", h)
		}
	}
	for _, v := range slices.Concat(s.TrustedAudiences, s.TrustedAZP) {
		if err := validateText("the trusted audience", v); err != nil {
			return err
		}
	}
	switch s.Deployments {
	case "", DeploymentsAsk, DeploymentsAuto:
		return nil
	}
	return fmt.Errorf("the policy for deployments is ask or auto, not %q", s.Deployments)
}

func validateText(label, value string) error {
	switch {
	case value == "":
		return fmt.Errorf("%s is missing", label)
	case len(value) > maxIDLength:
		return fmt.Errorf("%s is longer than %d characters", label, maxIDLength)
	case strings.ContainsFunc(value, isControl):
		return fmt.Errorf("%s contains a control character", label)
	case strings.TrimSpace(value) != value:
		return fmt.Errorf("%s begins or ends with a space: %q", label, value)
	}
	return nil
}

func validateURL(label, value string) error {
	if value == "" {
		return fmt.Errorf("%s is missing", label)
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return fmt.Errorf("%s %q is not a web address", label, value)
	case u.User != nil:
		return fmt.Errorf("%s must not contain a user name or password", label)
	case u.Fragment != "":
		return fmt.Errorf("%s %q must not have a fragment", label, value)
	case !secureOrLoopback(u):
		return fmt.Errorf("%s %q must begin with https:// (http:// is possible on this computer only)", label, value)
	}
	return nil
}

// secureOrLoopback reports whether u is https, or http to this computer, which browsers
// treat as trustworthy and development needs.
func secureOrLoopback(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && isLoopbackHost(u.Hostname())
}

func isLoopbackHost(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
