package issuance

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/sealbook"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// Sealer is one token or several. hsm.Pool is one.
type Sealer interface {
	// Key returns the key that seals now, or hsm.ErrPaused.
	Key(ctx context.Context) (hsm.Key, error)
	// Sign signs the parts of input, one after the other, with that key, in JWS form, verified in
	// software.
	Sign(ctx context.Context, keyID string, input ...[]byte) ([]byte, error)
	// Usable tells whether Key would give one, without touching a token.
	Usable() bool
}

// Job is one id that the queue handed out, to be returned by Done.
type Job struct {
	ID      string // of the claim
	Receipt string // the queue's own mark; empty for a job that is in no queue
}

// Jobs is the workers' side of the queue.
type Jobs interface {
	Queue
	// Next waits up to wait for jobs and returns at most limit; none is no error.
	Next(ctx context.Context, limit int, wait time.Duration) ([]Job, error)
	// Done takes jobs out of the queue. Jobs that are not done come again, to any worker.
	Done(ctx context.Context, jobs ...Job) error
	// Push puts ids into the queue, whatever is in it.
	Push(ctx context.Context, ids ...string) error
	// IDs returns what is in the queue, handed out or not, at most limit of it.
	IDs(ctx context.Context, limit int) ([]string, error)
	// Len returns how many jobs are in the queue, handed out or not.
	Len(ctx context.Context) (int64, error)
}

// Worker seals. Several workers, in one process or many, may share a database and a queue.
type Worker struct {
	DB        *sqldb.DB
	Templates *templates.Store
	Jobs      Jobs
	Sealer    Sealer
	Own       map[string]Sealer // by slug: organisations with tokens of their own, which Sealer does not serve
	Pages     *elm.Renderer
	PublicURL *url.URL         // of the verification pages
	Parallel  int              // claims at once; the sessions of the token plus one keep it busy
	Burst     int              // claims at once while tokens sign fast; less than Parallel: Parallel
	Lease     time.Duration    // how long a claim stays with a worker that has died; see hold
	Sweep     time.Duration    // how often the relay looks for claims that are due when there were none
	Now       func() time.Time // the clock
	Logger    *slog.Logger
	// Clock is the clock that all workers share, the database's: while Now differs from it by
	// more than MaxSkew nothing is sealed. nil: there is one machine.
	Clock func(ctx context.Context) (time.Time, error)
	// Book is where credentials are noted outside of the database, before they are sealed; nil: nowhere.
	Book *sealbook.Book
	// Step, when set, is called before each step with its name; an error ends the attempt
	// there as kill -9 would. Tests kill workers with it.
	Step func(name string) error
	// Level is the level of the seal for organisations that name none.
	Level templates.SealLevel

	forms   elm.Forms
	known   known
	grouped sync.Once
	group   sqldb.Group
	pace    pace
	named   sync.Once
	id      string      // see name
	refused atomic.Bool // the last sweep could not ask or fill the queue
	skewed  atomic.Bool // the last look at Clock showed that Now is wrong
	older   atomic.Bool // the last look at Book showed that the database is older
	load    load
	round   atomic.Int64 // of the relay: which organisation begins
}

// staleIntent is the age after which an unsealed intent gets a new date.
const staleIntent = 24 * time.Hour

// maxAttempts is after how many attempts a claim waits for a person.
const maxAttempts = 12

// maxDeaths is after how many attempts a claim waits for a person even when no attempt
// came to an end: something in it kills the worker each time.
const maxDeaths = 2 * maxAttempts

var errDeadly = errors.New("the worker ended without an answer each time this claim was tried; look into the log for the cause")

// Run seals until ctx ends, then finishes what it has begun and returns.
func (w *Worker) Run(ctx context.Context) {
	jobs, ended := make(chan Job), make(chan Job, finishMost)
	var all, last sync.WaitGroup
	for range max(w.Parallel, w.Burst, 1) {
		all.Go(func() {
			for job := range jobs {
				w.do(ctx, job, ended)
				w.pace.leave()
			}
		})
	}
	last.Go(func() { w.finish(context.WithoutCancel(ctx), ended) })
	all.Go(func() { w.relay(ctx) })
	w.feed(ctx, jobs)
	close(jobs)
	all.Wait()
	close(ended)
	last.Wait()
}

