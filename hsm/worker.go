//go:build cgo

package hsm

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sealsmith/sealsmith/hsm/internal/cryptoki"
)

// job is one signature that somebody waits for.
type job struct {
	ctx     context.Context // of the call of Sign that the job stands for
	keyID   string
	message *message
	done    chan result // of capacity 1: the first answer counts
}

// result is what a session has made of a job. The signature is not verified yet: who
// waits for it does so, while the session makes the next one.
type result struct {
	sig []byte
	by  *conn // of sig
	err error
}

func (j *job) answer(r result) {
	select {
	case j.done <- r:
	default:
	}
}

// lostError says that the signature failed with its connection; shrunk means that only
// the session was one too many for the token.
type lostError struct {
	err    error
	shrunk bool
}

func (e *lostError) Error() string { return "connection to the token lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// conn is one connection: a key that was proven, and the sessions that sign with it. No
// handle outlives it.
type conn struct {
	t       *Token
	module  *cryptoki.Module
	epoch   uint64
	slot    uint
	key     *sealKey
	stop    chan struct{}
	lost    chan error // of capacity 1: why the connection must be made anew
	workers []*worker
	live    atomic.Int32
	hung    atomic.Int32
}

func (c *conn) run(sessions int) {
	c.live.Store(int32(sessions)) //nolint:gosec // G115: bounded by the configuration
	for range sessions {
		w := &worker{c: c, gone: make(chan struct{})}
		c.workers = append(c.workers, w)
		go w.run()
	}
}

// end stops the sessions and waits for those that do not hang.
func (c *conn) end() {
	close(c.stop)
	patience := time.NewTimer(c.t.cfg.SignTimeout)
	defer patience.Stop()
	for _, w := range c.workers {
		select {
		case <-w.gone:
		case <-patience.C:
			return // it closes its session when the driver returns
		}
	}
}

func (c *conn) report(err error) {
	select {
	case c.lost <- err:
	default:
	}
}

// released is a signature that may leave: it verifies with the certificate. A faulty card
// or a handle of another key ends the connection, and the key is proven anew.
func (c *conn) released(ctx context.Context, m *message, sig []byte) ([]byte, error) {
	if c.key.verifies(m, sig) {
		c.t.signed.Add(1)
		return sig, nil
	}
	c.report(ErrSignature)
	select {
	case <-c.stop: // nothing more can be signed on this connection
		return nil, &lostError{err: ErrSignature}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// worker owns one session; its goroutine is the only one that uses it.
type worker struct {
	c       *conn
	session *cryptoki.Session // opened at the first job
	gone    chan struct{}
}

func (w *worker) run() {
	defer close(w.gone)
	defer w.hangUp()
	for {
		select {
		case <-w.c.stop: // first of all: a job taken now would only come back
			return
		default:
		}
		select {
		case <-w.c.stop:
			return
		case j := <-w.c.t.jobs:
			if !w.serve(j) {
				return
			}
		}
	}
}

// serve makes one signature under the eyes of a watchdog, because a call into C cannot be
// ended. It returns false when the session is one too many.
func (w *worker) serve(j *job) bool {
	if j.keyID != w.c.key.ID {
		j.answer(result{err: ErrKeyChanged})
		return true
	}
	if j.ctx.Err() != nil {
		j.answer(result{err: context.Cause(j.ctx)})
		return true
	}
	watchdog := time.AfterFunc(w.c.t.cfg.SignTimeout, func() {
		w.c.hung.Add(1)
		w.c.t.stuck.Add(1)
		j.answer(result{err: ErrSignTimeout})
		w.c.t.recount(w.c)
	})
	begun := w.c.t.cfg.Now()
	sig, err := w.sign(j.message)
	took := w.c.t.cfg.Now().Sub(begun)
	if !watchdog.Stop() {
		w.c.hung.Add(-1)
		w.c.t.stuck.Add(-1)
		w.c.t.recount(w.c)
	}
	if err == nil {
		w.c.t.measure(took)
		j.answer(result{sig: sig, by: w.c})
		return true
	}
	return w.failed(j, err)
}

// failed answers a job and tells the supervisor what it must heal.
func (w *worker) failed(j *job, err error) bool {
	w.hangUp()
	_, refused := errors.AsType[*contextLoginError](err)
	switch kind := classify(err); {
	case kind == classCaller && !refused:
		j.answer(result{err: err})
	case kind == classBusy && w.c.live.Load() > 1:
		w.c.live.Add(-1)
		j.answer(result{err: &lostError{err: err, shrunk: true}})
		return false
	default:
		w.c.report(err)
		<-w.c.stop // nothing more can be signed on this connection
		j.answer(result{err: &lostError{err: err}})
		return false
	}
	return true
}

// sign retries once on a fresh session what only the session can be blamed for. A login
// that was refused is never repeated, whatever the code: it may have spent a try.
func (w *worker) sign(m *message) ([]byte, error) {
	sig, err := w.attempt(m)
	_, refused := errors.AsType[*contextLoginError](err)
	if err == nil || refused || classify(err) != classSession {
		return sig, err
	}
	w.hangUp()
	return w.attempt(m)
}

func (w *worker) attempt(m *message) ([]byte, error) {
	if w.session == nil {
		session, err := w.c.module.OpenSession(w.c.epoch, w.c.slot, 0)
		if err != nil {
			return nil, err
		}
		w.session = session
	}
	return w.c.key.make(w.session, m)
}

func (w *worker) hangUp() {
	if w.session == nil {
		return
	}
	// A session that is lost already cannot be closed, which is no loss.
	_ = w.session.Close()
	w.session = nil
}
