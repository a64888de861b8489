package templates_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/starter"
)

// content is a valid content of its own: the starter on food systems.
func content(tb testing.TB) templates.Content {
	tb.Helper()
	all, err := starter.All()
	if err != nil {
		tb.Fatal(err)
	}
	return all[1].Content
}

const skill = "http://data.europa.eu/esco/skill/e541c69c-ea80-4b17-87cb-4001d0b9d303"

func TestContentValidateRefuses(t *testing.T) {
	t.Parallel()
	text := func(s string) templates.Text { return templates.Text{"en": s, "nl": s} }
	for _, c := range []struct {
		name  string
		spoil func(c *templates.Content)
		field string
		want  string
	}{
		{"no languages", func(c *templates.Content) { c.Languages = nil }, "languages", "one to six"},
		{"unknown language", func(c *templates.Content) { c.Languages = []string{"en", "nl", "xx"} }, "languages", `"xx"`},
		{"language twice", func(c *templates.Content) { c.Languages = []string{"en", "nl", "en"} }, "languages", "twice"},
		{"no title", func(c *templates.Content) { c.Title = nil }, "title", "in English"},
		{"title in one of two languages", func(c *templates.Content) { c.Title = templates.Text{"en": "x"} }, "title", "in Dutch"},
		{"title in a third language", func(c *templates.Content) { c.Title = templates.Text{"en": "x", "nl": "x", "de": "x"} }, "title", "German"},
		{"title of two lines", func(c *templates.Content) { c.Title = text("a\nb") }, "title", "plain text"},
		{"title with a turn of direction", func(c *templates.Content) { c.Title = text("a\u202eb") }, "title", "plain text"},
		{"title with NUL", func(c *templates.Content) { c.Title = text("a\x00b") }, "title", "plain text"},
		{"title that is no UTF-8", func(c *templates.Content) { c.Title = text("a\xff") }, "title", "damaged"},
		{"title with a space behind", func(c *templates.Content) { c.Title = text("a ") }, "title", "space"},
		{"title too long", func(c *templates.Content) { c.Title = text(strings.Repeat("é", 161)) }, "title", "at most 160"},
		{"no outcomes", func(c *templates.Content) { c.Outcomes = nil }, "outcomes", "one to 12"},
		{"too many outcomes", func(c *templates.Content) { c.Outcomes = make([]templates.Outcome, 13) }, "outcomes", "13"},
		{"outcome without Dutch", func(c *templates.Content) { c.Outcomes[1].Title = templates.Text{"en": "x"} }, "outcomes[1].title", "in Dutch"},
		{"outcome twice", func(c *templates.Content) { c.Outcomes[2].Title = c.Outcomes[0].Title }, "outcomes[2].title", "twice"},
		{"kind of outcome", func(c *templates.Content) { c.Outcomes[0].Kind = "attitude" }, "outcomes[0].kind", "skill or knowledge"},
		{"reuse of outcome", func(c *templates.Content) { c.Outcomes[0].Reuse = "global" }, "outcomes[0].reuse", "list"},
		{"skill by https", func(c *templates.Content) {
			c.Outcomes[0].Skills[0].URI = strings.Replace(skill, "http:", "https:", 1)
		}, "outcomes[0].skills[0].uri", "ESCO"},
		{"occupation as skill", func(c *templates.Content) {
			c.Outcomes[0].Skills[0].URI = strings.Replace(skill, "/skill/", "/occupation/", 1)
		}, "outcomes[0].skills[0].uri", "ESCO"},
		{"skill with more behind", func(c *templates.Content) { c.Outcomes[0].Skills[0].URI = skill + "?x" }, "outcomes[0].skills[0].uri", "ESCO"},
		{"skill twice", func(c *templates.Content) { c.Outcomes[0].Skills[1] = c.Outcomes[0].Skills[0] }, "outcomes[0].skills[1].uri", "twice"},
		{"skill without label", func(c *templates.Content) { c.Outcomes[0].Skills[0].Label = nil }, "outcomes[0].skills[0].label", "in English"},
		{"skill under two labels", func(c *templates.Content) {
			c.Outcomes[1].Skills[0] = templates.Skill{URI: skill, Label: text("other")}
		}, "outcomes[1].skills[0].label", "another label"},
		{"no credits", func(c *templates.Content) { c.ECTS = 0 }, "ects", "above 0"},
		{"negative credits", func(c *templates.Content) { c.ECTS = -3 }, "ects", "above 0"},
		{"credits that are no number", func(c *templates.Content) { c.ECTS = math.NaN() }, "ects", "above 0"},
		{"infinite credits", func(c *templates.Content) { c.ECTS = math.Inf(1) }, "ects", "above 0"},
		{"a third of a credit", func(c *templates.Content) { c.ECTS, c.Hours = 1.0/3, 9 }, "ects", "two decimals"},
		{"too few hours", func(c *templates.Content) { c.Hours = 74 }, "hours", "74 hours do not fit 3 ECTS"},
		{"too many hours", func(c *templates.Content) { c.Hours = 91 }, "hours", "write 75 to 90 hours"},
		{"no hours", func(c *templates.Content) { c.Hours = 0 }, "hours", "0 hours do not fit 3 ECTS"},
		{"level 0", func(c *templates.Content) { c.EQF = 0 }, "eqf", "1 to 8"},
		{"level 9", func(c *templates.Content) { c.EQF = 9 }, "eqf", "1 to 8"},
		{"cycle of another level", func(c *templates.Content) { c.Cycle = "first" }, "cycle", "level 6"},
		{"unknown cycle", func(c *templates.Content) { c.Cycle = "fourth" }, "cycle", "short"},
		{"unknown subject", func(c *templates.Content) { c.ISCED = "1234" }, "isced", "1234"},
		{"no language of instruction", func(c *templates.Content) { c.Instruction = "" }, "instruction", "taught"},
		{"no assessment title", func(c *templates.Content) { c.Assessment.Title = nil }, "assessment.title", "in English"},
		{"no assessment type", func(c *templates.Content) { c.Assessment.Type = "" }, "assessment.type", "assessed"},
		{"no assessment mode", func(c *templates.Content) { c.Assessment.Mode = "moon" }, "assessment.mode", "takes place"},
		{"unknown supervision", func(c *templates.Content) { c.Assessment.Supervision = "supervised" }, "assessment.supervision", "list"},
		{"no participation", func(c *templates.Content) { c.Participation = "" }, "participation", "take part"},
		{"no quality assurance", func(c *templates.Content) { c.Quality = templates.Quality{} }, "quality.type", "quality"},
		{"no agency", func(c *templates.Content) { c.Quality.Agency = nil }, "quality.agency", "in English"},
		{"agency of no country", func(c *templates.Content) { c.Quality.AgencyCountry = "Netherlands" }, "quality.agency_country", "country"},
		{"stackable into nothing", func(c *templates.Content) { c.Stackability.Into = nil }, "stackability.into", "in English"},
		{"homepage by http", func(c *templates.Content) { c.Homepage = "http://a.example/" }, "homepage", "https://"},
		{"homepage with script", func(c *templates.Content) { c.Homepage = "javascript:alert(1)" }, "homepage", "https://"},
		{"homepage with user", func(c *templates.Content) { c.Homepage = "https://u:p@a.example/" }, "homepage", "https://"},
		{"homepage with a space", func(c *templates.Content) { c.Homepage = "https://a.example/ b" }, "homepage", "https://"},
		{"rule of nothing", func(c *templates.Content) { c.Rule.MinPercent = 0 }, "rule.min_percent", "above 0"},
		{"rule above all", func(c *templates.Content) { c.Rule.MinPercent = 100.5 }, "rule.min_percent", "up to 100"},
		{"rule that is no number", func(c *templates.Content) { c.Rule.MinPercent = math.NaN() }, "rule.min_percent", "above 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			spoilt := content(t)
			c.spoil(&spoilt)
			problems, ok := errors.AsType[templates.Problems](spoilt.Validate())
			if !ok {
				t.Fatal("accepted")
			}
			for _, p := range problems {
				if p.Field == c.field && strings.Contains(p.Sentence, c.want) {
					return
				}
			}
			t.Errorf("got %v, want %s with %q", problems, c.field, c.want)
		})
	}
}

