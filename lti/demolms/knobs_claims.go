package demolms

import "strings"

// Further knobs of the OpenID Connect claims of an id_token.
//
//nolint:gosec // G101: names of knobs, not credentials
const (
	TokenAudAzp      Knob = "token-aud-stranger-first"
	TokenAudNumber   Knob = "token-aud-number"
	TokenJustExpired Knob = "token-just-expired"
	TokenTextExp     Knob = "token-text-exp"
	TokenIatSoon     Knob = "token-iat-soon"
	TokenFloatIat    Knob = "token-float-iat"
	TokenNbfFuture   Knob = "token-nbf-future"
	TokenNumberNonce Knob = "token-number-nonce"
	TokenEmptySub    Knob = "token-empty-sub"
	TokenLongSub     Knob = "token-long-sub"
	TokenControlSub  Knob = "token-control-sub"
	TokenNumberSub   Knob = "token-number-sub"
	TokenExtraClaims Knob = "token-extra-claims"
	TokenWrongTypes  Knob = "token-wrong-types"
	TokenNamesOnly   Knob = "token-names-only"
	TokenEmailOnly   Knob = "token-email-only"
	TokenNastyName   Knob = "token-nasty-name"
	TokenLongName    Knob = "token-long-name"
	TokenControlName Knob = "token-control-name"
	TokenBadEmail    Knob = "token-bad-email"
	TokenBadPicture  Knob = "token-script-picture"
)

const (
	// halfMinute in seconds is within every tolerance of clocks.
	halfMinute int64 = 30
	// tooLong is one more than an identifier may have characters.
	tooLong = 256
	// longName is more than anybody is called.
	longName = 100_000
)

func moreClaimKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: TokenAudAzp, Area: AreaIDToken, Default: On, Cases: "C5", Effect: "The id_token is meant for a stranger first and for the tool second, and azp names the tool.", alter: func(d *draft) {
			d.claims["azp"] = d.claims["aud"]
			d.claims["aud"] = []any{strangerAudience, d.claims["aud"]}
		}},
		{Knob: TokenAudNumber, Area: AreaIDToken, Default: On, Cases: "C7", Effect: "The audience of the id_token is a number.", alter: with("aud", 42)},
		{Knob: TokenJustExpired, Area: AreaIDToken, Default: On, Cases: "C9", Effect: "The id_token expired thirty seconds ago, which a tool should forgive.", alter: shifted(-halfMinute-tokenLifetime, "iat", "exp")},
		{Knob: TokenTextExp, Area: AreaIDToken, Default: On, Cases: "C11", Effect: "The exp of the id_token is text.", alter: with("exp", "4102444800")},
		{Knob: TokenIatSoon, Area: AreaIDToken, Default: On, Cases: "C14", Effect: "The id_token was issued thirty seconds in the future, which a tool should forgive.", alter: shifted(halfMinute, "iat", "exp")},
		{Knob: TokenFloatIat, Area: AreaIDToken, Default: On, Cases: "C17", Effect: "The times of the id_token have fractions of a second, which is legal.", alter: func(d *draft) {
			for _, name := range []string{"iat", "exp"} {
				if at, ok := d.claims[name].(int64); ok {
					d.claims[name] = float64(at) + 0.25
				}
			}
		}},
		{Knob: TokenNbfFuture, Area: AreaIDToken, Default: On, Cases: "C18", Effect: "The id_token is not good for another eleven minutes.", alter: func(d *draft) {
			if at, ok := d.claims["iat"].(int64); ok {
				d.claims["nbf"] = at + elevenMinutes
			}
		}},
		{Knob: TokenNumberNonce, Area: AreaIDToken, Default: On, Cases: "C23", Effect: "The nonce of the id_token is a number.", alter: with("nonce", 42)},
		{Knob: TokenEmptySub, Area: AreaIDToken, Default: On, Cases: "C25", Effect: "The sub of the id_token is empty.", alter: with("sub", "")},
		{Knob: TokenLongSub, Area: AreaIDToken, Default: On, Cases: "C26", Effect: "The sub of the id_token has 256 characters.", alter: with("sub", strings.Repeat("7", tooLong))},
		{Knob: TokenControlSub, Area: AreaIDToken, Default: On, Cases: "C27", Effect: "The sub of the id_token contains a line break and a bell.", alter: with("sub", "7\r\nX: \a")},
		{Knob: TokenNumberSub, Area: AreaIDToken, Default: On, Cases: "C27", Effect: "The sub of the id_token is a number.", alter: with("sub", 7)},
		{Knob: TokenExtraClaims, Area: AreaIDToken, Default: On, Cases: "C31", Effect: "The id_token carries claims nobody knows, of all types, which a tool must ignore.", alter: func(d *draft) {
			for name, value := range map[string]any{"number": 1, "list": []int{1}, "nothing": nil, "object": map[string]any{"a": true}} {
				d.claims["https://extra.example/"+name] = value
			}
		}},
		{Knob: TokenWrongTypes, Area: AreaIDToken, Default: On, Cases: "C32", Effect: "Optional claims are of the wrong type: a context of text, a lis of null, a presentation that is a list.", alter: func(d *draft) {
			d.claims[claimContext], d.claims[claimLIS], d.claims[claimPresentation] = "2", nil, []string{}
		}},
		{Knob: TokenNamesOnly, Area: AreaIDToken, Default: On, Cases: "M28", Effect: "The id_token has names and no mail address, which is legal.", alter: without("email")},
		{Knob: TokenEmailOnly, Area: AreaIDToken, Default: On, Cases: "M28", Effect: "The id_token has a mail address and no names, which is legal.", alter: func(d *draft) {
			for _, name := range []string{"name", "given_name", "family_name"} {
				delete(d.claims, name)
			}
		}},
		{Knob: TokenNastyName, Area: AreaIDToken, Default: On, Cases: "M29", Effect: "The name of the person contains markup, letters that turn the writing direction and a pile of accents.", alter: with("name", nastyName())},
		{Knob: TokenLongName, Area: AreaIDToken, Default: On, Cases: "M29", Effect: "The name of the person has a hundred thousand letters.", alter: func(d *draft) { d.claims["name"] = strings.Repeat("Ä", longName) }},
		{Knob: TokenControlName, Area: AreaIDToken, Default: On, Cases: "J32", Effect: "Name and title contain the character zero, which PostgreSQL refuses.", alter: func(d *draft) {
			d.claims["name"] = "Maija\x00 Meik\u0007"
			if link, ok := d.claims[claimResourceLink].(map[string]any); ok {
				link["title"] = "Re\x00cord"
			}
		}},
		{Knob: TokenBadEmail, Area: AreaIDToken, Default: On, Cases: "M30", Effect: "The mail address carries a header of its own.", alter: with("email", "a@b.example\r\nBcc: everybody@b.example")},
		{Knob: TokenBadPicture, Area: AreaIDToken, Default: On, Cases: "M31", Effect: "The picture of the person is a javascript: address.", alter: with("picture", scriptAddress)},
	}
}

// nastyName is spelled by escapes so that no editor shows it wrongly.
func nastyName() string {
	return "<script>alert(1)</script>\u202eecila\u202c " + "Z" + strings.Repeat("\u0301", 40) + " \U0001f393"
}

