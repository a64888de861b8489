package status_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/status"
)

// vectors are those that the two specifications print.
type vectors struct {
	Vectors []struct {
		Bits, Entries int
		Lst           string
		Values        map[string]status.Value
	}
	Token     struct{ JWT, X, Y string }
	Bitstring struct{ EncodedList string }
}

func readVectors(tb testing.TB) vectors {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	check(tb, err)
	var v vectors
	check(tb, json.Unmarshal(raw, &v))
	return v
}

// TestVectors reads the lists that the drafts print, at every index.
func TestVectors(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	for _, vector := range v.Vectors {
		l, err := status.UnpackList(vector.Bits, vector.Lst)
		check(t, err)
		// Twelve entries of two bits fill three bytes; sixteen of one bit fill two.
		if l.Len() != vector.Entries {
			t.Errorf("%d bits: %d entries, want %d", vector.Bits, l.Len(), vector.Entries)
		}
		set := 0
		for i := range l.Len() {
			got, err := l.At(i)
			check(t, err)
			if want := vector.Values[fmt.Sprint(i)]; got != want {
				t.Errorf("%d bits, index %d: %d, want %d", vector.Bits, i, got, want)
			}
			if got != 0 {
				set++
			}
		}
		if set == 0 {
			t.Errorf("%d bits: nothing is set", vector.Bits)
		}
		_, err = l.At(l.Len())
		wantErr(t, err, status.ErrRange, "RANGE_ERROR")
	}
	if len(v.Vectors) != 6 {
		t.Errorf("%d vectors", len(v.Vectors))
	}
	l, err := status.UnpackBitstring(v.Bitstring.EncodedList)
	check(t, err)
	if l.Len() != status.MinEntries {
		t.Errorf("%d entries", l.Len())
	}
	for i := range l.Len() {
		if got, err := l.At(i); err != nil || got != 0 {
			t.Fatalf("index %d: %d (%v)", i, got, err)
		}
	}
}

// TestOfficialToken reads the token that Token Status List prints, with the key of its authors.
func TestOfficialToken(t *testing.T) {
	t.Parallel()
	v := readVectors(t).Token
	number := func(text string) *big.Int {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		check(t, err)
		return new(big.Int).SetBytes(raw)
	}
	key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: number(v.X), Y: number(v.Y)}
	o := status.Options{URI: "https://example.com/statuslists/1", Key: key, At: time.Unix(1686920171, 0)}
	l, err := status.ReadToken([]byte(v.JWT), o)
	check(t, err)
	if l.Len() != 16 || l.Alg != "ES256" || l.TTL != 12*time.Hour || l.Issued.Unix() != 1686920170 || l.Expires.Unix() != 2291720170 || l.Chain != nil {
		t.Errorf("%+v", l)
	}
	for i, want := range []status.Value{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1} {
		if got, err := l.At(i); err != nil || got != want {
			t.Errorf("index %d: %d (%v), want %d", i, got, err, want)
		}
	}
	o.At = time.Unix(2291720170, 0)
	_, err = status.ReadToken([]byte(v.JWT), o)
	wantErr(t, err, status.ErrExpired, "STATUS_VERIFICATION_ERROR")
	o.At, o.URI = time.Time{}, uri
	_, err = status.ReadToken([]byte(v.JWT), o)
	wantErr(t, err, status.ErrVerification, "STATUS_VERIFICATION_ERROR")
	_, err = status.ReadToken([]byte(v.JWT), status.Options{}) // nobody's key
	wantErr(t, err, status.ErrVerification, "STATUS_VERIFICATION_ERROR")
	_, err = status.ReadToken([]byte(strings.Replace(v.JWT, "2lKU", "2lKV", 1)), status.Options{Key: key})
	wantErr(t, err, status.ErrVerification, "STATUS_VERIFICATION_ERROR")
}

// TestBitOrder: the same array, counted from opposite ends.
func TestBitOrder(t *testing.T) {
	t.Parallel()
	a := array(t, map[int]status.Value{0: status.Invalid, 9: status.Invalid, 3: status.Suspended})
	bitstring, list, err := a.Packed(status.Invalid)
	check(t, err)
	w3c, err := status.UnpackBitstring(bitstring)
	check(t, err)
	ietf, err := status.UnpackList(2, list)
	check(t, err)
	for i := range 16 {
		want, bit := status.Valid, status.Valid
		switch i {
		case 0, 9:
			want, bit = status.Invalid, 1
		case 3:
			want = status.Suspended
		}
		if got, err := ietf.At(i); err != nil || got != want {
			t.Errorf("token list, %d: %d (%v), want %d", i, got, err, want)
		}
		if got, err := w3c.At(i); err != nil || got != bit {
			t.Errorf("bitstring, %d: %d (%v), want %d", i, got, err, bit)
		}
	}
	raw := unpacked(t, bitstring[1:], true)
	if raw[0] != 0x80 || raw[1] != 0x40 || len(raw) != 16<<10 {
		t.Errorf("bitstring begins with %x and has %d bytes", raw[:2], len(raw))
	}
	if raw := unpacked(t, list, false); raw[0] != 0x81 || raw[2] != 0x04 || len(raw) != 32<<10 {
		t.Errorf("list begins with %x and has %d bytes", raw[:3], len(raw))
	}
}

