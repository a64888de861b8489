package pdf_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPoppler has pdfsig judge every algorithm and level: valid, whole and trusted, and after
// one flipped byte none of it.
func TestPoppler(t *testing.T) {
	t.Parallel()
	pdfsig := program(t, "pdfsig", "poppler-utils")
	file := plain(t)
	for _, alg := range everyAlgorithm {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := newSealer(t, alg)
			nss := s.store(t)
			for level, out := range map[string][]byte{"B-B": s.seal(t, file, nil), "B-T": s.seal(t, file, s.stamp(t))} {
				said, err := run(t, pdfsig, "-nssdir", nss, save(t, out))
				if err != nil {
					t.Fatalf("%s: %v\n%s", level, err, said)
				}
				for _, want := range []string{
					"Signature Validation: Signature is Valid.", "Total document signed", "Certificate Validation: Certificate is Trusted.",
					"ETSI.CAdES.detached", "Polder University eSeal", "Field Name: Seal",
				} {
					if !strings.Contains(said, want) {
						t.Errorf("%s: pdfsig does not say %q:\n%s", level, want, said)
					}
				}
				for part, at := range map[string]int{"page": 2000, "trailer": len(out) - 60} {
					bad := bytes.Clone(out)
					bad[at] ^= 1
					if said, _ := run(t, pdfsig, "-nssdir", nss, save(t, bad)); strings.Contains(said, "Signature is Valid") {
						t.Errorf("%s: pdfsig accepts a flipped byte in the %s:\n%s", level, part, said)
					}
				}
			}
		})
	}
}

// TestQPDF has qpdf read the structure before and after the seal.
func TestQPDF(t *testing.T) {
	t.Parallel()
	qpdf := program(t, "qpdf", "qpdf")
	s := newSealer(t, "ES256")
	for name, out := range map[string][]byte{"plain": plain(t), "sealed": s.seal(t, plain(t), nil), "stamped": s.seal(t, plain(t), s.stamp(t))} {
		said, err := run(t, qpdf, "--check", save(t, out))
		if err != nil || strings.Contains(said, "WARNING") || !strings.Contains(said, "No syntax or stream encoding errors found") {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
}

// TestAttachment takes the sealed record out again with another program.
func TestAttachment(t *testing.T) {
	t.Parallel()
	detach := program(t, "pdfdetach", "poppler-utils")
	record, c := record(t, "food-own")
	out := newSealer(t, "ES256").seal(t, certificate(t, c, record), nil)
	path := save(t, out)
	if said, err := run(t, detach, "-list", path); err != nil || !strings.Contains(said, "1: credential.jsonld") {
		t.Errorf("%v\n%s", err, said)
	}
	got := filepath.Join(t.TempDir(), "out.jsonld")
	if said, err := run(t, detach, "-save", "1", "-o", got, path); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	back, err := os.ReadFile(got)
	must(t, err)
	if !bytes.Equal(back, record) {
		t.Error("the record does not come out as it went in")
	}
	for _, want := range []string{"/AFRelationship /Source", "/AF [", "/Subtype /application#2Fld+json"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("the file has no %s", want)
		}
	}
}
