package lti_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// Section 6: the claims of LTI.

func messageCases() []caseRow {
	kind := func(value any) func(map[string]any) { return set(claim+"message_type", value) }
	review := func(user any) func(map[string]any) {
		return func(m map[string]any) {
			m[claim+"message_type"], m[claim+"for_user"] = lti.MessageSubmissionReview, user
		}
	}
	rows := []caseRow{
		{number: "M1", input: "plain OpenID Connect", code: lti.CodeNotLTI, status: 401, claims: drop(claim+"version", claim+"message_type", claim+"deployment_id")},
		{number: "M2", input: "no version", code: lti.CodeVersionMissing, status: 401, claims: drop(claim + "version")},
		{number: "M3", input: "version 11.3", code: lti.CodeVersionMismatch, status: 401, claims: set(claim+"version", "11.3")},
		{number: "M3", input: "version 1.1", code: lti.CodeVersionMismatch, status: 401, claims: set(claim+"version", "1.1")},
		{number: "M3", input: "version is a number", code: lti.CodeVersionMismatch, status: 401, claims: set(claim+"version", 1.3)},
		{number: "M4", input: "no message type", code: lti.CodeMessageTypeMissing, status: 401, claims: drop(claim + "message_type")},
		{number: "M4", input: "empty message type", code: lti.CodeMessageTypeMissing, status: 401, claims: kind("")},
		{number: "M5", input: "message type of LTI 1.1", code: lti.CodeMessageTypeUnknown, status: 401, claims: kind("basic-lti-launch-request")},
		{number: "M5", input: "message type in small letters", code: lti.CodeMessageTypeUnknown, status: 401, claims: kind("ltiresourcelinkrequest")},
		{number: "M5", input: "message type is a list", code: lti.CodeClaimType, status: 401, claims: kind([]string{lti.MessageResourceLink})},
		{number: "M7", input: "no deployment", code: lti.CodeDeploymentMissing, status: 401, claims: drop(claim + "deployment_id")},
		{number: "M7", input: "empty deployment", code: lti.CodeDeploymentMissing, status: 401, claims: set(claim+"deployment_id", "")},
		{number: "M8", input: "unknown deployment, where an administrator is asked", code: lti.CodeDeploymentUnknown, status: 403, claims: set(claim+"deployment_id", "3"), elsewhere: []string{". TestUnknownDeploymentNamesTheCommand"}},
		{number: "M8", input: "unknown deployment of a platform of one customer", play: newDeployment(issuer), understood: func(l lti.Launch) bool { return l.DeploymentID == "3" }, decided: "not asked about: nobody else can come from this issuer"},
		{number: "M9", input: "unknown deployment of a shared cloud", play: newDeployment("https://canvas.instructure.com"), code: lti.CodeDeploymentUnknown, status: 403},
		{number: "M10", input: "deployment of 256 characters", code: lti.CodeDeploymentLength, status: 401, claims: set(claim+"deployment_id", long)},
		{number: "M10", input: "deployment is a number", code: lti.CodeClaimType, status: 401, claims: set(claim+"deployment_id", 1)},
		{number: "M10", input: "deployment with a control character", code: lti.CodeDeploymentLength, status: 401, claims: set(claim+"deployment_id", "1\x00")},
		{number: "M10", input: "deployment with a space more", code: lti.CodeDeploymentUnknown, status: 403, claims: set(claim+"deployment_id", "1 ")},
		{number: "M44", input: "review of nobody", code: lti.CodeForUserMissing, status: 401, claims: kind(lti.MessageSubmissionReview)},
		{number: "M44", input: "review with an empty for_user", code: lti.CodeForUserMissing, status: 401, claims: review(map[string]any{"user_id": ""})},
		{number: "M44", input: "review with a for_user of text", code: lti.CodeForUserMissing, status: 401, claims: review("user-7")},
		{number: "M45", input: "a learner reviews another", code: lti.CodeForUserForeign, status: 403, claims: review(map[string]any{"user_id": "user-8"})},
		{number: "M45", input: "a learner asks what is kept about another", code: lti.CodeForUserForeign, status: 403, claims: func(m map[string]any) {
			review(map[string]any{"user_id": "user-8"})(m)
			m[claim+"message_type"] = lti.MessageDataPrivacy
		}},
		{number: "M45", input: "a learner reviews their own", claims: review(map[string]any{"user_id": "user-7"}), understood: func(l lti.Launch) bool { return l.ForUser == "user-7" }},
		{number: "M45", input: "a teacher reviews", claims: func(m map[string]any) {
			review(map[string]any{"user_id": "user-8"})(m)
			m[claim+"roles"] = []string{memberRole + "Instructor"}
		}, understood: func(l lti.Launch) bool { return l.ForUser == "user-8" }},
		{
			number: "M46", input: "a data privacy launch with a course", claims: kind(lti.MessageDataPrivacy),
			understood: func(l lti.Launch) bool {
				return l.Context.ID == "" && l.ResourceLink.ID == "" && l.User.Subject == "user-7"
			},
			decided: "ignored, the milder of the two that the list leaves open: the person asks what is kept about them, and the platform's slip is not theirs",
		},
	}
	for _, name := range []string{"LtiStartProctoring", "LtiStartAssessment", "LtiEndAssessment", "LtiEulaRequest", "LtiAssetProcessorSettingsRequest", "LtiReportReviewRequest", "LtiContextLaunchRequest"} {
		rows = append(rows, caseRow{number: "M6", input: name, code: lti.CodeMessageTypeNotOffered, status: 400, claims: kind(name)})
	}
	return rows
}