func TestArray(t *testing.T) {
	t.Parallel()
	for asked, want := range map[int]int{-1: status.MinEntries, 0: status.MinEntries, 131073: 131080, 1 << 20: 1 << 20} {
		if got := status.NewArray(asked).Len(); got != want {
			t.Errorf("%d entries asked for: %d", asked, got)
		}
	}
	a := status.NewArray(0)
	wantErr(t, a.Set(-1, 1), status.ErrRange, "RANGE_ERROR")
	wantErr(t, a.Set(a.Len(), 1), status.ErrRange, "RANGE_ERROR")
	wantErr(t, a.Set(0, 4), status.ErrMalformed, "MALFORMED_VALUE_ERROR")
	// Random writes, overwritten too, come back from both encodings.
	model := map[int]status.Value{}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		i, v := random.IntN(a.Len()), status.Value(random.IntN(4))
		check(t, a.Set(i, v))
		model[i] = v
	}
	for _, v := range []status.Value{status.Invalid, status.Suspended} {
		bitstring, list, err := a.Packed(v)
		check(t, err)
		bits, err := status.UnpackBitstring(bitstring)
		check(t, err)
		values, err := status.UnpackList(2, list)
		check(t, err)
		for i := range a.Len() {
			bit, err := bits.At(i)
			check(t, err)
			value, err := values.At(i)
			check(t, err)
			if (bit == 1) != (model[i] == v) || value != model[i] {
				t.Fatalf("index %d: bit %d, value %d, want %d", i, bit, value, model[i])
			}
		}
	}
}

// TestSigned: what is written is what the specifications say, and is read again.
func TestSigned(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "RS256", "PS256"} {
		m := newMint(t, alg)
		a := array(t, map[int]status.Value{94567: status.Invalid, 23452: status.Suspended})
		token, err := status.SignToken(t.Context(), m, m.terms(), uri, a)
		check(t, err)
		header, claims := members(t, token)
		if header["typ"] != "statuslist+jwt" || header["alg"] != alg || len(header["x5c"].([]any)) != 1 || len(header) != 3 {
			t.Errorf("header %v", header)
		}
		if claims["sub"] != uri || claims["iat"] != float64(noon.Unix()) || claims["exp"] != float64(noon.Unix()+172800) || claims["ttl"] != 900.0 || len(claims) != 5 {
			t.Errorf("claims %v", claims)
		}
		o := status.Options{URI: uri, Trust: m.pool(), At: noon.Add(time.Hour)}
		l, err := status.ReadToken(token, o)
		check(t, err)
		if l.Len() != status.MinEntries || !l.Chain[0].Equal(m.leaf) || !l.Issued.Equal(noon) || !l.Expires.Equal(noon.Add(48*time.Hour)) || l.TTL != 15*time.Minute {
			t.Errorf("%+v", l)
		}
		for i, want := range map[int]status.Value{94567: 1, 23452: 2, 0: 0, 131071: 0} {
			if got, err := l.At(i); err != nil || got != want {
				t.Errorf("index %d: %d (%v), want %d", i, got, err, want)
			}
		}
		for purpose, index := range map[string]int{status.PurposeRevocation: 94567, status.PurposeSuspension: 23452} {
			o := o
			o.URI, o.Purpose = "https://seal.polder.example/status/lists/7/"+purpose, purpose
			vc, err := status.SignBitstring(t.Context(), m, m.terms(), status.Bitstring{URI: o.URI, Purpose: purpose, Issuer: "urn:epass:org:7", Name: "Polder <University>"}, a)
			check(t, err)
			wholeCredential(t, vc, o.URI, purpose)
			l, err := status.ReadBitstring(vc, o)
			check(t, err)
			if !slices.Equal(l.Purposes, []string{purpose}) || l.Issuer != "urn:epass:org:7" || l.TTL != 15*time.Minute {
				t.Errorf("%+v", l)
			}
			set := 0
			for i := range l.Len() {
				if v, err := l.At(i); err != nil || v != 0 {
					set++
				}
			}
			if v, err := l.At(index); err != nil || v != 1 || set != 1 {
				t.Errorf("%s: %d at %d (%v), %d set", purpose, v, index, err, set)
			}
			o.Purpose = "message"
			_, err = status.ReadBitstring(vc, o)
			wantErr(t, err, status.ErrVerification, "STATUS_VERIFICATION_ERROR")
			_, err = status.ReadToken(vc, status.Options{})
			wantErr(t, err, status.ErrMalformed, "MALFORMED_VALUE_ERROR")
		}
	}
}

