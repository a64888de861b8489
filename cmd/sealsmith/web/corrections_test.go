package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/lti"
)

// claimed is the claim of the learner who holds the sealed credential.
func (w *world) claimed() issuance.Claim {
	w.t.Helper()
	all, err := w.desk.OfPerson(w.t.Context(), w.polder.org.ID, w.polder.reg.ID, "learner-1")
	must(w.t, err)
	if len(all) != 1 {
		w.t.Fatalf("%d claims", len(all))
	}
	return all[0]
}

// askedCorrection is a correction that waits, of a credential that is sealed for it.
func (w *world) askedCorrection() issuance.Correction {
	w.t.Helper()
	w.sealed()
	x, err := w.desk.Propose(w.t.Context(), issuance.Proposal{
		OrganisationID: w.polder.org.ID, ClaimID: w.claimed().ID, Name: issuance.Name{Given: "Maja", Family: "Meikäläinen"}, Words: "My name is Maja.", By: issuance.ByLearner,
	})
	must(w.t, err)
	return x
}

// lastCorrection is the newest one of the learner.
func (w *world) lastCorrection() issuance.Correction {
	w.t.Helper()
	all, err := w.desk.CorrectionsOf(w.t.Context(), w.polder.org.ID, w.claimed().ID)
	must(w.t, err)
	if len(all) == 0 {
		w.t.Fatal("there is no correction")
	}
	return all[0]
}

func asking(given, family string) url.Values {
	return url.Values{"given": {given}, "family": {family}, "words": {"That is not how I am called."}}
}

func ruling(evidence issuance.Evidence) url.Values {
	return url.Values{"evidence": {string(evidence)}, "reference": {"Shown at the desk, file 4711"}, "answer": {"You are right, we are sorry."}}
}

// links are the public pages of all credentials of the learner, the newest first.
func (w *world) links() []issuance.Credential {
	w.t.Helper()
	all, err := w.desk.CredentialsOf(w.t.Context(), w.polder.org.ID, w.claimed().ID)
	must(w.t, err)
	return all
}

// correctionShots are the states of the pages about corrections.
func correctionShots(t *testing.T) []shot {
	t.Helper()
	w := newWorld(t)
	holder, link := w.sealed()
	l := w.polder.launch("boss", roleAdmin, roleTeacher)
	l.NRPS = lti.NRPS{URL: "https://moodle.polder.example/nrps"}
	w.members = lti.Roster{Members: []lti.Member{{UserID: "learner-1", Name: "Maja Meikäläinen"}}}
	admin := w.enter(l)
	var all []shot
	open := func(name string, b browser, page string) { all = append(all, shot{name, b.path(page), b.get(page)}) }
	post := func(name string, b browser, page string, form url.Values) {
		all = append(all, shot{name, b.path(page), b.post(page, form)})
	}
	file := w.get("/c/" + link + "/credential.jsonld").Body.Bytes()
	open("corrections-none", admin, "corrections")
	open("name", holder, "name")
	post("name-wrong", holder, "name", url.Values{"given": {"Maja"}})
	post("name-same", holder, "name", asking("Maija", "Meikäläinen"))
	want(t, holder.post("name", asking("Maja", "Meikäläinen")), http.StatusSeeOther)
	open("name-asked", holder, "name")
	open("credential-asked", holder, "learn")
	open("corrections", admin, "corrections")
	at := "corrections/" + w.lastCorrection().ID
	open("correction", admin, at)
	post("correction-wrong", admin, at+"/confirm", url.Values{"reference": {"x"}})
	post("correction-decline-wrong", admin, at+"/decline", nil)
	want(t, admin.post(at+"/decline", url.Values{"answer": {"Please bring a proof."}}), http.StatusSeeOther)
	open("name-declined", holder, "name")
	open("credential-declined", holder, "learn")
	open("correction-declined", admin, at)
	post("correction-decided", admin, at+"/confirm", ruling(issuance.EvidencePassport))

	want(t, holder.post("name", asking("ليلى", "حدّاد")), http.StatusSeeOther)
	at = "corrections/" + w.lastCorrection().ID
	open("correction-arabic", admin, at)
	want(t, admin.post(at+"/confirm", ruling(issuance.EvidencePassport)), http.StatusSeeOther)
	open("credential-correcting", holder, "learn")
	open("correction-waits", admin, at)
	_, err := w.db.Exec(t.Context(), `update claims set state = 'failed', last_error = 'the page image is too large'`)
	must(t, err)
	open("credential-not-corrected", holder, "learn")
	open("correction-failed", admin, at)
	open("corrections-failed", admin, "corrections")
	want(t, admin.post(at+"/again", nil), http.StatusSeeOther)
	must(t, w.worker.Seal(t.Context(), w.claimed().ID))
	open("credential-corrected", holder, "learn")
	open("correction-done", admin, at)
	all = append(all,
		shot{"public-replaced", "/c/" + link, w.get("/c/" + link)},
		shot{"public-corrected", "/c/" + w.links()[0].Link, w.get("/c/" + w.links()[0].Link)},
		shot{"verify-replaced", "/verify", w.upload("coastal-monitoring.jsonld", file, "text/html")})
	open("correction-new", admin, "corrections/new")
	open("correction-new-missing", admin, "corrections/new?credential=nobody")
	open("correction-new-replaced", admin, "corrections/new?credential="+link)
	open("correction-new-found", admin, "corrections/new?credential="+w.links()[0].ID)
	post("correction-new-wrong", admin, "corrections/new", url.Values{"credential": {w.links()[0].ID}, "given": {"Leyla"}})
	want(t, holder.post("name", asking("Leyla", "Haddad")), http.StatusSeeOther)
	want(t, holder.post("name/back", nil), http.StatusSeeOther)
	open("name-limit", holder, "name")
	return all
}