// Further knobs of the LTI claims of an id_token.
//
//nolint:gosec // G101: names of knobs, not credentials
const (
	TokenVersionNumber     Knob = "token-number-version"
	TokenMessageTypeCase   Knob = "token-message-type-case"
	TokenProctoring        Knob = "token-proctoring"
	TokenEmptyDeployment   Knob = "token-empty-deployment"
	TokenLongDeployment    Knob = "token-long-deployment"
	TokenNumberDeployment  Knob = "token-number-deployment"
	TokenEmptyResourceLink Knob = "token-empty-resource-link"
	TokenLongResourceLink  Knob = "token-long-resource-link"
	TokenShortRole         Knob = "token-short-role"
	TokenBothRoles         Knob = "token-both-roles"
	TokenRoleText          Knob = "token-role-text"
	TokenHTTPSRole         Knob = "token-https-role"
	TokenInstitutionRole   Knob = "token-institution-role"
	TokenMentor            Knob = "token-mentor"
	TokenForeignTarget     Knob = "token-foreign-target"
	TokenNoTarget          Knob = "token-no-target"
	TokenMarkupTitles      Knob = "token-markup-titles"
	TokenUnexpanded        Knob = "token-custom-unexpanded"
	TokenCustomTypes       Knob = "token-custom-types"
	TokenCustomAttack      Knob = "token-custom-attack"
	TokenForeignReturn     Knob = "token-foreign-return-url"
	TokenBadLocale         Knob = "token-bad-locale"
	TokenWindowInFrame     Knob = "token-window-in-frame"
	TokenNoLineItems       Knob = "token-no-line-items"
	TokenScopeText         Knob = "token-scope-text"
)

// roleTeacherSomewhere says nothing about this course.
const roleTeacherSomewhere = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor"

