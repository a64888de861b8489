package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/redisqueue"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// gradeInterval is how often the background loop reads the grades of each attachment.
// Learners do not wait for it: a launch reads their own result.
const gradeInterval = 10 * time.Minute

// leaseTime is how long a claim is with a worker that has died; one that lives renews its
// leases.
const leaseTime = 20 * time.Second

// app is the program as a value: every part, wired. Tests and the demo start it on a
// free port.
type app struct {
	settings  Settings
	public    *url.URL
	logger    *slog.Logger
	db        *sqldb.DB
	redis     redis.UniversalClient
	child     *redisChild // nil: Redis is given
	queue     *redisqueue.Queue
	seals     *seals
	lti       *ltistore.Store
	traces    *ltistore.Traces
	secret    []byte // of login states
	templates *templates.Store
	grading   *grading.Store
	desk      *issuance.Desk
	batches   *batch.Store
	pages     *elm.Renderer
	pdfs      *issuance.PDFs
	trusted   *trusted
	proofs    *proofs // nil: nothing is added to seals
	drain     time.Duration
	stopping  atomic.Bool      // told to stop; /readyz says so for as long as drain
	objects   issuance.Objects // nil: all files are in the database
	// keepArtefacts is for who carries nothing to the object store any more.
	keepArtefacts bool
}

// newApp opens the database and wires what every long-running command shares. Nothing
// runs yet, and neither Redis nor the token need be there.
func newApp(ctx context.Context, s Settings, logger *slog.Logger) (*app, error) {
	a := &app{settings: s, logger: logger}
	var err error
	if a.public, err = s.publicURL(); err != nil {
		return nil, err
	}
	if a.trusted, err = newTrusted(&s, logger); err != nil {
		return nil, err
	}
	if a.proofs, err = a.newProofs(); err != nil {
		return nil, err
	}
	if a.objects, a.keepArtefacts, err = s.openObjects(); err != nil {
		return nil, err
	}
	if a.pages, err = elm.NewRenderer(); err != nil {
		return nil, fmt.Errorf("prepare the page images: %w", err)
	}
	if err := a.openRedis(); err != nil {
		return nil, err
	}
	if a.db, err = s.openDatabase(ctx); err != nil {
		return nil, err
	}
	if a.seals, err = a.newSeals(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	if a.secret, err = a.db.Secret(ctx, "lti-state", rand.Reader, time.Now()); err != nil {
		return nil, errors.Join(err, a.close())
	}
	if a.lti, err = s.openKeys(ctx, a.db); err != nil {
		return nil, errors.Join(err, a.close())
	}
	a.traces = a.lti.NewTraces(logger)
	a.templates = templates.NewStore(a.db, time.Now)
	a.desk = issuance.NewDesk(a.db, a.queue, time.Now, logger).WithObjects(a.objects)
	a.grading = grading.NewStore(a.db, a.desk, time.Now)
	a.batches = batch.NewStore(a.db, a.grading, a.desk, time.Now, logger)
	if a.pdfs, err = a.newPDFs(); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// close releases what newApp opened.
func (a *app) close() error {
	var tokens error
	if a.seals != nil {
		tokens = a.seals.close()
	}
	return errors.Join(tokens, a.redis.Close(), a.db.Close())
}

func readTrust(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // nil is the pool of those who trust nobody
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the trusted certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// openRedis makes the client; it connects when it is first used, and again after a loss.
func (a *app) openRedis() error {
	address := a.settings.Redis
	if address == "" {
		child, err := newRedisChild(filepath.Join(a.settings.dir(), "redis"), a.logger)
		if err != nil {
			return err
		}
		socket, err := child.socket()
		if err != nil {
			return err
		}
		a.child, address = child, "unix:"+socket
	}
	options, err := redisqueue.Options(address)
	if err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	redis.SetLogger(redisLog{a.logger})
	a.redis = redis.NewUniversalClient(options)
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("ask for the host name: %w", err)
	}
	a.queue = redisqueue.New(a.redis, fmt.Sprintf("%s-%d", host, os.Getpid()))
	return nil
}

// redisLog takes what the client library would write to standard error. It is a detail:
// the errors come back to who called.
type redisLog struct{ logger *slog.Logger }

// Printf implements the logger of the library.
func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.logger.DebugContext(ctx, "redis client", "detail", fmt.Sprintf(format, v...))
}

// sealBurst is how many claims are under way before fast tokens: as many as fit into a group in
// the database, so that some are drawn and signed while others are written; a tenth more are
// sealed than with half as many (measured), and no more with twice as many.
const sealBurst = 32

// worker returns the worker of this process.
func (a *app) worker() *issuance.Worker {
	return &issuance.Worker{
		DB: a.db, Templates: a.templates, Jobs: a.queue, Sealer: a.seals.everybody, Own: a.seals.sealers(),
		Pages: a.pages, PublicURL: a.public, Parallel: a.seals.sessions() + 1, Burst: sealBurst, Lease: leaseTime, Sweep: time.Second, Now: time.Now, Logger: a.logger,
		Level: a.level(), Clock: a.db.Clock, Book: a.settings.book(),
	}
}

func (a *app) verify(file []byte) issuance.Report {
	return issuance.Verify(file, a.trusted.options(time.Now()))
}

// startParts runs what works in the background until ctx ends: Redis, the token, and the
// given loops. The returned function waits for their end, Redis last.
func (a *app) startParts(ctx context.Context, loops ...func(context.Context)) (wait func()) {
	// Redis outlives the loops, which end what they have begun.
	redisCtx, stopRedis := context.WithCancel(context.WithoutCancel(ctx))
	var child, parts sync.WaitGroup
	if a.child != nil {
		child.Go(func() { a.child.run(redisCtx) })
	}
	a.seals.start(context.WithoutCancel(ctx)) // closed by close, after the worker has finished
	parts.Go(func() { a.serveAdmin(ctx) })
	for _, loop := range loops {
		parts.Go(func() { loop(ctx) })
	}
	return func() {
		parts.Wait()
		stopRedis()
		child.Wait()
	}
}

// housekeeping sweeps what has expired, and renews the key that has signed for long.
func (a *app) housekeeping(ctx context.Context) {
	for a.rotateOld(ctx); sleep(ctx, 10*time.Minute); a.rotateOld(ctx) {
		if _, err := a.lti.Sweep(ctx); err != nil && ctx.Err() == nil {
			a.logger.WarnContext(ctx, "expired sessions not swept", "err", err)
		}
	}
}

// serveHTTP serves handler on l until ctx ends, then lets open requests finish.
func (a *app) serveHTTP(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(a.logger.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer stop()
		done <- server.Shutdown(grace)
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return <-done
}
