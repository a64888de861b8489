//go:build cgo

package hsm

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Token is one key on one token. It is safe for concurrent use.
type Token struct {
	cfg  Config
	uri  URI
	jobs chan *job // unbuffered: a job is taken by a session that is ready for it

	start sync.Once
	ended chan struct{} // closed when the supervisor has ended

	signed, failed, logins atomic.Uint64
	stuck                  atomic.Int32 // sessions that hang in the module, of all connections

	busy atomic.Int32
	wake chan struct{} // tells the supervisor that waiting has become pointless

	mu      sync.Mutex
	health  Health
	pace    time.Duration // what one signature keeps a session busy, smoothed; 0 until one was made
	given   pin           // by Unseal, in place of a PIN file
	refused string        // why the PIN given last is not kept
	conn    *conn
	changed chan struct{} // closed at the next change of state
	stop    context.CancelFunc
}

// New makes a Token of a Config. It fails only with ErrConfig, for what no token could
// make right; it touches neither token nor files. Call Start to connect.
func New(cfg Config) (*Token, error) {
	cfg, uri, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	t := &Token{
		cfg:     cfg,
		uri:     uri,
		jobs:    make(chan *job),
		ended:   make(chan struct{}),
		changed: make(chan struct{}),
		wake:    make(chan struct{}, 1),
	}
	t.health = Health{State: StateStopped, Reason: "the token has not been started", Since: cfg.Now().UTC(), Label: uri.Token, Serial: uri.Serial}
	return t, nil
}

// Start connects in the background and returns at once. It keeps trying while the token
// is absent and reconnects when it was lost, until ctx ends or Close is called. A second
// Start does nothing.
func (t *Token) Start(ctx context.Context) {
	t.start.Do(func() {
		ctx, stop := context.WithCancel(ctx)
		t.mu.Lock()
		t.stop = stop
		t.mu.Unlock()
		t.become(StateConnecting, "the token is being connected; this takes a few seconds")
		go func() {
			defer close(t.ended)
			newSupervisor(t).run(ctx)
		}()
	})
}

// Close ends the sessions, which logs out, and waits for running signatures up to
// SignTimeout. It fails when a call hangs in the driver; nothing can be done about that
// but to end the process.
func (t *Token) Close() error {
	t.start.Do(func() { close(t.ended) })
	t.mu.Lock()
	stop := t.stop
	t.mu.Unlock()
	if stop != nil {
		stop()
	}
	patience := time.NewTimer(2*t.cfg.SignTimeout + time.Second)
	defer patience.Stop()
	select {
	case <-t.ended:
		return nil
	case <-patience.C:
		return errors.New("close the token: a call hangs in its driver")
	}
}

// Key returns the current key. While the token is being connected it waits, up to
// SignTimeout; when the token cannot be used it returns a *PausedError.
func (t *Token) Key(ctx context.Context) (Key, error) {
	var key Key
	err := t.whenUsable(ctx, func(now snapshot) (bool, error) {
		key = now.conn.key.Key
		return true, nil
	})
	return key, err
}

// Sign returns the signature over input in the form of JWS (RFC 7518 sections 3.3 and
// 3.4): PKCS #1 v1.5 for RS256, r||s for ES256 and ES384; the parts of input, one after the
// other, are hashed here. The signature has been verified with the certificate. keyID is Key.ID, which was the base
// of input: ErrKeyChanged when the token holds another key by now.
//
// A connection lost on the way is healed and the signature made again, once. Sign fails
// with a *PausedError when the token cannot be used, ErrSignTimeout, ErrSignature, or the
// cause of ctx's end.
func (t *Token) Sign(ctx context.Context, keyID string, input ...[]byte) ([]byte, error) {
	t.busy.Add(1)
	defer t.busy.Add(-1)
	retried, m := false, newMessage(input...)
	for {
		sig, err := t.submit(ctx, keyID, m)
		lost, isLost := errors.AsType[*lostError](err)
		switch {
		case isLost && (lost.shrunk || !retried):
			retried = retried || !lost.shrunk
			continue
		case isLost && !errors.Is(err, ErrSignature):
			t.failed.Add(1)
			return nil, &PausedError{
				State:  StateRecovering,
				Reason: "the token was lost twice during one signature and is being connected again (" + lost.err.Error() + ")",
			}
		case err != nil && !errors.Is(err, ErrPaused) && !errors.Is(err, ErrKeyChanged) && ctx.Err() == nil:
			t.failed.Add(1)
		}
		return sig, err
	}
}

// Vouches tells that what Sign returns for keyID was verified with leaf.
func (t *Token) Vouches(key string, leaf *x509.Certificate) bool { return key == keyID(leaf) }

