package issuance_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// endsAfter gives the template a version whose credentials end, and lets the activity follow.
func (o *office) endsAfter(tb testing.TB, months int) {
	tb.Helper()
	content := o.version.Content
	content.Validity = months
	var err error
	o.version, err = o.templates.Save(tb.Context(), o.org.ID, o.version.TemplateID, content, "operator")
	check(tb, err)
	_, err = o.db.Exec(tb.Context(), `update attachments set version_id = ? where id = ?`, o.version.ID, o.attachment.ID)
	check(tb, err)
	o.attachment, err = o.grading.Attachment(tb.Context(), o.org.ID, o.attachment.ID)
	check(tb, err)
}

func (o *office) renew(tb testing.TB, c issuance.Claim) (issuance.Claim, error) {
	tb.Helper()
	var out issuance.Claim
	err := o.db.InTx(tb.Context(), func(tx *sqldb.Tx) (err error) {
		out, _, err = o.desk.Renew(tb.Context(), tx, issuance.Renewal{OrganisationID: o.org.ID, ClaimID: c.ID, BatchID: "b", By: "admin"})
		return err
	})
	return out, err
}

// TestEnding: a credential of a template with a validity carries its end in the file and in
// the lists, and afterwards every check says that it has expired.
func TestEnding(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		plain, _ := o.held(t, "plain")
		if _, err := o.desk.EndOf(t.Context(), o.org.ID, plain.ID); !errors.Is(err, issuance.ErrNotFound) {
			t.Errorf("a credential without an end: %v", err)
		}
		o.endsAfter(t, 12)
		c, cred := o.held(t, "noor")
		want := o.version.Content.ValidUntil(cred.IssuedAt)
		content, err := elm.Read(cred.Payload)
		check(t, err)
		if !content.ValidUntil.Equal(want) || !cred.ValidUntil.Valid || !cred.ValidUntil.Time.Equal(want) || want.IsZero() {
			t.Errorf("ends %s in the file, %v in the row, want %s", content.ValidUntil, cred.ValidUntil, want)
		}
		soon := func() int {
			all, err := o.desk.Ending(t.Context(), o.org.ID, o.attachment.ID, o.clock.Now().Add(issuance.RemindBefore), 10)
			check(t, err)
			for _, e := range all {
				if e.ClaimID != c.ID || e.FamilyName != noor.Family || e.Renewable() || !e.Soon(o.clock.Now()) {
					t.Errorf("%+v", e)
				}
			}
			return len(all)
		}
		if n := soon(); n != 0 {
			t.Errorf("%d end soon, a year before", n)
		}
		o.clock.add(want.Sub(o.clock.Now()) - issuance.RemindBefore + time.Hour)
		if n := soon(); n != 1 {
			t.Errorf("%d end soon, two months before", n)
		}
		if all, err := o.desk.Ending(t.Context(), "another", "", want.AddDate(1, 0, 0), 10); err != nil || len(all) != 0 {
			t.Errorf("another organisation sees %v %v", all, err)
		}
		o.clock.add(issuance.RemindBefore)
		r := issuance.Verify(cred.Sealed, issuance.VerifyOptions{Trust: o.token.mint.pool(), Now: o.clock.Now()})
		if r.Reason != "expired" || !strings.Contains(r.Headline, "it has expired") {
			t.Errorf("%s: %s", r.Reason, r.Headline)
		}
	})
}

