package jades_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// wire is the file as any JSON library sees it.
type wire struct {
	Payload    string `json:"payload"`
	Signatures []struct {
		Protected string         `json:"protected"`
		Header    map[string]any `json:"header"`
		Signature string         `json:"signature"`
	} `json:"signatures"`
}

func TestSealIsReadBySecondImplementation(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := newSealer(t, alg)
			file := s.seal(t, content)

			var w wire
			must(t, json.Unmarshal(file, &w))
			if diff := cmp.Diff(content, w.Payload); diff != "" {
				t.Errorf("payload (-want +got):\n%s", diff)
			}
			compact := w.Signatures[0].Protected + ".." + w.Signatures[0].Signature
			_, err := jws.Verify([]byte(compact), jws.WithKey(jwa.SignatureAlgorithm(alg), s.soft.key.Public()),
				jws.WithDetachedPayload([]byte(content)))
			if err != nil {
				t.Errorf("jwx refuses the seal: %v", err)
			}
			_, err = jws.Verify([]byte(compact), jws.WithKey(jwa.SignatureAlgorithm(alg), s.soft.key.Public()),
				jws.WithDetachedPayload([]byte(content+" ")))
			if err == nil {
				t.Error("jwx accepts other content")
			}

			f, err := jades.Parse(file)
			must(t, err)
			if diff := cmp.Diff(content, string(f.Payload)); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
			for _, found := range f.Verify(options(s.root.pool(), noon)).Findings {
				if found.Outcome != jades.OK {
					t.Errorf("%+v", found)
				}
			}
		})
	}
}

