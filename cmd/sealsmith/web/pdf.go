package web

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/gorilla/mux"
	"golang.org/x/text/unicode/norm"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
)

// ownPDF gives learners their certificate. It is not noted as the sealed file is: what has
// been fetched is a picture of the record, with the record in it, and not the record.
func (s *Web) ownPDF(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, err := s.ownClaim(r.Context(), v)
	if err != nil {
		return err
	}
	credential, err := s.deps.Desk.Credential(r.Context(), v.organisation.ID, c.ID)
	if err != nil {
		return err
	}
	return s.sendPDF(w, r, credential)
}

// publicPDF hands out the certificate to whoever has the link, as publicFile does with the
// sealed file.
func (s *Web) publicPDF(w http.ResponseWriter, r *http.Request) error {
	credential, err := s.deps.Desk.Published(r.Context(), mux.Vars(r)["link"])
	if err != nil {
		return err
	}
	w.Header().Set("X-Robots-Tag", "noindex")
	return s.sendPDF(w, r, credential)
}

// sendPDF sends the certificate of a credential, which is made at the first GET. A HEAD
// makes none: it may leave out what only making would tell (RFC 9110 section 9.3.2).
//
// The bytes never change, and a browser that has them is told so by their ETag. It has to ask
// each time all the same: the credential may be withdrawn, or the session over.
func (s *Web) sendPDF(w http.ResponseWriter, r *http.Request, c issuance.Credential) error {
	p, made, err := s.deps.PDFs.Kept(r.Context(), c.OrganisationID, c.ID)
	if err == nil && !made && r.Method != http.MethodHead {
		p, err = s.deps.PDFs.Get(r.Context(), c.OrganisationID, c.ID)
		made = true
	}
	if err != nil {
		return err
	}
	title := ""
	if content, err := elm.Read(c.Payload); err == nil {
		title = content.Title
	}
	h := w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", attachment(fileName(title), ".pdf"))
	h.Set("Cache-Control", "private, no-cache")
	if !made {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	sum := sha256.Sum256(p.File)
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.File))
	return nil
}

// attachment is the Content-Disposition of a file to be saved under a name: as it is (RFC
// 5987), and in ASCII for programs that know nothing else (RFC 6266 appendix D).
func attachment(name, extension string) string {
	header := mime.FormatMediaType("attachment", map[string]string{"filename": name + extension})
	plain := strings.Map(func(r rune) rune {
		if r == '-' || r <= unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return -1
	}, norm.NFKD.String(name))
	if plain == name {
		return header
	}
	plain = cmp.Or(strings.Trim(plain, "-"), "credential")
	extended := strings.TrimPrefix(header, "attachment; ") // filename*=utf-8''…
	return fmt.Sprintf(`attachment; filename="%s"; %s`, plain+extension, extended)
}
