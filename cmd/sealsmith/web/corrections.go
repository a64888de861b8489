package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/issuance"
)

// correctionRoutes are the pages of administrators about names in credentials.
func (s *Web) correctionRoutes(get, post func(path string, a action)) {
	const at = "/s/{sid}/corrections"
	get(at, s.visit(admin, s.corrections))
	get(at+"/new", s.visit(admin, s.correctionNew))
	post(at+"/new", s.visit(admin, s.correctionMake))
	get(at+"/{id}", s.visit(admin, s.correction))
	post(at+"/{id}/confirm", s.visit(admin, s.correctionConfirm))
	post(at+"/{id}/decline", s.visit(admin, s.correctionDecline))
	post(at+"/{id}/again", s.visit(admin, s.correctionAgain))
	post(at+"/{id}/end", s.visit(admin, s.correctionEnd))
}

// correctionsPage lists what waits, and what was decided lately.
type correctionsPage struct {
	Tabs           tabs
	Waiting, Ended []correctionRow
	More           bool // there are more than the page shows
	Sealing        sealingNotice
}

type correctionRow struct {
	ID      string
	State   issuance.CorrectionState
	Failed  bool // confirmed, and could not be sealed
	Was, Is []namePart
	Own     bool // asked by the learner
	At      time.Time
	Ended   time.Time
}

func newCorrectionRow(x issuance.Correction) correctionRow {
	row := correctionRow{ID: x.ID, State: x.State, Own: x.AskedBy == issuance.ByLearner, At: x.AskedAt}
	row.Was, row.Is = nameDiff(x.Old().Full(), x.New().Full())
	if x.EndedAt.Valid {
		row.Ended = x.EndedAt.Time
	}
	return row
}

const maxCorrections = 100

func (s *Web) corrections(w http.ResponseWriter, r *http.Request, v *visit) error {
	ctx, org := r.Context(), v.organisation.ID
	var page correctionsPage
	open, err := s.deps.Desk.Corrections(ctx, org, []issuance.CorrectionState{issuance.CorrectionAsked, issuance.CorrectionConfirmed}, maxCorrections)
	if err != nil {
		return err
	}
	for _, x := range open {
		row := newCorrectionRow(x)
		if x.State == issuance.CorrectionConfirmed {
			c, err := s.deps.Desk.Claim(ctx, org, x.ClaimID)
			if err != nil {
				return err
			}
			row.Failed = c.State == issuance.Failed
		}
		page.Waiting = append(page.Waiting, row)
	}
	ended, err := s.deps.Desk.Corrections(ctx, org, []issuance.CorrectionState{issuance.CorrectionDone, issuance.CorrectionDeclined, issuance.CorrectionWithdrawn, issuance.CorrectionDropped}, maxCorrections)
	if err != nil {
		return err
	}
	for _, x := range ended {
		page.Ended = append(page.Ended, newCorrectionRow(x))
	}
	page.More = len(open) == maxCorrections || len(ended) == maxCorrections
	if page.Tabs, err = s.tabs(ctx, v, "corrections"); err != nil {
		return err
	}
	if page.Sealing, err = s.sealingNotice(ctx, v.organisation); err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, view{name: "corrections", frame: v.frame(), page: &page})
}

// correctionPage is one correction, and the forms to decide about it.
type correctionPage struct {
	All, At    string // addresses
	ID         string
	State      issuance.CorrectionState
	Failed     bool
	Trouble    string // why it could not be sealed, for operators
	Was, Is    []namePart
	Told       string // the learner's name as the LMS tells it now; empty: it does not
	ToldSame   bool   // as the new one
	Own        bool   // asked by the learner
	Second     bool   // asked by the visitor, and somebody else has to confirm it
	By         string // who asked, when not the learner
	Words      string
	AskedAt    time.Time
	Title      string
	Number     string
	Page       string // public page of the credential
	SealedAt   time.Time
	NextPage   string // of the corrected one; empty: there is none
	DecidedBy  string
	Decided    time.Time
	Ended      time.Time
	Evidence   string
	Reference  string
	Answer     string
	Refused    string // why what was just tried was not done
	Form       rulingForm
	DeclineErr string
	EndErr     string
}

