package web_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

func TestConnectionsList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	says(t, b.get("connections"), "Connections", "polder", "https://moodle.polder.example", "you came in here", "Active", "None yet")
	w.traced(w.polder.reg, exampleTraces()...)
	w.pending(w.polder, "https://canvas-test.example", "https://canvas-test.example/jwks")
	_, err := w.store.SeeDeployment(t.Context(), w.polder.reg, "2", false)
	must(t, err)
	got := b.get("connections")
	want(t, got, http.StatusOK)
	says(t, got, "Canvas test site", "Waits for confirmation", "One deployment waits", "20 November 2026, 11:57 UTC", "2")
	silent(t, got, "fjord")
}

// TestInvitation: the ticket is on one page, once, and nowhere else.
func TestInvitation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	got := b.post("connections/new", url.Values{"name": {" Moodle \n of arts "}})
	want(t, got, http.StatusOK)
	says(t, got, "Copy this address now", "Moodle of arts", "Good until 27 November 2026, 12:00 UTC", "press “Add LTI Advantage”", "Blackboard LearnTakes no invitations")
	found := regexp.MustCompile(regexp.QuoteMeta(origin) + `/lti/register/([A-Za-z0-9_-]{43})`).FindStringSubmatch(got.Body.String())
	if found == nil {
		t.Fatalf("no address: %s", got.Body)
	}
	inv, err := w.store.Invitation(t.Context(), found[1])
	must(t, err)
	if inv.OrganisationID != w.polder.org.ID || inv.Name != "Moodle of arts" {
		t.Errorf("invitation %+v", inv)
	}
	list := b.get("connections")
	says(t, list, "Moodle of arts", "Made by you", "good until 27 November 2026")
	silent(t, list, found[1])
	if strings.Contains(w.log.String(), found[1]) {
		t.Error("the ticket is in the log")
	}
	var trail []string
	must(t, w.db.Select(t.Context(), &trail, `select actor || action || subject || detail from audit`))
	if strings.Contains(strings.Join(trail, "\n"), found[1]) {
		t.Error("the ticket is in the audit trail")
	}
	if diff := cmp.Diff([]string{"lms:" + w.polder.reg.ID + ":boss platform invited"}, w.trail(inv.ID)); diff != "" {
		t.Errorf("audit trail (-want +got):\n%s", diff)
	}

	says(t, w.enter(w.polder.launch("other", roleAdmin)).get("connections"), "Made by LMS user boss")
	want(t, w.enter(w.fjord.launch("boss", roleAdmin)).post("connections/invitations/"+inv.ID+"/withdraw", nil), http.StatusNotFound)
	want(t, b.post("connections/invitations/"+inv.ID+"/withdraw", nil), http.StatusSeeOther)
	says(t, b.get("connections?withdrawn=1"), "The invitation is withdrawn.")
	silent(t, b.get("connections"), "Moodle of arts")
	want(t, b.post("connections/invitations/"+inv.ID+"/withdraw", nil), http.StatusNotFound)
	if trail := w.trail(inv.ID); len(trail) != 2 || !strings.HasSuffix(trail[1], ":boss invitation withdrawn") {
		t.Errorf("audit trail %q", trail)
	}
}

func TestInvitationsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	want(t, b.post("connections/new", url.Values{"name": {strings.Repeat("x", 121)}}), http.StatusUnprocessableEntity)
	for range 20 {
		want(t, b.post("connections/new", nil), http.StatusOK)
	}
	got := b.post("connections/new", nil)
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "There are many open invitations.")
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	r := w.pending(w.polder, "https://canvas-test.example", "https://keys.elsewhere.example/jwks")
	page := "connections/" + r.ID
	got := b.get(page)
	want(t, got, http.StatusOK)
	says(t, got, "Is this your LMS?", "Keys, tokens or logins come from other hosts than the issuer:", "keys.elsewhere.example", "Confirm with these hosts", "Admin > Developer Keys, set the state of the key to “On”")
	form := filled(got.Body.String())

	// Somebody registers again with other addresses while the administrator reads.
	w.pending(w.polder, "https://canvas-test.example", "https://evil.example/jwks")
	got = b.post(page+"/status", url.Values{"to": {"active"}, "seen": form["seen"]})
	want(t, got, http.StatusConflict)
	says(t, got, "The addresses have changed since you looked", "evil.example")
	form = filled(got.Body.String())
	want(t, b.post(page+"/status", url.Values{"to": {"active"}}), http.StatusConflict)
	want(t, b.post(page+"/status", url.Values{"to": {"active"}, "seen": form["seen"]}), http.StatusSeeOther)
	says(t, b.get(page+"?done=active"), "It is active: people come in.", "Pause this connection")
	if got := w.named("Canvas test site"); got.Status != lti.StatusActive {
		t.Errorf("it is %s", got.Status)
	}
	if trail := w.trail(r.ID); !strings.HasSuffix(trail[len(trail)-1], ":boss platform confirmed") {
		t.Errorf("audit trail %q", trail)
	}

	got = b.post(page+"/status", url.Values{"to": {"active"}})
	want(t, got, http.StatusConflict)
	says(t, got, "This has moved on")
	want(t, b.post(page+"/status", url.Values{"to": {"pending"}}), http.StatusUnprocessableEntity)
	want(t, b.post(page+"/status", url.Values{"to": {"paused"}}), http.StatusSeeOther)
	says(t, b.get(page), "Nobody comes in through this connection.", "Resume")
	want(t, b.post(page+"/status", url.Values{"to": {"active"}}), http.StatusSeeOther)
	if trail := w.trail(r.ID); !slices.Equal(trail[len(trail)-2:], []string{"lms:" + w.polder.reg.ID + ":boss platform paused", "lms:" + w.polder.reg.ID + ":boss platform resumed"}) {
		t.Errorf("audit trail %q", trail)
	}
}

