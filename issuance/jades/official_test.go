package jades_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// official reads the sealed samples of the European Commission.
func official(tb testing.TB) map[string][]byte {
	tb.Helper()
	out := make(map[string][]byte)
	for _, name := range []string{"Sample-MC-Annex1-signed.jsonld", "Sample-CertOfPart-signed.jsonld"} {
		file, err := os.ReadFile(filepath.Join("..", "..", "testdata", "jades", "official", name))
		must(tb, err)
		out[name] = file
	}
	return out
}

// TestOfficialSamples reads seals that DSS made: level LTA of 2023, with sigT and adoTst in
// crit. The authority is found in xVals, so trusting that one makes a chain.
func TestOfficialSamples(t *testing.T) {
	t.Parallel()
	stamps := result{jades.PartTimestamps, jades.Unknown, jades.ReasonTimestampAuthority}
	for name, file := range official(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := jades.Parse(file)
			must(t, err)
			if diff := cmp.Diff([]string{"sigTst", "xVals", "rVals", "arcTst"}, f.Signatures[0].Unsigned); diff != "" {
				t.Errorf("unsigned parts (-want +got):\n%s", diff)
			}
			in2024, now := time.Date(2024, time.March, 1, 0, 0, 0, 0, time.UTC), noon
			want := results(result{jades.PartChain, jades.Unknown, jades.ReasonNoTrust}, stamps, stamps)
			if diff := cmp.Diff(want, notGood(f.Verify(options(nil, in2024)).Findings)); diff != "" {
				t.Errorf("in 2024 (-want +got):\n%s", diff)
			}
			want = results(result{jades.PartChain, jades.Unknown, jades.ReasonNoTrust},
				result{jades.PartValidity, jades.Unknown, jades.ReasonExpiredSince}, stamps, stamps)
			if diff := cmp.Diff(want, notGood(f.Verify(options(nil, now)).Findings)); diff != "" {
				t.Errorf("now (-want +got):\n%s", diff)
			}
			trust := newAuthority(t, "Somebody else", nil).pool()
			for _, c := range f.Signatures[0].Extra {
				if bytes.Equal(c.RawSubject, f.Signatures[0].Leaf().RawIssuer) {
					trust.AddCert(c)
				}
			}
			want = results(result{jades.PartValidity, jades.Unknown, jades.ReasonExpiredSince}, stamps, stamps)
			if diff := cmp.Diff(want, notGood(f.Verify(options(trust, now)).Findings)); diff != "" {
				t.Errorf("now, authority trusted (-want +got):\n%s", diff)
			}
			tampered := bytes.Replace(file, []byte("Organisation"), []byte("Organisatiom"), 1)
			f, err = jades.Parse(tampered)
			must(t, err)
			if diff := cmp.Diff(append(results(changed), want...), notGood(f.Verify(options(trust, now)).Findings)); diff != "" {
				t.Errorf("tampered (-want +got):\n%s", diff)
			}
		})
	}
}

// TestKeyIdentifier compares our kid with the one that DSS wrote for the same certificate.
func TestKeyIdentifier(t *testing.T) {
	t.Parallel()
	for name, file := range official(t) {
		f, err := jades.Parse(file)
		must(t, err)
		header, err := base64.RawURLEncoding.DecodeString(wireOf(t, file).Signatures[0].Protected)
		must(t, err)
		var h struct {
			Kid string `json:"kid"`
		}
		must(t, json.Unmarshal(header, &h))
		got, err := jades.KeyIdentifier(f.Signatures[0].Leaf())
		must(t, err)
		if diff := cmp.Diff(h.Kid, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
