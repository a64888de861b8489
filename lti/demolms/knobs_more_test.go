package demolms_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

// raw checks the id_token as it is posted, whatever it is.
func raw(check func(b *bench, token string) bool) knobTest {
	return response(func(t *testing.T, b *bench, f url.Values) {
		t.Helper()
		if token := f.Get("id_token"); !check(b, token) {
			t.Errorf("token %.200s", token)
		}
	})
}

// signed is a token that verifies and whose payload says something.
func signed(check func(payload string) bool) knobTest {
	return raw(func(b *bench, token string) bool {
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		return b.signature(token) == nil && err == nil && check(string(text))
	})
}

func parts(n int) knobTest {
	return raw(func(_ *bench, token string) bool { return strings.Count(token, ".") == n-1 })
}

// algorithm is a token that verifies with the key set of its time.
func algorithm(alg string) knobTest {
	return raw(func(b *bench, token string) bool {
		return b.signature(token) == nil && part(b.t, token, 0)["alg"] == alg
	})
}

// verifies is a token of an algorithm for which its key is not published.
func verifies(alg jwa.SignatureAlgorithm) knobTest {
	return raw(func(b *bench, token string) bool {
		_, err := jws.Verify([]byte(token), jws.WithKey(alg, &platformKey().PublicKey))
		return err == nil && part(b.t, token, 0)["alg"] == alg.String()
	})
}

// forged is a token that does not verify and has something in its header.
func forged(name string, want func(v any) bool) knobTest {
	return raw(func(b *bench, token string) bool {
		return b.signature(token) != nil && want(part(b.t, token, 0)[name])
	})
}

func formTests() map[demolms.Knob]knobTest {
	return map[demolms.Knob]knobTest{
		demolms.TokenAlgNoneCase: badSignature("alg", "nOnE"), demolms.TokenHS256Client: badSignature("alg", "HS256"),
		demolms.TokenRS512: verifies(jwa.RS512), demolms.TokenPS256: verifies(jwa.PS256), demolms.TokenES256: algorithm("ES256"),
		demolms.TokenWeakKey: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			algorithm("RS256")(t, b, k)
			keys := decode[struct{ Keys []map[string]any }](t, certs(b)).Keys
			if n, _ := keys[1]["n"].(string); len(keys) != 2 || len(n) != 171 {
				t.Errorf("keys %v", keys)
			}
		},
		demolms.TokenFreshKey: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			before := certs(b).Body
			algorithm("RS256")(t, b, k)
			if certs(b).Body == before {
				t.Error("the old key is still published")
			}
		},
		demolms.TokenJKU:      forged("jku", func(v any) bool { return v == "https://elsewhere.example/keys" }),
		demolms.TokenJWK:      forged("jwk", func(v any) bool { return strings.Contains(mustText(v), `"kty":"RSA"`) }),
		demolms.TokenNastyKid: forged("kid", func(v any) bool { s, _ := v.(string); return len(s) > 10000 && strings.HasPrefix(s, "../") }),
		demolms.TokenRandomKid: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			a, _ := b.place()
			var kids []any
			for range 2 {
				token, err := b.Sign(demolms.Launch{User: "maija", Activity: a.ID, Faults: []demolms.Knob{k}})
				if err != nil {
					t.Fatal(err)
				}
				kids = append(kids, part(t, token, 0)["kid"])
			}
			if kids[0] == kids[1] {
				t.Errorf("kids %v", kids)
			}
		},
		demolms.TokenOtherSignature: badSignature("alg", "RS256"),
		demolms.TokenFourParts:      parts(4), demolms.TokenFiveParts: parts(5),
		demolms.TokenPadded:    raw(func(_ *bench, token string) bool { return strings.HasSuffix(token, "==") }),
		demolms.TokenArray:     signed(func(p string) bool { return strings.HasPrefix(p, "[{") && json.Valid([]byte(p)) }),
		demolms.TokenNotJSON:   signed(func(p string) bool { return p == "not JSON" }),
		demolms.TokenDuplicate: signed(func(p string) bool { return strings.Contains(p, `"sub":"7"`) && strings.Contains(p, `"sub":"1"`) }),
		demolms.TokenDeep:      signed(func(p string) bool { return strings.Contains(p, strings.Repeat("[", 9000)) && json.Valid([]byte(p)) }),
		demolms.TokenLarge: raw(func(b *bench, token string) bool {
			return b.signature(token) == nil && len(token) > 190<<10 && len(token) < 256<<10
		}),
	}
}

func mustText(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(raw)
}

// keyed checks the first keys of the key set.
func keyed(check func(k []map[string]any) bool) knobTest {
	return keys(func(t *testing.T, k []map[string]any) {
		t.Helper()
		if !check(k) {
			t.Errorf("%d keys: %.200v", len(k), k)
		}
	})
}

