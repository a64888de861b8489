package issuance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// The stream in the queue is a short window on the rows: the rows decide whose turn it is,
// and a job that was offered cannot be called back. So it holds about what is sealed within
// windowSeconds, at least windowJobs for each attempt made in parallel, and never more than
// windowMost.
const (
	windowSeconds = 4
	windowJobs    = 4
	windowMost    = 1000
)

// busyPause is how long the relay waits while it finds claims that are due; Sweep is for
// when there is nothing to do.
const busyPause = 100 * time.Millisecond

// relay keeps the window filled: with what learners did not offer themselves, after a lost
// push, a lost Redis, a passed back-off or a dead worker.
func (w *Worker) relay(ctx context.Context) {
	for ctx.Err() == nil {
		if w.skewed.Load() || w.older.Load() { // what is due others know better
			pause(ctx, w.Sweep)
			continue
		}
		n, err := w.refill(ctx)
		if before := w.refused.Swap(err != nil); err != nil && !before && ctx.Err() == nil {
			w.Logger.WarnContext(ctx, "sweep not done, it is tried again", "err", err)
		}
		if n > 0 {
			pause(ctx, min(busyPause, w.Sweep))
		} else {
			pause(ctx, w.Sweep)
		}
	}
}

// SweepOnce fills the window of a queue once.
func (w *Worker) SweepOnce(ctx context.Context) error {
	_, err := w.refill(ctx)
	return err
}

// refill adds to a window that is half empty, and returns how many jobs are in it then.
func (w *Worker) refill(ctx context.Context) (int, error) {
	held, err := w.Jobs.IDs(ctx, windowMost)
	if err != nil {
		return 0, err
	}
	k, err := w.kinds(ctx)
	if err != nil {
		return len(held), err
	}
	want, err := w.wanted(ctx, k, held)
	if err != nil || len(want) == 0 {
		return len(held), err
	}
	if err := w.mend(ctx); err != nil {
		return len(held), err
	}
	ids, err := w.turns(ctx, k, want, held)
	if err != nil || len(ids) == 0 {
		return len(held), err
	}
	return len(held) + len(ids), w.Jobs.Push(ctx, ids...)
}

// wanted is how many jobs each kind lacks whose part of the window is half empty.
func (w *Worker) wanted(ctx context.Context, k kinds, held []string) (map[string]int, error) {
	in := map[string]int{"": len(held)}
	if len(w.Own) > 0 && len(held) > 0 {
		of, err := organisationsOf(ctx, w.DB, held)
		if err != nil {
			return nil, err
		}
		for _, organisation := range of {
			if kind := k.of(organisation); kind != "" {
				in[kind]++
				in[""]--
			}
		}
	}
	want := map[string]int{}
	for _, kind := range k.all() {
		if window := w.window(kind); w.sealer(kind).Usable() && in[kind] <= window/2 {
			want[kind] = window - in[kind]
		}
	}
	return want, nil
}

// window is how many jobs of a kind the stream should hold.
func (w *Worker) window(kind string) int {
	return min(max(int(w.load.rate(kind, w.Now())*windowSeconds), windowJobs*w.share()), windowMost)
}

func organisationsOf(ctx context.Context, q sqldb.Queryer, claims []string) ([]string, error) {
	args := make([]any, len(claims))
	for i, id := range claims {
		args[i] = id
	}
	var of []string
	err := q.Select(ctx, &of, `select organisation_id from claims where id in (`+strings.TrimSuffix(strings.Repeat("?, ", len(claims)), ", ")+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("ask whose claims are in the queue: %w", err)
	}
	return of, nil
}

// line is a number of claims that wait one behind the other: those of a batch, or the
// ones that learners of an organisation have made themselves.
type line struct {
	OrganisationID string `db:"organisation_id"`
	BatchID        string `db:"batch_id"`
}

// lines returns the lines in which somebody waits, by organisation. It looks at one row
// of each, however long they are.
func lines(ctx context.Context, q sqldb.Queryer) ([]line, error) {
	var all []line
	for last := (line{}); ; {
		var next []line
		err := q.Select(ctx, &next, `select organisation_id, batch_id from claims where state = 'queued' and (organisation_id, batch_id) > (?, ?)
			order by organisation_id, batch_id limit 1`, last.OrganisationID, last.BatchID)
		if err != nil {
			return nil, fmt.Errorf("list who waits: %w", err)
		}
		if len(next) == 0 {
			return all, nil
		}
		last = next[0]
		all = append(all, last)
	}
}

