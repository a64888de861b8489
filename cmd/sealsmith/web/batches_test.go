package web_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/cmd/sealsmith/web"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
	"github.com/sealsmith/sealsmith/lti"
)

// faculty is a course of six learners: three have finished and have names, one has finished
// without a name, one has claimed, one has not finished.
type faculty struct {
	*world
	launch          lti.Launch // of a learner
	teacher, admin  browser
	attachment, org string
}

func newFaculty(t *testing.T) *faculty {
	t.Helper()
	f := &faculty{world: newWorld(t)}
	a, l := f.attach(f.polder, "learner-1", roleLearner)
	l.NRPS = lti.NRPS{URL: "https://moodle.polder.example/members"}
	f.launch, f.attachment, f.org = l, a.ID, a.OrganisationID
	for i, name := range []string{"Noor van den Berg", "Joost Müller", "Maija Meikäläinen", "", "Ole Hansen", "Ana Souza"} {
		id := fmt.Sprintf("learner-%d", i+1)
		given, family, _ := strings.Cut(name, " ")
		f.members.Members = append(f.members.Members, lti.Member{
			UserID: id, Status: lti.MemberActive, Roles: []string{roleLearner}, GivenName: given, FamilyName: family, Name: name, Email: id + "@polder.example",
		})
		f.grades.set(id, map[bool]float64{true: 40, false: 80}[i == 5])
	}
	as := func(subject string, roles ...string) browser {
		l := f.launch
		l.User, l.Roles = lti.User{Subject: subject}, roles
		return f.enter(l)
	}
	f.teacher, f.admin = as("teacher", roleTeacher), as("boss", roleTeacher, roleAdmin)
	want(t, f.teacher.post("read", nil), http.StatusSeeOther)
	want(t, f.learner("learner-5").post("claim", url.Values{"given": {"Ole"}, "family": {"Hansen"}}), http.StatusSeeOther)
	return f
}

func (f *faculty) learner(subject string) browser {
	l := f.launch
	l.User, l.Roles = lti.User{Subject: subject, GivenName: "Some", FamilyName: "One"}, []string{roleLearner}
	return f.enter(l)
}

// drafted follows the answer of a form to the page of the batch that it made.
func (f *faculty) drafted(t *testing.T, b browser, got *httptest.ResponseRecorder) string {
	t.Helper()
	want(t, got, http.StatusSeeOther)
	page, ok := strings.CutPrefix(got.Header().Get("Location"), b.path(""))
	if !ok || !strings.HasPrefix(page, "batches/") {
		t.Fatalf("sent to %q", got.Header().Get("Location"))
	}
	return page
}

var digestField = regexp.MustCompile(`name="digest" value="([0-9a-f]{64})"`)

// confirm says yes to what the page shows.
func (f *faculty) confirm(t *testing.T, page string) {
	t.Helper()
	shown := digestField.FindStringSubmatch(f.admin.get(page).Body.String())
	if shown == nil {
		t.Fatal("the page asks for no yes")
	}
	want(t, f.admin.post(page+"/confirm", url.Values{"digest": {shown[1]}}), http.StatusSeeOther)
}

// work does what the server's loop would.
func (f *faculty) work(t *testing.T) {
	t.Helper()
	for worked := true; worked; {
		var err error
		worked, err = f.batches.Work(t.Context())
		must(t, err)
	}
}

// seal seals everything that waits, but for those of the learners.
func (f *faculty) seal(t *testing.T, but ...string) {
	t.Helper()
	claims, err := f.desk.OfAttachment(t.Context(), f.org, f.attachment)
	must(t, err)
	for _, c := range claims {
		if c.State == issuance.Queued && !strings.Contains(strings.Join(but, " "), c.Learner) {
			must(t, f.worker.Seal(t.Context(), c.ID))
		}
	}
}

