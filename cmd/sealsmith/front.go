package main

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/cmd/sealsmith/web"
	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/agsmarks"
	"github.com/sealsmith/sealsmith/grading/agsresults"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/fetch"
)

// front is what faces people and platforms, and the loops that work for it.
type front struct {
	handler http.Handler
	loops   []func(context.Context)
}

// client makes calls to the platforms of registrations.
func (a *app) client() func(lti.Registration) *http.Client {
	clients := fetch.NewClients(fetch.Config{AllowLoopback: loopback(a.public.Hostname())})
	return func(r lti.Registration) *http.Client { return clients.For(r.Settings.PrivateHosts) }
}

// front joins LTI and the pages into one router.
func (a *app) front() (front, error) {
	client := a.client()
	services, err := lti.NewServices(lti.ServiceDeps{Keys: a.lti, HTTP: client, Now: time.Now, Rand: rand.Reader, Logger: a.logger})
	if err != nil {
		return front{}, err
	}
	notices := &lti.Subscriber{Services: services, Store: a.lti, Handler: a.public, Now: time.Now, Logger: a.logger}
	scores := lti.NewScoreQueue(services, a.lti)
	reader := &grading.Reader{Store: a.grading, Source: agsresults.New(services, a.lti, a.templates), Now: time.Now, Logger: a.logger}
	marker := &agsmarks.Marker{
		Claimed: a.desk, Attachments: a.grading, Columns: services, Scores: scores, Outcomes: a.lti, Versions: a.templates, Now: time.Now, Logger: a.logger,
	}
	handler, err := a.router(client, services, reader, notices)
	return front{handler, []func(context.Context){a.housekeeping, a.traces.Run, gradeLoop(reader), notices.Run, scores.Run, marker.Run, a.batches.Run}}, err
}

func (a *app) router(client func(lti.Registration) *http.Client, services *lti.Services, reader *grading.Reader, notices *lti.Subscriber) (http.Handler, error) {
	var pages *web.Web
	tool, err := lti.New(lti.Deps{
		PublicURL: a.public, Store: a.lti, HTTP: client, Secret: a.secret, Now: time.Now, Rand: rand.Reader, Logger: a.logger,
		TraceID: web.TraceID, Trace: a.traces.Add,
		Notices: a.lti, Notice: a.noticed,
		Page: func(w http.ResponseWriter, r *http.Request, p lti.Page) { pages.Between(w, r, p) },
		Enter: func(w http.ResponseWriter, r *http.Request, s lti.Session) {
			if err := notices.Launched(r.Context(), s.Launch); err != nil { // the launch does not wait for it
				a.logger.WarnContext(r.Context(), "notices not asked for", "registration", s.Launch.RegistrationID, "err", err)
			}
			pages.Enter(w, r, s)
		},
		Problem: func(w http.ResponseWriter, r *http.Request, err error) { pages.Problem(w, r, err) },
	})
	if err != nil {
		return nil, err
	}
	pages, err = web.New(web.Deps{
		Roster:    services.Members,
		PublicURL: a.public, LTI: tool, Registrations: a.lti, Templates: a.templates, Grading: a.grading, Reader: reader, Desk: a.desk, Batches: a.batches, PDFs: a.pdfs,
		Sealing: a.sealing, Tokens: a.tokens, Stamps: a.stamps, Level: a.level(), Verify: a.verify, Ready: a.ready, Now: time.Now, Logger: a.logger, Version: version,
		Check: func(ctx context.Context, r lti.Registration) []lti.Finding {
			found, err := checkPlatform(ctx, a.lti, client, r, a.logger)
			if err != nil { // a mistake of ours: what the check needs is not there
				return []lti.Finding{{Check: "check", State: lti.Broken, Words: err.Error()}}
			}
			return found
		},
	})
	if err != nil {
		return nil, err
	}
	registrar, err := a.registrar(client, pages)
	if err != nil {
		return nil, err
	}
	router := mux.NewRouter()
	tool.Mount(router)
	registrar.Mount(router)
	pages.Mount(router)
	return pages.Wrap(router), nil
}

// noticed acts on what a platform tells by itself.
func (a *app) noticed(ctx context.Context, r lti.Registration, n lti.Notice) error {
	if n.Type != lti.NoticeContextCopy {
		return nil // that it came is all a greeting says
	}
	drafts, err := a.grading.CopyCourse(ctx, r, n)
	a.logger.InfoContext(ctx, "course copied", "registration", r.ID, "context", n.Context.ID, "drafts", drafts)
	return err
}
