package main

import (
	"bytes"
	"context"
	"errors"
	"os"

	"github.com/sealsmith/sealsmith/hsm"
)

type tokenUnsealCommand struct {
	Token string `arg:"" optional:"" help:"Name of the token, as /readyz shows it; not needed while one waits."`
}

var errNothingWaits = errors.New("no token waits for its PIN: is the server running, with the same --dir, and without pin-source in its token's URI?")

// Run hands a PIN to all processes that wait for it. It is kept in their memory only.
func (c tokenUnsealCommand) Run(ctx context.Context, s *Settings, out streams) error {
	processes, err := s.running(ctx)
	if err != nil {
		return err
	}
	name, waiting, err := waitingToken(ctx, processes, c.Token)
	if err != nil {
		return err
	}
	secret, err := promptPIN(os.Stdin, out.err, "PIN of the token "+name+" (one attempt is made)")
	if err != nil {
		return err
	}
	defer clear(secret)
	for _, p := range waiting {
		answers, err := p.unseal(ctx, name, bytes.NewReader(secret))
		if err != nil {
			return err
		}
		for _, a := range answers {
			out.printf("%s: %s\n", a.Token, a.Words)
			if !a.OK {
				return exitCode(1) // the next process would spend another attempt on the same wrong PIN
			}
		}
	}
	return nil
}

// waitingToken finds the token that waits for a PIN, and in which processes.
func waitingToken(ctx context.Context, processes []admin, asked string) (string, []admin, error) {
	found := map[string][]admin{}
	for _, p := range processes {
		tokens, err := p.tokens(ctx)
		if err != nil {
			return "", nil, err
		}
		seen := map[string]bool{}
		for _, t := range tokens {
			if t.State == string(hsm.StatePINNeeded) && (asked == "" || asked == t.Name) && !seen[t.Name] {
				found[t.Name], seen[t.Name] = append(found[t.Name], p), true
			}
		}
	}
	switch len(found) {
	case 0:
		return "", nil, errNothingWaits
	case 1:
		for name, in := range found {
			return name, in, nil
		}
	}
	return "", nil, errors.New("several tokens wait for a PIN; name one as /readyz shows it")
}
