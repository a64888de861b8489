package lti_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
)

func rs256(input string, key *rsa.PrivateKey) []byte {
	sum := sha256.Sum256([]byte(input))
	return must(rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]))
}

// testRSA makes a key of any length, as weak as it may be.
func testRSA(bits int) *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, bits)) }
