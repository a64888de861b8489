package web_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	inputs   = regexp.MustCompile(`<input type="(text|url|hidden|checkbox|search)"([^>]*)>`)
	hidden   = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)
	areas    = regexp.MustCompile(`(?s)<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>`)
	selects  = regexp.MustCompile(`(?s)<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>`)
	chosen   = regexp.MustCompile(`<option value="([^"]*)" selected>`)
	attrName = regexp.MustCompile(` name="([^"]+)"`)
	attrVal  = regexp.MustCompile(`value="([^"]*)"`)
)

// filled reads the form of a page as a browser would send it.
func filled(page string) url.Values {
	form := url.Values{}
	set := func(name, value string) { form.Set(html.UnescapeString(name), html.UnescapeString(value)) }
	for _, m := range inputs.FindAllStringSubmatch(page, -1) {
		name, value := attrName.FindStringSubmatch(m[2]), attrVal.FindStringSubmatch(m[2])
		if name == nil || value == nil || m[1] == "checkbox" && !strings.Contains(m[2], " checked") {
			continue
		}
		set(name[1], value[1])
	}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		set(m[1], m[2])
	}
	for _, m := range areas.FindAllStringSubmatch(page, -1) {
		set(m[1], m[2])
	}
	for _, m := range selects.FindAllStringSubmatch(page, -1) {
		if value := chosen.FindStringSubmatch(m[2]); value != nil {
			set(m[1], value[1])
		}
	}
	return form
}

func TestTemplateFormRoundTrip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	for _, version := range mustList(t, w) {
		page := "templates/" + version.TemplateID
		got := b.get(page)
		want(t, got, http.StatusOK)
		form := filled(got.Body.String())
		got = b.post(page, form)
		want(t, got, http.StatusSeeOther)
		if location := got.Header().Get("Location"); !strings.HasSuffix(location, "?same=yes&saved=1") {
			t.Errorf("an unchanged form was saved: %s", location)
		}
		says(t, b.get(page+"?same=yes&saved=1"), "Nothing was different, so version 1 stays as it is.")
		form.Set("title.en", "Another title")
		form.Set("outcomes[0].skills[0].uri", "")
		form.Set("outcomes[0].skills[0].label.en", "")
		form.Set("outcomes[0].skills[0].label.nl", "")
		got = b.post(page, form)
		want(t, got, http.StatusSeeOther)
		says(t, b.get(page+"?saved=2"), "Saved as version 2.", "Another title", "Version 2 is in force")
		next, err := w.templates.Newest(t.Context(), w.polder.org.ID, version.TemplateID)
		must(t, err)
		expect := version.Content
		expect.Title = map[string]string{"en": "Another title", "nl": version.Content.Title["nl"]}
		expect.Outcomes[0].Skills = expect.Outcomes[0].Skills[1:]
		if diff := cmp.Diff(expect, next.Content); diff != "" {
			t.Errorf("content (-want +got):\n%s", diff)
		}
		if next.CreatedBy != "lms:"+w.polder.reg.ID+":boss" {
			t.Errorf("created by %q", next.CreatedBy)
		}
	}
}

func TestTemplateFormShowsProblemsAtTheirFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	page := "templates/" + w.polder.version.TemplateID
	form := filled(b.get(page).Body.String())
	form.Set("title.nl", "")
	form.Set("hours", "sixty")
	form.Set("eqf", "")
	form.Set("outcomes[1].title.en", "")
	form.Set("outcomes[1].title.nl", "Alleen Nederlands")
	form.Set("description.en", `"><script>alert(1)</script>`)
	got := b.post(page, form)
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "4 things have to be mended before this can be saved.", "Title: write this text in Dutch", "Outcome 2: write this text in English", "Hours of work: write a number; “sixty” is none", "EQF level: choose a level from 1 to 8")
	silent(t, got, "<script>alert")
	for _, mark := range []string{`value="sixty"`, `id="title.nl" name="title.nl" aria-describedby="title.nl-e" aria-invalid="true"`, `href="#hours"`, `href="#outcomes%5b1%5d.title.en"`, "Alleen Nederlands"} {
		if !strings.Contains(got.Body.String(), mark) {
			t.Errorf("the page lacks %s", mark)
		}
	}
	newest, err := w.templates.Newest(t.Context(), w.polder.org.ID, w.polder.version.TemplateID)
	must(t, err)
	if newest.Number != 1 {
		t.Error("a form with problems was saved")
	}
}

func TestTemplateFormOfSomebodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	page := "templates/" + w.polder.version.TemplateID
	mine, theirs := filled(b.get(page).Body.String()), filled(b.get(page).Body.String())
	theirs.Set("title.en", "Theirs")
	want(t, b.post(page, theirs), http.StatusSeeOther)
	mine.Set("title.en", "Mine")
	got := b.post(page, mine)
	want(t, got, http.StatusConflict)
	says(t, got, "Somebody else saved version 2 while you were writing.")
	again := filled(got.Body.String())
	if again.Get("title.en") != "Mine" {
		t.Errorf("what was typed is lost: %q", again.Get("title.en"))
	}
	want(t, b.post(page, again), http.StatusSeeOther)
}

func TestTemplateMoreRowsAndLanguages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	page := "templates/" + w.polder.version.TemplateID
	first := b.get(page).Body.String()
	form := filled(first)
	form.Set("do", "more")
	form.Set("languages", "en; nl fi")
	got := b.post(page, form)
	want(t, got, http.StatusOK)
	says(t, got, "Finnish")
	silent(t, got, `aria-invalid="true"`)
	rows := func(s string) int { return strings.Count(s, ".title.en\"") / 3 }
	if rows(got.Body.String()) <= rows(first)-1 || filled(got.Body.String()).Get("blanks") != "2" {
		t.Error("no more rows")
	}
}

func TestNewTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	got := b.get("templates/new")
	want(t, got, http.StatusOK)
	says(t, got, "What do you want to begin with?", "Sustainable Food Systems", "An empty form")

	got = b.get("templates/new?from=empty")
	want(t, got, http.StatusOK)
	got = b.post("templates/new", filled(got.Body.String()))
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "have to be mended", "Outcome", "Title: write this text in English")

	form := filled(b.get("templates/new?from=sustainable-food-systems").Body.String())
	got = b.post("templates/new", form)
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "another template has this short name")
	form.Set("slug", "Bad Slug!")
	got = b.post("templates/new", form)
	want(t, got, http.StatusUnprocessableEntity)
	says(t, got, "write 2 to 64 characters")
	form.Set("slug", "food-2")
	got = b.post("templates/new", form)
	want(t, got, http.StatusSeeOther)
	id := strings.TrimSuffix(strings.TrimPrefix(got.Header().Get("Location"), b.path("templates/")), "?saved=1")
	v, err := w.templates.Newest(t.Context(), w.polder.org.ID, id)
	must(t, err)
	if diff := cmp.Diff(w.polder.version.Content, v.Content); diff != "" {
		t.Errorf("the copy differs (-want +got):\n%s", diff)
	}
}