// feed hands jobs out while a token can seal. While none can, nothing is taken from the
// queue, so that no claim uses up its attempts. While the queue cannot be used, or takes no
// jobs, they come from the rows.
func (w *Worker) feed(ctx context.Context, jobs chan<- Job) {
	away := false
	var last []Job // from the rows
	for ctx.Err() == nil {
		if !w.usable() || w.fit(ctx) != nil {
			pause(ctx, usablePoll)
			continue
		}
		batch, err := w.Jobs.Next(ctx, w.parallel(), 2*time.Second)
		if ctx.Err() == nil && away != (err != nil) {
			away = err != nil
			w.Logger.WarnContext(ctx, "sealing goes on from the database while the queue is away", "away", away, "err", err)
		}
		if err != nil || len(batch) == 0 && w.refused.Load() {
			batch, err = w.direct(ctx)
			batch = without(batch, last)
			last = batch
			if err != nil && ctx.Err() == nil {
				w.Logger.WarnContext(ctx, "neither queue nor database reached, sealing waits", "err", err)
			}
			if len(batch) == 0 {
				pause(ctx, time.Second)
			}
		}
		for i, job := range batch {
			if !w.pace.enter(ctx, w.parallel) {
				w.giveBack(ctx, batch[i:])
				return
			}
			jobs <- job // somebody is free: as many wait for jobs as may ever be under way
		}
	}
}

// usablePoll is how often the tokens are asked whether one is back; asking costs nothing.
const usablePoll = 200 * time.Millisecond

func (w *Worker) usable() bool {
	for _, own := range w.Own {
		if own.Usable() {
			return true
		}
	}
	return w.Sealer.Usable()
}

// sealer returns who seals for an organisation.
func (w *Worker) sealer(slug string) Sealer {
	if own, ok := w.Own[slug]; ok {
		return own
	}
	return w.Sealer
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// do handles one job and has it taken out of the queue, whatever came of it: the row says
// whether something is left to do, and the relay reads the row.
func (w *Worker) do(ctx context.Context, job Job, ended chan<- Job) {
	// What has been begun is finished, also when the process is told to stop.
	work := context.WithoutCancel(ctx)
	if err := w.Seal(work, job.ID); err != nil {
		w.Logger.WarnContext(work, "claim not sealed", "claim_id", job.ID, "err", err)
	}
	if job.Receipt != "" {
		ended <- job
	}
}

// Seal makes one attempt to seal the claim: nothing when it is not due, sealed or back in
// the queue otherwise. The error is for the log; the claim keeps it in words.
func (w *Worker) Seal(ctx context.Context, claimID string) error {
	if err := w.fit(ctx); err != nil {
		return err
	}
	if err := w.step("lease"); err != nil {
		return err
	}
	c, err := w.lease(ctx, claimID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.Attempts > maxDeaths {
		return errors.Join(errDeadly, w.release(ctx, c, Failed, w.Now(), errDeadly.Error()))
	}
	letGo := w.hold(ctx, c)
	err = w.attempt(ctx, c)
	letGo()
	if _, dead := errors.AsType[*stopped](err); err == nil || dead || errors.Is(err, errLeaseLost) {
		return err
	}
	next, at := w.afterwards(c, err)
	if errors.Is(err, hsm.ErrPaused) || errors.Is(err, errNoRoom) || errors.Is(err, errUnfit) {
		c.Attempts-- // not the claim's fault
	}
	return errors.Join(err, w.release(ctx, c, next, at, err.Error()))
}

// attempt is seal with a panic turned into an error: a claim that the code cannot bear
// must not end the process, and with it the sealing of all others, at each restart.
func (w *Worker) attempt(ctx context.Context, c Claim) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.Logger.ErrorContext(ctx, "sealing panicked", "claim_id", c.ID, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("a mistake in the program: %v", p)
		}
	}()
	return w.seal(ctx, c)
}

