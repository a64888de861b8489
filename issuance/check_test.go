package issuance

import (
	"errors"
	"testing"

	"github.com/sealsmith/sealsmith/issuance/elm"
)

func TestCheckedIsSpentOnce(t *testing.T) {
	t.Parallel()
	c := Checked{payload: []byte("x"), spent: new(bool)}
	copied := c
	payload, err := c.spend()
	if err != nil || string(payload) != "x" {
		t.Fatalf("got %q, %v", payload, err)
	}
	for name, spent := range map[string]Checked{"again": c, "a copy": copied, "never checked": {}, "made by hand": {payload: []byte("x")}} {
		if payload, err := spent.spend(); !errors.Is(err, ErrSpent) || payload != nil {
			t.Errorf("%s: got %q, %v", name, payload, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{"", "null", "[]", "{}", "{", `{"id":"urn:credential:1"}`} {
		checked, err := Check([]byte(payload), elm.Input{})
		refused, ok := errors.AsType[*CheckFailed](err)
		if !ok || refused.Unwrap() == nil || refused.Error() == "" {
			t.Errorf("%q: got %v", payload, err)
		}
		if _, err := checked.spend(); !errors.Is(err, ErrSpent) {
			t.Errorf("%q can be sealed", payload)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	const id = "7d1c9a54-3f0e-4f57-9b1c-0d4a6a2f7e11"
	if got, want := number("polder-7", id, 2026), "POLDER-7-2026-4A6A2-F7E11"; got != want {
		t.Errorf("number %s, want %s", got, want)
	}
}
