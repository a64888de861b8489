package jades_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// Results that many cases share.
var (
	changed     = result{jades.PartIntegrity, jades.Failed, jades.ReasonChanged}
	noKey       = result{jades.PartIntegrity, jades.NotChecked, jades.ReasonNoKey}
	noChain     = result{jades.PartChain, jades.NotChecked, jades.ReasonNoCertificate}
	noDates     = result{jades.PartValidity, jades.NotChecked, jades.ReasonNoCertificate}
	stranger    = result{jades.PartChain, jades.Unknown, jades.ReasonUnknownIssuer}
	badCrit     = result{jades.PartHeader, jades.Failed, jades.ReasonCritMalformed}
	unknownCrit = result{jades.PartHeader, jades.Unknown, jades.ReasonCritUnknown}
	refusedAlg  = result{jades.PartHeader, jades.Failed, jades.ReasonAlgorithmRefused}
	outside     = result{jades.PartHeader, jades.Failed, jades.ReasonUnprotected}
	notBaseline = result{jades.PartLevel, jades.Failed, jades.ReasonNotBaseline}
	noTime      = result{jades.PartValidity, jades.Unknown, jades.ReasonNoTime}
	thumb       = result{jades.PartCertificate, jades.Failed, jades.ReasonThumbprint}
	badCert     = result{jades.PartCertificate, jades.Failed, jades.ReasonBadCertificate}
)

func results(r ...result) []result { return r }

type verification struct {
	name string
	file []byte
	want []result
}