// rulingForm is what staff have written.
type rulingForm struct {
	Kinds                                []choice
	Evidence, Reference, Words           string
	EvidenceErr, ReferenceErr, AnswerErr string
	DeclineWords, EndWords               string
}

// choice is one option of a list.
type choice struct {
	Code, Word string
	On         bool
}

func evidenceChoices(chosen string) []choice {
	out := []choice{{Word: "Choose", On: chosen == ""}}
	for _, e := range issuance.Evidences() {
		out = append(out, choice{Code: string(e), Word: e.Words(), On: string(e) == chosen})
	}
	return out
}

func (s *Web) correction(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := s.correctionPage(r.Context(), v, mux.Vars(r)["id"])
	if err != nil {
		return err
	}
	return s.showCorrection(w, r, v, http.StatusOK, page)
}

func (s *Web) showCorrection(w http.ResponseWriter, r *http.Request, v *visit, status int, page correctionPage) error {
	page.Form.Kinds = evidenceChoices(page.Form.Evidence)
	return s.show(w, r, status, view{name: "correction", frame: v.frame(), page: &page})
}

func (s *Web) correctionPage(ctx context.Context, v *visit, id string) (correctionPage, error) {
	org := v.organisation.ID
	x, err := s.deps.Desk.Correction(ctx, org, id)
	if err != nil {
		return correctionPage{}, err
	}
	c, err := s.deps.Desk.Claim(ctx, org, x.ClaimID)
	if err != nil {
		return correctionPage{}, err
	}
	page := correctionPage{
		All: v.path("corrections"), At: v.path("corrections/" + x.ID), ID: x.ID, State: x.State, Own: x.AskedBy == issuance.ByLearner, By: who(v, x.AskedBy), Words: x.Words, AskedAt: x.AskedAt,
		Evidence: x.Evidence.Words(), Reference: x.Reference, Answer: x.Answer,
	}
	page.Was, page.Is = nameDiff(x.Old().Full(), x.New().Full())
	if x.AskedBy == v.actor() {
		version, err := s.deps.Templates.Version(ctx, org, c.VersionID)
		if err != nil {
			return page, err
		}
		page.Second = v.organisation.SecondPerson || version.Content.SecondPerson
	}
	if x.State == issuance.CorrectionConfirmed && c.State == issuance.Failed {
		page.Failed, page.Trouble = true, c.Cause()
	}
	if x.DecidedAt.Valid {
		page.DecidedBy, page.Decided = who(v, x.DecidedBy), x.DecidedAt.Time
	}
	if x.EndedAt.Valid {
		page.Ended = x.EndedAt.Time
	}
	page.Told = s.toldOf(ctx, v, c)
	page.ToldSame = page.Told != "" && strings.Join(strings.Fields(page.Told), " ") == x.New().Full()
	k, err := s.deps.Desk.CredentialByID(ctx, org, x.CredentialID)
	if err != nil && !errors.Is(err, issuance.ErrFileErased) {
		return page, err
	}
	page.Title, page.Number = titleOf(k)
	now, err := s.deps.Desk.Standing(ctx, x.CredentialID)
	page.SealedAt, page.Page = now.SealedAt, s.deps.PublicURL.JoinPath("c", now.Link).String()
	if now.ReplacedBy.Link != "" {
		page.NextPage = s.deps.PublicURL.JoinPath("c", now.ReplacedBy.Link).String()
	}
	return page, err
}

// toldOf is the name of a learner as the platform tells it now, when the visitor came from the
// course in which it was earned, else empty.
func (s *Web) toldOf(ctx context.Context, v *visit, c issuance.Claim) string {
	if c.RegistrationID != v.launch.RegistrationID {
		return ""
	}
	return s.names(ctx, v).names[c.Learner]
}

