package lti_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

func TestOrdinaryLaunch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.launch(func(m map[string]any) {
		m["azp"] = clientID
		m[agsClaim] = map[string]any{
			"scope":     []string{lti.ScopeLineItem, lti.ScopeResultReadOnly},
			"lineitems": issuer + "/7/lineitems?type_id=1", "lineitem": issuer + "/7/lineitems/4/lineitem?type_id=1",
		}
		m["https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"] = map[string]any{
			"context_memberships_url": issuer + "/7/members", "service_versions": []string{"2.0"},
		}
		m[claim+"launch_presentation"] = map[string]any{
			"locale": "pt_br", "document_target": "iframe", "return_url": issuer + "/return?sesskey=abc",
		}
		m[claim+"tool_platform"] = map[string]any{"guid": "g-1", "name": "LMS", "product_family_code": "moodle", "version": "4.5"}
		m[claim+"custom"] = map[string]any{
			"a": "1", "A": "2", "n": 7, "b": true, "null": nil, "list": []string{}, "open": "$Foo.bar", "price": "$5", "part": "x-$User.id-y",
		}
		m["locale"] = "nl-NL"
	})
	s := o.session(t)
	want := lti.Launch{
		RegistrationID: r.reg.ID, OrganisationID: organisation, Issuer: issuer, ClientID: clientID,
		DeploymentID: "1", MessageType: lti.MessageResourceLink, TargetLinkURI: toolURL + "/lti/launch",
		User: lti.User{
			Subject: "user-7", Name: "Stella Student", GivenName: "Stella", FamilyName: "Student",
			Email: "stella@example.edu", Locale: "nl-NL",
		},
		Roles:        []string{memberRole + "Learner"},
		Context:      lti.Context{ID: "course-1", Label: "DLC", Title: "Data literacy"},
		ResourceLink: lti.ResourceLink{ID: "link-1", Title: "Badge"},
		Custom:       map[string]string{"a": "1", "A": "2", "n": "7", "b": "true", "price": "$5", "part": "x-$User.id-y"},
		AGS: lti.AGS{
			Scopes:    []string{lti.ScopeLineItem, lti.ScopeResultReadOnly},
			LineItems: issuer + "/7/lineitems?type_id=1", LineItem: issuer + "/7/lineitems/4/lineitem?type_id=1",
		},
		NRPS:         lti.NRPS{URL: issuer + "/7/members"},
		Presentation: lti.Presentation{ReturnURL: issuer + "/return?sesskey=abc", Locale: "pt-br", DocumentTarget: "iframe"},
		Platform:     lti.Platform{GUID: "g-1", Name: "LMS", ProductFamily: "moodle", Version: "4.5"},
		IssuedAt:     start,
	}
	if diff := cmp.Diff(want, s.Launch); diff != "" {
		t.Errorf("launch (-want +got):\n%s", diff)
	}
	if o.rec.Code != http.StatusSeeOther || o.rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("answered %d, %v", o.rec.Code, o.rec.Header())
	}
	stored, _, err := r.store.Session(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, stored); diff != "" {
		t.Errorf("what was stored differs (-entered +stored):\n%s", diff)
	}
}

