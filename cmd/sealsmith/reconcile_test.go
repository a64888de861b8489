package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// sealedRow is what must be the same after a restore.
type sealedRow struct {
	ID     string `db:"id"`
	Link   string `db:"link"`
	Sealed []byte `db:"sealed"`
}

func (r *rig) sealedRow(t *testing.T) sealedRow {
	t.Helper()
	var row sealedRow
	must(t, r.db.Get(t.Context(), &row, "select id, link, sealed from credentials"))
	return row
}

// backup copies the database as an operator does.
func (r *rig) backup(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup.db")
	_, err := r.db.Exec(t.Context(), "vacuum into ?", path)
	must(t, err)
	return path
}

// restore stops the server and puts a backup in the place of its database.
func (r *rig) restore(t *testing.T, backup string) {
	t.Helper()
	if code := r.server.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
	must(t, r.db.Close())
	path := filepath.Join(r.dir, "sealsmith.db")
	for _, rest := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + rest); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(backup)
	must(t, err)
	must(t, os.WriteFile(path, content, 0o600))
	r.db, err = sqldb.Open(t.Context(), "sqlite:"+path)
	must(t, err)
	r.serve(t)
}

// noticed waits until the server says that its database is an older one.
func (r *rig) noticed(t *testing.T) {
	t.Helper()
	eventually(t, func() string {
		state := r.readyz(t)
		if words := state.words("seal book"); state.Status != "degraded" || !strings.Contains(words, "sealsmith reconcile") {
			return "readyz says of the seal book: " + words
		}
		if r.count(t, "pauses where organisation_id = '' and actor = 'worker'") != 1 {
			return "sealing is not paused for everybody"
		}
		return ""
	})
}

// claimAgain claims what cannot be sealed, and finds it waiting.
func (r *rig) claimAgain(t *testing.T) {
	t.Helper()
	r.step(t, r.journey.canClaim)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	if _, err := r.journey.expect("this server has stopped it by itself (The database was put back to an earlier state."); err != nil {
		t.Error(err)
	}
	r.wants(t, 1, "claims where state = 'queued' and attempts = 0")
}

// sameAgain waits for the seal and compares it with what the learner had.
func (r *rig) sameAgain(t *testing.T, before sealedRow) {
	t.Helper()
	r.untilSealed(t)
	after := r.sealedRow(t)
	if after.ID != before.ID || after.Link != before.Link {
		t.Errorf("credential %s at %s, before it was %s at %s", after.ID, after.Link, before.ID, before.Link)
	}
	file, err := jades.Parse(after.Sealed)
	must(t, err)
	was, err := jades.Parse(before.Sealed)
	must(t, err)
	if !bytes.Equal(file.Payload, was.Payload) {
		t.Errorf("what is sealed now is not what was sealed before:\n%s\n%s", file.Payload, was.Payload)
	}
	r.wants(t, 1, "audit where action = 'credential recalled' and actor = 'operator'")
	r.wants(t, 0, "pauses")
	if words := r.readyz(t).words("seal book"); !strings.Contains(words, "is in the database") {
		t.Errorf("readyz says of the seal book: %s", words)
	}
}

// TestRestoredBackup puts back a database that does not know what was sealed since. Nothing is
// sealed until an operator has brought it back: then the learner gets the same credential.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)
	backup := r.backup(t) // the claim is open
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	before := r.sealedRow(t)

	r.restore(t, backup)
	r.wants(t, 0, "credentials")
	r.noticed(t)
	r.claimAgain(t)
	if said := succeed(t, r.settings, "reconcile", "--dry-run"); !strings.Contains(said, "1 would be brought back") {
		t.Errorf("reconcile --dry-run: %s", said)
	}
	r.wants(t, 0, "credentials")
	other := filepath.Join(t.TempDir(), "sealsmith.log")
	must(t, os.WriteFile(other, []byte("{\"msg\":\"sealsmith serves\"}\n"), 0o600))
	if code, said, trouble := sealsmith(t, r.settings, "reconcile", other); code != 1 || !strings.Contains(trouble, "seal book") || strings.Contains(said, "goes on") {
		t.Errorf("reconcile with another file: exit %d, %s%s", code, said, trouble)
	}
	r.wants(t, 0, "credentials")
	if said := succeed(t, r.settings, "reconcile"); !strings.Contains(said, "1 were brought back") || !strings.Contains(said, "Sealing goes on.") {
		t.Errorf("reconcile: %s", said)
	}
	r.sameAgain(t, before)
	succeed(t, r.settings, "queue", "pause", "The token is exchanged.")
	if said := succeed(t, r.settings, "reconcile"); !strings.Contains(said, "1 credentials of the seal books are in the database") || !strings.Contains(said, "but for what somebody has paused") {
		t.Errorf("reconcile once more: %s", said)
	}
	r.wants(t, 1, "pauses")
}

// TestRestoredBackupWithoutClaim: the backup is so old that the claim is not in it. The grade is
// read again, a new claim opens, and becomes the same credential.
func TestRestoredBackupWithoutClaim(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	r.untilReady(t, "ready")
	r.attach(t)
	backup := r.backup(t)
	r.step(t, r.journey.gradeHigh)
	r.step(t, r.journey.canClaim)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	before := r.sealedRow(t)

	r.restore(t, backup)
	r.noticed(t)
	r.wants(t, 0, "claims")
	code, out, _ := sealsmith(t, r.settings, "reconcile", "--json")
	var said reconciled
	must(t, json.Unmarshal([]byte(out), &said))
	if code != 1 || said.GoesOn || len(said.NoClaim) != 1 || said.NoClaim[0] != before.ID {
		t.Errorf("exit %d: %+v", code, said)
	}
	r.noticed(t)
	r.claimAgain(t)
	succeed(t, r.settings, "reconcile")
	r.untilSealed(t)
	after := r.sealedRow(t)
	if after.ID != before.ID || after.Link != before.Link {
		t.Errorf("credential %s at %s, before it was %s at %s", after.ID, after.Link, before.ID, before.Link)
	}
}

// TestRestoredBackupGoesOn: an operator may go on without what cannot be brought back.
func TestRestoredBackupGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	r.untilReady(t, "ready")
	r.attach(t)
	backup := r.backup(t)
	r.step(t, r.journey.gradeHigh)
	r.step(t, r.journey.canClaim)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	before := r.sealedRow(t)

	r.restore(t, backup)
	r.noticed(t)
	if said := succeed(t, r.settings, "reconcile", "--go-on"); !strings.Contains(said, before.ID) || !strings.Contains(said, "Sealing goes on.") {
		t.Errorf("reconcile --go-on: %s", said)
	}
	r.step(t, r.journey.canClaim)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	if r.sealedRow(t).ID == before.ID {
		t.Error("the id of a credential that was given up was used again")
	}
}
