//go:build cgo

package hsm

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
	"slices"
	"testing"
)

// verifyPKCS1 must agree with crypto/rsa on everything: what is right, what is changed in any
// byte, and numbers that are the same modulo N.
func TestVerifyPKCS1(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{2048, 3072} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte("header.payload"))
		sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		agree := func(what string, want bool, digest, sig []byte) {
			t.Helper()
			ours := verifyPKCS1(&key.PublicKey, digest, sig)
			if theirs := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest, sig) == nil; ours != want || theirs != want {
				t.Errorf("%d bits, %s: ours %v, crypto/rsa %v, want %v", bits, what, ours, theirs, want)
			}
		}
		agree("right", true, digest[:], sig)
		for i := 0; i < len(sig); i += 17 {
			bad := slices.Clone(sig)
			bad[i] ^= 1
			agree("one bit changed", false, digest[:], bad)
		}
		other := sha256.Sum256([]byte("header.other"))
		agree("other content", false, other[:], sig)
		agree("empty", false, digest[:], nil)
		agree("cut", false, digest[:], sig[1:])
		agree("longer", false, digest[:], append([]byte{0}, sig...))
		agree("zero", false, digest[:], make([]byte, key.Size()))
		if same := new(big.Int).Add(new(big.Int).SetBytes(sig), key.N); same.BitLen() <= bits {
			agree("the same modulo N", false, digest[:], same.FillBytes(make([]byte, key.Size())))
		}
		// Encoded otherwise: another filling, SHA-1's name, something behind the digest.
		for _, encoded := range [][]byte{
			encode(key.Size(), 0xfe, slices.Concat(digestInfoSHA256, digest[:])),
			encode(key.Size(), 0xff, slices.Concat(digestInfoSHA256[:len(digestInfoSHA256)-1], []byte{0x21}, digest[:])),
			encode(key.Size(), 0xff, slices.Concat(digestInfoSHA256, digest[:], []byte{0})),
		} {
			agree("another encoding", false, digest[:], new(big.Int).Exp(new(big.Int).SetBytes(encoded), key.D, key.N).FillBytes(make([]byte, key.Size())))
		}
	}
}

// encode is EMSA-PKCS1-v1_5 with a filling and a tail of one's own.
func encode(size int, fill byte, tail []byte) []byte {
	return slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{fill}, size-3-len(tail)), []byte{0}, tail)
}

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
