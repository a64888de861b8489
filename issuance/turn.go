package issuance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// Turn is the place of a claim among all that wait for the same tokens.
type Turn struct {
	Ahead  int    // claims that are sealed before it
	Paused *Pause // that holds it; nil: none
}

// crowdFor is how long the lengths of the lines are kept: ten thousand learners who watch
// their place must not have all rows counted each time.
const crowdFor = 2 * time.Second

// crowd is how many wait in each line.
type crowd struct {
	mu     sync.Mutex
	at     time.Time
	length map[line]int
}

// read counts anew when what is known is old.
func (c *crowd) read(ctx context.Context, q sqldb.Queryer, now time.Time) (map[line]int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := now.Sub(c.at); c.length != nil && age >= 0 && age < crowdFor {
		return c.length, nil
	}
	var counted []struct {
		line
		N int `db:"n"`
	}
	err := q.Select(ctx, &counted, `select organisation_id, batch_id, count(*) as n from claims where state = 'queued' group by organisation_id, batch_id`)
	if err != nil {
		return nil, fmt.Errorf("count who waits: %w", err)
	}
	length := make(map[line]int, len(counted))
	for _, l := range counted {
		length[l.line] = l.N
	}
	c.at, c.length = now, length
	return length, nil
}

// Turn tells when a claim that is queued or being sealed comes to its turn, as the relay
// deals: the organisations take turns, and within one its lines do. alone is for an
// organisation that has tokens of its own, so that it waits for nobody else. Lengths may be
// two seconds old.
func (d *Desk) Turn(ctx context.Context, c Claim, alone bool) (Turn, error) {
	if c.State == Sealing {
		return Turn{}, nil
	}
	length, err := d.crowd.read(ctx, d.db, d.now())
	if err != nil {
		return Turn{}, err
	}
	paused, err := pauses(ctx, d.db, "")
	if err != nil {
		return Turn{}, err
	}
	var before, sealing int
	own := line{c.OrganisationID, c.BatchID}
	err = d.db.Get(ctx, &before, `select count(*) from claims where state = 'queued' and organisation_id = ? and batch_id = ? and (not_before, id) < (?, ?)`,
		own.OrganisationID, own.BatchID, sqldb.UTC(c.NotBefore), c.ID)
	if err != nil {
		return Turn{}, fmt.Errorf("count claims ahead: %w", err)
	}
	if err := d.db.Get(ctx, &sealing, `select count(*) from claims where state = 'sealing'`); err != nil {
		return Turn{}, fmt.Errorf("count claims that are being sealed: %w", err)
	}
	t := Turn{Ahead: sealing + dealtBefore(own, before, length, func(l line) bool {
		return l != own && (alone && l.OrganisationID != own.OrganisationID || slices.ContainsFunc(paused, func(p Pause) bool { return p.Holds(l.OrganisationID, l.BatchID) }))
	})}
	if i := slices.IndexFunc(paused, func(p Pause) bool { return p.Holds(own.OrganisationID, own.BatchID) }); i >= 0 {
		t.Paused = &paused[i]
	}
	return t, nil
}

// dealtBefore is how many claims are dealt before the one that has so many before it in its
// own line. Lines for which out is true do not take part.
func dealtBefore(own line, before int, length map[line]int, out func(line) bool) int {
	mine, others := before, map[string]int{}
	for l, n := range length {
		switch {
		case l == own || out(l):
		case l.OrganisationID == own.OrganisationID:
			mine += min(n, before+1)
		default:
			others[l.OrganisationID] += n
		}
	}
	ahead := mine
	for _, n := range others {
		ahead += min(n, mine+1)
	}
	return ahead
}

// Cohort is how far the claims of one activity are.
type Cohort struct {
	Waiting int // claimed and not sealed: queued, being sealed, or stopped
	Sealed  int
	Last    Claim // of those that are queued, the one whose turn comes last; without an id when none is
}

// Cohort counts the claims of an attachment.
func (d *Desk) Cohort(ctx context.Context, organisationID, attachmentID string) (Cohort, error) {
	var c Cohort
	var states []struct {
		State State `db:"state"`
		N     int   `db:"n"`
	}
	err := d.db.Select(ctx, &states, `select state, count(*) as n from claims where organisation_id = ? and attachment_id = ? group by state`, organisationID, attachmentID)
	if err != nil {
		return c, fmt.Errorf("count the claims of an activity: %w", err)
	}
	for _, s := range states {
		switch s.State {
		case Queued, Sealing, Failed:
			c.Waiting += s.N
		case Sealed, Delivered:
			c.Sealed += s.N
		case Open, Revoked:
		}
	}
	if c.Waiting == 0 {
		return c, nil
	}
	c.Last, err = d.claim(ctx, d.db, `select `+claimNames+` from claims where organisation_id = ? and attachment_id = ? and state = ? order by not_before desc, id desc limit 1`,
		organisationID, attachmentID, Queued)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return c, err
	}
	return c, nil
}

// Pace is how long learners waited lately, from their claim to the stored seal.
type Pace struct {
	Sealed   int // credentials that were looked at: the newest ones of a day, at most paceMost
	P50, P95 time.Duration
}

const paceMost = 500

// Pace measures the newest seals of an organisation.
func (d *Desk) Pace(ctx context.Context, organisationID string) (Pace, error) {
	var rows []struct {
		From  time.Time `db:"consent_at"`
		Until time.Time `db:"sealed_at"`
	}
	err := d.db.Select(ctx, &rows, `select c.consent_at, k.sealed_at from credentials k join claims c on c.id = k.claim_id and c.organisation_id = k.organisation_id
		where k.organisation_id = ? and k.sealed_at > ? and k.revision = 1 and c.consent_at is not null order by k.sealed_at desc limit ?`,
		organisationID, sqldb.UTC(d.now().Add(-24*time.Hour)), paceMost)
	if err != nil {
		return Pace{}, fmt.Errorf("measure how long people waited: %w", err)
	}
	if len(rows) == 0 {
		return Pace{}, nil
	}
	waited := make([]time.Duration, len(rows))
	for i, r := range rows {
		waited[i] = max(r.Until.Sub(r.From), 0)
	}
	slices.Sort(waited)
	at := func(percent int) time.Duration { return waited[(len(waited)-1)*percent/100] }
	return Pace{Sealed: len(rows), P50: at(50), P95: at(95)}, nil
}
