package lti

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

const (
	toolKeyBits   = 2048
	keyringMaxAge = time.Minute // so that a rotation by another process is seen
)

// keyring holds the tool's signing keys as they are in the store. The oldest key in use
// signs; a younger one is published only, until the older is retired.
type keyring struct {
	store KeyStore
	now   func() time.Time
	rand  io.Reader

	mu      sync.Mutex
	loaded  time.Time
	signer  *rsa.PrivateKey
	kid     string
	jwksDoc []byte
}

func newKeyring(store KeyStore, now func() time.Time, rand io.Reader) *keyring {
	return &keyring{store: store, now: now, rand: rand}
}

// public returns the key set to be published. A first key is made when there is none.
func (k *keyring) public(ctx context.Context) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	return k.jwksDoc, nil
}

// sign returns claims as a compact JWS, RS256, with kid and typ JWT.
func (k *keyring) sign(ctx context.Context, claims map[string]any) (string, error) {
	k.mu.Lock()
	err := k.load(ctx)
	key, kid := k.signer, k.kid
	k.mu.Unlock()
	if err != nil {
		return "", err
	}
	payload, err := marshal(claims)
	if err != nil {
		return "", err
	}
	headers := jws.NewHeaders()
	if err := errors.Join(headers.Set(jws.KeyIDKey, kid), headers.Set(jws.TypeKey, "JWT")); err != nil {
		return "", fmt.Errorf("build the header: %w", err)
	}
	signed, err := jws.Sign(payload, jws.WithKey(jwa.RS256, key, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", fmt.Errorf("sign with the tool key: %w", err)
	}
	return string(signed), nil
}

// load reads the keys unless they were read a moment ago; the caller holds mu.
func (k *keyring) load(ctx context.Context) error {
	now := k.now()
	if k.signer != nil && now.Sub(k.loaded) < keyringMaxAge && !now.Before(k.loaded) {
		return nil
	}
	keys, err := k.store.ToolKeys(ctx)
	if err != nil {
		return fmt.Errorf("read the tool keys: %w", err)
	}
	if !anyInUse(keys) {
		if err := k.add(ctx, now); err != nil {
			return err
		}
		// Read again: another process may have added its first key at the same moment,
		// and both must choose the same one.
		if keys, err = k.store.ToolKeys(ctx); err != nil {
			return fmt.Errorf("read the tool keys: %w", err)
		}
	}
	return k.use(keys, now)
}

func anyInUse(keys []ToolKey) bool {
	for _, key := range keys {
		if key.RetiredAt.IsZero() {
			return true
		}
	}
	return false
}

func (k *keyring) add(ctx context.Context, now time.Time) error {
	key, err := rsa.GenerateKey(k.rand, toolKeyBits)
	if err != nil {
		return fmt.Errorf("make a tool key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the tool key: %w", err)
	}
	public, err := publicJWK(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := k.store.AddToolKey(ctx, ToolKey{KID: public.KeyID(), Private: der, CreatedAt: now}); err != nil {
		return fmt.Errorf("store the tool key: %w", err)
	}
	return nil
}

func (k *keyring) use(keys []ToolKey, now time.Time) error {
	set := jwk.NewSet()
	var signer *rsa.PrivateKey
	var kid string
	for _, stored := range keys {
		parsed, err := x509.ParsePKCS8PrivateKey(stored.Private)
		if err != nil {
			return fmt.Errorf("read tool key %s: %w", stored.KID, err)
		}
		key, ok := parsed.(*rsa.PrivateKey)
		if !ok {
			return fmt.Errorf("read tool key %s: not an RSA key", stored.KID)
		}
		public, err := publicJWK(&key.PublicKey)
		if err != nil {
			return err
		}
		if err := set.AddKey(public); err != nil {
			return fmt.Errorf("publish tool key %s: %w", stored.KID, err)
		}
		if signer == nil && stored.RetiredAt.IsZero() {
			signer, kid = key, public.KeyID()
		}
	}
	if signer == nil {
		return errors.New("the store keeps no tool key")
	}
	doc, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("encode the key set: %w", err)
	}
	k.signer, k.kid, k.jwksDoc, k.loaded = signer, kid, doc, now
	return nil
}

// publicJWK returns key with the members platforms look for; kid is the thumbprint of
// RFC 7638.
func publicJWK(key *rsa.PublicKey) (jwk.Key, error) {
	public, err := jwk.FromRaw(key)
	if err != nil {
		return nil, fmt.Errorf("encode the public key: %w", err)
	}
	thumb, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("take the thumbprint: %w", err)
	}
	err = errors.Join(
		public.Set(jwk.KeyIDKey, base64.RawURLEncoding.EncodeToString(thumb)),
		public.Set(jwk.AlgorithmKey, jwa.RS256),
		public.Set(jwk.KeyUsageKey, jwk.ForSignature),
	)
	if err != nil {
		return nil, fmt.Errorf("describe the public key: %w", err)
	}
	return public, nil
}
