package lti

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Values of Score.ActivityProgress (AGS 2.0, section 3.4.5).
const (
	ActivityInitialized = "Initialized"
	ActivityStarted     = "Started"
	ActivityInProgress  = "InProgress"
	ActivitySubmitted   = "Submitted"
	ActivityCompleted   = "Completed"
)

// Values of Score.GradingProgress (AGS 2.0, section 3.4.6). Moodle stores a number with
// GradingFull only, and any other value erases the number it had.
const (
	GradingFull          = "FullyGraded"
	GradingPending       = "Pending"
	GradingPendingManual = "PendingManual"
	GradingFailed        = "Failed"
	GradingNotReady      = "NotReady"
)

// Score is what the tool says about one learner in one line item (AGS 2.0, section 3.4).
// Its timestamp is not part of it: PostScore gives it one. The JSON form is for storage.
type Score struct {
	UserID string `json:"user_id"` // User.Subject of a launch, or Member.UserID
	// ScoreGiven is in points, 0 or more, and may exceed ScoreMaximum; nil clears the score.
	ScoreGiven   *float64 `json:"score_given,omitempty"`
	ScoreMaximum float64  `json:"score_maximum,omitempty"` // > 0 where there is a ScoreGiven; need not be that of the line item
	// Comment is plain text that learner and teacher see; empty clears an earlier one.
	Comment          string    `json:"comment,omitempty"`
	ActivityProgress string    `json:"activity_progress"`
	GradingProgress  string    `json:"grading_progress"`
	ScoringUserID    string    `json:"scoring_user_id,omitempty"` // who graded; empty: nobody, or not said
	StartedAt        time.Time `json:"started_at,omitzero"`       // when work began; zero: not said
	SubmittedAt      time.Time `json:"submitted_at,omitzero"`     // when work was handed in; zero: not said
}

// Validate returns a sentence about the first member that AGS 2.0, section 3.4, does not
// allow, or nil.
func (s Score) Validate() error {
	activities := []string{ActivityInitialized, ActivityStarted, ActivityInProgress, ActivitySubmitted, ActivityCompleted}
	gradings := []string{GradingFull, GradingPending, GradingPendingManual, GradingFailed, GradingNotReady}
	usable := func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) && f >= 0 }
	switch {
	case validateText("the user of the score", s.UserID) != nil:
		return validateText("the user of the score", s.UserID)
	case !slices.Contains(activities, s.ActivityProgress):
		return fmt.Errorf("the progress of the activity is one of %s, not %q", strings.Join(activities, ", "), s.ActivityProgress)
	case !slices.Contains(gradings, s.GradingProgress):
		return fmt.Errorf("the progress of grading is one of %s, not %q", strings.Join(gradings, ", "), s.GradingProgress)
	case s.ScoreGiven != nil && !usable(*s.ScoreGiven):
		return fmt.Errorf("the score is a number from 0 up, not %v", *s.ScoreGiven)
	case s.ScoreGiven != nil && (!usable(s.ScoreMaximum) || s.ScoreMaximum == 0):
		return fmt.Errorf("the maximum of the score is a number above 0, not %v", s.ScoreMaximum)
	case s.ScoringUserID != "" && validateText("who graded", s.ScoringUserID) != nil:
		return validateText("who graded", s.ScoringUserID)
	case !s.SubmittedAt.IsZero() && s.SubmittedAt.Before(s.StartedAt):
		return errors.New("the work was handed in before it was begun")
	}
	return nil
}

const mediaScore = "application/vnd.ims.lis.v1.score+json"

// PostScore sends s to the line item at lineItemURL and returns the timestamp it was sent
// with, to be kept and given as after with the next score of the same learner in the same
// line item: a platform takes only a younger one (AGS 2.0, section 3.4.3). The timestamp
// is now, or, where that is not later than after, as much later as the product tells apart
// (Quirks.ScoreStep).
//
// Where the platform holds a younger score all the same (409), the result is read: one
// that equals s is a success; otherwise, or where results may not be read, s is sent once
// more, just after what is there.
// Any 2xx is a success, except for one with a page of HTML.
//
// Errors are *ServiceError, or about s (see Validate). ReasonRejected (400, 422) is for
// good as far as this learner is concerned: Moodle and Brightspace refuse people who
// cannot be graded. A success does not mean that the score shows: a teacher's override
// wins silently on many platforms. Never send to a line item that is read as evidence:
// Moodle gives up the formula of the column for that learner, for good.
func (s *Services) PostScore(ctx context.Context, r Registration, lineItemURL string, score Score, after time.Time) (time.Time, error) {
	if err := score.Validate(); err != nil {
		return time.Time{}, fmt.Errorf("send a score: %w", err)
	}
	step := r.Quirks().scoreStep()
	stamp := nextStamp(s.deps.Now(), after, step)
	err := s.sendScore(ctx, r, lineItemURL, score, stamp)
	if refused, ok := errors.AsType[*ServiceError](err); !ok || refused.Reason != ReasonConflict {
		return stamp, err
	}
	stored, found, err := s.oneResult(ctx, r, lineItemURL, score.UserID)
	if unread, ok := errors.AsType[*ServiceError](err); err != nil && (!ok || unread.Temporary()) {
		return time.Time{}, err
	}
	if found && stored.Timestamp.After(stamp) {
		stamp = stored.Timestamp
	}
	if found && score.shownBy(stored) {
		return stamp, nil
	}
	// A whole second more, whatever the product: the clock that made the stored time may
	// count in seconds.
	stamp = nextStamp(s.deps.Now(), stamp, max(step, time.Second))
	return stamp, s.sendScore(ctx, r, lineItemURL, score, stamp)
}

