package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/sealsmith/sealsmith/migrations"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// moveTo gives a rig, before its server is started, another database.
func (r *rig) moveTo(t *testing.T, address string) {
	t.Helper()
	r.settings = append(r.settings, "SEALSMITH_DATABASE="+address)
	must(t, r.db.Close())
	var err error
	r.db, err = sqldb.Open(t.Context(), address)
	must(t, err)
	succeed(t, r.settings, "migrate")
	r.register(t)
}

// ownPostgres is a PostgreSQL that a test may stop.
func ownPostgres(t *testing.T) (*child, *postgresServer) {
	t.Helper()
	p, err := newPostgres(t.Context())
	t.Cleanup(func() {
		if p.dir != "" {
			must(t, os.RemoveAll(p.dir))
		}
	})
	must(t, err)
	log, err := os.Create(filepath.Join(t.TempDir(), "postgres.log"))
	must(t, err)
	c := &child{name: "postgres", command: p.command, log: log}
	must(t, c.start(t.Context()))
	t.Cleanup(func() {
		c.signal(syscall.SIGINT)
		c.stop()
		must(t, log.Close())
	})
	must(t, p.wait(t.Context()))
	return c, p
}

// TestPostgresRestart stops PostgreSQL at once under a server and a worker: people are told so
// meanwhile, and when it is back everything goes on without a restart.
func TestPostgresRestart(t *testing.T) {
	t.Parallel()
	postgres, p := ownPostgres(t)
	r := newRig(t)
	r.moveTo(t, p.address())
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)

	postgres.signal(syscall.SIGQUIT)
	<-postgres.ended
	r.untilReady(t, "unavailable")
	// The page that is open is sent while nothing can be kept, and opened anew.
	for _, try := range []func() error{
		func() error { return r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil) },
		func() error { return r.journey.enter(t.Context(), journeyLearner) },
	} {
		if err := try(); err == nil || r.journey.browser.status != http.StatusServiceUnavailable || !strings.Contains(r.journey.browser.text(), "We cannot look anything up right now") {
			t.Errorf("without the database: %d %v", r.journey.browser.status, err)
		}
	}
	must(t, postgres.start(t.Context()))
	must(t, p.wait(t.Context()))
	r.untilReady(t, "ready")
	r.step(t, r.journey.canClaim)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
}

// smallDisk is a folder on a file system of its own with so many bytes.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if said, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "mode=0700,size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatalf("mount: %v: %s", err, said)
		}
		t.Skipf("SKIPPED: a small file system cannot be mounted here, root may: %s", said)
	}
	t.Cleanup(func() {
		if said, err := exec.Command("umount", "--lazy", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, said)
		}
	})
	return dir
}

// fill leaves no room in a folder, and returns what gives it back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	must(t, err)
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		t.Fatal(err)
	}
	_ = f.Close() // it is full
	return func() { must(t, os.Remove(path)) }
}

// TestDiskFull fills the disk of the SQLite file. The learner is told, the log says what to do,
// and with room again everything goes on by itself.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "24m")
	r := newRig(t)
	r.moveTo(t, "sqlite:"+filepath.Join(disk, "sealsmith.db"))
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)

	free := fill(t, disk)
	// The file of the write-ahead log has some room in itself: claims go in until it is full.
	_, err := r.db.Exec(t.Context(), "create table filler (x blob)")
	for err == nil {
		_, err = r.db.Exec(t.Context(), "insert into filler values (zeroblob(100000))")
	}
	if !sqldb.IsFull(err) || !strings.Contains(err.Error(), "make room on its disk") {
		t.Fatalf("writing to a full disk: %v", err)
	}
	err = r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil)
	if err == nil || r.journey.browser.status != http.StatusServiceUnavailable || !strings.Contains(r.journey.browser.text(), "We cannot look anything up right now") {
		t.Errorf("with a full disk: %d %v", r.journey.browser.status, err)
	}
	r.wants(t, 1, "claims where state = 'open'")
	if log := r.server.err.String(); !strings.Contains(log, "make room on its disk, nothing is lost") {
		t.Errorf("the log does not say what to do: %s", shorten(log))
	}
	free()
	r.step(t, r.journey.canClaim)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	if said := succeed(t, r.settings, "audit", "verify"); !strings.Contains(said, "The chain is whole") {
		t.Errorf("audit verify: %s", said)
	}
}

