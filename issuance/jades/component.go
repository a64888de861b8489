package jades

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// Limits on what was added after sealing. Time-stamp tokens have 3 to 8 kB, with a chain and
// revocation data inside up to 60 kB; a national authority's list of withdrawn certificates
// can have a megabyte.
const (
	maxUnsigned = 64        // elements of etsiU
	maxTokens   = 4         // tokens in one time-stamp container
	maxToken    = 256 << 10 // bytes of one token
	maxValues   = 64        // certificates, and OCSP answers, and CRLs, in all of a file
	maxEvidence = 8 << 20   // bytes of OCSP answers and CRLs together
)

// The members of etsiU that are known here (TS 119 182-1, 5.3).
const (
	sigTst = "sigTst" // a time-stamp of the signature (5.3.4)
	xVals  = "xVals"  // certificates (5.3.5.1)
	rVals  = "rVals"  // OCSP answers and CRLs (5.3.5.3)
	arcTst = "arcTst" // a time-stamp of everything before it (5.3.6)
	tstVD  = "tstVD"  // certificates and revocation data of time-stamps (5.3.5.5)
	// anyValData is what tstVD became in v1.2.1 (5.3.5.6), with the same form.
	anyValData = "anyValData"
	adoTst     = "adoTst" // a time-stamp of the content, made before sealing (5.2.6)
)

// component is one element of etsiU.
type component struct {
	// name is the only member of the object; "" when it cannot be read.
	name  string
	value json.RawMessage
	// text is the element as the archive time-stamp covers it; clear says that it stands in the
	// file as an object, for which there is no such text.
	text  string
	clear bool
}

// readComponent reads one element of etsiU, base64url of an object with one member or that
// object itself.
func readComponent(item json.RawMessage) component {
	var c component
	object := []byte(item)
	if bytes.HasPrefix(item, []byte(`"`)) {
		c.text = str(item)
		decoded, ok := decodeURL(c.text)
		if !ok || checkJSON(decoded) != nil {
			return c
		}
		object = decoded
	} else {
		c.clear = true
	}
	members, ok := objectOf(object)
	if !ok || len(members) != 1 {
		return c
	}
	for name, value := range members {
		c.name, c.value = name, value
	}
	return c
}

// container holds time-stamp tokens (TS 119 182-1, 5.4.3.3).
type container struct {
	Tokens      []pki  `json:"tstTokens"`
	TimeStamped string `json:"timeStamped"` // of arcTst only; absent means everything
}

// pki is a binary object in base64 (TS 119 182-1, 5.4.3.2).
type pki struct {
	Val string `json:"val"`
}

// der decodes the value; nil when it is no base64 or longer than limit.
func (p pki) der(limit int) []byte {
	if base64.StdEncoding.DecodedLen(len(p.Val)) > limit+2 || strings.ContainsAny(p.Val, "\r\n") {
		return nil
	}
	out, err := base64.StdEncoding.Strict().DecodeString(p.Val)
	if err != nil || len(out) > limit {
		return nil
	}
	return out
}

// certValue is an element of xVals; revocationValues is rVals, and validationValues is tstVD.
type certValue struct {
	X509Cert pki `json:"x509Cert"`
}

type revocationValues struct {
	CRLs []pki `json:"crlVals"`
	OCSP []pki `json:"ocspVals"`
}

type validationValues struct {
	Certificates []certValue      `json:"xVals"`
	Revocation   revocationValues `json:"rVals"`
}

// Values are what a time-stamped seal needs to be judged when nobody can be asked any more.
type Values struct {
	// Certificates of the chains of the seal and of its time-stamps, with those that signed the
	// revocation data. None is trusted for standing here.
	Certificates []*x509.Certificate
	// OCSP are OCSP responses (RFC 6960, 4.2.1), CRLs are certificate lists (RFC 5280, 5.1); DER.
	OCSP, CRLs [][]byte
}

// gather collects all certificates and revocation data that came with the seal, up to the
// limits. What cannot be read is left out, and over says that something lay beyond a limit.
func (s *Signature) gather() (over bool) {
	v, left := &s.values, maxEvidence
	add := func(to *[][]byte, list []pki) {
		for _, p := range list {
			der := p.der(left)
			if len(*to) == maxValues || der == nil {
				over = over || p.Val != ""
				continue
			}
			left -= len(der)
			*to = append(*to, der)
		}
	}
	certs := func(list []certValue) {
		for _, c := range list {
			cert, err := decodeCertificate(c.X509Cert.Val)
			if len(v.Certificates) == maxValues || err != nil {
				over = over || c.X509Cert.Val != ""
				continue
			}
			v.Certificates = append(v.Certificates, cert)
		}
	}
	for _, c := range s.components {
		var all validationValues
		switch c.name {
		case xVals:
			over = json.Unmarshal(c.value, &all.Certificates) != nil || over
		case rVals:
			over = json.Unmarshal(c.value, &all.Revocation) != nil || over
		case tstVD, anyValData:
			over = json.Unmarshal(c.value, &all) != nil || over
		}
		certs(all.Certificates)
		add(&v.CRLs, all.Revocation.CRLs)
		add(&v.OCSP, all.Revocation.OCSP)
	}
	return over
}

// encoded is an element of etsiU for one member.
func encoded(name string, value any) (string, error) {
	object, err := encode(map[string]any{name: value})
	if err != nil {
		return "", err
	}
	return encodeURL(object), nil
}

func pkis(list [][]byte) []map[string]string {
	out := make([]map[string]string, len(list))
	for i, der := range list {
		out[i] = map[string]string{"val": base64.StdEncoding.EncodeToString(der)}
	}
	return out
}

// certificates is the value of xVals: each certificate once.
func (v Values) certificates() []any {
	var seen [][]byte
	out := []any{}
	for _, c := range v.Certificates {
		if slices.ContainsFunc(seen, func(s []byte) bool { return bytes.Equal(s, c.Raw) }) {
			continue
		}
		seen = append(seen, c.Raw)
		out = append(out, map[string]any{"x509Cert": pkis([][]byte{c.Raw})[0]})
	}
	return out
}

// revocation is the value of rVals; a list without elements is left out, as the schema wants it.
func (v Values) revocation() map[string]any {
	out := make(map[string]any)
	if len(v.CRLs) > 0 {
		out["crlVals"] = pkis(v.CRLs)
	}
	if len(v.OCSP) > 0 {
		out["ocspVals"] = pkis(v.OCSP)
	}
	return out
}

// title names the element in a sentence.
func (c component) title() string {
	if c.name == "" {
		return "something that cannot be read"
	}
	return c.name
}

// tokensOf are the time-stamp tokens in a container, DER, with what the container says that it
// covers. The list is nil when one of them cannot be decoded, or when there are none or too many.
func tokensOf(value json.RawMessage) (list [][]byte, covers string) {
	var box container
	if json.Unmarshal(value, &box) != nil || len(box.Tokens) > maxTokens {
		return nil, ""
	}
	for _, p := range box.Tokens {
		der := p.der(maxToken)
		if len(der) == 0 {
			return nil, ""
		}
		list = append(list, der)
	}
	return list, box.TimeStamped
}

// carries says whether something of that name was added after sealing.
func (s Signature) carries(name string) bool { return slices.Contains(s.Unsigned, name) }
