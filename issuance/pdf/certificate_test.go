package pdf_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/pdf"
)

// TestCertificateSaysAll looks for what the credential says in the text of the pages.
func TestCertificateSaysAll(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"food-own", "food-mandate-greek", "food-own-script", "food-own-long", "ai-own-single-name"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, c := record(t, name)
			text := squeeze(pdftext(t, certificate(t, c, b)))
			want := []string{c.Title, c.Learner, c.Number, c.IssuerName, c.IssuerIdentifier, c.AwardingBody, c.Mandate, "20 November 2026", "Micro-credential", pdf.AttachmentName}
			for _, e := range c.Elements {
				if e.Key != "issued" {
					want = append(want, e.Values...)
				}
			}
			for _, w := range want {
				if !strings.Contains(text, squeeze(w)) {
					t.Errorf("the pages do not say %q:\n%s", w, text)
				}
			}
		})
	}
}

// squeeze takes out spaces: where lines break is not the matter.
func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

func TestCertificateInDutch(t *testing.T) {
	t.Parallel()
	b, _ := record(t, "food-own")
	c, err := elm.ReadIn(b, "nl")
	must(t, err)
	text := squeeze(pdftext(t, certificate(t, c, b)))
	for _, want := range []string{"uitgereikt aan", "De houder kan", "20 november 2026", "Verzegeld door", "Kwaliteitsborging"} {
		if !strings.Contains(text, squeeze(want)) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
}

func TestCertificateIsDeterministic(t *testing.T) {
	t.Parallel()
	b, c := record(t, "ai-mandate-apostrophe")
	first := certificate(t, c, b)
	for range 5 {
		if !bytes.Equal(first, certificate(t, c, b)) {
			t.Fatal("the same credential gave other bytes")
		}
	}
	if bytes.Equal(first, certificate(t, c, append(b, '\n'))) {
		t.Error("another record gave the same bytes")
	}
}

// content is a small credential for hostile changes.
func content() elm.Content {
	return elm.Content{
		ID: "urn:credential:7d1c9a54-3f0e-4f57-9b1c-0d4a6a2f7e11", Language: "en", Title: "Coastal Monitoring", Number: "PUT-2026-1",
		Learner: "Maija Meikäläinen", IssuerName: "Polder University", IssuerIdentifier: "NTRNL-1", AwardingBody: "Polder University",
		IssuedAt: noon, VerifyURL: "https://seal.polder.example/c/1",
		Elements: []elm.Element{
			{Key: "outcomes", Label: "Learning outcomes", Values: []string{"plan a survey"}},
			{Key: "level", Label: "Level", Values: []string{"EQF 6"}},
		},
	}
}

// hostile contents: each must make a PDF that qpdf and pdftotext read.
func hostile() map[string]func(*elm.Content) {
	return map[string]func(*elm.Content){
		"bare": func(c *elm.Content) { *c = elm.Content{IssuedAt: noon} },
		"long name": func(c *elm.Content) {
			c.Learner = strings.Repeat("Wolfeschlegelsteinhausenbergerdorff", 20)
		},
		"long everything": func(c *elm.Content) {
			s := strings.Repeat("very long words about nothing ", 60)
			c.Title, c.IssuerName, c.AwardingBody, c.Number, c.IssuerIdentifier, c.Mandate = s, s, s, s, s, s
			c.Elements = append(c.Elements, elm.Element{Key: "further", Label: s, Values: []string{s, s, s}})
		},
		"control characters": func(c *elm.Content) {
			c.Learner, c.Title = "Ma\x00ija\x1b[31m\nMeikäläinen\r\u2028x", ") Tj ET Q \\( \\ << /JS (alert) >>\x07"
		},
		"not UTF-8": func(c *elm.Content) { c.Learner, c.Title, c.Language = "\xff\xfeA", "B\xc3", "e\nn) /JS (x" },
		"empty parts": func(c *elm.Content) {
			c.Elements = []elm.Element{{}, {Key: "outcomes"}, {Key: "level", Values: []string{""}}}
		},
		"200 outcomes":     func(c *elm.Content) { c.Elements[0].Values = many(200) },
		"right to left":    func(c *elm.Content) { c.Learner, c.Title = "مها العلي", "עברית and English" },
		"beyond the plane": func(c *elm.Content) { c.Learner, c.Title = "𝔐aija 😀", "漢字 𠀀 Course" },
		"override":         func(c *elm.Content) { c.Learner = "Maija\u202e nenialäkieM\u2066\ufe0f\u200b" },
		"odd language":     func(c *elm.Content) { c.Language = "xx" },
		"far dates": func(c *elm.Content) {
			c.IssuedAt, c.ValidUntil = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
		},
		"odd address": func(c *elm.Content) { c.VerifyURL = "javascript:(alert)\\" },
	}
}

func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("outcome number %d, which is long enough to need more than one line on the page because it says much", i)
	}
	return out
}

// TestElementsStayWhole: wherever a page ends, an element of a few lines is on one page.
func TestElementsStayWhole(t *testing.T) {
	t.Parallel()
	for before := range 4 {
		c := content()
		c.Elements[0].Values = many(3)[:before]
		for i := range 25 {
			c.Elements = append(c.Elements, elm.Element{Key: "further", Label: "Label", Values: []string{fmt.Sprintf("begin%d.", i), "middle", fmt.Sprintf("end%d.", i)}})
		}
		pages := strings.Split(pdftext(t, certificate(t, c, []byte("{}"))), "\f")
		if len(pages) < 2 {
			t.Fatalf("%d pages", len(pages))
		}
		for i := range 25 {
			begins := slices.IndexFunc(pages, func(p string) bool { return strings.Contains(p, fmt.Sprintf("begin%d.", i)) })
			if begins < 0 || !strings.Contains(pages[begins], fmt.Sprintf("end%d.", i)) {
				t.Errorf("%d outcomes before: element %d is not whole on page %d", before, i, begins+1)
			}
		}
	}
}

