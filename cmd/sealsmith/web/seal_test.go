package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/cmd/sealsmith/web"
	"github.com/sealsmith/sealsmith/templates"
)

// ready and away are tokens as the server sees them.
func readyToken() web.TokenStatus {
	return web.TokenStatus{
		Name: "eSeal 53A1", Purpose: "seal", State: "READY", OK: true, Words: "ready. Its certificate ends in 41 days: order the next one", Algorithm: "RS256", Rate: 1.84, Signed: 1240, DaysLeft: 41,
		Certificates: []web.CertificateStatus{
			{Name: "Polder University eSeal", Role: "current", From: noon.AddDate(-3, 1, 10), Until: noon.AddDate(0, 1, 10)},
			{Name: "Polder University eSeal 2", Role: "next", From: noon.AddDate(0, 0, -2), Until: noon.AddDate(3, 0, -2)},
			{Name: "Polder University eSeal 0", Role: "retired", From: noon.AddDate(-6, 0, 0), Until: noon.AddDate(-3, 0, 0)},
		},
	}
}

func absentToken() web.TokenStatus {
	return web.TokenStatus{Name: "wallet 11", Purpose: "wallet", State: "ABSENT", Words: "the token is not plugged in: put it back, sealing goes on by itself", Signed: 3, Failed: 2}
}

