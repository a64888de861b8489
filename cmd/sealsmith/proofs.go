package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/cmd/sealsmith/web"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/revocation"
	"github.com/sealsmith/sealsmith/issuance/tsp"
	"github.com/sealsmith/sealsmith/templates"
)

// proofs are what is added to seals in this process; nil without an authority.
type proofs struct {
	stamps *tsp.Client
	status *revocation.Collector
	trust  issuance.VerifyOptions
}

// authorities are the time-stamping authorities of the settings.
func (s *Settings) authorities() ([]tsp.Authority, error) {
	var all []tsp.Authority
	for i, text := range strings.Fields(s.TSA) {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			// Not the text itself: it may hold a password.
			return nil, fmt.Errorf("--tsa, address %d must begin with https:// or http://", i+1)
		}
		a := tsp.Authority{User: u.User.Username()}
		a.Password, _ = u.User.Password()
		if u.User != nil && u.Scheme != "https" && !loopback(u.Hostname()) {
			return nil, fmt.Errorf("--tsa, address %d has a password, which goes over https:// only", i+1)
		}
		u.User = nil
		a.URL = u.String()
		all = append(all, a)
	}
	return all, nil
}

// serviceClient asks trust services: time-stamping authorities of the settings, and the
// addresses that stand in certificates for OCSP and CRL. Those are plain http by custom,
// what comes back is signed; so it is not the client for what strangers name.
func serviceClient() *http.Client {
	return &http.Client{Timeout: 15 * time.Second, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > 3 || r.URL.Scheme != "https" && r.URL.Scheme != "http" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

// newProofs makes what adds proofs, or nil when no authority is set up.
func (a *app) newProofs() (*proofs, error) {
	authorities, err := a.settings.authorities()
	if err != nil || len(authorities) == 0 {
		return nil, err
	}
	// The lists as they are now: authorities that are imported later count after a restart.
	anchors := a.trusted.options(time.Now())
	if anchors.TimestampTrust == nil {
		return nil, errors.New("--tsa names time-stamping authorities: name with --tsa-trust the PEM file of the certificates that vouch for them, or import trusted lists")
	}
	client := serviceClient()
	return &proofs{
		stamps: &tsp.Client{Authorities: authorities, HTTP: client, Now: time.Now, Anchors: anchors.TimestampTrust},
		status: &revocation.Collector{HTTP: client, Now: time.Now},
		trust:  anchors,
	}, nil
}

// level is what credentials reach for whose organisation names nothing else.
func (a *app) level() templates.SealLevel {
	if a.proofs == nil {
		return templates.SealB
	}
	return templates.SealLTA
}

// preserve adds proofs until ctx ends.
func (a *app) preserve(ctx context.Context) {
	if a.proofs == nil {
		return
	}
	p := issuance.Preserver{
		DB: a.db, Stamps: a.proofs.stamps, Status: a.proofs.status, Trust: a.proofs.trust.Trust, StampTrust: a.proofs.trust.TimestampTrust,
		Objects: a.objects, Parallel: 4, Lease: 3 * time.Minute, Every: 2 * time.Second, Now: time.Now, Logger: a.logger,
	}
	p.Run(ctx)
}

// stamps are the time-stamping authorities and how they were when they were asked last.
func (a *app) stamps() []web.StampStatus {
	if a.proofs == nil {
		return nil
	}
	var all []web.StampStatus
	for _, h := range a.proofs.stamps.Health() {
		s := web.StampStatus{Name: h.Host, OK: true, Unasked: h.LastSuccess.IsZero() && h.LastFailure.IsZero(), Words: "not asked since the server was started"}
		switch {
		case h.LastFailure.After(h.LastSuccess):
			s.OK, s.Words = false, h.LastError+"; asked last "+h.LastFailure.UTC().Format("2 January 2006 15:04:05 UTC")
		case !h.LastSuccess.IsZero():
			s.Words = "answered last " + h.LastSuccess.UTC().Format("2 January 2006 15:04:05 UTC")
		}
		all = append(all, s)
	}
	return all
}
