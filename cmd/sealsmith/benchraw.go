//go:build cgo

package main

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm"
)

// rawRate is what a key does with nothing around it.
type rawRate struct {
	perSecond float64
	cpu       float64 // microseconds of CPU per signature
	sessions  int
}

// rawSign calls C_SignInit and C_Sign of the token's key for the given time, in as many
// sessions as the server uses. The login of this process, which the token of the server
// holds open, serves here too.
func rawSign(uri string, during time.Duration) (rawRate, error) {
	u, err := hsm.ParseURI(uri)
	if err != nil {
		return rawRate{}, err
	}
	module := pkcs11.New(u.ModulePath)
	if module == nil {
		return rawRate{}, fmt.Errorf("load %s", u.ModulePath)
	}
	if err := module.Initialize(); err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		return rawRate{}, fmt.Errorf("initialize: %w", err)
	}
	slot, err := slotOf(module, u.Serial)
	if err != nil {
		return rawRate{}, err
	}
	rate := rawRate{sessions: runtime.NumCPU()}
	counts, failures := make([]int, rate.sessions), make([]error, rate.sessions)
	begun, cpu := time.Now(), cpuTime()
	var all sync.WaitGroup
	for i := range rate.sessions {
		all.Go(func() { counts[i], failures[i] = signFor(module, slot, u.ID, begun.Add(during)) })
	}
	all.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	if err := errors.Join(failures...); err != nil || total == 0 {
		return rawRate{}, errors.Join(errors.New("no raw signature was made"), err)
	}
	rate.perSecond = float64(total) / time.Since(begun).Seconds()
	rate.cpu = float64((cpuTime() - cpu).Microseconds()) / float64(total)
	return rate, nil
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

func signFor(module *pkcs11.Ctx, slot uint, id []byte, until time.Time) (int, error) {
	session, err := module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return 0, fmt.Errorf("open session: %w", err)
	}
	key, mechanism, input, err := privateKey(module, session, id)
	if err != nil {
		return 0, errors.Join(err, module.CloseSession(session))
	}
	n := 0
	for ; time.Now().Before(until); n++ {
		if err := module.SignInit(session, mechanism, key); err != nil {
			return n, errors.Join(fmt.Errorf("sign init: %w", err), module.CloseSession(session))
		}
		if _, err := module.Sign(session, input); err != nil {
			return n, errors.Join(fmt.Errorf("sign: %w", err), module.CloseSession(session))
		}
	}
	return n, module.CloseSession(session)
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
