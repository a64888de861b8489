package issuance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// directPage is how many jobs a worker takes from the rows at once, for each attempt that
// it makes in parallel. It is small: the queue is asked again after each page.
const directPage = 4

// direct takes jobs from the rows while the queue cannot be used. They have no receipt.
//
// One worker does so at a time, so that many do not contend for the same rows: of those
// that have taken a lease lately, the one whose name is lowest. The rule is one of good
// manners; that no claim is sealed twice is the leases' business as ever. A worker that
// dies, or whose token goes away, takes no leases, and another follows.
func (w *Worker) direct(ctx context.Context) ([]Job, error) {
	now := sqldb.UTC(w.Now())
	var before int
	err := w.DB.Get(ctx, &before, `select count(*) from claims where state = ? and lease_until > ? and lease_token < ?`,
		Sealing, now.Add(w.Lease-w.lately()), w.name())
	if err != nil {
		return nil, fmt.Errorf("ask who seals: %w", err)
	}
	if before > 0 {
		return nil, nil
	}
	k, err := w.kinds(ctx)
	if err != nil {
		return nil, err
	}
	want := map[string]int{}
	for _, kind := range k.all() {
		if w.sealer(kind).Usable() {
			want[kind] = directPage * w.share()
		}
	}
	ids, err := w.turns(ctx, k, want, nil)
	if err != nil {
		return nil, err
	}
	jobs := make([]Job, len(ids))
	for i, id := range ids {
		jobs[i].ID = id
	}
	return jobs, nil
}

// without returns the jobs that were not in the last page: what comes again at once was
// given back at once, and must wait a moment.
func without(jobs, last []Job) []Job {
	var out []Job
	for _, job := range jobs {
		if !slices.Contains(last, job) {
			out = append(out, job)
		}
	}
	return out
}

// lately is how young a lease is that shows its worker at work: longer than a signature
// of a slow token, shorter than a lease.
func (w *Worker) lately() time.Duration { return w.Lease / 4 }

// nameBytes is how long the name of a worker is; names that are equal do no harm.
const nameBytes = 4

// name tells this worker from others; its lease tokens begin with it.
func (w *Worker) name() string {
	w.named.Do(func() {
		b := make([]byte, nameBytes)
		_, _ = rand.Read(b) // never fails: the program would be ended
		w.id = hex.EncodeToString(b)
	})
	return w.id
}
