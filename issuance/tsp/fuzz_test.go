package tsp_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"testing"

	"github.com/sealsmith/sealsmith/issuance/tsp"
)

// seeds are tokens of an authority whose key is the same in all processes that take part.
func seeds(f *testing.F) [][]byte {
	f.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	must(f, err)
	by := newAuthority(f, key, nil)
	plain, byKey, twice := newForgery(f, by), newForgery(f, by), newForgery(f, by)
	byKey.signer.ID = keyID(4, 2)
	byKey.set(idESS, essOf(sha1Of(by.cert.Raw)))
	twice.signers = 2
	return [][]byte{plain.token(), byKey.token(), twice.token(), {0x30, 0x80}}
}

// FuzzParse changes tokens: one that is accepted says what was signed, and is the bytes
// that it came from.
func FuzzParse(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		token, err := tsp.Parse(der)
		checkToken(t, token, err, der)
	})
}

// FuzzParseResponse does the same with the answers of authorities.
func FuzzParseResponse(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(reply(f, 0, seed))
	}
	f.Add(reply(f, 2, nil))
	f.Fuzz(func(t *testing.T, der []byte) {
		token, err := tsp.ParseResponse(der)
		checkToken(t, token, err, der)
	})
}

func checkToken(t *testing.T, token tsp.Token, err error, der []byte) {
	t.Helper()
	if err != nil {
		if token.Raw != nil || token.Signer != nil {
			t.Fatal("a token along with an error")
		}
		return
	}
	if !bytes.Contains(der, token.Raw) {
		t.Fatal("Raw is not what came in")
	}
	again, err := tsp.Parse(token.Raw)
	if err != nil || !same(again, token) {
		t.Fatalf("Raw says something else: %v", err)
	}
	// Who signs can be replaced by somebody who signs another token, but not by a fuzzer.
	if !token.Covers([]byte("stamped")) || !token.Time.Equal(noon) {
		t.Fatalf("a forgery: %x", der)
	}
}
