package elm_test

import (
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/starter"
)

// polder awards; its seal is its own unless alliance seals for it.
func polder() templates.Organisation {
	return templates.Organisation{
		ID: "o-1", Slug: "polder",
		Name:    templates.Text{"en": "Polder University of Technology", "nl": "Technische Universiteit De Polder"},
		Country: "NL", Identifier: "NTRNL-12345678", Registration: "12345678",
		Address: "Dijkweg 1, 1234 AB Polderstad", Homepage: "https://polder-university.example/",
		Email: "microcredentials@polder-university.example", Brand: "#1d4b73",
	}
}

func ownSeal() hsm.SealFacts {
	return hsm.SealFacts{
		Organisation: "Polder University of Technology", CommonName: "Polder University of Technology eSeal",
		OrganisationIdentifier: "NTRNL-12345678", Country: "NL",
	}
}

func alliance() hsm.SealFacts {
	return hsm.SealFacts{
		Organisation: "Alliance of Challenge-driven Universities AISBL", CommonName: "ACU AISBL eSeal",
		OrganisationIdentifier: "NTRBE-0123456789", Country: "BE",
	}
}

// input is a complete Input on a starter.
func input(tb testing.TB, slug string) elm.Input {
	tb.Helper()
	all, err := starter.All()
	if err != nil {
		tb.Fatal(err)
	}
	for _, s := range all {
		if s.Slug == slug {
			return elm.Input{
				CredentialID: "7d1c9a54-3f0e-4f57-9b1c-0d4a6a2f7e11", Number: "PUT-2026-000123",
				IssuedAt:  time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC),
				AwardedAt: time.Date(2026, 11, 18, 14, 30, 12, 5000, time.UTC),
				Issuer:    ownSeal(), Awarding: polder(),
				Version: templates.Version{ID: "v-" + slug, Number: 1, Content: s.Content},
				Learner: elm.Learner{GivenName: "Maija", FamilyName: "Meikäläinen", Email: "maija@example.org", Identifier: "8c1f"},
				Score:   85, Maximum: 100,
				VerifyURL: "https://seal.polder-university.example/c/7KQ4M2XD91TB",
			}
		}
	}
	tb.Fatalf("no starter %s", slug)
	return elm.Input{}
}

const (
	food = "sustainable-food-systems"
	ai   = "responsible-ai-public-services"
)

func renderer(tb testing.TB) *elm.Renderer {
	tb.Helper()
	r, err := elm.NewRenderer()
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func page(tb testing.TB, r *elm.Renderer, in elm.Input, lang string) []byte {
	tb.Helper()
	png, err := r.Page(in, lang)
	if err != nil {
		tb.Fatal(err)
	}
	return png
}

func build(tb testing.TB, in elm.Input, pages ...elm.Page) []byte {
	tb.Helper()
	payload, err := elm.Build(in, pages...)
	if err != nil {
		tb.Fatal(err)
	}
	return payload
}
