package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
)

// privacyPage says what is kept about a person.
type privacyPage struct {
	Own     bool   // the person asks about themselves
	Subject string // as the LMS calls the person
	Kept    []keptRow
}

// keptRow is one micro-credential of the person.
type keptRow struct {
	Title     Words
	Course    string
	Name      string // as confirmed while claiming
	State     string // of the claim
	Decisions int
	Since     time.Time
}

// keptDocument is the same as a file, complete.
type keptDocument struct {
	Organisation string       `json:"organisation"`
	Platform     string       `json:"platform"`
	Subject      string       `json:"subject"`
	At           time.Time    `json:"at"`
	Records      []keptRecord `json:"records"`
	Claims       []keptClaim  `json:"claims"`
	NotKept      []string     `json:"not_kept_here"`
}

type keptRecord struct {
	Attachment string           `json:"activity"`
	Source     string           `json:"source"`
	Raw        string           `json:"raw"`
	SHA256     string           `json:"sha256"`
	Observed   time.Time        `json:"observed_at"`
	Complete   bool             `json:"complete"`
	Reasons    []grading.Reason `json:"reasons"`
	Decided    time.Time        `json:"decided_at"`
}

type keptClaim struct {
	ID         string    `json:"id"`
	Attachment string    `json:"activity"`
	State      string    `json:"state"`
	GivenName  string    `json:"given_name"`
	FamilyName string    `json:"family_name"`
	Consent    time.Time `json:"consent_at,omitzero"`
	Credential string    `json:"credential,omitempty"` // the sealed file, or what waits to be sealed
	PDF        []byte    `json:"certificate_pdf,omitempty"`

	Withdrawals []keptWithdrawal `json:"withdrawals,omitempty"`
	Earlier     []keptEarlier    `json:"earlier_credentials,omitempty"`
	Corrections []keptCorrection `json:"corrections,omitempty"`
}

// keptEarlier is a credential of the claim besides the one that counts, the newest first: one
// that was replaced, or one that was to be made and was not sealed.
type keptEarlier struct {
	Credential string `json:"credential"`
	PDF        []byte `json:"certificate_pdf,omitempty"`

	Withdrawals []keptWithdrawal `json:"withdrawals,omitempty"`
}

// keptCorrection is a name that was said to be wrong. Who decided is staff's data, not the
// learner's.
type keptCorrection struct {
	State     issuance.CorrectionState `json:"state"`
	At        time.Time                `json:"asked_at"`
	Learner   bool                     `json:"asked_by_learner"`
	Old       string                   `json:"old_name"`
	New       string                   `json:"new_name"`
	Words     string                   `json:"words"`
	Evidence  issuance.Evidence        `json:"evidence,omitempty"`
	Reference string                   `json:"reference,omitempty"`
	Answer    string                   `json:"answer,omitempty"`
	Decided   time.Time                `json:"decided_at,omitzero"`
}

type keptWithdrawal struct {
	Act    issuance.Act    `json:"act"`
	At     time.Time       `json:"at"`
	Reason issuance.Reason `json:"reason,omitempty"`
	Words  string          `json:"words,omitempty"`
}

// about is the person asked about: the one in the message, or who asks.
func (v *visit) about() string { return cmp.Or(v.launch.ForUser, v.launch.User.Subject) }

func (s *Web) privacy(w http.ResponseWriter, r *http.Request, v *visit) error {
	ctx, org := r.Context(), v.organisation.ID
	decided, claims, err := s.kept(ctx, v)
	if err != nil {
		return err
	}
	page := privacyPage{Subject: v.about(), Own: v.about() == v.launch.User.Subject}
	rows := map[string]*keptRow{}
	order := []string{}
	row := func(attachment string, since time.Time) *keptRow {
		if rows[attachment] == nil {
			rows[attachment] = &keptRow{Since: since}
			order = append(order, attachment)
		}
		return rows[attachment]
	}
	for _, d := range decided {
		kept := row(d.Evidence.AttachmentID, d.At)
		kept.Decisions++
		kept.Since = d.At // the oldest comes last
	}
	for _, c := range claims {
		kept := row(c.AttachmentID, c.CreatedAt)
		kept.State, kept.Name = string(c.State), strings.TrimSpace(c.GivenName+" "+c.FamilyName)
	}
	for _, id := range order {
		a, err := s.deps.Grading.Attachment(ctx, org, id)
		if err != nil {
			return err
		}
		version, err := s.deps.Templates.Version(ctx, org, a.VersionID)
		if err != nil {
			return err
		}
		rows[id].Title, rows[id].Course = words(version.Content.Title), a.ContextTitle
		page.Kept = append(page.Kept, *rows[id])
	}
	return s.show(w, r, http.StatusOK, view{name: "privacy", frame: v.frame(), page: &page})
}

