//go:build cgo

package hsm_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/sealsmith/sealsmith/hsm"
)

// verify is an independent check of a signature in the form of JWS.
func verify(key hsm.Key, input, sig []byte) error {
	sum256, sum384 := sha256.Sum256(input), sha512.Sum384(input)
	digest := sum256[:]
	if key.Alg == "ES384" {
		digest = sum384[:]
	}
	switch pub := key.Chain[0].PublicKey.(type) {
	case *rsa.PublicKey:
		if key.Alg == "PS256" {
			return rsa.VerifyPSS(pub, crypto.SHA256, digest, sig, &rsa.PSSOptions{SaltLength: sha256.Size})
		}
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest, sig)
	case *ecdsa.PublicKey:
		half := len(sig) / 2
		if len(sig) != 2*((pub.Params().BitSize+7)/8) {
			return fmt.Errorf("%d bytes", len(sig))
		}
		if !ecdsa.Verify(pub, digest, new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])) {
			return errors.New("does not verify")
		}
	}
	return nil
}

func TestSign(t *testing.T) {
	t.Parallel()
	for kind, alg := range map[string]string{"rsa2048": "RS256", "rsa3072": "RS256", "p256": "ES256", "p384": "ES384"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			made := makeToken(t, "sign-"+kind, kind)
			token := start(t, config(made.TokenURI))
			key, err := token.Key(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(made.Seal.Raw)
			if key.Alg != alg || key.ID != hex.EncodeToString(sum[:]) || len(key.Chain) != 1 || !key.Chain[0].Equal(made.Seal) {
				t.Errorf("key %s %s with %d certificates", key.Alg, key.ID, len(key.Chain))
			}
			for _, input := range [][]byte{nil, []byte("a"), make([]byte, 1<<20)} {
				sig, err := token.Sign(t.Context(), key.ID, input)
				if err != nil {
					t.Fatal(err)
				}
				if err := verify(key, input, sig); err != nil {
					t.Errorf("%d bytes: %v", len(input), err)
				}
			}
			sig, err := token.Sign(t.Context(), key.ID, []byte("header"), []byte("."), []byte("payload"))
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(key, []byte("header.payload"), sig); err != nil {
				t.Errorf("in parts: %v", err)
			}
			h := token.Health()
			if h.State != hsm.StateReady || h.Signed != 4 || h.Failed != 0 || h.Logins != 1 || h.KeyID != key.ID ||
				h.Serial != made.Serial || !h.Seal.NotAfter.Equal(made.Seal.NotAfter) || h.Sessions != 2 {
				t.Errorf("health %+v", h)
			}
		})
	}
}

func TestSignPSS(t *testing.T) {
	t.Parallel()
	made := makeToken(t, "sign-pss", "rsa2048")
	token := start(t, config(uri(t, made, func(u *hsm.URI) { u.Algorithm = "PS256" })))
	key, err := token.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sig, err := token.Sign(t.Context(), key.ID, []byte("input"))
	if err != nil {
		t.Fatal(err)
	}
	if key.Alg != "PS256" || verify(key, []byte("input"), sig) != nil || verify(key, []byte("other"), sig) == nil {
		t.Errorf("%s signature of %d bytes does not verify", key.Alg, len(sig))
	}
}

func TestAlgorithmOfAnotherKind(t *testing.T) {
	t.Parallel()
	made := makeToken(t, "pss-on-a-curve", "p256")
	token := start(t, config(uri(t, made, func(u *hsm.URI) { u.Algorithm = "PS256" })))
	token.await(t, hsm.StateCertInvalid)
	if reason := token.Health().Reason; !strings.Contains(reason, "PS256") || !strings.Contains(reason, "ES256") {
		t.Errorf("reason %q names neither what is asked nor what can be", reason)
	}
}

func TestSignConcurrently(t *testing.T) {
	t.Parallel()
	token := start(t, config(makeToken(t, "concurrent", "p256").TokenURI))
	key, err := token.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for n := range 20 {
				input := fmt.Appendf(nil, "%d.%d", worker, n)
				sig, err := token.Sign(t.Context(), key.ID, input)
				if err == nil {
					err = verify(key, input, sig)
				}
				if err != nil {
					t.Errorf("%s: %v", input, err)
				}
			}
		})
	}
	wg.Wait()
	if h := token.Health(); h.Signed != 16*20 || h.Logins != 1 {
		t.Errorf("health %+v", h)
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	made := makeToken(t, "refuses", "p256")
	cfg := config(made.TokenURI)

	idle, err := hsm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	paused(t, idle, hsm.StateStopped)
	if err := idle.Close(); err != nil {
		t.Errorf("close what was never started: %v", err)
	}

	token := start(t, cfg)
	token.await(t, hsm.StateReady)
	if _, err := token.Sign(t.Context(), "another key", nil); !errors.Is(err, hsm.ErrKeyChanged) {
		t.Errorf("another key: %v", err)
	}
	ended, end := context.WithCancelCause(t.Context())
	gone := errors.New("the caller has left")
	end(gone)
	if _, err := token.Sign(ended, token.Health().KeyID, nil); !errors.Is(err, gone) {
		t.Errorf("ended context: %v", err)
	}
	if err := token.sign(t); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
	if err := token.Close(); err != nil {
		t.Fatal(err)
	}
	paused(t, token.Token, hsm.StateStopped)
}

// paused insists that the token does not sign, in a state and with a reason.
func paused(t *testing.T, token *hsm.Token, want hsm.State) {
	t.Helper()
	_, keyErr := token.Key(t.Context())
	_, signErr := token.Sign(t.Context(), "", nil)
	for _, err := range []error{keyErr, signErr} {
		why, ok := errors.AsType[*hsm.PausedError](err)
		if !errors.Is(err, hsm.ErrPaused) || !ok || why.State != want || why.Reason == "" {
			t.Errorf("got %v, want a pause in %s", err, want)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for _, kind := range []string{"rsa3072", "p256"} {
		b.Run(kind, func(b *testing.B) {
			token := start(b, config(makeToken(b, "bench-"+kind, kind).TokenURI))
			key, err := token.Key(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.SetParallelism(2)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := token.Sign(b.Context(), key.ID, []byte("header.payload")); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
