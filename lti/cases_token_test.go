package lti_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/sealsmith/sealsmith/lti"
)

// Section 3: form, header and signature of the token. What jwx takes by itself says so:
// digest of the specifications, section 2.

func tokenFormCases() []caseRow {
	malformed, duplicate, compact := lti.CodeTokenMalformed, lti.CodeTokenDuplicate, lti.CodeTokenForm
	return []caseRow{
		{number: "J4", input: "alg none with an empty signature", code: compact, status: 400, token: func(good string) string {
			return segment(`{"alg":"none","kid":"k1"}`) + "." + strings.Split(good, ".")[1] + "."
		}},
		{number: "J24", input: "JSON serialisation", code: compact, status: 400, jwxTakes: true, token: func(good string) string {
			p := strings.Split(good, ".")
			return fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, p[1], p[0], p[2])
		}},
		{number: "J24", input: "JSON serialisation with a list of signatures", code: compact, status: 400, jwxTakes: true, token: func(good string) string {
			p := strings.Split(good, ".")
			return fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, p[1], p[0], p[2])
		}},
		{number: "J25", input: "space before", code: compact, status: 400, jwxTakes: true, token: func(good string) string { return " " + good }},
		{number: "J25", input: "line break after", code: compact, status: 400, jwxTakes: true, token: func(good string) string { return good + "\n" }},
		{number: "J25", input: "line break within", code: compact, status: 400, token: func(good string) string { return good[:100] + "\n" + good[100:] }},
		{number: "J26", input: "four parts", code: compact, status: 400, token: func(good string) string { return good + ".AAAA" }},
		{number: "J26", input: "five parts, encrypted", code: compact, status: 400, token: func(string) string { return "e30.AAAA.AAAA.AAAA.AAAA" }},
		{number: "J26", input: "two parts", code: compact, status: 400, token: func(string) string { return "e30.e30" }},
		{number: "J26", input: "no token at all", code: compact, status: 400, token: func(string) string { return "undefined" }},
		{number: "J26", input: "only dots", code: compact, status: 400, token: func(string) string { return strings.Repeat(".", 100_000) }},
		{number: "J27", input: "padding", code: compact, status: 400, token: func(good string) string { return good + "==" }},
		{number: "J27", input: "standard alphabet", code: compact, status: 400, token: func(string) string { return "e30.e30.ab+/" }},
		{number: "J27", input: "stray bits after the signature", code: compact, status: 400, token: func(good string) string { return good[:len(good)-1] + "B" }},
		{number: "J28", input: "header is a list", code: malformed, status: 400, token: withHeader(`[]`)},
		{number: "J28", input: "header is not JSON", code: malformed, status: 400, token: withHeader(`{alg}`)},
		{number: "J28", input: "claims are a list", code: malformed, status: 400, body: func([]byte) []byte { return []byte(`["a"]`) }},
		{number: "J28", input: "claims are null", code: malformed, status: 400, body: func([]byte) []byte { return []byte(`null`) }},
		{number: "J28", input: "claims are not JSON", code: malformed, status: 400, body: func([]byte) []byte { return []byte(`<xml/>`) }},
		{number: "J28", input: "text after the claims", code: malformed, status: 400, body: func(good []byte) []byte { return append(good, `{}`...) }},
		{number: "J29", input: "sub twice", code: duplicate, status: 400, jwxTakes: true, body: replaceBody(`"sub":"user-7"`, `"sub":"user-8","sub":"user-7"`)},
		{number: "J29", input: "sub twice, once in escapes", code: duplicate, status: 400, jwxTakes: true, body: replaceBody(`"sub":"user-7"`, `"\u0073ub":"user-8","sub":"user-7"`)},
		{number: "J29", input: "member twice inside a claim", code: duplicate, status: 400, jwxTakes: true, body: replaceBody(`"id":"link-1"`, `"id":"link-2","id":"link-1"`)},
		{number: "J29", input: "alg twice in the header", code: duplicate, status: 400, token: withHeader(`{"alg":"none","alg":"RS256","kid":"k1"}`)},
		{number: "J30", input: "nested 5,000 levels deep", code: malformed, status: 400, claims: nested(5000)},
		{number: "J30", input: "nested 10,001 levels deep, quickly", code: malformed, status: 400, play: deepAndQuick},
		{number: "J30", input: "nested beside what it may be", code: malformed, status: 400, claims: nested(33)},
		{number: "J30", input: "nested 20 levels deep", claims: nested(20), understood: anyLaunch},
		{number: "J30", input: "a string of 1 MB", code: lti.CodeTooLarge, status: 413, claims: set("x", strings.Repeat("x", 1<<20))},
		{number: "J32", input: "broken UTF-8", claims: set("name", json.RawMessage("\"St\xffella\"")), understood: func(l lti.Launch) bool { return l.User.Name == "St\uFFFDella" }},
		{number: "J32", input: "U+0000 in a name", claims: set("name", "Stel\x00la"), understood: func(l lti.Launch) bool { return l.User.Name == "Stella" }},
		{number: "J32", input: "U+0000 in a course id", claims: set(claim+"context", map[string]any{"id": "a\x00b", "title": "a\x00b"}), understood: func(l lti.Launch) bool {
			return l.Context.ID == "" && l.Context.Title == "ab"
		}},
		{number: "J32", input: "U+0000 in a custom value", claims: set(claim+"custom", map[string]any{"a": "b\x00c"}), understood: func(l lti.Launch) bool { return l.Custom["a"] == "bc" }},
		{number: "J32", input: "U+0000 in a resource link id", code: lti.CodeResourceLinkLength, status: 401, claims: set(claim+"resource_link", map[string]any{"id": "a\x00b"})},
		{number: "J32", input: "half a surrogate pair", claims: set("name", json.RawMessage(`"Stella\ud800"`)), understood: func(l lti.Launch) bool { return l.User.Name == "Stella\uFFFD" }},
	}
}