func (s *Web) kept(ctx context.Context, v *visit) ([]grading.Decided, []issuance.Claim, error) {
	decided, err := s.deps.Grading.OfPerson(ctx, v.organisation.ID, v.launch.RegistrationID, v.about())
	if err != nil {
		return nil, nil, err
	}
	claims, err := s.deps.Desk.OfPerson(ctx, v.organisation.ID, v.launch.RegistrationID, v.about())
	return decided, claims, err
}

// privacyFile is everything that is kept, for a program or another service.
func (s *Web) privacyFile(w http.ResponseWriter, r *http.Request, v *visit) error {
	decided, claims, err := s.kept(r.Context(), v)
	if err != nil {
		return err
	}
	doc := keptDocument{
		Organisation: v.organisation.Slug, Platform: v.platform.Name, Subject: v.about(), At: s.deps.Now().UTC(),
		Records: []keptRecord{}, Claims: []keptClaim{},
		NotKept: []string{"names and addresses outside of claims: sessions forget them after eight hours", "passwords", "sealed files that were downloaded"},
	}
	for _, d := range decided {
		doc.Records = append(doc.Records, keptRecord{
			Attachment: d.Evidence.AttachmentID, Source: d.Evidence.Source, Raw: d.Evidence.Raw, SHA256: d.Evidence.RawSHA256,
			Observed: d.Evidence.ObservedAt.UTC(), Complete: d.Complete, Reasons: d.Reasons, Decided: d.At,
		})
	}
	for _, c := range claims {
		kept, err := s.keptOf(r.Context(), c)
		if err != nil {
			return err
		}
		doc.Claims = append(doc.Claims, kept)
	}
	body, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="kept.json"`)
	_, err = w.Write(append(body, '\n'))
	return s.gone(r, err)
}

// keptOf is all that is kept with a claim.
func (s *Web) keptOf(ctx context.Context, c issuance.Claim) (keptClaim, error) {
	kept := keptClaim{ID: c.ID, Attachment: c.AttachmentID, State: string(c.State), GivenName: c.GivenName, FamilyName: c.FamilyName}
	if c.ConsentAt.Valid {
		kept.Consent = c.ConsentAt.Time.UTC()
	}
	credential, err := s.deps.Desk.Credential(ctx, c.OrganisationID, c.ID)
	if errors.Is(err, issuance.ErrNotFound) || errors.Is(err, issuance.ErrFileErased) {
		return kept, nil
	}
	if err != nil {
		return kept, err
	}
	newest, err := s.keptCredential(ctx, credential)
	if err != nil {
		return kept, err
	}
	kept.Credential, kept.PDF, kept.Withdrawals = newest.Credential, newest.PDF, newest.Withdrawals
	all, err := s.deps.Desk.CredentialsOf(ctx, c.OrganisationID, c.ID)
	if err != nil {
		return kept, err
	}
	for _, other := range all {
		if other.ID == credential.ID {
			continue
		}
		earlier, err := s.keptCredential(ctx, other)
		if err != nil {
			return kept, err
		}
		kept.Earlier = append(kept.Earlier, earlier)
	}
	corrections, err := s.deps.Desk.CorrectionsOf(ctx, c.OrganisationID, c.ID)
	for _, x := range corrections {
		kept.Corrections = append(kept.Corrections, newKeptCorrection(x))
	}
	return kept, err
}

// keptCredential is all that is kept of one credential.
func (s *Web) keptCredential(ctx context.Context, k issuance.Credential) (keptEarlier, error) {
	kept := keptEarlier{Credential: cmp.Or(string(k.Sealed), string(k.Payload))}
	pdf, _, err := s.deps.PDFs.Stored(ctx, k.OrganisationID, k.ID)
	if err != nil {
		return kept, err
	}
	kept.PDF = pdf.File
	done, err := s.deps.Desk.Withdrawals(ctx, k.OrganisationID, k.ID)
	for _, w := range done {
		kept.Withdrawals = append(kept.Withdrawals, keptWithdrawal{Act: w.Act, At: w.At.UTC(), Reason: w.Reason, Words: w.Words})
	}
	return kept, err
}

func newKeptCorrection(x issuance.Correction) keptCorrection {
	kept := keptCorrection{
		State: x.State, At: x.AskedAt.UTC(), Learner: x.AskedBy == issuance.ByLearner, Old: x.Old().Full(), New: x.New().Full(), Words: x.Words,
		Evidence: x.Evidence, Reference: x.Reference, Answer: x.Answer,
	}
	if x.DecidedAt.Valid {
		kept.Decided = x.DecidedAt.Time.UTC()
	}
	return kept
}
