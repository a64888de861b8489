package lti_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/sealsmith/sealsmith/lti"
)

// badToken is a signed message with one thing wrong. The refusal must name exactly that,
// and leave the login as it was: the right token still works afterwards.
type badToken struct {
	name   string
	code   string
	status int
	claims func(m map[string]any) // changes the claims
	header string                 // header as JSON; empty: RS256 with the right kid
	body   func(good []byte) []byte
	key    *rsa.PrivateKey // signs instead of the platform's key
	token  func(good string) string
}

func set(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

func drop(names ...string) func(map[string]any) {
	return func(m map[string]any) {
		for _, n := range names {
			delete(m, n)
		}
	}
}

func inDeepLinking(change func(settings map[string]any)) func(map[string]any) {
	return func(m map[string]any) {
		deepLinking(m)
		settings, ok := m[dlClaim+"deep_linking_settings"].(map[string]any)
		if !ok {
			panic("no settings")
		}
		change(settings)
	}
}

func at(d time.Duration) int64 { return start.Add(d).Unix() }

func replaceBody(old, with string) func([]byte) []byte {
	return func(good []byte) []byte {
		if !strings.Contains(string(good), old) {
			panic(old + " is not in the claims")
		}
		return []byte(strings.Replace(string(good), old, with, 1))
	}
}

func segment(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func hs256(secret []byte) func(string) string {
	return func(good string) string {
		payload := must(base64.RawURLEncoding.DecodeString(strings.Split(good, ".")[1]))
		h := jws.NewHeaders()
		if err := h.Set("kid", "k1"); err != nil {
			panic(err)
		}
		return string(must(jws.Sign(payload, jws.WithKey(jwa.HS256, secret, jws.WithProtectedHeaders(h)))))
	}
}

func withHeader(header string) func(string) string {
	return func(good string) string {
		parts := strings.Split(good, ".")
		return segment(header) + "." + parts[1] + "." + parts[2]
	}
}

var form = []badToken{
	{name: "J4 alg none with empty signature", code: lti.CodeTokenForm, status: 400, token: func(good string) string {
		return segment(`{"alg":"none","kid":"k1"}`) + "." + strings.Split(good, ".")[1] + "."
	}},
	{name: "J24 JSON serialisation", code: lti.CodeTokenForm, status: 400, token: func(good string) string {
		p := strings.Split(good, ".")
		return fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, p[1], p[0], p[2])
	}},
	{name: "J25 space before", code: lti.CodeTokenForm, status: 400, token: func(good string) string { return " " + good }},
	{name: "J25 line break after", code: lti.CodeTokenForm, status: 400, token: func(good string) string { return good + "\n" }},
	{name: "J26 four parts", code: lti.CodeTokenForm, status: 400, token: func(good string) string { return good + ".AAAA" }},
	{name: "J26 five parts, encrypted", code: lti.CodeTokenForm, status: 400, token: func(string) string { return "e30.AAAA.AAAA.AAAA.AAAA" }},
	{name: "two parts", code: lti.CodeTokenForm, status: 400, token: func(string) string { return "e30.e30" }},
	{name: "not a token", code: lti.CodeTokenForm, status: 400, token: func(string) string { return "undefined" }},
	{name: "J27 padding", code: lti.CodeTokenForm, status: 400, token: func(good string) string { return good + "==" }},
	{name: "J27 standard alphabet", code: lti.CodeTokenForm, status: 400, token: func(string) string { return "e30.e30.ab+/" }},
	{name: "J27 stray bits after the signature", code: lti.CodeTokenForm, status: 400, token: func(good string) string { return good[:len(good)-1] + "B" }},
	{name: "header is a list", code: lti.CodeTokenMalformed, status: 400, token: withHeader(`[]`)},
	{name: "header is not JSON", code: lti.CodeTokenMalformed, status: 400, token: withHeader(`{alg}`)},
	{name: "header names alg twice", code: lti.CodeTokenDuplicate, status: 400, token: withHeader(`{"alg":"none","alg":"RS256","kid":"k1"}`)},
	{name: "J28 claims are a list", code: lti.CodeTokenMalformed, status: 400, body: func([]byte) []byte { return []byte(`["a"]`) }},
	{name: "J28 claims are not JSON", code: lti.CodeTokenMalformed, status: 400, body: func([]byte) []byte { return []byte(`<xml/>`) }},
	{name: "J28 text after the claims", code: lti.CodeTokenMalformed, status: 400, body: func(good []byte) []byte { return append(good, `{}`...) }},
	{name: "J29 sub twice", code: lti.CodeTokenDuplicate, status: 400, body: replaceBody(`"sub":"user-7"`, `"sub":"user-8","sub":"user-7"`)},
	{name: "J29 sub twice, once in escapes", code: lti.CodeTokenDuplicate, status: 400, body: replaceBody(`"sub":"user-7"`, `"\u0073ub":"user-8","sub":"user-7"`)},
	{name: "J29 member twice inside a claim", code: lti.CodeTokenDuplicate, status: 400, body: replaceBody(`"id":"link-1"`, `"id":"link-2","id":"link-1"`)},
	{name: "J30 nested deeply", code: lti.CodeTokenMalformed, status: 400, claims: func(m map[string]any) {
		m["deep"] = json.RawMessage(strings.Repeat("[", 5000) + strings.Repeat("]", 5000))
	}},
}

var headers = []badToken{
	{name: "alg missing", code: lti.CodeAlg, status: 401, header: `{"kid":"k1"}`},
	{name: "alg is a number", code: lti.CodeAlg, status: 401, header: `{"alg":256,"kid":"k1"}`},
	{name: "J5 alg nOnE", code: lti.CodeAlg, status: 401, header: `{"alg":"nOnE","kid":"k1"}`},
	{name: "alg rs256 in small letters", code: lti.CodeAlg, status: 401, header: `{"alg":"rs256","kid":"k1"}`},
	{name: "J6 HS256 with the public key", code: lti.CodeAlg, status: 401, token: hs256(platformKey().N.Bytes())},
	{name: "J7 HS256 with the client id", code: lti.CodeAlg, status: 401, token: hs256([]byte(clientID))},
	{name: "J8 RS512", code: lti.CodeAlg, status: 401, header: `{"alg":"RS512","kid":"k1"}`},
	{name: "J8 PS256", code: lti.CodeAlg, status: 401, header: `{"alg":"PS256","kid":"k1"}`},
	{name: "J9 ES256", code: lti.CodeAlg, status: 401, header: `{"alg":"ES256","kid":"k1"}`},
	{name: "J1 no kid", code: lti.CodeKIDMissing, status: 401, header: `{"alg":"RS256"}`},
	{name: "J1 empty kid", code: lti.CodeKIDMissing, status: 401, header: `{"alg":"RS256","kid":""}`},
	{name: "kid is a number", code: lti.CodeKIDMissing, status: 401, header: `{"alg":"RS256","kid":1}`},
	{name: "Kid with a capital", code: lti.CodeKIDMissing, status: 401, header: `{"alg":"RS256","Kid":"k1"}`},
	{name: "J2 unknown kid", code: lti.CodeKIDUnknown, status: 401, header: `{"alg":"RS256","kid":"k2"}`},
	{name: "J31 kid is a path", code: lti.CodeKIDUnknown, status: 401, header: `{"alg":"RS256","kid":"../../etc/passwd"}`},
	{name: "J31 kid is SQL", code: lti.CodeKIDUnknown, status: 401, header: `{"alg":"RS256","kid":"' or 1=1 --"}`},
	{name: "J31 kid of 10 KB", code: lti.CodeKIDUnknown, status: 401, header: `{"alg":"RS256","kid":"` + strings.Repeat("k", 10000) + `"}`},
	{name: "J18 jku", code: lti.CodeHeaderKey, status: 401, header: `{"alg":"RS256","kid":"k1","jku":"https://evil.example/jwks"}`},
	{name: "J18 x5u", code: lti.CodeHeaderKey, status: 401, header: `{"alg":"RS256","kid":"k1","x5u":"https://evil.example/x"}`},
	{name: "J19 jwk", code: lti.CodeHeaderKey, status: 401, header: `{"alg":"RS256","kid":"k1","jwk":{}}`},
	{name: "J20 crit", code: lti.CodeHeaderCritical, status: 401, header: `{"alg":"RS256","kid":"k1","crit":["b64"],"b64":true}`},
	{name: "J20 crit of an unknown name", code: lti.CodeHeaderCritical, status: 401, header: `{"alg":"RS256","kid":"k1","crit":["x"]}`},
	{name: "b64 without crit", code: lti.CodeHeaderCritical, status: 401, header: `{"alg":"RS256","kid":"k1","b64":false}`},
	{name: "J21 typ of an access token", code: lti.CodeHeaderType, status: 401, header: `{"alg":"RS256","kid":"k1","typ":"at+jwt"}`},
	{name: "J21 typ of a logout token", code: lti.CodeHeaderType, status: 401, header: `{"alg":"RS256","kid":"k1","typ":"logout+jwt"}`},
	{name: "typ is a list", code: lti.CodeHeaderType, status: 401, header: `{"alg":"RS256","kid":"k1","typ":["JWT"]}`},
	{name: "J22 payload altered", code: lti.CodeSignature, status: 401, token: func(good string) string {
		p := strings.Split(good, ".")
		payload := must(base64.RawURLEncoding.DecodeString(p[1]))
		return p[0] + "." + segment(strings.Replace(string(payload), "user-7", "user-8", 1)) + "." + p[2]
	}},
	{name: "J23 signature of another key", code: lti.CodeSignature, status: 401, key: otherKey()},
	{name: "signature of one byte", code: lti.CodeSignature, status: 401, token: func(good string) string {
		return good[:strings.LastIndexByte(good, '.')] + ".AA"
	}},
}

var parties = []badToken{
	{name: "C1 other issuer", code: lti.CodeIssuerMismatch, status: 401, claims: set("iss", "https://other.example.edu")},
	{name: "issuer missing", code: lti.CodeIssuerMismatch, status: 401, claims: drop("iss")},
	{name: "issuer is a number", code: lti.CodeIssuerMismatch, status: 401, claims: set("iss", 5)},
	{name: "issuer in capitals", code: lti.CodeIssuerMismatch, status: 401, claims: set("iss", strings.ToUpper(issuer))},
	{name: "L9 issuer with a slash more", code: lti.CodeIssuerSlash, status: 401, claims: set("iss", issuer+"/")},
	{name: "D21 our own deep linking response", code: lti.CodeIssuerMismatch, status: 401, claims: func(m map[string]any) {
		m["iss"], m["aud"] = clientID, issuer
	}},
	{name: "C2 other audience", code: lti.CodeAudienceMismatch, status: 401, claims: set("aud", "12345")},
	{name: "C3 empty audience", code: lti.CodeAudienceMismatch, status: 401, claims: set("aud", []string{})},
	{name: "audience missing", code: lti.CodeAudienceMismatch, status: 401, claims: drop("aud")},
	{name: "C4 two audiences without azp", code: lti.CodeAZPMissing, status: 401, claims: set("aud", []string{clientID, "other"})},
	{name: "C5 two audiences, one a stranger", code: lti.CodeAudienceUntrusted, status: 401, claims: func(m map[string]any) {
		m["aud"], m["azp"] = []string{"other", clientID}, clientID
	}},
	{name: "C6 azp of another client", code: lti.CodeAZPMismatch, status: 401, claims: set("azp", "other")},
	{name: "azp is a number", code: lti.CodeAZPMismatch, status: 401, claims: set("azp", 1)},
	{name: "C7 audience is a number", code: lti.CodeTokenMalformed, status: 400, claims: set("aud", 7)},
	{name: "C7 audience is an object", code: lti.CodeTokenMalformed, status: 400, claims: set("aud", map[string]any{"a": clientID})},
}

var times = []badToken{
	{name: "C8 expired ten minutes ago", code: lti.CodeExpired, status: 401, claims: func(m map[string]any) {
		m["exp"], m["iat"] = at(-10*time.Minute), at(-11*time.Minute)
	}},
	{name: "expired by the skew to the second", code: lti.CodeExpired, status: 401, claims: set("exp", at(-time.Minute))},
	{name: "C10 exp missing", code: lti.CodeExpMissing, status: 401, claims: drop("exp")},
	{name: "exp null", code: lti.CodeExpMissing, status: 401, claims: set("exp", nil)},
	{name: "C11 exp as text", code: lti.CodeTokenMalformed, status: 400, claims: set("exp", fmt.Sprint(at(time.Minute)))},
	{name: "exp too large for a time", code: lti.CodeTokenMalformed, status: 400, claims: set("exp", json.RawMessage("1e300"))},
	{name: "exp too large for a number", code: lti.CodeTokenMalformed, status: 400, claims: set("exp", json.RawMessage("1e999"))},
	{name: "C12 exp in the year 2200", code: lti.CodeLifetime, status: 401, claims: set("exp", 7258118400)},
	{name: "exp before iat", code: lti.CodeLifetime, status: 401, claims: func(m map[string]any) { m["exp"], m["iat"] = at(-30*time.Second), at(0) }},
	{name: "C13 iat missing", code: lti.CodeIATMissing, status: 401, claims: drop("iat")},
	{name: "iat as text", code: lti.CodeTokenMalformed, status: 400, claims: set("iat", "1795330304")},
	{name: "C15 iat ten minutes ahead", code: lti.CodeIATFuture, status: 401, claims: func(m map[string]any) {
		m["iat"], m["exp"] = at(10*time.Minute), at(11*time.Minute)
	}},
	{name: "C16 iat a day ago", code: lti.CodeIATOld, status: 401, claims: func(m map[string]any) { m["iat"], m["exp"] = at(-23*time.Hour), at(time.Minute) }},
	{name: "C16 iat of 1970", code: lti.CodeIATOld, status: 401, claims: set("iat", 0)},
	{name: "C18 nbf ahead", code: lti.CodeNotBefore, status: 401, claims: set("nbf", at(5*time.Minute))},
	{name: "nbf as text", code: lti.CodeTokenMalformed, status: 400, claims: set("nbf", "soon")},
	{name: "C19 nonce missing", code: lti.CodeNonceMissing, status: 401, claims: drop("nonce")},
	{name: "nonce empty", code: lti.CodeNonceMissing, status: 401, claims: set("nonce", "")},
	{name: "C20 nonce never issued", code: lti.CodeNonceMismatch, status: 401, claims: set("nonce", "made-up-made-up-made-up")},
	{name: "C23 nonce null", code: lti.CodeNonceMissing, status: 401, claims: set("nonce", nil)},
	{name: "C23 nonce is a number", code: lti.CodeNonceMissing, status: 401, claims: set("nonce", 12)},
}

var long = strings.Repeat("x", 256)

var messages = []badToken{
	{name: "M1 plain OpenID Connect", code: lti.CodeNotLTI, status: 401, claims: drop(claim+"version", claim+"message_type", claim+"deployment_id")},
	{name: "M2 version missing", code: lti.CodeVersionMissing, status: 401, claims: drop(claim + "version")},
	{name: "M3 version 11.3", code: lti.CodeVersionMismatch, status: 401, claims: set(claim+"version", "11.3")},
	{name: "M3 version is a number", code: lti.CodeVersionMismatch, status: 401, claims: set(claim+"version", 1.3)},
	{name: "M4 message type missing", code: lti.CodeMessageTypeMissing, status: 401, claims: drop(claim + "message_type")},
	{name: "message type is a list", code: lti.CodeClaimType, status: 401, claims: set(claim+"message_type", []string{"LtiResourceLinkRequest"})},
	{name: "M5 message type unknown", code: lti.CodeMessageTypeUnknown, status: 401, claims: set(claim+"message_type", "basic-lti-launch-request")},
	{name: "M5 message type in small letters", code: lti.CodeMessageTypeUnknown, status: 401, claims: set(claim+"message_type", "ltiresourcelinkrequest")},
	{name: "M6 proctoring", code: lti.CodeMessageTypeNotOffered, status: 400, claims: set(claim+"message_type", "LtiStartProctoring")},
	{name: "M44 submission review of nobody", code: lti.CodeForUserMissing, status: 401, claims: set(claim+"message_type", "LtiSubmissionReviewRequest")},
	{name: "M44 submission review with an empty for_user", code: lti.CodeForUserMissing, status: 401, claims: func(m map[string]any) {
		m[claim+"message_type"], m[claim+"for_user"] = "LtiSubmissionReviewRequest", map[string]any{"user_id": ""}
	}},
	{name: "M45 submission review of another by a learner", code: lti.CodeForUserForeign, status: 403, claims: func(m map[string]any) {
		m[claim+"message_type"], m[claim+"for_user"] = "LtiSubmissionReviewRequest", map[string]any{"user_id": "user-8"}
	}},
	{name: "data privacy about another by a learner", code: lti.CodeForUserForeign, status: 403, claims: func(m map[string]any) {
		m[claim+"message_type"], m[claim+"for_user"] = "DataPrivacyLaunchRequest", map[string]any{"user_id": "user-8"}
	}},
	{name: "M7 deployment missing", code: lti.CodeDeploymentMissing, status: 401, claims: drop(claim + "deployment_id")},
	{name: "M7 deployment empty", code: lti.CodeDeploymentMissing, status: 401, claims: set(claim+"deployment_id", "")},
	{name: "M8 deployment unknown", code: lti.CodeDeploymentUnknown, status: 403, claims: set(claim+"deployment_id", "3")},
	{name: "M10 deployment too long", code: lti.CodeDeploymentLength, status: 401, claims: set(claim+"deployment_id", long)},
	{name: "M10 deployment is a number", code: lti.CodeClaimType, status: 401, claims: set(claim+"deployment_id", 1)},
	{name: "M13 roles missing", code: lti.CodeRolesMissing, status: 401, claims: drop(claim + "roles")},
	{name: "M18 roles are a text", code: lti.CodeClaimType, status: 401, claims: set(claim+"roles", memberRole+"Instructor")},
	{name: "C24 sub missing", code: lti.CodeSubjectMissing, status: 401, claims: drop("sub")},
	{name: "C25 sub empty", code: lti.CodeSubjectMissing, status: 401, claims: set("sub", "")},
	{name: "SUB instead of sub", code: lti.CodeSubjectMissing, status: 401, body: replaceBody(`"sub"`, `"SUB"`)},
	{name: "sub is a number", code: lti.CodeTokenMalformed, status: 400, claims: set("sub", 7)},
	{name: "C26 sub too long", code: lti.CodeSubjectLength, status: 401, claims: set("sub", long)},
	{name: "C27 sub with a control character", code: lti.CodeSubjectCharacters, status: 401, claims: set("sub", "a\x00b")},
	{name: "M25 target missing", code: lti.CodeTargetMissing, status: 401, claims: drop(claim + "target_link_uri")},
	{name: "M23 target elsewhere", code: lti.CodeTargetForeign, status: 401, claims: set(claim+"target_link_uri", "https://evil.example/lti/launch")},
	{name: "M23 target on another port", code: lti.CodeTargetForeign, status: 401, claims: set(claim+"target_link_uri", toolURL+":8443/lti/launch")},
	{name: "L12 target with a user name", code: lti.CodeTargetForeign, status: 401, claims: set(claim+"target_link_uri", "https://tool.example.edu@evil.example/")},
	{name: "target is a script", code: lti.CodeTargetForeign, status: 401, claims: set(claim+"target_link_uri", "javascript:alert(1)")},
	{name: "target is a list", code: lti.CodeTargetForeign, status: 401, claims: set(claim+"target_link_uri", []string{toolURL})},
	{name: "M11 resource link missing", code: lti.CodeResourceLinkMissing, status: 401, claims: drop(claim + "resource_link")},
	{name: "M11 resource link without id", code: lti.CodeResourceLinkMissing, status: 401, claims: set(claim+"resource_link", map[string]any{"title": "x"})},
	{name: "M11 resource link with an empty id", code: lti.CodeResourceLinkMissing, status: 401, claims: set(claim+"resource_link", map[string]any{"id": ""})},
	{name: "resource link is a text", code: lti.CodeResourceLinkMissing, status: 401, claims: set(claim+"resource_link", "link-1")},
	{name: "M12 resource link too long", code: lti.CodeResourceLinkLength, status: 401, claims: set(claim+"resource_link", map[string]any{"id": long})},
	{name: "D1 settings missing", code: lti.CodeDeepLinkingSettings, status: 401, claims: func(m map[string]any) {
		deepLinking(m)
		delete(m, dlClaim+"deep_linking_settings")
	}},
	{name: "settings without accepted types", code: lti.CodeDeepLinkingSettings, status: 401, claims: inDeepLinking(drop("accept_types"))},
	{name: "D2 return URL missing", code: lti.CodeDeepLinkingReturnURL, status: 401, claims: inDeepLinking(drop("deep_link_return_url"))},
	{name: "D3 return URL is a script", code: lti.CodeDeepLinkingReturnURL, status: 401, claims: inDeepLinking(set("deep_link_return_url", "javascript:alert(1)"))},
	{name: "D3 return URL is data", code: lti.CodeDeepLinkingReturnURL, status: 401, claims: inDeepLinking(set("deep_link_return_url", "data:text/html,x"))},
	{name: "D3 return URL is not encrypted", code: lti.CodeDeepLinkingReturnURL, status: 401, claims: inDeepLinking(set("deep_link_return_url", "http://lms.example.edu/return"))},
	{name: "deep linking with a foreign target", code: lti.CodeTargetForeign, status: 401, claims: func(m map[string]any) {
		deepLinking(m)
		m[claim+"target_link_uri"] = "https://evil.example/"
	}},
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for group, rows := range map[string][]badToken{
		"form": form, "header": headers, "parties": parties, "times": times, "message": messages,
	} {
		for _, row := range rows {
			t.Run(group+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				testBadToken(t, r, row)
			})
		}
	}
}

