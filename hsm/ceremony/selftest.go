//go:build cgo

package ceremony

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

// signatures is how many SelfTest makes.
const signatures = 20

// SelfTest proves that the token seals: it reads how the key is protected, lets the service's
// own code find and prove the key, makes 20 signatures, verifies each a second time, judges
// the certificate, and signs the record of all this. who are the people at the ceremony.
//
// It returns the record also when something in it failed. It is an error when the token
// does not sign; then there is no record.
func SelfTest(ctx context.Context, cfg hsm.Config, pin []byte, who []string, e Expected) (Record, []byte, error) {
	r := Record{Who: who, When: cfg.Now().UTC().Truncate(time.Second), Host: cfg.Host}
	uri, err := hsm.ParseURI(cfg.URI)
	if err != nil {
		return r, nil, fmt.Errorf("%w: %w", hsm.ErrConfig, err)
	}
	keys, err := r.look(ctx, uri, cfg, pin)
	if err != nil {
		return r, nil, err
	}
	var file []byte
	err = withToken(ctx, cfg, pin, func(t *hsm.Token, key hsm.Key) error {
		i := slices.IndexFunc(keys, func(k Key) bool { return samePublic(k.Public, key.Chain[0].PublicKey) })
		if i < 0 {
			return fmt.Errorf("%w: the key that signs is none of those that the token lists", ErrNoKey)
		}
		r.Key = RecordKey{ID: hex.EncodeToString(keys[i].ID), Type: keys[i].Type, Alg: key.Alg, Attributes: keys[i].Attributes}
		r.Certificate = describeCertificate(key.Chain[0])
		if err := r.measure(ctx, cfg.Now, t, key); err != nil {
			return err
		}
		r.Findings = append([]Finding{keys[i].Attributes.Finding(), r.Speed.finding()}, ExamineCertificate(key.Chain[0], e)...)
		file, err = signRecord(r, key.Alg, key.Chain[0], func(input []byte) ([]byte, error) { return t.Sign(ctx, key.ID, input) })
		return err
	})
	return r, file, err
}

// look reads token and keys in a session that is closed again: some tokens have few.
func (r *Record) look(ctx context.Context, uri hsm.URI, cfg hsm.Config, pin []byte) ([]Key, error) {
	s, err := Open(ctx, cfg, pin)
	if err != nil {
		return nil, err
	}
	keys, err := s.Keys()
	r.Token = RecordToken{Label: s.Label(), Serial: s.Serial(), Driver: uri.ModulePath}
	if driver, surveyErr := Survey(uri); surveyErr == nil {
		r.Token.DriverBuild = driver.Version
		for _, slot := range driver.Find(hsm.URI{Token: s.Label(), Serial: s.Serial()}) {
			r.Token.Model, r.Token.Manufacturer, r.Token.Firmware = slot.Token.Model, slot.Token.Manufacturer, slot.Token.Firmware
		}
	}
	return keys, errors.Join(err, s.Close(ctx))
}

func (r *Record) measure(ctx context.Context, now func() time.Time, t *hsm.Token, key hsm.Key) error {
	took := make([]time.Duration, 0, signatures)
	var all time.Duration
	for range signatures {
		input := noise()
		begun := now()
		sig, err := t.Sign(ctx, key.ID, input)
		spent := now().Sub(begun)
		if err != nil {
			return fmt.Errorf("make a signature: %w", err)
		}
		if !verifies(key.Chain[0].PublicKey, key.Alg, input, sig) || verifies(key.Chain[0].PublicKey, key.Alg, noise(), sig) {
			return fmt.Errorf("verify a signature: %w", hsm.ErrSignature)
		}
		took, all = append(took, spent), all+spent
	}
	slices.Sort(took)
	const ms = float64(time.Millisecond)
	r.Speed = Speed{Signatures: signatures, MedianMS: float64(took[signatures/2]) / ms, SlowestMS: float64(took[signatures-1]) / ms}
	if all > 0 {
		r.Speed.PerSecond = signatures / all.Seconds()
	}
	return nil
}

// noise is an input that can never be the beginning of a JWS.
func noise() []byte {
	nonce := make([]byte, 32)
	_, _ = rand.Read(nonce) // never fails
	return append([]byte("sealsmith-hsm-selftest\x00"), nonce...)
}

func (s Speed) finding() Finding {
	return Finding{
		Check: "signatures", Outcome: OK,
		Seen: fmt.Sprintf("%d made and verified, %.1f per second one after the other, the slowest took %.0f ms", s.Signatures, s.PerSecond, s.SlowestMS),
	}
}

// withToken connects as the service does, gives the PIN when one is waited for, and closes.
func withToken(ctx context.Context, cfg hsm.Config, pin []byte, do func(*hsm.Token, hsm.Key) error) error {
	t, err := hsm.New(cfg)
	if err != nil {
		return err
	}
	t.Start(ctx)
	key, err := t.Key(ctx)
	if paused, ok := errors.AsType[*hsm.PausedError](err); ok && paused.State == hsm.StatePINNeeded {
		if err = t.Unseal(ctx, pin); err == nil {
			key, err = t.Key(ctx)
		}
	}
	if err == nil {
		err = do(t, key)
	}
	return errors.Join(err, t.Close())
}

// Bench measures signatures per second with a number of sessions, through the service's own
// code and with its verification, for about the given time.
func Bench(ctx context.Context, cfg hsm.Config, pin []byte, sessions int, each time.Duration) (Rate, error) {
	uri, err := hsm.ParseURI(cfg.URI)
	if err != nil {
		return Rate{}, fmt.Errorf("%w: %w", hsm.ErrConfig, err)
	}
	uri.Sessions = sessions
	cfg.URI = uri.Unredacted()
	r := Rate{Asked: sessions}
	err = withToken(ctx, cfg, pin, func(t *hsm.Token, key hsm.Key) error {
		begun := cfg.Now()
		over := func() bool { return cfg.Now().Sub(begun) >= each }
		// One signature more is under way than there are sessions: none waits for work.
		made, err := signUntil(ctx, over, t, key, sessions+1)
		took := cfg.Now().Sub(begun)
		r.Signatures, r.Sessions = int(made), t.Health().Sessions
		if took > 0 {
			r.PerSecond = float64(made) / took.Seconds()
		}
		return err
	})
	if err != nil {
		return Rate{}, fmt.Errorf("measure with %d sessions: %w", sessions, err)
	}
	return r, nil
}

// signUntil signs from several callers, each at least once, and counts.
func signUntil(ctx context.Context, over func() bool, t *hsm.Token, key hsm.Key, callers int) (int64, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var made atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for {
				if _, err := t.Sign(ctx, key.ID, noise()); err != nil {
					stop(err)
					return
				}
				made.Add(1)
				if over() {
					return
				}
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return made.Load(), nil
}
