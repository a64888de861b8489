package web_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

// pending registers an LMS of the house with an invitation, as dynamic registration does.
func (w *world) pending(h house, issuer, keys string) lti.Registration {
	w.t.Helper()
	ticket, err := w.store.Invite(w.t.Context(), h.org.ID, "", "operator", 0)
	must(w.t, err)
	done, err := w.store.UseInvitation(w.t.Context(), ticket, lti.Registration{
		OrganisationID: h.org.ID, Name: "Canvas test site", Issuer: issuer, ClientID: "10000000000017", AuthURL: issuer + "/auth",
		TokenURL: issuer + "/token", JWKSURL: keys, ProductFamily: "canvas", LoginKey: "key-17",
	})
	must(w.t, err)
	return done.Registration
}

// traced stores traces of a registration, the last one the newest.
func (w *world) traced(r lti.Registration, all ...lti.Trace) {
	w.t.Helper()
	traces := w.store.NewTraces(slog.New(slog.DiscardHandler))
	for i, tr := range all {
		tr.OrganisationID, tr.RegistrationID = r.OrganisationID, r.ID
		if tr.At.IsZero() {
			tr.At = noon.Add(time.Duration(i-len(all)) * time.Minute)
		}
		traces.Add(tr)
	}
	must(w.t, traces.Flush(w.t.Context()))
}

// exampleTraces are one of each kind that looks different.
func exampleTraces() []lti.Trace {
	ahead := -74
	same := 0
	return []lti.Trace{
		{ID: "0000-0000-0000-0001", Kind: lti.TraceNotice, MessageType: lti.NoticeContextCopy, Deployment: "1", Took: 2100},
		{
			ID: "0000-0000-0000-0002", Kind: lti.TraceLaunch, Browser: lti.BrowserStorage, Framed: true, Role: "teacher", MessageType: lti.MessageResourceLink,
			Deployment: "1", Context: "course-1", ResourceLink: "link-1", KID: "2026-11-b", Algorithm: "RS256", ClockAhead: &same, Took: 8123,
			Claims: []string{"aud", "exp", "https://purl.imsglobal.org/spec/lti/claim/roles", "iat", "iss", "nonce", "sub"}, Ignored: []string{"https://purl.imsglobal.org/spec/lti/claim/custom"},
		},
		{
			ID: "0000-0000-0000-0003", Kind: lti.TraceLogin, Code: lti.CodePlatformUnknown, Step: lti.StepPlatform, Status: 400, Received: "https://moodle.polder.example/",
			Advice: "This learning platform is not known here. Ask the administrator of this tool.",
			Hint:   `The issuer differs from the registered one only by a slash at the end: the platform says "https://moodle.polder.example/". Register it exactly so.`,
		},
		{
			ID: "0000-0000-0000-0004", Kind: lti.TraceLaunch, Code: lti.CodeKIDUnknown, Step: lti.StepKey, Status: 401, KID: "2026-11-b", Algorithm: "RS256",
			Expected: "2025-03-a", Received: "2026-11-b", Advice: "The key of the id_token is not in the key set of the learning platform. Compare the key set URL.",
			Cause: "read https://moodle.polder.example/jwks: 200", ClockAhead: &ahead, Took: 301, Claims: []string{"aud", "iss"},
		},
	}
}

// findings are one of each kind.
func exampleFindings() []lti.Finding {
	return []lti.Finding{
		{Check: "connection", State: lti.Healthy, Words: "active"},
		{Check: "key set", State: lti.Broken, Words: "the key set URL answers a page of HTML", Do: "Compare the key set URL with the one that the platform shows."},
		{Check: "clock", State: lti.Doubt, Words: "the platform's clock is 40s behind ours; 1m0s is tolerated", Do: "Set the clocks by NTP."},
		{Check: "hello-world notice", State: lti.Skipped, Words: "the platform offers no notices"},
	}
}

func (w *world) finds(all []lti.Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = all
}

// trail are the actions of the organisation about the subject, with their actors.
func (w *world) trail(subject string) []string {
	w.t.Helper()
	var rows []struct {
		Actor  string `db:"actor"`
		Action string `db:"action"`
	}
	must(w.t, w.db.Select(w.t.Context(), &rows, `select actor, action from audit where subject = ? order by id`, subject))
	var out []string
	for _, r := range rows {
		out = append(out, r.Actor+" "+r.Action)
	}
	return out
}