// TestSealedBytes checks one seal with nothing but crypto/ecdsa, and the header as text.
func TestSealedBytes(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	file := s.seal(t, content)
	var w wire
	must(t, json.Unmarshal(file, &w))
	if w.Signatures[0].Header != nil || !bytes.HasPrefix(file, []byte(`{"payload":"`)) {
		t.Errorf("outer form: %.80s", file)
	}
	header, err := base64.RawURLEncoding.DecodeString(w.Signatures[0].Protected)
	must(t, err)
	sum := sha256.Sum256(s.key.Chain[0].Raw)
	got := string(header)
	kid := got[strings.Index(got, `"kid":"`)+7 : strings.Index(got, `","x5t#S256"`)]
	want := `{"alg":"ES256","cty":"json","kid":"` + kid + `","x5t#S256":"` + base64.RawURLEncoding.EncodeToString(sum[:]) +
		`","x5c":["` + base64.StdEncoding.EncodeToString(s.key.Chain[0].Raw) + `"],"typ":"jose+json","b64":false,"iat":1795176000,"crit":["b64"]}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("protected header (-want +got):\n%s", diff)
	}
	digest := sha256.Sum256([]byte(w.Signatures[0].Protected + "." + content))
	sig, err := base64.RawURLEncoding.DecodeString(w.Signatures[0].Signature)
	must(t, err)
	r, v := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if public, ok := s.soft.key.Public().(*ecdsa.PublicKey); !ok || !ecdsa.Verify(public, digest[:], r, v) {
		t.Error("crypto/ecdsa refuses the seal")
	}
}

func TestContentSurvives(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	for _, tc := range []struct{ name, payload string }{
		{"empty object", `{}`},
		{"white space around", " \r\n\t{ \"a\" : 1 }\n"},
		{"html", `{"a":"<script>&amp;</script>"}`},
		{"line separators", "{\"a\":\"\u2028\u2029\"}"},
		{"escapes stay escapes", `{"a":"\u0041\/\n\"\\"}`},
		{"astral and combining", `{"a":"𝄞 é ﷽","\ud834\udd1e":1}`},
		{"noncharacter and replacement", "{\"a\":\"\uffff\ufffd\"}"},
		{"delete and controls as escapes", "{\"a\":\"\x7f\\u0000\\u001f\"}"},
		{"mark inside", "{\"a\":\"\ufeff\"}"},
		{"numbers as they are", `{"a":1.0,"b":1e400,"c":-0,"d":12345678901234567890}`},
		{"large", `{"a":"` + strings.Repeat(`\"é<`, 200_000) + `"}`},
		{"deep", nested(60)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, err := jades.Parse(s.seal(t, tc.payload))
			must(t, err)
			if string(f.Payload) != tc.payload {
				t.Error("content came back changed")
			}
		})
	}
}

func nested(n int) string {
	return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)
}

func TestSealRefusesContent(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	for _, tc := range []struct{ name, payload, want string }{
		{"nothing", "", "the text ends too early"},
		{"white space", " \n", "the text ends too early"},
		{"array", `[{}]`, "not a JSON object"},
		{"string", `"a"`, "not a JSON object"},
		{"mark in front", "\xef\xbb\xbf{}", "no JSON value at byte 0"},
		{"latin-1", "{\"a\":\"\xe9\"}", "not UTF-8 at byte 6"},
		{"member twice", `{"a":1,"a":2}`, `member "a" stands twice at byte 7`},
		{"member twice by escape", `{"a":1,"\u0061":2}`, `member "a" stands twice`},
		{"member twice inside", `{"x":[{"b":{"c":1,"c":1}}]}`, `member "c" stands twice`},
		{"half a pair", `{"a":"\ud834"}`, "half a surrogate pair"},
		{"pair in wrong order", `{"a":"\udd1e\ud834"}`, "half a surrogate pair"},
		{"pair cut", `{"a":"\ud834\n"}`, "half a surrogate pair"},
		{"half a pair in a name", `{"\ud834x":1}`, "half a surrogate pair"},
		{"two values", `{}{}`, "something follows the end"},
		{"comma at the end", `{"a":1,}`, "no string where one must stand"},
		{"leading zero", `{"a":01}`, "no comma and no closing bracket"},
		{"not a number", `{"a":NaN}`, "no JSON value"},
		{"comment", `{/*x*/}`, "no string where one must stand"},
		{"control character", "{\"a\":\"\x01\"}", "control character in a string"},
		{"too deep", nested(66), "nested deeper than 64 levels"},
		{"cut", `{"a":[1,2`, "the text ends too early"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := jades.Seal(t.Context(), s.soft, s.key, []byte(tc.payload), noon)
			refused(t, err, jades.ErrContent, tc.want)
		})
	}
}

func refused(tb testing.TB, err, want error, words string) {
	tb.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
		tb.Errorf("want %v with %q, got %v", want, words, err)
	}
}

func TestSealRefusesKey(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	root := newAuthority(t, "Root", nil)
	with := func(alg string, certs ...*x509.Certificate) jades.Key {
		return jades.Key{ID: "x", Alg: alg, Chain: certs}
	}
	p384, p521 := newEC(t, elliptic.P384()), newEC(t, elliptic.P521())
	for _, tc := range []struct {
		name string
		key  jades.Key
		at   time.Time
		want string
	}{
		{"no algorithm", with("", s.key.Chain...), noon, `algorithm ""`},
		{"none", with("none", s.key.Chain...), noon, `algorithm "none"`},
		{"symmetric", with("HS256", s.key.Chain...), noon, `algorithm "HS256"`},
		{"read but never made", with("RS512", root.issue(t, rsa2048().Public(), nil)), noon, `algorithm "RS512"`},
		{"no certificate", with("ES256"), noon, "0 certificates"},
		{"eleven certificates", with("ES256", make([]*x509.Certificate, 11)...), noon, "11 certificates"},
		{"RSA name, EC key", with("RS256", s.key.Chain...), noon, "does not fit the key"},
		{"EC name, RSA key", with("ES256", root.issue(t, rsa2048().Public(), nil)), noon, "does not fit the key"},
		{"ES256 on P-384", with("ES256", root.issue(t, p384.Public(), nil)), noon, "does not fit the key"},
		{"ES384 on P-256", with("ES384", s.key.Chain...), noon, "does not fit the key"},
		{"ES256 on P-521", with("ES256", root.issue(t, p521.Public(), nil)), noon, "does not fit the key"},
		{"short RSA", with("PS256", root.issue(t, rsa1024().Public(), nil)), noon, "RSA with 1024 bits"},
		{"certificate of an authority", with("ES256", root.issue(t, s.soft.key.Public(), func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		})), noon, "authority"},
		{"certificate for encryption", with("ES256", root.issue(t, s.soft.key.Public(), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })), noon, "contentCommitment"},
		{"certificate without usage", with("ES256", root.issue(t, s.soft.key.Public(), func(c *x509.Certificate) { c.KeyUsage = 0 })), noon, "used for"},
		{"certificate over", s.key, noon.AddDate(2, 0, 0), "valid from"},
		{"certificate not begun", s.key, noon.AddDate(-2, 0, 0), "valid from"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := jades.Seal(t.Context(), never{t}, tc.key, []byte(content), tc.at)
			refused(t, err, jades.ErrKey, tc.want)
		})
	}
}

// never fails the test when a signature is asked for.
type never struct{ tb testing.TB }

func (n never) Sign(context.Context, string, ...[]byte) ([]byte, error) {
	n.tb.Error("signer was called")
	return nil, nil
}

type signFunc func(ctx context.Context, id string, input []byte) ([]byte, error)

func (f signFunc) Sign(ctx context.Context, id string, input ...[]byte) ([]byte, error) {
	return f(ctx, id, bytes.Join(input, nil))
}

func TestSealRefusesSignature(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	errAway := errors.New("token is away")
	for _, tc := range []struct {
		name string
		sign signFunc
		want error
	}{
		{"signer fails", func(context.Context, string, []byte) ([]byte, error) { return nil, errAway }, errAway},
		{"nothing", func(context.Context, string, []byte) ([]byte, error) { return nil, nil }, jades.ErrBadSignature},
		{"zeros", func(context.Context, string, []byte) ([]byte, error) { return make([]byte, 64), nil }, jades.ErrBadSignature},
		{"another key", func(ctx context.Context, id string, input []byte) ([]byte, error) {
			return softKey{newEC(t, elliptic.P256()), "ES256"}.Sign(ctx, id, input)
		}, jades.ErrBadSignature},
		{"other input", func(ctx context.Context, id string, input []byte) ([]byte, error) {
			return s.soft.Sign(ctx, id, append(bytes.Clone(input), ' '))
		}, jades.ErrBadSignature},
		{"DER instead of r and s", func(_ context.Context, _ string, input []byte) ([]byte, error) {
			digest := sha256.Sum256(input)
			return s.soft.key.Sign(rand.Reader, digest[:], nil)
		}, jades.ErrBadSignature},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file, err := jades.Seal(t.Context(), tc.sign, s.key, []byte(content), noon)
			if file != nil || !errors.Is(err, tc.want) {
				t.Errorf("want %v, got %v", tc.want, err)
			}
		})
	}
}

func TestSealAsksOnceForTheKey(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES384")
	var asked []string
	_, err := jades.Seal(t.Context(), signFunc(func(ctx context.Context, id string, input []byte) ([]byte, error) {
		asked = append(asked, id)
		return s.soft.Sign(ctx, id, input)
	}), s.key, []byte(content), noon)
	must(t, err)
	if diff := cmp.Diff([]string{"seal"}, asked); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func BenchmarkSeal(b *testing.B) {
	s := newSealer(b, "ES256")
	payload := `{"page":"` + strings.Repeat("QUJD", 25_000) + `"}`
	b.ReportAllocs()
	for b.Loop() {
		s.seal(b, payload)
	}
}
