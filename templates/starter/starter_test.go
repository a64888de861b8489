package starter_test

import (
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/templates/starter"
)

func TestAllAreValidAndBilingual(t *testing.T) {
	t.Parallel()
	all, err := starter.All()
	if err != nil {
		t.Fatal(err)
	}
	var slugs []string
	for _, s := range all {
		slugs = append(slugs, s.Slug)
		for _, o := range s.Content.Outcomes {
			if o.Title["en"] == "" || o.Title["nl"] == "" || len(o.Skills) == 0 {
				t.Errorf("%s: outcome %v lacks a language or skills", s.Slug, o.Title)
			}
		}
	}
	if got, want := strings.Join(slugs, " "), "responsible-ai-public-services sustainable-food-systems"; got != want {
		t.Errorf("starters are %q, want %q", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, raw, want string }{
		{"unknown member", `{"tittle":{"en":"x"}}`, "unknown field"},
		{"trailing bytes", `{} {}`, "follows the end"},
		{"no JSON", `title: x`, "decode template"},
		{"empty object", `{}`, "languages"},
		{"wrong type", `{"ects":"3"}`, "decode template"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := starter.Decode([]byte(c.raw))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
