package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/hsm/demotoken"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/demolms"
	"github.com/sealsmith/sealsmith/templates"
)

// demoCommand shows the whole life of a micro-credential on real parts, all in one folder.
type demoCommand struct {
	Once  bool `help:"End after the walk: exit 0 when every step worked, else 1."`
	Fresh bool `help:"Throw the folder's data away and start anew."`
}

// demoFolder is the default of --dir for the demo.
const demoFolder = "var/demo"

// member is one university of the demo's alliance, with its LMS.
type member struct {
	organisation templates.Organisation
	site         demolms.Site
	port         string // preferred
	clientID     string

	lms      *demolms.LMS
	listener net.Listener
}

// alliance is who seals: the members award, the alliance holds the token.
const (
	allianceName       = "Alliance of Challenge-driven Universities"
	allianceIdentifier = "NTRBE-0123456789"
	allianceCountry    = "BE"
)

func members() []*member {
	return []*member{
		{
			organisation: templates.Organisation{
				Slug: "polder", Name: templates.Text{"en": "Polder University of Technology", "nl": "Technische Universiteit De Polder"}, Country: "NL",
				Identifier: "NTRNL-12345678", Registration: "12345678", Address: "Dijkweg 1, 1234 AB Polderstad",
				Homepage: "https://polder-university.example/", Email: "microcredentials@polder-university.example", Brand: "#1f4e79",
			},
			site: demolms.PolderSite(), port: "8081", clientID: "sealsmith-at-polder",
		},
		{
			organisation: templates.Organisation{
				Slug: "fjord", Name: templates.Text{"en": "Fjordmark College"}, Country: "NO",
				Identifier: "NTRNO-987654321", Registration: "987654321", Address: "Havnegata 2, 9000 Fjordmark",
				Homepage: "https://fjordmark.example/", Email: "office@fjordmark.example", Brand: "#2f6b4f",
			},
			site: demolms.FjordmarkSite(), port: "8082", clientID: "sealsmith-at-fjordmark",
		},
	}
}

// demoState is what a second run has to know; the file also marks the folder as a demo's.
type demoState struct {
	Ports map[string]string `json:"ports"` // "tool", "trust", "polder", "fjord"
}

const demoMark = "demo.json"

// Run sets everything up, walks the journey, and stays until the context ends.
func (c demoCommand) Run(ctx context.Context, s *Settings, out streams) error {
	dir := s.Dir
	if dir == "" {
		dir = demoFolder
	}
	unlock, err := c.takeFolder(dir)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := c.prepare(ctx, dir, s.level() < 0, out)
	if err != nil {
		return err
	}
	return d.show(ctx, c.Once)
}

// takeFolder makes sure that dir is the demo's own and nobody else runs in it: --fresh
// must never delete somebody's data.
func (c demoCommand) takeFolder(dir string) (unlock func(), err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("look into %s: %w", dir, err)
	}
	_, markErr := os.Stat(filepath.Join(dir, demoMark))
	if len(entries) > 0 && markErr != nil {
		return nil, fmt.Errorf("%s is not empty and not a folder of the demo: choose another with --dir", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the demo: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, demoMark), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("mark the folder of the demo: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another demo runs in %s: end it, or choose another folder with --dir", dir), lock.Close())
	}
	if c.Fresh {
		for _, entry := range entries {
			if entry.Name() == demoMark {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return nil, errors.Join(fmt.Errorf("start anew: %w", err), lock.Close())
			}
		}
		if err := lock.Truncate(0); err != nil {
			return nil, errors.Join(fmt.Errorf("start anew: %w", err), lock.Close())
		}
	}
	return func() { _ = lock.Close() }, nil // closing frees the lock; nothing was written through it
}

// demo is the running whole.
type demo struct {
	dir     string
	out     streams
	app     *app
	members []*member
	tool    net.Listener
	token   demotoken.Made
	ca      *democa.CA // the trust service provider

	trustServices net.Listener // of ca
}

// prepare makes token, server and LMS from what the folder holds, or anew.
func (c demoCommand) prepare(ctx context.Context, dir string, debug bool, out streams) (*demo, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the folder of the demo: %w", err)
	}
	d := &demo{dir: dir, out: out, members: members()}
	if err := os.MkdirAll(filepath.Join(dir, "artifacts"), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the artifacts: %w", err)
	}
	if err := d.listen(ctx); err != nil {
		return nil, err
	}
	if err := d.makeToken(ctx); err != nil {
		return nil, err
	}
	settings := Settings{Dir: dir, Listen: d.tool.Addr().String(), PublicURL: "http://localhost:" + port(d.tool), Token: d.token.TokenURI, Trust: d.artifact("trust.pem"), Debug: debug}
	settings.TSA = d.provider() + "/tsa " + d.provider() + "/tsa2"
	log, err := os.OpenFile(filepath.Join(dir, "sealsmith.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	if d.app, err = newApp(ctx, settings, newLogger(log, settings.level())); err != nil {
		return nil, err
	}
	return d, d.seed(ctx)
}

