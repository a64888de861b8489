package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance"
)

// Purposes of a token, x-purpose of its URI.
const (
	purposeSeal   = "seal"   // European Digital Credentials and their PDFs; also when empty
	purposeWallet = "wallet" // wallet formats, which want a P-256 key
)

// sealToken is one configured token.
type sealToken struct {
	*hsm.Token
	uri hsm.URI
}

// seals are the tokens of this process, and who is served by which.
type seals struct {
	tokens    []sealToken
	everybody *hsm.Pool
	own       map[string]*hsm.Pool // by slug of the organisation
}

// tokenURIs are the tokens of the settings.
func (s *Settings) tokenURIs() ([]hsm.URI, error) {
	var all []hsm.URI
	for i, text := range strings.Fields(s.Token) {
		uri, err := hsm.ParseURI(text)
		if err != nil {
			return nil, fmt.Errorf("--token, URI %d: %w", i+1, err)
		}
		if uri.Purpose != "" && uri.Purpose != purposeSeal && uri.Purpose != purposeWallet {
			return nil, fmt.Errorf("--token, URI %d: x-purpose can be %s or %s", i+1, purposeSeal, purposeWallet)
		}
		all = append(all, uri)
	}
	return all, nil
}

// newSeals makes the tokens of the settings; nothing is connected yet.
func (a *app) newSeals(ctx context.Context) (*seals, error) {
	uris, err := a.settings.tokenURIs()
	if err != nil {
		return nil, err
	}
	secret, err := a.db.Secret(ctx, "pin-fingerprint", rand.Reader, time.Now())
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("ask for the host name: %w", err)
	}
	s := &seals{own: map[string]*hsm.Pool{}}
	for i, uri := range uris {
		token, err := hsm.New(hsm.Config{
			URI: uri.Unredacted(), Sessions: runtime.NumCPU(), Guard: hsm.NewSQLGuard(a.db, time.Now), PINSecret: secret,
			Host: host, Getenv: os.Getenv, Now: time.Now, Logger: a.logger,
		})
		if err != nil {
			return nil, fmt.Errorf("--token, URI %d: %w", i+1, err)
		}
		s.tokens = append(s.tokens, sealToken{token, uri})
	}
	s.everybody = s.pool("")
	for _, t := range s.tokens {
		for _, slug := range t.uri.For {
			s.own[slug] = s.pool(slug)
		}
	}
	return s, nil
}

// pool gathers the tokens that seal for an organisation, or for everybody ("").
func (s *seals) pool(slug string) *hsm.Pool {
	var devices []hsm.Device
	for _, t := range s.tokens {
		serves := slug == "" && len(t.uri.For) == 0 || slices.Contains(t.uri.For, slug)
		if serves && t.uri.Purpose != purposeWallet {
			devices = append(devices, t)
		}
	}
	return hsm.NewPool(time.Now, devices...)
}

// of returns the tokens that seal for an organisation.
func (s *seals) of(slug string) *hsm.Pool {
	if own, ok := s.own[slug]; ok {
		return own
	}
	return s.everybody
}

// serving returns the tokens that work for an organisation, or all of them ("").
func (s *seals) serving(slug string) []sealToken {
	if slug == "" {
		return s.tokens
	}
	_, own := s.own[slug]
	var out []sealToken
	for _, t := range s.tokens {
		if own && slices.Contains(t.uri.For, slug) || !own && len(t.uri.For) == 0 {
			out = append(out, t)
		}
	}
	return out
}

// sealers are the own tokens of organisations, for the worker.
func (s *seals) sealers() map[string]issuance.Sealer {
	out := map[string]issuance.Sealer{}
	for slug, pool := range s.own {
		out[slug] = pool
	}
	return out
}

// sessions is how many signatures can be made at once.
func (s *seals) sessions() int {
	n := 0
	for _, t := range s.tokens {
		n += max(t.uri.Sessions, runtime.NumCPU())
	}
	return n
}

func (s *seals) start(ctx context.Context) {
	for _, t := range s.tokens {
		t.Start(ctx)
	}
}

func (s *seals) close() error {
	var errs []error
	for _, t := range s.tokens {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}