// file posts the form of a file.
func (b browser) file(content string, values map[string]string) *httptest.ResponseRecorder {
	b.w.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range values {
		must(b.w.t, form.WriteField(name, value))
	}
	if content != "" {
		part, err := form.CreateFormFile("file", "results.csv")
		must(b.w.t, err)
		_, err = part.Write([]byte(content))
		must(b.w.t, err)
	}
	must(b.w.t, form.Close())
	r := httptest.NewRequestWithContext(b.w.t.Context(), http.MethodPost, origin+b.path("award/file"), &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.AddCookie(b.cookie)
	return b.w.do(r)
}

const someResults = "e-mail;score;maximum\nlearner-6@polder.example;17;20\nlearner-1@polder.example;18;20\nnobody@polder.example;20;20\nlearner-2@polder.example;seventeen;20\n"

func TestAwardToMany(t *testing.T) {
	t.Parallel()
	f := newFaculty(t)
	says(t, f.teacher.get("class"), "Award to many")
	says(t, f.teacher.get("award"), "6 learners in the course", "Nothing happens before an administrator of your organisation has confirmed")
	page := f.drafted(t, f.teacher, f.teacher.post("award", url.Values{"title": {"Exam of November"}}))
	got := f.teacher.get(page)
	says(t, got, "Exam of November", "Would get it3", "Would be left out3", "Noor van den Berg", "Joost Müller", "No name is known",
		"Has claimed or has it already", "The score is 40 %, at least 55 % is asked.", "An administrator of your organisation has to confirm it")
	silent(t, got, "/confirm")
	want(t, f.teacher.post(page+"/confirm", url.Values{"digest": {"x"}}), http.StatusForbidden)

	says(t, f.admin.get("batches"), "Exam of November", "Waits for a yes")
	want(t, f.admin.post(page+"/confirm", url.Values{"digest": {strings.Repeat("a", 64)}}), http.StatusConflict)
	f.work(t)
	if c, err := f.desk.OfLearner(t.Context(), f.org, f.attachment, "learner-1"); err != nil || c.State != issuance.Open {
		t.Errorf("%s before anybody said yes, %v", c.State, err)
	}
	f.confirm(t, page)
	got = f.admin.get(page)
	says(t, got, "Under way", "0 of 3 done", "confirmed by you")
	f.work(t)
	says(t, f.admin.get(page), "Being sealed", "0 of 3 done")
	state := f.admin.get(page + "/state?shown=sealing").Body.String()
	if !strings.Contains(state, `"done":false`) || !strings.Contains(state, `"percent":0`) {
		t.Errorf("state %s", state)
	}
	f.seal(t)
	state = f.admin.get(page + "/state?shown=sealing").Body.String()
	if !strings.Contains(state, `"done":true`) || !strings.Contains(state, `"percent":100`) {
		t.Errorf("state %s", state)
	}
	got = f.teacher.get(page)
	says(t, got, "Done", "Everything that could be done is done.", "Sealed3", "Left out3", "Noor van den Berg")

	report := f.admin.get(page + "/report.csv")
	want(t, report, http.StatusOK)
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(report.Body.String(), "\ufeff"))).ReadAll()
	must(t, err)
	stands := map[string]string{}
	for _, row := range rows[1:] {
		stands[row[1]] = row[3] + ": " + row[2]
	}
	for learner, text := range map[string]string{
		"learner-1": "sealed: Noor van den Berg", "learner-3": "sealed: Maija Meikäläinen", "learner-4": "left out: ", "learner-5": "left out: ", "learner-6": "left out: ",
	} {
		if stands[learner] != text {
			t.Errorf("%s: %q, want %q", learner, stands[learner], text)
		}
	}
	if len(rows) != 7 || !strings.HasPrefix(report.Header().Get("Content-Type"), "text/csv") {
		t.Errorf("%d rows, %s", len(rows), report.Header().Get("Content-Type"))
	}

	asking := f.launch
	asking.MessageType, asking.ForUser = lti.MessageDataPrivacy, "learner-1"
	kept := f.enter(asking).get("privacy.json").Body.String()
	if !strings.Contains(kept, `"title": "Exam of November"`) || !strings.Contains(kept, `"outcome": "awarded"`) {
		t.Errorf("the file of what is kept: %s", kept)
	}
	holder := f.learner("learner-1")
	says(t, holder.get("learn"), "Your organisation has sealed it for you: yours to save.", "It has told nobody", "Noor van den Berg", "Awarded by your organisation")
	says(t, f.teacher.get("class"), "Awarded to many at once, not saved by the learner yet.")
	want(t, holder.get("credential.jsonld"), http.StatusOK)
	says(t, holder.get("learn"), "It is yours.", "Saved by you")
}

