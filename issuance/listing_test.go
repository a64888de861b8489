package issuance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// search reads all pages of what is looked for.
func (o *office) search(tb testing.TB, s issuance.Search) []string {
	tb.Helper()
	s.OrganisationID = o.org.ID
	var ids []string
	for {
		page, next, err := o.desk.Search(tb.Context(), s)
		check(tb, err)
		for _, one := range page {
			ids = append(ids, one.CredentialID)
		}
		if next == "" {
			return ids
		}
		if len(page) != s.Limit {
			tb.Fatalf("a page of %d", len(page))
		}
		s.After = next
	}
}

// TestSearch pages through the list in order, by every filter, and finds names however they
// are typed.
func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ids := o.seed(t, 23)
		slices.Reverse(ids) // the ones sealed last first
		if got := o.search(t, issuance.Search{Limit: 5}); !slices.Equal(got, ids) {
			t.Errorf("%d of %d, or in another order", len(got), len(ids))
		}
		start := o.clock.Now()
		w := issuance.Withdrawal{OrganisationID: o.org.ID, Reason: issuance.ReasonInError, By: anna}
		w.CredentialID = ids[3]
		_, err := o.desk.Suspend(t.Context(), w)
		check(t, err)
		w.CredentialID = ids[7]
		_, err = o.desk.Suspend(t.Context(), w)
		check(t, err)
		_, err = o.desk.Reinstate(t.Context(), w)
		check(t, err)
		w.CredentialID = ids[9]
		_, err = o.desk.Revoke(t.Context(), w)
		check(t, err)
		for name, c := range map[string]struct {
			search issuance.Search
			want   []string
		}{
			"suspended":        {issuance.Search{InForce: issuance.StandsSuspended}, ids[3:4]},
			"revoked":          {issuance.Search{InForce: issuance.StandsRevoked}, ids[9:10]},
			"replaced":         {issuance.Search{InForce: issuance.StandsReplaced}, nil},
			"in force":         {issuance.Search{InForce: issuance.StandsInForce}, slices.Concat(ids[:3], ids[4:9], ids[10:])},
			"version":          {issuance.Search{VersionID: o.version.ID}, ids},
			"activity":         {issuance.Search{AttachmentID: o.attachment.ID}, ids},
			"no version":       {issuance.Search{VersionID: "x"}, nil},
			"time":             {issuance.Search{SealedFrom: start.Add(20 * time.Second), SealedUntil: start.Add(22 * time.Second)}, ids[1:3]},
			"nowhere":          {issuance.Search{After: "§", InForce: issuance.StandsRevoked}, ids[9:10]},
			"not in the index": {issuance.Search{Name: "family22"}, nil},
		} {
			c.search.Limit = 4
			if got := o.search(t, c.search); !slices.Equal(got, c.want) {
				t.Errorf("%s: %d, want %d", name, len(got), len(c.want))
			}
		}
		check(t, o.desk.TendOnce(t.Context()))
		for name, want := range map[string]int{"family22": 1, "FAMILY2": 4, "given3": 3, "fam giv": 23, "Given3 Family3": 1, "given3, family1": 2, "family": 23, "nobody": 0, "family given3 none": 0} {
			if got := o.search(t, issuance.Search{Name: name, Limit: 4}); len(got) != want || len(slices.Compact(slices.Sorted(slices.Values(got)))) != want {
				t.Errorf("%s: %d, want %d", name, len(got), want)
			}
		}
	})
}

// TestSearchFoldsNames: names are found by what is on the keyboard.
func TestSearchFoldsNames(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		var ids []string
		for i, name := range []issuance.Name{{Given: "Maija-Liisa", Family: "Meikäläinen"}, {Given: "Søren", Family: "Østergård Łukasz"}, {Given: "Iñaki", Family: "D’Ångström-Straße"}, {Family: "Ἀριστοτέλης"}, {Given: "Anna", Family: "Annasdóttir"}} {
			learner := fmt.Sprint("l", i)
			o.grade(t, learner, 80)
			c, err := o.desk.Confirm(t.Context(), o.org.ID, o.attachment.ID, learner, name)
			check(t, err)
			check(t, o.worker(t).Seal(t.Context(), c.ID))
			ids = append(ids, o.sealed(t, c).ID)
		}
		check(t, o.desk.TendOnce(t.Context()))
		for name, want := range map[string]int{
			"meikalainen": 0, "liisa maija": 0, "MEIKÄ": 0, "soren": 1, "østergaard": -1, "ostergard": 1, "lukasz": 1, "inaki": 2, "angstrom": 2, "strasse": 2, "αριστο": 3, "anna": 4, "ann annasd": 4, "öster": 1, "%": -2,
		} {
			got := o.search(t, issuance.Search{Name: name, Limit: 2})
			switch {
			case want == -2: // no letter at all: everybody
				if len(got) != len(ids) {
					t.Errorf("%q: %v", name, got)
				}
			case want == -1:
				if len(got) != 0 {
					t.Errorf("%q: %v", name, got)
				}
			case len(got) != 1 || got[0] != ids[want]:
				t.Errorf("%q: %v, want %s", name, got, ids[want])
			}
		}
		page, _, err := o.desk.Search(t.Context(), issuance.Search{OrganisationID: o.org.ID, Name: "soren", Limit: 1})
		check(t, err)
		if len(page) != 1 || page[0].Name != "Søren Østergård Łukasz" || page[0].VersionID != o.version.ID || page[0].AttachmentID != o.attachment.ID {
			t.Errorf("%+v", page)
		}
		other, _, _ := o.open(t, "fjord")
		if page, _, err := o.desk.Search(t.Context(), issuance.Search{OrganisationID: other.ID, Name: "soren", Limit: 1}); err != nil || len(page) != 0 {
			t.Errorf("another organisation finds %+v (%v)", page, err)
		}
	})
}

