//go:build cgo

package hsm_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
)

// sink collects what is logged and said.
type sink struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// say adds a value in all forms in which somebody might print it.
func (s *sink) say(t *testing.T, values ...any) {
	t.Helper()
	for _, value := range values {
		for _, verb := range []string{"%v\n", "%+v\n", "%#v\n", "%s\n", "%q\n", "%x\n"} {
			fmt.Fprintf(s, verb, value)
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(s, "%s\n", encoded)
		slog.New(slog.NewJSONHandler(s, nil)).Info("value", "value", value)
	}
}

// forms are the ways in which a PIN could be written without anybody meaning to.
func forms(pin string) map[string]string {
	var numbers, goBytes, escaped strings.Builder
	for _, c := range []byte(pin) {
		fmt.Fprintf(&numbers, "%d ", c)
		fmt.Fprintf(&goBytes, "%#x, ", c)
		fmt.Fprintf(&escaped, "%%%02X", c)
	}
	decimal := strings.TrimSpace(numbers.String())
	return map[string]string{
		"plain": pin, "hex": hex.EncodeToString([]byte(pin)), "spaced hex": fmt.Sprintf("% x", pin),
		"bytes": decimal, "bytes of JSON": strings.ReplaceAll(decimal, " ", ","), "Go bytes": strings.TrimSuffix(goBytes.String(), ", "),
		"base64": base64.RawStdEncoding.EncodeToString([]byte(pin))[:len(pin)], "escaped": escaped.String(), "query": url.QueryEscape(pin),
		"half of it": pin[:len(pin)/2+1],
	}
}

// find says in which forms the PIN is in a text.
func find(text, pin string) (found []string) {
	text = strings.ToLower(text)
	for name, form := range forms(pin) {
		if at := strings.Index(text, strings.ToLower(form)); at >= 0 {
			found = append(found, fmt.Sprintf("%s: … %s …", name, text[max(0, at-80):min(len(text), at+80)]))
		}
	}
	return found
}

func noPIN(t *testing.T, text, pin string) {
	t.Helper()
	for _, place := range find(text, pin) {
		t.Errorf("the PIN is there, %s", place)
	}
}

const leakyPIN = "7351926480x"

// Logins fail in all the ways there are; none of the errors, reasons, log lines and records
// holds the PIN.
func TestPINIsNowhereAfterAFailedLogin(t *testing.T) {
	cases := []struct {
		name    string
		content string // of the PIN file
		code    pkcs11.Error
		want    hsm.State
	}{
		{"wrong", leakyPIN, 0, hsm.StatePINBlocked},
		{"driver fails", leakyPIN, pkcs11.CKR_GENERAL_ERROR, hsm.StatePINBlocked},
		{"locked", leakyPIN, pkcs11.CKR_PIN_LOCKED, hsm.StatePINBlocked},
		{"too long", strings.Repeat(leakyPIN, 23) + "abc", 0, hsm.StateMisconfigured},
		{"absurdly long", strings.Repeat(leakyPIN, 100), 0, hsm.StateMisconfigured},
		{"two lines", leakyPIN + "\n" + leakyPIN + "\n", 0, hsm.StateMisconfigured},
		{"zero byte", leakyPIN + "\x00", 0, hsm.StateMisconfigured},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			word := faults(t)
			made := makeToken(t, unique("leak"), "p256")
			word[loginRV].Store(uint64(test.code))
			text, _ := otherPIN(t, made, test.content, 0o600)
			record := filepath.Join(t.TempDir(), "record.db")
			db, err := openSQLite(record)
			if err != nil {
				t.Fatal(err)
			}
			cfg := config(text)
			cfg.Guard = hsm.NewSQLGuard(withTable(t, db, "sqlite"), cfg.Now)
			var out sink
			token := startLoud(t, cfg, &out)
			awaitState(t, token, test.want)
			_, keyErr := token.Key(t.Context())
			_, signErr := token.Sign(t.Context(), "", []byte(leakyPIN+" is signed, not logged"))
			out.say(t, keyErr, signErr, token, cfg, token.Health(), token.Unseal(t.Context(), []byte(leakyPIN)))
			if err := token.Close(); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), "PIN") {
				t.Errorf("nothing was said of the PIN: %s", out.String())
			}
			noPIN(t, out.String(), leakyPIN)
			for _, file := range []string{record, record + "-wal"} {
				content, err := os.ReadFile(file)
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
				noPIN(t, string(content), leakyPIN)
			}
		})
	}
}

