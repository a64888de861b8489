package lti_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

func configurationCases() []registrationCase {
	refusing := func(change map[string]any, code, named string) func(*registrarRig) {
		return func(r *registrarRig) {
			r.platform.with(change)
			r.register("")
			got := r.refused(code, http.StatusBadRequest)
			if !strings.Contains(got.Expected+got.Received, named) {
				r.t.Errorf("%q is not named: %v", named, got)
			}
			if _, posts, _ := r.calls(); posts != 0 {
				r.t.Error("the tool registered all the same")
			}
			r.untouched()
		}
	}
	cases := []registrationCase{
		{"R10 issuer on another host", "", refusing(map[string]any{"issuer": "https://canvas.instructure.com"}, lti.CodeConfigurationForeign, "canvas.instructure.com")},
		{"R10 issuer on another port", "", refusing(map[string]any{"issuer": "http://127.0.0.1:1"}, lti.CodeConfigurationForeign, "127.0.0.1:1")},
		{"R10 a cloud speaks for itself only", "", func(r *registrarRig) {
			r.client = &http.Client{Transport: anywhere{must(url.Parse(r.platform.URL))}}
			for _, from := range []string{"https://evil.instructure.com", "https://sso.canvaslms.com.evil.example", "https://developer.blackboard.com", "https://sso.beta.canvaslms.com"} {
				document := r.platform.document(from)
				document["issuer"] = "https://canvas.instructure.com"
				r.platform.configuration.body = document
				r.register(from + "/config")
				r.refused(lti.CodeConfigurationForeign, http.StatusBadRequest)
			}
		}},
		{"R11 issuer with a query", "", refusing(map[string]any{"issuer": "https://lms.example.edu?x=1"}, lti.CodeConfigurationIssuer, "?x=1")},
		{"R11 issuer with an empty query", "", refusing(map[string]any{"issuer": "https://lms.example.edu?"}, lti.CodeConfigurationIssuer, "lms")},
		{"R11 issuer with a fragment", "", refusing(map[string]any{"issuer": "https://lms.example.edu/#"}, lti.CodeConfigurationIssuer, "#")},
		{"R11 issuer over http", "", refusing(map[string]any{"issuer": "http://lms.example.edu"}, lti.CodeConfigurationIssuer, "http://lms")},
		{"R11 issuer that is no text", "", refusing(map[string]any{"issuer": 7}, lti.CodeConfigurationMember, "issuer")},
		{"R13 addresses on foreign hosts are shown", "", func(r *registrarRig) {
			r.platform.with(map[string]any{"jwks_uri": "https://keys.example/jwks", "token_endpoint": "https://10.0.0.1/token"})
			r.register("")
			if got := r.registered().Registration.ForeignHosts(); !slices.Equal(got, []string{"10.0.0.1", "keys.example"}) {
				r.t.Errorf("foreign hosts %v", got)
			}
		}},
		{"R13 addresses in private networks", "each later call goes through the same guarded client: lti/fetch, TestBlockedAddresses", nil},
		{"R14 messages as strings", "", func(r *registrarRig) {
			r.platform.with(map[string]any{platformPart: map[string]any{
				"messages_supported": []any{"LtiResourceLinkRequest", "LtiDeepLinkingRequest"}, "placements": []string{"ContentArea", "Elsewhere"},
			}})
			r.register("")
			r.registered()
			messages := messagesOf(r)
			if len(messages) != 2 || messages[1]["type"] != lti.MessageDeepLinking || !cmp.Equal(messages[1]["placements"], []any{"ContentArea"}) {
				r.t.Errorf("messages %v", messages)
			}
		}},
		{"R15 no part of LTI", "", refusing(map[string]any{platformPart: nil}, lti.CodeConfigurationNotLTI, platformPart)},
		{"R15 the part of LTI is a list", "", refusing(map[string]any{platformPart: []any{}}, lti.CodeConfigurationNotLTI, platformPart)},
		{"R12 no list of messages", "", refusing(map[string]any{platformPart: map[string]any{}}, lti.CodeConfigurationMember, "messages_supported")},
		{"R16 no RS256", "", refusing(map[string]any{"id_token_signing_alg_values_supported": []string{"HS256"}}, lti.CodeConfigurationAlgorithm, "RS256")},
		{"R16 no algorithms", "", refusing(map[string]any{"id_token_signing_alg_values_supported": nil}, lti.CodeConfigurationAlgorithm, "RS256")},
		{"R16 no private_key_jwt", "", refusing(map[string]any{"token_endpoint_auth_methods_supported": []string{"client_secret_post"}}, lti.CodeConfigurationAuth, "private_key_jwt")},
		{"R16 no id_token", "", refusing(map[string]any{"response_types_supported": []string{"code"}}, lti.CodeConfigurationAuth, "id_token")},
		{"R16 lists that discovery may leave out", "", func(r *registrarRig) {
			r.platform.with(map[string]any{"response_types_supported": nil, "token_endpoint_auth_methods_supported": nil, "scopes_supported": nil, "claims_supported": nil})
			r.register("")
			r.registered()
			if body := r.sent(); body["scope"] != "" {
				r.t.Errorf("asked for %v, which nobody offered", body["scope"])
			}
		}},
		{"R24 markup in names", "", func(r *registrarRig) {
			part := r.platform.document(r.platform.URL)[platformPart].(map[string]any)
			part["product_family_code"] = "<b>Moodle</b>\u202e<script>alert(1)</script>"
			r.platform.with(map[string]any{platformPart: part})
			r.register("")
			if got := r.registered().Registration; strings.ContainsAny(got.ProductFamily+got.Name, "<>\u202e") {
				r.t.Errorf("registered %+v", got)
			}
		}},
		{"R25 javascript as an address", "", refusing(map[string]any{"authorization_endpoint": "javascript:alert(1)"}, lti.CodeConfigurationEndpoint, "authorization_endpoint")},
		{"R25 the same by hand", "Registration.Validate, which every way into the database asks: ltistore, TestAddAgain, and TestOperator of the commands", nil},
		{"R26 by hand, a page instead of a key set", "nothing is registered differently by it; the pages of connections test a platform on request, and a launch says keys-unavailable", nil},
	}
	for _, member := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "registration_endpoint", "issuer"} {
		cases = append(cases, registrationCase{"R12 without " + member, "", refusing(map[string]any{member: nil}, lti.CodeConfigurationMember, member)})
		if member != "issuer" {
			cases = append(cases, registrationCase{"R12 bad " + member, "", refusing(map[string]any{member: "http://lms.example.edu/x"}, lti.CodeConfigurationEndpoint, member)})
		}
	}
	return cases
}

