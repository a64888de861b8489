package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
)

// correctionNewPage lets staff correct a name that nobody has asked about.
type correctionNewPage struct {
	All, Sought   string
	Missing       bool   // there is no such credential
	Credential    string // UUID of the one that was found; empty: none was sought yet
	Title, Number string
	Name, Told    string
	SealedAt      time.Time
	Refused       string // why its name cannot be corrected now
	Given, Family string
	FamilyTrouble string
	Form          rulingForm
}

// titleOf is what a credential is for, and the number of the certificate.
func titleOf(k issuance.Credential) (title, number string) {
	content, err := elm.Read(k.Payload)
	if err != nil {
		return "", ""
	}
	return content.Title, content.Number
}

// correctionNew finds the credential by its id or its public page.
func (s *Web) correctionNew(w http.ResponseWriter, r *http.Request, v *visit) error {
	sought := oneLine(r.URL.Query().Get("credential"))
	page, _, err := s.correctionNewPage(r, v, sought)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if page.Missing {
		status = http.StatusNotFound
	}
	return s.showCorrectionNew(w, r, v, status, page)
}

func (s *Web) showCorrectionNew(w http.ResponseWriter, r *http.Request, v *visit, status int, page correctionNewPage) error {
	page.Form.Kinds = evidenceChoices(page.Form.Evidence)
	return s.show(w, r, status, view{name: "correction-new", frame: v.frame(), page: &page})
}

// correctionNewPage reads what is known about the credential that was named, and its claim.
func (s *Web) correctionNewPage(r *http.Request, v *visit, sought string) (page correctionNewPage, c issuance.Claim, err error) {
	ctx, org := r.Context(), v.organisation.ID
	page = correctionNewPage{All: v.path("corrections"), Sought: sought}
	if sought == "" {
		return page, c, nil
	}
	found, err := s.deps.Desk.Find(ctx, org, sought)
	if errors.Is(err, issuance.ErrNotFound) || err == nil && found.InForce == "" {
		page.Missing = true
		return page, c, nil
	}
	if err != nil {
		return page, c, err
	}
	if c, err = s.deps.Desk.Claim(ctx, org, found.ClaimID); err != nil {
		return page, c, err
	}
	k, err := s.deps.Desk.CredentialByID(ctx, org, found.CredentialID)
	if err != nil {
		return page, c, err
	}
	page.Credential, page.Name, page.SealedAt, page.Told = k.ID, learnerOf(k, c), found.SealedAt, s.toldOf(ctx, v, c)
	page.Title, page.Number = titleOf(k)
	page.Given, page.Family = c.GivenName, c.FamilyName
	if found.InForce == issuance.StandsReplaced {
		page.Refused = "it is replaced by another one since " + date(found.Since)
		return page, c, nil
	}
	err = s.deps.Desk.MayPropose(ctx, org, c.ID, v.actor())
	if errors.Is(err, issuance.ErrState) {
		page.Refused, err = err.Error(), nil
	}
	return page, c, err
}

// correctionMake corrects the name at once: who has seen evidence need not ask themselves.
func (s *Web) correctionMake(w http.ResponseWriter, r *http.Request, v *visit) error {
	order, form, err := s.ruling(r, v)
	if err != nil {
		return err
	}
	given, family := r.PostForm.Get("given"), r.PostForm.Get("family")
	page, c, err := s.correctionNewPage(r, v, oneLine(r.PostForm.Get("credential")))
	if err != nil {
		return err
	}
	if page.Credential == "" {
		return issuance.ErrNotFound
	}
	page.Given, page.Family, page.Form = given, family, form
	if page.Refused != "" {
		return s.showCorrectionNew(w, r, v, http.StatusConflict, page)
	}
	proposal := issuance.Proposal{OrganisationID: c.OrganisationID, ClaimID: c.ID, Name: issuance.Name{Given: given, Family: family}, Words: form.Words, By: v.actor()}
	x, err := s.deps.Desk.Correct(r.Context(), proposal, order)
	if errors.Is(err, issuance.ErrSecondPerson) { // it waits for somebody else
		x, err = s.deps.Desk.Propose(r.Context(), proposal)
	}
	status := http.StatusUnprocessableEntity
	switch {
	case err == nil:
		return see303(w, r, v.path("corrections/"+x.ID))
	case errors.Is(err, issuance.ErrName):
		page.FamilyTrouble = nameTrouble
	case errors.Is(err, issuance.ErrCorrection):
		page.Form.mend()
	case errors.Is(err, issuance.ErrState):
		status, page.FamilyTrouble = http.StatusConflict, capital(err.Error())+"."
	default:
		return err
	}
	return s.showCorrectionNew(w, r, v, status, page)
}
