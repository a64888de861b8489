package demolms

import "strings"

// Knobs of the deep linking request.
const (
	DeepLinkNoReturn      Knob = "deeplink-no-return-url"
	DeepLinkForeignReturn Knob = "deeplink-foreign-return-url"
	DeepLinkNoSettings    Knob = "deeplink-no-settings"
	DeepLinkOtherType     Knob = "deeplink-other-type"
	DeepLinkSingle        Knob = "deeplink-single"
	DeepLinkNoLineItem    Knob = "deeplink-no-line-item"
	DeepLinkData          Knob = "deeplink-data"
	DeepLinkLearner       Knob = "deeplink-learner"
	DeepLinkScriptReturn  Knob = "deeplink-script-return-url"
	DeepLinkAsset         Knob = "deeplink-asset-processor"
	DeepLinkUnknownTypes  Knob = "deeplink-unknown-types"
	DeepLinkMultipleText  Knob = "deeplink-multiple-text"
	DeepLinkLongData      Knob = "deeplink-long-data"
	DeepLinkRefused       Knob = "deeplink-answer-refused"
)

// dlReturnURL is the name of the return address in the settings.
const dlReturnURL = "deep_link_return_url"

// deepLinkData is what the tool must give back unchanged.
const deepLinkData = `opaque "data" ü <b>&amp;</b> {"csrf":1}`

func deepLinkKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: DeepLinkNoReturn, Area: AreaDeepLink, Default: On, Cases: "D2", Effect: "The deep linking settings have no return address.", alter: onSettings(func(s map[string]any) { delete(s, dlReturnURL) })},
		{Knob: DeepLinkForeignReturn, Area: AreaDeepLink, Default: On, Cases: "D3", Effect: "The deep linking return address is on another host.", alter: onSettings(func(s map[string]any) { s[dlReturnURL] = foreignAddress })},
		{Knob: DeepLinkNoSettings, Area: AreaDeepLink, Default: On, Cases: "D1", Effect: "The deep linking request has no settings.", alter: without(claimDLSettings)},
		{Knob: DeepLinkOtherType, Area: AreaDeepLink, Default: On, Cases: "D4", Effect: "The place accepts files and links, no resource links.", alter: onSettings(func(s map[string]any) { s["accept_types"] = []string{"file", "link"} })},
		{Knob: DeepLinkSingle, Area: AreaDeepLink, Default: On, Cases: "D7", Effect: "The place accepts one item only and says so by leaving accept_multiple out.", alter: onSettings(func(s map[string]any) { delete(s, "accept_multiple") })},
		{Knob: DeepLinkNoLineItem, Area: AreaDeepLink, Default: On, Cases: "D9", Effect: "The place accepts no line items.", alter: onSettings(func(s map[string]any) { s["accept_lineitem"] = false })},
		{Knob: DeepLinkData, Area: AreaDeepLink, Default: On, Cases: "D11", Effect: "The settings carry opaque data with quotes and letters beyond ASCII, and the return is refused unless it comes back unchanged.", alter: onSettings(func(s map[string]any) { s["data"] = deepLinkData })},
		{Knob: DeepLinkScriptReturn, Area: AreaDeepLink, Default: On, Cases: "D3", Effect: "The deep linking return address is a javascript: address.", alter: onSettings(func(s map[string]any) { s[dlReturnURL] = scriptAddress })},
		{Knob: DeepLinkAsset, Area: AreaDeepLink, Default: On, Cases: "D5", Effect: "The place accepts asset processors only.", alter: onSettings(func(s map[string]any) { s["accept_types"] = []string{"ltiAssetProcessor"} })},
		{Knob: DeepLinkUnknownTypes, Area: AreaDeepLink, Default: On, Cases: "D6", Effect: "The place accepts resource links among types nobody knows, which is legal.", alter: onSettings(func(s map[string]any) {
			s["accept_types"] = []string{"hologram", "ltiResourceLink", "ltiTomorrow"}
		})},
		{Knob: DeepLinkMultipleText, Area: AreaDeepLink, Default: On, Cases: "D8", Effect: "The settings say accept_multiple as text.", alter: onSettings(func(s map[string]any) { s["accept_multiple"] = "true" })},
		{Knob: DeepLinkLongData, Area: AreaDeepLink, Default: On, Cases: "D11", Effect: "The settings carry sixty kilobytes of opaque data, and the return is refused unless they come back unchanged.", alter: onSettings(func(s map[string]any) { s["data"] = longDeepLinkData() })},
		{Knob: DeepLinkRefused, Area: AreaDeepLink, Default: On, Cases: "D13", Effect: "The platform refuses the answer because the selection was begun too long ago."},
		{Knob: DeepLinkLearner, Area: AreaDeepLink, Default: On, Cases: "D12", Effect: "The deep linking request is made by a learner.", alter: func(d *draft) {
			if d.claims[claimMessageType] == messageDeepLink {
				d.claims[claimRoles] = []string{roleLearner}
			}
		}},
	}
}

