package demolms

import "strings"

// Knobs of the login initiation.
const (
	LoginNoIssuer      Knob = "login-no-iss"
	LoginWrongIssuer   Knob = "login-wrong-iss"
	LoginNoClientID    Knob = "login-no-client-id"
	LoginNoHint        Knob = "login-no-hint"
	LoginForeignTarget Knob = "login-foreign-target"
	LoginWrongDeploy   Knob = "login-wrong-deployment"
	LoginLTI11         Knob = "login-lti11"
	LoginNoMessageHint Knob = "login-no-message-hint"
	LaunchLinkHistory  Knob = "launch-link-history"
)

// Values that knobs put in place of good ones.
const (
	foreignHost        = "https://elsewhere.example"
	foreignAddress     = foreignHost + "/launch"
	strangerAudience   = "a-tool-that-is-not-you"
	wrongDeployment    = "no-such-deployment"
	unknownMessageType = "LtiSomethingElseRequest"
	// longCustom is the length of a custom value no column should be cut for.
	longCustom = 4096
	// elevenMinutes in seconds is past every reasonable tolerance of clocks.
	elevenMinutes int64 = 11 * 60
)

func loginKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: LoginNoIssuer, Area: AreaLogin, Default: On, Cases: "L1", Effect: "The login initiation leaves out iss."},
		{Knob: LoginWrongIssuer, Area: AreaLogin, Default: On, Cases: "L9", Effect: "The login initiation names the issuer with a slash at the end, which is another issuer."},
		{Knob: LoginNoClientID, Area: AreaLogin, Default: On, Cases: "L8", Effect: "The login initiation leaves out client_id, which is optional and must not break a launch while the issuer has one registration."},
		{Knob: LoginNoHint, Area: AreaLogin, Default: On, Cases: "L2", Effect: "The login initiation leaves out login_hint."},
		{Knob: LoginNoMessageHint, Area: AreaLogin, Default: On, Cases: "L14", Effect: "The login initiation leaves out lti_message_hint, so the platform cannot tell what is launched and shows its own error page."},
		{Knob: LoginForeignTarget, Area: AreaLogin, Default: On, Cases: "L11 M24", Effect: "The login initiation names a target_link_uri on another host; the signed one in the id_token stays right."},
		{Knob: LoginWrongDeploy, Area: AreaLogin, Default: On, Cases: "L20", Effect: "The login initiation names another lti_deployment_id than the id_token."},
		{Knob: LaunchLinkHistory, Area: AreaLogin, Default: On, Cases: "M47", Effect: "Custom parameters get ResourceLink.id.history filled in, which Moodle does not know and others do."},
		{Knob: LoginLTI11, Area: AreaLogin, Default: On, Cases: "L22", Effect: "An LTI 1.1 launch is posted to the login address instead of a login initiation."},
	}
}

// Knobs of the JOSE header and the signature of an id_token.
//
//nolint:gosec // G101: names of knobs, not credentials
const (
	TokenNoKid      Knob = "token-no-kid"
	TokenWrongKid   Knob = "token-wrong-kid"
	TokenAlgNone    Knob = "token-alg-none"
	TokenHS256      Knob = "token-hs256-public-key"
	TokenOtherKey   Knob = "token-other-key"
	TokenTampered   Knob = "token-tampered"
	TokenCrit       Knob = "token-crit"
	TokenType       Knob = "token-typ"
	TokenJSON       Knob = "token-json-serialization"
	TokenWhitespace Knob = "token-whitespace"
)

func signatureKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: TokenNoKid, Area: AreaIDToken, Default: On, Cases: "J1", Effect: "The id_token has no kid in its header.", alter: func(d *draft) { delete(d.header, "kid") }},
		{Knob: TokenWrongKid, Area: AreaIDToken, Default: On, Cases: "J2", Effect: "The id_token names a kid that is not in the key set.", alter: func(d *draft) { d.header["kid"] = "no-such-key" }},
		{Knob: TokenAlgNone, Area: AreaIDToken, Default: On, Cases: "J4", Effect: "The id_token has algorithm none and no signature.", alter: unsigned},
		{Knob: TokenHS256, Area: AreaIDToken, Default: On, Cases: "J6", Effect: "The id_token is signed by HS256 with the public key as secret.", alter: publicKeyAsSecret},
		{Knob: TokenOtherKey, Area: AreaIDToken, Default: On, Cases: "J22", Effect: "The id_token carries the right kid and is signed by another key.", alter: func(d *draft) { d.key, d.err = d.lms.unpublishedKey() }},
		{Knob: TokenTampered, Area: AreaIDToken, Default: On, Cases: "J22", Effect: "Roles and sub of the id_token were changed after signing.", alter: tampered},
		{Knob: TokenCrit, Area: AreaIDToken, Default: On, Cases: "J20", Effect: "The header of the id_token lists a critical extension nobody knows.", alter: func(d *draft) {
			d.header["crit"] = []string{"urn:example:must-understand"}
			d.header["urn:example:must-understand"] = true
		}},
		{Knob: TokenType, Area: AreaIDToken, Default: On, Cases: "J21", Effect: "The header of the id_token says typ at+jwt, which is an access token.", alter: func(d *draft) { d.header["typ"] = "at+jwt" }},
		{Knob: TokenJSON, Area: AreaIDToken, Default: On, Cases: "J24", Effect: "The id_token comes in the JSON serialisation instead of the compact one.", alter: asJSON},
		{Knob: TokenWhitespace, Area: AreaIDToken, Default: On, Cases: "J25", Effect: "The id_token begins with a blank and ends with a line break.", alter: func(d *draft) {
			d.wrap = func(c string) (string, error) { return " " + c + "\n", nil }
		}},
	}
}