// afterwards decides where a claim goes after a failed attempt.
func (w *Worker) afterwards(c Claim, err error) (State, time.Time) {
	if errors.Is(err, hsm.ErrPaused) {
		return Queued, w.Now()
	}
	if errors.Is(err, errUnfit) {
		return Queued, c.NotBefore // for others: this machine may not know what time it is
	}
	if errors.Is(err, errNoRoom) {
		return Queued, w.Now().Add(noRoomPause)
	}
	if _, hopeless := errors.AsType[*CheckFailed](err); hopeless || c.Attempts >= maxAttempts {
		return Failed, w.Now()
	}
	return Queued, w.Now().Add(backoff(c))
}

// backoff is the distance to the next attempt: doubled each time up to eight minutes, and up
// to a quarter longer, by the lease, so that what failed together is not tried together.
func backoff(c Claim) time.Duration {
	d := time.Second << min(c.Attempts, 9)
	spread := 0
	for _, b := range []byte(c.LeaseToken) {
		spread = (spread*31 + int(b)) % 256
	}
	return d + d/4*time.Duration(spread)/256
}

// stopped wraps an error of Step: the attempt ends there as kill -9 would end it, with
// nothing given back.
type stopped struct{ error }

// Unwrap returns what Step said.
func (s *stopped) Unwrap() error { return s.error }

// stopAt asks a Step, if there is one, whether the work ends before the step of this name.
func stopAt[T any](step func(T) error, name T) error {
	if step == nil {
		return nil
	}
	if err := step(name); err != nil {
		return &stopped{err}
	}
	return nil
}

func (w *Worker) step(name string) error { return stopAt(w.Step, name) }

func (w *Worker) seal(ctx context.Context, c Claim) error {
	organisation, err := w.organisation(ctx, c.OrganisationID)
	if err != nil {
		return err
	}
	kind := w.kind(organisation.Slug)
	leave, err := w.load.enter(kind, w.most())
	if err != nil {
		return err
	}
	defer leave()
	sealer := w.sealer(organisation.Slug)
	key, err := sealer.Key(ctx)
	if err != nil {
		return fmt.Errorf("ask for the key: %w", err)
	}
	cred, checked, err := w.prepare(ctx, c, organisation, key.Chain[0])
	if err != nil {
		return err
	}
	if !cred.SealedAt.Valid {
		if err := w.step("sign"); err != nil {
			return err
		}
		if err := w.ready(ctx, c, cred); err != nil {
			return err
		}
		payload, err := checked.spend()
		if err != nil {
			return err
		}
		with := jades.Key{ID: key.ID, Alg: key.Alg, Chain: key.Chain, LegacySigT: organisation.Seal.LegacyTime}
		cred.Sealed, err = jades.Seal(ctx, sealer, with, payload, w.Now())
		if err != nil {
			return fmt.Errorf("seal: %w", err)
		}
		cred.KeyID, cred.Goal = key.ID, organisation.Seal.Goal(w.Level)
	}
	if err := w.step("store"); err != nil {
		return err
	}
	if err := w.keep(ctx, c, cred); err != nil {
		return err
	}
	w.load.keep(kind)
	return nil
}

// prepare returns the intent with a check of its payload: the stored one of an earlier
// attempt, or a new one.
func (w *Worker) prepare(ctx context.Context, c Claim, organisation templates.Organisation, seal *x509.Certificate) (Credential, Checked, error) {
	cred, err := credential(ctx, w.DB, `k.organisation_id = ? and k.claim_id = ? and k.revision = ?`, c.OrganisationID, c.ID, c.Revision)
	fresh := errors.Is(err, ErrNotFound)
	if err != nil && !fresh {
		return Credential{}, Checked{}, err
	}
	if fresh {
		link, err := w.random(16)
		if err != nil {
			return Credential{}, Checked{}, err
		}
		now := sqldb.UTC(w.Now())
		cred = Credential{
			ID: uuid.Must(uuid.NewRandom()).String(), OrganisationID: c.OrganisationID, ClaimID: c.ID,
			IssuedAt: now.Truncate(time.Second), Link: link, CreatedAt: now, Revision: c.Revision,
		}
		if cred.Replaces, err = w.replaced(ctx, c); err != nil {
			return Credential{}, Checked{}, err
		}
	}
	in, err := w.input(ctx, c, cred, organisation)
	if err != nil {
		return Credential{}, Checked{}, err
	}
	in.Issuer = hsm.InspectSeal(seal)
	if fresh {
		return w.begin(ctx, c, cred, in)
	}
	return w.resume(ctx, c, cred, in)
}