// makeToken makes the trust service provider that issues the seal certificate, stamps
// times and says that nothing is revoked, and the token.
func (d *demo) makeToken(ctx context.Context) (err error) {
	d.ca, err = democa.New(democa.Options{Dir: filepath.Join(d.dir, "ca"), BaseURL: d.provider(), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		return fmt.Errorf("make the demo's trust service provider: %w", err)
	}
	d.token, err = demotoken.Make(ctx, demotoken.Options{
		Dir: filepath.Join(d.dir, "token"), Organisation: allianceName, CommonName: allianceName + " eSeal (demo)",
		OrganisationIdentifier: allianceIdentifier, Country: allianceCountry, KeyType: "rsa3072", CA: d.ca, Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		return fmt.Errorf("make the demo's token: %w", err)
	}
	trusted, err := os.ReadFile(d.token.CAFile)
	if err != nil {
		return fmt.Errorf("read the demo's authority: %w", err)
	}
	// A folder of an older demo has a token of another authority: its seals stay good.
	trusted = append(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.ca.Certificate().Raw})...)
	if err := os.WriteFile(d.artifact("trust.pem"), trusted, 0o600); err != nil {
		return fmt.Errorf("write the demo's authority: %w", err)
	}
	return nil
}

// provider is the address of the trust service provider.
func (d *demo) provider() string { return "http://" + d.trustServices.Addr().String() }

func (d *demo) artifact(name string) string { return filepath.Join(d.dir, "artifacts", name) }

func port(l net.Listener) string {
	_, p, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return "" // a TCP listener always has a port
	}
	return p
}

// listen takes the ports of the last run, or the usual ones, or free ones.
func (d *demo) listen(ctx context.Context) error {
	mark := filepath.Join(d.dir, demoMark)
	state := demoState{Ports: map[string]string{}}
	if text, err := os.ReadFile(mark); err == nil && len(text) > 0 {
		if err := json.Unmarshal(text, &state); err != nil {
			return fmt.Errorf("read %s (try --fresh): %w", mark, err)
		}
	}
	var err error
	if d.tool, err = listenNear(ctx, state.Ports["tool"], "8080"); err != nil {
		return err
	}
	state.Ports["tool"] = port(d.tool)
	if d.trustServices, err = listenNear(ctx, state.Ports["trust"], "8083"); err != nil {
		return err
	}
	state.Ports["trust"] = port(d.trustServices)
	for _, m := range d.members {
		if m.listener, err = listenNear(ctx, state.Ports[m.organisation.Slug], m.port); err != nil {
			return err
		}
		state.Ports[m.organisation.Slug] = port(m.listener)
	}
	text, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode the demo's state: %w", err)
	}
	// Written in place: the open file carries the lock.
	if err := os.WriteFile(mark, text, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", mark, err)
	}
	return nil
}

func listenNear(ctx context.Context, ports ...string) (net.Listener, error) {
	var config net.ListenConfig
	for _, p := range ports {
		if p == "" {
			continue
		}
		if l, err := config.Listen(ctx, "tcp", "127.0.0.1:"+p); err == nil {
			return l, nil
		}
	}
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	return l, nil
}

