//go:build cgo

package hsm_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/sealsmith/sealsmith/hsm"
)

// The tests of this file start processes, as a service manager does with Restart=always:
// what keeps them from spending PINs is on disk only.

// The environment of a server of these tests. With it the test program is one and runs no
// tests, see TestMain.
const (
	envURI      = "SEALSMITH_HSM_RESTART_URI"
	envDatabase = "SEALSMITH_HSM_RESTART_DATABASE"
	envAhead    = "SEALSMITH_HSM_RESTART_AHEAD" // of the record's clock
)

// serveOnce is the server: it connects, says in one line how the token stands and how many
// logins it has made, and lives on until its standard input ends.
func serveOnce() error {
	db, err := openSQLite(os.Getenv(envDatabase))
	if err != nil {
		return err
	}
	defer db.Close()
	ahead, err := time.ParseDuration(os.Getenv(envAhead))
	if err != nil {
		return err
	}
	cfg := config(os.Getenv(envURI))
	cfg.Guard = hsm.NewSQLGuard(database{db}, func() time.Time { return time.Now().Add(ahead) })
	token, err := hsm.New(cfg)
	if err != nil {
		return err
	}
	token.Start(context.Background())
	for h := token.Health(); ; h = token.Health() {
		if h.State != hsm.StateConnecting {
			fmt.Println(h.State, h.Logins)
			break
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err == nil {
		return fmt.Errorf("somebody wrote to the server")
	}
	return token.Close()
}

// restarts is a token whose servers come and go: with a fault injector, record and PIN
// file that all of them use.
type restarts struct {
	made                  tokenMade
	uri, pin              string // pin is the file
	word                  *control
	controlFile, database string
	guard                 *hsm.SQLGuard
	ahead                 time.Duration
}

func newRestarts(t *testing.T, pin string) *restarts {
	t.Helper()
	dir := t.TempDir()
	r := &restarts{made: makeToken(t, unique("restart"), "p256"), controlFile: filepath.Join(dir, "control"), database: filepath.Join(dir, "record.db")}
	if pin == "" {
		right, err := os.ReadFile(r.made.PINFile)
		if err != nil {
			t.Fatal(err)
		}
		pin = string(right)
	}
	r.uri, r.pin = otherPIN(t, r.made, pin, 0o600)
	r.word = newControl(t, r.controlFile)
	db, err := openSQLite(r.database)
	if err != nil {
		t.Fatal(err)
	}
	r.guard = hsm.NewSQLGuard(withTable(t, db, "sqlite"), time.Now)
	return r
}

// begin starts a server.
func (r *restarts) begin(t *testing.T) (server *exec.Cmd, says *bufio.Reader, end func()) {
	t.Helper()
	server = exec.CommandContext(t.Context(), os.Args[0])
	server.Env = append(os.Environ(), "P11FAULT_CTL="+r.controlFile, envURI+"="+r.uri, envDatabase+"="+r.database, envAhead+"="+r.ahead.String())
	server.Stderr = os.Stderr
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		t.Helper()
		if err := stdin.Close(); err != nil {
			t.Fatal(err)
		}
		if err := server.Wait(); err != nil {
			t.Fatalf("the server ended badly: %v", err)
		}
	}
	return server, bufio.NewReader(stdout), end
}

// run starts a server and ends it when it has said how the token stands; with kill, as
// kill -9 does.
func (r *restarts) run(t *testing.T, kill bool) string {
	t.Helper()
	server, says, end := r.begin(t)
	line, err := says.ReadString('\n')
	if err != nil {
		t.Fatalf("the server said %q, %v", line, err)
	}
	if !kill {
		end()
		return strings.TrimSpace(line)
	}
	r.kill(t, server)
	return strings.TrimSpace(line)
}

func (*restarts) kill(t *testing.T, server *exec.Cmd) {
	t.Helper()
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait() // says that it was killed
}

// A wrong PIN and ten starts of the server cost one try, on a token that says nothing of
// wrong PINs and on one that counts down to its end; whether they end well or by kill -9.
func TestTenRestartsWithAWrongPIN(t *testing.T) {
	t.Parallel()
	for _, flags := range []bool{false, true} {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprintf("flags %t, killed %t", flags, killed), func(t *testing.T) {
				t.Parallel()
				r := newRestarts(t, "000000")
				const tries = 3
				if flags {
					r.word[pinLeft].Store(tries)
					r.word[pinMax].Store(tries)
				} else {
					r.word[noPINFlags].Store(1)
				}
				for n := range 10 {
					want := "PIN_BLOCKED 0"
					if n == 0 {
						want = "PIN_BLOCKED 1"
					}
					if got := r.run(t, killed); got != want {
						t.Errorf("start %d: %s, want %s", n+1, got, want)
					}
				}
				if got, bad := r.word[logins].Load(), r.word[loginsBad].Load(); got != 1 || bad != 1 {
					t.Errorf("the token saw %d logins, %d of them with a wrong PIN", got, bad)
				}
				if got := r.word[pinLeft].Load(); flags && got != tries-1 {
					t.Errorf("%d tries are left", got)
				}
				// The right PIN, and an operator's word.
				copyPIN(t, r.made, r.pin)
				if err := r.guard.Unblock(t.Context(), r.made.Serial); err != nil {
					t.Fatal(err)
				}
				if got := r.run(t, false); got != "READY 1" {
					t.Errorf("with the right PIN: %s", got)
				}
			})
		}
	}
}

// The server is killed while the token looks at the PIN. Nobody knows then what the token
// has counted, so that none of nine more starts logs in, even though the PIN is right.
func TestTenRestartsAfterAKillInTheLogin(t *testing.T) {
	t.Parallel()
	r := newRestarts(t, "")
	r.word[loginHang].Store(1)
	server, _, _ := r.begin(t)
	until(t, "the login", func() bool { return r.word[logins].Load() == 1 })
	r.kill(t, server)
	r.word[loginHang].Store(0)
	r.ahead = time.Minute // an attempt that is younger may still end
	for range 9 {
		if got := r.run(t, false); got != "PIN_BLOCKED 0" {
			t.Errorf("got %s", got)
		}
	}
	if err := r.guard.Unblock(t.Context(), r.made.Serial); err != nil {
		t.Fatal(err)
	}
	if got := r.run(t, false); got != "READY 1" {
		t.Errorf("when an operator has allowed it: %s", got)
	}
	if got := r.word[logins].Load(); got != 2 {
		t.Errorf("the token saw %d logins", got)
	}
}

// A server that crashes all the time with the right PIN is no danger to the token, and
// needs no operator.
func TestTenRestartsWithTheRightPIN(t *testing.T) {
	t.Parallel()
	r := newRestarts(t, "")
	for range 10 {
		if got := r.run(t, true); got != "READY 1" {
			t.Errorf("got %s", got)
		}
	}
	if got, bad := r.word[logins].Load(), r.word[loginsBad].Load(); got != 10 || bad != 0 {
		t.Errorf("the token saw %d logins, %d of them with a wrong PIN", got, bad)
	}
}

func openSQLite(path string) (*sqlx.DB, error) {
	return sqlx.Open("sqlite3", "file:"+path+"?_busy_timeout=5000&_journal_mode=WAL&_txlock=immediate")
}
