package hsm

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Device is what a Pool needs of a token. Token is one.
type Device interface {
	// Key returns the key of now, or a *PausedError.
	Key(ctx context.Context) (Key, error)
	// Sign signs with that key, see Token.Sign.
	Sign(ctx context.Context, keyID string, input ...[]byte) ([]byte, error)
	// Health says how the token stands, without touching it.
	Health() Health
}

// Pool seals with several tokens of one legal person. They may hold the same key (a network
// HSM and its twin) or different ones (two USB tokens, whose keys cannot leave them): each
// document carries its own certificate, and who verifies trusts the organisation, not the
// key. A serial device is not made faster by more sessions, but by a second device.
//
// Work goes to the token that will be free first, by its queue and its measured rate. One
// that fails three times in a row is left alone for half a minute while others can work; one
// that is unplugged pauses nothing but itself. It is safe for concurrent use.
type Pool struct {
	now     func() time.Time
	mu      sync.Mutex
	members []*member
}

// member is one token with what the pool remembers of it.
type member struct {
	device   Device
	promised []time.Time // keys handed out and not yet used
	failures int         // in a row
	restsTo  time.Time
}

const (
	// promiseFor is how long a key that was handed out counts as work to come.
	promiseFor = 30 * time.Second
	// restAfter failures in a row a token rests, for restFor.
	restAfter = 3
	restFor   = 30 * time.Second
	// guessedRate stands for a token that has not signed yet: a slow one.
	guessedRate = 2.0
)

// NewPool makes a pool of devices, which it does not start and does not close.
func NewPool(now func() time.Time, devices ...Device) *Pool {
	p := &Pool{now: now}
	for _, d := range devices {
		p.members = append(p.members, &member{device: d})
	}
	return p
}

// Key returns the key of the token that will be free first. It returns a *PausedError when
// no token can be used.
func (p *Pool) Key(ctx context.Context) (Key, error) {
	var errs []error
	for _, m := range p.ordered() {
		key, err := m.device.Key(ctx)
		if err == nil {
			p.promise(m)
			return key, nil
		}
		if !errors.Is(err, ErrPaused) {
			return Key{}, err
		}
		errs = append(errs, err)
	}
	return Key{}, p.paused(errs)
}

// Sign signs with the key that Key returned. When another token holds the same key it takes
// over for one that fails. Errors are those of Token.Sign.
func (p *Pool) Sign(ctx context.Context, keyID string, input ...[]byte) ([]byte, error) {
	last := ErrKeyChanged
	for _, m := range p.ordered() {
		if m.device.Health().KeyID != keyID {
			continue
		}
		p.redeem(m)
		sig, err := m.device.Sign(ctx, keyID, input...)
		p.note(m, err)
		if err == nil || ctx.Err() != nil {
			return sig, err
		}
		last = err
	}
	return nil, last
}

// Vouches tells that what Sign returns for keyID was verified with leaf: all tokens say so
// that hold the key, and at least one holds it.
func (p *Pool) Vouches(keyID string, leaf *x509.Certificate) bool {
	vouched := false
	for _, m := range p.members {
		if m.device.Health().KeyID != keyID {
			continue
		}
		v, ok := m.device.(interface {
			Vouches(keyID string, leaf *x509.Certificate) bool
		})
		if !ok || !v.Vouches(keyID, leaf) {
			return false
		}
		vouched = true
	}
	return vouched
}

// Health says how the tokens stand, in the order in which they were given.
func (p *Pool) Health() []Health {
	all := make([]Health, len(p.members))
	for i, m := range p.members {
		all[i] = m.device.Health()
	}
	return all
}

// Usable tells whether a token of the pool signs now.
func (p *Pool) Usable() bool {
	return slices.ContainsFunc(p.Health(), func(h Health) bool { return h.State.usable() })
}

// Rate is the number of signatures per second that the usable tokens have been measured to
// make together; 0 when none has signed yet.
func (p *Pool) Rate() float64 {
	sum := 0.0
	for _, h := range p.Health() {
		if h.State.usable() {
			sum += h.Rate
		}
	}
	return sum
}

// ordered returns the members, best first: those that can work before those that rest,
// those before the ones that are being connected, and the unusable last.
func (p *Pool) ordered() []*member {
	type ranked struct {
		*member
		rank int
		wait float64
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	list := make([]ranked, len(p.members))
	for i, m := range p.members {
		h := m.device.Health()
		m.promised = slices.DeleteFunc(m.promised, func(at time.Time) bool { return now.Sub(at) > promiseFor })
		list[i] = ranked{member: m, rank: rankOf(h.State, now.Before(m.restsTo)), wait: m.wait(h)}
	}
	slices.SortStableFunc(list, func(a, b ranked) int {
		switch {
		case a.rank != b.rank:
			return a.rank - b.rank
		case a.wait < b.wait:
			return -1
		case a.wait > b.wait:
			return 1
		}
		return 0
	})
	out := make([]*member, len(list))
	for i, r := range list {
		out[i] = r.member
	}
	return out
}

func rankOf(s State, resting bool) int {
	switch {
	case s.usable() && !resting:
		return 0
	case s.usable():
		return 1
	case s.transient():
		return 2
	}
	return 3
}

// wait is when one more signature would be done, in seconds. It needs the pool's lock.
func (m *member) wait(h Health) float64 {
	rate := h.Rate
	if rate == 0 {
		rate = guessedRate
	}
	return float64(h.Busy+len(m.promised)+1) / rate
}

func (p *Pool) promise(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.promised = append(m.promised, p.now())
}

// redeem takes a promise back: the work itself is counted from now on.
func (p *Pool) redeem(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(m.promised) > 0 {
		m.promised = m.promised[1:]
	}
}

// note counts failures in a row. What the caller or the clock has done is none.
func (p *Pool) note(m *member, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		m.failures, m.restsTo = 0, time.Time{}
	case errors.Is(err, ErrKeyChanged), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		m.failures++
		if m.failures >= restAfter {
			m.restsTo = p.now().Add(restFor)
		}
	}
}

// paused says of each token why it does not work.
func (p *Pool) paused(errs []error) error {
	if len(errs) == 0 {
		return &PausedError{State: StateAbsent, Reason: "no token is configured"}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	var words []string
	state := StateAbsent
	for i, h := range p.Health() {
		if i == 0 {
			state = h.State
		}
		words = append(words, fmt.Sprintf("%s: %s", h.Label, h.Reason))
	}
	return &PausedError{State: state, Reason: fmt.Sprintf("none of %d tokens can be used. %s", len(words), strings.Join(words, ". "))}
}
