package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
)

// TestQueue looks at what waits, and puts back into the queue what has stopped, as an operator
// does beside a running server.
func TestQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if out := succeed(t, r.settings, "queue", "list"); !strings.Contains(out, "Nothing waits for the seal.") {
		t.Errorf("an empty queue: %s", out)
	}
	r.serve(t, "SEALSMITH_TOKEN=")
	r.claimable(t)
	r.claimPaused(t, "no seal token is set up on this server")
	var listed struct{ Claims []queuedClaim }
	list := func(args ...string) []queuedClaim {
		must(t, json.Unmarshal([]byte(succeed(t, r.settings, append([]string{"queue", "list", "--json"}, args...)...)), &listed))
		return listed.Claims
	}
	all := list()
	if len(all) != 1 || all[0].State != "queued" || all[0].NextTry.IsZero() || all[0].Since.IsZero() {
		t.Fatalf("waiting: %+v", all)
	}
	id := all[0].ID
	if code, _, trouble := sealsmith(t, r.settings, "queue", "retry", id); code != 1 || !strings.Contains(trouble, "has not failed") {
		t.Errorf("retry of what waits: exit %d, %s", code, trouble)
	}
	_, err := r.db.Exec(t.Context(), `update claims set state = 'failed', attempts = 12, last_error = 'the page image is too large' where id = ?`, id)
	must(t, err)
	if got := list("--state", "queued"); len(got) != 0 {
		t.Errorf("queued: %+v", got)
	}
	for _, args := range [][]string{{"--state", "queued"}, {"--limit", "0"}} {
		out := succeed(t, r.settings, append([]string{"queue", "list"}, args...)...)
		if want := "0 wait for the seal, 0 of those are being sealed, 1 have stopped; 0 are shown. --state and --limit show others."; !strings.Contains(out, want) || strings.Contains(out, "Nothing") {
			t.Errorf("%v: %s", args, out)
		}
	}
	if out := succeed(t, r.settings, "queue", "show", id); !strings.Contains(out, "failed") || !strings.Contains(out, "the page image is too large") {
		t.Errorf("show: %s", out)
	}
	if out := succeed(t, r.settings, "queue", "list", "--state", "failed"); !strings.Contains(out, id) || !strings.Contains(out, "the page image is too large") {
		t.Errorf("list: %s", out)
	}
	for _, wrong := range []struct {
		code int
		says string
		args []string
	}{
		{1, "say what to retry", []string{"queue", "retry"}},
		{1, "claim nobody", []string{"queue", "retry", "nobody"}},
		{1, "claim nobody: there is none in this organisation (sealsmith queue list)", []string{"queue", "show", "nobody"}},
		{2, "--state", []string{"queue", "list", "--state", "sealed"}},
		{1, "claim nobody", []string{"queue", "drop", "nobody"}},
		{1, "not paused", []string{"queue", "resume"}},
		{1, "batch nobody: there is no such batch", []string{"queue", "pause", "--batch", "nobody"}},
		{1, "not both", []string{"queue", "pause", "--everything", "--batch", "b"}},
		{1, "may have 500 letters", []string{"queue", "pause", strings.Repeat("x", 501)}},
	} {
		if code, _, trouble := sealsmith(t, r.settings, wrong.args...); code != wrong.code || !strings.Contains(trouble, wrong.says) {
			t.Errorf("%v: exit %d, %s", wrong.args, code, trouble)
		}
	}
	if out := succeed(t, r.settings, "queue", "retry", "--failed", "--proofs"); !strings.Contains(out, "1 claims are in the queue again.") || !strings.Contains(out, "0 sealed credentials") {
		t.Errorf("retry: %s", out)
	}
	if out := succeed(t, r.settings, "queue", "pause", "The dates are wrong.", "--organisation", "polder"); !strings.Contains(out, "sealsmith queue resume --organisation polder") ||
		!strings.Contains(out, "sealsmith queue list --state sealing --organisation polder") {
		t.Errorf("pause: %s", out)
	}
	succeed(t, r.settings, "queue", "pause", "--everything")
	out := succeed(t, r.settings, "queue", "list")
	for _, want := range []string{"paused for everybody", "paused for the organisation", "The dates are wrong.", "by operator"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in: %s", want, out)
		}
	}
	r.server.end(t, syscall.SIGTERM)
	r.serve(t)
	r.untilReady(t, "ready")
	if _, err := r.journey.open(t.Context(), "Queued: sealing is paused, nothing is lost", "The reason: the operator of this server has paused it."); err != nil {
		t.Error(err)
	}
	succeed(t, r.settings, "queue", "resume", "--everything")
	if _, err := r.journey.open(t.Context(), "Queued: sealing is paused, nothing is lost", "The reason: the operator of this server has paused it (The dates are wrong)."); err != nil {
		t.Error(err)
	}
	if out := succeed(t, r.settings, "queue", "drop", id); !strings.Contains(out, "1 claims were dropped") {
		t.Errorf("drop: %s", out)
	}
	succeed(t, r.settings, "queue", "resume")
	r.step(t, r.journey.canClaim)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	if got := list(); len(got) != 0 {
		t.Errorf("after sealing: %+v", got)
	}
}
