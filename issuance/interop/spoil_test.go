//go:build cgo

package interop_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/digitorus/pkcs7"
)

// spoiled is a copy of a good file in which one thing was changed.
type spoiled struct {
	name string
	part string // what was changed: content, header, signature, sigTst, rVals, arcTst
	of   sealed
	file []byte
}

// inSeal says whether what was changed is what the seal itself covers.
func (s spoiled) inSeal() bool {
	return s.part == "content" || s.part == "header" || s.part == "signature"
}

// hit says which time-stamps of a spoiled copy must fail, by their place.
func (s spoiled) hit() []int {
	var out []int
	for i := range s.of.stamps {
		archive, last := i > 0, i == s.of.stamps-1
		switch s.part {
		case "content", "header", "rVals":
			if archive {
				out = append(out, i)
			}
		case "signature", "sigTst":
			out = append(out, i)
		case "arcTst":
			if last {
				out = append(out, i)
			}
		}
	}
	return out
}

// jws is a sealed file as this package reads it, by the letter of RFC 7515 and TS 119 182-1.
type jws struct {
	Payload    string `json:"payload"`
	Signatures []struct {
		Protected string `json:"protected"`
		Signature string `json:"signature"`
		Header    struct {
			EtsiU []string `json:"etsiU"`
		} `json:"header"`
	} `json:"signatures"`
}

func readJWS(tb testing.TB, file []byte) jws {
	tb.Helper()
	var f jws
	must(tb, json.Unmarshal(file, &f))
	if len(f.Signatures) != 1 {
		tb.Fatalf("%d signatures", len(f.Signatures))
	}
	return f
}

// element is one of etsiU, decoded.
type element struct {
	name string
	text string // as it stands in the file
	json []byte
}

func (f jws) elements(tb testing.TB) []element {
	tb.Helper()
	var out []element
	for _, text := range f.Signatures[0].Header.EtsiU {
		content, err := base64.RawURLEncoding.DecodeString(text)
		must(tb, err)
		var object map[string]json.RawMessage
		must(tb, json.Unmarshal(content, &object))
		for name := range object {
			out = append(out, element{name, text, content})
		}
	}
	return out
}

// stamp is a time-stamp token with the bytes that it must cover.
type stamp struct {
	name           string
	token, covered []byte
}

// stamps collects all tokens of a file. What they cover is put together here once more, from
// the words of TS 119 182-1, 5.3.4 and 5.3.6.3.1.
func (f jws) stamps(tb testing.TB) []stamp {
	tb.Helper()
	s := f.Signatures[0]
	before := f.Payload + "." + s.Protected + "." + s.Signature + "."
	var out []stamp
	for _, e := range f.elements(tb) {
		if e.name == "sigTst" || e.name == "arcTst" {
			token := der(tb, e.json, 0)
			covered := s.Signature
			if e.name == "arcTst" {
				covered = before
			}
			out = append(out, stamp{e.name, token, []byte(covered)})
		}
		before += e.text
	}
	return out
}

var values = regexp.MustCompile(`"val":"([^"]+)"`)

// der is value n in an element.
func der(tb testing.TB, element []byte, n int) []byte {
	tb.Helper()
	found := values.FindAllSubmatch(element, -1)
	out, err := base64.StdEncoding.DecodeString(string(found[n][1]))
	must(tb, err)
	return out
}

// swap replaces what is there exactly once.
func swap(tb testing.TB, in []byte, old, now string) []byte {
	tb.Helper()
	if n := bytes.Count(in, []byte(old)); n != 1 || old == now {
		tb.Fatalf("%.40q stands %d times in it", old, n)
	}
	return bytes.Replace(in, []byte(old), []byte(now), 1)
}

// bent is data with its byte at the given place changed; from the end when negative.
func bent(data []byte, at int) []byte {
	out := slices.Clone(data)
	out[(len(out)+at)%len(out)] ^= 0x04
	return out
}

