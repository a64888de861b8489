package issuance_test

import (
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// SQLite begins with what it takes for few rows. Where all credentials of an organisation, or all
// claims in a state, would be read for one answer, the schema tells it better: migration 10. Each of
// these was read from end to end before.
func TestPlansOfSQLite(t *testing.T) {
	t.Parallel()
	db := sqldbtest.SQLite(t)
	for _, test := range []struct{ query, by string }{
		{`select k.id from credentials k where k.organisation_id = ? and k.id in (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, `k USING INDEX sqlite_autoindex_credentials_1 (id=?)`},
		{`select k.link from credentials k where k.organisation_id = ? and k.id in (select l.credential_id from credential_listing l where l.organisation_id = ? and l.attachment_id = ?)`, `k USING INDEX sqlite_autoindex_credentials_1 (id=?)`},
		{`select c.learner from claims c join credentials k on k.claim_id = c.id and k.organisation_id = c.organisation_id
			where c.organisation_id = ? and c.attachment_id = ? and k.sealed_at > ? order by k.sealed_at`, `c USING INDEX sqlite_autoindex_claims_2 (attachment_id=?)`},
		{`select id from claims where id in (select claim_id from corrections where state in ('asked', 'confirmed') and state = 'confirmed') and state in (?, ?)`, `claims USING INDEX sqlite_autoindex_claims_1 (id=?)`},
		{`select organisation_id, batch_id from claims where state = 'queued' and (organisation_id, batch_id) > (?, ?) order by organisation_id, batch_id limit 1`, `claims_lines ((organisation_id,batch_id)>(?,?))`},
		{`select id from claims where organisation_id = ? and state in (?, ?, ?) order by not_before, id limit ?`, `claims USING INDEX claims_due (state=?)`},
		{`select id from claims where registration_id = ? and learner = ?`, `claims_person (registration_id=? AND learner=?)`},
		{`select count(*) from credential_proofs where organisation_id = ? and level <> goal`, `credential_proofs_open (organisation_id=?)`},
		{`select t.id from credentials t where t.sealed_object = '' and t.sealed is not null and t.sealed_at <= ? order by t.sealed_at, t.id limit ?`, `credentials_here (sealed_at<?)`},
	} {
		var steps []struct {
			ID      int    `db:"id"`
			Parent  int    `db:"parent"`
			Notused int    `db:"notused"`
			Detail  string `db:"detail"`
		}
		args := make([]any, strings.Count(test.query, "?"))
		check(t, db.Select(t.Context(), &steps, `explain query plan `+test.query, args...))
		found := false
		for _, s := range steps {
			found = found || strings.Contains(s.Detail, test.by)
		}
		if !found {
			t.Errorf("%s\nis not answered by %s: %+v", test.query, test.by, steps)
		}
	}
}
