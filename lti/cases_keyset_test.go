package lti_test

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/sealsmith/sealsmith/lti"
)

// Section 3, the key sets, and section 4: where they are read.

// launchWith plays a launch signed with the key of that name.
func (r *rig) launchWith(kid string, key *rsa.PrivateKey) outcome {
	r.tb.Helper()
	a := r.login(nil)
	return r.deliver(a, signRaw(`{"alg":"RS256","kid":"`+kid+`"}`, must(json.Marshal(r.claims(a))), key))
}

func good(extra map[string]any) map[string]any { return publicKey("k1", platformKey(), extra) }

func keySetCases() []caseRow {
	beside := publicKey("k2", platformKey(), nil)
	private := good(map[string]any{"d": "AQAB"})
	set := func(keys ...map[string]any) func() []byte { return func() []byte { return publicSet(keys...) } }
	takes := func(number, input string, keys ...map[string]any) caseRow {
		return caseRow{number: number, input: input, keys: set(keys...), understood: anyLaunch}
	}
	refuses := func(number, input, code string, keys ...map[string]any) caseRow {
		return caseRow{number: number, input: input, code: code, status: 401, keys: set(keys...)}
	}
	unknown := lti.CodeKIDUnknown
	return []caseRow{
		takes("J10", "no alg", good(nil)),
		takes("J10", "alg and use", good(map[string]any{"alg": "RS256", "use": "sig"})),
		refuses("J10", "key for another alg", unknown, good(map[string]any{"alg": "RS512"}), beside),
		refuses("J11", "key for encryption", unknown, good(map[string]any{"use": "enc"}), beside),
		{number: "J12", input: "RSA with 1024 bits", play: weakKey(1024), code: lti.CodeKeyWeak, status: 401, elsewhere: []string{". TestKeysOfASet"}},
		{number: "J12", input: "RSA with 2047 bits", play: weakKey(2047), code: lti.CodeKeyWeak, status: 401},
		refuses("J13", "e = 1", lti.CodeKeyWeak, good(map[string]any{"e": "AQ"})),
		refuses("J13", "e = 2", lti.CodeKeyWeak, good(map[string]any{"e": "Ag"})),
		refuses("J13", "e = 4", lti.CodeKeyWeak, good(map[string]any{"e": "BA"})),
		takes("J14", "unknown kty beside", map[string]any{"kty": "XYZ", "kid": "a"}, good(nil)),
		takes("J14", "malformed key beside", map[string]any{"kty": "RSA", "kid": "a", "n": 7}, good(nil)),
		takes("J14", "no kty beside", map[string]any{"kid": "a"}, good(nil)),
		takes("J15", "two keys of one kid", publicKey("k1", otherKey(), nil), good(nil)),
		refuses("J15", "the kid with the key of another", lti.CodeSignature, publicKey("k1", otherKey(), nil)),
		refuses("J15", "key without kid", unknown, good(map[string]any{"kid": ""}), beside),
		refuses("J16", "numeric kid", unknown, good(map[string]any{"kid": 1}), beside),
		takes("J17", "symmetric key beside", map[string]any{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}, good(nil)),
		refuses("J17", "symmetric key in place of the right one", unknown, map[string]any{"kty": "oct", "kid": "k1", "k": "c2VjcmV0"}, beside),
		refuses("J17", "private key published", unknown, private, beside),
		{number: "J14", input: "what jwx makes of such sets", play: jwxKeySets},
	}
}

// jwxKeySets holds what the library does without our options (digest, section 2): it
// refuses what we have to take.
func jwxKeySets(t *testing.T, r *rig) played {
	t.Helper()
	a := r.login(nil)
	token := r.token(a)
	for name, body := range map[string][]byte{
		"unknown kty": publicSet(map[string]any{"kty": "XYZ", "kid": "a"}, good(nil)),
		"malformed":   publicSet(map[string]any{"kty": "RSA", "kid": "a", "n": 7}, good(nil)),
		"numeric kid": publicSet(good(map[string]any{"kid": 1})),
	} {
		if _, err := jwk.Parse(body); err == nil {
			t.Errorf("%s: jwx takes the set by itself", name)
		}
	}
	verify := func(body []byte, options ...any) error {
		_, err := jwt.Parse([]byte(token), jwt.WithKeySet(must(jwk.Parse(body)), options...), jwt.WithClock(jwt.ClockFunc(r.clock.Now)))
		return err
	}
	if verify(publicSet(good(nil))) == nil {
		t.Error("no alg: jwx takes the key by itself")
	}
	if verify(publicSet(publicKey("k1", otherKey(), nil), good(nil)), jws.WithInferAlgorithmFromKey(true)) == nil {
		t.Error("two keys of one kid: jwx tries both")
	}
	return played{}
}

// weakKey is of a platform that signs with so many bits; jwx takes 1024 of them.
func weakKey(bits int) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		key := testRSA(bits)
		r.jwks.serve(200, publicSet(publicKey("k1", key, nil)))
		a := r.login(nil)
		token := signRaw(`{"alg":"RS256","kid":"k1"}`, must(json.Marshal(r.claims(a))), key)
		checkJWXTakes(t, r, token)
		return played{outcome: r.deliver(a, token), login: a}
	}
}

