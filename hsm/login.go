//go:build cgo

package hsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// Purposes of a PIN, part of its fingerprint.
const (
	purposeLogin     = "login"
	purposeSignature = "signature"
)

const finishTimeout = 5 * time.Second

// attemptEnd is the end of a login attempt that still must be recorded.
type attemptEnd struct {
	serial, fingerprint string
	good                bool
}

// login is the only place that logs the user in; attach holds the module's login lock. A process that is logged in already,
// through another Token, spends no attempt.
func (s *supervisor) login(ctx context.Context, a *anchor) error {
	if a.info.Flags&pkcs11.CKF_LOGIN_REQUIRED == 0 {
		return nil
	}
	if in, err := a.session.LoggedIn(); in || err != nil {
		return err
	}
	info, err := a.module.Token(a.epoch, a.slot) // read again: the flags of now count
	if err != nil {
		return fmt.Errorf("read the token's flags: %w", err)
	}
	if problem := flagsProblem(info.Flags); problem != "" {
		return &stateError{StatePINBlocked, problem}
	}
	secret, err := s.pinFor(info)
	if err != nil {
		return err
	}
	defer secret.wipe()
	if err := s.allowed(ctx, info); err != nil {
		return err
	}
	var outcome error
	err = a.session.Do(func(c *pkcs11.Ctx) error {
		outcome = s.guarded(ctx, serialOf(info), secret.fingerprint(s.t.cfg.PINSecret, serialOf(info), purposeLogin), func() error {
			return c.Login(a.session.Handle, pkcs11.CKU_USER, string(secret))
		})
		return nil
	})
	if err != nil {
		return err
	}
	return outcome
}

// allowed refuses a login on a token that reports wrong PINs, unless an operator said that
// it may be tried. Somebody may be using up the tries, and it may be us.
func (s *supervisor) allowed(ctx context.Context, info pkcs11.TokenInfo) error {
	if info.Flags&pkcs11.CKF_USER_PIN_COUNT_LOW == 0 {
		return nil
	}
	ok, err := s.t.cfg.Guard.Allowed(ctx, serialOf(info))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &stateError{StateSuspect, "the record of login attempts cannot be read, so no login is made: " + err.Error()}
	case !ok:
		reason := "the token reports that a wrong PIN was given; check the PIN, then unblock the token " + serialOf(info)
		s.t.forgetPIN(reason)
		return &stateError{StatePINBlocked, reason}
	}
	return nil
}

// guarded makes one login attempt between its two records. It runs inside a call into the
// module, so that nothing but a crash comes between Begin and the attempt.
func (s *supervisor) guarded(ctx context.Context, serial, fingerprint string, attempt func() error) error {
	err := s.t.cfg.Guard.Begin(ctx, serial, fingerprint, s.t.cfg.Host)
	switch {
	case errors.Is(err, ErrPINBlocked):
		s.t.forgetPIN(err.Error())
		return &stateError{StatePINBlocked, err.Error() + "; check the PIN file and the token, then unblock the token " + serial}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &stateError{StateSuspect, "the record of login attempts cannot be written, so no login is made: " + err.Error()}
	}
	s.t.logins.Add(1)
	err = attempt()
	already := errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN))
	s.finish(ctx, attemptEnd{serial, fingerprint, err == nil || already})
	if err != nil && !already {
		s.t.forgetPIN(refusal(err))
		return &stateError{StatePINBlocked, refusal(err) + "; then unblock the token " + serial}
	}
	return nil
}

// finish records the end of an attempt even when the server is being stopped, and keeps
// it for later when the database is away: until then the attempt counts as unfinished.
func (s *supervisor) finish(ctx context.Context, end attemptEnd) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer stop()
	s.owed = nil
	if err := s.t.cfg.Guard.Finish(ctx, end.serial, end.fingerprint, end.good); err != nil {
		s.owed = &end
		s.t.cfg.Logger.ErrorContext(ctx, "end of the login attempt not recorded", "err", err)
	}
}

// settle records what finish could not.
func (s *supervisor) settle(ctx context.Context) {
	if s.owed != nil {
		s.finish(ctx, *s.owed)
	}
}

// pinFor reads the PIN and checks what can be checked without spending an attempt.
func (s *supervisor) pinFor(info pkcs11.TokenInfo) (pin, error) {
	secret, err := s.t.pin()
	if err != nil {
		return nil, err
	}
	length := uint(len(secret))
	if length < info.MinPinLen || info.MaxPinLen > 0 && length > info.MaxPinLen {
		secret.wipe()
		reason := fmt.Sprintf("the PIN has %d characters, the token takes %d to %d; no login was made", length, info.MinPinLen, info.MaxPinLen)
		if s.t.forgetPIN(reason) {
			return nil, s.t.needPIN()
		}
		return nil, &stateError{StateMisconfigured, reason + "; look at the PIN file"}
	}
	return secret, nil
}

// flagsProblem says why a login must not be tried. Absent flags prove nothing: some
// tokens lock without ever setting one.
func flagsProblem(flags uint) string {
	switch {
	case flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return "the token has locked its PIN; unlock it with the PUK or ask who issued the token"
	case flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return "one wrong PIN more would lock the token; log in once with the vendor's tool and the right PIN, which resets the count"
	case flags&pkcs11.CKF_USER_PIN_INITIALIZED == 0:
		return "the token has no user PIN yet; set one with the vendor's tool"
	case flags&pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH != 0:
		return "the token wants its PIN on a key pad, which a server cannot do; use a token or reader without one"
	}
	return ""
}

// prove signs with a key that was just found. A key that wants a login per signature gets
// its PIN here, and its first login is recorded like any other: the PIN for signatures can
// be another than the one of the token.
func (s *supervisor) prove(ctx context.Context, session *cryptoki.Session, k *sealKey, input []byte) error {
	m := newMessage(input)
	if k.pin == nil {
		return k.proof(session, m, nil)
	}
	secret, err := s.pinFor(s.anchor.info)
	if err != nil {
		return err
	}
	k.pin = secret
	serial := serialOf(s.anchor.info)
	return k.proof(session, m, func(c *pkcs11.Ctx) error {
		return s.guarded(ctx, serial, secret.fingerprint(s.t.cfg.PINSecret, serial, purposeSignature), func() error {
			return c.Login(session.Handle, pkcs11.CKU_CONTEXT_SPECIFIC, string(secret))
		})
	})
}

// contextLoginRefused records that the PIN for signatures, once good, is no longer.
func (s *supervisor) contextLoginRefused(refused *contextLoginError) {
	reason := refusal(refused.err)
	if a := s.anchor; a != nil {
		serial := serialOf(a.info)
		if secret, err := s.pinFor(a.info); err == nil {
			s.finish(context.Background(), attemptEnd{serial, secret.fingerprint(s.t.cfg.PINSecret, serial, purposeSignature), false})
			secret.wipe()
		}
		reason += "; then unblock the token " + serial
	}
	s.t.forgetPIN(refusal(refused.err))
	s.t.become(StatePINBlocked, reason)
}

func serialOf(info pkcs11.TokenInfo) string { return strings.TrimRight(info.SerialNumber, " \x00") }

func levelOf(err error) slog.Level {
	if classify(err) == classToken {
		return slog.LevelDebug // polled for; the change of state is the news
	}
	return slog.LevelWarn
}

func errAttr(err error) slog.Attr { return slog.String("err", err.Error()) }
