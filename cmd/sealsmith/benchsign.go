//go:build cgo

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/demotoken"
)

// signLine is one measured line: signatures a second through hsm, which verifies each,
// beside bare C_SignInit and C_Sign with the same key and number of sessions. Both take
// turns of a tenth of a second, because other work on the machine comes and goes; the
// ratio is the middle one of all turns. A machine whose processors are all busy cannot
// verify beside signing: there cpu_us says what the ratio must be.
type signLine struct {
	Bench           string  `json:"bench"`
	Key             string  `json:"key"`
	Sessions        int     `json:"sessions"`
	PerSecond       float64 `json:"hsm_per_s"`
	RawPerSecond    float64 `json:"raw_c_sign_per_s"`
	Ratio           float64 `json:"ratio"`
	CPUMicroseconds float64 `json:"cpu_us_per_signature"` // with its verification
	RawMicroseconds float64 `json:"cpu_us_per_c_sign"`
	Allocations     float64 `json:"allocations_per_signature"`
	Bytes           float64 `json:"bytes_per_signature"`
}

const signTurn = 100 * time.Millisecond

// signing measures each kind of key with one session and with one per processor.
func (b bench) signing(ctx context.Context, during time.Duration) error {
	if during == 0 {
		return nil
	}
	for _, kind := range []string{"rsa2048", "rsa3072", "rsa4096", "p256"} {
		made, err := demotoken.Make(ctx, demotoken.Options{
			Dir: b.tokens(), Label: "bench-" + kind, KeyType: kind, Now: time.Now, Rand: rand.Reader,
		})
		if err != nil {
			return err
		}
		for _, sessions := range slices.Compact([]int{1, runtime.NumCPU()}) {
			line, err := signBeside(ctx, made.TokenURI, sessions, max(1, int(during/signTurn/2)))
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			line.Bench, line.Key, line.Sessions = "sign", kind, sessions
			if err := b.out.Encode(line); err != nil {
				return err
			}
		}
	}
	return nil
}

// benchGuard keeps no record: the token was made for this run and goes with it.
type benchGuard struct{}

func (benchGuard) Begin(context.Context, string, string, string) error { return nil }
func (benchGuard) Finish(context.Context, string, string, bool) error  { return nil }
func (benchGuard) Allowed(context.Context, string) (bool, error)       { return false, nil }

// signBeside starts the token of uri and lets it and bare calls take turns.
func signBeside(ctx context.Context, uri string, sessions, turns int) (signLine, error) {
	token, err := hsm.New(hsm.Config{
		URI: uri, Sessions: sessions, Guard: benchGuard{}, PINSecret: make([]byte, 16), Now: time.Now,
	})
	if err != nil {
		return signLine{}, err
	}
	token.Start(ctx)
	line, err := takeTurns(ctx, token, uri, sessions, turns)
	return line, errors.Join(err, token.Close())
}

func takeTurns(ctx context.Context, token *hsm.Token, uri string, sessions, turns int) (signLine, error) {
	key, err := token.Key(ctx)
	if err != nil {
		return signLine{}, err
	}
	alone, err := newRawKey(uri)
	if err != nil {
		return signLine{}, err
	}
	open, err := alone.open(sessions)
	if err != nil {
		return signLine{}, err
	}
	defer func() { _ = closeAll(open) }() // the line is the news
	bare := func(i int, until time.Time) (int, error) { return open[i].sign(until) }
	through := func(_ int, until time.Time) (int, error) { return signThrough(ctx, token, key, until) }
	var line signLine
	ratios := make([]float64, turns)
	for turn := range turns {
		raw, err := measureRate(sessions, signTurn, bare)
		if err != nil {
			return signLine{}, err
		}
		before := allocated()
		// More callers than sessions: some wait, some verify.
		ours, err := measureRate(2*sessions+2, signTurn, through)
		if err != nil {
			return signLine{}, err
		}
		after, made := allocated(), ours.perSecond*signTurn.Seconds()
		part := 1 / float64(turns)
		ratios[turn] = ours.perSecond / raw.perSecond
		line.PerSecond += part * ours.perSecond
		line.RawPerSecond += part * raw.perSecond
		line.CPUMicroseconds += part * ours.cpu
		line.RawMicroseconds += part * raw.cpu
		line.Allocations += part * float64(after.Mallocs-before.Mallocs) / made
		line.Bytes += part * float64(after.TotalAlloc-before.TotalAlloc) / made
	}
	slices.Sort(ratios)
	line.Ratio = ratios[turns/2]
	return line, nil
}

func allocated() (m runtime.MemStats) {
	runtime.ReadMemStats(&m)
	return m
}

func signThrough(ctx context.Context, token *hsm.Token, key hsm.Key, until time.Time) (int, error) {
	n := 0
	for ; time.Now().Before(until); n++ {
		if _, err := token.Sign(ctx, key.ID, []byte("header.payload")); err != nil {
			return n, err
		}
	}
	return n, nil
}
