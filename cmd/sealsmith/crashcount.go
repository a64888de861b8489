package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/jades"
)

// crashCount is what was found in the sealed files themselves.
type crashCount struct {
	Sealed        int  `json:"sealed"`         // learners with a file that verifies and bears their name
	Corrected     int  `json:"corrected"`      // of them, those with a former file, too; both lead to each other
	Lost          int  `json:"lost"`           // learners who claimed and have no file
	Twice         int  `json:"twice"`          // files of a learner who has another one that it does not replace, or with an id that another one has
	VerifyFailed  int  `json:"verify_failed"`  // files that are not valid
	IntentChanged int  `json:"intent_changed"` // files whose id or content, with its date, is not that of the first intent
	Rows          int  `json:"rows"`           // in credentials: no more than files
	Links         int  `json:"audit_links"`    // of the audit trail
	AuditWhole    bool `json:"audit_whole"`
}

func (c crashCount) clean(claims, corrected int) bool {
	return c.Sealed == claims && c.Corrected == corrected && c.Rows == claims+corrected && c.AuditWhole && c.Lost+c.Twice+c.VerifyFailed+c.IntentChanged == 0
}

// issuedClaim is one claim with the first intent that the audit trail tells of.
type issuedClaim struct {
	ID             string `db:"id"`
	OrganisationID string `db:"organisation_id"`
	Name           string `db:"name"`

	begun []string // "credential ID sha256 HASH", one for each revision
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
	c := counting{learners: map[string]bool{}, ids: map[string]bool{}, options: issuance.VerifyOptions{Now: time.Now()}}
	if err := r.linked(ctx); err != nil {
		return c.crashCount, err
	}
	claims, err := r.issuedClaims(ctx)
	if err != nil {
		return c.crashCount, err
	}
	if c.options.Trust, err = readTrust(r.token.CAFile); err != nil {
		return c.crashCount, err
	}
	for _, claim := range claims {
		all, err := r.app.desk.CredentialsOf(ctx, claim.OrganisationID, claim.ID)
		if errors.Is(err, issuance.ErrFileDamaged) {
			c.VerifyFailed++
			continue
		}
		if err != nil {
			return c.crashCount, err
		}
		all = slices.DeleteFunc(all, func(k issuance.Credential) bool { return len(k.Sealed) == 0 })
		slices.Reverse(all)
		c.claim(claim, all)
		if err := r.successions(ctx, all, &c.crashCount); err != nil {
			return c.crashCount, err
		}
	}
	c.Lost = r.Claims - len(c.learners)
	err = r.app.db.Get(ctx, &c.Rows, `select count(*) from credentials`)
	if err != nil {
		return c.crashCount, err
	}
	audit, err := r.app.db.VerifyAudit(ctx, "")
	c.AuditWhole, c.Links = audit.Whole, int(audit.Links)
	return c.crashCount, err
}

// successions counts files that took the place of the one before, and those that did not.
func (r *crash) successions(ctx context.Context, all []issuance.Credential, out *crashCount) error {
	for i := 1; i < len(all); i++ {
		former, err := r.app.desk.Find(ctx, all[i].OrganisationID, all[i-1].ID)
		if err != nil {
			return err
		}
		if all[i].Replaces == former.CredentialID && former.ReplacedBy.CredentialID == all[i].ID {
			out.Corrected++
		} else {
			out.Twice++
		}
	}
	return nil
}

// counting is a count under way.
type counting struct {
	crashCount

	learners, ids map[string]bool
	options       issuance.VerifyOptions
}

// claim reads the files of one claim, the oldest first. The last one bears the name that counts.
func (c *counting) claim(claim issuedClaim, all []issuance.Credential) {
	for i, cred := range all {
		report := issuance.Verify(cred.Sealed, c.options)
		if report.Verdict != issuance.VerdictValid || report.Content == nil || i == len(all)-1 && report.Content.Learner != claim.Name {
			c.VerifyFailed++
			continue
		}
		id := strings.TrimPrefix(report.Content.ID, "urn:credential:")
		if c.learners[report.Content.Learner] || c.ids[id] {
			c.Twice++
			continue
		}
		c.ids[id] = true
		if len(claim.begun) != len(all) || !intended(claim.begun[i], cred, report) {
			c.IntentChanged++
		}
		if i == len(all)-1 {
			c.learners[report.Content.Learner] = true
			c.Sealed++
		}
	}
}

// intended compares a file with its first intent: the id in it, and the hash of what is sealed,
// which covers the date of issue.
func intended(begun string, cred issuance.Credential, report issuance.Report) bool {
	file, err := jades.Parse(cred.Sealed)
	if err != nil {
		return false
	}
	want := fmt.Sprintf("credential %s sha256 %s", strings.TrimPrefix(report.Content.ID, "urn:credential:"), digest(file.Payload))
	return begun == want && report.Content.IssuedAt.Equal(cred.IssuedAt)
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
