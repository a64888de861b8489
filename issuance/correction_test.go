package issuance_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

var noora = issuance.Name{Given: "Noora", Family: "van den Berg"}

// proposal is what the learner of a claim asks for.
func (o *office) proposal(c issuance.Claim, name issuance.Name) issuance.Proposal {
	return issuance.Proposal{OrganisationID: o.org.ID, ClaimID: c.ID, Name: name, Words: " One  letter is missing. ", By: issuance.ByLearner}
}

func (o *office) ruling(c issuance.Correction) issuance.Ruling {
	return issuance.Ruling{
		OrganisationID: o.org.ID, CorrectionID: c.ID, Evidence: issuance.EvidencePassport, Reference: "shown at the desk on 24 November 2026", Words: "You are right.", By: "operator",
	}
}

// corrected asks for a name and confirms it; the claim is in the queue afterwards.
func (o *office) corrected(tb testing.TB, c issuance.Claim, name issuance.Name) issuance.Correction {
	tb.Helper()
	x, err := o.desk.Propose(tb.Context(), o.proposal(c, name))
	check(tb, err)
	x, err = o.desk.ConfirmCorrection(tb.Context(), o.ruling(x))
	check(tb, err)
	return x
}

// content is what a sealed file says.
func content(tb testing.TB, cred issuance.Credential) elm.Content {
	tb.Helper()
	c, err := elm.Read(sealedPayload(tb, cred.Sealed))
	check(tb, err)
	return c
}

// all wants n credentials of the claim, the newest first, and returns them.
func (o *office) all(tb testing.TB, c issuance.Claim, n int) []issuance.Credential {
	tb.Helper()
	all, err := o.desk.CredentialsOf(tb.Context(), o.org.ID, c.ID)
	check(tb, err)
	if len(all) != n {
		tb.Fatalf("%d credentials of the claim, want %d", len(all), n)
	}
	return all
}

func (o *office) wantCorrection(tb testing.TB, id string, want issuance.CorrectionState) issuance.Correction {
	tb.Helper()
	x, err := o.desk.Correction(tb.Context(), o.org.ID, id)
	check(tb, err)
	if x.State != want {
		tb.Errorf("the correction is %s, want %s", x.State, want)
	}
	return x
}

// wantPlace wants next to be in force in the place of old, told from both sides.
func (o *office) wantPlace(tb testing.TB, old, next issuance.Credential, since time.Time) {
	tb.Helper()
	before := o.wantStanding(tb, old, issuance.StandsReplaced, since)
	after := o.wantStanding(tb, next, issuance.StandsInForce, since)
	if before.ReplacedBy != (issuance.Successor{CredentialID: next.ID, Link: next.Link}) || after.Replaces != (issuance.Successor{CredentialID: old.ID, Link: old.Link}) {
		tb.Errorf("replaced by %+v, replaces %+v", before.ReplacedBy, after.Replaces)
	}
	if got := content(tb, next); got.Replaces != "urn:credential:"+old.ID {
		tb.Errorf("the sealed file says that it replaces %q", got.Replaces)
	}
}

