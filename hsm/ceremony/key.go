package ceremony

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"fmt"
)

// Key is a private key on the token that may sign, as the token describes it.
type Key struct {
	ID         []byte // CKA_ID
	Label      string
	Type       string           // as KeyTypeOf names it
	Public     crypto.PublicKey // nil when the token does not tell
	Attributes Attributes
}

// Matches tells whether a certificate was issued for this key.
func (k Key) Matches(cert *x509.Certificate) bool { return samePublic(k.Public, cert.PublicKey) }

// String names the key for people.
func (k Key) String() string {
	return fmt.Sprintf("%s (%s, id %s)", k.Label, k.Type, hex.EncodeToString(k.ID))
}

// Attributes are the properties that protect a key (PKCS #11 v2.40 section 4.9). One that
// the token does not tell is false.
type Attributes struct {
	Local              bool `json:"local"`               // made on the token
	Sensitive          bool `json:"sensitive"`           // its value is never told
	AlwaysSensitive    bool `json:"always_sensitive"`    // and never was
	Extractable        bool `json:"extractable"`         // it can be wrapped and taken out
	NeverExtractable   bool `json:"never_extractable"`   // it never could
	Sign               bool `json:"sign"`                // it signs
	Decrypt            bool `json:"decrypt"`             // it decrypts too
	Unwrap             bool `json:"unwrap"`              // it unwraps other keys too
	AlwaysAuthenticate bool `json:"always_authenticate"` // it wants the PIN for each signature
}

// Finding judges the protection of a key.
func (a Attributes) Finding() Finding {
	f := Finding{Check: "key protection", Outcome: OK, Seen: "made on the token, always sensitive, never extractable, for signatures only"}
	switch {
	case a.Extractable || !a.Sensitive:
		f.Outcome, f.Seen = Fail, "the key can be taken out of the token"
		f.Do = "generate another key with sealsmith token genkey, and have a certificate issued for it"
	case !a.Local || !a.AlwaysSensitive || !a.NeverExtractable:
		f.Outcome, f.Seen = Warn, "the token does not say that the key was made on it and could never be taken out"
		f.Do = "ask who issued the token how the key came onto it; a seal in a qualified device needs a key that was made there"
	case a.Decrypt || a.Unwrap:
		f.Outcome, f.Seen = Warn, "the key may also decrypt or unwrap; a seal key should only sign"
		f.Do = "use this key for nothing else"
	}
	return f
}
