package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/lti"
)

// staffWorld is a world with sealed credentials of one class, and three people of the house.
type staffWorld struct {
	*world

	boss, deputy browser
	attachment   grading.Attachment
	launch       lti.Launch
	ids          []string // of the credentials, the one sealed last first
}

func newStaffWorld(t *testing.T, learners int) *staffWorld {
	t.Helper()
	w := &staffWorld{world: newWorld(t)}
	w.boss = w.enter(w.polder.launch("boss", roleAdmin))
	w.deputy = w.enter(w.polder.launch("deputy", roleAdmin))
	w.attachment, w.launch = w.attach(w.polder, "learner-0", roleLearner)
	for i := range learners {
		w.seal(i)
	}
	must(t, w.desk.TendOnce(t.Context()))
	return w
}

// seal seals for one more learner.
func (w *staffWorld) seal(i int) {
	w.t.Helper()
	l := w.launch
	l.User.Subject = fmt.Sprint("learner-", i)
	w.grades.set(l.User.Subject, 85)
	b := w.enter(l)
	want(w.t, b.get("learn"), http.StatusOK)
	l.User = lti.User{Subject: l.User.Subject}
	want(w.t, b.post("claim", url.Values{"given": {"Maija"}, "family": {"Meikäläinen"}}), http.StatusSeeOther)
	c, err := w.desk.OfLearner(w.t.Context(), w.polder.org.ID, w.attachment.ID, l.User.Subject)
	must(w.t, err)
	must(w.t, w.worker.Seal(w.t.Context(), c.ID))
	credential, err := w.desk.Credential(w.t.Context(), w.polder.org.ID, c.ID)
	must(w.t, err)
	w.ids = append([]string{credential.ID}, w.ids...)
}

func (w *staffWorld) twoPeople() {
	w.t.Helper()
	must(w.t, w.templates.SetSecondPerson(w.t.Context(), w.polder.org.ID, true, "operator"))
}

// order is the form of an act.
func staffForm(act, reason, words string) url.Values {
	return url.Values{"act": {act}, "reason": {reason}, "words": {words}}
}

func (w *staffWorld) many(do, expect string) url.Values {
	return url.Values{"attachment": {w.attachment.ID}, "do": {do}, "expect": {expect}, "reason": {"wrong_content"}, "words": {"The exam was another one."}}
}

// location is where an answer leads.
func location(tb testing.TB, b browser, got *httptest.ResponseRecorder) string {
	tb.Helper()
	want(tb, got, http.StatusSeeOther)
	return strings.TrimPrefix(got.Header().Get("Location"), b.path(""))
}