func anyLaunch(lti.Launch) bool { return true }

func nested(levels int) func(map[string]any) {
	return func(m map[string]any) {
		m["deep"] = json.RawMessage(strings.Repeat("[", levels) + strings.Repeat("]", levels))
	}
}

func deepAndQuick(t *testing.T, r *rig) played {
	t.Helper()
	a := r.login(nil)
	body := []byte(`{"a":` + strings.Repeat("[", 90_000) + strings.Repeat("]", 90_000) + `}`)
	token := signRaw(`{"alg":"RS256","kid":"k1"}`, body, platformKey())
	began := time.Now()
	o := r.deliver(a, token)
	if took := time.Since(began); took > 2*time.Second { // 50 ms on a machine that does nothing else
		t.Errorf("refused after %s", took)
	}
	return played{outcome: o, login: a}
}

// headers of what an attacker, or a platform that is set up wrongly, would send.
func headerCases() []caseRow {
	header := func(number, input, code, header string) caseRow {
		return caseRow{number: number, input: input, code: code, status: 401, header: header}
	}
	jwxTakes := func(c caseRow) caseRow { c.jwxTakes = true; return c }
	alg, kid, unknown := lti.CodeAlg, lti.CodeKIDMissing, lti.CodeKIDUnknown
	return []caseRow{
		header("J1", "no kid", kid, `{"alg":"RS256"}`),
		header("J1", "empty kid", kid, `{"alg":"RS256","kid":""}`),
		header("J1", "kid is null", kid, `{"alg":"RS256","kid":null}`),
		header("J1", "kid is a number", kid, `{"alg":"RS256","kid":1}`),
		header("J1", "Kid with a capital", kid, `{"alg":"RS256","Kid":"k1"}`),
		header("J2", "unknown kid", unknown, `{"alg":"RS256","kid":"k2"}`),
		{number: "J2", input: "one more reading in a minute", play: oneReading, code: unknown, status: 401},
		{number: "J3", input: "a flood of random kids", play: kidFlood, code: unknown, status: 401, elsewhere: []string{". TestKidFlood", ". TestJ3Flood", ". TestJ3ManyAtTheEndOfTheWindow"}},
		header("J5", "alg None", alg, `{"alg":"None","kid":"k1"}`),
		header("J5", "alg nOnE", alg, `{"alg":"nOnE","kid":"k1"}`),
		header("J5", "alg none with a signature", alg, `{"alg":"none","kid":"k1"}`),
		header("J5", "alg missing", alg, `{"kid":"k1"}`),
		header("J5", "alg is a number", alg, `{"alg":256,"kid":"k1"}`),
		header("J5", "alg rs256 in small letters", alg, `{"alg":"rs256","kid":"k1"}`),
		{number: "J5", input: "alg of 10 KB", code: alg, status: 401, header: `{"alg":"` + strings.Repeat("R", 10_000) + `","kid":"k1"}`, traced: func(tr lti.Trace) bool { return len(tr.Algorithm) < 200 }},
		{number: "J6", input: "HS256 with the public key as PEM", code: alg, status: 401, token: hs256(pemOf(platformKey()))},
		{number: "J6", input: "HS256 with the modulus", code: alg, status: 401, token: hs256(platformKey().N.Bytes())},
		{number: "J7", input: "HS256 with the client id", code: alg, status: 401, token: hs256([]byte(clientID))},
		{number: "J7", input: "HS256 with an empty secret", code: alg, status: 401, token: hs256(nil)},
		{number: "J8", input: "RS512", code: alg, status: 401, jwxTakes: true, token: resigned(jwa.RS512)},
		{number: "J8", input: "PS256", code: alg, status: 401, jwxTakes: true, token: resigned(jwa.PS256)},
		{number: "J8", input: "RS512 where the registration allows it", settings: lti.Settings{Algorithms: []string{"RS256", "RS512"}}, token: resigned(jwa.RS512), understood: anyLaunch},
		{number: "J8", input: "RS256 where it allows RS512 only", settings: lti.Settings{Algorithms: []string{"RS512"}}, play: onlyRS512, code: alg, status: 401},
		header("J9", "ES256", alg, `{"alg":"ES256","kid":"k1"}`),
		{number: "J9", input: "ES256 where the registration allows it", play: es256(elliptic.P256()), understood: anyLaunch},
		{number: "J9", input: "ES256 with a key of another curve", play: es256(elliptic.P384()), code: unknown, status: 401},
		header("J18", "jku", lti.CodeHeaderKey, `{"alg":"RS256","kid":"k1","jku":"https://evil.example/jwks"}`),
		header("J18", "x5u", lti.CodeHeaderKey, `{"alg":"RS256","kid":"k1","x5u":"https://evil.example/x"}`),
		header("J19", "jwk", lti.CodeHeaderKey, `{"alg":"RS256","kid":"k1","jwk":{}}`),
		{number: "J19", input: "jwk that has signed", code: lti.CodeHeaderKey, status: 401, key: otherKey(), header: `{"alg":"RS256","kid":"k1","jwk":` + string(must(json.Marshal(publicKey("k1", otherKey(), nil)))) + `}`},
		header("J19", "x5c", lti.CodeHeaderKey, `{"alg":"RS256","kid":"k1","x5c":[]}`),
		jwxTakes(header("J20", "crit of an unknown name", lti.CodeHeaderCritical, `{"alg":"RS256","kid":"k1","crit":["x"],"x":1}`)),
		header("J20", "crit b64", lti.CodeHeaderCritical, `{"alg":"RS256","kid":"k1","crit":["b64"],"b64":true}`),
		header("J20", "crit null", lti.CodeHeaderCritical, `{"alg":"RS256","kid":"k1","crit":null}`),
		header("J20", "b64 without crit", lti.CodeHeaderCritical, `{"alg":"RS256","kid":"k1","b64":false}`),
		jwxTakes(header("J21", "typ of an access token", lti.CodeHeaderType, `{"alg":"RS256","kid":"k1","typ":"at+jwt"}`)),
		jwxTakes(header("J21", "typ of a security event", lti.CodeHeaderType, `{"alg":"RS256","kid":"k1","typ":"secevent+jwt"}`)),
		jwxTakes(header("J21", "typ of a logout token", lti.CodeHeaderType, `{"alg":"RS256","kid":"k1","typ":"logout+jwt"}`)),
		header("J21", "typ is a list", lti.CodeHeaderType, `{"alg":"RS256","kid":"k1","typ":["JWT"]}`),
		{number: "J21", input: "typ jwt", header: `{"alg":"RS256","kid":"k1","typ":"jwt"}`, understood: anyLaunch},
		{number: "J21", input: "typ JWT, x5t and what nobody knows", header: `{"alg":"RS256","kid":"k1","typ":"JWT","x5t":"abc","extra":{"a":1}}`, understood: anyLaunch},
		{number: "J22", input: "payload altered", code: lti.CodeSignature, status: 401, token: func(good string) string {
			p := strings.Split(good, ".")
			payload := must(base64.RawURLEncoding.DecodeString(p[1]))
			return p[0] + "." + segment(strings.Replace(string(payload), "user-7", "user-8", 1)) + "." + p[2]
		}},
		{number: "J22", input: "header altered", code: lti.CodeSignature, status: 401, token: withHeader(`{"alg":"RS256","kid":"k1","typ":"JWT"}`)},
		{number: "J23", input: "signature of another key", code: lti.CodeSignature, status: 401, key: otherKey()},
		{number: "J23", input: "signature of another token", code: lti.CodeSignature, status: 401, token: func(good string) string {
			other := sign(map[string]any{"sub": "user-7"}, map[string]any{"kid": "k1"}, platformKey())
			return good[:strings.LastIndexByte(good, '.')] + other[strings.LastIndexByte(other, '.'):]
		}},
		{number: "J23", input: "signature of one byte", code: lti.CodeSignature, status: 401, token: func(good string) string { return good[:strings.LastIndexByte(good, '.')] + ".AA" }},
		header("J31", "kid is a path", unknown, `{"alg":"RS256","kid":"../../etc/passwd"}`),
		header("J31", "kid is SQL", unknown, `{"alg":"RS256","kid":"' or 1=1 --"}`),
		header("J31", "kid with U+0000", unknown, `{"alg":"RS256","kid":"k1\u0000"}`),
		{
			number: "J31", input: "kid of 10 KB", code: unknown, status: 401, header: `{"alg":"RS256","kid":"` + strings.Repeat("k", 10000) + `"}`,
			traced: func(tr lti.Trace) bool { return len(tr.KID) < 130 && len(tr.Received) < 130 },
		},
		{number: "J33", input: "the platform has just changed its key", play: rotated("k2"), understood: anyLaunch},
		{number: "J34", input: "the old key, withdrawn", play: rotated("k1"), code: unknown, status: 401, elsewhere: []string{". TestJ33J34Rotation", ". TestStaleWhileRevalidate"}},
	}
}

