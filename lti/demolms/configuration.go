package demolms

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// configuration describes the platform (Dynamic Registration 1.0 section 3.4)
// in Moodle's manner. Its messages are plain strings, as older Moodles send
// them and tools have to understand; the specification, Canvas and a recorded
// Moodle 4.5.6 have objects, for which there is a knob.
func (l *LMS) configuration() map[string]any {
	base := l.cfg.Issuer
	return map[string]any{
		"issuer": base, "token_endpoint": base + tokenPath, "jwks_uri": base + jwksPath,
		"authorization_endpoint": base + authPath, "registration_endpoint": base + registrationPath,
		"token_endpoint_auth_methods_supported":            []string{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                                 append([]string{scopeOutcome, scopeNotices, "openid"}, allScopes()...),
		"response_types_supported":                         []string{"id_token"},
		"subject_types_supported":                          []string{"public", "pairwise"},
		"id_token_signing_alg_values_supported":            []string{"RS256"},
		"claims_supported":                                 []string{"sub", "iss", "name", "given_name", "family_name", "email"},
		claimPlatformConfig: map[string]any{
			"product_family_code": "moodle", "version": "4.5.6 (Build: 20250811)",
			"messages_supported": []string{messageLaunch, messageDeepLink},
			"placements":         []string{"ContentArea"},
			"variables":          slices.Sorted(maps.Keys(variables(situation{}))),
		},
	}
}

// serveConfiguration answers the configuration with the knobs applied. It
// needs no token, unless a knob wants one.
func (l *LMS) serveConfiguration(w http.ResponseWriter, r *http.Request) {
	if !l.wait(r.Context(), RegistrationConfigSlow) {
		return
	}
	padding := ""
	switch {
	case l.take(RegistrationConfigHTML):
		writeBody(w, http.StatusOK, htmlType, maintenancePage)
		return
	case l.take(RegistrationConfigBearer):
		if _, _, err := l.registrationToken(r); err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeBody(w, http.StatusUnauthorized, jsonType, `{"error":"unauthorized"}`)
			return
		}
	case l.take(RegistrationConfigHuge):
		padding = strings.Repeat(" ", hugeAnswer)
	}
	c := l.configuration()
	for _, i := range registrationKnobs() {
		if i.change != nil && l.take(i.Knob) {
			i.change(c)
		}
	}
	// Who registers next was told this audience.
	l.mu.Lock()
	l.audience, _ = c["authorization_server"].(string)
	l.mu.Unlock()
	raw, err := json.Marshal(c)
	if err != nil {
		http.Error(w, "no configuration", http.StatusInternalServerError)
		return
	}
	writeBody(w, http.StatusOK, jsonType+"; charset=utf-8", string(raw)+padding)
}

// refusedRegistration applies the knobs that keep a registration out.
func (l *LMS) refusedRegistration(w http.ResponseWriter) bool {
	switch {
	case l.take(RegistrationReply400):
		writeBody(w, http.StatusBadRequest, jsonType, `{"error":"invalid_client_metadata","error_description":"The name <b>must</b> be <script>alert(1)</script> & \"short\""}`)
	case l.take(RegistrationReplyUsed):
		writeBody(w, http.StatusUnauthorized, htmlType, errTokenUsed.Error())
	default:
		return false
	}
	return true
}

// Knobs of dynamic registration.
const (
	RegistrationMessageObjects Knob = "registration-message-objects"
	RegistrationNoPlatform     Knob = "registration-no-platform-block"
	RegistrationNoRegistration Knob = "registration-no-registration-endpoint"
	RegistrationNoJWKS         Knob = "registration-no-jwks-uri"
	RegistrationNoToken        Knob = "registration-no-token-endpoint"
	RegistrationNoAuth         Knob = "registration-no-authorization-endpoint"
	RegistrationForeignIssuer  Knob = "registration-foreign-issuer"
	RegistrationIssuerQuery    Knob = "registration-issuer-query"
	RegistrationNoRS256        Knob = "registration-no-rs256"
	RegistrationForeignJWKS    Knob = "registration-foreign-jwks"
	RegistrationMarkup         Knob = "registration-markup"
	RegistrationAuthQuery      Knob = "registration-authorization-query"
	RegistrationAuthServer     Knob = "registration-authorization-server"
	RegistrationConfigHTML     Knob = "registration-configuration-html"
	RegistrationConfigHuge     Knob = "registration-configuration-huge"
	RegistrationConfigSlow     Knob = "registration-configuration-slow"
	RegistrationConfigBearer   Knob = "registration-configuration-bearer"
	RegistrationReply400       Knob = "registration-reply-400"
	RegistrationReplyUsed      Knob = "registration-reply-token-used"
	RegistrationReplyNoClient  Knob = "registration-reply-no-client-id"
	RegistrationReplySlow      Knob = "registration-reply-slow"
	RegistrationReply201       Knob = "registration-reply-201"
)

