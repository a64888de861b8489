//go:build cgo

package hsm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// anchor is the session that keeps the login while the connection lives: a token logs the
// process out when its last session closes.
type anchor struct {
	module  *cryptoki.Module
	epoch   uint64
	slot    uint
	info    pkcs11.TokenInfo
	session *cryptoki.Session
}

// alive tells whether the session exists and is logged in.
func (a *anchor) alive() bool {
	if a == nil {
		return false
	}
	in, err := a.session.LoggedIn()
	return err == nil && (in || a.info.Flags&pkcs11.CKF_LOGIN_REQUIRED == 0)
}

// supervisor connects, watches and reconnects one token; all its fields belong to its one
// goroutine.
type supervisor struct {
	t       *Token
	module  *cryptoki.Module
	anchor  *anchor
	suspect int  // device errors in a row, on fresh sessions too
	absent  int  // rounds in a row without the token or its key
	found   bool // the key was there once
	losses  int  // connections lost in a row, each soon after it was made
	resets  int  // resets in a row
	owed    *attemptEnd
}

func newSupervisor(t *Token) *supervisor { return &supervisor{t: t} }

// backoff is how long to wait before the nth repetition in a row (login or reset).
var backoff = []time.Duration{0, time.Second, 2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute}

func wait(n int) time.Duration { return backoff[min(n, len(backoff)-1)] }

const (
	// stable is how long a connection must live to count as healed.
	stable = time.Minute
	// probeDelay is how long a device that failed is left alone before the next try.
	probeDelay = time.Second
	// absentRounds is after how many polls a module is asked to look for tokens anew:
	// some libraries see only those of the time they were initialised.
	absentRounds = 15
)