// What pauses all is not ended on the page of a batch: the page says where it is.
func TestPauseAroundABatch(t *testing.T) {
	t.Parallel()
	f := newFaculty(t)
	page := f.drafted(t, f.admin, f.admin.post("award", url.Values{"title": {"All"}}))
	f.confirm(t, page)
	pause := func(p issuance.Pause) {
		t.Helper()
		p.By = issuance.Operator
		must(t, f.desk.Pause(t.Context(), p))
	}
	const goOn, ends = "Let it go on", "End the pause of this batch"
	pause(issuance.Pause{OrganisationID: f.org, Words: "the token is exchanged"})
	got := f.admin.get(page)
	says(t, got, "Paused by the operator", "The token is exchanged.", "All of your organisation is paused", "the seal room ends that.")
	if body := got.Body.String(); strings.Contains(body, goOn) || strings.Contains(body, ends) {
		t.Error("the page has a button that cannot help")
	}
	want(t, f.admin.post(page+"/pause", nil), http.StatusSeeOther)
	says(t, f.admin.get(page), "The token is exchanged.", ends)
	pause(issuance.Pause{})
	says(t, f.admin.get(page), "All of this server is paused; its operator ends that.", ends)
	must(t, f.desk.Resume(t.Context(), "", "", issuance.Operator))
	must(t, f.desk.Resume(t.Context(), f.org, "", issuance.Operator))
	says(t, f.admin.get(page), "Paused by you", goOn)
}

// A row that cannot be used has no score, and none is made up for it.
func TestLeftOutWithoutScore(t *testing.T) {
	t.Parallel()
	f := newFaculty(t)
	page := f.drafted(t, f.teacher, f.teacher.file("learner id;score\nlearner-1;85\nlearner-1;45\n", map[string]string{"title": "Twice"}))
	got := f.teacher.get(page)
	says(t, got, "Noor van den Berg2–Stands in the file twice")
	silent(t, got, "<div>0 %</div>")
}

// While the token is away a batch says so, and when it goes on.
func TestBatchWithoutToken(t *testing.T) {
	t.Parallel()
	f := newFaculty(t)
	page := f.drafted(t, f.admin, f.admin.post("award", url.Values{"title": {"All"}}))
	f.confirm(t, page)
	says(t, f.admin.get(page), "What is left is done in less than a minute.")
	f.change(func(w *world) {
		w.sealing = web.SealingStatus{Paused: true, Reason: "the seal token cannot be used at the moment"}
	})
	says(t, f.admin.get(page), "Sealing is paused: the seal token cannot be used at the moment.", "What is left is done as soon as sealing goes on.")
}

func TestPauseABatch(t *testing.T) {
	t.Parallel()
	f := newFaculty(t)
	page := f.drafted(t, f.admin, f.admin.post("award", url.Values{"title": {"All"}}))
	f.confirm(t, page)
	want(t, f.teacher.post(page+"/pause", nil), http.StatusForbidden)
	want(t, f.admin.post(page+"/pause", url.Values{"words": {"the board looks at it"}}), http.StatusSeeOther)
	f.work(t)
	says(t, f.admin.get(page), "Paused", "Everybody who waits reads: The board looks at it.", "Let it go on")
	want(t, f.teacher.post(page+"/resume", nil), http.StatusForbidden)
	want(t, f.admin.post(page+"/resume", nil), http.StatusSeeOther)
	want(t, f.admin.post(page+"/resume", nil), http.StatusConflict)
	says(t, f.admin.get(page), "Under way")
	want(t, f.teacher.post(page+"/cancel", nil), http.StatusForbidden) // it is not the teacher's
	want(t, f.admin.post(page+"/cancel", nil), http.StatusSeeOther)
	says(t, f.admin.get(page), "Cancelled", "The batch was cancelled first")
	want(t, f.admin.post(page+"/cancel", nil), http.StatusConflict)
}

