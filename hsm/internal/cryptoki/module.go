//go:build cgo

// Package cryptoki owns the PKCS#11 modules of the process: each shared library is loaded
// once, initialised once, and every call into it passes a gate, so that a reset
// (C_Finalize and C_Initialize) never happens under a running call and no handle of before
// the reset is used after it.
//
// PKCS#11 makes this state the process's own (v2.40 section 5.4: C_Initialize is per
// application), which is why the package keeps the one package-level table of the tree.
// A library is never unloaded: vendors' libraries crash on dlclose.
//
// The package does not know what a session is used for. It fails with the module's
// pkcs11.Error, with ErrStale for a handle of an earlier epoch, with ErrBusy when a reset
// is prevented by a call that does not return, and with ErrLoad.
package cryptoki

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/miekg/pkcs11"
)

// ErrLoad is returned by Open when the file is no loadable PKCS#11 module.
var ErrLoad = errors.New("the module cannot be loaded")

// ErrStale is returned by Do when the module was reset since the caller's epoch: all its
// sessions, handles and logins are gone.
var ErrStale = errors.New("the module was reset")

// ErrBusy is returned by Reset when a call into the module does not return.
var ErrBusy = errors.New("a call hangs in the module")

// ErrForeign is returned by Reset when another library of this process initialised the
// module first; then it is not ours to finalise.
var ErrForeign = errors.New("the module was initialised by another library of this process")

// ErrSetting is returned by Open when the module was initialised with another setting or
// another text for pReserved.
var ErrSetting = errors.New("the module is in use with another setting")

// modules holds the loaded modules by canonical path: loading is process-wide in C.
var modules = struct {
	sync.Mutex
	byPath map[string]*Module
}{byPath: map[string]*Module{}}

// Module is one loaded and initialised PKCS#11 library. It is safe for concurrent use; a
// session of it is not.
type Module struct {
	ctx     *pkcs11.Ctx
	setting string
	options reserved
	foreign bool
	single  *sync.Mutex // not nil: the module cannot lock, all calls are made one by one
	login   chan struct{}

	mu       sync.Mutex
	epoch    uint64
	calls    int           // calls inside the module
	idle     chan struct{} // not nil: a reset waits, closed when calls is 0
	reopened chan struct{} // not nil: new calls wait until the reset is over
	down     bool          // the last C_Initialize failed
	sessions int           // open sessions of this epoch
}

// Open loads and initialises the module at path, or returns the one that is loaded. The
// setting names what the library reads from the environment when it is initialised (for
// SoftHSM its configuration file), and parameters is the text that the library wants in
// pReserved of C_Initialize (NSS softokn: the folder of its database). Two callers that
// both name one must name the same.
func Open(path, setting, parameters string) (*Module, error) {
	canonical, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLoad, err)
	}
	modules.Lock()
	defer modules.Unlock()
	if m := modules.byPath[canonical]; m != nil {
		switch {
		case setting != "" && setting != m.setting:
			return nil, fmt.Errorf("%w: %s", ErrSetting, m.setting)
		case parameters != "" && parameters != m.options.text:
			return nil, fmt.Errorf("%w: parameters %q of C_Initialize", ErrSetting, m.options.text)
		}
		return m, nil
	}
	ctx := pkcs11.New(canonical)
	if ctx == nil {
		return nil, fmt.Errorf("%w: %s is not a PKCS#11 library, or a library it needs is missing", ErrLoad, canonical)
	}
	m := &Module{ctx: ctx, setting: setting, options: newReserved(parameters), login: make(chan struct{}, 1), epoch: 1}
	if err := m.initialize(); err != nil {
		return nil, fmt.Errorf("initialize %s: %w", canonical, err)
	}
	modules.byPath[canonical] = m
	return m, nil
}

