//go:build cgo

package interop_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v2/jwa"
	jwx "github.com/lestrrat-go/jwx/v2/jws"
)

// verifyJWX lets jwx read the whole file and check it with the key of the certificate.
func verifyJWX(tb testing.TB, cert *x509.Certificate, s spoiled) error {
	tb.Helper()
	payload, err := jwx.Verify(s.file, jwx.WithKey(jwa.SignatureAlgorithm(s.of.sealer.key.Alg), cert.PublicKey), jwx.WithJSON())
	if err == nil && string(payload) != readJWS(tb, s.file).Payload {
		return errors.New("jwx read other content")
	}
	return err
}

// verifyJOSE gives go-jose the file with its content in base64url: it knows how content is signed
// that is not encoded ("b64": false), but reads none from JSON.
func verifyJOSE(tb testing.TB, cert *x509.Certificate, s spoiled) error {
	tb.Helper()
	var file map[string]json.RawMessage
	must(tb, json.Unmarshal(s.file, &file))
	file["payload"] = json.RawMessage(`"` + base64.RawURLEncoding.EncodeToString([]byte(readJWS(tb, s.file).Payload)) + `"`)
	encoded, err := json.Marshal(file)
	must(tb, err)
	j, err := jose.ParseSignedJSON(string(encoded), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.of.sealer.key.Alg)})
	if err != nil {
		return err
	}
	payload, err := j.Verify(cert.PublicKey)
	if err == nil && string(payload) != readJWS(tb, s.file).Payload {
		return errors.New("go-jose read other content")
	}
	return err
}

// refusal says whether a library found that the signature does not fit. jwx has no error for it.
func refusal(err error) bool {
	return errors.Is(err, jose.ErrCryptoFailure) || (err != nil && strings.Contains(err.Error(), "could not verify message"))
}

// testJOSE has both libraries judge the seal itself; neither knows JAdES, nor what is in etsiU.
func testJOSE(t *testing.T, files []sealed, copies []spoiled) {
	type verifier func(testing.TB, *x509.Certificate, spoiled) error
	for name, verify := range map[string]verifier{"jwx": verifyJWX, "go-jose": verifyJOSE} {
		// The old header sigT is critical, and go-jose refuses what is critical and unknown to it.
		reads := func(f sealed) bool { return f.json() && (name == "jwx" || f.level != jadesNone) }
		t.Run(name, func(t *testing.T) {
			passed, refused := 0, 0
			for _, f := range files {
				if !reads(f) {
					continue
				}
				passed++
				if err := verify(t, f.sealer.key.Chain[0], spoiled{of: f, file: f.bytes}); err != nil {
					t.Errorf("%s: %v", f.name, err)
				}
			}
			for _, c := range copies {
				if !reads(c.of) || !c.inSeal() {
					continue
				}
				refused++
				if err := verify(t, c.of.sealer.key.Chain[0], c); !refusal(err) {
					t.Errorf("%s: %v", c.name, err)
				}
			}
			count(t, passed, refused)
		})
	}
}