func TestAwardOnADay(t *testing.T) {
	t.Parallel()
	f := newFaculty(t)
	for _, day := range []string{"2026-02-30", "2026-11-01", "2030-01-01", "soon"} {
		got := f.teacher.post("award", url.Values{"title": {"Ceremony"}, "date": {day}})
		want(t, got, http.StatusUnprocessableEntity)
		says(t, got, "Choose a day from today on")
	}
	got := f.teacher.post("award", url.Values{"title": {" "}})
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "Write a title")
	page := f.drafted(t, f.teacher, f.teacher.post("award", url.Values{"title": {"Ceremony"}, "date": {"2026-12-04"}}))
	says(t, f.admin.get(page), "Not before 4 December 2026.", "Award 3 on 4 December 2026")
	early := f.learner("learner-2")
	silent(t, early.get("learn"), "4 December") // nobody has said yes
	f.confirm(t, page)
	f.work(t)
	says(t, f.admin.get(page), "Waits for its day", "It begins on 4 December 2026, 00:00 UTC.")
	says(t, early.get("learn"), "Your organisation seals it on 4 December 2026, for all who have finished.")
	want(t, early.post("claim", url.Values{"given": {"Joost"}, "family": {"Müller"}}), http.StatusSeeOther)
	got = early.get("learn")
	says(t, got, "Your credential is sealed on 4 December 2026", "Your claim is kept")
	claim, err := f.desk.OfLearner(t.Context(), f.org, f.attachment, "learner-2")
	must(t, err)
	must(t, f.worker.Seal(t.Context(), claim.ID))
	if claim, err = f.desk.Claim(t.Context(), f.org, claim.ID); err != nil || claim.State != issuance.Queued || !claim.NotBefore.Equal(time.Date(2026, 12, 4, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v %v", claim, err)
	}
}

func TestImportResults(t *testing.T) {
	t.Parallel()
	f := newFaculty(t)
	for name, test := range map[string]struct {
		content, title, says string
		status               int
	}{
		"no file":  {"", "Exam", "No file was chosen.", 422},
		"workbook": {"PK\x03\x04...", "Exam", "This is a workbook, not a text file.", 422},
		"no title": {someResults, "", "Write a title", 422},
		"large":    {"learner id;score\n" + strings.Repeat("x", 21<<20), "Exam", "The file is larger than 10 MB.", 413},
	} {
		got := f.teacher.file(test.content, map[string]string{"title": test.title})
		if got.Code != test.status {
			t.Errorf("%s: status %d", name, got.Code)
		}
		says(t, got, test.says)
	}
	page := f.drafted(t, f.teacher, f.teacher.file(someResults, map[string]string{"title": "Exam", "award": "yes"}))
	got := f.admin.get(page)
	says(t, got, "Would be imported2", "results.csv", "Ana Souza", "85 %", "Nobody was found.", "nobody@polder.example",
		"Column score: “seventeen” is no number. Write the result in figures", "Import 2 results", "Who reaches what is asked is awarded to at once.")
	f.confirm(t, page)
	f.work(t)
	f.seal(t)
	says(t, f.teacher.get(page), "Done", "Sealed2", "Left out2")
	says(t, f.learner("learner-6").get("learn"), "Ana Souza", "yours to save")
	want(t, f.teacher.post("read", nil), http.StatusSeeOther) // the gradebook still says 40
	says(t, f.learner("learner-6").get("learn"), "Ana Souza", "yours to save")
}

// TestImportWithoutRoster: the file brings the names, and only who is known here is meant.
func TestImportWithoutRoster(t *testing.T) {
	t.Parallel()
	f := newFaculty(t)
	f.mu.Lock()
	f.listErr = &lti.ServiceError{Reason: lti.ReasonUnreachable}
	f.mu.Unlock()
	says(t, f.teacher.get("award"), "Names are not known.")
	page := f.drafted(t, f.teacher, f.teacher.file("learner id;given name;family name;score\nlearner-6;Ana;Souza;80\nlearner-9;X;Y;80\n", map[string]string{"title": "Exam"}))
	says(t, f.teacher.get(page), "Would be imported1", "The learner has to open the activity once")
	page = f.drafted(t, f.teacher, f.teacher.post("award", url.Values{"title": {"All"}}))
	says(t, f.admin.get(page), "Would get it0", "Nothing would be done.", "No name is known")
}

