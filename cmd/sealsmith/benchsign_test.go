package main

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/demotoken"
)

// A line of `bench` compares two things that were both done, with the token's own key.
func TestBenchSign(t *testing.T) {
	t.Parallel()
	made, err := demotoken.Make(t.Context(), demotoken.Options{
		Dir: tokenFolder, Label: fmt.Sprintf("bench-%d", time.Now().UnixNano()), KeyType: "p256", Now: time.Now, Rand: rand.Reader,
	})
	must(t, err)
	line, err := signBeside(t.Context(), made.TokenURI, 2, 3)
	must(t, err)
	for name, value := range map[string]float64{
		"hsm": line.PerSecond, "raw": line.RawPerSecond, "ratio": line.Ratio, "cpu": line.CPUMicroseconds,
		"raw cpu": line.RawMicroseconds, "allocations": line.Allocations, "bytes": line.Bytes,
	} {
		if value <= 0 {
			t.Errorf("%s: %v", name, value)
		}
	}
	if _, err := signBeside(t.Context(), made.TokenURI+"&pin-value=1234", 1, 1); err == nil {
		t.Error("a token that cannot be used was measured")
	}
}
