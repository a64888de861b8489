package lti

import (
	"slices"
	"strings"
)

// wantedScopes are the services the tool uses where a platform has them. Moodle turns them
// into settings of the tool: lineitem becomes "grade sync and column management".
var wantedScopes = []string{
	ScopeLineItem,
	ScopeLineItemReadOnly,
	ScopeResultReadOnly,
	ScopeScore,
	ScopeMembersReadOnly,
	ScopeNoticeHandlers,
}

// wantedClaims are what the tool wants to know of a person; Moodle sends names only to
// tools that ask here.
var wantedClaims = []string{"iss", "sub", "name", "given_name", "family_name", "email", "locale"}

// wantedParameters are custom parameters and the variables they stand for, the better
// first. A variable that a platform does not know would come back unresolved. Histories
// tell which course and activity a copy was made from; of the dates Moodle gives those of
// the section as ISO 8601 and that of the context as a number.
var wantedParameters = []struct{ name, variable string }{
	{"context_history", "Context.id.history"},
	{"rl_history", "ResourceLink.id.history"},
	{"context_start", "CourseSection.timeFrame.begin"},
	{"context_start", "Context.timeFrame.begin"},
	{"context_end", "CourseSection.timeFrame.end"},
	{"context_end", "Context.timeFrame.end"},
}

// wantedPlacements are the places where teachers choose content; Canvas also writes them
// with its address in front.
var wantedPlacements = []string{"ContentArea", "assignment_selection", "link_selection"}

// Extensions of Canvas (its documentation of registration): without a privacy level it
// withholds names, whatever claims were asked for.
const (
	canvasPrivacyLevel = "https://canvas.instructure.com/lti/privacy_level"
	canvasToolID       = "https://canvas.instructure.com/lti/tool_id"
	toolID             = "sealsmith"
)

// request is the client metadata of the tool for this platform (RFC 7591, section 2, with
// the LTI part of Dynamic Registration 1.0, section 4). Only what the platform has on offer
// is asked for; a platform that lists no scopes is asked for none.
func (g *Registrar) request(c PlatformConfiguration, loginKey string) map[string]any {
	t := g.deps.Tool
	launch := g.origin + "/lti/launch"
	m := map[string]any{ //nolint:gosec // G101: private_key_jwt is the name of a method
		"application_type":           "web",
		"response_types":             []string{"id_token"},
		"grant_types":                []string{"implicit", "client_credentials"},
		"initiate_login_uri":         g.origin + "/lti/login/" + loginKey,
		"redirect_uris":              []string{launch},
		"jwks_uri":                   g.origin + "/lti/jwks",
		"client_uri":                 g.origin + "/",
		"token_endpoint_auth_method": "private_key_jwt",
		"scope":                      strings.Join(onOffer(wantedScopes, c.Scopes), " "),
	}
	inLanguages(m, "client_name", t.Name)
	for name, value := range map[string]string{"logo_uri": t.LogoURL, "policy_uri": t.PolicyURL, "tos_uri": t.TermsURL} {
		if value != "" {
			m[name] = value
		}
	}
	if len(t.Contacts) > 0 {
		m["contacts"] = t.Contacts
	}
	tool := map[string]any{
		"domain":            g.deps.PublicURL.Host,
		"description":       t.Description,
		"target_link_uri":   launch,
		"custom_parameters": parametersOf(c.Variables),
		"claims":            onOffer(wantedClaims, slices.Concat(c.Claims, []string{"iss", "sub"})),
		"messages":          g.messages(c),
	}
	if c.ProductFamily == "canvas" {
		tool[canvasPrivacyLevel], tool[canvasToolID] = "public", toolID
	}
	m[claimToolConfig] = tool
	return m
}

// messages are those the tool can receive and the platform can send. A resource link is
// always among them: it is what LTI begins with, and Moodle leaves it out of its list.
func (g *Registrar) messages(c PlatformConfiguration) []map[string]any {
	launch := g.origin + "/lti/launch"
	list := []map[string]any{{"type": MessageResourceLink, "target_link_uri": launch}}
	inLanguages(list[0], "label", g.deps.Tool.Name)
	if offer, ok := c.message(MessageDeepLinking); ok {
		m := map[string]any{
			"type": MessageDeepLinking, "target_link_uri": launch, "roles": []string{contextRole + "Instructor"},
		}
		inLanguages(m, "label", g.deps.Tool.AttachLabel)
		if g.deps.Tool.LogoURL != "" {
			m["icon_uri"] = g.deps.Tool.LogoURL
		}
		if places := placements(offer.Placements); len(places) > 0 {
			m["placements"] = places
		}
		list = append(list, m)
	}
	for _, kind := range []string{MessageSubmissionReview, MessageDataPrivacy} {
		if _, ok := c.message(kind); ok {
			list = append(list, map[string]any{"type": kind, "target_link_uri": launch})
		}
	}
	return list
}

// inLanguages sets a member and its variants, as in "client_name#nl" (OpenID Connect
// Registration 1.0, section 2.1).
func inLanguages(m map[string]any, member string, words map[string]string) {
	for language, text := range words {
		if language == "en" {
			m[member] = text
		} else {
			m[member+"#"+language] = text
		}
	}
}

func onOffer(wanted, offered []string) []string {
	list := []string{}
	for _, w := range wanted {
		if slices.Contains(offered, w) {
			list = append(list, w)
		}
	}
	return list
}

func parametersOf(variables []string) map[string]string {
	parameters := map[string]string{}
	for _, p := range wantedParameters {
		if _, has := parameters[p.name]; !has && slices.Contains(variables, p.variable) {
			parameters[p.name] = "$" + p.variable
		}
	}
	return parameters
}

func placements(offered []string) []string {
	var list []string
	for _, place := range offered {
		name := place[strings.LastIndexByte(place, '/')+1:]
		if slices.Contains(wantedPlacements, name) {
			list = append(list, place)
		}
	}
	return list
}
