package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/issuance"
)

// TestReasonsOfTheCommand: the command takes the reasons that there are, and no other.
func TestReasonsOfTheCommand(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"revoke", "suspend"} {
		for _, reason := range issuance.Reasons() {
			// A folder that is none ends the command after its arguments were understood.
			code, _, trouble := sealsmith(t, []string{"SEALSMITH_DIR=/dev/null"}, "credentials", command, "nobody", "--reason", string(reason))
			if code != 1 || strings.Contains(trouble, "--reason") {
				t.Errorf("%s: exit %d, %s", reason, code, trouble)
			}
		}
		for _, wrong := range [][]string{{"--reason", "dislike"}, {}} {
			if code, _, trouble := sealsmith(t, []string{"SEALSMITH_DIR=/dev/null"}, append([]string{"credentials", command, "nobody"}, wrong...)...); code != exitUsage || !strings.Contains(trouble, "--reason") {
				t.Errorf("%v: exit %d, %s", wrong, code, trouble)
			}
		}
	}
}

// TestCredentials withdraws a credential beside a running server, as an operator does, and
// looks at it as everybody does.
func TestCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if out := succeed(t, r.settings, "credentials", "list"); !strings.Contains(out, "There is no such credential.") {
		t.Errorf("no credentials: %s", out)
	}
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	id, link := r.credential(t)

	shown := succeed(t, r.settings, "credentials", "show", r.url+"/c/"+link)
	for _, says := range []string{id, "in force since", r.url + "/c/" + link, "learner", "number"} {
		if !strings.Contains(shown, says) {
			t.Errorf("show does not say %q: %s", says, shown)
		}
	}
	dry := succeed(t, r.settings, "credentials", "revoke", "--dry-run", "--reason", "misconduct", id, link)
	if !strings.Contains(dry, "in force: would be revoked.") || !strings.Contains(dry, "Nothing was done: 1 would be revoked, 0 would be refused.") || !strings.Contains(dry, "did not come about honestly") {
		t.Errorf("dry run: %s", dry)
	}
	r.wantStanding(t, id, "in_force", "valid")
	r.refusedCommands(t, id)

	if out := succeed(t, r.settings, "credentials", "suspend", id, "--reason", "misconduct", "--because", "The exam is looked at again."); !strings.Contains(out, "is suspended since") || !strings.Contains(out, "The exam is looked at again.") {
		t.Errorf("suspend: %s", out)
	}
	r.wantStanding(t, id, "suspended", "not-valid")
	if out := succeed(t, r.settings, "credentials", "reinstate", "urn:credential:"+id, "--because", "All is well."); !strings.Contains(out, "is in force since") {
		t.Errorf("reinstate: %s", out)
	}
	r.wantStanding(t, id, "in_force", "valid")

	code, out, trouble := sealsmith(t, r.settings, "credentials", "revoke", "nobody", id, id, "--reason", "wrong_content")
	if code != 1 || !strings.Contains(out, "is revoked since") || !strings.Contains(out, "1 revoked, 1 refused.") || !strings.Contains(trouble, "credential nobody") {
		t.Errorf("revoke: exit %d, %s%s", code, out, trouble)
	}
	r.wantStanding(t, id, "revoked", "not-valid")
	code, out, trouble = sealsmith(t, r.settings, "credentials", "revoke", id, "--reason", "wrong_content")
	if code != 1 || !strings.Contains(trouble, "it is revoked since") || !strings.Contains(out, "0 revoked, 1 refused.") {
		t.Errorf("revoke again: exit %d, %s%s", code, out, trouble)
	}
	var listed struct{ Credentials []sealedCredential }
	must(t, json.Unmarshal([]byte(succeed(t, r.settings, "credentials", "list", "--state", "revoked", "--json")), &listed))
	if len(listed.Credentials) != 1 || listed.Credentials[0].ID != id || listed.Credentials[0].Reason != issuance.ReasonWrongContent {
		t.Errorf("revoked: %+v", listed)
	}
	if out := succeed(t, r.settings, "credentials", "list", "--state", "in_force"); !strings.Contains(out, "There is no such credential.") {
		t.Errorf("in force: %s", out)
	}
	var history shownCredential
	must(t, json.Unmarshal([]byte(succeed(t, r.settings, "credentials", "show", id, "--json")), &history))
	if acts := history.Withdrawals; len(acts) != 3 || acts[0].Act != issuance.ActSuspend || acts[1].Words != "All is well." || acts[2].By != "operator" {
		t.Errorf("history: %+v", acts)
	}
	r.wants(t, 3, "audit where actor = 'operator' and action in ('credential suspended', 'credential reinstated', 'credential revoked')")
}

// credential is the id and the link of the one credential.
func (r *rig) credential(t *testing.T) (id, link string) {
	t.Helper()
	must(t, r.db.Get(t.Context(), &id, `select id from credentials`))
	must(t, r.db.Get(t.Context(), &link, `select link from credentials`))
	return id, link
}

// wantStanding asks the running server at all its doors, and the file alone, which knows of
// nothing but whom to ask.
func (r *rig) wantStanding(t *testing.T, id, standing, verdict string) {
	t.Helper()
	answer, err := r.get(t, "/status/"+id)
	must(t, err)
	if !strings.Contains(answer, `"standing":"`+standing+`"`) {
		t.Errorf("status: %s", answer)
	}
	_, link := r.credential(t)
	report, err := r.get(t, "/c/"+link+"?format=json")
	must(t, err)
	if !strings.Contains(report, `"verdict":"`+verdict+`"`) || !strings.Contains(report, `"reason":"`+standing+`"`) {
		t.Errorf("public page: %s", report)
	}
	file, err := r.get(t, "/c/"+link+"/credential.jsonld")
	must(t, err)
	name := filepath.Join(t.TempDir(), "credential.jsonld")
	must(t, os.WriteFile(name, []byte(file), 0o600))
	if out := succeed(t, r.settings, "verify", name); !strings.Contains(out, "NOT-CHECKED") || !strings.Contains(out, "programs ask "+r.url+"/status/"+id) {
		t.Errorf("by the file alone: %s", out)
	}
}

// refusedCommands change nothing, with the exit code that fits.
func (r *rig) refusedCommands(t *testing.T, id string) {
	t.Helper()
	for _, wrong := range []struct {
		code int
		says string
		args []string
	}{
		{1, "“other” needs some", []string{"revoke", id, "--reason", "other"}},
		{1, "“other” needs some", []string{"revoke", id, "--reason", "other", "--dry-run"}},
		{1, "it is not suspended", []string{"reinstate", id}},
		{1, "it is not suspended", []string{"reinstate", id, "--dry-run"}},
		{1, "credential nobody", []string{"show", "nobody"}},
		{2, "--state", []string{"list", "--state", "queued"}},
		{2, "id", []string{"revoke", "--reason", "misconduct"}},
	} {
		code, _, trouble := sealsmith(t, r.settings, append([]string{"credentials"}, wrong.args...)...)
		if code != wrong.code || !strings.Contains(trouble, wrong.says) {
			t.Errorf("%v: exit %d, %s", wrong.args, code, trouble)
		}
	}
	r.wantStanding(t, id, "in_force", "valid")
}
