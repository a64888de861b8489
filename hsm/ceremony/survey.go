package ceremony

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/sealsmith/sealsmith/hsm"
)

// Driver is what a PKCS#11 library tells of itself and of its slots without a login.
type Driver struct {
	Path         string `json:"path"`
	Manufacturer string `json:"manufacturer"`
	Description  string `json:"description"`
	Version      string `json:"version"`
	Cryptoki     string `json:"cryptoki"` // version of PKCS#11 that it speaks
	Slots        []Slot `json:"slots"`    // all of them, also the empty ones
}

// Slot is a place for a token: a reader, or a part of a network device.
type Slot struct {
	ID           uint   `json:"id"` // changes when tokens come and go
	Description  string `json:"description"`
	Manufacturer string `json:"manufacturer"`
	Removable    bool   `json:"removable"`
	Hardware     bool   `json:"hardware"`
	Problem      string `json:"problem,omitempty"` // why the token in it cannot be read
	Token        *Token `json:"token,omitempty"`   // nil: none, or Problem
}

// Token is what CK_TOKEN_INFO tells, and the certificates that everybody may read.
type Token struct {
	Label        string        `json:"label"`
	Serial       string        `json:"serial"`
	Model        string        `json:"model"`
	Manufacturer string        `json:"manufacturer"`
	Hardware     string        `json:"hardware_version"`
	Firmware     string        `json:"firmware_version"`
	Flags        []string      `json:"flags"` // in words
	PIN          PIN           `json:"pin"`
	Sessions     Sessions      `json:"sessions"`
	Mechanisms   []Mechanism   `json:"mechanisms"`
	Certificates []Certificate `json:"certificates"`
}

// URI names the token for the settings; path is its driver.
func (t Token) URI(path string) string {
	return hsm.URI{Token: t.Label, Serial: t.Serial, ModulePath: path}.Unredacted()
}

// Matches tells whether a URI names this token.
func (t Token) Matches(uri hsm.URI) bool {
	same := func(want, got string) bool { return want == "" || want == got }
	return same(uri.Token, t.Label) && same(uri.Serial, t.Serial) && same(uri.Manufacturer, t.Manufacturer) && same(uri.Model, t.Model)
}

// PIN is the state of the user PIN as the token's flags say it. Some tokens lock without
// ever setting a flag.
type PIN struct {
	State    PINState `json:"state"`
	Shortest uint     `json:"shortest"` // characters
	Longest  uint     `json:"longest"`  // characters; 0: the token does not tell
}

// PINState is the state of a PIN.
type PINState string

// The states of a PIN, from good to bad.
const (
	PINNotNeeded PINState = "not needed" // the token wants no login
	PINFine      PINState = "fine"       // no wrong PIN is counted, as far as the token tells
	PINPad       PINState = "key pad"    // it is entered on the reader, which a server cannot do
	PINUnset     PINState = "not set"
	PINCountLow  PINState = "count low" // a wrong PIN was given since the last right one
	PINFinalTry  PINState = "final try" // one wrong PIN more locks it
	PINLocked    PINState = "locked"
)

// Finding judges the state of the PIN.
func (p PIN) Finding() Finding {
	f := Finding{Check: "PIN", Outcome: OK}
	switch p.State {
	case PINNotNeeded:
		f.Seen = "the token wants no login"
	case PINFine:
		f.Seen = "set, and no wrong PIN is counted as far as the token tells"
	case PINPad:
		f.Outcome, f.Seen = Fail, "the token wants its PIN on a key pad, which a server cannot do"
		f.Do = "use a token or reader without a key pad"
	case PINUnset:
		f.Outcome, f.Seen = Fail, "the token has no user PIN yet"
		f.Do = "set one with the vendor's tool, as its letter says"
	case PINCountLow:
		f.Outcome, f.Seen = Warn, "a wrong PIN was given since the last right one; the server makes no login now"
		f.Do = "find out who gave it. When the PIN file is right: sealsmith token unblock SERIAL, which allows one login within the hour; a right PIN resets the count"
	case PINFinalTry:
		f.Outcome, f.Seen = Fail, "one wrong PIN more locks the token; nothing here tries it"
		f.Do = "log in once with the vendor's tool and the right PIN, which resets the count. If you are not sure of the PIN, use the PUK or ask who issued the token first"
	case PINLocked:
		f.Outcome, f.Seen = Fail, "the token has locked its PIN"
		f.Do = "unlock it with the PUK and the vendor's tool (the PUK has few tries too), or ask who issued the token; then put the new PIN into the PIN file"
	}
	return f
}

// Sessions is how many sessions a token allows; 0: it sets no limit or does not tell.
type Sessions struct {
	Most uint `json:"most"`
	Open uint `json:"open"`
}

// Mechanism is something that a token can do.
type Mechanism struct {
	Code     uint   `json:"code"` // CKM_…
	Name     string `json:"name"` // the constant's name without CKM_, or the code in hex
	Shortest uint   `json:"shortest"`
	Longest  uint   `json:"longest"` // key length, in bits as a rule
	Sign     bool   `json:"sign"`
	Generate bool   `json:"generate"`
	Hardware bool   `json:"hardware"`
}

// Certificate is one on a token.
type Certificate struct {
	ID   []byte            // CKA_ID, of the key that it belongs to
	X509 *x509.Certificate // parsed
}

// MarshalText makes one line of a certificate.
func (c Certificate) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// String says whose it is, from whom, and until when.
func (c Certificate) String() string {
	kind := ""
	if c.X509.IsCA {
		kind = " (authority)"
	}
	return fmt.Sprintf("%s%s, issued by %s, %s to %s", printable(c.X509.Subject.CommonName), kind, printable(c.X509.Issuer.CommonName),
		c.X509.NotBefore.UTC().Format("2006-01-02"), c.X509.NotAfter.UTC().Format("2006-01-02"))
}

// Find returns the slots whose token a URI names: one is right.
func (d Driver) Find(uri hsm.URI) []Slot {
	var found []Slot
	for _, slot := range d.Slots {
		if slot.Token != nil && slot.Token.Matches(uri) {
			found = append(found, slot)
		}
	}
	return found
}

// name tells a token apart; one that was never initialised has neither label nor number.
func (t Token) name() string {
	if t.Label == "" && t.Serial == "" {
		return "an empty token"
	}
	return fmt.Sprintf("%s (serial %s)", t.Label, t.Serial)
}

// tokens lists the tokens that are there, for a message.
func (d Driver) tokens() string {
	var names []string
	for _, slot := range d.Slots {
		if slot.Token != nil {
			names = append(names, slot.Token.name())
		}
	}
	if len(names) == 0 {
		return "no token"
	}
	return strings.Join(names, ", ")
}
