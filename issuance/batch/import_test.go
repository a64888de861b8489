package batch_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/csvfile"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
)

func (c *course) imported(tb testing.TB, file string, people csvfile.People, award bool) batch.Batch {
	tb.Helper()
	table, err := csvfile.Read([]byte(file), csvfile.Options{People: people, Now: c.clock.Now()})
	must(tb, err)
	b, err := c.batches.DraftImport(tb.Context(), c.order("Results of the exam"), batch.Import{FileName: "results.csv", Table: table, Award: award})
	must(tb, err)
	return b
}

const results = `learner id;score;maximum
learner-0000;17;20
learner-0001;3;20
learner-0002;20;20
learner-0003;5;20
nobody@else.example;20;20
learner-0004;much;20
`

func TestImport(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		c.grade(t, learner(2), 30) // the gradebook says otherwise, and earlier
		c.grade(t, learner(3), 90) // what stands is better than the file
		b := c.imported(t, results, people(5), false)
		dry := map[string]batch.Outcome{
			learner(0): batch.ToDo, learner(1): batch.ToDo, learner(2): batch.ToDo, learner(3): batch.BetterOne,
			"nobody@else.example": csvfile.TroubleNobody, learner(4): csvfile.TroubleValue,
		}
		c.wantOutcomes(t, b, dry)
		if b.Kind != batch.Importing || b.FileName != "results.csv" || len(b.FileSHA256) != 64 {
			t.Errorf("%+v", b)
		}
		c.work(t, c.batches)
		if n := c.number(t, `select count(*) from evidence where source = 'csv-file'`); n != 0 {
			t.Errorf("%d results were imported before anybody said yes", n)
		}
		c.clock.add(time.Minute)
		c.confirmed(t, b, nil)
		c.work(t, c.batches)
		c.wantState(t, b, batch.Finished)
		dry[learner(0)], dry[learner(1)], dry[learner(2)] = batch.Completed, batch.Imported, batch.Completed
		c.wantOutcomes(t, b, dry)
		d, err := grading.Latest(t.Context(), c.db, b.OrganisationID, b.AttachmentID, learner(0))
		must(t, err)
		if !d.Complete || d.Evidence.Source != csvfile.Source || d.Evidence.Score.Float64 != 17 || !strings.Contains(d.Evidence.Raw, b.FileSHA256) {
			t.Errorf("%+v", d)
		}
		claim, err := c.desk.OfLearner(t.Context(), b.OrganisationID, b.AttachmentID, learner(0))
		must(t, err)
		if claim.State != issuance.Open || claim.DecisionID != d.ID {
			t.Errorf("%+v", claim)
		}
		if n := c.counts(t, b); n.Kept != 3 || n.Left != 3 || !n.Over() || n.Percent() != 100 {
			t.Errorf("%+v", n)
		}
		if n := c.number(t, `select count(*) from batch_rows where raw <> '' or family_name <> ''`); n != 0 {
			t.Errorf("%d rows still have results or names", n)
		}
		c.clock.add(40 * 24 * time.Hour)
		must(t, c.batches.Tidy(t.Context()))
		if n := c.number(t, `select count(*) from batch_rows where shown <> ''`); n != 0 {
			t.Errorf("%d rows still say who was not found", n)
		}

		again := c.imported(t, results, people(5), false) // the same file once more
		c.confirmed(t, again, nil)
		c.work(t, c.batches)
		if n := c.number(t, `select count(*) from evidence where source = 'csv-file'`); n != 3 {
			t.Errorf("%d results after the same file was imported twice, want 3", n)
		}
	})
}

// TestImportBesideTheGradebook: what was imported stands although the gradebook is read
// again and again; only a new grade there is news.
func TestImportBesideTheGradebook(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		c.grade(t, learner(0), 30)
		c.clock.add(time.Minute)
		b := c.imported(t, "learner id;score\nlearner-0000;80\nlearner-0001;80\n", people(2), false)
		c.confirmed(t, b, nil)
		c.work(t, c.batches)
		stands := func(learner, source string, complete bool) {
			t.Helper()
			d, err := grading.Latest(t.Context(), c.db, b.OrganisationID, b.AttachmentID, learner)
			must(t, err)
			if d.Complete != complete || d.Evidence.Source != source {
				t.Errorf("%s: %s says complete=%t", learner, d.Evidence.Source, d.Complete)
			}
		}
		c.clock.add(time.Minute)
		c.grade(t, learner(0), 30) // read again, the same
		_, err := c.grading.Record(t.Context(), c.attachment, "ags-results", grading.Observation{Learner: learner(1), Raw: []byte("null")})
		must(t, err)
		stands(learner(0), csvfile.Source, true)
		stands(learner(1), csvfile.Source, true)
		c.clock.add(time.Minute)
		c.grade(t, learner(0), 31) // a new grade
		stands(learner(0), "ags-results", false)
	})
}

