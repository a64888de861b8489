package lti_test

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// launchWith plays a launch signed with the key of that name.
func (r *rig) launchWith(kid string, key *rsa.PrivateKey) outcome {
	r.tb.Helper()
	a := r.login(nil)
	return r.deliver(a, signRaw(`{"alg":"RS256","kid":"`+kid+`"}`, must(json.Marshal(r.claims(a))), key))
}

func TestKeySets(t *testing.T) {
	t.Parallel()
	good := func(extra map[string]any) map[string]any { return publicKey("k1", platformKey(), extra) }
	private := good(nil)
	private["d"] = "AQAB"
	many := make([]map[string]any, 101)
	for i := range many {
		many[i] = publicKey(fmt.Sprint("k", i), platformKey(), nil)
	}
	for _, tt := range []struct {
		name   string
		status int
		body   []byte
		code   string // empty: the launch works
	}{
		{"J10 no alg", 200, publicSet(good(nil)), ""},
		{"alg and use", 200, publicSet(good(map[string]any{"alg": "RS256", "use": "sig"})), ""},
		{"J14 unknown kty beside", 200, publicSet(map[string]any{"kty": "XYZ", "kid": "a"}, good(nil)), ""},
		{"J14 malformed key beside", 200, publicSet(map[string]any{"kty": "RSA", "kid": "a", "n": 7}, good(nil)), ""},
		{"J15 two keys of one kid", 200, publicSet(publicKey("k1", otherKey(), nil), good(nil)), ""},
		{"J17 symmetric key beside", 200, publicSet(map[string]any{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}, good(nil)), ""},
		{"J11 key for encryption", 200, publicSet(good(map[string]any{"use": "enc"}), publicKey("k2", platformKey(), nil)), lti.CodeKIDUnknown},
		{"key for another alg", 200, publicSet(good(map[string]any{"alg": "RS512"}), publicKey("k2", platformKey(), nil)), lti.CodeKIDUnknown},
		{"key without kid", 200, publicSet(good(map[string]any{"kid": ""}), publicKey("k2", platformKey(), nil)), lti.CodeKIDUnknown},
		{"J16 numeric kid", 200, publicSet(good(map[string]any{"kid": 1}), publicKey("k2", platformKey(), nil)), lti.CodeKIDUnknown},
		{"private key published", 200, publicSet(private, publicKey("k2", platformKey(), nil)), lti.CodeKIDUnknown},
		{"same kid, other key", 200, publicSet(publicKey("k1", otherKey(), nil)), lti.CodeSignature},
		{"K2 server error", 500, publicSet(good(nil)), lti.CodeKeysUnavailable},
		{"not found", 404, nil, lti.CodeKeysUnavailable},
		{"K4 too large", 200, append(publicSet(good(nil)), strings.Repeat(" ", 600<<10)...), lti.CodeKeysUnavailable},
		{"K5 101 keys", 200, publicSet(many...), lti.CodeKeysUnavailable},
		{"K6 page of HTML", 200, []byte("<!doctype html><title>Log in</title>"), lti.CodeKeysUnavailable},
		{"K11 no keys", 200, publicSet(), lti.CodeKeysUnavailable},
		{"a single key, no set", 200, must(json.Marshal(good(nil))), lti.CodeKeysUnavailable},
		{"keys is an object", 200, []byte(`{"keys":{}}`), lti.CodeKeysUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.jwks.serve(tt.status, tt.body)
			o := r.launchWith("k1", platformKey())
			if tt.code == "" {
				o.session(t)
				return
			}
			got := o.check(t)
			if got.Code != tt.code {
				t.Errorf("got %v, want %s", got, tt.code)
			}
			if unavailable := got.Code == lti.CodeKeysUnavailable; unavailable != (o.rec.Code == 503) || unavailable != (o.rec.Header().Get("Retry-After") == "30") {
				t.Errorf("got status %d, Retry-After %q", o.rec.Code, o.rec.Header().Get("Retry-After"))
			}
		})
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.launchWith("k1", platformKey()).session(t)
	r.clock.advance(time.Minute)
	r.jwks.serve(200, publicSet(publicKey("k2", otherKey(), nil)))
	r.launchWith("k2", otherKey()).session(t) // J33: seen at once
	if got := r.launchWith("k1", platformKey()).check(t); got.Code != lti.CodeKIDUnknown {
		t.Errorf("J34: the withdrawn key got %v", got)
	}
	if n := r.jwks.count(); n != 2 {
		t.Errorf("the key set was read %d times, want 2", n)
	}
}

func TestUnknownKeysDoNotFloodThePlatform(t *testing.T) { // J3
	t.Parallel()
	r := newRig(t)
	r.launchWith("k1", platformKey()).session(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if got := r.launchWith(fmt.Sprint("x", i), otherKey()).check(t); got.Code != lti.CodeKIDUnknown {
				t.Errorf("got %v", got)
			}
		})
	}
	wg.Wait()
	if n := r.jwks.count(); n != 1 {
		t.Errorf("read %d times within a minute, want 1", n)
	}
	r.clock.advance(time.Minute)
	for i := range 5 {
		r.launchWith(fmt.Sprint("x", i), otherKey())
	}
	if n := r.jwks.count(); n != 2 {
		t.Errorf("read %d times after a minute, want 2", n)
	}
	r.launchWith("k1", platformKey()).session(t)
}

func TestColdCacheReadsOnce(t *testing.T) { // K9
	t.Parallel()
	r := newRig(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { r.launchWith("k1", platformKey()).session(t) })
	}
	wg.Wait()
	if n := r.jwks.count(); n != 1 {
		t.Errorf("read %d times, want 1", n)
	}
}

func TestKeysSurviveAnOutage(t *testing.T) { // K1, K2
	t.Parallel()
	r := newRig(t)
	r.launchWith("k1", platformKey()).session(t)
	r.jwks.serve(503, nil)
	r.clock.advance(2 * time.Hour)
	r.launchWith("k1", platformKey()).session(t)
	r.launchWith("k1", platformKey()).session(t)
	if n := r.jwks.count(); n != 2 {
		t.Errorf("read %d times during the outage's first seconds, want 2", n)
	}
	r.clock.advance(23 * time.Hour)
	a := r.login(nil)
	token := sign(r.claims(a), map[string]any{"kid": "k1"}, platformKey())
	if got := r.deliver(a, token).check(t); got.Code != lti.CodeKeysUnavailable {
		t.Errorf("after a day got %v", got)
	}
	r.jwks.serve(200, publicSet(publicKey("k1", platformKey(), nil)))
	r.clock.advance(10 * time.Second)
	r.deliver(a, token).session(t) // the state was not spent
}
