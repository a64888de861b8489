package demolms

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
)

// draft is an id_token before it is signed, in the hands of the knobs.
type draft struct {
	header, claims map[string]any
	// key signs.
	key *rsa.PrivateKey
	// lms lends other keys; its lock is held. A knob that cannot do its work
	// says so in err.
	lms *LMS
	err error
	// seal replaces the signing, for tokens that are not signed by RS256.
	seal func(d *draft, signed string) (string, error)
	// wrap changes the finished token.
	wrap func(compact string) (string, error)
}

func (d *draft) compact() (string, error) {
	signed, err := segments(d.header, d.claims)
	if err != nil {
		return "", err
	}
	seal := d.seal
	if seal == nil {
		seal = func(d *draft, signed string) (string, error) { return signRS256(signed, d.key) }
	}
	out, err := seal(d, signed)
	if err != nil || d.wrap == nil {
		return out, err
	}
	return d.wrap(out)
}

// without removes a claim.
func without(claim string) func(*draft) {
	return func(d *draft) { delete(d.claims, claim) }
}

// with replaces a claim.
func with(claim string, value any) func(*draft) {
	return func(d *draft) { d.claims[claim] = value }
}

// shifted moves a time claim by seconds.
func shifted(seconds int64, claims ...string) func(*draft) {
	return func(d *draft) {
		for _, c := range claims {
			if at, ok := d.claims[c].(int64); ok {
				d.claims[c] = at + seconds
			}
		}
	}
}

// unsigned makes a token of algorithm none.
func unsigned(d *draft) {
	d.header["alg"] = "none"
	d.seal = func(_ *draft, signed string) (string, error) { return signed + ".", nil }
}

// publicKeyAsSecret signs by HMAC with the published key in PEM form: a tool
// that lets the token choose the algorithm believes it.
func publicKeyAsSecret(d *draft) {
	d.header["alg"] = "HS256"
	d.seal = func(d *draft, signed string) (string, error) {
		der, err := x509.MarshalPKIXPublicKey(&d.key.PublicKey)
		if err != nil {
			return "", fmt.Errorf("encode public key: %w", err)
		}
		mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		mac.Write([]byte(signed))
		return signed + "." + b64.EncodeToString(mac.Sum(nil)), nil
	}
}

// tampered makes everybody an instructor after the signature was made.
func tampered(d *draft) {
	d.wrap = func(compact string) (string, error) {
		parts := strings.Split(compact, ".")
		d.claims[claimRoles] = []string{roleInstructor}
		d.claims["sub"] = "1"
		changed, err := segments(d.header, d.claims)
		if err != nil {
			return "", err
		}
		return changed + "." + parts[2], nil
	}
}

// asJSON writes the token in the JSON serialisation of RFC 7515 section 7.2,
// which some libraries accept where only the compact form is allowed.
func asJSON(d *draft) {
	d.wrap = func(compact string) (string, error) {
		parts := strings.Split(compact, ".")
		out, err := json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
		if err != nil {
			return "", fmt.Errorf("encode JSON serialisation: %w", err)
		}
		return string(out), nil
	}
}
