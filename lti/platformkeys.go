package lti

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	keysMaxAge       = time.Hour        // then the key set is read again, beside the launch
	keysMaxWait      = 2 * time.Hour    // then the launch waits for the reading
	keysMaxStale     = 24 * time.Hour   // how long old keys serve while the platform is away
	keysRefetch      = time.Minute      // at most one forced reading per registration in this time
	keysRetry        = 10 * time.Second // between attempts while the platform is away
	keysEmptyBelief  = time.Hour        // so long a key set has to be empty to be believed
	maxKeysPlatforms = 2048             // key sets kept in memory
)

var (
	errKeyUnknown = errors.New("no such key")
	errKeyWeak    = errors.New("the key is weak")
)

// platformKeys caches the public keys of platforms, per registration.
//
// An unknown kid makes it read the key set again, because platforms change keys without
// notice, but once a minute at most: anyone can send a made-up kid. A reading replaces
// what was there, so a withdrawn key ends with it. Keys older than an hour serve one more
// launch while they are read again; keys older than two, after a quiet night, do not, or a
// withdrawn key would be good for a launch the next morning. While a platform is out of
// reach its keys serve for a day.
type platformKeys struct {
	http   func(Registration) *http.Client
	now    func() time.Time
	log    *slog.Logger
	flight singleflight.Group

	mu      sync.Mutex
	entries map[string]keyEntry
}

type keyEntry struct {
	keySet
	url        string
	tries      int // counts the readings, so that nobody repeats one that has just ended
	fetchedAt  time.Time
	triedAt    time.Time
	emptySince time.Time // zero: the last set that could be read had keys
	err        error     // of the last attempt
}

func newPlatformKeys(client func(Registration) *http.Client, now func() time.Time, log *slog.Logger) *platformKeys {
	return &platformKeys{http: client, now: now, log: log, entries: map[string]keyEntry{}}
}

// find returns the keys named kid of the registration's platform. It fails with
// errKeyUnknown or errKeyWeak, or with why the key set could not be read.
func (p *platformKeys) find(ctx context.Context, r Registration, kid string) ([]publicKey, error) {
	e := p.entry(r)
	now := p.now()
	switch {
	case e.mustRead(kid, now):
		var err error
		if e, err = p.refresh(ctx, r, e.tries); err != nil {
			return nil, err
		}
	case e.isOld(now):
		p.begin(ctx, r, e.tries) // for the next launch; this one does not wait
	}
	if !e.usable(now) {
		return nil, e.err
	}
	if found := e.keys[kid]; len(found) > 0 {
		return found, nil
	}
	if e.weak[kid] {
		return nil, errKeyWeak
	}
	return nil, errKeyUnknown
}

func (e keyEntry) usable(now time.Time) bool {
	return !e.fetchedAt.IsZero() && now.Sub(e.fetchedAt) < keysMaxStale
}

// mustRead reports whether the caller has to wait for a reading.
func (e keyEntry) mustRead(kid string, now time.Time) bool {
	sinceTry := now.Sub(e.triedAt)
	switch {
	case e.tries == 0:
		return true
	case !e.usable(now):
		return e.err == nil || sinceTry >= keysRetry
	case e.err == nil && now.Sub(e.fetchedAt) >= keysMaxWait:
		return true
	}
	return len(e.keys[kid]) == 0 && sinceTry >= keysRefetch
}

// isOld reports whether the keys still serve, and it is time to read them again.
func (e keyEntry) isOld(now time.Time) bool {
	return now.Sub(e.fetchedAt) >= keysMaxAge && now.Sub(e.triedAt) >= keysRetry
}

// renew reads the key set again, unless that was done within the last minute, and returns
// the keys named kid; nil when nothing new was read.
func (p *platformKeys) renew(ctx context.Context, r Registration, kid string) []publicKey {
	e := p.entry(r)
	if p.now().Sub(e.triedAt) < keysRefetch {
		return nil
	}
	e, err := p.refresh(ctx, r, e.tries)
	if err != nil || e.err != nil {
		return nil
	}
	return e.keys[kid]
}

func (p *platformKeys) entry(r Registration) keyEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[r.ID]
	if e.url != r.JWKSURL {
		return keyEntry{url: r.JWKSURL}
	}
	return e
}

// refresh reads the key set once for all who wait, and not at all when somebody has read
// it since the caller saw it with so many tries.
func (p *platformKeys) refresh(ctx context.Context, r Registration, tries int) (keyEntry, error) {
	select {
	case <-ctx.Done():
		return keyEntry{}, fmt.Errorf("wait for the key set: %w", ctx.Err())
	case res := <-p.begin(ctx, r, tries):
		e, ok := res.Val.(keyEntry)
		if !ok {
			return keyEntry{}, errors.New("the reading of the key set came to nothing")
		}
		return e, nil
	}
}

// begin starts a reading, unless one is under way. It goes on when the request that began
// it is cancelled; the client's own time limit ends it.
func (p *platformKeys) begin(ctx context.Context, r Registration, tries int) <-chan singleflight.Result {
	return p.flight.DoChan(r.ID+" "+r.JWKSURL, func() (any, error) {
		return p.read(context.WithoutCancel(ctx), r, tries), nil
	})
}

func (p *platformKeys) read(ctx context.Context, r Registration, tries int) keyEntry {
	e := p.entry(r)
	if e.tries != tries {
		return e
	}
	set, err := p.fetch(ctx, r)
	e.tries++
	e.triedAt = p.now()
	e.err = err
	if err != nil {
		e.failed(err)
		p.log.WarnContext(ctx, "platform key set cannot be read", "registration", r.ID, "url", r.JWKSURL, "err", err, "cause", errors.Unwrap(err))
	} else {
		e.keySet, e.fetchedAt, e.emptySince = set, e.triedAt, time.Time{}
	}
	p.put(r.ID, e)
	return e
}

// failed drops the keys of a platform that says for an hour that it has none. For a shorter
// time that is an upgrade or a fault, and the old keys serve.
func (e *keyEntry) failed(err error) {
	why, ok := errors.AsType[*KeySetError](err)
	if !ok || why.Code != KeySetEmpty {
		return
	}
	if e.emptySince.IsZero() {
		e.emptySince = e.triedAt
	}
	if e.triedAt.Sub(e.emptySince) >= keysEmptyBelief {
		e.keySet, e.fetchedAt = keySet{}, time.Time{}
	}
}

// put keeps the entry. Registrations come and go, so the one that was not read for the
// longest time gives way.
func (p *platformKeys) put(id string, e keyEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.entries[id]; !ok && len(p.entries) >= maxKeysPlatforms {
		oldest, at := "", time.Time{}
		for other, o := range p.entries {
			if oldest == "" || o.triedAt.Before(at) {
				oldest, at = other, o.triedAt
			}
		}
		delete(p.entries, oldest)
	}
	p.entries[id] = e
}

// fetch reads the key set. What comes from outside is parsed here in a goroutine of ours,
// where a panic of the parser would end the process.
func (p *platformKeys) fetch(ctx context.Context, r Registration) (set keySet, err error) {
	defer func() {
		if v := recover(); v != nil {
			p.log.ErrorContext(ctx, "panic while a key set was read", "registration", r.ID, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = &KeySetError{Code: KeySetMalformed, Words: "the key set cannot be read"}
		}
	}()
	return fetchKeys(ctx, p.http(r), r.JWKSURL)
}