// The whole way: a learner asks, staff confirm, the worker seals, the new one takes the place
// of the old one, which is in force until then.
func TestCorrection(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, old := o.held(t, "noor")
		check(t, o.desk.MarkDelivered(t.Context(), o.org.ID, c.ID))
		o.queue.Lose()
		sealed := o.clock.Now()
		o.clock.add(48 * time.Hour)
		x, err := o.desk.Propose(t.Context(), o.proposal(c, issuance.Name{Given: " Noora ", Family: "van den  Berg"}))
		check(t, err)
		asked := o.clock.Now()
		o.clock.add(time.Hour)
		want := issuance.Correction{
			ID: x.ID, OrganisationID: o.org.ID, ClaimID: c.ID, CredentialID: old.ID, OldGiven: "Noor", OldFamily: "van den Berg", NewGiven: "Noora", NewFamily: "van den Berg",
			Words: "One letter is missing.", AskedBy: issuance.ByLearner, AskedAt: asked, State: issuance.CorrectionAsked,
		}
		if diff := cmp.Diff(want, x); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
		if n, err := o.desk.CorrectionsWaiting(t.Context(), o.org.ID); n != 1 || err != nil {
			t.Errorf("%d wait (%v)", n, err)
		}
		if got := o.wantState(t, c, issuance.Delivered); got.Revision != 1 || got.GivenName != "Noor" {
			t.Errorf("before it is confirmed: %+v", got)
		}
		x, err = o.desk.ConfirmCorrection(t.Context(), o.ruling(x))
		check(t, err)
		if x.State != issuance.CorrectionConfirmed || x.Evidence != issuance.EvidencePassport || x.Answer != "You are right." || x.DecidedBy != "operator" || !x.DecidedAt.Time.Equal(o.clock.Now()) || x.Revision != 2 || x.EndedAt.Valid {
			t.Errorf("confirmed: %+v", x)
		}
		if got := o.wantState(t, c, issuance.Queued); got.Revision != 2 || got.GivenName != "Noora" || got.Attempts != 0 {
			t.Errorf("in the queue: %+v", got)
		}
		o.wantStanding(t, old, issuance.StandsInForce, sealed)
		o.clock.add(time.Hour)
		if jobs := o.sealNext(t); len(jobs) != 1 {
			t.Errorf("the queue hands out %v", jobs)
		}
		next := o.sealed(t, c)
		o.wantPlace(t, old, next, o.clock.Now())
		was, is := content(t, old), content(t, next)
		if next.ID == old.ID || next.Link == old.Link || is.Number == was.Number || is.Learner != "Noora van den Berg" || was.Learner != "Noor van den Berg" || was.Replaces != "" {
			t.Errorf("from %+v to %+v", was, is)
		}
		if !is.IssuedAt.Equal(o.clock.Now().Truncate(time.Second)) || awarding(t, next) != awarding(t, old) {
			t.Errorf("issued %s, awarded %s, before %s", is.IssuedAt, awarding(t, next), awarding(t, old))
		}
		done := o.wantCorrection(t, x.ID, issuance.CorrectionDone)
		if !done.EndedAt.Time.Equal(o.clock.Now()) {
			t.Errorf("done %+v", done)
		}
		again := o.all(t, c, 2)[1]
		if !bytes.Equal(again.Sealed, old.Sealed) || !bytes.Equal(again.Payload, old.Payload) {
			t.Error("the old file has changed")
		}
		for _, action := range []string{"correction asked", "correction confirmed", "credential replaced"} {
			if n := o.audits(t, action, c.ID); n != 1 {
				t.Errorf("%s: %d lines in the audit trail", action, n)
			}
		}
		var named int
		check(t, o.db.Get(t.Context(), &named, `select count(*) from audit where detail like '%Noor%' or action like '%Noor%'`))
		if named != 0 {
			t.Errorf("%d lines of the audit trail name a person", named)
		}
		report, err := o.desk.Ask(t.Context(), issuance.Verify(old.Sealed, issuance.VerifyOptions{Trust: o.token.mint.pool(), Now: o.clock.Now()}))
		check(t, err)
		if report.Verdict != issuance.VerdictNotValid || report.Reason != "replaced" {
			t.Errorf("the old file: %s, %s", report.Verdict, report.Reason)
		}
		if learners, err := o.desk.ClaimedSince(t.Context(), o.org.ID, o.attachment.ID, sealed); err != nil || len(learners) != 0 {
			t.Errorf("%v have claimed since the first was sealed (%v)", learners, err)
		}
	})
}

// awarding is the date of award in a sealed file.
func awarding(tb testing.TB, cred issuance.Credential) string {
	tb.Helper()
	_, after, found := strings.Cut(string(sealedPayload(tb, cred.Sealed)), `"awardingDate":"`)
	if !found {
		tb.Fatal("no date of award")
	}
	return after[:len("2026-11-24T12:00:00Z")]
}

