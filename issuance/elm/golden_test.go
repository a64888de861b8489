package elm_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance/elm"
)

var update = flag.Bool("update", false, "write the golden files anew")

const goldens = "../../testdata/elm"

// tinyPNG stands for the page in goldens, so that a change of the drawing does not change
// every file: one white pixel.
var tinyPNG = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU" +
	"\x00\x00\x00\nIDATx\x9cc\xf8\x0f\x00\x01\x01\x01\x00\xb18\xf6\x14\x00\x00\x00\x00IEND\xaeB`\x82")

type golden struct {
	name    string
	slug    string
	seal    hsm.SealFacts
	learner elm.Learner
	langs   []string

	replaces string
	months   int // of validity
}

// goldenCases covers both starters, both kinds of seal, and names that forms get wrong.
func goldenCases() []golden {
	return []golden{
		{"food-own", food, ownSeal(), elm.Learner{GivenName: "Maija", FamilyName: "Meikäläinen", Email: "maija@example.org", Identifier: "8c1f"}, []string{"en"}, "", 0},
		{"food-mandate-greek", food, alliance(), elm.Learner{GivenName: "Κωνσταντίνος", FamilyName: "Παπαδόπουλος"}, []string{"en", "nl"}, "", 0},
		{"food-own-script", food, ownSeal(), elm.Learner{GivenName: `<script>alert("1")</script>`, FamilyName: `O'Brien & "Söhne" \ </x>`, Email: `a"b c<d>@example.org`}, []string{"en"}, "", 0},
		{"food-own-long", food, ownSeal(), elm.Learner{
			GivenName:  "María de los Ángeles Guadalupe Concepción Esperanza",
			FamilyName: "Fernández de Córdoba y Álvarez de Toledo-Wolfeschlegelsteinhausenbergerdorff",
		}, []string{"nl"}, "", 0},
		{"ai-own-single-name", ai, ownSeal(), elm.Learner{GivenName: "Sukarno"}, []string{"en"}, "", 0},
		{"ai-mandate-apostrophe", ai, alliance(), elm.Learner{GivenName: "Zoë-Ann", FamilyName: "d’Arc-ʻOkina N'Dour", Identifier: "urn:lms:7/ü"}, []string{"en", "nl"}, "", 0},
		{"food-own-ending", food, ownSeal(), elm.Learner{GivenName: "Maija", FamilyName: "Meikäläinen", Identifier: "8c1f"}, []string{"en"}, "", 24},
		{"food-own-replaces-arabic", food, ownSeal(), elm.Learner{GivenName: "ليلى", FamilyName: "حدّاد"}, []string{"en", "nl"}, "0b9d7c1e-5f4a-4e0e-8a44-6f2a9f0e3c55", 0},
	}
}

func (g golden) build(tb testing.TB) (elm.Input, []byte) {
	tb.Helper()
	in := input(tb, g.slug)
	in.Issuer, in.Learner, in.Replaces, in.Version.Content.Validity = g.seal, g.learner, g.replaces, g.months
	pages := make([]elm.Page, 0, len(g.langs))
	for _, l := range g.langs {
		pages = append(pages, elm.Page{Language: l, PNG: tinyPNG})
	}
	return in, build(tb, in, pages...)
}

func TestBuildGolden(t *testing.T) {
	t.Parallel()
	for _, c := range goldenCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in, got := c.build(t)
			if err := elm.Check(got, in); err != nil {
				t.Errorf("Check refuses what Build made: %v", err)
			}
			if _, again := c.build(t); !bytes.Equal(got, again) {
				t.Error("the same Input gave other bytes the second time")
			}
			file := filepath.Join(goldens, c.name+".golden.jsonld")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("payload differs from %s (-want +got):\n%s", file, diff)
			}
		})
	}
}
