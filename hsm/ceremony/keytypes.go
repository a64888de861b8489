package ceremony

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"strings"
)

// keyTypes holds the kinds of keys: bits of an RSA key, or the DER of a curve's object
// identifier (RFC 5480 section 2.1.1.1).
var keyTypes = map[string]struct {
	bits  int
	curve []byte
}{
	"rsa2048": {bits: 2048},
	"rsa3072": {bits: 3072},
	"rsa4096": {bits: 4096},
	"p256":    {curve: []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}},
	"p384":    {curve: []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}},
}

// KnowsKeyType tells whether Generate can make such a key.
func KnowsKeyType(name string) bool {
	_, ok := keyTypes[name]
	return ok
}

// KeyTypeOf names the kind of a public key as Generate does, or describes another one.
func KeyTypeOf(pub crypto.PublicKey) string {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa%d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return strings.ToLower(strings.ReplaceAll(key.Curve.Params().Name, "-", ""))
	case nil:
		return "unknown"
	}
	return fmt.Sprintf("%T", pub)
}
