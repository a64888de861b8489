package demolms

import (
	"slices"
	"strings"
)

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
	ResponseByGet        Knob = "response-by-get"
	ResponseTextPlain    Knob = "response-text-plain"
	ResponseMultipart    Knob = "response-multipart"
	ResponseHuge         Knob = "response-huge"
	ResponseExtraFields  Knob = "response-extra-fields"
	ResponseNullOrigin   Knob = "response-null-origin"
	ResponseOldToken     Knob = "response-old-token"
	ResponseNotice       Knob = "response-notice"
	ResponseOwnAnswer    Knob = "response-own-deep-link-answer"
)

// hugeField makes a response larger than any launch.
const hugeField = 300 << 10

func responseKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: ResponseByGet, Area: AreaResponse, Default: On, Cases: "E1", Effect: "The response comes by GET, with the id_token in the address."},
		{Knob: ResponseTwoTokens, Area: AreaResponse, Default: On, Cases: "E6", Effect: "The response carries id_token twice."},
		{Knob: ResponseNoToken, Area: AreaResponse, Default: On, Cases: "E2", Effect: "The response carries a state and nothing else."},
		{Knob: ResponseTextPlain, Area: AreaResponse, Default: On, Cases: "E3", Effect: "The response is posted as text/plain instead of a form."},
		{Knob: ResponseMultipart, Area: AreaResponse, Default: On, Cases: "E19", Effect: "The response is posted as multipart/form-data."},
		{Knob: ResponseHuge, Area: AreaResponse, Default: On, Cases: "E7", Effect: "The response carries a further field of 300 KiB."},
		{Knob: ResponseExtraFields, Area: AreaResponse, Default: On, Cases: "E17", Effect: "The response carries session_state, lti_storage_target, utf8 and authenticity_token too, which is legal."},
		{Knob: ResponseNullOrigin, Area: AreaResponse, Default: On, Cases: "E20", Effect: "The response is posted from a sandboxed page, whose origin is null; this is legal."},
		{Knob: ResponseLTI11, Area: AreaResponse, Default: On, Cases: "L22", Effect: "An LTI 1.1 launch is posted to the launch address instead of the response."},
		{Knob: ResponseReplay, Area: AreaResponse, Default: On, Cases: "E14 E15", Effect: "The response of the last good launch of this person and tool is posted once more."},
		{Knob: ResponseOldToken, Area: AreaResponse, Default: On, Cases: "C22", Effect: "The id_token of the last good launch of this person and tool comes with the state of this one."},
		{Knob: ResponseNotice, Area: AreaResponse, Default: On, Cases: "N6", Effect: "A notice is posted in place of the id_token."},
		{Knob: ResponseOwnAnswer, Area: AreaResponse, Default: On, Cases: "D21", Effect: "The tool's own last deep linking response is posted in place of the id_token."},
		{Knob: ResponseNoState, Area: AreaResponse, Default: On, Cases: "E9", Effect: "The response leaves out state."},
		{Knob: ResponseAlteredState, Area: AreaResponse, Default: On, Cases: "E10", Effect: "The response carries another state than the tool sent."},
		{Knob: ResponseError, Area: AreaResponse, Default: On, Cases: "E4", Effect: "The platform answers login_required: the person's LMS session has ended."},
		{Knob: ResponseErrorMarkup, Area: AreaResponse, Default: On, Cases: "E5", Effect: "The platform answers an error whose description contains markup."},
	}
}

// spoilResponse applies the knobs of the response; the caller holds the lock.
// Last is the last good response to the same tool for the same person.
func (l *LMS) spoilResponse(out posting, last posting, p pendingLaunch, t Tool) (posting, error) {
	out.fields = slices.Clone(out.fields)
	switch {
	case p.faults[ResponseTwoTokens]:
		out.fields = append(out.fields, out.fields[0])
	case p.faults[ResponseNoToken]:
		out.fields = out.fields[1:]
	case p.faults[ResponseLTI11]:
		out.fields = l.lti11(p.launch, t)
	case p.faults[ResponseNoState]:
		out.fields = out.fields[:1]
	case p.faults[ResponseAlteredState]:
		out.fields[1].Value = "x" + strings.ToUpper(out.fields[1].Value)
	case p.faults[ResponseByGet]:
		out.method = "get"
	case p.faults[ResponseTextPlain]:
		out.enctype = "text/plain"
	case p.faults[ResponseMultipart]:
		out.enctype = "multipart/form-data"
	case p.faults[ResponseHuge]:
		out.fields = append(out.fields, field{"padding", strings.Repeat("x", hugeField)})
	case p.faults[ResponseExtraFields]:
		out.fields = append(out.fields, field{"session_state", "5f3c"}, field{"lti_storage_target", "_parent"}, field{"utf8", "✓"}, field{"authenticity_token", "a+b/c=="})
	case p.faults[ResponseNullOrigin]:
		out.sandbox = true
	case p.faults[ResponseReplay] && last.fields != nil:
		return last, nil
	case p.faults[ResponseOldToken] && last.fields != nil:
		out.fields[0] = last.fields[0]
	case p.faults[ResponseOwnAnswer] && l.lastAnswer[t.ClientID] != "":
		out.fields[0].Value = l.lastAnswer[t.ClientID]
	case p.faults[ResponseNotice]:
		claims, err := l.noticeClaims(t, noticeHello, nil)
		if err != nil {
			return posting{}, err
		}
		if out.fields[0].Value, err = l.signNotice(claims, false); err != nil {
			return posting{}, err
		}
	}
	return out, nil
}
