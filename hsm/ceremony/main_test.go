//go:build cgo

package ceremony_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/ceremony"
	"github.com/sealsmith/sealsmith/hsm/demotoken"
)

// Words of ../testdata/p11fault.c that these tests use.
const (
	removed  = 4
	pinMax   = 6
	pinLeft  = 7
	dead     = 11
	wrongSig = 12
	logins   = 32
	words    = 64
)

// lab is SoftHSM behind the fault injector of package hsm.
var lab struct {
	dir, module string
	word        *[words]atomic.Uint64
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ceremony")
	if err != nil {
		panic(err)
	}
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, "build the fault injector, which needs gcc and softhsm2:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func build(dir string) error {
	headers, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
	if err != nil {
		return err
	}
	lab.dir, lab.module = filepath.Join(dir, "tokens"), filepath.Join(dir, "p11fault.so")
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-I", strings.TrimSpace(string(headers)),
		"-o", lab.module, "../testdata/p11fault.c", "-ldl", "-lpthread").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	file, err := os.Create(filepath.Join(dir, "control"))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(words * 8); err != nil {
		return err
	}
	mem, err := syscall.Mmap(int(file.Fd()), 0, words*8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	lab.word = (*[words]atomic.Uint64)(unsafe.Pointer(&mem[0]))
	real := ""
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil && real == "" {
			real = path
		}
	}
	return errors.Join(os.Setenv("P11FAULT_MODULE", real), os.Setenv("P11FAULT_CTL", file.Name()))
}

// faults hands the fault injector to one test, which must not be parallel.
func faults(t *testing.T) *[words]atomic.Uint64 {
	t.Helper()
	lab.word[logins].Store(0)
	t.Cleanup(func() {
		for command := range logins {
			lab.word[command].Store(0)
		}
	})
	return lab.word
}

func makeToken(t *testing.T, label, kind string) demotoken.Made {
	t.Helper()
	made, err := demotoken.Make(t.Context(), demotoken.Options{
		Dir: lab.dir, Label: label, KeyType: kind, Now: time.Now, Rand: rand.Reader, Module: lab.module,
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// whole is the token's URI without the key.
func whole(t *testing.T, made demotoken.Made) hsm.URI {
	t.Helper()
	uri, err := hsm.ParseURI(made.TokenURI)
	if err != nil {
		t.Fatal(err)
	}
	uri.ID = nil
	return uri
}

func config(uri hsm.URI) hsm.Config {
	return hsm.Config{
		URI: uri.Unredacted(), Guard: &memoryGuard{}, PINSecret: []byte("0123456789abcdef"), Host: "testhost",
		Now: time.Now, PollInterval: 10 * time.Millisecond,
	}
}

func open(t *testing.T, cfg hsm.Config) *ceremony.Session {
	t.Helper()
	s, err := ceremony.Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// memoryGuard is a PINGuard that keeps its record in memory; the real one has its tests in
// package hsm.
type memoryGuard struct {
	mu     sync.Mutex
	state  map[string]string
	failed error // of Finish
}

func (g *memoryGuard) Begin(_ context.Context, serial, fingerprint, _ string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == nil {
		g.state = map[string]string{}
	}
	if state := g.state[serial+fingerprint]; state == "pending" || state == "bad" {
		return hsm.ErrPINBlocked
	}
	g.state[serial+fingerprint] = "pending"
	return nil
}

func (g *memoryGuard) Finish(_ context.Context, serial, fingerprint string, good bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil {
		return g.failed
	}
	g.state[serial+fingerprint] = map[bool]string{true: "good", false: "bad"}[good]
	return nil
}

func (g *memoryGuard) Allowed(context.Context, string) (bool, error) { return false, nil }
