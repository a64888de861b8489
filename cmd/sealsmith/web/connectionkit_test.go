package web_test

import (
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

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
		{Check: "clock", State: lti.Doubt, Words: "the platform's clock is 40 seconds behind ours; 60 seconds are tolerated", Do: "Set the clocks by NTP."},
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
	open("connection-refused", own+"?only=refused&done=approved")
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
