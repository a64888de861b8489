//go:build cgo

package interop_test

import (
	"bytes"
	"crypto/x509"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance/jades"
)

// testReverse turns it round: DSS seals on the same tokens, and we judge.
func testReverse(t *testing.T, p *provider, folder string, sealers []sealer) {
	passed, refused := 0, 0
	for _, s := range sealers {
		if s.key.Alg != "RS256" && s.key.Alg != "ES256" || s.mandate.name != "own" {
			continue // the Java program seals with these two
		}
		file := s.sealedByDSS(t, p, folder)
		passed++
		if v := p.ours(t, file); v.Proofs[0].Reached != jades.LevelB {
			t.Errorf("%s: level %q: %+v", s.name(), v.Proofs[0].Reached, v)
		} else if bad := v.faults(); len(bad) > 0 {
			t.Errorf("%s: %+v", s.name(), bad)
		}
		parsed, err := jades.Parse(file)
		must(t, err)
		if !bytes.Equal(parsed.Payload, s.payload) {
			t.Errorf("%s: another content", s.name())
		}
		refused++
		if bad := p.ours(t, swap(t, file, `PUT-2026-000123`, `PUT-2026-000124`)).faults(); len(bad) == 0 {
			t.Errorf("%s: a changed copy passes", s.name())
		}
	}
	count(t, passed, refused)
}

// verification is ours.
type verification struct{ jades.Verification }

func (p *provider) ours(tb testing.TB, file []byte) verification {
	tb.Helper()
	parsed, err := jades.Parse(file)
	must(tb, err)
	trust := x509.NewCertPool()
	trust.AddCert(p.ca.Certificate())
	return verification{parsed.Verify(jades.VerifyOptions{Trust: trust, At: time.Now()})}
}

// faults are the findings that are worse than a question that nobody was asked.
func (v verification) faults() []jades.Finding {
	var out []jades.Finding
	for _, f := range v.Findings {
		if f.Outcome == jades.Failed || f.Outcome == jades.Unknown {
			out = append(out, f)
		}
	}
	return out
}

func (s sealer) sealedByDSS(tb testing.TB, p *provider, folder string) []byte {
	tb.Helper()
	uri, err := hsm.ParseURI(s.made.TokenURI)
	must(tb, err)
	// Where another process finds a token of SoftHSM: the end of its serial number.
	slot, err := strconv.ParseUint(s.made.Serial[len(s.made.Serial)-8:], 16, 32)
	must(tb, err)
	out := p.path("dss-" + s.name() + ".jsonld")
	said, err := run(tb, "java", "-XX:TieredStopAtLevel=1", "-cp", classPath(tb, folder), "interop.Main", "bench", "--module", uri.ModulePath,
		"--slot", strconv.FormatUint(slot&0x7fffffff, 10), "--pin-file", s.made.PINFile, "--alias", s.made.Label, "--alg", s.key.Alg,
		"--payload", p.write(tb, "payload.json", s.payload), "--warm-up", "0", "--seconds", "0", "--keep", out)
	if err != nil {
		tb.Fatalf("%v\n%s", err, said)
	}
	file, err := os.ReadFile(out)
	must(tb, err)
	return file
}
