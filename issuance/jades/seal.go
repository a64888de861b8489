package jades

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// ErrContent is returned by Seal for content that is not one strict JSON object in UTF-8: it
// would not come back from the sealed file byte for byte, or not mean the same to everybody.
var ErrContent = errors.New("content cannot be sealed")

// ErrKey is returned by Seal when certificate, key and algorithm do not fit each other, or
// when the certificate is not valid at the time of sealing. No signature was asked for.
var ErrKey = errors.New("key cannot seal")

// ErrBadSignature is returned by Seal when what the signer gave does not fit the certificate.
// The file is thrown away: a wrong certificate beside a key is an operator's matter.
var ErrBadSignature = errors.New("signature made does not fit the certificate")

// Signer makes signatures. Sign hashes the parts of input, one after the other, as the algorithm
// of the key wants it and returns the signature in JWS form (PKCS #1 or PSS octets; r||s for
// ECDSA). Seal calls it once.
type Signer interface {
	Sign(ctx context.Context, keyID string, input ...[]byte) ([]byte, error)
}

// Voucher is a Signer that verifies each signature before it returns it, as tokens of hsm do.
// Vouches tells whether it does so for a key with this very certificate; Seal then does not do
// the same again, which is a tenth of all its work at RSA-3072.
type Voucher interface {
	Vouches(keyID string, leaf *x509.Certificate) bool
}

// Key says which key seals and what stands in the header for it.
type Key struct {
	// ID is the name under which Signer knows the key. It does not get into the file.
	ID string
	// Alg is RS256, PS256 (2048 bits or more), ES256 (P-256) or ES384 (P-384).
	Alg string
	// Chain is the seal certificate followed by its intermediates; the anchor may be left out.
	Chain []*x509.Certificate
	// LegacySigT writes the time of sealing as sigT, as was the rule before 15 July 2025, for
	// readers that know no iat: DSS before 6.1, and with it the viewers of that age. Readers of
	// today find such a seal good, but not of a baseline level (DSS 6.x).
	LegacySigT bool
}

// protected is the header that a seal covers; the order of fields is the order in the file.
type protected struct {
	Alg     string   `json:"alg"`
	Cty     string   `json:"cty"`
	Kid     string   `json:"kid"`
	X5tS256 string   `json:"x5t#S256"`
	X5c     []string `json:"x5c"`
	Typ     string   `json:"typ"`
	B64     bool     `json:"b64"`
	Iat     int64    `json:"iat,omitempty"`
	SigT    string   `json:"sigT,omitempty"`
	Crit    []string `json:"crit"`
}

// Seal returns the sealed file for payload: JAdES baseline B, claimed time at (whole seconds).
// The same payload comes back from Parse byte for byte. The signature is checked with the
// first certificate of key, unless s is a Voucher and has done so, and before Seal returns, the
// file is read again. Errors: ErrContent, ErrKey, ErrBadSignature, or what s returned.
func Seal(ctx context.Context, s Signer, key Key, payload []byte, at time.Time) ([]byte, error) {
	if err := CheckContent(payload); err != nil {
		return nil, err
	}
	if err := checkKey(key, at); err != nil {
		return nil, err
	}
	header, err := encodeHeader(key, at)
	if err != nil {
		return nil, err
	}
	input := [][]byte{[]byte(header + "."), payload} // not put together: that copies all of it
	signature, err := s.Sign(ctx, key.ID, input...)
	if err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", key.ID, err)
	}
	if v, ok := s.(Voucher); !ok || !v.Vouches(key.ID, key.Chain[0]) {
		if err := verify(key.Alg, key.Chain[0].PublicKey, signature, input...); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadSignature, err)
		}
	}
	file := write(payload, header, base64.RawURLEncoding.EncodeToString(signature))
	if err := readBack(file, payload, key); err != nil {
		return nil, err
	}
	return file, nil
}