// A correction of a correction: each leads to the next one and to the one before.
func TestCorrectionChain(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, first := o.held(t, "noor")
		names := []issuance.Name{{Given: "Noëlle", Family: "Παπαδόπουλος"}, {Given: "ليلى", Family: "حدّاد"}, {Given: "Noe\u0308lle", Family: "Ng\u0303ugi\u0303"}}
		chain := []issuance.Credential{first}
		for i, name := range names {
			o.clock.add(100 * time.Hour)
			o.corrected(t, o.now(t, c), name)
			check(t, o.worker(t).Seal(t.Context(), c.ID))
			next := o.sealed(t, c)
			o.wantPlace(t, chain[i], next, o.clock.Now())
			if got := content(t, next).Learner; got != name.Given+" "+name.Family {
				t.Errorf("sealed for %q, want %+v", got, name)
			}
			if awarding(t, next) != awarding(t, first) {
				t.Errorf("awarded %s, at first %s", awarding(t, next), awarding(t, first))
			}
			chain = append(chain, next)
		}
		for i, cred := range chain[:len(chain)-1] {
			s, err := o.desk.Standing(t.Context(), cred.ID)
			check(t, err)
			if s.InForce != issuance.StandsReplaced || s.ReplacedBy.CredentialID != chain[i+1].ID {
				t.Errorf("%d: %s, %+v", i, s.InForce, s.ReplacedBy)
			}
		}
		for which, want := range map[issuance.InForce]int{issuance.StandsReplaced: 3, issuance.StandsInForce: 1, "": 4, issuance.StandsRevoked: 0, issuance.StandsSuspended: 0} {
			if all, err := o.desk.Credentials(t.Context(), o.org.ID, which, 10); err != nil || len(all) != want {
				t.Errorf("%d are %q, want %d (%v)", len(all), which, want, err)
			}
		}
		o.all(t, c, 4)
		_, err := o.desk.Revoke(t.Context(), o.order(first))
		wantRefused(t, err, "it is replaced by another one since")
		_, err = o.desk.Revoke(t.Context(), o.order(chain[3]))
		check(t, err)
		o.wantStanding(t, chain[3], issuance.StandsRevoked, o.clock.Now())
		if s, err := o.desk.Standing(t.Context(), chain[2].ID); err != nil || s.InForce != issuance.StandsReplaced {
			t.Errorf("the one before: %+v (%v)", s, err)
		}
		_, err = o.desk.Propose(t.Context(), o.proposal(c, noora))
		wantRefused(t, err, "it is revoked since")
	})
}

// The second sealing dies before each step, and another worker goes on: one new credential,
// with the bytes of its intent, and the old one in force until it is sealed.
func TestCrashOfSecondSealing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		step   string
		state  issuance.State
		rows   int // of credentials, when the worker has died
		signed int // in the end, the first one included
	}{{"lease", issuance.Queued, 1, 2}, {"intent", issuance.Sealing, 1, 2}, {"sign", issuance.Sealing, 2, 2}, {"store", issuance.Sealing, 2, 3}} {
		t.Run(test.step, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				c, old := o.held(t, "noor")
				sealed := o.clock.Now()
				x := o.corrected(t, c, noora)
				o.queue.Lose()
				w := o.worker(t)
				w.Step = dieAt(test.step, 1)
				wantErr(t, w.Seal(t.Context(), c.ID), errKilled)
				o.wantState(t, c, test.state)
				intent := o.all(t, c, test.rows)[0]
				o.wantStanding(t, old, issuance.StandsInForce, sealed)
				if got, err := o.desk.Credential(t.Context(), o.org.ID, c.ID); err != nil || got.ID != old.ID {
					t.Errorf("the credential of the claim is %s (%v)", got.ID, err)
				}
				_, err := o.desk.Published(t.Context(), intent.Link)
				if test.rows == 2 {
					wantErr(t, err, issuance.ErrNotFound)
				}
				o.clock.add(121 * time.Second)
				if jobs := o.sealNext(t); len(jobs) != 1 {
					t.Errorf("the sweeper offers %v", jobs)
				}
				next := o.sealed(t, c)
				o.wantPlace(t, old, next, o.clock.Now())
				o.wantCorrection(t, x.ID, issuance.CorrectionDone)
				if test.rows == 2 && (next.ID != intent.ID || next.Replaces != old.ID || !bytes.Equal(next.Payload, intent.Payload)) {
					t.Errorf("intent %s, credential %s", intent.ID, next.ID)
				}
				if n := o.token.count(); n != test.signed {
					t.Errorf("%d signatures, want %d", n, test.signed)
				}
				if n := o.audits(t, "credential replaced", c.ID); n != 1 {
					t.Errorf("%d times replaced", n)
				}
				o.all(t, c, 2)
			})
		})
	}
}