// turns returns claims that are due, at most as many as are wanted of each kind, in the order
// in which they should be sealed: the organisations take turns, and within one its lines do,
// so that one learner is not behind a batch of thousands. Claims that dead workers left come
// first. Those in except are left out.
func (w *Worker) turns(ctx context.Context, k kinds, want map[string]int, except []string) ([]string, error) {
	paused, err := pauses(ctx, w.DB, "")
	if err != nil {
		return nil, err
	}
	shut := func(l line) bool {
		return want[k.of(l.OrganisationID)] == 0 || slices.ContainsFunc(paused, func(p Pause) bool { return p.Holds(l.OrganisationID, l.BatchID) })
	}
	due, err := w.left(ctx, shut)
	if err != nil {
		return nil, err
	}
	all, err := lines(ctx, w.DB)
	if err != nil {
		return nil, err
	}
	dealt, err := w.deal(ctx, k, want, slices.DeleteFunc(all, shut), len(except))
	if err != nil {
		return nil, err
	}
	skip := make(map[string]bool, len(except))
	for _, id := range except {
		skip[id] = true
	}
	var ids []string
	given := map[string]int{}
	for _, c := range append(due, dealt...) {
		if kind := k.of(c.OrganisationID); !skip[c.ID] && given[kind] < want[kind] {
			given[kind]++
			ids = append(ids, c.ID)
		}
	}
	return ids, nil
}

// waiting is a claim in its line.
type waiting struct {
	line
	ID string `db:"id"`
}

// deal gives the lines turns, enough for what is wanted though so many are left out.
func (w *Worker) deal(ctx context.Context, k kinds, want map[string]int, all []line, except int) ([]waiting, error) {
	sharing := map[string]int{} // organisations
	for i, l := range all {
		if i == 0 || all[i-1].OrganisationID != l.OrganisationID {
			sharing[k.of(l.OrganisationID)]++
		}
	}
	round := int(w.round.Add(1))
	var organisations, piles [][]waiting
	for i, l := range all {
		kind := k.of(l.OrganisationID)
		pile, err := w.front(ctx, l, 1+want[kind]/sharing[kind]+except)
		if err != nil {
			return nil, err
		}
		piles = append(piles, pile)
		if i+1 == len(all) || all[i+1].OrganisationID != l.OrganisationID {
			organisations, piles = append(organisations, inTurn(round, piles)), nil
		}
	}
	return inTurn(round, organisations), nil
}

// inTurn takes one of each pile until nothing is left, beginning with another pile in each
// round.
func inTurn(round int, piles [][]waiting) []waiting {
	var out []waiting
	for deep, more := 0, true; more; deep++ {
		more = false
		for i := range piles {
			if pile := piles[(i+round)%len(piles)]; deep < len(pile) {
				out, more = append(out, pile[deep]), true
			}
		}
	}
	return out
}

// front returns who is due first in a line.
func (w *Worker) front(ctx context.Context, l line, limit int) ([]waiting, error) {
	var first []waiting
	err := w.DB.Select(ctx, &first, `select id, organisation_id, batch_id from claims where state = 'queued' and organisation_id = ? and batch_id = ? and not_before <= ?
		order by not_before, id limit ?`, l.OrganisationID, l.BatchID, sqldb.UTC(w.Now()), limit)
	if err != nil {
		return nil, fmt.Errorf("list claims that are due: %w", err)
	}
	return first, nil
}

// left returns claims whose lease has ended: their worker has died.
func (w *Worker) left(ctx context.Context, shut func(line) bool) ([]waiting, error) {
	var all []waiting
	err := w.DB.Select(ctx, &all, `select id, organisation_id, batch_id from claims where state = 'sealing' and lease_until < ? order by lease_until limit ?`,
		sqldb.UTC(w.Now()), windowMost)
	if err != nil {
		return nil, fmt.Errorf("list claims that were left: %w", err)
	}
	return slices.DeleteFunc(all, func(c waiting) bool { return shut(c.line) }), nil
}