// newDeployment launches from a deployment that was never seen, under the policy that a
// registration has by itself.
func newDeployment(iss string) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		if iss != issuer {
			r = newRigAt(t, toolURL, lti.Registration{Issuer: iss, ClientID: clientID, Deployments: []string{"1"}})
		}
		if _, err := r.db.Exec(t.Context(), `update registrations set settings = '{}'`); err != nil {
			t.Fatal(err)
		}
		r.clock.advance(6 * time.Second)
		r.launch(nil).session(t)
		o := r.launch(set(claim+"deployment_id", "3"))
		r.launch(nil).session(t) // the tenant that is known goes on
		return played{outcome: o}
	}
}

func roleCases() []caseRow {
	const test = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
	roles := func(number, input string, understood func(lti.Launch) bool, list ...any) caseRow {
		if list == nil {
			list = []any{}
		}
		return caseRow{number: number, input: input, claims: set(claim+"roles", list), understood: understood}
	}
	nobody := func(l lti.Launch) bool { return !l.IsTeacher() && !l.IsLearner() && !l.IsAdmin() }
	https := roles("M19", "https in place of http", nobody, "https://purl.imsglobal.org/vocab/lis/v2/membership#Instructor")
	https.traced, https.elsewhere = ignores("https in place of http"), []string{". TestRoles"}
	mentor := roles("M22", "mentor", nobody, memberRole+"Mentor")
	mentor.elsewhere = []string{"cmd/sealsmith/web TestRoles"}
	tester := roles("M21", "test user", func(l lti.Launch) bool { return l.IsTestUser() && nobody(l) }, memberRole+"Learner", test)
	tester.elsewhere = []string{"cmd/sealsmith/web TestTestUserMayLook"}
	return []caseRow{
		{number: "M13", input: "no roles claim", code: lti.CodeRolesMissing, status: 401, claims: drop(claim + "roles")},
		{number: "M13", input: "roles are null", code: lti.CodeRolesMissing, status: 401, claims: set(claim+"roles", nil)},
		roles("M14", "no roles", nobody),
		roles("M15", "unknown role", nobody, "http://example.edu/role#Wizard"),
		roles("M15", "a role that is no text, beside one that is", lti.Launch.IsLearner, 7, memberRole+"Learner"),
		roles("M16", "Instructor, short", lti.Launch.IsTeacher, "Instructor"),
		roles("M16", "Learner, short", lti.Launch.IsLearner, "Learner"),
		roles("M17", "teacher and learner", func(l lti.Launch) bool { return l.IsTeacher() && !l.IsLearner() }, memberRole+"Learner", memberRole+"Instructor"),
		{number: "M18", input: "roles are text", code: lti.CodeClaimType, status: 401, claims: set(claim+"roles", memberRole+"Instructor")},
		{number: "M18", input: "roles are an object", code: lti.CodeClaimType, status: 401, claims: set(claim+"roles", map[string]any{"0": memberRole + "Instructor"})},
		https,
		roles("M20", "teaches somewhere", nobody, "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor"),
		tester,
		mentor,
		{number: "M36", input: "custom parameters that would grant something", claims: set(claim+"custom", map[string]any{
			"roles": memberRole + "Instructor", "role": "Instructor", "sub": "user-1", "name": "Somebody Else", "admin": true,
		}), understood: func(l lti.Launch) bool {
			return l.IsLearner() && l.User.Subject == "user-7" && l.User.Name == "Stella Student"
		}},
	}
}