func TestHostileContent(t *testing.T) {
	t.Parallel()
	qpdf := program(t, "qpdf", "qpdf")
	s := newSealer(t, "ES256")
	for name, change := range hostile() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := content()
			change(&c)
			out, err := pdf.Seal(t.Context(), &softKey{key: s.soft.key, alg: "ES256"}, s.key, certificate(t, c, []byte("{}")), pdf.Options{At: noon})
			must(t, err)
			if said, err := run(t, qpdf, "--check", save(t, out)); err != nil || strings.Contains(said, "WARNING") {
				t.Errorf("qpdf: %v\n%s", err, said)
			}
			if !strings.Contains(pdftext(t, out), "Micro-credential") {
				t.Error("the text cannot be read")
			}
			before, rest, _ := bytes.Cut(out, []byte("<x:xmpmeta")) // there it is a text
			_, after, _ := bytes.Cut(rest, []byte("</x:xmpmeta>"))
			if out = slices.Concat(before, after); bytes.Contains(out, []byte("/JS")) || bytes.Contains(out, []byte("/JavaScript")) {
				t.Error("a text became a command")
			}
		})
	}
}

// TestWhatCannotBeShown wants honesty about letters that no font has.
func TestWhatCannotBeShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		learner, title string
		want, absent   []string
	}{
		"all there":      {"Ελένη Ðurić-Čapek", "Информатика", []string{"Ελένη Ðurić-Čapek", "Информатика"}, []string{"□", "sealed file"}},
		"decomposed":     {"Zoe\u0308 C\u030capek", "T", []string{"Zoë Čapek"}, []string{"□"}},
		"Arabic name":    {"مها Ali", "T", []string{"the person named in the sealed file", "stands for letters"}, []string{"Ali", "مها"}},
		"Chinese title":  {"Ann", "漢字 Course", []string{"□ Course", "stands for letters"}, []string{"漢"}},
		"hidden letters": {"An\u202en", "T\u200b", []string{"Ann"}, []string{"□"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := content()
			in.Learner, in.Title = c.learner, c.title
			text := pdftext(t, certificate(t, in, []byte("{}")))
			for _, want := range c.want {
				if !strings.Contains(squeeze(text), squeeze(want)) {
					t.Errorf("does not say %q:\n%s", want, text)
				}
			}
			for _, absent := range c.absent {
				if strings.Contains(text, absent) {
					t.Errorf("says %q:\n%s", absent, text)
				}
			}
		})
	}
}

func TestCertificateRefuses(t *testing.T) {
	t.Parallel()
	p, err := printer()
	must(t, err)
	for name, c := range map[string]struct {
		change func(*elm.Content)
		record string
	}{
		"no record":    {func(*elm.Content) {}, ""},
		"not issued":   {func(c *elm.Content) { c.IssuedAt = time.Time{} }, "{}"},
		"long address": {func(c *elm.Content) { c.VerifyURL = "https://x.example/" + strings.Repeat("x", 3000) }, "{}"},
		"a book":       {func(c *elm.Content) { c.Elements[0].Values = many(4000) }, "{}"},
	} {
		in := content()
		c.change(&in)
		if out, err := p.Certificate(in, []byte(c.record)); !errors.Is(err, pdf.ErrContent) || out != nil {
			t.Errorf("%s: %d bytes, error %v", name, len(out), err)
		}
	}
}

// FuzzCertificate wants a certificate or ErrContent for any text, and one that can be sealed.
func FuzzCertificate(f *testing.F) {
	for _, s := range []string{"", "Maija Meikäläinen", "\x00\xff)", "مها 😀 ﷽", "a\u0301\u0302\u0303", strings.Repeat("W", 500), "\ufffe\uffff\ud7ff"} {
		f.Add(s, "Title "+s, uint8(len(s)))
	}
	s := newSealer(f, "ES256")
	f.Fuzz(func(t *testing.T, name, title string, n uint8) {
		c := content()
		c.Learner, c.Title, c.Number, c.AwardingBody, c.Mandate = name, title, title, name, title
		for range n {
			c.Elements = append(c.Elements, elm.Element{Key: "further", Label: name, Values: []string{title, name}})
		}
		p, err := printer()
		must(t, err)
		out, err := p.Certificate(c, []byte(name+"{}"))
		if errors.Is(err, pdf.ErrContent) {
			return
		}
		must(t, err)
		sealed, err := pdf.Seal(t.Context(), &softKey{key: s.soft.key, alg: "ES256"}, s.key, out, pdf.Options{At: noon})
		must(t, err)
		if _, err := pdf.Check(sealed); err != nil {
			t.Error(err)
		}
	})
}

// FuzzCheck wants an error, never a panic, for anything that was not sealed here.
func FuzzCheck(f *testing.F) {
	s := newSealer(f, "ES256")
	c := content()
	sealed := s.seal(f, certificate(f, c, []byte("{}")), nil)
	f.Add(sealed)
	f.Add(certificate(f, c, []byte("{}")))
	f.Add([]byte("xref\n0 1\n0000000000 65535 f \ntrailer\n<< /Size 1 /Root 1 0 R /Prev 0 >>\nstartxref\n0\n%%EOF\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := pdf.Check(file)
		if err == nil && !bytes.Equal(file, sealed) && len(got.Chain) == 0 {
			t.Errorf("accepted without a certificate: %+v", got)
		}
	})
}
