package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/status"
)

// TestStatusAndKit goes the way of a credential that is withdrawn, by the commands and addresses of
// a running server: the list says it, the kit keeps it, and verify knows it without any server.
func TestStatusAndKit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if out := succeed(t, r.settings, "status", "list"); !strings.Contains(out, "There is no status list yet") {
		t.Errorf("nothing is sealed: %s", out)
	}
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	id, link := r.credential(t)
	var lists struct{ Lists []listedStatus }
	eventually(t, func() string {
		must(t, json.Unmarshal([]byte(succeed(t, r.settings, "status", "list", "--json")), &lists))
		if len(lists.Lists) != 1 || lists.Lists[0].State != "signed" {
			return "the list is not signed"
		}
		return ""
	})
	if l := lists.Lists[0]; l.Given != 1 || l.Entries != status.MinEntries || l.Revoked != 0 || l.ValidUntil.Before(time.Now().Add(47*time.Hour)) {
		t.Errorf("%+v", l)
	}
	if words := r.readyz(t).words("status lists"); !strings.HasPrefix(words, "1 signed, valid until") {
		t.Errorf("readyz: %s", words)
	}
	var shown shownStatus
	must(t, json.Unmarshal([]byte(succeed(t, r.settings, "status", "show", r.url+"/c/"+link, "--json")), &shown))
	if shown.Credential != id || shown.Index == nil || len(shown.Signed) != 4 || shown.Signed[issuance.StatusIndex].Address != "" {
		t.Fatalf("%+v", shown)
	}
	text := succeed(t, r.settings, "status", "show", shown.ID)
	for _, want := range []string{"131072, given 1", "0 revoked, 0 suspended", shown.Signed[issuance.StatusToken].Address, "valid until", "key "} {
		if !strings.Contains(text, want) {
			t.Errorf("status show does not say %q: %s", want, text)
		}
	}
	if code, _, trouble := sealsmith(t, r.settings, "status", "show", "nobody"); code != 1 || !strings.Contains(trouble, "neither a status list nor a credential") {
		t.Errorf("exit %d: %s", code, trouble)
	}
	file := filepath.Join(t.TempDir(), "credential.jsonld")
	sealed, err := r.get(t, "/c/"+link+"/credential.jsonld")
	must(t, err)
	must(t, os.WriteFile(file, []byte(sealed), 0o600))
	r.listed(t, shown, status.Valid)
	r.verifiedOffline(t, file, shown)
	succeed(t, r.settings, "credentials", "revoke", id, "--reason", "wrong_content")
	r.settle(t)
	r.listed(t, shown, status.Invalid)
	r.kit(t, file)
}

// listed waits until the list that is served says so.
func (r *rig) listed(t *testing.T, shown shownStatus, want status.Value) {
	t.Helper()
	address := shown.Signed[issuance.StatusToken].Address
	eventually(t, func() string {
		text, err := r.get(t, strings.TrimPrefix(address, r.url))
		must(t, err)
		l, err := status.ReadToken([]byte(text), status.Options{URI: address, At: time.Now()})
		must(t, err)
		if got, err := l.At(*shown.Index); err != nil || got != want {
			return "the list says otherwise"
		}
		return ""
	})
}

// settle makes places and pauses as old as they are after an hour.
func (r *rig) settle(t *testing.T) {
	t.Helper()
	past := time.Now().Add(-time.Hour).UTC()
	for _, statement := range []string{`update status_entries set assigned_at = ?`, `update status_lists set not_before = ?`, `update status_lists set renew_at = ?`} {
		_, err := r.db.Exec(t.Context(), statement, past)
		must(t, err)
	}
}

