package templates_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
	"github.com/sealsmith/sealsmith/templates"
)

var created = time.Date(2026, time.November, 20, 12, 0, 0, 123456000, time.UTC)

// shelf is a store with one organisation.
type shelf struct {
	*templates.Store
	db  *sqldb.DB
	org templates.Organisation
}

func eachStore(t *testing.T, test func(t *testing.T, s *shelf)) {
	t.Helper()
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := &shelf{Store: templates.NewStore(db, func() time.Time { return created.In(time.FixedZone("CET", 3600)) }), db: db}
		org, err := s.AddOrganisation(t.Context(), university("polder"))
		mustDo(t, err)
		s.org = org
		test(t, s)
	})
}

func university(slug string) templates.Organisation {
	return templates.Organisation{
		Slug: slug, Name: templates.Text{"en": "Polder University of Technology", "nl": "Technische Universiteit De Polder"},
		Country: "NL", Identifier: "NTRNL-12345678", Homepage: "https://polder.example/", Email: "office@polder.example", Brand: "#1d4b73",
	}
}

func (s *shelf) add(tb testing.TB, slug string) templates.Version {
	tb.Helper()
	v, err := s.Add(tb.Context(), s.org.ID, slug, content(tb), "operator")
	mustDo(tb, err)
	return v
}

func (s *shelf) rows(tb testing.TB, table string) int {
	tb.Helper()
	var n int
	mustDo(tb, s.db.Get(tb.Context(), &n, "select count(*) from "+table))
	return n
}

func mustDo(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func wantCause(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("got %v, want %v", err, want)
	}
}

// wantProblems wants a list of sentences about the given fields, in the order of the form.
func wantProblems(tb testing.TB, err error, fields ...string) {
	tb.Helper()
	problems, ok := errors.AsType[templates.Problems](err)
	if !ok {
		tb.Errorf("got %v, want problems of %v", err, fields)
		return
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Field)
		if p.Sentence == "" {
			tb.Errorf("%s: no sentence", p.Field)
		}
	}
	if diff := cmp.Diff(fields, got); diff != "" {
		tb.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestOrganisations(t *testing.T) {
	eachStore(t, func(t *testing.T, s *shelf) {
		want := university("polder")
		want.ID, want.CreatedAt = s.org.ID, created
		if diff := cmp.Diff(want, s.org); diff != "" {
			t.Errorf("added (-want +got):\n%s", diff)
		}
		byID, err := s.Organisation(t.Context(), s.org.ID)
		mustDo(t, err)
		bySlug, err := s.OrganisationBySlug(t.Context(), "polder")
		mustDo(t, err)
		for name, got := range map[string]templates.Organisation{"id": byID, "slug": bySlug} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("by %s (-want +got):\n%s", name, diff)
			}
		}
		other, err := s.AddOrganisation(t.Context(), university("fjord"))
		mustDo(t, err)
		all, err := s.Organisations(t.Context())
		mustDo(t, err)
		if diff := cmp.Diff([]templates.Organisation{other, s.org}, all); diff != "" {
			t.Errorf("all (-want +got):\n%s", diff)
		}
		for _, key := range []string{"", "POLDER", "%", "no-such-organisation"} {
			_, err := s.Organisation(t.Context(), key)
			wantCause(t, err, templates.ErrNotFound)
			_, err = s.OrganisationBySlug(t.Context(), key)
			wantCause(t, err, templates.ErrNotFound)
		}
	})
}

var badSlugs = []string{"", "a", "-a", "a-", "A-b", "a_b", "a b", "ä-b", "a/b", "ab\n", strings.Repeat("a", 65)}

func TestAddOrganisationRefuses(t *testing.T) {
	eachStore(t, func(t *testing.T, s *shelf) {
		_, err := s.AddOrganisation(t.Context(), university("polder"))
		wantCause(t, err, templates.ErrDuplicate)
		for _, slug := range badSlugs {
			_, err := s.AddOrganisation(t.Context(), university(slug))
			wantCause(t, err, templates.ErrSlug)
		}
		o := university("fjord")
		o.Name, o.Identifier = nil, ""
		_, err = s.AddOrganisation(t.Context(), o)
		wantProblems(t, err, "name", "identifier")
		if n := s.rows(t, "organisations"); n != 1 {
			t.Errorf("%d organisations", n)
		}
	})
}