// TestRenew: who has fulfilled the rule anew gets a new credential with a term of its own in
// the place of the old one.
func TestRenewEnding(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.endsAfter(t, 3)
		c, old := o.held(t, "noor")
		_, err := o.renew(t, c)
		wantRefused(t, err, "it does not end before ")
		o.clock.add(old.ValidUntil.Time.Sub(o.clock.Now()) - 24*time.Hour)
		if _, err := o.renew(t, c); !errors.Is(err, issuance.ErrNotComplete) {
			t.Errorf("renewed on the old result: %v", err)
		}
		d := o.grade(t, "noor", 91)
		e, err := o.desk.EndOf(t.Context(), o.org.ID, c.ID)
		check(t, err)
		if !e.Renewable() {
			t.Errorf("%+v", e)
		}
		c, err = o.renew(t, c)
		check(t, err)
		if c.State != issuance.Queued || c.Revision != 2 || c.Term != 2 || c.DecisionID != d.ID {
			t.Errorf("%+v", c)
		}
		_, err = o.renew(t, c)
		wantRefused(t, err, "waits for the seal already")
		wantRefused(t, o.desk.Drop(t.Context(), o.org.ID, c.ID, "operator"), "what waits is its renewal")
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		fresh := o.sealed(t, c)
		if fresh.ID == old.ID || fresh.Replaces != old.ID || !fresh.IssuedAt.Equal(o.clock.Now()) || !fresh.ValidUntil.Time.Equal(o.version.Content.ValidUntil(o.clock.Now())) {
			t.Errorf("%+v", fresh)
		}
		o.wantStanding(t, old, issuance.StandsReplaced, o.clock.Now())
		o.wantStanding(t, fresh, issuance.StandsInForce, o.clock.Now())
		if all, err := o.desk.Ending(t.Context(), o.org.ID, "", o.clock.Now().Add(issuance.RemindBefore), 10); err != nil || len(all) != 0 {
			t.Errorf("still ending: %v %v", all, err)
		}
		if n := o.audits(t, "claim renewed", c.ID); n != 1 {
			t.Errorf("%d lines in the audit trail", n)
		}

		// Correcting the name afterwards prolongs nothing, and the award is that of the renewal.
		o.clock.add(30 * 24 * time.Hour)
		proposal := issuance.Proposal{OrganisationID: o.org.ID, ClaimID: c.ID, Name: issuance.Name{Given: "Noor", Family: "Berg"}, Words: "married", By: "admin"}
		_, err = o.desk.Correct(t.Context(), proposal, issuance.Ruling{OrganisationID: o.org.ID, Evidence: issuance.EvidencePassport, Reference: "file 7", Words: "seen", By: "admin"})
		check(t, err)
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		corrected := o.sealed(t, c)
		if corrected.ID == fresh.ID || !corrected.ValidUntil.Time.Equal(fresh.ValidUntil.Time) {
			t.Errorf("the corrected one ends %v, the one before %v", corrected.ValidUntil.Time, fresh.ValidUntil.Time)
		}
	})
}

func TestRenewOwn(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		own := func() error { return o.desk.RenewOwn(t.Context(), o.org.ID, o.attachment.ID, "noor") }
		if err := own(); !errors.Is(err, issuance.ErrNotFound) {
			t.Errorf("without a claim: %v", err)
		}
		o.endsAfter(t, 1)
		c, cred := o.held(t, "noor")
		if err := own(); !errors.Is(err, issuance.ErrNotComplete) {
			t.Errorf("without a newer result: %v", err)
		}
		o.clock.add(time.Hour)
		o.grade(t, "noor", 91)
		_, err := o.desk.Suspend(t.Context(), o.order(cred))
		check(t, err)
		wantRefused(t, own(), "not in force")
		_, err = o.desk.Reinstate(t.Context(), o.order(cred))
		check(t, err)
		_, err = o.desk.Propose(t.Context(), issuance.Proposal{OrganisationID: o.org.ID, ClaimID: c.ID, Name: issuance.Name{Family: "Berg"}, Words: "wrong", By: issuance.ByLearner})
		check(t, err)
		wantRefused(t, own(), "its name is being corrected")
		check(t, o.desk.TakeBackCorrection(t.Context(), o.org.ID, c.ID))
		check(t, own())
		o.wantState(t, c, issuance.Queued)
		o.grade(t, "noor", 20) // taken back: what stands is no completion any more
		if d, err := grading.Latest(t.Context(), o.db, o.org.ID, o.attachment.ID, "noor"); err != nil || d.Complete {
			t.Errorf("%+v %v", d, err)
		}
		check(t, o.worker(t).Seal(t.Context(), c.ID)) // it was decided when it was asked for
		o.sealed(t, c)
	})
}