// verifiedOffline has verify read lists as files.
func (r *rig) verifiedOffline(t *testing.T, file string, shown shownStatus) {
	t.Helper()
	list := filepath.Join(t.TempDir(), "list.jwt")
	for _, kind := range issuance.StatusKinds() {
		text, err := r.get(t, strings.TrimPrefix(shown.Signed[kind].Address, r.url))
		must(t, err)
		must(t, os.WriteFile(list, []byte(text), 0o600))
		out := succeed(t, r.settings, "verify", file, "--status-list", list, "--status-index", "5")
		if !strings.Contains(out, "It was not withdrawn, says a status list that was signed on") {
			t.Errorf("%s: %s", kind, out)
		}
	}
	for _, wrong := range []struct {
		code int
		says string
		args []string
	}{
		{0, "RANGE_ERROR", []string{"--status-list", list, "--status-index", "131072"}},
		{0, "MALFORMED_VALUE_ERROR", []string{"--status-list", file, "--status-index", "0"}},
		{2, "needs the place of the credential", []string{"--status-list", list}},
		{2, "no such file", []string{"--status-list", list + "x", "--status-index", "0"}},
		{2, "not an issuer-gone kit", []string{"--kit", t.TempDir()}},
	} {
		code, _, trouble := sealsmith(t, r.settings, append([]string{"verify", file}, wrong.args...)...)
		if code != wrong.code || !strings.Contains(trouble, wrong.says) {
			t.Errorf("%v: exit %d, %s", wrong.args, code, trouble)
		}
	}
}

// kit builds the kit and ends the server: everything is known without it.
func (r *rig) kit(t *testing.T, file string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kit")
	eventually(t, func() string {
		if out := succeed(t, r.settings, "kit", "build", "--to", dir); !strings.Contains(out, "1 status lists, 1 credentials in their indexes") {
			return out
		}
		return ""
	})
	r.server.end(t, syscall.SIGTERM)
	if out := succeed(t, r.settings, "kit", "build", "--to", dir); !strings.Contains(out, "up to date, nothing was changed") {
		t.Errorf("again: %s", out)
	}
	if out := succeed(t, r.settings, "kit", "verify", dir); !strings.Contains(out, "The kit is whole") || strings.Contains(out, "--trust") {
		t.Errorf("verify: %s", out)
	}
	code, out, _ := sealsmith(t, r.settings, "verify", file, "--kit", dir)
	if code != 1 || !strings.Contains(out, "says that this credential was withdrawn") || !strings.Contains(out, "says that it was withdrawn for good") {
		t.Errorf("exit %d: %s", code, out)
	}
	must(t, os.WriteFile(filepath.Join(dir, "kit.json"), []byte("{}"), 0o600))
	if code, _, trouble := sealsmith(t, r.settings, "kit", "verify", dir); code != 2 || !strings.Contains(trouble, "not an issuer-gone kit") {
		t.Errorf("exit %d: %s", code, trouble)
	}
	if code, _, trouble := sealsmith(t, r.settings, "kit", "build", "--to", dir); code != 1 || !strings.Contains(trouble, "holds other files") {
		t.Errorf("exit %d: %s", code, trouble)
	}
}

// TestNightlyKit: the server makes the kit by itself where a folder is named.
func TestNightlyKit(t *testing.T) {
	t.Parallel()
	for now, want := range map[string]time.Duration{"2026-11-28T02:29:59Z": time.Second, "2026-11-28T02:30:00Z": 24 * time.Hour, "2026-11-28T03:30:00+01:00": 24 * time.Hour, "2026-12-31T23:30:00Z": 3 * time.Hour} {
		at, err := time.Parse(time.RFC3339, now)
		must(t, err)
		if got := untilNight(at); got != want {
			t.Errorf("at %s: %s", now, got)
		}
	}
	r := newRig(t)
	dir := filepath.Join(r.dir, "kit")
	r.serve(t, "SEALSMITH_KIT="+dir)
	eventually(t, func() string {
		if _, err := os.Stat(filepath.Join(dir, "SHA256SUMS")); err != nil {
			return err.Error()
		}
		return ""
	})
	succeed(t, r.settings, "kit", "verify", dir)
}