// staffShots are the pages about credentials in every state that looks different.
func staffShots(t *testing.T) []shot {
	t.Helper()
	var all []shot
	empty := newWorld(t)
	nobody := empty.enter(empty.polder.launch("boss", roleAdmin, roleTeacher))
	all = append(all, shot{"credentials-none", nobody.path("credentials"), nobody.get("credentials")},
		shot{"orders-none", nobody.path("credentials/orders"), nobody.get("credentials/orders")})

	w := newStaffWorld(t, 3)
	open := func(name string, b browser, page string) { all = append(all, shot{name, b.path(page), b.get(page)}) }
	post := func(name string, b browser, page string, form url.Values) {
		all = append(all, shot{name, b.path(page), b.post(page, form)})
	}
	one, two := "credentials/"+w.ids[0], "credentials/"+w.ids[1]
	open("credential-staff", w.boss, one)
	post("credential-staff-wrong", w.boss, one+"/preview", staffForm("revoked", "other", ""))
	post("foretold-revoke", w.boss, one+"/preview", staffForm("revoked", "wrong_person", ""))
	post("foretold-suspend", w.boss, one+"/preview", staffForm("suspended", "misconduct", "The exam is looked at again."))
	want(t, w.boss.post(one+"/act", staffForm("suspended", "misconduct", "The exam is looked at again.")), http.StatusSeeOther)
	open("credential-staff-suspended", w.boss, one+"?done=suspended")
	post("foretold-reinstate", w.boss, one+"/preview", staffForm("reinstated", "", ""))
	want(t, w.boss.post(two+"/act", staffForm("revoked", "wrong_person", "")), http.StatusSeeOther)
	open("credential-staff-revoked", w.boss, two)
	for name, address := range map[string]string{"public-wrong-person": "/c/" + w.link(w.ids[1]), "file-wrong-person": "/c/" + w.link(w.ids[1]) + "/credential.jsonld"} {
		all = append(all, shot{name, address, w.get(address)})
	}
	w.twoPeople()
	post("foretold-two-people", w.boss, one+"/preview", staffForm("revoked", "misconduct", ""))
	want(t, w.boss.post(one+"/act", staffForm("revoked", "misconduct", "")), http.StatusSeeOther)
	open("credential-staff-waits", w.deputy, one)
	open("credentials", w.boss, "credentials?from=2026-11-01&version="+w.polder.version.ID)
	open("credentials-activity", w.boss, "credentials?attachment="+w.attachment.ID)
	open("credentials-name", w.boss, "credentials?q=meika+mai&standing=suspended")
	open("many", w.boss, "credentials/revoke?attachment="+w.attachment.ID)
	post("many-moved", w.boss, "credentials/revoke", w.many("preview", "7"))
	post("many-sure", w.boss, "credentials/revoke", w.many("preview", "2"))
	order := location(t, w.boss, w.boss.post("credentials/revoke", w.many("revoke", "2")))
	open("order-mine", w.boss, order)
	open("order-theirs", w.deputy, order)
	open("orders", w.deputy, "credentials/orders")
	asked, _, _ := strings.Cut(order, "?")
	want(t, w.boss.post(asked+"/confirm", nil), http.StatusForbidden)
	all = append(all, shot{"same-person", w.boss.path(asked + "/confirm"), w.boss.post(asked+"/confirm", nil)})
	_, err := w.desk.ConfirmOrder(t.Context(), w.polder.org.ID, strings.TrimPrefix(asked, "credentials/orders/"), "operator:anna")
	must(t, err)
	open("order-running", w.deputy, asked)
	must(t, w.desk.TendOnce(t.Context()))
	open("order-done", w.deputy, asked)
	open("orders-before", w.deputy, "credentials/orders")
	teaching := w.launch
	teaching.Roles, teaching.User.Subject = []string{roleTeacher, roleAdmin}, "teacher"
	open("class-withdrawn", w.enter(teaching), "class")
	return all
}

// TestStaffRevokes goes the way of one administrator through all that can be done to one
// credential.
func TestStaffRevokes(t *testing.T) {
	t.Parallel()
	w := newStaffWorld(t, 1)
	id := w.ids[0]
	page := "credentials/" + id
	got := w.boss.get("credentials")
	want(t, got, http.StatusOK)
	says(t, got, "Maija Meikäläinen", "Sustainable Food Systems · version 1", "In force")
	for _, q := range []string{id, "urn:credential:" + id, "/c/" + w.link(id)} {
		if at := location(t, w.boss, w.boss.get("credentials?q="+url.QueryEscape(q))); at != page {
			t.Errorf("%s leads to %s", q, at)
		}
	}
	says(t, w.boss.get("credentials?q=MEIKALAINEN"), "Maija Meikäläinen")
	says(t, w.boss.get("credentials?q=nobody"), "No such credential.")
	says(t, w.boss.get("credentials?q="+url.QueryEscape(`"><script>7`)), "No such credential.")
	says(t, w.boss.get("credentials?standing=revoked"), "No such credential.")

	for _, wrong := range []url.Values{staffForm("revoked", "", ""), staffForm("suspended", "other", " "), staffForm("revoked", "dislike", "x"), staffForm("suspended", "misconduct", strings.Repeat("é", 501))} {
		got := w.boss.post(page+"/preview", wrong)
		want(t, got, http.StatusUnprocessableEntity)
		says(t, got, "Choose a reason.")
		want(t, w.boss.post(page+"/act", wrong), http.StatusUnprocessableEntity)
	}
	want(t, w.boss.post(page+"/preview", staffForm("burnt", "misconduct", "")), http.StatusUnprocessableEntity)
	want(t, w.boss.post(page+"/preview", staffForm("reinstated", "", "")), http.StatusConflict)

	// What is foretold is what is said afterwards.
	got = w.boss.post(page+"/preview", staffForm("suspended", "misconduct", "The exam is looked at  again."))
	want(t, got, http.StatusOK)
	const headline, because = "This credential is suspended since 20 November 2026 by Polder University of Technology.", "The result behind it did not come about honestly. The exam is looked at again."
	says(t, got, headline, because, "Suspend it?", "until it is in force again")
	w.wantStands(id, issuance.StandsInForce)
	if at := location(t, w.boss, w.boss.post(page+"/act", filled(got.Body.String()))); at != page+"?done=suspended" {
		t.Errorf("leads to %s", at)
	}
	w.wantStands(id, issuance.StandsSuspended)
	says(t, w.get("/c/"+w.link(id)), headline, because)
	says(t, w.boss.get(page+"?done=suspended"), "The credential is suspended.", "Suspended: not in force20 November 2026, 12:00 UTC, by you. "+because)
	says(t, w.deputy.get(page), "by LMS user boss")
	got = w.boss.post(page+"/preview", staffForm("reinstated", "", "All is well."))
	says(t, got, "Put it in force again?", "The PDF is given out again.")
	want(t, w.boss.post(page+"/act", filled(got.Body.String())), http.StatusSeeOther)
	w.wantStands(id, issuance.StandsInForce)
	got = w.boss.post(page+"/preview", staffForm("revoked", "wrong_person", ""))
	says(t, got, "Withdraw it for good?", "This credential was withdrawn on 20 November 2026", "does not say any more whose name")
	want(t, w.boss.post(page+"/act", filled(got.Body.String())), http.StatusSeeOther)
	w.wantStands(id, issuance.StandsRevoked)
	want(t, w.boss.post(page+"/act", staffForm("revoked", "wrong_person", "")), http.StatusConflict)
	got = w.boss.get(page)
	says(t, got, "Withdrawn for good", "In force again", "All is well.")
	silent(t, got, "Change how it stands")
	silent(t, w.boss.get("credentials?standing=in_force"), "Maija")
	says(t, w.boss.get("credentials?standing=revoked"), "Maija Meikäläinen", "It was awarded to the wrong person.")
}

