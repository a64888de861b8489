package lti_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

func TestPlatformAddresses(t *testing.T) {
	t.Parallel()
	type given struct{ family, issuer, client string }
	for _, tt := range []struct {
		given
		want lti.Registration
	}{
		{given{}, lti.Registration{}},
		{given{"unheard-of", "https://lms.example", "c"}, lti.Registration{ProductFamily: "unheard-of", Issuer: "https://lms.example"}},
		{given{"moodle", "", ""}, lti.Registration{ProductFamily: "moodle"}},
		{given{"moodle", "https://lms.example/moodle", ""}, lti.Registration{
			ProductFamily: "moodle", Issuer: "https://lms.example/moodle", AuthURL: "https://lms.example/moodle/mod/lti/auth.php",
			TokenURL: "https://lms.example/moodle/mod/lti/token.php", JWKSURL: "https://lms.example/moodle/mod/lti/certs.php",
		}},
		{given{"moodle", "javascript:alert(1)", ""}, lti.Registration{ProductFamily: "moodle", Issuer: "javascript:alert(1)"}},
		{given{"canvas", "", "1"}, lti.Registration{
			ProductFamily: "canvas", Issuer: "https://canvas.instructure.com", AuthURL: "https://sso.canvaslms.com/api/lti/authorize_redirect",
			TokenURL: "https://sso.canvaslms.com/login/oauth2/token", JWKSURL: "https://sso.canvaslms.com/api/lti/security/jwks",
		}},
		{given{"canvas", "https://canvas.beta.instructure.com", "1"}, lti.Registration{
			ProductFamily: "canvas", Issuer: "https://canvas.beta.instructure.com", AuthURL: "https://sso.beta.canvaslms.com/api/lti/authorize_redirect",
			TokenURL: "https://sso.beta.canvaslms.com/login/oauth2/token", JWKSURL: "https://sso.beta.canvaslms.com/api/lti/security/jwks",
		}},
		{given{"canvas", "https://canvas.example", "1"}, lti.Registration{
			ProductFamily: "canvas", Issuer: "https://canvas.example", AuthURL: "https://canvas.example/api/lti/authorize_redirect",
			TokenURL: "https://canvas.example/login/oauth2/token", JWKSURL: "https://canvas.example/api/lti/security/jwks",
		}},
		{given{"brightspace", "https://x.brightspace.com", "1"}, lti.Registration{
			ProductFamily: "desire2learn", Issuer: "https://x.brightspace.com", AuthURL: "https://x.brightspace.com/d2l/lti/authenticate",
			TokenURL: "https://auth.brightspace.com/core/connect/token", JWKSURL: "https://x.brightspace.com/d2l/.well-known/jwks",
			TokenAudience: "https://api.brightspace.com/auth/token",
		}},
		{given{"blackboardlearn", "", "a/b"}, lti.Registration{
			ProductFamily: "blackboardlearn", Issuer: "https://blackboard.com", AuthURL: "https://developer.blackboard.com/api/v1/gateway/oidcauth",
			TokenURL: "https://developer.blackboard.com/api/v1/gateway/oauth2/jwttoken",
			JWKSURL:  "https://developer.blackboard.com/api/v1/management/applications/a%2Fb/jwks.json",
		}},
		{given{"sakai", "https://sakai.example/", "1"}, lti.Registration{
			ProductFamily: "sakai", Issuer: "https://sakai.example/", AuthURL: "https://sakai.example/imsoidc/lti13/oidc_auth", JWKSURL: "https://sakai.example/imsblis/lti13/keyset",
		}},
		{given{"open-edx", "https://lms.example", "1"}, lti.Registration{
			ProductFamily: "open-edx", Issuer: "https://lms.example", AuthURL: "https://lms.example/api/lti_consumer/v1/launch/",
		}},
		{given{"ilias", "https://ilias.example", "1"}, lti.Registration{ProductFamily: "ilias", Issuer: "https://ilias.example"}},
	} {
		got := lti.PlatformAddresses(lti.Registration{ProductFamily: tt.family, Issuer: tt.issuer, ClientID: tt.client})
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.given, diff)
		}
	}
}

// TestRegistrationProblems: a form shows each problem at its field.
func TestRegistrationProblems(t *testing.T) {
	t.Parallel()
	r := lti.Registration{OrganisationID: "org", Name: "LMS", Issuer: "https://a.example?b", AuthURL: "javascript:alert(1)", TokenURL: "https://a.example/t"}
	want := []lti.Problem{
		{Field: "issuer", Sentence: `the issuer "https://a.example?b" must not have a query or a fragment`},
		{Field: "client_id", Sentence: "the client id is missing"},
		{Field: "auth_url", Sentence: `the authorization URL "javascript:alert(1)" is not a web address`},
		{Field: "jwks_url", Sentence: "the key set URL is missing"},
	}
	if diff := cmp.Diff(want, r.Problems()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if err := r.Validate(); err == nil || err.Error() != want[0].Sentence {
		t.Errorf("Validate: %v", err)
	}
}
