package trustlist_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/trustlist"
	"github.com/sealsmith/sealsmith/issuance/trustlist/trustlisttest"
)

func TestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, path := w.store(t, append([]byte("\xef\xbb\xbf\n"), w.nl(t).Sign(t, w.dutch)...), w.el(t).Sign(t, w.greek))
	lotl, nl, el := s.LOTL(), s.List("NL"), s.List("EL")
	if lotl == nil || nl == nil || el == nil || len(s.Lists()) != 2 {
		t.Fatalf("lists: %v %v %v", lotl, nl, el)
	}
	if lotl.Sequence != 300 || len(lotl.Pointers) != 3 || lotl.Operator != "Supervisor of EU" || lotl.Stale(w.now) {
		t.Errorf("list of the lists: %+v", lotl)
	}
	if len(nl.Services) != 2 || nl.Others != 1 || nl.Services[1].Periods[1].Status != "granted" || len(nl.Notes) != 0 || !nl.Issued.Equal(day(t, "2026-11-01")) {
		t.Errorf("Dutch list: %+v", nl)
	}
	anchors, stamps := s.Anchors(w.now), s.TSAAnchors()
	if len(anchors) != 2 || !anchors[0].Equal(w.greekCA.Certificate) || !anchors[1].Equal(w.ca.Certificate) || len(stamps) != 1 || !stamps[0].Equal(w.tsa.Certificate) {
		t.Errorf("%d anchors, %d of time-stamps", len(anchors), len(stamps))
	}
	// The same again changes nothing; without signers, those of the imported list of the lists count.
	before := read(t, path)
	out := w.imports(t, path, nil, map[string][]byte{"lotl": w.lotl(t).Sign(t, w.commission), "nl": w.nl(t).Sign(t, w.dutch)})
	if out["lotl"].Err != nil || out["nl"].Err != nil || len(out) != 2 {
		t.Errorf("again: %+v", out)
	}
	if after := w.load(t, path); len(read(t, path)) != len(before) || after.List("NL").Sequence != 70 {
		t.Error("the store has changed")
	}
}