func registrationKnobs() []KnobInfo {
	drop := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	platform := func(name string, value any) func(map[string]any) {
		return func(c map[string]any) {
			if p, ok := c[claimPlatformConfig].(map[string]any); ok {
				p[name] = value
			}
		}
	}
	messages := []map[string]any{{"type": messageLaunch}, {"type": messageDeepLink, "placements": []string{"ContentArea"}}}
	return []KnobInfo{
		{Knob: RegistrationMessageObjects, Area: AreaRegistration, Default: On, Effect: "The configuration lists the supported messages as objects with placements instead of strings, which is legal (Canvas, Moodle 4.5).", change: platform("messages_supported", messages)},
		{Knob: RegistrationNoPlatform, Area: AreaRegistration, Default: On, Cases: "R15", Effect: "The configuration has no LTI platform block.", change: drop(claimPlatformConfig)},
		{Knob: RegistrationNoRegistration, Area: AreaRegistration, Default: On, Cases: "R12", Effect: "The configuration has no registration_endpoint.", change: drop("registration_endpoint")},
		{Knob: RegistrationNoJWKS, Area: AreaRegistration, Default: On, Cases: "R12", Effect: "The configuration has no jwks_uri.", change: drop("jwks_uri")},
		{Knob: RegistrationNoToken, Area: AreaRegistration, Default: On, Cases: "R12", Effect: "The configuration has no token_endpoint.", change: drop("token_endpoint")},
		{Knob: RegistrationNoAuth, Area: AreaRegistration, Default: On, Cases: "R12", Effect: "The configuration has no authorization_endpoint.", change: drop("authorization_endpoint")},
		{Knob: RegistrationForeignIssuer, Area: AreaRegistration, Default: On, Cases: "R10", Effect: "The configuration names an issuer on another host than its own.", change: set("issuer", foreignHost)},
		{Knob: RegistrationIssuerQuery, Area: AreaRegistration, Default: On, Cases: "R11", Effect: "The issuer of the configuration has a query.", change: func(c map[string]any) {
			if s, ok := c["issuer"].(string); ok {
				c["issuer"] = s + "?tenant=1"
			}
		}},
		{Knob: RegistrationNoRS256, Area: AreaRegistration, Default: On, Cases: "R16", Effect: "The configuration offers ES512 only, for id_tokens and for client assertions.", change: func(c map[string]any) {
			c["id_token_signing_alg_values_supported"] = []string{"ES512"}
			c["token_endpoint_auth_signing_alg_values_supported"] = []string{"ES512"}
		}},
		{Knob: RegistrationForeignJWKS, Area: AreaRegistration, Default: On, Cases: "R13", Effect: "The configuration names a key set on another host.", change: set("jwks_uri", foreignHost+"/keys")},
		{Knob: RegistrationMarkup, Area: AreaRegistration, Default: On, Cases: "R24", Effect: "The product family of the configuration contains markup.", change: platform("product_family_code", `moodle<script>alert("x")</script>`)},
		{Knob: RegistrationAuthQuery, Area: AreaRegistration, Default: On, Cases: "L17", Effect: "The authorization_endpoint of the configuration has a query of its own, which is legal.", change: func(c map[string]any) {
			if s, ok := c["authorization_endpoint"].(string); ok {
				c["authorization_endpoint"] = s + "?tenant=1"
			}
		}},
		{Knob: RegistrationAuthServer, Area: AreaRegistration, Default: On, Effect: "The configuration names an authorization_server, which is then the audience of client assertions.", change: set("authorization_server", authorizationServer)},
		{Knob: RegistrationConfigHTML, Area: AreaRegistration, Default: On, Cases: "R9", Effect: "The configuration answers 200 with an HTML page."},
		{Knob: RegistrationConfigHuge, Area: AreaRegistration, Default: On, Cases: "R9", Effect: "The configuration is followed by ten megabytes of blanks."},
		{Knob: RegistrationConfigSlow, Area: AreaRegistration, Default: On, Slow: true, Cases: "R9", Effect: "The configuration answers after 30 seconds, or after the duration given."},
		{Knob: RegistrationConfigBearer, Area: AreaRegistration, Default: On, Cases: "R27", Effect: "The configuration answers 401 unless the registration token comes as a bearer token (Canvas)."},
		{Knob: RegistrationReply400, Area: AreaRegistration, Default: On, Cases: "R18", Effect: "The registration is refused by 400 invalid_client_metadata with markup in the description."},
		{Knob: RegistrationReplyUsed, Area: AreaRegistration, Default: On, Cases: "R17", Effect: "The registration is refused by 401 token_already_used, as text (Moodle)."},
		{Knob: RegistrationReplyNoClient, Area: AreaRegistration, Default: On, Cases: "R19", Effect: "The registration succeeds and its answer has no client_id."},
		{Knob: RegistrationReplySlow, Area: AreaRegistration, Default: On, Slow: true, Cases: "R20", Effect: "The registration succeeds at once and answers after 30 seconds, or after the duration given."},
		{Knob: RegistrationReply201, Area: AreaRegistration, Default: On, Effect: "The registration answers 201 instead of Moodle's 200, which is legal."},
	}
}

// authorizationServer is the audience named by RegistrationAuthServer.
const authorizationServer = "https://auth.elsewhere.example/tokens"
