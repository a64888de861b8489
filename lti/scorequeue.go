package lti

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"golang.org/x/sync/errgroup"
)

// ScoreState says how far a wanted score has come.
type ScoreState string

// The states of a wanted score. Only a waiting one is worked on.
const (
	ScoreWaiting    ScoreState = "waiting"    // to be sent, or to be looked at after it was sent
	ScoreSent       ScoreState = "sent"       // the platform took it, and shows it as far as one can see
	ScoreRefused    ScoreState = "refused"    // the platform will not take it; LastError says why
	ScoreOverridden ScoreState = "overridden" // the platform took it and shows another: somebody there decided so
)

// WantedScore is what one column shall show for one learner. There is one per
// registration, line item and learner: the last wish counts.
type WantedScore struct {
	OrganisationID string
	RegistrationID string
	LineItemURL    string
	Score          Score
	Version        int // counts the wishes, from 1
	SentVersion    int // the last that was sent; 0: none
	SentStamp      time.Time
	Attempts       int       // since the last success
	NotBefore      time.Time // while it is worked on: until when others keep off
	State          ScoreState
	LastError      string // a reason of ServiceError, a sentence, and the platform's words
	UpdatedAt      time.Time
}

// ScoreStore keeps wanted scores; ltistore implements it. ScoreQueue calls it in the order
// DueScores, LeaseScore, SettleScore. Each may be called by several processes at once.
type ScoreStore interface {
	// WantScore stores a wish: a new row, or a new version of the row, due at once. One
	// that waits keeps its time, because the platform asked for it. The same score again
	// changes nothing, unless it was refused: then it is tried anew.
	WantScore(ctx context.Context, w WantedScore) error
	// DueScores returns at most n waiting scores whose time has come, of all
	// organisations, those first that have been due for longest.
	DueScores(ctx context.Context, n int) ([]WantedScore, error)
	// LeaseScore takes w until that time and counts an attempt, provided that it is as it
	// was read; it reports whether it was. Of many callers one succeeds.
	LeaseScore(ctx context.Context, w WantedScore, until time.Time) (bool, error)
	// SettleScore ends a lease: what w says is stored, unless a newer version has been
	// wanted meanwhile. Then only what was sent is noted, and the newer is due at once.
	SettleScore(ctx context.Context, w WantedScore) error
	// DelayScores lets all waiting scores of the registration wait at least until then.
	DelayScores(ctx context.Context, r Registration, until time.Time) error
	// Registration returns one registration of the organisation; ErrNotFound.
	Registration(ctx context.Context, organisationID, id string) (Registration, error)
}

// ScoreQueue brings scores to platforms, however long that takes: what is wanted is a row
// in the store, and survives a restart. After a score was sent its result is read back,
// because a teacher's override wins silently; it is then left alone until another score is
// wanted.
//
// The queue writes to whatever line item it is told to. That no line item is written that
// is read as evidence has to be seen to by whoever calls Want.
type ScoreQueue struct {
	services *Services
	store    ScoreStore
	wake     chan struct{}
}

// NewScoreQueue returns a queue that sends by s, by its clock, what is in store.
func NewScoreQueue(s *Services, store ScoreStore) *ScoreQueue {
	return &ScoreQueue{services: s, store: store, wake: make(chan struct{}, 1)}
}

// Want notes that the line item shall show the score and returns; Run sends it. It fails
// with the sentence of score.Validate, and with errors of the store.
func (q *ScoreQueue) Want(ctx context.Context, r Registration, lineItemURL string, score Score) error {
	if err := score.Validate(); err != nil {
		return err
	}
	if err := validateURL("the line item", lineItemURL); err != nil {
		return err
	}
	err := q.store.WantScore(ctx, WantedScore{OrganisationID: r.OrganisationID, RegistrationID: r.ID, LineItemURL: lineItemURL, Score: score})
	if err != nil {
		return err
	}
	select {
	case q.wake <- struct{}{}:
	default: // woken already
	}
	return nil
}

const (
	scoreBatch    = 200
	scoreParallel = 8 // registrations at once
	scorePoll     = 15 * time.Second
	scoreLease    = 2 * time.Minute // longer than the few calls that one score takes
)

// Run sends what is due until ctx ends, and returns when what it has begun is noted. One
// Run per process is enough; several processes may run it on one database.
func (q *ScoreQueue) Run(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := q.SendDue(ctx)
		if err != nil && ctx.Err() == nil {
			q.services.deps.Logger.WarnContext(ctx, "scores cannot be worked on", "err", err)
		}
		if err == nil && n == scoreBatch {
			continue
		}
		poll := time.NewTimer(scorePoll)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-poll.C:
		}
		poll.Stop()
	}
}