func TestAdd(t *testing.T) {
	eachStore(t, func(t *testing.T, s *shelf) {
		v := s.add(t, "food-systems")
		want := templates.Version{ID: v.ID, OrganisationID: s.org.ID, TemplateID: v.TemplateID, Number: 1, Content: content(t), CreatedBy: "operator", CreatedAt: created}
		for name, get := range map[string]func() (templates.Version, error){
			"added":   func() (templates.Version, error) { return v, nil },
			"version": func() (templates.Version, error) { return s.Version(t.Context(), s.org.ID, v.ID) },
			"newest":  func() (templates.Version, error) { return s.Newest(t.Context(), s.org.ID, v.TemplateID) },
		} {
			got, err := get()
			mustDo(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		other, err := s.AddOrganisation(t.Context(), university("fjord"))
		mustDo(t, err)
		if _, err := s.Add(t.Context(), other.ID, "food-systems", content(t), "operator"); err != nil {
			t.Errorf("a short name is taken in its own organisation only: %v", err)
		}
	})
}

func TestAddRefuses(t *testing.T) {
	eachStore(t, func(t *testing.T, s *shelf) {
		s.add(t, "food-systems")
		_, err := s.Add(t.Context(), s.org.ID, "food-systems", content(t), "operator")
		wantCause(t, err, templates.ErrDuplicate)
		for _, slug := range badSlugs {
			_, err := s.Add(t.Context(), s.org.ID, slug, content(t), "operator")
			wantCause(t, err, templates.ErrSlug)
		}
		c := content(t)
		c.ECTS, c.Outcomes = 0, nil
		_, err = s.Add(t.Context(), s.org.ID, "empty", c, "operator")
		wantProblems(t, err, "outcomes", "ects")
		_, err = s.Add(t.Context(), "no-such-organisation", "other", content(t), "operator")
		if err == nil || errors.Is(err, templates.ErrDuplicate) {
			t.Errorf("an organisation that is not there: %v", err)
		}
		if n, m := s.rows(t, "templates"), s.rows(t, "template_versions"); n != 1 || m != 1 {
			t.Errorf("%d templates, %d versions", n, m)
		}
	})
}

func TestSave(t *testing.T) {
	eachStore(t, func(t *testing.T, s *shelf) {
		first := s.add(t, "food-systems")
		same, err := s.Save(t.Context(), s.org.ID, first.TemplateID, content(t), "lms:r-1:teacher")
		mustDo(t, err)
		if diff := cmp.Diff(first, same); diff != "" {
			t.Errorf("nothing changed (-want +got):\n%s", diff)
		}

		c := content(t)
		c.Title["en"] = "Food systems, second edition"
		second, err := s.Save(t.Context(), s.org.ID, first.TemplateID, c, "lms:r-1:teacher")
		mustDo(t, err)
		if second.Number != 2 || second.ID == first.ID || second.TemplateID != first.TemplateID || second.CreatedBy != "lms:r-1:teacher" {
			t.Errorf("saved %+v", second)
		}
		newest, err := s.Newest(t.Context(), s.org.ID, first.TemplateID)
		mustDo(t, err)
		if diff := cmp.Diff(second, newest); diff != "" {
			t.Errorf("newest (-want +got):\n%s", diff)
		}
		old, err := s.Version(t.Context(), s.org.ID, first.ID)
		mustDo(t, err)
		if diff := cmp.Diff(first, old); diff != "" {
			t.Errorf("the first version has changed (-want +got):\n%s", diff)
		}

		third, err := s.Save(t.Context(), s.org.ID, first.TemplateID, content(t), "operator") // back to what it was
		mustDo(t, err)
		if third.Number != 3 {
			t.Errorf("number %d, want 3", third.Number)
		}
		var trail []string
		mustDo(t, s.db.Select(t.Context(), &trail, `select detail from audit where subject = ? order by id`, first.TemplateID))
		if diff := cmp.Diff([]string{"food-systems", "version 2", "version 3"}, trail); diff != "" {
			t.Errorf("audit (-want +got):\n%s", diff)
		}
	})
}

func TestSaveRefuses(t *testing.T) {
	eachStore(t, func(t *testing.T, s *shelf) {
		v := s.add(t, "food-systems")
		other, err := s.AddOrganisation(t.Context(), university("fjord"))
		mustDo(t, err)
		c := content(t)
		c.Title["en"] = "Another"
		for _, key := range []struct{ org, template string }{{other.ID, v.TemplateID}, {s.org.ID, "no-such-template"}, {"", v.TemplateID}, {s.org.ID, v.ID}} {
			_, err := s.Save(t.Context(), key.org, key.template, c, "operator")
			wantCause(t, err, templates.ErrNotFound)
		}
		c.Title, c.EQF = nil, 9
		_, err = s.Save(t.Context(), s.org.ID, v.TemplateID, c, "operator")
		wantProblems(t, err, "title", "title", "eqf") // a title in both languages
		if n := s.rows(t, "template_versions"); n != 1 {
			t.Errorf("%d versions", n)
		}
	})
}

// Who saves at the same moment gets a number of his own, or is told; nothing is lost
// without a word.
func TestSaveAtOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, s *shelf) {
		v := s.add(t, "food-systems")
		var all sync.WaitGroup
		var mu sync.Mutex
		saved := map[int]string{}
		for i := range 8 {
			c := content(t)
			c.Title["en"] = fmt.Sprintf("Edition %d", i)
			all.Go(func() {
				got, err := s.Save(t.Context(), s.org.ID, v.TemplateID, c, "operator")
				if errors.Is(err, templates.ErrDuplicate) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if saved[got.Number] != "" {
					t.Errorf("two versions %d", got.Number)
				}
				saved[got.Number] = got.ID
			})
		}
		all.Wait()
		if len(saved) == 0 || s.rows(t, "template_versions") != len(saved)+1 {
			t.Errorf("%d saved, %d versions", len(saved), s.rows(t, "template_versions"))
		}
		newest, err := s.Newest(t.Context(), s.org.ID, v.TemplateID)
		mustDo(t, err)
		if newest.Number != len(saved)+1 || saved[newest.Number] != newest.ID {
			t.Errorf("newest is %d of %d", newest.Number, len(saved)+1)
		}
	})
}

