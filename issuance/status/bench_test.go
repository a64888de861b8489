package status_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sealsmith/sealsmith/issuance/status"
)

// BenchmarkMillion is what a list of a million entries costs, one in a hundred withdrawn.
func BenchmarkMillion(b *testing.B) {
	const entries = 1 << 20
	m := newMint(b, "ES256")
	random := rand.New(rand.NewPCG(1, 2))
	a := status.NewArray(entries)
	for range entries / 100 {
		check(b, a.Set(random.IntN(entries), status.Value(1+random.IntN(2))))
	}
	bitstring := status.Bitstring{URI: uri, Purpose: status.PurposeRevocation, Issuer: "urn:x:1"}
	vc, err := status.SignBitstring(b.Context(), m, m.terms(), bitstring, a)
	check(b, err)
	token, err := status.SignToken(b.Context(), m, m.terms(), uri, a)
	check(b, err)
	b.Run("bitstring", func(b *testing.B) {
		for b.Loop() {
			_, err := status.SignBitstring(b.Context(), m, m.terms(), bitstring, a)
			check(b, err)
		}
		b.ReportMetric(float64(len(vc)), "bytes")
	})
	b.Run("token", func(b *testing.B) {
		for b.Loop() {
			_, err := status.SignToken(b.Context(), m, m.terms(), uri, a)
			check(b, err)
		}
		b.ReportMetric(float64(len(token)), "bytes")
	})
	b.Run("read_bitstring", func(b *testing.B) {
		for b.Loop() {
			_, err := status.ReadBitstring(vc, status.Options{Trust: m.pool(), At: noon})
			check(b, err)
		}
	})
	b.Run("read_token", func(b *testing.B) {
		for b.Loop() {
			_, err := status.ReadToken(token, status.Options{Trust: m.pool(), At: noon})
			check(b, err)
		}
	})
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			var all status.Places
			for i := range entries {
				all.Add(fmt.Sprintf("urn:credential:%08x-0000-4000-8000-%012x", i, i), i)
			}
			if x := status.NewIndex(&all); x.Digits != 2 {
				b.Fatal("not as long as it should be")
			}
		}
	})
}
