package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/jades"
)

// crashCount is what was found in the sealed files themselves.
type crashCount struct {
	Sealed        int  `json:"sealed"`         // files that verify, each of another learner
	Lost          int  `json:"lost"`           // learners who claimed and have no file
	Twice         int  `json:"twice"`          // files of a learner who has another one, or with an id that another one has
	VerifyFailed  int  `json:"verify_failed"`  // files that are not valid
	IntentChanged int  `json:"intent_changed"` // files whose id or content, with its date, is not that of the first intent
	Rows          int  `json:"rows"`           // in credentials: no more than files
	Links         int  `json:"audit_links"`    // of the audit trail
	AuditWhole    bool `json:"audit_whole"`
}

func (c crashCount) clean(claims int) bool {
	return c.Sealed == claims && c.Rows == claims && c.AuditWhole && c.Lost+c.Twice+c.VerifyFailed+c.IntentChanged == 0
}

// issuedClaim is one claim with the first intent that the audit trail tells of.
type issuedClaim struct {
	ID             string `db:"id"`
	OrganisationID string `db:"organisation_id"`
	Name           string `db:"name"`

	begun []string // "credential ID sha256 HASH"
}

// issuedClaims lists the claims that learners have confirmed.
func (r *crash) issuedClaims(ctx context.Context) ([]issuedClaim, error) {
	var claims []issuedClaim
	err := r.app.db.Select(ctx, &claims, `select id, organisation_id, given_name || ' ' || family_name as name from claims where consent_at is not null order by id`)
	if err != nil {
		return nil, err
	}
	var intents []struct {
		Subject string `db:"subject"`
		Detail  string `db:"detail"`
	}
	if err := r.app.db.Select(ctx, &intents, `select subject, detail from audit where action = 'sealing begun' order by id`); err != nil {
		return nil, err
	}
	begun := map[string][]string{}
	for _, i := range intents {
		begun[i.Subject] = append(begun[i.Subject], i.Detail)
	}
	for i := range claims {
		claims[i].begun = begun[claims[i].ID]
	}
	return claims, nil
}

// count reads every sealed file: whose it is, whether it verifies, and whether it is what was
// first intended.
func (r *crash) count(ctx context.Context) (crashCount, error) {
	var out crashCount
	if err := r.linked(ctx); err != nil {
		return out, err
	}
	claims, err := r.issuedClaims(ctx)
	if err != nil {
		return out, err
	}
	options := issuance.VerifyOptions{Now: time.Now()}
	if options.Trust, err = readTrust(r.token.CAFile); err != nil {
		return out, err
	}
	learners, ids := map[string]bool{}, map[string]bool{}
	for _, claim := range claims {
		cred, err := r.app.desk.Credential(ctx, claim.OrganisationID, claim.ID)
		if errors.Is(err, issuance.ErrNotFound) || err == nil && len(cred.Sealed) == 0 {
			continue
		}
		if errors.Is(err, issuance.ErrFileDamaged) {
			out.VerifyFailed++
			continue
		}
		if err != nil {
			return out, err
		}
		report := issuance.Verify(cred.Sealed, options)
		if report.Verdict != issuance.VerdictValid || report.Content == nil || report.Content.Learner != claim.Name {
			out.VerifyFailed++
			continue
		}
		id := strings.TrimPrefix(report.Content.ID, "urn:credential:")
		if learners[report.Content.Learner] || ids[id] {
			out.Twice++
			continue
		}
		learners[report.Content.Learner], ids[id] = true, true
		out.Sealed++
		if !intended(claim, cred, report) {
			out.IntentChanged++
		}
	}
	out.Lost = r.Claims - len(learners)
	err = r.app.db.Get(ctx, &out.Rows, `select count(*) from credentials`)
	if err != nil {
		return out, err
	}
	audit, err := r.app.db.VerifyAudit(ctx, "")
	out.AuditWhole, out.Links = audit.Whole, int(audit.Links)
	return out, err
}

// intended compares a file with the first intent: the id in it, and the hash of what is
// sealed, which covers the date of issue.
func intended(claim issuedClaim, cred issuance.Credential, report issuance.Report) bool {
	file, err := jades.Parse(cred.Sealed)
	if err != nil {
		return false
	}
	want := fmt.Sprintf("credential %s sha256 %s", strings.TrimPrefix(report.Content.ID, "urn:credential:"), digest(file.Payload))
	return len(claim.begun) == 1 && claim.begun[0] == want && report.Content.IssuedAt.Equal(cred.IssuedAt)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// linked waits until the audit trail is linked to its end.
func (r *crash) linked(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	for {
		var waiting int
		err := r.app.db.Get(ctx, &waiting, `select count(*) from audit_pending`)
		if err == nil && waiting == 0 {
			return nil
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return fmt.Errorf("%d rows of the audit trail are not linked: %w", waiting, err)
		}
	}
}
