package hsm

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
)

const maxPIN = 256

// pin is a PIN in memory: it prints as "redacted" in every form.
type pin []byte

// Format implements fmt.Formatter for all verbs.
func (pin) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "redacted") }

// LogValue implements slog.LogValuer.
func (pin) LogValue() slog.Value { return slog.StringValue("redacted") }

// MarshalText hides the PIN from JSON.
func (pin) MarshalText() ([]byte, error) { return []byte("redacted"), nil }

func (p pin) wipe() { clear(p) }

// fingerprint is the name under which a PINGuard knows the PIN on one token; the purpose
// tells the user login from a login per signature (CKA_ALWAYS_AUTHENTICATE), because a
// token may have a PIN of its own for the latter.
func (p pin) fingerprint(secret []byte, serial, purpose string) string {
	mac := hmac.New(sha256.New, secret)
	for _, part := range []string{"sealsmith pin", purpose, serial} {
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	mac.Write(p)
	return hex.EncodeToString(mac.Sum(nil))
}

// readPIN reads the PIN file and insists that nobody else can.
func readPIN(path string) (pin, error) {
	file, err := os.Open(path) //nolint:gosec // G304: the operator names the PIN file in the configuration
	if err != nil {
		return nil, fmt.Errorf("open the PIN file: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at the PIN file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the PIN file %s is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the PIN file %s can be read by others (mode %04o): chmod 0400 it", path, info.Mode().Perm())
	}
	content, err := io.ReadAll(io.LimitReader(file, maxPIN+3))
	if err != nil {
		return nil, fmt.Errorf("read the PIN file: %w", err)
	}
	content = bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
	if problem := pinProblem(content); problem != "" {
		return nil, fmt.Errorf("the PIN file %s %s", path, problem)
	}
	return content, nil
}

// pinProblem says why a text cannot be a PIN. An empty one would start a login on a key
// pad, or spend an attempt.
func pinProblem(content []byte) string {
	switch {
	case len(content) == 0:
		return "is empty"
	case len(content) > maxPIN:
		return "holds more than a PIN"
	case bytes.ContainsAny(content, "\r\n\x00"):
		return "must hold one line, the PIN"
	}
	return ""
}