func (w *world) change(change func(*world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// sealShots are the states of the page Seal.
func sealShots(t *testing.T) []shot {
	t.Helper()
	w := newWorld(t)
	admin := w.enter(w.polder.launch("boss", roleAdmin))
	var all []shot
	open := func(name string) { all = append(all, shot{name, admin.path("seal"), admin.get("seal")}) }
	open("seal-none")
	w.change(func(w *world) {
		w.tokens = []web.TokenStatus{readyToken(), absentToken()}
		w.sealing.Rate = 1.84
		w.stamps = []web.StampStatus{
			{Name: "tsa.example", OK: true, Words: "answered last 20 November 2026 12:00:00 UTC"},
			{Name: "tsa2.example", Words: "the time-stamping authority cannot be reached: no answer within 10s; asked last 20 November 2026 11:58:12 UTC"},
		}
	})
	open("seal")
	w.waitingProof(t, "time-stamping authority tsa.example: the time-stamping authority cannot be reached")
	open("seal-proofs-wait")
	stamps := w.stamps
	w.change(func(w *world) { w.stamps = nil })
	open("seal-no-authority")
	w.change(func(w *world) { w.stamps = stamps })
	_, err := w.db.Exec(t.Context(), `update credential_proofs set level = goal`)
	must(t, err)
	open("seal-renewal")
	_, err = w.signer().RunOnce(t.Context())
	must(t, err)
	open("seal-lists")
	w.revoke("The exam was another one.")
	_, err = w.db.Exec(t.Context(), `update status_lists set not_before = ?`, noon)
	must(t, err)
	w.token.away.Store(true)
	_, err = w.signer().RunOnce(t.Context())
	must(t, err)
	open("seal-lists-wait")
	return append(all, roomShots(t)...)
}

// roomShots are the states of the queue on that page: claims that have stopped, and a pause.
func roomShots(t *testing.T) []shot {
	t.Helper()
	w := newWorld(t)
	w.change(func(w *world) { w.tokens, w.sealing.Rate = []web.TokenStatus{readyToken()}, 1.84 })
	v, attachment := w.queued(t)
	_, err := w.db.Exec(t.Context(), `update claims set state = 'failed', attempts = 12, last_error = 'the page image is too large: shorten the title' where attachment_id = ?`, attachment)
	must(t, err)
	admin := w.enter(w.polder.launch("boss", roleAdmin))
	all := []shot{{"seal-stopped", admin.path("seal"), admin.get("seal")}}
	want(t, admin.post("seal/retry", url.Values{"claim": {w.stopped(t)}}), http.StatusSeeOther)
	want(t, admin.post("seal/pause", url.Values{"words": {"The exam board looks at the results again."}}), http.StatusSeeOther)
	return append(all, shot{"seal-paused", admin.path("seal"), admin.get("seal")}, shot{"sealing-paused-by-hand", v.path("learn"), v.get("learn")})
}

// queued is a learner whose claim waits.
func (w *world) queued(t *testing.T) (b browser, attachmentID string) {
	t.Helper()
	a, l := w.attach(w.polder, "learner-1", roleLearner)
	w.grades.set("learner-1", 85)
	b = w.enter(l)
	want(t, b.get("learn"), http.StatusOK)
	want(t, b.post("claim", url.Values{"given": {"Maija"}, "family": {"Virtanen"}}), http.StatusSeeOther)
	return b, a.ID
}

// stopped is the id of the claim that has failed.
func (w *world) stopped(t *testing.T) string {
	t.Helper()
	var id string
	must(t, w.db.Get(t.Context(), &id, `select id from claims where state = 'failed' limit 1`))
	return id
}

// An administrator looks at what has stopped, tries it again, takes it out, pauses and resumes.
func TestSealRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, attachment := w.queued(t)
	admin := w.enter(w.polder.launch("boss", roleAdmin))
	fail := func() string {
		_, err := w.db.Exec(t.Context(), `update claims set state = 'failed' where attachment_id = ?`, attachment)
		must(t, err)
		return w.stopped(t)
	}
	state := func(want string) {
		t.Helper()
		var got string
		must(t, w.db.Get(t.Context(), &got, `select state from claims where attachment_id = ?`, attachment))
		if got != want {
			t.Errorf("the claim is %s, want %s", got, want)
		}
	}
	id := fail()
	stranger := w.enter(w.fjord.launch("boss", roleAdmin))
	for _, what := range []string{"seal/retry", "seal/drop"} {
		want(t, stranger.post(what, url.Values{"claim": {id}}), http.StatusNotFound)
	}
	want(t, stranger.post("seal/retry", nil), http.StatusSeeOther) // none of theirs
	state("failed")
	want(t, admin.post("seal/retry", url.Values{"claim": {id}}), http.StatusSeeOther)
	state("queued")
	want(t, admin.post("seal/retry", url.Values{"claim": {id}}), http.StatusConflict)
	fail()
	want(t, admin.post("seal/retry", nil), http.StatusSeeOther)
	state("queued")
	want(t, admin.post("seal/drop", url.Values{"claim": {id}}), http.StatusSeeOther)
	state("open")

	want(t, admin.post("seal/pause", url.Values{"words": {strings.Repeat("x", 501)}}), http.StatusUnprocessableEntity)
	want(t, admin.post("seal/pause", url.Values{"words": {"Wrong dates"}}), http.StatusSeeOther)
	if page := admin.get("seal").Body.String(); !strings.Contains(page, "Everybody who waits reads: Wrong dates.") {
		t.Error("the page does not say that sealing is paused")
	}
	if page := stranger.get("seal").Body.String(); strings.Contains(page, "Wrong dates") {
		t.Error("another organisation reads of the pause")
	}
	want(t, stranger.post("seal/resume", nil), http.StatusConflict)
	want(t, admin.post("seal/resume", nil), http.StatusSeeOther)
	want(t, admin.post("seal/resume", nil), http.StatusConflict)
}

// What cannot seal is not said to, and nothing is foretold while it cannot.
func TestSealRoomWithoutToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _ = w.sealed()
	w.queued(t)
	w.change(func(w *world) {
		away := readyToken()
		away.OK, away.State, away.Words = false, "ABSENT", "the token is not plugged in"
		w.tokens = []web.TokenStatus{away}
		w.sealing = web.SealingStatus{Paused: true, Reason: "the seal token cannot be used at the moment"}
		w.stamps = []web.StampStatus{{Name: "tsa.example", OK: true, Unasked: true, Words: "not asked since the server was started"}}
	})
	page := w.enter(w.polder.launch("boss", roleAdmin)).get("seal")
	says(t, page, "Does not seal", "Seals when the token does", "Not asked yet", "One claim is waiting", "the newest one within")
	for _, wrong := range []string{"Seals now", "Answers<", "The last one is sealed in", "not yet measured"} {
		if strings.Contains(page.Body.String(), wrong) {
			t.Errorf("the page says %q", wrong)
		}
	}
}

// waitingProof seals a credential that waits for its time-stamp.
func (w *world) waitingProof(t *testing.T, why string) {
	t.Helper()
	w.worker.Level = templates.SealLTA
	_, _ = w.sealed()
	_, err := w.db.Exec(t.Context(), `update credential_proofs set last_error = ?`, why)
	must(t, err)
}