// Of many who decide about one correction at once, one does; the claim is sealed once more.
func TestDecideAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, _ := o.held(t, "noor")
		x, err := o.desk.Propose(t.Context(), o.proposal(c, noora))
		check(t, err)
		const many = 8
		errs := make([]error, 2*many)
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() { _, errs[i] = o.desk.ConfirmCorrection(t.Context(), o.ruling(x)) })
			all.Go(func() { _, errs[many+i] = o.desk.DeclineCorrection(t.Context(), o.ruling(x)) })
		}
		all.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
				continue
			}
			wantRefused(t, err, "it was decided already")
		}
		after, err := o.desk.Correction(t.Context(), o.org.ID, x.ID)
		check(t, err)
		confirmed, declined := o.audits(t, "correction confirmed", c.ID), o.audits(t, "correction declined", c.ID)
		if done != 1 || confirmed+declined != 1 || (confirmed == 1) != (after.State == issuance.CorrectionConfirmed) {
			t.Errorf("%d succeeded, %d confirmed, %d declined, it is %s", done, confirmed, declined, after.State)
		}
		if got := o.now(t, c); (got.Revision == 2) != (confirmed == 1) {
			t.Errorf("revision %d, confirmed %d", got.Revision, confirmed)
		}
	})
}

// The learner asks while staff revoke: whoever comes first, nothing of it is left open.
func TestProposeWhileRevoking(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		for _, learner := range []string{"a", "b", "c", "d"} {
			c, cred := o.held(t, learner)
			var asked, revoked error
			var both sync.WaitGroup
			both.Go(func() { _, asked = o.desk.Propose(t.Context(), o.proposal(c, noora)) })
			both.Go(func() { _, revoked = o.desk.Revoke(t.Context(), o.order(cred)) })
			both.Wait()
			check(t, revoked)
			if asked != nil {
				wantRefused(t, asked, "it is revoked since")
			}
			all, err := o.desk.CorrectionsOf(t.Context(), o.org.ID, c.ID)
			check(t, err)
			if want := map[bool]int{true: 1}[asked == nil]; len(all) != want {
				t.Errorf("%d corrections, asked: %v", len(all), asked)
			}
			for _, x := range all {
				if x.State != issuance.CorrectionDropped || !x.EndedAt.Valid {
					t.Errorf("it is %+v", x)
				}
				_, err := o.desk.ConfirmCorrection(t.Context(), o.ruling(x))
				wantRefused(t, err, "it does not wait any more")
			}
			o.wantState(t, c, issuance.Revoked)
		}
	})
}

// Revoking the old credential while its replacement waits, is being sealed, or has failed,
// cancels the replacement.
func TestRevokeWhileReplacementWaits(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"waiting", "sealing", "failed"} {
		t.Run(at, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				c, old := o.held(t, "noor")
				x := o.corrected(t, c, noora)
				revoke := func() {
					_, err := o.desk.Revoke(t.Context(), o.order(old))
					check(t, err)
				}
				switch at {
				case "waiting":
					revoke()
					check(t, o.worker(t).Seal(t.Context(), c.ID))
				case "sealing":
					o.token.set(func(s *softToken) { s.before = revoke })
					if err := o.worker(t).Seal(t.Context(), c.ID); err == nil || !strings.Contains(err.Error(), "the lease of the claim was lost") {
						t.Errorf("the worker says %v", err)
					}
				case "failed":
					_, err := o.db.Exec(t.Context(), `update claims set state = 'failed' where id = ?`, c.ID)
					check(t, err)
					revoke()
					wantErr(t, o.desk.Retry(t.Context(), o.org.ID, c.ID, "operator"), issuance.ErrState)
				}
				o.wantStanding(t, old, issuance.StandsRevoked, o.clock.Now())
				if got := o.wantState(t, c, issuance.Revoked); got.GivenName != "Noor" {
					t.Errorf("claim of %q", got.GivenName)
				}
				o.wantCorrection(t, x.ID, issuance.CorrectionDropped)
				o.queue.Lose()
				if jobs := o.sealNext(t); len(jobs) != 0 {
					t.Errorf("the sweeper offers %v", jobs)
				}
				cred, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
				check(t, err)
				if cred.ID != old.ID || o.audits(t, "correction dropped", c.ID) != 1 || o.audits(t, "credential replaced", c.ID) != 0 {
					t.Errorf("the credential is %s, was %s", cred.ID, old.ID)
				}
			})
		})
	}
}

