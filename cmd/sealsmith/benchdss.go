//go:build cgo

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/demotoken"
	"github.com/sealsmith/sealsmith/issuance/jades"
)

// besideLine is one measured line: the same payload sealed on the same token by this program
// and by DSS, the library of the European Commission, on one thread each. Ratio is how many
// times less of a core a seal costs here.
type besideLine struct {
	Bench           string  `json:"bench"`
	Skipped         string  `json:"skipped,omitempty"`
	Alg             string  `json:"alg,omitempty"`
	Key             string  `json:"key,omitempty"`
	Bytes           int     `json:"payload_bytes,omitempty"`
	PerSecond       float64 `json:"seals_per_s,omitempty"`
	Microseconds    float64 `json:"cpu_us_per_seal,omitempty"`
	DSSPerSecond    float64 `json:"dss_seals_per_s,omitempty"`
	DSSMicroseconds float64 `json:"dss_cpu_us_per_seal,omitempty"`
	Ratio           float64 `json:"ratio,omitempty"`
}

// dssRate is what the Java program prints; see testdata/interop.
type dssRate struct {
	PerSecond    float64 `json:"seals_per_s"`
	Microseconds float64 `json:"cpu_us_per_seal"`
}

// How many seals are made before it counts, for a Java machine compiles while it runs, and for how
// long it counts.
const (
	besideWarmUp = 500
	besideTime   = 5 * time.Second
)

// beside measures both kinds of keys. judge is the folder with the compiled Java program.
func (b bench) beside(ctx context.Context, judge string, payload []byte) error {
	java, err := exec.LookPath("java")
	if err != nil {
		return b.out.Encode(besideLine{Bench: "seal beside DSS", Skipped: "SKIPPED: there is no Java"})
	}
	libraries, err := os.ReadFile(filepath.Join(judge, "classpath"))
	if err != nil {
		return b.out.Encode(besideLine{Bench: "seal beside DSS", Skipped: "SKIPPED: the Java program is not built (.ci/interop build)"})
	}
	classes := filepath.Join(judge, "classes") + string(os.PathListSeparator) + strings.TrimSpace(string(libraries))
	content := filepath.Join(b.dir, "payload.json")
	if err := os.WriteFile(content, payload, 0o600); err != nil {
		return err
	}
	for _, key := range []string{"rsa2048", "p256"} {
		made, err := demotoken.Make(ctx, demotoken.Options{Dir: b.tokens(), Label: "beside-" + key, KeyType: key, Now: time.Now, Rand: rand.Reader})
		if err != nil {
			return err
		}
		line, err := sealBeside(ctx, made, payload, besideWarmUp, besideTime)
		if err != nil {
			return err
		}
		line.Key = key
		slot, err := slotOfOthers(made.Serial)
		if err != nil {
			return err
		}
		uri, err := hsm.ParseURI(made.TokenURI)
		if err != nil {
			return err
		}
		dss, err := askDSS(exec.CommandContext(ctx, java, "-cp", classes, "interop.Main", "bench",
			"--module", uri.ModulePath, "--slot", slot, "--pin-file", made.PINFile, "--alias", made.Label, "--alg", line.Alg,
			"--payload", content, "--warm-up", strconv.Itoa(besideWarmUp), "--seconds", strconv.FormatFloat(besideTime.Seconds(), 'f', -1, 64)))
		if err != nil {
			return fmt.Errorf("seal with DSS: %w", err)
		}
		line.DSSPerSecond, line.DSSMicroseconds = dss.PerSecond, dss.Microseconds
		line.Ratio = line.DSSMicroseconds / line.Microseconds
		if err := b.out.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

func askDSS(java *exec.Cmd) (dssRate, error) {
	var said bytes.Buffer
	java.Stderr = &said
	out, err := java.Output()
	if err != nil {
		return dssRate{}, fmt.Errorf("%w: %s", err, said.String())
	}
	var rate dssRate
	if err := json.Unmarshal(out, &rate); err != nil {
		return dssRate{}, err
	}
	if rate.PerSecond <= 0 || rate.Microseconds <= 0 {
		return dssRate{}, errors.New("the Java program measured nothing")
	}
	return rate, nil
}

// sealBeside seals on one thread as the worker does it, first a number of times that do not count,
// then for a time that does.
func sealBeside(ctx context.Context, made demotoken.Made, payload []byte, warmUp int, during time.Duration) (line besideLine, err error) {
	token, err := hsm.New(hsm.Config{URI: made.TokenURI, Guard: benchGuard{}, PINSecret: make([]byte, 16), Now: time.Now})
	if err != nil {
		return line, err
	}
	token.Start(ctx)
	defer func() { err = errors.Join(err, token.Close()) }()
	key, err := token.Key(ctx)
	if err != nil {
		return line, err
	}
	seal := func() error {
		_, err := jades.Seal(ctx, token, jades.Key{ID: key.ID, Alg: key.Alg, Chain: key.Chain}, payload, time.Now())
		return err
	}
	for range warmUp {
		if err := seal(); err != nil {
			return line, err
		}
	}
	begun, cpu := time.Now(), cpuTime()
	n := 0
	// One seal is made however short the time is: a rate of none would be no measure.
	for n == 0 || time.Since(begun) < during {
		if err := seal(); err != nil {
			return line, err
		}
		n++
	}
	took, used := time.Since(begun), cpuTime()-cpu
	return besideLine{
		Bench: "seal beside DSS", Alg: key.Alg, Bytes: len(payload),
		PerSecond: float64(n) / took.Seconds(), Microseconds: float64(used.Microseconds()) / float64(n),
	}, nil
}

// slotOfOthers is the slot in which another process finds a token of SoftHSM: the end of its serial
// number, as soon as the library is loaded anew.
func slotOfOthers(serial string) (string, error) {
	const digits, mask = 8, 0x7fffffff
	if len(serial) < digits {
		return "", fmt.Errorf("%q is no serial number of SoftHSM", serial)
	}
	n, err := strconv.ParseUint(serial[len(serial)-digits:], 16, 32)
	return strconv.FormatUint(n&mask, 10), err
}
