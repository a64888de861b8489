package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/demolms"
)

// crowd is the people of a crash run: learners who come from an LMS through the pages, and
// others who claim at the desk. Who meets an error tries again, as people do, until it worked.
type crowd struct {
	claims, pages int
	member        *member // the LMS
	front         *balancer
	tool          string // public address of the servers

	servers []*http.Server
	stop    context.CancelFunc
	journey *journey

	organisationID string
	attachment     grading.Attachment // of those who claim at the desk
	sealed         atomic.Int64       // credentials so far; nobody comes long before their turn

	mu      sync.Mutex
	byPages int
	again   int
}

// newCrowd starts the LMS, and the balancer at the public address of the servers.
func newCrowd(ctx context.Context, claims, pages int) (*crowd, error) {
	p := &crowd{claims: claims, pages: pages, front: &balancer{every: 100 * time.Millisecond}, member: members()[0]}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	public, err := p.serve(background, p.front.handler())
	if err != nil {
		return p, err
	}
	go p.front.watch(background)
	p.tool = "http://localhost:" + port(public)
	p.member.listener, err = listenNear(ctx)
	if err != nil {
		return p, err
	}
	site := p.member.site
	for i := range pages {
		site.Users = append(site.Users, demolms.User{ID: fmt.Sprint(500_000 + i), Username: pageLearner(i), Given: "Page", Family: fmt.Sprint("Learner ", i), Email: pageLearner(i) + "@polder.example", Role: demolms.Learner})
	}
	p.member.lms, err = demolms.New(demolms.Config{
		Issuer: "http://" + p.member.listener.Addr().String(), Site: site, Now: time.Now,
		Tools: []demolms.Tool{{ClientID: p.member.clientID, DeploymentID: "1", Name: "Micro-credentials", LoginURL: p.tool + "/lti/login", LaunchURL: p.tool + "/lti/launch", JWKSURL: p.tool + "/lti/jwks"}},
	})
	if err != nil {
		return p, fmt.Errorf("make the LMS: %w", err)
	}
	p.serveOn(p.member.listener, p.member.lms.Handler())
	return p, nil
}

func pageLearner(i int) string { return fmt.Sprint("page", i) }

func deskLearner(i int) string { return fmt.Sprint(1_000_000 + i) }

func (p *crowd) serve(ctx context.Context, handler http.Handler) (net.Listener, error) {
	l, err := listenNear(ctx)
	if err == nil {
		p.serveOn(l, handler)
	}
	return l, err
}

func (p *crowd) serveOn(l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	p.servers = append(p.servers, server)
	go func() { _ = server.Serve(l) }() // until leave
}

// leave closes the LMS and the public address.
func (p *crowd) leave() error {
	p.stop()
	var errs []error
	for _, s := range p.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// arrive makes the organisation and its platform known.
func (p *crowd) arrive(ctx context.Context, a *app) error {
	o, err := a.templates.AddOrganisation(ctx, p.member.organisation)
	if err != nil {
		return err
	}
	p.member.organisation, p.organisationID = o, o.ID
	if err := addStarters(ctx, a.templates, o.ID); err != nil {
		return err
	}
	return (&demo{app: a}).register(ctx, p.member)
}

// attach lets the teacher put the micro-credential into the course and grade who comes
// through the pages; those of the desk have an attachment of their own.
func (p *crowd) attach(ctx context.Context, a *app) error {
	p.journey = &journey{demo: &demo{members: []*member{p.member}}, browser: newBrowser()}
	if p.pages > 0 {
		if _, err := p.journey.pick(ctx); err != nil {
			return err
		}
		if _, err := p.journey.save(ctx); err != nil {
			return err
		}
		items := p.member.lms.LineItems(strings.TrimPrefix(journeyCourse, "/course/"))
		score := 80.0
		for i := range p.pages {
			if err := p.member.lms.SetGrade(items[len(items)-1].ID, pageLearner(i), &score); err != nil {
				return err
			}
		}
	}
	versions, err := a.templates.List(ctx, p.organisationID)
	if err != nil {
		return err
	}
	all, err := a.lti.AllRegistrations(ctx, p.organisationID)
	if err != nil {
		return err
	}
	p.attachment, err = a.grading.Attach(ctx, lti.Launch{
		RegistrationID: all[0].ID, OrganisationID: p.organisationID, DeploymentID: "1", Context: lti.Context{ID: "3"}, User: lti.User{Subject: "3"},
	}, grading.Choice{Version: versions[0], Rule: versions[0].Content.Rule})
	return err
}

// claim lets all people claim, two at a time through the pages and two at the desk, and some have
// their names corrected; it returns when all have.
func (p *crowd) claim(ctx context.Context, a *app) error {
	var all sync.WaitGroup
	failures := make([]error, 5)
	all.Go(func() { failures[4] = p.correct(ctx, a) })
	for k := range 4 {
		all.Go(func() {
			pages, half := k < 2, k%2
			n := p.claims - p.pages
			if pages {
				n = p.pages
			}
			for i := half; i < n && failures[k] == nil; i += 2 {
				failures[k] = p.turn(ctx, i, n)
				if failures[k] == nil && pages {
					failures[k] = p.persist(ctx, func() error { return p.byPage(ctx, i) })
				} else if failures[k] == nil {
					failures[k] = p.persist(ctx, func() error { return p.atDesk(ctx, a, i) })
				}
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

// turn waits until person i of n should come: a queue forms, and people come until the end.
func (p *crowd) turn(ctx context.Context, i, n int) error {
	come := int64(i)*int64(p.claims)/int64(n) - int64(max(p.claims/5, 20))
	for p.sealed.Load() < come {
		if !sleep(ctx, 20*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// persist tries until it worked.
func (p *crowd) persist(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		p.mu.Lock()
		p.again++
		p.mu.Unlock()
		if !sleep(ctx, 200*time.Millisecond) {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// atDesk records a grade and confirms the claim that it opened.
func (p *crowd) atDesk(ctx context.Context, a *app, i int) error {
	learner := deskLearner(i)
	_, err := a.grading.Record(ctx, p.attachment, "crashrun", grading.Observation{
		Learner: learner, Score: sql.NullFloat64{Float64: 80, Valid: true}, Maximum: 100, Raw: []byte(`{"userId":"` + learner + `"}`),
	})
	if err != nil {
		return err
	}
	_, err = a.desk.Confirm(ctx, p.organisationID, p.attachment.ID, learner, issuance.Name{Given: "Desk", Family: "Learner " + learner})
	return err
}

// byPage comes from the LMS with a browser of their own, and claims unless that is done.
func (p *crowd) byPage(ctx context.Context, i int) error {
	j := &journey{demo: p.journey.demo, browser: newBrowser(), activity: p.journey.activity}
	if err := j.enter(ctx, pageLearner(i)); err != nil {
		return err
	}
	err := j.browser.submit(ctx, "Claim my micro-credential", nil)
	if err != nil && !errors.Is(err, errNoForm) {
		return err
	}
	text := j.browser.text()
	for _, done := range []string{"It is yours.", "Your credential is being sealed", "Queued:", "Sealing goes on slowly"} {
		if strings.Contains(text, done) && !strings.Contains(text, "Claim my micro-credential") {
			p.mu.Lock()
			p.byPages++
			p.mu.Unlock()
			return nil
		}
	}
	return fmt.Errorf("the page says: %s", shorten(text))
}