// A suspension is about what was awarded, not about the name: the corrected one has it, too.
func TestSuspendWhileReplacementWaits(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, old := o.held(t, "noor")
		o.corrected(t, c, noora)
		_, err := o.desk.Suspend(t.Context(), o.order(old))
		check(t, err)
		o.clock.add(time.Minute)
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		next := o.all(t, c, 2)[0]
		o.wantStanding(t, old, issuance.StandsReplaced, o.clock.Now())
		if s := o.wantStanding(t, next, issuance.StandsSuspended, o.clock.Now()); s.Reason != issuance.ReasonInError || s.Words != "The course was another." {
			t.Errorf("suspended for %+v", s)
		}
		_, err = o.desk.Propose(t.Context(), o.proposal(c, noor))
		wantRefused(t, err, "it is suspended since")
		o.clock.add(time.Minute)
		_, err = o.desk.Reinstate(t.Context(), o.order(next))
		check(t, err)
		o.wantStanding(t, next, issuance.StandsInForce, o.clock.Now())
		o.corrected(t, c, noor)
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		o.wantPlace(t, next, o.sealed(t, c), o.clock.Now()) // a suspension that was lifted is not handed on
	})
}

// What cannot be sealed leaves the old credential in force, until a person tries again or gives
// it up; the next correction gets a revision of its own.
func TestGiveUp(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, old := o.held(t, "noor")
		sealed := o.clock.Now()
		check(t, o.desk.MarkDelivered(t.Context(), o.org.ID, c.ID))
		x := o.corrected(t, c, noora)
		w := o.worker(t)
		w.Step = dieAt("sign", 1)
		wantErr(t, w.Seal(t.Context(), c.ID), errKilled)
		_, err := o.desk.GiveUpCorrection(t.Context(), o.ruling(x))
		wantRefused(t, err, "it is being sealed at this moment")
		_, err = o.db.Exec(t.Context(), `update claims set state = 'failed', last_error = 'the page image is too large' where id = ?`, c.ID)
		check(t, err)
		if n, err := o.desk.CorrectionsWaiting(t.Context(), o.org.ID); n != 1 || err != nil {
			t.Errorf("%d wait for staff (%v)", n, err)
		}
		o.wantStanding(t, old, issuance.StandsInForce, sealed)
		empty := o.ruling(x)
		empty.Words = ""
		_, err = o.desk.GiveUpCorrection(t.Context(), empty)
		wantErr(t, err, issuance.ErrCorrection)
		_, err = o.desk.GiveUpCorrection(t.Context(), o.ruling(x))
		check(t, err)
		if got := o.wantState(t, c, issuance.Delivered); got.GivenName != "Noor" || got.LastError != "" || got.Revision != 2 {
			t.Errorf("afterwards: %+v", got)
		}
		o.wantCorrection(t, x.ID, issuance.CorrectionDropped)
		_, err = o.desk.GiveUpCorrection(t.Context(), o.ruling(x))
		wantRefused(t, err, "nothing of it waits for the seal")
		o.clock.add(time.Hour)
		check(t, o.worker(t).Seal(t.Context(), c.ID)) // a job that was in the queue
		o.wantState(t, c, issuance.Delivered)
		y := o.corrected(t, c, issuance.Name{Given: "Nora", Family: "van den Berg"})
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		next := o.sealed(t, c)
		o.wantPlace(t, old, next, o.clock.Now())
		if y.Revision != 3 || next.Revision != 3 || content(t, next).Learner != "Nora van den Berg" {
			t.Errorf("revision %d, credential %d of %s", y.Revision, next.Revision, content(t, next).Learner)
		}
	})
}

