package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/elm"
)

// A profile is read as far as the stages need it: what was done is seen, in shares of 1.
func TestStages(t *testing.T) {
	pages, err := elm.NewRenderer()
	must(t, err)
	profile, err := profiled(func() error {
		for end := cpuTime() + 300*time.Millisecond; cpuTime() < end; {
			sha256.Sum256(make([]byte, 1<<16)) // nothing of ours
			if len(pages.Missing("王")) == 0 {
				return errors.New("a letter that no font has was found")
			}
			for range 2000 {
				pages.Missing("Wójcik-Papadopoulou, Aleksandra Zoë")
			}
		}
		return nil
	})
	must(t, err)
	shares, err := stagesOf(profile)
	must(t, err)
	sum := 0.0
	for _, s := range shares {
		sum += s
	}
	if shares["image"] < .1 || sum < .999 || sum > 1.001 {
		t.Errorf("shares %v", shares)
	}
	for _, bad := range [][]byte{nil, []byte("x"), profile[:len(profile)/2]} {
		if _, err := stagesOf(bad); err == nil {
			t.Errorf("%d bytes were read as a profile", len(bad))
		}
	}
}

func TestProcessTimes(t *testing.T) {
	t.Parallel()
	self, ok := readProcess("self")
	parent, there := readProcess(self.parent)
	if !ok || !there || self.own+parent.own+parent.ended < 0 {
		t.Errorf("self %+v, parent %+v", self, parent)
	}
	if _, ok := readProcess("0"); ok {
		t.Error("there is a process 0")
	}
}

// The lines of sealing are measured on the whole way, and their parts make a whole.
func TestBenchSeal(t *testing.T) {
	var out bytes.Buffer
	b := bench{dir: t.TempDir(), out: json.NewEncoder(&out), err: streams{out: &out, err: os.Stderr}, tokenDir: tokenFolder}
	what := fmt.Sprint("b", time.Now().UnixNano()%1e9)
	payload, err := b.sealing(context.WithoutCancel(t.Context()), sealRun{what: what, key: "p256", claims: 30})
	must(t, err)
	var line sealLine
	must(t, json.Unmarshal(out.Bytes(), &line))
	sum := 0.0
	for _, cpu := range line.Stages {
		sum += cpu
	}
	if line.Database != "sqlite" || line.Credentials != 90 || line.PerSecond <= 0 || line.RawPerSecond <= 0 || line.Ratio <= 0 || line.Best < line.Ratio ||
		line.Bytes < len(payload) || len(payload) == 0 || sum < .9*line.CPUMicroseconds || sum > 1.1*line.CPUMicroseconds {
		t.Errorf("stages of %v in %s", sum, out.Bytes())
	}
	out.Reset()
	must(t, b.slow(context.WithoutCancel(t.Context()), sealRun{what: what + "s", key: "p256", claims: 12}, 3*time.Second))
	var slow slowLine
	must(t, json.Unmarshal(out.Bytes(), &slow))
	if slow.Queued != 12 || slow.Signatures == 0 || slow.Utilisation <= 0 || slow.Utilisation > 1.001 {
		t.Errorf("slow token: %s", out.Bytes())
	}
}
