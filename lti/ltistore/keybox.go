package ltistore

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// BoxKeySize is the length of a key of a Box, in bytes.
const BoxKeySize = 32

const maxBoxKeys = 16

// Forms of a sealed value, its first byte. Where no box is given, values are stored plain.
const (
	formPlain  = 0
	formAESGCM = 1 // then 8 bytes that name the key, 12 of nonce, ciphertext, 16 of tag
)

const keyNameSize = 8

var (
	errNoBox     = errors.New("sealed with a key file, and none was given")
	errWrongBox  = errors.New("sealed with another key file")
	errDamaged   = errors.New("damaged, or moved from another place: it does not open with its key")
	errNotSealed = errors.New("of an unknown form")
)

// Box seals private keys and shared secrets for the database, by AES-256-GCM. The first of
// its keys seals, all of them open. A sealed value is bound to the place it is for, so that
// whoever can write to the database cannot exchange two of them. A nil Box stores plain
// values and cannot open sealed ones.
type Box struct{ keys []boxKey }

type boxKey struct {
	name [keyNameSize]byte
	aead cipher.AEAD
}

// ReadBox makes a Box from the text of a key file: one key per line, 32 random bytes as
// base64 or as 64 hexadecimal digits; empty lines, and those that begin with #, do not
// count. Errors name the line and never what stands in it.
func ReadBox(text []byte) (*Box, error) {
	b := &Box{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, ok := decodeKey(line)
		if !ok {
			return nil, fmt.Errorf("line %d is not a key: %d random bytes as base64 or hexadecimal", n, BoxKeySize)
		}
		if err := b.add(key); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, errors.New("a line is too long for a key")
	}
	switch {
	case len(b.keys) == 0:
		return nil, errors.New("no key is in it")
	case len(b.keys) > maxBoxKeys:
		return nil, fmt.Errorf("more than %d keys are in it", maxBoxKeys)
	}
	return b, nil
}

func decodeKey(line string) ([]byte, bool) {
	if key, err := hex.DecodeString(line); err == nil && len(key) == BoxKeySize {
		return key, true
	}
	line = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(line, "="))
	key, err := base64.RawStdEncoding.DecodeString(line)
	return key, err == nil && len(key) == BoxKeySize
}

func (b *Box) add(key []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("use a key of the key file: %w", err)
	}
	// The nonce is random and made inside: no counter could be kept for several processes.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return fmt.Errorf("use a key of the key file: %w", err)
	}
	k := boxKey{aead: aead}
	sum := sha256.Sum256(append([]byte("sealsmith key file\x00"), key...))
	copy(k.name[:], sum[:])
	b.keys = append(b.keys, k)
	return nil
}

// seal returns the sealed form of plain, bound to place.
func (b *Box) seal(plain []byte, place string) []byte {
	if b == nil {
		return append([]byte{formPlain}, plain...)
	}
	k := b.keys[0]
	head := append([]byte{formAESGCM}, k.name[:]...)
	return k.aead.Seal(head, nil, plain, additional(head, place)) //nolint:gosec // G407: this AEAD makes a random nonce for every call, and takes none
}

// open returns what was sealed for place.
func (b *Box) open(sealed []byte, place string) ([]byte, error) {
	const headSize = 1 + keyNameSize
	switch {
	case isPlain(sealed):
		return sealed[1:], nil
	case len(sealed) < headSize || sealed[0] != formAESGCM:
		return nil, errNotSealed
	case b == nil:
		return nil, errNoBox
	}
	head := sealed[:headSize]
	for _, k := range b.keys {
		if !bytes.Equal(k.name[:], head[1:]) {
			continue
		}
		plain, err := k.aead.Open(nil, nil, sealed[headSize:], additional(head, place))
		if err != nil {
			return nil, errDamaged
		}
		return plain, nil
	}
	return nil, errWrongBox
}

// newest reports whether sealed was made with the first key, as a new value would be.
func (b *Box) newest(sealed []byte) bool {
	return len(sealed) > keyNameSize && sealed[0] == formAESGCM && bytes.Equal(sealed[1:1+keyNameSize], b.keys[0].name[:])
}

func isPlain(stored []byte) bool { return len(stored) > 0 && stored[0] == formPlain }

// additional is what a sealed value is bound to besides its key.
func additional(head []byte, place string) []byte {
	return append(bytes.Clone(head), place...)
}

// Format implements fmt.Formatter: the keys are not shown, however a Box is printed.
func (*Box) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "redacted") }

// LogValue implements slog.LogValuer.
func (*Box) LogValue() slog.Value { return slog.StringValue("redacted") }
