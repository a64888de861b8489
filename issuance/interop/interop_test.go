//go:build cgo

package interop_test

import (
	"os"
	"testing"

	"github.com/sealsmith/sealsmith/issuance/pdf"
)

// TestInterop makes all files once and shows them to every judge. SEALSMITH_INTEROP_KEEP names
// a folder that gets a copy of them, for looking at.
func TestInterop(t *testing.T) {
	folder := os.Getenv("SEALSMITH_INTEROP")
	if folder == "" {
		t.Skip("SEALSMITH_INTEROP is not set: make interop")
	}
	p := newProvider(t)
	printer, err := pdf.NewPrinter()
	must(t, err)
	var files []sealed
	sealers := p.sealers(t)
	for _, s := range sealers {
		files = append(files, p.ladder(t, s)...)
		files = append(files, p.legacy(t, s)...)
		files = append(files, p.papers(t, printer, s)...)
	}
	p.crl = p.write(t, "ca.crl", p.list(t))
	var copies []spoiled
	for _, f := range files {
		p.write(t, f.name, f.bytes)
		for _, c := range f.spoil(t) {
			p.write(t, c.name, c.file)
			copies = append(copies, c)
		}
	}
	t.Logf("%d files, %d spoiled copies", len(files), len(copies))
	if keep := os.Getenv("SEALSMITH_INTEROP_KEEP"); keep != "" {
		must(t, os.CopyFS(keep, os.DirFS(p.dir)))
	}
	t.Run("JOSE", func(t *testing.T) { testJOSE(t, files, copies) })
	t.Run("OpenSSL", func(t *testing.T) { testOpenSSL(t, p, files, copies) })
	t.Run("poppler", func(t *testing.T) { testPoppler(t, p, files, copies) })
	if folder == "none" {
		t.Log("SKIPPED: DSS")
	} else {
		t.Run("DSS", func(t *testing.T) { testDSS(t, p, folder, files, copies) })
		t.Run("sealed by DSS", func(t *testing.T) { testReverse(t, p, folder, sealers) })
	}
}
