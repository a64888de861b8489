package sqldb_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// TestListingMigrates: what was sealed and withdrawn before is listed as it stands, and what a
// server of the release before does afterwards is listed, too.
func TestListingMigrates(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		folder := "postgres"
		if db.Embedded() {
			folder = "sqlite"
		}
		undo(t, db, folder, "00009")
		run(t, db, `delete from goose_db_version where version_id >= 9`)
		run(t, db, filled...) // k is in force, k2 suspended
		const withdraw = `insert into withdrawals (credential_id, number, organisation_id, kind, reason, words, actor, at) values `
		run(t, db,
			claimRow("c3", "l3"), credentialRow("k3", "c3"), withdraw+`('k3', 1, 'o', 'suspended', 'other', 'x', 'x', '2026-11-24 12:00:00+00:00'), ('k3', 2, 'o', 'reinstated', '', '', 'x', '2026-11-24 12:00:00+00:00')`,
			claimRow("c4", "l4"), credentialRow("k4", "c4"), `update claims set state = 'revoked' where id = 'c4'`,
			claimRow("c5", "l5"), credentialRow("k5", "c5"), `update credentials set replaced_by = 'k' where id = 'k5'`,
			claimRow("c6", "l6"), credentialRow("k6", "c6"), `update credentials set sealed_at = null, sealed = null where id = 'k6'`)
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		stands := func(want map[string]string) {
			t.Helper()
			var rows []struct {
				ID       string `db:"credential_id"`
				Standing string `db:"standing"`
			}
			err := db.Select(t.Context(), &rows, `select l.credential_id, l.standing from credential_listing l join credentials k on k.id = l.credential_id and k.sealed_at = l.sealed_at
				where l.organisation_id = 'o' and l.version_id = 'v' and l.attachment_id = 'a' and not l.named`)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, row := range rows {
				got[row.ID] = row.Standing
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("listed (-want +got):\n%s", diff)
			}
		}
		stands(map[string]string{"k": "in_force", "k2": "suspended", "k3": "in_force", "k4": "revoked", "k5": "replaced"})
		run(t, db,
			`update credentials set sealed = payload, sealed_at = '2026-11-24 12:00:03+00:00' where id = 'k6'`, `update claims set state = 'delivered' where id = 'c6'`,
			withdraw+`('k2', 2, 'o', 'reinstated', '', '', 'x', '2026-11-24 12:00:00+00:00')`,
			withdraw+`('k3', 3, 'o', 'suspended', 'other', 'x', 'x', '2026-11-24 12:00:00+00:00')`, `update claims set state = 'revoked' where id = 'c3'`,
			withdraw+`('k3', 4, 'o', 'revoked', 'other', 'x', 'x', '2026-11-24 12:00:00+00:00')`,
			`update credentials set replaced_by = 'k6' where id = 'k'`, claimRow("c7", "l7"), credentialRow("k7", "c7"))
		stands(map[string]string{"k": "replaced", "k2": "in_force", "k3": "revoked", "k4": "revoked", "k5": "replaced", "k6": "in_force", "k7": "in_force"})
		if n := number(t, db, `select count(*) from withdrawals where request_id = '' and confirmed_by = ''`); n != 6 {
			t.Errorf("%d rows of the release before", n)
		}
		run(t, db, `delete from credentials where id = 'k7'`)
		if n := number(t, db, `select count(*) from credential_listing where credential_id = 'k7'`); n != 0 {
			t.Error("what was deleted is listed")
		}
	})
}
