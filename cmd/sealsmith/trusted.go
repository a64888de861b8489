package main

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/trustlist"
)

// trusted is whom verification trusts: the certificates of the settings, and the authorities
// on the imported trusted lists. The lists are read again when their file has changed.
type trusted struct {
	path           string
	seals, stamps  *x509.CertPool // of the settings; nil: nobody
	logger         *slog.Logger
	mu             sync.Mutex
	read           time.Time // when the file was read last
	modified       time.Time // of the file then; zero: there was none
	size           int64
	fromLists      issuance.VerifyOptions
	fromListsValid bool
}

// newTrusted reads everything once, so that a start tells what is wrong.
func newTrusted(s *Settings, logger *slog.Logger) (*trusted, error) {
	t := &trusted{path: s.trustLists(), logger: logger}
	var err error
	if t.seals, err = readTrust(s.Trust); err != nil {
		return nil, err
	}
	if t.stamps, err = readTrust(s.TSATrust); err != nil {
		return nil, err
	}
	if t.stamps == nil {
		t.stamps = t.seals
	}
	return t, t.refresh(time.Now())
}

// options are those of issuance.Verify for now.
func (t *trusted) options(now time.Time) issuance.VerifyOptions {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.refresh(now); err != nil {
		t.logger.Error("the trusted lists cannot be read; those read before are used", "err", err)
	}
	o := issuance.VerifyOptions{Trust: t.seals, TimestampTrust: t.stamps}
	if t.fromListsValid {
		o = t.fromLists
	}
	o.Now = now
	return o
}

// refresh reads the lists when the file has changed, and once an hour, as services may begin
// and end at a time that a list names before. After an error it does not try again until then.
func (t *trusted) refresh(now time.Time) error {
	info, err := os.Stat(t.path)
	var modified time.Time
	var size int64
	switch {
	case err == nil:
		modified, size = info.ModTime(), info.Size()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if !t.read.IsZero() && modified.Equal(t.modified) && size == t.size && now.Sub(t.read) < time.Hour {
		return nil
	}
	t.read, t.modified, t.size = now, modified, size
	store, err := trustlist.Load(t.path, time.Now)
	if err != nil {
		return err
	}
	if t.fromListsValid = store.LOTL() != nil; t.fromListsValid {
		t.fromLists = issuance.VerifyOptions{
			Trust: with(t.seals, store.Anchors(now)), TimestampTrust: with(t.stamps, store.TSAAnchors()), Qualify: store.Qualify,
			TrustAt: func(at time.Time) *x509.CertPool { return with(t.seals, store.Anchors(at)) },
		}
	}
	return nil
}

// with is a pool with further certificates; the pool itself stays as it is.
func with(pool *x509.CertPool, more []*x509.Certificate) *x509.CertPool {
	if pool == nil {
		pool = x509.NewCertPool()
	} else {
		pool = pool.Clone()
	}
	for _, c := range more {
		pool.AddCert(c)
	}
	return pool
}
