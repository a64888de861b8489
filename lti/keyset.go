package lti

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/sealsmith/sealsmith/lti/fetch"
)

const (
	keysMaxBytes   = 512 << 10
	keysMaxCount   = 100
	minModulusBits = 2048
	maxModulusBits = 8192 // a signature check with a longer one costs whole milliseconds
)

// KeySetError says why the key set of a platform cannot be used. Its text is Words.
type KeySetError struct {
	Code  string // stable: one of the KeySet constants, or a code of fetch.Trouble
	Words string // a clause for people, of at most 120 characters; not from outside
	err   error
}

// Codes of KeySetError, besides those of fetch.Trouble.
const (
	KeySetHTML      = "html"      // a page
	KeySetStatus    = "status"    // not 200
	KeySetMalformed = "malformed" // no key set
	KeySetTooMany   = "too-many"  // keys
	KeySetEmpty     = "empty"     // no key that can check a signature
)

// Error implements error.
func (e *KeySetError) Error() string { return e.Words }

// Unwrap returns the cause, which may quote what came from outside.
func (e *KeySetError) Unwrap() error { return e.err }

// KeySetReport tells which keys a key set offers.
type KeySetReport struct {
	KIDs []string // of keys that can check signatures, sorted
	Weak []string // of keys that are too weak or too long, sorted
}

// CheckKeySet reads the key set at address, as a launch would, for a person who sets up a
// connection. It fails with a *KeySetError.
func CheckKeySet(ctx context.Context, client *http.Client, address string) (KeySetReport, error) {
	set, err := fetchKeys(ctx, client, address)
	if err != nil {
		return KeySetReport{}, err
	}
	return KeySetReport{KIDs: slices.Sorted(maps.Keys(set.keys)), Weak: slices.Sorted(maps.Keys(set.weak))}, nil
}

// keySet are the keys of a platform by kid.
type keySet struct {
	keys map[string][]publicKey
	weak map[string]bool
}

func fetchKeys(ctx context.Context, client *http.Client, address string) (keySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return keySet{}, &KeySetError{Code: KeySetMalformed, Words: "the address of the key set cannot be read", err: err}
	}
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return keySet{}, troubled(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return keySet{}, badStatus(res.StatusCode)
	}
	body, err := fetch.Read(res.Body, keysMaxBytes)
	if err != nil {
		return keySet{}, troubled(err)
	}
	return parseKeys(body)
}

func troubled(err error) error {
	t := fetch.Explain(err)
	return &KeySetError{Code: t.Code, Words: t.Words, err: err}
}

func badStatus(status int) error {
	words := fmt.Sprintf("the address answers with status %d %s, not with a key set", status, http.StatusText(status))
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		words += "; it has to be open to everybody"
	}
	return &KeySetError{Code: KeySetStatus, Words: words}
}

// parseKeys keeps what can check a signature and drops the rest: one broken or foreign key
// must not lock out the good ones beside it.
func parseKeys(body []byte) (keySet, error) {
	if err := recognise(body); err != nil {
		return keySet{}, err
	}
	set, err := jwk.Parse(body, jwk.WithIgnoreParseError(true))
	if err != nil {
		return keySet{}, &KeySetError{Code: KeySetMalformed, Words: "the answer is not a key set", err: err}
	}
	if set.Len() > keysMaxCount {
		return keySet{}, &KeySetError{Code: KeySetTooMany, Words: fmt.Sprintf("the key set has %d keys, more than %d", set.Len(), keysMaxCount)}
	}
	s := keySet{keys: map[string][]publicKey{}, weak: map[string]bool{}}
	for i := range set.Len() {
		key, ok := set.Key(i)
		if !ok {
			continue
		}
		public, usable := newPublicKey(key)
		switch {
		case !usable:
		case public.weak():
			s.weak[key.KeyID()] = true
		default:
			s.keys[key.KeyID()] = append(s.keys[key.KeyID()], public)
		}
	}
	if len(s.keys) == 0 && len(s.weak) == 0 {
		return keySet{}, &KeySetError{Code: KeySetEmpty, Words: "the key set has no key that can check a signature"}
	}
	return s, nil
}

// recognise refuses what is no key set, and names what it looks like: a wrong address is
// the most frequent mistake in setting up a platform.
func recognise(body []byte) error {
	if trimmed := bytes.TrimLeft(body, "\ufeff \t\r\n"); bytes.HasPrefix(trimmed, []byte("<")) {
		return &KeySetError{Code: KeySetHTML, Words: "the address answers a page of HTML, not a key set"}
	}
	o, err := parseObject(body)
	malformed := func(words string) error { return &KeySetError{Code: KeySetMalformed, Words: words, err: err} }
	switch {
	case errors.Is(err, errDuplicateMember):
		return malformed("the answer is not a key set: it has a member twice")
	case err != nil:
		return malformed("the answer is not a key set: it is not a JSON object")
	}
	raw, hasKeys := o.raw("keys")
	_, single := o.raw("kty")
	_, configuration := o.raw("jwks_uri")
	switch {
	case hasKeys && len(raw) > 0 && raw[0] == '[':
		return nil
	case configuration:
		return malformed("the address answers the platform's configuration; the key set is at the address it names as jwks_uri")
	case single:
		return malformed("the address answers a single key, not a key set")
	}
	return malformed("the answer is not a key set: it has no list of keys")
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
		if _, err := public.ECDH(); err != nil { // the library does not look whether the point is on the curve
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