// TestOddButValid accepts what the specification allows, what the certification suite
// sends as valid, and what platforms are known to send.
func TestOddButValid(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	custom := func(v any) func(map[string]any) { return set(claim+"custom", v) }
	for _, tt := range []struct {
		name   string
		change func(m map[string]any)
		want   func(l lti.Launch) bool
	}{
		{"M14 no roles", set(claim+"roles", []string{}), func(l lti.Launch) bool { return !l.IsTeacher() && !l.IsLearner() }},
		{"M15 unknown role", set(claim+"roles", []string{"http://example.edu/role#Wizard"}), func(l lti.Launch) bool { return !l.IsLearner() }},
		{"M16 short role", set(claim+"roles", []string{"Instructor"}), lti.Launch.IsTeacher},
		{"M17 many roles", set(claim+"roles", []string{memberRole + "Learner", memberRole + "Instructor"}), lti.Launch.IsTeacher},
		{"a role that is no text", set(claim+"roles", []any{7, memberRole + "Learner"}), lti.Launch.IsLearner},
		{"M21 test user", set(claim+"roles", []string{memberRole + "Learner", "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"}), lti.Launch.IsTestUser},
		{"M26 no context", drop(claim + "context"), func(l lti.Launch) bool { return l.Context.ID == "" }},
		{"M27 no personal data", drop("name", "given_name", "family_name", "email"), func(l lti.Launch) bool { return l.User == lti.User{Subject: "user-7"} }},
		{"M28 e-mail only", drop("name", "given_name", "family_name"), func(l lti.Launch) bool { return l.User.Email != "" }},
		{"M28 names only", drop("email"), func(l lti.Launch) bool { return l.User.Email == "" && l.User.Name != "" }},
		{"M30 e-mail with a line break", set("email", "a@example.edu\r\nBcc: b@example.edu"), func(l lti.Launch) bool { return l.User.Email == "" }},
		{"M30 e-mail with a name", set("email", "A <a@example.edu>"), func(l lti.Launch) bool { return l.User.Email == "" }},
		{"M29 name that changes direction", set("name", "Ste\u202ella\u0000"), func(l lti.Launch) bool { return l.User.Name == "Stella" }},
		{"M29 very long name", set("name", strings.Repeat("ü", 9000)), func(l lti.Launch) bool { return l.User.Name == strings.Repeat("ü", 255) }},
		{"J32 broken UTF-8", set("name", json.RawMessage("\"St\xffella\"")), func(l lti.Launch) bool { return strings.Contains(l.User.Name, "ella") }},
		{
			"M32 markup in the description", set(claim+"resource_link", map[string]any{"id": "1", "title": nil, "description": "<p>Read &amp; <b>learn</b></p> 1 < 2"}),
			func(l lti.Launch) bool { return l.ResourceLink.Description == "Read & learn 1 < 2" },
		},
		{"M33 unresolved variables", custom(map[string]any{"x": "$Person.name.full"}), func(l lti.Launch) bool { return len(l.Custom) == 0 }},
		{"C32 custom as a list", custom([]string{}), func(l lti.Launch) bool { return len(l.Custom) == 0 }},
		{"C32 context as a text", set(claim+"context", "x"), func(l lti.Launch) bool { return l.Context.ID == "" }},
		{"custom with far too much", func(m map[string]any) {
			many := map[string]string{}
			for i := range 300 {
				many[fmt.Sprint(i)] = "x"
			}
			m[claim+"custom"] = many
		}, func(l lti.Launch) bool { return l.Custom == nil }},
		{"M37 return URL elsewhere", set(claim+"launch_presentation", map[string]any{"return_url": "https://evil.example/"}), func(l lti.Launch) bool { return l.Presentation.ReturnURL == "" }},
		{"M37 return URL is a script", set(claim+"launch_presentation", map[string]any{"return_url": "javascript:alert(1)"}), func(l lti.Launch) bool { return l.Presentation.ReturnURL == "" }},
		{"M38 locale with a quote", set(claim+"launch_presentation", map[string]any{"locale": "xx_YY'"}), func(l lti.Launch) bool { return l.Presentation.Locale == "" }},
		{"M40 AGS without addresses", set(agsClaim, map[string]any{"scope": []string{lti.ScopeLineItem}}), func(l lti.Launch) bool { return l.AGS.LineItems == "" }},
		{"M42 AGS scope is a text", set(agsClaim, map[string]any{"scope": "x", "lineitems": issuer}), func(l lti.Launch) bool { return l.AGS.LineItems == "" }},
		{"AGS address is not encrypted", set(agsClaim, map[string]any{"scope": []string{"x"}, "lineitems": "http://lms.example.edu/l"}), func(l lti.Launch) bool { return l.AGS.LineItems == "" }},
		{"audience is a list of one", set("aud", []string{clientID}), nil},
		{"C9 expired 30 seconds ago", func(m map[string]any) { m["exp"], m["iat"] = at(-30*time.Second), at(-90*time.Second) }, nil},
		{"C14 iat 50 seconds ahead", set("iat", at(50*time.Second)), nil},
		{"C17 iat with a fraction", set("iat", float64(start.Unix())+0.25), nil},
		{"C27 subject with spaces and umlauts", set("sub", "jörg müller"), func(l lti.Launch) bool { return l.User.Subject == "jörg müller" }},
		{"C31 unknown claims", set("https://example.edu/claim", map[string]any{"deep": []int{1}}), nil},
		{"M24 target with another path", set(claim+"target_link_uri", "https://TOOL.example.edu:443/other?x=1"), nil},
		{"E8 200 KB", set("filler", strings.Repeat("x", 140<<10)), nil},
		{"second deployment", set(claim+"deployment_id", "2"), nil},
		{"deep linking without a target", func(m map[string]any) { deepLinking(m); delete(m, claim+"target_link_uri") }, nil},
		{"D6 unknown accepted types", inDeepLinking(set("accept_types", []string{"x"})), nil},
		{"D8 accept_multiple as a text", inDeepLinking(set("accept_multiple", "true")), func(l lti.Launch) bool { return *l.DeepLinking.AcceptMultiple }},
		{"D10 no data", inDeepLinking(drop("data")), func(l lti.Launch) bool { return l.DeepLinking.Data == nil }},
		{"accept_lineitem absent", inDeepLinking(drop("accept_lineitem")), func(l lti.Launch) bool { return l.DeepLinking.AcceptLineItem == nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := r.launch(tt.change).session(t).Launch
			if tt.want != nil && !tt.want(l) {
				t.Errorf("got %s", must(json.Marshal(l)))
			}
		})
	}
}

func TestOddHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, header := range []string{
		`{"alg":"RS256","kid":"k1"}`,
		`{"alg":"RS256","kid":"k1","typ":"jwt"}`,
		`{"alg":"RS256","kid":"k1","typ":"JWT","x5t":"abc","extra":{"a":1}}`,
	} {
		a := r.login(nil)
		if o := r.deliver(a, signRaw(header, must(json.Marshal(r.claims(a))), platformKey())); o.entered == nil {
			t.Errorf("%s: %v", header, o.problem)
		}
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	const (
		institution = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#"
		system      = "http://purl.imsglobal.org/vocab/lis/v2/system/person#"
		test        = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
	)
	for _, tt := range []struct {
		name                    string
		roles                   []string
		teacher, learner, admin bool
	}{
		{name: "none"},
		{name: "instructor", roles: []string{memberRole + "Instructor"}, teacher: true},
		{name: "sub-role alone", roles: []string{"http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant"}, teacher: true},
		{name: "learner", roles: []string{memberRole + "Learner"}, learner: true},
		{name: "short learner", roles: []string{"Learner"}, learner: true},
		{name: "both", roles: []string{memberRole + "Learner", memberRole + "Instructor"}, teacher: true},
		{name: "M19 https", roles: []string{"https://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"}},
		{name: "M20 teaches somewhere", roles: []string{institution + "Instructor", institution + "Faculty", system + "User"}},
		{name: "LTI 1.1 name", roles: []string{"urn:lti:role:ims/lis/Instructor"}},
		{name: "M22 mentor", roles: []string{memberRole + "Mentor"}},
		{name: "content developer", roles: []string{memberRole + "ContentDeveloper"}},
		{name: "Moodle site admin", roles: []string{institution + "Administrator", system + "Administrator", memberRole + "Instructor"}, teacher: true, admin: true},
		{name: "Canvas account admin", roles: []string{system + "SysAdmin"}, admin: true},
		{name: "administrator of a course", roles: []string{memberRole + "Administrator"}},
		{name: "test user overrides", roles: []string{test, memberRole + "Instructor", memberRole + "Learner", system + "SysAdmin"}},
	} {
		l := lti.Launch{Roles: tt.roles}
		got := [3]bool{l.IsTeacher(), l.IsLearner(), l.IsAdmin()}
		if want := [3]bool{tt.teacher, tt.learner, tt.admin}; got != want {
			t.Errorf("%s: teacher, learner, admin: got %v, want %v", tt.name, got, want)
		}
	}
}

func TestLaunchPrintsNoNames(t *testing.T) {
	t.Parallel()
	l := newRig(t).launch(nil).session(t).Launch
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		for _, v := range []any{l, &l, l.User, lti.Session{Launch: l}} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "Stella") || strings.Contains(got, "stella@") {
				t.Errorf("%s of %T prints %s", verb, v, got)
			}
		}
	}
	if got := l.LogValue().String(); strings.Contains(got, "tella") {
		t.Errorf("logs %s", got)
	}
}
