package vocab_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/templates/vocab"
)

func lists() map[string]*vocab.List {
	return map[string]*vocab.List{
		"Modes": vocab.Modes, "AssessmentTypes": vocab.AssessmentTypes, "Supervisions": vocab.Supervisions,
		"QualityTypes": vocab.QualityTypes, "EQF": vocab.EQF, "SkillTypes": vocab.SkillTypes, "ReuseLevels": vocab.ReuseLevels,
		"CreditFrameworks": vocab.CreditFrameworks, "CredentialProfiles": vocab.CredentialProfiles, "EvidenceTypes": vocab.EvidenceTypes,
		"LearningOpportunities": vocab.LearningOpportunities, "LearningSettings": vocab.LearningSettings, "Encodings": vocab.Encodings,
		"FileTypes": vocab.FileTypes, "Countries": vocab.Countries, "Languages": vocab.Languages, "Subjects": vocab.Subjects,
	}
}

func TestListsAreSound(t *testing.T) {
	t.Parallel()
	for name, l := range lists() {
		codes, uris := map[string]bool{}, map[string]bool{}
		for _, term := range l.Terms() {
			if codes[term.Code] || uris[term.URI] {
				t.Errorf("%s: %s or its URI stands twice", name, term.Code)
			}
			codes[term.Code], uris[term.URI] = true, true
			u, err := url.Parse(term.URI)
			if err != nil || u.Scheme != "http" || !strings.HasSuffix(u.Host, "europa.eu") || term.Scheme != l.Scheme() {
				t.Errorf("%s: %s has the URI %q in %q", name, term.Code, term.URI, term.Scheme)
			}
			for _, lang := range []string{"en", "nl"} {
				if s := term.Labels[lang]; s == "" || s != strings.TrimSpace(s) {
					t.Errorf("%s: %s has the label %q in %s", name, term.Code, s, lang)
				}
			}
			if byCode, ok := l.Lookup(term.Code); !ok || byCode.URI != term.URI || !l.Has(term.Code) {
				t.Errorf("%s: %s is not found by its code", name, term.Code)
			}
			if byURI, ok := l.ByURI(term.URI); !ok || byURI.Code != term.Code {
				t.Errorf("%s: %s is not found by its URI", name, term.Code)
			}
		}
	}
}

// TestFacts pins concepts whose URIs do not follow from their codes.
func TestFacts(t *testing.T) {
	t.Parallel()
	const snb, authority = "http://data.europa.eu/snb/", "http://publications.europa.eu/resource/authority/"
	for _, c := range []struct {
		list            *vocab.List
		code, uri, en   string
		wantCount, most int
	}{
		{vocab.Countries, "GR", authority + "country/GRC", "Greece", 50, 250},
		{vocab.Countries, "XK", authority + "country/1A0", "Kosovo", 50, 250},
		{vocab.Languages, "el", authority + "language/ELL", "Greek", 24, 200},
		{vocab.EQF, "7", snb + "eqf/7", "Level 7", 8, 8},
		{vocab.Subjects, "088", snb + "isced-f/088", "Inter-disciplinary programmes and qualifications involving agriculture, forestry, fisheries and veterinary", 100, 200},
		{vocab.CreditFrameworks, "ects", snb + "education-credit/6fcec5c5af", "European Credit Transfer System", 2, 2},
		{vocab.CredentialProfiles, "generic", snb + "credential/e34929035b", "Generic", 2, 5},
		{vocab.EvidenceTypes, "mandate", snb + "evidence-type/c_18016257", "Mandate", 2, 3},
		{vocab.Supervisions, "supervised-with-id", snb + "supervision-verification/70be69aaf9", "Supervised with ID Verification", 3, 4},
	} {
		term, ok := c.list.Lookup(c.code)
		if !ok || term.URI != c.uri || term.Label("en") != c.en || term.Label("xx") != c.en {
			t.Errorf("%s is %+v, want %s %q", c.code, term, c.uri, c.en)
		}
		if n := len(c.list.Terms()); n < c.wantCount || n > c.most {
			t.Errorf("the list of %s has %d terms", c.code, n)
		}
	}
}

func TestUnknownIsAbsent(t *testing.T) {
	t.Parallel()
	for name, l := range lists() {
		for _, code := range []string{"", "nonsense", " NL", "nl "} {
			if _, ok := l.Lookup(code); ok || l.Has(code) {
				t.Errorf("%s has %q", name, code)
			}
		}
		if _, ok := l.ByURI("http://data.europa.eu/"); ok {
			t.Errorf("%s knows a URI that is no concept", name)
		}
	}
}

func TestTermsIsACopy(t *testing.T) {
	t.Parallel()
	terms := vocab.EQF.Terms()
	terms[0].Code = "spoilt"
	if got := vocab.EQF.Terms()[0].Code; got != "1" {
		t.Errorf("the list changed to %q", got)
	}
}
