package hsm

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrURI is returned for a text that is not a PKCS#11 URI Sealsmith can use. The message
// never repeats the value of an attribute.
var ErrURI = errors.New("not a usable pkcs11 URI")

// maxURI bounds what is parsed; real URIs have some 200 characters.
const maxURI = 4096

// purposeSeal is x-purpose of a key that seals.
const purposeSeal = "seal"

// URI names a token, a key on it, the driver and the PIN file (RFC 7512). Empty fields
// were not given; all given ones must match exactly.
type URI struct {
	Token        string // token: the token's label
	Serial       string // serial: its serial number
	Manufacturer string // manufacturer: who made it
	Model        string // model
	Object       string // object: label of the private key (CKA_LABEL)
	ID           []byte // id: CKA_ID of the private key
	ModulePath   string // module-path: the driver, a shared library
	PINSource    string // pin-source: path of the file that holds the PIN; empty: an operator gives it, see Token.Unseal

	// Vendor attributes (RFC 7512 section 2.3 leaves names with x- to applications).
	Algorithm    string   // x-algorithm: RS256 or PS256 for an RSA key; empty chooses, see Config
	Sessions     int      // x-sessions: see Config.Sessions; 0 was not given
	InitReserved string   // x-init-reserved: pReserved of C_Initialize, which NSS softokn needs
	Purpose      string   // x-purpose: what the key is for, in words of who configures; empty or "seal": to seal
	For          []string // x-for: whom the key serves, in words of who configures; empty: everybody
}

// ParseURI reads a PKCS#11 URI, for example
//
//	pkcs11:token=seal;serial=f4ceb2ef82fa1a41;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/pin
//
// It is stricter than RFC 7512: an attribute that is unknown, given twice or empty is
// refused, and so is pin-value, because a URI is logged and shown where a PIN must not be.
// slot-id is refused because slots are renumbered. pin-source is a path or a file: URI.
// Every error is ErrURI.
func ParseURI(text string) (URI, error) {
	if len(text) > maxURI {
		return URI{}, fmt.Errorf("%w: longer than %d characters", ErrURI, maxURI)
	}
	rest, ok := strings.CutPrefix(text, "pkcs11:")
	if !ok {
		return URI{}, fmt.Errorf("%w: it must begin with pkcs11: and go on", ErrURI)
	}
	path, query, asked := strings.Cut(rest, "?")
	uri, seen := URI{}, map[string]bool{}
	if path != "" {
		for part := range strings.SplitSeq(path, ";") {
			if err := uri.set(part, seen, uri.pathField); err != nil {
				return URI{}, err
			}
		}
	}
	if asked {
		for part := range strings.SplitSeq(query, "&") {
			if err := uri.set(part, seen, uri.queryField); err != nil {
				return URI{}, err
			}
		}
	}
	return uri, nil
}

// set decodes one name=value; field returns where the value goes and what may stand
// unescaped in it (RFC 7512 section 2.3), or why the name is refused.
func (u *URI) set(part string, seen map[string]bool, field func(string) (func(string) error, string, error)) error {
	name, raw, ok := strings.Cut(part, "=")
	if !ok || name == "" {
		return fmt.Errorf("%w: an attribute is not of the form name=value", ErrURI)
	}
	store, allowed, err := field(name)
	if err != nil {
		return err
	}
	if seen[name] {
		return fmt.Errorf("%w: attribute %s is given twice", ErrURI, name)
	}
	seen[name] = true
	value, err := unescape(raw, allowed)
	if err != nil {
		return fmt.Errorf("%w: attribute %s: %w", ErrURI, name, err)
	}
	if value == "" {
		return fmt.Errorf("%w: attribute %s is empty", ErrURI, name)
	}
	if name != "id" && (!utf8.ValidString(value) || strings.ContainsRune(value, 0)) {
		return fmt.Errorf("%w: attribute %s is not text", ErrURI, name)
	}
	return store(value)
}

// Characters that may stand unescaped, besides the unreserved ones: RFC 7512 section 2.3,
// pk11-path-res-avail with "&" and pk11-query-res-avail with "|".
const (
	pathAvailable  = ":[]@!$'()*+,=&"
	queryAvailable = ":[]@!$'()*+,=/?|"
)

func (u *URI) pathField(name string) (func(string) error, string, error) {
	text := map[string]*string{
		"token": &u.Token, "serial": &u.Serial, "manufacturer": &u.Manufacturer, "model": &u.Model, "object": &u.Object,
	}
	if dest, ok := text[name]; ok {
		return func(v string) error { *dest = v; return nil }, pathAvailable, nil
	}
	switch name {
	case "id":
		return func(v string) error { u.ID = []byte(v); return nil }, pathAvailable, nil
	case "type":
		return keyType, pathAvailable, nil
	case "slot-id", "slot-description", "slot-manufacturer":
		return nil, "", fmt.Errorf("%w: %s is refused, slots are renumbered; name the token by token= and serial=", ErrURI, name)
	}
	return nil, "", fmt.Errorf("%w: unknown attribute before the question mark: %s", ErrURI, printable(name))
}