// Health says how the token stands, without touching it.
func (t *Token) Health() Health {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.health
	h.Busy = int(t.busy.Load())
	h.Certificates = slices.Clone(h.Certificates)
	if t.conn != nil {
		h.Sessions = int(t.conn.live.Load())
	}
	if t.pace > 0 {
		h.Rate = float64(max(h.Sessions, 1)) / t.pace.Seconds()
	}
	h.Signed, h.Failed, h.Logins = t.signed.Load(), t.failed.Load(), t.logins.Load()
	return h
}

// Format prints the URI without its query and the state.
func (t *Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.words()) }

// LogValue implements slog.LogValuer like Format.
func (t *Token) LogValue() slog.Value { return slog.StringValue(t.words()) }

// MarshalText makes JSON of a Token what Format prints.
func (t *Token) MarshalText() ([]byte, error) { return []byte(t.words()), nil }

func (t *Token) words() string {
	return "hsm.Token(" + t.uri.String() + ", " + string(t.Health().State) + ")"
}

// submit hands one job to a session and waits for its end.
func (t *Token) submit(ctx context.Context, keyID string, m *message) ([]byte, error) {
	j := &job{ctx: ctx, keyID: keyID, message: m, done: make(chan result, 1)}
	err := t.whenUsable(ctx, func(now snapshot) (bool, error) {
		m.digest(now.conn.key.scheme.alg) // here, so that the session only signs
		select {
		case t.jobs <- j:
			return true, nil
		case <-now.changed:
			return false, nil
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case r := <-j.done:
		if r.err != nil {
			return nil, r.err
		}
		return r.by.released(ctx, m, r.sig)
	case <-ctx.Done():
		return nil, context.Cause(ctx) // the session finishes the signature and drops it
	}
}

// snapshot is the state at one moment.
type snapshot struct {
	Health
	conn    *conn
	changed <-chan struct{}
}

func (t *Token) snapshot() snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	return snapshot{t.health, t.conn, t.changed}
}

// whenUsable calls try in a usable state until it says that it is done. It waits while the
// state is a passing one, SignTimeout at most.
func (t *Token) whenUsable(ctx context.Context, try func(snapshot) (bool, error)) error {
	var patience <-chan time.Time // begins with the first wait, which is rare
	for {
		now := t.snapshot()
		switch {
		case now.State.usable() && now.conn != nil:
			if problem := t.uri.problem(now.conn.key.Chain[0], t.cfg.Now()); problem != "" {
				return &PausedError{StateCertInvalid, problem}
			}
			if done, err := try(now); done || err != nil {
				return err
			}
		case now.State.transient():
			if patience == nil {
				patience = time.After(t.cfg.SignTimeout)
			}
			select {
			case <-now.changed:
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-patience:
				return &PausedError{now.State, now.Reason}
			}
		default:
			return &PausedError{now.State, now.Reason}
		}
	}
}

// become enters a state, or replaces the reason of the one it is in.
func (t *Token) become(state State, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enter(state, reason)
}

// enter needs t.mu.
func (t *Token) enter(state State, reason string) {
	if t.health.State == state && t.health.Reason == reason {
		return
	}
	level := slog.LevelError
	switch {
	case t.health.State == state:
		level = slog.LevelDebug
	case state.usable(), state == StateConnecting, state == StateStopped:
		level = slog.LevelInfo
	case state == StateRecovering, state == StateAbsent:
		level = slog.LevelWarn
	}
	t.cfg.Logger.LogAttrs(context.Background(), level, "token state",
		slog.String("state", string(state)), slog.String("was", string(t.health.State)),
		slog.String("reason", reason), slog.String("token", t.uri.String()))
	if t.health.State != state {
		t.health.Since = t.cfg.Now().UTC()
	}
	t.health.State, t.health.Reason = state, reason
	close(t.changed)
	t.changed = make(chan struct{})
}

// attachConn makes c the connection that Sign uses; nil detaches it.
func (t *Token) attachConn(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn = c
	if c != nil {
		t.health.KeyID, t.health.Alg = c.key.ID, c.key.Alg
		t.health.Certificates = c.key.certificates
		t.health.Seal = InspectSeal(c.key.Chain[0])
	}
}

// identify notes which token was found.
func (t *Token) identify(label, serial string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.health.Label, t.health.Serial = label, serial
}

// measure notes how long a signature kept its session busy. Old measures fade, so that the
// rate follows a token that was exchanged for a faster one within some ten signatures.
func (t *Token) measure(took time.Duration) {
	const fade = 5
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pace == 0 {
		t.pace = took
	}
	t.pace += (took - t.pace) / fade
}

// recount enters the state that the number of hanging sessions of c makes.
func (t *Token) recount(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != c {
		return
	}
	live, hung := c.live.Load(), c.hung.Load()
	switch {
	case hung <= 0:
		t.enter(StateReady, "the token seals with "+c.key.Alg)
	case hung < live:
		t.enter(StateDegraded, fmt.Sprintf("%d of %d sessions hang in the token's driver; the others seal", hung, live))
	default:
		t.enter(StateSuspect, "all sessions hang in the token's driver; look at the device, and restart the server if it does not come back")
	}
}
