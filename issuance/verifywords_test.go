package issuance

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryReasonHasWords reads the reasons out of package jades, so that a new one without a
// sentence for people does not pass.
func TestEveryReasonHasWords(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("jades", "verify.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`Reason\w+\s+Reason = "(\w+)"`).FindAllSubmatch(source, -1)
	if len(found) < 25 {
		t.Fatalf("only %d reasons found", len(found))
	}
	for _, f := range found {
		reason := string(f[1])
		if checkWords["seal."+reason]+checkWords["certificate."+reason]+checkWords["timestamps."+reason] == "" {
			t.Errorf("no words for %s", reason)
		}
	}
}

// TestEveryBadCheckHasHeadline: whatever fails or stays unknown, something stands above it.
func TestEveryBadCheckHasHeadline(t *testing.T) {
	t.Parallel()
	for key := range checkWords {
		id, reason, ok := strings.Cut(key, ".")
		if !ok || id == "revocation" {
			continue
		}
		for _, outcome := range []Outcome{OutcomeFailed, OutcomeUnknown} {
			if id == "timestamps" && outcome == OutcomeUnknown {
				continue // does not touch the verdict
			}
			if id == "content" && outcome == OutcomeUnknown {
				continue // content is there or not
			}
			if h := headlineFor(Answer{ID: id, Reason: reason, Outcome: outcome}); h.headline == "" || h.next == "" {
				t.Errorf("no headline for %s %s", key, outcome)
			}
		}
	}
}