func checkVerify(t *testing.T, trust *x509.CertPool, at time.Time, cases []verification) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, err := jades.Parse(tc.file)
			must(t, err)
			if diff := cmp.Diff(tc.want, notGood(f.Verify(options(trust, at)).Findings)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerifyChanges(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	good := s.seal(t, content)
	p, sig := s.sign(t, s.header(nil), content)
	other := newSealer(t, "ES256")
	other.root, other.key.Chain = s.root, s.key.Chain // another key under the same certificate
	_, otherSig := other.sign(t, s.header(nil), content)
	part := func(p, sig string) string { return fmt.Sprintf(`{"protected":"%s","signature":"%s"}`, p, sig) }
	swap := func(old, by string) []byte { return bytes.Replace(good, []byte(old), []byte(by), 1) }
	later := rawURL([]byte(s.header(map[string]string{"iat": fmt.Sprint(noon.Unix() + 1)})))
	pretty := strings.ReplaceAll(content, ",", ", ")
	checkVerify(t, s.root.pool(), noon, []verification{
		{"nothing changed", good, nil},
		{"grade", swap("8.5", "9.5"), results(changed)},
		{"a space", swap(`{\"id`, `{ \"id`), results(changed)},
		{"a space at the end", swap(`}","sig`, `} ","sig`), results(changed)},
		{"same content, other bytes", general(pretty, part(p, sig)), results(changed)},
		{"another form of the same letter", swap("ä", "a\u0308"), results(changed)},
		{"names of the outer object escaped", swap(`"payload"`, `"p\u0061yload"`), nil},
		{"content with other outer escapes", swap("ä", `\u00e4`), nil},
		{"header with another time", general(content, part(later, sig)), results(changed)},
		{"header with the same meaning, other bytes", general(content, part(rawURL([]byte(s.header(nil)+" ")), sig)), results(changed)},
		{"seal of other content", general(`{"x":1}`, part(p, sig)), results(changed)},
		{"seal with another key", general(content, part(p, otherSig)), results(changed)},
		{"signature of zeros", general(content, part(p, rawURL(make([]byte, 64)))), results(changed)},
		{"signature cut", general(content, part(p, sig[:40])), results(changed)},
		{"signature doubled", general(content, part(p, rawURL(append(make([]byte, 64), 1)))), results(changed)},
		{"one byte", general(content, part(p, "AA")), results(changed)},
	})
}

func TestVerifyHeader(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	forge := func(change map[string]string) []byte { return s.forge(t, s.header(change), content, "") }
	with := func(name, value string) []byte { return forge(map[string]string{name: value}) }
	unsealed := func(header string) []byte { return s.forge(t, s.header(nil), content, `,"header":`+header) }
	crit := func(list string) []byte { return with("crit", list) }
	attacker := newSealer(t, "ES256")
	jwk := `{"kty":"EC","crv":"P-256"}`
	checkVerify(t, s.root.pool(), noon, []verification{
		{"as it should be", forge(nil), nil},
		{"kid is not looked at", with("kid", `"none of your business"`), nil},
		{"typ and cty may be missing", with("typ", ""), nil},
		{"alg none", with("alg", `"none"`), results(refusedAlg, noKey)},
		{"alg None", with("alg", `"None"`), results(refusedAlg, noKey)},
		{"alg HS256", with("alg", `"HS256"`), results(refusedAlg, noKey)},
		{"alg missing", with("alg", ""), results(refusedAlg, noKey)},
		{"alg as list", with("alg", `["ES256"]`), results(refusedAlg, noKey)},
		{"alg unknown", with("alg", `"EdDSA"`), results(result{jades.PartHeader, jades.Unknown, jades.ReasonAlgorithmUnknown}, noKey)},
		{"alg in small letters", with("alg", `"es256"`), results(result{jades.PartHeader, jades.Unknown, jades.ReasonAlgorithmUnknown}, noKey)},
		{"alg RS256 over an EC key", with("alg", `"RS256"`), results(result{jades.PartIntegrity, jades.Failed, jades.ReasonKeyMismatch})},
		{"alg ES384 over P-256", with("alg", `"ES384"`), results(result{jades.PartIntegrity, jades.Failed, jades.ReasonKeyMismatch})},
		{"key from jwk is not taken", attacker.forge(t, s.header(map[string]string{"jwk": jwk}), content, ""), results(changed)},
		{"crit missing", with("crit", ""), results(result{jades.PartHeader, jades.Failed, jades.ReasonB64NotCritical})},
		{"crit without b64", crit(`["iat"]`), results(result{jades.PartHeader, jades.Failed, jades.ReasonB64NotCritical})},
		{"crit empty", crit(`[]`), results(badCrit)},
		{"crit as text", crit(`"b64"`), results(badCrit)},
		{"crit as null", crit(`null`), results(badCrit)},
		{"crit with a number", crit(`["b64",1]`), results(badCrit)},
		{"crit with null", crit(`["b64",null]`), results(badCrit)},
		{"crit names b64 twice", crit(`["b64","b64"]`), results(badCrit)},
		{"crit names alg", crit(`["b64","alg"]`), results(badCrit)},
		{"crit names x5t#S256", crit(`["b64","x5t#S256"]`), results(badCrit)},
		{"crit names crit", crit(`["b64","crit"]`), results(badCrit)},
		{"crit names what is absent", crit(`["b64","sigT"]`), results(badCrit)},
		{"crit names exp, unknown", forge(map[string]string{"exp": "1", "crit": `["b64","exp"]`}), results(unknownCrit)},
		{"crit names a policy, unknown", forge(map[string]string{"sigPId": "{}", "crit": `["b64","sigPId"]`}), results(unknownCrit)},
		{"crit names iat, known", crit(`["b64","iat"]`), nil},
		{"detached content", forge(map[string]string{"sigD": "{}", "crit": `["b64","sigD"]`}), results(unknownCrit)},
		{"detached content in silence", with("sigD", "{}"), results(badCrit)},
		{"crit outside", unsealed(`{"crit":["b64"]}`), results(outside)},
		{"alg outside", unsealed(`{"alg":"none"}`), results(outside)},
		{"x5c outside", unsealed(`{"x5c":[]}`), results(outside)},
		{"jwk outside", unsealed(`{"jwk":{}}`), results(outside)},
		{"same name inside and outside", unsealed(`{"typ":"x"}`), results(outside)},
		{"anything else outside", unsealed(`{"note":"x"}`), nil},
		{"no time", with("iat", ""), results(noTime, notBaseline)},
		{"time as text", with("iat", `"1795176000"`), results(noTime, notBaseline)},
		{"time with a fraction", with("iat", `1795176000.0`), results(noTime, notBaseline)},
		{"time with an exponent", with("iat", `1.795176e9`), results(noTime, notBaseline)},
		{"time zero", with("iat", `0`), results(noTime, notBaseline)},
		{"time before 1970", with("iat", `-5`), results(noTime, notBaseline)},
		{"time beyond int64", with("iat", `99999999999999999999`), results(noTime, notBaseline)},
		{"time in milliseconds", with("iat", `1795176000000`), results(noTime, notBaseline)},
		{"iat and sigT", with("sigT", `"2025-07-01T00:00:00Z"`), results(notBaseline)},
		{"sigT of today", forge(map[string]string{"iat": "", "sigT": `"2026-11-20T12:00:00Z"`}), nil},
		{"sigT with a zone", forge(map[string]string{"iat": "", "sigT": `"2025-07-01T00:00:00+02:00"`}), results(noTime, notBaseline)},
		{"sigT without a time of day", forge(map[string]string{"iat": "", "sigT": `"2025-07-01"`}), results(noTime, notBaseline)},
		{"thumbprint missing", with("x5t#S256", ""), results(notBaseline)},
		{"thumbprint by SHA-512", forge(other("S512", s.key.Chain[0])), nil},
		{"thumbprint by SHA-384", forge(other("S384", s.key.Chain[0])), nil},
		{"thumbprint by SHA-512 of the root", forge(other("S512", s.root.cert)), results(result{jades.PartCertificate, jades.Failed, jades.ReasonThumbprint})},
		{"thumbprint by SHA-256 in the place of others", forge(other("S256", s.key.Chain[0])), results(result{jades.PartLevel, jades.Unknown, jades.ReasonNotBaseline})},
		{"thumbprint as a list", forge(map[string]string{"x5t#S256": "", "x5t#o": "[]"}), results(result{jades.PartLevel, jades.Unknown, jades.ReasonNotBaseline})},
		{"thumbprint in two ways", with("x5t#o", "{}"), results(result{jades.PartLevel, jades.Unknown, jades.ReasonNotBaseline})},
		{"content time-stamp without a token", with("adoTst", "{}"), results(result{jades.PartTimestamps, jades.Failed, jades.ReasonTimestampUnread})},
	})
}

func TestVerifyCertificate(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	public := s.soft.key.Public()
	twin := s.root.issue(t, newEC(t, elliptic.P256()).Public(), nil) // same name, same authority, other key
	pem := strings.Trim(certificates(s.key.Chain...), `[]"`)
	under := func(certs ...*x509.Certificate) []byte {
		v := s
		v.key.Chain = certs
		return v.forge(t, v.header(nil), content, "")
	}
	issued := func(change func(*x509.Certificate)) []byte { return under(s.root.issue(t, public, change)) }
	with := func(name, value string) []byte {
		return s.forge(t, s.header(map[string]string{name: value}), content, "")
	}
	no := func(o jades.Outcome, r jades.Reason) []result { return results(result{jades.PartCertificate, o, r}) }
	withRSA := func(alg string, key *softKey) []byte {
		v := s
		v.soft, v.key.Alg = *key, alg
		v.key.Chain = []*x509.Certificate{s.root.issue(t, key.key.Public(), nil)}
		return v.forge(t, v.header(nil), content, "")
	}
	mallory := newAuthority(t, "Example Root", nil) // an authority that calls itself as the real one
	nothing := results(noKey, result{jades.PartCertificate, jades.Failed, jades.ReasonNoCertificate}, noChain, noDates)
	unread := results(noKey, badCert, noChain, noDates)
	checkVerify(t, s.root.pool(), noon, []verification{
		{"x5c missing", with("x5c", ""), nothing},
		{"x5c empty", with("x5c", "[]"), nothing},
		{"x5c as text", with("x5c", `"`+pem+`"`), nothing},
		{"x5c is no base64", with("x5c", `["#"]`), unread},
		{"x5c in base64url", with("x5c", `["`+rawURL(s.key.Chain[0].Raw)+`"]`), unread},
		{"x5c with a line end", with("x5c", `["`+pem[:20]+`\n`+pem[20:]+`"]`), unread},
		{"x5c is no certificate", with("x5c", `["`+std([]byte("certificate"))+`"]`), unread},
		{"x5c with a byte behind", with("x5c", `["`+std(append(bytes.Clone(s.key.Chain[0].Raw), 0))+`"]`), unread},
		{"second certificate cannot be read", with("x5c", `["`+pem+`","AA=="]`), unread},
		{"eleven certificates", with("x5c", `["`+strings.Repeat(pem+`","`, 10)+pem+`"]`), unread},
		{"thumbprint of the root", with("x5t#S256", `"`+thumbprint(s.root.cert)+`"`), results(thumb)},
		{"thumbprint in hexadecimal", with("x5t#S256", `"`+strings.Repeat("ab", 32)+`"`), results(thumb)},
		{"thumbprint as number", with("x5t#S256", "1"), results(thumb)},
		{"another certificate of the same name", under(twin), results(changed)},
		{"another certificate, thumbprint left", with("x5c", certificates(twin)), results(changed, thumb)},
		{"order of the chain turned", under(s.root.cert, s.key.Chain[0]), results(changed, result{jades.PartCertificate, jades.Failed, jades.ReasonAuthority}, result{jades.PartCertificate, jades.Failed, jades.ReasonKeyUsage})},
		{"authority seals", issued(func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		}), no(jades.Failed, jades.ReasonAuthority)},
		{"key for encryption", issued(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), no(jades.Failed, jades.ReasonKeyUsage)},
		{"key for anything", issued(func(c *x509.Certificate) { c.KeyUsage = 0 }), no(jades.Unknown, jades.ReasonKeyUsage)},
		{"digitalSignature will do", issued(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), nil},
		{"short RSA", withRSA("RS256", &softKey{rsa1024(), "RS256"}), results(result{jades.PartIntegrity, jades.Failed, jades.ReasonWeakKey})},
		{"PSS said, PKCS #1 made", withRSA("PS256", &softKey{rsa2048(), "RS256"}), results(changed)},
		{"PKCS #1 said, PSS made", withRSA("RS256", &softKey{rsa2048(), "PS256"}), results(changed)},
		{"RSA as it should be", withRSA("RS256", &softKey{rsa2048(), "RS256"}), nil},
		{"authority of the same name", under(mallory.issue(t, public, nil)), results(stranger)},
		{"authority of the same name brings itself", under(mallory.issue(t, public, nil), mallory.cert), results(stranger)},
		{"sealed by itself", under(selfSigned(t, s)), results(stranger)},
		{"unknown critical extension", issued(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, extension(true))
		}), results(stranger)},
		{"root comes along", under(s.key.Chain[0], s.root.cert), nil},
	})
}

