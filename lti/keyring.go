package lti

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
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

const keyringMaxAge = time.Minute // so that a rotation by another process is seen

// keyring holds the tool's signing keys as they are in the store. Which of them signs is
// decided anew for every signature, because a key that was published yesterday begins to
// sign at its hour and not when somebody reads the store.
type keyring struct {
	store KeyStore
	now   func() time.Time
	rand  io.Reader

	mu     sync.Mutex
	loaded time.Time
	keys   []ToolKey         // the oldest first
	parsed []*rsa.PrivateKey // of the same place in keys
	doc    keySetDocument
}

// keySetDocument is the key set as it is published.
type keySetDocument struct {
	body []byte
	etag string // in quotation marks, as it stands in the header
}

func newKeyring(store KeyStore, now func() time.Time, rand io.Reader) *keyring {
	return &keyring{store: store, now: now, rand: rand}
}

// public returns the key set to be published. A first key is made when there is none.
func (k *keyring) public(ctx context.Context) (keySetDocument, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(ctx); err != nil {
		return keySetDocument{}, err
	}
	return k.doc, nil
}

// signer returns the key that signs at this moment.
func (k *keyring) signer(ctx context.Context) (*rsa.PrivateKey, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(ctx); err != nil {
		return nil, "", err
	}
	i := signerAt(k.keys, k.now())
	if i < 0 { // its end came since the keys were read
		k.loaded = time.Time{}
		if err := k.load(ctx); err != nil {
			return nil, "", err
		}
		if i = signerAt(k.keys, k.now()); i < 0 {
			return nil, "", errors.New("the store keeps no tool key that may sign")
		}
	}
	return k.parsed[i], k.keys[i].KID, nil
}

// sign returns claims as a compact JWS, RS256, with kid and typ JWT.
func (k *keyring) sign(ctx context.Context, claims map[string]any) (string, error) {
	key, kid, err := k.signer(ctx)
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
	if len(k.keys) > 0 && now.Sub(k.loaded) < keyringMaxAge && !now.Before(k.loaded) {
		return nil
	}
	keys, err := k.store.ToolKeys(ctx)
	if err != nil {
		return fmt.Errorf("read the tool keys: %w", err)
	}
	if signerAt(keys, now) < 0 {
		r := KeyRotation{Store: k.store, Now: now, Rand: k.rand, Actor: "server"}
		if err := r.first(ctx); err != nil {
			return err
		}
		// Read again: another process may have been quicker, and then its key counts.
		if keys, err = k.store.ToolKeys(ctx); err != nil {
			return fmt.Errorf("read the tool keys: %w", err)
		}
	}
	return k.use(keys, now)
}

func (k *keyring) use(keys []ToolKey, now time.Time) error {
	set := jwk.NewSet()
	parsed := make([]*rsa.PrivateKey, 0, len(keys))
	for _, stored := range keys {
		key, err := parsePrivate(stored)
		if err != nil {
			return err
		}
		public, err := publicJWK(&key.PublicKey)
		if err != nil {
			return err
		}
		if public.KeyID() != stored.KID {
			return fmt.Errorf("tool key %s is stored under a wrong name", stored.KID)
		}
		if err := set.AddKey(public); err != nil {
			return fmt.Errorf("publish tool key %s: %w", stored.KID, err)
		}
		parsed = append(parsed, key)
	}
	body, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("encode the key set: %w", err)
	}
	sum := sha256.Sum256(body)
	k.keys, k.parsed, k.loaded = keys, parsed, now
	k.doc = keySetDocument{body: body, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	return nil
}

func parsePrivate(stored ToolKey) (*rsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(stored.Private)
	if err != nil {
		return nil, fmt.Errorf("read tool key %s: %w", stored.KID, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read tool key %s: not an RSA key", stored.KID)
	}
	return key, nil
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
