package web

import (
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
)

// public is the page behind the link and the QR code of one credential. It verifies the
// sealed bytes at each visit, as if somebody had uploaded them, and asks whether the
// credential was withdrawn.
func (s *Web) public(w http.ResponseWriter, r *http.Request) error {
	credential, err := s.deps.Desk.Published(r.Context(), mux.Vars(r)["link"])
	if err != nil {
		return err
	}
	organisation, err := s.deps.Templates.Organisation(r.Context(), credential.OrganisationID)
	if err != nil {
		return err
	}
	report, err := s.verified(r.Context(), credential.Sealed)
	if err != nil {
		return err
	}
	now, err := s.deps.Desk.Standing(r.Context(), credential.ID)
	if err != nil {
		return err
	}
	if now.HidesPerson() {
		report = report.Nameless()
	}
	w.Header().Set("X-Robots-Tag", "noindex") // a link that was shared is not published to the world
	if wantsJSON(r) {
		return s.json(w, r, http.StatusOK, "application/json", report)
	}
	page := s.resultPage(report)
	page.Link, page.Bytes, page.Hidden = credential.Link, len(credential.Sealed), now.HidesPerson()
	switch err := s.deps.PDFs.InForce(r.Context(), credential.OrganisationID, credential.ID); {
	case err == nil:
		page.Printed = true
	case !errors.Is(err, issuance.ErrWithdrawn) && !errors.Is(err, issuance.ErrSuspended):
		return err
	}
	f := Frame{Home: "/", Nav: checkAnother(), Organisation: masthead(organisation, "")}
	return s.show(w, r, http.StatusOK, view{name: "result", frame: f, page: &page})
}

// publicFile hands out the sealed bytes, also of what was withdrawn: the file is evidence of
// what was awarded, whoever has it has it already, and the page that leads here says what it
// is worth. Only when the name in it is that of the wrong person nobody gets it any more.
func (s *Web) publicFile(w http.ResponseWriter, r *http.Request) error {
	credential, err := s.deps.Desk.Published(r.Context(), mux.Vars(r)["link"])
	if err != nil {
		return err
	}
	w.Header().Set("X-Robots-Tag", "noindex")
	now, err := s.deps.Desk.Standing(r.Context(), credential.ID)
	if err != nil {
		return err
	}
	if now.HidesPerson() {
		return errWrongPerson
	}
	return s.sendSealed(w, r, credential.Payload, credential.Sealed)
}

// sendSealed sends a sealed file under a name made from the title inside payload.
func (s *Web) sendSealed(w http.ResponseWriter, r *http.Request, payload, sealed []byte) error {
	title := ""
	if content, err := elm.Read(payload); err == nil {
		title = content.Title
	}
	h := w.Header()
	h.Set("Content-Type", "application/ld+json")
	h.Set("Content-Disposition", attachment(fileName(title), ".jsonld"))
	h.Set("Cache-Control", "no-store")
	_, err := w.Write(sealed)
	return s.gone(r, err)
}

const fileNameRunes = 80

// fileName makes a title fit for every file system: letters and digits, single hyphens
// for the rest.
func fileName(title string) string {
	kept := strings.FieldsFunc(title, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	name := []rune(strings.Join(kept, "-"))
	if len(name) == 0 {
		return "credential"
	}
	return strings.TrimRight(string(name[:min(len(name), fileNameRunes)]), "-")
}
