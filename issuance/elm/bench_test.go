package elm_test

import (
	"fmt"
	"testing"

	"github.com/sealsmith/sealsmith/issuance/elm"
)

// names of different lengths and scripts, as a cohort has them.
var names = []elm.Learner{
	{GivenName: "Maija", FamilyName: "Meikäläinen"},
	{GivenName: "Noor", FamilyName: "van den Berg"},
	{GivenName: "Κωνσταντίνος", FamilyName: "Παπαδόπουλος"},
	{GivenName: "Oleksandra", FamilyName: "Шевченко"},
}

// BenchmarkPage is the page of one more learner of a known template version.
func BenchmarkPage(b *testing.B) {
	r, in := renderer(b), input(b, food)
	page(b, r, in, "en")
	b.ReportAllocs()
	size, i := 0, 0
	for b.Loop() {
		i++
		in.Learner = names[i%len(names)]
		in.Number = fmt.Sprintf("PUT-2026-%06d", i)
		in.VerifyURL = fmt.Sprintf("https://seal.polder-university.example/c/7KQ4M2XD%04d", i%10000)
		size = len(page(b, r, in, "en"))
	}
	b.ReportMetric(float64(size), "bytes/page")
}

// BenchmarkPageCold is the first page of a template version.
func BenchmarkPageCold(b *testing.B) {
	r, in := renderer(b), input(b, food)
	i := 0
	for b.Loop() {
		i++
		in.Version.ID = fmt.Sprint(i)
		page(b, r, in, "en")
	}
}

func BenchmarkBuild(b *testing.B) {
	in := input(b, food)
	p := elm.Page{Language: "en", PNG: page(b, renderer(b), in, "en")}
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		size = len(build(b, in, p))
	}
	b.ReportMetric(float64(size), "bytes/payload")
}

func BenchmarkCheck(b *testing.B) {
	in := input(b, food)
	payload := build(b, in, elm.Page{Language: "en", PNG: page(b, renderer(b), in, "en")})
	b.ReportAllocs()
	for b.Loop() {
		if err := elm.Check(payload, in); err != nil {
			b.Fatal(err)
		}
	}
}
