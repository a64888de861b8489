package demolms

// Knobs of the authentication response.
const (
	ResponseTwoTokens    Knob = "response-two-id-tokens"
	ResponseNoToken      Knob = "response-no-id-token"
	ResponseLTI11        Knob = "response-lti11"
	ResponseReplay       Knob = "response-replay"
	ResponseNoState      Knob = "response-no-state"
	ResponseAlteredState Knob = "response-altered-state"
	ResponseError        Knob = "response-login-required"
	ResponseErrorMarkup  Knob = "response-error-markup"
)

func responseKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: ResponseTwoTokens, Area: AreaResponse, Default: On, Effect: "The response carries id_token twice."},
		{Knob: ResponseNoToken, Area: AreaResponse, Default: On, Effect: "The response carries a state and nothing else."},
		{Knob: ResponseLTI11, Area: AreaResponse, Default: On, Effect: "An LTI 1.1 launch is posted to the launch address instead of the response."},
		{Knob: ResponseReplay, Area: AreaResponse, Default: On, Effect: "The response of the last good launch of this person and tool is posted once more."},
		{Knob: ResponseNoState, Area: AreaResponse, Default: On, Effect: "The response leaves out state."},
		{Knob: ResponseAlteredState, Area: AreaResponse, Default: On, Effect: "The response carries another state than the tool sent."},
		{Knob: ResponseError, Area: AreaResponse, Default: On, Effect: "The platform answers login_required: the person's LMS session has ended."},
		{Knob: ResponseErrorMarkup, Area: AreaResponse, Default: On, Effect: "The platform answers an error whose description contains markup."},
	}
}

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
)

// dlReturnURL is the name of the return address in the settings.
const dlReturnURL = "deep_link_return_url"

// deepLinkData is what the tool must give back unchanged.
const deepLinkData = `opaque "data" ü <b>&amp;</b> {"csrf":1}`

func deepLinkKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: DeepLinkNoReturn, Area: AreaDeepLink, Default: On, Effect: "The deep linking settings have no return address.", alter: onSettings(func(s map[string]any) { delete(s, dlReturnURL) })},
		{Knob: DeepLinkForeignReturn, Area: AreaDeepLink, Default: On, Effect: "The deep linking return address is on another host.", alter: onSettings(func(s map[string]any) { s[dlReturnURL] = foreignAddress })},
		{Knob: DeepLinkNoSettings, Area: AreaDeepLink, Default: On, Effect: "The deep linking request has no settings.", alter: without(claimDLSettings)},
		{Knob: DeepLinkOtherType, Area: AreaDeepLink, Default: On, Effect: "The place accepts files and links, no resource links.", alter: onSettings(func(s map[string]any) { s["accept_types"] = []string{"file", "link"} })},
		{Knob: DeepLinkSingle, Area: AreaDeepLink, Default: On, Effect: "The place accepts one item only and says so by leaving accept_multiple out.", alter: onSettings(func(s map[string]any) { delete(s, "accept_multiple") })},
		{Knob: DeepLinkNoLineItem, Area: AreaDeepLink, Default: On, Effect: "The place accepts no line items.", alter: onSettings(func(s map[string]any) { s["accept_lineitem"] = false })},
		{Knob: DeepLinkData, Area: AreaDeepLink, Default: On, Effect: "The settings carry opaque data with quotes and letters beyond ASCII, and the return is refused unless it comes back unchanged.", alter: onSettings(func(s map[string]any) { s["data"] = deepLinkData })},
		{Knob: DeepLinkLearner, Area: AreaDeepLink, Default: On, Effect: "The deep linking request is made by a learner.", alter: func(d *draft) {
			if d.claims[claimMessageType] == messageDeepLink {
				d.claims[claimRoles] = []string{roleLearner}
			}
		}},
	}
}

func onSettings(change func(map[string]any)) func(*draft) {
	return func(d *draft) {
		if s, ok := d.claims[claimDLSettings].(map[string]any); ok {
			change(s)
		}
	}
}

