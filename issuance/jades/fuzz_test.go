package jades_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// TestEveryByteCounts changes each byte of content and header of a good file, one at a time.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	file := s.seal(t, `{"title":"Ruoka ä","score":8.5}`)
	w := wireOf(t, file)
	for _, flip := range []byte{0x01, 0x20} {
		for i := range w.Payload {
			spoil(t, file, change{flip: flip, at: i, content: true})
		}
		for i := range w.Signatures[0].Protected {
			spoil(t, file, change{flip: flip, at: i})
		}
	}
}

// change says which byte of the content or of the first header becomes another one.
type change struct {
	flip    byte
	at      int
	content bool
}

// spoil makes the change and wants no seal over the changed bytes to fit any more.
func spoil(tb testing.TB, file []byte, c change) {
	tb.Helper()
	outer := make(map[string]json.RawMessage)
	must(tb, json.Unmarshal(file, &outer))
	var parts []map[string]json.RawMessage
	must(tb, json.Unmarshal(outer["signatures"], &parts))
	place := &outer
	name := "payload"
	if !c.content {
		place, name = &parts[0], "protected"
	}
	var text string
	must(tb, json.Unmarshal((*place)[name], &text))
	if text == "" {
		return
	}
	spoiled := []byte(text)
	spoiled[c.at%len(text)] ^= c.flip
	if !utf8.Valid(spoiled) || string(spoiled) == text {
		return
	}
	(*place)[name] = json.RawMessage(quote(string(spoiled)))
	list, err := json.Marshal(parts)
	must(tb, err)
	outer["signatures"] = list
	out, err := json.Marshal(outer)
	must(tb, err)
	f, err := jades.Parse(out)
	if err != nil {
		return
	}
	for _, found := range f.Verify(options(nil, noon)).Findings {
		touched := c.content || found.Signature == 0
		if touched && found.Part == jades.PartIntegrity && found.Outcome == jades.OK {
			tb.Errorf("seal fits after %+v", c)
		}
	}
}

func seeds(f *testing.F) [][]byte {
	f.Helper()
	s, r := newSealer(f, "ES256"), newSealer(f, "RS256")
	p, sig := s.sign(f, s.header(map[string]string{"b64": "", "crit": ""}), rawURL([]byte(content)))
	out := [][]byte{
		s.seal(f, content), r.seal(f, content),
		general(rawURL([]byte(content)), `{"protected":"`+p+`","signature":"`+sig+`"}`),
		s.forge(f, s.header(map[string]string{"crit": `["b64","alg"]`, "iat": "1.5"}), content, `,"header":{"etsiU":["e30",{"xVals":[]}]}`),
		[]byte(`{"payload":"\ud834","signatures":[]}`), []byte(`[[[[`), []byte("%PDF-1.7"), []byte("{\x00"),
	}
	for _, file := range official(f) { // their headers; the fuzzer stalls on 150 kB
		out = append(out, general(content, `{"protected":"`+wireOf(f, file).Signatures[0].Protected+`","signature":"AAAA"}`))
	}
	return out
}

// FuzzParse: a refusal has a sentence for people and one of the known reasons; what is
// accepted is whole, and Verify says something on every part of every seal.
func FuzzParse(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	known := []error{jades.ErrEmpty, jades.ErrTooLarge, jades.ErrOtherFormat, jades.ErrNotText, jades.ErrNotSealed, jades.ErrMalformed}
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := jades.Parse(file)
		if err != nil {
			u, ok := errors.AsType[*jades.UnreadableError](err)
			if !ok || u.Sentence == "" || !slices.Contains(known, u.Reason) || got.Payload != nil {
				t.Fatalf("refusal without a sentence or a reason: %#v", err)
			}
			return
		}
		if len(got.Signatures) == 0 || (!got.Signatures[0].Encoded && !utf8.Valid(got.Payload)) {
			t.Fatalf("accepted in part: %+v", got)
		}
		if !got.Signatures[0].Encoded {
			second := make(map[string]json.RawMessage)
			var payload string
			must(t, json.Unmarshal(file, &second))
			must(t, json.Unmarshal(second["payload"], &payload))
			if payload != string(got.Payload) {
				t.Fatalf("content %q, by encoding/json %q", got.Payload, payload)
			}
		}
		found := got.Verify(options(nil, noon)).Findings
		for i := range got.Signatures {
			for _, part := range []jades.Part{jades.PartHeader, jades.PartIntegrity, jades.PartCertificate, jades.PartChain, jades.PartValidity, jades.PartLevel} {
				if !slices.ContainsFunc(found, func(x jades.Finding) bool { return x.Signature == i && x.Part == part && x.Words != "" }) {
					t.Errorf("nothing said about %s of seal %d", part, i)
				}
			}
		}
		if !slices.ContainsFunc(found, func(x jades.Finding) bool { return x.Outcome != jades.OK }) {
			t.Error("everything good although nobody is trusted")
		}
	})
}

