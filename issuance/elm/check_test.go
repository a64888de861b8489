package elm_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/elm"
)

// TestCheckRefuses spoils one thing of a good payload at a time. What SHACL would refuse,
// what JSON-LD would drop, and what was not asked for must all be found.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	in, good := goldenCases()[0].build(t)
	if err := elm.Check(good, in); err != nil {
		t.Fatalf("good payload: %v", err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"no eIDAS identifier", `"eIDASIdentifier":{"id":"urn:certificateIdentifier:1"`, `"registration2":{"id":"urn:certificateIdentifier:1"`, "issuer.eIDASIdentifier: is missing"},
		{"no issued", `"issued":`, `"issuedd":`, "issued: is missing"},
		{"date without time", `"validFrom":"2026-11-20T09:00:00Z"`, `"validFrom":"2026-11-20"`, `validFrom: "2026-11-20" is no dateTime`},
		{"date without zone", `"validFrom":"2026-11-20T09:00:00Z"`, `"validFrom":"2026-11-20T09:00:00"`, "is no dateTime"},
		{"duration in weeks", `"volumeOfLearning":"PT84H"`, `"volumeOfLearning":"P10W"`, "is no duration"},
		{"point as number", `"point":"3"`, `"point":3`, "is no string"},
		{"page zero", `"page":1`, `"page":0`, "is no positive whole number"},
		{"page as text", `"page":1`, `"page":"one"`, "is no positive whole number"},
		{"no schema", `"id":"http://data.europa.eu/snb/model/ap/edc-generic-full"`, `"id":"http://data.europa.eu/snb/model/ap/edc-other"`, "does not begin with"},
		{"misspelt member", `"thematicArea"`, `"thematicarea"`, "is no member of its class"},
		{"Greek iota in a member", `"eIDASIdentifier":{"id":"urn:epass`, `"eIDASΙdentifier":{"id":"urn:epass`, "is no member of its class"},
		{"wrong scheme", `"inScheme":{"id":"http://data.europa.eu/snb/eqf/25831c2"`, `"inScheme":{"id":"http://data.europa.eu/snb/eqf/1"`, "not the list"},
		{"wrong class", `"type":"LearningAssessment"`, `"type":"LearningActivity"`, "not LearningAssessment"},
		{"text without language", `"title":{"en":["Sustainable Food Systems"],"nl":["Duurzame voedselsystemen"]},"description":{"en":["A`, `"title":"x","description":{"en":["A`, "is no text with a language"},
		{"empty text", `["Duurzame voedselsystemen"]`, `[" "]`, "is empty"},
		{"empty list of texts", `["Duurzame voedselsystemen"]`, `[]`, "is no language with a text"},
		{"name in two languages", `"fullName":{"en":["Maija Meikäläinen"]}`, `"fullName":{"en":["Maija Meikäläinen"],"fi":["Maija"]}`, "only one is allowed"},
		{"image is no PNG", `"content":"iVBORw0KGgo`, `"content":"AAAAAw0KGgo`, "is no image"},
		{"same id, other content", `urn:epass:qualification:2`, `urn:epass:qualification:1`, "RDF would merge"},
		{"id with a space", `mailto:maija@example.org`, `mailto:maija @example.org`, "is no IRI"},
		{"no id", `"id":"urn:epass:person:1",`, ``, "is no IRI"},
		{"two countries", `"countryCode":{`, `"countryCode":[],"other":{`, "countryCode: is missing"},
		{"URL without scheme", `"contentURL":"https://polder-university.example/"`, `"contentURL":"polder-university.example"`, "is no anyURI"},
		{"contexts turned round", `"https://www.w3.org/2018/credentials/v1",`, ``, "@context"},
		{"not a credential", `"EuropeanDigitalCredential"`, `"Diploma"`, "type: is not"},
		{"status that shapes refuse", `"issued":`, `"credentialStatus":{"id":"urn:x:1"},"issued":`, "credentialStatus: is no member"},
		{"other learner", `"fullName":{"en":["Maija Meikäläinen"]}`, `"fullName":{"en":["Maija Virtanen"]}`, "was to be sealed"},
		{"other id", `urn:credential:7d1c9a54`, `urn:credential:8d1c9a54`, "was to be sealed"},
		{"other number", `PUT-2026-000123`, `PUT-2026-000124`, "was to be sealed"},
		{"other outcome", `Assess the quality of published`, `Assess the quantity of published`, "was to be sealed"},
		{"other page of verification", `7KQ4M2XD91TB`, `7KQ4M2XD91TC`, "was to be sealed"},
		{"statement of a mandate alone", `"issuanceDate"`, `"evidence":[{"id":"urn:epass:evidence:1","type":"Evidence","dcType":{"id":"http://data.europa.eu/snb/evidence-type/c_18016257","type":"Concept","inScheme":{"id":"http://data.europa.eu/snb/evidence-type/25831c2","type":"ConceptScheme"},"prefLabel":{"en":["Mandate"]}}}],"issuanceDate"`, "evidenceStatement: is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !bytes.Contains(good, []byte(c.old)) {
				t.Fatalf("the payload has no %s", c.old)
			}
			err := elm.Check(bytes.ReplaceAll(good, []byte(c.old), []byte(c.new)), in)
			var problems elm.Problems
			if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want problems with %q", err, c.want)
			}
		})
	}
}

