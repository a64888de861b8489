package lti

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

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
	http   func(Registration) *http.Client
	now    func() time.Time
	log    *slog.Logger
	flight singleflight.Group

	mu      sync.Mutex
	entries map[string]keyEntry
}

type keyEntry struct {
	url       string
	keys      map[string][]publicKey
	weak      map[string]bool
	fetchedAt time.Time
	triedAt   time.Time
	err       error // of the last attempt
}

func newPlatformKeys(client func(Registration) *http.Client, now func() time.Time, log *slog.Logger) *platformKeys {
	return &platformKeys{http: client, now: now, log: log, entries: map[string]keyEntry{}}
}

// find returns the keys named kid of the registration's platform. It fails with
// errKeyUnknown or errKeyWeak, or with why the key set could not be read.
func (p *platformKeys) find(ctx context.Context, r Registration, kid string) ([]publicKey, error) {
	now := p.now()
	e := p.entry(r)
	switch {
	case p.mustRead(e, kid, now):
		var err error
		if e, err = p.refresh(ctx, r); err != nil {
			return nil, err
		}
	case p.isOld(e, now):
		p.begin(ctx, r) // for the next launch; this one does not wait
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

// mustRead reports whether the caller has to wait for a reading.
func (p *platformKeys) mustRead(e keyEntry, kid string, now time.Time) bool {
	if e.triedAt.IsZero() {
		return true
	}
	sinceTry := now.Sub(e.triedAt)
	usable := !e.fetchedAt.IsZero() && now.Sub(e.fetchedAt) < keysMaxStale
	switch {
	case e.err != nil && !usable:
		return sinceTry >= keysRetry
	case !usable:
		return true
	}
	return len(e.keys[kid]) == 0 && sinceTry >= keysRefetch
}

// isOld reports whether the keys still serve, and it is time to read them again.
func (p *platformKeys) isOld(e keyEntry, now time.Time) bool {
	return now.Sub(e.fetchedAt) >= keysMaxAge && now.Sub(e.triedAt) >= keysRetry
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

// refresh reads the key set once for all who wait.
func (p *platformKeys) refresh(ctx context.Context, r Registration) (keyEntry, error) {
	select {
	case <-ctx.Done():
		return keyEntry{}, fmt.Errorf("wait for the key set: %w", ctx.Err())
	case res := <-p.begin(ctx, r):
		e, ok := res.Val.(keyEntry)
		if !ok {
			return keyEntry{}, errors.New("the reading of the key set came to nothing")
		}
		return e, nil
	}
}

// begin starts a reading, unless one is under way. It goes on when the request that began
// it is cancelled; the client's own time limit ends it.
func (p *platformKeys) begin(ctx context.Context, r Registration) <-chan singleflight.Result {
	return p.flight.DoChan(r.ID+" "+r.JWKSURL, func() (any, error) {
		return p.read(context.WithoutCancel(ctx), r), nil
	})
}

func (p *platformKeys) read(ctx context.Context, r Registration) keyEntry {
	e := p.entry(r)
	read, err := fetchKeys(ctx, p.http(r), r.JWKSURL)
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

// parseKeys keeps what can check a signature and drops the rest: one broken or foreign key
// must not lock out the good ones beside it.
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
	e := keyEntry{keys: map[string][]publicKey{}, weak: map[string]bool{}}
	for i := range set.Len() {
		key, ok := set.Key(i)
		if !ok {
			continue
		}
		public, usable := newPublicKey(key)
		switch {
		case !usable:
		case public.weak():
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

// publicKey is a key of a platform that can check signatures.
type publicKey struct {
	alg string // of the key set; empty: it names none (Brightspace)
	key any    // *rsa.PublicKey or *ecdsa.PublicKey
}

// newPublicKey returns the public key inside key; a published private or symmetric key, or
// one for encryption, is no key.
func newPublicKey(key jwk.Key) (publicKey, bool) {
	if use := key.KeyUsage(); key.KeyID() == "" || use != "" && use != jwk.ForSignature.String() {
		return publicKey{}, false
	}
	k := publicKey{alg: key.Algorithm().String()}
	switch key.(type) {
	case jwk.RSAPublicKey:
		var public rsa.PublicKey
		if err := key.Raw(&public); err != nil || public.N == nil {
			return k, false
		}
		k.key = &public
	case jwk.ECDSAPublicKey:
		var public ecdsa.PublicKey
		if err := key.Raw(&public); err != nil {
			return k, false
		}
		k.key = &public
	default:
		return k, false
	}
	return k, true
}

// curves are those of the algorithms with elliptic curves (RFC 7518, section 3.4).
var curves = map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}

// fits reports whether the key may check signatures of this algorithm. The key decides
// about kind and curve, never the token.
func (k publicKey) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	if public, ok := k.key.(*ecdsa.PublicKey); ok {
		return curves[alg] == public.Params().Name
	}
	_, elliptic := curves[alg]
	return !elliptic
}

func (k publicKey) weak() bool {
	public, ok := k.key.(*rsa.PublicKey)
	if !ok {
		return false
	}
	bits := public.N.BitLen()
	return bits < minModulusBits || bits > maxModulusBits || public.E < 3 || public.E%2 == 0
}
