package issuance_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/sealbook"
)

// booked is a worker that notes what it seals.
func (o *office) booked(tb testing.TB, b *sealbook.Book) *issuance.Worker {
	tb.Helper()
	w := o.worker(tb)
	w.Book = b
	return w
}

// putBack makes the database forget the seals of these claims, as a restored backup does.
func (o *office) putBack(tb testing.TB, state issuance.State, claims ...issuance.Claim) {
	tb.Helper()
	for _, c := range claims {
		_, err := o.db.Exec(tb.Context(), `delete from status_entries where credential_id in (select id from credentials where claim_id = ?)`, c.ID)
		check(tb, err)
		_, err = o.db.Exec(tb.Context(), `delete from credentials where claim_id = ?`, c.ID)
		check(tb, err)
		_, err = o.db.Exec(tb.Context(), `update claims set state = ?, attempts = 0 where id = ?`, state, c.ID)
		check(tb, err)
	}
}

// recallAll reads the book and brings everything back.
func (o *office) recallAll(tb testing.TB, b sealbook.Book) map[issuance.Recalled]int {
	tb.Helper()
	out, seen := map[issuance.Recalled]int{}, map[string]bool{}
	check(tb, b.Each(func(n sealbook.Note) error {
		if seen[n.CredentialID] { // each attempt is noted
			return nil
		}
		seen[n.CredentialID] = true
		dry, err := o.desk.Recall(tb.Context(), n, "operator", true)
		check(tb, err)
		really, err := o.desk.Recall(tb.Context(), n, "operator", false)
		if dry != really {
			tb.Errorf("a dry run says %s, then it was %s", dry, really)
		}
		out[really]++
		return err
	}))
	return out
}

func wantRecalled(tb testing.TB, got map[issuance.Recalled]int, of issuance.Recalled, n int) {
	tb.Helper()
	if got[of] != n {
		tb.Errorf("%d credentials are %q, want %d: %v", got[of], of, n, got)
	}
}

// Nothing is noted before the intent is stored, and everything before the key is touched.
func TestNoteBeforeTheKey(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		b := &sealbook.Book{Path: filepath.Join(t.TempDir(), "seals.log")}
		c := o.claim(t, "noor")
		w := o.booked(t, b)
		w.Step = func(step string) error {
			_, found, err := b.Last()
			check(t, err)
			if want := step == "store"; found != want {
				t.Errorf("before %s there is a note: %v", step, found)
			}
			return nil
		}
		check(t, w.Seal(t.Context(), c.ID))
		cred := o.sealed(t, c)
		n, _, err := b.Last()
		check(t, err)
		if n.CredentialID != cred.ID || n.Link != cred.Link || !n.IssuedAt.Equal(cred.IssuedAt) || n.PayloadSHA256 != cred.PayloadSHA256 || n.Learner != "noor" {
			t.Errorf("note %+v", n)
		}
		check(t, issuance.Known(t.Context(), o.db, *b))
	})
}

// A database that was put back: no worker with a book seals, all others are stopped by a pause,
// and after the recall the learners get the very same credentials, also weeks later.
func TestPutBack(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		b := &sealbook.Book{Path: filepath.Join(t.TempDir(), "seals.log")}
		all := o.claims(t, 3)
		before := map[string]issuance.Credential{}
		w := o.booked(t, b)
		for _, c := range all {
			check(t, w.Seal(t.Context(), c.ID))
			before[c.ID] = o.sealed(t, c)
		}
		o.putBack(t, issuance.Queued, all[1:]...)
		wantErr(t, issuance.Known(t.Context(), o.db, *b), issuance.ErrRestored)
		wantErr(t, w.Seal(t.Context(), all[1].ID), issuance.ErrRestored)
		check(t, o.worker(t).Seal(t.Context(), all[2].ID)) // has no book, but all are paused
		for _, c := range all[1:] {
			if got := o.wantState(t, c, issuance.Queued); got.Attempts != 0 {
				t.Errorf("claim %+v", got)
			}
		}
		o.clock.add(20 * 24 * time.Hour)
		got := o.recallAll(t, *b)
		wantRecalled(t, got, issuance.RecallKnown, 1)
		wantRecalled(t, got, issuance.RecallDone, 2)
		check(t, issuance.Known(t.Context(), o.db, *b))
		check(t, o.desk.Resume(t.Context(), "", "", "operator"))
		for _, c := range all[1:] {
			check(t, w.Seal(t.Context(), c.ID))
		}
		for _, c := range all {
			cred := o.sealed(t, c)
			was := before[c.ID]
			if cred.ID != was.ID || cred.Link != was.Link || !cred.IssuedAt.Equal(was.IssuedAt) || !bytes.Equal(cred.Payload, was.Payload) {
				t.Errorf("claim %s: credential %s of %s, before %s of %s", c.ID, cred.ID, cred.IssuedAt, was.ID, was.IssuedAt)
			}
		}
		o.count(t, all)
		wantRecalled(t, o.recallAll(t, *b), issuance.RecallKnown, 3)
	})
}

