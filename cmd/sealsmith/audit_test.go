package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// auditVerdict runs audit verify --json, which prints also when the chain is broken.
func auditVerdict(t *testing.T, settings []string, args ...string) (int, sqldb.AuditReport) {
	t.Helper()
	code, out, trouble := sealsmith(t, settings, append([]string{"audit", "verify", "--json"}, args...)...)
	var r sqldb.AuditReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, trouble)
	}
	return code, r
}

// TestAudit types what an operator and an auditor do with the trail.
func TestAudit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings := []string{"SEALSMITH_DIR=" + filepath.Join(dir, "data")}
	words := map[string]string{"FILE": filepath.Join(dir, "audit.jsonl"), "PART": filepath.Join(dir, "part.jsonl"), "DIR": dir}
	types(t, settings, words,
		command{"audit verify", 0, `^The chain is whole: 0 links\.\n$`},
		command{"audit list", 0, `^Nothing is in the audit trail`},
		command{"organisations add polder --name Polder --country NL --identifier NTRNL-12345678", 0, `Added`},
		command{"audit list", 0, `(?m)^AT +LINK +ACTOR +ACTION +SUBJECT +DETAIL\n\S+Z +not yet +operator +\S+ \S+ +(\S+)`},
		command{"audit verify", 0, `^The chain is whole: 0 links\.\n\d+ rows are not linked yet`},
		command{"audit export --out $FILE", 0, `^Wrote 0 of 0 links to .*\n\d+ rows are not linked yet and not in it\.\n$`},
	)
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(dir, "data", "sealsmith.db"))
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	must(t, sqldb.Audit(t.Context(), db, sqldb.Event{At: time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC), Actor: "lms:\x1b[2J", Action: "claim sealed", Subject: "claim-1", Detail: "<x>"}))
	chainer := sqldb.AuditChainer{DB: db, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	n, err := chainer.Link(t.Context())
	must(t, err)
	types(t, settings, words,
		command{"audit list --subject claim-1", 0, `(?m)^2020-02-29T12:00:00Z +` + fmt.Sprint(n) + ` +lms:\x{FFFD}\[2J +claim sealed +claim-1 +<x>\n$`},
		command{"audit list --until 2020-03-01 --since 2020-02-29T12:00:00Z --action 'claim sealed' --limit 1 --json", 0, `"subject": "claim-1"`},
		command{"audit list --organisation polder --subject claim-1", 0, `^Nothing is`},
		command{"audit list --organisation nobody", 1, `there is no organisation "nobody"`},
		command{"audit list --limit 0", 1, `--limit`},
		command{"audit list --since yesterday", 2, `"yesterday" is neither a date`},
		command{"audit verify --head 1234", 2, `a head has 64 hexadecimal digits`},
		command{"audit verify", 0, fmt.Sprintf(`(?s)^The chain is whole: %d links\.\nHead, to be noted .*:\n  ([0-9a-f]{64})  \(link %d\)\n$`, n, n)},
		command{"audit verify --head $WORD", 0, fmt.Sprintf(`The noted head is link %d; 0 links came after it`, n)},
		command{"audit export --out $FILE", 0, fmt.Sprintf(`^Wrote %d of %d links to .*\n$`, n, n)},
		command{"audit verify --from-export $FILE --head $WORD", 0, fmt.Sprintf(`(?s)^The chain is whole: %d links\..*noted head is link %d; 0 links`, n, n)},
		command{"audit export --organisation polder --out $PART", 0, fmt.Sprintf(`^Wrote \d+ of %d links`, n)},
		command{"audit verify --from-export $PART", 0, `links are not in this export`},
		command{"audit export --until 2020-03-01 --out -", 0, `(?s)^{"format":"sealsmith-audit-export-1","filtered":true,"links":1,.*"subject":"claim-1","detail":"<x>"[^\n]*\n$`},
		command{"audit export", 2, `missing flags: --out`},
		command{"audit export --out $DIR/nowhere/x", 1, `no such file`},
		command{"audit verify --from-export $DIR/nowhere", 2, `no such file`},
		command{"audit verify --from-export $DIR/data/sealsmith.db", 2, `this is not an export of the audit trail`},
		command{"--database postgres://nobody@127.0.0.1:1/x?connect_timeout=2 audit verify", 2, `PostgreSQL`},
	)
	info, err := os.Stat(words["FILE"])
	must(t, err)
	if left, err := filepath.Glob(filepath.Join(dir, "*.jsonl.*")); info.Mode().Perm() != 0o600 || err != nil || len(left) > 0 {
		t.Errorf("mode %v, left over %v %v", info.Mode(), left, err)
	}
	if code, r := auditVerdict(t, settings, "--head", strings.Repeat("ab", 32)); code != 1 || r.Break.Kind != "noted" {
		t.Errorf("another head: exit %d, %+v", code, r)
	}
	must(t, os.WriteFile(words["FILE"], []byte(strings.Replace(string(mustRead(t, words["FILE"])), "claim-1", "claim-2", 1)), 0o600))
	if code, r := auditVerdict(t, settings, "--from-export", words["FILE"]); code != 1 || r.Break.Kind != "changed" {
		t.Errorf("an edited export: exit %d, %+v", code, r)
	}
	for _, statement := range []string{`drop trigger audit_no_update`, `update audit set subject = 'claim-2' where subject = 'claim-1'`} {
		_, err := db.Exec(t.Context(), statement)
		must(t, err)
	}
	code, out, _ := sealsmith(t, settings, "audit", "verify")
	if want := fmt.Sprintf("The chain is BROKEN. Row %d, link %d, is not what was linked. Now it says: 2020-02-29T12:00:00Z, lms:\uFFFD[2J, claim sealed, claim-2.", n, n); code != 1 || !strings.HasPrefix(out, want) {
		t.Errorf("exit %d: %s", code, out)
	}
}

// TestAuditWhileServing has the trail linked by a server that is killed and started again.
func TestAuditWhileServing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	heads := []string{}
	for range 3 {
		r.serve(t, "SEALSMITH_TOKEN=")
		succeed(t, r.settings, "keys", "rotate", "--now")
		eventually(t, func() string {
			code, report := auditVerdict(t, r.settings)
			if code != 0 {
				t.Fatalf("broken: %+v", report.Break)
			}
			if report.NotLinked > 0 || report.Links < int64(len(heads))+1 {
				return fmt.Sprintf("%d linked, %d not", report.Links, report.NotLinked)
			}
			heads = append(heads, report.Head)
			return ""
		})
		succeed(t, r.settings, "keys", "rotate", "--now") // perhaps linked, perhaps not
		r.server.end(t, syscall.SIGKILL)
	}
	for _, head := range heads {
		if code, report := auditVerdict(t, r.settings, "--head", head); code != 0 || !report.Noted.Found {
			t.Errorf("head %s: exit %d, %+v", head, code, report)
		}
	}
	// A worker links too.
	r.server = start(t, r.settings, "worker")
	eventually(t, func() string {
		if _, report := auditVerdict(t, r.settings); report.NotLinked > 0 {
			return fmt.Sprintf("%d not linked", report.NotLinked)
		}
		return ""
	})
}
