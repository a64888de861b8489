package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/fetch"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

type platformsCheckCommand struct {
	onePlatform

	JSON bool `name:"json" help:"Print JSON."`
}

// Run checks a connection: exit 0 when nothing failed, 1 when something did.
func (c platformsCheckCommand) Run(ctx context.Context, s *Settings, out streams) error {
	var findings []lti.Finding
	err := s.withOrganisation(ctx, c.Organisation, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		store, err := s.openKeys(ctx, db) // a token request is signed
		if err != nil {
			return err
		}
		r, err := store.Registration(ctx, o.ID, c.ID)
		if err != nil {
			return fmt.Errorf("platform %s of %s: %w", c.ID, o.Slug, err)
		}
		public, err := s.publicURL()
		if err != nil {
			return err
		}
		clients := fetch.NewClients(fetch.Config{AllowLoopback: loopback(public.Hostname())})
		client := func(r lti.Registration) *http.Client { return clients.For(r.Settings.PrivateHosts) }
		findings, err = checkPlatform(ctx, store, client, r, newLogger(out.err, s.level()))
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(out.out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(findings)
	} else {
		err = printFindings(out, findings)
	}
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	for _, f := range findings {
		if f.State == lti.Broken {
			return exitCode(1)
		}
	}
	return nil
}

// checkPlatform runs all checks with tokens of its own: those in use may be older than the
// setting that is looked at.
func checkPlatform(ctx context.Context, store *ltistore.Store, client func(lti.Registration) *http.Client, r lti.Registration, logger *slog.Logger) ([]lti.Finding, error) {
	services, err := lti.NewServices(lti.ServiceDeps{Keys: store, HTTP: client, Now: time.Now, Rand: rand.Reader, Logger: logger})
	if err != nil {
		return nil, err
	}
	checkup := lti.Checkup{Services: services, Store: store, HTTP: client, Now: time.Now}
	return checkup.Run(ctx, r), nil
}

func printFindings(out streams, findings []lti.Finding) error {
	t := newTable(out.out, "CHECK", "STATE", "FOUND")
	for _, f := range findings {
		t.row(f.Check, string(f.State), f.Words)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range findings {
		if f.Do != "" {
			out.printf("\n%s: %s\n", f.Check, f.Do)
		}
	}
	return nil
}