// initialize asks for operating system locking, without which several threads crash the
// library; a library that cannot is called one thread at a time.
func (m *Module) initialize() error {
	err := m.ctx.Initialize(m.options.initialize(pkcs11.CKF_OS_LOCKING_OK)...)
	switch {
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)):
		m.foreign = true
		return nil
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_CANT_LOCK)), errors.Is(err, pkcs11.Error(pkcs11.CKR_NEED_TO_CREATE_THREADS)):
		m.single = &sync.Mutex{}
		return m.ctx.Initialize(m.options.initialize(0)...)
	}
	return err
}

// Epoch numbers the time between two resets.
func (m *Module) Epoch() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.epoch
}

// Do calls f with the module, holding off a reset until f returns. It returns ErrStale
// without calling f when the epoch is over.
func (m *Module) Do(epoch uint64, f func(*pkcs11.Ctx) error) error {
	if err := m.enter(epoch); err != nil {
		return err
	}
	defer m.leave()
	if m.single != nil {
		m.single.Lock()
		defer m.single.Unlock()
	}
	return f(m.ctx)
}

func (m *Module) enter(epoch uint64) error {
	m.mu.Lock()
	for m.reopened != nil {
		wait := m.reopened
		m.mu.Unlock()
		<-wait
		m.mu.Lock()
	}
	defer m.mu.Unlock()
	if m.epoch != epoch {
		return ErrStale
	}
	if m.down {
		return pkcs11.Error(pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED)
	}
	m.calls++
	return nil
}

func (m *Module) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls--
	if m.calls == 0 && m.idle != nil {
		close(m.idle)
		m.idle = nil
	}
}

// Reset finalises and initialises the module, unless that has happened since epoch. It
// holds off new calls and waits for running ones up to patience; a call that hangs then
// makes it ErrBusy, with the module as it was. Everybody's sessions are gone afterwards.
func (m *Module) Reset(epoch uint64, patience time.Duration) error {
	if m.foreign {
		return ErrForeign
	}
	m.mu.Lock()
	if m.epoch != epoch || m.reopened != nil {
		m.mu.Unlock()
		return nil
	}
	m.reopened = make(chan struct{})
	idle := make(chan struct{})
	if m.calls == 0 {
		close(idle)
	} else {
		m.idle = idle
	}
	m.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.idle = nil
		m.reopen()
		return ErrBusy
	}
	return m.restart()
}

// restart runs while new calls are held off and none is inside.
func (m *Module) restart() error {
	// A dead module may refuse to finalise; initialising tells whether it can go on.
	_ = m.ctx.Finalize()
	flags := uint(pkcs11.CKF_OS_LOCKING_OK)
	if m.single != nil {
		flags = 0
	}
	err := m.ctx.Initialize(m.options.initialize(flags)...)
	if errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		err = nil // it did not finalise, and is at work
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	m.sessions = 0
	m.down = err != nil
	m.reopen()
	if err != nil {
		return fmt.Errorf("initialize the module again: %w", err)
	}
	return nil
}

func (m *Module) reopen() {
	close(m.reopened)
	m.reopened = nil
}

// Unused tells whether no session is open, so that a reset disturbs nobody.
func (m *Module) Unused() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions == 0
}

// count keeps the number of sessions of the epoch.
func (m *Module) count(epoch uint64, change int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch == epoch {
		m.sessions += change
	}
}

// LockLogin lets one caller at a time look at the login state and log in: the login
// belongs to the process, so the second finds it done. Call the returned function to
// unlock.
func (m *Module) LockLogin(ctx context.Context) (func(), error) {
	select {
	case m.login <- struct{}{}:
		return func() { <-m.login }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Slots lists the slots that hold a token.
func (m *Module) Slots(epoch uint64) (slots []uint, err error) {
	err = m.Do(epoch, func(c *pkcs11.Ctx) error {
		slots, err = c.GetSlotList(true)
		return err
	})
	return slots, err
}

// Token reads CK_TOKEN_INFO of a slot.
func (m *Module) Token(epoch uint64, slot uint) (info pkcs11.TokenInfo, err error) {
	err = m.Do(epoch, func(c *pkcs11.Ctx) error {
		info, err = c.GetTokenInfo(slot)
		return err
	})
	return info, err
}
