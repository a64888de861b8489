package lti

import (
	"net/url"
	"strings"
)

// PlatformAddresses returns what of a registration follows from the product, as far as it
// does: issuer, addresses and token audience. Of r it reads the product family, the issuer
// and the client id; all may be empty, and then only what every installation has in common
// is filled in. It is a proposal for a form: what the platform shows counts.
//
// Sources, besides those of the manual instructions: mod/lti of Moodle 4.5; lti_admin_tool
// of Sakai 23 (the token address has the number of the tool in it); the table of tenants of
// Sakai Plus for Brightspace and Blackboard; xblock-lti-consumer (keys and tokens have the
// number of the block in them).
func PlatformAddresses(r Registration) Registration {
	family := Registration{ProductFamily: r.ProductFamily}.Quirks().Family
	out := Registration{ProductFamily: family, Issuer: r.Issuer}
	base := ""
	if u, err := url.Parse(r.Issuer); err == nil && u.Host != "" && secureOrLoopback(u) && u.RawQuery == "" && u.Fragment == "" {
		base = strings.TrimSuffix(r.Issuer, "/")
	}
	switch family {
	case "moodle":
		out.addresses(base, "/mod/lti/auth.php", "/mod/lti/token.php", "/mod/lti/certs.php")
	case "canvas":
		out.canvas()
	case "desire2learn":
		out.addresses(base, "/d2l/lti/authenticate", "", "/d2l/.well-known/jwks")
		out.TokenURL, out.TokenAudience = "https://auth.brightspace.com/core/connect/token", "https://api.brightspace.com/auth/token"
	case "blackboardlearn":
		const portal = "https://developer.blackboard.com/api/v1"
		out.Issuer, out.AuthURL, out.TokenURL = "https://blackboard.com", portal+"/gateway/oidcauth", portal+"/gateway/oauth2/jwttoken"
		if r.ClientID != "" {
			out.JWKSURL = portal + "/management/applications/" + url.PathEscape(r.ClientID) + "/jwks.json"
		}
	case "sakai":
		out.addresses(base, "/imsoidc/lti13/oidc_auth", "", "/imsblis/lti13/keyset")
	case "open-edx":
		out.addresses(base, "/api/lti_consumer/v1/launch/", "", "")
	}
	return out
}

// addresses are those below the issuer; an empty path: not known.
func (r *Registration) addresses(base, auth, token, keys string) {
	if base == "" {
		return
	}
	for _, a := range []struct {
		path string
		into *string
	}{{auth, &r.AuthURL}, {token, &r.TokenURL}, {keys, &r.JWKSURL}} {
		if a.path != "" {
			*a.into = base + a.path
		}
	}
}

// canvas is Instructure's cloud, which has a stage for tests and one for the next release.
func (r *Registration) canvas() {
	stage := ""
	switch strings.TrimSuffix(r.Issuer, "/") {
	case "https://canvas.beta.instructure.com":
		stage = "beta."
	case "https://canvas.test.instructure.com":
		stage = "test."
	case "", "https://canvas.instructure.com":
		r.Issuer = "https://canvas.instructure.com"
	default: // an installation of one's own serves its addresses itself
		base := strings.TrimSuffix(r.Issuer, "/")
		r.addresses(base, "/api/lti/authorize_redirect", "/login/oauth2/token", "/api/lti/security/jwks")
		return
	}
	r.addresses("https://sso."+stage+"canvaslms.com", "/api/lti/authorize_redirect", "/login/oauth2/token", "/api/lti/security/jwks")
}
