package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/issuance"
)

// TestEvidenceOfTheCommand: the command takes the kinds of evidence that there are, and no other.
func TestEvidenceOfTheCommand(t *testing.T) {
	t.Parallel()
	confirm := func(evidence string) (int, string) {
		code, _, trouble := sealsmith(t, []string{"SEALSMITH_DIR=/dev/null"}, "corrections", "confirm", "nobody", "--reference", "x", "--answer", "x", "--evidence", evidence)
		return code, trouble
	}
	for _, e := range issuance.Evidences() {
		// A folder that is none ends the command after its arguments were understood.
		if code, trouble := confirm(string(e)); code != 1 || strings.Contains(trouble, "--evidence") {
			t.Errorf("%s: exit %d, %s", e, code, trouble)
		}
	}
	if code, trouble := confirm("hearsay"); code != exitUsage || !strings.Contains(trouble, "--evidence") {
		t.Errorf("exit %d, %s", code, trouble)
	}
	for _, state := range issuance.CorrectionStates() {
		if code, _, trouble := sealsmith(t, []string{"SEALSMITH_DIR=/dev/null"}, "corrections", "list", "--state", string(state)); code != 1 || strings.Contains(trouble, "--state") {
			t.Errorf("%s: exit %d, %s", state, code, trouble)
		}
	}
}

// TestCorrections goes the whole way beside a running server: the learner asks on the page, the
// operator confirms, the worker of the server seals, and both credentials lead to each other.
func TestCorrections(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	old, link := r.credential(t)
	if out := succeed(t, r.settings, "corrections", "list"); !strings.Contains(out, "There is no such correction.") {
		t.Errorf("nothing was asked: %s", out)
	}
	first := r.ask(t, "Nöra")
	if out := succeed(t, r.settings, "corrections", "list"); !strings.Contains(out, first) || !strings.Contains(out, "asked") || strings.Contains(out, "Nöra") {
		t.Errorf("list: %s", out)
	}
	if out := succeed(t, r.settings, "corrections", "show", first); !strings.Contains(out, "Nöra") || !strings.Contains(out, "Not my name.") {
		t.Errorf("show: %s", out)
	}
	if out := succeed(t, r.settings, "corrections", "decline", first, "--answer", "Bring a proof."); !strings.Contains(out, "Declined: credential "+old+" stays as it is.") {
		t.Errorf("decline: %s", out)
	}
	for _, wrong := range []struct {
		says string
		args []string
	}{
		{"it was decided already", []string{"confirm", first, "--evidence", "passport", "--reference", "x", "--answer", "x"}},
		{"it was decided already", []string{"decline", first, "--answer", "x"}},
		{"nothing of it waits for the seal", []string{"end", first, "--answer", "x"}},
		{"needs words of at most 500 letters", []string{"decline", first, "--answer", " "}},
		{"correction nobody", []string{"show", "nobody"}},
	} {
		code, _, trouble := sealsmith(t, r.settings, append([]string{"corrections"}, wrong.args...)...)
		if code != 1 || !strings.Contains(trouble, wrong.says) {
			t.Errorf("%v: exit %d, %s", wrong.args, code, trouble)
		}
	}
	second := r.ask(t, "Νόρα")
	if out := succeed(t, r.settings, "corrections", "confirm", second, "--evidence", "student_record", "--reference", "record 4711", "--answer", "Sorry."); !strings.Contains(out, "waits for the seal. Credential "+old+" is in force until then.") {
		t.Errorf("confirm: %s", out)
	}
	eventually(t, func() string {
		if n := r.count(t, "corrections where state = 'done'"); n != 1 {
			return fmt.Sprintf("%d corrections are done; readyz: %+v", n, r.readyz(t))
		}
		return ""
	})
	var shown shownCorrection
	must(t, json.Unmarshal([]byte(succeed(t, r.settings, "corrections", "show", second, "--json")), &shown))
	if shown.Successor == "" || shown.Evidence != issuance.EvidenceRecord || shown.Credential != old || shown.DecidedBy != "operator" {
		t.Errorf("%+v", shown)
	}
	if out := succeed(t, r.settings, "credentials", "show", old); !strings.Contains(out, "replaced since") || !strings.Contains(out, shown.Successor) {
		t.Errorf("the old one: %s", out)
	}
	if out := succeed(t, r.settings, "credentials", "show", shown.Successor); !strings.Contains(out, "in force since") || !strings.Contains(out, "Νόρα") || !strings.Contains(out, old) {
		t.Errorf("the new one: %s", out)
	}
	var next string
	must(t, r.db.Get(t.Context(), &next, `select link from credentials where revision = 2`))
	page, err := r.get(t, "/c/"+link)
	must(t, err)
	if !strings.Contains(page, "/c/"+next) {
		t.Errorf("the page of the old one does not lead to the new one: %s", page)
	}
	file, err := r.get(t, "/c/"+next+"/credential.jsonld")
	must(t, err)
	name := filepath.Join(t.TempDir(), "credential.jsonld")
	must(t, os.WriteFile(name, []byte(file), 0o600))
	if out := succeed(t, r.settings, "verify", name, "--trust", r.token.CAFile); !strings.Contains(out, "Νόρα") || !strings.Contains(out, "takes the place of urn:credential:"+old) {
		t.Errorf("verify: %s", out)
	}
}

// ask lets the learner ask for another given name, and returns the id of the correction.
func (r *rig) ask(t *testing.T, given string) (id string) {
	t.Helper()
	_, err := r.journey.open(t.Context(), "It is yours.")
	must(t, err)
	must(t, r.journey.browser.follow(t.Context(), "Something is wrong with my name"))
	must(t, r.journey.browser.submit(t.Context(), "Ask for this name", map[string]string{"given": given, "words": "Not my name."}))
	if says := r.journey.browser.text(); !strings.Contains(says, "You have asked for another name on") || !strings.Contains(says, given) {
		t.Errorf("after asking: %s", says)
	}
	must(t, r.db.Get(t.Context(), &id, `select id from corrections where state = 'asked'`))
	return id
}