// FuzzVerify: whatever Parse accepts, one changed byte of content or header breaks the seal.
func FuzzVerify(f *testing.F) {
	for i, seed := range seeds(f) {
		f.Add(seed, byte(1), 7*i+1, true)
		f.Add(seed, byte(32), 11*i+3, false)
	}
	f.Fuzz(func(t *testing.T, file []byte, flip byte, at int, inContent bool) {
		if _, err := jades.Parse(file); err != nil {
			return
		}
		spoil(t, file, change{flip: flip, at: max(at, 0), content: inContent})
	})
}

// FuzzEtsiU: whatever stands in one place of etsiU of a good file of level B-LTA, the file is read
// or refused without harm and nothing is better than in the honest file. Only the seal itself
// makes it good, so a file that lost its proofs may be good as level B.
func FuzzEtsiU(f *testing.F) {
	p := newProvider(f)
	p.later(year)
	b := p.levelB(f)
	lta := p.toLTA(f, p.toLT(f, p.toT(f, b)))
	parts := etsiU(f, lta)
	for i, e := range parts {
		decoded, err := base64.RawURLEncoding.DecodeString(e)
		must(f, err)
		f.Add(decoded, uint8(i))
		f.Add(bytes.Replace(decoded, []byte("arcTst"), []byte("sigTst"), 1), uint8(i))
		f.Add(decoded[:len(decoded)/2], uint8(i+4))
	}
	for _, e := range []string{
		`{"sigTst":{"tstTokens":[]}}`, `{"sigTst":null}`, `{"xVals":[{"x509Cert":{"val":"MA=="}}]}`, `{"rVals":{"crlVals":[{"val":"MA=="}],"ocspVals":[{"val":"MA=="}]}}`,
		`{"tstVD":{"xVals":[],"rVals":{}}}`, `{"arcTst":{"timeStamped":"all","tstTokens":[{"val":"MA=="}]}}`, `{"xRefs":[]}`, `{}`, `[]`, `1`, `{"a":1,"a":2}`, ``,
	} {
		f.Add([]byte(e), uint8(7))
	}
	o := p.trusting()
	honest, err := verdictOf(lta, o)
	must(f, err)
	f.Fuzz(func(t *testing.T, value []byte, place uint8) {
		list := slices.Clone(parts)
		i := int(place) % len(parts)
		if place < 128 && int(place) >= len(parts) {
			list = slices.Insert(list, i, rawURL(value))
		} else {
			list[i] = rawURL(value)
		}
		file := withEtsiU(t, lta, list...)
		got, err := verdictOf(file, o)
		must(t, err)
		if got.better(honest) {
			t.Errorf("%+v is better than %+v", got, honest)
		}
		if same := slices.Equal(list, parts); !same && i < 3 && got.good && got.reached == jades.LevelLTA {
			t.Errorf("%q at %d was not noticed", value, i)
		}
		for _, add := range []func([]byte, []byte) ([]byte, error){jades.AddTimestamp, jades.AddArchive} {
			if out, err := add(file, value); err == nil || out != nil {
				t.Errorf("%q was added as a time-stamp", value)
			}
		}
	})
}
