package issuance_test

import (
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
)

// million makes a list of a million entries, all given, one in a hundred withdrawn.
func (o *office) million(b *testing.B) string {
	b.Helper()
	_, cred := o.held(b, "first")
	list := o.place(b, cred).ListID
	for _, statement := range []string{
		`pragma foreign_keys = off`, // rows of credentials would cost more than all that is measured
		`delete from status_entries`,
		`update status_lists set entries = 1048576`,
	} {
		_, err := o.db.Exec(b.Context(), statement)
		check(b, err)
	}
	_, err := o.db.Exec(b.Context(), `with recursive n (i) as (select 0 union all select i + 1 from n where i < 1048575)
		insert into status_entries (credential_id, organisation_id, list_id, idx, status, assigned_at)
		select printf('%08x-0000-4000-8000-%012x', i * 2654435761 % 4294967296, i), ?, ?, i, case when i % 100 = 0 then 1 + i / 100 % 2 else 0 end, ? from n`,
		o.org.ID, list, sealedAt)
	check(b, err)
	o.clock.add(time.Hour)
	return list
}

// BenchmarkStatusList is what it takes to bring a list of a million entries up to date after a
// withdrawal, from the rows to the stored signatures; and its index, once in twelve hours.
func BenchmarkStatusList(b *testing.B) {
	o := newOfficeOnSQLite(b)
	list := o.million(b)
	o.signs(b)
	b.Run("million_after_withdrawal", func(b *testing.B) {
		index := 1
		for b.Loop() {
			b.StopTimer()
			_, err := o.db.Exec(b.Context(), `update status_entries set status = 1 where list_id = ? and idx = ?`, list, index)
			check(b, err)
			_, err = o.db.Exec(b.Context(), `update status_lists set renew_at = ?`, o.clock.Now().AddDate(1, 0, 0))
			check(b, err)
			index++
			o.clock.add(time.Minute)
			b.StartTimer()
			if o.signs(b) == 0 {
				b.Fatal("nothing was signed")
			}
		}
	})
	b.Run("million_index", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			_, err := o.db.Exec(b.Context(), `delete from status_tokens where kind = ?`, issuance.StatusIndex)
			check(b, err)
			_, err = o.db.Exec(b.Context(), `update status_lists set renew_at = ?`, o.clock.Now())
			check(b, err)
			o.clock.add(time.Minute)
			b.StartTimer()
			if o.signs(b) == 0 {
				b.Fatal("nothing was signed")
			}
		}
	})
}
