package elm_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"slices"
	"strings"
	"sync"
	"testing"

	"rsc.io/qr"

	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/templates"
)

// maxPage is the size a page may have, in bytes.
const maxPage = 60 << 10

func decoded(t *testing.T, file []byte) *image.Paletted {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("image/png refuses the page: %v", err)
	}
	p, ok := img.(*image.Paletted)
	if !ok || p.Bounds() != image.Rect(0, 0, 1050, 1485) {
		t.Fatalf("page is %T %v, want paletted A4 at 127 dpi", img, img.Bounds())
	}
	return p
}

func TestPageIsSmallAndDecodes(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, slug := range []string{food, ai} {
		for _, lang := range []string{"en", "nl"} {
			for _, l := range append(slices.Clone(names), goldenCases()[2].learner, goldenCases()[3].learner) {
				in := input(t, slug)
				in.Learner = l
				file := page(t, r, in, lang)
				decoded(t, file)
				if len(file) > maxPage {
					t.Errorf("%s in %s for %s: %d bytes, want at most %d", slug, lang, l.FullName(), len(file), maxPage)
				}
			}
		}
	}
	if got := r.Kept(); got != 4 {
		t.Errorf("%d constant pages were drawn, want 4", got)
	}
}

// TestPageOfMuchText: the most that a template may say still gives a page.
func TestPageOfMuchText(t *testing.T) {
	t.Parallel()
	in := input(t, food)
	long := strings.TrimSpace(strings.Repeat("Beschreibt Wechselwirkungen in Ernährungssystemen ", 7))
	in.Version.Content.Outcomes = nil
	for i := range 12 {
		in.Version.Content.Outcomes = append(in.Version.Content.Outcomes, templates.Outcome{Title: templates.Text{"en": fmt.Sprint(i, " ", long)}})
	}
	in.Version.Content.Title = templates.Text{"en": long[:150]}
	in.Version.Content.Quality.Title = templates.Text{"en": long}
	in.Version.Content.Assessment.Title = templates.Text{"en": long}
	in.Awarding.Name = templates.Text{"en": long[:150]}
	in.Issuer.Organisation = strings.Repeat("Donaudampfschifffahrtsgesellschaft", 4)
	file := page(t, renderer(t), in, "en")
	decoded(t, file)
	if len(file) > 80<<10 {
		t.Errorf("%d bytes", len(file))
	}
}

func TestPageIsTheSameForTheSameInput(t *testing.T) {
	t.Parallel()
	in := input(t, food)
	r := renderer(t)
	want := page(t, renderer(t), in, "nl")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			other := in
			other.Learner = names[i%len(names)]
			if _, err := r.Page(other, "nl"); err != nil {
				t.Error(err)
			}
			got, err := r.Page(in, "nl")
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("another page for the same input (%v)", err)
			}
		})
	}
	wg.Wait()
}

// TestPageOfNamesWithoutLetters: a name that no font can draw must not become boxes or gaps;
// the page points to the file instead, and says nothing else than for any other such name.
func TestPageOfNamesWithoutLetters(t *testing.T) {
	t.Parallel()
	r, in := renderer(t), input(t, food)
	var first []byte
	for _, l := range []elm.Learner{{GivenName: "王", FamilyName: "小明"}, {FamilyName: "محمد"}, {GivenName: "Li 王"}, {GivenName: "שרה"}} {
		in.Learner = l
		if len(r.Missing(l.FullName())) == 0 {
			t.Errorf("Missing(%s) is empty", l.FullName())
		}
		file := page(t, r, in, "en")
		if first == nil {
			first = file
		}
		if !bytes.Equal(file, first) {
			t.Errorf("the page for %s is not the one that points to the file", l.FullName())
		}
	}
	in.Learner = names[0]
	if bytes.Equal(page(t, r, in, "en"), first) {
		t.Error("a name in Latin letters is not drawn either")
	}
	for _, name := range []string{"Łukasz Żółć", "Ştefăniță Ţîrlea", "Đorđe Čačić", "Ģirts Ķēniņš", "Þórður Æsir", "Ёжик Їжак Ґудз", "Αθηνά", "d’Arc O'Brien-Ñandú"} {
		if m := r.Missing(name); len(m) > 0 {
			t.Errorf("letters %q of %s are missing", string(m), name)
		}
	}
}

