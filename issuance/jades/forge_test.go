package jades_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

var (
	rawURL = base64.RawURLEncoding.EncodeToString
	std    = base64.StdEncoding.EncodeToString
)

// headerNames is the order in which forged headers are written.
var headerNames = []string{"alg", "x5t#S256", "x5c", "typ", "b64", "iat", "sigT", "adoTst", "crit", "jwk", "kid", "exp", "sigD", "sigPId", "x5t#o", "sigX5ts"}

// header writes a protected header by hand: raw JSON values, "" leaves a member out.
func (s sealer) header(change map[string]string) string {
	leaf := s.key.Chain[0]
	members := map[string]string{
		"alg": `"` + s.key.Alg + `"`, "x5t#S256": `"` + thumbprint(leaf) + `"`, "x5c": certificates(s.key.Chain...),
		"typ": `"jose+json"`, "b64": "false", "iat": fmt.Sprint(noon.Unix()), "crit": `["b64"]`,
	}
	maps.Copy(members, change)
	out := ""
	for _, name := range headerNames {
		if v := members[name]; v != "" {
			out += `,"` + name + `":` + v
		}
	}
	return "{" + out[1:] + "}"
}

func thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return rawURL(sum[:])
}

// other is a reference to a certificate by another digest than SHA-256 (TS 119 182-1, 5.2.2.2).
func other(digest string, c *x509.Certificate) map[string]string {
	hash := map[string]crypto.Hash{"S256": crypto.SHA256, "S384": crypto.SHA384, "S512": crypto.SHA512}[digest].New()
	hash.Write(c.Raw)
	return map[string]string{"x5t#S256": "", "x5t#o": `{"digAlg":"` + digest + `","digVal":"` + rawURL(hash.Sum(nil)) + `"}`}
}

func certificates(chain ...*x509.Certificate) string {
	var list []string
	for _, c := range chain {
		list = append(list, std(c.Raw))
	}
	out, _ := json.Marshal(list)
	return string(out)
}

// sign makes the two base64url parts of a signature over any header and content.
func (s sealer) sign(tb testing.TB, header, payload string) (string, string) {
	tb.Helper()
	protected := rawURL([]byte(header))
	sig, err := s.soft.Sign(tb.Context(), "", []byte(protected+"."+payload))
	must(tb, err)
	return protected, rawURL(sig)
}

// forge seals payload under any header, with whatever else shall stand in the signature object.
func (s sealer) forge(tb testing.TB, header, payload, extra string) []byte {
	tb.Helper()
	protected, sig := s.sign(tb, header, payload)
	return general(payload, fmt.Sprintf(`{"protected":"%s"%s,"signature":"%s"}`, protected, extra, sig))
}

func general(payload string, parts ...string) []byte {
	return fmt.Appendf(nil, `{"payload":%s,"signatures":[%s]}`, quote(payload), bytes.Join(texts(parts), []byte(",")))
}

func texts(parts []string) [][]byte {
	var out [][]byte
	for _, p := range parts {
		out = append(out, []byte(p))
	}
	return out
}

func quote(s string) string {
	out, _ := json.Marshal(s)
	return string(out)
}

// result is a Finding without its words.
type result struct {
	Part    jades.Part
	Outcome jades.Outcome
	Reason  jades.Reason
}

// notGood are the findings that are not OK.
func notGood(found []jades.Finding) []result {
	var out []result
	for _, f := range found {
		if f.Outcome != jades.OK {
			out = append(out, result{f.Part, f.Outcome, f.Reason})
		}
	}
	return out
}
