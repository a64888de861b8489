package batch_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/grading/csvfile"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
)

func TestAward(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		c.finished(t, 4)
		c.grade(t, "below", 40)
		c.grade(t, "nameless", 90)
		c.grade(t, "gone", 90)
		_, err := c.desk.Confirm(t.Context(), c.attachment.OrganisationID, c.attachment.ID, learner(3), issuance.Name{Family: "Herself"})
		must(t, err)
		list := people(4, member("nameless", "", ""), member("below", "A", "B"))
		b, err := c.batches.DraftAward(t.Context(), c.order("  All of  autumn "), list)
		must(t, err)
		dry := map[string]batch.Outcome{
			learner(0): batch.ToDo, learner(1): batch.ToDo, learner(2): batch.ToDo, learner(3): batch.HasClaimed,
			"below": batch.NotComplete, "nameless": batch.NoName, "gone": batch.NotThere,
		}
		c.wantOutcomes(t, b, dry)
		if b.Title != "All of autumn" || b.State != batch.Draft || len(b.Digest) != 64 {
			t.Errorf("%+v", b)
		}
		c.work(t, c.batches) // a draft does nothing
		c.wantOutcomes(t, b, dry)
		_, err = c.batches.Confirm(t.Context(), b.OrganisationID, b.ID, strings.Repeat("0", 64), "admin")
		wantErr(t, err, batch.ErrDigest)
		c.confirmed(t, b, nil)
		_, err = c.batches.Confirm(t.Context(), b.OrganisationID, b.ID, b.Digest, "admin")
		wantErr(t, err, batch.ErrState)

		c.grade(t, learner(1), 20) // lowered after the yes
		_, err = c.desk.Confirm(t.Context(), c.attachment.OrganisationID, c.attachment.ID, learner(2), issuance.Name{Family: "Quicker"})
		must(t, err)
		c.work(t, c.batches)
		c.wantState(t, b, batch.Finished)
		dry[learner(0)], dry[learner(1)], dry[learner(2)] = batch.Awarded, batch.NotComplete, batch.HasClaimed
		c.wantOutcomes(t, b, dry)

		claim, err := c.desk.OfLearner(t.Context(), c.attachment.OrganisationID, c.attachment.ID, learner(0))
		must(t, err)
		if claim.State != issuance.Queued || claim.ConsentAt.Valid || claim.GivenName != "Noor" || claim.FamilyName != "Berg 0000" {
			t.Errorf("claim %+v", claim)
		}
		if n := c.number(t, `select count(*) from claims where batch_id = ?`, b.ID); n != 1 {
			t.Errorf("%d claims in the line of the batch", n)
		}
		if n := c.number(t, `select count(*) from batch_rows where given_name <> '' or family_name <> ''`); n != 0 {
			t.Errorf("%d rows still have names", n)
		}
		for action, want := range map[string]int{"batch drafted": 1, "batch confirmed": 1, "batch finished": 1, "claim awarded": 1} {
			if n := c.number(t, `select count(*) from audit where action = ?`, action); n != want {
				t.Errorf("%d times %q", n, action)
			}
		}
		n := c.counts(t, b)
		if n.Rows != 7 || n.Waiting != 1 || n.Left != 6 || n.ToDo != 0 || n.Over() || n.Percent() != 0 {
			t.Errorf("%+v", n)
		}
		rows, err := c.batches.Some(t.Context(), b.OrganisationID, b.ID, true, 10)
		must(t, err)
		if len(rows) != 1 || rows[0].Name() != "Noor Berg 0000" || rows[0].Stands != batch.StandsWaiting {
			t.Errorf("%+v", rows)
		}
	})
}

func TestReport(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		c.finished(t, 3)
		b, err := c.batches.DraftAward(t.Context(), c.order("All"), people(3))
		c.confirmed(t, b, err)
		c.work(t, c.batches)
		for i, state := range []issuance.State{issuance.Delivered, issuance.Failed, issuance.Sealing} {
			_, err := c.db.Exec(t.Context(), `update claims set state = ?, last_error = ? where learner = ?`, state, "the page has no room", learner(i))
			must(t, err)
		}
		n := c.counts(t, b)
		if n.Sealed != 1 || n.Stopped != 1 || n.Waiting != 1 || n.Percent() != 66 || n.Over() {
			t.Errorf("%+v", n)
		}
		rows, err := c.batches.Some(t.Context(), b.OrganisationID, b.ID, false, 10)
		must(t, err)
		if len(rows) != 1 || rows[0].Learner != learner(1) || rows[0].Stands != batch.StandsStopped || rows[0].Trouble != "the page has no room" {
			t.Errorf("%+v", rows)
		}
	})
}

