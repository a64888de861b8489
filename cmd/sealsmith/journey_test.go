package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance/pdf"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// walk runs the demo once and reads its record.
func walk(t *testing.T, dir string, more ...string) journeyRecord {
	t.Helper()
	out := succeed(t, nil, append([]string{"demo", "--once", "--dir", dir}, more...)...)
	text, err := os.ReadFile(filepath.Join(dir, "artifacts", "journey.json"))
	must(t, err)
	var record journeyRecord
	must(t, json.Unmarshal(text, &record))
	if !record.OK || record.Error != "" {
		t.Errorf("the record says %q", record.Error)
	}
	if len(record.Steps) != 13 || strings.Count(out, "\n") != 13 {
		t.Errorf("%d steps of 13:\n%s", len(record.Steps), out)
	}
	sum := 0.0
	for _, s := range record.Steps {
		if s.Milliseconds <= 0 || s.Saw == "" || s.Who == "" || !strings.Contains(out, s.Saw) {
			t.Errorf("a step that cannot be: %+v", s)
		}
		sum += s.Milliseconds
	}
	if record.Milliseconds < sum-1 || record.Milliseconds > sum+1 {
		t.Errorf("the steps took %f ms, the record says %f", sum, record.Milliseconds)
	}
	return record
}

func credentials(t *testing.T, dir string) []string {
	t.Helper()
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(dir, "sealsmith.db"))
	must(t, err)
	defer db.Close()
	var ids []string
	must(t, db.Select(t.Context(), &ids, "select id from credentials where sealed_at is not null order by created_at"))
	return ids
}

// TestJourney runs the demo as a newcomer does.
func TestJourney(t *testing.T) { //nolint:tparallel // the runs follow each other in one folder
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	walk(t, dir)
	for _, name := range []string{"credential.jsonld", "certificate.pdf", "trust.pem", "journey.json"} {
		if info, err := os.Stat(filepath.Join(dir, "artifacts", name)); err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
			t.Errorf("artifact %s: %v", name, err)
		}
	}
	noRedisIn(t, dir)
	verdicts(t, filepath.Join(dir, "artifacts"))
	printed(t, filepath.Join(dir, "artifacts"))

	first := credentials(t, dir)
	if len(first) != 1 {
		t.Fatalf("%d credentials after the first walk", len(first))
	}
	walk(t, dir)
	both := credentials(t, dir)
	if len(both) != 2 || both[0] != first[0] {
		t.Errorf("the second run did not go on: %v, then %v", first, both)
	}
	walk(t, dir, "--fresh")
	if anew := credentials(t, dir); len(anew) != 1 || anew[0] == both[0] || anew[0] == both[1] {
		t.Errorf("--fresh kept old data: %v, then %v", both, anew)
	}
}

// printed checks the certificate: time-stamped, as the demo has an authority, and by the seal
// of the credential.
func printed(t *testing.T, dir string) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(dir, "certificate.pdf"))
	must(t, err)
	found, err := pdf.Check(file)
	must(t, err)
	if found.Level != pdf.LevelT || found.StampedAt.IsZero() || found.Chain[0].Subject.CommonName != allianceName+" eSeal (demo)" {
		t.Errorf("level %s, stamped %s, by %s", found.Level, found.StampedAt, found.Chain[0].Subject)
	}
}