// seed adds the members, their templates and their platforms, where they are missing.
func (d *demo) seed(ctx context.Context) error {
	for _, m := range d.members {
		o, err := d.app.templates.OrganisationBySlug(ctx, m.organisation.Slug)
		if errors.Is(err, templates.ErrNotFound) {
			o, err = d.app.templates.AddOrganisation(ctx, m.organisation)
		}
		if err != nil {
			return err
		}
		m.organisation = o
		if err := addStarters(ctx, d.app.templates, o.ID); err != nil {
			return err
		}
		public := d.app.public
		m.lms, err = demolms.New(demolms.Config{
			Issuer: "http://" + m.listener.Addr().String(), Site: m.site, StateFile: filepath.Join(d.dir, "lms-"+o.Slug+".json"), Now: time.Now, Logger: d.app.logger,
			Tools: []demolms.Tool{{
				ClientID: m.clientID, DeploymentID: "1", Name: "Micro-credentials", LoginURL: public.JoinPath("lti/login").String(),
				LaunchURL: public.JoinPath("lti/launch").String(), JWKSURL: public.JoinPath("lti/jwks").String(),
			}},
		})
		if err != nil {
			return fmt.Errorf("make the LMS of %s: %w", o.Slug, err)
		}
		if err := d.register(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// register makes the platform known to the server, or moves it to its new port.
func (d *demo) register(ctx context.Context, m *member) error {
	auth, token, jwks := m.lms.URLs()
	wanted := lti.Registration{
		OrganisationID: m.organisation.ID, Name: m.site.Name, Issuer: m.lms.Issuer(), ClientID: m.clientID,
		AuthURL: auth, TokenURL: token, JWKSURL: jwks, Deployments: []string{"1"},
	}
	have, err := d.app.lti.AllRegistrations(ctx, m.organisation.ID)
	if err != nil {
		return err
	}
	for _, r := range have {
		if r.ClientID == m.clientID && r.Issuer != wanted.Issuer {
			wanted.ID = r.ID
			return d.app.lti.MoveRegistration(ctx, wanted)
		}
	}
	_, err = d.app.lti.AddRegistration(ctx, wanted)
	return err
}

// show serves everything, walks the journey, and unless once stays until ctx ends.
func (d *demo) show(ctx context.Context, once bool) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	failures := make(chan error, 2+len(d.members))
	all.Go(func() { failures <- d.app.serve(running, d.tool, true) })
	all.Go(func() { failures <- d.app.serveHTTP(running, d.trustServices, d.ca.Handler()) })
	for _, m := range d.members {
		all.Go(func() { failures <- d.app.serveHTTP(running, m.listener, m.lms.Handler()) })
	}
	err := d.walk(running, failures)
	if err == nil && !once {
		d.printLinks()
		select {
		case <-ctx.Done():
			d.out.printf("\nStopping everything …\n")
		case err = <-failures:
		}
	}
	stop()
	all.Wait()
	for _, m := range d.members {
		err = errors.Join(err, m.lms.Save())
	}
	return errors.Join(err, d.app.close())
}

// walk waits for the token, then walks the journey and keeps its record.
func (d *demo) walk(ctx context.Context, failures <-chan error) error {
	if err := d.ready(ctx, failures); err != nil {
		return err
	}
	j := journey{demo: d, browser: newBrowser()}
	err := j.run(ctx)
	record, encodeErr := json.MarshalIndent(j.record(err), "", "  ")
	if encodeErr != nil {
		return errors.Join(err, fmt.Errorf("encode the journey: %w", encodeErr))
	}
	if writeErr := os.WriteFile(d.artifact("journey.json"), record, 0o600); writeErr != nil {
		return errors.Join(err, fmt.Errorf("write the journey: %w", writeErr))
	}
	return err
}

// ready waits until the token can seal and Redis answers, at most half a minute.
func (d *demo) ready(ctx context.Context, failures <-chan error) error {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	for {
		var waiting []string
		for _, part := range d.app.ready(ctx) {
			if !part.OK {
				waiting = append(waiting, part.Name+" "+part.Words)
			}
		}
		if len(waiting) == 0 {
			return nil
		}
		select {
		case err := <-failures:
			return err
		default:
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return fmt.Errorf("the demo's parts did not start: %s", strings.Join(waiting, "; "))
		}
	}
}

func (d *demo) printLinks() {
	d.out.printf("\nEverything runs in %s. Click through it:\n\n", d.dir)
	for _, m := range d.members {
		at := m.lms.Issuer()
		d.out.printf("  %s\n", m.site.Name)
		d.out.printf("    as teacher   %s/as/teacher?next=/course/2\n", at)
		for _, u := range m.site.Users {
			if u.Role == demolms.Learner {
				d.out.printf("    as learner   %s/as/%s?next=/course/2\n", at, u.Username)
				break
			}
		}
		d.out.printf("    as admin     %s/as/admin?next=/admin/tool\n", at)
		d.out.printf("    faults       %s/knobs\n", at)
	}
	d.out.printf("  Recogniser\n    check a file %s/verify   (try %s)\n", d.app.public, d.artifact("credential.jsonld"))
	d.out.printf("  Operator\n    state        %s/readyz\n", d.app.public)
	d.out.printf("    log          %s\n", filepath.Join(d.dir, "sealsmith.log"))
	for _, t := range d.app.tokens("") {
		d.out.printf("    token        %s, %s\n", t.State, hsm.InspectSeal(d.token.Seal).CommonName)
	}
	d.out.printf("\nCtrl-C stops everything. The next `make demo` goes on from here; ARGS=--fresh starts anew.\n")
}