// SendDue works once on what is due, a bounded number, and returns how many rows that
// were. Registrations are worked on side by side, the scores of one registration one after
// the other. The error is the store's: what platforms answer is noted with the score.
func (q *ScoreQueue) SendDue(ctx context.Context) (int, error) {
	due, err := q.store.DueScores(ctx, scoreBatch)
	if err != nil {
		return 0, err
	}
	groups := map[string][]WantedScore{}
	for _, w := range due {
		groups[w.RegistrationID] = append(groups[w.RegistrationID], w)
	}
	var all errgroup.Group
	all.SetLimit(scoreParallel)
	for _, group := range groups {
		all.Go(func() error { return q.sendGroup(ctx, group) })
	}
	return len(due), all.Wait()
}

const (
	maxTroubles = 3           // in a row, before a registration is left alone
	troublePage = time.Minute // for so long
	needsPeople = time.Hour   // between attempts that fail until somebody changes a setting
)

// sendGroup works on scores of one registration. It stops early where the platform, rather
// than one score, is in trouble.
func (q *ScoreQueue) sendGroup(ctx context.Context, group []WantedScore) error {
	r, err := q.store.Registration(ctx, group[0].OrganisationID, group[0].RegistrationID)
	if errors.Is(err, ErrNotFound) { // removed just now, and its scores with it
		gone := Registration{ID: group[0].RegistrationID, OrganisationID: group[0].OrganisationID}
		return q.store.DelayScores(ctx, gone, q.services.deps.Now().Add(needsPeople))
	}
	if err != nil {
		return err
	}
	if r.Status != "" && r.Status != StatusActive {
		return q.store.DelayScores(ctx, r, q.services.deps.Now().Add(needsPeople))
	}
	troubles := 0
	for _, w := range group {
		if ended(ctx) {
			break
		}
		ours, err := q.store.LeaseScore(ctx, w, q.services.deps.Now().Add(scoreLease))
		if err != nil {
			return err
		}
		if !ours {
			continue
		}
		w.Attempts++
		tried := q.attempt(ctx, r, w)
		// What happened out there is noted even when everything ends here.
		if err := q.store.SettleScore(context.WithoutCancel(ctx), tried.row); err != nil {
			return err
		}
		var until time.Time
		if until, troubles = q.pauseAfter(tried, troubles); !until.IsZero() {
			q.services.deps.Logger.WarnContext(ctx, "scores of a registration wait", "registration", r.ID, "until", until, "err", tried.trouble)
			return q.store.DelayScores(context.WithoutCancel(ctx), r, until)
		}
	}
	return nil
}

// scoreOutcome is a row as it shall be stored, and what is wrong with the platform, if anything.
type scoreOutcome struct {
	row     WantedScore
	trouble *ServiceError
}

func ended(ctx context.Context) bool { return ctx.Err() != nil }

// pauseAfter says until when a registration is left alone after trouble; zero: go on.
func (q *ScoreQueue) pauseAfter(tried scoreOutcome, troubles int) (time.Time, int) {
	trouble := tried.trouble
	switch {
	case trouble == nil:
		return time.Time{}, 0
	case !trouble.RetryAt.IsZero() && trouble.Temporary():
		return trouble.RetryAt, 0
	case trouble.Reason == ReasonUnreachable, trouble.Reason == ReasonTokenRefused, trouble.Reason == ReasonScopeNotGranted:
		return tried.row.NotBefore, 0
	case trouble.Reason == ReasonBusy || trouble.Reason == ReasonAnswer:
		if troubles++; troubles >= maxTroubles {
			return q.services.deps.Now().Add(troublePage), 0
		}
		return time.Time{}, troubles
	}
	return time.Time{}, 0 // about this score
}

// attempt sends w unless that was done already, and looks what became of it.
func (q *ScoreQueue) attempt(ctx context.Context, r Registration, w WantedScore) scoreOutcome {
	first := w.SentVersion < w.Version
	if first {
		stamp, err := q.services.PostScore(ctx, r, w.LineItemURL, w.Score, w.SentStamp)
		if err != nil {
			return q.failed(ctx, w, err)
		}
		w.SentVersion, w.SentStamp, w.Attempts = w.Version, stamp, 0
	}
	return q.look(ctx, r, w, first)
}

