package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/ceremony"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// oneToken is how a command is told which of the configured tokens it is about.
type oneToken struct {
	Which string `help:"Serial number, label or x-purpose of the token, when the settings name several." placeholder:"TOKEN"`
}

// uri finds the token in the settings.
func (c oneToken) uri(s *Settings) (hsm.URI, error) {
	all, err := s.tokenURIs()
	if err != nil {
		return hsm.URI{}, err
	}
	var meant []hsm.URI
	for _, uri := range all {
		if c.Which == "" || c.Which == uri.Serial || c.Which == uri.Token || c.Which == cmp.Or(uri.Purpose, purposeSeal) {
			meant = append(meant, uri)
		}
	}
	switch {
	case len(all) == 0:
		return hsm.URI{}, errors.New("no token is configured: name it with --token or SEALSMITH_TOKEN. What is plugged in: sealsmith token info --module /path/of/the/driver.so")
	case len(meant) == 0:
		return hsm.URI{}, fmt.Errorf("no token of the settings has the serial number or label %q", c.Which)
	case len(meant) > 1:
		return hsm.URI{}, errors.New("the settings name several tokens: say which with --which and its serial number or label")
	}
	return meant[0], nil
}

// anyKey finds the token for commands that look at its keys by themselves: which key the
// settings name does not matter then, nor that they name two of one token.
func (c oneToken) anyKey(s *Settings) (hsm.URI, error) {
	without := *s
	all, err := s.tokenURIs()
	if err != nil {
		return hsm.URI{}, err
	}
	var texts []string
	for _, uri := range all {
		uri.ID, uri.Object, uri.Purpose, uri.For = nil, "", "", nil
		if text := uri.Unredacted(); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	without.Token = strings.Join(texts, " ")
	return c.uri(&without)
}

// atToken prepares a login: with the database that keeps the record of attempts, and with a
// PIN from the terminal when the token's URI names no PIN file.
func (c oneToken) atToken(ctx context.Context, s *Settings, out streams, do func(hsm.Config, []byte) error) error {
	uri, err := c.uri(s)
	if err != nil {
		return err
	}
	return s.withDatabase(ctx, func(db *sqldb.DB) error { return withLogin(ctx, db, uri, out, do) })
}

// atAnyKey is atToken for anyKey.
func (c oneToken) atAnyKey(ctx context.Context, s *Settings, out streams, do func(*ceremony.Session) error) error {
	uri, err := c.anyKey(s)
	if err != nil {
		return err
	}
	return s.withDatabase(ctx, func(db *sqldb.DB) error {
		return withLogin(ctx, db, uri, out, func(cfg hsm.Config, pin []byte) error { return inSession(ctx, cfg, pin, do) })
	})
}

func inSession(ctx context.Context, cfg hsm.Config, pin []byte, do func(*ceremony.Session) error) error {
	session, err := ceremony.Open(ctx, cfg, pin)
	if err != nil {
		return err
	}
	return errors.Join(do(session), session.Close(ctx))
}

func withLogin(ctx context.Context, db *sqldb.DB, uri hsm.URI, out streams, do func(hsm.Config, []byte) error) error {
	secret, err := db.Secret(ctx, "pin-fingerprint", rand.Reader, time.Now())
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("ask for the host name: %w", err)
	}
	cfg := hsm.Config{
		URI: uri.Unredacted(), Guard: hsm.NewSQLGuard(db, time.Now), PINSecret: secret, Host: host, Getenv: os.Getenv, Now: time.Now,
	}
	if _, err := hsm.New(cfg); err != nil { // before a PIN is typed for nothing
		return err
	}
	var pin []byte
	if uri.PINSource == "" {
		if pin, err = promptPIN(os.Stdin, out.err, "PIN of the token "+uri.String()+" (one attempt is made)"); err != nil {
			return err
		}
		defer clear(pin)
	}
	return do(cfg, pin)
}

// atSession logs in and does something with the token.
func (c oneToken) atSession(ctx context.Context, s *Settings, out streams, do func(*ceremony.Session) error) error {
	return c.atToken(ctx, s, out, func(cfg hsm.Config, pin []byte) error { return inSession(ctx, cfg, pin, do) })
}

// printJSON prints one value for programs.
func (s streams) printJSON(value any) error {
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// printChecks prints findings as a table, then what to do.
func printChecks(out streams, findings []ceremony.Finding) error {
	t := newTable(out.out, "CHECK", "OUTCOME", "SEEN")
	for _, f := range findings {
		t.row(f.Check, string(f.Outcome), f.Seen)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	for _, f := range findings {
		if f.Do != "" {
			out.printf("\n%s: %s.\n", f.Check, f.Do)
		}
	}
	return nil
}

// readCertificates reads the certificates of a PEM file; no file has none.
func readCertificates(file string) ([]*x509.Certificate, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the trusted certificates: %w", err)
	}
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return all, nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return nil, fmt.Errorf("%s holds something that is no certificate: %s %w", file, block.Type, err)
		}
		all = append(all, cert)
	}
}
