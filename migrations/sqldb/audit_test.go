package sqldb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/migrations"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

var trailStart = time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)

func newChainer(db *sqldb.DB) *sqldb.AuditChainer {
	return &sqldb.AuditChainer{
		DB: db, Every: time.Millisecond, Now: func() time.Time { return trailStart.Add(time.Hour) }, Logger: slog.New(slog.DiscardHandler),
	}
}

// happen writes n rows of the trail, one a second.
func happen(t *testing.T, db *sqldb.DB, n int) {
	t.Helper()
	err := db.InTx(t.Context(), func(tx *sqldb.Tx) error {
		for i := range n {
			e := sqldb.Event{OrganisationID: fmt.Sprintf("o%d", i%2), At: trailStart.Add(time.Duration(i) * time.Second), Actor: "worker", Action: "claim sealed", Subject: fmt.Sprintf("c%d", i), Detail: "<é>"}
			if err := sqldb.Audit(t.Context(), tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// linkAll links until nothing waits, and returns how many rows that were.
func linkAll(t *testing.T, db *sqldb.DB) int {
	t.Helper()
	for all := 0; ; {
		n, err := newChainer(db).Link(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return all
		}
		all += n
	}
}

func verify(t *testing.T, db *sqldb.DB, noted string) sqldb.AuditReport {
	t.Helper()
	r, err := db.VerifyAudit(t.Context(), noted)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// whole fails unless the chain holds and has so many links.
func whole(t *testing.T, db *sqldb.DB, links int64) sqldb.AuditReport {
	t.Helper()
	r := verify(t, db, "")
	if !r.Whole || r.Break != nil || r.Links != links || r.HeadSeq != links || r.NotLinked != 0 {
		t.Errorf("%+v, break %+v; want %d links and nothing else", r, r.Break, links)
	}
	return r
}

func trail(t *testing.T, db *sqldb.DB, f sqldb.AuditFilter) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := db.ExportAudit(t.Context(), f, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// asOwner runs statements past the triggers, as the owner of the database can.
func asOwner(t *testing.T, db *sqldb.DB, statements ...string) {
	t.Helper()
	var triggers []struct{ Name, SQL string }
	if db.Embedded() {
		if err := db.Select(t.Context(), &triggers, `select name, sql from sqlite_master where type = 'trigger'`); err != nil {
			t.Fatal(err)
		}
	}
	err := db.InTx(t.Context(), func(tx *sqldb.Tx) error {
		var all []string
		for _, trigger := range triggers {
			all = append(all, "drop trigger "+trigger.Name)
		}
		if !db.Embedded() {
			all = append(all, "set local session_replication_role = replica")
		}
		all = append(all, statements...)
		for _, trigger := range triggers {
			all = append(all, trigger.SQL)
		}
		for _, statement := range all {
			if _, err := tx.Exec(t.Context(), statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAuditAppendOnly(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		happen(t, db, 3)
		linkAll(t, db)
		happen(t, db, 1)
		statements := []string{
			`update audit set detail = 'x' where id = 1`, `delete from audit where id = 1`, `delete from audit`,
			`update audit_chain set hash = '' where seq = 1`, `delete from audit_chain where seq = 3`,
			`update audit_head set seq = 1`, `update audit_head set hash = ''`, `delete from audit_head`, `delete from audit_pending`, `update audit_pending set audit_id = 99`,
		}
		if db.Embedded() {
			statements = append(statements, `update audit set id = 77 where id = 4`, `insert or replace into audit (id, organisation_id, at, actor, action, subject, detail) values (1, '', '2026-11-24', '', '', '', '')`,
				`insert or replace into audit_chain (seq, audit_id, hash, linked_at) values (3, 3, '', '2026-11-24')`,
				`insert or replace into audit_chain (seq, audit_id, hash, linked_at) values (9, 3, '', '2026-11-24')`)
		} else {
			statements = append(statements, `truncate audit`, `truncate audit_chain`, `truncate audit_head`, `truncate audit_pending`)
		}
		for _, statement := range statements {
			_, err := db.Exec(t.Context(), statement)
			if err == nil || !strings.Contains(err.Error(), "audit trail") {
				t.Errorf("%s: %v", statement, err)
			}
		}
		if r := verify(t, db, ""); !r.Whole || r.Links != 3 || r.NotLinked != 1 {
			t.Errorf("afterwards: %+v", r)
		}
		linkAll(t, db)
		whole(t, db, 4)
	})
}

// TestAuditTampered changes what lies in the database past the triggers.
func TestAuditTampered(t *testing.T) {
	t.Parallel()
	const insert = `insert into audit (id, organisation_id, at, actor, action, subject, detail) `
	for _, test := range []struct {
		name, kind string
		seq, id    int64
		words      string
		statements []string
	}{
		{"a field", "changed", 5, 5, "so this row was changed", []string{`update audit set actor = 'nobody' where id = 5`}},
		{"bytes moved between fields", "changed", 5, 5, "Row 5, link 5, is not what was linked", []string{`update audit set actor = 'workerclaim', action = ' sealed' where id = 5`}},
		{"the time", "changed", 5, 5, "so this row was changed", []string{`update audit set at = (select at from audit where id = 6) where id = 5`}},
		{"the time of linking", "changed", 5, 5, "so this row was changed", []string{`update audit_chain set linked_at = (select at from audit where id = 6) where seq = 5`}},
		{"a hash", "changed", 5, 5, "does not fit either", []string{`update audit_chain set hash = (select hash from audit_chain where seq = 6) where seq = 5`}},
		{"the last row", "changed", 10, 10, "Row 10, link 10", []string{`update audit set detail = '' where id = 10`}},
		{"a row deleted", "missing", 5, 5, "Row 5, link 5 of", []string{`delete from audit where id = 5`}},
		{"a row and its link deleted", "missing", 5, 0, "Link 5 is missing: after link 4 comes 6", []string{`delete from audit where id = 5`, `delete from audit_chain where seq = 5`}},
		{"a gap closed", "changed", 9, 10, "is not what was linked", []string{`delete from audit where id = 9`, `delete from audit_chain where seq = 9`, `update audit_chain set seq = 9 where seq = 10`, `update audit_head set seq = 9`}},
		{"a row in the middle", "inserted", 0, 77, "Row 77 is in the table and not in the chain", []string{insert + `select 77, organisation_id, at, actor, action, subject, detail from audit where id = 5`}},
		{"a row with a link in the middle", "changed", 10, 77, "Row 77, link 10, is not what was linked", []string{
			insert + `select 77, organisation_id, at, actor, action, 'c77', detail from audit where id = 5`,
			`update audit_chain set seq = 11 where seq = 10`,
			`insert into audit_chain (seq, audit_id, hash, linked_at) select 10, 77, hash, linked_at from audit_chain where seq = 9`, `update audit_head set seq = 11`,
		}},
		{"contents swapped", "changed", 5, 5, "does not fit either", []string{`update audit set subject = case id when 5 then 'c5' else 'c4' end where id in (5, 6)`}},
		{"links swapped", "changed", 5, 6, "does not fit either", []string{
			`update audit_chain set audit_id = 99 where seq = 5`, `update audit_chain set audit_id = 5 where seq = 6`, `update audit_chain set audit_id = 6 where seq = 5`,
		}},
		{"the end cut off", "head", 8, 0, "the head says 10", []string{`delete from audit where id > 8`, `delete from audit_chain where seq > 8`}},
		{"the head reset", "head", 10, 0, "the head says 8", []string{`update audit_head set seq = 8, hash = (select hash from audit_chain where seq = 8)`}},
		{"the head gone", "head", 0, 0, "The row of the head is gone", []string{`delete from audit_head`}},
		{"deleted before it was linked", "missing", 0, 11, "Row 11 is missing: it was deleted before", []string{
			insert + `select 11, organisation_id, at, actor, action, subject, detail from audit where id = 5`, `insert into audit_pending (audit_id) values (11)`, `delete from audit where id = 11`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
				happen(t, db, 10)
				linkAll(t, db)
				whole(t, db, 10)
				if db.Embedded() {
					asOwner(t, db, test.statements...)
				} else {
					for i, s := range test.statements {
						test.statements[i] = strings.Replace(s, "detail) select", "detail) overriding system value select", 1)
					}
					asOwner(t, db, test.statements...)
				}
				r := verify(t, db, "")
				if r.Whole || r.Break == nil || r.Break.Kind != test.kind || r.Break.Seq != test.seq || r.Break.ID != test.id || !strings.Contains(r.Break.Words, test.words) {
					t.Errorf("%+v, break %+v", r, r.Break)
				}
			})
		})
	}
}

// TestAuditRewritten rewrites the end of the chain with everything that belongs to it. Only
// who noted the head elsewhere sees it.
func TestAuditRewritten(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		happen(t, db, 8)
		linkAll(t, db)
		early := whole(t, db, 8).Head
		happen(t, db, 2)
		linkAll(t, db)
		late := whole(t, db, 10).Head
		asOwner(t, db, `update audit_head set seq = 8, hash = (select hash from audit_chain where seq = 8)`, `delete from audit_chain where seq > 8`,
			`delete from audit where id > 9`, `update audit set detail = 'rewritten' where id = 9`, `insert into audit_pending (audit_id) values (9)`)
		linkAll(t, db)
		whole(t, db, 9)
		if r := verify(t, db, late); r.Whole || r.Break.Kind != "noted" || r.Noted.Found {
			t.Errorf("noted before it was rewritten: %+v %+v", r, r.Break)
		}
		if r := verify(t, db, early); !r.Whole || !r.Noted.Found || r.Noted.Seq != 8 || r.Noted.LinkedAt == "" {
			t.Errorf("noted before what was rewritten: %+v", r)
		}
	})
}

// TestAuditChainers has four writers and three chainers at once, one of which keeps dying, and
// somebody who verifies meanwhile.
func TestAuditChainers(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		var written atomic.Bool
		var chainers, writers sync.WaitGroup
		killed := errors.New("killed")
		for i := range 3 {
			c := newChainer(db)
			if i == 0 {
				c.Step = func() error { return killed }
			}
			chainers.Go(func() {
				for !written.Load() { // the head is waited for; nobody is refused
					if _, err := c.Link(t.Context()); err != nil && !errors.Is(err, killed) {
						t.Error(err)
					}
				}
			})
		}
		for w := range 4 {
			writers.Go(func() {
				for i := range 100 {
					err := db.InTx(t.Context(), func(tx *sqldb.Tx) error {
						err := sqldb.Audit(t.Context(), tx, sqldb.Event{At: trailStart, Actor: fmt.Sprint(w), Action: "written", Subject: fmt.Sprint(i)})
						if err == nil && i%10 == 9 {
							return errRolledBack
						}
						return err
					})
					if err != nil && !errors.Is(err, errRolledBack) {
						t.Error(err)
					}
				}
			})
		}
		chainers.Go(func() {
			for !written.Load() {
				if r, err := db.VerifyAudit(t.Context(), ""); err != nil || !r.Whole {
					t.Errorf("while it is written: %+v, break %+v, %v", r, r.Break, err)
				}
			}
		})
		writers.Wait()
		written.Store(true)
		chainers.Wait()
		linkAll(t, db)
		whole(t, db, 360)
	})
}

var errRolledBack = errors.New("rolled back")

// TestAuditRun links by itself, goes on after an error, and ends.
func TestAuditRun(t *testing.T) {
	t.Parallel()
	db := sqldbtest.SQLite(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	steps := 0
	c := newChainer(db)
	c.Step = func() error {
		if steps++; steps == 1 {
			return errors.New("disk full")
		}
		if steps == 4 {
			stop() // after the last batch: 500, 500, 200
		}
		return nil
	}
	happen(t, db, 1200)
	c.Run(ctx)
	// The last batch was being committed when the context ended: whole or not at all.
	if r := verify(t, db, ""); !r.Whole || steps != 4 || r.Links+r.NotLinked != 1200 || r.Links < 1000 {
		t.Errorf("after %d steps: %+v", steps, r)
	}
}

// TestAuditKilled dies between the links and their commit, and after each batch.
func TestAuditKilled(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		happen(t, db, 1200)
		killed := newChainer(db)
		boom := errors.New("killed")
		killed.Step = func() error { return boom }
		for done := int64(0); done < 1200; {
			if _, err := killed.Link(t.Context()); !errors.Is(err, boom) {
				t.Fatalf("%v, want a death", err)
			}
			if r := verify(t, db, ""); !r.Whole || r.Links != done || r.NotLinked != 1200-done {
				t.Fatalf("after a death: %+v", r)
			}
			n, err := newChainer(db).Link(t.Context())
			if err != nil || n == 0 {
				t.Fatalf("%d linked, %v", n, err)
			}
			done += int64(n)
		}
		whole(t, db, 1200)
	})
}

// TestAuditLateCommit commits a row with a smaller id after greater ones were linked, which
// PostgreSQL can do.
func TestAuditLateCommit(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		if db.Embedded() {
			t.Skip("SQLite has one writer: ids are committed in order")
		}
		err := db.InTx(t.Context(), func(tx *sqldb.Tx) error {
			if err := sqldb.Audit(t.Context(), tx, sqldb.Event{At: trailStart, Action: "late"}); err != nil {
				return err
			}
			happen(t, db, 5)
			linkAll(t, db)
			whole(t, db, 5)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		linkAll(t, db)
		whole(t, db, 6)
		var ids []int64
		if err := db.Select(t.Context(), &ids, `select audit_id from audit_chain order by seq`); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int64{2, 3, 4, 5, 6, 1}, ids); diff != "" {
			t.Errorf("order of the chain: %s", diff)
		}
	})
}

// undo takes back all migrations of a folder from one on, the last one first.
func undo(t *testing.T, db *sqldb.DB, folder, from string) {
	t.Helper()
	files, err := migrations.Files.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range slices.Backward(files) {
		if file.Name() < from {
			break
		}
		script, err := migrations.Files.ReadFile(folder + "/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		_, down, ok := strings.Cut(string(script), "-- +goose Down")
		if !ok {
			t.Fatalf("%s has no way down", file.Name())
		}
		for _, statement := range statements(down) {
			if _, err := db.Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
}

// statements cuts a script as goose does: at semicolons, but for what it marks as one.
func statements(script string) []string {
	var all []string
	for i, part := range strings.Split(script, "-- +goose Statement") {
		if whole, ok := strings.CutPrefix(part, "Begin\n"); ok {
			all = append(all, whole)
			continue
		}
		if i > 0 {
			part = strings.TrimPrefix(part, "End\n")
		}
		for one := range strings.SplitSeq(part, ";") {
			if strings.TrimSpace(one) != "" {
				all = append(all, one)
			}
		}
	}
	return all
}

// TestAuditMigrates finds rows that were written before there was a chain.
func TestAuditMigrates(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		folder := "postgres"
		if db.Embedded() {
			folder = "sqlite"
		}
		undo(t, db, folder, "00004")
		if _, err := db.Exec(t.Context(), `delete from goose_db_version where version_id >= 4`); err != nil {
			t.Fatal(err)
		}
		happen(t, db, 7)
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, db, ""); !r.Whole || r.NotLinked != 7 {
			t.Errorf("after the migration: %+v", r)
		}
		happen(t, db, 1)
		linkAll(t, db)
		whole(t, db, 8)
	})
}

// TestAuditOddText: what is no text does not stop a change, and is exported as it was hashed.
func TestAuditOddText(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		odd := "a\x00b\xff\"\\\n,5:x\u2028<"
		if err := sqldb.Audit(t.Context(), db, sqldb.Event{At: trailStart, Subject: odd, Detail: odd}); err != nil {
			t.Fatal(err)
		}
		if db.Embedded() { // as releases before wrote it
			if _, err := db.Exec(t.Context(), `insert into audit (organisation_id, at, actor, action, subject, detail) values (?, ?, ?, ?, ?, ?)`, odd, trailStart, odd, odd, odd, odd); err != nil {
				t.Fatal(err)
			}
		}
		n := linkAll(t, db)
		head := whole(t, db, int64(n)).Head
		r, err := sqldb.VerifyAuditExport(strings.NewReader(trail(t, db, sqldb.AuditFilter{})), head)
		if err != nil || !r.Whole || !r.Noted.Found {
			t.Errorf("%+v %v", r, err)
		}
	})
}

// TestAuditNoDatabase: a database that cannot be read is an error and no verdict.
func TestAuditNoDatabase(t *testing.T) {
	t.Parallel()
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "empty.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.VerifyAudit(t.Context(), ""); err == nil {
		t.Error("a database without the tables was verified")
	}
	if _, err := newChainer(db).Link(t.Context()); err == nil {
		t.Error("a database without the tables was linked")
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
