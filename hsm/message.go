//go:build cgo

package hsm

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"math/big"
	"slices"
	"sync"
)

// message is what is to be signed, hashed at most once for each kind of hash: the token gets
// the hash, and so does who verifies. A sealed page is a hundred kilobytes long. It is safe
// for concurrent use.
type message struct {
	input []byte
	once  [2]sync.Once
	sum   [2][]byte
}

func newMessage(input []byte) *message { return &message{input: input} }

// digest hashes with what the algorithm of a signature names: SHA-384 for ES384, else SHA-256.
func (m *message) digest(alg string) []byte {
	n := 0
	if alg == algES384 {
		n = 1
	}
	m.once[n].Do(func() {
		if n == 1 {
			sum := sha512.Sum384(m.input)
			m.sum[n] = sum[:]
			return
		}
		sum := sha256.Sum256(m.input)
		m.sum[n] = sum[:]
	})
	return m.sum[n]
}

// assembled are the lengths of RSA keys in bits for which crypto/rsa has assembly. For the
// others, 3072 bits among them, it takes three times as long as math/big, and half a
// millisecond is a fifth of the signature itself.
var assembled = []int{2048, 4096}

// verifyPKCS1 checks a signature by RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2.2):
// the message is encoded as the signer must have done it, and compared with what the public
// key makes of the signature. Nothing here is secret, so nothing needs constant time.
func verifyPKCS1(key *rsa.PublicKey, digest, sig []byte) bool {
	size := key.Size()
	s := new(big.Int).SetBytes(sig)
	if len(sig) != size || s.Cmp(key.N) >= 0 {
		return false
	}
	encoded := make([]byte, size)
	s.Exp(s, big.NewInt(int64(key.E)), key.N).FillBytes(encoded)
	tail := slices.Concat([]byte{0}, digestInfoSHA256, digest)
	want := make([]byte, 0, size)
	want = append(want, 0, 1)
	for len(want) < size-len(tail) {
		want = append(want, 0xff)
	}
	want = append(want, tail...)
	return subtle.ConstantTimeCompare(encoded, want) == 1
}