func TestNobodyTellsNames(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		c.finished(t, 1)
		b, err := c.batches.DraftAward(t.Context(), c.order("All"), csvfile.Nobody("The platform gave no answer."))
		must(t, err)
		c.wantOutcomes(t, b, map[string]batch.Outcome{learner(0): batch.NoName})
		_, err = c.batches.Confirm(t.Context(), b.OrganisationID, b.ID, b.Digest, "admin")
		wantErr(t, err, batch.ErrEmpty)
		c.wantState(t, b, batch.Draft)
	})
}

func TestOrders(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		for _, o := range []batch.Order{
			c.order("  "), c.order(strings.Repeat("x", 121)), {Attachment: c.attachment, Title: "far", StartsAt: start.AddDate(3, 0, 0)},
		} {
			_, err := c.batches.DraftAward(t.Context(), o, people(0))
			wantErr(t, err, batch.ErrOrder)
		}
	})
}

// TestStartsLater: until its day nothing is done; who claims meanwhile waits for it too.
func TestStartsLater(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		c.finished(t, 3)
		o := c.order("Graduation")
		o.StartsAt = start.Add(48 * time.Hour)
		b, err := c.batches.DraftAward(t.Context(), o, people(3))
		c.confirmed(t, b, err)
		c.work(t, c.batches)
		if n := c.counts(t, b); n.ToDo != 3 {
			t.Errorf("%+v", n)
		}
		org, att := c.attachment.OrganisationID, c.attachment.ID
		when, err := c.desk.Announced(t.Context(), org, att, learner(1))
		must(t, err)
		if !when.Equal(o.StartsAt) {
			t.Errorf("announced for %s", when)
		}
		claim, err := c.desk.Confirm(t.Context(), org, att, learner(1), issuance.Name{Family: "Early"})
		must(t, err)
		if claim.State != issuance.Queued || !claim.NotBefore.Equal(o.StartsAt) {
			t.Errorf("claim %+v", claim)
		}
		c.grade(t, learner(2), 10)
		c.clock.add(48 * time.Hour)
		c.work(t, c.batches)
		c.wantOutcomes(t, b, map[string]batch.Outcome{learner(0): batch.Awarded, learner(1): batch.HasClaimed, learner(2): batch.NotComplete})
		if when, err = c.desk.Announced(t.Context(), org, att, learner(1)); err != nil || !when.IsZero() {
			t.Errorf("still announced for %s, %v", when, err)
		}
	})
}

func TestPauseAndCancel(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		c.finished(t, 250)
		b, err := c.batches.DraftAward(t.Context(), c.order("All"), people(250))
		c.confirmed(t, b, err)
		_, err = c.batches.Work(t.Context())
		must(t, err)
		if n := c.counts(t, b); n.Waiting != 100 || n.ToDo != 150 {
			t.Errorf("%+v", n)
		}
		_, err = c.db.Exec(t.Context(), `insert into pauses (organisation_id, batch_id, words, actor, at) values (?, ?, 'look', 'admin', ?)`, b.OrganisationID, b.ID, start)
		must(t, err)
		if worked, err := c.batches.Work(t.Context()); worked || err != nil {
			t.Errorf("a paused batch went on: %v", err)
		}
		_, err = c.db.Exec(t.Context(), `delete from pauses`)
		must(t, err)
		_, err = c.batches.Work(t.Context())
		must(t, err)
		_, err = c.batches.Cancel(t.Context(), b.OrganisationID, b.ID, "admin")
		must(t, err)
		_, err = c.batches.Cancel(t.Context(), b.OrganisationID, b.ID, "admin")
		wantErr(t, err, batch.ErrState)
		c.work(t, c.batches)
		n := c.counts(t, b)
		if n.Waiting != 200 || n.ToDo != 0 || n.By[batch.Dropped] != 50 {
			t.Errorf("%+v", n)
		}
		if open := c.number(t, `select count(*) from claims where state = 'open'`); open != 50 {
			t.Errorf("%d claims are open", open)
		}
	})
}

var errKilled = errors.New("killed")

// TestKilled: a server that dies before any commit leaves whole pages; another one goes on
// after the lease, and everything happens once.
func TestKilled(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		const n = 450
		c.finished(t, n)
		b, err := c.batches.DraftAward(t.Context(), c.order("All"), people(n))
		c.confirmed(t, b, err)
		for kill := range 6 { // five pages and the end
			dying := c.server()
			steps := 0
			dying.Step = func(string) error {
				if steps++; steps > 1 {
					return errKilled
				}
				return nil
			}
			if kill == 0 {
				dying.Step = func(string) error { return errKilled }
			}
			var err error
			for worked := true; worked && err == nil; {
				worked, err = dying.Work(t.Context())
			}
			if kill < 5 {
				wantErr(t, err, errKilled)
			}
			if worked, err := c.server().Work(t.Context()); kill < 5 && (worked || err != nil) {
				t.Errorf("another server took the batch while it was leased: %v", err)
			}
			c.clock.add(2 * time.Minute)
		}
		c.work(t, c.batches)
		c.wantState(t, b, batch.Finished)
		c.once(t, b, n)
	})
}

