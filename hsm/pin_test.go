package hsm

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestPINIsNotPrinted(t *testing.T) {
	t.Parallel()
	secret := pin("918273")
	encoded, err := json.Marshal(map[string]any{"pin": secret})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("value", "pin", secret)
	texts := []string{string(encoded), log.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%X"} {
		texts = append(texts, fmt.Sprintf(verb, secret), fmt.Sprintf(verb, struct{ P pin }{secret}))
	}
	for _, text := range texts {
		if strings.Contains(text, "918273") || strings.Contains(text, "393138") || strings.Contains(text, "57 49") {
			t.Errorf("the PIN is in %s", text)
		}
		if !strings.Contains(text, "redacted") {
			t.Errorf("nobody sees that something was left out of %s", text)
		}
	}
	secret.wipe()
	if string(secret) != "\x00\x00\x00\x00\x00\x00" {
		t.Error("the PIN is still in memory")
	}
}

// Two PINs, tokens, purposes or installations never share a record, and a record does not
// tell the PIN without the secret.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	one, two := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	prints := []string{
		pin("1234").fingerprint(one, "s1", purposeOne), pin("1235").fingerprint(one, "s1", purposeOne),
		pin("1234").fingerprint(one, "s2", purposeOne), pin("1234").fingerprint(one, "s1", purposeTwo),
		pin("1234").fingerprint(two, "s1", purposeOne), pin("21234").fingerprint(one, "s", purposeOne),
	}
	seen := map[string]bool{}
	for _, print := range prints {
		if len(print) != 64 || seen[print] {
			t.Errorf("fingerprint %s", print)
		}
		seen[print] = true
	}
	if again := pin("1234").fingerprint(one, "s1", purposeOne); again != prints[0] {
		t.Error("the same PIN has another fingerprint")
	}
}

const purposeOne, purposeTwo = "one", "two"
