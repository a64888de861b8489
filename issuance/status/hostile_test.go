package status_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/status"
)

func unpacked(t *testing.T, text string, zipped bool) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	check(t, err)
	var r io.Reader
	if zipped {
		r, err = gzip.NewReader(bytes.NewReader(raw))
	} else {
		r, err = zlib.NewReader(bytes.NewReader(raw))
	}
	check(t, err)
	out, err := io.ReadAll(r)
	check(t, err)
	return out
}

func zipped(tb testing.TB, n int) string {
	tb.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(make([]byte, n))
	check(tb, err)
	check(tb, w.Close())
	return base64.RawURLEncoding.EncodeToString(out.Bytes())
}

func deflated(tb testing.TB, n int) string {
	tb.Helper()
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, err := w.Write(make([]byte, n))
	check(tb, err)
	check(tb, w.Close())
	return base64.RawURLEncoding.EncodeToString(out.Bytes())
}

// TestBadEntries: each way in which the entries themselves can be wrong.
func TestBadEntries(t *testing.T) {
	t.Parallel()
	good := zipped(t, 16<<10)
	for name, test := range map[string]struct {
		encoded string
		err     error
		code    string
	}{
		"no multibase":   {good, status.ErrMalformed, "MALFORMED_VALUE_ERROR"},
		"other base":     {"z" + good, status.ErrMalformed, "MALFORMED_VALUE_ERROR"},
		"empty":          {"u", status.ErrMalformed, "MALFORMED_VALUE_ERROR"},
		"padding":        {"u" + good + "=", status.ErrMalformed, "MALFORMED_VALUE_ERROR"},
		"line break":     {"u" + good[:8] + "\n" + good[8:], status.ErrMalformed, "MALFORMED_VALUE_ERROR"},
		"zlib":           {"u" + deflated(t, 16<<10), status.ErrMalformed, "MALFORMED_VALUE_ERROR"},
		"cut":            {"u" + good[:len(good)-8], status.ErrMalformed, "MALFORMED_VALUE_ERROR"},
		"something more": {"u" + strings.TrimRight(good, "A") + "AAAAAAAAAAAA", status.ErrMalformed, "MALFORMED_VALUE_ERROR"},
		"one byte short": {"u" + zipped(t, 16<<10-1), status.ErrLength, "STATUS_LIST_LENGTH_ERROR"},
		"bomb":           {"u" + zipped(t, 17<<20), status.ErrMalformed, "MALFORMED_VALUE_ERROR"},
	} {
		_, err := status.UnpackBitstring(test.encoded)
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		wantErr(t, err, test.err, test.code)
	}
	fine := deflated(t, 16)
	for name, test := range map[string]struct {
		bits int
		lst  string
	}{
		"no bits": {0, fine}, "three bits": {3, fine}, "sixteen bits": {16, fine}, "gzip": {2, good}, "multibase": {2, "u" + fine}, "bomb": {8, deflated(t, 17<<20)}, "empty": {1, ""},
	} {
		_, err := status.UnpackList(test.bits, test.lst)
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		wantErr(t, err, status.ErrMalformed, "MALFORMED_VALUE_ERROR")
	}
	if l, err := status.UnpackList(8, fine); err != nil || l.Len() != 16 {
		t.Errorf("short token lists are allowed: %d (%v)", l.Len(), err)
	}
}