// TestCorrectionOnThePages is the whole way on the pages: the learner asks, staff look and
// confirm, the worker seals, and everybody who looks is led from each to the other.
func TestCorrectionOnThePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	holder, link := w.sealed()
	old := w.onlyCredential()
	file := w.get("/c/" + link + "/credential.jsonld").Body.Bytes()
	l := w.polder.launch("boss", roleAdmin)
	l.NRPS = lti.NRPS{URL: "https://moodle.polder.example/nrps"}
	w.members = lti.Roster{Members: []lti.Member{{UserID: "learner-1", Name: "Maja Meikäläinen"}}}
	admin := w.enter(l)
	says(t, holder.get("learn"), "Something is wrong with my name")
	says(t, holder.get("name"), "You can ask three times within 30 days.")
	got := holder.post("name", url.Values{"given": {"Maja"}, "words": {"x"}})
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "Write the family name")
	got = holder.post("name", url.Values{"family": {"X"}})
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "Write a few words")
	got = holder.post("name", asking("Maija", "Meikäläinen"))
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "The credential has this name already.")
	want(t, holder.post("name", asking("Maja", "Meikäläinen")), http.StatusSeeOther)
	says(t, holder.get("name"), "You have asked for another name on 20 November 2026: Maja Meikäläinen.", "Take it back")
	silent(t, holder.get("name"), "Ask for this name")
	got = holder.post("name", asking("Maja", "Meikäläinen"))
	want(t, got, http.StatusConflict)
	says(t, holder.get("learn"), "Another name was asked for on 20 November 2026")

	list := admin.get("corrections")
	says(t, list, "by the learner", "Waits")
	if body := list.Body.String(); !strings.Contains(body, `Corrections <span class="badge">1<span class="vh"> waits</span></span>`) || !strings.Contains(body, "Ma<del>i</del>ja Meikäläinen") {
		t.Errorf("the list: %s", plain(body))
	}
	at := "corrections/" + w.lastCorrection().ID
	says(t, admin.get(at), "That is not how I am called.", "Maja Meikäläinen the same as it should be", "by the learner")
	elsewhere := w.enter(w.polder.launch("boss", roleAdmin))
	says(t, elsewhere.get(at), "Not told. Open this page from the course")
	got = admin.post(at+"/confirm", url.Values{"answer": {"Yes."}})
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "Choose what you have seen.", "Say where it can be found again", "Yes.")
	want(t, admin.post(at+"/again", nil), http.StatusConflict)
	want(t, admin.post(at+"/confirm", ruling(issuance.EvidenceRecord)), http.StatusSeeOther)
	got = admin.post(at+"/decline", url.Values{"answer": {"No."}})
	want(t, got, http.StatusConflict)
	says(t, got, "Nothing was done: it was decided already, on 20 November 2026.", "Record of the student administration", "file 4711", "by you")

	says(t, holder.get("learn"), "A corrected credential is being sealed, for Maja Meikäläinen.", "This one is in force until then", "You are right, we are sorry.", "Maija Meikäläinen")
	silent(t, holder.get("learn"), "4711", "lms:", "boss")
	says(t, w.get("/c/"+link), "This credential is genuine.")
	must(t, w.worker.Seal(t.Context(), w.claimed().ID))
	next := w.links()[0]

	own := holder.get("learn")
	says(t, own, "It is yours.", "This is a corrected credential.", "the one of 20 November 2026", "Maja Meikäläinen")
	if !strings.Contains(own.Body.String(), origin+"/c/"+link) || !strings.Contains(own.Body.String(), origin+"/c/"+next.Link) {
		t.Error("the learner's page does not lead to both")
	}
	for name, page := range map[string]string{"public": w.get("/c/" + link).Body.String(), "upload": w.upload("x.jsonld", file, "text/html").Body.String()} {
		if !strings.Contains(page, `<a href="/c/`+next.Link+`">Go to the corrected credential</a>`) || !strings.Contains(page, ">REPLACED</text>") || !strings.Contains(plain(page), "A corrected credential has taken its place") {
			t.Errorf("%s: %s", name, plain(page))
		}
	}
	after := w.get("/c/" + next.Link)
	says(t, after, "This credential is genuine.", "It takes the place of an earlier one, in which the name of the learner was wrong.")
	if !strings.Contains(after.Body.String(), `<a href="/c/`+link+`">Look at the earlier credential</a>`) {
		t.Error("the new one does not lead to the old one")
	}
	if got := w.get("/c/" + link + "/credential.jsonld"); got.Code != http.StatusOK || got.Body.String() != string(file) {
		t.Errorf("the old file: %d", got.Code)
	}
	want(t, w.get("/c/"+link+"/certificate.pdf"), http.StatusGone)
	want(t, holder.get("certificate.pdf"), http.StatusOK)
	w.wantStatus(old, map[string]string{"standing": "replaced", "replaced_by": "urn:credential:" + next.ID})
	w.wantStatus(next.ID, map[string]string{"standing": "in_force", "replaces": "urn:credential:" + old})
	says(t, w.get("/c/"+link+"?format=json"), `"replaced_by":"urn:credential:`+next.ID+`"`)
	says(t, w.get("/c/"+next.Link+"?format=json"), `"replaces":"urn:credential:`+old+`"`)
	says(t, admin.get(at), "Corrected", "Public page of the one that holds now")
	silent(t, admin.get("corrections"), `<strong class="num">`)
}

