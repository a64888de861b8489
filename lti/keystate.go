package lti

import (
	"fmt"
	"io"
	"log/slog"
	"time"
)

// KeyState says what a tool key does at a moment.
type KeyState string

// The states of a tool key, in the order of its life.
const (
	KeyPublished KeyState = "published" // platforms may fetch it; it does not sign yet
	KeySigns     KeyState = "signs"
	KeyStandsBy  KeyState = "stands by" // may sign, but a younger one does
	KeyRetired   KeyState = "retired"   // signs no more; still published
	KeyExpired   KeyState = "expired"   // no longer published
)

// KeyInfo is what may be told about a tool key.
type KeyInfo struct {
	KID            string    `json:"kid"`
	State          KeyState  `json:"state"`
	Words          string    `json:"words"` // the state in a few words, with its time
	CreatedAt      time.Time `json:"created_at"`
	SignsFrom      time.Time `json:"signs_from"`
	SignsUntil     time.Time `json:"signs_until,omitzero"`     // zero: no end is set
	PublishedUntil time.Time `json:"published_until,omitzero"` // zero: no end is set
}

// DescribeKeys tells about keys, in their order, what each does at now.
func DescribeKeys(keys []ToolKey, now time.Time) []KeyInfo {
	signer := signerAt(keys, now)
	all := make([]KeyInfo, len(keys))
	for i, k := range keys {
		all[i] = describeKey(k, i == signer, now)
	}
	return all
}

func describeKey(k ToolKey, signs bool, now time.Time) KeyInfo {
	info := KeyInfo{KID: k.KID, CreatedAt: k.CreatedAt.UTC(), SignsFrom: k.signsFrom().UTC()}
	if !k.RetiredAt.IsZero() {
		info.SignsUntil = k.RetiredAt.UTC()
		info.PublishedUntil = k.RetiredAt.Add(KeyOverlap).UTC()
	}
	switch {
	case signs && !k.RetiredAt.IsZero():
		info.State, info.Words = KeySigns, "signs, until "+minute(info.SignsUntil)
	case signs:
		info.State, info.Words = KeySigns, "signs"
	case !k.RetiredAt.IsZero() && !now.Before(info.PublishedUntil):
		info.State, info.Words = KeyExpired, "retired, no longer published"
	case k.retiredAt(now):
		info.State, info.Words = KeyRetired, "retired, published until "+minute(info.PublishedUntil)
	case k.signsFrom().After(now):
		info.State, info.Words = KeyPublished, "published, signs from "+minute(info.SignsFrom)
	default:
		info.State, info.Words = KeyStandsBy, "stands by, a younger key signs"
	}
	return info
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Secret is something that must not be seen: however it is printed, it reads "redacted".
type Secret []byte

const redacted = "redacted"

// Format implements fmt.Formatter.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, for JSON and XML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
