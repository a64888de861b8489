package hsm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/hsm"
)

func TestParseURI(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       hsm.URI
		whole      string // what Unredacted writes; "" is text
	}{
		{name: "nothing", text: "pkcs11:"},
		{
			name: "all",
			text: "pkcs11:token=seal;serial=f4ceb2ef82fa1a41;manufacturer=SoftHSM%20project;model=SoftHSM%20v2;object=key;id=%01%FF" +
				"?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/credentials/app/pin",
			want: hsm.URI{
				Token: "seal", Serial: "f4ceb2ef82fa1a41", Manufacturer: "SoftHSM project", Model: "SoftHSM v2", Object: "key",
				ID: []byte{1, 255}, ModulePath: "/usr/lib/softhsm/libsofthsm2.so", PINSource: "/run/credentials/app/pin",
			},
		},
		{
			name: "vendor attributes",
			text: "pkcs11:token=a?x-algorithm=PS256&x-sessions=16&x-init-reserved=configdir='sql:/nss'%20flags=&x-purpose=wallet&x-for=polder,delta",
			want: hsm.URI{
				Token: "a", Algorithm: "PS256", Sessions: 16, InitReserved: "configdir='sql:/nss' flags=", Purpose: "wallet", For: []string{"polder", "delta"},
			},
		},
		{name: "plain path of the PIN", text: "pkcs11:?pin-source=/pin", want: hsm.URI{PINSource: "/pin"}, whole: "pkcs11:?pin-source=file:/pin"},
		{name: "file URL of the PIN", text: "pkcs11:?pin-source=file:///run/pin", want: hsm.URI{PINSource: "/run/pin"}, whole: "pkcs11:?pin-source=file:/run/pin"},
		{name: "type private", text: "pkcs11:type=private;token=a", want: hsm.URI{Token: "a"}, whole: "pkcs11:token=a"},
		{name: "id not escaped", text: "pkcs11:id=ab", want: hsm.URI{ID: []byte("ab")}, whole: "pkcs11:id=%61%62"},
		{name: "label with all sorts", text: "pkcs11:token=%C3%A9%3B%3F%25%3D", want: hsm.URI{Token: "é;?%="}, whole: "pkcs11:token=%C3%A9%3B%3F%25="},
		{name: "path with a space", text: "pkcs11:?module-path=/opt/my%20token/p11.so", want: hsm.URI{ModulePath: "/opt/my token/p11.so"}},
		{name: "lower-case escapes", text: "pkcs11:id=%0a", want: hsm.URI{ID: []byte{10}}, whole: "pkcs11:id=%0A"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := hsm.ParseURI(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			whole := test.whole
			if whole == "" {
				whole = test.text
			}
			if diff := cmp.Diff(whole, got.Unredacted()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseURIRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, says string }{
		{"empty", "", "begin with pkcs11:"},
		{"another scheme", "file:/pin", "begin with pkcs11:"},
		{"scheme in capitals", "PKCS11:token=a", "begin with pkcs11:"},
		{"PIN in the URI", "pkcs11:token=a?pin-value=1234", "pin-value is refused"},
		{"PIN before the question mark", "pkcs11:pin-value=1234", "unknown attribute"},
		{"unknown in the path", "pkcs11:tokn=a", "unknown attribute before the question mark: tokn"},
		{"unknown in the query", "pkcs11:token=a?module=b", "unknown attribute after the question mark: module"},
		{"module name", "pkcs11:token=a?module-name=softhsm2", "unknown attribute"},
		{"path attribute in the query", "pkcs11:?token=a", "unknown attribute"},
		{"query attribute in the path", "pkcs11:module-path=/a", "unknown attribute"},
		{"library", "pkcs11:library-version=3", "unknown attribute"},
		{"unprintable name", "pkcs11:\x1b[2J=a", "(unprintable)"},
		{"twice", "pkcs11:token=a;token=a", "token is given twice"},
		{"twice in the query", "pkcs11:?pin-source=/a&pin-source=/a", "pin-source is given twice"},
		{"slot", "pkcs11:slot-id=0", "slots are renumbered"},
		{"type public", "pkcs11:type=public", "type can only be private"},
		{"type cert", "pkcs11:type=cert", "type can only be private"},
		{"no value", "pkcs11:token=", "token is empty"},
		{"no equals sign", "pkcs11:token", "name=value"},
		{"no name", "pkcs11:=a", "name=value"},
		{"empty attribute", "pkcs11:token=a;;serial=b", "name=value"},
		{"semicolon at the end", "pkcs11:token=a;", "name=value"},
		{"question mark at the end", "pkcs11:token=a?", "name=value"},
		{"half an escape", "pkcs11:id=%0", "two hex digits"},
		{"no escape", "pkcs11:id=%zz", "two hex digits"},
		{"signed escape", "pkcs11:id=%+1", "two hex digits"},
		{"raw space", "pkcs11:token=my token", "percent-encoded"},
		{"raw umlaut", "pkcs11:token=é", "percent-encoded"},
		{"raw slash in the path", "pkcs11:token=a/b", "percent-encoded"},
		{"fragment", "pkcs11:token=a#b", "percent-encoded"},
		{"zero byte", "pkcs11:token=a%00", "not text"},
		{"not UTF-8", "pkcs11:token=%ff", "not text"},
		{"PIN from a program", "pkcs11:?pin-source=|/bin/pin", "absolute path"},
		{"PIN over the network", "pkcs11:?pin-source=https://example.org/pin", "absolute path"},
		{"PIN without a path", "pkcs11:?pin-source=file:", "absolute path"},
		{"relative PIN", "pkcs11:?pin-source=pin", "absolute path"},
		{"too long", "pkcs11:token=" + strings.Repeat("a", 5000), "longer than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := hsm.ParseURI(test.text)
			if !errors.Is(err, hsm.ErrURI) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error that says %q", err, test.says)
			}
			if diff := cmp.Diff(hsm.URI{}, got); diff != "" {
				t.Errorf("a refusal leaves nothing: %s", diff)
			}
			if err != nil && strings.Contains(err.Error(), "1234") {
				t.Errorf("the error repeats a value: %v", err)
			}
		})
	}
}

// What was parsed is written so that it is parsed to the same, and the printed form holds
// no paths.
func FuzzURI(f *testing.F) {
	for _, seed := range []string{
		"pkcs11:", "pkcs11:token=seal;serial=f4ceb2ef82fa1a41;id=%01?module-path=/usr/lib/libeToken.so&pin-source=file:/run/credentials/app/pin",
		"pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91",
		"pkcs11:object=my-sign-key;type=private?pin-source=|/usr/lib/pinomatic", "pkcs11:token=a?pin-value=the-pin",
		"pkcs11:token=%C3%A9;id=%00%00%00%00", "pkcs11:?pin-source=file:////x", "pkcs11:token=a&b=c?module-path=/a?b=|c",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, err := hsm.ParseURI(text)
		if err != nil {
			if !errors.Is(err, hsm.ErrURI) {
				t.Fatalf("error %v", err)
			}
			return
		}
		whole := first.Unredacted()
		if len(whole) > 4096 {
			return // escaping made it longer than what is read
		}
		second, err := hsm.ParseURI(whole)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", text, whole, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("%q was written as %q: %s", text, whole, diff)
		}
		if strings.Contains(first.String(), "?") || second.String() != first.String() {
			t.Fatalf("printed as %q and %q", first, second)
		}
	})
}
