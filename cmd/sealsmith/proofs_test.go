package main

import (
	"crypto/rand"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/democa"
)

// TestAuthorities reads the setting for time-stamping authorities.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	s := Settings{TSA: " https://anna:s3cret@tsa.example/q?x=1  http://other.example/tsr "}
	all, err := s.authorities()
	must(t, err)
	if len(all) != 2 || all[0].URL != "https://tsa.example/q?x=1" || all[0].User != "anna" || all[0].Password != "s3cret" ||
		all[1].URL != "http://other.example/tsr" || all[1].User != "" {
		t.Errorf("got %+v", all)
	}
	for _, bad := range []string{"tsa.example", "ftp://tsa.example", "https://", "https://x:s3cret@", "http://x:s3cret@tsa.example/", "https://x:s3cret@tsa.example:port"} {
		s := Settings{TSA: "https://tsa.example " + bad}
		if _, err := s.authorities(); err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "address 2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestAuthoritiesNeedTrust: whoever names an authority must say who vouches for it.
func TestAuthoritiesNeedTrust(t *testing.T) {
	t.Parallel()
	settings := []string{"SEALSMITH_DIR=" + t.TempDir(), "SEALSMITH_TSA=https://tsa.example"}
	p := start(t, settings, "serve")
	if code := p.exit(t); code != 1 || !strings.Contains(p.err.String(), "--tsa-trust") {
		t.Errorf("exit %d: %s", code, p.err.String())
	}
	settings[1] = "SEALSMITH_TSA=tsa.example"
	p = start(t, settings, "serve")
	if code := p.exit(t); code != 1 || !strings.Contains(p.err.String(), "address 1 must begin with https://") {
		t.Errorf("exit %d: %s", code, p.err.String())
	}
}

// TestAuthoritiesAway: while no authority answers credentials are sealed and handed out all
// the same, the operator sees why, and the proofs are added when one is back.
func TestAuthoritiesAway(t *testing.T) {
	t.Parallel()
	services := httptest.NewServer(nil)
	t.Cleanup(services.Close)
	ca, err := democa.New(democa.Options{BaseURL: services.URL, Now: time.Now, Rand: rand.Reader})
	must(t, err)
	services.Config.Handler = ca.Handler()
	down := democa.TSAFaults{Down: true}
	ca.SetFaults(democa.Faults{TSA: down, TSA2: down})
	r := newRigBy(t, ca)
	r.serve(t, "SEALSMITH_TSA="+services.URL+"/tsa "+services.URL+"/tsa2")
	r.untilReady(t, "ready")
	r.claimable(t)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	host := strings.TrimPrefix(services.URL, "http://")
	eventually(t, func() string {
		words := r.readyz(t).words("time-stamps of " + host)
		if strings.Contains(words, "503") && r.count(t, `credential_proofs where level = 'B' and last_error like '%503%'`) == 1 {
			return ""
		}
		return "readyz says: " + words
	})
	r.untilReady(t, "degraded")
	must(t, os.WriteFile(filepath.Join(r.dir, "artifacts", "trust.pem"), readAll(t, r.token.CAFile), 0o600))
	ca.SetFaults(democa.Faults{TSA: down})
	r.step(t, r.journey.sealed)
	if said := r.step(t, r.journey.preserved); !strings.HasPrefix(said, "JAdES B-LTA") {
		t.Error(said)
	}
	r.wants(t, 1, `credential_proofs where level = 'LTA' and last_error = ''`)
	// Not by the walk's own step, which runs the program that it is part of: here, this test.
	succeed(t, []string{"SEALSMITH_TRUST=" + r.token.CAFile}, "verify", filepath.Join(r.dir, "artifacts", "credential.jsonld"))
}

func readAll(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	must(t, err)
	return content
}
