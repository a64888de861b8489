package jades_test

import (
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// BenchmarkVerify reads and judges a credential with a picture, as big as the official samples,
// at each level.
func BenchmarkVerify(b *testing.B) {
	p := newProvider(b)
	file, err := jades.Seal(b.Context(), p.soft, p.sealer().key, []byte(`{"page":"`+strings.Repeat("QUJD", 25_000)+`"}`), p.now)
	must(b, err)
	for _, step := range []struct {
		level jades.Level
		add   func(testing.TB, []byte) []byte
	}{{jades.LevelB, nil}, {jades.LevelT, p.toT}, {jades.LevelLT, p.toLT}, {jades.LevelLTA, p.toLTA}} {
		if step.add != nil {
			file = step.add(b, file)
		}
		b.Run(string(step.level), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				f, err := jades.Parse(file)
				must(b, err)
				v := f.Verify(p.trusting())
				if bad := notGood(v.Findings); bad != nil || v.Proofs[0].Reached != step.level {
					b.Fatal(v.Proofs[0].Reached, bad)
				}
			}
		})
	}
}

// BenchmarkAugment adds each level to the one before, the authority's answer at hand.
func BenchmarkAugment(b *testing.B) {
	p := newProvider(b)
	file, err := jades.Seal(b.Context(), p.soft, p.sealer().key, []byte(`{"page":"`+strings.Repeat("QUJD", 25_000)+`"}`), p.now)
	must(b, err)
	imprint, err := jades.SignatureImprint(file)
	must(b, err)
	token, values := p.stamp(b, imprint), p.values(b)
	lt := p.toLT(b, p.toT(b, file))
	imprint, err = jades.ArchiveImprint(lt)
	must(b, err)
	archive := p.stamp(b, imprint)
	for _, step := range []struct {
		name string
		add  func() ([]byte, error)
	}{
		{"AddTimestamp", func() ([]byte, error) { return jades.AddTimestamp(file, token) }},
		{"AddValues", func() ([]byte, error) { return jades.AddValues(p.toT(b, file), values) }},
		{"AddArchive", func() ([]byte, error) { return jades.AddArchive(lt, archive) }},
	} {
		b.Run(step.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := step.add()
				must(b, err)
			}
		})
	}
}
