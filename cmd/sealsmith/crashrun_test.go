package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// TestCrashRun issues credentials with real processes that are killed meanwhile: short, and the
// same that `make crash` does at length.
func TestCrashRun(t *testing.T) {
	t.Parallel()
	for _, on := range []string{"sqlite", "postgres"} {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil, "crashrun", "--on", on, "--claims", "60", "--pages", "6", "--kills", "5", "--seed", "5", "--limit", "5m")
			<-p.ended // by itself, at the limit
			var line crashLine
			must(t, json.Unmarshal([]byte(p.out.String()), &line))
			if p.ProcessState.ExitCode() != 0 || !line.Finished || line.Sealed != 60 || line.Lost+line.Twice+line.VerifyFailed+line.IntentChanged != 0 || !line.AuditWhole || line.ByPages != 6 || line.Corrections != 3 || line.Corrected != 3 || line.Rows != 63 {
				t.Errorf("exit %d: %s", p.ProcessState.ExitCode(), p.out.String())
			}
			kills := 0
			for _, n := range line.Kills {
				kills += n
			}
			if kills != 5 || line.Links < 4*60 {
				t.Errorf("%d kills, %d links in the audit trail", kills, line.Links)
			}
		})
	}
}

// TestCrashCountSees: what a crash run counts is not found good whatever it is.
func TestCrashCountSees(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	r.server.end(t, syscall.SIGTERM)
	a, err := newApp(t.Context(), Settings{Dir: r.dir, Listen: "127.0.0.1:0", PublicURL: r.url, Token: r.token.TokenURI, Redis: "unix:/nowhere"}, slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(func() { must(t, a.close()) })
	counted := func(claims int) crashCount {
		t.Helper()
		for { // what the server linked at its end may not be all
			n, err := (&sqldb.AuditChainer{DB: a.db, Now: time.Now}).Link(t.Context())
			must(t, err)
			if n == 0 {
				break
			}
		}
		c := &crash{app: a, token: r.token, crashCommand: crashCommand{Claims: claims}}
		found, err := c.count(t.Context())
		must(t, err)
		return found
	}
	if c := counted(1); !c.clean(1, 0) {
		t.Fatalf("one good credential: %+v", c)
	}
	if c := counted(2); c.clean(2, 0) || c.Lost != 1 {
		t.Errorf("of two claims one is sealed: %+v", c)
	}
	change := func(query string, args ...any) {
		t.Helper()
		_, err := r.db.Exec(t.Context(), query, args...)
		must(t, err)
	}
	before := r.sealedRow(t)
	change("update credentials set sealed = ?", bytes.Replace(before.Sealed, []byte("a"), []byte("b"), 1))
	if c := counted(1); c.clean(1, 0) || c.VerifyFailed != 1 || c.Lost != 1 {
		t.Errorf("a changed file: %+v", c)
	}
	change("update credentials set sealed = null")
	if c := counted(1); c.clean(1, 0) || c.Lost != 1 {
		t.Errorf("a lost file: %+v", c)
	}
	change("update credentials set sealed = ?", before.Sealed)
	change("insert into credentials (id, organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, sealed, sealed_at, link, created_at, revision) select 'second', organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, sealed, sealed_at, 'second', created_at, 2 from credentials")
	if c := counted(1); c.clean(1, 0) || c.clean(1, 1) || c.Twice == 0 {
		t.Errorf("a second file: %+v", c)
	}
	change("delete from credential_listing where credential_id = 'second'")
	change("delete from credentials where id = 'second'")
	if c := counted(1); !c.clean(1, 0) {
		t.Errorf("as before: %+v", c)
	}
	change("insert into audit (organisation_id, at, actor, action, subject, detail) select organisation_id, at, actor, action, subject, 'credential 2' from audit where action = 'sealing begun'")
	if c := counted(1); c.clean(1, 0) || c.IntentChanged != 1 {
		t.Errorf("a second intent: %+v", c)
	}
}