// Knobs of the OpenID Connect claims of an id_token.
//
//nolint:gosec // G101: names of knobs, not credentials
const (
	TokenWrongIss    Knob = "token-wrong-iss"
	TokenWrongAud    Knob = "token-wrong-aud"
	TokenAudStranger Knob = "token-aud-stranger"
	TokenAudEmpty    Knob = "token-aud-empty"
	TokenWrongAzp    Knob = "token-wrong-azp"
	TokenExpired     Knob = "token-expired"
	TokenIatFuture   Knob = "token-iat-future"
	TokenIatOld      Knob = "token-iat-old"
	TokenNoExp       Knob = "token-no-exp"
	TokenNoIat       Knob = "token-no-iat"
	TokenFarExp      Knob = "token-far-exp"
	TokenNoNonce     Knob = "token-no-nonce"
	TokenWrongNonce  Knob = "token-wrong-nonce"
	TokenNoSub       Knob = "token-no-sub"
	TokenNoNames     Knob = "token-no-names"
)

func claimKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: TokenWrongIss, Area: AreaIDToken, Default: On, Cases: "C1", Effect: "The id_token names another issuer.", alter: with("iss", "https://another-lms.example")},
		{Knob: TokenWrongAud, Area: AreaIDToken, Default: On, Cases: "C2", Effect: "The id_token is meant for another client.", alter: with("aud", strangerAudience)},
		{Knob: TokenAudStranger, Area: AreaIDToken, Default: On, Cases: "C4", Effect: "The id_token is meant for the tool and a stranger, and there is no azp.", alter: func(d *draft) { d.claims["aud"] = []any{d.claims["aud"], strangerAudience} }},
		{Knob: TokenAudEmpty, Area: AreaIDToken, Default: On, Cases: "C3", Effect: "The audience of the id_token is an empty list.", alter: with("aud", []string{})},
		{Knob: TokenWrongAzp, Area: AreaIDToken, Default: On, Cases: "C6", Effect: "The audience is right and azp names another client.", alter: with("azp", strangerAudience)},
		{Knob: TokenExpired, Area: AreaIDToken, Default: On, Cases: "C8", Effect: "The id_token expired ten minutes ago.", alter: shifted(-elevenMinutes, "iat", "exp")},
		{Knob: TokenIatFuture, Area: AreaIDToken, Default: On, Cases: "C15", Effect: "The id_token was issued eleven minutes in the future.", alter: shifted(elevenMinutes, "iat", "exp")},
		{Knob: TokenIatOld, Area: AreaIDToken, Default: On, Cases: "C16", Effect: "The id_token was issued a day ago and has not expired.", alter: shifted(-24*3600, "iat")},
		{Knob: TokenNoExp, Area: AreaIDToken, Default: On, Cases: "C10", Effect: "The id_token has no exp.", alter: without("exp")},
		{Knob: TokenNoIat, Area: AreaIDToken, Default: On, Cases: "C13", Effect: "The id_token has no iat.", alter: without("iat")},
		{Knob: TokenFarExp, Area: AreaIDToken, Default: On, Cases: "C12", Effect: "The id_token is good for a hundred years.", alter: shifted(100*365*24*3600, "exp")},
		{Knob: TokenNoNonce, Area: AreaIDToken, Default: On, Cases: "C19", Effect: "The id_token has no nonce.", alter: without("nonce")},
		{Knob: TokenWrongNonce, Area: AreaIDToken, Default: On, Cases: "C20 C21", Effect: "The id_token carries a nonce the tool never made.", alter: with("nonce", "never-issued")},
		{Knob: TokenNoSub, Area: AreaIDToken, Default: On, Cases: "C24", Effect: "The id_token has no sub (an anonymous launch).", alter: without("sub")},
		{Knob: TokenNoNames, Area: AreaIDToken, Default: On, Cases: "M27", Effect: "The id_token has no name and no mail address, which is legal.", alter: func(d *draft) {
			for _, c := range []string{"name", "given_name", "family_name", "email"} {
				delete(d.claims, c)
			}
		}},
	}
}