func moreLTIKnobs() []KnobInfo {
	roles := func(r ...string) func(*draft) { return with(claimRoles, r) }
	return []KnobInfo{
		{Knob: TokenVersionNumber, Area: AreaIDToken, Default: On, Cases: "M3", Effect: "The LTI version is the number 1.3.", alter: with(claimVersion, 1.3)},
		{Knob: TokenMessageTypeCase, Area: AreaIDToken, Default: On, Cases: "M5", Effect: "The message_type is in small letters.", alter: func(d *draft) { d.claims[claimMessageType] = strings.ToLower(text(d.claims, claimMessageType)) }},
		{Knob: TokenProctoring, Area: AreaIDToken, Default: On, Cases: "M6", Effect: "The message is the start of a proctored exam.", alter: with(claimMessageType, "LtiStartProctoring")},
		{Knob: TokenEmptyDeployment, Area: AreaIDToken, Default: On, Cases: "M7", Effect: "The deployment_id is empty.", alter: with(claimDeployment, "")},
		{Knob: TokenLongDeployment, Area: AreaIDToken, Default: On, Cases: "M10", Effect: "The deployment_id has 256 characters.", alter: with(claimDeployment, strings.Repeat("1", tooLong))},
		{Knob: TokenNumberDeployment, Area: AreaIDToken, Default: On, Cases: "M10", Effect: "The deployment_id is a number.", alter: with(claimDeployment, 1)},
		{Knob: TokenEmptyResourceLink, Area: AreaIDToken, Default: On, Cases: "M11", Effect: "The id of the resource link is empty.", alter: with(claimResourceLink, map[string]any{"id": "", "title": "Nothing"})},
		{Knob: TokenLongResourceLink, Area: AreaIDToken, Default: On, Cases: "M12", Effect: "The id of the resource link has 256 characters.", alter: with(claimResourceLink, map[string]any{"id": strings.Repeat("1", tooLong)})},
		{Knob: TokenShortRole, Area: AreaIDToken, Default: On, Cases: "M16", Effect: "The role is the short name Learner, which is legal.", alter: roles("Learner")},
		{Knob: TokenBothRoles, Area: AreaIDToken, Default: On, Cases: "M17", Effect: "The person is learner and instructor at once, which is legal.", alter: roles(roleLearner, roleInstructor)},
		{Knob: TokenRoleText, Area: AreaIDToken, Default: On, Cases: "M18", Effect: "The roles are a text instead of a list.", alter: with(claimRoles, roleInstructor)},
		{Knob: TokenHTTPSRole, Area: AreaIDToken, Default: On, Cases: "M19", Effect: "The role of an instructor is written with https, which makes it another one.", alter: roles(strings.Replace(roleInstructor, "http:", "https:", 1))},
		{Knob: TokenInstitutionRole, Area: AreaIDToken, Default: On, Cases: "M20", Effect: "The person is an instructor of the institution and nothing in this course.", alter: roles(roleTeacherSomewhere)},
		{Knob: TokenMentor, Area: AreaIDToken, Default: On, Cases: "M22", Effect: "The person is the mentor of one learner.", alter: func(d *draft) {
			d.claims[claimRoles] = []string{"http://purl.imsglobal.org/vocab/lis/v2/membership#Mentor"}
			d.claims[ltiClaim+"role_scope_mentor"] = []string{"8"}
		}},
		{Knob: TokenForeignTarget, Area: AreaIDToken, Default: On, Cases: "M23", Effect: "The signed target_link_uri is on another host.", alter: with(claimTarget, foreignAddress)},
		{Knob: TokenNoTarget, Area: AreaIDToken, Default: On, Cases: "M25", Effect: "The id_token has no target_link_uri.", alter: without(claimTarget)},
		{Knob: TokenMarkupTitles, Area: AreaIDToken, Default: On, Cases: "M32", Effect: "Titles and descriptions of course and activity are markup (Canvas sends such descriptions).", alter: markupTitles},
		{Knob: TokenUnexpanded, Area: AreaIDToken, Default: On, Cases: "M33", Effect: "Each custom parameter is a variable nobody filled in.", alter: customValues("$Person.name.full")},
		{Knob: TokenCustomTypes, Area: AreaIDToken, Default: On, Cases: "M34", Effect: "The custom claim holds a number, a truth value and nothing, besides the good texts.", alter: func(d *draft) {
			custom := map[string]any{"number": 42, "yes": true, "nothing": nil}
			if good, ok := d.claims[claimCustom].(map[string]string); ok {
				for name, value := range good {
					custom[name] = value
				}
			}
			d.claims[claimCustom] = custom
		}},
		{Knob: TokenCustomAttack, Area: AreaIDToken, Default: On, Cases: "M35 M36", Effect: "A teacher has typed a path with a piece of SQL into each custom parameter.", alter: customValues(nastyKid)},
		{Knob: TokenForeignReturn, Area: AreaIDToken, Default: On, Cases: "M37", Effect: "The return address of the launch is on another host.", alter: onPresentation("return_url", foreignAddress)},
		{Knob: TokenBadLocale, Area: AreaIDToken, Default: On, Cases: "M38", Effect: "The locale of the launch is no language.", alter: onPresentation("locale", "xx_YY'\"")},
		{Knob: TokenWindowInFrame, Area: AreaIDToken, Default: On, Cases: "M39", Effect: "The launch says it is in a window of its own and is in a frame.", alter: onPresentation("document_target", "window")},
		{Knob: TokenNoLineItems, Area: AreaIDToken, Default: On, Cases: "M40", Effect: "The grade service names no address.", alter: func(d *draft) {
			if ags, ok := d.claims[claimAGS].(map[string]any); ok {
				delete(ags, "lineitem")
				delete(ags, "lineitems")
			}
		}},
		{Knob: TokenScopeText, Area: AreaIDToken, Default: On, Cases: "M42", Effect: "The scopes of the grade service are a text instead of a list.", alter: func(d *draft) {
			if ags, ok := d.claims[claimAGS].(map[string]any); ok {
				ags["scope"] = scopeResult
			}
		}},
	}
}

// customValues replaces the value of each custom parameter.
func customValues(value string) func(*draft) {
	return func(d *draft) {
		custom, ok := d.claims[claimCustom].(map[string]string)
		if !ok {
			return
		}
		for name := range custom {
			custom[name] = value
		}
	}
}

func onPresentation(name, value string) func(*draft) {
	return func(d *draft) {
		if p, ok := d.claims[claimPresentation].(map[string]any); ok {
			p[name] = value
		}
	}
}

func markupTitles(d *draft) {
	const markup = `<p onclick="alert(1)">A <b>course</b></p><script>alert(2)</script>`
	for _, claim := range []string{claimContext, claimResourceLink} {
		if c, ok := d.claims[claim].(map[string]any); ok {
			c["title"], c["label"], c["description"] = markup, markup, markup
		}
	}
}
