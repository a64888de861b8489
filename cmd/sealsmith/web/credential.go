package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rsc.io/qr"

	"github.com/sealsmith/sealsmith/issuance"
)

// credentialPage is the learner's own page of a sealed credential.
type credentialPage struct {
	Title, AwardingBody Words
	ECTS                float64
	EQF                 int
	Name, Claim, Email  string
	SealedAt            time.Time
	Bytes               int
	Link                string // the public page
	QR                  *qrCode
	Steps               []event
	Withdrawn           string // word on the band: WITHDRAWN, SUSPENDED or REPLACED; empty: in force
	Suspended           bool   // it may come back
	Since               time.Time
	Because             string     // why, in sentences; may be empty
	Awarded             bool       // by the organisation, and the learner has not saved it yet
	Until               time.Time  // when it ends; zero: it does not
	Ended, Soon         bool       // the end has passed; has passed or is near
	Renewable           bool       // the learner has fulfilled the rule anew since
	Renews              *time.Time // when the one was sealed whose place it took by renewal; nil: none
	Correction          correctionNotice
	Earlier             []earlierCredential // the newest first
}

// earlierCredential is one whose name was wrong.
type earlierCredential struct {
	Page     string
	SealedAt time.Time
}

// qrCode is drawn as one path, one unit per module, with the quiet zone in Box.
type qrCode struct{ Box, Path string }

func (s *Web) showCredential(w http.ResponseWriter, r *http.Request, v *visit, c issuance.Claim) error {
	version, err := s.deps.Templates.Version(r.Context(), v.organisation.ID, c.VersionID)
	if err != nil {
		return err
	}
	credential, err := s.deps.Desk.Credential(r.Context(), v.organisation.ID, c.ID)
	if err != nil {
		return err
	}
	content := version.Content
	page := credentialPage{
		Title: words(content.Title), AwardingBody: words(v.organisation.Name), ECTS: content.ECTS, EQF: content.EQF,
		Name: learnerOf(credential, c), Claim: c.ID, Email: v.organisation.Email, SealedAt: credential.SealedAt.Time,
		Bytes: len(credential.Sealed), Link: s.deps.PublicURL.JoinPath("c", credential.Link).String(),
	}
	if page.Renews, err = s.renews(r.Context(), c, credential); err != nil {
		return err
	}
	if err := s.endOf(r.Context(), c, &page); err != nil {
		return err
	}
	page.Awarded = !c.ConsentAt.Valid && c.State == issuance.Sealed
	now, err := s.deps.Desk.Standing(r.Context(), credential.ID)
	if err != nil {
		return err
	}
	page.Withdrawn, page.Suspended = band(now.InForce), now.InForce == issuance.StandsSuspended
	if page.Withdrawn == "" {
		if page.QR, err = newQRCode(page.Link); err != nil {
			return err
		}
	} else {
		page.Since, page.Because = now.Since, now.Because()
	}
	if page.Correction, page.Earlier, err = s.corrected(r.Context(), c, credential); err != nil {
		return err
	}
	page.Steps = []event{
		claimedBy(c),
		{Kind: "ok", Icon: "lock", Title: "Sealed", State: "done", Words: fmt.Sprintf("%s, on version %d of the template", moment(credential.SealedAt.Time), version.Number)},
	}
	if c.State == issuance.Delivered {
		page.Steps = append(page.Steps, event{Kind: "ok", Icon: "down", Title: "Saved by you", State: "done", Words: moment(c.UpdatedAt)})
	}
	if page.Withdrawn != "" {
		title := map[issuance.InForce]string{issuance.StandsSuspended: "Suspended", issuance.StandsReplaced: "Replaced"}[now.InForce]
		page.Steps = append(page.Steps, event{Kind: "warn", Icon: "alert", Title: cmp.Or(title, "Withdrawn"), State: "not in force", Words: moment(now.Since)})
	}
	return s.show(w, r, http.StatusOK, view{name: "credential", frame: v.frame(), page: &page})
}

// claimedBy says who asked for the credential: its learner, or the organisation for many.
func claimedBy(c issuance.Claim) event {
	if !c.ConsentAt.Valid {
		return event{Kind: "ok", Icon: "check", Title: "Awarded by your organisation", State: "done", Words: "To you and others at once, in the name that it knows you by"}
	}
	return event{Kind: "ok", Icon: "check", Title: "Claimed by you", State: "done", Words: moment(c.ConsentAt.Time)}
}

// renews is when the credential was sealed that this one renews; nil when it renews none.
func (s *Web) renews(ctx context.Context, c issuance.Claim, now issuance.Credential) (*time.Time, error) {
	if now.Replaces == "" || now.Revision != c.Term {
		return nil, nil //nolint:nilnil // most renew none
	}
	all, err := s.deps.Desk.CredentialsOf(ctx, c.OrganisationID, c.ID)
	for _, k := range all {
		if k.ID == now.Replaces {
			return &k.SealedAt.Time, err
		}
	}
	return nil, err
}

// corrected is what came of the last correction of the claim's name, and what was sealed before.
func (s *Web) corrected(ctx context.Context, c issuance.Claim, now issuance.Credential) (last correctionNotice, earlier []earlierCredential, err error) {
	corrections, err := s.deps.Desk.CorrectionsOf(ctx, c.OrganisationID, c.ID)
	if err != nil || len(corrections) == 0 {
		return last, nil, err
	}
	last = newCorrectionNotice(corrections[0], c)
	all, err := s.deps.Desk.CredentialsOf(ctx, c.OrganisationID, c.ID)
	for _, k := range all {
		if k.ID != now.ID && k.SealedAt.Valid && k.Revision >= c.Term && now.Revision > c.Term {
			earlier = append(earlier, earlierCredential{Page: s.deps.PublicURL.JoinPath("c", k.Link).String(), SealedAt: k.SealedAt.Time})
		}
	}
	return last, earlier, err
}

// newQRCode draws text as a QR code with the medium level of correction.
func newQRCode(text string) (*qrCode, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, fmt.Errorf("draw the QR code: %w", err)
	}
	n := code.Size
	var path strings.Builder
	for y := range n {
		for x := 0; x < n; x++ {
			width := 0
			for x+width < n && code.Black(x+width, y) {
				width++
			}
			if width > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x, y, width, width)
				x += width
			}
		}
	}
	const quiet = 4 // modules, ISO/IEC 18004
	return &qrCode{Box: fmt.Sprintf("%d %d %d %d", -quiet, -quiet, n+2*quiet, n+2*quiet), Path: path.String()}, nil
}

// ownFile gives the learner the sealed file and notes that they have it.
func (s *Web) ownFile(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, err := s.ownClaim(r.Context(), v)
	if err != nil {
		return err
	}
	credential, err := s.deps.Desk.Credential(r.Context(), v.organisation.ID, c.ID)
	if err != nil {
		return err
	}
	if !credential.SealedAt.Valid {
		return issuance.ErrNotFound
	}
	if r.Method == http.MethodGet {
		if err := s.deps.Desk.MarkDelivered(r.Context(), v.organisation.ID, c.ID); err != nil {
			return err
		}
	}
	return s.sendSealed(w, r, credential.Payload, credential.Sealed)
}
