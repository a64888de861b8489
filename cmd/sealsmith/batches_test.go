package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
	"github.com/sealsmith/sealsmith/lti/demolms"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// TestBatches goes an operator's way: a file of results with a dry run, a yes by its digest,
// a server that is killed in the middle, and a report about everybody.
func TestBatches(t *testing.T) {
	t.Parallel()
	const many = 40
	var users []demolms.User
	file := "e-mail;score;maximum\n"
	for i := range many {
		u := demolms.User{ID: fmt.Sprint(100 + i), Username: fmt.Sprint("u", i), Given: "Noor", Family: fmt.Sprintf("Berg %02d", i), Email: fmt.Sprintf("u%d@polder.example", i), Role: demolms.Learner}
		users = append(users, u)
		file += u.Email + ";17;20\n"
	}
	file += "jan@polder.example;3;20\nnobody@polder.example;20;20\nerika@polder.example;all;20\n"
	r := newRigBy(t, nil, users...)
	results := filepath.Join(r.dir, "results.csv")
	must(t, os.WriteFile(results, []byte(file), 0o600))
	nobody := filepath.Join(r.dir, "nobody.csv")
	must(t, os.WriteFile(nobody, []byte("e-mail;score\nnobody@polder.example;20\n"), 0o600))
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)
	var activities struct{ Activities []shownActivity }
	must(t, json.Unmarshal([]byte(succeed(t, r.settings, "batches", "activities", "--json")), &activities))
	if len(activities.Activities) != 1 || activities.Activities[0].Course != "Sustainable Food Systems" {
		t.Fatalf("activities: %+v", activities)
	}
	activity := activities.Activities[0].ID
	var shown shownBatch
	made := func(args ...string) shownBatch {
		shown = shownBatch{}
		must(t, json.Unmarshal([]byte(succeed(t, r.settings, append([]string{"batches"}, args...)...)), &shown))
		return shown
	}
	dry := made("award", "--activity", activity, "--title", "All", "--dry-run", "--json")
	if dry.ToDo != 1 || dry.State != batch.Draft {
		t.Errorf("dry run: %+v", dry)
	}
	r.wants(t, 1, "batches where state = 'cancelled'")
	b := made("import", "--activity", activity, "--title", "Exam of November", "--award", results, "--json")
	if b.ToDo != many+1 || b.Left != 2 || len(b.FileSHA256) != 64 || b.Why["nobody was found"] != 1 || b.Why["a cell cannot be used"] != 1 {
		t.Errorf("import: %+v", b)
	}
	r.refusedBatches(t, activity, b.ID)
	succeed(t, r.settings, "batches", "pause", b.ID, "the board looks at it")
	succeed(t, r.settings, "batches", "confirm", b.ID, b.Digest)
	r.wants(t, 0, "evidence where source = 'csv-file'")
	if out := succeed(t, r.settings, "batches", "show", b.ID); !strings.Contains(out, "for the batch "+b.ID+" since") || !strings.Contains(out, "by operator. the board looks at it") {
		t.Errorf("show while it is paused: %s", out)
	}
	empty := succeed(t, r.settings, "batches", "import", "--activity", activity, "--title", "Nobody", nobody)
	if !strings.Contains(empty, "Nothing would be done. Why, row by row: sealsmith batches report") || strings.Contains(empty, "confirm") {
		t.Errorf("a dry run of nothing: %s", empty)
	}
	succeed(t, r.settings, "batches", "resume", b.ID)

	eventually(t, func() string {
		if n := r.count(t, "claims where state = 'sealed' and batch_id <> ''"); n < 3 {
			return fmt.Sprintf("%d are sealed", n)
		}
		return ""
	})
	must(t, r.server.Process.Kill())
	r.server.exit(t)
	r.wants(t, 1, fmt.Sprintf("batches where id = '%s'", b.ID))
	if n := r.count(t, "claims where state = 'sealed' and batch_id <> ''"); n >= many {
		t.Errorf("all %d were sealed before the kill: it was too late to test anything", n)
	}
	r.serve(t)
	r.untilReady(t, "ready")
	_, err := r.db.Exec(t.Context(), "update claims set lease_until = ? where state = 'sealing'", sqldb.UTC(time.Now().Add(-time.Second)))
	must(t, err)
	_, err = r.db.Exec(t.Context(), "update batches set lease_until = null")
	must(t, err)
	eventually(t, func() string {
		if b = made("show", b.ID, "--json"); b.Sealed != many {
			return fmt.Sprintf("%+v", b)
		}
		return ""
	})
	if b.State != batch.Finished || b.Waiting != 0 || b.Stopped != 0 || b.Imported != 1 || b.Left != 2 {
		t.Errorf("afterwards: %+v", b)
	}
	r.allSealed(t, b.ID, many)
	if out := succeed(t, r.settings, "batches", "list"); !strings.Contains(out, "Exam of November") || !strings.Contains(out, "finished") {
		t.Errorf("list: %s", out)
	}
	rows, err := csv.NewReader(strings.NewReader(succeed(t, r.settings, "batches", "report", b.ID))).ReadAll()
	must(t, err)
	if len(rows) != many+4 || strings.Join(rows[1][1:5], "|") != "100|Noor Berg 00|sealed|awarded" || rows[many+3][4] != "a cell cannot be used" {
		t.Errorf("report: %d rows, %q, %q", len(rows), rows[1], rows[len(rows)-1])
	}
}