// Knobs of the key set, the token endpoint and the services.
const (
	JWKSError     Knob = "jwks-500"
	JWKSHTML      Knob = "jwks-html"
	JWKSSlow      Knob = "jwks-slow"
	JWKSEmpty     Knob = "jwks-empty"
	JWKSOtherKeys Knob = "jwks-other-keys"
	JWKSNoAlg     Knob = "jwks-no-alg"
	JWKSMixed     Knob = "jwks-mixed"
	JWKSHuge      Knob = "jwks-huge"

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

func jwksKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: JWKSError, Area: AreaJWKS, Default: On, Effect: "The key set answers 500."},
		{Knob: JWKSHTML, Area: AreaJWKS, Default: On, Effect: "The key set answers 200 with an HTML page (maintenance mode)."},
		{Knob: JWKSSlow, Area: AreaJWKS, Default: On, Slow: true, Effect: "The key set answers after 30 seconds, or after the duration given."},
		{Knob: JWKSEmpty, Area: AreaJWKS, Default: On, Effect: "The key set has no keys."},
		{Knob: JWKSOtherKeys, Area: AreaJWKS, Default: On, Effect: "The key set publishes another key under another kid."},
		{Knob: JWKSNoAlg, Area: AreaJWKS, Default: On, Effect: "The keys are published without alg, which is legal (Brightspace)."},
		{Knob: JWKSMixed, Area: AreaJWKS, Default: On, Effect: "The good key stands between a broken one and one of an unknown type, which is legal."},
		{Knob: JWKSHuge, Area: AreaJWKS, Default: On, Effect: "The key set is followed by ten megabytes of blanks."},
	}
}

func tokenEndpointKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: EndpointError, Area: AreaToken, Default: On, Effect: "The token endpoint answers 500."},
		{Knob: EndpointHTML, Area: AreaToken, Default: On, Effect: "The token endpoint answers 200 with an HTML page."},
		{Knob: EndpointSlow, Area: AreaToken, Default: On, Slow: true, Effect: "The token endpoint answers after 30 seconds, or after the duration given."},
		{Knob: EndpointDenied, Area: AreaToken, Default: On, Effect: "The token endpoint answers 401 invalid_client."},
		{Knob: EndpointFewScopes, Area: AreaToken, Default: On, Effect: "The token endpoint grants all scopes asked for but the reading of results."},
	}
}

func serviceKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: ResultsError, Area: AreaServices, Default: On, Effect: "Results answer 500."},
		{Knob: ResultsHTML, Area: AreaServices, Default: On, Effect: "Results answer 200 with an HTML page."},
		{Knob: ResultsSlow, Area: AreaServices, Default: On, Slow: true, Effect: "Results answer after 30 seconds, or after the duration given."},
		{Knob: ResultsDenied, Area: AreaServices, Default: Once, Effect: "Results answer 401 once and forget the token used, as when it was revoked."},
		{Knob: ResultsForbidden, Area: AreaServices, Default: On, Effect: "Results answer 403."},
		{Knob: ResultsGarbage, Area: AreaServices, Default: On, Effect: "Results answer 200 with JSON that ends in the middle."},
		{Knob: ResultsHuge, Area: AreaServices, Default: On, Effect: "Results answer 200 with ten megabytes of rows."},
		{Knob: ResultsOdd, Area: AreaServices, Default: On, Effect: "Results carry a negative score, a score as text, a maximum of zero and a row without user beside the good ones."},
		{Knob: ResultsBusy, Area: AreaServices, Default: Once, Effect: "Results answer 429 with Retry-After: 1."},
		{Knob: LineItemsError, Area: AreaServices, Default: On, Effect: "Line items, the list and each of them, answer 500."},
		{Knob: ScoresError, Area: AreaServices, Default: On, Effect: "Posting a score answers 500."},
	}
}