func TestImportAndAward(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		list := csvfile.Nobody("It tells nobody.").With(learner(0), learner(1), learner(2))
		file := "learner id;given name;family name;score\nlearner-0000;Noor;van den Berg;80\nlearner-0001;;;80\nlearner-0002;A;B;10\n"
		b := c.imported(t, file, list, true)
		c.confirmed(t, b, nil)
		c.work(t, c.batches)
		c.wantOutcomes(t, b, map[string]batch.Outcome{learner(0): batch.Awarded, learner(1): batch.NoName, learner(2): batch.Imported})
		for who, want := range map[string]issuance.State{learner(0): issuance.Queued, learner(1): issuance.Open} {
			claim, err := c.desk.OfLearner(t.Context(), b.OrganisationID, b.AttachmentID, who)
			must(t, err)
			if claim.State != want {
				t.Errorf("%s is %s", who, claim.State)
			}
		}
	})
}

// TestImportKilled: evidence, decision, claim and row are written together or not at all.
func TestImportKilled(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		const n = 250
		var file strings.Builder
		file.WriteString("learner id,score\n")
		for i := range n {
			fmt.Fprintf(&file, "%s,80\n", learner(i))
		}
		b := c.imported(t, file.String(), people(n), true)
		c.confirmed(t, b, nil)
		for range 3 {
			dying := c.server()
			dying.Step = func(string) error { return errKilled }
			_, err := dying.Work(t.Context())
			wantErr(t, err, errKilled)
			for query, want := range map[string]int{`select count(*) from evidence`: c.counts(t, b).Waiting, `select count(*) from decisions`: c.counts(t, b).Waiting} {
				if got := c.number(t, query); got != want {
					t.Errorf("%s: %d, want %d", query, got, want)
				}
			}
			c.clock.add(2 * time.Minute)
			_, err = c.server().Work(t.Context())
			must(t, err)
		}
		c.work(t, c.batches)
		c.once(t, b, n)
		if got := c.number(t, `select count(*) from evidence`); got != n {
			t.Errorf("%d pieces of evidence", got)
		}
	})
}

// TestRowInTheWay: a row that the database does not take is set aside with the cause, and
// the others are done.
func TestRowInTheWay(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		c.finished(t, 150)
		b, err := c.batches.DraftAward(t.Context(), c.order("All"), people(150))
		c.confirmed(t, b, err)
		// A decision that cannot be decoded: reading it fails, whatever else is right.
		_, err = c.db.Exec(t.Context(), `update decisions set reasons = '[' where learner = ?`, learner(7))
		must(t, err)
		c.work(t, c.batches)
		c.wantState(t, b, batch.Finished)
		n := c.counts(t, b)
		if n.Waiting != 149 || n.Stopped != 1 || n.By[batch.Broken] != 1 {
			t.Errorf("%+v", n)
		}
		rows, err := c.batches.Some(t.Context(), b.OrganisationID, b.ID, false, 10)
		must(t, err)
		if len(rows) != 1 || rows[0].Learner != learner(7) || !strings.Contains(rows[0].Words, "decode reasons") {
			t.Errorf("%+v", rows)
		}
	})
}

// TestTenThousand: pages stay small, and all of it is done once.
func TestTenThousand(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		const n = 10_000
		var file strings.Builder
		file.WriteString("learner id,score\n")
		for i := range n {
			fmt.Fprintf(&file, "%s,80\n", learner(i))
		}
		b := c.imported(t, file.String(), people(n), true)
		c.confirmed(t, b, nil)
		c.work(t, c.batches)
		c.once(t, b, n)
		if steps := c.number(t, `select count(*) from audit where action = 'claim opened'`); steps != n {
			t.Errorf("%d claims were opened", steps)
		}
	})
}
