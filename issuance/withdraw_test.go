package issuance_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
)

// held is a learner's sealed credential.
func (o *office) held(tb testing.TB, learner string) (issuance.Claim, issuance.Credential) {
	tb.Helper()
	c := o.claim(tb, learner)
	check(tb, o.worker(tb).Seal(tb.Context(), c.ID))
	return o.now(tb, c), o.sealed(tb, c)
}

// order is a withdrawal of cred for a reason that needs no words.
func (o *office) order(cred issuance.Credential) issuance.Withdrawal {
	return issuance.Withdrawal{OrganisationID: o.org.ID, CredentialID: cred.ID, Reason: issuance.ReasonInError, Words: " The  course was another. ", By: "operator"}
}

func (o *office) wantStanding(tb testing.TB, cred issuance.Credential, want issuance.InForce, since time.Time) issuance.Standing {
	tb.Helper()
	s, err := o.desk.Standing(tb.Context(), cred.ID)
	check(tb, err)
	if s.InForce != want || !s.Since.Equal(since) {
		tb.Errorf("it is %s since %s, want %s since %s", s.InForce, s.Since, want, since)
	}
	return s
}

func wantRefused(tb testing.TB, err error, words string) {
	tb.Helper()
	if !errors.Is(err, issuance.ErrState) || !strings.Contains(err.Error(), words) {
		tb.Errorf("got %v, want a refusal that says %q", err, words)
	}
}

func TestRevoke(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, cred := o.held(t, "noor")
		o.wantStanding(t, cred, issuance.StandsInForce, o.clock.Now())
		check(t, o.desk.MarkDelivered(t.Context(), o.org.ID, c.ID))
		o.clock.add(time.Hour)
		at := o.clock.Now()
		got, err := o.desk.Revoke(t.Context(), o.order(cred))
		check(t, err)
		s := o.wantStanding(t, cred, issuance.StandsRevoked, at)
		if got != s || s.Reason != issuance.ReasonInError || s.Because() != "It was awarded in error. The course was another." || s.Link != cred.Link || s.ClaimID != c.ID {
			t.Errorf("%+v, and afterwards %+v", got, s)
		}
		o.wantState(t, c, issuance.Revoked)
		o.clock.add(time.Hour)
		for _, act := range []func() error{
			func() error { _, err := o.desk.Revoke(t.Context(), o.order(cred)); return err },
			func() error { _, err := o.desk.Suspend(t.Context(), o.order(cred)); return err },
			func() error { _, err := o.desk.Reinstate(t.Context(), o.order(cred)); return err },
		} {
			wantRefused(t, act(), "it is revoked since "+at.Format("2 January 2006")+", and nothing brings it back")
		}
		check(t, o.desk.MarkDelivered(t.Context(), o.org.ID, c.ID)) // who fetches it for the archive does not bring it back
		o.wantStanding(t, cred, issuance.StandsRevoked, at)
		all, err := o.desk.Withdrawals(t.Context(), o.org.ID, cred.ID)
		check(t, err)
		if len(all) != 1 || all[0] != (issuance.Withdrawn{Act: issuance.ActRevoke, Reason: issuance.ReasonInError, Words: "The course was another.", By: "operator", At: all[0].At}) || !all[0].At.Equal(at) {
			t.Errorf("withdrawals %+v", all)
		}
		if n := o.audits(t, "credential revoked", c.ID); n != 1 {
			t.Errorf("%d lines in the audit trail", n)
		}
		again, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
		check(t, err)
		if !bytes.Equal(again.Sealed, cred.Sealed) {
			t.Error("the sealed file has changed")
		}
	})
}

