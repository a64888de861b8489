//go:build cgo

package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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

// question is a file with the options of the program for it.
type question struct {
	file    string
	options []string
}

// classPath is what `mvn compile` left in folder.
func classPath(tb testing.TB, folder string) string {
	tb.Helper()
	libraries, err := os.ReadFile(filepath.Join(folder, "classpath"))
	must(tb, err)
	return filepath.Join(folder, "classes") + string(os.PathListSeparator) + strings.TrimSpace(string(libraries))
}

// askDSS shares the questions out to as many Java processes as there are processors, each of which
// takes seconds to get going: several threads of one do not do, see Validate.serve.
func askDSS(tb testing.TB, folder string, questions []question) []judgement {
	tb.Helper()
	classes := classPath(tb, folder)
	n := min(runtime.NumCPU(), 4)
	answers, errs := make([]judgement, len(questions)), make([]error, n)
	var all sync.WaitGroup
	for share := range n {
		all.Go(func() { errs[share] = askShare(tb.Context(), classes, questions, answers, share, n) })
	}
	all.Wait()
	must(tb, errors.Join(errs...))
	return answers
}

// askShare answers every n-th question.
func askShare(ctx context.Context, classes string, questions []question, answers []judgement, share, n int) error {
	var lines strings.Builder
	for i := share; i < len(questions); i += n {
		q := questions[i]
		lines.WriteString(strings.Join(append(slices.Clone(q.options), q.file), "\t") + "\n")
	}
	// The first compiler is enough for a life of a minute.
	java := exec.CommandContext(ctx, "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes, "interop.Main", "serve")
	java.Stdin, java.Stderr = strings.NewReader(lines.String()), os.Stderr
	out, err := java.Output()
	if err != nil {
		return err
	}
	i := share
	for line := range bytes.Lines(out) {
		if i >= len(questions) {
			return errors.New("more answers than questions")
		}
		if err := json.Unmarshal(line, &answers[i]); err != nil {
			return err
		}
		i += n
	}
	if i < len(questions) {
		return fmt.Errorf("no answer about %s", questions[i].file)
	}
	return nil
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
	notIntact    = "BBB_CV_IRDOI_ANS"   // the reference data object is not intact
	notFitting   = "BBB_CV_ISI_ANS"     // the signature is not intact

	brokenHash      = "FAILED/HASH_FAILURE"
	brokenSignature = "FAILED/SIG_CRYPTO_FAILURE"
)

// situations are what the judge is given besides the file: nothing; the demo CA to trust; that and
// its list of revoked certificates, which it would fetch if it were on the network.
var situations = []string{"stranger", "offline", "online"}

// question asks about a file; with pictures a PDF is drawn without its seal and with it, and
// compared, which takes long.
func (p *provider) question(name, situation string, pictures bool) question {
	q := question{file: p.path(name)}
	if situation != "stranger" {
		q.options = append(q.options, "--anchor", p.anchor)
	}
	if situation == "online" {
		q.options = append(q.options, "--crl", p.crl)
	}
	if !pictures {
		q.options = append(q.options, "--pages", "0")
	}
	return q
}

// expected is the opinion on a good file.
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

// situation is the one with the least help in which DSS says TOTAL_PASSED of a good file.
func (s sealed) situation() string {
	if s.lasting() {
		return "offline"
	}
	return "online"
}

// expected is the opinion on a spoiled copy. DSS speaks of a wrong time-stamp at the time-stamp: the
// seal itself stays good for as long as its certificate is.
func (s spoiled) expected() []string {
	stamps := s.of.expected(s.of.situation())[2:]
	for n, i := range s.hit() {
		own := strings.HasSuffix(s.part, "Tst") && n == 0 // its own signature is what was changed
		stamps[i] = "time-stamp " + map[bool]string{true: brokenSignature, false: brokenHash}[own]
	}
	switch {
	case s.part == "signature" && !s.of.json():
		return slices.Concat([]string{s.of.level, "TOTAL_" + brokenSignature}, stamps, []string{notFitting})
	case s.inSeal():
		return slices.Concat([]string{s.of.level, "TOTAL_" + brokenHash}, stamps, []string{notIntact})
	case s.part == "rVals":
		return slices.Concat([]string{jadesT, unasked}, stamps, []string{inconclusive, noRevocation})
	}
	return slices.Concat([]string{s.of.level, passed}, stamps)
}

// opinion is the only one that a judgement holds, in words.
func (j judgement) opinion() []string {
	if len(j.Signatures) != 1 {
		return []string{fmt.Sprintf("%d signatures", len(j.Signatures)), j.Unreadable}
	}
	return j.Signatures[0].words()
}

// inTurns leaves all copies of the files that their owner sealed, and of each that was sealed by
// mandate one, another part each time: DSS takes its time.
func inTurns(copies []spoiled) []spoiled {
	var out []spoiled
	for turn := 0; len(copies) > 0; {
		n := 1
		for n < len(copies) && copies[n].of.name == copies[0].of.name {
			n++
		}
		if copies[0].of.sealer.mandate.name == "own" {
			out = append(out, copies[:n]...)
		} else {
			out = append(out, copies[turn%n])
			turn++
		}
		copies = copies[n:]
	}
	return out
}

// testDSS has every file judged in all situations, and spoiled copies in the one that matters.
func testDSS(t *testing.T, p *provider, folder string, files []sealed, copies []spoiled) {
	var questions []question
	for _, f := range files {
		for _, situation := range situations {
			questions = append(questions, p.question(f.name, situation, situation == "online"))
		}
	}
	copies = inTurns(copies)
	for _, c := range copies {
		questions = append(questions, p.question(c.name, c.of.situation(), false))
	}
	answers := askDSS(t, folder, questions)
	table := map[string]int{} // what is said of how many files
	check := func(name, situation string, want []string) string {
		got := answers[0].opinion()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s%+v", name, situation, diff, answers[0])
		}
		answers = answers[1:]
		return fmt.Sprintf("  %-8s %s\n", situation, strings.Join(got, ", "))
	}
	for _, f := range files {
		said := f.kind() + "\n"
		for _, situation := range situations {
			said += check(f.name, situation, f.expected(situation))
		}
		table[said]++
	}
	for _, c := range copies {
		said := c.of.kind() + ", changed " + c.part + "\n"
		table[said+check(c.name, c.of.situation(), c.expected())]++
	}
	for _, said := range slices.Sorted(maps.Keys(table)) {
		t.Logf("%d files: %s", table[said], said)
	}
	count(t, len(files), len(copies))
}
