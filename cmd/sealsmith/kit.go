package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sealsmith/sealsmith/issuance/kit"
	"github.com/sealsmith/sealsmith/templates"
)

type kitCommand struct {
	Build  kitBuildCommand  `cmd:"" help:"Make the kit: status lists, certificates and a page, to be hosted anywhere when this server is gone."`
	Verify kitVerifyCommand `cmd:"" help:"Look whether a kit is whole. Exit 0 whole, 1 not, 2 no kit."`
}

type kitBuildCommand struct {
	To string `help:"Folder to make, or to replace as a whole when it is a kit." required:"" type:"path" placeholder:"DIR"`
}

// Run builds the kit beside a running server.
func (c kitBuildCommand) Run(ctx context.Context, s *Settings, out streams) error {
	public, err := s.publicURL()
	if err != nil {
		return err
	}
	anchors, err := readAnchors(s.Trust)
	if err != nil {
		return err
	}
	db, err := s.openDatabase(ctx)
	if err != nil {
		return err
	}
	b := kit.Builder{Desk: newSweptDesk(db), Templates: templates.NewStore(db, time.Now), PublicURL: public, Anchors: anchors}
	made, err := b.Build(ctx, c.To)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	for _, w := range made.Warnings {
		fmt.Fprintf(out.err, "sealsmith: %s\n", w)
	}
	state := "The kit in %s is made anew"
	if !made.Changed {
		state = "The kit in %s is up to date, nothing was changed"
	}
	out.printf(state+": %d status lists, %d credentials in their indexes, %d files, %d bytes.\n", c.To, made.Lists, made.Entries, made.Files, made.Bytes)
	if !made.AsOf.IsZero() {
		out.printf("It says how credentials stood on %s.\n", made.AsOf.UTC().Format(time.RFC3339))
	}
	return nil
}

// readAnchors reads the certificates of the authorities that are trusted.
func readAnchors(file string) ([]*x509.Certificate, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the trusted certificates: %w", err)
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil { // what is none, readTrust tells of
			all = append(all, c)
		}
	}
	return all, nil
}

type kitVerifyCommand struct {
	Dir string `arg:"" help:"Folder of the kit." type:"path"`
}

// Run checks a kit. Authorities of --trust vouch for the signatures; without it they are checked
// against the certificates in the kit only.
func (c kitVerifyCommand) Run(s *Settings, out streams) error {
	trust, err := readTrust(s.Trust)
	if err != nil {
		return err
	}
	found, err := kit.Check(c.Dir, trust)
	if errors.Is(err, kit.ErrNoKit) {
		fmt.Fprintln(out.err, "sealsmith:", err)
		return exitCode(2)
	}
	if err != nil {
		return err
	}
	for _, p := range found.Problems {
		out.printf("%s\n", p)
	}
	if len(found.Problems) > 0 {
		return exitCode(1)
	}
	out.printf("The kit is whole: %d files, %d status lists, %d credentials in their indexes.\n", found.Files, found.Lists, found.Entries)
	if !found.Manifest.AsOf.IsZero() {
		out.printf("It says how credentials of %s stood on %s.\n", found.Manifest.Server, found.Manifest.AsOf.Format(time.RFC3339))
	}
	if trust == nil {
		out.printf("Nobody was asked to vouch for its certificates: name the authority with --trust FILE.\n")
	}
	return nil
}

// kitHour is when the nightly kit is made, UTC.
const kitHour = 2

// keepKit makes the kit at the start and every night, until ctx ends. Without a folder for it
// there is none.
func (a *app) keepKit(ctx context.Context) {
	if a.settings.Kit == "" {
		return
	}
	anchors, err := readAnchors(a.settings.Trust)
	if err != nil {
		a.logger.ErrorContext(ctx, "the issuer-gone kit is made without authorities", "err", err)
	}
	b := kit.Builder{Desk: a.desk, Templates: a.templates, PublicURL: a.public, Anchors: anchors}
	for wait := 20 * time.Second; sleep(ctx, wait); wait = untilNight(time.Now()) {
		made, err := b.Build(ctx, a.settings.Kit)
		if err != nil && ctx.Err() == nil {
			a.logger.ErrorContext(ctx, "the issuer-gone kit is not made; the old one stays, and it is tried again tonight", "err", err)
			continue
		}
		for _, w := range made.Warnings {
			a.logger.WarnContext(ctx, "the issuer-gone kit lacks something", "what", w)
		}
		a.logger.InfoContext(ctx, "issuer-gone kit", "changed", made.Changed, "as_of", made.AsOf, "lists", made.Lists, "credentials", made.Entries, "bytes", made.Bytes)
	}
}

// untilNight is how long it is until the next night's kit.
func untilNight(now time.Time) time.Duration {
	now = now.UTC()
	next := time.Date(now.Year(), now.Month(), now.Day(), kitHour, 30, 0, 0, time.UTC)
	if !next.After(now) {
		next = next.AddDate(0, 0, 1)
	}
	return next.Sub(now)
}