// Knobs of the LTI claims of an id_token.
//
//nolint:gosec // G101: names of knobs, not credentials
const (
	TokenWrongDeployment    Knob = "token-wrong-deployment"
	TokenNoDeployment       Knob = "token-no-deployment"
	TokenWrongVersion       Knob = "token-wrong-version"
	TokenNoVersion          Knob = "token-no-version"
	TokenNoMessageType      Knob = "token-no-message-type"
	TokenUnknownMessageType Knob = "token-unknown-message-type"
	TokenNoRoles            Knob = "token-no-roles"
	TokenEmptyRoles         Knob = "token-empty-roles"
	TokenUnknownRole        Knob = "token-unknown-role"
	TokenTestUser           Knob = "token-test-user"
	TokenNoResourceLink     Knob = "token-no-resource-link"
	TokenNoContext          Knob = "token-no-context"
	TokenNoLTI              Knob = "token-no-lti-claims"
	TokenNoGrades           Knob = "token-no-grade-service"
	TokenForeignLineItem    Knob = "token-foreign-line-item"
	TokenCustomList         Knob = "token-custom-list"
	TokenCustomLong         Knob = "token-custom-long"
	TokenBadReturn          Knob = "token-bad-return-url"
)

func ltiClaimKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: TokenWrongDeployment, Area: AreaIDToken, Default: On, Cases: "M8 M9", Effect: "The id_token names a deployment the tool does not know.", alter: with(claimDeployment, wrongDeployment)},
		{Knob: TokenNoDeployment, Area: AreaIDToken, Default: On, Cases: "M7", Effect: "The id_token has no deployment_id.", alter: without(claimDeployment)},
		{Knob: TokenWrongVersion, Area: AreaIDToken, Default: On, Cases: "M3", Effect: "The id_token says LTI version 11.3.", alter: with(claimVersion, "11.3")},
		{Knob: TokenNoVersion, Area: AreaIDToken, Default: On, Cases: "M2", Effect: "The id_token says no LTI version.", alter: without(claimVersion)},
		{Knob: TokenNoMessageType, Area: AreaIDToken, Default: On, Cases: "M4", Effect: "The id_token has no message_type.", alter: without(claimMessageType)},
		{Knob: TokenUnknownMessageType, Area: AreaIDToken, Default: On, Cases: "M5", Effect: "The id_token is of a message type nobody knows.", alter: with(claimMessageType, unknownMessageType)},
		{Knob: TokenNoRoles, Area: AreaIDToken, Default: On, Cases: "M13", Effect: "The id_token has no roles claim.", alter: without(claimRoles)},
		{Knob: TokenEmptyRoles, Area: AreaIDToken, Default: On, Cases: "M14", Effect: "The list of roles is empty, which is legal.", alter: with(claimRoles, []string{})},
		{Knob: TokenUnknownRole, Area: AreaIDToken, Default: On, Cases: "M15", Effect: "The only role is one nobody knows, which is legal.", alter: with(claimRoles, []string{"https://roles.example/vocab#Visitor"})},
		{Knob: TokenTestUser, Area: AreaIDToken, Default: On, Cases: "M21", Effect: "The person is marked as a test user (a teacher looking at the learner's view).", alter: func(d *draft) {
			roles, _ := d.claims[claimRoles].([]string)
			d.claims[claimRoles] = append(roles, roleTestUser)
		}},
		{Knob: TokenNoResourceLink, Area: AreaIDToken, Default: On, Cases: "M11", Effect: "A resource link launch comes without resource_link.", alter: without(claimResourceLink)},
		{Knob: TokenNoContext, Area: AreaIDToken, Default: On, Cases: "M26", Effect: "The launch comes without context, which is legal.", alter: without(claimContext)},
		{Knob: TokenNoLTI, Area: AreaIDToken, Default: On, Cases: "M1", Effect: "The id_token is good OpenID Connect with no LTI claim at all.", alter: func(d *draft) {
			for c := range d.claims {
				if strings.HasPrefix(c, "https://") {
					delete(d.claims, c)
				}
			}
		}},
		{Knob: TokenNoGrades, Area: AreaIDToken, Default: On, Cases: "M40", Effect: "The launch offers no grade service.", alter: without(claimAGS)},
		{Knob: TokenForeignLineItem, Area: AreaIDToken, Default: On, Cases: "M41", Effect: "The addresses of the grade service are on another host, where a bearer token must not go.", alter: foreignServices},
		{Knob: TokenCustomList, Area: AreaIDToken, Default: On, Cases: "C32", Effect: "The custom claim is an empty list, as PHP writes an empty map.", alter: with(claimCustom, []string{})},
		{Knob: TokenCustomLong, Area: AreaIDToken, Default: On, Effect: "The custom claim holds a value of four thousand characters.", alter: func(d *draft) {
			d.claims[claimCustom] = map[string]string{"long": strings.Repeat("x", longCustom)}
		}},
		{Knob: TokenBadReturn, Area: AreaIDToken, Default: On, Cases: "M37", Effect: "The return address of the launch is a javascript: address.", alter: with(claimPresentation, map[string]any{"locale": "en", "document_target": "iframe", "return_url": "javascript:alert(1)"})},
	}
}

func foreignServices(d *draft) {
	ags, ok := d.claims[claimAGS].(map[string]any)
	if !ok {
		return
	}
	for _, k := range []string{"lineitems", "lineitem"} {
		if s, ok := ags[k].(string); ok {
			if _, path, found := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(s, "http://"), "https://"), "/"); found {
				ags[k] = foreignHost + "/" + path
			}
		}
	}
}
