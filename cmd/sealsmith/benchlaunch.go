package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/demolms"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// launchLine is one measured line: logins, then the launches that answer them, over HTTP,
// each with a fresh browser, over a number of connections. CPU is that of the server's
// process alone. The platform signs in between, off the clock. Pages are measured apart.
type launchLine struct {
	Bench       string  `json:"bench"`
	Database    string  `json:"database"`
	Connections int     `json:"connections"`
	RoundTrips  int     `json:"round_trips"`
	PerSecond   float64 `json:"round_trips_per_s"`
	CPU         float64 `json:"cpu_us_per_launch"` // login and launch
	LoginCPU    float64 `json:"cpu_us_per_login"`
	PageCPU     float64 `json:"cpu_us_per_page"` // what follows: a redirect and the learner's page
	Verify      float64 `json:"rsa2048_verify_us"`
	Ratio       float64 `json:"launch_per_verify"`
	LoginP99    float64 `json:"login_p99_ms"`
	LaunchP50   float64 `json:"launch_p50_ms"`
	LaunchP99   float64 `json:"launch_p99_ms"`
	RSS         float64 `json:"server_rss_mib"` // the most so far
	KeySets     int64   `json:"key_sets_fetched"`
}

// benchPlatform is the LMS of a measurement and the server before it.
type benchPlatform struct {
	lms      *demolms.LMS
	front    *httptest.Server
	keySets  atomic.Int64
	tool     string
	activity string
	server   *exec.Cmd
}

// launches starts a server as a process of its own and measures it at 1, 8 and 32
// connections.
func (b bench) launches(ctx context.Context, database string, n int) error {
	p, err := b.newPlatform(ctx, database)
	if err != nil {
		return err
	}
	defer p.front.Close()
	kind, _, _ := strings.Cut(database, ":")
	if kind == "" {
		kind = "sqlite"
	}
	verify, err := verifyCost()
	if err != nil {
		return errors.Join(err, stopProcess(p.server))
	}
	if _, err := p.measure(ctx, 8, 200); err != nil { // warm: key set, statements, page templates
		return errors.Join(err, stopProcess(p.server))
	}
	for _, connections := range []int{1, 8, 32} {
		fetched := p.keySets.Load()
		line, err := p.measure(ctx, connections, n)
		if err != nil {
			return errors.Join(err, stopProcess(p.server))
		}
		line.Bench, line.Database, line.Connections, line.RoundTrips = "launch", kind, connections, n
		line.Verify, line.Ratio = verify, line.CPU/verify
		line.RSS, line.KeySets = processRSS(p.server.Process.Pid), p.keySets.Load()-fetched
		if err := b.out.Encode(line); err != nil {
			return errors.Join(err, stopProcess(p.server))
		}
	}
	return stopProcess(p.server)
}

func (b bench) newPlatform(ctx context.Context, database string) (*benchPlatform, error) {
	p := &benchPlatform{front: httptest.NewUnstartedServer(nil)}
	var err error
	p.lms, err = demolms.New(demolms.Config{Issuer: "http://" + p.front.Listener.Addr().String(), Now: time.Now})
	if err != nil {
		return nil, err
	}
	_, _, keys := p.lms.URLs()
	p.front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(keys, r.URL.Path) {
			p.keySets.Add(1)
		}
		p.lms.Handler().ServeHTTP(w, r)
	})
	p.front.Start()
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p.tool = "http://" + address
	err = p.lms.AddTool(demolms.Tool{
		ClientID: "bench", DeploymentID: "1", Name: "bench",
		LoginURL: p.tool + "/lti/login", LaunchURL: p.tool + "/lti/launch", JWKSURL: p.tool + "/lti/jwks",
	})
	if err != nil {
		return nil, err
	}
	settings := b.settings("launch-" + strings.SplitN(database, ":", 2)[0])
	settings.Database = database
	if p.activity, err = b.seedLaunch(ctx, settings, p.lms); err != nil {
		return nil, err
	}
	p.server, err = b.serve(ctx, settings, address, p.tool)
	return p, err
}