// placeCases are about where: resource link, target, context.
func placeCases() []caseRow {
	target := func(value any) func(map[string]any) { return set(claim+"target_link_uri", value) }
	link := func(value any) func(map[string]any) { return set(claim+"resource_link", value) }
	missing, foreign := lti.CodeResourceLinkMissing, lti.CodeTargetForeign
	return []caseRow{
		{number: "M11", input: "no resource link", code: missing, status: 401, claims: drop(claim + "resource_link")},
		{number: "M11", input: "resource link without id", code: missing, status: 401, claims: link(map[string]any{"title": "x"})},
		{number: "M11", input: "resource link with an empty id", code: missing, status: 401, claims: link(map[string]any{"id": ""})},
		{number: "M11", input: "resource link with a number for id", code: missing, status: 401, claims: link(map[string]any{"id": 7})},
		{number: "M11", input: "resource link is text", code: missing, status: 401, claims: link("link-1")},
		{number: "M12", input: "resource link id of 256 characters", code: lti.CodeResourceLinkLength, status: 401, claims: link(map[string]any{"id": long})},
		{number: "M23", input: "target elsewhere", code: foreign, status: 401, claims: target("https://evil.example/lti/launch")},
		{number: "M23", input: "target on another port", code: foreign, status: 401, claims: target(toolURL + ":8443/lti/launch")},
		{number: "M23", input: "target by http", code: foreign, status: 401, claims: target("http://tool.example.edu/lti/launch")},
		{number: "M23", input: "target with a user name", code: foreign, status: 401, claims: target("https://tool.example.edu@evil.example/")},
		{number: "M23", input: "target is a script", code: foreign, status: 401, claims: target("javascript:alert(1)")},
		{number: "M23", input: "target without scheme", code: foreign, status: 401, claims: target("//tool.example.edu/")},
		{number: "M23", input: "target is a list", code: foreign, status: 401, claims: target([]string{toolURL})},
		{number: "M23", input: "deep linking with a foreign target", code: foreign, status: 401, claims: func(m map[string]any) { deepLinking(m); target("https://evil.example/")(m) }},
		{
			number: "M24", input: "another target than in the login", login: param("target_link_uri", toolURL+"/other"), claims: func(map[string]any) {},
			understood: func(l lti.Launch) bool { return l.TargetLinkURI == toolURL+"/lti/launch" },
			decided:    "not logged: the login's target is not signed and nobody keeps it",
		},
		{number: "M24", input: "target in another spelling", claims: target("https://TOOL.example.edu:443/other?x=1"), understood: anyLaunch},
		{number: "M25", input: "no target", code: lti.CodeTargetMissing, status: 401, claims: drop(claim + "target_link_uri")},
		{number: "M25", input: "deep linking without a target", claims: func(m map[string]any) { deepLinking(m); delete(m, claim+"target_link_uri") }, understood: func(l lti.Launch) bool { return l.DeepLinking != nil }},
		{number: "M26", input: "no context", claims: drop(claim + "context"), understood: func(l lti.Launch) bool { return l.Context.ID == "" }},
		{number: "M47", input: "a copied course", elsewhere: []string{"grading TestCopiedCourseIsADraft", "cmd/sealsmith/web TestCopiedCourse"}},
		{number: "M48", input: "the line item is gone", elsewhere: []string{". TestQueueKeepsRefusals", "lti/ltistore TestMoveScores"}},
		{
			number: "M35", input: "custom parameter that names the attachment of another tenant", elsewhere: []string{"grading TestLaunchedRefuses", "cmd/sealsmith/web TestTenancy"},
			decided: "it is not found, which is 404 and not 403: whether there is such a thing elsewhere is nobody's business",
		},
	}
}

