package status_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/sealsmith/sealsmith/issuance/status"
)

// TestSecondOpinion: a library that is none of ours takes what is signed, with the certificate in
// the header.
func TestSecondOpinion(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "RS256", "PS256"} {
		m := newMint(t, alg)
		a := array(t, map[int]status.Value{7: status.Invalid})
		token, err := status.SignToken(t.Context(), m, m.terms(), uri, a)
		check(t, err)
		vc, err := status.SignBitstring(t.Context(), m, m.terms(), status.Bitstring{URI: uri, Purpose: status.PurposeRevocation, Issuer: "urn:x:1"}, a)
		check(t, err)
		for typ, text := range map[string][]byte{status.TypeToken: token, status.TypeBitstring: vc} {
			parsed, err := jose.ParseSignedCompact(string(text), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			check(t, err)
			header := parsed.Signatures[0].Protected
			chains, err := header.Certificates(x509.VerifyOptions{Roots: m.pool(), CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			check(t, err)
			payload, err := parsed.Verify(chains[0][0].PublicKey)
			check(t, err)
			want, err := base64.RawURLEncoding.DecodeString(string(bytes.Split(text, []byte("."))[1]))
			check(t, err)
			if !bytes.Equal(payload, want) || header.ExtraHeaders["typ"] != typ || !chains[0][0].Equal(m.leaf) {
				t.Errorf("%s %s: %v", alg, typ, header)
			}
		}
	}
}