// once wants n claims of the batch, each awarded once.
func (c *course) once(tb testing.TB, b batch.Batch, n int) {
	tb.Helper()
	if got := c.counts(tb, b); got.Waiting != n || got.Rows != n {
		tb.Errorf("%+v", got)
	}
	for query, want := range map[string]int{
		`select count(*) from claims where state = 'queued' and batch_id <> ''`:                                n,
		`select count(*) from audit where action = 'claim awarded'`:                                            n,
		`select count(*) from (select subject from audit where action = 'claim awarded' group by subject) s`:   n,
		`select count(*) from (select claim_id from batch_rows where outcome = 'awarded' group by claim_id) s`: n,
		`select count(*) from audit where action = 'batch finished'`:                                           1,
		`select count(*) from batch_rows r join claims c on c.id = r.claim_id and c.learner = r.learner`:       n,
		`select count(*) from claims c where not exists (select 1 from batch_rows r where r.claim_id = c.id)`:  0,
		`select count(*) from batches where lease_until is not null and state = 'finished'`:                    0,
	} {
		if got := c.number(tb, query); got != want {
			tb.Errorf("%s: %d, want %d", query, got, want)
		}
	}
}

// TestManyServers: three servers without leases that would keep them apart.
func TestManyServers(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		const n = 1000
		c.finished(t, n)
		b, err := c.batches.DraftAward(t.Context(), c.order("All"), people(n))
		c.confirmed(t, b, err)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				s := c.server()
				for {
					worked, err := s.Work(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					if n, err := s.Counts(t.Context(), b.OrganisationID, b.ID); err != nil || !worked && n.ToDo == 0 {
						return
					}
					c.clock.add(2 * time.Minute) // every lease has ended
				}
			})
		}
		all.Wait()
		c.work(t, c.batches)
		c.once(t, b, n)
	})
}

func TestTidy(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		c.finished(t, 1)
		b, err := c.batches.DraftAward(t.Context(), c.order("All"), people(1))
		must(t, err)
		c.clock.add(6 * 24 * time.Hour)
		must(t, c.batches.Tidy(t.Context()))
		c.wantState(t, b, batch.Draft)
		c.clock.add(2 * 24 * time.Hour)
		must(t, c.batches.Tidy(t.Context()))
		c.wantState(t, b, batch.Cancelled)
		if n := c.number(t, `select count(*) from batch_rows where family_name <> ''`); n != 0 {
			t.Errorf("%d rows still have names", n)
		}
	})
}

func TestTenancy(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		c.finished(t, 1)
		b, err := c.batches.DraftAward(t.Context(), c.order("All"), people(1))
		must(t, err)
		other := c.open(t, "harbour").OrganisationID
		_, err = c.batches.Batch(t.Context(), other, b.ID)
		wantErr(t, err, batch.ErrNotFound)
		_, err = c.batches.Confirm(t.Context(), other, b.ID, b.Digest, "x")
		wantErr(t, err, batch.ErrNotFound)
		_, err = c.batches.Cancel(t.Context(), other, b.ID, "x")
		wantErr(t, err, batch.ErrNotFound)
		all, err := c.batches.List(t.Context(), other, "", 10)
		must(t, err)
		rows, err := c.batches.Rows(t.Context(), other, b.ID, 0, 10)
		must(t, err)
		n, err := c.batches.Counts(t.Context(), other, b.ID)
		must(t, err)
		if len(all) != 0 || len(rows) != 0 || n.Rows != 0 {
			t.Errorf("%v %v %+v", all, rows, n)
		}
		of, err := c.batches.OfPerson(t.Context(), other, "r-polder", learner(0))
		must(t, err)
		elsewhere, err := c.batches.OfPerson(t.Context(), b.OrganisationID, "r-harbour", learner(0))
		must(t, err)
		own, err := c.batches.OfPerson(t.Context(), b.OrganisationID, "r-polder", learner(0))
		must(t, err)
		if len(of) != 0 || len(elsewhere) != 0 || len(own) != 1 || own[0].BatchID != b.ID || own[0].Family != "Berg 0000" {
			t.Errorf("of a person: %v %v %+v", of, elsewhere, own)
		}
		mine, err := c.batches.List(t.Context(), b.OrganisationID, b.AttachmentID, 10)
		must(t, err)
		if len(mine) != 1 || mine[0].ID != b.ID {
			t.Errorf("%+v", mine)
		}
	})
}
