package lti_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// zeros is a source whose states are the same in every process of the fuzzer.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// FuzzState makes a state of whatever comes, opens it again, and opens whatever comes.
// Only what this installation has made opens, whole and in time, and what is derived from
// it tells nothing about the rest.
func FuzzState(f *testing.F) {
	secret, foreign := []byte("a secret of thirty-two bytes or so"), []byte("another secret of thirty-two bytes")
	const registration = "01a20b3f-92dc-7ced-a691-ce6b162a7bd9"
	made := must(lti.MakeState(secret, zeros{}, registration, "1", "_parent", start))
	f.Add(made.Text, "1", "_parent", int64(0), 3, byte(1))
	f.Add(made.Text[:len(made.Text)-1], "", "", int64(599), 0, byte(255))
	f.Add(made.Text+"=", strings.Repeat("ü", 200), "post_message_forwarding", int64(600), 80, byte(7))
	f.Add(must(lti.MakeState(foreign, zeros{}, registration, "", "", start)).Text, "", "", int64(-61), 5, byte(1))
	f.Add("", "\x00", "", int64(1), 1, byte(1))
	f.Fuzz(func(t *testing.T, text, deployment, storage string, age int64, at int, change byte) {
		if got, err := lti.OpenState(secret, text, start); err == nil && got.Text != made.Text {
			t.Errorf("%q opens", text)
		}
		if len(storage) > 64 || len(deployment) > 255 { // the login takes no others
			return
		}
		s := must(lti.MakeState(secret, rand.Reader, registration, deployment, storage, start))
		if len(s.Text) > 255 || strings.Trim(s.Text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("the state is %q", s.Text)
		}
		got, err := lti.OpenState(secret, s.Text, start)
		if err != nil || got.Registration != registration || got.Storage != storage || !got.Began.Equal(start) || got.Session != s.Session {
			t.Errorf("%+v opens as %+v, %v", s, got, err)
		}
		if !got.Allows(deployment) || got.Allows(deployment+"x") && deployment != "" {
			t.Errorf("allows %v, and another %v", got.Allows(deployment), got.Allows(deployment+"x"))
		}
		age %= 1 << 30
		if _, err := lti.OpenState(secret, s.Text, start.Add(time.Duration(age)*time.Second)); (err == nil) != (age >= -60 && age < 600) {
			t.Errorf("%d seconds later: %v", age, err)
		}
		if _, err := lti.OpenState(foreign, s.Text, start); err == nil {
			t.Error("another installation opens it")
		}
		if at = at % len(s.Text); at >= 0 && s.Text[at]^change != s.Text[at] {
			if _, err := lti.OpenState(secret, s.Text[:at]+string(rune(s.Text[at]^change))+s.Text[at+1:], start); err == nil {
				t.Errorf("character %d changed by %d, and it opens", at, change)
			}
		}
		for i, a := range []string{s.Nonce, s.Browser, s.Stored, s.Text, s.Session} {
			for _, b := range []string{s.Nonce, s.Browser, s.Stored, s.Text, s.Session}[i+1:] {
				if strings.Contains(a, b) || strings.Contains(b, a) {
					t.Errorf("%q tells %q", a, b)
				}
			}
		}
	})
}
