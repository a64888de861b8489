package demolms

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// weakBits is what tools must refuse.
	weakBits = 1024
	// curveKeyID names the one elliptic key.
	curveKeyID = "curve-key"
	// manyKeys is more than a key set should hold.
	manyKeys = 10_000
	// dripPause is how long each byte of a dripping key set takes.
	dripPause = time.Second
	// bombSize is what a gzip bomb grows to.
	bombSize = 64 << 20
)

// RotateKey makes a new signing key. As in Moodle the old one is not published
// any more from this moment.
func (l *LMS) RotateKey() error {
	l.mu.Lock()
	err := l.rotate()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.Save()
}

func (l *LMS) rotate() error {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return fmt.Errorf("make a signing key: %w", err)
	}
	l.key, l.data.Key = key, encodeKey(key)
	return nil
}

// weakSigner is a short RSA key; the caller holds the lock.
func (l *LMS) weakSigner() (*rsa.PrivateKey, error) {
	if l.weakKey == nil {
		key, err := rsa.GenerateKey(rand.Reader, weakBits)
		if err != nil {
			return nil, fmt.Errorf("make a weak key: %w", err)
		}
		l.weakKey = key
	}
	return l.weakKey, nil
}

// curveSigner is a key on an elliptic curve; the caller holds the lock.
func (l *LMS) curveSigner() (*ecdsa.PrivateKey, error) {
	if l.curveKey == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make a key on a curve: %w", err)
		}
		l.curveKey = key
	}
	return l.curveKey, nil
}

// published are the keys of the key set: the signing key, and what a knob has
// signed with; the caller holds the lock.
func (l *LMS) published() ([]any, error) {
	keys := []any{publicKey(&l.key.PublicKey, keyID(&l.key.PublicKey))}
	if l.weakKey != nil {
		keys = append(keys, publicKey(&l.weakKey.PublicKey, keyID(&l.weakKey.PublicKey)))
	}
	if l.curveKey != nil {
		raw, err := l.curveKey.PublicKey.Bytes()
		if err != nil {
			return nil, fmt.Errorf("encode the key on a curve: %w", err)
		}
		keys = append(keys, map[string]any{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": curveKeyID,
			"x": b64.EncodeToString(raw[1:33]), "y": b64.EncodeToString(raw[33:]),
		})
	}
	return keys, nil
}

// serveJWKS publishes the keys, with no cache headers as in Moodle.
func (l *LMS) serveJWKS(w http.ResponseWriter, r *http.Request) {
	if !l.wait(r.Context(), JWKSSlow) {
		return
	}
	switch {
	case l.take(JWKSError):
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	case l.take(JWKSHTML):
		writeBody(w, http.StatusOK, htmlType, maintenancePage)
		return
	case l.take(JWKSRedirect):
		http.Redirect(w, r, privateAddress, http.StatusFound)
		return
	}
	l.mu.Lock()
	keys, err := l.keySetUnderKnobs()
	l.mu.Unlock()
	raw, errEncode := json.Marshal(map[string]any{"keys": keys})
	if err != nil || errEncode != nil {
		http.Error(w, "no key", http.StatusInternalServerError)
		return
	}
	kind := jsonType
	if l.take(JWKSTextPlain) {
		kind = "text/plain; charset=utf-8"
	}
	pause := l.pause(JWKSDrip, dripPause)
	switch {
	case pause > 0:
		drip(w, r, raw, pause)
	case l.take(JWKSGzip):
		if err := bomb(w, raw); err != nil {
			l.cfg.Logger.InfoContext(r.Context(), "key set not written", "err", err)
		}
	case l.take(JWKSHuge):
		writeBody(w, http.StatusOK, kind, string(raw)+strings.Repeat(" ", hugeAnswer))
	default:
		writeBody(w, http.StatusOK, kind, string(raw))
	}
}