func TestSuspendAndReinstate(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, cred := o.held(t, "noor")
		_, err := o.desk.Reinstate(t.Context(), o.order(cred))
		wantRefused(t, err, "it is not suspended")
		for range 2 {
			o.clock.add(time.Hour)
			_, err = o.desk.Suspend(t.Context(), o.order(cred))
			check(t, err)
			o.wantStanding(t, cred, issuance.StandsSuspended, o.clock.Now())
			_, err = o.desk.Suspend(t.Context(), o.order(cred))
			wantRefused(t, err, "it is suspended already since")
			o.clock.add(time.Hour)
			_, err = o.desk.Reinstate(t.Context(), o.order(cred))
			check(t, err)
			if s := o.wantStanding(t, cred, issuance.StandsInForce, o.clock.Now()); s.Reason != "" {
				t.Errorf("in force, because %s", s.Reason)
			}
		}
		o.wantState(t, c, issuance.Sealed)
		_, err = o.desk.Suspend(t.Context(), o.order(cred))
		check(t, err)
		o.clock.add(time.Minute)
		order := o.order(cred)
		order.Reason, order.Words = issuance.ReasonMisconduct, ""
		_, err = o.desk.Revoke(t.Context(), order)
		check(t, err)
		if s := o.wantStanding(t, cred, issuance.StandsRevoked, o.clock.Now()); s.Reason != issuance.ReasonMisconduct || s.Words != "" {
			t.Errorf("%+v", s)
		}
		o.wantState(t, c, issuance.Revoked)
		for act, want := range map[string]int{"suspended": 3, "reinstated": 2, "revoked": 1} {
			if n := o.audits(t, "credential "+act, c.ID); n != want {
				t.Errorf("%s: %d lines in the audit trail, want %d", act, n, want)
			}
		}
	})
}

func TestWithdrawalIsRefused(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, cred := o.held(t, "noor")
		for name, change := range map[string]func(*issuance.Withdrawal){
			"no reason":       func(w *issuance.Withdrawal) { w.Reason = "" },
			"unknown reason":  func(w *issuance.Withdrawal) { w.Reason = "dislike" },
			"other, no words": func(w *issuance.Withdrawal) { w.Reason, w.Words = issuance.ReasonOther, " " },
			"long":            func(w *issuance.Withdrawal) { w.Words = strings.Repeat("é", 501) },
			"hidden":          func(w *issuance.Withdrawal) { w.Words = "good\u202edab" },
			"no text":         func(w *issuance.Withdrawal) { w.Words = "\xff" },
		} {
			order := o.order(cred)
			change(&order)
			_, err := o.desk.Revoke(t.Context(), order)
			if !errors.Is(err, issuance.ErrReason) {
				t.Errorf("%s: %v", name, err)
			}
		}
		other, _, _ := o.open(t, "fjord")
		for _, change := range []func(*issuance.Withdrawal){
			func(w *issuance.Withdrawal) { w.OrganisationID = other.ID },
			func(w *issuance.Withdrawal) { w.CredentialID = c.ID },
			func(w *issuance.Withdrawal) { w.CredentialID = "" },
		} {
			order := o.order(cred)
			change(&order)
			_, err := o.desk.Revoke(t.Context(), order)
			wantErr(t, err, issuance.ErrNotFound)
		}
		_, err := o.db.Exec(t.Context(), `update credentials set replaced_by = id, replaced_at = sealed_at where claim_id = ?`, c.ID)
		check(t, err)
		_, err = o.desk.Revoke(t.Context(), o.order(cred))
		wantRefused(t, err, "it is replaced by another one")
		if all, err := o.desk.Withdrawals(t.Context(), o.org.ID, cred.ID); err != nil || len(all) != 0 {
			t.Errorf("withdrawals %+v (%v)", all, err)
		}
		for _, r := range issuance.Reasons() {
			if r.Words() == "" {
				t.Errorf("no words for %s", r)
			}
		}
	})
}

