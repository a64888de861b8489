//go:build cgo

package interop_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// program returns the path of a program; one that is missing skips the test, or fails it
// where everything is installed.
func program(tb testing.TB, name, debian string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	missing := fmt.Sprintf("%s is not installed: apt-get install %s", name, debian)
	if os.Getenv("CI") == "true" {
		tb.Fatal(missing)
	}
	tb.Skip("SKIPPED: " + missing)
	return ""
}

// run starts a program and returns what it says, and its error.
func run(tb testing.TB, path string, args ...string) (string, error) {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), path, args...).CombinedOutput()
	return string(out), err
}

// openssl has OpenSSL compare every time-stamp token with the bytes that it must cover and with
// the demo CA; it returns which ones failed, by their place.
func (p *provider) openssl(tb testing.TB, s spoiled) (failed []int, n int) {
	tb.Helper()
	var stamps []stamp
	if s.of.json() {
		stamps = readJWS(tb, s.file).stamps(tb)
	} else {
		stamps = pdfStamps(tb, s.file)
	}
	data, token := p.path("stamped"), p.path("token.der")
	for i, stamp := range stamps {
		must(tb, os.WriteFile(data, stamp.covered, 0o600))
		must(tb, os.WriteFile(token, stamp.token, 0o600))
		out, err := run(tb, "openssl", "ts", "-verify", "-data", data, "-in", token, "-token_in", "-CAfile", p.anchor)
		if good := err == nil && strings.Contains(out, "Verification: OK"); !good {
			if !strings.Contains(out, "Verification: FAILED") {
				tb.Fatalf("openssl ts on %s: %v\n%s", s.name, err, out)
			}
			failed = append(failed, i)
		}
	}
	return failed, len(stamps)
}

func testOpenSSL(t *testing.T, p *provider, files []sealed, copies []spoiled) {
	program(t, "openssl", "openssl")
	tokens, refused := 0, 0
	for _, f := range files {
		failed, n := p.openssl(t, spoiled{name: f.name, of: f, file: f.bytes})
		if len(failed) > 0 || n != f.stamps {
			t.Errorf("%s: of %d time-stamps %v failed; want %d good ones", f.name, n, failed, f.stamps)
		}
		tokens += n
	}
	for _, c := range copies {
		if c.of.stamps == 0 {
			continue
		}
		failed, _ := p.openssl(t, c)
		if want := c.hit(); !slices.Equal(want, failed) {
			t.Errorf("%s: time-stamps %v failed; want %v", c.name, failed, want)
		}
		refused += len(failed)
	}
	count(t, tokens, refused)
}

// store is an NSS database that trusts the demo CA, for pdfsig.
func (p *provider) store(tb testing.TB) string {
	tb.Helper()
	certutil, dir := program(tb, "certutil", "libnss3-tools"), filepath.Join(p.dir, "nss")
	must(tb, os.Mkdir(dir, 0o700))
	for _, args := range [][]string{{"-N", "-d", dir, "--empty-password"}, {"-A", "-d", dir, "-n", "demo", "-t", "CT,C,C", "-i", p.anchor}} {
		if out, err := run(tb, certutil, args...); err != nil {
			tb.Fatalf("certutil %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

// testPoppler has pdfsig judge the PDFs. It does not look at time-stamps.
func testPoppler(t *testing.T, p *provider, files []sealed, copies []spoiled) {
	pdfsig, nss := program(t, "pdfsig", "poppler-utils"), p.store(t)
	marks := []string{"Signature is Valid.", "Certificate is Trusted.", "Total document signed", "ETSI.CAdES.detached"}
	passed, refused := 0, 0
	for _, f := range files {
		if f.json() {
			continue
		}
		passed++
		said, err := run(t, pdfsig, "-nssdir", nss, p.path(f.name))
		if err != nil {
			t.Errorf("%s: %v\n%s", f.name, err, said)
		}
		for _, mark := range append(slices.Clone(marks), f.sealer.mandate.subject.CommonName) {
			if !strings.Contains(said, mark) {
				t.Errorf("%s: not %q:\n%s", f.name, mark, said)
			}
		}
	}
	for _, c := range copies {
		if c.of.json() || !c.inSeal() {
			continue
		}
		refused++
		said, _ := run(t, pdfsig, "-nssdir", nss, p.path(c.name))
		if strings.Contains(said, marks[0]) || !strings.Contains(said, "Signature Validation:") {
			t.Errorf("%s passes:\n%s", c.name, said)
		}
	}
	count(t, passed, refused)
}