// verdicts checks the sealed file and what becomes of it.
func verdicts(t *testing.T, dir string) {
	t.Helper()
	file, trust := filepath.Join(dir, "credential.jsonld"), filepath.Join(dir, "trust.pem")
	sealed, err := os.ReadFile(file)
	must(t, err)
	write := func(name string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, content, 0o600))
		return path
	}
	middle := bytes.Clone(sealed)
	at := bytes.Index(sealed, []byte(`"payload"`)) + 4000
	middle[at] = map[bool]byte{true: 'B', false: 'A'}[middle[at] == 'A']
	for _, test := range []struct {
		name string
		code int
		says string
		args []string
	}{
		{"as sealed", 0, "This credential is genuine.", []string{"--trust", trust, file}},
		{"nobody is trusted", 1, "", []string{file}},
		{"a letter of the content is another", 1, "", []string{"--trust", trust, write("altered.jsonld", middle)}},
		{"the end is missing", 2, "", []string{"--trust", trust, write("cut.jsonld", sealed[:len(sealed)-1])}},
		{"not a credential", 2, "", []string{"--trust", trust, write("garbage", []byte("\x00\x01garbage"))}},
		{"no byte", 2, "", []string{"--trust", trust, write("empty", nil)}},
		{"no file", 2, "", []string{"--trust", trust, filepath.Join(dir, "absent")}},
		{"trust is not PEM", 2, "", []string{"--trust", write("trust.pem", []byte("{}")), file}},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, out, trouble := sealsmith(t, nil, append([]string{"verify"}, test.args...)...)
			if code != test.code || !strings.HasPrefix(out, test.says) || out+trouble == "" {
				t.Errorf("exit %d, want %d: %s%s", code, test.code, out, trouble)
			}
			if code != 0 && strings.Contains(out, "is genuine") {
				t.Errorf("exit %d and yet: %s", code, out)
			}
		})
	}
}

// noRedisIn fails when a redis-server still answers in the folder.
func noRedisIn(t *testing.T, dir string) {
	t.Helper()
	child := redisChild{dir: filepath.Join(dir, "redis")}
	socket, err := child.socket()
	must(t, err)
	if conn, err := net.Dial("unix", socket); err == nil {
		conn.Close()
		t.Errorf("a redis-server still answers on %s", socket)
	}
}

// TestDemoStays is the demo without --once: it stays, keeps others out of its folder, and
// leaves nothing behind.
func TestDemoStays(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	var held []net.Listener
	for _, usual := range []string{"8080", "8081", "8082"} { // taken by us, if not by somebody else
		if l, err := net.Listen("tcp", "127.0.0.1:"+usual); err == nil {
			held = append(held, l)
		}
	}
	t.Cleanup(func() {
		for _, l := range held {
			l.Close()
		}
	})
	p := start(t, nil, "demo", "--dir", dir)
	eventually(t, func() string {
		if strings.Contains(p.out.String(), "Ctrl-C stops everything") {
			return ""
		}
		return "the demo does not stay: " + p.out.String() + p.err.String()
	})
	for _, usual := range []string{":8080/", ":8081/", ":8082/"} {
		if strings.Contains(p.out.String(), usual) {
			t.Errorf("the port is taken: %s\n%s", usual, p.out.String())
		}
	}
	code, _, trouble := sealsmith(t, nil, "demo", "--once", "--fresh", "--dir", dir)
	if code != 1 || !strings.Contains(trouble, "another demo runs in") {
		t.Errorf("a second demo in the folder: exit %d: %s", code, trouble)
	}
	if code := p.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("the demo ended with exit %d: %s", code, p.err.String())
	}
	if len(credentials(t, dir)) != 1 {
		t.Error("the refused demo has thrown the data away")
	}
	noRedisIn(t, dir)
}

// TestDemoLeavesForeignFoldersAlone pins that --fresh never deletes what the demo did not
// make.
func TestDemoLeavesForeignFoldersAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "artifacts"), 0o700))
	thesis := filepath.Join(dir, "artifacts", "thesis.tex")
	must(t, os.WriteFile(thesis, []byte("years of work"), 0o600))
	for _, args := range [][]string{{"demo", "--once"}, {"demo", "--once", "--fresh"}} {
		code, _, trouble := sealsmith(t, nil, append(args, "--dir", dir)...)
		if code != 1 || !strings.Contains(trouble, "is not empty and not a folder of the demo") {
			t.Errorf("%v: exit %d: %s", args, code, trouble)
		}
	}
	var left []string
	must(t, filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		left = append(left, strings.TrimPrefix(path, dir))
		return err
	}))
	if diff := cmp.Diff([]string{"", "/artifacts", "/artifacts/thesis.tex"}, left); diff != "" {
		t.Errorf("the folder is another (-want +got):\n%s", diff)
	}
}