// The same of a PIN that an operator gives.
func TestPINIsNowhereAfterARefusedUnseal(t *testing.T) {
	t.Parallel()
	made := makeToken(t, unique("leak"), "p256")
	cfg := config(uri(t, made, func(u *hsm.URI) { u.PINSource = "" }))
	var out sink
	token := startLoud(t, cfg, &out)
	awaitState(t, token, hsm.StatePINNeeded)
	for _, pin := range []string{leakyPIN, leakyPIN, strings.Repeat(leakyPIN, 23) + "abc", strings.Repeat(leakyPIN, 100), leakyPIN + "\n" + leakyPIN} {
		err := token.Unseal(t.Context(), []byte(pin))
		if err == nil {
			t.Fatal("the token took a wrong PIN")
		}
		out.say(t, err, token, token.Health())
		awaitState(t, token, hsm.StatePINNeeded)
	}
	noPIN(t, out.String(), leakyPIN)
}

// A URI or configuration with a PIN in it is refused without repeating it.
func TestPINIsNowhereAfterARefusedURI(t *testing.T) {
	t.Parallel()
	var out sink
	for _, text := range []string{
		"pkcs11:token=a?module-path=/p11.so&pin-value=" + leakyPIN, "pkcs11:token=a;pin-value=" + leakyPIN + "?module-path=/p11.so",
		"pkcs11:token=a?module-path=/p11.so&pin-source=" + leakyPIN, "pkcs11:token=a?module-path=/p11.so&pin-source=data:," + leakyPIN,
		"pkcs11:token=a?module-path=/p11.so&PIN-VALUE=" + leakyPIN, "pkcs11:token=a?module-path=/p11.so&x-pin=" + leakyPIN,
		"pkcs11:token=a?module-path=/p11.so&pin-value=%37%33%35" + leakyPIN[3:] + "%",
	} {
		cfg := plainConfig()
		cfg.URI = text
		token, err := hsm.New(cfg)
		if token != nil || !errors.Is(err, hsm.ErrConfig) {
			t.Errorf("taken: %v", err)
		}
		out.say(t, err, cfg)
	}
	noPIN(t, out.String(), leakyPIN)
}

// The search finds what it must find, in each form.
func TestFindPIN(t *testing.T) {
	t.Parallel()
	for name, form := range forms(leakyPIN) {
		if len(find("token: "+strings.ToUpper(form)+"!", leakyPIN)) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
	if found := find("the PIN was refused, 7351 times", leakyPIN); found != nil {
		t.Errorf("found where it is not: %s", found)
	}
}

// A spy driver is refused under another name, too.
func TestSpyBehindALink(t *testing.T) {
	t.Parallel()
	made := makeToken(t, unique("spy"), "p256")
	dir := t.TempDir()
	module, err := os.ReadFile(lab.module)
	if err != nil {
		t.Fatal(err)
	}
	spy, link := filepath.Join(dir, "pkcs11-spy.so"), filepath.Join(dir, "harmless.so")
	if err := errors.Join(os.WriteFile(spy, module, 0o600), os.Symlink(spy, link)); err != nil {
		t.Fatal(err)
	}
	cfg := config(uri(t, made, func(u *hsm.URI) { u.ModulePath = link }))
	if _, err := hsm.LogIn(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), "spy") {
		t.Errorf("an operator's login: %v", err)
	}
	token := start(t, cfg)
	token.await(t, hsm.StateMisconfigured)
	if h := token.Health(); h.Logins != 0 || !strings.Contains(h.Reason, "spy") {
		t.Errorf("health %+v", h)
	}
}

// startLoud starts a Token that logs everything.
func startLoud(t *testing.T, cfg hsm.Config, out *sink) *hsm.Token {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	token, err := hsm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	token.Start(t.Context())
	t.Cleanup(func() {
		if err := token.Close(); err != nil {
			t.Error(err)
		}
	})
	return token
}

func awaitState(t *testing.T, token *hsm.Token, want hsm.State) {
	t.Helper()
	until(t, string(want), func() bool { return token.Health().State == want })
}
