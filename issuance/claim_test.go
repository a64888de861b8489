package issuance_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// each runs test on an office on each database.
func each(t *testing.T, test func(t *testing.T, o *office)) {
	t.Helper()
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) { test(t, newOffice(t, db)) })
}

func wantErr(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("got %v, want %v", err, want)
	}
}

func wantLen(tb testing.TB, o *office, want int64) {
	tb.Helper()
	n, err := o.queue.Len(tb.Context())
	check(tb, err)
	if n != want {
		tb.Errorf("%d jobs in the queue, want %d", n, want)
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	refused := issuance.Name{}
	for _, test := range []struct {
		name     string
		in, want issuance.Name
	}{
		{"plain", issuance.Name{Given: "Maija", Family: "Meikäläinen"}, issuance.Name{Given: "Maija", Family: "Meikäläinen"}},
		{"spaces", issuance.Name{Given: " Anna  Maria ", Family: "\tvan den\u00a0Berg\n"}, issuance.Name{Given: "Anna Maria", Family: "van den Berg"}},
		{"one name only", issuance.Name{Family: "Suharto"}, issuance.Name{Family: "Suharto"}},
		{"apostrophe, hyphen and dot", issuance.Name{Given: "J.-P.", Family: "O'Neill-Šťastný"}, issuance.Name{Given: "J.-P.", Family: "O'Neill-Šťastný"}},
		{"zero width joiner", issuance.Name{Family: "ක්\u200dෂ"}, issuance.Name{Family: "ක්\u200dෂ"}},
		{"zero width non-joiner", issuance.Name{Family: "علی\u200cزاده"}, issuance.Name{Family: "علی\u200cزاده"}},
		{"right to left", issuance.Name{Given: "דוד", Family: "לוי"}, issuance.Name{Given: "דוד", Family: "לוי"}},
		{"ideographic variant", issuance.Name{Family: "葛\U000E0100"}, issuance.Name{Family: "葛\U000E0100"}},
		{"decomposed letters", issuance.Name{Family: "Ame\u0301lie"}, issuance.Name{Family: "Ame\u0301lie"}},
		{"120 letters", issuance.Name{Family: strings.Repeat("é", 120)}, issuance.Name{Family: strings.Repeat("é", 120)}},
		{"121 letters", issuance.Name{Family: strings.Repeat("é", 121)}, refused},
		{"121 letters given", issuance.Name{Given: strings.Repeat("é", 121), Family: "B"}, refused},
		{"empty", issuance.Name{}, refused},
		{"only spaces", issuance.Name{Given: "  ", Family: " \u3000\t"}, refused},
		{"no family name", issuance.Name{Given: "Suharto"}, refused},
		{"no letter", issuance.Name{Given: "Noor", Family: "123 -'."}, refused},
		{"bidirectional override", issuance.Name{Family: "Berg\u202enetsrev"}, refused},
		{"bidirectional isolate", issuance.Name{Given: "\u2066Noor", Family: "Berg"}, refused},
		{"zero width space", issuance.Name{Family: "Be\u200brg"}, refused},
		{"byte order mark", issuance.Name{Family: "\ufeffBerg"}, refused},
		{"soft hyphen", issuance.Name{Family: "Be\u00adrg"}, refused},
		{"language tag", issuance.Name{Family: "Berg\U000E0041"}, refused},
		{"control character", issuance.Name{Family: "Be\x00rg"}, refused},
		{"escape", issuance.Name{Given: "\x1b[2J", Family: "Berg"}, refused},
		{"private use", issuance.Name{Family: "Berg\ue000"}, refused},
		// The Hangul filler counts as a letter and shows as nothing.
		{"invisible letter", issuance.Name{Family: "\u3164"}, refused},
		{"combining grapheme joiner", issuance.Name{Family: "Be\u034frg"}, refused},
		{"not UTF-8", issuance.Name{Family: "Berg\xff"}, refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := test.in.Clean()
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("name (-want +got):\n%s", diff)
			}
			if (test.want == refused) != errors.Is(err, issuance.ErrName) {
				t.Errorf("error %v", err)
			}
			if again, err := got.Clean(); err == nil && again != got {
				t.Errorf("cleaned again: %q", again)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		d := o.grade(t, "noor", 60)
		c, err := o.desk.OfLearner(t.Context(), o.org.ID, o.attachment.ID, "noor")
		check(t, err)
		if c.State != issuance.Open || c.DecisionID != d.ID || c.VersionID != o.version.ID || c.RegistrationID != "r-polder" || c.ConsentAt.Valid {
			t.Errorf("claim %+v", c)
		}
		better := o.grade(t, "noor", 90) // while it waits, the claim follows the newest decision
		again := o.now(t, c)
		if again.ID != c.ID || again.DecisionID != better.ID {
			t.Errorf("claim %+v, want decision %s", again, better.ID)
		}
		all, err := o.desk.OfAttachment(t.Context(), o.org.ID, o.attachment.ID)
		check(t, err)
		if len(all) != 1 || o.audits(t, "claim opened", c.ID) != 1 {
			t.Errorf("%d claims, %d times opened", len(all), o.audits(t, "claim opened", c.ID))
		}
		wantLen(t, o, 0)

		queued, err := o.desk.Confirm(t.Context(), o.org.ID, o.attachment.ID, "noor", noor)
		check(t, err)
		o.grade(t, "noor", 95) // too late: what was confirmed stays
		if got := o.now(t, c); got.DecisionID != queued.DecisionID || got.State != issuance.Queued {
			t.Errorf("claim %+v, want decision %s", got, queued.DecisionID)
		}
	})
}

func TestConfirm(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.grade(t, "noor", 60)
		c, err := o.desk.Confirm(t.Context(), o.org.ID, o.attachment.ID, "noor", issuance.Name{Given: " Noor ", Family: "van  den Berg"})
		check(t, err)
		stored := o.wantState(t, c, issuance.Queued)
		if c.GivenName != "Noor" || c.FamilyName != "van den Berg" || !c.ConsentAt.Valid || !c.ConsentAt.Time.Equal(o.clock.Now()) {
			t.Errorf("claim %+v", c)
		}
		if stored.GivenName != c.GivenName || stored.FamilyName != c.FamilyName || !stored.ConsentAt.Time.Equal(c.ConsentAt.Time) || stored.DecisionID != c.DecisionID {
			t.Errorf("stored %+v, returned %+v", stored, c)
		}
		wantLen(t, o, 1)

		o.clock.add(time.Hour)
		again, err := o.desk.Confirm(t.Context(), o.org.ID, o.attachment.ID, "noor", issuance.Name{Family: "Somebody Else"})
		check(t, err)
		if again.FamilyName != "van den Berg" || !again.ConsentAt.Time.Equal(c.ConsentAt.Time) || again.State != issuance.Queued {
			t.Errorf("confirmed again: %+v", again)
		}
		wantLen(t, o, 1)
		if n := o.audits(t, "claim confirmed", c.ID); n != 1 {
			t.Errorf("%d times confirmed", n)
		}
	})
}

