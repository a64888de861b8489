package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// benchCommand measures this machine. It prints one JSON object per line; `make bench`
// keeps nothing. Figures of a shared machine vary: compare ratios within one run.
type benchCommand struct {
	Launches int           `help:"Login and launch round trips at each number of connections; 0: none." default:"3000"`
	Claims   int           `help:"Credentials to seal in each of three turns, on each database with each kind of key; 0: none." default:"1000"`
	Slow     time.Duration `help:"How long to seal on a token that takes half a second, with a thousand claims in the queue; 0: not at all." default:"60s"`
	Postgres string        `help:"Measure on this PostgreSQL, too; a schema is made in it." placeholder:"ADDRESS"`
	Signs    time.Duration `help:"How long to measure signatures, beside bare calls of C_Sign, with each kind of key and number of sessions; 0: not at all." default:"6s"`
	Key      []string      `help:"Keys to seal with: rsa3072, rsa2048, p256." default:"rsa3072,rsa2048,p256" enum:"rsa3072,rsa2048,p256"`
	Profile  string        `help:"Write the CPU profile of the last sealing into this file." placeholder:"FILE"`
	DSS      string        `help:"Seal with DSS, too: the folder with the compiled program of testdata/interop." name:"dss" placeholder:"FOLDER"`
}

// Run measures signatures, launches, and sealing.
func (c benchCommand) Run(ctx context.Context, out streams) error {
	dir, err := os.MkdirTemp("", "sealsmith-bench-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	b := bench{dir: dir, out: json.NewEncoder(out.out), err: out}
	if err := b.signing(ctx, c.Signs); err != nil {
		return fmt.Errorf("measure signatures: %w", err)
	}
	databases := []string{""}
	if c.Postgres != "" {
		databases = append(databases, c.Postgres)
	}
	for _, database := range databases {
		if err := b.launching(ctx, database, c.Launches); err != nil {
			return fmt.Errorf("measure launches: %w", err)
		}
	}
	return b.seals(ctx, c, databases)
}

func (b bench) launching(ctx context.Context, database string, n int) error {
	if n == 0 {
		return nil
	}
	database, err := fresh(ctx, database)
	if err != nil {
		return err
	}
	return b.launches(ctx, database, n)
}

// fresh makes a schema of its own where the database is a PostgreSQL.
func fresh(ctx context.Context, database string) (string, error) {
	if database == "" {
		return "", nil
	}
	schema, err := freshSchema(ctx, database)
	if err != nil {
		return "", fmt.Errorf("prepare PostgreSQL: %w", err)
	}
	return schema, nil
}

func (b bench) seals(ctx context.Context, c benchCommand, databases []string) error {
	var payload []byte
	for _, database := range databases {
		for _, key := range c.Key {
			var err error
			if payload, err = b.sealing(ctx, sealRun{what: "seal", key: key, database: database, claims: c.Claims, profile: c.Profile}); err != nil {
				return fmt.Errorf("measure sealing with %s: %w", key, err)
			}
		}
		if err := b.slow(ctx, sealRun{what: "slow", key: "p256", database: database, claims: slowQueued}, c.Slow); err != nil {
			return fmt.Errorf("measure a slow token: %w", err)
		}
	}
	if c.DSS == "" || payload == nil {
		return nil
	}
	if err := b.beside(ctx, c.DSS, payload); err != nil {
		return fmt.Errorf("measure sealing beside DSS: %w", err)
	}
	return nil
}

type bench struct {
	dir      string
	tokenDir string // empty: in dir
	out      *json.Encoder
	err      streams
}

// settings are those of a server with data of its own in dir.
func (b bench) settings(dir string) Settings {
	return Settings{Dir: filepath.Join(b.dir, dir), Listen: "127.0.0.1:0", PublicURL: "http://localhost:1"}
}

// tokens is the folder of all tokens: SoftHSM takes one in a process.
func (b bench) tokens() string { return cmp.Or(b.tokenDir, filepath.Join(b.dir, "token")) }
