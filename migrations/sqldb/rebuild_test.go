package sqldb_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"

	"github.com/sealsmith/sealsmith/migrations"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// filled writes one row into each table that points at credentials, and what these need, as
// the release before corrections would.
var filled = []string{
	`insert into organisations (id, slug, profile, created_at) values ('o', 'o', '{}', '2026-11-24 12:00:00+00:00')`,
	`insert into templates (id, organisation_id, slug, created_at) values ('t', 'o', 't', '2026-11-24 12:00:00+00:00')`,
	`insert into template_versions (id, organisation_id, template_id, number, content, created_by, created_at) values ('v', 'o', 't', 1, '{}', 'x', '2026-11-24 12:00:00+00:00')`,
	`insert into registrations (id, organisation_id, name, issuer, client_id, auth_url, token_url, jwks_url, token_audience, created_at) values ('r', 'o', '', '', '', '', '', '', '', '2026-11-24 12:00:00+00:00')`,
	`insert into attachments (id, organisation_id, registration_id, deployment_id, context_id, context_title, resource_link_id, template_id, version_id, min_percent, line_item_url, line_items_url, created_by, created_at, read_error)
		values ('a', 'o', 'r', '', '', '', '', 't', 'v', 55, '', '', '', '2026-11-24 12:00:00+00:00', '')`,
	`insert into evidence (id, organisation_id, attachment_id, learner, source, maximum, raw, raw_sha256, observed_at) values ('e', 'o', 'a', 'l', '', 100, '', '', '2026-11-24 12:00:00+00:00')`,
	`insert into decisions (id, organisation_id, attachment_id, evidence_id, version_id, learner, complete, reasons, rule, decided_at) values ('d', 'o', 'a', 'e', 'v', 'l', true, '[]', '{}', '2026-11-24 12:00:00+00:00')`,
	claimRow("c", "l"), claimRow("c2", "l2"),
	credentialRow("k", "c"), credentialRow("k2", "c2"),
	`insert into credential_proofs (credential_id, organisation_id, goal, level, not_before, attempts, last_error, updated_at) values ('k', 'o', 'LTA', 'B', '2026-11-24 12:00:00+00:00', 0, '', '2026-11-24 12:00:00+00:00')`,
	`insert into credential_pdfs (credential_id, organisation_id, file, key_id, level, made_at) values ('k', 'o', 'pdf', '', 'B', '2026-11-24 12:00:00+00:00')`,
	`insert into withdrawals (credential_id, number, organisation_id, kind, reason, words, actor, at) values ('k2', 1, 'o', 'suspended', 'other', 'x', 'x', '2026-11-24 12:00:00+00:00')`,
}

func claimRow(id, learner string) string {
	return fmt.Sprintf(`insert into claims (id, organisation_id, attachment_id, decision_id, version_id, registration_id, learner, state, given_name, family_name, attempts, not_before, lease_token, last_error, created_at, updated_at)
		values ('%s', 'o', 'a', 'd', 'v', 'r', '%s', 'sealed', '', 'L', 0, '2026-11-24 12:00:00+00:00', '', '', '2026-11-24 12:00:00+00:00', '2026-11-24 12:00:00+00:00')`, id, learner)
}

func credentialRow(id, claim string) string {
	return fmt.Sprintf(`insert into credentials (id, organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, sealed, sealed_at, link, created_at)
		values ('%[1]s', 'o', '%[2]s', '2026-11-24 12:00:01+00:00', 'payload', 'sum', 'key', 'sealed', '2026-11-24 12:00:02.5+00:00', 'link-%[1]s', '2026-11-24 12:00:00+00:00')`, id, claim)
}