// TestImportRefuses: a refused file says why and leaves the store as it was.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := trustlisttest.NewSigner(t, "Stranger", false)
	_, path := w.store(t, w.nl(t).Sign(t, w.dutch))
	before := read(t, path)
	good := w.nl(t)
	good.Sequence = 71
	xml, signed := good.XML(), string(good.Sign(t, w.dutch))
	lie := strings.Replace(xml, "Polder seals", "Forged seals", 1)
	inside := func(part string) string {
		return strings.Replace(xml, "<SchemeInformation>", part+"<SchemeInformation>", 1)
	}
	signature := signed[strings.Index(signed, "<ds:Signature "):strings.Index(signed, "</TrustServiceStatusList>")]
	other := good
	other.Territory = "DE"
	past := good
	past.Issued = day(t, "2014-01-01")
	for name, c := range map[string]struct {
		file string
		want error
		says string
	}{
		"empty":                 {"", trustlist.ErrFile, "broken or cut off"},
		"cut off":               {signed[:len(signed)/2], trustlist.ErrFile, "broken or cut off"},
		"no XML":                {"%PDF-1.7", trustlist.ErrFile, "broken or cut off"},
		"a page":                {"<html></html>", trustlist.ErrFile, ""},
		"two roots":             {xml + xml, trustlist.ErrFile, "broken or cut off"},
		"document type":         {"<!DOCTYPE x [<!ENTITY a \"b\">]>" + signed, trustlist.ErrFile, "document type or entities"},
		"entity":                {strings.Replace(signed, "Polder seals", "&lol;", 1), trustlist.ErrFile, "broken or cut off"},
		"deep":                  {inside(strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100)), trustlist.ErrFile, "too deep"},
		"wide":                  {inside(strings.Repeat("<a/>", 2_000_001)), trustlist.ErrFile, "too many"},
		"60 MB":                 {inside(strings.Repeat(" ", 60<<20)), trustlist.ErrFile, "more than 24 MB"},
		"other version":         {strings.Replace(signed, "Identifier>5<", "Identifier>4<", 1), trustlist.ErrFile, "version 4"},
		"other type":            {strings.Replace(signed, "TSLType/EUgeneric", "TSLType/ZZgeneric", 1), trustlist.ErrFile, "neither"},
		"no territory":          {strings.Replace(signed, "<SchemeTerritory>NL", "<SchemeTerritory>", 1), trustlist.ErrFile, "territory"},
		"no date":               {strings.Replace(signed, "<ListIssueDateTime>2026-11-01T00:00:00Z", "<ListIssueDateTime>soon", 1), trustlist.ErrFile, "date of issue"},
		"no next date":          {strings.Replace(signed, "<dateTime>2027", "<dateTime>later", 1), trustlist.ErrFile, "next update"},
		"unsigned":              {xml, trustlist.ErrSignature, "there is none"},
		"by a stranger":         {string(good.Sign(t, stranger)), trustlist.ErrSigner, "CN=Stranger"},
		"by another country":    {string(good.Sign(t, w.greek)), trustlist.ErrSigner, "Greek supervisor"},
		"changed":               {strings.Replace(signed, "Polder seals", "Polder Seals", 1), trustlist.ErrSignature, "changed after it was signed"},
		"changed date":          {strings.Replace(signed, "2027-05-01", "2037-05-01", 1), trustlist.ErrSignature, "changed after it was signed"},
		"changed properties":    {strings.Replace(signed, "SigningTime>2026", "SigningTime>2027", 1), trustlist.ErrSignature, "changed after it was signed"},
		"changed info":          {strings.Replace(signed, `<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:Transform>`, "", 1), trustlist.ErrSignature, "does not fit the certificate"},
		"changed value":         {strings.Replace(signed, "<ds:SignatureValue>", "<ds:SignatureValue>AAAA", 1), trustlist.ErrSignature, "does not fit the certificate"},
		"value without base64":  {strings.Replace(signed, "<ds:SignatureValue>", "<ds:SignatureValue>!", 1), trustlist.ErrSignature, "not base64"},
		"two values":            {strings.Replace(signed, "<ds:SignatureValue>", "<ds:SignatureValue></ds:SignatureValue><ds:SignatureValue>", 1), trustlist.ErrSignature, "several elements SignatureValue"},
		"two infos":             {strings.Replace(signed, "<ds:SignatureValue>", "<ds:SignedInfo></ds:SignedInfo><ds:SignatureValue>", 1), trustlist.ErrSignature, "several elements SignedInfo"},
		"two signatures":        {strings.Replace(signed, signature, signature+signature, 1), trustlist.ErrSignature, "there are 2"},
		"wrapped in the root":   {lieAround(lie, signed), trustlist.ErrSignature, ""},
		"signed root as object": {strings.Replace(lieWith(lie, signature), "<ds:Object>", "<ds:Object>"+xml+"</ds:Object><ds:Object>", 1), trustlist.ErrSignature, ""},
		"signature elsewhere":   {lieWith(lie, "<Wrapper>"+signed[strings.Index(signed, "<Trust"):]+"</Wrapper>"), trustlist.ErrSignature, "there is none"},
		"refers to a part":      {string(trustlisttest.SignXML(t, xml, "#properties", w.dutch)), trustlist.ErrSignature, ""},
		"signs only a part":     {string(trustlisttest.SignReferences(t, xml, w.dutch, trustlisttest.Properties())), trustlist.ErrSignature, "does not cover the root"},
		"signs nothing":         {string(trustlisttest.SignReferences(t, xml, w.dutch)), trustlist.ErrSignature, "does not cover the root"},
		"signs the root twice":  {string(trustlisttest.SignReferences(t, xml, w.dutch, trustlisttest.Whole("", xml), trustlisttest.Whole("#list", xml))), trustlist.ErrSignature, "refers to the root twice"},
		"not enveloped":         {string(trustlisttest.SignReferences(t, xml, w.dutch, trustlisttest.Reference{Canonical: xml})), trustlist.ErrSignature, "not an enveloped signature"},
		"other transform":       {string(trustlisttest.SignReferences(t, xml, w.dutch, trustlisttest.Reference{Transforms: []string{"http://www.w3.org/TR/1999/REC-xpath-19991116"}, Canonical: xml})), trustlist.ErrSignature, "is not what a trusted list may use"},
		"other canonical form":  {string(trustlisttest.SignReferences(t, xml, w.dutch, trustlisttest.Reference{Transforms: []string{"http://www.w3.org/2000/09/xmldsig#enveloped-signature", "urn:form"}, Canonical: xml})), trustlist.ErrSignature, "urn:form"},
		"part, two transforms":  {string(trustlisttest.SignReferences(t, xml, w.dutch, trustlisttest.Whole("", xml), trustlisttest.Reference{URI: "#properties", Transforms: []string{"a", "b"}})), trustlist.ErrSignature, "too many transforms"},
		"refers to nothing":     {string(trustlisttest.SignXML(t, xml, "#nothing", w.dutch)), trustlist.ErrSignature, "not part of the signature"},
		"another document":      {string(trustlisttest.SignXML(t, xml, "http://evil.example/", w.dutch)), trustlist.ErrSignature, "not part of the signature"},
		"doubled Id":            {strings.Replace(signed, "<ds:KeyInfo>", `<ds:KeyInfo Id="properties">`, 1), trustlist.ErrSignature, "there twice"},
		"weak method":           {strings.Replace(signed, "xmldsig-more#rsa-sha256", "xmldsig#rsa-sha1", 1), trustlist.ErrSignature, "no longer safe"},
		"weak digest":           {strings.Replace(signed, "xmlenc#sha256", "xmldsig#sha1", 1), trustlist.ErrSignature, ""},
		"unknown country":       {string(other.Sign(t, stranger)), trustlist.ErrNoPointer, "DE"},
		"before its signer":     {string(past.Sign(t, w.dutch)), trustlist.ErrSigner, "not valid when the list was issued"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, w.imports(t, path, nil, map[string][]byte{"f": []byte(c.file)})["f"], c.want, c.says)
		})
	}
	t.Cleanup(func() {
		if read(t, path) != before {
			t.Error("a refused file has changed the store")
		}
	})
}

