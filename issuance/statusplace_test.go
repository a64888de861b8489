package issuance_test

import (
	"sync"
	"testing"

	"github.com/sealsmith/sealsmith/issuance"
)

// TestFullStatusList: when the places run out another list follows, and nobody has the place of
// somebody else.
func TestFullStatusList(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, first := o.held(t, "first")
		old := o.place(t, first).ListID
		_, err := o.db.Exec(t.Context(), `update status_entries set idx = 0`)
		check(t, err)
		_, err = o.db.Exec(t.Context(), `update status_lists set entries = 8`)
		check(t, err)
		given, places := map[string]int{old: 1}, map[issuance.StatusPlace]bool{{ListID: old}: true}
		for _, c := range o.claims(t, 10) {
			check(t, o.worker(t).Seal(t.Context(), c.ID))
			p := o.place(t, o.sealed(t, c))
			if places[p] {
				t.Errorf("place %+v is given twice", p)
			}
			places[p] = true
			given[p.ListID]++
		}
		lists, err := o.desk.StatusLists(t.Context(), o.org.ID)
		check(t, err)
		if len(lists) != 2 || lists[0].ID != old || !lists[0].FullAt.Valid || lists[0].Given < 4 || lists[0].Given > 8 || lists[1].FullAt.Valid || lists[1].Entries != 1<<20 {
			t.Fatalf("%+v", lists)
		}
		if lists[0].Given != given[old] || lists[0].Given+lists[1].Given != 11 || lists[1].Number != 2 {
			t.Errorf("%+v, and %v were given", lists, given)
		}
		if n := o.audits(t, "status list opened", lists[1].ID); n != 1 {
			t.Errorf("%d lines in the audit trail", n)
		}
		if n := o.signs(t); n != 8 {
			t.Errorf("%d signatures for two lists", n)
		}
	})
}

// TestPlacesAtOnce: the first credentials of an organisation, sealed at the same moment, share one
// list; sealed again, as after a crash, they keep their places.
func TestPlacesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		all := o.claims(t, 8)
		var workers sync.WaitGroup
		for half := range 4 {
			workers.Go(func() {
				for i := half; i < len(all); i += 4 {
					if err := o.worker(t).Seal(t.Context(), all[i].ID); err != nil {
						t.Error(err)
					}
				}
			})
		}
		workers.Wait()
		places := map[issuance.StatusPlace]bool{}
		for _, c := range all {
			places[o.place(t, o.sealed(t, c))] = true
		}
		lists, err := o.desk.StatusLists(t.Context(), o.org.ID)
		check(t, err)
		if len(lists) != 1 || lists[0].Given != 8 || len(places) != 8 {
			t.Errorf("%d places in %+v", len(places), lists)
		}
	})
}