func TestCheckRefusesWhatIsNoPayload(t *testing.T) {
	t.Parallel()
	in, good := goldenCases()[0].build(t)
	for _, c := range []struct {
		name    string
		payload []byte
	}{
		{"nothing", nil},
		{"cut off", good[:len(good)-1]},
		{"twice", append(bytes.Clone(good), good...)},
		{"array", []byte(`[]`)},
		{"member twice", bytes.Replace(good, []byte(`"issued":`), []byte(`"issued":"2020-01-01T00:00:00Z","issued":`), 1)},
		{"nested deeply", []byte(strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := elm.Check(c.payload, in); !errors.Is(err, elm.ErrNotCredential) {
				t.Errorf("got %v, want ErrNotCredential", err)
			}
		})
	}
}

func TestCheckRefusesAnotherSeal(t *testing.T) {
	t.Parallel()
	in, payload := goldenCases()[0].build(t)
	in.Issuer = alliance()
	err := elm.Check(payload, in)
	if err == nil || !strings.Contains(err.Error(), "mandate") || !strings.Contains(err.Error(), "issuer.legalName") {
		t.Errorf("got %v, want problems with the mandate and the issuer", err)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(in *elm.Input)
		want  string
	}{
		{"id is no UUID", func(in *elm.Input) { in.CredentialID = "42" }, "CredentialID"},
		{"id in capitals", func(in *elm.Input) { in.CredentialID = strings.ToUpper(in.CredentialID) }, "CredentialID"},
		{"no name", func(in *elm.Input) { in.Learner = elm.Learner{Email: "a@b.example"} }, "Learner"},
		{"name with a line break", func(in *elm.Input) { in.Learner.GivenName = "A\nB" }, "control characters"},
		{"name that is no UTF-8", func(in *elm.Input) { in.Learner.FamilyName = "\xff" }, "control characters"},
		{"e-mail without @", func(in *elm.Input) { in.Learner.Email = "maija" }, "Learner.Email"},
		{"fraction of a second", func(in *elm.Input) { in.IssuedAt = in.IssuedAt.Add(time.Millisecond) }, "IssuedAt"},
		{"no date", func(in *elm.Input) { in.IssuedAt = time.Time{} }, "IssuedAt"},
		{"awarded after sealing", func(in *elm.Input) { in.AwardedAt = in.IssuedAt.Add(time.Hour) }, "AwardedAt"},
		{"seal without identifier", func(in *elm.Input) { in.Issuer.OrganisationIdentifier = "" }, "2.5.4.97"},
		{"seal of no country", func(in *elm.Input) { in.Issuer.Country = "EU" }, "Issuer.Country"},
		{"awarding body without identifier", func(in *elm.Input) { in.Awarding.Identifier = "" }, "Awarding.Identifier"},
		{"awarding body of no country", func(in *elm.Input) { in.Awarding.Country = "" }, "Awarding.Country"},
		{"score that is none", func(in *elm.Input) { in.Score = math.NaN() }, "Score"},
		{"no maximum", func(in *elm.Input) { in.Maximum = 0 }, "Score"},
		{"page of verification as file", func(in *elm.Input) { in.VerifyURL = "file:///etc/passwd" }, "VerifyURL"},
		{"unknown code", func(in *elm.Input) { in.Version.Content.Participation = "by post" }, "participation"},
		{"language of no page", func(in *elm.Input) { in.Version.Content.Languages = []string{"nl"} }, "does not have"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := input(t, food)
			c.spoil(&in)
			_, err := elm.Build(in, elm.Page{Language: "en", PNG: tinyPNG})
			var problems elm.Problems
			if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want problems with %q", err, c.want)
			}
		})
	}
}

func TestBuildRefusesPages(t *testing.T) {
	t.Parallel()
	in := input(t, food)
	if _, err := elm.Build(in); err == nil {
		t.Error("built without a page")
	}
	if _, err := elm.Build(in, elm.Page{Language: "en", PNG: []byte("GIF89a")}); err == nil {
		t.Error("built with a page that is no PNG")
	}
}

// TestCheckComparesTheEnd: a payload that ends another day than was to be sealed, or in one
// of its two members only, is refused.
func TestCheckComparesTheEnd(t *testing.T) {
	t.Parallel()
	in, payload := goldenCases()[6].build(t)
	if until := in.ValidUntil(); until.IsZero() || !strings.Contains(string(payload), `"validUntil":"`+until.Format(time.RFC3339)+`","expirationDate":"`+until.Format(time.RFC3339)+`"`) {
		t.Fatalf("the end is not in both members: %s", until)
	}
	longer := in
	longer.Version.Content.Validity = 36
	since := in
	since.ValidSince = in.IssuedAt.AddDate(0, -3, 0)
	endless := in
	endless.Version.Content.Validity = 0
	for name, other := range map[string]elm.Input{"longer": longer, "counted from earlier": since, "endless": endless} {
		err := elm.Check(payload, other)
		if err == nil || !strings.Contains(err.Error(), "validUntil: is ") || !strings.Contains(err.Error(), "expirationDate: is ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
