package main

import (
	"context"
	"errors"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

type tokenCommand struct {
	Info     tokenInfoCommand     `cmd:"" help:"List drivers, slots and tokens with their flags and the state of the PIN. No login is made."`
	Doctor   tokenDoctorCommand   `cmd:"" help:"Examine driver, token, PIN, certificate, revocation, time-stamps and clock: what was seen, and what to do. Exit 0 nothing failed, 1 something did."`
	Genkey   tokenGenkeyCommand   `cmd:"" help:"Make a key on the token, for signatures only. Tokens of a trust service provider come with theirs."`
	CSR      tokenCSRCommand      `cmd:"" name:"csr" help:"Make a certificate request for a key on the token."`
	Import   tokenImportCommand   `cmd:"" name:"import-cert" help:"Put the certificate that was issued onto the token, beside its key."`
	Selftest tokenSelftestCommand `cmd:"" help:"Prove that the token seals, and write the record of the ceremony, signed by the key."`
	Bench    tokenBenchCommand    `cmd:"" help:"Measure signatures per second by number of sessions."`
	Unseal   tokenUnsealCommand   `cmd:"" help:"Give the PIN to a running server whose token has no PIN file. It stays in memory only."`
	Unblock  tokenUnblockCommand  `cmd:"" help:"Allow one more login with a PIN that was refused, or whose attempt was cut off. Check the PIN first: most tokens lock after three wrong ones."`
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