// spoil makes all copies of a file.
func (s sealed) spoil(tb testing.TB) []spoiled {
	tb.Helper()
	if !s.json() {
		return s.spoilPDF(tb)
	}
	f := readJWS(tb, s.bytes)
	protected, signature := f.Signatures[0].Protected, f.Signatures[0].Signature
	header, err := base64.RawURLEncoding.DecodeString(protected)
	must(tb, err)
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	must(tb, err)
	url := base64.RawURLEncoding.EncodeToString
	out := []spoiled{
		s.copy("content", swap(tb, s.bytes, `PUT-2026-000123`, `PUT-2026-000124`)),
		s.copy("header", swap(tb, s.bytes, protected, url(swap(tb, header, `"cty":"json"`, `"cty":"jsom"`)))),
		s.copy("signature", swap(tb, s.bytes, signature, url(bent(raw, len(raw)/2)))),
	}
	elements := f.elements(tb)
	for i, e := range elements {
		last := !slices.ContainsFunc(elements[i+1:], func(later element) bool { return later.name == e.name })
		switch {
		case e.name == "sigTst", e.name == "arcTst" && last:
			out = append(out, s.bend(tb, e, -8)) // the end of the token is its signature
		case e.name == "rVals":
			out = append(out, s.bend(tb, e, 200)) // within what the responder signed
		}
	}
	return out
}

func (s sealed) copy(part string, file []byte) spoiled {
	dot := strings.LastIndexByte(s.name, '.')
	return spoiled{s.name[:dot] + "-" + part + s.name[dot:], part, s, file}
}

// bend changes one byte of the first value of an element.
func (s sealed) bend(tb testing.TB, e element, at int) spoiled {
	tb.Helper()
	good := der(tb, e.json, 0)
	std := base64.StdEncoding.EncodeToString
	changed := bytes.Replace(e.json, []byte(std(good)), []byte(std(bent(good, at))), 1)
	return s.copy(e.name, swap(tb, s.bytes, e.text, base64.RawURLEncoding.EncodeToString(changed)))
}

var contents = regexp.MustCompile(`/Contents ?<([0-9a-fA-F]+)>`)

// cms is the signature in a PDF, and where its digits stand.
func cms(tb testing.TB, file []byte) (*pkcs7.PKCS7, []byte) {
	tb.Helper()
	found := contents.FindSubmatch(file)
	if found == nil {
		tb.Fatal("there is no signature in the PDF")
	}
	raw, err := hex.DecodeString(string(found[1]))
	must(tb, err)
	p, err := pkcs7.Parse(raw)
	must(tb, err)
	return p, found[1]
}

// pdfStamps are the time-stamp tokens of a PDF with what they cover: the signature value
// (EN 319 122-1, 5.3).
func pdfStamps(tb testing.TB, file []byte) []stamp {
	tb.Helper()
	p, _ := cms(tb, file)
	var out []stamp
	for _, a := range p.Signers[0].UnauthenticatedAttributes {
		if a.Type.String() == "1.2.840.113549.1.9.16.2.14" {
			out = append(out, stamp{"sigTst", a.Value.Bytes, p.Signers[0].EncryptedDigest})
		}
	}
	return out
}

func (s sealed) spoilPDF(tb testing.TB) []spoiled {
	tb.Helper()
	p, digits := cms(tb, s.bytes)
	replace := func(old, now []byte) []byte {
		text := bytes.Replace(digits, digitsOf(digits, old), digitsOf(digits, now), 1)
		return swap(tb, s.bytes, string(digits), string(text))
	}
	signature := p.Signers[0].EncryptedDigest
	var digest []byte // the attribute that holds the hash of the file
	for _, a := range p.Signers[0].AuthenticatedAttributes {
		if a.Type.String() == "1.2.840.113549.1.9.4" {
			digest = a.Value.Bytes
		}
	}
	out := []spoiled{
		// The address behind the QR code.
		s.copy("content", bytes.Replace(s.bytes, []byte("/c/7KQ4M2XD91TB"), []byte("/c/7KQ4M2XD91TC"), 1)),
		s.copy("header", replace(digest, bent(digest, -1))),
		s.copy("signature", replace(signature, bent(signature, -8))),
	}
	for _, stamp := range pdfStamps(tb, s.bytes) {
		out = append(out, s.copy("sigTst", replace(stamp.token, bent(stamp.token, -8))))
	}
	for _, c := range out {
		if bytes.Equal(c.file, s.bytes) {
			tb.Fatalf("%s is unchanged", c.name)
		}
	}
	return out
}

// digitsOf writes data as the digits around it are written.
func digitsOf(around, data []byte) []byte {
	out := []byte(hex.EncodeToString(data))
	if bytes.ContainsAny(around, "ABCDEF") {
		return bytes.ToUpper(out)
	}
	return out
}
