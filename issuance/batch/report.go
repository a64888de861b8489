package batch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
)

// Counts is how a batch stands. Each row is in exactly one of ToDo, Waiting, Sealed,
// Stopped, Kept and Left.
type Counts struct {
	Rows    int
	ToDo    int // nothing came of them yet
	Waiting int // the claim is queued or being sealed
	Sealed  int // sealed, or further
	Stopped int // the claim has failed, or the row could not be written: a person has to look
	Kept    int // imported; not complete, or for the learner to claim
	Left    int // left out, with a reason
	By      map[Outcome]int
}

// Over says that nothing more will happen by itself.
func (c Counts) Over() bool { return c.ToDo == 0 && c.Waiting == 0 }

// Percent is how much of what is to be sealed or kept is done; 100 for a batch with nothing
// to do.
func (c Counts) Percent() int {
	all := c.ToDo + c.Waiting + c.Sealed + c.Stopped + c.Kept
	if all == 0 {
		return 100
	}
	return 100 * (c.Sealed + c.Stopped + c.Kept) / all
}

// stateNow is the state of the claim as far as the row is concerned: what was corrected or
// renewed since was sealed.
const stateNow = `case when c.revision > r.revision and c.state <> 'revoked' then 'sealed' else coalesce(c.state, '') end`

// Counts counts the rows of a batch.
func (s *Store) Counts(ctx context.Context, organisationID, id string) (Counts, error) {
	var groups []struct {
		Outcome Outcome        `db:"outcome"`
		State   issuance.State `db:"state"`
		N       int            `db:"n"`
	}
	err := s.db.Select(ctx, &groups, `select r.outcome, `+stateNow+` as state, count(*) as n from batch_rows r
		left join claims c on c.id = r.claim_id and c.organisation_id = r.organisation_id
		where r.organisation_id = ? and r.batch_id = ? group by r.outcome, `+stateNow, organisationID, id)
	if err != nil {
		return Counts{}, fmt.Errorf("count the rows of a batch: %w", err)
	}
	c := Counts{By: map[Outcome]int{}}
	for _, g := range groups {
		c.Rows += g.N
		c.By[g.Outcome] += g.N
		switch standing(g.Outcome, g.State) {
		case StandsToDo:
			c.ToDo += g.N
		case StandsWaiting:
			c.Waiting += g.N
		case StandsSealed:
			c.Sealed += g.N
		case StandsStopped:
			c.Stopped += g.N
		case StandsKept:
			c.Kept += g.N
		case StandsLeft:
			c.Left += g.N
		}
	}
	return c, nil
}

// Stands is where a row is, for people.
type Stands string

// Where a row can be.
const (
	StandsToDo    Stands = "to do"
	StandsWaiting Stands = "waiting"
	StandsSealed  Stands = "sealed"
	StandsStopped Stands = "stopped"
	StandsKept    Stands = "kept"
	StandsLeft    Stands = "left out"
)

func standing(o Outcome, state issuance.State) Stands {
	switch o {
	case ToDo:
		return StandsToDo
	case Broken:
		return StandsStopped
	case Imported, Completed:
		return StandsKept
	case Awarded:
	default:
		return StandsLeft
	}
	switch state {
	case issuance.Sealed, issuance.Delivered, issuance.Revoked:
		return StandsSealed
	case issuance.Failed:
		return StandsStopped
	case issuance.Open: // a person took it out of the queue
		return StandsLeft
	case issuance.Queued, issuance.Sealing:
	}
	return StandsWaiting
}

// Row is one row for people.
type Row struct {
	Number  int            `db:"number"`
	Learner string         `db:"learner"` // LTI subject; empty: nobody was found
	Shown   string         `db:"shown"`   // whom the file names, when nobody was found
	Given   string         `db:"given_name"`
	Family  string         `db:"family_name"` // until the row is done, then that of the claim
	Percent float64        `db:"-"`           // of an import, before it is done
	Score   float64        `db:"score"`
	Maximum float64        `db:"maximum"` // 0: no score can be told
	Outcome Outcome        `db:"outcome"`
	Words   string         `db:"words"`
	ClaimID string         `db:"claim_id"`
	State   issuance.State `db:"state"` // of the claim
	Trouble string         `db:"last_error"`
	Stands  Stands         `db:"-"`
}