func optionalCases() []caseRow {
	custom := func(v any) func(map[string]any) { return set(claim+"custom", v) }
	presentation := func(name, value string) func(map[string]any) {
		return set(claim+"launch_presentation", map[string]any{name: value})
	}
	name := func(want string) func(lti.Launch) bool { return func(l lti.Launch) bool { return l.User.Name == want } }
	noEmail := func(l lti.Launch) bool { return l.User.Email == "" }
	noReturn := func(l lti.Launch) bool { return l.Presentation.ReturnURL == "" }
	ags := func(m map[string]any) func(map[string]any) { return set(agsClaim, m) }
	scope := []string{lti.ScopeLineItem}
	many := map[string]string{}
	for i := range 300 {
		many[fmt.Sprint(i)] = "x"
	}
	shown := []string{"cmd/sealsmith/web TestHostileTexts", "issuance TestName"}
	return []caseRow{
		{number: "M27", input: "no personal data", claims: drop("name", "given_name", "family_name", "email"), understood: func(l lti.Launch) bool { return l.User == lti.User{Subject: "user-7"} }},
		{number: "M28", input: "e-mail only", claims: drop("name", "given_name", "family_name"), understood: func(l lti.Launch) bool { return l.User.Email != "" && l.User.Name == "" }},
		{number: "M28", input: "names only", claims: drop("email"), understood: func(l lti.Launch) bool { return noEmail(l) && l.User.Name != "" }},
		{number: "M29", input: "a name of 5 MB", code: lti.CodeTooLarge, status: 413, claims: set("name", strings.Repeat("x", 5<<20))},
		{number: "M29", input: "a name of 9,000 characters", claims: set("name", strings.Repeat("ü", 9000)), understood: name(strings.Repeat("ü", 255)), decided: "cut after 255 characters, not graphemes: it is a guess for a field that the person fills in"},
		{number: "M29", input: "a name that changes direction", claims: set("name", "Ste\u202ella\u2066"), understood: name("Stella")},
		{number: "M29", input: "a name with emoji and accents that stand alone", claims: set("name", "Ze\u0301 \U0001F469\u200d\U0001F52C"), understood: name("Ze\u0301 \U0001F469\u200d\U0001F52C")},
		{number: "M29", input: "a name with markup", claims: set("name", "<script>alert(1)</script>"), understood: name("<script>alert(1)</script>"), elsewhere: shown},
		{number: "M30", input: "e-mail with a line break", claims: set("email", "a@example.edu\r\nBcc: b@example.edu"), understood: noEmail},
		{number: "M30", input: "e-mail with a name", claims: set("email", "A <a@example.edu>"), understood: noEmail},
		{number: "M30", input: "e-mail that is none", claims: set("email", "nobody"), understood: noEmail},
		{number: "M31", input: "picture and icon", claims: func(m map[string]any) { m["picture"] = "javascript:alert(1)" }, understood: func(l lti.Launch) bool {
			return !strings.Contains(string(must(json.Marshal(l))), "javascript")
		}},
		{number: "M32", input: "markup in the description", claims: set(claim+"resource_link", map[string]any{"id": "1", "title": nil, "description": "<p>Read &amp; <b>learn</b></p> 1 < 2"}), understood: func(l lti.Launch) bool {
			return l.ResourceLink.Description == "Read & learn 1 < 2"
		}, elsewhere: shown[:1]},
		{number: "M33", input: "unresolved variables", claims: custom(map[string]any{"x": "$Person.name.full"}), understood: func(l lti.Launch) bool { return len(l.Custom) == 0 }},
		{number: "M33", input: "what only looks like one", claims: custom(map[string]any{"x": "$5"}), understood: func(l lti.Launch) bool { return l.Custom["x"] == "$5" }},
		{number: "M34", input: "null, number, truth, list", claims: custom(map[string]any{"null": nil, "n": 7.5, "t": true, "list": []int{1}}), understood: func(l lti.Launch) bool {
			return len(l.Custom) == 2 && l.Custom["n"] == "7.5" && l.Custom["t"] == "true"
		}},
		{number: "M34", input: "three hundred parameters", claims: custom(many), understood: func(l lti.Launch) bool { return l.Custom == nil }},
		{number: "M37", input: "return URL elsewhere", claims: presentation("return_url", "https://evil.example/"), understood: noReturn},
		{number: "M37", input: "return URL by http", claims: presentation("return_url", "http://lms.example.edu/"), understood: noReturn},
		{number: "M37", input: "return URL is a script", claims: presentation("return_url", "javascript:alert(1)"), understood: noReturn},
		{number: "M37", input: "return URL of the platform", claims: presentation("return_url", issuer+"/r?k=1"), understood: func(l lti.Launch) bool { return l.Presentation.ReturnURL == issuer+"/r?k=1" }},
		{number: "M38", input: "locale with a quote", claims: presentation("locale", "xx_YY'"), understood: func(l lti.Launch) bool { return l.Presentation.Locale == "" }},
		{number: "M39", input: "window, and yet in a frame", claims: presentation("document_target", "window"), understood: func(l lti.Launch) bool { return l.Presentation.DocumentTarget == "window" }},
		{number: "M40", input: "AGS without addresses", claims: ags(map[string]any{"scope": scope}), understood: func(l lti.Launch) bool { return l.AGS.LineItems == "" && l.AGS.LineItem == "" }},
		{number: "M41", input: "AGS on another host", claims: ags(map[string]any{"scope": scope, "lineitems": "https://evil.example/l"}), understood: func(l lti.Launch) bool { return l.AGS.LineItems == "" }, traced: ignores("lineitems on a foreign host")},
		{number: "M41", input: "AGS by http", claims: ags(map[string]any{"scope": scope, "lineitems": "http://lms.example.edu/l"}), understood: func(l lti.Launch) bool { return l.AGS.LineItems == "" }},
		{number: "M41", input: "roster on another host", claims: set("https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice", map[string]any{"context_memberships_url": "https://evil.example/m"}), understood: func(l lti.Launch) bool { return l.NRPS.URL == "" }, traced: ignores("foreign host")},
		{number: "M42", input: "AGS scope is text", claims: ags(map[string]any{"scope": "x", "lineitems": issuer + "/l"}), understood: func(l lti.Launch) bool { return l.AGS.LineItems == "" && l.AGS.Scopes == nil }},
		{number: "M43", input: "lti1p1 with a wrong signature", claims: set(claim+"lti1p1", map[string]any{"oauth_consumer_key": "k", "oauth_consumer_key_sign": "c2ln", "user_id": "admin"}), understood: func(l lti.Launch) bool {
			return l.Migrated == nil && l.User.Subject == "user-7"
		}, traced: ignores("lti1p1 with a signature"), elsewhere: []string{"cmd/sealsmith TestLTI11"}},
		{number: "M43", input: "lti1p1 without a signature", claims: set(claim+"lti1p1", map[string]any{"oauth_consumer_key": "k", "user_id": "admin"}), understood: func(l lti.Launch) bool { return l.Migrated == nil }, traced: ignores("lti1p1")},
	}
}