// allSealed reads the artefacts themselves: one for each claim of the batch, all genuine,
// each for another person.
func (r *rig) allSealed(t *testing.T, id string, many int) {
	t.Helper()
	var files []struct {
		Sealed []byte `db:"sealed"`
		Family string `db:"family_name"`
	}
	must(t, r.db.Select(t.Context(), &files, `select k.sealed, c.family_name from credentials k join claims c on c.id = k.claim_id where c.batch_id = ? and c.consent_at is null`, id))
	trust, err := readTrust(r.token.CAFile)
	must(t, err)
	learners := map[string]bool{}
	for _, f := range files {
		report := issuance.Verify(f.Sealed, issuance.VerifyOptions{Trust: trust, Now: time.Now()})
		if report.Verdict != issuance.VerdictValid || report.Content == nil || !strings.HasSuffix(report.Content.Learner, f.Family) {
			t.Fatalf("%s: %s %s", f.Family, report.Verdict, report.Headline)
		}
		learners[report.Content.Learner] = true
	}
	if len(files) != many || len(learners) != many {
		t.Errorf("%d files of %d learners, want %d", len(files), len(learners), many)
	}
}

// refusedBatches change nothing, with the exit code that fits.
func (r *rig) refusedBatches(t *testing.T, activity, id string) {
	t.Helper()
	workbook := filepath.Join(r.dir, "results.xlsx")
	must(t, os.WriteFile(workbook, []byte("PK\x03\x04"), 0o600))
	for _, wrong := range []struct {
		code int
		says string
		args []string
	}{
		{2, "missing flags: --activity", []string{"award", "--title", "x"}},
		{1, "activity nothing", []string{"award", "--activity", "nothing", "--title", "x"}},
		{1, "the title of a batch has 1 to 120 letters", []string{"award", "--activity", activity, "--title", " "}},
		{1, "a day from today on, written as 2026-12-04", []string{"award", "--activity", activity, "--title", "x", "--not-before", "soon"}},
		{1, "a day from today on", []string{"award", "--activity", activity, "--title", "x", "--not-before", "2020-01-01"}},
		{1, "CSV UTF-8", []string{"import", "--activity", activity, "--title", "x", workbook}},
		{1, "no such file", []string{"import", "--activity", activity, "--title", "x", "/nonexistent/results.csv"}},
		{1, "this is not what was shown", []string{"confirm", id, strings.Repeat("0", 64)}},
		{1, "batch nobody", []string{"show", "nobody"}},
		{1, "batch nobody", []string{"report", "nobody"}},
		{1, "batch nobody", []string{"cancel", "nobody"}},
		{1, "not paused", []string{"resume", id}},
	} {
		if code, _, trouble := sealsmith(t, r.settings, append([]string{"batches"}, wrong.args...)...); code != wrong.code || !strings.Contains(trouble, wrong.says) {
			t.Errorf("%v: exit %d, %s", wrong.args, code, trouble)
		}
	}
}
