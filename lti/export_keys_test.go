package lti

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// MaxKeysPlatforms is how many key sets are kept.
const MaxKeysPlatforms = maxKeysPlatforms

// KeysRefetch is how often a key set is read again for a key that is not in it.
const KeysRefetch = keysRefetch

// PlatformKeys is the cache of key sets, for tests of its own.
type PlatformKeys struct{ keys *platformKeys }

// NewPlatformKeys makes one.
func NewPlatformKeys(client func(Registration) *http.Client, now func() time.Time) PlatformKeys {
	return PlatformKeys{newPlatformKeys(client, now, slog.New(slog.DiscardHandler))}
}

// Find returns how many keys there are of this kid. No such key is 0 and no error; a weak
// one is -1.
func (p PlatformKeys) Find(ctx context.Context, r Registration, kid string) (int, error) {
	found, err := p.keys.find(ctx, r, kid)
	switch {
	case errors.Is(err, errKeyUnknown):
		return 0, nil
	case errors.Is(err, errKeyWeak):
		return -1, nil
	}
	return len(found), err
}

// Len returns how many key sets are kept.
func (p PlatformKeys) Len() int {
	p.keys.mu.Lock()
	defer p.keys.mu.Unlock()
	return len(p.keys.entries)
}