// wantStatus asks as programs do.
func (w *world) wantStatus(id string, say map[string]string) {
	w.t.Helper()
	got := w.get("/status/" + id)
	want(w.t, got, http.StatusOK)
	silent(w.t, got, "Maija", "Maja", "learner-1")
	var out map[string]any
	must(w.t, json.Unmarshal(got.Body.Bytes(), &out))
	for key, value := range say {
		if out[key] != value {
			w.t.Errorf("%s is %q, want %q", key, out[key], value)
		}
	}
}

// TestChangeOfName: the page of the new credential says that there was another one, and does not
// lead to the former name.
func TestChangeOfName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, link := w.sealed()
	admin := w.enter(w.polder.launch("boss", roleAdmin))
	form := ruling(issuance.EvidenceCourt)
	form.Set("credential", origin+"/c/"+link)
	form.Set("given", "Marko")
	want(t, admin.post("corrections/new", form), http.StatusUnprocessableEntity)
	form.Set("family", "Meikäläinen")
	got := admin.post("corrections/new", form)
	want(t, got, http.StatusSeeOther)
	must(t, w.worker.Seal(t.Context(), w.claimed().ID))
	after := w.get("/c/" + w.links()[0].Link)
	says(t, after, "Marko Meikäläinen", "It takes the place of an earlier one")
	silent(t, after, link, "Maija")
	says(t, w.get("/c/"+link), "Go to the corrected credential")
	got = admin.post("corrections/new", form)
	want(t, got, http.StatusConflict)
	says(t, got, "it is replaced by another one since 20 November 2026")
	for _, unknown := range []string{"", "nobody", w.fjord.org.ID} {
		form.Set("credential", unknown)
		want(t, admin.post("corrections/new", form), http.StatusNotFound)
	}
}

