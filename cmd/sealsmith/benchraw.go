//go:build cgo

package main

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
)

// rawRate is what a key does in so many sessions.
type rawRate struct {
	perSecond float64
	cpu       float64 // microseconds of CPU per signature
	sessions  int
}

// rawKey is a key of a token as a program with nothing around PKCS#11 uses it. It needs a
// hsm.Token of this process that is logged in: the login serves here too.
type rawKey struct {
	module *pkcs11.Ctx
	slot   uint
	id     []byte
}

func newRawKey(uri string) (rawKey, error) {
	u, err := hsm.ParseURI(uri)
	if err != nil {
		return rawKey{}, err
	}
	module := pkcs11.New(u.ModulePath)
	if module == nil {
		return rawKey{}, fmt.Errorf("load %s", u.ModulePath)
	}
	if err := module.Initialize(); err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		return rawKey{}, fmt.Errorf("initialize: %w", err)
	}
	slot, err := slotOf(module, u.Serial)
	return rawKey{module: module, slot: slot, id: u.ID}, err
}

// sign signs for the given time in so many sessions.
func (k rawKey) sign(during time.Duration, sessions int) (rawRate, error) {
	open, err := k.open(sessions)
	if err != nil {
		return rawRate{}, err
	}
	rate, err := measureRate(sessions, during, func(i int, until time.Time) (int, error) { return open[i].sign(until) })
	return rate, errors.Join(err, closeAll(open))
}

// open opens sessions and looks the key up in each, once.
func (k rawKey) open(sessions int) ([]rawSession, error) {
	open := make([]rawSession, 0, sessions)
	for range sessions {
		s, err := k.openOne()
		if err != nil {
			return nil, errors.Join(err, closeAll(open))
		}
		open = append(open, s)
	}
	return open, nil
}

func (k rawKey) openOne() (rawSession, error) {
	handle, err := k.module.OpenSession(k.slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return rawSession{}, fmt.Errorf("open session: %w", err)
	}
	s := rawSession{module: k.module, handle: handle}
	if s.key, s.mechanism, s.input, err = privateKey(k.module, handle, k.id); err != nil {
		return rawSession{}, errors.Join(err, k.module.CloseSession(handle))
	}
	return s, nil
}

func closeAll(open []rawSession) (err error) {
	for _, s := range open {
		err = errors.Join(err, s.module.CloseSession(s.handle))
	}
	return err
}

// rawSession calls C_SignInit and C_Sign.
type rawSession struct {
	module    *pkcs11.Ctx
	handle    pkcs11.SessionHandle
	key       pkcs11.ObjectHandle
	mechanism []*pkcs11.Mechanism
	input     []byte
}

func (s rawSession) sign(until time.Time) (n int, err error) {
	for ; time.Now().Before(until); n++ {
		if err := s.module.SignInit(s.handle, s.mechanism, s.key); err != nil {
			return n, fmt.Errorf("sign init: %w", err)
		}
		if _, err := s.module.Sign(s.handle, s.input); err != nil {
			return n, fmt.Errorf("sign: %w", err)
		}
	}
	return n, nil
}

// measureRate runs so many of the same beside each other and counts what they have done.
func measureRate(beside int, during time.Duration, do func(i int, until time.Time) (int, error)) (rawRate, error) {
	counts, failures := make([]int, beside), make([]error, beside)
	begun, cpu := time.Now(), cpuTime()
	var all sync.WaitGroup
	for i := range beside {
		all.Go(func() { counts[i], failures[i] = do(i, begun.Add(during)) })
	}
	all.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	if err := errors.Join(failures...); err != nil || total == 0 {
		return rawRate{}, errors.Join(errors.New("no signature was made"), err)
	}
	return rawRate{
		perSecond: float64(total) / time.Since(begun).Seconds(),
		cpu:       float64((cpuTime() - cpu).Microseconds()) / float64(total),
		sessions:  beside,
	}, nil
}

func slotOf(module *pkcs11.Ctx, serial string) (uint, error) {
	slots, err := module.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("list slots: %w", err)
	}
	for _, slot := range slots {
		info, err := module.GetTokenInfo(slot)
		if err == nil && string(bytes.TrimRight([]byte(info.SerialNumber), " \x00")) == serial {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("no slot holds the token %s", serial)
}

func privateKey(module *pkcs11.Ctx, session pkcs11.SessionHandle, id []byte) (pkcs11.ObjectHandle, []*pkcs11.Mechanism, []byte, error) {
	err := module.FindObjectsInit(session, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_ID, id)})
	if err != nil {
		return 0, nil, nil, fmt.Errorf("find key: %w", err)
	}
	found, _, err := module.FindObjects(session, 1)
	if err := errors.Join(err, module.FindObjectsFinal(session)); err != nil || len(found) == 0 {
		return 0, nil, nil, errors.Join(errors.New("the key was not found"), err)
	}
	kind, err := module.GetAttributeValue(session, found[0], []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, nil)})
	if err != nil {
		return 0, nil, nil, fmt.Errorf("read key type: %w", err)
	}
	if kind[0].Value[0] == pkcs11.CKK_EC {
		return found[0], []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, make([]byte, 32), nil
	}
	// As long as a DigestInfo of SHA-256; the token does not look inside.
	return found[0], []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil)}, make([]byte, 51), nil
}

// cpuTime is the user and system time of this process.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
