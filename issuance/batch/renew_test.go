package batch_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// sealed makes as if a worker had sealed the learner's claim, with an end.
func (c *course) sealed(tb testing.TB, learner string, until time.Time) {
	tb.Helper()
	claim, err := c.desk.Confirm(tb.Context(), c.attachment.OrganisationID, c.attachment.ID, learner, issuance.Name{Given: "Noor", Family: "Berg"})
	must(tb, err)
	id, at := uuid.NewString(), sqldb.UTC(c.clock.Now())
	_, err = c.db.Exec(tb.Context(), `insert into credentials (id, organisation_id, claim_id, issued_at, valid_until, payload, payload_sha256, key_id, sealed, sealed_at, link, created_at, revision)
		values (?, ?, ?, ?, ?, ?, '', 'k', ?, ?, ?, ?, 1)`, id, claim.OrganisationID, claim.ID, at, sqldb.UTC(until), []byte("{}"), []byte("{}"), at, id, at)
	must(tb, err)
	_, err = c.db.Exec(tb.Context(), `update claims set state = 'sealed' where id = ?`, claim.ID)
	must(tb, err)
}

func TestRenewal(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		c.finished(t, 5)
		for i, until := range []time.Time{start.AddDate(0, 1, 0), start.AddDate(0, 1, 0), start.AddDate(1, 0, 0), start.AddDate(0, 1, 0), start.AddDate(0, 1, 0)} {
			c.sealed(t, learner(i), until)
		}
		c.clock.add(24 * time.Hour)
		for _, i := range []int{0, 2, 3, 4} {
			c.grade(t, learner(i), 90)
		}
		b, err := c.batches.DraftRenewal(t.Context(), c.order("Refreshed"))
		must(t, err)
		want := map[string]batch.Outcome{learner(0): batch.ToDo, learner(1): batch.OldResult, learner(3): batch.ToDo, learner(4): batch.ToDo}
		c.wantOutcomes(t, b, want)
		c.confirmed(t, b, nil)
		c.clock.add(time.Hour)
		c.grade(t, learner(3), 20)                                                          // lowered after the yes
		must(t, c.desk.RenewOwn(t.Context(), b.OrganisationID, b.AttachmentID, learner(4))) // by the learner first
		c.work(t, c.batches)
		c.wantState(t, b, batch.Finished)
		want[learner(0)], want[learner(3)], want[learner(4)] = batch.Awarded, batch.OldResult, batch.NotNow
		c.wantOutcomes(t, b, want)
		if n := c.counts(t, b); n.Waiting != 1 || n.Left != 3 {
			t.Errorf("%+v", n)
		}
		claim, err := c.desk.OfLearner(t.Context(), b.OrganisationID, b.AttachmentID, learner(0))
		must(t, err)
		if claim.State != issuance.Queued || claim.Revision != 2 || claim.Term != 2 || claim.BatchID != b.ID {
			t.Errorf("%+v", claim)
		}
		_, err = c.db.Exec(t.Context(), `update claims set state = 'sealed' where id = ?`, claim.ID)
		must(t, err)
		if n := c.counts(t, b); n.Sealed != 1 || !n.Over() {
			t.Errorf("%+v", n)
		}
		// What happens to the claim later is not this batch's waiting any more.
		_, err = c.db.Exec(t.Context(), `update claims set state = 'queued', revision = 3 where id = ?`, claim.ID)
		must(t, err)
		if n := c.counts(t, b); n.Sealed != 1 || !n.Over() {
			t.Errorf("after a correction: %+v", n)
		}
	})
}
