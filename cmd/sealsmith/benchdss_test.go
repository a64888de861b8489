package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/demotoken"
)

// What is measured beside DSS was really sealed, and whoever has no DSS is told so.
func TestBenchBeside(t *testing.T) {
	t.Parallel()
	made, err := demotoken.Make(t.Context(), demotoken.Options{
		Dir: tokenFolder, Label: fmt.Sprintf("beside-%d", time.Now().UnixNano()), KeyType: "p256", Now: time.Now, Rand: rand.Reader,
	})
	must(t, err)
	line, err := sealBeside(t.Context(), made, []byte(`{"id":"urn:credential:1"}`), 1, time.Millisecond)
	must(t, err)
	if line.Alg != "ES256" || line.Bytes != 25 || line.PerSecond <= 0 {
		t.Errorf("%+v", line)
	}
	if _, err := sealBeside(t.Context(), made, []byte(`no content`), 1, time.Millisecond); err == nil {
		t.Error("what cannot be sealed was measured")
	}

	var out bytes.Buffer
	b := bench{dir: t.TempDir(), out: json.NewEncoder(&out)}
	must(t, b.beside(t.Context(), filepath.Join(b.dir, "nothing"), nil))
	if !strings.Contains(out.String(), "SKIPPED") || strings.Contains(out.String(), "ratio") {
		t.Error(out.String())
	}
}

func TestBenchAsksDSS(t *testing.T) {
	t.Parallel()
	program := func(script string) *exec.Cmd {
		path := filepath.Join(t.TempDir(), "java")
		must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700))
		return exec.CommandContext(t.Context(), "sh", path)
	}
	rate, err := askDSS(program(`echo '{"alg":"ES256","seals":7,"seals_per_s":3.5,"cpu_us_per_seal":900}'`))
	must(t, err)
	if rate != (dssRate{PerSecond: 3.5, Microseconds: 900}) {
		t.Errorf("%+v", rate)
	}
	for script, want := range map[string]string{
		"echo no key on the token >&2; exit 1":               "no key on the token",
		"echo a word":                                        "invalid character",
		`echo '{"seals_per_s":0,"cpu_us_per_seal":0}'; true`: "measured nothing",
	} {
		if _, err := askDSS(program(script)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

func TestSlotOfOthers(t *testing.T) {
	t.Parallel()
	if got, err := slotOfOthers("2fc993cd9c883405"); err != nil || got != "478688261" {
		t.Errorf("%s, %v", got, err)
	}
	for _, serial := range []string{"", "1234567", "abcdefgh"} {
		if got, err := slotOfOthers(serial); err == nil {
			t.Errorf("%q is in slot %s", serial, got)
		}
	}
}
