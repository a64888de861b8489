package status

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// Types of the artefacts, as in the header typ.
const (
	TypeBitstring = "vc+jwt"
	TypeToken     = "statuslist+jwt"
	TypeIndex     = "sealsmith-status-index+jwt"
)

// Media types of the artefacts.
const (
	MediaBitstring = "application/vc+jwt"
	MediaToken     = "application/statuslist+jwt"
	MediaIndex     = "application/jwt"
)

// MaxText is how long a signed list may be, in bytes.
const MaxText = 12 << 20

const (
	maxChain       = 10
	maxCertificate = 32 << 10 // bytes
)

// Terms are what all artefacts of one list have in common.
type Terms struct {
	// Key signs; its chain goes into the header without the anchor (HAIP wants it so).
	Key jades.Key
	// At is when it is signed and Until when it stops to count, in whole seconds, UTC.
	At, Until time.Time
	// TTL is after how long whoever keeps a copy should ask again.
	TTL time.Duration
}

type header struct {
	Alg string   `json:"alg"`
	Typ string   `json:"typ"`
	Cty string   `json:"cty,omitempty"`
	X5c []string `json:"x5c"`
}

// sign makes a compact JWS (RFC 7515, 7.1), and reads it before it hands it out.
func sign(ctx context.Context, s jades.Signer, key jades.Key, h header, claims any) ([]byte, error) {
	if len(key.Chain) == 0 {
		return nil, fmt.Errorf("sign a status list: %w: no certificate given", jades.ErrKey)
	}
	h.Alg = key.Alg
	for i, c := range key.Chain {
		if i > 0 && bytes.Equal(c.RawIssuer, c.RawSubject) {
			continue
		}
		h.X5c = append(h.X5c, base64.StdEncoding.EncodeToString(c.Raw))
	}
	var parts []string
	for _, part := range []any{h, claims} {
		text, err := encode(part)
		if err != nil {
			return nil, err
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	input := []byte(strings.Join(parts, "."))
	signature, err := s.Sign(ctx, key.ID, input)
	if err != nil {
		return nil, fmt.Errorf("sign a status list with key %s: %w", key.ID, err)
	}
	if err := jades.CheckSignature(key.Alg, key.Chain[0].PublicKey, signature, input); err != nil {
		return nil, fmt.Errorf("sign a status list: %w: %w", jades.ErrBadSignature, err)
	}
	return append(append(input, '.'), base64.RawURLEncoding.EncodeToString(signature)...), nil
}

// encode is JSON without HTML escapes.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode a status list: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Options is what reading needs besides the list.
type Options struct {
	// URI is the address of the list that is wanted; "" takes any.
	URI string
	// Purpose is the statusPurpose that is wanted of a bitstring; "" takes any.
	Purpose string
	// Trust vouches for who signed, at the time At, or without that when the list was signed by its
	// own words; nil: whoever calls looks at List.Chain.
	Trust *x509.CertPool
	// Key checks a list without certificates; nil: such a list is ErrVerification.
	Key crypto.PublicKey
	// At is the present time; zero: whoever calls looks at List.Issued and List.Expires.
	At time.Time
}

// skew is how far the clocks of issuer and reader may differ.
const skew = 5 * time.Minute

// signed is a compact JWS whose signature fits.
type signed struct {
	alg    string
	chain  []*x509.Certificate
	claims []byte
}

// open reads a compact JWS of a type and checks its signature.
func open(text []byte, typ string, o Options) (signed, error) {
	if len(text) > MaxText {
		return signed{}, fmt.Errorf("%w: it has more than %d bytes", ErrMalformed, MaxText)
	}
	parts := strings.Split(strings.TrimSpace(string(text)), ".")
	if len(parts) != 3 {
		return signed{}, fmt.Errorf("%w: it is not a JWS in compact form", ErrMalformed)
	}
	var decoded [3][]byte
	for i, part := range parts {
		var ok bool
		if decoded[i], ok = decodeURL(part); !ok {
			return signed{}, fmt.Errorf("%w: part %d is not base64url without padding", ErrMalformed, i+1)
		}
	}
	for _, part := range decoded[:2] {
		if err := jades.CheckContent(part); err != nil {
			return signed{}, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	s, public, err := readHeader(decoded[0], typ, o.Key)
	if err != nil {
		return signed{}, err
	}
	s.claims = decoded[1]
	if err := jades.CheckSignature(s.alg, public, decoded[2], []byte(parts[0]+"."+parts[1])); err != nil {
		return signed{}, fmt.Errorf("%w: %w", ErrVerification, err)
	}
	return s, nil
}

func readHeader(text []byte, typ string, key crypto.PublicKey) (signed, crypto.PublicKey, error) {
	h, err := readObject(text)
	if err != nil {
		return signed{}, nil, err
	}
	// RFC 7515, 4.1.9: the prefix application/ may stand there or not.
	if got := h.text("typ"); strings.TrimPrefix(strings.ToLower(got), "application/") != typ {
		return signed{}, nil, fmt.Errorf("%w: its type is %.40q, not %s", ErrMalformed, got, typ)
	}
	if h["crit"] != nil || h["b64"] != nil {
		return signed{}, nil, fmt.Errorf("%w: its header demands what is not known here", ErrVerification)
	}
	s := signed{alg: h.text("alg")}
	x5c := h.texts("x5c")
	if len(x5c) > maxChain || x5c == nil && h["x5c"] != nil {
		return signed{}, nil, fmt.Errorf("%w: x5c is no list of at most %d certificates", ErrMalformed, maxChain)
	}
	for _, text := range x5c {
		der, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(der) > maxCertificate || strings.ContainsAny(text, "\r\n") {
			return signed{}, nil, fmt.Errorf("%w: a certificate in x5c cannot be read", ErrMalformed)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return signed{}, nil, fmt.Errorf("%w: a certificate in x5c cannot be read: %w", ErrMalformed, err)
		}
		s.chain = append(s.chain, c)
	}
	switch {
	case len(s.chain) > 0:
		return s, s.chain[0].PublicKey, nil
	case key != nil:
		return s, key, nil
	}
	return signed{}, nil, fmt.Errorf("%w: it carries no certificate, and no key is known", ErrVerification)
}
