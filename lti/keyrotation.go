package lti

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	toolKeyBits = 2048
	// KeyOverlap is how long a key is published before it signs, and how long after it has
	// ceased to. Platforms keep our key set for up to a day, and some refuse a key they
	// have not seen (Blackboard: "Failed to get key with kid").
	KeyOverlap = 24 * time.Hour
)

// RotatingError is returned by KeyRotation.Rotate while an earlier rotation is under way: its
// new key is published and does not sign yet. Nothing was changed.
type RotatingError struct {
	KID      string
	SignsAt  time.Time
	Previous string // kid of the key that still signs; empty: none does
}

// Error implements error.
func (e *RotatingError) Error() string {
	return fmt.Sprintf("a rotation is under way: key %s is published and signs from %s; wait until then, or replace the key at once if it has leaked",
		e.KID, e.SignsAt.UTC().Format(time.RFC3339))
}

// KeyStore keeps the tool's signing keys.
type KeyStore interface {
	// ToolKeys returns the keys to be published, the oldest first: those whose RetiredAt is
	// zero, or not yet KeyOverlap ago.
	ToolKeys(ctx context.Context) ([]ToolKey, error)
	// ChangeToolKeys calls plan once with the keys to be published, without their private
	// parts, and does what plan returns. No other change happens between the two, in this
	// process or another. An error of plan is returned as it is, and nothing is changed.
	ChangeToolKeys(ctx context.Context, plan func(have []ToolKey) (KeyChange, error)) error
}

// KeyChange is what is to be done with the tool's keys, and who wants it. The zero value
// does nothing.
type KeyChange struct {
	Add      *ToolKey
	Retire   []string  // kids whose RetiredAt is to be set
	RetireAt time.Time // to this
	Withdraw []string  // kids that are deleted: published no more
	Actor    string    // for the audit trail: "operator", "server"
}

// ToolKey is a signing key of the tool.
type ToolKey struct {
	KID       string // RFC 7638 thumbprint, SHA-256, base64url
	Private   Secret // PKCS #8 DER
	CreatedAt time.Time
	UseFrom   time.Time // from then on it signs; before, it is published only. Zero: CreatedAt
	RetiredAt time.Time // from then on it signs no more, may lie ahead; zero: no end is set
}

func (k ToolKey) signsFrom() time.Time {
	if k.UseFrom.IsZero() {
		return k.CreatedAt
	}
	return k.UseFrom
}

func (k ToolKey) retiredAt(now time.Time) bool {
	return !k.RetiredAt.IsZero() && !now.Before(k.RetiredAt)
}

// signerAt returns the index of the key that signs: the youngest that may. When none may
// yet, because a clock was set back, it is the first that will; -1 when all are retired.
func signerAt(keys []ToolKey, now time.Time) int {
	signer, next := -1, -1
	for i, k := range keys {
		switch {
		case k.retiredAt(now):
		case !k.signsFrom().After(now):
			if signer < 0 || !k.signsFrom().Before(keys[signer].signsFrom()) {
				signer = i
			}
		case next < 0 || k.signsFrom().Before(keys[next].signsFrom()):
			next = i
		}
	}
	if signer < 0 {
		return next
	}
	return signer
}

// KeyRotation changes the tool's signing keys. All fields are required. Processes that run
// see a change within a minute.
type KeyRotation struct {
	Store KeyStore
	Now   time.Time
	Rand  io.Reader // crypto/rand.Reader
	Actor string    // for the audit trail: "operator", "server"
}

// Rotate makes a new key that is published from now on and signs after KeyOverlap; the
// present one signs until then and stays published for KeyOverlap more. The first key of
// all signs at once. It fails with a *RotatingError while a rotation is under way.
func (r KeyRotation) Rotate(ctx context.Context) (ToolKey, error) {
	keys, err := r.Store.ToolKeys(ctx)
	if err != nil {
		return ToolKey{}, fmt.Errorf("read the tool keys: %w", err)
	}
	if err := r.underWay(keys); err != nil { // before the work of making a key
		return ToolKey{}, err
	}
	return r.change(ctx, r.rotate)
}

