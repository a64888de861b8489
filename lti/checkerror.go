package lti

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"
)

var (
	// ErrCookieLost marks the refusal with CodeCookieLost: the browser did not send the
	// cookie of this login back, as browsers do that block cookies in frames.
	ErrCookieLost = errors.New("the browser did not keep the cookie of this login")
	// ErrLaunchByGET marks the refusal with CodeLaunchByGET: somebody reloaded or
	// bookmarked the launch address.
	ErrLaunchByGET = errors.New("the launch address was opened directly")
)

// CheckError is the refusal of a login or a launch: which check failed and what to do.
// It wraps ErrCookieLost and ErrLaunchByGET where they apply.
type CheckError struct {
	Code   string // stable, one of the Code constants
	Step   Step   // the part of the launch to which the check belongs
	Status int    // HTTP status of the answer
	// Expected and Received are safe to show: cut to a fair length, without control
	// characters, secrets masked. They come from outside: escape them in pages.
	Expected string
	Received string
	Advice   string // a sentence in English that says what to do
	// Hint is for the administrators of the tool only: it may tell which platforms are
	// registered. Never show it to whoever sent the request.
	Hint string
	// RegistrationID is set once the registration is known, for the log.
	RegistrationID string
	err            error
}

// Error implements error.
func (e *CheckError) Error() string {
	var b strings.Builder
	b.WriteString("lti check ")
	b.WriteString(e.Code)
	if e.Expected != "" {
		fmt.Fprintf(&b, ": expected %q", e.Expected)
	}
	if e.Received != "" {
		fmt.Fprintf(&b, ": received %q", e.Received)
	}
	if e.err != nil {
		fmt.Fprintf(&b, ": %v", e.err)
	}
	return b.String()
}

// Unwrap returns the cause, if there is one.
func (e *CheckError) Unwrap() error { return e.err }

// LogValue implements slog.LogValuer.
func (e *CheckError) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("code", e.Code), slog.Int("status", e.Status)}
	for _, a := range []struct{ key, value string }{
		{"registration", e.RegistrationID}, {"expected", e.Expected}, {"received", e.Received}, {"hint", e.Hint},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if e.err != nil {
		attrs = append(attrs, slog.String("cause", e.err.Error()))
	}
	return slog.GroupValue(attrs...)
}

// Codes returns all codes a CheckError can have, sorted, so that translations can be
// tested for completeness.
func Codes() []string { return slices.Sorted(maps.Keys(refusals)) }

// refuse builds the refusal for a code of the table. expected and received may be empty.
func refuse(code, expected, received string) *CheckError {
	r, ok := refusals[code]
	if !ok { // a code missing in the table is a mistake of ours; a test walks all uses
		r = refusal{StepRequest, http.StatusInternalServerError, ""}
	}
	return &CheckError{Code: code, Step: r.step, Status: r.status, Expected: show(expected), Received: show(received), Advice: r.advice}
}

// because adds the cause.
func (e *CheckError) because(err error) *CheckError {
	e.err = err
	return e
}

const shownLength = 120

// show makes a value from outside fit for a page and a log line.
func show(s string) string {
	if len(s) <= shownLength && plainASCII(s) { // most are
		return s
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if isControl(r) || isBidiControl(r) {
			return -1
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > shownLength {
		return string(runes[:shownLength]) + "…"
	}
	return s
}

// plainASCII reports whether s has nothing but printable ASCII characters.
func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// mask keeps the first characters of a secret, enough to compare two log lines.
func mask(s string) string {
	if len(s) <= 8 {
		return "…"
	}
	return show(s[:4]) + "…"
}

func isControl(r rune) bool { return unicode.IsControl(r) }

// isBidiControl recognises the characters by which text can be made to read differently
// from what it says.
func isBidiControl(r rune) bool {
	return r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0x200E || r == 0x200F || r == 0x061C
}
