package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps the memory of this process, which holds a PIN, out of core dumps and away
// from debuggers of the same user.
func harden() error {
	limit := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	dumpable := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	if err := errors.Join(limit, dumpable); err != nil {
		return fmt.Errorf("forbid core dumps, which would hold the PIN: %w", err)
	}
	return nil
}
