package jades_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// endless gives n bytes of a credential that never ends, without holding them.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	if e.n <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.n)
	for i := range p[:n] {
		p[i] = '['
	}
	e.n -= n
	return n, nil
}

func TestReadFileStopsAtLimit(t *testing.T) {
	t.Parallel()
	src := &endless{50 << 20}
	_, err := jades.ReadFile(src)
	refused(t, err, jades.ErrTooLarge, "more than 20971520 bytes")
	if read := 50<<20 - src.n; read > jades.MaxFile+1 {
		t.Errorf("read %d bytes of a file that is too large", read)
	}
	file, err := jades.ReadFile(strings.NewReader("{}"))
	must(t, err)
	if string(file) != "{}" {
		t.Errorf("got %q", file)
	}
	_, err = jades.ReadFile(io.MultiReader(strings.NewReader("{"), brokenReader{}))
	if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, jades.ErrUnreadable) {
		t.Errorf("a disk error is not a fault of the file: %v", err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type unreadable struct {
	name, file string
	want       error
	detail     string // part of Error()
	sentence   string // part of Sentence
}

func TestParseRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	utf16 := func(s string, order int) string {
		out := make([]byte, 0, 2*len(s))
		for _, c := range []byte(s) {
			out = append(out, []byte{c, 0, c}[order:order+2]...)
		}
		return string(out)
	}
	checkUnreadable(t, []unreadable{
		{"nothing", "", jades.ErrEmpty, "", "This file is empty."},
		{"white space only", " \r\n\t\n", jades.ErrEmpty, "", "This file is empty."},
		{"one byte", "x", jades.ErrOtherFormat, "plain text", "This is plain text, not a credential file."},
		{"one brace", "{", jades.ErrMalformed, "ends too early at byte 1", "damaged"},
		{"nul", "\x00", jades.ErrOtherFormat, "plain text", "not a credential file"},
		{"too large", `{"a":"` + strings.Repeat("x", jades.MaxFile) + `"}`, jades.ErrTooLarge, "the limit is 20971520", "too large"},
		{"PDF", "%PDF-1.7\n%\xe2\xe3\xcf\xd3", jades.ErrOtherFormat, "a PDF", "This is a PDF, not a credential file."},
		{"Word", "PK\x03\x04\x14\x00word/document.xml", jades.ErrOtherFormat, "ZIP", "an office document"},
		{"empty archive", "PK\x05\x06" + strings.Repeat("\x00", 18), jades.ErrOtherFormat, "ZIP", "empty ZIP archive"},
		{"old Word", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", jades.ErrOtherFormat, "", "old office document"},
		{"PNG", "\x89PNG\r\n\x1a\n", jades.ErrOtherFormat, "", "a picture (PNG)"},
		{"JPEG", "\xff\xd8\xff\xe0\x00\x10JFIF", jades.ErrOtherFormat, "", "a picture (JPEG)"},
		{"gzip", "\x1f\x8b\x08", jades.ErrOtherFormat, "", "gzip"},
		{"web page", "\n<!DOCTYPE html><html><body>Sign in", jades.ErrOtherFormat, "", "a web page (HTML)"},
		{"XML credential", `<?xml version="1.0"?><europassCredential/>`, jades.ErrOtherFormat, "", "an XML file"},
		{"certificate", "-----BEGIN CERTIFICATE-----\nMIIB", jades.ErrOtherFormat, "", "PEM"},
		{"signed container", "\x30\x82\x01\x00", jades.ErrOtherFormat, "", "DER"},
		{"compact JWS", "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl\n", jades.ErrOtherFormat, "", "compact form"},
		{"SD-JWT", "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl~WyJhIl0~", jades.ErrOtherFormat, "", "compact form"},
		{"words", "Dear Sir or Madam", jades.ErrOtherFormat, "plain text", "plain text"},
		{"UTF-16 with mark", "\xff\xfe" + utf16(`{"payload":1}`, 0), jades.ErrNotText, "UTF-16", "saved again by another program, as UTF-16"},
		{"UTF-16 other order", "\xfe\xff" + utf16(`{"payload":1}`, 1), jades.ErrNotText, "UTF-16", "UTF-16"},
		{"UTF-16 without mark", utf16(`{"payload":1}`, 0), jades.ErrNotText, "UTF-16", "UTF-16"},
		{"UTF-16 other order without mark", utf16(`{"payload":1}`, 1), jades.ErrNotText, "UTF-16", "UTF-16"},
		{"byte order mark", "\xef\xbb\xbf{}", jades.ErrNotText, "byte order mark", "text with a byte order mark in front"},
		{"latin-1", "{\"payload\":\"Mari\xe9\"}", jades.ErrNotText, "not UTF-8", "bytes that are no text"},
		{"overlong UTF-8", "{\"payload\":\"\xc0\xaf\"}", jades.ErrNotText, "not UTF-8", "bytes that are no text"},
		{"surrogate as UTF-8", "{\"payload\":\"\xed\xa0\x80\"}", jades.ErrNotText, "not UTF-8", "bytes that are no text"},
		{"array", `[{"payload":"{}"}]`, jades.ErrMalformed, "not an object", "damaged"},
		{"other JSON", `{"name":"config"}`, jades.ErrOtherFormat, "another kind", "a JSON file of another kind"},
		{"empty object", `{}`, jades.ErrOtherFormat, "another kind", "a JSON file of another kind"},
		{"credential without seal", `{"@context":["https://www.w3.org/2018/credentials/v1"],"credentialSubject":{}}`, jades.ErrNotSealed, "", "This is an unsealed credential: it carries no signatures"},
		{"upload for an issuer", `{"credential":{},"deliveryDetails":{}}`, jades.ErrNotSealed, "", "an upload for an issuer"},
		{"W3C proof", `{"@context":[],"credentialSubject":{},"proof":{"type":"DataIntegrityProof"}}`, jades.ErrOtherFormat, "", "signed in another way"},
		{"payload alone", `{"payload":"{}"}`, jades.ErrNotSealed, "", "carries no signatures"},
		{"no signatures in the list", `{"payload":"{}","signatures":[]}`, jades.ErrNotSealed, "", "its list of signatures is empty"},
		{"flattened", `{"payload":"{}","protected":"e30","signature":"AA"}`, jades.ErrOtherFormat, "", "flattened form"},
		{"encrypted", `{"protected":"e30","ciphertext":"AA","iv":"AA","tag":"AA"}`, jades.ErrOtherFormat, "", "an encrypted file"},
	})
}

func checkUnreadable(t *testing.T, cases []unreadable) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := jades.Parse([]byte(tc.file))
			refused(t, err, tc.want, tc.detail)
			u, ok := errors.AsType[*jades.UnreadableError](err)
			if !ok || !errors.Is(err, jades.ErrUnreadable) {
				t.Fatalf("not an UnreadableError: %v", err)
			}
			if !strings.Contains(u.Sentence, tc.sentence) || !strings.Contains(u.Sentence, "Ask the holder") {
				t.Errorf("want %q in a sentence with a way out, got %q", tc.sentence, u.Sentence)
			}
		})
	}
}

