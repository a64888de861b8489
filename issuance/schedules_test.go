package issuance_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// fate decides by chance what happens before each step of every worker.
type fate struct {
	mu     sync.Mutex
	random *rand.Rand
	clock  *clock
	deaths map[string]int // by step
	late   map[string]int // by step: the lease ended meanwhile, and the worker goes on
}

// step is a Worker.Step.
func (f *fate) step(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.random.IntN(12) {
	case 0, 1:
		f.deaths[name]++
		return errKilled
	case 2:
		f.late[name]++
		f.clock.add(shortLease + time.Second)
	}
	return nil
}

// Four workers, more than a hundred claims, jobs that come twice, deaths and lost leases between every
// two steps, by several schedules: each claim becomes one credential, and it is what was
// intended first: the same id, date and bytes.
func TestRandomSchedules(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
				const n = 120
				o := newOffice(t, db)
				f := &fate{random: rand.New(rand.NewPCG(seed, 1)), clock: o.clock, deaths: map[string]int{}, late: map[string]int{}}
				all := o.claims(t, n)
				for round := 0; o.waiting(t) > 0; round++ {
					if round == 100 {
						t.Fatalf("%d claims still wait", o.waiting(t))
					}
					o.round(t, f, all)
					o.clock.add(shortLease + time.Second)
				}
				for _, step := range []string{"lease", "intent", "sign", "store"} {
					if f.deaths[step] == 0 || f.late[step] == 0 {
						t.Errorf("before %s %d workers died and %d lost their lease", step, f.deaths[step], f.late[step])
					}
				}
				o.count(t, all)
				for _, c := range all {
					o.wantFirstIntent(t, c)
				}
			})
		})
	}
}

// round hands every claim that waits to the workers twice.
func (o *office) round(tb testing.TB, f *fate, all []issuance.Claim) {
	tb.Helper()
	var ids []string
	for _, c := range all {
		if state := o.now(tb, c).State; state == issuance.Queued || state == issuance.Sealing {
			ids = append(ids, c.ID, c.ID)
		}
	}
	f.mu.Lock()
	f.random.Shuffle(len(ids), func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
	f.mu.Unlock()
	next := make(chan string)
	var workers sync.WaitGroup
	for range 4 {
		w := o.worker(tb)
		w.Lease, w.Step = shortLease, f.step
		workers.Go(func() {
			for id := range next {
				err := w.Seal(tb.Context(), id)
				if err != nil && !errors.Is(err, errKilled) && !errors.Is(err, issuance.ErrLeaseLost) {
					tb.Error(err)
				}
			}
		})
	}
	for _, id := range ids {
		next <- id
	}
	close(next)
	workers.Wait()
}

// wantFirstIntent compares a credential with the first line of the audit trail about it.
func (o *office) wantFirstIntent(tb testing.TB, c issuance.Claim) {
	tb.Helper()
	cred := o.sealed(tb, c)
	var begun []string
	check(tb, o.db.Select(tb.Context(), &begun, `select detail from audit where subject = ? and action = 'sealing begun' order by id`, c.ID))
	want := "credential " + cred.ID + " sha256 " + cred.PayloadSHA256
	if len(begun) != 1 || begun[0] != want {
		tb.Errorf("claim %s was sealed as %q, and begun as %q", c.ID, want, begun)
	}
	if !bytes.Equal(sealedPayload(tb, cred.Sealed), cred.Payload) {
		tb.Errorf("claim %s: what is sealed is not what was intended", c.ID)
	}
}