// lieAround puts the whole signed root into a forged one.
func lieAround(lie, signed string) string {
	signed = signed[strings.Index(signed, "<Trust"):]
	return strings.Replace(lie, "</TrustServiceStatusList>", signed+"</TrustServiceStatusList>", 1)
}

// lieWith puts something at the end of a forged root.
func lieWith(lie, part string) string {
	return strings.Replace(lie, "</TrustServiceStatusList>", part+"</TrustServiceStatusList>", 1)
}

// TestCommentsAreNotRead: what is not signed is not read, and splits nothing that is.
func TestCommentsAreNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := strings.Replace(string(w.nl(t).Sign(t, w.dutch)), "Polder seals", "Polder<!-- and --> seals", 1)
	s, _ := w.store(t, []byte(file))
	if name := s.List("NL").Services[0].Name; name != "Polder seals" {
		t.Errorf("name %q", name)
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, path := w.store(t, w.nl(t).Sign(t, w.dutch))
	older, sameNumber, newLOTL := w.nl(t), w.nl(t), w.lotl(t)
	older.Sequence, older.Issued = 69, day(t, "2026-11-15")
	sameNumber.Issued = day(t, "2026-10-15")
	newLOTL.Sequence = 299
	out := w.imports(t, path, w.official(), map[string][]byte{"older": older.Sign(t, w.dutch), "lotl": newLOTL.Sign(t, w.commission)})
	refused(t, out["older"], trustlist.ErrRollback, "number 69 of 15 November 2026, imported is number 70")
	refused(t, out["lotl"], trustlist.ErrRollback, "number 299")
	refused(t, w.imports(t, path, nil, map[string][]byte{"same": sameNumber.Sign(t, w.dutch)})["same"], trustlist.ErrRollback, "both have number 70")
	if s := w.load(t, path); s.List("NL").Sequence != 70 || s.LOTL().Sequence != 300 {
		t.Error("an older list was kept")
	}
	sameNumber.Issued = day(t, "2026-11-03") // published again with a correction
	if o := w.imports(t, path, nil, map[string][]byte{"same": sameNumber.Sign(t, w.dutch)})["same"]; o.Err != nil {
		t.Error(o.Err)
	}
}