// Says is the outcome in words for people. A claim that a person has taken out of the queue
// is awarded no more.
func (r Row) Says() string {
	if r.Outcome == Awarded && r.Stands == StandsLeft {
		return "was taken out of the queue"
	}
	return r.Outcome.Words()
}

// Name is given and family name as one.
func (r Row) Name() string { return strings.TrimSpace(r.Given + " " + r.Family) }

// OfPerson is what batches keep of a person who came through a registration: for who asks what
// is kept about them.
type OfPerson struct {
	BatchID  string    `db:"batch_id" json:"batch"`
	Title    string    `db:"title" json:"title"`
	Activity string    `db:"attachment_id" json:"activity"`
	Made     time.Time `db:"created_at" json:"made"`
	Given    string    `db:"given_name" json:"given_name,omitempty"`
	Family   string    `db:"family_name" json:"family_name,omitempty"`
	Raw      string    `db:"raw" json:"raw,omitempty"`
	Outcome  Outcome   `db:"outcome" json:"outcome"`
}

// OfPerson returns the rows of batches that name a person, the newest first.
func (s *Store) OfPerson(ctx context.Context, organisationID, registrationID, learner string) ([]OfPerson, error) {
	var all []OfPerson
	err := s.db.Select(ctx, &all, `select r.batch_id, b.title, b.attachment_id, b.created_at, r.given_name, r.family_name, r.raw, r.outcome from batch_rows r
		join batches b on b.id = r.batch_id and b.organisation_id = r.organisation_id join attachments a on a.id = b.attachment_id and a.organisation_id = b.organisation_id
		where r.organisation_id = ? and r.learner = ? and a.registration_id = ? order by b.created_at desc, r.batch_id, r.number`, organisationID, learner, registrationID)
	if err != nil {
		return nil, fmt.Errorf("list rows of a person: %w", err)
	}
	return all, nil
}

// Rows returns rows of a batch in their order, those after a number, at most limit.
func (s *Store) Rows(ctx context.Context, organisationID, id string, after, limit int) ([]Row, error) {
	return s.rows(ctx, ` and r.number > ? order by r.number limit ?`, organisationID, id, after, limit)
}

// Some returns the first rows that are to be done or came out well, or else the others, at
// most limit: for a page that shows both.
func (s *Store) Some(ctx context.Context, organisationID, id string, todo bool, limit int) ([]Row, error) {
	// A claim that has failed or was taken out of the queue belongs to the others.
	condition := ` and r.outcome in ('', 'awarded', 'completed', 'imported') and ` + stateNow + ` not in ('failed', 'open')`
	if !todo {
		condition = ` and (r.outcome not in ('', 'awarded', 'completed', 'imported') or ` + stateNow + ` in ('failed', 'open'))`
	}
	return s.rows(ctx, condition+` order by r.number limit ?`, organisationID, id, limit)
}

func (s *Store) rows(ctx context.Context, rest string, args ...any) ([]Row, error) {
	var all []Row
	err := s.db.Select(ctx, &all, `select r.number, r.learner, r.shown, case when r.claim_id = '' or r.outcome <> 'awarded' then r.given_name else coalesce(c.given_name, '') end as given_name,
		case when r.claim_id = '' or r.outcome <> 'awarded' then r.family_name else coalesce(c.family_name, '') end as family_name,
		coalesce(r.score, 0) as score, case when r.score is null then 0 else r.maximum end as maximum, r.outcome, r.words, r.claim_id, `+stateNow+` as state, coalesce(c.last_error, '') as last_error
		from batch_rows r left join claims c on c.id = r.claim_id and c.organisation_id = r.organisation_id
		where r.organisation_id = ? and r.batch_id = ?`+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("list the rows of a batch: %w", err)
	}
	for i := range all {
		r := &all[i]
		r.Stands, r.Trouble = standing(r.Outcome, r.State), issuance.Cause(r.Trouble)
		if r.Maximum > 0 {
			r.Percent = 100 * r.Score / r.Maximum
		}
	}
	return all, nil
}