// Of many who withdraw a credential at once one succeeds, and one line says so.
func TestRevokeAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		for _, act := range []struct {
			name string
			do   func(issuance.Withdrawal) error
		}{
			{"suspended", func(w issuance.Withdrawal) error { _, err := o.desk.Suspend(t.Context(), w); return err }},
			{"revoked", func(w issuance.Withdrawal) error { _, err := o.desk.Revoke(t.Context(), w); return err }},
		} {
			c, cred := o.held(t, act.name)
			const many = 8
			errs := make([]error, many)
			var all sync.WaitGroup
			for i := range many {
				all.Go(func() { errs[i] = act.do(o.order(cred)) })
			}
			all.Go(func() { check(t, o.desk.MarkDelivered(t.Context(), o.org.ID, c.ID)) })
			all.Wait()
			done := 0
			for _, err := range errs {
				if err == nil {
					done++
					continue
				}
				wantRefused(t, err, "since")
			}
			rows, err := o.desk.Withdrawals(t.Context(), o.org.ID, cred.ID)
			check(t, err)
			if n := o.audits(t, "credential "+act.name, c.ID); done != 1 || n != 1 || len(rows) != 1 {
				t.Errorf("%d succeeded, %d audit lines, %d rows", done, n, len(rows))
			}
		}
	})
}

// A credential that is being sealed cannot be revoked, and the attempt does not disturb the
// worker; before there is an intent there is no credential at all.
func TestRevokeWhileSealing(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		_, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
		wantErr(t, err, issuance.ErrNotFound)
		tried := 0
		o.token.set(func(s *softToken) {
			s.before = func() {
				intent, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
				check(t, err)
				_, err = o.desk.Revoke(t.Context(), o.order(intent))
				wantRefused(t, err, "it is not sealed yet")
				_, err = o.desk.Suspend(t.Context(), o.order(intent))
				wantRefused(t, err, "it is not sealed yet")
				_, err = o.desk.Standing(t.Context(), intent.ID)
				wantErr(t, err, issuance.ErrNotFound)
				tried++
			}
		})
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		cred := o.sealed(t, c)
		if tried != 1 {
			t.Errorf("tried %d times", tried)
		}
		o.wantStanding(t, cred, issuance.StandsInForce, o.clock.Now())
		_, err = o.desk.Revoke(t.Context(), o.order(cred))
		check(t, err)
		check(t, o.worker(t).Seal(t.Context(), c.ID)) // a job that was in the queue twice
		o.wantState(t, c, issuance.Revoked)
		if o.token.count() != 1 {
			t.Errorf("%d signatures", o.token.count())
		}
	})
}

// Somebody who revokes as early as possible, over and over, meets the worker at every step:
// the credential is sealed once and revoked once.
func TestRevokeRacesTheWorker(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		var sealed error
		var worker sync.WaitGroup
		worker.Go(func() { sealed = o.worker(t).Seal(t.Context(), c.ID) })
		for done := false; !done && t.Context().Err() == nil; {
			intent, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
			if errors.Is(err, issuance.ErrNotFound) {
				continue
			}
			check(t, err)
			_, err = o.desk.Revoke(t.Context(), o.order(intent))
			if done = err == nil; !done {
				wantRefused(t, err, "it is not sealed yet")
			}
		}
		worker.Wait()
		check(t, sealed)
		o.wantState(t, c, issuance.Revoked)
		cred, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
		check(t, err)
		if n := o.audits(t, "credential revoked", c.ID); n != 1 || !cred.SealedAt.Valid || len(cred.Sealed) == 0 || o.token.count() != 1 {
			t.Errorf("%d revoked, sealed %v, %d signatures", n, cred.SealedAt, o.token.count())
		}
	})
}

