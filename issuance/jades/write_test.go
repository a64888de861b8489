package jades_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// What is sealed must be written as encoding/json writes it, at every place of the eight bytes
// that are looked at together.
func TestQuoted(t *testing.T) {
	t.Parallel()
	letters := []string{
		"a", "Z", " ", "~", "\x7f", `"`, `\`, "/", "<", "&", "\b", "\f", "\n", "\r", "\t", "\x00", "\x1f", "\x20",
		"é", "ö", "\u2028", "\u2029", "\u2030", "\ufeff", "𝄞", "!", "#", "[", "]", "base64base64base64",
	}
	dice := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var text strings.Builder
		for range dice.IntN(24) {
			text.WriteString(letters[dice.IntN(len(letters))])
		}
		sameQuoted(t, text.String())
	}
}

// sameQuoted wants text to be written as encoding/json writes it, and to be found again.
func sameQuoted(t *testing.T, text string) {
	t.Helper()
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	must(t, e.Encode(text))
	got := jades.AppendQuoted(nil, []byte(text))
	if string(got)+"\n" != want.String() {
		t.Fatalf("%q is written %s, not %s", text, got, want.Bytes())
	}
	sameCut(t, string(got)+",", text)
}

// sameCut wants what is said of a string in a file to be what encoding/json says of it, but for
// half a surrogate pair and bytes that are not UTF-8, which it replaces.
func sameCut(t *testing.T, file, content string) {
	t.Helper()
	var meant string
	d := json.NewDecoder(strings.NewReader(file))
	found := strings.HasPrefix(file, `"`) && d.Decode(&meant) == nil && meant == content
	rest, ok := jades.CutQuoted([]byte(file), []byte(content))
	if !ok && found && strings.Contains(meant, "\ufffd") {
		return
	}
	if ok != found || ok && string(rest) != file[d.InputOffset():] {
		t.Fatalf("%s as %q: %v before %q, by encoding/json %v", file, content, ok, rest, found)
	}
}

// FuzzQuoted writes any text and finds it again, and finds it in any other file only if it is there.
func FuzzQuoted(f *testing.F) {
	for _, text := range []string{content, `"\"`, "\n\t\u2028\x00", "𝄞", strings.Repeat("QUJD", 9)} {
		f.Add(text, `"`+text+`"`, 3, "\\")
		f.Add(text, string(jades.AppendQuoted(nil, []byte(text))), 9, `\u0041`)
	}
	f.Fuzz(func(t *testing.T, text, file string, at int, letters string) {
		if !utf8.ValidString(text) {
			return
		}
		sameQuoted(t, text)
		if !utf8.ValidString(file) || !utf8.ValidString(letters) {
			return
		}
		sameCut(t, file, text)
		quoted := string(jades.AppendQuoted(nil, []byte(text)))
		at = min(max(at, 0), len(quoted))
		sameCut(t, strings.ToValidUTF8(quoted[:at]+letters+quoted[at:], "?"), text)
		sameCut(t, strings.ToValidUTF8(quoted[:at]+letters+quoted[min(at+len(letters), len(quoted)):], "?"), text)
	})
}

// Every byte stops the walk over ordinary letters or does not, wherever it stands.
func TestOrdinary(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for at := range 17 {
			text := append(bytes.Repeat([]byte{'x'}, at), byte(c))
			text = append(text, "yyyyyyyyyyyy"...)
			want := len(text)
			if c < 0x20 || c >= 0x80 || c == '"' || c == '\\' {
				want = at
			}
			if got := jades.Ordinary(text); got != want {
				t.Fatalf("byte %#x at %d: %d ordinary letters, want %d", c, at, got, want)
			}
		}
	}
}

// Eight bytes are looked at together, and two of them may be more than letters.
func TestOrdinaryBesideAnother(t *testing.T) {
	t.Parallel()
	unusual := func(c byte) bool { return c < 0x20 || c >= 0x80 || c == '"' || c == '\\' }
	text := bytes.Repeat([]byte{'x'}, 8)
	for pair := range 1 << 16 {
		for at := range 7 {
			text[at], text[at+1] = byte(pair>>8), byte(pair)
			want := slices.IndexFunc(text, unusual)
			if got := jades.Ordinary(text); got != want && (want >= 0 || got != len(text)) {
				t.Fatalf("%q: %d ordinary letters, want %d", text, got, want)
			}
			text[at], text[at+1] = 'x', 'x'
		}
	}
}

func TestManyMembers(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	for _, n := range []int{1, 15, 16, 17, 40} {
		var members []string
		for i := range n {
			members = append(members, fmt.Sprintf(`"m%d":%d`, i, i))
		}
		s.seal(t, "{"+strings.Join(members, ",")+"}")
		for _, again := range []int{0, n / 2, n - 1} {
			_, err := jades.Seal(t.Context(), s.soft, s.key, []byte("{"+strings.Join(members, ",")+fmt.Sprintf(`,"m%d":0}`, again)), noon)
			refused(t, err, jades.ErrContent, fmt.Sprintf(`member "m%d" stands twice`, again))
		}
	}
}

// voucher says of some certificate that it verifies with it.
type voucher struct {
	signFunc
	leaf *x509.Certificate
}

func (v voucher) Vouches(_ string, leaf *x509.Certificate) bool { return leaf.Equal(v.leaf) }

func TestSealTakesTheWordOfAVoucher(t *testing.T) {
	t.Parallel()
	s := newSealer(t, "ES256")
	wrong := signFunc(func(context.Context, string, []byte) ([]byte, error) { return make([]byte, 64), nil })
	if _, err := jades.Seal(t.Context(), voucher{wrong, s.key.Chain[0]}, s.key, []byte(content), noon); err != nil {
		t.Errorf("a signature that the signer vouches for: %v", err)
	}
	other := newSealer(t, "ES256").key.Chain[0]
	if _, err := jades.Seal(t.Context(), voucher{wrong, other}, s.key, []byte(content), noon); !errors.Is(err, jades.ErrBadSignature) {
		t.Errorf("vouched for with another certificate: %v", err)
	}
}

// What was sealed is compared with the file letter by letter, whatever letters there are.
func TestCutQuoted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text, content string
		want          bool
	}{
		{`"{\"a\":1}",x`, `{"a":1}`, true},
		{`"a\u0041\n\\é\ud834\udd1e\u2028"`, "aA\n\\é𝄞\u2028", true},
		{`""`, "", true},
		{`"abc"`, "ab", false},
		{`"ab"`, "abc", false},
		{`"ab"`, "ax", false},
		{`"a\n"`, "a\r", false},
		{`"a\""`, `a\`, false},
		{`"a\\"`, `a"`, false},
		{`"a\""`, `a`, false},
		{`"a\"`, `a"`, false},
		{`"aé"`, "ae", false},
		{`"ab`, "ab", false},
		{`"a\`, "a", false},
		{`"a\x"`, "ax", false},
		{`"a\ud834"`, "a", false},
		{"\"a\x01\"", "a\x01", false},
		{`ab"`, "ab", false},
		{``, "", false},
	} {
		rest, ok := jades.CutQuoted([]byte(tc.text), []byte(tc.content))
		if ok != tc.want || ok && !strings.HasSuffix(tc.text, string(rest)) {
			t.Errorf("%s as %q: %v, rest %q", tc.text, tc.content, ok, rest)
		}
	}
}
