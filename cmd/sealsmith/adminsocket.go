package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/sealsmith/sealsmith/cmd/sealsmith/web"
	"github.com/sealsmith/sealsmith/hsm"
)

// The admin socket is the operator's door to a running process: a unix socket in the data
// folder that only its owner can open. Through it a PIN is given that is on no disk. Each
// process has one of its own, named by its process id.

const (
	// maxSecret bounds what is read as a PIN.
	maxSecret = 1024
	// unsealPatience is how long an answer may take: a login on a slow card takes seconds.
	unsealPatience = 45 * time.Second
)

// adminFolder is where the sockets of all processes with this data folder are. The address
// of a unix socket is short, see shortFolder.
func (s *Settings) adminFolder() (string, error) {
	dir, err := filepath.Abs(filepath.Join(s.dir(), "admin"))
	if err != nil {
		return "", fmt.Errorf("find the folder of the admin socket: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the folder of the admin socket: %w", err)
	}
	return shortFolder(dir)
}

// shortFolder is another name for a folder whose own is too long for the address of a
// socket (107 bytes on Linux). Unlike a link in a folder for everybody it cannot be turned
// to another place.
func shortFolder(dir string) (string, error) {
	const longest = 90
	if len(dir) <= longest {
		return dir, nil
	}
	fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open the folder of the admin socket: %w", err)
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), nil
}

// serveAdmin answers on the admin socket until ctx ends. Without the socket the server works
// all the same.
func (a *app) serveAdmin(ctx context.Context) {
	l, err := a.listenAdmin(ctx)
	if err != nil {
		a.logger.ErrorContext(ctx, "no admin socket, a PIN can only come from a file", "err", err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tokens", func(w http.ResponseWriter, _ *http.Request) { writeAdmin(w, a.tokens("")) })
	mux.HandleFunc("POST /unseal", a.unseal)
	a.adminQueue(mux)
	if err := a.serveHTTP(ctx, l, mux); err != nil && ctx.Err() == nil {
		a.logger.ErrorContext(ctx, "admin socket closed", "err", err)
	}
}

func (a *app) listenAdmin(ctx context.Context) (net.Listener, error) {
	dir, err := a.settings.adminFolder()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, strconv.Itoa(os.Getpid())+".sock")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the socket of an earlier process: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the admin socket to its owner: %w", err), l.Close())
	}
	return l, nil
}

func writeAdmin(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the operator's program has gone
}

// unsealed is the answer to a PIN.
type unsealed struct {
	Token string `json:"token"`
	OK    bool   `json:"ok"`
	Words string `json:"words"`
}

// unseal gives the PIN in the body to the waiting tokens whose name is asked for.
func (a *app) unseal(w http.ResponseWriter, r *http.Request) {
	secret, err := io.ReadAll(io.LimitReader(r.Body, maxSecret))
	defer clear(secret)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, stop := context.WithTimeout(r.Context(), unsealPatience)
	defer stop()
	answers := []unsealed{}
	for _, t := range a.seals.tokens {
		name := describeToken(t.Health(), t.uri.Purpose, time.Now()).Name
		if name != r.URL.Query().Get("token") || t.Health().State != hsm.StatePINNeeded {
			continue
		}
		answer := unsealed{Token: name, OK: true, Words: "the token seals"}
		if err := t.Unseal(ctx, secret); err != nil {
			answer.OK, answer.Words = false, err.Error()
		}
		answers = append(answers, answer)
		if !answer.OK {
			break // another token with the same name would get the same wrong PIN
		}
	}
	writeAdmin(w, answers)
}

// admin is the other end: the admin socket of one running process.
type admin struct {
	process string
	client  *http.Client
}

// running returns the processes that have an admin socket and answer; sockets of those that
// have died are removed.
func (s *Settings) running(ctx context.Context) ([]admin, error) {
	dir, err := s.adminFolder()
	if err != nil {
		return nil, err
	}
	sockets, err := filepath.Glob(filepath.Join(dir, "*.sock"))
	if err != nil {
		return nil, fmt.Errorf("look for admin sockets: %w", err)
	}
	var all []admin
	for _, path := range sockets {
		one := admin{process: filepath.Base(path), client: &http.Client{Timeout: unsealPatience + 5*time.Second, Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", path)
			},
		}}}
		if _, err := one.tokens(ctx); err != nil {
			_ = os.Remove(path)
			continue
		}
		all = append(all, one)
	}
	return all, nil
}

func (a admin) tokens(ctx context.Context) ([]web.TokenStatus, error) {
	var all []web.TokenStatus
	return all, a.ask(ctx, http.MethodGet, "http://admin/tokens", nil, &all)
}

func (a admin) unseal(ctx context.Context, token string, secret io.Reader) ([]unsealed, error) {
	var all []unsealed
	return all, a.ask(ctx, http.MethodPost, "http://admin/unseal?token="+url.QueryEscape(token), secret, &all)
}

func (a admin) ask(ctx context.Context, method, address string, body io.Reader, answer any) error {
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return fmt.Errorf("ask process %s: %w", a.process, err)
	}
	res, err := a.client.Do(r)
	if err != nil {
		return fmt.Errorf("ask process %s: %w", a.process, err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(answer); err != nil {
		return fmt.Errorf("read the answer of process %s: %w", a.process, err)
	}
	return nil
}