func TestFindAndList(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, good := o.held(t, "good")
		o.clock.add(time.Second)
		_, gone := o.held(t, "gone")
		o.clock.add(time.Second)
		_, rests := o.held(t, "rests")
		back := o.swap(t, "delta")
		_, theirs := o.held(t, "theirs")
		back()
		_, err := o.desk.Revoke(t.Context(), o.order(gone))
		check(t, err)
		_, err = o.desk.Suspend(t.Context(), o.order(rests))
		check(t, err)
		for which, want := range map[issuance.InForce][]string{
			"": {rests.ID, gone.ID, good.ID}, issuance.StandsInForce: {good.ID}, issuance.StandsRevoked: {gone.ID},
			issuance.StandsSuspended: {rests.ID}, issuance.StandsReplaced: nil,
		} {
			all, err := o.desk.Credentials(t.Context(), o.org.ID, which, 10)
			check(t, err)
			var got []string
			for _, s := range all {
				got = append(got, s.CredentialID)
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%q: %v, want %v", which, got, want)
			}
		}
		if all, err := o.desk.Credentials(t.Context(), o.org.ID, "", 2); err != nil || len(all) != 2 {
			t.Errorf("%d of at most two (%v)", len(all), err)
		}
		_, err = o.desk.Credentials(t.Context(), o.org.ID, "lost", 2)
		wantErr(t, err, issuance.ErrState)
		for _, name := range []string{gone.ID, strings.ToUpper(gone.ID), "urn:credential:" + gone.ID, gone.Link, "https://seal.polder.example/c/" + gone.Link + "/"} {
			s, err := o.desk.Find(t.Context(), o.org.ID, name)
			if err != nil || s.CredentialID != gone.ID || !s.Withdrawn() {
				t.Errorf("%s: %+v (%v)", name, s, err)
			}
		}
		for _, name := range []string{"", "/", "nobody", theirs.ID, theirs.Link} {
			_, err := o.desk.Find(t.Context(), o.org.ID, name)
			wantErr(t, err, issuance.ErrNotFound)
		}
		for _, id := range []string{"", "nobody", "urn:uuid:" + good.ID, "{" + good.ID + "}", strings.ReplaceAll(good.ID, "-", ""), good.Link} {
			_, err := o.desk.Standing(t.Context(), id)
			wantErr(t, err, issuance.ErrNotFound)
		}
	})
}

// What is asked of the database changes the answer about our own credentials, and about
// nothing else.
func TestAsk(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, cred := o.held(t, "noor")
		options := issuance.VerifyOptions{Trust: o.token.mint.pool(), Now: o.clock.Now()}
		ask := func(file []byte, opts issuance.VerifyOptions) (issuance.Report, issuance.Answer) {
			r, err := o.desk.Ask(t.Context(), issuance.Verify(file, opts))
			check(t, err)
			for _, c := range r.Checks {
				if c.ID == "revocation" {
					return r, c
				}
			}
			return r, issuance.Answer{}
		}
		r, c := ask(cred.Sealed, options)
		if r.Verdict != issuance.VerdictValid || r.Reason != "genuine" || c.Outcome != issuance.OutcomeOK || c.Reason != "in_force" || !strings.Contains(c.Words, "was not withdrawn") {
			t.Errorf("in force: %s %s, %+v", r.Verdict, r.Reason, c)
		}
		_, err := o.desk.Suspend(t.Context(), o.order(cred))
		check(t, err)
		day := o.clock.Now().Format("2 January 2006")
		r, c = ask(cred.Sealed, options)
		if r.Verdict != issuance.VerdictNotValid || r.Reason != "suspended" || r.Headline != "This credential is suspended since "+day+" by Polder University of Technology." || c.Outcome != issuance.OutcomeFailed || r.Next == "" {
			t.Errorf("suspended: %s %s %q, %+v", r.Verdict, r.Reason, r.Headline, c)
		}
		_, err = o.desk.Revoke(t.Context(), o.order(cred))
		check(t, err)
		r, c = ask(cred.Sealed, options)
		if r.Verdict != issuance.VerdictNotValid || r.Reason != "revoked" || r.Headline != "This credential was withdrawn on "+day+" by Polder University of Technology." ||
			c.Words != "It was withdrawn for good on "+day+". It was awarded in error. The course was another." {
			t.Errorf("revoked: %s %s %q, %+v", r.Verdict, r.Reason, r.Headline, c)
		}
		if r, _ := ask(cred.Sealed, issuance.VerifyOptions{Now: o.clock.Now()}); r.Reason != "revoked" {
			t.Errorf("with nobody trusted the reason is %s", r.Reason)
		}
		offline := issuance.Verify(cred.Sealed, options)
		if raw, err := json.Marshal(offline); err != nil || offline.Verdict != issuance.VerdictValid || !strings.Contains(string(raw), `"reason":"no_status_but_address"`) ||
			!strings.Contains(string(raw), "programs ask https://seal.polder.example/status/"+cred.ID) {
			t.Errorf("by the file alone: %s (%v)", raw, err)
		}
		if changed, c := ask(bytes.Replace(cred.Sealed, []byte("Noor"), []byte("Moor"), 1), options); changed.Reason == "revoked" || c.Outcome != issuance.OutcomeNotChecked {
			t.Errorf("a changed file: %s, %+v", changed.Reason, c)
		}
		if junk, _ := ask([]byte("{}"), options); junk.Verdict != issuance.VerdictUnreadable {
			t.Errorf("junk: %s", junk.Verdict)
		}
	})
}

