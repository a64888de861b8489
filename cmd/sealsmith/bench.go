package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/sealsmith/sealsmith/hsm/demotoken"
)

// benchCommand measures this machine. It prints one JSON object per line; `make bench`
// keeps nothing. Figures of a shared machine vary: compare ratios within one run.
type benchCommand struct {
	Launches int           `help:"Login and launch round trips at each number of connections; 0: none." default:"3000"`
	Claims   int           `help:"Credentials to seal; 0: none." default:"400"`
	Postgres string        `help:"Measure launches on this PostgreSQL, too; a schema is made in it." placeholder:"ADDRESS"`
	Signs    time.Duration `help:"How long to measure signatures, beside bare calls of C_Sign, with each kind of key and number of sessions; 0: not at all." default:"6s"`
	Key      string        `help:"Key of the token: rsa3072, rsa2048 or p256." default:"rsa3072" enum:"rsa3072,rsa2048,p256"`
	Queued   int           `help:"Claims that wait while memory is measured and workers are killed; 0: none. Takes two minutes and a PostgreSQL of its own." default:"100000"`
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
	for _, database := range []string{"sqlite", "postgres"} {
		if err := b.queued(ctx, database, c.Queued); err != nil {
			return fmt.Errorf("measure a long queue: %w", err)
		}
	}
	if c.Launches == 0 {
		return b.seals(ctx, c)
	}
	databases := []string{""}
	if c.Postgres != "" {
		schema, err := freshSchema(ctx, c.Postgres)
		if err != nil {
			return fmt.Errorf("prepare PostgreSQL: %w", err)
		}
		databases = append(databases, schema)
	}
	for _, database := range databases {
		if err := b.launches(ctx, database, c.Launches); err != nil {
			return fmt.Errorf("measure launches: %w", err)
		}
	}
	return b.seals(ctx, c)
}

func (b bench) seals(ctx context.Context, c benchCommand) error {
	if c.Claims == 0 {
		return nil
	}
	payload, err := b.sealing(ctx, c.Key, c.Claims)
	if err != nil {
		return fmt.Errorf("measure sealing: %w", err)
	}
	if c.DSS == "" {
		return nil
	}
	if err := b.beside(ctx, c.DSS, payload); err != nil {
		return fmt.Errorf("measure sealing beside DSS: %w", err)
	}
	return nil
}

type bench struct {
	dir string
	out *json.Encoder
	err streams
}

// settings are those of a server with data of its own in dir.
func (b bench) settings(dir string) Settings {
	return Settings{Dir: filepath.Join(b.dir, dir), Listen: "127.0.0.1:0", PublicURL: "http://localhost:1"}
}

// tokens is the folder of all tokens: SoftHSM takes one in a process.
func (b bench) tokens() string { return filepath.Join(b.dir, "token") }

// sealLine is one measured line: how many credentials a second the whole way makes,
// beside how many signatures a second the same key makes with nothing around it.
type sealLine struct {
	Bench           string  `json:"bench"`
	Key             string  `json:"key"`
	Credentials     int     `json:"credentials"`
	PerSecond       float64 `json:"credentials_per_s"`
	RawPerSecond    float64 `json:"raw_c_sign_per_s"`
	Ratio           float64 `json:"ratio"`
	CPUMicroseconds float64 `json:"cpu_us_per_credential"`
	RawMicroseconds float64 `json:"cpu_us_per_c_sign"`
	Sessions        int     `json:"sessions"`
}

// sealing confirms n claims while nothing seals, then lets a worker run and waits until
// all are sealed: from the claim's row to the stored and verified seal. It returns one of the
// payloads that were sealed.
func (b bench) sealing(ctx context.Context, key string, n int) (payload []byte, err error) {
	s := b.settings("seal")
	made, err := demotoken.Make(ctx, demotoken.Options{
		Dir: b.tokens(), Organisation: allianceName, CommonName: allianceName + " eSeal (demo)",
		OrganisationIdentifier: allianceIdentifier, Country: allianceCountry, KeyType: key, Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		return nil, err
	}
	s.Token = made.TokenURI
	a, err := newApp(ctx, s, newLogger(b.err.err, 4))
	if err != nil {
		return nil, err
	}
	err = b.sealAll(ctx, a, key, n)
	if err == nil {
		err = a.db.Get(ctx, &payload, `select payload from credentials limit 1`)
	}
	return payload, errors.Join(err, a.close())
}

func (b bench) sealAll(ctx context.Context, a *app, key string, n int) error {
	running, stop := context.WithCancel(ctx)
	wait := a.startParts(running) // Redis and the token
	defer func() { stop(); wait() }()
	d := demo{app: a}
	if err := d.ready(ctx, nil); err != nil {
		return err
	}
	if err := seedClaims(ctx, a, n); err != nil {
		return err
	}
	begun, cpu := time.Now(), cpuTime()
	worker, end := context.WithCancel(ctx)
	finished := make(chan struct{})
	go func() { defer close(finished); a.worker().Run(worker) }()
	err := waitSealed(ctx, a)
	took, used := time.Since(begun), cpuTime()-cpu
	end()
	<-finished
	if err != nil {
		return err
	}
	alone, err := newRawKey(a.settings.Token)
	if err != nil {
		return err
	}
	raw, err := alone.sign(took, runtime.NumCPU())
	if err != nil {
		return err
	}
	line := sealLine{
		Bench: "seal", Key: key, Credentials: n, PerSecond: float64(n) / took.Seconds(), RawPerSecond: raw.perSecond,
		CPUMicroseconds: float64(used.Microseconds()) / float64(n), RawMicroseconds: raw.cpu, Sessions: raw.sessions,
	}
	line.Ratio = line.PerSecond / line.RawPerSecond
	return b.out.Encode(line)
}

func waitSealed(ctx context.Context, a *app) error {
	for {
		load, err := a.desk.Load(ctx)
		if err != nil {
			return err
		}
		if load.Failed > 0 {
			return fmt.Errorf("%d claims failed", load.Failed)
		}
		if load.Waiting == 0 {
			return nil
		}
		if !sleep(ctx, 5*time.Millisecond) {
			return ctx.Err()
		}
	}
}
