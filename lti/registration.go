package lti

import (
	"fmt"
	"net"
	"net/url"
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
	TokenAudience  string // aud of service token requests; empty: TokenURL
	CreatedAt      time.Time
	Deployments    []string // ids, case-sensitive; filled where the registration is listed or shown
}

// Validate returns a sentence about the first field that cannot be used, or nil.
// Addresses must be https, except on this computer (localhost, 127.0.0.1, ::1).
func (r Registration) Validate() error {
	for _, f := range []struct{ label, value string }{
		{"the organisation", r.OrganisationID},
		{"the name", r.Name},
		{"the issuer", r.Issuer},
		{"the client id", r.ClientID},
	} {
		if err := validateText(f.label, f.value); err != nil {
			return err
		}
	}
	if u, err := url.Parse(r.Issuer); err == nil && (u.RawQuery != "" || u.Fragment != "") {
		return fmt.Errorf("the issuer %q must not have a query or a fragment", r.Issuer)
	}
	for _, f := range []struct{ label, value string }{
		{"the issuer", r.Issuer},
		{"the authorization URL", r.AuthURL},
		{"the token URL", r.TokenURL},
		{"the key set URL", r.JWKSURL},
	} {
		if err := validateURL(f.label, f.value); err != nil {
			return err
		}
	}
	for _, d := range r.Deployments {
		if err := validateText("the deployment id", d); err != nil {
			return err
		}
	}
	return nil
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