// TestSearchWalksAnIndex: however a search is put, the database goes along an index in its
// order, and looks up what it shows by key. Only so is a page as cheap among a million.
func TestSearchWalksAnIndex(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sqldbtest.SQLite(t))
	plan := func(query string, args ...any) string {
		t.Helper()
		var steps []struct {
			ID      int    `db:"id"`
			Parent  int    `db:"parent"`
			NotUsed int    `db:"notused"`
			Detail  string `db:"detail"`
		}
		check(t, o.db.Select(t.Context(), &steps, `explain query plan `+query, args...))
		var all []string
		for _, step := range steps {
			all = append(all, step.Detail)
		}
		return strings.Join(all, "\n")
	}
	for name, c := range map[string]struct {
		search issuance.Search
		index  string
	}{
		"first":    {issuance.Search{}, "credential_listing_all (organisation_id=?)"},
		"version":  {issuance.Search{VersionID: "v"}, "credential_listing_version (organisation_id=? AND version_id=?"},
		"activity": {issuance.Search{AttachmentID: "a"}, "credential_listing_attachment (organisation_id=? AND attachment_id=?"},
		"standing": {issuance.Search{InForce: issuance.StandsRevoked}, "credential_listing_standing (organisation_id=? AND standing=?"},
		"name":     {issuance.Search{Name: "maija meik"}, "PRIMARY KEY (organisation_id=? AND word>? AND word<?)"},
	} {
		c.search.OrganisationID, c.search.Limit = o.org.ID, 50
		keys, args, rows := issuance.SearchQueries(c.search)
		for _, got := range []string{plan(keys, args...), plan(rows, o.org.ID, "x")} {
			if strings.Contains(got, "SCAN") || strings.Contains(got, "TEMP B-TREE") || strings.Contains(got, "credentials_sealed") {
				t.Errorf("%s: not along an index:\n%s", name, got)
			}
		}
		if got := plan(keys, args...); !strings.Contains(got, c.index) {
			t.Errorf("%s: not along %s:\n%s", name, c.index, got)
		}
	}
}

// TestSearchAfterCorrection: each credential is found by the name that is sealed in it, also
// while the corrected one waits for the seal.
func TestSearchAfterCorrection(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, old := o.held(t, "noor")
		o.corrected(t, c, issuance.Name{Given: "Noora", Family: "Bakker"})
		check(t, o.desk.TendOnce(t.Context())) // the old one was not in the index before
		find := func(name, id string, stands issuance.InForce) {
			t.Helper()
			page, _, err := o.desk.Search(t.Context(), issuance.Search{OrganisationID: o.org.ID, Name: name, Limit: 5})
			check(t, err)
			if id == "" && len(page) > 0 || id != "" && (len(page) != 1 || page[0].CredentialID != id || page[0].InForce != stands) {
				t.Errorf("%s: %+v", name, page)
			}
		}
		find("van den berg", old.ID, issuance.StandsInForce)
		find("bakker", "", "")
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		check(t, o.desk.TendOnce(t.Context()))
		next := o.all(t, c, 2)[0]
		find("van den berg", old.ID, issuance.StandsReplaced)
		find("bakker", next.ID, issuance.StandsInForce)
		for id, want := range map[string]string{old.ID: "Noor van den Berg", next.ID: "Noora Bakker"} {
			if name, err := o.desk.SealedName(t.Context(), o.org.ID, id); err != nil || name != want {
				t.Errorf("%q (%v), want %q", name, err, want)
			}
		}
		if got := o.search(t, issuance.Search{InForce: issuance.StandsReplaced, Limit: 5}); len(got) != 1 || got[0] != old.ID {
			t.Errorf("replaced: %v", got)
		}
		// What is selected for an order is what counts, and revoking it ends both.
		r, err := o.desk.AskRevoke(t.Context(), issuance.Ask{Selection: issuance.Selection{OrganisationID: o.org.ID, AttachmentID: o.attachment.ID}, Reason: issuance.ReasonInError, By: anna, Expect: 1})
		check(t, err)
		r, err = o.desk.CarryOut(t.Context(), o.org.ID, r.ID)
		check(t, err)
		if items, err := o.desk.OrderItems(t.Context(), o.org.ID, r.ID, 5); err != nil || len(items) != 1 || items[0].CredentialID != next.ID || items[0].Name != "Noora Bakker" || items[0].Outcome != issuance.ItemRevoked {
			t.Errorf("%+v (%v)", items, err)
		}
		find("van den berg", old.ID, issuance.StandsReplaced)
		find("bakker", next.ID, issuance.StandsRevoked)
		other, _, _ := o.open(t, "fjord")
		_, err = o.desk.SealedName(t.Context(), other.ID, next.ID)
		wantErr(t, err, issuance.ErrNotFound)
	})
}
