//go:build cgo

package hsm

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"testing"
)

// encodings are what a private key can raise to a signature: the one right encoding of a
// DigestInfo, and those by which verifiers have been fooled.
func encodings(size int, info []byte) map[string][]byte {
	build := func(first, kind byte, padding []byte, rest ...byte) []byte {
		return slices.Concat([]byte{first, kind}, padding, []byte{0}, rest)
	}
	ff := func(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }
	room := size - 3 - len(info)
	garbage := bytes.Repeat([]byte{0xab}, room-8)
	without := slices.Concat(info[:13], info[15:]) // without the NULL of the algorithm
	without[1], without[3] = without[1]-2, without[3]-2
	return map[string][]byte{
		"right":                       build(0, 1, ff(room), info...),
		"garbage behind":              build(0, 1, ff(8), slices.Concat(info, garbage)...),
		"garbage in the padding":      build(0, 1, append(ff(room-1), 0xfe), info...),
		"short padding, zeros before": append(make([]byte, 20), build(0, 1, ff(room-20), info...)...),
		"type of encryption":          build(0, 2, ff(room), info...),
		"no type":                     build(0, 0, ff(room), info...),
		"first octet":                 build(1, 1, ff(room), info...),
		"no NULL":                     build(0, 1, ff(room+2), without...),
		"digest alone":                build(0, 1, ff(size-3-32), info[19:]...),
		"another digest":              build(0, 1, ff(room), append(slices.Clone(info[:len(info)-1]), info[len(info)-1]^1)...),
		"zero":                        make([]byte, size),
		"one":                         append(make([]byte, size-1), 1),
	}
}

// Both verifiers say the same of everything, and yes to one encoding only.
func TestVerifyPKCS1(t *testing.T) {
	t.Parallel()
	digest := sha256.Sum256([]byte("header.payload"))
	info := slices.Concat(digestInfoSHA256, digest[:])
	for _, bits := range []int{2048, 2056, 3072} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			t.Parallel()
			key, err := rsa.GenerateKey(rand.Reader, bits)
			if err != nil {
				t.Fatal(err)
			}
			try := func(name string, sig []byte, want bool) {
				t.Helper()
				ours := verifyPKCS1(&key.PublicKey, info, sig)
				theirs := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], sig) == nil
				if ours != want || theirs != want {
					t.Errorf("%s: %t here, %t in the library, want %t", name, ours, theirs, want)
				}
			}
			for name, encoded := range encodings(key.Size(), info) {
				number := new(big.Int).SetBytes(encoded)
				if number.Cmp(key.N) >= 0 {
					continue // of "first octet": no signature can raise to it
				}
				sig := number.Exp(number, key.D, key.N).FillBytes(make([]byte, key.Size()))
				try(name, sig, name == "right")
				if name != "right" {
					continue
				}
				try("octet too many", append([]byte{0}, sig...), false)
				try("octet too few", sig[1:], false)
				try("none", nil, false)
				for _, bit := range []int{0, 7, 100, 8*len(sig) - 1} {
					turned := slices.Clone(sig)
					turned[bit/8] ^= 1 << (bit % 8)
					try(fmt.Sprint("bit ", bit), turned, false)
				}
				more := new(big.Int).Add(new(big.Int).SetBytes(sig), key.N)
				if more.BitLen() <= 8*key.Size() {
					try("the modulus more", more.FillBytes(make([]byte, key.Size())), false)
				}
			}
		})
	}
	small := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 8*61), E: 3}
	if verifyPKCS1(small, info, make([]byte, small.Size())) {
		t.Error("a key with no room for the padding")
	}
}
