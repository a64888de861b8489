package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/demolms"
)

// launchLine is one measured line: login, launch and the page after it, over HTTP, each
// with a fresh browser. CPU is that of the server's process alone; the platform's
// signature of the id_token is on the other side.
type launchLine struct {
	Bench           string  `json:"bench"`
	RoundTrips      int     `json:"round_trips"`
	PerSecond       float64 `json:"round_trips_per_s"`
	CPUMicroseconds float64 `json:"server_cpu_us_per_round_trip"`
	Concurrency     int     `json:"concurrency"`
}

const launchConcurrency = 4

// launches starts a server as a process of its own and sends n browsers through it.
func (b bench) launches(ctx context.Context, n int) error {
	front := httptest.NewUnstartedServer(nil)
	lms, err := demolms.New(demolms.Config{Issuer: "http://" + front.Listener.Addr().String(), Now: time.Now})
	if err != nil {
		return err
	}
	front.Config.Handler = lms.Handler()
	front.Start()
	defer front.Close()
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	tool := "http://" + address
	if err := lms.AddTool(demolms.Tool{ClientID: "bench", DeploymentID: "1", Name: "bench", LoginURL: tool + "/lti/login", LaunchURL: tool + "/lti/launch", JWKSURL: tool + "/lti/jwks"}); err != nil {
		return err
	}
	activity, err := b.seedLaunch(ctx, lms)
	if err != nil {
		return err
	}
	server, err := b.serve(ctx, address, tool)
	if err != nil {
		return err
	}
	driver := launchDriver{lms: lms, tool: tool, activity: activity}
	for range 50 { // warm: key sets, statements, page templates
		if err := driver.once(ctx); err != nil {
			return errors.Join(err, stopProcess(server))
		}
	}
	before := processCPU(server.Process.Pid)
	begun := time.Now()
	err = driver.many(ctx, n)
	took, used := time.Since(begun), processCPU(server.Process.Pid)-before
	if err := errors.Join(err, stopProcess(server)); err != nil {
		return err
	}
	return b.out.Encode(launchLine{
		Bench: "launch", RoundTrips: n, PerSecond: float64(n) / took.Seconds(),
		CPUMicroseconds: float64(used.Microseconds()) / float64(n), Concurrency: launchConcurrency,
	})
}

// seedLaunch adds organisation, platform and an attached activity without a grade column,
// so that a launch asks nothing back from the platform.
func (b bench) seedLaunch(ctx context.Context, lms *demolms.LMS) (string, error) {
	s := b.settings("launch")
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

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

func (b bench) serve(ctx context.Context, address, public string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program: %w", err)
	}
	server := exec.CommandContext(ctx, self, "serve", "--dir", b.settings("launch").Dir, "--listen", address, "--public-url", public)
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

// launchDriver plays browser and platform.
type launchDriver struct {
	lms            *demolms.LMS
	tool, activity string
}

func (d launchDriver) many(ctx context.Context, n int) error {
	var left atomic.Int64
	left.Store(int64(n))
	failures := make([]error, launchConcurrency)
	var all sync.WaitGroup
	for i := range launchConcurrency {
		all.Go(func() {
			for left.Add(-1) >= 0 && failures[i] == nil {
				failures[i] = d.once(ctx)
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

// once is one launch with a fresh browser.
func (d launchDriver) once(ctx context.Context) error {
	browser := &http.Client{Jar: &cookies{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	login := url.Values{"iss": {d.lms.Issuer()}, "client_id": {"bench"}, "login_hint": {"7"}, "target_link_uri": {d.tool + "/lti/launch"}, "lti_deployment_id": {"1"}}
	auth, err := d.post(ctx, browser, "/lti/login", login)
	if err != nil {
		return err
	}
	token, err := d.lms.SignLaunch("maija", d.activity, auth.Query().Get("nonce"), nil)
	if err != nil {
		return err
	}
	page, err := d.post(ctx, browser, "/lti/launch", url.Values{"id_token": {token}, "state": {auth.Query().Get("state")}})
	if err != nil {
		return err
	}
	browser.CheckRedirect = nil
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("open page: %w", err)
	}
	response, err := browser.Do(request)
	if err != nil {
		return fmt.Errorf("open page: %w", err)
	}
	return drain(response)
}

// post sends a form and returns where its answer leads.
func (d launchDriver) post(ctx context.Context, browser *http.Client, path string, form url.Values) (*url.URL, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.tool+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("post %s: %w", path, err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := browser.Do(request)
	if err != nil {
		return nil, fmt.Errorf("post %s: %w", path, err)
	}
	if err := drain(response); err != nil {
		return nil, err
	}
	next, err := response.Location()
	if err != nil {
		return nil, fmt.Errorf("%s answered %d without a redirect: %w", path, response.StatusCode, err)
	}
	return next, nil
}

func drain(response *http.Response) error {
	_, err := io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}
