package issuance_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

var errKilled = errors.New("killed")

// dieAt returns a Step that kills the worker before the nth step of this name.
func dieAt(name string, nth int) func(string) error {
	var mu sync.Mutex
	return func(step string) error {
		mu.Lock()
		defer mu.Unlock()
		if step == name {
			nth--
		}
		if nth <= 0 {
			return errKilled
		}
		return nil
	}
}

// sealNext seals what the sweeper finds and the queue hands out.
func (o *office) sealNext(tb testing.TB) []issuance.Job {
	tb.Helper()
	w := o.worker(tb)
	check(tb, w.SweepOnce(tb.Context()))
	jobs, err := o.queue.Next(tb.Context(), 1000, 0)
	check(tb, err)
	for _, j := range jobs {
		check(tb, w.Seal(tb.Context(), j.ID))
	}
	check(tb, o.queue.Done(tb.Context(), jobs...))
	return jobs
}

// sealedPayload is what the seal covers.
func sealedPayload(tb testing.TB, file []byte) []byte {
	tb.Helper()
	f, err := jades.Parse(file)
	check(tb, err)
	return f.Payload
}

// A worker dies before a step, its lease ends, another one goes on: one credential, with
// the id, the time and the bytes of the intent, if there was one.
func TestCrashBeforeEachStep(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		step   string
		state  issuance.State // in which the dead worker leaves the claim
		intent bool
		signed int // in the end
	}{
		{"lease", issuance.Queued, false, 1},
		{"intent", issuance.Sealing, false, 1},
		{"sign", issuance.Sealing, true, 1},
		{"store", issuance.Sealing, true, 2},
	} {
		t.Run(test.step, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				c := o.claim(t, "noor")
				o.queue.Lose()
				w := o.worker(t)
				w.Step = dieAt(test.step, 1)
				wantErr(t, w.Seal(t.Context(), c.ID), errKilled)
				o.wantState(t, c, test.state)
				intent, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
				if (err == nil) != test.intent {
					t.Fatalf("intent %+v, %v", intent, err)
				}
				if test.state == issuance.Sealing { // until the lease has ended, nobody touches it
					o.clock.add(119 * time.Second)
					check(t, o.worker(t).Seal(t.Context(), c.ID))
					if jobs := o.sealNext(t); len(jobs) != 0 {
						t.Errorf("the sweeper offers %v", jobs)
					}
					o.wantState(t, c, issuance.Sealing)
				}
				o.clock.add(2 * time.Second)
				if jobs := o.sealNext(t); len(jobs) != 1 {
					t.Errorf("the sweeper offers %v", jobs)
				}
				cred := o.sealed(t, c)
				if test.intent {
					got := cred
					got.Sealed, got.SealedAt, got.KeyID = nil, intent.SealedAt, ""
					if diff := cmp.Diff(intent, got); diff != "" {
						t.Errorf("credential and intent (-intent +credential):\n%s", diff)
					}
				}
				if !bytes.Equal(sealedPayload(t, cred.Sealed), cred.Payload) {
					t.Error("what is sealed is not what is stored")
				}
				if n := o.token.count(); n != test.signed {
					t.Errorf("%d signatures, want %d", n, test.signed)
				}
				if n := o.audits(t, "credential sealed", c.ID); n != 1 {
					t.Errorf("%d times sealed", n)
				}
			})
		})
	}
}

// The issuer in the payload is the owner of the seal certificate. After a change of
// certificate an intent is built again, under the id it has.
func TestCertificateChangesAfterIntent(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, intent := o.intent(t)
		o.token.set(func(s *softToken) {
			s.mint = newMint(t, nameOwner("Alliance of Challenge-driven Universities AISBL", "NTRBE-0123456789", "BE"))
		})
		o.clock.add(3 * time.Minute)
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		cred := o.sealed(t, c)
		if cred.ID != intent.ID || cred.Link != intent.Link || !cred.IssuedAt.Equal(intent.IssuedAt) {
			t.Errorf("credential %s %s %s, intent %s %s %s", cred.ID, cred.Link, cred.IssuedAt, intent.ID, intent.Link, intent.IssuedAt)
		}
		if bytes.Equal(cred.Payload, intent.Payload) || cred.PayloadSHA256 == intent.PayloadSHA256 {
			t.Error("the payload still names the former issuer")
		}
		if !bytes.Equal(sealedPayload(t, cred.Sealed), cred.Payload) {
			t.Error("what is sealed is not what is stored")
		}
	})
}

