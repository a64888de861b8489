package demolms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
)

// Further knobs of the JOSE header, the signature and the form of an id_token.
//
//nolint:gosec // G101: names of knobs, not credentials
const (
	TokenAlgNoneCase    Knob = "token-alg-none-case"
	TokenHS256Client    Knob = "token-hs256-client-id"
	TokenRS512          Knob = "token-rs512"
	TokenPS256          Knob = "token-ps256"
	TokenES256          Knob = "token-es256"
	TokenWeakKey        Knob = "token-weak-key"
	TokenFreshKey       Knob = "token-fresh-key"
	TokenJKU            Knob = "token-jku"
	TokenJWK            Knob = "token-jwk"
	TokenNastyKid       Knob = "token-nasty-kid"
	TokenRandomKid      Knob = "token-random-kid"
	TokenOtherSignature Knob = "token-other-signature"
	TokenFourParts      Knob = "token-four-parts"
	TokenFiveParts      Knob = "token-five-parts"
	TokenPadded         Knob = "token-padded"
	TokenArray          Knob = "token-payload-array"
	TokenNotJSON        Knob = "token-payload-not-json"
	TokenDuplicate      Knob = "token-duplicate-member"
	TokenDeep           Knob = "token-deep"
	TokenLarge          Knob = "token-large"
)

const (
	// deepLevels is more nesting than a parser should follow.
	deepLevels = 9000
	// largeClaim makes an id_token of some 200 KiB, which is still legal.
	largeClaim = 150_000
	nastyKid   = `../../etc/passwd' OR 1=1 --`
)

func formKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: TokenAlgNoneCase, Area: AreaIDToken, Default: On, Cases: "J5", Effect: "The id_token has algorithm nOnE and no signature.", alter: func(d *draft) {
			unsigned(d)
			d.header["alg"] = "nOnE"
		}},
		{Knob: TokenHS256Client, Area: AreaIDToken, Default: On, Cases: "J7", Effect: "The id_token is signed by HS256 with the client id as secret.", alter: clientIDAsSecret},
		{Knob: TokenRS512, Area: AreaIDToken, Default: On, Cases: "J8", Effect: "The id_token is signed by RS512 with the published key.", alter: func(d *draft) {
			d.header["alg"] = "RS512"
			d.seal = func(d *draft, signed string) (string, error) {
				sum := sha512.Sum512([]byte(signed))
				sig, err := rsa.SignPKCS1v15(rand.Reader, d.key, crypto.SHA512, sum[:])
				return signed + "." + b64.EncodeToString(sig), err
			}
		}},
		{Knob: TokenPS256, Area: AreaIDToken, Default: On, Cases: "J8", Effect: "The id_token is signed by PS256 with the published key.", alter: func(d *draft) {
			d.header["alg"] = "PS256"
			d.seal = func(d *draft, signed string) (string, error) {
				sum := sha256.Sum256([]byte(signed))
				sig, err := rsa.SignPSS(rand.Reader, d.key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
				return signed + "." + b64.EncodeToString(sig), err
			}
		}},
		{Knob: TokenES256, Area: AreaIDToken, Default: On, Cases: "J9", Effect: "The id_token is signed by ES256 with a key that is published beside the RSA key from then on.", alter: signES256},
		{Knob: TokenWeakKey, Area: AreaIDToken, Default: On, Cases: "J12", Effect: "The id_token is signed with an RSA key of 1024 bits, which is published from then on.", alter: func(d *draft) {
			if d.key, d.err = d.lms.weakSigner(); d.err == nil {
				d.header["kid"] = keyID(&d.key.PublicKey)
			}
		}},
		{Knob: TokenFreshKey, Area: AreaIDToken, Default: Once, Cases: "J33 J34", Effect: "The platform takes a new key just before it signs, and the old one vanishes from the key set; this is legal.", alter: func(d *draft) {
			if d.err = d.lms.rotate(); d.err == nil {
				d.key, d.header["kid"] = d.lms.key, keyID(&d.lms.key.PublicKey)
			}
		}},
		{Knob: TokenJKU, Area: AreaIDToken, Default: On, Cases: "J18", Effect: "The id_token is signed by another key, and its header says jku and x5u where that could be found.", alter: func(d *draft) {
			d.header["jku"], d.header["x5u"] = foreignHost+"/keys", foreignHost+"/chain.pem"
			d.key, d.err = d.lms.unpublishedKey()
		}},
		{Knob: TokenJWK, Area: AreaIDToken, Default: On, Cases: "J19", Effect: "The id_token is signed by another key, which its header carries.", alter: func(d *draft) {
			if d.key, d.err = d.lms.unpublishedKey(); d.err == nil {
				d.header["jwk"] = publicKey(&d.key.PublicKey, keyID(&d.lms.key.PublicKey))
			}
		}},
		{Knob: TokenNastyKid, Area: AreaIDToken, Default: On, Cases: "J31", Effect: "The kid of the id_token is a path and a piece of SQL, ten thousand characters long.", alter: func(d *draft) {
			d.header["kid"] = nastyKid + strings.Repeat("x", 10_000)
		}},
		{Knob: TokenRandomKid, Area: AreaIDToken, Default: On, Cases: "J3", Effect: "Each id_token names another kid that is not in the key set.", alter: func(d *draft) {
			d.header["kid"], d.err = d.lms.random(10)
		}},
		{Knob: TokenOtherSignature, Area: AreaIDToken, Default: On, Cases: "J23", Effect: "The id_token carries the good signature of another id_token.", alter: otherSignature},
		{Knob: TokenFourParts, Area: AreaIDToken, Default: On, Cases: "J26", Effect: "The id_token has a fourth part.", alter: wrapped(func(c string) string { return c + ".AAAA" })},
		{Knob: TokenFiveParts, Area: AreaIDToken, Default: On, Cases: "J26", Effect: "The id_token has five parts, as an encrypted one would.", alter: wrapped(func(c string) string { return c + ".AAAA.AAAA" })},
		{Knob: TokenPadded, Area: AreaIDToken, Default: On, Cases: "J27", Effect: "The parts of the id_token are padded, which the compact form is not.", alter: wrapped(padded)},
		{Knob: TokenArray, Area: AreaIDToken, Default: On, Cases: "J28", Effect: "The payload of the id_token is a list around the claims.", alter: payload(func(p string) string { return "[" + p + "]" })},
		{Knob: TokenNotJSON, Area: AreaIDToken, Default: On, Cases: "J28", Effect: "The payload of the id_token is not JSON.", alter: payload(func(string) string { return "not JSON" })},
		{Knob: TokenDuplicate, Area: AreaIDToken, Default: On, Cases: "J29", Effect: "The id_token says sub twice, the second time for another person.", alter: payload(func(p string) string {
			return strings.TrimSuffix(p, "}") + `,"sub":"1"}`
		})},
		{Knob: TokenDeep, Area: AreaIDToken, Default: On, Cases: "J30", Effect: "A claim of the id_token is nine thousand lists deep.", alter: payload(func(p string) string {
			return strings.TrimSuffix(p, "}") + `,"deep":` + strings.Repeat("[", deepLevels) + strings.Repeat("]", deepLevels) + "}"
		})},
		{Knob: TokenLarge, Area: AreaIDToken, Default: On, Cases: "E8", Effect: "The id_token is some 200 KiB long, which is legal.", alter: func(d *draft) { d.claims["https://large.example/claim"] = strings.Repeat("x", largeClaim) }},
	}
}

