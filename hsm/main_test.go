//go:build cgo

package hsm_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
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
	"github.com/sealsmith/sealsmith/hsm/demotoken"
)

// Commands and counters of testdata/p11fault.c.
const (
	signDelay   = 1
	signRV      = 2
	signRVCount = 3
	removed     = 4
	loss        = 5
	pinMax      = 6
	pinLeft     = 7
	hang        = 8
	loginRV     = 9
	maxSessions = 10
	dead        = 11
	wrongSig    = 12
	pulled      = 13
	call        = 14
	callRV      = 15
	callCount   = 16
	loginHang   = 17
	noPINFlags  = 18

	logins       = 32
	loginsBad    = 33
	finalizes    = 34
	sessionsOpen = 35
	races        = 36
	signs        = 37
	busy         = 38

	words = 64
)

// The calls that the command call can name.
const (
	openSession     = 1
	findObjectsInit = 2
	findObjects     = 3
	signInit        = 4
)

// bench is what all tests of the process share: SoftHSM is process-wide, so it is one
// folder and one module, with the fault injector in front of it.
type bench struct {
	dir    string
	module string
	word   *[words]atomic.Uint64
}

var lab bench

func TestMain(m *testing.M) {
	if os.Getenv(envURI) != "" {
		if err := serveOnce(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "hsm")
	if err != nil {
		panic(err)
	}
	if err := lab.build(dir); err != nil {
		fmt.Fprintln(os.Stderr, "build the fault injector, which needs gcc and softhsm2:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func (b *bench) build(dir string) error {
	headers, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
	if err != nil {
		return err
	}
	module := filepath.Join(dir, "p11fault.so")
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-I", strings.TrimSpace(string(headers)),
		"-o", module, "testdata/p11fault.c", "-ldl", "-lpthread").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	control := filepath.Join(dir, "control")
	if err := os.WriteFile(control, make([]byte, words*8), 0o600); err != nil {
		return err
	}
	file, err := os.OpenFile(control, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	mem, err := syscall.Mmap(int(file.Fd()), 0, words*8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	*b = bench{dir: filepath.Join(dir, "softhsm"), module: module, word: (*[words]atomic.Uint64)(unsafe.Pointer(&mem[0]))}
	return errors.Join(os.Setenv("P11FAULT_MODULE", softHSM()), os.Setenv("P11FAULT_CTL", control))
}

func softHSM() string {
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// faults hands the fault injector to one test, which must not be parallel, and takes all
// faults back at its end.
func faults(tb testing.TB) *[words]atomic.Uint64 {
	tb.Helper()
	for _, counter := range []int{logins, loginsBad, finalizes, races, signs, busy} {
		lab.word[counter].Store(0)
	}
	tb.Cleanup(func() {
		for command := signDelay; command <= noPINFlags; command++ {
			if command != loss {
				lab.word[command].Store(0)
			}
		}
		if n := lab.word[races].Load(); n != 0 {
			tb.Errorf("%d times two threads were in one session", n)
		}
	})
	return lab.word
}

// makeToken makes a token with a label of its own.
func makeToken(tb testing.TB, label, kind string) demotoken.Made {
	tb.Helper()
	made, err := demotoken.Make(tb.Context(), demotoken.Options{
		Dir: lab.dir, Label: label, KeyType: kind, Now: time.Now, Rand: rand.Reader, Module: lab.module,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return made
}

// config is a complete Config for a token, with a guard of its own and short polls.
func config(uri string) hsm.Config {
	return hsm.Config{
		URI: uri, Sessions: 2, Guard: &memoryGuard{}, PINSecret: []byte("0123456789abcdef"), Host: "testhost",
		Now: time.Now, PollInterval: 10 * time.Millisecond,
	}
}

// started is a Token whose changes of state a test can wait for.
type started struct {
	*hsm.Token
	states chan hsm.State
}

// start starts a Token and closes it at the end of the test.
func start(tb testing.TB, cfg hsm.Config) started {
	tb.Helper()
	s := started{states: make(chan hsm.State, 10000)}
	cfg.Logger = slog.New(stateHandler{s.states})
	token, err := hsm.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	s.Token = token
	token.Start(tb.Context())
	tb.Cleanup(func() {
		if err := token.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// await waits until the token enters a state.
func (s started) await(tb testing.TB, want hsm.State) {
	tb.Helper()
	patience := time.After(20 * time.Second)
	for {
		select {
		case state := <-s.states:
			if state == want {
				return
			}
		case <-patience:
			tb.Fatalf("the token did not become %s: %+v", want, s.Health())
		}
	}
}

// sign makes one signature with the current key.
func (s started) sign(tb testing.TB) error {
	tb.Helper()
	key, err := s.Key(tb.Context())
	if err != nil {
		return err
	}
	_, err = s.Sign(tb.Context(), key.ID, []byte("header.payload"))
	return err
}

// stateHandler turns the log into states.
type stateHandler struct{ states chan hsm.State }

func (stateHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h stateHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h stateHandler) WithGroup(string) slog.Handler          { return h }
func (h stateHandler) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "state" {
			h.states <- hsm.State(a.Value.String())
		}
		return true
	})
	return nil
}

// memoryGuard is a PINGuard for tests that are not about the record; it counts.
type memoryGuard struct {
	mu       sync.Mutex
	state    map[string]string
	begun    int
	allowed  int
	failed   error         // of Finish
	finished chan struct{} // told of a Finish that did not fail
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
	g.begun++
	return nil
}

func (g *memoryGuard) Finish(_ context.Context, serial, fingerprint string, good bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil {
		return g.failed
	}
	g.state[serial+fingerprint] = "bad"
	if good {
		g.state[serial+fingerprint] = "good"
	}
	select {
	case g.finished <- struct{}{}:
	default:
	}
	return nil
}

func (g *memoryGuard) Allowed(context.Context, string) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.allowed == 0 {
		return false, nil
	}
	g.allowed--
	return true, nil
}

// allow permits one login although the token reports wrong PINs.
func (g *memoryGuard) allow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.allowed++
}

func (g *memoryGuard) attempts() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.begun
}