// connectionShots are the pages about connections in every state that looks different.
func connectionShots(t *testing.T) []shot {
	t.Helper()
	w := newWorld(t)
	var all []shot
	b := w.enter(w.polder.launch("boss", roleAdmin, roleTeacher))
	open := func(name, page string) { all = append(all, shot{name, b.path(page), b.get(page)}) }
	post := func(name, page string, form url.Values) {
		all = append(all, shot{name, b.path(page), b.post(page, form)})
	}
	own := "connections/" + w.polder.reg.ID
	open("connection-empty", own)
	waiting := w.pending(w.polder, "https://canvas-test.example", "https://keys.elsewhere.example/jwks")
	w.traced(w.polder.reg, exampleTraces()...)
	_, err := w.store.Invite(t.Context(), w.polder.org.ID, "Moodle of the faculty of arts", "lms:"+w.polder.reg.ID+":boss", 0)
	must(t, err)
	_, err = w.store.Invite(t.Context(), w.polder.org.ID, "", "operator", 0)
	must(t, err)
	_, err = w.store.SeeDeployment(t.Context(), w.polder.reg, "8865:aa8ca0d1dd4c6b7f8b3a6dd1d7e62a3d0a4e4b55", false)
	must(t, err)
	must(t, w.store.SetPrivateHosts(t.Context(), w.polder.org.ID, w.polder.reg.ID, []string{"moodle.intern.polder.example"}, "operator"))
	must(t, w.store.SetSettings(t.Context(), w.polder.org.ID, w.polder.reg.ID, lti.Settings{Hosts: []string{".polder.example"}, ClockSkew: 90}, "operator"))
	for _, kind := range []string{lti.NoticeContextCopy, lti.NoticeHelloWorld} {
		n := lti.Subscription{OrganisationID: w.polder.org.ID, RegistrationID: w.polder.reg.ID, DeploymentID: "1", Type: kind, ServiceURL: "https://moodle.polder.example/pns", Handler: origin + "/lti/notices"}
		must(t, w.store.WantNotices(t.Context(), n))
		if kind == lti.NoticeHelloWorld {
			must(t, w.store.PutSubscription(t.Context(), n, "The LMS did not answer."))
		}
	}
	open("connections", "connections")
	open("connections-sought", "connections/find?trace=1234-5678-9abc-def0")
	open("connection", own)
	open("connection-refused", own+"?only=refused&done=saved")
	open("connection-pending", "connections/"+waiting.ID)
	post("connection-moved", "connections/"+waiting.ID+"/status", url.Values{"to": {"active"}, "seen": {"old"}})
	w.finds(exampleFindings())
	post("connection-checked", own+"/check", nil)
	post("connection-own", own+"/status", url.Values{"to": {"paused"}})
	open("launch-refused", own+"/launches/0000-0000-0000-0004")
	open("launch-login", own+"/launches/0000-0000-0000-0003")
	open("launch-in", own+"/launches/0000-0000-0000-0002")
	open("launch-notice", own+"/launches/0000-0000-0000-0001")
	open("connect", "connections/new")
	post("connect-wrong", "connections/new", url.Values{"name": {strings.Repeat("x", 200)}})
	post("invited", "connections/new", url.Values{"name": {"Moodle of the faculty of arts"}})
	for _, family := range []string{"moodle", "canvas", "other"} {
		open("byhand-"+family, "connections/new/"+family)
	}
	post("byhand-wrong", "connections/new/ilias", url.Values{"issuer": {"https://ilias.example"}, "auth_url": {"ftp://ilias.example/auth"}})
	post("byhand-known", "connections/new/moodle", url.Values{"issuer": {w.polder.reg.Issuer}, "client_id": {w.polder.reg.ClientID}})
	post("byhand-saved", "connections/new/moodle", url.Values{"issuer": {"https://second.example"}, "client_id": {"abc"}})
	open("addresses", own+"/addresses")
	second := w.named("second.example")
	must(t, w.store.SetStatus(t.Context(), w.polder.org.ID, second.ID, lti.StatusPaused, "operator"))
	open("connection-paused", "connections/"+second.ID)
	return all
}

// named finds a connection of the polder house by its name.
func (w *world) named(name string) lti.Registration {
	w.t.Helper()
	all, err := w.store.AllRegistrations(w.t.Context(), w.polder.org.ID)
	must(w.t, err)
	i := slices.IndexFunc(all, func(r lti.Registration) bool { return r.Name == name })
	if i < 0 {
		w.t.Fatalf("no connection %q", name)
	}
	return all[i]
}

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

