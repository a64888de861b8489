package lti_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

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