func messagesOf(r *registrarRig) []map[string]any {
	r.t.Helper()
	list, ok := r.sent()[toolPart].(map[string]any)["messages"].([]any)
	if !ok {
		r.t.Fatalf("no messages: %v", r.sent())
	}
	var messages []map[string]any
	for _, m := range list {
		messages = append(messages, m.(map[string]any))
	}
	return messages
}

// TestRegistrationRequest: the whole of what is sent to a platform that offers some of it.
func TestRegistrationRequest(t *testing.T) {
	t.Parallel()
	r := newRegistrarRig(t)
	r.register("")
	reg := r.registered().Registration
	if len(reg.LoginKey) != 22 {
		t.Errorf("login key %q", reg.LoginKey)
	}
	want := map[string]any{
		"application_type": "web", "response_types": []any{"id_token"}, "grant_types": []any{"implicit", "client_credentials"},
		"initiate_login_uri": toolURL + "/lti/login/" + reg.LoginKey, "redirect_uris": []any{toolURL + "/lti/launch"}, "jwks_uri": toolURL + "/lti/jwks",
		"client_name": "Seals", "client_name#nl": "Zegels", "client_uri": toolURL + "/", "logo_uri": toolURL + "/logo.svg", "policy_uri": toolURL + "/policy",
		"contacts": []any{"ops@example.edu"}, "token_endpoint_auth_method": "private_key_jwt", "scope": lti.ScopeLineItem + " " + lti.ScopeResultReadOnly,
		toolPart: map[string]any{
			"domain": "tool.example.edu", "description": "Seals things.", "target_link_uri": toolURL + "/lti/launch",
			"custom_parameters": map[string]any{"context_history": "$Context.id.history", "context_start": "$CourseSection.timeFrame.begin"},
			"claims":            []any{"iss", "sub", "name", "email"},
			"messages": []any{
				map[string]any{"type": lti.MessageResourceLink, "target_link_uri": toolURL + "/lti/launch", "label": "Seals", "label#nl": "Zegels"},
				map[string]any{
					"type": lti.MessageDeepLinking, "target_link_uri": toolURL + "/lti/launch", "label": "Seal", "label#fi": "Sinetti", "icon_uri": toolURL + "/logo.svg",
					"placements": []any{"ContentArea"}, "roles": []any{"http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"},
				},
			},
		},
	}
	if diff := cmp.Diff(want, r.sent()); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	_, _, withToken := r.calls()
	if call := r.platform.posts[0]; withToken != 1 || call.Header.Get("Content-Type") != "application/json" || call.Header.Get("Authorization") != "Bearer "+regToken {
		t.Errorf("headers %v", call.Header)
	}
	if len(r.page.After) == 0 || !strings.Contains(r.page.After[0], "Activate") {
		t.Errorf("next steps in Moodle: %v", r.page.After)
	}
	if found, err := r.store.RegistrationByKey(t.Context(), reg.LoginKey); err != nil || found.ID != reg.ID {
		t.Errorf("found by its login key: %v, %v", found.ID, err)
	}
}