// intent is a claim whose worker died after storing the intent.
func (o *office) intent(tb testing.TB) (issuance.Claim, issuance.Credential) {
	tb.Helper()
	c := o.claim(tb, "noor")
	w := o.worker(tb)
	w.Step = dieAt("sign", 1)
	wantErr(tb, w.Seal(tb.Context(), c.ID), errKilled)
	cred, err := o.desk.Credential(tb.Context(), o.org.ID, c.ID)
	check(tb, err)
	return c, cred
}

func TestStaleIntent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		after time.Duration
		fresh bool
	}{{"a day old", 24 * time.Hour, false}, {"older", 24*time.Hour + time.Second, true}} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				c, intent := o.intent(t)
				o.clock.add(test.after)
				check(t, o.worker(t).Seal(t.Context(), c.ID))
				cred := o.sealed(t, c)
				want := intent.IssuedAt
				if test.fresh {
					want = want.Add(test.after)
				}
				if cred.ID != intent.ID || cred.Link != intent.Link || !cred.IssuedAt.Equal(want) {
					t.Errorf("credential %s of %s, intent %s, want time %s", cred.ID, cred.IssuedAt, intent.ID, want)
				}
				if bytes.Equal(cred.Payload, intent.Payload) == test.fresh {
					t.Errorf("payload kept: %v", !test.fresh)
				}
			})
		})
	}
}

// A worker that comes back after its lease has ended changes nothing: neither the result
// of the one who took over nor, when it fails, the claim.
func TestLeaseLost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		at   string // the step before which the lease is lost
		fail error  // what the first worker's token says then
	}{
		{"before the intent", "intent", nil},
		{"while signing", "sign", nil},
		{"before storing", "store", nil},
		{"while failing", "sign", errors.New("CKR_DEVICE_ERROR")},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				c := o.claim(t, "noor")
				var theirs issuance.Credential
				late := o.worker(t)
				late.Step = func(step string) error {
					if step == test.at {
						o.clock.add(3 * time.Minute)
						check(t, o.worker(t).Seal(t.Context(), c.ID))
						theirs = o.sealed(t, c)
						o.token.set(func(s *softToken) { s.broken = test.fail })
					}
					return nil
				}
				if late.Seal(t.Context(), c.ID) == nil {
					t.Error("the late worker thinks that it has sealed")
				}
				if diff := cmp.Diff(theirs, o.sealed(t, c)); diff != "" {
					t.Errorf("credential (-before +after):\n%s", diff)
				}
				if got := o.now(t, c); got.LastError != "" || got.Attempts != 2 {
					t.Errorf("claim %+v", got)
				}
			})
		})
	}
}

// A late worker must not store an intent under the one who holds the claim now.
func TestLateWorkerDoesNotStoreIntent(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		late := o.worker(t)
		late.Step = func(step string) error {
			if step == "intent" {
				o.clock.add(3 * time.Minute)
				holder := o.worker(t)
				holder.Step = dieAt("intent", 1)
				wantErr(t, holder.Seal(t.Context(), c.ID), errKilled)
			}
			return nil
		}
		if late.Seal(t.Context(), c.ID) == nil {
			t.Error("the late worker thinks that it has sealed")
		}
		_, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
		wantErr(t, err, issuance.ErrNotFound)
		if n := o.audits(t, "sealing begun", c.ID); n != 0 || o.token.count() != 0 {
			t.Errorf("%d times begun, %d signatures", n, o.token.count())
		}
		o.clock.add(3 * time.Minute)
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		o.count(t, []issuance.Claim{c})
	})
}

// lateToken lets something happen between the lease and the intent.
type lateToken struct {
	*softToken
	before func()
}

func (l lateToken) Key(ctx context.Context) (hsm.Key, error) {
	l.before()
	return l.softToken.Key(ctx)
}

// The new holder may be sealing the stored bytes at this moment: a late worker, which
// sees another certificate and would build them again, must leave them alone.
func TestLateWorkerDoesNotRewriteIntent(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c, intent := o.intent(t)
		o.clock.add(3 * time.Minute)
		signing, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		o.token.set(func(s *softToken) {
			s.before = func() {
				close(signing)
				<-goOn
			}
		})
		holder, late := o.worker(t), o.worker(t)
		late.Sealer = lateToken{softToken: &softToken{mint: newMint(t, nameOwner("Alliance AISBL", "NTRBE-0123456789", "BE"))}, before: func() {
			o.clock.add(3 * time.Minute)
			go func() { done <- holder.Seal(t.Context(), c.ID) }()
			<-signing
		}}
		if late.Seal(t.Context(), c.ID) == nil {
			t.Error("the late worker thinks that it has sealed")
		}
		close(goOn)
		check(t, <-done)
		cred := o.sealed(t, c)
		if !bytes.Equal(cred.Payload, intent.Payload) || !bytes.Equal(sealedPayload(t, cred.Sealed), intent.Payload) {
			t.Error("what is sealed is not the intent")
		}
	})
}