func TestListAndTenancy(t *testing.T) {
	eachStore(t, func(t *testing.T, s *shelf) {
		a, b := s.add(t, "zebra"), s.add(t, "aardvark")
		c := content(t)
		c.Title["en"] = "Second edition"
		a2, err := s.Save(t.Context(), s.org.ID, a.TemplateID, c, "operator")
		mustDo(t, err)
		list, err := s.List(t.Context(), s.org.ID)
		mustDo(t, err)
		if diff := cmp.Diff([]templates.Version{a2, b}, list); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
		other, err := s.AddOrganisation(t.Context(), university("fjord"))
		mustDo(t, err)
		for _, org := range []string{other.ID, "", "%"} {
			list, err := s.List(t.Context(), org)
			mustDo(t, err)
			if len(list) != 0 {
				t.Errorf("organisation %q sees %d templates", org, len(list))
			}
			_, err = s.Version(t.Context(), org, a.ID)
			wantCause(t, err, templates.ErrNotFound)
			_, err = s.Newest(t.Context(), org, a.TemplateID)
			wantCause(t, err, templates.ErrNotFound)
		}
	})
}

func TestSetSeal(t *testing.T) {
	eachStore(t, func(t *testing.T, s *shelf) {
		want := templates.SealPolicy{Level: templates.SealLTA, LegacyTime: true}
		mustDo(t, s.SetSeal(t.Context(), s.org.ID, want, "operator"))
		got, err := s.Organisation(t.Context(), s.org.ID)
		mustDo(t, err)
		if got.Seal != want || got.Name.In("nl") != s.org.Name.In("nl") {
			t.Errorf("organisation %+v", got)
		}
		if s.rows(t, "audit where action = 'seal policy changed'") != 1 {
			t.Error("the change is not in the audit trail")
		}
		var problems templates.Problems
		if err := s.SetSeal(t.Context(), s.org.ID, templates.SealPolicy{Level: "XL"}, "operator"); !errors.As(err, &problems) {
			t.Errorf("a level that is none: %v", err)
		}
		if err := s.SetSeal(t.Context(), "nobody", want, "operator"); !errors.Is(err, templates.ErrNotFound) {
			t.Errorf("an organisation that is none: %v", err)
		}
	})
}