// keySetUnderKnobs applies the knobs that change keys; the caller holds the
// lock.
func (l *LMS) keySetUnderKnobs() ([]any, error) {
	kid := keyID(&l.key.PublicKey)
	good := publicKey(&l.key.PublicKey, kid)
	changed := good
	on := func(k Knob) bool { return l.takeLocked(k) != Off }
	switch {
	case on(JWKSEmpty):
		return []any{}, nil
	case on(JWKSOtherKeys):
		other, err := l.unpublishedKey()
		if err != nil {
			return nil, err
		}
		return []any{publicKey(&other.PublicKey, keyID(&other.PublicKey))}, nil
	case on(JWKSSameKid):
		other, err := l.unpublishedKey()
		if err != nil {
			return nil, err
		}
		return []any{publicKey(&other.PublicKey, kid), good}, nil
	case on(JWKSNoAlg):
		changed.Alg = ""
		return []any{changed}, nil
	case on(JWKSUseEnc):
		changed.Use = "enc"
		return []any{changed}, nil
	case on(JWKSExponent):
		changed.E = "AQ"
		return []any{changed}, nil
	case on(JWKSNumericKid):
		return []any{map[string]any{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": 42, "n": good.N, "e": good.E}}, nil
	case on(JWKSSymmetric):
		return []any{map[string]any{"kty": "oct", "alg": "HS256", "kid": "shared", "k": b64.EncodeToString([]byte("everybody knows"))}, good}, nil
	case on(JWKSMixed):
		return []any{
			map[string]any{"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"}, good, map[string]any{"kty": "LATTICE", "kid": "tomorrow"},
		}, nil
	case on(JWKSMany):
		keys := make([]any, 0, manyKeys)
		for n := range manyKeys - 1 {
			changed.Kid = "key-" + strconv.Itoa(n)
			keys = append(keys, changed)
		}
		return append(keys, good), nil
	default:
		return l.published()
	}
}

// pause is how long a slow knob waits between bytes; zero when it is off.
func (l *LMS) pause(k Knob, usual time.Duration) time.Duration {
	d := l.delay(k)
	if d == defaultDelay {
		return usual
	}
	return d
}

// drip writes one byte after the other, slowly.
func drip(w http.ResponseWriter, r *http.Request, body []byte, pause time.Duration) {
	w.Header().Set("Content-Type", jsonType)
	flush := http.NewResponseController(w)
	timer := time.NewTicker(pause)
	defer timer.Stop()
	for i := range body {
		if _, err := w.Write(body[i : i+1]); err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
}

// bomb writes a body that is small on the wire and large behind gzip.
func bomb(w http.ResponseWriter, body []byte) error {
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	if _, err := z.Write(body); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	blanks := bytes.Repeat([]byte(" "), 1<<20)
	for range bombSize >> 20 {
		if _, err := io.Copy(z, bytes.NewReader(blanks)); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return z.Close()
}

// Knobs of the key set.
const (
	JWKSError      Knob = "jwks-500"
	JWKSHTML       Knob = "jwks-html"
	JWKSSlow       Knob = "jwks-slow"
	JWKSEmpty      Knob = "jwks-empty"
	JWKSOtherKeys  Knob = "jwks-other-keys"
	JWKSNoAlg      Knob = "jwks-no-alg"
	JWKSMixed      Knob = "jwks-mixed"
	JWKSHuge       Knob = "jwks-huge"
	JWKSUseEnc     Knob = "jwks-use-enc"
	JWKSExponent   Knob = "jwks-exponent-one"
	JWKSSameKid    Knob = "jwks-same-kid"
	JWKSNumericKid Knob = "jwks-numeric-kid"
	JWKSSymmetric  Knob = "jwks-symmetric"
	JWKSMany       Knob = "jwks-many"
	JWKSDrip       Knob = "jwks-drip"
	JWKSGzip       Knob = "jwks-gzip-bomb"
	JWKSRedirect   Knob = "jwks-redirect-private"
	JWKSTextPlain  Knob = "jwks-text-plain"
)

// privateAddress is where no tool may be sent.
const privateAddress = "http://169.254.169.254/latest/meta-data/"

func jwksKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: JWKSError, Area: AreaJWKS, Default: On, Cases: "K1 K2", Effect: "The key set answers 500."},
		{Knob: JWKSHTML, Area: AreaJWKS, Default: On, Cases: "K6", Effect: "The key set answers 200 with an HTML page (maintenance mode)."},
		{Knob: JWKSSlow, Area: AreaJWKS, Default: On, Slow: true, Cases: "K3", Effect: "The key set answers after 30 seconds, or after the duration given."},
		{Knob: JWKSDrip, Area: AreaJWKS, Default: On, Slow: true, Cases: "K3", Effect: "The key set comes one byte per second, or per the duration given."},
		{Knob: JWKSEmpty, Area: AreaJWKS, Default: On, Cases: "K11", Effect: "The key set has no keys."},
		{Knob: JWKSOtherKeys, Area: AreaJWKS, Default: On, Cases: "J2 J34", Effect: "The key set publishes another key under another kid."},
		{Knob: JWKSNoAlg, Area: AreaJWKS, Default: On, Cases: "J10", Effect: "The keys are published without alg, which is legal (Brightspace)."},
		{Knob: JWKSUseEnc, Area: AreaJWKS, Default: On, Cases: "J11", Effect: "The key is published for encryption."},
		{Knob: JWKSExponent, Area: AreaJWKS, Default: On, Cases: "J13", Effect: "The key is published with exponent one."},
		{Knob: JWKSMixed, Area: AreaJWKS, Default: On, Cases: "J14", Effect: "The good key stands between a broken one and one of an unknown type, which is legal."},
		{Knob: JWKSSameKid, Area: AreaJWKS, Default: On, Cases: "J15", Effect: "Another key with the same kid stands before the good one."},
		{Knob: JWKSNumericKid, Area: AreaJWKS, Default: On, Cases: "J16", Effect: "The kid of the published key is a number."},
		{Knob: JWKSSymmetric, Area: AreaJWKS, Default: On, Cases: "J17", Effect: "A shared secret is published beside the good key."},
		{Knob: JWKSMany, Area: AreaJWKS, Default: On, Cases: "K5", Effect: "The key set has ten thousand keys, the good one last."},
		{Knob: JWKSHuge, Area: AreaJWKS, Default: On, Cases: "K4", Effect: "The key set is followed by ten megabytes of blanks."},
		{Knob: JWKSGzip, Area: AreaJWKS, Default: On, Cases: "K4", Effect: "The key set is a small gzip answer that grows to 64 megabytes."},
		{Knob: JWKSRedirect, Area: AreaJWKS, Default: On, Cases: "K7", Effect: "The key set redirects to an address of the private network."},
		{Knob: JWKSTextPlain, Area: AreaJWKS, Default: On, Cases: "K10", Effect: "The key set is sent as text/plain, which is legal."},
	}
}