func TestVerifyChain(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	middle := newAuthority(t, "Example Intermediate", &s.root)
	leaf := middle.issue(t, s.soft.key.Public(), nil)
	s.key.Chain = []*x509.Certificate{leaf}
	bare := s.forge(t, s.header(nil), content, "")
	xVals := rawURL([]byte(`{"xVals":[{"x509Cert":{"val":"` + std(middle.cert.Raw) + `"}},{"x509Cert":{"val":"?"}},{"other":1}]}`))
	late := s.forge(t, s.header(nil), content, `,"header":{"etsiU":["`+xVals+`"]}`)
	s.key.Chain = []*x509.Certificate{leaf, middle.cert}
	full := s.seal(t, content)
	unread := result{jades.PartTimestamps, jades.NotChecked, jades.ReasonTimestampsUnread}
	checkVerify(t, s.root.pool(), noon, []verification{
		{"intermediate in x5c", full, nil},
		{"intermediate missing", bare, results(stranger)},
		{"intermediate in xVals", late, results(unread)},
	})
	checkVerify(t, nil, noon, []verification{
		{"nobody trusted", full, results(result{jades.PartChain, jades.Unknown, jades.ReasonNoTrust})},
	})
	checkVerify(t, x509.NewCertPool(), noon, []verification{{"empty trust", full, results(stranger)}})
	pinned := x509.NewCertPool()
	pinned.AddCert(leaf)
	checkVerify(t, pinned, noon, []verification{{"the seal certificate itself is trusted", bare, nil}})

	// An end-entity certificate that plays authority: Go finds the path and refuses it.
	s.key.Chain = []*x509.Certificate{childOf(t, s, leaf), leaf, middle.cert}
	checkVerify(t, s.root.pool(), noon, []verification{{"signed by a seal certificate", s.forge(t, s.header(nil), content, ""), results(stranger)}})
}