// TestGiveUpOnThePages: what cannot be sealed is ended by staff, and the learner reads why.
func TestGiveUpOnThePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	holder, _ := w.sealed()
	admin := w.enter(w.polder.launch("boss", roleAdmin))
	want(t, holder.post("name", asking("Maja", "Meikäläinen")), http.StatusSeeOther)
	at := "corrections/" + w.lastCorrection().ID
	want(t, admin.post(at+"/end", url.Values{"answer": {"x"}}), http.StatusConflict)
	want(t, admin.post(at+"/confirm", ruling(issuance.EvidencePassport)), http.StatusSeeOther)
	_, err := w.db.Exec(t.Context(), `update claims set state = 'failed', last_error = 'the page image is too large'`)
	must(t, err)
	says(t, holder.get("learn"), "The corrected credential could not be made yet.", "This credential stays in force")
	silent(t, holder.get("learn"), "page image")
	says(t, admin.get(at), "The page image is too large", "Try again", "The old one stays in force")
	want(t, admin.post(at+"/end", nil), http.StatusUnprocessableEntity)
	want(t, admin.post(at+"/end", url.Values{"answer": {"The font lacks a letter."}}), http.StatusSeeOther)
	says(t, holder.get("learn"), "The name stays", "The font lacks a letter.", "It is yours.", "Maija Meikäläinen")
	silent(t, admin.get("corrections"), `<strong class="num">`)
}

// TestCorrectionsStayInTheHouse: another organisation sees and changes nothing of it; learners
// reach only their own.
func TestCorrectionsStayInTheHouse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	x := w.askedCorrection()
	link := w.links()[0].Link
	stranger := w.enter(w.fjord.launch("boss", roleAdmin))
	silent(t, stranger.get("corrections"), "Meik", x.ID)
	want(t, stranger.get("corrections/"+x.ID), http.StatusNotFound)
	want(t, stranger.get("corrections/new?credential="+link), http.StatusNotFound)
	for _, post := range []string{"confirm", "decline", "again", "end"} {
		want(t, stranger.post("corrections/"+x.ID+"/"+post, ruling(issuance.EvidencePassport)), http.StatusNotFound)
	}
	_, attached := w.attach(w.polder, "learner-2", roleLearner)
	other := w.enter(attached)
	want(t, other.get("name"), http.StatusNotFound)
	want(t, other.post("name", asking("A", "B")), http.StatusNotFound)
	want(t, other.post("name/back", nil), http.StatusNotFound)
	tester := attached
	tester.Roles = []string{roleTestUser}
	want(t, w.enter(tester).post("name", asking("A", "B")), http.StatusForbidden)
	if got := w.lastCorrection(); got.State != issuance.CorrectionAsked {
		t.Errorf("it is %s", got.State)
	}
}