// seedLaunch adds organisation, platform and an activity without a grade column, so that a
// launch asks nothing back from the platform.
func (b bench) seedLaunch(ctx context.Context, s Settings, lms *demolms.LMS) (string, error) {
	a, err := newApp(ctx, s, newLogger(b.err.err, 4))
	if err != nil {
		return "", err
	}
	o, err := a.templates.AddOrganisation(ctx, members()[0].organisation)
	if err != nil {
		return "", errors.Join(err, a.close())
	}
	auth, token, jwks := lms.URLs()
	_, err = a.lti.AddRegistration(ctx, lti.Registration{
		OrganisationID: o.ID, Name: "bench", Issuer: lms.Issuer(), ClientID: "bench",
		AuthURL: auth, TokenURL: token, JWKSURL: jwks, Deployments: []string{"1"},
	})
	if err := errors.Join(err, a.close()); err != nil {
		return "", err
	}
	activity, err := lms.Place("2", "bench", demolms.ContentItem{Type: "ltiResourceLink", Title: "bench"})
	return activity.ID, err
}

// freshSchema makes an empty schema in the PostgreSQL at address and returns the address of it.
func freshSchema(ctx context.Context, address string) (string, error) {
	name := fmt.Sprintf("bench%d", time.Now().UnixNano())
	db, err := sqldb.Open(ctx, address)
	if err != nil {
		return "", err
	}
	_, err = db.Exec(ctx, "create schema "+name)
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + "search_path=" + name, errors.Join(err, db.Close())
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

func (b bench) serve(ctx context.Context, s Settings, address, public string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program: %w", err)
	}
	arguments := []string{"serve", "--dir", s.Dir, "--listen", address, "--public-url", public}
	if s.Database != "" {
		arguments = append(arguments, "--database", s.Database)
	}
	server := exec.CommandContext(ctx, self, arguments...)
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	for range 500 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, public+"/livez", http.NoBody)
		if err != nil {
			return nil, errors.Join(err, stopProcess(server))
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			return server, response.Body.Close()
		}
		sleep(ctx, 20*time.Millisecond)
	}
	return nil, errors.Join(errors.New("the server did not start"), stopProcess(server))
}

func stopProcess(c *exec.Cmd) error {
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	if err := c.Wait(); err != nil {
		return fmt.Errorf("the server ended badly: %w", err)
	}
	return nil
}

// verifyCost is how long one RSA-2048 signature takes to check here, in microseconds: what
// no launch can do without.
func verifyCost() (float64, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return 0, fmt.Errorf("make a key: %w", err)
	}
	digest := sha256.Sum256([]byte("launch"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		return 0, fmt.Errorf("sign: %w", err)
	}
	// On all processors at once, as they are under load: two that share a core are slower.
	const rounds = 5000
	workers := runtime.NumCPU()
	failures := make([]error, workers)
	begun := cpuTime()
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for range rounds {
				failures[w] = errors.Join(failures[w], rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature))
			}
		})
	}
	all.Wait()
	return float64((cpuTime() - begun).Microseconds()) / float64(rounds*workers), errors.Join(failures...)
}

// attempt is one browser on its way.
type launchAttempt struct {
	cookies     []*http.Cookie
	state       string
	token, page string
}

