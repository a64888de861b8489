package elm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance/elm"
)

// mandatory are the elements that Annex I demands, in its order.
var mandatory = []string{
	"learner", "title", "country", "awarding_body", "issued", "outcomes", "workload", "level",
	"assessment", "participation", "quality",
}

func keys(c elm.Content, only func(elm.Element) bool) (out []string) {
	for _, e := range c.Elements {
		if only(e) {
			out = append(out, e.Key)
		}
	}
	return out
}

func TestReadOwn(t *testing.T) {
	t.Parallel()
	for _, g := range goldenCases() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			in, payload := g.build(t)
			c, err := elm.Read(payload)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(mandatory, keys(c, func(e elm.Element) bool { return e.Mandatory })); diff != "" {
				t.Errorf("mandatory elements (-want +got):\n%s", diff)
			}
			got := []any{
				c.ID, c.Title, c.Number, c.Learner, c.IssuerName, c.IssuerIdentifier, c.AwardingBody, c.IssuedAt, c.ValidFrom,
				c.ValidUntil, c.VerifyURL, c.Mandate != "", c.Languages, len(c.Pages),
			}
			want := []any{
				"urn:credential:" + in.CredentialID, in.Version.Content.Title["en"], in.Number, in.Learner.FullName(),
				in.Issuer.Organisation, in.Issuer.OrganisationIdentifier, in.Awarding.Name["en"], in.IssuedAt, in.IssuedAt,
				in.ValidUntil(),
				in.VerifyURL, in.ByMandate(),
				[]string{"en", "nl"},
				len(g.langs),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadInDutch(t *testing.T) {
	t.Parallel()
	_, payload := goldenCases()[0].build(t)
	c, err := elm.ReadIn(payload, "nl")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"workload":      {"3 EC", "84 uur"},
		"level":         {"EQF 7", "Tweede cyclus (QF-EHEA)"},
		"participation": {"Blended"},
		"grade":         {"85 van 100 (85 %)"},
		"supervision":   {"Onder toezicht, identiteit gecontroleerd"},
		"stackability":  {"Master Voedsel en Milieu, keuzeruimte", "Telt mee voor 3 EC bij toelating binnen vijf jaar na de datum van uitgifte."},
		"prerequisites": {"Een bacheloropleiding in een verwant vakgebied, of werkervaring op hetzelfde niveau."},
		"further": {
			"https://polder-university.example/micro-credentials/sustainable-food-systems",
			"Tien weken, om de week een dag op de campus; een regionale partner brengt de casus in.",
		},
	}
	for _, e := range c.Elements {
		if w, ok := want[e.Key]; ok {
			if diff := cmp.Diff(w, e.Values); diff != "" {
				t.Errorf("%s (-want +got):\n%s", e.Key, diff)
			}
			delete(want, e.Key)
		}
	}
	for key := range want {
		t.Errorf("element %s is missing", key)
	}
	if c.Title != "Duurzame voedselsystemen" || c.AwardingBody != "Technische Universiteit De Polder" {
		t.Errorf("title %q, awarding body %q", c.Title, c.AwardingBody)
	}
}

// foreign is a payload as other issuers write them: single values, texts without arrays,
// several claims, a date with an offset, an expiry.
const foreign = `{"id":"urn:credential:1","type":["VerifiableCredential","EuropeanDigitalCredential"],
"displayParameter":{"title":{"es":"Creación digital","en":"Digital creation"},"primaryLanguage":{"id":"http://publications.europa.eu/resource/authority/language/SPA"}},
"issued":"2023-09-27T13:54:17+02:00","validFrom":"2022-12-31T23:00:00Z","expirationDate":"2030-01-01T00:00:00Z",
"issuer":{"legalName":{"es":"UNIVERSIDAD"},"eIDASIdentifier":{"notation":"VATES-A00000000"},"location":{"address":{"countryCode":{"prefLabel":{"es":"España"}}}}},
"credentialSubject":{"givenName":{"es":"Ana"},"familyName":{"es":"Andrómeda"},"dateOfBirth":"1999-02-03T00:00:00Z",
"hasClaim":[{"type":"LearningAchievement","title":{"es":"Creación digital"},"awardedBy":{"awardingBody":{"legalName":{"en":"University of Zed"}}},
"specifiedBy":{"eqfLevel":{"id":"http://data.europa.eu/snb/eqf/6"},"creditPoint":{"framework":{"id":"http://data.europa.eu/snb/education-credit/6fcec5c5af"},"point":"2"},
"volumeOfLearning":"P2W","mode":{"prefLabel":{"es":"Mixto"}},"learningOutcome":{"title":{"es":"Crear"}}}},
{"type":"LearningActivity","title":{"es":"Curso"},"awardedBy":{"awardingBody":{"legalName":{"en":"University of Zed"}}}}]}}`

func TestReadForeign(t *testing.T) {
	t.Parallel()
	c, err := elm.Read([]byte(foreign))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"": strings.Join([]string{
		c.Language, c.Title, c.Learner, c.IssuerName, c.IssuerIdentifier, c.AwardingBody,
		c.IssuedAt.Format(time.RFC3339), c.ValidUntil.Format(time.DateOnly),
	}, " | ")}
	for _, e := range c.Elements {
		got[e.Key] = strings.Join(e.Values, " | ")
	}
	want := map[string]string{
		"":        "es | Creación digital | Ana Andrómeda | UNIVERSIDAD | VATES-A00000000 | University of Zed | 2023-09-27T11:54:17Z | 2030-01-01",
		"learner": "Ana Andrómeda | 1999-02-03", "title": "Creación digital | Curso", "country": "España", "awarding_body": "University of Zed",
		"issued": "2023-09-27", "valid_until": "2030-01-01", "outcomes": "Crear", "workload": "2 ECTS | P2W", "level": "EQF 6", "participation": "Mixto",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("foreign file (-want +got):\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, payload string }{
		{"nothing", ""},
		{"text", "hello"},
		{"array", "[]"},
		{"null", "null"},
		{"object without type", `{"id":"x"}`},
		{"another type", `{"type":"Diploma"}`},
		{"a member twice", `{"type":"VerifiableCredential","type":"VerifiableCredential"}`},
		{"deep", `{"type":"VerifiableCredential","a":` + strings.Repeat("[", 10000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := elm.Read([]byte(c.payload)); !errors.Is(err, elm.ErrNotCredential) {
				t.Errorf("got %v, want ErrNotCredential", err)
			}
		})
	}
}

// TestReadOfficialSamples reads the samples of the European Commission where a copy of them
// lies beside this repository.
func TestReadOfficialSamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../shared/data/elm/samples/*signed.jsonld")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Log("SKIPPED: no copy of the official samples beside the repository")
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var sealed struct {
			Payload string `json:"payload"`
		}
		if json.Unmarshal(raw, &sealed) == nil && sealed.Payload != "" {
			raw = []byte(sealed.Payload)
		}
		c, err := elm.Read(raw)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		if c.Title == "" || c.Learner == "" || c.AwardingBody == "" || len(c.Pages) == 0 {
			t.Errorf("%s: title %q, learner %q, awarding body %q, %d pages", filepath.Base(file), c.Title, c.Learner, c.AwardingBody, len(c.Pages))
		}
		if !strings.Contains(file, "Annex1") {
			continue
		}
		found := keys(c, func(elm.Element) bool { return true })
		for _, key := range append(slices.Clone(mandatory), "supervision", "grade", "prerequisites") {
			if !slices.Contains(found, key) && key != "quality" && (key != "issued" || sealed.Payload != "") {
				t.Errorf("%s: element %s is not found", filepath.Base(file), key)
			}
		}
	}
}

// FuzzRead: whatever the bytes are, Read returns a credential or ErrNotCredential, the same
// each time, and no element is empty.
func FuzzRead(f *testing.F) {
	// Seeds are small on purpose: the engine shrinks what it finds, and takes minutes for a whole golden file.
	f.Add([]byte(foreign))
	f.Add([]byte(`{"type":"VerifiableCredential","credentialSubject":[{"hasClaim":[[],{"title":[1,null,{"en":[]}]}]}]}`))
	f.Add([]byte(`{"type":["EuropeanDigitalCredential"],"displayParameter":{"individualDisplay":[{"displayDetail":[{"page":1,"image":{"content":"/9j/4A=="}}]}]},
"credentialSubject":{"hasClaim":[{"type":"LearningAchievement","supplementaryDocument":[{"title":{"en":["Verification"]},"contentURL":"https://a.example/c/1"}],
"additionalNote":[{"noteLiteral":{"en":["at https://a.example/c/1"]}}],"provenBy":[{"grade":{"noteLiteral":{"en":["Passed"]}},"idVerification":{"prefLabel":{"en":["x"]}}}]}]},
"evidence":[{"evidenceStatement":"s"}],"identifier":[{"notation":7}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := elm.Read(payload)
		if err != nil {
			if !errors.Is(err, elm.ErrNotCredential) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		again, err := elm.Read(payload)
		if err != nil || !cmp.Equal(c, again) {
			t.Fatalf("read twice, read differently (%v)", err)
		}
		for _, e := range c.Elements {
			if e.Label == "" || len(e.Values) == 0 || slices.Contains(e.Values, "") {
				t.Fatalf("element without words: %+v", e)
			}
		}
	})
}

// TestReplaces: which credential another one replaces is read from its bytes, in any of its
// languages, and a payload that says another one is refused.
func TestReplaces(t *testing.T) {
	t.Parallel()
	cases := goldenCases()
	in, payload := cases[len(cases)-1].build(t)
	for _, lang := range []string{"en", "nl", "el"} {
		c, err := elm.ReadIn(payload, lang)
		if err != nil || c.Replaces != "urn:credential:"+in.Replaces {
			t.Errorf("%s: replaces %q (%v)", lang, c.Replaces, err)
		}
		if !strings.Contains(fmt.Sprint(c.Elements), c.Replaces) {
			t.Errorf("%s: people do not see it: %v", lang, c.Elements)
		}
	}
	if _, other := cases[0].build(t); elm.Check(other, in) == nil {
		t.Error("a payload that replaces nothing passed for one that does")
	}
	wrong := in
	wrong.Replaces = "7d1c9a54-3f0e-4f57-9b1c-0d4a6a2f7e12"
	if err := elm.Check(payload, wrong); err == nil || !strings.Contains(err.Error(), "additionalNote: is ") {
		t.Errorf("a payload that replaces another credential passed: %v", err)
	}
	wrong.Replaces = ""
	if elm.Check(payload, wrong) == nil {
		t.Error("a payload that replaces a credential passed for one that does not")
	}
	for _, bad := range []string{in.CredentialID, "urn:credential:" + in.Replaces, strings.ToUpper(in.Replaces), "x"} {
		wrong.Replaces = bad
		if _, err := elm.Build(wrong, elm.Page{Language: "en", PNG: tinyPNG}); err == nil || !strings.Contains(err.Error(), "Replaces: ") {
			t.Errorf("replaces %q: %v", bad, err)
		}
	}
	if c, err := elm.Read(mustBuild(t, cases[0])); err != nil || c.Replaces != "" {
		t.Errorf("the first one replaces %q (%v)", c.Replaces, err)
	}
}

func mustBuild(t *testing.T, g golden) []byte {
	t.Helper()
	_, payload := g.build(t)
	return payload
}
