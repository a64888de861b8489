package queuetest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/queuetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(*testing.T) queuetest.Pair {
		m := new(queuetest.Memory)
		return queuetest.Pair{One: m, Two: m, Expire: m.Expire}
	})
}

func TestMemoryBreaks(t *testing.T) {
	t.Parallel()
	m, down := new(queuetest.Memory), errors.New("down")
	m.Break(down)
	_, lenErr := m.Len(t.Context())
	_, nextErr := m.Next(t.Context(), 1, time.Minute)
	for _, err := range []error{lenErr, nextErr, m.Push(t.Context(), "a"), m.Done(t.Context())} {
		if !errors.Is(err, down) {
			t.Errorf("got %v, want %v", err, down)
		}
	}
	m.Break(nil)
	if err := m.Push(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	m.Lose()
	if n, err := m.Len(t.Context()); n != 0 || err != nil {
		t.Errorf("%d jobs after Lose, %v", n, err)
	}
}