// TestBadTokens: each way in which a token list can be wrong although its signature fits.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	m := newMint(t, "ES256")
	lst := deflated(t, 16)
	claims := func(change ...string) string {
		return strings.NewReplacer(change...).Replace(`{"sub":"` + uri + `","iat":1795176000,"exp":1795348800,"ttl":900,"status_list":{"bits":2,"lst":"` + lst + `"}}`)
	}
	header := m.header(status.TypeToken, "")
	o := status.Options{URI: uri, Trust: m.pool(), At: noon.Add(time.Minute)}
	if _, err := status.ReadToken(m.jws(t, header, claims()), o); err != nil {
		t.Fatalf("what is right is refused: %v", err)
	}
	const malformed, verification = "MALFORMED_VALUE_ERROR", "STATUS_VERIFICATION_ERROR"
	for name, test := range map[string]struct{ header, claims, code string }{
		"other type":       {m.header("JWT", ""), claims(), malformed},
		"no type":          {strings.Replace(header, `"typ":"statuslist+jwt",`, "", 1), claims(), malformed},
		"type in capitals": {strings.Replace(header, `"typ"`, `"TYP"`, 1), claims(), malformed},
		"crit":             {m.header(status.TypeToken, `,"crit":["x"],"x":1`), claims(), verification},
		"b64":              {m.header(status.TypeToken, `,"b64":false`), claims(), verification},
		"alg none":         {strings.Replace(header, "ES256", "none", 1), claims(), verification},
		"other alg":        {strings.Replace(header, "ES256", "RS256", 1), claims(), verification},
		"hmac":             {strings.Replace(header, "ES256", "HS256", 1), claims(), verification},
		"no certificate":   {`{"alg":"ES256","typ":"statuslist+jwt"}`, claims(), verification},
		"bad certificate":  {`{"alg":"ES256","typ":"statuslist+jwt","x5c":["AAAA"]}`, claims(), malformed},
		"x5c is a number":  {`{"alg":"ES256","typ":"statuslist+jwt","x5c":7}`, claims(), malformed},
		"header no JSON":   {`{`, claims(), malformed},
		"no sub":           {header, claims(`"sub"`, `"bus"`), malformed},
		"other sub":        {header, claims("/7/", "/8/"), verification},
		"no iat":           {header, claims(`"iat"`, `"tai"`), malformed},
		"iat is text":      {header, claims("1795176000", `"now"`), malformed},
		"iat too large":    {header, claims("1795176000", `9e99`), malformed},
		"iat in capitals":  {header, claims(`"iat"`, `"IAT"`), malformed},
		"of tomorrow":      {header, claims("1795176000", "1795262400"), verification},
		"expired":          {header, claims("1795348800", "1795176060"), verification},
		"exp null":         {header, claims("1795348800", "null"), malformed},
		"ttl 0":            {header, claims("900", "0"), malformed},
		"ttl below 0":      {header, claims("900", "-1"), malformed},
		"no list":          {header, claims("status_list", "list"), malformed},
		"list is text":     {header, claims(`{"bits":2,"lst":"`+lst+`"}`, `"x"`), malformed},
		"bits missing":     {header, claims(`"bits":2,`, ""), malformed},
		"bits a half":      {header, claims(`"bits":2`, `"bits":1.5`), malformed},
		"lst missing":      {header, claims("lst", "tsl"), malformed},
		"sub twice":        {header, claims(`"iat"`, `"sub":"x","iat"`), malformed},
		"an array":         {header, `[]`, malformed},
		"not text":         {header, "{\"a\":\"\xff\"}", malformed},
	} {
		_, err := status.ReadToken(m.jws(t, test.header, test.claims), o)
		if err == nil {
			t.Errorf("%s: taken", name)
		} else if got := status.Code(err); got != test.code {
			t.Errorf("%s: %s (%v), want %s", name, got, err, test.code)
		}
	}
	text := m.jws(t, header, claims())
	for name, bad := range map[string][]byte{
		"nothing": nil, "two parts": text[:bytes.LastIndexByte(text, '.')], "four parts": append(bytes.Clone(text), ".AAAA"...), "not base64url": bytes.Replace(text, []byte("e"), []byte("+"), 1),
		"too long": bytes.Repeat([]byte("A"), status.MaxText+1),
	} {
		_, err := status.ReadToken(bad, o)
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		wantErr(t, err, status.ErrMalformed, malformed)
	}
	other := newMint(t, "ES256")
	o.Trust = other.pool()
	_, err := status.ReadToken(text, o)
	wantErr(t, err, status.ErrVerification, verification)
}