func withHeader(header string) func(string) string {
	return func(good string) string {
		parts := strings.Split(good, ".")
		return segment(header) + "." + parts[1] + "." + parts[2]
	}
}

func pemOf(key *rsa.PrivateKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key.Public()))})
}

func hs256(secret []byte) func(string) string {
	return func(good string) string {
		input := segment(`{"alg":"HS256","kid":"k1"}`) + "." + strings.Split(good, ".")[1]
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(input))
		return input + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	}
}

// resigned signs the same claims with the platform's key and another algorithm.
func resigned(alg jwa.SignatureAlgorithm) func(string) string {
	return func(good string) string { return signedBy(alg, good, platformKey()) }
}

func onlyRS512(t *testing.T, r *rig) played {
	t.Helper()
	a := r.login(nil)
	token := r.token(a)
	o := r.deliver(a, token)
	r.deliver(a, resigned(jwa.RS512)(token)).session(t)
	return played{outcome: o, login: a}
}

func signedBy(alg jwa.SignatureAlgorithm, good string, key crypto.Signer) string {
	h := jws.NewHeaders()
	if err := h.Set(jws.KeyIDKey, "k1"); err != nil {
		panic(err)
	}
	payload := must(base64.RawURLEncoding.DecodeString(strings.Split(good, ".")[1]))
	return string(must(jws.Sign(payload, jws.WithKey(alg, key, jws.WithProtectedHeaders(h)))))
}