// TestOwnConnectionStays: nobody locks themselves out by a click.
func TestOwnConnectionStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	page := "connections/" + w.polder.reg.ID
	says(t, b.get(page), "You came in through this connection, and would lock yourself out.", "sealsmith platforms pause "+w.polder.reg.ID)
	got := b.post(page+"/status", url.Values{"to": {"paused"}})
	want(t, got, http.StatusConflict)
	says(t, got, "You have come in through this connection")
	if w.named("polder").Status != lti.StatusActive || len(w.trail(w.polder.reg.ID)) != 0 {
		t.Error("it was paused")
	}

	// Nor by other addresses; those that no login needs can be corrected.
	form := filled(b.get(page + "/addresses").Body.String())
	form.Set("jwks_url", "https://moodle.polder.example/other")
	got = b.post(page+"/addresses", form)
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "You have come in by this one, so it works")
	form.Set("jwks_url", w.polder.reg.JWKSURL)
	form.Set("token_url", "https://moodle.polder.example/token2")
	form.Set("issuer", "https://evil.example")
	want(t, b.post(page+"/addresses", form), http.StatusOK)
	if got := w.named("polder"); got.TokenURL != "https://moodle.polder.example/token2" || got.Issuer != w.polder.reg.Issuer {
		t.Errorf("corrected to %+v", got)
	}
}

func TestApproveDeployment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	page := "connections/" + w.polder.reg.ID
	const odd = `2"><b>`
	_, err := w.store.SeeDeployment(t.Context(), w.polder.reg, odd, false)
	must(t, err)
	got := b.get(page)
	says(t, got, "A deployment waits for approval", odd)
	silent(t, got, odd)
	want(t, b.post(page+"/approve", url.Values{"deployment": {"never seen"}}), http.StatusNotFound)
	for range 2 { // a second click does no harm
		want(t, b.post(page+"/approve", url.Values{"deployment": {odd}}), http.StatusSeeOther)
	}
	says(t, b.get(page+"?done=approved"), "The deployment is approved")
	if got := w.named("polder"); !slices.Equal(got.Deployments, []string{"1", odd}) || len(got.Pending) != 0 {
		t.Errorf("deployments %q, pending %q", got.Deployments, got.Pending)
	}
	if trail := w.trail(w.polder.reg.ID); !slices.Equal(trail, []string{"lms:" + w.polder.reg.ID + ":boss deployment approved"}) {
		t.Errorf("audit trail %q", trail)
	}
}

func TestNoticesAreAskedForAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	page := "connections/" + w.polder.reg.ID
	says(t, b.get(page), "The LMS has offered none.")
	n := lti.Subscription{OrganisationID: w.polder.org.ID, RegistrationID: w.polder.reg.ID, DeploymentID: "1", Type: lti.NoticeContextCopy, ServiceURL: "https://moodle.polder.example/pns", Handler: origin}
	must(t, w.store.WantNotices(t.Context(), n))
	says(t, b.get(page), "A course was copied", "Asked for")
	must(t, w.store.PutSubscription(t.Context(), n, "It said no."))
	says(t, b.get(page), "It said no.", "Not taken", "Ask for them again")
	want(t, b.post(page+"/notices", nil), http.StatusSeeOther)
	must(t, w.store.PutSubscription(t.Context(), n, ""))
	says(t, b.get(page+"?done=notices"), "Agreed, none yet", "within a minute")
	must(t, w.store.MarkNotice(t.Context(), w.polder.reg, lti.Notice{ID: "n", Type: n.Type, DeploymentID: "1"}))
	says(t, b.get(page), "They come", "last came on 20 November 2026, 12:00 UTC")
}

func TestCheckNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	page := "connections/" + w.polder.reg.ID
	want(t, b.get(page), http.StatusOK)
	if len(w.checked) != 0 {
		t.Error("looking at the page calls the platform")
	}
	w.finds(exampleFindings())
	got := b.post(page+"/check", nil)
	want(t, got, http.StatusOK)
	says(t, got, "Key set", "The key set URL answers a page of HTML.", "What to do: Compare the key set URL", "Does not work", "Look at it", "Not checked", "Fine")
	if !slices.Equal(w.checked, []string{w.polder.reg.ID}) {
		t.Errorf("checked %q", w.checked)
	}
}

// TestOneCheckAtATime: who presses twice does not call the platform twice.
func TestOneCheckAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	page := "connections/" + w.polder.reg.ID + "/check"
	begun, end := make(chan struct{}), make(chan struct{})
	w.checking = func(context.Context) { close(begun); <-end }
	first := make(chan int)
	go func() { first <- b.post(page, nil).Code }()
	<-begun
	says(t, b.post(page, nil), "A check of this connection is under way.")
	close(end)
	if code := <-first; code != http.StatusOK || len(w.checked) != 1 {
		t.Errorf("status %d, %d checks", code, len(w.checked))
	}
}

// TestConnectionsTenancy: what belongs to another organisation does not exist, whatever
// is asked of it.
func TestConnectionsTenancy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.traced(w.polder.reg, exampleTraces()...)
	_, err := w.store.SeeDeployment(t.Context(), w.polder.reg, "2", false)
	must(t, err)
	foreign := w.enter(w.fjord.launch("boss", roleAdmin))
	at := "connections/" + w.polder.reg.ID
	for _, page := range []string{at, at + "/addresses", at + "/launches/0000-0000-0000-0002", "connections/" + w.fjord.reg.ID + "/launches/0000-0000-0000-0002", "connections/none"} {
		want(t, foreign.get(page), http.StatusNotFound)
	}
	form := filled(w.enter(w.polder.launch("boss", roleAdmin)).get(at + "/addresses").Body.String())
	for page, form := range map[string]url.Values{
		at + "/status": {"to": {"paused"}}, at + "/approve": {"deployment": {"2"}}, at + "/notices": nil, at + "/check": nil, at + "/addresses": form,
	} {
		want(t, foreign.post(page, form), http.StatusNotFound)
	}
	silent(t, foreign.get("connections"), "polder")
	if got := w.named("polder"); got.Status != lti.StatusActive || len(got.Pending) != 1 || len(w.checked) != 0 || len(w.trail(got.ID)) != 0 {
		t.Errorf("it was changed: %+v", got)
	}
}

// TestHostileConnection: what an LMS calls itself stays text.
func TestHostileConnection(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	w := newWorld(t)
	b := w.enter(w.polder.launch(evil, roleAdmin))
	r, err := w.store.Connect(t.Context(), lti.Registration{
		OrganisationID: w.polder.org.ID, Name: evil, Issuer: "https://lms.example", ClientID: evil, AuthURL: "https://lms.example/a?" + evil,
		TokenURL: "https://lms.example/t", JWKSURL: "https://lms.example/j", ProductFamily: evil, TokenAudience: evil, Deployments: []string{evil},
	}, evil)
	must(t, err)
	_, err = w.store.SeeDeployment(t.Context(), r, evil+"2", false)
	must(t, err)
	_, err = w.store.Invite(t.Context(), w.polder.org.ID, evil, "lms:x:"+evil, 0)
	must(t, err)
	w.traced(r, lti.Trace{ID: "evil", Kind: evil, Code: evil, Step: evil, Expected: evil, Received: evil, Hint: evil, Advice: evil, Cause: evil, KID: evil, Claims: []string{evil}, Ignored: []string{evil}, Role: evil, Browser: evil, MessageType: evil})
	w.finds([]lti.Finding{{Check: evil, State: evil, Words: evil, Do: evil}})
	for _, page := range []string{"connections", "connections/" + r.ID, "connections/" + r.ID + "/addresses", "connections/" + r.ID + "/launches/evil", "connections/find?trace=" + url.QueryEscape(evil)} {
		got := b.get(page)
		silent(t, got, "<script>alert", "<img src=x")
		noInlineCode(t, strings.ReplaceAll(got.Body.String(), "onerror=alert", ""))
	}
	silent(t, b.post("connections/"+r.ID+"/check", nil), "<script>alert", "<img src=x")
	silent(t, b.post("connections/new", url.Values{"name": {evil}}), "<script>alert", "<img src=x")
}