func jwksTests() map[demolms.Knob]knobTest {
	return map[demolms.Knob]knobTest{
		demolms.JWKSUseEnc:   keyed(func(k []map[string]any) bool { return len(k) == 1 && k[0]["use"] == "enc" }),
		demolms.JWKSExponent: keyed(func(k []map[string]any) bool { return len(k) == 1 && k[0]["e"] == "AQ" }),
		demolms.JWKSSameKid: keyed(func(k []map[string]any) bool {
			return len(k) == 2 && k[0]["kid"] == k[1]["kid"] && k[0]["n"] != k[1]["n"]
		}),
		demolms.JWKSNumericKid: keyed(func(k []map[string]any) bool { return len(k) == 1 && k[0]["kid"] == 42.0 }),
		demolms.JWKSSymmetric:  keyed(func(k []map[string]any) bool { return len(k) == 2 && k[0]["kty"] == "oct" && k[1]["kty"] == "RSA" }),
		demolms.JWKSMany: keyed(func(k []map[string]any) bool {
			return len(k) == 10000 && k[0]["kid"] == "key-0" && len(mustText(k[9999]["kid"])) == 22
		}),
		demolms.JWKSTextPlain: calls(certs, func(t *testing.T, a answer) {
			t.Helper()
			if a.Header.Get("Content-Type") != "text/plain; charset=utf-8" || !json.Valid([]byte(a.Body)) {
				t.Errorf("%v %s", a.Header, a.Body)
			}
		}),
		demolms.JWKSGzip: calls(certs, func(t *testing.T, a answer) {
			t.Helper()
			if a.Status != http.StatusOK || len(a.Body) < 64<<20 || !json.Valid([]byte(a.Body)) {
				t.Errorf("%d: %d bytes", a.Status, len(a.Body))
			}
		}),
		demolms.JWKSRedirect: calls(func(b *bench) answer {
			c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			return b.do(c, http.MethodGet, "/mod/lti/certs.php", "")
		}, func(t *testing.T, a answer) {
			t.Helper()
			if a.Status != http.StatusFound || !strings.HasPrefix(a.Header.Get("Location"), "http://169.254.169.254/") {
				t.Errorf("%d %v", a.Status, a.Header)
			}
		}),
		demolms.JWKSDrip: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			good := certs(b).Body
			turn(t, b, k)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Issuer()+"/mod/lti/certs.php", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := b.browser.Do(req)
			if err != nil {
				t.Fatalf("not even the beginning came: %v", err)
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); !errors.Is(err, context.DeadlineExceeded) || !bytes.HasPrefix([]byte(good), got) {
				t.Errorf("%q: %v", got, err)
			}
			if err := b.Set(k, "10us"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(good, certs(b).Body); diff != "" {
				t.Errorf("fast drops (-want +got):\n%s", diff)
			}
		},
	}
}

func TestRotateKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	before, err := b.SignLaunch("maija", a.ID, "n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.RotateKey(); err != nil {
		t.Fatal(err)
	}
	after, err := b.SignLaunch("maija", a.ID, "n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if b.signature(before) == nil || b.signature(after) != nil {
		t.Error("the key set is not that of the new key")
	}
}

// says checks one field of the login initiation by a condition.
func says(name string, check func(b *bench, v string) bool) knobTest {
	return initiation(func(t *testing.T, b *bench, f url.Values) {
		t.Helper()
		if got := f.Get(name); !check(b, got) || len(f[name]) != 1 {
			t.Errorf("%s is %q", name, f[name])
		}
	})
}

// hinted begins a launch with a long hint, and goes on when the platform is to
// take it back.
func hinted(length int) knobTest {
	return initiation(func(t *testing.T, b *bench, f url.Values) {
		t.Helper()
		hint := f.Get("login_hint")
		if len(hint) != length || !strings.HasPrefix(hint, `7 "><script>`) {
			t.Fatalf("%d characters: %.60s", len(hint), hint)
		}
		// A long header must not be what fails here.
		if _, response := b.form(b.post("/mod/lti/auth.php", b.authRequest(f))); response.Get("id_token") == "" {
			t.Errorf("the unchanged hint is answered by %v", response)
		}
	})
}

func loginTests() map[demolms.Knob]knobTest {
	return map[demolms.Knob]knobTest{
		demolms.LoginNoTarget:      lacks("target_link_uri"),
		demolms.LoginUnknownIssuer: sends("iss", constant("https://another-lms.example")),
		demolms.LoginUnknownClient: sends("client_id", constant("a-tool-that-is-not-you")),
		demolms.LoginScriptTarget:  sends("target_link_uri", constant("javascript:alert(1)")),
		demolms.LoginTrickTarget: says("target_link_uri", func(b *bench, v string) bool {
			return v == "https://"+strings.TrimPrefix(b.tool.URL, "http://")+"@elsewhere.example/launch"
		}),
		demolms.LoginTwoIssuers: initiation(func(t *testing.T, b *bench, f url.Values) {
			t.Helper()
			if diff := cmp.Diff([]string{b.Issuer(), "https://another-lms.example"}, f["iss"]); diff != "" {
				t.Errorf("iss (-want +got):\n%s", diff)
			}
		}),
		demolms.LoginLongHint: hinted(4096), demolms.LoginHugeHint: hinted(9216),
		demolms.LoginSameTwice: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			a, _ := b.place()
			b.get("/as/maija")
			action, f := b.begin("/launch/" + a.ID + "?fault=" + string(k))
			if action != b.tool.URL+"/login?iss="+url.QueryEscape(b.Issuer()) || f.Get("iss") != b.Issuer() {
				t.Errorf("%s %v", action, f)
			}
		},
		demolms.LoginByGet: pageHas("/launch/", `<form data-submit method="get"`, "/login"),
	}
}