// TestBadBitstrings: the same for bitstrings.
func TestBadBitstrings(t *testing.T) {
	t.Parallel()
	m := newMint(t, "ES256")
	vc := func(change ...string) []byte {
		return m.jws(t, m.header(status.TypeBitstring, ""), strings.NewReplacer(change...).Replace(`{"@context":["https://www.w3.org/ns/credentials/v2"],"id":"`+uri+`",
			"type":["VerifiableCredential","BitstringStatusListCredential"],"issuer":"https://polder.example","validFrom":"2026-11-20T12:00:00Z","validUntil":"2026-11-22T12:00:00Z",
			"credentialSubject":{"type":"BitstringStatusList","statusPurpose":["revocation","suspension"],"encodedList":"u`+zipped(t, 16<<10)+`","ttl":900000}}`))
	}
	o := status.Options{URI: uri, Purpose: "suspension", Trust: m.pool(), At: noon.Add(time.Minute)}
	l, err := status.ReadBitstring(vc(), o)
	check(t, err)
	if l.Issuer != "https://polder.example" || len(l.Purposes) != 2 || l.Len() != status.MinEntries {
		t.Errorf("%+v", l)
	}
	if _, err := status.ReadBitstring(vc(`,"ttl":900000`, "", `,"validUntil":"2026-11-22T12:00:00Z"`, "", `"statusPurpose":["revocation","suspension"]`, `"statusPurpose":"suspension","statusSize":1`), o); err != nil {
		t.Errorf("what may be left out is missed: %v", err)
	}
	const malformed, verification = "MALFORMED_VALUE_ERROR", "STATUS_VERIFICATION_ERROR"
	for name, test := range map[string]struct {
		change []string
		code   string
	}{
		"other context":    {[]string{"ns/credentials/v2", "2018/credentials/v1"}, malformed},
		"no such type":     {[]string{`,"BitstringStatusListCredential"`, ""}, malformed},
		"old list":         {[]string{"BitstringStatusListCredential", "StatusList2021Credential"}, malformed},
		"no issuer":        {[]string{`"issuer":"https://polder.example",`, ""}, malformed},
		"issuer a number":  {[]string{`"https://polder.example"`, "7"}, malformed},
		"no subject":       {[]string{"credentialSubject", "subject"}, malformed},
		"subject type":     {[]string{`"BitstringStatusList"`, `"List"`}, malformed},
		"no purpose":       {[]string{`"statusPurpose":["revocation","suspension"],`, ""}, malformed},
		"other purpose":    {[]string{`,"suspension"`, ""}, verification},
		"two bits":         {[]string{`"ttl"`, `"statusSize":2,"ttl"`}, malformed},
		"ttl":              {[]string{"900000", `"long"`}, malformed},
		"no list":          {[]string{"encodedList", "list"}, malformed},
		"day without time": {[]string{"2026-11-22T12:00:00Z", "2026-11-22"}, malformed},
		"ended":            {[]string{"2026-11-22T12:00:00Z", "2026-11-20T12:00:30Z"}, verification},
		"not begun":        {[]string{"2026-11-20T12:00:00Z", "2026-11-21T12:00:00Z"}, verification},
		"other list":       {[]string{"/7/", "/8/"}, verification},
		"short":            {[]string{zipped(t, 16<<10), zipped(t, 100)}, "STATUS_LIST_LENGTH_ERROR"},
	} {
		_, err := status.ReadBitstring(vc(test.change...), o)
		if err == nil {
			t.Errorf("%s: taken", name)
		} else if got := status.Code(err); got != test.code {
			t.Errorf("%s: %s (%v), want %s", name, got, err, test.code)
		}
	}
}

