package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

func TestLaunchesList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	page := "connections/" + w.polder.reg.ID
	says(t, b.get(page), "None yet. Here you see each login and launch")
	says(t, b.get(page+"?only=refused"), "None was refused")
	w.traced(w.polder.reg, exampleTraces()...)
	got := b.get(page)
	says(
		t, got, "The last launch was refused: the signature could not be checked with the keys of the LMS.", "Launch · teacher · by the platform’s storage",
		"Clock 74 seconds behind ours", "kid-unknown", "Expected2025-03-aReceived2026-11-b", "differs from the registered one only by a slash at the end", "Notice",
	)
	got = b.get(page + "?only=refused")
	says(t, got, "refused only", "platform-unknown")
	silent(t, got, "0000-0000-0000-0002")
	w.traced(w.polder.reg, lti.Trace{ID: "5", Kind: lti.TraceLaunch, Code: lti.CodeSignature, Step: lti.StepKey, At: noon}, lti.Trace{ID: "6", Kind: lti.TraceLaunch, Code: "internal", Status: 500, At: noon.Add(-time.Hour)})
	says(t, b.get(page), "The last 2 launches were refused for the same reason", "Something went wrong on this server.")
}

func TestLaunchTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	w.traced(w.polder.reg, append(exampleTraces(), lti.Trace{ID: "broken", Kind: lti.TraceLaunch, Code: "internal", Status: 500},
		lti.Trace{ID: "odd", Kind: lti.TraceLogin, Code: lti.CodeDeploymentLength, Step: lti.StepMessage})...)
	page := "connections/" + w.polder.reg.ID + "/launches/"
	got := b.get(page + "0000-0000-0000-0004")
	want(t, got, http.StatusOK)
	says(
		t, got, "The signature could not be checked with the keys of the LMS.", "The signed message can be read: passed", "The signature is that of the LMS: failed",
		"The message is fresh: not reached", "kid-unknown · answered with status 401", "read https://moodle.polder.example/jwks: 200", "Took300µs", "aud",
	)
	says(t, b.get(page+"0000-0000-0000-0002"), "It came in", "The platform’s storage gave our secret back.", "Key 2026-11-b, RS256.", "Not usable, so ignored", "inside a page of the LMS", "Role here: teacher.")
	says(t, b.get(page+"0000-0000-0000-0003"), "Register it exactly so.", "The connection is found, and it is active: failed")
	says(t, b.get(page+"0000-0000-0000-0001"), "to nobody: the LMS told us by itself")
	says(t, b.get(page+"broken"), "Something went wrong on this server: failed", "Give the trace number to the operator")
	says(t, b.get(page+"odd"), "The message says what is needed: failed")
	want(t, b.get(page+"none"), http.StatusNotFound)

	second := w.pending(w.polder, "https://canvas-test.example", "https://canvas-test.example/jwks")
	want(t, b.get("connections/"+second.ID+"/launches/0000-0000-0000-0004"), http.StatusNotFound)
}

func TestFindTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	second := w.pending(w.polder, "https://canvas-test.example", "https://canvas-test.example/jwks")
	w.traced(second, lti.Trace{ID: "2c9e-b1f4-0d77-55aa", Kind: lti.TraceLaunch})
	w.traced(w.fjord.reg, lti.Trace{ID: "ffff-b1f4-0d77-55aa", Kind: lti.TraceLaunch})
	for _, typed := range []string{"2c9e-b1f4-0d77-55aa", " 2C9E B1F4 0D77 55AA ", "2c9eb1f40d7755aa", "2c9e‐b1f4–0d77-55aa"} {
		got := b.get("connections/find?trace=" + url.QueryEscape(typed))
		want(t, got, http.StatusSeeOther)
		if to := got.Header().Get("Location"); to != b.path("connections/"+second.ID+"/launches/2c9e-b1f4-0d77-55aa") {
			t.Errorf("%q leads to %s", typed, to)
		}
	}
	for _, typed := range []string{"ffff-b1f4-0d77-55aa", "abc", `"><script>alert(1)</script>`, strings.Repeat("ä", 500)} {
		got := b.get("connections/find?trace=" + url.QueryEscape(typed))
		want(t, got, http.StatusNotFound)
		says(t, got, "There is no launch with the number")
		silent(t, got, "<script>alert", strings.Repeat("ä", 100))
	}
	want(t, b.get("connections/find?trace="), http.StatusSeeOther)
}

// TestEveryStepHasWords reads the steps from the file that declares them.
func TestEveryStepHasWords(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../../../lti/refusals.go")
	must(t, err)
	steps := regexp.MustCompile(`Step\w+ +Step = "([^"]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(steps) < 10 {
		t.Fatalf("only %d steps were found", len(steps))
	}
	w := newWorld(t)
	b := w.enter(w.polder.launch("boss", roleAdmin))
	for i, step := range steps {
		id := fmt.Sprintf("step-%d", i)
		w.traced(w.polder.reg, lti.Trace{ID: id, Kind: lti.TraceLaunch, Code: "code", Step: lti.Step(step[1])})
		got := b.get("connections/" + w.polder.reg.ID + "/launches/" + id)
		want(t, got, http.StatusOK)
		silent(t, got, "Something went wrong on this server")
		if strings.Contains(got.Body.String(), "<strong></strong>") || strings.Contains(got.Body.String(), `<p></p>`) {
			t.Errorf("step %s has no name", step[1])
		}
	}
}