// CheckContent says whether payload can be sealed: a strict JSON object (RFC 8259) whose
// members are unique at every level, in UTF-8 without a mark in front. The error is ErrContent.
func CheckContent(payload []byte) error {
	if err := checkJSON(payload); err != nil {
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	if bytes.TrimLeft(payload, " \t\r\n")[0] != '{' {
		return fmt.Errorf("%w: it is not a JSON object", ErrContent)
	}
	return nil
}

func checkKey(key Key, at time.Time) error {
	if !maySeal(key.Alg) {
		return fmt.Errorf("%w: algorithm %.20q", ErrKey, key.Alg)
	}
	if len(key.Chain) == 0 || len(key.Chain) > maxChain {
		return fmt.Errorf("%w: %d certificates given", ErrKey, len(key.Chain))
	}
	leaf := key.Chain[0]
	if err := fits(key.Alg, leaf.PublicKey); err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	// What our own Verify would hold against the certificate is not worth a signature.
	for _, f := range (Signature{Chain: key.Chain}).certificate() {
		if f.Outcome != OK {
			return fmt.Errorf("%w: %s", ErrKey, f.Words)
		}
	}
	if at.Before(leaf.NotBefore) || at.After(leaf.NotAfter) {
		return fmt.Errorf("%w: certificate is valid from %s to %s only", ErrKey,
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// encodeHeader serialises the protected header, once: these very characters are signed and stored.
func encodeHeader(key Key, at time.Time) (string, error) {
	leaf := key.Chain[0]
	kid, err := keyIdentifier(leaf)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(leaf.Raw)
	chain := make([]string, len(key.Chain))
	for i, c := range key.Chain {
		chain[i] = base64.StdEncoding.EncodeToString(c.Raw) // RFC 7515, 4.1.6: not base64url
	}
	h := protected{
		Alg:     key.Alg,
		Cty:     "json",
		Kid:     kid,
		X5tS256: base64.RawURLEncoding.EncodeToString(sum[:]),
		X5c:     chain,
		Typ:     "jose+json",
		Iat:     at.Unix(),
		Crit:    []string{"b64"},
	}
	if key.LegacySigT {
		h.Iat, h.SigT, h.Crit = 0, at.UTC().Format(sigTForm), []string{"b64", "sigT"}
	}
	header, err := encode(h)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(header), nil
}

// keyIdentifier is the kid of TS 119 182-1, 5.1.4: base64 of the DER form of IssuerSerial
// (RFC 5035, 4), the issuer as a directoryName and the serial number.
func keyIdentifier(c *x509.Certificate) (string, error) {
	name := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: c.RawIssuer}
	der, err := asn1.Marshal(struct {
		Issuer []asn1.RawValue
		Serial any
	}{[]asn1.RawValue{name}, c.SerialNumber})
	if err != nil {
		return "", fmt.Errorf("encode issuer and serial number of the certificate: %w", err)
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

// encode is JSON without HTML escapes and without the newline that json.Encoder adds.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode sealed file: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// readBack reads the finished file as a stranger would. The content, which is most of it, is
// compared where it stands; Parse reads the same file with another content.
func readBack(file, payload []byte, key Key) error {
	const before = `{"payload":`
	rest, ok := cutQuoted(file[min(len(before), len(file)):], payload)
	if !ok || !bytes.HasPrefix(file, []byte(before)) {
		return fmt.Errorf("%w: it does not come back unchanged", ErrContent)
	}
	f, err := Parse(slices.Concat([]byte(before+`"{}"`), rest))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	sig := f.Signatures[0]
	bad := slices.ContainsFunc(sig.problems, func(f Finding) bool { return f.Outcome != OK })
	if !sig.Leaf().Equal(key.Chain[0]) || bad || sig.Encoded || len(f.Signatures) != 1 {
		return fmt.Errorf("%w: header does not come back unchanged", ErrKey)
	}
	return nil
}

// cutQuoted returns what follows a JSON string that text begins with and that means content.
func cutQuoted(text, content []byte) (rest []byte, ok bool) {
	if len(text) == 0 || text[0] != '"' {
		return nil, false
	}
	text = text[1:]
	for {
		n := ordinary(text)
		if !bytes.HasPrefix(content, text[:n]) {
			return nil, false
		}
		switch text, content = text[n:], content[n:]; {
		case len(text) == 0:
			return nil, false
		case text[0] == '"':
			return text[1:], len(content) == 0
		case text[0] == '\\' && len(text) > 1 && (text[1] == '"' || text[1] == '\\'): // nearly all that is not ordinary
			if len(content) == 0 || content[0] != text[1] {
				return nil, false
			}
			text, content = text[2:], content[1:]
		default:
			var room [8]byte
			letter, size := unusual(room[:0], text)
			if size == 0 || !bytes.HasPrefix(content, letter) {
				return nil, false
			}
			text, content = text[size:], content[len(letter):]
		}
	}
}

// unusual decodes the first letter of text, an escape or none of ASCII, into room or where it
// stands, and says what size it has in text: 0 when it must not stand in a JSON string.
func unusual(room, text []byte) (letter []byte, size int) {
	s := scanner{data: text}
	switch c := s.peek(); {
	case c == '\\':
		if s.escape() != nil {
			return nil, 0
		}
		return unescaped(room, text[:s.pos]), s.pos
	case c < 0x20:
		return nil, 0
	}
	_, size = utf8.DecodeRune(text)
	return text[:size], size
}