func TestBadIndexes(t *testing.T) {
	t.Parallel()
	m := newMint(t, "ES256")
	header := m.header(status.TypeIndex, "")
	const good = `{"sub":"` + uri + `","iat":1795176000,"until":1795175000,"entries":1,"digits":0,"shards":{"":"00"}}`
	if _, err := status.ReadIndex(m.jws(t, header, good), status.Options{URI: uri}); err != nil {
		t.Fatal(err)
	}
	for name, claims := range map[string]string{
		"digits": strings.Replace(good, `"digits":0`, `"digits":3`, 1), "shards": strings.Replace(good, `{"":"00"}`, `[]`, 1), "entries": strings.Replace(good, `"entries":1`, `"entries":"x"`, 1),
		"iat": strings.Replace(good, "1795176000", `""`, 1), "until": strings.Replace(good, "1795175000", `-1`, 1),
	} {
		_, err := status.ReadIndex(m.jws(t, header, claims), status.Options{})
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		wantErr(t, err, status.ErrMalformed, "MALFORMED_VALUE_ERROR")
	}
	_, err := status.ReadIndex(m.jws(t, header, good), status.Options{URI: "https://other.example"})
	wantErr(t, err, status.ErrVerification, "STATUS_VERIFICATION_ERROR")
}

func FuzzRead(f *testing.F) {
	m := newMint(f, "ES256")
	a := array(f, map[int]status.Value{7: status.Invalid})
	token, err := status.SignToken(f.Context(), m, m.terms(), uri, a)
	check(f, err)
	vc, err := status.SignBitstring(f.Context(), m, m.terms(), status.Bitstring{URI: uri, Purpose: status.PurposeRevocation, Issuer: "urn:x:1"}, a)
	check(f, err)
	for _, seed := range [][]byte{token, vc, []byte(readVectors(f).Token.JWT), []byte("e30.e30.")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, read := range map[string]func([]byte, status.Options) (status.List, error){"token": status.ReadToken, "bitstring": status.ReadBitstring} {
			l, err := read(text, status.Options{Trust: m.pool(), At: noon})
			if (err == nil) == (status.Code(err) != "") {
				t.Errorf("%s: an error without a code: %v", name, err)
			}
			// Whoever sees an ECDSA signature can write it in a second way: what is signed counts.
			signed := func(text []byte) string { return string(text[:max(bytes.LastIndexByte(text, '.'), 0)]) }
			if what := signed(bytes.TrimSpace(text)); err == nil && what != signed(token) && what != signed(vc) {
				t.Errorf("%s: a list that nobody has signed was taken", name)
			}
			if err == nil && (l.Len() == 0 || len(l.Chain) == 0) {
				t.Errorf("%s: %+v", name, l)
			}
		}
	})
}

// FuzzEntries reads entries that anybody could have signed.
func FuzzEntries(f *testing.F) {
	for _, v := range readVectors(f).Vectors {
		f.Add(v.Bits, v.Lst)
	}
	f.Add(1, "u"+zipped(f, 16<<10))
	f.Fuzz(func(t *testing.T, bits int, text string) {
		list, err := status.UnpackList(bits, text)
		if err == nil {
			ends(t, list)
		}
		bitstring, err := status.UnpackBitstring(text)
		if err == nil && bitstring.Len() < status.MinEntries {
			t.Errorf("%d entries", bitstring.Len())
		}
		if err == nil {
			ends(t, bitstring)
		}
	})
}

// ends looks at the first and the last entry, and beyond.
func ends(t *testing.T, l status.List) {
	t.Helper()
	for _, i := range []int{0, l.Len() - 1} {
		if _, err := l.At(i); l.Len() > 0 && err != nil {
			t.Errorf("index %d of %d: %v", i, l.Len(), err)
		}
	}
	for _, i := range []int{-1, l.Len()} {
		_, err := l.At(i)
		wantErr(t, err, status.ErrRange, "RANGE_ERROR")
	}
}