// Three hundred claims, workers that die anywhere, jobs that come double: the artefacts
// say how many there are.
func TestRandomCrashes(t *testing.T) {
	t.Parallel()
	n := few(300)
	o := newOffice(t, sqldbtest.SQLite(t))
	all := o.claims(t, n)
	rnd := rand.New(rand.NewPCG(1, 2))
	dead := 0
	for round := 0; o.waiting(t) > 0; round++ {
		if round == 50 {
			t.Fatalf("%d claims still wait", o.waiting(t))
		}
		o.queue.Lose()
		sweeper := o.worker(t)
		sweeper.Parallel = n // a window for all
		check(t, sweeper.SweepOnce(t.Context()))
		jobs, err := o.queue.Next(t.Context(), 2*n, 0)
		check(t, err)
		jobs = append(jobs, jobs[:len(jobs)/3]...)
		rnd.Shuffle(len(jobs), func(i, k int) { jobs[i], jobs[k] = jobs[k], jobs[i] })
		steps := make([]string, len(jobs))
		for i := range steps {
			steps[i] = []string{"lease", "intent", "sign", "store", "", ""}[rnd.IntN(6)]
		}
		dead += o.sealAll(t, jobs, steps)
		o.clock.add(3 * time.Minute)
	}
	if dead < n/3 {
		t.Errorf("only %d workers died", dead)
	}
	o.count(t, all)
}

func (o *office) waiting(tb testing.TB) int {
	tb.Helper()
	l, err := o.desk.Load(tb.Context())
	check(tb, err)
	return l.Waiting
}

// sealAll seals jobs two at a time; the worker of jobs[i] dies before steps[i]. It
// returns how many died.
func (o *office) sealAll(tb testing.TB, jobs []issuance.Job, steps []string) int {
	tb.Helper()
	var both sync.WaitGroup
	died := make([]int, 2)
	for half := range died {
		both.Go(func() {
			for i := half; i < len(jobs); i += 2 {
				w := o.worker(tb)
				w.Step = dieAt(steps[i], 1)
				err := w.Seal(tb.Context(), jobs[i].ID)
				if errors.Is(err, errKilled) {
					died[half]++
				} else if err != nil {
					tb.Error(err)
				}
			}
		})
	}
	both.Wait()
	return died[0] + died[1]
}

// count wants exactly one genuine credential per claim and no other.
func (o *office) count(tb testing.TB, claims []issuance.Claim) {
	tb.Helper()
	var rows int
	check(tb, o.db.Get(tb.Context(), &rows, `select count(*) from credentials`))
	ids := make(map[string]bool)
	for _, c := range claims {
		cred := o.sealed(tb, c)
		if !bytes.Equal(sealedPayload(tb, cred.Sealed), cred.Payload) {
			tb.Errorf("claim %s: what is sealed is not what is stored", c.ID)
		}
		ids[cred.ID] = true
	}
	if rows != len(claims) || len(ids) != len(claims) {
		tb.Errorf("%d rows, %d ids for %d claims", rows, len(ids), len(claims))
	}
}

// Two workers race for fifty claims, each of which both are offered.
func TestRace(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		all := o.claims(t, 50)
		var pair []issuance.Job
		for _, c := range all {
			pair = append(pair, issuance.Job{ID: c.ID}, issuance.Job{ID: c.ID})
		}
		o.sealAll(t, pair, make([]string, len(pair)))
		if n := o.token.count(); n != len(all) {
			t.Errorf("%d signatures for %d claims", n, len(all))
		}
		o.count(t, all)
	})
}

// A claim that kills its worker each time ends with a person, not in an endless round.
func TestDeadlyClaim(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		c := o.claim(t, "noor")
		w := o.worker(t)
		deaths := 0
		w.Step = func(name string) error {
			if name == "sign" {
				deaths++
				return errKilled
			}
			return nil
		}
		for range 40 {
			_ = w.Seal(t.Context(), c.ID) // what it says each time is not the point
			o.clock.add(3 * time.Minute)
		}
		c = o.wantState(t, c, issuance.Failed)
		if deaths != 24 || !strings.Contains(c.LastError, "look into the log") {
			t.Errorf("%d deaths, then %q", deaths, c.LastError)
		}
		check(t, o.desk.Retry(t.Context(), o.org.ID, c.ID, "operator"))
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		o.sealed(t, c)
	})
}
