package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
)

// namePage lets a learner say that the name in their credential is wrong.
type namePage struct {
	Name          string // in the credential
	Told          string // by the platform now, when that is another one; else empty
	Given, Family string // as written in the form
	Words         string
	FamilyTrouble string
	WordsTrouble  string
	Refused       string // why nothing can be asked now, in words; empty: it can
	Email         string // of the organisation's office
	Correction    correctionNotice
	Earlier       []correctionNotice // what was asked before, the newest first
}

// correctionNotice is a correction as its learner sees it. Without one State is empty.
type correctionNotice struct {
	State          issuance.CorrectionState
	Old, New       string
	AskedAt        time.Time
	Own            bool // asked by the learner
	Decided, Ended time.Time
	Answer         string
	Failed         bool // it was confirmed, and could not be sealed yet
}

func newCorrectionNotice(x issuance.Correction, c issuance.Claim) correctionNotice {
	n := correctionNotice{State: x.State, Old: x.Old().Full(), New: x.New().Full(), AskedAt: x.AskedAt, Own: x.AskedBy == issuance.ByLearner, Answer: x.Answer}
	if x.DecidedAt.Valid {
		n.Decided = x.DecidedAt.Time
	}
	if x.EndedAt.Valid {
		n.Ended = x.EndedAt.Time
	}
	n.Failed = x.State == issuance.CorrectionConfirmed && c.State == issuance.Failed
	return n
}

// name shows the form, what waits, and what came of it before.
func (s *Web) name(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, err := s.ownClaim(r.Context(), v)
	if err != nil {
		return err
	}
	page, err := s.namePage(r.Context(), v, c)
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, view{name: "name", frame: v.frame(), page: &page})
}

func (s *Web) namePage(ctx context.Context, v *visit, c issuance.Claim) (namePage, error) {
	page := namePage{Email: v.organisation.Email}
	credential, err := s.deps.Desk.Credential(ctx, c.OrganisationID, c.ID)
	if err != nil {
		return page, err
	}
	if !credential.SealedAt.Valid {
		return page, issuance.ErrNotFound
	}
	page.Name = learnerOf(credential, c)
	page.Given, page.Family = c.GivenName, c.FamilyName
	if told, fixed := toldName(v.launch.User); fixed && told.Full() != page.Name {
		page.Told = told.Full()
	}
	all, err := s.deps.Desk.CorrectionsOf(ctx, c.OrganisationID, c.ID)
	if err != nil {
		return page, err
	}
	for i, x := range all {
		if i == 0 && x.Open() {
			page.Correction = newCorrectionNotice(x, c)
		} else {
			page.Earlier = append(page.Earlier, newCorrectionNotice(x, c))
		}
	}
	err = s.deps.Desk.MayPropose(ctx, c.OrganisationID, c.ID, issuance.ByLearner)
	if errors.Is(err, issuance.ErrState) {
		page.Refused, err = err.Error(), nil
	}
	return page, err
}

// learnerOf is the name in a credential: that of the claim may be ahead of it.
func learnerOf(k issuance.Credential, c issuance.Claim) string {
	if content, err := elm.Read(k.Payload); err == nil {
		return content.Learner
	}
	return issuance.Name{Given: c.GivenName, Family: c.FamilyName}.Full()
}

// propose takes what the learner has written.
func (s *Web) propose(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.launch.IsTestUser() {
		return errTestUser
	}
	c, err := s.ownClaim(r.Context(), v)
	if err != nil {
		return err
	}
	if err := parseForm(r); err != nil {
		return err
	}
	given, family, said := r.PostForm.Get("given"), r.PostForm.Get("family"), r.PostForm.Get("words")
	_, err = s.deps.Desk.Propose(r.Context(), issuance.Proposal{
		OrganisationID: c.OrganisationID, ClaimID: c.ID, Name: issuance.Name{Given: given, Family: family}, Words: said, By: issuance.ByLearner,
	})
	if err == nil {
		return see303(w, r, v.path("name"))
	}
	if !errors.Is(err, issuance.ErrName) && !errors.Is(err, issuance.ErrCorrection) && !errors.Is(err, issuance.ErrState) {
		return err
	}
	page, again := s.namePage(r.Context(), v, c)
	if again != nil {
		return again
	}
	status := http.StatusUnprocessableEntity
	page.Given, page.Family, page.Words = given, family, said
	switch {
	case errors.Is(err, issuance.ErrName):
		page.FamilyTrouble = nameTrouble
	case errors.Is(err, issuance.ErrCorrection):
		page.WordsTrouble = wordsTrouble
	case page.Refused == "": // it can be asked, and not this
		page.FamilyTrouble = capital(err.Error()) + "."
	default:
		status = http.StatusConflict
	}
	return s.show(w, r, status, view{name: "name", frame: v.frame(), page: &page})
}

// What is said beside fields that cannot be taken as they are.
const (
	nameTrouble  = "Write the family name, at most 120 letters, without signs that cannot be seen."
	wordsTrouble = "Write a few words, at most 500 letters, without signs that cannot be seen."
)

// takeBack ends what the learner has asked for.
func (s *Web) takeBack(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, err := s.ownClaim(r.Context(), v)
	if err != nil {
		return err
	}
	if err := s.deps.Desk.TakeBackCorrection(r.Context(), c.OrganisationID, c.ID); err != nil {
		return err
	}
	return see303(w, r, v.path("name"))
}
