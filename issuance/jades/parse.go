package jades

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits on numbers of things; what issuers make is far below.
const (
	maxSignatures  = 8
	maxChain       = 10
	maxCertificate = 32 << 10 // bytes
)

// File is a sealed file that could be read. Nothing in it is true yet: see Verify.
type File struct {
	// Payload is the content, exactly the bytes that were sealed.
	Payload []byte
	// Signatures are the seals, at least one. Only a file with exactly one can be good in full.
	Signatures []Signature
	// Outside names members of the file that no seal covers and that nobody should read.
	Outside []string
}

// Signature is one seal of a File with what its header claims.
type Signature struct {
	// Alg is the algorithm claimed, for example RS256; may be anything.
	Alg string
	// SealedAt is the claimed time of sealing, UTC; zero when missing or unreadable. Legacy
	// says that it came from sigT, as was the rule before 15 July 2025.
	SealedAt time.Time
	Legacy   bool
	// Encoded says that the content is base64url-encoded in the file (b64 true or absent).
	Encoded bool
	// Chain is the certificate of the seal and what came with it in x5c; Extra are certificates
	// from xVals and tstVD, which help to build a chain and are otherwise not trusted.
	Chain []*x509.Certificate
	Extra []*x509.Certificate
	// Unsigned names what was added after sealing (etsiU), in order: sigTst, xVals, rVals, arcTst
	// and the like. What cannot be read has no name and is left out.
	Unsigned []string

	protected  string // as it stands in the file
	signature  string // as it stands in the file
	value      []byte // signature decoded
	adoTst     json.RawMessage
	components []component
	values     Values // all that stands in components
	problems   []Finding
}

// Leaf is the certificate of the seal, nil when there is none that can be read.
func (s Signature) Leaf() *x509.Certificate {
	if len(s.Chain) == 0 {
		return nil
	}
	return s.Chain[0]
}

// Values returns the certificates and revocation data that were added after sealing; none of it is
// trusted for being there.
func (s Signature) Values() Values { return s.values }

// Parse reads a sealed file in general JSON form (RFC 7515, 7.2.1). Every error is an
// *UnreadableError. What Parse accepts may still be false: a header that breaks the rules, a
// certificate that cannot be read and the like are findings of Verify.
func Parse(file []byte) (File, error) {
	if err := sniff(file); err != nil {
		return File{}, err
	}
	if err := checkJSON(file); err != nil {
		return File{}, notJSON(file, err)
	}
	outer, ok := objectOf(file)
	if !ok {
		return File{}, malformed("JSON, but not an object")
	}
	parts, err := splitOuter(outer)
	if err != nil {
		return File{}, err
	}
	var f File
	for name := range outer {
		if name != "payload" && name != "signatures" {
			f.Outside = append(f.Outside, name)
		}
	}
	slices.Sort(f.Outside)
	for i, raw := range parts {
		sig, err := parseSignature(raw)
		if err != nil {
			return File{}, inSignature(i, err)
		}
		f.Signatures = append(f.Signatures, sig)
	}
	quoted := outer["payload"]
	if quoted[0] != '"' {
		return File{}, &UnreadableError{
			Reason:   ErrMalformed,
			Detail:   "payload is not a string",
			Sentence: "The content of this file was unpacked by another program, so its seal cannot be checked. " + askHolder,
		}
	}
	f.Payload, err = decodePayload(unescape(quoted), f.Signatures)
	return f, err
}

// notJSON tells a cut or damaged credential from text of another kind.
func notJSON(file []byte, err error) error {
	if first := bytes.TrimSpace(file)[0]; first != '{' && first != '[' {
		return otherFormat("plain text")
	}
	return malformed(err.Error())
}

func inSignature(i int, err error) error {
	if u, ok := errors.AsType[*UnreadableError](err); ok {
		return &UnreadableError{Reason: u.Reason, Sentence: u.Sentence, Detail: fmt.Sprintf("signature %d: %s", i+1, u.Detail)}
	}
	return err
}