func TestParseRefusesDamage(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	good := string(s.seal(t, content))
	p, sig := s.sign(t, s.header(nil), content)
	part := `{"protected":"` + p + `","signature":"` + sig + `"}`
	header := func(h string) string { return string(s.forge(t, h, content, "")) }
	raw := func(payload string, parts ...string) string {
		return `{"payload":` + payload + `,"signatures":[` + strings.Join(parts, ",") + `]}`
	}
	encoded, encodedSig := s.sign(t, s.header(map[string]string{"b64": "", "crit": ""}), rawURL([]byte(content)))
	var cases []unreadable
	add := func(name, file, detail string) {
		cases = append(cases, unreadable{name, file, jades.ErrMalformed, detail, "damaged"})
	}
	add("cut in the signature", good[:len(good)-10], "ends too early")
	add("cut in the content", good[:40], "ends too early")
	add("last brace gone", good[:len(good)-1], "ends too early")
	add("garbage behind", good+"x", "something follows the end")
	add("second file behind", good+good, "something follows the end")
	add("nul behind", good+"\x00", "something follows the end")
	add("script behind", good+"<script>", "something follows the end")
	add("nested 10,000 deep", `{"payload":`+strings.Repeat("[", 10_000), "nested deeper than 64")
	add("10,000 deep in the unsealed header", raw(`"{}"`, `{"protected":"`+p+`","signature":"AA","header":{"etsiU":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)+`}}`), "nested deeper")
	add("two payloads", `{"payload":"{}",`+good[1:], `member "payload" stands twice`)
	add("two payloads, one escaped", `{"\u0070ayload":"{}",`+good[1:], `member "payload" stands twice`)
	add("two lists of signatures", good[:len(good)-1]+`,"signatures":[]}`, `member "signatures" stands twice`)
	add("protected twice", raw(quote(content), `{"protected":"e30",`+part[1:]), `member "protected" stands twice`)
	add("twice in the unsealed header", raw(quote(content), `{"header":{"etsiU":[],"etsiU":[]},`+part[1:]), `member "etsiU" stands twice`)
	add("alg twice in the header", header(`{"alg":"none",`+s.header(nil)[1:]), `protected header: member "alg" stands twice`)
	add("twice inside the header", header(`{"jwk":{"x":1,"x":2},`+s.header(nil)[1:]), `member "x" stands twice`)
	add("header is deep", header(`{"a":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)+`}`), "nested deeper")
	add("header is an array", header(`["alg"]`), "protected header is not an object")
	add("header is null", header(`null`), "protected header is not an object")
	add("header is no JSON", header(`alg=none`), "protected header: no JSON value")
	add("header with an end and more", header(s.header(nil)+"{}"), "something follows the end")
	add("header not UTF-8", header("{\"alg\":\"\xff\"}"), "not UTF-8")
	add("b64 as text", header(s.header(map[string]string{"b64": `"false"`})), "b64 is neither")
	add("b64 as number", header(s.header(map[string]string{"b64": `0`})), "b64 is neither")
	add("b64 as null", header(s.header(map[string]string{"b64": `null`})), "b64 is neither")
	add("b64 true and content as it is", header(s.header(map[string]string{"b64": "true"})), "payload is not base64url")
	add("b64 absent and content as it is", header(s.header(map[string]string{"b64": "", "crit": ""})), "payload is not base64url")
	add("seals differ on b64", raw(quote(rawURL([]byte(content))), part, `{"protected":"`+encoded+`","signature":"`+encodedSig+`"}`), "signatures differ on b64")
	add("payload in padded base64", raw(`"e30="`, `{"protected":"`+encoded+`","signature":"AA"}`), "payload is not base64url")
	add("payload missing", `{"signatures":[`+part+`]}`, "payload is missing")
	add("half a pair in the content", raw(`"{\"a\":\"\ud834\"}"`, part), "half a surrogate pair")
	add("names in capitals", strings.Replace(raw(quote(content), part), "protected", "Protected", 1), "protected is missing")
	add("signatures as object", `{"payload":"{}","signatures":{"0":`+part+`}}`, "signatures is not an array")
	add("signatures as null", `{"payload":"{}","signatures":null}`, "signatures is not an array")
	add("signature is a text", raw(`"{}"`, `"`+sig+`"`), "signature 1: not an object")
	add("signature is null", raw(`"{}"`, `null`), "signature 1: not an object")
	add("protected missing", raw(`"{}"`, `{"signature":"`+sig+`"}`), "protected is missing")
	add("protected empty", raw(`"{}"`, `{"protected":"","signature":"`+sig+`"}`), "protected is missing")
	add("protected as object", raw(`"{}"`, `{"protected":`+s.header(nil)+`,"signature":"`+sig+`"}`), "protected is missing")
	add("protected in padded base64", raw(`"{}"`, `{"protected":"e30=","signature":"`+sig+`"}`), "not base64url")
	add("line end in protected", raw(quote(content), `{"protected":"\n`+p+`","signature":"`+sig+`"}`), "not base64url")
	add("signature missing", raw(`"{}"`, `{"protected":"`+p+`"}`), "signature is missing")
	add("signature empty", raw(`"{}"`, `{"protected":"`+p+`","signature":""}`), "signature is missing")
	add("spare bits in the signature", raw(`"{}"`, `{"protected":"`+p+`","signature":"AB"}`), "not base64url")
	add("unsealed header as text", raw(quote(content), `{"header":"etsiU",`+part[1:]), "header is not an object")
	add("unsealed header as null", raw(quote(content), `{"header":null,`+part[1:]), "header is not an object")
	add("general and flattened together", good[:len(good)-1]+`,"signature":"AA"}`, "general and of the flattened form")
	add("protected at the top too", good[:len(good)-1]+`,"protected":"`+p+`"}`, "general and of the flattened form")
	cases = append(cases,
		unreadable{"payload as object", raw(content, part), jades.ErrMalformed, "payload is not a string", "unpacked by another program"},
		unreadable{"payload as null", raw("null", part), jades.ErrMalformed, "payload is not a string", "unpacked by another program"},
		unreadable{"nine seals", raw(quote(content), strings.Split(strings.Repeat(part+"\n", 9)[:9*len(part)+8], "\n")...), jades.ErrTooLarge, "9 signatures, the limit is 8", "too large"})
	checkUnreadable(t, cases)
}

func TestParseTakesForeignForms(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	p, sig := s.sign(t, s.header(map[string]string{"b64": "", "crit": ""}), rawURL([]byte(content)))
	explicit, explicitSig := s.sign(t, s.header(map[string]string{"b64": "true", "crit": `["b64"]`}), rawURL([]byte(content)))
	for _, tc := range []struct {
		name, file string
		encoded    bool
	}{
		{"content in base64url", string(general(rawURL([]byte(content)), `{"protected":"`+p+`","signature":"`+sig+`"}`)), true},
		{"the same, said aloud", string(general(rawURL([]byte(content)), `{"protected":"`+explicit+`","signature":"`+explicitSig+`"}`)), true},
		{"signatures first, white space", strings.Replace(string(s.forge(t, s.header(nil), content, `,"header":{}`)), `,"sig`, "\r\n\t,\n \"sig", 2), false},
		{"empty list of unsealed parts", string(s.forge(t, s.header(nil), content, `,"header":{"etsiU":[]}`)), false},
		{"kid outside", string(s.forge(t, s.header(nil), content, `,"header":{"kid":"x"}`)), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, err := jades.Parse([]byte(tc.file))
			must(t, err)
			if string(f.Payload) != content || f.Signatures[0].Encoded != tc.encoded {
				t.Errorf("encoded %v, payload %s", f.Signatures[0].Encoded, f.Payload)
			}
			if bad := notGood(f.Verify(options(s.root.pool(), noon)).Findings); bad != nil {
				t.Errorf("findings: %v", bad)
			}
		})
	}
}

func TestParseNamesWhatIsOutside(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	good := string(s.seal(t, content))
	f, err := jades.Parse([]byte(`{"title":"Doctor","Payload":"{}",` + good[1:]))
	must(t, err)
	if got := strings.Join(f.Outside, " "); got != "Payload title" || string(f.Payload) != content {
		t.Errorf("outside %q, payload %s", got, f.Payload)
	}
}