func TestLaunchesList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	page := "connections/" + w.polder.reg.ID
	says(t, b.get(page), "None yet. Here you see each login and launch")
	says(t, b.get(page+"?only=refused"), "None was refused")
	w.traced(w.polder.reg, exampleTraces()...)
	got := b.get(page)
	says(
		t, got, "The last launch was refused: the signature could not be checked with the keys of the LMS.", "Launch · teacher · by the platform’s storage",
		"Clock 74 seconds behind ours", "kid-unknown", "Expected2025-03-aReceived2026-11-b", "differs from the registered one only by a slash at the end", "Notice",
	)
	got = b.get(page + "?only=refused")
	says(t, got, "refused only", "platform-unknown")
	silent(t, got, "0000-0000-0000-0002")
	w.traced(w.polder.reg, lti.Trace{ID: "5", Kind: lti.TraceLaunch, Code: lti.CodeSignature, Step: lti.StepKey, At: noon}, lti.Trace{ID: "6", Kind: lti.TraceLaunch, Code: "internal", Status: 500, At: noon.Add(-time.Hour)})
	says(t, b.get(page), "The last 2 launches were refused for the same reason", "Something went wrong on this server.")
}

func TestLaunchTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	w.traced(w.polder.reg, append(exampleTraces(), lti.Trace{ID: "broken", Kind: lti.TraceLaunch, Code: "internal", Status: 500},
		lti.Trace{ID: "odd", Kind: lti.TraceLogin, Code: lti.CodeDeploymentLength, Step: lti.StepMessage})...)
	page := "connections/" + w.polder.reg.ID + "/launches/"
	got := b.get(page + "0000-0000-0000-0004")
	want(t, got, http.StatusOK)
	says(
		t, got, "The signature could not be checked with the keys of the LMS.", "The signed message can be read: passed", "The signature is that of the LMS: failed",
		"The message is fresh: not reached", "kid-unknown · answered with status 401", "read https://moodle.polder.example/jwks: 200", "Took300µs", "aud",
	)
	says(t, b.get(page+"0000-0000-0000-0002"), "It came in", "The platform’s storage gave our secret back.", "Key 2026-11-b, RS256.", "Not usable, so ignored", "inside a page of the LMS", "Role here: teacher.")
	says(t, b.get(page+"0000-0000-0000-0003"), "Register it exactly so.", "The connection is found, and it is active: failed")
	says(t, b.get(page+"0000-0000-0000-0001"), "to nobody: the LMS told us by itself")
	says(t, b.get(page+"broken"), "Something went wrong on this server: failed", "Give the trace number to the operator")
	says(t, b.get(page+"odd"), "The message says what is needed: failed")
	want(t, b.get(page+"none"), http.StatusNotFound)

	second := w.pending(w.polder, "https://canvas-test.example", "https://canvas-test.example/jwks")
	want(t, b.get("connections/"+second.ID+"/launches/0000-0000-0000-0004"), http.StatusNotFound)
}

func TestFindTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	second := w.pending(w.polder, "https://canvas-test.example", "https://canvas-test.example/jwks")
	w.traced(second, lti.Trace{ID: "2c9e-b1f4-0d77-55aa", Kind: lti.TraceLaunch})
	w.traced(w.fjord.reg, lti.Trace{ID: "ffff-b1f4-0d77-55aa", Kind: lti.TraceLaunch})
	for _, typed := range []string{"2c9e-b1f4-0d77-55aa", " 2C9E B1F4 0D77 55AA ", "2c9eb1f40d7755aa", "2c9e‐b1f4–0d77-55aa"} {
		got := b.get("connections/find?trace=" + url.QueryEscape(typed))
		want(t, got, http.StatusSeeOther)
		if to := got.Header().Get("Location"); to != b.path("connections/"+second.ID+"/launches/2c9e-b1f4-0d77-55aa") {
			t.Errorf("%q leads to %s", typed, to)
		}
	}
	for _, typed := range []string{"ffff-b1f4-0d77-55aa", "abc", `"><script>alert(1)</script>`, strings.Repeat("ä", 500)} {
		got := b.get("connections/find?trace=" + url.QueryEscape(typed))
		want(t, got, http.StatusNotFound)
		says(t, got, "There is no launch with the number")
		silent(t, got, "<script>alert", strings.Repeat("ä", 100))
	}
	want(t, b.get("connections/find?trace="), http.StatusSeeOther)
}

// TestEveryStepHasWords reads the steps from the file that declares them.
func TestEveryStepHasWords(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../../../lti/refusals.go")
	must(t, err)
	steps := regexp.MustCompile(`Step\w+ +Step = "([^"]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(steps) < 10 {
		t.Fatalf("only %d steps were found", len(steps))
	}
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	for i, step := range steps {
		id := fmt.Sprintf("step-%d", i)
		w.traced(w.polder.reg, lti.Trace{ID: id, Kind: lti.TraceLaunch, Code: "code", Step: lti.Step(step[1])})
		got := b.get("connections/" + w.polder.reg.ID + "/launches/" + id)
		want(t, got, http.StatusOK)
		silent(t, got, "Something went wrong on this server")
		if strings.Contains(got.Body.String(), "<strong></strong>") || strings.Contains(got.Body.String(), `<p></p>`) {
			t.Errorf("step %s has no name", step[1])
		}
	}
}

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
