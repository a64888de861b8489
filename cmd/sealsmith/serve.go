package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

type serveCommand struct {
	NoWorker bool          `help:"Do not seal in this process; run sealsmith worker beside it."`
	Drain    time.Duration `help:"When told to stop, say so on /readyz for so long before the last connections are closed: longer than a load balancer needs to see it." env:"SEALSMITH_DRAIN" default:"0s"`
}

// Run serves until the context ends.
func (c serveCommand) Run(ctx context.Context, s *Settings, out streams) error {
	if err := harden(); err != nil {
		return err
	}
	a, err := started(ctx, s, out)
	if a == nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("listen: %w", err), a.close())
	}
	a.logger.InfoContext(ctx, "sealsmith serves", "address", l.Addr().String(), "public_url", a.public.String(), "version", version)
	a.drain = c.Drain
	return errors.Join(a.serve(ctx, l, !c.NoWorker), a.close())
}

// started is newApp for what runs until it is told to stop. Being told so before it has begun is
// no failure, whatever that has broken off: then there is no app and no error.
func started(ctx context.Context, s *Settings, out streams) (*app, error) {
	logger := newLogger(out.err, s.level())
	a, err := newApp(ctx, *s, logger)
	if err != nil && ctx.Err() != nil {
		logger.InfoContext(ctx, "told to stop while starting", "err", err)
		return nil, nil //nolint:nilnil,nilerr // as said
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// serve runs the server on l, with a worker inside if asked, until ctx ends.
func (a *app) serve(ctx context.Context, l net.Listener, seal bool) error {
	f, err := a.front()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	loops := append(f.loops, a.keepers()...)
	if seal {
		loops = append(loops, a.sealers()...)
	}
	partsCtx, stop := context.WithCancel(ctx)
	wait := a.startParts(partsCtx, loops...)
	closing, shut := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer shut()
		<-ctx.Done()
		a.stopping.Store(true)
		sleep(context.WithoutCancel(ctx), a.drain)
	}()
	err = a.serveHTTP(closing, l, a.untilDrained(f.handler))
	stop()
	wait()
	return err
}

// untilDrained asks clients not to use their connections again once the server is told to stop,
// so that none of them sends a request at the moment in which idle connections are closed.
func (a *app) untilDrained(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

func gradeLoop(r *grading.Reader) func(context.Context) {
	return func(ctx context.Context) { r.Loop(ctx, gradeInterval) }
}

// sealers are the loops that need a token: of a worker, and of a server that seals.
func (a *app) sealers() []func(context.Context) {
	return []func(context.Context){a.worker().Run, a.preserve, a.signLists, a.keepKit}
}

// keepers are the loops of every process.
func (a *app) keepers() []func(context.Context) {
	return []func(context.Context){a.chainAudit, a.desk.Tend, a.carry}
}

type workerCommand struct{}

// Run seals until the context ends.
func (workerCommand) Run(ctx context.Context, s *Settings, out streams) error {
	if err := harden(); err != nil {
		return err
	}
	a, err := started(ctx, s, out)
	if a == nil {
		return err
	}
	a.logger.InfoContext(ctx, "sealsmith worker seals", "version", version)
	wait := a.startParts(ctx, append(a.sealers(), a.keepers()...)...)
	<-ctx.Done()
	wait()
	return a.close()
}

type migrateCommand struct{}

// Run applies all migrations.
func (migrateCommand) Run(ctx context.Context, s *Settings, out streams) error {
	db, err := sqldb.Open(ctx, s.databaseAddress())
	if err != nil {
		return err
	}
	v, err := db.Migrate(ctx)
	if err == nil {
		out.printf("The database has schema %d.\n", v)
	}
	return errors.Join(err, db.Close())
}