func es256(curve elliptic.Curve) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		if _, err := r.db.Exec(t.Context(), `update registrations set settings = '{"algorithms":["ES256"]}'`); err != nil {
			t.Fatal(err)
		}
		r.clock.advance(6 * time.Second)
		signer := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		published := signer.Public()
		if curve != elliptic.P256() {
			published = must(ecdsa.GenerateKey(curve, rand.Reader)).Public()
		}
		var m map[string]any
		if err := json.Unmarshal(must(json.Marshal(must(jwk.FromRaw(published)))), &m); err != nil {
			t.Fatal(err)
		}
		m["kid"] = "k1"
		r.jwks.serve(200, publicSet(m))
		a := r.login(nil)
		return played{outcome: r.deliver(a, signedBy(jwa.ES256, r.token(a), signer)), login: a}
	}
}

func oneReading(t *testing.T, r *rig) played {
	t.Helper()
	r.launch(nil).session(t)
	r.clock.advance(time.Minute)
	var o outcome
	for range 5 {
		o = r.launchWith("k2", otherKey())
		o.expect(t, "an unknown kid", lti.CodeKIDUnknown)
	}
	if n := r.jwks.count(); n != 2 {
		t.Errorf("read %d times, want 2", n)
	}
	return played{outcome: o}
}

// kidFlood goes on for three minutes, and then the platform really changes its key.
func kidFlood(t *testing.T, r *rig) played {
	t.Helper()
	var o outcome
	for i := range 60 {
		o = r.launchWith(fmt.Sprint("made-up-", i), otherKey())
		o.expect(t, "a made-up kid", lti.CodeKIDUnknown)
		r.clock.advance(3 * time.Second)
	}
	if n := r.jwks.count(); n > 4 {
		t.Errorf("read %d times in three minutes", n)
	}
	r.clock.advance(time.Minute)
	r.jwks.serve(200, publicSet(publicKey("new", otherKey(), nil)))
	r.launchWith("new", otherKey()).session(t)
	return played{outcome: o}
}

func rotated(kid string) func(*testing.T, *rig) played {
	return func(t *testing.T, r *rig) played {
		t.Helper()
		r.launch(nil).session(t)
		r.clock.advance(time.Minute)
		r.jwks.serve(200, publicSet(publicKey("k2", otherKey(), nil)))
		newer := r.launchWith("k2", otherKey())
		if n := r.jwks.count(); n != 2 {
			t.Errorf("read %d times, want 2", n)
		}
		if kid == "k2" {
			return played{outcome: newer}
		}
		return played{outcome: r.launchWith("k1", platformKey())}
	}
}