// Whoever asks what is kept about them gets both credentials and both names.
func TestPrivacyNamesCorrections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	x := w.askedCorrection()
	_, err := w.desk.ConfirmCorrection(t.Context(), issuance.Ruling{
		OrganisationID: w.polder.org.ID, CorrectionID: x.ID, Evidence: issuance.EvidencePassport, Reference: "file 4711", Words: "Sorry.", By: "operator-7",
	})
	must(t, err)
	must(t, w.worker.Seal(t.Context(), x.ClaimID))
	l := w.polder.launch("learner-1", roleLearner)
	l.MessageType = lti.MessageDataPrivacy
	got := w.enter(l).get("privacy.json")
	want(t, got, http.StatusOK)
	silent(t, got, "operator-7")
	var doc struct {
		Claims []struct {
			Credential  string
			Earlier     []struct{ Credential string } `json:"earlier_credentials"`
			Corrections []map[string]any
		}
	}
	must(t, json.Unmarshal(got.Body.Bytes(), &doc))
	if len(doc.Claims) != 1 || len(doc.Claims[0].Earlier) != 1 || len(doc.Claims[0].Corrections) != 1 {
		t.Fatalf("%s", got.Body)
	}
	kept := doc.Claims[0]
	if !strings.Contains(kept.Credential, "Maja") || !strings.Contains(kept.Earlier[0].Credential, "Maija") || strings.Contains(kept.Earlier[0].Credential, "Maja") {
		t.Error("the credentials are not the two")
	}
	for key, value := range map[string]any{"state": "done", "old_name": "Maija Meikäläinen", "new_name": "Maja Meikäläinen", "evidence": "passport", "reference": "file 4711", "answer": "Sorry.", "asked_by_learner": true, "words": "My name is Maja."} {
		if kept.Corrections[0][key] != value {
			t.Errorf("%s is %v", key, kept.Corrections[0][key])
		}
	}
}

// TestStaffCorrectionNeedsTwo: where revoking takes two people, one administrator begins and another
// one confirms.
func TestStaffCorrectionNeedsTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, link := w.sealed()
	must(t, w.templates.SetSecondPerson(t.Context(), w.polder.org.ID, true, "operator"))
	anna, ben := w.enter(w.polder.launch("anna", roleAdmin)), w.enter(w.polder.launch("ben", roleAdmin))
	form := ruling(issuance.EvidencePassport)
	form.Set("credential", link)
	form.Set("given", "Maja")
	form.Set("family", "Meikäläinen")
	want(t, anna.post("corrections/new", form), http.StatusSeeOther)
	at := "corrections/" + w.lastCorrection().ID
	says(t, anna.get(at), "by you", "Somebody else has to confirm it")
	got := anna.post(at+"/confirm", ruling(issuance.EvidencePassport))
	want(t, got, http.StatusConflict)
	says(t, got, "Nothing was done: this takes two people")
	silent(t, ben.get(at), "Somebody else has to confirm it", "Their words")
	says(t, ben.get(at), "Proposed answer to the learner")
	want(t, ben.post(at+"/confirm", ruling(issuance.EvidencePassport)), http.StatusSeeOther)
	silent(t, ben.get(at), "Their words", "Proposed answer to the learner")
	must(t, w.worker.Seal(t.Context(), w.claimed().ID))
	old, next := w.links()[1], w.links()[0]
	page := ben.get("credentials/" + old.ID)
	says(t, page, "Maija Meikäläinen", "Replaced", "The corrected credential")
	if !strings.Contains(page.Body.String(), ben.path("credentials/"+next.ID)) {
		t.Error("the page of the old one does not lead to the new one")
	}
	page = ben.get("credentials/" + next.ID)
	says(t, page, "Maja Meikäläinen", "In force", "The one before", "Correct it")
	if !strings.Contains(page.Body.String(), ben.path("credentials/"+old.ID)) || !strings.Contains(page.Body.String(), ben.path("corrections/new?credential="+next.ID)) {
		t.Error("the page of the new one leads neither to the old one nor to another correction")
	}
}