// What cannot be brought back is said: a claim that is not there, one that became another
// credential meanwhile. Once a person has settled it, sealing goes on.
func TestCannotBeRecalled(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		b := &sealbook.Book{Path: filepath.Join(t.TempDir(), "seals.log")}
		all := o.claims(t, 2)
		w := o.booked(t, b)
		for _, c := range all {
			check(t, w.Seal(t.Context(), c.ID))
		}
		o.putBack(t, issuance.Queued, all...)
		_, err := o.db.Exec(t.Context(), `delete from claims where id = ?`, all[1].ID)
		check(t, err)
		check(t, o.worker(t).Seal(t.Context(), all[0].ID)) // a machine whose book is older
		got := o.recallAll(t, *b)
		wantRecalled(t, got, issuance.RecallOther, 1)
		wantRecalled(t, got, issuance.RecallNoClaim, 1)
		correction, _, err := b.Last()
		check(t, err)
		correction.CredentialID, correction.ClaimID, correction.Learner, correction.Revision = "of-a-lost-correction", all[0].ID, all[0].Learner, 2
		if lost, err := o.desk.Recall(t.Context(), correction, "operator", false); err != nil || lost != issuance.RecallNoCorrection {
			t.Errorf("a credential whose correction is lost is %q, %v", lost, err)
		}
		more := o.claim(t, "jan")
		wantErr(t, w.Seal(t.Context(), more.ID), issuance.ErrRestored)
		check(t, b.Add(sealbook.Note{At: o.clock.Now(), Reconciled: true}))
		check(t, o.desk.Resume(t.Context(), "", "", "operator"))
		check(t, w.Seal(t.Context(), more.ID))
		o.sealed(t, more)
	})
}

// Without room for a note nothing is sealed and no attempt is used up.
func TestBookCannotBeWritten(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		dir := filepath.Join(t.TempDir(), "gone")
		b := &sealbook.Book{Path: filepath.Join(dir, "seals.log")}
		c := o.claim(t, "noor")
		w := o.booked(t, b)
		wantErr(t, w.Seal(t.Context(), c.ID), os.ErrNotExist)
		if got := o.wantState(t, c, issuance.Queued); got.Attempts != 0 || o.token.count() != 0 {
			t.Errorf("claim %+v, %d signatures", got, o.token.count())
		}
		check(t, os.Mkdir(dir, 0o700))
		check(t, w.Seal(t.Context(), c.ID))
		o.count(t, []issuance.Claim{c})
	})
}

// A database from before a correction: while the correction is not confirmed again, the corrected
// credential is named and not made under another id; afterwards it is the very same.
func TestPutBackBeforeCorrection(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		b := &sealbook.Book{Path: filepath.Join(t.TempDir(), "seals.log")}
		c := o.claim(t, "noor")
		check(t, o.booked(t, b).Seal(t.Context(), c.ID))
		old := o.sealed(t, c)
		o.corrected(t, c, noora)
		check(t, o.booked(t, b).Seal(t.Context(), c.ID))
		next := o.sealed(t, c)
		for _, statement := range []string{
			`update credentials set replaced_by = null, replaced_at = null`, `delete from status_entries where credential_id in (select id from credentials where revision = 2)`, `delete from credentials where revision = 2`, `delete from corrections`,
			`update claims set revision = 1, state = 'sealed', given_name = 'Noor'`,
		} {
			_, err := o.db.Exec(t.Context(), statement)
			check(t, err)
		}
		wantErr(t, issuance.Known(t.Context(), o.db, *b), issuance.ErrRestored)
		got := o.recallAll(t, *b)
		wantRecalled(t, got, issuance.RecallKnown, 1)
		wantRecalled(t, got, issuance.RecallNoCorrection, 1)
		o.all(t, c, 1)
		o.corrected(t, c, noora)
		if err := o.booked(t, b).Seal(t.Context(), c.ID); err == nil {
			t.Error("sealed under another id before it was recalled")
		}
		wantRecalled(t, o.recallAll(t, *b), issuance.RecallDone, 1)
		check(t, issuance.Known(t.Context(), o.db, *b))
		check(t, o.desk.Resume(t.Context(), "", "", "operator"))
		check(t, o.booked(t, b).Seal(t.Context(), c.ID))
		again := o.sealed(t, c)
		if again.ID != next.ID || again.Link != next.Link || !again.IssuedAt.Equal(next.IssuedAt) || !bytes.Equal(again.Payload, next.Payload) {
			t.Errorf("credential %s of %s, before %s of %s", again.ID, again.IssuedAt, next.ID, next.IssuedAt)
		}
		o.wantPlace(t, old, again, o.clock.Now())
		wantRecalled(t, o.recallAll(t, *b), issuance.RecallKnown, 2)
	})
}

// A corrected claim is not dropped as others are: it would be open, with a sealed credential.
func TestCorrectedIsNotDropped(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, _ := o.held(t, "noor")
		o.corrected(t, c, noora)
		wantRefused(t, o.desk.Drop(t.Context(), o.org.ID, c.ID, "operator"), "give the correction up instead")
		o.wantState(t, c, issuance.Queued)
	})
}