func TestReaches(t *testing.T) {
	t.Parallel()
	levels := templates.SealLevels()
	for i, have := range levels {
		for j, goal := range levels {
			if have.Reaches(goal) != (i >= j) {
				t.Errorf("%s reaches %s: %t", have, goal, have.Reaches(goal))
			}
		}
	}
	if templates.SealLevel("").Reaches(templates.SealB) {
		t.Error("no level reaches something")
	}
}

// TestRevokingTakesTwo: by the organisation or by the version itself, and by no other.
func TestRevokingTakesTwo(t *testing.T) {
	eachStore(t, func(t *testing.T, s *shelf) {
		one := s.add(t, "one")
		c := content(t)
		c.SecondPerson = true
		two, err := s.Save(t.Context(), s.org.ID, one.TemplateID, c, "operator")
		mustDo(t, err)
		if two.Number != 2 {
			t.Fatalf("version %d", two.Number)
		}
		other, err := s.AddOrganisation(t.Context(), university("fjord"))
		mustDo(t, err)
		takes := func(want bool, org string, versions ...string) {
			t.Helper()
			got, err := templates.RevokingTakesTwo(t.Context(), s.db, org, versions)
			mustDo(t, err)
			if got != want {
				t.Errorf("%v: %t", versions, got)
			}
		}
		all, err := s.Versions(t.Context(), s.org.ID)
		mustDo(t, err)
		if len(all) != 2 || all[0].ID != two.ID || all[1].ID != one.ID || !all[0].Content.SecondPerson {
			t.Errorf("%d versions", len(all))
		}
		if all, err := s.Versions(t.Context(), other.ID); err != nil || len(all) != 0 {
			t.Errorf("another organisation has %d versions (%v)", len(all), err)
		}
		takes(false, s.org.ID)
		takes(false, s.org.ID, one.ID)
		takes(true, s.org.ID, two.ID)
		takes(false, other.ID, two.ID)
		many := make([]string, 0, 701)
		for i := range 700 {
			many = append(many, fmt.Sprint(i))
		}
		takes(false, s.org.ID, many...)
		takes(true, s.org.ID, append(many, two.ID)...)
		for _, needed := range []bool{true, false} {
			mustDo(t, s.SetSecondPerson(t.Context(), s.org.ID, needed, "operator:anna"))
			takes(needed, s.org.ID, one.ID)
			takes(false, other.ID, one.ID)
		}
		var events []string
		mustDo(t, s.db.Select(t.Context(), &events, `select actor || ' ' || detail from audit where action = 'rule of revoking changed' and organisation_id = ? and subject = 'polder' order by id`, s.org.ID))
		if diff := cmp.Diff([]string{"operator:anna second person true", "operator:anna second person false"}, events); diff != "" {
			t.Error(diff)
		}
		_, err = templates.RevokingTakesTwo(t.Context(), s.db, "nobody", nil)
		wantCause(t, err, templates.ErrNotFound)
		wantCause(t, s.SetSecondPerson(t.Context(), "nobody", true, "operator"), templates.ErrNotFound)
	})
}
