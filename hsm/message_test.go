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
	m, whole := newMessage([]byte("header"), []byte("."), nil, []byte("payload")), []byte("header.payload")
	short, long := sha256.Sum256(whole), sha512.Sum384(whole)
	for range 2 {
		if !bytes.Equal(m.whole(), whole) {
			t.Errorf("the whole is %q", m.whole())
		}
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
