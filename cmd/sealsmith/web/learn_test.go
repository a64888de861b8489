package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/lti"
)

func TestLearnerSeesWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, l := w.attach(w.polder, "learner-1", roleLearner)
	b := w.enter(l)

	got := b.get("learn")
	want(t, got, http.StatusOK)
	says(t, got, "Sustainable Food Systems", "You have no score yet. At least 55 % is asked.", "What counts")

	w.grades.set("learner-1", 48.5)
	got = b.get("learn")
	want(t, got, http.StatusOK)
	says(t, got, "Your score is 48.5 %. At least 55 % is asked; 6.5 % is missing.", "Yours is 48.5 %.")
	silent(t, got, "Claim my micro-credential")
}

func TestLearnerClaimsAndGetsTheCredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, l := w.attach(w.polder, "learner-1", roleLearner)
	w.grades.set("learner-1", 85)
	b := w.enter(l)

	got := b.get("learn")
	want(t, got, http.StatusOK)
	says(t, got, "Your micro-credential is ready", "This is exactly what will be sealed", "Maija Meikäläinen", "Your score is 85 %. At least 55 % is asked.",
		"By claiming you agree that Polder University of Technology has this record sealed by Alliance of Challenge-driven Universities", "Alliance of Challenge-driven Universities, on behalf of Polder University of Technology", "Claim my micro-credential", "Level", "Notional workload", "Type of assessment")
	silent(t, got, "Write it as in your passport")

	// A name in the form does not count where the platform told one: nobody claims for a friend.
	got = b.post("claim", url.Values{"given": {"A"}, "family": {"Friend"}})
	want(t, got, http.StatusSeeOther)
	if location := got.Header().Get("Location"); location != b.path("learn") {
		t.Errorf("Location %q", location)
	}
	got = b.get("learn")
	says(t, got, "Your credential is being sealed", "You are number 1 in line. It takes less than a minute.", "You can close this page.", "You said yes")
	if body := got.Body.String(); !strings.Contains(body, `<noscript><meta http-equiv="refresh" content="5"></noscript>`) || !strings.Contains(body, `data-live="state?shown=waiting"`) {
		t.Error("the page does not follow its state")
	}
	reads := w.grades.reads
	state := b.get("state?shown=waiting")
	if body := state.Body.String(); !strings.Contains(body, `"done":false,"position":1`) || state.Header().Get("Content-Type") != "text/event-stream" {
		t.Errorf("state: %s", body)
	}

	c, err := w.desk.OfLearner(t.Context(), w.polder.org.ID, a.ID, "learner-1")
	must(t, err)
	must(t, w.worker.Seal(t.Context(), c.ID))
	if body := b.get("state?shown=waiting").Body.String(); !strings.Contains(body, `"done":true`) {
		t.Errorf("state after sealing: %s", body)
	}
	got = b.get("learn")
	says(t, got, "It is yours.", "Maija Meikäläinen", "Sealed for Polder University of Technology on 20 November 2026, 12:00 UTC")
	if w.grades.reads != reads {
		t.Error("the grade was read although the claim is settled")
	}

	file := b.get("credential.jsonld")
	want(t, file, http.StatusOK)
	if d := file.Header().Get("Content-Disposition"); d != "attachment; filename=Sustainable-Food-Systems.jsonld" {
		t.Errorf("Content-Disposition %q", d)
	}
	if c := file.Header().Get("Content-Type"); c != "application/ld+json" || file.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("Content-Type %q", c)
	}
	says(t, b.get("learn"), "Saved by you")
	want(t, b.post("claim", url.Values{"family": {"Other"}}), http.StatusSeeOther)
	says(t, b.get("learn"), "Maija Meikäläinen")
	silent(t, b.get("learn"), "Friend")
}

func TestClaimRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		roles  []string
		score  float64
		form   url.Values
		status int
		say    string
	}{
		{"no family name", []string{roleLearner}, 85, url.Values{"given": {"Maija"}}, http.StatusUnprocessableEntity, "The name cannot be used as it is."},
		{"a name that shows as another", []string{roleLearner}, 85, url.Values{"family": {"Mei\u202Ekä"}}, http.StatusUnprocessableEntity, "without signs that cannot be seen"},
		{"not reached", []string{roleLearner}, 54, url.Values{"family": {"Meikäläinen"}}, http.StatusNotFound, "There is nothing at this address"},
		{"a test user", []string{roleLearner, roleTestUser}, 85, url.Values{"family": {"Meikäläinen"}}, http.StatusForbidden, "A test user cannot do this"},
		{"a teacher", []string{roleTeacher}, 85, url.Values{"family": {"Meikäläinen"}}, http.StatusForbidden, "Your role in this course does not open this page"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, l := w.attach(w.polder, "learner-1", test.roles...)
			w.grades.set("learner-1", test.score)
			l.User.GivenName, l.User.FamilyName, l.User.Name = "", "", "" // the platform keeps names to itself
			b := w.enter(l)
			b.get("learn")
			got := b.post("claim", test.form)
			want(t, got, test.status)
			says(t, got, test.say)
			if c, err := w.desk.OfLearner(t.Context(), w.polder.org.ID, a.ID, "learner-1"); err == nil && c.State != "open" {
				t.Errorf("the claim is %s", c.State)
			}
		})
	}
}

func TestClaimOfAGradeThatWasLowered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, l := w.attach(w.polder, "learner-1", roleLearner)
	w.grades.set("learner-1", 85)
	b := w.enter(l)
	says(t, b.get("learn"), "Your micro-credential is ready")
	w.grades.set("learner-1", 40)
	says(t, b.get("learn"), "You could have claimed this before.", "The rule of this course")
	got := b.post("claim", url.Values{"family": {"Meikäläinen"}})
	want(t, got, http.StatusConflict)
	says(t, got, "The score is not reached any more")
}

func TestGradesOutOfReach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, l := w.attach(w.polder, "learner-1", roleLearner)
	b := w.enter(l)
	w.grades.fail(&lti.ServiceError{Op: "read the results", URL: "https://moodle.polder.example/x?token=SECRET", Reason: lti.ReasonUnreachable})
	got := b.get("learn")
	want(t, got, http.StatusOK)
	says(t, got, "Your grade could not be read just now. The learning platform does not answer at the moment.", "You have no score yet.")
	silent(t, got, "SECRET")

	w.grades.fail(nil)
	w.grades.set("learner-1", 85)
	says(t, b.get("learn"), "Your micro-credential is ready")
	w.grades.fail(&lti.ServiceError{Reason: lti.ReasonBusy})
	got = b.get("learn")
	says(t, got, "Your micro-credential is ready", "The learning platform is busy or under maintenance.", "What you see here is from 20 November 2026", "and it stands")
	want(t, b.post("claim", url.Values{"family": {"Meikäläinen"}}), http.StatusSeeOther)
}

func TestSealingPausedIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, l := w.attach(w.polder, "learner-1", roleLearner)
	w.grades.set("learner-1", 85)
	w.pause()
	b := w.enter(l)
	says(t, b.get("learn"), "Sealing is paused: the token is not plugged in. Nobody is waiting.", "Claim my micro-credential")
	want(t, b.post("claim", url.Values{"family": {"Meikäläinen"}}), http.StatusSeeOther)
	got := b.get("learn")
	says(t, got, "Queued: sealing is paused, nothing is lost", "The reason: the token is not plugged in.", "number 1 in line", "as soon as sealing goes on")
	if body := b.get("state?shown=paused").Body.String(); !strings.Contains(body, `"done":false`) {
		t.Errorf("state: %s", body)
	}
	teacher := w.polder.launch("teacher", roleTeacher)
	teacher.Custom = l.Custom
	says(t, w.enter(teacher).get("class"), "Sealing is paused: the token is not plugged in. One claim is waiting; it is not lost.")
	says(t, w.enter(w.polder.choosing("teacher", roleTeacher)).get("pick"), "Sealing is paused")
	says(t, w.enter(w.polder.launch("boss", roleAdmin)).get("templates"), "Sealing is paused", "slot 0 is empty")

	_, err := w.db.Exec(t.Context(), `update claims set state = 'failed' where attachment_id = ?`, a.ID)
	must(t, err)
	says(t, b.get("learn"), "Your claim waits for a person", "office@polder.example")
}

func TestTestUserMayLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, l := w.attach(w.polder, "preview", roleLearner, roleTestUser)
	w.grades.set("preview", 100)
	b := w.enter(l)
	got := b.get("learn")
	want(t, got, http.StatusOK)
	says(t, got, "You are looking as a test user.", "a credential is made for real people only", "What you will get")
	if w.grades.reads != 0 {
		t.Error("the grade of a test user was read")
	}
	if _, err := w.desk.OfLearner(t.Context(), w.polder.org.ID, a.ID, "preview"); err == nil {
		t.Error("a test user has a claim")
	}
}