// TestRedisDiskFull fills the disk of the append-only file: Redis refuses jobs then, and sealing
// goes on from the database until there is room.
func TestRedisDiskFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "2m")
	r := newRig(t)
	socket := filepath.Join(disk, "r.sock")
	child := exec.CommandContext(t.Context(), "redis-server", "--port", "0", "--unixsocket", socket, "--dir", disk, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
		"--logfile", filepath.Join(r.dir, "redis.log"))
	must(t, child.Start())
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	r.serve(t, "SEALSMITH_REDIS=unix:"+socket)
	r.untilReady(t, "ready")
	r.claimable(t)
	free := fill(t, disk)
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	t.Cleanup(func() { must(t, client.Close()) })
	eventually(t, func() string { // it notices at its next write
		err := client.Set(t.Context(), "filler", strings.Repeat("x", 10_000), 0).Err()
		if err != nil && strings.HasPrefix(err.Error(), "MISCONF") {
			return ""
		}
		return fmt.Sprintf("Redis with a full disk: %v", err)
	})
	r.untilReady(t, "degraded")
	r.claimSlow(t)
	free()
	if child.ProcessState != nil {
		t.Error("Redis has ended")
	}
	r.untilReady(t, "ready")
}

// TestMigrateTogether: five processes bring an empty database up to date at the same moment. One
// does it, the others wait and find it done.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	address := postgresSchema(t)
	settings := []string{"SEALSMITH_DATABASE=" + address, "SEALSMITH_DIR=" + t.TempDir()}
	var all []*process
	for range 5 {
		all = append(all, prepared(t, settings, "migrate"))
	}
	var together sync.WaitGroup
	for _, p := range all {
		together.Go(func() { p.begin(t) })
	}
	together.Wait()
	for _, p := range all {
		if code := p.exit(t); code != 0 || !strings.Contains(p.out.String(), "The database has schema") {
			t.Errorf("exit %d: %s%s", code, p.out.String(), p.err.String())
		}
	}
	db, err := sqldb.Open(t.Context(), address)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	var applied []int64
	must(t, db.Select(t.Context(), &applied, "select version_id from goose_db_version where version_id > 0 order by id"))
	files, err := migrations.Files.ReadDir("postgres")
	must(t, err)
	if !slices.IsSorted(applied) || len(slices.Compact(slices.Clone(applied))) != len(applied) || len(applied) != len(files) {
		t.Errorf("%d migrations were applied as %v", len(files), applied)
	}
	must(t, db.Current(t.Context()))
}

// Told to stop while it waits for a database that does not answer, a process ends well: whoever
// restarts it sees no failure.
func TestStoppedWhileStarting(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"serve", "worker"} {
		silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		t.Cleanup(func() { must(t, silent.Close()) })
		settings := []string{"SEALSMITH_DIR=" + t.TempDir(), "SEALSMITH_DATABASE=postgres://seal@" + silent.Addr().String() + "/seal", "SEALSMITH_PUBLIC_URL=https://seal.example", "SEALSMITH_LISTEN=127.0.0.1:0"}
		p := start(t, settings, what)
		asked, err := silent.Accept()
		must(t, err)
		if code := p.end(t, syscall.SIGTERM); code != 0 || !strings.Contains(p.err.String(), "told to stop while starting") {
			t.Errorf("%s: exit %d: %s", what, code, p.err.String())
		}
		must(t, asked.Close())
	}
}