func TestVerifyDates(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256") // valid one year before and after noon
	year := 365 * 24 * time.Hour
	sealedAt := func(at time.Time) []byte {
		return s.forge(t, s.header(map[string]string{"iat": fmt.Sprint(at.Unix())}), content, "")
	}
	validity := func(o jades.Outcome, r jades.Reason) []result { return results(result{jades.PartValidity, o, r}) }
	for _, tc := range []struct {
		name       string
		sealed, at time.Time
		want       []result
	}{
		{"both inside", noon, noon, nil},
		{"eleven months later", noon, noon.Add(year - 30*24*time.Hour), nil},
		{"reader's clock is four minutes behind", noon.Add(4 * time.Minute), noon, nil},
		{"from the future", noon.Add(6 * time.Minute), noon, validity(jades.Failed, jades.ReasonSealedInFuture)},
		{"certificate ended since", noon, noon.Add(2 * year), validity(jades.Unknown, jades.ReasonExpiredSince)},
		{"sealed after the end", noon.Add(2 * year), noon.Add(2*year + time.Hour), append(results(result{jades.PartChain, jades.Unknown, jades.ReasonChainExpired}), validity(jades.Failed, jades.ReasonExpiredBefore)...)},
		{"sealed before the beginning", noon.Add(-2 * year), noon, validity(jades.Failed, jades.ReasonSealedBefore)},
		{"certificate not begun", noon.Add(-2 * year), noon.Add(-2 * year), append(results(result{jades.PartChain, jades.Unknown, jades.ReasonChainExpired}), validity(jades.Failed, jades.ReasonNotYetValid)...)},
		{"authority ended too", noon, noon.Add(6 * year), validity(jades.Unknown, jades.ReasonExpiredSince)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, err := jades.Parse(sealedAt(tc.sealed))
			must(t, err)
			if diff := cmp.Diff(tc.want, notGood(f.Verify(options(s.root.pool(), tc.at)).Findings)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerifySeveralSeals(t *testing.T) {
	t.Parallel()
	a, b := newSealer(t, "ES256"), newSealer(t, "ES384")
	part := func(s sealer, header string) string {
		p, sig := s.sign(t, header, content)
		return fmt.Sprintf(`{"protected":"%s","signature":"%s"}`, p, sig)
	}
	f, err := jades.Parse(general(content, part(a, a.header(nil)), part(b, b.header(map[string]string{"alg": `"none"`}))))
	must(t, err)
	type numbered struct {
		Signature int
		Result    result
	}
	var got []numbered
	for _, x := range f.Verify(options(a.root.pool(), noon)).Findings {
		if x.Outcome != jades.OK {
			got = append(got, numbered{x.Signature, result{x.Part, x.Outcome, x.Reason}})
		}
	}
	want := []numbered{{1, refusedAlg}, {1, noKey}, {1, stranger}, {1, result{jades.PartCount, jades.Unknown, jades.ReasonSeveral}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestVerifyNamesWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	one := func(name string) string { return `"` + rawURL([]byte(`{"`+name+`":{}}`)) + `"` }
	for _, tc := range []struct{ name, etsiU, want string }{
		{"no base64url", `"?"`, "an element of etsiU cannot be read"},
		{"member twice", `"` + rawURL([]byte(`{"a":1,"a":2}`)) + `"`, "an element of etsiU cannot be read"},
		{"a number", `1`, "an element of etsiU cannot be read"},
		{"two members", `"` + rawURL([]byte(`{"a":1,"b":2}`)) + `"`, "an element of etsiU cannot be read"},
		{"no member", `{}`, "an element of etsiU cannot be read"},
		{"cut", `"` + rawURL([]byte(`{"sigTst":{"tstTokens":[`)) + `"`, "an element of etsiU cannot be read"},
		{"deep", `"` + rawURL([]byte(`{"a":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}`)) + `"`, "an element of etsiU cannot be read"},
		{"xVals is no list", one("xVals"), "cannot be read or are more"},
		{"65 parts", strings.TrimSuffix(strings.Repeat(one("sigTst")+",", 65), ","), "etsiU cannot be read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, err := jades.Parse(s.forge(t, s.header(nil), content, `,"header":{"etsiU":[`+tc.etsiU+`]}`))
			must(t, err)
			words := ""
			for _, x := range f.Verify(options(s.root.pool(), noon)).Findings {
				if x.Outcome != jades.OK {
					words += string(x.Outcome) + ": " + x.Words
				}
			}
			if !strings.HasPrefix(words, "not-checked: ") || !strings.Contains(words, tc.want) {
				t.Errorf("want %q, got %q", tc.want, words)
			}
		})
	}
}

// wireOf reads the file with nothing but encoding/json.
func wireOf(tb testing.TB, file []byte) wire {
	tb.Helper()
	var w wire
	must(tb, json.Unmarshal(file, &w))
	return w
}