// TestPivots: each list of the lists names the signers of the next.
func TestPivots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second, third := trustlisttest.NewSigner(t, "Second", true), trustlisttest.NewSigner(t, "Third", false)
	step := func(sequence int, names trustlisttest.Party, by trustlisttest.Party) []byte {
		l := w.lotl(t)
		l.Sequence, l.Pointers[0].Signers = sequence, []trustlisttest.Party{names}
		return l.Sign(t, by)
	}
	one, two, now := step(300, second, w.commission), step(301, third, second), step(302, third, third)
	path := filepath.Join(t.TempDir(), "a")
	out := w.imports(t, path, w.official(), map[string][]byte{"now": now, "one": one, "two": two, "nl": w.nl(t).Sign(t, w.dutch)})
	for name, o := range out {
		if o.Err != nil || o.Pivot != (name == "one" || name == "two") {
			t.Errorf("%s: %+v", name, o)
		}
	}
	if s := w.load(t, path); s.LOTL().Sequence != 302 || s.List("NL") == nil {
		t.Errorf("kept: %+v", s.LOTL())
	}
	// Without the step between, nothing leads to the newest.
	out = w.imports(t, filepath.Join(t.TempDir(), "b"), w.official(), map[string][]byte{"now": now, "one": one})
	refused(t, out["now"], trustlist.ErrSigner, "CN=Third")
	if out["one"].Err != nil || out["one"].Pivot {
		t.Errorf("one: %+v", out["one"])
	}
	// A signer that a pivot has dropped may sign no more.
	out = w.imports(t, filepath.Join(t.TempDir(), "c"), w.official(), map[string][]byte{"one": one, "back": step(303, w.commission, w.commission)})
	refused(t, out["back"], trustlist.ErrSigner, "CN=Commission")
	// What was imported names who may sign the next.
	if o := w.imports(t, path, nil, map[string][]byte{"next": step(303, third, third)})["next"]; o.Err != nil {
		t.Error(o.Err)
	}
	refused(t, w.imports(t, path, nil, map[string][]byte{"old": step(304, third, second)})["old"], trustlist.ErrSigner, "CN=Second")
}

func TestSignersAreNeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "deep", "trust-lists.json")
	out := w.imports(t, path, nil, map[string][]byte{"lotl": w.lotl(t).Sign(t, w.commission), "nl": w.nl(t).Sign(t, w.dutch)})
	refused(t, out["lotl"], trustlist.ErrSigners, "Official Journal")
	refused(t, out["nl"], trustlist.ErrNoLOTL, "import it together")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a store was written: %v", err)
	}
	foreign := w.lotl(t)
	foreign.Territory = "NL"
	file := strings.Replace(foreign.XML(), "TSLType/EUgeneric", "TSLType/EUlistofthelists", 1)
	out = w.imports(t, path, w.official(), map[string][]byte{"lotl": trustlisttest.SignXML(t, file, "", w.commission)})
	refused(t, out["lotl"], trustlist.ErrFile, "its territory is NL")
}

