package hsm_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

// device is a token of the mind: it counts, and answers what a test tells it to.
type device struct {
	mu     sync.Mutex
	health hsm.Health
	err    error
	signed int
	input  string        // of the last signature, its parts with a bar between them
	hold   chan struct{} // not nil: a signature waits for it
}

func (d *device) Key(context.Context) (hsm.Key, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.health.State != hsm.StateReady {
		return hsm.Key{}, &hsm.PausedError{State: d.health.State, Reason: d.health.Reason}
	}
	return hsm.Key{ID: d.health.KeyID}, nil
}

func (d *device) Sign(_ context.Context, _ string, input ...[]byte) ([]byte, error) {
	d.mu.Lock()
	d.health.Busy++
	d.input = string(bytes.Join(input, []byte("|")))
	hold, err := d.hold, d.err
	d.mu.Unlock()
	if hold != nil {
		<-hold
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.health.Busy--
	d.signed++
	return []byte(d.health.Label), err
}

func (d *device) Health() hsm.Health {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.health
}

func (d *device) set(change func(*device)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func ready(label, key string, rate float64) *device {
	return &device{health: hsm.Health{State: hsm.StateReady, Label: label, KeyID: key, Rate: rate, Reason: "seals"}}
}

// seal asks for a key and signs with it; it returns the label of the token.
func seal(t *testing.T, p *hsm.Pool) (string, error) {
	t.Helper()
	key, err := p.Key(t.Context())
	if err != nil {
		return "", err
	}
	sig, err := p.Sign(t.Context(), key.ID, nil)
	return string(sig), err
}

func TestPoolSignsAllParts(t *testing.T) {
	t.Parallel()
	d := ready("token", "k", 10)
	if _, err := hsm.NewPool(time.Now, d).Sign(t.Context(), "k", []byte("header."), []byte("payload")); err != nil || d.input != "header.|payload" {
		t.Errorf("%q was signed: %v", d.input, err)
	}
}

// Keys that were handed out count as work to come, so a slow token gets its share only.
func TestPoolSharesByRate(t *testing.T) {
	t.Parallel()
	fast, slow := ready("fast", "f", 30), ready("slow", "s", 10)
	p := hsm.NewPool(time.Now, slow, fast)
	got := map[string]int{}
	for range 40 {
		key, err := p.Key(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got[key.ID]++
	}
	if got["f"] != 30 || got["s"] != 10 {
		t.Errorf("shares %v, want 30 and 10", got)
	}
	if p.Rate() != 40 || !p.Usable() {
		t.Errorf("rate %v", p.Rate())
	}
}

func TestPoolPrefersTheShorterQueue(t *testing.T) {
	t.Parallel()
	a, b := ready("a", "a", 10), ready("b", "b", 10)
	a.set(func(d *device) { d.health.Busy = 3 })
	if label, err := seal(t, hsm.NewPool(time.Now, a, b)); label != "b" || err != nil {
		t.Errorf("sealed by %s: %v", label, err)
	}
}

func TestPoolGoesOnWithoutAToken(t *testing.T) {
	t.Parallel()
	gone, other := ready("gone", "g", 100), ready("other", "o", 1)
	p := hsm.NewPool(time.Now, gone, other)
	gone.set(func(d *device) { d.health.State, d.health.Reason = hsm.StateAbsent, "plug it in" })
	if label, err := seal(t, p); label != "other" || err != nil {
		t.Fatalf("sealed by %s: %v", label, err)
	}
	other.set(func(d *device) { d.health.State, d.health.Reason = hsm.StatePINBlocked, "unblock it" })
	_, err := seal(t, p)
	paused, ok := errors.AsType[*hsm.PausedError](err)
	if !ok || !strings.Contains(paused.Reason, "gone: plug it in") || !strings.Contains(paused.Reason, "other: unblock it") {
		t.Errorf("got %v", err)
	}
	if p.Usable() || p.Rate() != 0 {
		t.Error("a pool without a usable token says that it has one")
	}
	gone.set(func(d *device) { d.health.State = hsm.StateReady })
	if label, err := seal(t, p); label != "gone" || err != nil {
		t.Errorf("back again, sealed by %s: %v", label, err)
	}
}

func TestPoolFailsOverToTheSameKey(t *testing.T) {
	t.Parallel()
	a, b, stranger := ready("a", "same", 10), ready("b", "same", 9), ready("c", "other", 1)
	p := hsm.NewPool(time.Now, a, b, stranger)
	a.set(func(d *device) { d.err = hsm.ErrSignTimeout })
	for i := range 5 {
		if sig, err := p.Sign(t.Context(), "same", nil); string(sig) != "b" || err != nil {
			t.Fatalf("signature %d by %s: %v", i, sig, err)
		}
	}
	if a.signed != 3 || b.signed != 5 || stranger.signed != 0 {
		t.Errorf("asked %d, %d and %d times: a token that fails is asked three times, then left alone", a.signed, b.signed, stranger.signed)
	}
	if _, err := p.Sign(t.Context(), "nobody's", nil); !errors.Is(err, hsm.ErrKeyChanged) {
		t.Errorf("a key that no token holds: %v", err)
	}
}

func TestPoolLetsATokenRest(t *testing.T) {
	t.Parallel()
	now := time.Now()
	bad, good := ready("bad", "b", 100), ready("good", "g", 1)
	p := hsm.NewPool(func() time.Time { return now }, bad, good)
	bad.set(func(d *device) { d.err = hsm.ErrSignature })
	for range 3 {
		if _, err := seal(t, p); !errors.Is(err, hsm.ErrSignature) {
			t.Fatalf("got %v", err)
		}
	}
	if label, err := seal(t, p); label != "good" || err != nil {
		t.Fatalf("sealed by %s: %v", label, err)
	}
	bad.set(func(d *device) { d.err = nil })
	now = now.Add(31 * time.Second)
	if label, err := seal(t, p); label != "bad" || err != nil {
		t.Errorf("after its rest, sealed by %s: %v", label, err)
	}
	good.set(func(d *device) { d.health.State = hsm.StateAbsent })
	bad.set(func(d *device) { d.err = hsm.ErrSignature })
	for range 4 {
		if _, err := seal(t, p); !errors.Is(err, hsm.ErrSignature) {
			t.Fatalf("the only one that is left must not rest: %v", err)
		}
	}
}

func TestPoolOfNone(t *testing.T) {
	t.Parallel()
	if _, err := hsm.NewPool(time.Now).Key(t.Context()); !errors.Is(err, hsm.ErrPaused) {
		t.Errorf("got %v", err)
	}
}

// Two tokens that hold every signature back share the waiting ones evenly.
func TestPoolUnderLoad(t *testing.T) {
	t.Parallel()
	a, b := ready("a", "a", 20), ready("b", "b", 20)
	a.hold, b.hold = make(chan struct{}), make(chan struct{})
	p := hsm.NewPool(time.Now, a, b)
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			if _, err := seal(t, p); err != nil {
				errs <- fmt.Errorf("seal: %w", err)
			}
		})
	}
	for a.Health().Busy+b.Health().Busy < 8 {
		runtime.Gosched()
	}
	if a.Health().Busy < 3 || b.Health().Busy < 3 {
		t.Errorf("%d and %d signatures wait", a.Health().Busy, b.Health().Busy)
	}
	close(a.hold)
	close(b.hold)
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if a.signed+b.signed != 8 {
		t.Errorf("%d and %d signatures", a.signed, b.signed)
	}
}

// sworn is a device that says with which certificate it verifies.
type sworn struct {
	*device
	leaf *x509.Certificate
}

func (s sworn) Vouches(_ string, leaf *x509.Certificate) bool { return leaf == s.leaf }

// A pool vouches for a key only when every token that may sign with it does.
func TestPoolVouches(t *testing.T) {
	t.Parallel()
	leaf, other := &x509.Certificate{}, &x509.Certificate{}
	holds := func(key string) *device { return &device{health: hsm.Health{KeyID: key}} }
	for _, tc := range []struct {
		name    string
		devices []hsm.Device
		want    bool
	}{
		{"nobody", nil, false},
		{"another key", []hsm.Device{sworn{holds("b"), leaf}}, false},
		{"one", []hsm.Device{sworn{holds("a"), leaf}, holds("b")}, true},
		{"one that does not say", []hsm.Device{holds("a")}, false},
		{"its twin does not say", []hsm.Device{sworn{holds("a"), leaf}, holds("a")}, false},
		{"its twin has another certificate", []hsm.Device{sworn{holds("a"), leaf}, sworn{holds("a"), other}}, false},
	} {
		if got := hsm.NewPool(time.Now, tc.devices...).Vouches("a", leaf); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
