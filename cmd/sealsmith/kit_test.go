package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/hsm/demotoken"
	"github.com/sealsmith/sealsmith/lti/demolms"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// program is the path of sealsmith, and tokenFolder is where all tests keep their SoftHSM
// tokens: a process uses SoftHSM with one folder only.
var program, tokenFolder string

// TestMain makes a copy of the test binary that is the program sealsmith, so that tests
// run it as people do: as a process with arguments, environment and signals.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "sealsmith" {
		main()
		return
	}
	folder, err := os.MkdirTemp("", "sealsmith-test")
	if err != nil {
		panic(err)
	}
	program, tokenFolder = filepath.Join(folder, "sealsmith"), filepath.Join(folder, "tokens")
	err = copyOfMyself(program)
	code := 1
	if err == nil {
		code = m.Run()
	}
	if err := errors.Join(err, os.RemoveAll(folder)); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// copyOfMyself links or copies the running program. A symbolic link would not do:
// os.Executable looks through it.
func copyOfMyself(to string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if os.Link(self, to) == nil {
		return nil
	}
	content, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o700)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patience is how long a test waits for what other processes do.
const patience = 90 * time.Second

// eventually asks again and again until check returns "", and fails with its last words.
func eventually(t *testing.T, check func() string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	for {
		words := check()
		if words == "" {
			return
		}
		if !sleep(ctx, 20*time.Millisecond) {
			t.Fatalf("waited %s: %s", patience, words)
		}
	}
}

// transcript is a writer that may be read while it is written.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *transcript) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *transcript) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// take returns what was written since the last time.
func (b *transcript) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.text.Reset()
	return b.text.String()
}

// process is a running sealsmith.
type process struct {
	*exec.Cmd

	out, err transcript
	ended    chan struct{}
}

// environment is the one of the test without settings of the person who runs it.
func environment(more ...string) []string {
	var kept []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "SEALSMITH_") {
			kept = append(kept, entry)
		}
	}
	return append(kept, more...)
}

// prepared is a sealsmith that begin will start; settings are entries of the environment.
func prepared(t *testing.T, settings []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.Env, p.Stdout, p.Stderr = environment(settings...), &p.out, &p.err
	p.WaitDelay = time.Second
	return p
}

func (p *process) begin(t *testing.T) {
	t.Helper()
	must(t, p.Start())
	go func() {
		defer close(p.ended)
		_ = p.Wait() // the exit code is read by who cares
	}()
	t.Cleanup(func() {
		p.end(t, syscall.SIGTERM)
		if t.Failed() && p.err.String() != "" {
			t.Logf("sealsmith %s\n%s%s", strings.Join(p.Args[1:], " "), p.out.String(), p.err.String())
		}
	})
}

// start starts sealsmith with args.
func start(t *testing.T, settings []string, args ...string) *process {
	t.Helper()
	p := prepared(t, settings, args...)
	p.begin(t)
	return p
}

// end sends a signal, waits for the end and returns the exit code, -1 after a kill.
func (p *process) end(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if err := p.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal: %v", err)
	}
	return p.exit(t)
}

func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.Process.Kill()
		t.Errorf("sealsmith %s did not end within %s", strings.Join(p.Args[1:], " "), patience)
		<-p.ended
	}
	return p.ProcessState.ExitCode()
}

// sealsmith runs the program to its end.
func sealsmith(t *testing.T, settings []string, args ...string) (code int, out, trouble string) {
	t.Helper()
	p := start(t, settings, args...)
	code = p.exit(t)
	return code, p.out.String(), p.err.String()
}

// succeed runs the program and fails the test when it fails.
func succeed(t *testing.T, settings []string, args ...string) string {
	t.Helper()
	code, out, trouble := sealsmith(t, settings, args...)
	if code != 0 {
		t.Fatalf("sealsmith %s: exit %d: %s", strings.Join(args, " "), code, trouble)
	}
	return out
}

// rig is a server in a process of its own between a platform in this one and a token. It
// can be killed and started again, and its platform made to misbehave.
type rig struct {
	dir     string
	lms     *demolms.LMS
	server  *process
	url     string // of the server
	token   demotoken.Made
	db      *sqldb.DB
	journey *journey

	settings []string
	command  []string // what the server is started by
}

// newRig makes everything and starts nothing.
func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigBy(t, nil)
}

