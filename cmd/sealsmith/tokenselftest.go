package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/ceremony"
)

type tokenSelftestCommand struct {
	oneToken

	Who          []string `help:"Name of somebody who is present; give it for everybody." placeholder:"NAME"`
	Organisation string   `help:"Slug of the organisation whose seal it is; default: those that the token serves."`
	Out          string   `help:"File for the signed record. Default: ceremony-SERIAL-TIME.json in this folder." placeholder:"FILE" type:"path"`
	Check        string   `help:"Only verify a record of an earlier self-test." placeholder:"FILE" type:"existingfile"`
	JSON         bool     `name:"json" help:"Print the record as JSON."`
}

// Run tests the token and writes the record; exit 1 when something in it failed.
func (c tokenSelftestCommand) Run(ctx context.Context, s *Settings, out streams) error {
	if c.Check != "" {
		return c.verify(out)
	}
	if len(c.Who) == 0 {
		fmt.Fprintln(out.err, "sealsmith: who is present? Give --who for everybody")
		return exitCode(exitUsage)
	}
	uri, err := c.uri(s)
	if err != nil {
		return err
	}
	x := ceremony.Examine(uri, ceremony.Place{Now: time.Now(), Getenv: os.Getenv})
	expected, err := s.expected(ctx, uri, c.Organisation, x)
	if err != nil {
		return err
	}
	return c.atToken(ctx, s, out, func(cfg hsm.Config, pin []byte) error {
		record, file, err := ceremony.SelfTest(ctx, cfg, pin, c.Who, expected)
		if err != nil {
			return err
		}
		name := c.Out
		if name == "" {
			name = fmt.Sprintf("ceremony-%s-%s.json", record.Token.Serial, record.When.Format("20060102T150405Z"))
		}
		if err := writeNew(name, file); err != nil {
			return err
		}
		return c.report(out, record, "The record, signed with the key, is in "+name+".")
	})
}

func (c tokenSelftestCommand) verify(out streams) error {
	file, err := os.ReadFile(c.Check)
	if err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	record, _, err := ceremony.ReadRecord(file)
	if err != nil {
		return err
	}
	return c.report(out, record, "The signature is that of the key in this record; nothing in it was changed.")
}

func (c tokenSelftestCommand) report(out streams, r ceremony.Record, last string) error {
	if c.JSON {
		if err := out.printJSON(r); err != nil {
			return err
		}
	} else {
		t := newTable(out.out)
		for _, row := range [][2]string{
			{"token", fmt.Sprintf("%s, serial %s, %s %s", r.Token.Label, r.Token.Serial, r.Token.Manufacturer, r.Token.Model)},
			{"key", fmt.Sprintf("%s, %s, id %s", r.Key.Type, r.Key.Alg, r.Key.ID)},
			{"certificate", r.Certificate.Subject},
			{"SHA-256", r.Certificate.SHA256},
			{"when", r.When.Format("2006-01-02 15:04:05 UTC")},
		} {
			t.row(row[0], row[1])
		}
		for _, who := range r.Who {
			t.row("present", who)
		}
		if err := t.Flush(); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		out.printf("\n")
		if err := printChecks(out, r.Findings); err != nil {
			return err
		}
		out.printf("\n%s\n", last)
	}
	if ceremony.Failed(r.Findings) {
		return exitCode(1)
	}
	return nil
}

type tokenBenchCommand struct {
	oneToken

	Sessions []int         `help:"Numbers of sessions to try." default:"1,2,4"`
	Each     time.Duration `help:"How long to sign with each." default:"3s"`
	JSON     bool          `name:"json" help:"Print one line of JSON for each."`
}

// Run measures. The server should not use the token meanwhile.
func (c tokenBenchCommand) Run(ctx context.Context, s *Settings, out streams) error {
	for _, n := range c.Sessions {
		if n < 1 || n > 1024 {
			return fmt.Errorf("--sessions: %d is not a number from 1 to 1024", n)
		}
	}
	return c.atToken(ctx, s, out, func(cfg hsm.Config, pin []byte) error {
		if !c.JSON {
			out.printf("%-10s %-10s %-11s %s\n", "SESSIONS", "GIVEN", "SIGNATURES", "PER SECOND")
		}
		for _, n := range c.Sessions {
			rate, err := ceremony.Bench(ctx, cfg, pin, n, c.Each)
			if err != nil {
				return err
			}
			if c.JSON {
				out.printf(`{"asked": %d, "sessions": %d, "signatures": %d, "per_second": %.2f}`+"\n", rate.Asked, rate.Sessions, rate.Signatures, rate.PerSecond)
				continue
			}
			out.printf("%-10d %-10d %-11d %.1f\n", rate.Asked, rate.Sessions, rate.Signatures, rate.PerSecond)
		}
		return nil
	})
}
