package issuance_test

import (
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/templates"
)

// An operator sees what waits and what has stopped, of one organisation.
func TestInQueue(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		waiting, stopped, done := o.claim(t, "waits"), o.claim(t, "stopped"), o.claim(t, "done")
		check(t, o.worker(t).Seal(t.Context(), done.ID))
		_, err := o.db.Exec(t.Context(), `update claims set state = 'failed', last_error = 'the page image is too large' where id = ?`, stopped.ID)
		check(t, err)
		back := o.swap(t, "delta")
		o.claim(t, "somebody else's")
		back()
		ids := func(states ...issuance.State) map[string]bool {
			all, err := o.desk.InQueue(t.Context(), o.org.ID, states, 10)
			check(t, err)
			out := map[string]bool{}
			for _, c := range all {
				out[c.ID] = true
			}
			return out
		}
		if got := ids(); len(got) != 2 || !got[waiting.ID] || !got[stopped.ID] {
			t.Errorf("in the queue: %v", got)
		}
		if got := ids(issuance.Failed); len(got) != 1 || !got[stopped.ID] {
			t.Errorf("failed: %v", got)
		}
		_, err = o.desk.InQueue(t.Context(), o.org.ID, []issuance.State{issuance.Sealed}, 10)
		wantErr(t, err, issuance.ErrState)
		if one, err := o.desk.InQueue(t.Context(), o.org.ID, nil, 1); err != nil || len(one) != 1 {
			t.Errorf("%d of at most one (%v)", len(one), err)
		}
		c, err := o.desk.Claim(t.Context(), o.org.ID, stopped.ID)
		if err != nil || c.LastError != "the page image is too large" {
			t.Errorf("%+v (%v)", c, err)
		}
		_, err = o.desk.Claim(t.Context(), "another", stopped.ID)
		wantErr(t, err, issuance.ErrNotFound)
	})
}

// What an authority has put off for an hour is tried at once when an operator says so; what
// has nothing left to do is not touched.
func TestRetryProofs(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		a := newArchive(t, o)
		c, cred := a.seal(t, "late", templates.SealLTA)
		down := democa.TSAFaults{Down: true}
		a.ca.SetFaults(democa.Faults{TSA: down, TSA2: down})
		for range 12 {
			a.run(t)
			a.clock.add(time.Hour)
		}
		a.run(t)
		a.ca.SetFaults(democa.Faults{})
		_, _ = a.seal(t, "needs nothing", templates.SealB)
		if n, err := a.preserver.RunOnce(t.Context()); err != nil || n != 0 {
			t.Fatalf("%d are due (%v)", n, err)
		}
		if n, err := a.desk.RetryProofs(t.Context(), "another", "operator"); err != nil || n != 0 {
			t.Errorf("%d of another organisation (%v)", n, err)
		}
		if n, err := a.desk.RetryProofs(t.Context(), a.org.ID, "operator"); err != nil || n != 1 {
			t.Errorf("%d are retried (%v)", n, err)
		}
		a.run(t)
		a.reached(t, c, cred.Sealed, templates.SealLTA)
		if n, err := a.desk.RetryProofs(t.Context(), a.org.ID, "operator"); err != nil || n != 0 {
			t.Errorf("%d that are complete are retried (%v)", n, err)
		}
		if n := a.audits(t, "proofs retried", a.org.ID); n != 1 {
			t.Errorf("%d lines of audit", n)
		}
	})
}

// A renewal that comes to nothing is seen, and the old proof stands.
func TestRenewalTrouble(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		a := newArchive(t, o)
		c, cred := a.seal(t, "learner", templates.SealLTA)
		a.run(t)
		a.clock.add(democa.Validity - 80*24*time.Hour)
		down := democa.TSAFaults{Down: true}
		a.ca.SetFaults(democa.Faults{TSA: down, TSA2: down})
		a.run(t)
		if load := a.waiting(t, 0); load.LastError == "" {
			t.Error("nobody is told that a time-stamp is not renewed")
		}
		a.reached(t, c, cred.Sealed, templates.SealLTA)
		a.ca.SetFaults(democa.Faults{})
		a.clock.add(time.Hour)
		a.run(t)
		if load := a.waiting(t, 0); load.LastError != "" {
			t.Errorf("it still says %q", load.LastError)
		}
	})
}

// People read the cause, the log has the steps on the way to it.
func TestCause(t *testing.T) {
	t.Parallel()
	for kept, want := range map[string]string{
		"": "",
		"seal: sign with key 7b22943e: sealing is paused: the token holds no private key": "the token holds no private key",
		"build: draw the page: the title is too long: shorten it":                         "the title is too long: shorten it",
		"store the credential: seal: x":                                                   "store the credential: seal: x",
	} {
		if got := (issuance.Claim{LastError: kept}).Cause(); got != want {
			t.Errorf("%q: %q, want %q", kept, got, want)
		}
	}
}
