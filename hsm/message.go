//go:build cgo

package hsm

import (
	"crypto/sha256"
	"crypto/sha512"
	"slices"
	"sync"
)

// message is what is to be signed, hashed at most once for each kind of hash: the token gets
// the hash, and so does who verifies. A sealed page is a hundred kilobytes long, so that its
// parts are left where they are. It is safe for concurrent use.
type message struct {
	input [][]byte
	once  [2]sync.Once
	sum   [2][]byte
}

func newMessage(input ...[]byte) *message { return &message{input: input} }

// whole is the input in one piece, for tokens that hash.
func (m *message) whole() []byte { return slices.Concat(m.input...) }

// digest hashes with what the algorithm of a signature names: SHA-384 for ES384, else SHA-256.
func (m *message) digest(alg string) []byte {
	n, kind := 0, sha256.New
	if alg == algES384 {
		n, kind = 1, sha512.New384
	}
	m.once[n].Do(func() {
		h := kind()
		for _, part := range m.input {
			h.Write(part)
		}
		m.sum[n] = h.Sum(nil)
	})
	return m.sum[n]
}
