package issuance_test

import (
	"errors"
	"sync"
)

var errKilled = errors.New("killed")

// dieAt returns a Step that kills the worker before the nth step of this name.
func dieAt(name string, nth int) func(string) error {
	var mu sync.Mutex
	return func(step string) error {
		mu.Lock()
		defer mu.Unlock()
		if step == name {
			nth--
		}
		if nth <= 0 {
			return errKilled
		}
		return nil
	}
}
