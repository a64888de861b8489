package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/hsm/demotoken"
)

// crashCommand lets an installation of real processes issue credentials while they are
// killed, and then counts what came of it. It is for developers, as bench is. Everything is
// its own: folder, token, databases, Redis, LMS; it ends only processes that it started.
type crashCommand struct {
	Claims  int           `help:"Credentials to issue." default:"10000"`
	Pages   int           `help:"How many of them are claimed through the pages, by learners who come from an LMS; the rest at the desk." default:"500"`
	Kills   int           `help:"How often something is killed." default:"60"`
	On      string        `help:"sqlite (one server, one worker) or postgres (two servers, three workers)." default:"postgres" enum:"sqlite,postgres"`
	Seed    uint64        `help:"Repeats the choices of a run; 0: new ones."`
	Limit   time.Duration `help:"Stop after this time, whatever is done." default:"45m"`
	Program string        `help:"Another build of sealsmith, whose processes run on the schema of this one." type:"existingfile" placeholder:"FILE"`
	Schema  int           `name:"program-schema" help:"The newest schema that it knows." placeholder:"NUMBER"`
	Keep    bool          `help:"Keep the folder with data and logs."`
}

// crashLine is the result: one JSON object. Lost, twice and wrong are counted in the sealed
// files and not in the states of rows.
type crashLine struct {
	Run         string         `json:"crashrun"` // the database
	Seed        uint64         `json:"seed"`
	Claims      int            `json:"claims"`
	ByPages     int            `json:"claimed_by_pages"`
	Again       int            `json:"claimed_again"` // somebody had to try again: a server or the database was away
	Corrections int            `json:"corrections"`   // names that were corrected
	Kills       map[string]int `json:"kills"`
	Unblocks    int            `json:"unblocks"` // a kill in the middle of a login: the operator allowed another one
	crashCount
	TakeOver float64 `json:"longest_take_over_s"` // from the kill of a worker until others had its claims
	Seconds  float64 `json:"seconds"`
	Finished bool    `json:"finished"` // within the limit
}

// Run lets everything happen, prints the line, and fails unless every claim became exactly one
// credential that verifies.
func (c crashCommand) Run(ctx context.Context, out streams) (err error) {
	if c.Pages > c.Claims || c.Claims < 1 || c.Pages < 0 {
		return errors.New("--pages must be between 0 and --claims")
	}
	for c.Seed == 0 {
		c.Seed = mathrand.Uint64() >> 12 //nolint:gosec // G404: choices of a test; short enough for every JSON reader
	}
	dir, err := os.MkdirTemp("", "sealsmith-crash-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	if c.Keep {
		fmt.Fprintln(out.err, "sealsmith: everything is kept in", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	fmt.Fprintf(out.err, "sealsmith: crash run on %s, seed %d\n", c.On, c.Seed)
	line, err := c.run(ctx, dir)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out.out).Encode(line); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	if !line.Finished || !line.clean(c.Claims, line.Corrections) {
		return exitCode(1)
	}
	return nil
}

// crash is a run under way.
type crash struct {
	crashCommand

	dir    string
	random *mathrand.Rand // of the one goroutine that kills
	token  demotoken.Made
	fleet  *fleet
	people *crowd
	app    *app // the desk, and who counts; it seals nothing
	line   crashLine
}

func (c crashCommand) run(ctx context.Context, dir string) (crashLine, error) {
	within, stop := context.WithTimeout(ctx, c.Limit)
	defer stop()
	r := &crash{crashCommand: c, dir: dir, random: mathrand.New(mathrand.NewPCG(c.Seed, 0))} //nolint:gosec // G404: choices of a test
	r.line = crashLine{Run: c.On, Seed: c.Seed, Claims: c.Claims, Kills: map[string]int{}}
	begun := time.Now()
	if err := r.prepare(within); err != nil {
		return r.line, errors.Join(err, r.end())
	}
	err := r.happen(within)
	r.line.Finished = err == nil
	if err != nil && within.Err() == nil {
		return r.line, errors.Join(err, r.end())
	}
	r.line.Seconds = time.Since(begun).Seconds()
	r.line.ByPages, r.line.Again, r.line.Corrections = r.people.byPages, r.people.again, r.people.corrected()
	r.line.crashCount, err = r.count(ctx)
	return r.line, errors.Join(err, r.end())
}

// prepare makes the token, the database, Redis, the people and the processes, and waits until
// everything works.
func (r *crash) prepare(ctx context.Context) (err error) {
	r.token, err = demotoken.Make(ctx, demotoken.Options{
		Dir: filepath.Join(r.dir, "token"), Organisation: allianceName, CommonName: allianceName + " eSeal (demo)",
		OrganisationIdentifier: allianceIdentifier, Country: allianceCountry, KeyType: "p256", Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		return err
	}
	if r.people, err = newCrowd(ctx, r.Claims, r.Pages); err != nil {
		return err
	}
	settings := Settings{
		Dir: filepath.Join(r.dir, "var"), Listen: "127.0.0.1:0", PublicURL: r.people.tool, Redis: "unix:" + filepath.Join(r.dir, "redis", "redis.sock"),
		Token: r.token.TokenURI, Trust: r.token.CAFile, Database: "sqlite:" + filepath.Join(r.dir, "var", "sealsmith.db"),
	}
	if r.fleet, err = newFleet(ctx, r.dir, r.On, &settings); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(r.dir, "desk.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open a log: %w", err)
	}
	if r.app, err = newApp(ctx, settings, newLogger(log, settings.level())); err != nil {
		return err
	}
	if err := r.people.arrive(ctx, r.app); err != nil {
		return err
	}
	if r.Program != "" {
		r.fleet.program = r.Program
		if err := r.pretend(ctx); err != nil {
			return err
		}
	}
	r.fleet.size(1, 1)
	if r.fleet.postgres != nil {
		r.fleet.size(2, 3)
	}
	if err := r.fleet.serve(ctx, settings, r.people.front); err != nil {
		return err
	}
	return r.people.attach(ctx, r.app)
}

// pretend lets a build that refuses what it does not know start: the tables are those of this
// program, and only the number is the other one's.
func (r *crash) pretend(ctx context.Context) error {
	_, err := r.app.db.Exec(ctx, `delete from goose_db_version where version_id > ?`, r.Schema)
	return err
}

// happen lets people claim and processes die until everything is sealed.
func (r *crash) happen(ctx context.Context) error {
	claimed := make(chan error, 1)
	over, stop := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { r.follow(over) })
	defer following.Wait()
	defer stop()
	go func() { claimed <- r.people.claim(over, r.app) }()
	err := r.killAll(ctx)
	if err != nil {
		stop()
	}
	if err := errors.Join(err, <-claimed); err != nil {
		return err
	}
	return r.untilAll(ctx)
}

// end stops what is still there.
func (r *crash) end() error {
	var errs []error
	if r.app != nil {
		errs = append(errs, r.app.close())
	}
	if r.fleet != nil {
		errs = append(errs, r.fleet.end())
	}
	if r.people != nil {
		errs = append(errs, r.people.leave())
	}
	return errors.Join(errs...)
}
