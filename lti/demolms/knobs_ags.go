package demolms

// Further knobs of the token endpoint and the grade services.
const (
	EndpointRefused    Knob = "token-endpoint-400"
	EndpointBrokenJSON Knob = "token-endpoint-broken-json"
	EndpointNoExpiry   Knob = "token-endpoint-no-expires-in"
	EndpointTextExpiry Knob = "token-endpoint-text-expires-in"
	EndpointZeroExpiry Knob = "token-endpoint-zero-expires-in"
	EndpointLowerCase  Knob = "token-endpoint-lower-case-bearer"

	ServicesDenied   Knob = "services-401"
	ServicesBusy     Knob = "services-429"
	ServicesDown     Knob = "services-503"
	ServicesRedirect Knob = "services-redirect"
	LineItemsGone    Knob = "line-items-404"
	LineItemsNoID    Knob = "line-items-post-no-id"
	LineItemsTwice   Knob = "line-items-twice"
	ResultsTwice     Knob = "results-twice"
	ScoresHTML       Knob = "scores-html"
	ScoresForbidden  Knob = "scores-403"
	ScoresConflict   Knob = "scores-409"
	ScoresInvalid    Knob = "scores-422"
)

func endpointKnobs() []KnobInfo {
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	return []KnobInfo{
		{Knob: EndpointRefused, Area: AreaToken, Default: On, Cases: "S1", Effect: "The token endpoint answers 400 invalid_client, as when the key set of the tool cannot be read."},
		{Knob: EndpointBrokenJSON, Area: AreaToken, Default: On, Cases: "S1", Effect: "The token endpoint answers 400 with a body that is nearly JSON, as Moodle does for an unknown kid."},
		{Knob: EndpointNoExpiry, Area: AreaToken, Default: On, Cases: "S2", Effect: "The access token comes without expires_in.", change: func(c map[string]any) { delete(c, "expires_in") }},
		{Knob: EndpointTextExpiry, Area: AreaToken, Default: On, Cases: "S2", Effect: "The expires_in of the access token is text.", change: set("expires_in", "3600")},
		{Knob: EndpointZeroExpiry, Area: AreaToken, Default: On, Cases: "S2", Effect: "The expires_in of the access token is zero although the token works for an hour.", change: set("expires_in", 0)},
		{Knob: EndpointLowerCase, Area: AreaToken, Default: On, Cases: "S4", Effect: "The token_type is bearer in small letters, which is legal.", change: set("token_type", "bearer")},
	}
}

func gradeKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: ServicesDenied, Area: AreaServices, Default: On, Cases: "S5", Effect: "All services answer 401, to fresh tokens too."},
		{Knob: ServicesBusy, Area: AreaServices, Default: Once, Cases: "S11", Effect: "All services answer 429 with Retry-After: 1."},
		{Knob: ServicesDown, Area: AreaServices, Default: Once, Cases: "S11", Effect: "All services answer 503 with a Retry-After that is a date, one second from now."},
		{Knob: ServicesRedirect, Area: AreaServices, Default: On, Cases: "S16", Effect: "All services redirect to another host, where a bearer token must not go."},
		{Knob: LineItemsGone, Area: AreaServices, Default: On, Cases: "S7 M48", Effect: "Each line item and what is below it answers 404, as when a teacher has deleted it; the list leaves them out."},
		{Knob: LineItemsNoID, Area: AreaServices, Default: On, Cases: "S26", Effect: "A created line item is answered without id, with its address in the Location header."},
		{Knob: LineItemsTwice, Area: AreaServices, Default: On, Cases: "S27", Effect: "The list names a second line item of the same resourceId and of no resource link before each coupled one, as after a restore."},
		{Knob: ResultsTwice, Area: AreaServices, Default: On, Cases: "S20", Effect: "Results carry an older row with another score after each good one."},
		{Knob: ScoresHTML, Area: AreaServices, Default: On, Cases: "S12", Effect: "Posting a score answers 200 with an HTML page and stores nothing."},
		{Knob: ScoresForbidden, Area: AreaServices, Default: On, Cases: "S6", Effect: "Posting a score answers 403."},
		{Knob: ScoresConflict, Area: AreaServices, Default: Once, Cases: "S8", Effect: "Posting a score answers 409, as for a timestamp that is not later than the stored one."},
		{Knob: ScoresInvalid, Area: AreaServices, Default: On, Cases: "S10", Effect: "Posting a score answers 422 with a reason (Canvas, Brightspace)."},
	}
}