func TestSealPage(t *testing.T) {
	t.Parallel()
	says := map[string][]string{
		"seal-none":       {"No token is set up for your organisation", "No time-stamping authority is set up", "The first sealed credential opens a list."},
		"seal-lists":      {"Your organisation’s lists: 1 signed, valid until 22 November 2026, 12:00:00 UTC."},
		"seal-lists-wait": {"Signing waits", "1 signed, valid until 22 November 2026", "one does not tell of the last withdrawals yet; signing waits: ask for the key", "the token is not plugged in", "What was signed last goes on to be served"},
		"seal": {
			"eSeal 53A1", "Seals now", "Takes over by itself", "Retired", "order the next one", ">41<", "1.8", ">1240<",
			"wallet 11", "Does not seal", "put it back, sealing goes on by itself", "Its key is for wallet formats", "3, 2 attempts failed",
			"tsa.example", "Answers", "Does not answer", "no answer within 10s", "Your credentials reach JAdES level B-LTA", "No credential waits for it",
		},
		"seal-stopped": {"One claim has stopped", "The page image is too large: shorten the title.", "after 12 tries", "Try all again", "Pause sealing"},
		"seal-paused": {
			"Paused by you on", "The exam board looks at the results again.",
			"Nothing is being sealed: the token can be taken out.", "Let sealing go on",
		},
		"sealing-paused-by-hand": {"an administrator of the organisation has paused it (The exam board looks at the results again)"},
		"seal-proofs-wait":       {"One sealed credential waits for it. They are valid meanwhile.", "Last trouble: time-stamping authority tsa.example"},
		"seal-renewal":           {"An older time-stamp could not be renewed yet. Last trouble: time-stamping authority tsa.example"},
		"seal-no-authority":      {"One sealed credential waits for time-stamps, and no time-stamping authority is set up any more"},
	}
	for _, s := range sealShots(t) {
		if s.answer.Code != http.StatusOK {
			t.Fatalf("%s: %d", s.name, s.answer.Code)
		}
		page := s.answer.Body.String()
		for _, sentence := range says[s.name] {
			if !strings.Contains(page, sentence) {
				t.Errorf("%s does not say %q", s.name, sentence)
			}
		}
		delete(says, s.name)
	}
	if len(says) > 0 {
		t.Errorf("not shown: %v", says)
	}
}

// The page is for administrators, and shows each organisation its own tokens.
func TestSealPageIsForAdministrators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, role := range []string{roleTeacher, roleLearner} {
		_, l := w.attach(w.polder, "somebody", role)
		if got := w.enter(l).get("seal"); got.Code != http.StatusForbidden || strings.Contains(got.Body.String(), "eSeal") {
			t.Errorf("%s got %d", role, got.Code)
		}
	}
	admin := w.enter(w.fjord.launch("boss", roleAdmin))
	want(t, admin.get("seal"), http.StatusOK)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.asked) == 0 || w.asked[len(w.asked)-1] != "fjord" {
		t.Errorf("the tokens of %v were asked for", w.asked)
	}
}

// A teacher watches how far the class is, until the last one is sealed.
func TestCohort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, l := w.attach(w.polder, "learner-1", roleLearner)
	w.grades.set("learner-1", 85)
	learner := w.enter(l)
	want(t, learner.get("learn"), http.StatusOK)
	want(t, learner.post("claim", url.Values{"given": {"Maija"}, "family": {"Virtanen"}}), http.StatusSeeOther)
	teaching := l
	teaching.Roles, teaching.User.Subject = []string{roleTeacher}, "teacher"
	teacher := w.enter(teaching)
	want(t, teacher.post("read", nil), http.StatusSeeOther)
	page := teacher.get("class").Body.String()
	for _, words := range []string{`data-live="cohort?shown=1"`, `<strong data-live-pos>0</strong> of 1 who have claimed`, "in less than a minute"} {
		if !strings.Contains(page, words) {
			t.Errorf("the page does not say %q", words)
		}
	}
	state := func(want string) {
		t.Helper()
		if got := teacher.get("cohort?shown=1").Body.String(); got != "retry: 5000\ndata: "+want+"\n\n" {
			t.Errorf("got %q, want %s", got, want)
		}
	}
	state(`{"done":false,"position":0,"eta":"in less than a minute","percent":0}`)
	want(t, w.enter(w.polder.launch("boss", roleAdmin)).post("seal/pause", nil), http.StatusSeeOther)
	state(`{"done":false,"position":0,"eta":"as soon as sealing goes on","percent":0}`)
	_, err := w.db.Exec(t.Context(), `update claims set state = 'sealed'`)
	must(t, err)
	state(`{"done":true,"position":1,"eta":"","percent":1}`)
	if page := teacher.get("class").Body.String(); strings.Contains(page, "data-live") {
		t.Error("the page still watches")
	}
	want(t, learner.get("cohort"), http.StatusForbidden)
}
