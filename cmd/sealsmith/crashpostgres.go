package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// errNoPostgres is returned where no PostgreSQL server is installed.
var errNoPostgres = errors.New("no PostgreSQL server was found: install the package postgresql, or take --on sqlite")

// postgresServer is a PostgreSQL of our own, on a unix socket in a folder of its own.
type postgresServer struct {
	dir  string
	bin  string
	user *syscall.Credential // as whom it runs: not as root
}

func newPostgres(ctx context.Context) (*postgresServer, error) {
	p := &postgresServer{}
	var err error
	if p.bin, err = postgresPrograms(); err != nil {
		return p, err
	}
	if p.dir, err = os.MkdirTemp("", "sealsmith-pg-"); err != nil {
		return p, fmt.Errorf("make a folder: %w", err)
	}
	if os.Geteuid() == 0 {
		if err := p.lower(); err != nil {
			return p, err
		}
	}
	command := exec.CommandContext(ctx, filepath.Join(p.bin, "initdb"), "-D", p.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
	command.Dir, command.SysProcAttr = p.dir, p.attributes()
	if said, err := command.CombinedOutput(); err != nil {
		return p, fmt.Errorf("make a PostgreSQL cluster: %w: %s", err, shorten(string(said)))
	}
	return p, nil
}

// postgresPrograms is the folder of the newest server on a Debian machine, or that of the path.
func postgresPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", fmt.Errorf("look for PostgreSQL: %w", err)
	}
	if len(found) > 0 {
		slices.Sort(found)
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", errNoPostgres
	}
	return filepath.Dir(path), nil
}

// lower makes the user postgres the owner: the server does not run as root.
func (p *postgresServer) lower() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("find the user postgres: %w", err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr, os.Chown(p.dir, int(uid), int(gid))); err != nil {
		return fmt.Errorf("give the folder to the user postgres: %w", err)
	}
	p.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return nil
}

func (p *postgresServer) attributes() *syscall.SysProcAttr {
	a := childAttributes()
	a.Credential = p.user
	return a
}

func (p *postgresServer) data() string { return filepath.Join(p.dir, "data") }

// command is the server. It writes to its files without waiting for the disk: processes are
// killed here, and the machine lives on.
func (p *postgresServer) command() *exec.Cmd {
	c := exec.Command(filepath.Join(p.bin, "postgres"), "-D", p.data(), "-c", "listen_addresses=", "-c", "unix_socket_directories="+p.dir, "-c", "fsync=off", "-c", "max_connections=200")
	c.Dir, c.SysProcAttr = p.dir, p.attributes()
	return c
}

func (p *postgresServer) address() string { return "postgres://postgres@/postgres?host=" + p.dir }

// wait waits until the server answers.
func (p *postgresServer) wait(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	for {
		db, err := sqldb.Open(ctx, p.address())
		if err == nil {
			return db.Close()
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return err
		}
	}
}