func TestConfirmRefuses(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.grade(t, "noor", 60)
		other, _, foreign := o.open(t, "fjord")
		for _, test := range []struct {
			name                 string
			org, attach, learner string
			person               issuance.Name
			want                 error
		}{
			{"another organisation", other.ID, o.attachment.ID, "noor", noor, issuance.ErrNotFound},
			{"another attachment", o.org.ID, foreign.ID, "noor", noor, issuance.ErrNotFound},
			{"another learner", o.org.ID, o.attachment.ID, "Noor", noor, issuance.ErrNotFound},
			{"nobody", o.org.ID, o.attachment.ID, "", noor, issuance.ErrNotFound},
			{"no name", o.org.ID, o.attachment.ID, "noor", issuance.Name{}, issuance.ErrName},
		} {
			c, err := o.desk.Confirm(t.Context(), test.org, test.attach, test.learner, test.person)
			if !errors.Is(err, test.want) || c != (issuance.Claim{}) {
				t.Errorf("%s: %v, %+v; want %v", test.name, err, c, test.want)
			}
		}
		o.grade(t, "noor", 50) // taken back after the claim was opened
		_, err := o.desk.Confirm(t.Context(), o.org.ID, o.attachment.ID, "noor", noor)
		wantErr(t, err, issuance.ErrNotComplete)
		c, err := o.desk.OfLearner(t.Context(), o.org.ID, o.attachment.ID, "noor")
		check(t, err)
		o.wantState(t, c, issuance.Open)
		wantLen(t, o, 0)

		d := o.grade(t, "noor", 60) // and given again
		c, err = o.desk.Confirm(t.Context(), o.org.ID, o.attachment.ID, "noor", noor)
		check(t, err)
		if c.DecisionID != d.ID {
			t.Errorf("decision %s, want %s", c.DecisionID, d.ID)
		}
	})
}