// splitOuter finds the signatures, and says what else the file is when it has none.
func splitOuter(outer map[string]json.RawMessage) ([]json.RawMessage, error) {
	has := func(name string) bool { _, ok := outer[name]; return ok }
	unsealed := func(sentence string) error {
		return &UnreadableError{Reason: ErrNotSealed, Sentence: sentence}
	}
	switch {
	case has("payload") && has("signature"), has("signatures") && (has("signature") || has("protected") || has("header")):
		if has("signatures") {
			return nil, malformed("members of the general and of the flattened form together")
		}
		return nil, otherFormat("a signed file in flattened form (JWS)")
	case has("ciphertext"):
		return nil, otherFormat("an encrypted file (JWE)")
	case has("payload") && has("signatures"):
	case has("signatures"):
		return nil, malformed("payload is missing")
	case has("proof"):
		return nil, otherFormat("a credential signed in another way (a W3C proof)")
	case has("credential"):
		return nil, unsealed("This is an upload for an issuer, not yet a credential: nobody has sealed it. " + askHolder)
	case has("credentialSubject"), has("@context"), has("payload"):
		return nil, unsealed("This is an unsealed credential: it carries no signatures, so anybody can have written it. " + askHolder)
	default:
		return nil, otherFormat("a JSON file of another kind")
	}
	parts, ok := listOf(outer["signatures"])
	if !ok {
		return nil, malformed("signatures is not an array")
	}
	if len(parts) == 0 {
		return nil, unsealed("This is an unsealed credential: its list of signatures is empty. " + askHolder)
	}
	if len(parts) > maxSignatures {
		return nil, tooLarge(fmt.Sprintf("%d signatures, the limit is %d", len(parts), maxSignatures))
	}
	return parts, nil
}

func parseSignature(raw json.RawMessage) (Signature, error) {
	members, ok := objectOf(raw)
	if !ok {
		return Signature{}, malformed("not an object")
	}
	sig := Signature{protected: str(members["protected"])}
	header, decoded := decodeURL(sig.protected)
	if !decoded || len(header) == 0 {
		return Signature{}, malformed("protected is missing or not base64url")
	}
	sig.signature = str(members["signature"])
	if sig.value, decoded = decodeURL(sig.signature); !decoded || len(sig.value) == 0 {
		return Signature{}, malformed("signature is missing or not base64url")
	}
	if err := checkJSON(header); err != nil {
		return Signature{}, malformed("protected header: " + err.Error())
	}
	names, ok := objectOf(header)
	if !ok {
		return Signature{}, malformed("protected header is not an object")
	}
	if b64, ok := names["b64"]; ok && string(b64) != "true" && string(b64) != "false" {
		return Signature{}, malformed("b64 is neither true nor false")
	}
	sig.Encoded = string(names["b64"]) != "false"
	unsigned, err := parseUnprotected(members["header"])
	if err != nil {
		return Signature{}, err
	}
	sig.readHeader(names)
	sig.readUnsigned(unsigned, names)
	return sig, nil
}

func parseUnprotected(raw json.RawMessage) (map[string]json.RawMessage, error) {
	if raw == nil {
		return map[string]json.RawMessage{}, nil
	}
	unsigned, ok := objectOf(raw)
	if !ok {
		return nil, malformed("header is not an object")
	}
	return unsigned, nil
}

// decodePayload gives the bytes that were sealed. All seals must agree on b64 (RFC 7797, 3).
func decodePayload(payload []byte, sigs []Signature) ([]byte, error) {
	for _, s := range sigs[1:] {
		if s.Encoded != sigs[0].Encoded {
			return nil, malformed("signatures differ on b64")
		}
	}
	if !sigs[0].Encoded {
		return payload, nil
	}
	out, ok := decodeURL(string(payload))
	if !ok {
		return nil, malformed("payload is not base64url although b64 is not false")
	}
	return out, nil
}

// decodeURL is base64url without padding (RFC 7515, 2), and nothing that encoding/base64 lets
// pass beyond it: no line ends, no spare bits.
func decodeURL(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	out, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return out, err == nil
}

// str returns a JSON string decoded, "" for anything else.
func str(raw json.RawMessage) string {
	if len(raw) < 2 || raw[0] != '"' {
		return ""
	}
	return string(unescape(raw))
}

func encodeURL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