func (w *staffWorld) link(id string) string {
	w.t.Helper()
	var link string
	must(w.t, w.db.Get(w.t.Context(), &link, `select link from credentials where id = ?`, id))
	return link
}

func (w *staffWorld) wantStands(id string, want issuance.InForce) {
	w.t.Helper()
	now, err := w.desk.Standing(w.t.Context(), id)
	must(w.t, err)
	if now.InForce != want {
		w.t.Errorf("it is %s, want %s", now.InForce, want)
	}
}

// TestStaffNeedsTwo: one administrator asks, another one decides.
func TestStaffNeedsTwo(t *testing.T) {
	t.Parallel()
	w := newStaffWorld(t, 1)
	w.twoPeople()
	id := w.ids[0]
	page := "credentials/" + id
	ask := func() string {
		t.Helper()
		got := w.boss.post(page+"/preview", staffForm("revoked", "misconduct", "The exam was read aloud."))
		says(t, got, "This takes two people.", "Ask for a second person")
		if at := location(t, w.boss, w.boss.post(page+"/act", filled(got.Body.String()))); at != page+"?done=asked" {
			t.Errorf("leads to %s", at)
		}
		w.wantStands(id, issuance.StandsInForce)
		waiting, err := w.desk.Orders(t.Context(), w.polder.org.ID, true, 5)
		must(t, err)
		if len(waiting) != 1 {
			t.Fatalf("%d wait", len(waiting))
		}
		return "credentials/orders/" + waiting[0].ID
	}
	order := ask()
	says(t, w.boss.get(page), "Revoking it was asked for by you on 20 November 2026, and waits for a second person.")
	for _, tab := range []string{"credentials", "templates", "seal", "connections"} {
		says(t, w.deputy.get(tab), "1 waits for a second person")
	}
	says(t, w.deputy.get("credentials"), "An order to revoke waits for a second person.")
	want(t, w.boss.post(page+"/act", staffForm("revoked", "misconduct", "")), http.StatusConflict)
	got := w.boss.get(order)
	says(t, got, "You have asked for it, so somebody else decides.")
	silent(t, got, "/confirm")
	for _, decision := range []string{"confirm", "decline"} {
		got := w.boss.post(order+"/"+decision, nil)
		want(t, got, http.StatusForbidden)
		says(t, got, "This is for the other person")
	}
	want(t, w.deputy.post(order+"/withdraw", nil), http.StatusForbidden)
	want(t, w.deputy.post(order+"/burn", nil), http.StatusNotFound)
	says(t, w.deputy.get(order), "You are the second person.", "Maija Meikäläinen", "LMS user boss", "The exam was read aloud.")
	want(t, w.deputy.post(order+"/decline", nil), http.StatusSeeOther)
	says(t, w.deputy.get(order+"?done=decline"), "You have declined it.", "by you on 20 November 2026")
	want(t, w.deputy.post(order+"/confirm", nil), http.StatusConflict)
	w.wantStands(id, issuance.StandsInForce)

	order = ask()
	want(t, w.boss.post(order+"/withdraw", nil), http.StatusSeeOther)
	w.wantStands(id, issuance.StandsInForce)
	order = ask()
	want(t, w.deputy.post(order+"/confirm", nil), http.StatusSeeOther)
	w.wantStands(id, issuance.StandsRevoked)
	says(t, w.deputy.get(order), "Done", "by LMS user boss", "by you")
	says(t, w.boss.get(page), "by you, confirmed by LMS user deputy. The result behind it did not come about honestly. The exam was read aloud.")
	silent(t, w.deputy.get("credentials"), "for a second person")
}