func keyReadingCases() []caseRow {
	many := make([]map[string]any, 101)
	for i := range many {
		many[i] = publicKey(fmt.Sprint("k", i), platformKey(), nil)
	}
	unavailable := lti.CodeKeysUnavailable
	serves := func(number, input, cause string, body []byte) caseRow {
		return caseRow{number: number, input: input, code: unavailable, status: 503, keys: func() []byte { return body }, traced: func(tr lti.Trace) bool {
			return strings.Contains(tr.Cause, cause)
		}}
	}
	trouble := []string{". TestKeySetTrouble"}
	return []caseRow{
		{number: "K1", input: "away, and the keys are known", play: outage(23 * time.Hour), understood: anyLaunch, elsewhere: []string{". TestK1K2Outage"}},
		{number: "K1", input: "away for a day", play: outage(25 * time.Hour), code: unavailable, status: 503},
		{number: "K2", input: "away, and no keys are known", play: awayAtFirst(http.StatusInternalServerError), code: unavailable, status: 503, elsewhere: trouble},
		{number: "K2", input: "not found", play: awayAtFirst(http.StatusNotFound), code: unavailable, status: 503},
		{number: "K2", input: "nobody listens", play: keysBehind("http://127.0.0.1:1/"), code: unavailable, status: 503},
		{number: "K3", input: "a byte a second", elsewhere: []string{"lti/fetch TestK3SlowLoris"}},
		serves("K4", "600 KB", "too large", append(publicSet(good(nil)), strings.Repeat(" ", 600<<10)...)),
		{number: "K4", input: "gzip bomb", elsewhere: trouble},
		serves("K5", "101 keys", "101 keys", publicSet(many...)),
		serves("K6", "page of HTML", "page of HTML", []byte("<!doctype html><title>Log in</title>")),
		serves("K6", "a single key, no set", "a single key", must(json.Marshal(good(nil)))),
		serves("K6", "keys is an object", "no list of keys", []byte(`{"keys":{}}`)),
		serves("K6", "nothing", "not a JSON object", nil),
		{number: "K7", input: "redirect to a private address", play: redirected("https://10.0.0.1/jwks"), code: unavailable, status: 503, elsewhere: []string{"lti/fetch TestR7K7Redirects"}},
		{number: "K7", input: "private address", play: keysBehind("https://192.168.0.1/jwks"), code: unavailable, status: 503, traced: causes("not a public address")},
		{number: "K8", input: "self-signed certificate", play: selfSigned, code: unavailable, status: 503, traced: causes("self-signed"), elsewhere: []string{"lti/fetch TestExplain"}},
		{number: "K9", input: "200 launches on a cold cache", elsewhere: []string{". TestColdCacheReadsOnce", ". TestK9ColdCache"}},
		{number: "K10", input: "Content-Type: text/plain", play: plainText, understood: anyLaunch, elsewhere: trouble},
		serves("K11", "no keys", "no key that can check", []byte(`{"keys":[]}`)),
		{number: "K11", input: "no keys for a while", play: emptyFor(30 * time.Minute), understood: anyLaunch, elsewhere: []string{". TestK11EmptySet", ". TestK11EmptyForAMoment"}},
		{number: "K11", input: "no keys for an hour", play: emptyFor(61 * time.Minute), code: unavailable, status: 503},
	}
}

func causes(words string) func(lti.Trace) bool {
	return func(tr lti.Trace) bool { return strings.Contains(tr.Cause, words) }
}

func outage(d time.Duration) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		r.launch(nil).session(t)
		r.jwks.serve(503, nil)
		r.clock.advance(d)
		return r.andRepaired(t, r.login(nil))
	}
}

// andRepaired delivers, and if that was refused again when the platform is back: the state
// was not spent.
func (r *rig) andRepaired(t *testing.T, a attempt) played {
	t.Helper()
	token := r.token(a)
	o := r.deliver(a, token)
	if o.problem != nil {
		r.jwks.serve(200, publicSet(good(nil)))
		r.clock.advance(10 * time.Second)
		r.deliver(a, token).session(t)
	}
	return played{outcome: o, login: a}
}

func awayAtFirst(status int) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		r.jwks.serve(status, nil)
		return r.andRepaired(t, r.login(nil))
	}
}

// keysAt changes where the registration's keys are.
func (r *rig) keysAt(t *testing.T, address string) {
	t.Helper()
	if _, err := r.db.Exec(t.Context(), `update registrations set jwks_url = ?`, address); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(6 * time.Second) // so long an answer may be remembered
}

func keysBehind(address string) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		r.keysAt(t, address)
		a := r.login(nil)
		token := r.token(a)
		o := r.deliver(a, token)
		if o.problem != nil { // repaired, the login is still good
			r.keysAt(t, r.jwks.URL)
			r.deliver(a, token).session(t)
			r.traces = r.traces[:len(r.traces)-1] // leave that of the refusal
		}
		return played{outcome: o, login: a}
	}
}

// behind puts another server in the place of the platform's.
func behind(handler http.HandlerFunc) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return keysBehind(server.URL)(t, r)
	}
}

func redirected(to string) func(*testing.T, *rig) played {
	return behind(func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, to, http.StatusFound) })
}

func plainText(t *testing.T, r *rig) played {
	t.Helper()
	return behind(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write(publicSet(good(nil)))
	})(t, r)
}

func selfSigned(t *testing.T, r *rig) played {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return keysBehind(server.URL)(t, r)
}

func emptyFor(d time.Duration) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		r.launch(nil).session(t)
		r.jwks.serve(200, []byte(`{"keys":[]}`))
		r.clock.advance(time.Minute)
		r.launchWith("k2", otherKey()).expect(t, "a key that is not there", lti.CodeKIDUnknown) // reads the empty set
		r.clock.advance(d)
		r.launchWith("k2", otherKey())
		a := r.login(nil)
		return played{outcome: r.deliver(a, r.token(a)), login: a}
	}
}