func wholeCredential(t *testing.T, vc []byte, uri, purpose string) {
	t.Helper()
	header, claims := members(t, vc)
	subject := claims["credentialSubject"].(map[string]any)
	encoded := subject["encodedList"].(string)
	delete(subject, "encodedList")
	if header["typ"] != "vc+jwt" || header["cty"] != "vc" || !strings.HasPrefix(encoded, "uH4sI") || strings.Contains(encoded, "=") {
		t.Errorf("header %v, list %.10s", header, encoded)
	}
	got, err := json.Marshal(claims)
	check(t, err)
	want := `{"@context":["https://www.w3.org/ns/credentials/v2"],"credentialSubject":{"id":"` + uri + `#list","statusPurpose":"` + purpose + `","ttl":900000,"type":"BitstringStatusList"},` +
		`"id":"` + uri + `","issuer":{"id":"urn:epass:org:7","name":"Polder \u003cUniversity\u003e"},"type":["VerifiableCredential","BitstringStatusListCredential"],` +
		`"validFrom":"2026-11-20T12:00:00Z","validUntil":"2026-11-22T12:00:00Z"}`
	if string(got) != want {
		t.Errorf("credential\n%s, want\n%s", got, want)
	}
}

// TestBadSigner: a signature that does not fit is never handed out.
func TestBadSigner(t *testing.T) {
	t.Parallel()
	m := newMint(t, "ES256")
	m.spoil = true
	_, err := status.SignToken(t.Context(), m, m.terms(), uri, status.NewArray(0))
	if !errors.Is(err, jades.ErrBadSignature) {
		t.Errorf("got %v", err)
	}
	terms := m.terms()
	terms.Key.Chain = nil
	_, err = status.SignToken(t.Context(), m, terms, uri, status.NewArray(0))
	if !errors.Is(err, jades.ErrKey) {
		t.Errorf("got %v", err)
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	m := newMint(t, "ES256")
	for n, digits := range map[int]int{0: 0, 3: 0, 4097: 1, 70_000: 2} {
		var all, reversed status.Places
		for i := range n {
			all.Add(fmt.Sprintf("urn:credential:%d", i), 7*i)
			reversed.Add(fmt.Sprintf("urn:credential:%d", n-1-i), 7*(n-1-i))
		}
		x := status.NewIndex(&all)
		if again := status.NewIndex(&reversed); all.Len() != n || again.Digest() != x.Digest() {
			t.Errorf("%d entries: the order counts", n)
		}
		if x.Digits != digits || x.Entries != n {
			t.Errorf("%d entries: %d digits", n, x.Digits)
		}
		text, err := status.SignIndex(t.Context(), m, m.terms(), uri, noon.Add(-time.Minute), x)
		check(t, err)
		got, err := status.ReadIndex(text, status.Options{URI: uri, Trust: m.pool(), At: noon})
		check(t, err)
		if got.Entries != n || got.Digits != digits || !got.Until.Equal(noon.Add(-time.Minute)) || len(got.Names()) != len(x.Shards()) {
			t.Errorf("%+v", got)
		}
		for i := range min(n, 100) {
			id := fmt.Sprintf("urn:credential:%d", i)
			name, found := got.Shard(id)
			if !found {
				t.Fatalf("no shard for %s", id)
			}
			shard := x.Shards()[name]
			index, found, err := got.Find(id, shard)
			if err != nil || !found || index != 7*i {
				t.Errorf("%s: %d %t (%v)", id, index, found, err)
			}
			_, _, err = got.Find(id, append(slices.Clone(shard), '\n'))
			wantErr(t, err, status.ErrVerification, "STATUS_VERIFICATION_ERROR")
		}
		if name, found := got.Shard("urn:credential:nobody"); found {
			if _, found, err := got.Find("urn:credential:nobody", x.Shards()[name]); err != nil || found {
				t.Errorf("nobody is found (%v)", err)
			}
		}
	}
	var one status.Places
	one.Add("a", 0)
	if status.NewIndex(new(status.Places)).Digest() == status.NewIndex(&one).Digest() {
		t.Error("the digest says nothing")
	}
}

func TestCode(t *testing.T) {
	t.Parallel()
	if got := status.Code(fmt.Errorf("x: %w", status.ErrRetrieval)); got != "STATUS_RETRIEVAL_ERROR" {
		t.Errorf("%s", got)
	}
	if got := status.Code(errors.New("other")); got != "" {
		t.Errorf("%s", got)
	}
}
