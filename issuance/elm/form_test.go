package elm_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/templates"
)

// cohort are inputs of learners of one course that differ in all that can differ.
func cohort(tb testing.TB, slug string) []elm.Input {
	tb.Helper()
	var all []elm.Input
	for i, l := range []elm.Learner{
		{GivenName: "Maija", FamilyName: "Meikäläinen", Identifier: "8c1f"},
		{GivenName: "Κωνσταντίνος", FamilyName: "Παπαδόπουλος", Identifier: "7"},
		{GivenName: `<script>alert("1")</script>`, FamilyName: `O'Brien & "Söhne" \ </x>`, Identifier: `a"b\c`},
		{GivenName: "line\u2028separator", FamilyName: "ليلى", Identifier: "urn:lms:7/ü"},
		{GivenName: "given-5b0f7c1e-2a64-4d0b-9f0e-8c1d3e7a9b42", FamilyName: "family-5b0f7c1e-2a64-4d0b-9f0e-8c1d3e7a9b42", Identifier: "8"},
		{GivenName: "Same", FamilyName: "Same", Identifier: "Same"},
	} {
		in := input(tb, slug)
		in.Learner = l
		in.CredentialID = fmt.Sprintf("7d1c9a54-3f0e-4f57-9b1c-0d4a6a2f7e%02d", i)
		in.Number = fmt.Sprintf("PUT-2026-%d", i)
		in.IssuedAt = in.IssuedAt.Add(time.Duration(i) * time.Hour)
		in.AwardedAt = in.AwardedAt.Add(time.Duration(i) * time.Minute)
		in.Score = 60.5 + float64(i)
		in.VerifyURL = fmt.Sprintf("https://seal.polder-university.example/c/%d?a=b&c", i)
		all = append(all, in)
	}
	return all
}

// A form gives the very bytes of Build, for whoever comes first.
func TestFormsBuildAsBuild(t *testing.T) {
	t.Parallel()
	for _, slug := range []string{food, ai} {
		for first := range cohort(t, slug) {
			var forms elm.Forms
			all := cohort(t, slug)
			all[0], all[first] = all[first], all[0]
			for i, in := range all {
				p := elm.Page{Language: "en", PNG: append(slices.Clone(tinyPNG), byte(i))}
				want := build(t, in, p)
				if i > 0 && !forms.Fits(in, "en") {
					t.Errorf("%s %d: no form is used", slug, i)
				}
				got, err := forms.Build(in, p)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Errorf("%s %d, made from %d (-Build +form):\n%s", slug, i, first, diff)
				}
				if err := forms.Check(got, in); err != nil {
					t.Errorf("%s %d: %v", slug, i, err)
				}
			}
		}
	}
}

// What forms are not made for goes the long way, and comes to the same.
func TestFormsLongWay(t *testing.T) {
	t.Parallel()
	var forms elm.Forms
	p := elm.Page{Language: "en", PNG: tinyPNG}
	known := cohort(t, food)[0]
	if _, err := forms.Build(known, p); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*elm.Input){
		"one name":             func(in *elm.Input) { in.Learner.FamilyName = "" },
		"space around":         func(in *elm.Input) { in.Learner.GivenName = " Maija" },
		"mail":                 func(in *elm.Input) { in.Learner.Email = `a"b@example.org` },
		"no identifier":        func(in *elm.Input) { in.Learner.Identifier = "" },
		"no number":            func(in *elm.Input) { in.Number = "" },
		"preview":              func(in *elm.Input) { in.Version.ID = "" },
		"another version":      func(in *elm.Input) { in.Version.ID = "v-2"; in.Version.Content.Title = templates.Text{"en": "Other"} },
		"organisation renamed": func(in *elm.Input) { in.Awarding.Name = templates.Text{"en": "Renamed"} },
		"organisation moved":   func(in *elm.Input) { in.Awarding.Address = "Elsewhere 2" },
		"another seal":         func(in *elm.Input) { in.Issuer = alliance() },
		"seal renewed":         func(in *elm.Input) { in.Issuer.CommonName = "Polder eSeal 2" },
	} {
		in := known
		change(&in)
		if forms.Fits(in, "en") {
			t.Errorf("%s: a form is used", name)
		}
		for range 2 {
			want := build(t, in, p)
			got, err := forms.Build(in, p)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %v\n%s", name, err, cmp.Diff(string(want), string(got)))
			}
			if err := forms.Check(got, in); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		other := build(t, known, p)
		if got, want := forms.Check(other, in), elm.Check(other, in); (got == nil) != (want == nil) {
			t.Errorf("%s: of a payload without it Check says %v, forms say %v", name, want, got)
		}
	}
}