func (w *Worker) begin(ctx context.Context, c Claim, cred Credential, in elm.Input) (Credential, Checked, error) {
	if err := w.build(&cred, in); err != nil {
		return Credential{}, Checked{}, err
	}
	checked, err := w.check(cred.Payload, in)
	if err != nil {
		return Credential{}, Checked{}, err
	}
	if err := w.step("intent"); err != nil {
		return Credential{}, Checked{}, err
	}
	if err := w.intent(ctx, c, cred); err != nil {
		return Credential{}, Checked{}, err
	}
	return cred, checked, nil
}

func (w *Worker) resume(ctx context.Context, c Claim, cred Credential, in elm.Input) (Credential, Checked, error) {
	if cred.SealedAt.Valid {
		return cred, Checked{}, nil
	}
	// A date of issue far from the date of the seal would make readers suspicious.
	// One without a payload was recalled: with its date it may have been handed out.
	stale := w.Now().Sub(cred.IssuedAt) > staleIntent && len(cred.Payload) > 0
	checked, err := w.check(cred.Payload, in)
	if err == nil && !stale {
		return cred, checked, nil
	}
	if stale {
		cred.IssuedAt = sqldb.UTC(w.Now()).Truncate(time.Second)
		in.IssuedAt = cred.IssuedAt
	}
	w.Logger.WarnContext(ctx, "intent rebuilt, it is old or the seal certificate has changed since", "claim_id", cred.ClaimID, "err", err)
	if err := w.build(&cred, in); err != nil {
		return Credential{}, Checked{}, err
	}
	if checked, err = w.check(cred.Payload, in); err != nil {
		return Credential{}, Checked{}, err
	}
	return cred, checked, w.rewrite(ctx, c, cred)
}

func (w *Worker) build(cred *Credential, in elm.Input) error {
	primary := in.Version.Content.Languages[0]
	page, err := w.Pages.Page(in, primary)
	if err != nil {
		return &CheckFailed{Err: fmt.Errorf("draw the page: %w", err)}
	}
	payload, err := w.forms.Build(in, elm.Page{Language: primary, PNG: page})
	if err != nil {
		return &CheckFailed{Err: fmt.Errorf("build: %w", err)}
	}
	cred.Payload, cred.PayloadSHA256 = payload, digest(payload)
	cred.ValidUntil = sql.NullTime{Time: in.ValidUntil(), Valid: !in.ValidUntil().IsZero()}
	return nil
}

// input gathers everything that the payload says, but for the issuer.
func (w *Worker) input(ctx context.Context, c Claim, cred Credential, organisation templates.Organisation) (elm.Input, error) {
	version, err := w.version(ctx, c.OrganisationID, c.VersionID)
	if err != nil {
		return elm.Input{}, err
	}
	decision, err := grading.ByID(ctx, w.DB, c.OrganisationID, c.DecisionID)
	if err != nil {
		return elm.Input{}, err
	}
	// In whole seconds, as issued; and never after it, also when two machines' clocks differ.
	issued, err := w.firstIssue(ctx, c, cred)
	if err != nil {
		return elm.Input{}, err
	}
	awarded := decision.At.Truncate(time.Second)
	if awarded.After(issued) {
		awarded = issued
	}
	return elm.Input{
		CredentialID: cred.ID, Number: number(organisation.Slug, cred.ID, cred.IssuedAt.Year()),
		IssuedAt: cred.IssuedAt.UTC(), ValidSince: issued.UTC(), AwardedAt: awarded.UTC(), Awarding: organisation, Version: version,
		Learner: elm.Learner{GivenName: c.GivenName, FamilyName: c.FamilyName, Identifier: c.Learner},
		Score:   decision.Evidence.Score.Float64, Maximum: decision.Evidence.Maximum,
		VerifyURL: w.PublicURL.JoinPath("c", cred.Link).String(), Replaces: cred.Replaces,
	}, nil
}
