package jades_test

import (
	"bytes"
	"crypto/x509"
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
// crit. The authorities are found in xVals, so trusting those makes chains.
func TestOfficialSamples(t *testing.T) {
	t.Parallel()
	in2023 := time.Date(2023, time.October, 1, 0, 0, 0, 0, time.UTC)
	in2024, now := in2023.AddDate(0, 6, 0), noon
	stamps := result{jades.PartTimestamps, jades.Unknown, jades.ReasonTimestampAuthority}
	noTrust := result{jades.PartChain, jades.Unknown, jades.ReasonNoTrust}
	expired := result{jades.PartValidity, jades.Unknown, jades.ReasonExpiredSince}
	ended := result{jades.PartTimestamps, jades.Unknown, jades.ReasonTimestampExpired} // in December 2023, and nobody stamped again
	other := result{jades.PartTimestamps, jades.Failed, jades.ReasonTimestampOther}
	for name, file := range official(t) {
		f, err := jades.Parse(file)
		must(t, err)
		seals, authorities := authoritiesOf(f.Signatures[0])
		tampered := bytes.Replace(file, []byte("Organisation"), []byte("Organisatiom"), 1)
		for _, tc := range []struct {
			name  string
			file  []byte
			opts  jades.VerifyOptions
			level jades.Level
			want  []result
		}{
			{"nobody trusted, in 2024", file, options(nil, in2024), jades.LevelLTA, results(noTrust, stamps, stamps, stamps)},
			{"nobody trusted, now", file, options(nil, now), jades.LevelLTA, results(noTrust, expired, stamps, stamps, stamps)},
			{"seal trusted, now", file, options(seals, now), jades.LevelLTA, results(expired, stamps, stamps, stamps)},
			{"both trusted, in 2023", file, jades.VerifyOptions{Trust: seals, TimestampTrust: authorities, At: in2023}, jades.LevelLTA, nil},
			{"both trusted, in 2024", file, jades.VerifyOptions{Trust: seals, TimestampTrust: authorities, At: in2024}, jades.LevelLTA, results(ended, ended, ended)},
			{"both trusted, now", file, jades.VerifyOptions{Trust: seals, TimestampTrust: authorities, At: now}, jades.LevelLTA, results(expired, ended, ended, ended)},
			{"tampered, seal trusted, now", tampered, options(seals, now), jades.LevelNone, results(changed, expired, other, stamps, other)},
		} {
			t.Run(name+"/"+tc.name, func(t *testing.T) {
				t.Parallel()
				f, err := jades.Parse(tc.file)
				must(t, err)
				v := f.Verify(tc.opts)
				if diff := cmp.Diff(tc.want, notGood(v.Findings)); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
				if p := v.Proofs[0]; p.Claimed != jades.LevelLTA || p.Reached != tc.level || len(p.Timestamps) != 3 {
					t.Errorf("claimed %q, reached %q, %d time-stamps", p.Claimed, p.Reached, len(p.Timestamps))
				}
			})
		}
	}
}

// authoritiesOf picks from the certificates that came along the one that issued the seal
// certificate, and the roots, of which the one of the time-stamps is the only one.
func authoritiesOf(s jades.Signature) (seals, roots *x509.CertPool) {
	seals, roots = x509.NewCertPool(), x509.NewCertPool()
	for _, c := range s.Extra {
		if bytes.Equal(c.RawSubject, s.Leaf().RawIssuer) {
			seals.AddCert(c)
		}
		if bytes.Equal(c.RawSubject, c.RawIssuer) {
			roots.AddCert(c)
		}
	}
	return seals, roots
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