// What Build refuses, forms refuse with the same words.
func TestFormsRefuseAsBuild(t *testing.T) {
	t.Parallel()
	var forms elm.Forms
	p := elm.Page{Language: "en", PNG: tinyPNG}
	good := cohort(t, food)[0]
	if _, err := forms.Build(good, p); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*elm.Input, *elm.Page){
		"control character": func(in *elm.Input, _ *elm.Page) { in.Learner.GivenName = "Ma\x00ija" },
		"bytes":             func(in *elm.Input, _ *elm.Page) { in.Learner.FamilyName = "Mei\xff" },
		"id":                func(in *elm.Input, _ *elm.Page) { in.CredentialID = "x" },
		"address":           func(in *elm.Input, _ *elm.Page) { in.VerifyURL = "ftp://x" },
		"moment":            func(in *elm.Input, _ *elm.Page) { in.AwardedAt = in.IssuedAt.Add(time.Second) },
		"score":             func(in *elm.Input, _ *elm.Page) { in.Maximum = 0 },
		"no image":          func(_ *elm.Input, p *elm.Page) { p.PNG = []byte("GIF89a") },
		"language":          func(_ *elm.Input, p *elm.Page) { p.Language = "fi" },
	} {
		in, page := good, p
		change(&in, &page)
		_, want := elm.Build(in, page)
		_, got := forms.Build(in, page)
		if want == nil || got == nil || want.Error() != got.Error() {
			t.Errorf("%s: Build says %v, forms say %v", name, want, got)
		}
	}
}

// Forms pass no payload that Check does not pass: any byte changed, learners exchanged, values
// of one member in another.
func TestFormsCheckAsCheck(t *testing.T) {
	t.Parallel()
	var forms elm.Forms
	all := cohort(t, food)
	var payloads [][]byte
	for _, in := range all {
		p, err := forms.Build(in, elm.Page{Language: "en", PNG: tinyPNG})
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, p)
	}
	agree := func(what string, payload []byte, in elm.Input) {
		t.Helper()
		want, got := elm.Check(payload, in), forms.Check(payload, in)
		if (want == nil) != (got == nil) {
			t.Errorf("%s: Check says %v, forms say %v", what, want, got)
		}
	}
	for i, in := range all {
		for j := range all {
			agree(fmt.Sprint("payload ", j, " for ", i), payloads[j], in)
		}
	}
	in, payload := all[0], payloads[0]
	dice := rand.New(rand.NewPCG(3, 4))
	for range 400 {
		bad := slices.Clone(payload)
		at := dice.IntN(len(bad))
		switch dice.IntN(3) {
		case 0:
			bad[at] ^= 1 << dice.IntN(8)
		case 1:
			bad = slices.Delete(bad, at, min(at+1+dice.IntN(4), len(bad)))
		default:
			bad = slices.Insert(bad, at, bad[at])
		}
		agree(fmt.Sprint("byte ", at), bad, in)
	}
	agree("empty", nil, in)
	agree("something behind", append(slices.Clone(payload), ' '), in)
	text := string(payload)
	for _, swap := range [][2]string{
		{"Maija", "Meikäläinen"},
		{"2026-11-20T09:00:00Z", "2026-11-18T14:30:12Z"},
		{in.Number, "8c1f"},
		{`"iVBORw0KGgo`, `"xVBORw0KGgo`},
		{`"iVBORw0KGgo`, `"=VBORw0KGgo`},
		{`ggg=="`, `ggg"`},
	} {
		agree(fmt.Sprint("swapped ", swap), []byte(strings.NewReplacer(swap[0], swap[1], swap[1], swap[0]).Replace(text)), in)
	}
	if forms.Check([]byte(strings.Replace(text, "Maija", "Majia", 1)), in) == nil {
		t.Error("another name passed")
	}
}

