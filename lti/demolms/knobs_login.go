package demolms

import (
	"net/url"
	"slices"
	"strings"
)

// Further knobs of the login initiation.
const (
	LoginNoTarget      Knob = "login-no-target"
	LoginByGet         Knob = "login-by-get"
	LoginUnknownIssuer Knob = "login-unknown-iss"
	LoginUnknownClient Knob = "login-unknown-client-id"
	LoginTwoIssuers    Knob = "login-two-iss"
	LoginSameTwice     Knob = "login-iss-in-query-too"
	LoginScriptTarget  Knob = "login-script-target"
	LoginTrickTarget   Knob = "login-trick-target"
	LoginLongHint      Knob = "login-long-hint"
	LoginHugeHint      Knob = "login-huge-hint"
)

const (
	foreignIssuer = "https://another-lms.example"
	scriptAddress = "javascript:alert(1)"
	// longHint and hugeHint are lengths of a login_hint that a tool must and
	// must not take.
	longHint = 4 << 10
	hugeHint = 9 << 10
)

func moreLoginKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: LoginNoTarget, Area: AreaLogin, Default: On, Cases: "L3", Effect: "The login initiation leaves out target_link_uri, which Canvas calls optional."},
		{Knob: LoginByGet, Area: AreaLogin, Default: On, Cases: "L4", Effect: "The login initiation comes by GET, which is legal."},
		{Knob: LoginUnknownIssuer, Area: AreaLogin, Default: On, Cases: "L6", Effect: "The login initiation names an issuer nobody registered."},
		{Knob: LoginUnknownClient, Area: AreaLogin, Default: On, Cases: "L7", Effect: "The login initiation names a client_id nobody registered."},
		{Knob: LoginTwoIssuers, Area: AreaLogin, Default: On, Cases: "L10", Effect: "The login initiation names two issuers."},
		{Knob: LoginSameTwice, Area: AreaLogin, Default: On, Cases: "L10", Effect: "The login initiation names the same issuer in the query and in the body, which is odd and harmless."},
		{Knob: LoginScriptTarget, Area: AreaLogin, Default: On, Cases: "L12", Effect: "The target_link_uri of the login initiation is a javascript: address."},
		{Knob: LoginTrickTarget, Area: AreaLogin, Default: On, Cases: "L12", Effect: "The target_link_uri of the login initiation begins with the tool's host as a user name on another host."},
		{Knob: LoginLongHint, Area: AreaLogin, Default: On, Cases: "L15", Effect: "The login_hint is four kilobytes long and contains markup, and the platform wants it back unchanged; this is legal."},
		{Knob: LoginHugeHint, Area: AreaLogin, Default: On, Cases: "L15", Effect: "The login_hint is nine kilobytes long."},
	}
}

// loginHint is what the platform sends to recognise the person by, and wants
// back unchanged.
func loginHint(user string, faults map[Knob]bool) string {
	var length int
	switch {
	case faults[LoginLongHint]:
		length = longHint
	case faults[LoginHugeHint]:
		length = hugeHint
	default:
		return user
	}
	hint := user + ` "><script>alert(1)</script>+%20&é `
	return hint + strings.Repeat("h", length-len(hint))
}

// spoilLogin applies the knobs to a login initiation.
func spoilLogin(p posting, faults map[Knob]bool, t Tool) posting {
	set := map[string]string{}
	drop := map[string]bool{
		"iss": faults[LoginNoIssuer], "client_id": faults[LoginNoClientID], "login_hint": faults[LoginNoHint],
		"lti_message_hint": faults[LoginNoMessageHint], "target_link_uri": faults[LoginNoTarget],
	}
	for k, f := range map[Knob]field{
		LoginForeignTarget: {"target_link_uri", foreignAddress},
		LoginScriptTarget:  {"target_link_uri", scriptAddress},
		LoginTrickTarget:   {"target_link_uri", "https://" + hostOf(t.LaunchURL) + "@" + strings.TrimPrefix(foreignAddress, "https://")},
		LoginWrongDeploy:   {"lti_deployment_id", wrongDeployment},
		LoginUnknownIssuer: {"iss", foreignIssuer},
		LoginUnknownClient: {"client_id", strangerAudience},
	} {
		if faults[k] {
			set[f.Name] = f.Value
		}
	}
	issuer := p.fields[slices.IndexFunc(p.fields, func(f field) bool { return f.Name == "iss" })].Value
	if faults[LoginWrongIssuer] {
		set["iss"] = issuer + "/"
	}
	var fields []field
	for _, f := range p.fields {
		if v, ok := set[f.Name]; ok {
			f.Value = v
		}
		if !drop[f.Name] {
			fields = append(fields, f)
		}
	}
	switch {
	case faults[LoginTwoIssuers]:
		fields = append(fields, field{"iss", foreignIssuer})
	case faults[LoginSameTwice]:
		p.address += "?" + url.Values{"iss": {issuer}}.Encode()
	case faults[LoginByGet]:
		p.method = "get"
	}
	p.fields = fields
	return p
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
