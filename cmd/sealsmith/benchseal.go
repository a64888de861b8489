//go:build cgo

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/demotoken"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/jades"
)

// sealRun is what one line measures.
type sealRun struct {
	what          string // for names of its own
	key, database string // database: empty for SQLite
	claims        int    // in each turn
	profile       string // file
}

// sealLine is one measured line: how many credentials a second the whole way makes, from the
// claim's row to the stored and verified seal, beside how many signatures a second the same
// key makes with nothing around it. Both take turns, because other work on the machine comes
// and goes: bare calls before and after each turn of sealing. Ratio is the middle one of the
// turns, and best the best of them.
//
// The CPU time of this process is split by what a profile of it shows (see stageFrames). What
// Redis has used comes from its INFO, and what PostgreSQL has used from /proc, when it runs on
// this machine; neither is in cpu_us_per_credential.
type sealLine struct {
	Bench           string             `json:"bench"`
	Database        string             `json:"database"`
	Key             string             `json:"key"`
	Credentials     int                `json:"credentials"`
	PerSecond       float64            `json:"credentials_per_s"`
	RawPerSecond    float64            `json:"raw_c_sign_per_s"`
	Ratio           float64            `json:"ratio"`
	Best            float64            `json:"best_ratio"`
	CPUMicroseconds float64            `json:"cpu_us_per_credential"`
	RawMicroseconds float64            `json:"cpu_us_per_c_sign"`
	Stages          map[string]float64 `json:"cpu_us_by_stage"`
	RedisServer     float64            `json:"redis_server_cpu_us"`
	DatabaseServer  float64            `json:"database_server_cpu_us,omitempty"`
	Bytes           int                `json:"sealed_bytes"`
	Sessions        int                `json:"sessions"`
}

const (
	sealTurns  = 3
	sealWarmUp = 50                     // credentials before the first turn: fonts, forms, statements
	rawTurn    = 700 * time.Millisecond // bare calls before and after each turn
)

func databaseName(address string) string {
	if address == "" {
		return "sqlite"
	}
	return "postgres"
}

// sealing measures one line. It returns one of the payloads that were sealed.
func (b bench) sealing(ctx context.Context, run sealRun) (payload []byte, err error) {
	if run.claims == 0 {
		return nil, nil
	}
	err = b.withSealer(ctx, run, func(running context.Context, a *app) error {
		if err := b.sealAll(running, a, run); err != nil {
			return err
		}
		var sealed []byte
		if err := a.db.Get(ctx, &sealed, `select sealed from credentials where sealed is not null limit 1`); err != nil {
			return err
		}
		file, err := jades.Parse(sealed)
		payload = file.Payload
		return err
	})
	return payload, err
}