// measure sends n browsers through the server over so many connections: first all log in,
// then the platform signs, then all launch, then all open their page.
func (p *benchPlatform) measure(ctx context.Context, connections, n int) (launchLine, error) {
	var line launchLine
	attempts := make([]launchAttempt, n)
	clients := make([]*http.Client, connections)
	for i := range clients {
		transport := &http.Transport{MaxIdleConnsPerHost: 1}
		defer transport.CloseIdleConnections()
		clients[i] = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	nonces := make([]string, n)
	login, err := p.phase(ctx, clients, n, func(ctx context.Context, c *http.Client, i int) (err error) {
		attempts[i], nonces[i], err = p.login(ctx, c)
		return err
	})
	if err != nil {
		return line, err
	}
	for i := range attempts {
		if attempts[i].token, err = p.lms.SignLaunch("maija", p.activity, nonces[i], nil); err != nil {
			return line, err
		}
	}
	launch, err := p.phase(ctx, clients, n, func(ctx context.Context, c *http.Client, i int) error { return p.launch(ctx, c, &attempts[i]) })
	if err != nil {
		return line, err
	}
	page, err := p.phase(ctx, clients, n, func(ctx context.Context, c *http.Client, i int) error { return p.page(ctx, c, attempts[i]) })
	if err != nil {
		return line, err
	}
	line.PerSecond = float64(n) / (login.took + launch.took).Seconds()
	line.CPU, line.LoginCPU, line.PageCPU = login.cpu+launch.cpu, login.cpu, page.cpu
	line.LoginP99, line.LaunchP50, line.LaunchP99 = login.quantile(0.99), launch.quantile(0.5), launch.quantile(0.99)
	return line, nil
}

// phase is one kind of request, n times.
type phase struct {
	took  time.Duration
	cpu   float64 // of the server, microseconds per request
	times []time.Duration
}

func (p phase) quantile(q float64) float64 {
	slices.Sort(p.times)
	return float64(p.times[min(int(q*float64(len(p.times))), len(p.times)-1)].Microseconds()) / 1000
}

func (p *benchPlatform) phase(ctx context.Context, clients []*http.Client, n int, do func(context.Context, *http.Client, int) error) (phase, error) {
	out := phase{times: make([]time.Duration, n)}
	var next atomic.Int64
	failures := make([]error, len(clients))
	cpu, begun := processCPU(p.server.Process.Pid), time.Now()
	var all sync.WaitGroup
	for w, client := range clients {
		all.Go(func() {
			for failures[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				start := time.Now()
				failures[w] = do(ctx, client, i)
				out.times[i] = time.Since(start)
			}
		})
	}
	all.Wait()
	out.took = time.Since(begun)
	out.cpu = float64((processCPU(p.server.Process.Pid) - cpu).Microseconds()) / float64(n)
	return out, errors.Join(failures...)
}

func (p *benchPlatform) login(ctx context.Context, c *http.Client) (launchAttempt, string, error) {
	form := url.Values{"iss": {p.lms.Issuer()}, "client_id": {"bench"}, "login_hint": {"7"}, "target_link_uri": {p.tool + "/lti/launch"}, "lti_deployment_id": {"1"}}
	set, to, err := p.post(ctx, c, "/lti/login", form, nil)
	if err != nil {
		return launchAttempt{}, "", err
	}
	return launchAttempt{cookies: set, state: to.Query().Get("state")}, to.Query().Get("nonce"), nil
}

func (p *benchPlatform) launch(ctx context.Context, c *http.Client, a *launchAttempt) error {
	set, to, err := p.post(ctx, c, "/lti/launch", url.Values{"id_token": {a.token}, "state": {a.state}}, a.cookies)
	if err != nil {
		return err
	}
	a.cookies, a.page = set, to.String()
	return nil
}

// page follows the redirect of the session's first address to the page.
func (p *benchPlatform) page(ctx context.Context, c *http.Client, a launchAttempt) error {
	for address := a.page; address != ""; {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return fmt.Errorf("open page: %w", err)
		}
		for _, k := range a.cookies {
			request.AddCookie(&http.Cookie{Name: k.Name, Value: k.Value})
		}
		response, err := c.Do(request)
		if err != nil {
			return fmt.Errorf("open page: %w", err)
		}
		if err := drain(response); err != nil {
			return err
		}
		address = ""
		if to, err := response.Location(); err == nil {
			address = to.String()
		}
	}
	return nil
}

// post sends a form and returns the cookies that were set and where the answer leads.
func (p *benchPlatform) post(ctx context.Context, c *http.Client, path string, form url.Values, cookies []*http.Cookie) ([]*http.Cookie, *url.URL, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.tool+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, fmt.Errorf("post %s: %w", path, err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, k := range cookies {
		request.AddCookie(&http.Cookie{Name: k.Name, Value: k.Value})
	}
	response, err := c.Do(request)
	if err != nil {
		return nil, nil, fmt.Errorf("post %s: %w", path, err)
	}
	if err := drain(response); err != nil {
		return nil, nil, err
	}
	to, err := response.Location()
	if err != nil {
		return nil, nil, fmt.Errorf("%s answered %d without a redirect: %w", path, response.StatusCode, err)
	}
	return response.Cookies(), to, nil
}

func drain(response *http.Response) error {
	_, err := io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}

// processCPU reads user and system time of a process from Linux's /proc; elsewhere 0.
func processCPU(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// After the name in brackets: utime and stime are fields 14 and 15, in hundredths of a second.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// processRSS is the largest resident memory of a process so far, in MiB; elsewhere 0.
func processRSS(pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0
	}
	return kib / 1024
}