func testBadToken(t *testing.T, r *rig, row badToken) {
	t.Helper()
	a := r.login(nil)
	m := r.claims(a)
	good := sign(m, map[string]any{"kid": "k1"}, platformKey())
	if row.claims != nil {
		row.claims(m)
	}
	payload := must(json.Marshal(m))
	if row.body != nil {
		payload = row.body(payload)
	}
	header, key := `{"alg":"RS256","kid":"k1"}`, platformKey()
	if row.header != "" {
		header = row.header
	}
	if row.key != nil {
		key = row.key
	}
	token := signRaw(header, payload, key)
	if row.token != nil {
		token = row.token(token)
	}
	refused := r.deliver(a, token).check(t)
	if refused.Code != row.code || refused.Status != row.status {
		t.Errorf("got %s (%d), want %s (%d): %v", refused.Code, refused.Status, row.code, row.status, refused)
	}
	if refused.Advice == "" {
		t.Error("the refusal gives no advice")
	}
	if strings.Contains(refused.Error(), a.nonce) || strings.Contains(refused.Error(), a.state) {
		t.Errorf("the refusal tells a secret: %v", refused)
	}
	if o := r.deliver(a, good); o.rec.Code != http.StatusSeeOther {
		t.Errorf("after the refusal the right token got %d: %v", o.rec.Code, o.problem)
	}
}

func TestWeakKeys(t *testing.T) {
	t.Parallel()
	short := must(rsa.GenerateKey(rand.Reader, 2048))
	short.N.Rsh(short.N, 1024) // what matters is its length
	short.E = 65537
	even := must(rsa.GenerateKey(rand.Reader, 2048))
	even.E = 4
	r := newRig(t)
	r.jwks.serve(200, publicSet(
		publicKey("k1", platformKey(), nil),
		publicKey("short", short, nil),
		publicKey("even", even, nil),
	))
	for _, kid := range []string{"short", "even"} {
		a := r.login(nil)
		token := signRaw(`{"alg":"RS256","kid":"`+kid+`"}`, must(json.Marshal(r.claims(a))), platformKey())
		if got := r.deliver(a, token).check(t); got.Code != lti.CodeKeyWeak || got.Status != 401 {
			t.Errorf("%s: got %v, want %s", kid, got, lti.CodeKeyWeak)
		}
	}
}