// wrapped changes a finished token.
func wrapped(change func(compact string) string) func(*draft) {
	return func(d *draft) { d.wrap = func(c string) (string, error) { return change(c), nil } }
}

// payload changes the second part before it is signed.
func payload(change func(payload string) string) func(*draft) {
	return func(d *draft) {
		d.seal = func(d *draft, signed string) (string, error) {
			header, claims, _ := strings.Cut(signed, ".")
			raw, err := b64.DecodeString(claims)
			if err != nil {
				return "", fmt.Errorf("decode claims: %w", err)
			}
			return signRS256(header+"."+b64.EncodeToString([]byte(change(string(raw)))), d.key)
		}
	}
}

// padded writes each part in base64 with padding. The parts are made of a
// length that needs some.
func padded(compact string) string {
	parts := strings.Split(compact, ".")
	for i, p := range parts {
		if raw, err := b64.DecodeString(p); err == nil {
			parts[i] = base64.URLEncoding.EncodeToString(raw)
		}
	}
	return strings.Join(parts, ".")
}

func clientIDAsSecret(d *draft) {
	d.header["alg"] = "HS256"
	d.seal = func(d *draft, signed string) (string, error) {
		mac := hmac.New(sha256.New, []byte(text(d.claims, "aud")))
		mac.Write([]byte(signed))
		return signed + "." + b64.EncodeToString(mac.Sum(nil)), nil
	}
}

// signES256 signs as RFC 7518 section 3.4 says: both numbers side by side.
func signES256(d *draft) {
	key, err := d.lms.curveSigner()
	if err != nil {
		d.err = err
		return
	}
	d.header["alg"], d.header["kid"] = "ES256", curveKeyID
	d.seal = func(_ *draft, signed string) (string, error) {
		sum := sha256.Sum256([]byte(signed))
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			return "", fmt.Errorf("sign: %w", err)
		}
		sig := make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
		return signed + "." + b64.EncodeToString(sig), nil
	}
}

// otherSignature takes the signature from a token with one more claim.
func otherSignature(d *draft) {
	d.seal = func(d *draft, signed string) (string, error) {
		d.claims["other"] = true
		other, err := segments(d.header, d.claims)
		if err != nil {
			return "", err
		}
		other, err = signRS256(other, d.key)
		return signed + other[strings.LastIndexByte(other, '.'):], err
	}
}
