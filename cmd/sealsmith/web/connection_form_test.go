package web_test

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

func TestConnectByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	got := b.get("connections/new")
	says(t, got, "By an invitation", "good for one LMS and for 7 days", "Moodle", "Canvas", "Brightspace", "Blackboard Learn", "Sakai", "ILIAS", "Open edX", "Another LMS")
	for _, family := range []string{"moodle", "canvas", "desire2learn", "brightspace", "blackboardlearn", "sakai", "ilias", "open-edx", "other"} {
		got := b.get("connections/new/" + family)
		want(t, got, http.StatusOK)
		says(t, got, origin+"/lti/launch", "2 Enter here what it gives back")
	}
	want(t, b.get("connections/new/webct"), http.StatusNotFound)
	says(t, b.get("connections/new/moodle"), "Platform ID", "…/mod/lti/certs.php", "press “Activate”")
	if form := filled(b.get("connections/new/canvas").Body.String()); form.Get("issuer") != "https://canvas.instructure.com" || form.Get("jwks_url") != "https://sso.canvaslms.com/api/lti/security/jwks" {
		t.Errorf("Canvas is proposed as %v", form)
	}

	w.finds(exampleFindings())
	got = b.post("connections/new/moodle", url.Values{"issuer": {" https://lms.example/moodle "}, "client_id": {"abc\t"}, "deployment": {"3"}})
	want(t, got, http.StatusOK)
	says(t, got, "Saved.", "The key set URL answers a page of HTML.", "https://lms.example/moodle/mod/lti/certs.php")
	r := w.named("lms.example")
	expect := lti.Registration{
		ID: r.ID, OrganisationID: w.polder.org.ID, Name: "lms.example", Issuer: "https://lms.example/moodle", ClientID: "abc", AuthURL: "https://lms.example/moodle/mod/lti/auth.php",
		TokenURL: "https://lms.example/moodle/mod/lti/token.php", JWKSURL: "https://lms.example/moodle/mod/lti/certs.php", Status: lti.StatusActive, ProductFamily: "moodle",
		CreatedAt: noon, Deployments: []string{"3"},
	}
	if diff := cmp.Diff(expect, r); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if trail := w.trail(r.ID); !slices.Equal(trail, []string{"lms:" + w.polder.reg.ID + ":boss platform connected"}) {
		t.Errorf("audit trail %q", trail)
	}
	says(t, b.get("connections/"+r.ID), "Login URL", origin+"/lti/login/"+r.ID)
}

func TestConnectByHandRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	good := url.Values{
		"name": {"LMS"}, "issuer": {"https://lms.example"}, "client_id": {"c"}, "auth_url": {"https://lms.example/a"}, "token_url": {"https://lms.example/t"}, "jwks_url": {"https://lms.example/j"},
	}
	for _, test := range []struct {
		name, field, value string
		status             int
		say                string
	}{
		{"R25 script", "auth_url", "javascript:alert(1)", 422, `The authorization URL "javascript:alert(1)" is not a web address.`},
		{"not encrypted", "jwks_url", "http://lms.example/j", 422, "must begin with https://"},
		{"nothing", "token_url", "", 422, "The token URL is missing."},
		{"no issuer", "issuer", " ", 422, "The issuer is missing."},
		{"long name", "name", strings.Repeat("x", 121), 422, "Write a shorter name."},
		{"long deployment", "deployment", strings.Repeat("x", 256), 422, "longer than 255"},
		{"another organisation's", "issuer", w.fjord.reg.Issuer, 409, "belong to another organisation here"},
		{"known", "issuer", w.polder.reg.Issuer, 409, "has a connection with this issuer and client id already: “polder”"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			form := url.Values{}
			maps.Copy(form, good)
			form.Set(test.field, test.value)
			switch test.name {
			case "another organisation's":
				form.Set("client_id", w.fjord.reg.ClientID)
			case "known":
				form.Set("client_id", w.polder.reg.ClientID)
			}
			got := b.post("connections/new/other", form)
			want(t, got, test.status)
			says(t, got, test.say, "One thing has to be mended")
			if !strings.Contains(got.Body.String(), `aria-invalid="true"`) {
				t.Error("no field is marked")
			}
		})
	}
	t.Cleanup(func() {
		all, err := w.store.AllRegistrations(context.Background(), w.polder.org.ID) // that of the test is over
		must(t, err)
		if len(all) != 1 || len(w.checked) != 0 {
			t.Errorf("%d connections, checked %q", len(all), w.checked)
		}
	})
}

func TestCorrectConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	r, err := w.store.Connect(t.Context(), lti.Registration{
		OrganisationID: w.polder.org.ID, Name: "LMS", Issuer: "https://lms.example", ClientID: "c", AuthURL: "https://lms.example/a", TokenURL: "https://lms.example/t",
		JWKSURL: "https://lms.example/wrong", TokenAudience: "https://aud.example",
	}, "operator")
	must(t, err)
	page := "connections/" + r.ID + "/addresses"
	form := filled(b.get(page).Body.String())
	says(t, b.get(page), "By this the connection is known, so it stays.", "Connect it anew with these values")
	anew := filled(b.get("connections/new/other?from=" + r.ID).Body.String())
	if anew.Get("issuer") != r.Issuer || anew.Get("client_id") != r.ClientID || anew.Get("jwks_url") != r.JWKSURL {
		t.Errorf("anew: %v", anew)
	}
	want(t, w.enter(w.fjord.launch("boss", roleAdmin)).get("connections/new/other?from="+r.ID), http.StatusNotFound)
	form.Set("jwks_url", "javascript:alert(1)")
	got := b.post(page, form)
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "The key set URL")
	form.Set("jwks_url", "https://lms.example/keys")
	form.Set("name", "New name")
	got = b.post(page, form)
	want(t, got, http.StatusOK)
	says(t, got, "Saved.", "New name", "https://lms.example/keys")
	r.Name, r.JWKSURL, r.Deployments = "New name", "https://lms.example/keys", nil
	if diff := cmp.Diff(r, w.named("New name")); diff != "" {
		t.Errorf("corrected (-want +got):\n%s", diff)
	}
	if !slices.Equal(w.checked, []string{r.ID}) {
		t.Errorf("checked %q", w.checked)
	}
	if trail := w.trail(r.ID); !slices.Equal(trail, []string{"operator platform connected", "lms:" + w.polder.reg.ID + ":boss platform corrected"}) {
		t.Errorf("audit trail %q", trail)
	}
}
