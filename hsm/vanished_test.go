//go:build cgo

package hsm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sealsmith/sealsmith/hsm"
)

// envAlone is set in a process that has its SoftHSM for itself, see TestVanishedKey.
const envAlone = "SEALSMITH_HSM_ALONE"

// The files of a SoftHSM are gone for a while, as with a volume that is mounted late. Its driver
// does not see them again by itself; the token is used again all the same. Other tests would
// stumble over the files, and keep the driver from being started anew: so the test is a process.
func TestVanishedKey(t *testing.T) {
	t.Parallel()
	if os.Getenv(envAlone) != "" {
		vanish(t)
		return
	}
	alone := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVanishedKey$", "-test.count=1")
	alone.Env = append(os.Environ(), envAlone+"=1")
	if out, err := alone.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func vanish(t *testing.T) {
	made := makeToken(t, "vanished", "p256")
	s := start(t, config(made.TokenURI))
	s.await(t, hsm.StateReady)
	tokens, away := filepath.Join(lab.dir, "tokens"), filepath.Join(lab.dir, "away")
	if err := os.Rename(tokens, away); err != nil {
		t.Fatal(err)
	}
	if err := s.sign(t); err == nil {
		t.Error("a key that is gone has signed")
	}
	s.await(t, hsm.StateKeyMissing)
	if err := os.Rename(away, tokens); err != nil {
		t.Fatal(err)
	}
	s.await(t, hsm.StateReady)
	if err := s.sign(t); err != nil {
		t.Error(err)
	}
}