func TestContentValidateAccepts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(c *templates.Content)
	}{
		{"as shipped", func(*templates.Content) {}},
		{"half a credit of 13 hours", func(c *templates.Content) { c.ECTS, c.Hours = .5, 13 }},
		{"least hours", func(c *templates.Content) { c.Hours = 75 }},
		{"most hours", func(c *templates.Content) { c.Hours = 90 }},
		{"without what Annex I leaves open", func(c *templates.Content) {
			c.Description, c.Prerequisites, c.Further, c.Stackability, c.Cycle, c.ISCED, c.Homepage = nil, nil, nil, nil, "", "", ""
			c.Assessment.Supervision, c.Assessment.Grading = "", nil
		}},
		{"one skill for two outcomes", func(c *templates.Content) { c.Outcomes[1].Skills[0] = c.Outcomes[0].Skills[0] }},
		{"all points", func(c *templates.Content) { c.Rule.MinPercent = 100 }},
		{"angle brackets are plain text", func(c *templates.Content) { c.Title = templates.Text{"en": "a < b & c", "nl": "<b>"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			changed := content(t)
			c.change(&changed)
			if err := changed.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func organisation() templates.Organisation {
	return templates.Organisation{Name: templates.Text{"en": "Polder University"}, Country: "NL", Identifier: "NTRNL-12345678"}
}

func TestOrganisationValidate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(o *templates.Organisation)
		field  string // "" when accepted
	}{
		{"least", func(*templates.Organisation) {}, ""},
		{"VAT identifier", func(o *templates.Organisation) { o.Identifier = "VATBE-0123456789" }, ""},
		{"LEI", func(o *templates.Organisation) { o.Identifier = "LEIXG-529900T8BM49AURSDO55" }, ""},
		{"national scheme", func(o *templates.Organisation) { o.Identifier = "EI:SE-5567971433" }, ""},
		{"all fields", func(o *templates.Organisation) {
			o.Address, o.Homepage, o.Email, o.Brand = "Dijkweg 1", "https://a.example/", "mc@a.example", "#1d4B73"
		}, ""},
		{"no name", func(o *templates.Organisation) { o.Name = templates.Text{"en": ""} }, "name"},
		{"name in no language", func(o *templates.Organisation) { o.Name = templates.Text{"english": "x"} }, "name"},
		{"no country", func(o *templates.Organisation) { o.Country = "" }, "country"},
		{"country in small letters", func(o *templates.Organisation) { o.Country = "nl" }, "country"},
		{"no identifier", func(o *templates.Organisation) { o.Identifier = "" }, "identifier"},
		{"bare number", func(o *templates.Organisation) { o.Identifier = "12345678" }, "identifier"},
		{"identifier without number", func(o *templates.Organisation) { o.Identifier = "NTRNL-" }, "identifier"},
		{"identifier of two lines", func(o *templates.Organisation) { o.Identifier = "NTRNL-1\n2" }, "identifier"},
		{"address of two lines", func(o *templates.Organisation) { o.Address = "a\nb" }, "address"},
		{"registration with control", func(o *templates.Organisation) { o.Registration = "1\t2" }, "registration"},
		{"homepage by http", func(o *templates.Organisation) { o.Homepage = "http://a.example" }, "homepage"},
		{"e-mail with name", func(o *templates.Organisation) { o.Email = "Office <mc@a.example>" }, "email"},
		{"e-mail without dot", func(o *templates.Organisation) { o.Email = "mc@localhost" }, "email"},
		{"colour by name", func(o *templates.Organisation) { o.Brand = "blue" }, "brand"},
		{"colour with style", func(o *templates.Organisation) { o.Brand = "#123456;}" }, "brand"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := organisation()
			c.change(&o)
			err := o.Validate()
			problems, _ := errors.AsType[templates.Problems](err)
			switch {
			case c.field == "" && err != nil:
				t.Error(err)
			case c.field != "" && (len(problems) != 1 || problems[0].Field != c.field):
				t.Errorf("got %v, want one problem of %s", err, c.field)
			}
		})
	}
}

// FuzzTemplateJSON: what is read as a valid template and written again is read as the same,
// and validating never changes the verdict.
func FuzzTemplateJSON(f *testing.F) {
	f.Add([]byte(`{"languages":["en"],"title":{"en":"T"},"outcomes":[{"title":{"en":"O"}}],"ects":1,"hours":28,"eqf":6,"instruction":"en",` +
		`"assessment":{"title":{"en":"A"},"type":"quiz","mode":"online","show_grade":false},"participation":"online",` +
		`"quality":{"type":"programme-licence","title":{"en":"Q"},"agency":{"en":"G"},"agency_country":"NL"},"rule":{"min_percent":55}}`))
	f.Add([]byte(`{"languages":["en","nl"],"ects":1e309}`))
	f.Add([]byte(`{"title":{"en":"\u202e"},"stackability":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		first, err := starter.Decode(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(first)
		if err != nil {
			t.Fatalf("valid but not written: %v", err)
		}
		second, err := starter.Decode(again)
		if err != nil {
			t.Fatalf("written but not read: %v\n%s", err, again)
		}
		if third, err := json.Marshal(second); err != nil || string(third) != string(again) {
			t.Fatalf("read differently (%v):\n%s", err, cmp.Diff(first, second))
		}
	})
}

func TestValidity(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		months       int
		issued, want string
	}{
		{0, "2026-11-28T12:00:00Z", ""},
		{24, "2026-11-28T12:00:00Z", "2028-11-28T23:59:59Z"},
		{1, "2027-01-31T00:00:00Z", "2027-02-28T23:59:59Z"},
		{13, "2027-01-31T23:59:59Z", "2028-02-29T23:59:59Z"},
		{12, "2028-02-29T08:00:00Z", "2029-02-28T23:59:59Z"},
		{1, "2026-11-30T23:30:00-02:00", "2027-01-01T23:59:59Z"}, // the day is that of UTC
	} {
		issued, err := time.Parse(time.RFC3339, test.issued)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if until := (templates.Content{Validity: test.months}).ValidUntil(issued); !until.IsZero() {
			got = until.Format(time.RFC3339)
		}
		if got != test.want {
			t.Errorf("%d months from %s: %q, want %q", test.months, test.issued, got, test.want)
		}
	}
}