// longDeepLinkData is the largest data a tool has to give back.
func longDeepLinkData() string { return strings.Repeat(deepLinkData, 60<<10/len(deepLinkData)) }

func onSettings(change func(map[string]any)) func(*draft) {
	return func(d *draft) {
		if s, ok := d.claims[claimDLSettings].(map[string]any); ok {
			change(s)
		}
	}
}

// Knobs of the token endpoint and the services.
const (
	EndpointError     Knob = "token-endpoint-500"
	EndpointHTML      Knob = "token-endpoint-html"
	EndpointSlow      Knob = "token-endpoint-slow"
	EndpointDenied    Knob = "token-endpoint-401"
	EndpointFewScopes Knob = "token-endpoint-fewer-scopes"

	ResultsError     Knob = "results-500"
	ResultsHTML      Knob = "results-html"
	ResultsSlow      Knob = "results-slow"
	ResultsDenied    Knob = "results-401"
	ResultsForbidden Knob = "results-403"
	ResultsGarbage   Knob = "results-garbage"
	ResultsHuge      Knob = "results-huge"
	ResultsOdd       Knob = "results-odd-values"
	ResultsBusy      Knob = "results-429"
	LineItemsError   Knob = "line-items-500"
	ScoresError      Knob = "scores-500"
)

func tokenEndpointKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: EndpointError, Area: AreaToken, Default: On, Effect: "The token endpoint answers 500."},
		{Knob: EndpointHTML, Area: AreaToken, Default: On, Effect: "The token endpoint answers 200 with an HTML page."},
		{Knob: EndpointSlow, Area: AreaToken, Default: On, Slow: true, Effect: "The token endpoint answers after 30 seconds, or after the duration given."},
		{Knob: EndpointDenied, Area: AreaToken, Default: On, Cases: "S1", Effect: "The token endpoint answers 401 invalid_client."},
		{Knob: EndpointFewScopes, Area: AreaToken, Default: On, Cases: "S3", Effect: "The token endpoint grants all scopes asked for but the reading of results."},
	}
}

func serviceKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: ResultsError, Area: AreaServices, Default: On, Effect: "Results answer 500."},
		{Knob: ResultsHTML, Area: AreaServices, Default: On, Cases: "S12", Effect: "Results answer 200 with an HTML page."},
		{Knob: ResultsSlow, Area: AreaServices, Default: On, Slow: true, Effect: "Results answer after 30 seconds, or after the duration given."},
		{Knob: ResultsDenied, Area: AreaServices, Default: Once, Cases: "S5", Effect: "Results answer 401 once and forget the token used, as when it was revoked."},
		{Knob: ResultsForbidden, Area: AreaServices, Default: On, Cases: "S6", Effect: "Results answer 403."},
		{Knob: ResultsGarbage, Area: AreaServices, Default: On, Effect: "Results answer 200 with JSON that ends in the middle."},
		{Knob: ResultsHuge, Area: AreaServices, Default: On, Effect: "Results answer 200 with ten megabytes of rows."},
		{Knob: ResultsOdd, Area: AreaServices, Default: On, Cases: "S17 S18 S19", Effect: "Results carry a negative score, a score as text, a maximum of zero and a row without user beside the good ones."},
		{Knob: ResultsBusy, Area: AreaServices, Default: Once, Cases: "S11", Effect: "Results answer 429 with Retry-After: 1."},
		{Knob: LineItemsError, Area: AreaServices, Default: On, Effect: "Line items, the list and each of them, answer 500."},
		{Knob: ScoresError, Area: AreaServices, Default: On, Effect: "Posting a score answers 500."},
	}
}