// TestSignerGone: a list whose signer the list of the lists has dropped answers nothing.
func TestSignerGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, path := w.store(t, w.nl(t).Sign(t, w.dutch), w.el(t).Sign(t, w.greek))
	successor := trustlisttest.NewSigner(t, "New Dutch supervisor", true)
	next := w.lotl(t)
	next.Sequence, next.Pointers[1].Signers = 301, []trustlisttest.Party{successor}
	out := w.imports(t, path, nil, map[string][]byte{"lotl": next.Sign(t, w.commission)})
	refused(t, out["the imported list of NL"], trustlist.ErrSigner, "until the present list of NL is imported")
	s := w.load(t, path)
	if !s.List("NL").SignerGone || len(s.Anchors(w.now)) != 1 || len(s.TSAAnchors()) != 0 {
		t.Error("the list still answers")
	}
	if q := s.Qualify(w.seal(t, full()...), nil, w.now); q.Code != trustlist.CodeUnknown || !strings.Contains(q.Words, "the trusted list of the Netherlands is not here") {
		t.Errorf("%+v", q)
	}
	// An old signer cannot come back with an older list; the successor's list counts again.
	refused(t, w.imports(t, path, nil, map[string][]byte{"nl": w.nl(t).Sign(t, w.dutch)})["nl"], trustlist.ErrSigner, "Dutch supervisor")
	fresh := w.nl(t)
	fresh.Sequence = 71
	if out := w.imports(t, path, nil, map[string][]byte{"nl": fresh.Sign(t, successor)}); len(out) != 1 || out["nl"].Err != nil {
		t.Errorf("%+v", out)
	}
	if s := w.load(t, path); s.List("NL").SignerGone || len(s.Anchors(w.now)) != 2 {
		t.Error("the new list does not answer")
	}
}

func TestStaleIsImported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.now = day(t, "2028-01-01")
	out := w.imports(t, filepath.Join(t.TempDir(), "s"), w.official(), map[string][]byte{"lotl": w.lotl(t).Sign(t, w.commission), "nl": w.nl(t).Sign(t, w.dutch)})
	for name, o := range out {
		if o.Err != nil || !o.Stale {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestStoreFile(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return day(t, "2026-11-20") }
	for name, content := range map[string]string{
		"no JSON": "{", "another format": `{"format":2}`, "an empty list": `{"format":1,"lists":{"NL":null}}`,
		"a broken certificate": `{"format":1,"lotl":{"pointers":[{"signers":["AAAA"]}]}}`, "no certificate": `{"format":1,"lotl":{"pointers":[{"signers":[7]}]}}`,
	} {
		path := filepath.Join(t.TempDir(), "s")
		must(t, os.WriteFile(path, []byte(content), 0o600))
		if _, err := trustlist.Load(path, now); !errors.Is(err, trustlist.ErrStore) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := trustlist.Import(path, trustlist.Request{Now: now}); !errors.Is(err, trustlist.ErrStore) {
			t.Errorf("import into %s: %v", name, err)
		}
	}
	if _, err := trustlist.Load(t.TempDir(), now); !errors.Is(err, trustlist.ErrStore) {
		t.Errorf("a folder: %v", err)
	}
}

// TestStoreIsWhole: when the new file cannot be put in place, the old one stays and nothing
// else lies around.
func TestStoreIsWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	blocked := filepath.Join(dir, "s")
	must(t, os.MkdirAll(filepath.Join(dir, "file"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600))
	_, err := trustlist.Import(filepath.Join(dir, "plain", "s"), trustlist.Request{Now: func() time.Time { return w.now }, Signers: w.official(), Files: []trustlist.File{{Name: "l", XML: w.lotl(t).Sign(t, w.commission)}}})
	if err == nil {
		t.Error("wrote below a file")
	}
	w.imports(t, blocked, w.official(), map[string][]byte{"lotl": w.lotl(t).Sign(t, w.commission)})
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 3 {
		t.Errorf("left behind: %v", entries)
	}
	if info, err := os.Stat(blocked); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode: %v %v", info, err)
	}
}

func TestParseSigners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	block := func(kind string, c *x509.Certificate) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: c.Raw})
	}
	two := bytes.Join([][]byte{[]byte("Notice C/2026/1\n"), block("CERTIFICATE", w.commission.Certificate), block("CERTIFICATE", w.dutch.Certificate)}, nil)
	for name, c := range map[string]struct {
		data []byte
		want int
	}{
		"PEM": {two, 2}, "DER": {w.greek.Certificate.Raw, 1}, "nothing": {nil, 0}, "text": {[]byte("hello"), 0},
		"a key": {block("PRIVATE KEY", w.greek.Certificate), 0}, "broken": {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0},
	} {
		got, err := trustlist.ParseSigners(c.data)
		if len(got) != c.want || (c.want == 0) != errors.Is(err, trustlist.ErrSigners) {
			t.Errorf("%s: %d certificates, %v", name, len(got), err)
		}
	}
}