// A file that borrows the id of a credential of ours, or comes from another server, is not
// answered for.
func TestAskAboutOthers(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, cred := o.held(t, "noor")
		_, err := o.db.Exec(t.Context(), `update credentials set payload_sha256 = 'another' where id = ?`, cred.ID)
		check(t, err)
		before := issuance.Verify(cred.Sealed, issuance.VerifyOptions{Trust: o.token.mint.pool(), Now: o.clock.Now()})
		for _, say := range []string{"another payload", "another server"} {
			after, err := o.desk.Ask(t.Context(), before)
			check(t, err)
			one, err := json.Marshal(before)
			check(t, err)
			other, err := json.Marshal(after)
			check(t, err)
			if !bytes.Equal(one, other) {
				t.Errorf("%s: %s became %s", say, one, other)
			}
			_, err = o.db.Exec(t.Context(), `update credentials set sealed_at = null where id = ?`, cred.ID)
			check(t, err)
		}
		check(t, o.db.Close())
		if _, err := o.desk.Ask(t.Context(), before); err == nil {
			t.Error("a database that is gone gave an answer")
		}
	})
}

// TestClaimedSinceKnowsWithdrawals: what does not count is not marked as claimed, and what came
// back is.
func TestClaimedSinceKnowsWithdrawals(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		start := o.clock.Now().Add(-time.Second)
		claimed := func(since time.Time, want ...string) {
			t.Helper()
			got, err := o.desk.ClaimedSince(t.Context(), o.org.ID, o.attachment.ID, since)
			check(t, err)
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%v, want %v", got, want)
			}
		}
		withdrawn := func(org string, want ...issuance.InForce) {
			t.Helper()
			got, err := o.desk.WithdrawnOf(t.Context(), org, o.attachment.ID)
			check(t, err)
			stands := make([]issuance.InForce, 0, len(got))
			for _, s := range got {
				stands = append(stands, s.InForce)
			}
			slices.Sort(stands)
			if !slices.Equal(stands, want) {
				t.Errorf("%v, want %v", stands, want)
			}
		}
		_, _ = o.held(t, "good")
		o.clock.add(time.Second)
		_, rests := o.held(t, "rests")
		o.clock.add(time.Second)
		_, gone := o.held(t, "gone")
		claimed(start, "good", "rests", "gone")
		withdrawn(o.org.ID)
		_, err := o.desk.Suspend(t.Context(), o.order(rests))
		check(t, err)
		_, err = o.desk.Revoke(t.Context(), o.order(gone))
		check(t, err)
		claimed(start, "good")
		withdrawn(o.org.ID, issuance.StandsRevoked, issuance.StandsSuspended)
		later := o.clock.Now()
		claimed(later)
		o.clock.add(time.Second)
		_, err = o.desk.Reinstate(t.Context(), o.order(rests))
		check(t, err)
		claimed(later, "rests")
		claimed(start, "good", "rests")
		withdrawn(o.org.ID, issuance.StandsRevoked)
		other, _, _ := o.open(t, "fjord")
		withdrawn(other.ID)
	})
}

// What a person wrote is a sentence among others, whether they ended it or not.
func TestBecause(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"":                       "It was awarded in error.",
		"The course was another": "It was awarded in error. The course was another.",
		"Really?":                "It was awarded in error. Really?",
		"Siehe Anhang 7":         "It was awarded in error. Siehe Anhang 7.",
	} {
		if got := (issuance.Standing{Reason: issuance.ReasonInError, Words: words}).Because(); got != want {
			t.Errorf("%q: %q", words, got)
		}
	}
	if got := (issuance.Standing{}).Because(); got != "" {
		t.Errorf("no reason: %q", got)
	}
}
