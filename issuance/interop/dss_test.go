//go:build cgo

package interop_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dss is the library of the European Commission in one Java process.
type dss struct {
	mu  sync.Mutex
	in  io.Writer
	out *bufio.Scanner
}

// startDSS runs the judge that `mvn compile` left in folder.
func startDSS(tb testing.TB, folder string) *dss {
	tb.Helper()
	libraries, err := os.ReadFile(filepath.Join(folder, "classpath"))
	must(tb, err)
	classes := filepath.Join(folder, "classes") + string(os.PathListSeparator) + strings.TrimSpace(string(libraries))
	java := exec.CommandContext(tb.Context(), "java", "-cp", classes, "interop.Main", "serve")
	java.Stderr = os.Stderr
	in, err := java.StdinPipe()
	must(tb, err)
	out, err := java.StdoutPipe()
	must(tb, err)
	must(tb, java.Start())
	tb.Cleanup(func() {
		must(tb, in.Close())
		if err := java.Wait(); err != nil && tb.Context().Err() == nil {
			tb.Error(err)
		}
	})
	d := &dss{in: in, out: bufio.NewScanner(out)}
	d.out.Buffer(nil, 1<<20)
	return d
}

// judgement is what DSS says of one file.
type judgement struct {
	Signatures []opinion
	Unreadable string // why it is no signed document at all
}

// opinion is what DSS says of one signature.
type opinion struct {
	Level, Indication, Subindication string
	Errors, Warnings, Infos          []string
	Timestamps                       []struct{ Indication, Subindication string }
}

// ask has one file judged; options are those of the program.
func (d *dss) ask(tb testing.TB, file string, options ...string) judgement {
	tb.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := fmt.Fprintln(d.in, strings.Join(append(slices.Clone(options), file), "\t"))
	must(tb, err)
	if !d.out.Scan() {
		tb.Fatalf("the judge gave up: %v", d.out.Err())
	}
	var j judgement
	must(tb, json.Unmarshal(d.out.Bytes(), &j))
	return j
}

// words are an opinion in one line each, for comparing and for the table.
func (o opinion) words() []string {
	out := []string{o.Level, verdict(o.Indication, o.Subindication)}
	for _, t := range o.Timestamps {
		out = append(out, "time-stamp "+verdict(t.Indication, t.Subindication))
	}
	for _, e := range slices.Concat(o.Errors, o.Warnings) {
		key, _, _ := strings.Cut(e, ":")
		out = append(out, key)
	}
	return out
}

func verdict(indication, sub string) string {
	return strings.TrimSuffix(indication+"/"+sub, "/")
}

// What DSS says when all is well but for what it was not given. The codes are its own.
const (
	passed    = "TOTAL_PASSED"
	good      = "PASSED"
	strangers = "INDETERMINATE/NO_CERTIFICATE_CHAIN_FOUND"
	unasked   = "INDETERMINATE/CERTIFICATE_CHAIN_GENERAL_FAILURE"

	noAnchor     = "BBB_XCV_CCCBB_SIG_ANS" // the chain does not contain a trust anchor
	noIssuer     = "ASCCM_PKSK_ANS"        // the key of the issuer is unknown: its certificate is not in the file
	inconclusive = "BBB_XCV_SUB_ANS"
	noRevocation = "BBB_XCV_IRDPFC_ANS" // no revocation data found
)

// expected is the opinion on a good file in each situation.
func (s sealed) expected(situation string) []string {
	stamps := func(verdict string) []string { return slices.Repeat([]string{"time-stamp " + verdict}, s.stamps) }
	switch {
	case situation == "stranger" && s.lasting():
		return slices.Concat([]string{s.level, strangers}, stamps(strangers), []string{noAnchor})
	case situation == "stranger":
		return slices.Concat([]string{s.level, strangers}, stamps(strangers), []string{noAnchor, noIssuer})
	case situation == "offline" && !s.lasting():
		return slices.Concat([]string{s.level, unasked}, stamps(unasked), []string{inconclusive, noRevocation})
	}
	out := slices.Concat([]string{s.level, passed}, stamps(good))
	if situation == "offline" && s.renewed {
		// Nothing in the file is about the authority of the last time-stamp, which is the second one.
		out[len(out)-1] = "time-stamp " + unasked
	}
	return out
}

// testDSS has every file judged by one who does not know the demo CA, by one who does and asks
// nobody, and by one who has its list of revoked certificates, too.
func testDSS(t *testing.T, p *provider, d *dss, files []sealed) {
	situations := map[string][]string{
		"stranger": nil, "offline": {"--anchor", p.anchor}, "online": {"--anchor", p.anchor, "--crl", p.crl},
	}
	table := map[string][]string{} // files by what is said of them
	for _, f := range files {
		said := f.level
		for _, situation := range []string{"stranger", "offline", "online"} {
			j := d.ask(t, p.path(f.name), situations[situation]...)
			if len(j.Signatures) != 1 {
				t.Errorf("%s: %+v", f.name, j)
				continue
			}
			got := j.Signatures[0].words()
			if diff := cmp.Diff(f.expected(situation), got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s%+v", f.name, situation, diff, j)
			}
			said += fmt.Sprintf("\n  %-8s %s", situation, strings.Join(got, ", "))
		}
		table[said] = append(table[said], f.name)
	}
	for _, said := range slices.Sorted(maps.Keys(table)) {
		t.Logf("%d files: %s\n%s", len(table[said]), strings.Join(table[said], " "), said)
	}
}
