//go:build cgo

package hsm

import (
	"bytes"
	"crypto/rsa"
	"math/big"
)

// libraryFast is the greatest length in bits of a key with which rsa.VerifyPKCS1v15 is fast.
// It is made for secrets, in assembler up to here; beyond it takes three to four times as
// long as verifyPKCS1, which is a sixth of what signing costs in software.
const libraryFast = 2048

// verifyPKCS1 checks a PKCS #1 v1.5 signature over a DigestInfo, as RFC 8017 section 8.2.2
// has it: the signature, raised to the public exponent, is compared with the one encoding
// that there is of the DigestInfo. Nothing in it is secret.
func verifyPKCS1(key *rsa.PublicKey, digestInfo, sig []byte) bool {
	const least = 8 // octets of padding, section 9.2
	size := key.Size()
	if len(sig) != size || size < len(digestInfo)+3+least {
		return false
	}
	number := new(big.Int).SetBytes(sig)
	if number.Cmp(key.N) >= 0 {
		return false
	}
	encoded := number.Exp(number, big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, size))
	want := make([]byte, 0, size)
	want = append(want, 0, 1)
	want = append(want, bytes.Repeat([]byte{0xff}, size-3-len(digestInfo))...)
	want = append(want, 0)
	return bytes.Equal(encoded, append(want, digestInfo...))
}