// TestStaffRevokesMany: the number that was shown is the number that is meant.
func TestStaffRevokesMany(t *testing.T) {
	t.Parallel()
	w := newStaffWorld(t, 4)
	got := w.boss.get("credentials?attachment=" + w.attachment.ID)
	says(t, got, "Only of one activity, in the course Sustainable Food Systems, autumn 2026.", "Revoke all of these")
	silent(t, w.boss.get("credentials"), "Revoke all of these")
	got = w.boss.get("credentials/revoke?attachment=" + w.attachment.ID)
	want(t, got, http.StatusOK)
	says(t, got, "How many4", "All of the course Sustainable Food Systems, autumn 2026 that are in force or suspended")
	want(t, w.boss.get("credentials/revoke"), http.StatusUnprocessableEntity)
	want(t, w.boss.get("credentials/revoke?from=2020-01-01"), http.StatusUnprocessableEntity)
	says(t, w.boss.get("credentials/revoke?version="+w.polder.version.ID+"&until=2026-11-19"), "There is none, so there is nothing to do.", "sealed on 19 November 2026 or before")

	form := filled(got.Body.String())
	refused := w.boss.post("credentials/revoke", form)
	want(t, refused, http.StatusUnprocessableEntity)
	form.Set("reason", "wrong_content")
	got = w.boss.post("credentials/revoke", form)
	want(t, got, http.StatusOK)
	says(t, got, "Withdraw 4 for good?", "This credential was withdrawn on 20 November 2026", "Something that it says is wrong.")
	sure := filled(got.Body.String())
	w.seal(4)
	got = w.boss.post("credentials/revoke", sure)
	want(t, got, http.StatusConflict)
	says(t, got, "The number has changed since you looked, so nothing was done. There are 5 now.")
	w.wantStands(w.ids[1], issuance.StandsInForce)
	form = filled(got.Body.String())
	form.Set("reason", "wrong_content")
	sure = filled(w.boss.post("credentials/revoke", form).Body.String())
	order := location(t, w.boss, w.boss.post("credentials/revoke", sure))
	says(t, w.boss.get(order), "It has begun.", "5 credentials", "Done", "Withdrawn5", "Failed0")
	for _, id := range w.ids {
		w.wantStands(id, issuance.StandsRevoked)
	}
	events := w.boss.get(strings.Replace(order, "?done=ordered", "/state", 1))
	want(t, events, http.StatusOK)
	if !strings.Contains(events.Body.String(), `"done":true`) || events.Header().Get("Content-Type") != "text/event-stream" {
		t.Errorf("%s", events.Body)
	}
}