// ruling reads the form that staff have sent.
func (s *Web) ruling(r *http.Request, v *visit) (issuance.Ruling, rulingForm, error) {
	if err := parseForm(r); err != nil {
		return issuance.Ruling{}, rulingForm{}, err
	}
	f := rulingForm{Evidence: r.PostForm.Get("evidence"), Reference: r.PostForm.Get("reference"), Words: r.PostForm.Get("answer")}
	return issuance.Ruling{
		OrganisationID: v.organisation.ID, CorrectionID: mux.Vars(r)["id"], Evidence: issuance.Evidence(f.Evidence), Reference: f.Reference, Words: f.Words, By: v.actor(),
	}, f, nil
}

// mend says beside each field of a ruling what is wrong with it.
func (f *rulingForm) mend() {
	if issuance.Evidence(f.Evidence).Words() == "" {
		f.EvidenceErr = "Choose what you have seen."
	}
	if n := len([]rune(f.Reference)); strings.TrimSpace(f.Reference) == "" || n > 200 {
		f.ReferenceErr = "Say where it can be found again, in at most 200 letters."
	}
	if n := len([]rune(f.Words)); strings.TrimSpace(f.Words) == "" || n > 500 {
		f.AnswerErr = wordsTrouble
	}
	if f.EvidenceErr+f.ReferenceErr+f.AnswerErr == "" {
		f.AnswerErr, f.ReferenceErr = wordsTrouble, "Leave out signs that cannot be seen."
	}
}

func (s *Web) correctionConfirm(w http.ResponseWriter, r *http.Request, v *visit) error {
	order, form, err := s.ruling(r, v)
	if err != nil {
		return err
	}
	_, err = s.deps.Desk.ConfirmCorrection(r.Context(), order)
	return s.ruled(w, r, v, err, func(page *correctionPage) {
		page.Form = form
		page.Form.mend()
	})
}

func (s *Web) correctionDecline(w http.ResponseWriter, r *http.Request, v *visit) error {
	order, form, err := s.ruling(r, v)
	if err != nil {
		return err
	}
	_, err = s.deps.Desk.DeclineCorrection(r.Context(), order)
	return s.ruled(w, r, v, err, func(page *correctionPage) { page.Form.DeclineWords, page.DeclineErr = form.Words, wordsTrouble })
}

// correctionEnd gives up what was confirmed and cannot be sealed.
func (s *Web) correctionEnd(w http.ResponseWriter, r *http.Request, v *visit) error {
	order, form, err := s.ruling(r, v)
	if err != nil {
		return err
	}
	_, err = s.deps.Desk.GiveUpCorrection(r.Context(), order)
	return s.ruled(w, r, v, err, func(page *correctionPage) { page.Form.EndWords, page.EndErr = form.Words, wordsTrouble })
}

// correctionAgain lets what could not be sealed be tried again.
func (s *Web) correctionAgain(w http.ResponseWriter, r *http.Request, v *visit) error {
	x, err := s.deps.Desk.Correction(r.Context(), v.organisation.ID, mux.Vars(r)["id"])
	if err != nil {
		return err
	}
	if x.State != issuance.CorrectionConfirmed {
		return issuance.ErrState
	}
	if err := s.deps.Desk.Retry(r.Context(), v.organisation.ID, x.ClaimID, v.actor()); err != nil {
		return err
	}
	return see303(w, r, v.path("corrections/"+x.ID))
}

// ruled shows what came of a ruling: the page as it is now, or with what is to be mended.
func (s *Web) ruled(w http.ResponseWriter, r *http.Request, v *visit, err error, lacks func(*correctionPage)) error {
	id := mux.Vars(r)["id"]
	if err == nil {
		return see303(w, r, v.path("corrections/"+id))
	}
	missing := errors.Is(err, issuance.ErrCorrection)
	if !missing && !errors.Is(err, issuance.ErrState) && !errors.Is(err, issuance.ErrSecondPerson) {
		return err
	}
	page, again := s.correctionPage(r.Context(), v, id)
	if again != nil {
		return again
	}
	status := http.StatusUnprocessableEntity
	if missing {
		lacks(&page)
	} else {
		status, page.Refused = http.StatusConflict, cmp.Or(err.Error(), "it cannot be done now")
	}
	return s.showCorrection(w, r, v, status, page)
}
