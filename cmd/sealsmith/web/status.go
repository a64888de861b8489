package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/issuance"
)

// statusDocument says to a program how a credential stands. It tells nothing about people:
// the words that staff wrote are for the pages.
type statusDocument struct {
	ID       string           `json:"id"` // as in the sealed file
	Standing issuance.InForce `json:"standing"`
	Since    time.Time        `json:"since"`
	Reason   issuance.Reason  `json:"reason,omitempty"`
	// Ids as in the sealed files: of the credential that took the place of this one, and of that whose place it took.
	ReplacedBy string `json:"replaced_by,omitempty"`
	Replaces   string `json:"replaces,omitempty"`
	// List is where it stands in the status lists; nil for moments after an older release sealed it.
	List *statusPlace `json:"status_list,omitempty"`
}

// statusPlace names the place of a credential and the lists, for formats that can carry it and
// for whoever keeps lists instead of asking.
type statusPlace struct {
	Index      int    `json:"index"`
	Token      string `json:"token"` // addresses
	Revocation string `json:"revocation"`
	Suspension string `json:"suspension"`
}

// statusAge is how long an answer may be kept by whoever asked, and by caches on the way: a
// withdrawal is known everywhere a minute later.
const statusAge = "public, max-age=60"

// status answers programs that have a sealed file and its id. Nothing in the file leads here,
// because European Digital Credentials have no place for it. Anybody may ask from anywhere;
// these are two indexed reads, of no more than is told.
func (s *Web) status(w http.ResponseWriter, r *http.Request) error {
	r.Header.Set("Accept", "application/json") // refusals too are for programs
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Robots-Tag", "noindex")
	now, err := s.deps.Desk.Standing(r.Context(), mux.Vars(r)["id"])
	if err != nil {
		return err
	}
	doc := statusDocument{ID: "urn:credential:" + now.CredentialID, Standing: now.InForce, Since: now.Since, Reason: now.Reason, ReplacedBy: now.ReplacedBy.URN(), Replaces: now.Replaces.URN()}
	switch place, err := s.deps.Desk.Place(r.Context(), now.CredentialID); {
	case err == nil:
		at := func(kind issuance.StatusKind) string {
			return issuance.StatusAddress(s.deps.PublicURL, place.ListID, kind)
		}
		doc.List = &statusPlace{Index: place.Index, Token: at(issuance.StatusToken), Revocation: at(issuance.StatusRevocation), Suspension: at(issuance.StatusSuspension)}
	case !errors.Is(err, issuance.ErrNotFound):
		return err
	}
	h.Set("Cache-Control", statusAge)
	return s.json(w, r, http.StatusOK, "application/json", doc)
}