func TestCorrectionIsRefused(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		waits := o.claim(t, "waits")
		_, err := o.desk.Propose(t.Context(), o.proposal(waits, noora))
		wantRefused(t, err, "it is not sealed yet")
		c, _ := o.held(t, "noor")
		for name, test := range map[string]struct {
			change func(*issuance.Proposal)
			want   error
		}{
			"no name":      {func(p *issuance.Proposal) { p.Name = issuance.Name{Given: "Noora"} }, issuance.ErrName},
			"hidden name":  {func(p *issuance.Proposal) { p.Name.Given = "Noo\u202era" }, issuance.ErrName},
			"no words":     {func(p *issuance.Proposal) { p.Words = " " }, issuance.ErrCorrection},
			"long":         {func(p *issuance.Proposal) { p.Words = strings.Repeat("é", 501) }, issuance.ErrCorrection},
			"hidden words": {func(p *issuance.Proposal) { p.Words = "good\u202edab" }, issuance.ErrCorrection},
			"no text":      {func(p *issuance.Proposal) { p.Words = "\xff" }, issuance.ErrCorrection},
			"same name":    {func(p *issuance.Proposal) { p.Name = noor }, issuance.ErrState},
			"nobody's":     {func(p *issuance.Proposal) { p.ClaimID = "nobody" }, issuance.ErrNotFound},
			"other house":  {func(p *issuance.Proposal) { p.OrganisationID = "other" }, issuance.ErrNotFound},
		} {
			p := o.proposal(c, noora)
			test.change(&p)
			if _, err := o.desk.Propose(t.Context(), p); !errors.Is(err, test.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		x, err := o.desk.Propose(t.Context(), o.proposal(c, noora))
		check(t, err)
		_, err = o.desk.Propose(t.Context(), o.proposal(c, noora))
		wantRefused(t, err, "a correction of it waits already, since")
		for name, test := range map[string]struct {
			change func(*issuance.Ruling)
			want   error
		}{
			"no evidence":      {func(r *issuance.Ruling) { r.Evidence = "" }, issuance.ErrCorrection},
			"unknown evidence": {func(r *issuance.Ruling) { r.Evidence = "hearsay" }, issuance.ErrCorrection},
			"no reference":     {func(r *issuance.Ruling) { r.Reference = "" }, issuance.ErrCorrection},
			"long reference":   {func(r *issuance.Ruling) { r.Reference = strings.Repeat("x", 201) }, issuance.ErrCorrection},
			"no words":         {func(r *issuance.Ruling) { r.Words = "" }, issuance.ErrCorrection},
			"nobody's":         {func(r *issuance.Ruling) { r.CorrectionID = "nobody" }, issuance.ErrNotFound},
			"other house":      {func(r *issuance.Ruling) { r.OrganisationID = "other" }, issuance.ErrNotFound},
			"one's own":        {func(r *issuance.Ruling) { r.By = "lms:r-polder:noor" }, issuance.ErrState},
		} {
			r := o.ruling(x)
			test.change(&r)
			if _, err := o.desk.ConfirmCorrection(t.Context(), r); !errors.Is(err, test.want) {
				t.Errorf("confirm, %s: %v", name, err)
			}
			needless := strings.Contains(name, "evidence") || strings.Contains(name, "reference") // declining needs words only
			if _, err := o.desk.DeclineCorrection(t.Context(), r); !needless && !errors.Is(err, test.want) {
				t.Errorf("decline, %s: %v", name, err)
			}
			if needless {
				break
			}
		}
		for _, e := range issuance.Evidences() {
			if e.Words() == "" {
				t.Errorf("no words for %s", e)
			}
		}
		_, err = o.desk.Corrections(t.Context(), o.org.ID, []issuance.CorrectionState{"lost"}, 10)
		wantErr(t, err, issuance.ErrState)
	})
}

// The same letters written in another way are the same name.
func TestSameName(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.grade(t, "zoe", 80)
		c, err := o.desk.Confirm(t.Context(), o.org.ID, o.attachment.ID, "zoe", issuance.Name{Given: "Zoë", Family: "حدّاد"})
		check(t, err)
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		_, err = o.desk.Propose(t.Context(), o.proposal(c, issuance.Name{Given: "Zoe\u0308", Family: "حدّاد"}))
		wantRefused(t, err, "the credential has this name already")
		_, err = o.desk.Propose(t.Context(), o.proposal(c, issuance.Name{Given: "Zoe", Family: "حدّاد"}))
		check(t, err)
	})
}

// A learner may ask three times a month; what was taken back counts, what staff begin does not.
func TestAskingTooOften(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, cred := o.held(t, "noor")
		wantRefused(t, o.desk.TakeBackCorrection(t.Context(), o.org.ID, c.ID), "nothing that you have asked for waits any more")
		for i := range 3 {
			x, err := o.desk.Propose(t.Context(), o.proposal(c, noora))
			check(t, err)
			if i == 1 {
				_, err = o.desk.DeclineCorrection(t.Context(), o.ruling(x))
				check(t, err)
				o.wantCorrection(t, x.ID, issuance.CorrectionDeclined)
			} else {
				check(t, o.desk.TakeBackCorrection(t.Context(), o.org.ID, c.ID))
				o.wantCorrection(t, x.ID, issuance.CorrectionWithdrawn)
				_, err = o.desk.ConfirmCorrection(t.Context(), o.ruling(x))
				wantRefused(t, err, "the learner has taken it back")
			}
			o.clock.add(24 * time.Hour)
		}
		_, err := o.desk.Propose(t.Context(), o.proposal(c, noora))
		again := sealedAt.Add(31 * 24 * time.Hour)
		wantRefused(t, err, "it was asked 3 times within 30 days; from "+again.Format("2 January 2006")+" on it can be asked again")
		x, err := o.desk.Correct(t.Context(), issuance.Proposal{OrganisationID: o.org.ID, ClaimID: c.ID, Name: noora, Words: "Misspelt by us.", By: "operator"}, o.ruling(issuance.Correction{}))
		check(t, err)
		if x.State != issuance.CorrectionConfirmed || x.AskedBy != "operator" || x.DecidedBy != "operator" {
			t.Errorf("by staff: %+v", x)
		}
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		o.wantPlace(t, cred, o.sealed(t, c), o.clock.Now())
		o.clock.add(again.Sub(o.clock.Now()))
		_, err = o.desk.Propose(t.Context(), o.proposal(c, noor))
		check(t, err)
		all, err := o.desk.Corrections(t.Context(), o.org.ID, nil, 10)
		check(t, err)
		if len(all) != 5 || all[0].State != issuance.CorrectionAsked || all[4].State != issuance.CorrectionWithdrawn {
			t.Errorf("all: %+v", all)
		}
		waiting, err := o.desk.Corrections(t.Context(), o.org.ID, []issuance.CorrectionState{issuance.CorrectionAsked}, 10)
		check(t, err)
		if len(waiting) != 1 || waiting[0].ID != all[0].ID {
			t.Errorf("waiting: %+v", waiting)
		}
	})
}

