package issuance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// kinds says whose tokens seal for an organisation. A kind is the slug of an organisation
// with tokens of its own; the empty one is all others.
type kinds struct {
	own   []string
	slugs map[string]string // by id of the organisation, for those in own
}

func (k kinds) of(organisationID string) string { return k.slugs[organisationID] }

func (k kinds) all() []string { return append([]string{""}, k.own...) }

// kinds reads which organisations have tokens of their own.
func (w *Worker) kinds(ctx context.Context) (kinds, error) {
	var k kinds
	if len(w.Own) == 0 {
		return k, nil
	}
	var all []struct {
		ID   string `db:"id"`
		Slug string `db:"slug"`
	}
	if err := w.DB.Select(ctx, &all, `select id, slug from organisations`); err != nil {
		return k, fmt.Errorf("list organisations: %w", err)
	}
	k.slugs = map[string]string{}
	for _, o := range all {
		if w.kind(o.Slug) != "" {
			k.slugs[o.ID] = o.Slug
			k.own = append(k.own, o.Slug)
		}
	}
	slices.Sort(k.own)
	return k, nil
}

func (w *Worker) kind(slug string) string {
	if _, own := w.Own[slug]; own {
		return slug
	}
	return ""
}

// share is how many attempts of one kind may be under way: were all of them one slow
// token's, it would make the others as slow as it is.
func (w *Worker) share() int {
	of := len(w.Own) + 1
	return max((w.parallel()+of-1)/of, 1)
}

// most is how many attempts of one kind are let in, see load.enter. Where there is one kind
// only, nobody stands in anybody's way.
func (w *Worker) most() int {
	if len(w.Own) == 0 {
		return 0
	}
	return w.share()
}

// load is what this worker has under way, and how fast it seals, by kind. The zero value is
// ready.
type load struct {
	mu    sync.Mutex
	under map[string]int
	kept  map[string]int64
	meter map[string]meter
}

// meter measures how many credentials are sealed in a second.
type meter struct {
	at   time.Time
	kept int64
	rate float64
}

// errNoRoom gives a claim back at once: the tokens of its kind have enough to do.
var errNoRoom = errors.New("the token has enough to do")

// noRoomPause is when a claim is tried again that found no room: what is under way keeps the
// token busy for longer than that, or else it is so fast that it does not matter.
const noRoomPause = 500 * time.Millisecond

// enter counts an attempt until leave is called, or returns errNoRoom when most are under way
// already; 0: any number.
func (l *load) enter(kind string, most int) (leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if most > 0 && l.under[kind] >= most {
		return nil, errNoRoom
	}
	if l.under == nil {
		l.under = map[string]int{}
	}
	l.under[kind]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.under[kind]--
	}, nil
}

// keep counts a credential that was stored.
func (l *load) keep(kind string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == nil {
		l.kept = map[string]int64{}
	}
	l.kept[kind]++
}

// rate is the mean of what it was and of what was kept since it was measured last, a second
// or more ago.
func (l *load) rate(kind string, now time.Time) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.meter == nil {
		l.meter = map[string]meter{}
	}
	m, kept := l.meter[kind], l.kept[kind]
	switch elapsed := now.Sub(m.at).Seconds(); {
	case m.at.IsZero() || elapsed < 0: // the first call, or a clock that was set back
		m.at, m.kept = now, kept
	case elapsed >= 1:
		m.rate = (m.rate + float64(kept-m.kept)/elapsed) / 2
		m.at, m.kept = now, kept
	}
	l.meter[kind] = m
	return m.rate
}
