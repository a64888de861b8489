package kit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lock waits until no other process replaces the folder.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the folder of the kit: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil { //nolint:gosec // a descriptor is small
		return nil, errors.Join(fmt.Errorf("lock the folder of the kit: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}

// swap exchanges two folders in one step of the file system.
func swap(fresh, dir string) error {
	err := unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		err = os.Rename(fresh, dir)
	case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS): // the file system cannot
		return swapSlowly(fresh, dir)
	}
	if err != nil {
		return fmt.Errorf("put the kit in its place: %w", err)
	}
	return nil
}