// TestRegistrationMessages: what is offered, and nothing else, is asked for.
func TestRegistrationMessages(t *testing.T) {
	t.Parallel()
	r := newRegistrarRig(t)
	r.platform.with(map[string]any{
		"authorization_server": "https://api.example/auth/token",
		platformPart: map[string]any{
			"product_family_code": "Canvas", "variables": []string{"$ResourceLink.id.history", "Context.timeFrame.end"},
			"messages_supported": []any{
				map[string]any{"type": lti.MessageSubmissionReview},
				map[string]any{"type": lti.MessageDataPrivacy},
				map[string]any{"type": "LtiStartProctoring"},
				7, nil,
				map[string]any{"type": lti.MessageDeepLinking, "placements": []string{"https://canvas.instructure.com/lti/assignment_selection", "editor_button"}},
			},
		},
	})
	r.open(r.ticket, url.Values{"openid_configuration": {r.platform.URL + "/config"}}) // no token
	reg := r.registered().Registration
	if reg.TokenAudience != "https://api.example/auth/token" {
		t.Errorf("audience %q", reg.TokenAudience)
	}
	if reg.Quirks().Family != "canvas" {
		t.Errorf("product %q", reg.ProductFamily)
	}
	if auth := r.platform.posts[0].Header.Get("Authorization"); auth != "" {
		t.Errorf("Authorization %q without a token", auth)
	}
	var kinds []any
	for _, m := range messagesOf(r) {
		kinds = append(kinds, m["type"])
	}
	if diff := cmp.Diff([]any{lti.MessageResourceLink, lti.MessageDeepLinking, lti.MessageSubmissionReview, lti.MessageDataPrivacy}, kinds); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got := messagesOf(r)[1]["placements"]; !cmp.Equal(got, []any{"https://canvas.instructure.com/lti/assignment_selection"}) {
		t.Errorf("placements %v", got)
	}
	tool := r.sent()[toolPart].(map[string]any)
	if diff := cmp.Diff(map[string]any{"rl_history": "$ResourceLink.id.history", "context_end": "$Context.timeFrame.end"}, tool["custom_parameters"]); diff != "" {
		t.Errorf("custom parameters (-want +got):\n%s", diff)
	}
}