// TestFormsAreBounded: forms of many versions do not pile up, and many may ask at once.
// images are texts around the places where an image is cut to be looked at.
func images() []string {
	picture := slices.Concat(tinyPNG, bytes.Repeat([]byte{0, 0x10, 0x83, 0xff, 0x3f}, 2000))
	list := []string{"", "iVBORw0KGgo", "iVBORw0KGgo=", "iVBORw0KGg==", "iVBORw0KGgp=", "R0lGODlhAQAB"}
	for _, n := range []int{8, 9, 10, 3071, 3072, 3073, 3074, 3075, 6143, 6144, 6145, 9999} {
		whole := base64.StdEncoding.EncodeToString(picture[:n])
		list = append(list, whole, whole+"AAAA", whole+"=", whole[:len(whole)-1], whole[1:])
		for _, at := range []int{1, 11, 4092, 4094, 4095, 4096, 4097, 8191, 8192, len(whole) - 2, len(whole) - 1} {
			for _, letter := range []string{"=", "==", "\n", "-", "_", " ", "\x00", "\\", "é", "AA=="} {
				if at < len(whole) {
					list = append(list, whole[:at]+letter+whole[at:], whole[:at]+letter+whole[min(at+len(letter), len(whole)):])
				}
			}
		}
	}
	return list
}

// sameImage wants what forms say of an image to be what Check says, but for line ends.
func sameImage(t *testing.T, text string) {
	t.Helper()
	got, want := elm.IsImage([]byte(text)), elm.ImageOK(text)
	if got != want && (got || !strings.ContainsAny(text, "\r\n")) {
		t.Errorf("image %.40q of %d letters: %v by the form, %v by the rule", text, len(text), got, want)
	}
}

func TestImageOfForms(t *testing.T) {
	t.Parallel()
	good := 0
	for _, text := range images() {
		sameImage(t, text)
		if elm.IsImage([]byte(text)) {
			good++
		}
	}
	if good < 12 || good == len(images()) {
		t.Errorf("%d of %d are images", good, len(images()))
	}
}

// FuzzImage changes one place of a text and compares again.
func FuzzImage(f *testing.F) {
	for _, text := range images() {
		f.Add(text, "=", 4095)
	}
	f.Fuzz(func(t *testing.T, text, letter string, at int) {
		sameImage(t, text)
		at = min(max(at, 0), len(text))
		sameImage(t, text[:at]+letter+text[at:])
		sameImage(t, text[:at]+letter+text[min(at+len(letter), len(text)):])
	})
}

func TestFormsAreBounded(t *testing.T) {
	t.Parallel()
	var forms elm.Forms
	in := cohort(t, food)[0]
	p := elm.Page{Language: "en", PNG: tinyPNG}
	want := build(t, in, p)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for i := range 70 {
				one := in
				one.Version.ID = fmt.Sprint(n%2, " ", i)
				got, err := forms.Build(one, p)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("version %d: %v", i, err)
				}
			}
		})
	}
	all.Wait()
	kept := 0
	for n := range 2 {
		for i := range 70 {
			one := in
			one.Version.ID = fmt.Sprint(n, " ", i)
			if forms.Fits(one, "en") {
				kept++
			}
		}
	}
	if kept != 128 {
		t.Errorf("%d forms are kept", kept)
	}
}

// BenchmarkForms is the payload of one more learner, and its check.
func BenchmarkForms(b *testing.B) {
	var forms elm.Forms
	in := cohort(b, food)[0]
	p := elm.Page{Language: "en", PNG: page(b, renderer(b), in, "en")}
	payload, err := forms.Build(in, p)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("build", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err = forms.Build(in, p)
		}
	})
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			err = forms.Check(payload, in)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
}