// Replace makes a new key that signs at once, and withdraws all others: they are deleted
// and not published any more. It is for a key that somebody else may have. For some
// minutes platforms that keep our old key set refuse what the new key signs.
func (r KeyRotation) Replace(ctx context.Context) (ToolKey, error) {
	return r.change(ctx, func(have []ToolKey, fresh *ToolKey) (KeyChange, error) {
		fresh.UseFrom = r.Now
		c := KeyChange{Add: fresh, Actor: r.Actor}
		for _, k := range have {
			c.Withdraw = append(c.Withdraw, k.KID)
		}
		return c, nil
	})
}

// RotateOld rotates when the key that signs has done so for maxAge, and reports whether it
// did. It may be called at any time by any number of processes; one of them rotates.
func (r KeyRotation) RotateOld(ctx context.Context, maxAge time.Duration) (bool, error) {
	keys, err := r.Store.ToolKeys(ctx)
	if err != nil {
		return false, fmt.Errorf("read the tool keys: %w", err)
	}
	i := signerAt(keys, r.Now)
	if maxAge <= 0 || i < 0 || r.Now.Sub(keys[i].signsFrom()) < maxAge || r.waiting(keys) >= 0 {
		return false, nil
	}
	_, err = r.change(ctx, r.rotate)
	_, other := errors.AsType[*RotatingError](err)
	switch {
	case err == nil:
		return true, nil
	case other: // another process was quicker
		return false, nil
	}
	return false, err
}

// first makes the first key, unless there is one that signs.
func (r KeyRotation) first(ctx context.Context) error {
	_, err := r.change(ctx, func(have []ToolKey, fresh *ToolKey) (KeyChange, error) {
		if signerAt(have, r.Now) >= 0 {
			return KeyChange{}, nil
		}
		fresh.UseFrom = r.Now
		return KeyChange{Add: fresh, Actor: r.Actor}, nil
	})
	return err
}

// rotate plans a rotation among the keys there are.
func (r KeyRotation) rotate(have []ToolKey, fresh *ToolKey) (KeyChange, error) {
	if err := r.underWay(have); err != nil {
		return KeyChange{}, err
	}
	c := KeyChange{Add: fresh, Actor: r.Actor}
	fresh.UseFrom = r.Now
	for _, k := range have {
		if !k.retiredAt(r.Now) {
			fresh.UseFrom = r.Now.Add(KeyOverlap)
			c.Retire = append(c.Retire, k.KID)
		}
	}
	c.RetireAt = fresh.UseFrom
	return c, nil
}

// underWay returns a *RotatingError when a key waits for its hour.
func (r KeyRotation) underWay(keys []ToolKey) error {
	i := r.waiting(keys)
	if i < 0 {
		return nil
	}
	e := &RotatingError{KID: keys[i].KID, SignsAt: keys[i].signsFrom()}
	if s := signerAt(keys, r.Now); s >= 0 && s != i {
		e.Previous = keys[s].KID
	}
	return e
}

// waiting returns the index of a key that does not sign yet, or -1.
func (r KeyRotation) waiting(keys []ToolKey) int {
	return slices.IndexFunc(keys, func(k ToolKey) bool { return k.signsFrom().After(r.Now) && !k.retiredAt(r.Now) })
}

// change makes a key and gives it to plan. Making one takes long, so it happens before the
// store is locked; a key that plan does not use is forgotten.
func (r KeyRotation) change(ctx context.Context, plan func(have []ToolKey, fresh *ToolKey) (KeyChange, error)) (ToolKey, error) {
	fresh, err := r.newKey()
	if err != nil {
		return ToolKey{}, err
	}
	err = r.Store.ChangeToolKeys(ctx, func(have []ToolKey) (KeyChange, error) { return plan(have, &fresh) })
	if _, refused := errors.AsType[*RotatingError](err); refused {
		return ToolKey{}, err
	}
	if err != nil {
		return ToolKey{}, fmt.Errorf("change the tool keys: %w", err)
	}
	return fresh, nil
}

func (r KeyRotation) newKey() (ToolKey, error) {
	key, err := rsa.GenerateKey(r.Rand, toolKeyBits)
	if err != nil {
		return ToolKey{}, fmt.Errorf("make a tool key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return ToolKey{}, fmt.Errorf("encode the tool key: %w", err)
	}
	public, err := publicJWK(&key.PublicKey)
	if err != nil {
		return ToolKey{}, err
	}
	return ToolKey{KID: public.KeyID(), Private: der, CreatedAt: r.Now}, nil
}