// Staff's own correction needs what theirs of others does, and leaves nothing when it lacks it.
func TestCorrectByStaffIsWhole(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, _ := o.held(t, "noor")
		r := o.ruling(issuance.Correction{})
		r.Reference = ""
		_, err := o.desk.Correct(t.Context(), issuance.Proposal{OrganisationID: o.org.ID, ClaimID: c.ID, Name: noora, Words: "Misspelt.", By: "operator"}, r)
		wantErr(t, err, issuance.ErrCorrection)
		if all, err := o.desk.CorrectionsOf(t.Context(), o.org.ID, c.ID); err != nil || len(all) != 0 {
			t.Errorf("%+v (%v)", all, err)
		}
		o.wantState(t, c, issuance.Sealed)
	})
}

// After a change of name the public page of the new one does not lead to the former name; the
// old one leads to the new one all the same.
func TestDiscreetCorrection(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, old := o.held(t, "noor")
		x, err := o.desk.Propose(t.Context(), o.proposal(c, noora))
		check(t, err)
		r := o.ruling(x)
		r.Evidence = issuance.EvidenceCourt
		_, err = o.desk.ConfirmCorrection(t.Context(), r)
		check(t, err)
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		next := o.sealed(t, c)
		s := o.wantStanding(t, next, issuance.StandsInForce, o.clock.Now())
		if s.Replaces != (issuance.Successor{CredentialID: old.ID}) {
			t.Errorf("replaces %+v", s.Replaces)
		}
		if s := o.wantStanding(t, old, issuance.StandsReplaced, o.clock.Now()); s.ReplacedBy.Link != next.Link {
			t.Errorf("replaced by %+v", s.ReplacedBy)
		}
	})
}

// A worker of the release before corrections knows one credential per claim. Whatever it makes
// of a claim that waits for its second one, a worker of today finds it and finishes.
func TestPreviousReleaseBeside(t *testing.T) {
	t.Parallel()
	for name, left := range map[string][]string{
		// It finds the old credential, takes it for the claim's, and ends the claim.
		"takes the old one for the new one": {`update claims set state = 'sealed', lease_token = '', lease_until = null where id = ?`},
		// It finds the intent of today's worker, seals it, and does not know that it replaces another.
		"seals the intent": {
			`update credentials set sealed = (select sealed from credentials k where k.claim_id = credentials.claim_id and k.revision = 9), sealed_at = created_at, key_id = 'key' where claim_id = ? and revision = 2`,
			`delete from credentials where claim_id = ? and revision = 9`,
			`update claims set state = 'sealed', lease_token = '', lease_until = null where id = ?`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				c, old := o.held(t, "noor")
				x := o.corrected(t, c, noora)
				if len(left) > 1 {
					w := o.worker(t)
					w.Step = dieAt("sign", 1)
					wantErr(t, w.Seal(t.Context(), c.ID), errKilled)
					o.sealByHand(t, c)
				}
				for _, statement := range left {
					_, err := o.db.Exec(t.Context(), statement, c.ID)
					check(t, err)
				}
				o.queue.Lose()
				o.clock.add(3 * time.Minute)
				if jobs := o.sealNext(t); len(jobs) != 1 {
					t.Errorf("the sweeper offers %v", jobs)
				}
				next := o.sealed(t, c)
				if s := o.wantStanding(t, old, issuance.StandsReplaced, o.clock.Now()); s.ReplacedBy.CredentialID != next.ID || content(t, next).Learner != "Noora van den Berg" {
					t.Errorf("replaced by %+v, of %s", s.ReplacedBy, content(t, next).Learner)
				}
				o.wantCorrection(t, x.ID, issuance.CorrectionDone)
				o.all(t, c, 2)
				o.queue.Lose()
				if jobs := o.sealNext(t); len(jobs) != 0 {
					t.Errorf("afterwards the sweeper offers %v", jobs)
				}
			})
		})
	}
}