const (
	lookAgain = time.Minute // after a difference was seen: results may lag behind scores
	maxLooks  = 5
)

// look reads the result of a score that was sent. A difference counts when it is seen
// twice; a result that cannot be read, or is not there, is no difference.
func (q *ScoreQueue) look(ctx context.Context, r Registration, w WantedScore, first bool) scoreOutcome {
	done := w
	done.State, done.Attempts, done.LastError = ScoreSent, 0, ""
	if !w.Score.comparable() {
		return scoreOutcome{row: done}
	}
	result, found, err := q.services.oneResult(ctx, r, w.LineItemURL, w.Score.UserID)
	unread, _ := errors.AsType[*ServiceError](err)
	w.State = ScoreWaiting
	switch {
	case err != nil && ended(ctx):
		w.NotBefore = q.services.deps.Now()
		return scoreOutcome{row: w}
	case err != nil && (unread == nil || unread.Temporary()) && w.Attempts < maxLooks:
		w.LastError, w.NotBefore = "the score was sent, its result could not be read yet", q.later(w, unread)
		return scoreOutcome{w, unread}
	case err != nil || !found || result.Score == nil || w.Score.shownBy(result):
		return scoreOutcome{row: done}
	}
	w.LastError = fmt.Sprintf("the platform shows %v of %v", *result.Score, result.Maximum)
	if first {
		w.NotBefore = q.services.deps.Now().Add(lookAgain)
		return scoreOutcome{row: w}
	}
	w.State = ScoreOverridden
	q.services.deps.Logger.InfoContext(ctx, "a score is overridden in the platform", "registration", r.ID, "line_item", w.LineItemURL)
	return scoreOutcome{row: w}
}

const maxScoreAttempts = 250 // about ten days

// failed says what becomes of a score that could not be sent.
func (q *ScoreQueue) failed(ctx context.Context, w WantedScore, err error) scoreOutcome {
	w.State = ScoreWaiting
	if ended(ctx) { // not the platform's fault: the next process tries at once
		w.Attempts, w.NotBefore = w.Attempts-1, q.services.deps.Now()
		return scoreOutcome{row: w}
	}
	refused, ok := errors.AsType[*ServiceError](err)
	if !ok {
		q.services.deps.Logger.ErrorContext(ctx, "a score could not be prepared", "registration", w.RegistrationID, "err", err)
		w.LastError, w.NotBefore = "the tool could not prepare the score", q.later(w, nil)
		return scoreOutcome{row: w}
	}
	w.LastError, w.NotBefore = refused.words(), q.later(w, refused)
	if refused.final() || w.Attempts >= maxScoreAttempts {
		w.State = ScoreRefused
		q.services.deps.Logger.InfoContext(ctx, "a score is refused for good", "registration", w.RegistrationID, "line_item", w.LineItemURL, "err", err)
	}
	return scoreOutcome{w, refused}
}

// final reports whether the same score will be refused again whatever anybody does in the
// settings of the tool.
func (e *ServiceError) final() bool {
	switch e.Reason {
	case ReasonRejected, ReasonGone, ReasonForbidden, ReasonAddress:
		return true
	}
	return false
}

// needsAdministrator reports whether the call will fail like this until somebody changes
// the settings of the tool in the platform.
func (e *ServiceError) needsAdministrator() bool {
	switch e.Reason {
	case ReasonTokenRefused, ReasonScopeNotGranted, ReasonUnauthorized:
		return true
	}
	return false
}

const (
	firstBackoff = 30 * time.Second
	maxBackoff   = time.Hour
)

// later says when to try again: not before the platform asked for, and up to half as much
// later again, so that not everything comes back at once.
func (q *ScoreQueue) later(w WantedScore, trouble *ServiceError) time.Time {
	now := q.services.deps.Now()
	wait := min(firstBackoff<<min(max(w.Attempts-1, 0), 10), maxBackoff)
	if trouble != nil && trouble.needsAdministrator() {
		wait = needsPeople
	}
	if trouble != nil && !trouble.RetryAt.IsZero() {
		return trouble.RetryAt.Add(spread(w, firstBackoff))
	}
	return now.Add(wait + spread(w, wait/2))
}

// spread returns a duration below most that differs from score to score and from attempt
// to attempt. It is no secret, so it needs no randomness.
func spread(w WantedScore, most time.Duration) time.Duration {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s %s %s %d", w.RegistrationID, w.LineItemURL, w.Score.UserID, w.Attempts)
	return time.Duration(int64(most) * int64(h.Sum32()%1000) / 1000)
}