// Two taps on the button at once are one claim, and both see it.
func TestConfirmAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.grade(t, "noor", 60)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				c, err := o.desk.Confirm(t.Context(), o.org.ID, o.attachment.ID, "noor", noor)
				if err != nil || c.State != issuance.Queued || c.FamilyName != noor.Family {
					t.Errorf("%+v, %v", c, err)
				}
			})
		}
		all.Wait()
		wantLen(t, o, 1)
	})
}

func TestQueueDownIsNoFailure(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.queue.Break(errors.New("connection refused"))
		c := o.claim(t, "noor")
		o.wantState(t, c, issuance.Queued)
		o.queue.Break(nil)
		wantLen(t, o, 0)
		check(t, o.worker(t).SweepOnce(t.Context()))
		wantLen(t, o, 1)
	})
}

func TestPublishedAndDelivered(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		_, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
		wantErr(t, err, issuance.ErrNotFound)
		check(t, o.desk.MarkDelivered(t.Context(), o.org.ID, c.ID)) // nothing to deliver: nothing happens
		o.wantState(t, c, issuance.Queued)

		w := o.worker(t)
		w.Step = dieAt("sign", 1)
		if w.Seal(t.Context(), c.ID) == nil {
			t.Fatal("the worker is alive")
		}
		intent, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
		check(t, err)
		if intent.Sealed != nil || intent.SealedAt.Valid || len(intent.Payload) == 0 || intent.Link == "" {
			t.Errorf("intent %+v", intent)
		}
		_, err = o.desk.Published(t.Context(), intent.Link)
		wantErr(t, err, issuance.ErrNotFound)

		o.clock.add(3 * time.Minute)
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		cred := o.sealed(t, c)
		public, err := o.desk.Published(t.Context(), intent.Link)
		check(t, err)
		if diff := cmp.Diff(cred, public); diff != "" {
			t.Errorf("published (-want +got):\n%s", diff)
		}
		for _, link := range []string{"", intent.Link[:31], strings.ToUpper(intent.Link) + "x", "%"} {
			_, err := o.desk.Published(t.Context(), link)
			wantErr(t, err, issuance.ErrNotFound)
		}

		check(t, o.desk.MarkDelivered(t.Context(), o.org.ID, c.ID))
		check(t, o.desk.MarkDelivered(t.Context(), o.org.ID, c.ID))
		o.wantState(t, c, issuance.Delivered)
		if n := o.audits(t, "credential fetched", c.ID); n != 1 {
			t.Errorf("%d times fetched", n)
		}
		check(t, o.worker(t).Seal(t.Context(), c.ID)) // a late double of the job
		o.wantState(t, c, issuance.Delivered)
	})
}

// Ids of one organisation are of no use to another.
func TestTenancy(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		o.sealed(t, c)
		failed := o.failed(t, "sam")
		other, _, _ := o.open(t, "fjord")
		for _, org := range []string{other.ID, "", "%", "no-such-organisation"} {
			_, err := o.desk.OfLearner(t.Context(), org, o.attachment.ID, "noor")
			wantErr(t, err, issuance.ErrNotFound)
			_, err = o.desk.Credential(t.Context(), org, c.ID)
			wantErr(t, err, issuance.ErrNotFound)
			_, err = o.desk.Confirm(t.Context(), org, o.attachment.ID, "noor", noor)
			wantErr(t, err, issuance.ErrNotFound)
			wantErr(t, o.desk.MarkDelivered(t.Context(), org, c.ID), issuance.ErrNotFound)
			wantErr(t, o.desk.Retry(t.Context(), org, failed.ID, "operator"), issuance.ErrNotFound)
			all, err := o.desk.OfAttachment(t.Context(), org, o.attachment.ID)
			check(t, err)
			if len(all) != 0 {
				t.Errorf("organisation %q sees %d claims", org, len(all))
			}
		}
		o.wantState(t, c, issuance.Sealed)
		o.wantState(t, failed, issuance.Failed)
	})
}

// failed is a claim that no attempt can seal.
func (o *office) failed(tb testing.TB, learner string) issuance.Claim {
	tb.Helper()
	c := o.claim(tb, learner)
	_, err := o.db.Exec(tb.Context(), `update claims set given_name = ? where id = ?`, "\x01", c.ID)
	check(tb, err)
	if err := o.worker(tb).Seal(tb.Context(), c.ID); err == nil {
		tb.Fatal("a control character was sealed")
	}
	return o.wantState(tb, c, issuance.Failed)
}