// sealByHand puts a sealed file of the intent of revision 2 into a row 9, where a statement can
// take it from.
func (o *office) sealByHand(tb testing.TB, c issuance.Claim) {
	tb.Helper()
	intent := o.all(tb, c, 2)[0]
	file := o.token.mint.seal(tb, intent.Payload, o.clock.Now())
	_, err := o.db.Exec(tb.Context(), `insert into credentials (id, organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, sealed, link, created_at, revision)
		values ('by hand', ?, ?, ?, ?, '', '', ?, 'by hand', ?, 9)`, o.org.ID, c.ID, sqldb.UTC(o.clock.Now()), []byte{}, file, sqldb.UTC(o.clock.Now()))
	check(tb, err)
}

// Where revoking takes two people, so does a correction that staff begin; a learner and one of
// staff are two.
func TestStaffCorrectionTakesTwo(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, _ := o.held(t, "noor")
		o.twoPeople(t, true)
		p := issuance.Proposal{OrganisationID: o.org.ID, ClaimID: c.ID, Name: noora, Words: "Misspelt by us.", By: "lms:r-polder:anna"}
		r := o.ruling(issuance.Correction{})
		r.By = p.By
		_, err := o.desk.Correct(t.Context(), p, r)
		wantErr(t, err, issuance.ErrSecondPerson)
		if all, err := o.desk.CorrectionsOf(t.Context(), o.org.ID, c.ID); err != nil || len(all) != 0 {
			t.Errorf("%+v (%v)", all, err)
		}
		x, err := o.desk.Propose(t.Context(), p)
		check(t, err)
		r.CorrectionID = x.ID
		for by, want := range map[string]error{p.By: issuance.ErrSecondPerson, issuance.Operator: issuance.ErrNobody} {
			r.By = by
			_, err = o.desk.ConfirmCorrection(t.Context(), r)
			wantErr(t, err, want)
		}
		r.By = "lms:r-polder:ben"
		x, err = o.desk.ConfirmCorrection(t.Context(), r)
		check(t, err)
		if x.AskedBy != p.By || x.DecidedBy != r.By {
			t.Errorf("asked by %s, decided by %s", x.AskedBy, x.DecidedBy)
		}
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		o.corrected(t, c, noor) // asked by the learner
	})
}

// Staff who look for a name find the credential that has it: the corrected one by the new name,
// the one before by the old name, also while the new one waits.
func TestSearchByEachName(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, old := o.held(t, "noor")
		find := func(name string) map[string]string {
			t.Helper()
			check(t, o.desk.TendOnce(t.Context()))
			page, _, err := o.desk.Search(t.Context(), issuance.Search{OrganisationID: o.org.ID, Name: name, Limit: 10})
			check(t, err)
			out := map[string]string{}
			for _, one := range page {
				out[one.CredentialID] = one.Name + ", " + string(one.InForce)
			}
			return out
		}
		o.corrected(t, c, issuance.Name{Given: "Layla", Family: "Haddad"})
		if got := find("noor"); len(got) != 1 || got[old.ID] != "Noor van den Berg, in_force" {
			t.Errorf("before it is sealed: %v", got)
		}
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		next := o.sealed(t, c)
		if got := find("noor"); len(got) != 1 || got[old.ID] != "Noor van den Berg, replaced" {
			t.Errorf("the old name: %v", got)
		}
		if got := find("haddad"); len(got) != 1 || got[next.ID] != "Layla Haddad, in_force" {
			t.Errorf("the new name: %v", got)
		}
		_, err := o.desk.Revoke(t.Context(), o.order(next))
		check(t, err)
		if got := find("berg"); got[old.ID] != "Noor van den Berg, replaced" {
			t.Errorf("after the new one was revoked: %v", got)
		}
	})
}