func keyType(value string) error {
	if value != "private" {
		return fmt.Errorf("%w: type can only be private, the key that seals", ErrURI)
	}
	return nil
}

func (u *URI) queryField(name string) (func(string) error, string, error) {
	switch name {
	case "module-path":
		return func(v string) error { u.ModulePath = v; return nil }, queryAvailable, nil
	case "pin-source":
		return u.setPINSource, queryAvailable, nil
	case "x-algorithm":
		return u.setAlgorithm, queryAvailable, nil
	case "x-sessions":
		return u.setSessions, queryAvailable, nil
	case "x-init-reserved":
		return func(v string) error { u.InitReserved = v; return nil }, queryAvailable, nil
	case "x-purpose":
		return func(v string) error { u.Purpose = v; return nil }, queryAvailable, nil
	case "x-for":
		return func(v string) error { u.For = strings.Split(v, ","); return nil }, queryAvailable, nil
	case "pin-value":
		return nil, "", fmt.Errorf("%w: pin-value is refused; put the PIN in a file and name it by pin-source=file:/path", ErrURI)
	}
	return nil, "", fmt.Errorf("%w: unknown attribute after the question mark: %s", ErrURI, printable(name))
}

// setPINSource takes a plain path, file:/path or file:///path.
func (u *URI) setPINSource(value string) error {
	path, isFile := strings.CutPrefix(value, "file:")
	if isFile {
		path = "/" + strings.TrimLeft(path, "/")
	}
	if !strings.HasPrefix(path, "/") || path == "/" {
		return fmt.Errorf("%w: pin-source must be the absolute path of a file", ErrURI)
	}
	u.PINSource = path
	return nil
}

func (u *URI) setAlgorithm(value string) error {
	if value != algRS256 && value != algPS256 {
		return fmt.Errorf("%w: x-algorithm can be RS256 or PS256; keys on a curve have no choice", ErrURI)
	}
	u.Algorithm = value
	return nil
}

func (u *URI) setSessions(value string) error {
	const most = 1024
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > most {
		return fmt.Errorf("%w: x-sessions must be a number from 1 to %d", ErrURI, most)
	}
	u.Sessions = n
	return nil
}

// String returns the part that identifies token and key, without the query: safe to log.
func (u URI) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+escape(value, pathAvailable))
		}
	}
	add("token", u.Token)
	add("serial", u.Serial)
	add("manufacturer", u.Manufacturer)
	add("model", u.Model)
	add("object", u.Object)
	if len(u.ID) > 0 {
		parts = append(parts, "id="+escapeAll(u.ID))
	}
	return "pkcs11:" + strings.Join(parts, ";")
}

// Unredacted returns the whole URI with the paths of driver and PIN file, for a
// configuration file; ParseURI reads it back to the same URI.
func (u URI) Unredacted() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+escape(value, queryAvailable))
		}
	}
	add("module-path", u.ModulePath)
	if u.PINSource != "" {
		add("pin-source", "file:"+u.PINSource)
	}
	add("x-algorithm", u.Algorithm)
	if u.Sessions > 0 {
		add("x-sessions", strconv.Itoa(u.Sessions))
	}
	add("x-init-reserved", u.InitReserved)
	add("x-purpose", u.Purpose)
	add("x-for", strings.Join(u.For, ","))
	if len(parts) == 0 {
		return u.String()
	}
	return u.String() + "?" + strings.Join(parts, "&")
}

// Format prints what String returns, whatever the verb.
func (u URI) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, u.String()) }

// LogValue implements slog.LogValuer like String.
func (u URI) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText makes JSON of a URI what String returns.
func (u URI) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func unescape(raw, allowed string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if i+2 >= len(raw) {
				return "", errors.New("a percent sign must be followed by two hex digits")
			}
			b, err := hex.DecodeString(raw[i+1 : i+3])
			if err != nil {
				return "", errors.New("a percent sign must be followed by two hex digits")
			}
			out.WriteByte(b[0])
			i += 2
			continue
		}
		if !unreserved(c) && strings.IndexByte(allowed, c) < 0 {
			return "", errors.New("a character must be percent-encoded")
		}
		out.WriteByte(c)
	}
	return out.String(), nil
}

func escape(value, allowed string) string {
	var out strings.Builder
	for i := range len(value) {
		if c := value[i]; unreserved(c) || strings.IndexByte(allowed, c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

func escapeAll(value []byte) string {
	var out strings.Builder
	for _, c := range value {
		fmt.Fprintf(&out, "%%%02X", c)
	}
	return out.String()
}

// printable keeps an attribute's name short and harmless in a message.
func printable(name string) string {
	const most = 32
	if len(name) > most {
		name = name[:most]
	}
	for i := range len(name) {
		if !unreserved(name[i]) {
			return "(unprintable)"
		}
	}
	return name
}