// withSealer runs everything that a worker needs, with a token of its own.
func (b bench) withSealer(ctx context.Context, run sealRun, do func(ctx context.Context, a *app) error) error {
	name := run.what + "-" + databaseName(run.database) + "-" + run.key
	s := b.settings(name)
	var err error
	if s.Database, err = fresh(ctx, run.database); err != nil {
		return err
	}
	made, err := demotoken.Make(ctx, demotoken.Options{
		Dir: b.tokens(), Label: name, Organisation: allianceName, CommonName: allianceName + " eSeal (demo)",
		OrganisationIdentifier: allianceIdentifier, Country: allianceCountry, KeyType: run.key, Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		return err
	}
	s.Token = made.TokenURI
	a, err := newApp(ctx, s, newLogger(b.err.err, 4))
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	wait := a.startParts(running, a.chainAudit) // as beside every worker
	d := demo{app: a}
	if err = d.ready(ctx, nil); err == nil {
		err = do(running, a)
	}
	stop()
	wait()
	return errors.Join(err, a.close())
}

func (b bench) sealAll(ctx context.Context, a *app, run sealRun) error {
	course, err := openCourse(ctx, a)
	if err != nil {
		return err
	}
	alone, err := newRawKey(a.settings.Token)
	if err != nil {
		return err
	}
	if err := course.seed(ctx, sealWarmUp); err != nil {
		return err
	}
	if err := sealWaiting(ctx, a, func() {}); err != nil {
		return err
	}
	t := turns{app: a, raw: alone}
	for range sealTurns {
		if err := course.seed(ctx, run.claims); err != nil {
			return err
		}
		if err := t.take(ctx, run.claims); err != nil {
			return err
		}
	}
	line, err := t.line(run.claims)
	if err != nil {
		return err
	}
	line.Bench, line.Database, line.Key = "seal", databaseName(run.database), run.key
	if err := a.db.Get(ctx, &line.Bytes, `select cast(avg(length(sealed)) as integer) from credentials where sealed is not null`); err != nil {
		return err
	}
	if run.profile != "" {
		if err := os.WriteFile(filepath.Clean(run.profile), t.profiles[len(t.profiles)-1], 0o600); err != nil {
			return err
		}
	}
	return b.out.Encode(line)
}

// turns are what was measured so far.
type turns struct {
	app              *app
	raw              rawKey
	whole, bare      []float64 // per second
	cpu, rawCPU      float64   // microseconds, summed up over the turns
	redis, databases float64   // likewise
	profiles         [][]byte
}

// take measures n claims that wait.
func (t *turns) take(ctx context.Context, n int) error {
	before, err := t.raw.sign(rawTurn, runtime.NumCPU())
	if err != nil {
		return err
	}
	redis, database := redisCPU(ctx, t.app), postgresCPU(ctx, t.app)
	begun, cpu := time.Now(), cpuTime()
	var took, used time.Duration
	profile, err := profiled(func() error {
		return sealWaiting(ctx, t.app, func() { took, used = time.Since(begun), cpuTime()-cpu })
	})
	if err != nil {
		return err
	}
	t.redis += float64((redisCPU(ctx, t.app) - redis).Microseconds()) / float64(n)
	t.databases += float64((postgresCPU(ctx, t.app) - database).Microseconds()) / float64(n)
	after, err := t.raw.sign(rawTurn, runtime.NumCPU())
	if err != nil {
		return err
	}
	t.whole = append(t.whole, float64(n)/took.Seconds())
	t.bare = append(t.bare, (before.perSecond+after.perSecond)/2)
	t.cpu += float64(used.Microseconds()) / float64(n)
	t.rawCPU += (before.cpu + after.cpu) / 2
	t.profiles = append(t.profiles, profile)
	return nil
}

func (t *turns) line(n int) (sealLine, error) {
	count := float64(len(t.whole))
	line := sealLine{
		Credentials: len(t.whole) * n, CPUMicroseconds: t.cpu / count, RawMicroseconds: t.rawCPU / count,
		RedisServer: t.redis / count, DatabaseServer: t.databases / count, Sessions: runtime.NumCPU(), Stages: map[string]float64{},
	}
	ratios := make([]float64, len(t.whole))
	for i := range t.whole {
		ratios[i] = t.whole[i] / t.bare[i]
		line.PerSecond += t.whole[i] / count
		line.RawPerSecond += t.bare[i] / count
		shares, err := stagesOf(t.profiles[i])
		if err != nil {
			return line, err
		}
		for stage, share := range shares {
			line.Stages[stage] += share * line.CPUMicroseconds / count
		}
	}
	for stage, cpu := range line.Stages {
		line.Stages[stage] = math.Round(cpu)
	}
	slices.Sort(ratios)
	line.Ratio, line.Best = ratios[len(ratios)/2], ratios[len(ratios)-1]
	return line, nil
}

// sealWaiting lets a worker seal all claims that wait, and calls sealed when there is none any
// more: until the worker has ended two seconds more may pass, in which it waits for the next job.
func sealWaiting(ctx context.Context, a *app, sealed func()) error {
	worker, end := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { a.worker().Run(worker) })
	err := waitSealed(ctx, a)
	sealed()
	end()
	all.Wait()
	return err
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
		if !sleep(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// slowLine is one measured line: a worker on a token that takes half a second for each
// signature and makes one at a time, as a card does, with a queue that does not run dry.
// Utilisation is the time that the token was busy, of the time that has passed since its first
// signature was begun.
type slowLine struct {
	Bench       string  `json:"bench"`
	Database    string  `json:"database"`
	TokenTakes  float64 `json:"token_takes_s"`
	Queued      int     `json:"queued"`
	Signatures  int     `json:"signatures"`
	Seconds     float64 `json:"seconds"`
	Utilisation float64 `json:"utilisation"`
}

const (
	slowTakes  = 500 * time.Millisecond
	slowQueued = 1000
)

// slow measures for a time.
func (b bench) slow(ctx context.Context, run sealRun, during time.Duration) error {
	if during == 0 {
		return nil
	}
	return b.withSealer(ctx, run, func(ctx context.Context, a *app) error {
		course, err := openCourse(ctx, a)
		if err != nil {
			return err
		}
		if err := course.seed(ctx, run.claims); err != nil {
			return err
		}
		token := &serialToken{Pool: a.seals.everybody, takes: slowTakes}
		w := a.worker()
		w.Sealer, w.Own, w.Parallel = token, nil, 2 // one session, and one more
		running, end := context.WithCancel(ctx)
		var all sync.WaitGroup
		all.Go(func() { w.Run(running) })
		ok := token.begins(running) && sleep(running, during)
		busy, took, made := token.used()
		end()
		all.Wait()
		if !ok {
			return ctx.Err()
		}
		return b.out.Encode(slowLine{
			Bench: "seal on a slow token", Database: databaseName(run.database), TokenTakes: slowTakes.Seconds(), Queued: run.claims,
			Signatures: made, Seconds: took.Seconds(), Utilisation: busy.Seconds() / took.Seconds(),
		})
	})
}

// serialToken makes one signature at a time, each of which takes so long.
type serialToken struct {
	*hsm.Pool
	takes time.Duration
	one   sync.Mutex

	mu    sync.Mutex
	made  int
	busy  time.Duration // of signatures that were made
	since time.Time     // when the signature of now was begun; zero: there is none
	first time.Time     // when the first one was begun
}

var _ issuance.Sealer = (*serialToken)(nil)

// Sign implements issuance.Sealer.
func (s *serialToken) Sign(ctx context.Context, keyID string, input ...[]byte) ([]byte, error) {
	s.one.Lock()
	defer s.one.Unlock()
	s.mu.Lock()
	s.since = time.Now()
	if s.first.IsZero() {
		s.first = s.since
	}
	ends := time.NewTimer(s.takes)
	s.mu.Unlock()
	signature, err := s.Pool.Sign(ctx, keyID, input...)
	<-ends.C
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy += time.Since(s.since)
	s.made++
	s.since = time.Time{}
	return signature, err
}

// Rate is the number of signatures a second that can be measured of it.
func (s *serialToken) Rate() float64 { return 1 / s.takes.Seconds() }

// begins waits for the first signature.
func (s *serialToken) begins(ctx context.Context) bool {
	for {
		if _, passed, _ := s.used(); passed > 0 {
			return true
		}
		if !sleep(ctx, time.Millisecond) {
			return false
		}
	}
}

// used is how long it has been busy, of how much time, and how many signatures it has made.
func (s *serialToken) used() (busy, passed time.Duration, made int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first.IsZero() {
		return 0, 0, 0
	}
	busy = s.busy
	if !s.since.IsZero() {
		busy += time.Since(s.since)
	}
	return busy, time.Since(s.first), s.made
}