// TestBatchesOfOthers: another organisation's batches do not exist, nor for a teacher those
// of another activity; forms from other sites are refused.
func TestBatchesOfOthers(t *testing.T) {
	t.Parallel()
	f := newFaculty(t)
	page := f.drafted(t, f.admin, f.admin.post("award", url.Values{"title": {"Secret exam"}}))
	_, l := f.attach(f.fjord, "x", roleTeacher, roleAdmin)
	stranger := f.enter(l)
	other, err := f.grading.Attachment(t.Context(), f.org, f.attachment)
	must(t, err)
	second, sl := f.attach(f.polder, "teacher-2", roleTeacher)
	if second.ID == other.ID {
		t.Fatal("the same activity")
	}
	sl.ResourceLink.ID = "link-2"
	neighbour := f.enter(sl)
	for name, b := range map[string]browser{"another organisation": stranger, "another activity": neighbour} {
		silent(t, b.get("batches"), "Secret exam")
		for _, address := range []string{page, page + "/state", page + "/report.csv"} {
			if got := b.get(address); got.Code != http.StatusNotFound {
				t.Errorf("%s gets %s: %d", name, address, got.Code)
			}
		}
		if got := b.post(page+"/cancel", nil); got.Code != http.StatusNotFound {
			t.Errorf("%s cancels: %d", name, got.Code)
		}
	}
	for _, act := range []string{"confirm", "pause", "resume"} {
		want(t, stranger.post(page+"/"+act, url.Values{"digest": {"x"}}), http.StatusNotFound)
	}
	for _, address := range []string{"award", "award/file", page + "/confirm", page + "/cancel", page + "/pause", page + "/resume"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, origin+f.admin.path(address), strings.NewReader("title=x"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.AddCookie(f.admin.cookie)
		want(t, f.do(r), http.StatusForbidden)
	}
	b, err := f.batches.Batch(t.Context(), f.org, strings.TrimPrefix(page, "batches/"))
	must(t, err)
	if b.State != batch.Draft {
		t.Errorf("the batch is %s", b.State)
	}
}

// ends lets what the activity promises end after a month.
func (f *faculty) ends(t *testing.T) {
	t.Helper()
	content := f.polder.version.Content
	content.Validity = 1
	version, err := f.templates.Save(t.Context(), f.org, f.polder.version.TemplateID, content, "operator")
	must(t, err)
	_, err = f.db.Exec(t.Context(), `update attachments set version_id = ? where id = ?`, version.ID, f.attachment)
	must(t, err)
	want(t, f.teacher.post("read", nil), http.StatusSeeOther)
}

func TestCredentialsEnd(t *testing.T) {
	t.Parallel()
	f := newFaculty(t)
	says(t, f.teacher.get("ending"), "Nothing ends soon.")
	f.ends(t)
	page := f.drafted(t, f.admin, f.admin.post("award", url.Values{"title": {"All"}}))
	f.confirm(t, page)
	f.work(t)
	f.seal(t)
	holder := f.learner("learner-1")
	got := holder.get("learn")
	says(t, got, "valid until 20 December 2026", "It ends on 20 December 2026.", "It can be renewed when you have reached what is asked once more")
	silent(t, got, `action="renew"`)
	want(t, holder.post("renew", nil), http.StatusConflict)
	got = f.teacher.get("ending")
	says(t, got, "Noor van den Berg", "Ends soon", "Has no newer result", "Nobody is written to from here.")
	silent(t, got, "show it first")

	_, err := f.db.Exec(t.Context(), `update credentials set sealed_at = ?, valid_until = ?`, noon.Add(-48*time.Hour), noon.Add(-time.Hour)) // two days have passed, in a way
	must(t, err)
	f.grades.set("learner-1", 91)
	f.grades.set("learner-2", 92)
	want(t, f.teacher.post("read", nil), http.StatusSeeOther)
	says(t, holder.get("learn"), "It has expired on 20 November 2026.", "it can be renewed")
	says(t, f.teacher.get("ending"), "Expired", "Can be renewed", "Renew for 4 who can: show it first")
	list := f.admin.get("ending.csv")
	want(t, list, http.StatusOK)
	if !strings.Contains(list.Body.String(), "learner-1,Noor,van den Berg,2026-11-20,yes,yes,") {
		t.Errorf("list: %s", list.Body)
	}
	want(t, holder.post("renew", nil), http.StatusSeeOther)
	want(t, holder.post("renew", nil), http.StatusConflict)
	renewal := f.drafted(t, f.teacher, f.teacher.post("ending", nil))
	says(t, f.admin.get(renewal), "Renewal of 20 November 2026", "Joost Müller", "The present one ends on 20 November 2026.", "Renew for these 4?", "Each new credential takes the place of the one before.", "Renew 4")
	f.confirm(t, renewal)
	f.work(t)
	f.seal(t)
	says(t, f.teacher.get(renewal), "Done")
	for _, learner := range []string{"learner-1", "learner-2"} {
		says(t, f.learner(learner).get("learn"), "valid until 20 December 2026", "in the place of the one of 18 November 2026")
	}
}

// batchShots are the pages about batches, for TestEveryPage and the gallery.
func batchShots(t *testing.T) []shot {
	t.Helper()
	f := newFaculty(t)
	var all []shot
	open := func(name string, b browser, page string) { all = append(all, shot{name, b.path(page), b.get(page)}) }
	open("batches-none", f.teacher, "batches")
	open("award", f.teacher, "award")
	all = append(all,
		shot{"award-wrong", f.teacher.path("award"), f.teacher.post("award", url.Values{"title": {""}, "date": {"2020-01-01"}})},
		shot{"award-file-wrong", f.teacher.path("award/file"), f.teacher.file("x\n1\n", map[string]string{"title": "Exam"})})
	day := f.drafted(t, f.teacher, f.teacher.post("award", url.Values{"title": {"Ceremony"}, "date": {"2026-12-04"}}))
	open("batch-draft-teacher", f.teacher, day)
	open("batch-draft", f.admin, day)
	f.confirm(t, day)
	open("batch-scheduled", f.admin, day)
	early := f.learner("learner-2")
	open("claim-announced", early, "learn")
	want(t, early.post("claim", url.Values{"given": {"Joost"}, "family": {"Müller"}}), http.StatusSeeOther)
	open("sealing-announced", early, "learn")
	want(t, f.admin.post(day+"/pause", url.Values{"words": {"the board looks at it"}}), http.StatusSeeOther)
	open("batch-paused", f.admin, day)
	file := f.drafted(t, f.teacher, f.teacher.file(someResults, map[string]string{"title": "Exam of November", "award": "yes"}))
	open("batch-import-draft", f.admin, file)
	f.confirm(t, file)
	f.work(t)
	open("batch-sealing", f.admin, file)
	f.seal(t, "learner-6")
	_, err := f.db.Exec(t.Context(), `update claims set state = 'failed', last_error = 'the page has no room for the title' where learner = 'learner-6'`)
	must(t, err)
	open("batch-finished", f.admin, file)
	open("credential-awarded", f.learner("learner-1"), "learn")
	empty := f.drafted(t, f.admin, f.admin.file("learner id;score\nnobody;1\n", map[string]string{"title": "Nothing"}))
	open("batch-empty", f.admin, empty)
	want(t, f.admin.post(empty+"/cancel", nil), http.StatusSeeOther)
	open("batch-cancelled", f.admin, empty)
	open("batches", f.admin, "batches")
	open("ending-none", f.teacher, "ending")
	f.ends(t)
	rest := f.drafted(t, f.admin, f.admin.post("award", url.Values{"title": {"The others"}}))
	f.confirm(t, rest)
	f.work(t)
	f.seal(t, "learner-2")
	open("credential-ending", f.learner("learner-3"), "learn")
	_, err = f.db.Exec(t.Context(), `update credentials set sealed_at = ?, valid_until = ? where valid_until is not null`, noon.Add(-48*time.Hour), noon.Add(-time.Hour))
	must(t, err)
	open("credential-expired", f.learner("learner-3"), "learn")
	open("ending", f.admin, "ending")
	open("batch-renewal", f.admin, f.drafted(t, f.admin, f.admin.post("ending", nil)))
	return all
}
