package main

import (
	"context"
	"errors"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

type tokenCommand struct {
	Unseal  tokenUnsealCommand  `cmd:"" help:"Give the PIN to a running server whose token has no PIN file. It stays in memory only."`
	Unblock tokenUnblockCommand `cmd:"" help:"Allow one more login with a PIN that was refused, or whose attempt was cut off. Check the PIN first: most tokens lock after three wrong ones."`
}

type tokenUnblockCommand struct {
	Serial string `arg:"" help:"Serial number of the token, as /readyz names it."`
}

// Run forgets the record that blocks the token, so that one attempt is made.
func (c tokenUnblockCommand) Run(ctx context.Context, s *Settings, out streams) error {
	db, err := s.openDatabase(ctx)
	if err != nil {
		return err
	}
	if err := hsm.NewSQLGuard(db, time.Now).Unblock(ctx, c.Serial); err != nil {
		return errors.Join(err, db.Close())
	}
	out.printf("One login to the token %s is allowed now.\n", c.Serial)
	return db.Close()
}
