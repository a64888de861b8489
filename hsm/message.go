//go:build cgo

package hsm

import (
	"crypto/sha256"
	"crypto/sha512"
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
