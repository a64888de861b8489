package hsm_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

const goodURI = "pkcs11:token=seal?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secret-place/pin"

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	root := &x509.Certificate{RawIssuer: []byte("same"), RawSubject: []byte("same")}
	set := func(name string) func(string) string {
		return func(asked string) string {
			if asked == name {
				return "/usr/lib/softhsm/libsofthsm2.so"
			}
			return ""
		}
	}
	tests := []struct {
		name   string
		change func(*hsm.Config)
		says   string
	}{
		{"malformed URI", func(c *hsm.Config) { c.URI = "pkcs11" }, "begin with pkcs11:"},
		{"no driver", func(c *hsm.Config) { c.URI = "pkcs11:token=a?pin-source=/pin" }, "module-path"},
		{"relative driver", func(c *hsm.Config) { c.URI = "pkcs11:token=a?module-path=p11.so&pin-source=/pin" }, "absolute"},
		{"algorithm nobody knows", func(c *hsm.Config) { c.URI = "pkcs11:token=a?module-path=/p11.so&x-algorithm=RS1" }, "x-algorithm"},
		{"no token", func(c *hsm.Config) { c.URI = "pkcs11:model=a?module-path=/p11.so&pin-source=/pin" }, "name the token"},
		{"spy", func(c *hsm.Config) { c.URI = "pkcs11:token=a?module-path=/usr/lib/pkcs11-spy.so&pin-source=/pin" }, "spy"},
		{"spy in the environment", func(c *hsm.Config) { c.Getenv = set("PKCS11SPY") }, "PKCS11SPY"},
		{"OpenSC's debugging", func(c *hsm.Config) { c.Getenv = set("OPENSC_DEBUG") }, "OPENSC_DEBUG"},
		{"no guard", func(c *hsm.Config) { c.Guard = nil }, "Guard"},
		{"no secret", func(c *hsm.Config) { c.PINSecret = nil }, "PINSecret"},
		{"short secret", func(c *hsm.Config) { c.PINSecret = []byte("short") }, "PINSecret"},
		{"no clock", func(c *hsm.Config) { c.Now = nil }, "Now"},
		{"negative sessions", func(c *hsm.Config) { c.Sessions = -1 }, "negative"},
		{"negative time", func(c *hsm.Config) { c.SignTimeout = -1 }, "negative"},
		{"root in the chain", func(c *hsm.Config) { c.Chain = []*x509.Certificate{root} }, "root"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := plainConfig()
			test.change(&cfg)
			token, err := hsm.New(cfg)
			if token != nil || !errors.Is(err, hsm.ErrConfig) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error that says %q", err, test.says)
			}
		})
	}
	if _, err := hsm.New(plainConfig()); err != nil {
		t.Errorf("a driver that may appear later is no mistake: %v", err)
	}
}

func plainConfig() hsm.Config {
	return hsm.Config{URI: goodURI, Guard: hsm.NewSQLGuard(nil, time.Now), PINSecret: []byte("very secret bytes"), Now: time.Now}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	cfg := plainConfig()
	token, err := hsm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := hsm.ParseURI(goodURI)
	if err != nil {
		t.Fatal(err)
	}
	malformed := cfg
	malformed.URI = "pkcs11:token=a?pin-value=secret-place"
	for _, value := range []any{cfg, &cfg, token, uri, &uri, malformed, struct{ Inner hsm.Config }{cfg}, []hsm.URI{uri}} {
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatalf("%T: %v", value, err)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("value", "value", value)
		slog.New(slog.NewTextHandler(&log, nil)).Info("value", "value", value)
		for _, text := range []string{
			fmt.Sprintf("%v", value), fmt.Sprintf("%+v", value), fmt.Sprintf("%#v", value), fmt.Sprintf("%s", value),
			string(encoded), log.String(),
		} {
			for _, secret := range []string{"secret", "softhsm2.so", fmt.Sprintf("%d", []byte("very secret bytes")), "76657279"} {
				if strings.Contains(text, secret) {
					t.Errorf("%T prints %q in %s", value, secret, text)
				}
			}
		}
	}
}