// newRigBy has a seal certificate of ca, or of an authority that nobody can ask.
func newRigBy(t *testing.T, ca *democa.CA) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), command: []string{"serve"}}
	var err error
	r.token, err = demotoken.Make(t.Context(), demotoken.Options{
		Dir: tokenFolder, Label: fmt.Sprintf("rig-%d", time.Now().UnixNano()), KeyType: "p256", CA: ca, Now: time.Now, Rand: rand.Reader,
	})
	must(t, err)
	port := freePort(t)
	r.url = "http://localhost:" + port
	r.settings = []string{"SEALSMITH_DIR=" + r.dir, "SEALSMITH_LISTEN=127.0.0.1:" + port, "SEALSMITH_TOKEN=" + r.token.TokenURI, "SEALSMITH_TRUST=" + r.token.CAFile}
	r.platform(t)
	r.db, err = sqldb.Open(t.Context(), "sqlite:"+filepath.Join(r.dir, "sealsmith.db"))
	must(t, err)
	t.Cleanup(func() { must(t, r.db.Close()) })
	r.journey = &journey{demo: &demo{dir: r.dir, members: []*member{{lms: r.lms}}}, browser: newBrowser()}
	must(t, os.Mkdir(filepath.Join(r.dir, "artifacts"), 0o700))
	return r
}

// platform starts the LMS, and registers it as an operator does.
func (r *rig) platform(t *testing.T) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	var err error
	r.lms, err = demolms.New(demolms.Config{
		Issuer: "http://" + server.Listener.Addr().String(), Site: demolms.PolderSite(), Now: time.Now,
		Tools: []demolms.Tool{{ClientID: "sealsmith", LoginURL: r.url + "/lti/login", LaunchURL: r.url + "/lti/launch", JWKSURL: r.url + "/lti/jwks"}},
	})
	must(t, err)
	server.Config.Handler = r.lms.Handler()
	server.Start()
	t.Cleanup(server.Close)
	r.register(t)
}

// register makes organisation and platform known, by the commands of an operator.
func (r *rig) register(t *testing.T) {
	t.Helper()
	auth, token, jwks := r.lms.URLs()
	succeed(t, r.settings, "organisations", "add", "polder", "--name", "Polder University", "--country", "NL", "--identifier", "NTRNL-12345678")
	succeed(t, r.settings, "platforms", "add", "--issuer", r.lms.Issuer(), "--client-id", "sealsmith", "--auth-url", auth, "--token-url", token, "--jwks-url", jwks, "--deployment", "1")
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return port(l)
}

// serve starts the server, with settings that count more than those of the rig, and waits
// until it answers.
func (r *rig) serve(t *testing.T, settings ...string) {
	t.Helper()
	r.server = start(t, append(slices.Clip(r.settings), settings...), r.command...)
	eventually(t, func() string {
		select {
		case <-r.server.ended:
			t.Fatalf("serve ended: %s", r.server.err.String())
		default:
		}
		if _, err := r.get(t, "/livez"); err != nil {
			return err.Error()
		}
		return ""
	})
}

// get returns what an address of the server answers.
func (r *rig) get(t *testing.T, path string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, http.NoBody)
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

type readyState struct {
	Status     string
	Waiting    int
	Components []struct {
		Name, Words string
		OK          bool
	}
}

func (s readyState) words(component string) string {
	for _, c := range s.Components {
		if c.Name == component {
			return c.Words
		}
	}
	return "not listed"
}

func (r *rig) readyz(t *testing.T) readyState {
	t.Helper()
	body, err := r.get(t, "/readyz")
	must(t, err)
	var state readyState
	if err := json.Unmarshal([]byte(body), &state); err != nil {
		t.Fatalf("readyz: %v: %s", err, body)
	}
	return state
}

// untilReady waits until /readyz has this status.
func (r *rig) untilReady(t *testing.T, status string) {
	t.Helper()
	eventually(t, func() string {
		if s := r.readyz(t); s.Status != status {
			return fmt.Sprintf("readyz is %+v, not %s", s, status)
		}
		return ""
	})
}

// count counts rows: "credentials where sealed_at is not null".
func (r *rig) count(t *testing.T, what string) int {
	t.Helper()
	var n int
	must(t, r.db.Get(t.Context(), &n, "select count(*) from "+what))
	return n
}

// wants counts rows and fails unless there are as many as wanted.
func (r *rig) wants(t *testing.T, n int, what string) {
	t.Helper()
	if got := r.count(t, what); got != n {
		t.Errorf("%d rows of %s, want %d", got, what, n)
	}
}

// step takes a step of the journey that must work.
func (r *rig) step(t *testing.T, do func(context.Context) (string, error)) string {
	t.Helper()
	said, err := do(t.Context())
	must(t, err)
	return said
}

// attach goes the teacher's way, up to the new activity.
func (r *rig) attach(t *testing.T) {
	t.Helper()
	r.step(t, r.journey.pick)
	r.step(t, r.journey.save)
}

// claimable goes on to where the learner can claim.
func (r *rig) claimable(t *testing.T) {
	t.Helper()
	r.attach(t)
	r.step(t, r.journey.gradeHigh)
	r.step(t, r.journey.canClaim)
}