func (s *supervisor) run(ctx context.Context) {
	defer func() {
		s.drop()
		s.t.become(StateStopped, "the token has been closed")
	}()
	for ctx.Err() == nil {
		err := s.round(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := time.NewTimer(s.react(err))
		select {
		case <-ctx.Done():
		case <-pause.C:
		case <-s.t.wake:
		}
		pause.Stop()
	}
}

// round connects as far as needed, and serves until the connection is lost. The error
// says why it ended.
func (s *supervisor) round(ctx context.Context) error {
	s.settle(ctx)
	if s.t.stuck.Load() >= int32(s.t.cfg.Sessions) { //nolint:gosec // G115: a small number
		return &stateError{StateSuspect, "all sessions hang in the token's driver; look at the device, and restart the server if it does not come back"}
	}
	key, err := s.connect(ctx)
	if err != nil {
		return err
	}
	s.suspect, s.absent, s.found = 0, 0, true
	return s.serve(ctx, key)
}

// connect has a watchdog: a driver that does not return from any call must be seen.
func (s *supervisor) connect(ctx context.Context) (*sealKey, error) {
	watchdog := time.AfterFunc(s.t.cfg.SignTimeout+pendingGrace, func() {
		s.t.become(StateSuspect, "the token's driver does not return while connecting; look at the device, and restart the server if it does not come back")
	})
	defer watchdog.Stop()
	if s.module == nil {
		if err := s.open(); err != nil {
			return nil, err
		}
	}
	if !s.anchor.alive() {
		s.drop()
		a, err := s.attach(ctx)
		if err != nil {
			return nil, err
		}
		s.anchor = a
	}
	return s.discover(ctx)
}

// open loads the driver, which the name of a link may have hidden from Config.
func (s *supervisor) open() error {
	if file, err := filepath.EvalSymlinks(s.t.uri.ModulePath); err == nil && isSpy(file) {
		return &stateError{StateMisconfigured, spyProblem}
	}
	module, err := cryptoki.Open(s.t.uri.ModulePath, "", s.t.uri.InitReserved)
	if err != nil {
		return &stateError{StateMisconfigured, "the token's driver cannot be used: " + err.Error()}
	}
	s.module = module
	return nil
}

// drop closes the anchor; errors do not matter, it may be lost already.
func (s *supervisor) drop() {
	if s.anchor != nil {
		_ = s.anchor.session.Close()
		s.anchor = nil
	}
}

// attach finds the token, opens the anchor session and logs in. It does so alone in the
// process: a second Token must find the login done, and a token that is being set up here
// (demotoken) tolerates no other session.
func (s *supervisor) attach(ctx context.Context) (*anchor, error) {
	unlock, err := s.module.LockLogin(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait to log in: %w", err)
	}
	defer unlock()
	a := &anchor{module: s.module, epoch: s.module.Epoch()}
	if err := s.locate(a); err != nil {
		return nil, err
	}
	session, err := s.module.OpenSession(a.epoch, a.slot, 0)
	if err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	a.session = session
	if err := s.login(ctx, a); err != nil {
		_ = session.Close() // nothing was done in it; the login's error is the news
		return nil, err
	}
	return a, nil
}

// locate finds the one slot whose token the URI names. Slot numbers change, so it is done
// anew for each connection.
func (s *supervisor) locate(a *anchor) error {
	slots, err := s.module.Slots(a.epoch)
	if err != nil {
		return fmt.Errorf("list the slots: %w", err)
	}
	found := 0
	for _, slot := range slots {
		info, err := s.module.Token(a.epoch, slot)
		if err != nil {
			continue // another token's trouble, or ours is absent
		}
		if s.t.uri.matches(info) {
			a.slot, a.info = slot, info
			found++
		}
	}
	switch found {
	case 0:
		return pkcs11.Error(pkcs11.CKR_TOKEN_NOT_PRESENT)
	case 1:
		s.t.identify(strings.TrimRight(a.info.Label, " \x00"), serialOf(a.info))
		return nil
	}
	return &stateError{StateMisconfigured, fmt.Sprintf("%d tokens match the token's URI; name one by serial=", found)}
}

// matches compares what the URI names with CK_TOKEN_INFO, which is padded with spaces, or
// with zeros by some.
func (u URI) matches(info pkcs11.TokenInfo) bool {
	same := func(want, got string) bool { return want == "" || want == strings.TrimRight(got, " \x00") }
	return same(u.Token, info.Label) && same(u.Serial, info.SerialNumber) &&
		same(u.Manufacturer, info.ManufacturerID) && same(u.Model, info.Model)
}

// discover finds and proves the key on a session of its own, so that an operation left
// open by an error does not poison the anchor.
func (s *supervisor) discover(ctx context.Context) (*sealKey, error) {
	a := s.anchor
	var mechanisms []uint
	err := a.session.Do(func(c *pkcs11.Ctx) error {
		list, err := c.GetMechanismList(a.slot)
		for _, mechanism := range list {
			mechanisms = append(mechanisms, mechanism.Mechanism)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the mechanisms: %w", err)
	}
	session, err := a.module.OpenSession(a.epoch, a.slot, 0)
	if err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	defer func() { _ = session.Close() }()
	f := &finder{
		session: session, uri: s.t.uri, mechanisms: mechanisms, chain: s.t.cfg.Chain, now: s.t.cfg.Now(),
		prove: func(k *sealKey, input []byte) error { return s.prove(ctx, session, k, input) },
	}
	return f.find()
}

// serve lets the sessions sign until the connection is lost.
func (s *supervisor) serve(ctx context.Context, key *sealKey) error {
	t, a := s.t, s.anchor
	c := &conn{
		t: t, module: a.module, epoch: a.epoch, slot: a.slot, key: key,
		stop: make(chan struct{}), lost: make(chan error, 1),
	}
	c.run(s.sessions(key))
	t.attachConn(c)
	t.recount(c)
	defer c.end()
	defer t.attachConn(nil)

	healed := time.NewTimer(stable)
	defer healed.Stop()
	tick := time.NewTicker(t.cfg.PollInterval)
	defer tick.Stop()
	rescan := time.NewTicker(t.cfg.RescanInterval)
	defer rescan.Stop()
	for {
		select {
		case <-ctx.Done():
			t.become(StateStopped, "the token is being closed")
			return context.Cause(ctx)
		case err := <-c.lost:
			t.become(StateRecovering, "the connection to the token was lost and is being made again")
			return err
		case <-healed.C:
			s.losses, s.resets = 0, 0
		case <-tick.C:
			s.settle(ctx)
			if key.succeeded(t.cfg.Now()) {
				return s.renew("the renewed certificate takes over now")
			}
			if problem := t.uri.problem(key.Chain[0], t.cfg.Now()); problem != "" {
				t.become(StateCertInvalid, problem)
				return &stateError{StateCertInvalid, problem}
			}
			if !a.alive() {
				t.become(StateRecovering, "the connection to the token was lost and is being made again")
				return pkcs11.Error(pkcs11.CKR_SESSION_HANDLE_INVALID)
			}
		case <-rescan.C:
			if s.changed(key) {
				return s.renew("the certificates on the token have changed and are read again")
			}
		}
	}
}

// errRenewed ends a connection that works, because the certificates on the token changed.
var errRenewed = errors.New("the certificates of the key have changed")

func (s *supervisor) renew(reason string) error {
	s.t.become(StateRecovering, reason)
	return errRenewed
}

// changed tells whether other certificates are on the token than when the key was found.
// An error counts as no: whatever is wrong, the next signature will find it.
func (s *supervisor) changed(key *sealKey) bool {
	session, err := s.anchor.module.OpenSession(s.anchor.epoch, s.anchor.slot, 0)
	if err != nil {
		return false
	}
	defer func() { _ = session.Close() }()
	certs, err := (&finder{session: session}).certificates()
	return err == nil && fingerprintOf(certs) != key.seen
}

// sessions is how many the token allows beside the anchor; odd numbers mean no limit.
func (s *supervisor) sessions(key *sealKey) int {
	const noLimit = 1 << 20
	n := s.t.cfg.Sessions
	if most := s.anchor.info.MaxSessionCount; most > 0 && most < noLimit {
		n = min(n, int(most)-1)
	}
	if key.pin != nil {
		n = 1 // the token takes one PIN and one signature at a time
	}
	return max(n, 1)
}

// react enters the state an error means and says how long to wait before the next round.
func (s *supervisor) react(err error) time.Duration {
	poll := s.t.cfg.PollInterval
	if errors.Is(err, errRenewed) {
		return 0
	}
	if end, ok := errors.AsType[*stateError](err); ok {
		if end.state == StatePINNeeded && s.t.holdsPIN() {
			return 0 // it was given while this round ran
		}
		s.t.become(end.state, end.reason)
		if end.state == StateKeyMissing && s.found {
			s.lookAnew()
		}
		return poll
	}
	if refused, ok := errors.AsType[*contextLoginError](err); ok {
		s.contextLoginRefused(refused)
		return poll
	}
	s.t.cfg.Logger.LogAttrs(context.Background(), levelOf(err), "token connection", errAttr(err))
	switch classify(err) {
	case classToken:
		return s.gone()
	case classModule:
		return s.reset()
	case classDevice, classCaller:
		s.suspect++
		if s.suspect > 1 {
			return s.reset()
		}
		s.t.become(StateRecovering, "the token reports a failure of the device and is tried again")
		return min(probeDelay, poll)
	case classBusy:
		s.t.become(StateSuspect, "the token has no free session for us; close other programs that use it")
		return poll
	case classSession, classLogin, classStale:
	}
	// Not dropping the anchor here spares a login: connect asks whether it is alive.
	s.losses++
	s.t.become(StateRecovering, "the connection to the token was lost and is being made again")
	return wait(s.losses - 1)
}

// gone waits for the token to come back. A module that nobody else uses is now and then
// told to look anew. A token with a loose contact comes and goes: the logins that it costs
// keep their distance, like those after any loss.
func (s *supervisor) gone() time.Duration {
	pause := s.t.cfg.PollInterval
	if s.anchor != nil {
		s.losses++
		pause = max(pause, wait(s.losses-1))
	}
	s.drop()
	s.t.become(StateAbsent, "the token is not there; plug it in, or check token= and serial= of its URI")
	s.lookAnew()
	return pause
}

// lookAnew has a driver that nobody else uses forget what it knows, now and then: SoftHSM does not
// see again objects that were gone for a while.
func (s *supervisor) lookAnew() {
	s.absent++
	if s.absent%absentRounds != 0 {
		return
	}
	s.drop()
	if s.module.Unused() {
		_ = s.module.Reset(s.module.Epoch(), s.t.cfg.SignTimeout) // the next round says how it stands
	}
}

// reset finalises and initialises the module, unless a session hangs in it: finalising
// under a running call crashes the process.
func (s *supervisor) reset() time.Duration {
	poll := s.t.cfg.PollInterval
	if s.t.stuck.Load() > 0 {
		s.t.become(StateSuspect, "the token fails and a session hangs in its driver; look at the device, and restart the server if it does not come back")
		return poll
	}
	s.t.become(StateRecovering, "the token's driver is being started anew")
	epoch := s.module.Epoch()
	s.drop()
	err := s.module.Reset(epoch, s.t.cfg.SignTimeout)
	s.suspect = 1
	if err != nil {
		s.t.become(StateSuspect, "the token's driver cannot be started anew ("+err.Error()+"); look at the device, and restart the server if it does not come back")
		return poll
	}
	s.resets++
	return wait(s.resets - 1)
}
