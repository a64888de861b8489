package issuance_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// BenchmarkSearch is what a page of fifty costs on SQLite by how many credentials there are:
// the first one, one in the middle, what is suspended (one in a thousand), a version, a name
// that one has, and one that every seventh has.
func BenchmarkSearch(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		o := newOffice(b, sqldbtest.SQLite(b))
		o.seedMany(b, n)
		middle := issuance.Search{SealedUntil: o.clock.Now().Add(time.Duration(n/2) * time.Second), Limit: 50}
		middle.OrganisationID = o.org.ID
		_, after, err := o.desk.Search(b.Context(), middle)
		check(b, err)
		for _, c := range []struct {
			name   string
			search issuance.Search
		}{
			{"first", issuance.Search{}},
			{"middle", issuance.Search{After: after}},
			{"suspended", issuance.Search{InForce: issuance.StandsSuspended}},
			{"version", issuance.Search{VersionID: o.version.ID}},
			{"rare_name", issuance.Search{Name: fmt.Sprint("family", n/2)}},
			{"common_name", issuance.Search{Name: "given3 fam"}},
		} {
			c.search.OrganisationID, c.search.Limit = o.org.ID, 50
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				for b.Loop() {
					page, _, err := o.desk.Search(b.Context(), c.search)
					check(b, err)
					if len(page) == 0 {
						b.Fatal("nothing was found")
					}
				}
			})
		}
		check(b, o.db.Close())
	}
}

// seedMany adds n credentials by SQL, one second apart.
func (o *office) seedMany(tb testing.TB, n int) {
	tb.Helper()
	d := o.grade(tb, "seed", 80)
	exec := func(query string, args ...any) {
		tb.Helper()
		_, err := o.db.Exec(tb.Context(), query, args...)
		check(tb, err)
	}
	const series = `with recursive s (i) as (select 0 union all select i + 1 from s where i + 1 < ?) `
	at := o.clock.Now()
	exec(series+`insert into claims (id, organisation_id, attachment_id, decision_id, version_id, registration_id, learner, state,
		given_name, family_name, attempts, not_before, lease_token, last_error, created_at, updated_at)
		select 'c' || i, ?, ?, ?, ?, 'r-polder', 'l' || i, 'sealed', 'Given' || (i % 7), 'Family' || i, 0, ?, '', '', ?, ? from s`, n, o.org.ID, o.attachment.ID, d.ID, o.version.ID, at, at, at)
	exec(series+`insert into credentials (id, organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, sealed, sealed_at, link, created_at)
		select lower(hex(randomblob(16))) || i, ?, 'c' || i, ?, zeroblob(40), '', '', zeroblob(40), strftime('%Y-%m-%d %H:%M:%S+00:00', ?, i || ' seconds'), 'p' || i, ? from s`,
		n, o.org.ID, at, at.UTC().Format(time.DateTime), at)
	exec(`insert into withdrawals (credential_id, number, organisation_id, kind, reason, words, actor, at)
		select id, 1, organisation_id, 'suspended', 'misconduct', '', 'operator', ? from credentials where claim_id like 'c%000'`, at)
	check(tb, o.desk.TendOnce(tb.Context()))
}