func run(t *testing.T, db *sqldb.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func number(t *testing.T, db *sqldb.DB, query string) (n int) {
	t.Helper()
	if err := db.Get(t.Context(), &n, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// TestCorrectionsMigrate: a claim may have several credentials afterwards, nothing that was
// there is lost, and what points at credentials still does.
func TestCorrectionsMigrate(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		folder := "postgres"
		if db.Embedded() {
			folder = "sqlite"
		}
		undo(t, db, folder, "00007")
		run(t, db, `delete from goose_db_version where version_id >= 7`)
		run(t, db, filled...)
		if _, err := db.Exec(t.Context(), credentialRow("k3", "c")); !sqldb.IsDuplicate(err) {
			t.Fatalf("before the migration a second credential of a claim: %v", err)
		}
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		const old = `select count(*) from credentials where id in ('k', 'k2') and organisation_id = 'o' and payload_sha256 = 'sum' and key_id = 'key' and link = 'link-' || id
			and length(payload) = 7 and length(sealed) = 6 and revision = 1 and replaces is null and replaced_by is null and replaced_at is null
			and issued_at > '2026-11-24 12:00:00+00:00' and sealed_at > '2026-11-24 12:00:02+00:00' and created_at = '2026-11-24 12:00:00+00:00'`
		if n := number(t, db, old); n != 2 {
			t.Errorf("%d of 2 credentials are as they were", n)
		}
		if n := number(t, db, `select count(*) from claims where revision = 1`); n != 2 {
			t.Errorf("%d of 2 claims are at revision 1", n)
		}
		if _, err := db.Exec(t.Context(), credentialRow("k3", "c")); !sqldb.IsDuplicate(err) {
			t.Errorf("a second credential of a revision: %v", err)
		}
		run(t, db, strings.Replace(strings.Replace(credentialRow("k4", "c"), "created_at)", "created_at, revision, replaces)", 1), "+00:00')", "+00:00', 2, 'k')", 1))
		for _, wrong := range []string{ // the keys hold in both directions
			credentialRow("k5", "nobody"),
			`delete from credentials where id = 'k'`,
			`update credentials set replaced_by = 'nobody' where id = 'k'`,
			`insert into withdrawals (credential_id, number, organisation_id, kind, reason, words, actor, at) values ('nobody', 1, 'o', '', '', '', '', '2026-11-24 12:00:00+00:00')`,
			`insert into credential_pdfs (credential_id, organisation_id, file, key_id, level, made_at) values ('nobody', 'o', 'pdf', '', 'B', '2026-11-24 12:00:00+00:00')`,
		} {
			if _, err := db.Exec(t.Context(), wrong); err == nil || sqldb.IsDuplicate(err) {
				t.Errorf("%s: %v, want a violated key", wrong, err)
			}
		}
		for _, table := range []string{"credential_proofs", "credential_pdfs", "withdrawals"} {
			if n := number(t, db, `select count(*) from `+table); n != 1 {
				t.Errorf("%d rows in %s", n, table)
			}
		}
	})
}

// TestRebuildKeepsAll: a table that SQLite makes anew has the columns, indexes and triggers
// that other migrations gave it.
func TestRebuildKeepsAll(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	handle, err := sqlx.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := handle.Close(); err != nil {
			t.Error(err)
		}
	})
	files, err := fs.Sub(migrations.Files, "sqlite")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, handle.DB, files)
	if err != nil {
		t.Fatal(err)
	}
	parts := func() (out []string) {
		const all = `select 'column ' || c.name || ' ' || c.type || ' ' || c."notnull" || ' ' || c.pk from pragma_table_info('credentials') c
			union all select type || ' ' || coalesce(sql, '') from sqlite_schema where tbl_name = 'credentials' and type in ('index', 'trigger') and sql is not null`
		if err := handle.SelectContext(t.Context(), &out, all); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if _, err := provider.UpTo(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	before := parts()
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := parts()
	lost := slices.DeleteFunc(before, func(s string) bool { return slices.Contains(after, s) })
	if diff := cmp.Diff([]string{}, lost); diff != "" || len(after) < 12 {
		t.Errorf("lost with the old table: %s\nthere is %v", diff, after)
	}
}

// TestBrokenKeysStopTheRebuild: when rows point nowhere, the migration changes nothing and says so.
func TestBrokenKeysStopTheRebuild(t *testing.T) {
	t.Parallel()
	db := sqldbtest.SQLite(t)
	undo(t, db, "sqlite", "00007")
	run(t, db, `delete from goose_db_version where version_id >= 7`)
	run(t, db, filled...)
	run(t, db, `pragma foreign_keys = off`, `delete from credentials where id = 'k'`, `pragma foreign_keys = on`)
	if _, err := db.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "rows_that_point_nowhere") {
		t.Errorf("a database with rows that point nowhere was migrated: %v", err)
	}
	if v, err := db.Version(t.Context()); err != nil || v >= 7 {
		t.Errorf("version %d, %v", v, err)
	}
	if n := number(t, db, `select count(*) from credentials`); n != 1 {
		t.Errorf("%d credentials", n)
	}
	run(t, db, credentialRow("k", "c")) // put back
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
}