// pageHas checks the auto-submitting page of a launch.
func pageHas(path string, words ...string) knobTest {
	return func(t *testing.T, b *bench, k demolms.Knob) {
		t.Helper()
		a, _ := b.place()
		b.get("/as/maija")
		page := b.get(path + a.ID + "?fault=" + string(k))
		for _, w := range words {
			if !strings.Contains(page.Body, w) {
				t.Errorf("page lacks %s:\n%s", w, page.Body)
			}
		}
	}
}

// respondsWith checks the page that posts the response.
func respondsWith(check func(a answer) bool) knobTest {
	return func(t *testing.T, b *bench, k demolms.Knob) {
		t.Helper()
		a, _ := b.place()
		b.get("/as/maija")
		_, f := b.begin("/launch/" + a.ID + "?fault=" + string(k))
		if page := b.auth(b.authRequest(f)); !check(page) || !strings.Contains(page.Body, "id_token") {
			t.Errorf("%v\n%s", page.Header, page.Body)
		}
	}
}

func moreResponseTests() map[demolms.Knob]knobTest {
	return map[demolms.Knob]knobTest{
		demolms.ResponseByGet:     respondsWith(func(a answer) bool { return strings.Contains(a.Body, `method="get"`) }),
		demolms.ResponseTextPlain: respondsWith(func(a answer) bool { return strings.Contains(a.Body, `enctype="text/plain"`) }),
		demolms.ResponseMultipart: respondsWith(func(a answer) bool { return strings.Contains(a.Body, `enctype="multipart/form-data"`) }),
		demolms.ResponseNullOrigin: respondsWith(func(a answer) bool {
			return strings.Contains(a.Header.Get("Content-Security-Policy"), "; sandbox allow-forms")
		}),
		demolms.ResponseHuge: respondsWith(func(a answer) bool { return len(a.Body) > 300<<10 }),
		demolms.ResponseExtraFields: response(func(t *testing.T, _ *bench, f url.Values) {
			t.Helper()
			if f.Get("utf8") != "✓" || f.Get("session_state") == "" || f.Get("lti_storage_target") == "" || f.Get("id_token") == "" || len(f) != 6 {
				t.Errorf("%v", f)
			}
		}),
		demolms.ResponseOldToken: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			a, _ := b.place()
			b.get("/as/maija")
			_, good := b.launch("/launch/" + a.ID)
			_, initiation := b.begin("/launch/" + a.ID + "?fault=" + string(k))
			q := b.authRequest(initiation)
			q.Set("state", "another-state")
			_, again := b.form(b.auth(q))
			if again.Get("id_token") != good.Get("id_token") || again.Get("state") != "another-state" {
				t.Errorf("%v", again)
			}
		},
		demolms.ResponseNotice: claims(func(t *testing.T, _ *bench, c map[string]any) {
			t.Helper()
			if c[noticeName] == nil || c["sub"] != nil || c[claimNS+"message_type"] != nil {
				t.Errorf("claims %v", c)
			}
		}),
		demolms.ResponseOwnAnswer: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			a, _ := b.place()
			_, address := b.selection("")
			b.answer(address, b.answerClaims())
			_, f := b.launch("/launch/" + a.ID + "?fault=" + string(k))
			if c := payload(t, f.Get("id_token")); c["iss"] != client || c[claimNS+"message_type"] != "LtiDeepLinkingResponse" {
				t.Errorf("claims %v", c)
			}
		},
		demolms.DeepLinkScriptReturn: setting("deep_link_return_url", "javascript:alert(1)"),
		demolms.DeepLinkAsset:        setting("accept_types", []string{"ltiAssetProcessor"}),
		demolms.DeepLinkUnknownTypes: setting("accept_types", []string{"hologram", "ltiResourceLink", "ltiTomorrow"}),
		demolms.DeepLinkMultipleText: setting("accept_multiple", "true"),
		demolms.DeepLinkLongData: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			c, address := b.selection("?fault=" + string(k))
			s, _ := c[dlNS+"deep_linking_settings"].(map[string]any)
			data, _ := s["data"].(string)
			reply := b.answerClaims()
			reply[dlNS+"data"] = data[1:]
			status(http.StatusBadRequest)(t, b.answer(address, reply))
			reply[dlNS+"data"] = data
			status(http.StatusOK)(t, b.answer(address, reply))
			if len(data) < 59<<10 {
				t.Errorf("%d bytes", len(data))
			}
		},
		demolms.DeepLinkRefused: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			_, address := b.selection("?fault=" + string(k))
			if got := b.answer(address, b.answerClaims()); got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "too long ago") {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		},
	}
}
