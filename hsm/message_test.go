//go:build cgo

package hsm

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"testing"
)

func TestMessageDigest(t *testing.T) {
	t.Parallel()
	m := newMessage([]byte("header.payload"))
	short, long := sha256.Sum256(m.input), sha512.Sum384(m.input)
	for range 2 {
		for _, alg := range []string{algRS256, algPS256, algES256} {
			if !bytes.Equal(m.digest(alg), short[:]) {
				t.Errorf("%s: not SHA-256", alg)
			}
		}
		if !bytes.Equal(m.digest(algES384), long[:]) {
			t.Error("ES384: not SHA-384")
		}
	}
}
