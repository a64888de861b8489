//go:build cgo

package hsm_test

import (
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"
)

// control is the file through which a fault injector is told and asked.
type control = [words]atomic.Uint64

// newControl maps a control file of its own, for an injector in another process.
func newControl(t *testing.T, path string) *control {
	t.Helper()
	if err := os.WriteFile(path, make([]byte, words*8), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	mem, err := syscall.Mmap(int(file.Fd()), 0, words*8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	return (*control)(unsafe.Pointer(&mem[0]))
}