// TestPageIsTheDrawing: every pixel of the file is that of the page drawn in one piece. So nothing
// personal lies outside the boxes, however long a name is and however far its letters reach.
func TestPageIsTheDrawing(t *testing.T) {
	t.Parallel()
	r, in := renderer(t), input(t, food)
	in.Version.Content.Validity = 24
	learners := slices.Clone(names)
	for _, s := range []string{"W", "j", "fÅ", "ÅÊǺỆ\u0301", "\u0301\u0300Ẅ", strings.Repeat("Wj ", 200)} {
		learners = append(learners, elm.Learner{FamilyName: s})
	}
	for n := 1; n <= 90; n += 8 {
		learners = append(learners, elm.Learner{GivenName: strings.Repeat("j", n), FamilyName: strings.Repeat("ǺfgQ", n)})
	}
	for i, l := range learners {
		in.Learner = l
		in.Number = strings.Repeat("W", i)
		in.Score, in.Maximum = float64(i)*100/3, 1000*float64(i+1)
		in.VerifyURL = "https://seal.example/" + strings.Repeat("c", 6*i)
		lang := []string{"en", "nl"}[i%2]
		want, err := r.Whole(in, lang)
		if err != nil {
			t.Fatal(err)
		}
		got := decoded(t, page(t, r, in, lang)).Pix
		for p := range want {
			if got[p] != want[p] {
				t.Errorf("%s: pixel %d,%d is %d, want %d", l.FullName(), p%1050, p/1050, got[p], want[p])
				break
			}
		}
	}
}

func TestPageCarriesTheQRCode(t *testing.T) {
	t.Parallel()
	in := input(t, food)
	img := decoded(t, page(t, renderer(t), in, "en"))
	code, err := qr.Encode(in.VerifyURL, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	n := code.Size
	scale := 136 / n
	for y := range n {
		for x := range n {
			want := code.Black(x, y)
			g, _, _, _ := img.At(915-(n-x)*scale+scale/2, 1278-(n-y)*scale+scale/2).RGBA()
			if got := g < 0x8000; got != want {
				t.Fatalf("module %d,%d is dark: %v, want %v", x, y, got, want)
			}
		}
	}
}

func TestPageRefuses(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, c := range []struct {
		name  string
		spoil func(in *elm.Input)
		want  string
	}{
		{"no name", func(in *elm.Input) { in.Learner = elm.Learner{} }, "Learner"},
		{"address without host", func(in *elm.Input) { in.VerifyURL = "/c/1" }, "VerifyURL"},
		{"address too long", func(in *elm.Input) { in.VerifyURL = "https://x.example/" + strings.Repeat("a", 300) }, "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := input(t, food)
			c.spoil(&in)
			if _, err := r.Page(in, "en"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestPagesKeptAreBounded(t *testing.T) {
	t.Parallel()
	r, in := renderer(t), input(t, food)
	r.Keep(2)
	for _, id := range []string{"a", "b", "a", "c", "a"} {
		in.Version.ID = id
		page(t, r, in, "en")
	}
	if got := r.Kept(); got != 2 {
		t.Errorf("%d pages kept, want 2", got)
	}
}

func TestBrandColourTooLightIsDarkened(t *testing.T) {
	t.Parallel()
	r, in := renderer(t), input(t, food)
	for _, brand := range []string{"#ffff00", "#ffffff", "#000000", ""} {
		in.Awarding.Brand = brand
		img := decoded(t, page(t, r, in, "en"))
		// the square with the initial is filled with the brand colour
		red, green, blue, _ := img.At(140, 136).RGBA()
		if red > 0xc000 && green > 0xc000 && blue > 0xc000 {
			t.Errorf("brand %q leaves a pale page", brand)
		}
	}
}
