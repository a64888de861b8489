//go:build cgo

package hsm_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

// The measures of `make bench` that need a fault injector: a token that does one thing at a
// time and takes 50 ms for it, as a card does, and one that is pulled.

// BenchmarkSerialToken has b.N documents that wait for one such token, or for two with keys
// of their own: either all of them before the tokens at once, or in a queue from which as
// many callers take them as a worker has for these tokens. Who waits before a token has
// chosen it, so the second way shares better. Utilisation is the time that the tokens were
// busy, of the time that has passed: 1 and 2 are what cannot be beaten. On a machine that has
// other things to do a token of 50 ms takes longer to wake up; of-50ms holds that against us.
func BenchmarkSerialToken(b *testing.B) {
	for _, count := range []int{1, 2} {
		b.Run(fmt.Sprint("tokens=", count, "/all-before-them"), func(b *testing.B) { serialTokens(b, count, b.N) })
		b.Run(fmt.Sprint("tokens=", count, "/by-a-worker"), func(b *testing.B) { serialTokens(b, count, count+1) })
	}
}

func serialTokens(b *testing.B, count, parallel int) {
	b.Helper()
	const takes = 50 * time.Millisecond
	word := faults(b)
	var devices []hsm.Device
	for n := range count {
		cfg := config(makeToken(b, fmt.Sprint("serial-", n), "p256").TokenURI)
		cfg.Sessions = 1
		token := start(b, cfg)
		token.await(b, hsm.StateReady)
		devices = append(devices, token.Token)
	}
	pool := hsm.NewPool(time.Now, devices...)
	word[signDelay].Store(uint64(takes.Microseconds()))
	word[busy].Store(0)
	queue := make(chan struct{}, b.N)
	for range b.N {
		queue <- struct{}{}
	}
	close(queue)
	b.ResetTimer()
	var callers sync.WaitGroup
	for range parallel {
		callers.Go(func() {
			for range queue {
				if err := poolSigns(b, pool); err != nil {
					b.Error(err)
				}
			}
		})
	}
	callers.Wait()
	b.ReportMetric(float64(word[busy].Load())/float64(b.Elapsed().Microseconds()), "utilisation")
	b.ReportMetric(float64(b.N)*takes.Seconds()/b.Elapsed().Seconds(), "of-50ms")
}

// poolSigns does what a worker does with one document.
func poolSigns(tb testing.TB, pool *hsm.Pool) error {
	tb.Helper()
	input := []byte("header.payload")
	key, err := pool.Key(tb.Context())
	if err != nil {
		return err
	}
	sig, err := pool.Sign(tb.Context(), key.ID, input)
	if err != nil {
		return err
	}
	return verify(key, input, sig)
}

// BenchmarkRecovery pulls a token and puts it back at any moment between two polls. The
// measure is the time from there to the first signature, in ms and in poll intervals.
func BenchmarkRecovery(b *testing.B) {
	made := makeToken(b, "recovery", "p256")
	serial, err := strconv.ParseUint(made.Serial, 16, 64)
	if err != nil {
		b.Fatal(err)
	}
	word := faults(b)
	const poll = 200 * time.Millisecond
	var sum, longest time.Duration
	for range b.N {
		cfg := config(made.TokenURI)
		cfg.PollInterval = poll
		token := start(b, cfg)
		token.await(b, hsm.StateReady)
		word[pulled].Store(serial)
		token.await(b, hsm.StateAbsent)
		time.Sleep(poll + rand.N(poll))
		word[pulled].Store(0)
		begun := time.Now()
		for err := token.sign(b); err != nil; err = token.sign(b) {
			if !errors.Is(err, hsm.ErrPaused) {
				b.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		took := time.Since(begun)
		sum, longest = sum+took, max(longest, took)
		if err := token.Close(); err != nil {
			b.Fatal(err)
		}
	}
	mean := sum / time.Duration(b.N)
	b.ReportMetric(float64(mean.Microseconds())/1000, "ms-mean")
	b.ReportMetric(mean.Seconds()/poll.Seconds(), "polls-mean")
	b.ReportMetric(longest.Seconds()/poll.Seconds(), "polls-most")
}
