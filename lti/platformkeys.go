package lti

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"golang.org/x/sync/singleflight"

	"github.com/sealsmith/sealsmith/lti/fetch"
)

const (
	keysMaxAge     = time.Hour        // then the key set is read again
	keysMaxStale   = 24 * time.Hour   // how long old keys serve while the platform is away
	keysRefetch    = time.Minute      // at most one forced reading per registration in this time
	keysRetry      = 10 * time.Second // between attempts while the platform is away
	keysMaxBytes   = 512 << 10
	keysMaxCount   = 100
	minModulusBits = 2048
	maxModulusBits = 8192 // a signature check with a longer one costs whole milliseconds
)

var (
	errKeyUnknown = errors.New("no such key")
	errKeyWeak    = errors.New("the key is weak")
)

// platformKeys caches the public keys of platforms, per registration.
//
// An unknown kid makes it read the key set again, because platforms change keys without
// notice, but once a minute at most: anyone can send a made-up kid. A reading replaces
// what was there, so a withdrawn key ends with it. While a platform is out of reach its
// keys serve for a day.
type platformKeys struct {
	http   *http.Client
	now    func() time.Time
	log    *slog.Logger
	flight singleflight.Group

	mu      sync.Mutex
	entries map[string]keyEntry
}

type keyEntry struct {
	url       string
	keys      map[string][]*rsa.PublicKey
	weak      map[string]bool
	fetchedAt time.Time
	triedAt   time.Time
	err       error // of the last attempt
}

func newPlatformKeys(client *http.Client, now func() time.Time, log *slog.Logger) *platformKeys {
	return &platformKeys{http: client, now: now, log: log, entries: map[string]keyEntry{}}
}

// find returns the keys named kid of the registration's platform. It fails with
// errKeyUnknown or errKeyWeak, or with why the key set could not be read.
func (p *platformKeys) find(ctx context.Context, r Registration, kid string) ([]*rsa.PublicKey, error) {
	now := p.now()
	e := p.entry(r)
	if p.mustRead(e, kid, now) {
		var err error
		if e, err = p.refresh(ctx, r); err != nil {
			return nil, err
		}
	}
	if e.fetchedAt.IsZero() || now.Sub(e.fetchedAt) >= keysMaxStale {
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

func (p *platformKeys) mustRead(e keyEntry, kid string, now time.Time) bool {
	if e.triedAt.IsZero() {
		return true
	}
	sinceTry := now.Sub(e.triedAt)
	if e.err != nil {
		return sinceTry >= keysRetry
	}
	if now.Sub(e.fetchedAt) >= keysMaxAge {
		return true
	}
	return len(e.keys[kid]) == 0 && sinceTry >= keysRefetch
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

// refresh reads the key set once for all who wait. The reading goes on when the request
// that began it is cancelled; the client's own time limit ends it.
func (p *platformKeys) refresh(ctx context.Context, r Registration) (keyEntry, error) {
	done := p.flight.DoChan(r.ID+" "+r.JWKSURL, func() (any, error) {
		return p.read(context.WithoutCancel(ctx), r), nil
	})
	select {
	case <-ctx.Done():
		return keyEntry{}, fmt.Errorf("wait for the key set: %w", ctx.Err())
	case res := <-done:
		e, ok := res.Val.(keyEntry)
		if !ok {
			return keyEntry{}, errors.New("the reading of the key set came to nothing")
		}
		return e, nil
	}
}

func (p *platformKeys) read(ctx context.Context, r Registration) keyEntry {
	e := p.entry(r)
	read, err := fetchKeys(ctx, p.http, r.JWKSURL)
	e.triedAt = p.now()
	e.err = err
	if err != nil {
		p.log.WarnContext(ctx, "platform key set cannot be read", "registration", r.ID, "url", r.JWKSURL, "err", err)
	} else {
		e.keys, e.weak, e.fetchedAt = read.keys, read.weak, e.triedAt
	}
	p.mu.Lock()
	p.entries[r.ID] = e
	p.mu.Unlock()
	return e
}

func fetchKeys(ctx context.Context, client *http.Client, address string) (keyEntry, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return keyEntry{}, fmt.Errorf("fetch the key set: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return keyEntry{}, fmt.Errorf("fetch the key set: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return keyEntry{}, fmt.Errorf("fetch the key set: status %d", res.StatusCode)
	}
	body, err := fetch.Read(res.Body, keysMaxBytes)
	if err != nil {
		return keyEntry{}, fmt.Errorf("fetch the key set: %w", err)
	}
	return parseKeys(body)
}

// parseKeys keeps what can check an RS256 signature and drops the rest: one broken or
// foreign key must not lock out the good ones beside it.
func parseKeys(body []byte) (keyEntry, error) {
	o, err := parseObject(body)
	if err != nil {
		return keyEntry{}, fmt.Errorf("the answer is not a key set: %w", err)
	}
	if raw, ok := o.raw("keys"); !ok || raw[0] != '[' {
		return keyEntry{}, errors.New("the answer is not a key set: it has no keys")
	}
	set, err := jwk.Parse(body, jwk.WithIgnoreParseError(true))
	if err != nil {
		return keyEntry{}, fmt.Errorf("the answer is not a key set: %w", err)
	}
	if set.Len() > keysMaxCount {
		return keyEntry{}, fmt.Errorf("the key set has %d keys, more than %d", set.Len(), keysMaxCount)
	}
	e := keyEntry{keys: map[string][]*rsa.PublicKey{}, weak: map[string]bool{}}
	for i := range set.Len() {
		key, ok := set.Key(i)
		if !ok {
			continue
		}
		public, usable := rs256Key(key)
		switch {
		case !usable:
		case weakKey(public):
			e.weak[key.KeyID()] = true
		default:
			e.keys[key.KeyID()] = append(e.keys[key.KeyID()], public)
		}
	}
	if len(e.keys) == 0 && len(e.weak) == 0 {
		return keyEntry{}, errors.New("the key set has no usable key")
	}
	return e, nil
}

// rs256Key returns the RSA public key inside key. Keys without alg are taken for RS256
// (Brightspace sends none); a published private or symmetric key is no key.
func rs256Key(key jwk.Key) (*rsa.PublicKey, bool) {
	if _, public := key.(jwk.RSAPublicKey); !public || key.KeyID() == "" {
		return nil, false
	}
	if use := key.KeyUsage(); use != "" && use != jwk.ForSignature.String() {
		return nil, false
	}
	if alg := key.Algorithm().String(); alg != "" && alg != jwa.RS256.String() {
		return nil, false
	}
	var public rsa.PublicKey
	if err := key.Raw(&public); err != nil || public.N == nil {
		return nil, false
	}
	return &public, true
}

func weakKey(k *rsa.PublicKey) bool {
	bits := k.N.BitLen()
	return bits < minModulusBits || bits > maxModulusBits || k.E < 3 || k.E%2 == 0
}