func TestRetry(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.failed(t, "noor")
		o.queue.Lose()
		wantErr(t, o.desk.Retry(t.Context(), o.org.ID, "no-such-claim", "operator"), issuance.ErrNotFound)
		wantErr(t, o.desk.Retry(t.Context(), o.org.ID, o.claim(t, "sam").ID, "operator"), issuance.ErrState)
		o.queue.Lose()
		_, err := o.db.Exec(t.Context(), `update claims set given_name = ? where id = ?`, "Noor", c.ID)
		check(t, err)
		check(t, o.desk.Retry(t.Context(), o.org.ID, c.ID, "operator"))
		got := o.wantState(t, c, issuance.Queued)
		if got.Attempts != 0 || got.LastError != "" {
			t.Errorf("claim %+v", got)
		}
		wantLen(t, o, 1)
		wantErr(t, o.desk.Retry(t.Context(), o.org.ID, c.ID, "operator"), issuance.ErrState)
		if n := o.audits(t, "claim retried", c.ID); n != 1 {
			t.Errorf("%d times retried", n)
		}
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		o.sealed(t, c)
	})
}

func TestLoadAndTurn(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		wantLoad(t, o, issuance.Load{})
		o.grade(t, "only-open", 60)
		wantLoad(t, o, issuance.Load{})
		var queue []issuance.Claim
		for _, learner := range []string{"a", "b", "c"} {
			o.clock.add(time.Second)
			queue = append(queue, o.claim(t, learner))
		}
		wantLoad(t, o, issuance.Load{Waiting: 3})
		for want, c := range queue {
			turn, err := o.desk.Turn(t.Context(), c, false)
			check(t, err)
			if turn.Ahead != want || turn.Paused != nil {
				t.Errorf("%+v of %s, want %d ahead", turn, c.Learner, want)
			}
		}
		check(t, o.worker(t).Seal(t.Context(), queue[0].ID))
		w := o.worker(t)
		w.Step = dieAt("sign", 1)
		if w.Seal(t.Context(), queue[1].ID) == nil { // it stays `sealing`
			t.Fatal("the worker is alive")
		}
		o.failed(t, "d")
		wantLoad(t, o, issuance.Load{Waiting: 2, Sealing: 1, Failed: 1})
		turn, err := o.desk.Turn(t.Context(), queue[2], false)
		check(t, err)
		if turn.Ahead != 1 {
			t.Errorf("%d ahead, want 1", turn.Ahead)
		}
		if turn, err = o.desk.Turn(t.Context(), o.now(t, queue[1]), false); err != nil || turn.Ahead != 0 {
			t.Errorf("what is being sealed: %+v, %v", turn, err)
		}
	})
}

func wantLoad(tb testing.TB, o *office, want issuance.Load) {
	tb.Helper()
	got, err := o.desk.Load(tb.Context())
	check(tb, err)
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("load (-want +got):\n%s", diff)
	}
}

// Closed databases are errors, not absences.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sqldbtest.SQLite(t))
	c := o.claim(t, "noor")
	check(t, o.db.Close())
	_, err1 := o.desk.OfLearner(t.Context(), o.org.ID, o.attachment.ID, "noor")
	_, err2 := o.desk.Credential(t.Context(), o.org.ID, c.ID)
	_, err3 := o.desk.Load(t.Context())
	_, err4 := o.desk.Turn(t.Context(), c, false)
	_, err5 := o.desk.OfAttachment(t.Context(), o.org.ID, o.attachment.ID)
	_, err6 := o.desk.Confirm(t.Context(), o.org.ID, o.attachment.ID, "noor", noor)
	for i, err := range []error{
		err1, err2, err3, err4, err5, err6, o.desk.MarkDelivered(t.Context(), o.org.ID, c.ID),
		o.desk.Retry(t.Context(), o.org.ID, c.ID, "operator"), o.worker(t).Seal(t.Context(), c.ID),
	} {
		if err == nil || errors.Is(err, issuance.ErrNotFound) || errors.Is(err, issuance.ErrState) || errors.Is(err, grading.ErrUndecided) {
			t.Errorf("%d: got %v", i, err)
		}
	}
}
