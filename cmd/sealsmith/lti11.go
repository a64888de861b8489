package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

type platformsLTI11Command struct {
	Add    lti11AddCommand    `cmd:"" help:"Note a consumer key and its shared secret, so that people who came by LTI 1.1 are recognised."`
	List   lti11ListCommand   `cmd:"" help:"List the consumer keys of a platform."`
	Remove lti11RemoveCommand `cmd:"" help:"Remove a consumer key."`
}

type lti11AddCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the platform."`
	Key          string `required:"" help:"Consumer key."`
	SecretFile   string `required:"" help:"File that holds the shared secret, mode 0600; delete it afterwards." type:"existingfile"`
}

// Run notes the key.
func (c lti11AddCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withOrganisation(ctx, c.Organisation, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		store, err := s.openKeys(ctx, db)
		if err != nil {
			return err
		}
		secret, err := readSecretFile(c.SecretFile, maxKeyFile)
		if err != nil {
			return fmt.Errorf("read the secret: %w", err)
		}
		// An editor ends the line; a secret that was typed into a form had none.
		if err := store.AddLTI11Key(ctx, o.ID, c.ID, c.Key, bytes.TrimRight(secret, "\r\n")); err != nil {
			return fmt.Errorf("add the LTI 1.1 key to platform %s: %w", c.ID, err)
		}
		out.printf("Added. The secret is sealed in the database; the file %s can go.\n", c.SecretFile)
		return nil
	})
}

type lti11ListCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the platform."`
}

// Run lists the keys.
func (c lti11ListCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withOrganisation(ctx, c.Organisation, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		keys, err := ltistore.New(db, time.Now).LTI11Keys(ctx, o.ID, c.ID)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			out.printf("No LTI 1.1 key is known of platform %s.\n", c.ID)
			return nil
		}
		t := newTable(out.out, "ID", "CONSUMER KEY", "ADDED")
		for _, k := range keys {
			t.row(k.ID, k.ConsumerKey, k.CreatedAt.Format("2006-01-02"))
		}
		return t.Flush()
	})
}

type lti11RemoveCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the platform."`
	Key          string `arg:"" name:"key-id" help:"Id of the key, as list tells it."`
}

// Run removes a key.
func (c lti11RemoveCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withOrganisation(ctx, c.Organisation, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		if err := ltistore.New(db, time.Now).RemoveLTI11Key(ctx, o.ID, c.ID, c.Key); err != nil {
			return fmt.Errorf("remove from platform %s: %w", c.ID, err)
		}
		out.printf("Removed.\n")
		return nil
	})
}
