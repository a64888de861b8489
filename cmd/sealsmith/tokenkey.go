package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/ceremony"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

type tokenGenkeyCommand struct {
	oneToken

	Type  string `help:"rsa3072, rsa2048, rsa4096, p256 or p384." default:"rsa3072"`
	Label string `help:"Label of the key." default:"eSeal"`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// madeKey is what genkey prints for programs.
type madeKey struct {
	ID         string              `json:"id"`
	Label      string              `json:"label"`
	Type       string              `json:"type"`
	Attributes ceremony.Attributes `json:"attributes"`
	URI        string              `json:"uri"`
}

// Run makes a key on the token.
func (c tokenGenkeyCommand) Run(ctx context.Context, s *Settings, out streams) error {
	if !ceremony.KnowsKeyType(c.Type) { // before a login is made
		return fmt.Errorf("%w, not %q", ceremony.ErrKeyType, c.Type)
	}
	return c.atAnyKey(ctx, s, out, func(session *ceremony.Session) error {
		key, err := session.Generate(c.Type, c.Label)
		if err != nil {
			return err
		}
		made := madeKey{hex.EncodeToString(key.ID), key.Label, key.Type, key.Attributes, session.URI(key)}
		if c.JSON {
			return out.printJSON(made)
		}
		out.printf("Made key %s on the token %s: %s.\n", key, session.Serial(), key.Attributes.Finding().Seen)
		out.printf("In the settings it is\n  SEALSMITH_TOKEN='%s'\nNext: sealsmith token csr --id %s --organisation … --out seal.csr\n", made.URI, made.ID)
		return nil
	})
}

type tokenCSRCommand struct {
	oneToken

	ID           string `help:"Id of the key, hex; not needed while there is one." placeholder:"HEX"`
	Organisation string `help:"Slug of the organisation to ask for; not needed while there is one."`
	CommonName   string `name:"common-name" help:"What people see. Default: the organisation's name and eSeal." placeholder:"NAME"`
	Out          string `help:"File to write; default: standard output." placeholder:"FILE" type:"path"`
}

// Run makes a certificate request.
func (c tokenCSRCommand) Run(ctx context.Context, s *Settings, out streams) error {
	if _, err := hex.DecodeString(c.ID); err != nil { // before a login is made
		return fmt.Errorf("--id must be hex: %w", err)
	}
	uri, err := c.anyKey(s)
	if err != nil {
		return err
	}
	return s.withOrganisation(ctx, c.Organisation, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		subject := ceremony.Subject{CommonName: c.CommonName, Organisation: o.Name.In("en"), Identifier: o.Identifier, Country: o.Country}
		if subject.CommonName == "" {
			subject.CommonName = subject.Organisation + " eSeal"
		}
		if err := subject.Check(); err != nil { // before a login is made
			return err
		}
		return withLogin(ctx, db, uri, out, func(cfg hsm.Config, pin []byte) error { return c.request(ctx, out, cfg, pin, subject) })
	})
}

func (c tokenCSRCommand) request(ctx context.Context, out streams, cfg hsm.Config, pin []byte, subject ceremony.Subject) (err error) {
	id, err := hex.DecodeString(c.ID)
	if err != nil {
		return fmt.Errorf("--id must be hex: %w", err)
	}
	session, err := ceremony.Open(ctx, cfg, pin)
	if err != nil {
		return err
	}
	defer func() {
		if closed := session.Close(ctx); err == nil {
			err = closed
		}
	}()
	key, err := session.Key(id)
	if err != nil {
		return err
	}
	request, err := session.Request(ctx, key, subject)
	if err != nil {
		return err
	}
	if c.Out == "" {
		out.printf("%s", request)
		return nil
	}
	if err := writeNew(c.Out, request); err != nil {
		return err
	}
	out.printf("Wrote %s: a request for %s, %s, %s, with the key %s.\nGive it to the issuer. Next: sealsmith token import-cert FILE\n",
		c.Out, subject.CommonName, subject.Identifier, subject.Country, key)
	return nil
}

// writeNew writes a file that is not there yet.
func writeNew(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if _, err := file.Write(content); err != nil {
		_ = file.Close() // the first error is the news
		return fmt.Errorf("write: %w", err)
	}
	return file.Close()
}

type tokenImportCommand struct {
	oneToken

	File string `arg:"" help:"The certificate that was issued for a key on the token, PEM or DER; - for standard input."`
}

// Run imports a certificate.
func (c tokenImportCommand) Run(ctx context.Context, s *Settings, out streams) error {
	var from io.Reader = os.Stdin
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("open the certificate: %w", err)
		}
		defer file.Close()
		from = file
	}
	content, err := io.ReadAll(io.LimitReader(from, ceremony.MaxCertificate+1))
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	cert, err := ceremony.ReadCertificate(content) // before a login is made
	if err != nil {
		return err
	}
	return c.atAnyKey(ctx, s, out, func(session *ceremony.Session) error {
		key, err := session.Import(cert, time.Now())
		if err != nil {
			return err
		}
		out.printf("Imported %s\nfor the key %s on the token %s.\n", ceremony.Certificate{X509: cert}, key, session.Serial())
		out.printf("In the settings it is\n  SEALSMITH_TOKEN='%s'\nA server that runs takes it over within ten minutes. Next: sealsmith token doctor, then sealsmith token selftest --who …\n", session.URI(key))
		return nil
	})
}