// TestStaffPages: pages of fifty, and back to the first.
func TestStaffPages(t *testing.T) {
	t.Parallel()
	w := newStaffWorld(t, 1)
	for i := range 60 {
		_, err := w.db.Exec(t.Context(), `insert into claims (id, organisation_id, attachment_id, decision_id, version_id, registration_id, learner, state,
			given_name, family_name, attempts, not_before, lease_token, last_error, created_at, updated_at)
			select 'c' || ?, organisation_id, attachment_id, decision_id, version_id, registration_id, 'x' || ?, 'sealed', 'Given', 'Copy' || ?, 0, not_before, '', '', created_at, updated_at from claims where learner = 'learner-0'`, i, i, i)
		must(t, err)
		_, err = w.db.Exec(t.Context(), `insert into credentials (id, organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, sealed, sealed_at, link, created_at)
			select 'k' || ?, organisation_id, 'c' || ?, issued_at, payload, '', key_id, sealed, ?, 'l' || ?, created_at from credentials where id = ?`, i, i, noon.Add(-time.Duration(i+1)*time.Minute), i, w.ids[0])
		must(t, err)
	}
	first := w.boss.get("credentials")
	says(t, first, "Maija", "Copy48", "Next page")
	silent(t, first, "Copy49", "First page")
	next := ""
	for _, m := range linked.FindAllStringSubmatch(first.Body.String(), -1) {
		if strings.Contains(m[1], "after=") {
			next = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	second := w.boss.get(strings.TrimPrefix(next, w.boss.path("")))
	says(t, second, "Copy49", "Copy59", "First page")
	silent(t, second, "Copy48<", "Next page", "Maija")
}

// TestStaffTenancy: credentials and orders of another organisation do not exist, whoever asks
// for them and however.
func TestStaffTenancy(t *testing.T) {
	t.Parallel()
	w := newStaffWorld(t, 1)
	w.twoPeople()
	id := w.ids[0]
	o, err := w.desk.AskRevoke(t.Context(), issuance.Ask{
		Selection: issuance.Selection{OrganisationID: w.polder.org.ID, IDs: []string{id}}, Reason: issuance.ReasonInError, By: "operator:anna", Expect: 1,
	})
	must(t, err)
	foreign := w.enter(w.fjord.launch("boss", roleAdmin))
	for _, page := range []string{"credentials/" + id, "credentials/orders/" + o.ID, "credentials/orders/" + o.ID + "/state", "credentials?attachment=" + w.attachment.ID, "credentials/revoke?attachment=" + w.attachment.ID, "credentials/revoke?version=" + w.polder.version.ID} {
		want(t, foreign.get(page), http.StatusNotFound)
	}
	for page, form := range map[string]url.Values{
		"credentials/" + id + "/preview": staffForm("suspended", "misconduct", ""), "credentials/" + id + "/act": staffForm("suspended", "misconduct", ""),
		"credentials/orders/" + o.ID + "/confirm": nil, "credentials/orders/" + o.ID + "/decline": nil, "credentials/orders/" + o.ID + "/withdraw": nil,
		"credentials/revoke": w.many("revoke", "1"),
	} {
		want(t, foreign.post(page, form), http.StatusNotFound)
	}
	for _, q := range []string{"", "?q=" + id, "?q=" + w.link(id), "?q=meikalainen", "?version=" + w.polder.version.ID} {
		got := foreign.get("credentials" + q)
		want(t, got, http.StatusOK)
		silent(t, got, "Maija", "Meikäläinen")
	}
	silent(t, foreign.get("credentials/orders"), o.ID)
	silent(t, foreign.get("templates"), "for a second person")
	w.wantStands(id, issuance.StandsInForce)
	if got, err := w.desk.Order(t.Context(), w.polder.org.ID, o.ID); err != nil || got.State != issuance.OrderAsked {
		t.Errorf("%+v (%v)", got, err)
	}
	want(t, w.boss.get("credentials/nonsense"), http.StatusNotFound)
	want(t, w.boss.get("credentials/orders/nonsense"), http.StatusNotFound)
}

// TestStaffCrossOrigin: a form of another site does nothing.
func TestStaffCrossOrigin(t *testing.T) {
	t.Parallel()
	w := newStaffWorld(t, 1)
	for _, page := range []string{"credentials/" + w.ids[0] + "/act", "credentials/revoke"} {
		form := staffForm("revoked", "misconduct", "")
		if page == "credentials/revoke" {
			form = w.many("revoke", "1")
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, origin+w.boss.path(page), strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.AddCookie(w.boss.cookie)
		want(t, w.do(r), http.StatusForbidden)
	}
	w.wantStands(w.ids[0], issuance.StandsInForce)
}

// TestClassCountsWithdrawn: what does not count is not counted as sealed.
func TestClassCountsWithdrawn(t *testing.T) {
	t.Parallel()
	w := newStaffWorld(t, 3)
	want(t, w.boss.post("credentials/"+w.ids[0]+"/act", staffForm("suspended", "misconduct", "The exam is looked at again.")), http.StatusSeeOther)
	want(t, w.boss.post("credentials/"+w.ids[1]+"/act", staffForm("revoked", "awarded_in_error", "")), http.StatusSeeOther)
	teaching := w.launch
	teaching.Roles, teaching.User.Subject = []string{roleTeacher}, "teacher"
	says(t, w.enter(teaching).get("class"), "Sealed1", "Not in force2", "Suspended", "Withdrawn", "does not count until your organisation has decided. The result behind it did not come about honestly. The exam is looked at again.",
		"The credential was withdrawn for good on 20 November 2026. It was awarded in error.")
}
