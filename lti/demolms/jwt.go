package demolms

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
)

// maxKeySet is the most that is read of a tool's key set.
const maxKeySet = 1 << 20

var b64 = base64.RawURLEncoding

// jsonKey is the public half of an RSA key in a key set (RFC 7517).
type jsonKey struct {
	Kty string `json:"kty"`
	Alg string `json:"alg,omitempty"`
	Kid string `json:"kid"`
	E   string `json:"e"`
	N   string `json:"n"`
	Use string `json:"use,omitempty"`
}

type keySet map[string]*rsa.PublicKey

// keyID names a key by its digest, twenty characters as in Moodle.
func keyID(key *rsa.PublicKey) string {
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(key))
	return hex.EncodeToString(sum[:10])
}

func publicKey(key *rsa.PublicKey, kid string) jsonKey {
	return jsonKey{
		Kty: "RSA", Alg: "RS256", Kid: kid, Use: "sig",
		E: b64.EncodeToString(big.NewInt(int64(key.E)).Bytes()), N: b64.EncodeToString(key.N.Bytes()),
	}
}

// segments encodes header and claims as the first two parts of a JWT.
func segments(header, claims map[string]any) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("encode header: %w", err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	return b64.EncodeToString(h) + "." + b64.EncodeToString(c), nil
}

// signRS256 appends the signature to the first two parts.
func signRS256(signed string, key *rsa.PrivateKey) (string, error) {
	sum := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return signed + "." + b64.EncodeToString(sig), nil
}

// token is a JWT somebody sent, its signature not yet checked.
type token struct {
	kid, alg  string
	claims    map[string]any
	signed    string
	signature []byte
}

var errNotJWT = errors.New("not a JWT")

// parseToken splits a compact JWT and decodes its parts.
func parseToken(compact string) (token, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return token{}, errNotJWT
	}
	header, err := decodePart(parts[0])
	if err != nil {
		return token{}, err
	}
	claims, err := decodePart(parts[1])
	if err != nil {
		return token{}, err
	}
	sig, err := b64.DecodeString(parts[2])
	if err != nil {
		return token{}, fmt.Errorf("signature: %w", errNotJWT)
	}
	return token{
		kid: text(header, "kid"), alg: text(header, "alg"), claims: claims,
		signed: parts[0] + "." + parts[1], signature: sig,
	}, nil
}

func decodePart(part string) (map[string]any, error) {
	raw, err := b64.DecodeString(part)
	if err != nil {
		return nil, fmt.Errorf("part is not base64url: %w", errNotJWT)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return nil, fmt.Errorf("part is not a JSON object: %w", errNotJWT)
	}
	return m, nil
}

// verify checks the signature with a key of the right id.
func (t token) verify(keys keySet) error {
	key, ok := keys[t.kid]
	if !ok {
		return errUnknownKid
	}
	if t.alg != "RS256" {
		return errors.New("algorithm not supported")
	}
	sum := sha256.Sum256([]byte(t.signed))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], t.signature); err != nil {
		return refusalError("Signature verification failed")
	}
	return nil
}

// refusalError is an answer of the token endpoint in Moodle's own words, which
// the tool gets to read as they are.
type refusalError string

func (r refusalError) Error() string { return string(r) }

const errUnknownKid = refusalError(`"kid" invalid, unable to lookup correct key`)

// text reads a claim that must be a string; anything else is "".
func text(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return s
}

// number reads a claim that must be a number of seconds.
func number(m map[string]any, name string) (int64, bool) {
	f, ok := m[name].(float64)
	return int64(f), ok
}

// audience reads aud in both of its forms.
func audience(m map[string]any) []string {
	switch v := m["aud"].(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, a := range v {
			if s, ok := a.(string); ok {
				out = append(out, s)
			}
		}
		return out
	default:
		return nil
	}
}

// verifyTool checks a signature with the tool's published keys. A key set is
// kept until a token does not verify with it; then it is fetched once more,
// which is how a new key of the tool becomes known at once.
func (l *LMS) verifyTool(ctx context.Context, tool Tool, t token) error {
	l.mu.Lock()
	keys, known := l.toolKeys[tool.ClientID]
	l.mu.Unlock()
	if known && t.verify(keys) == nil {
		return nil
	}
	keys, err := l.fetchKeys(ctx, tool.JWKSURL)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.toolKeys[tool.ClientID] = keys
	l.mu.Unlock()
	return t.verify(keys)
}

func (l *LMS) fetchKeys(ctx context.Context, address string) (keySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("address of the tool's key set: %w", err)
	}
	resp, err := l.cfg.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch the tool's key set: %w", err)
	}
	defer func() {
		if err := resp.Body.Close(); err != nil {
			l.cfg.Logger.DebugContext(ctx, "close key set response", "err", err)
		}
	}()
	var set struct {
		Keys []jsonKey `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxKeySet)).Decode(&set); err != nil {
		return nil, fmt.Errorf("parse the tool's key set: %w", err)
	}
	keys := keySet{}
	for _, k := range set.Keys {
		n, errN := b64.DecodeString(k.N)
		e, errE := b64.DecodeString(k.E)
		if k.Kty != "RSA" || k.Kid == "" || errN != nil || errE != nil || len(e) > 4 {
			continue
		}
		keys[k.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	return keys, nil
}