// scoreScopes are asked for at once: who sends a score reads back what became of it.
var scoreScopes = []string{ScopeScore, ScopeResultReadOnly}

func (s *Services) sendScore(ctx context.Context, r Registration, lineItemURL string, score Score, stamp time.Time) error {
	const op = "send a score"
	address, err := extend(lineItemURL, "/scores", nil)
	if err != nil {
		return &ServiceError{Op: op, URL: show(lineItemURL), Reason: ReasonAddress, err: err}
	}
	body, err := marshal(score.members(stamp, r.Quirks().ScoreExtra))
	if err != nil {
		return err
	}
	a, err := s.authorized(ctx, r, scoreScopes, call{
		op: op, method: http.MethodPost, address: address,
		accept: mediaScore, contentType: mediaScore, body: body, limit: pageMaxBytes,
	})
	if err != nil {
		return err
	}
	if a.isPage() {
		return a.fail(ReasonAnswer, errors.New("a page instead of an answer: the score may not have arrived"))
	}
	return nil
}

// oneResult reads the result of one user with the token that sends scores.
func (s *Services) oneResult(ctx context.Context, r Registration, lineItemURL, userID string) (Result, bool, error) {
	rows, err := s.listResults(ctx, r, lineItemURL, userID, []string{ScopeResultReadOnly, ScopeScore})
	if err != nil || len(rows) == 0 {
		return Result{}, false, err
	}
	return rows[0], true, nil
}

// members returns the score as it is sent. Extensions have addresses for names and do not
// get in the way of members of the specification.
func (s Score) members(stamp time.Time, extra map[string]any) map[string]any {
	m := maps.Clone(extra)
	if m == nil {
		m = map[string]any{}
	}
	m["userId"] = s.UserID
	m["activityProgress"] = s.ActivityProgress
	m["gradingProgress"] = s.GradingProgress
	m["timestamp"] = scoreTime(stamp)
	if s.ScoreGiven != nil {
		m["scoreGiven"], m["scoreMaximum"] = *s.ScoreGiven, s.ScoreMaximum
	}
	if s.Comment != "" {
		m["comment"] = s.Comment
	}
	if s.ScoringUserID != "" {
		m["scoringUserId"] = s.ScoringUserID
	}
	submission := map[string]string{}
	for name, at := range map[string]time.Time{"startedAt": s.StartedAt, "submittedAt": s.SubmittedAt} {
		if !at.IsZero() {
			submission[name] = scoreTime(at)
		}
	}
	if len(submission) > 0 {
		m["submission"] = submission
	}
	return m
}

// scoreTime writes a time with milliseconds, which the specification asks for.
func scoreTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// scoreStep is the least difference between two timestamps that the product tells apart.
func (q Quirks) scoreStep() time.Duration { return max(q.ScoreStep, time.Millisecond) }

// nextStamp returns now, or after and a step where that is later. It is truncated to what
// is sent, so that the stored stamp is the one the platform has.
func nextStamp(now, after time.Time, step time.Duration) time.Time {
	stamp := now.UTC().Truncate(time.Millisecond)
	if least := after.UTC().Add(step); !after.IsZero() && stamp.Before(least) {
		stamp = least.Truncate(time.Millisecond)
	}
	return stamp
}

const shownTolerance = 1e-3 // of the maximum: platforms round

// comparable reports whether a result can be expected to show the score.
func (s Score) comparable() bool {
	return s.ScoreGiven != nil && s.GradingProgress == GradingFull
}

// shownBy reports whether the platform shows the score, on whatever scale. Above the
// maximum many platforms cut it off.
func (s Score) shownBy(r Result) bool {
	if r.Refused != "" {
		return false
	}
	if !s.comparable() || r.Score == nil {
		return !s.comparable() && r.Score == nil
	}
	wanted, shown := *s.ScoreGiven/s.ScoreMaximum, *r.Score/r.Maximum
	return math.Abs(wanted-shown) <= shownTolerance || wanted > 1 && math.Abs(shown-1) <= shownTolerance
}
