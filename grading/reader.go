package grading

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Source reads what a platform knows about the learners of an attachment.
type Source interface {
	// Name is stored with the evidence, for example "ags-results".
	Name() string
	// Read returns one observation per learner with a record; learner restricts it to
	// one LTI subject, empty reads all. lineItem is the line item that was read, which the
	// attachment keeps. It fails with the platform's refusal; when that has a method
	// Sentence() string, the attachment keeps that sentence for people.
	Read(ctx context.Context, a Attachment, learner string) (lineItem string, all []Observation, err error)
}

// SourceError says that a platform could not be read. Nothing was decided.
type SourceError struct {
	Source string
	Err    error
}

// Error implements error.
func (e *SourceError) Error() string { return fmt.Sprintf("read %s: %v", e.Source, e.Err) }

// Unwrap returns the platform's refusal.
func (e *SourceError) Unwrap() error { return e.Err }

// Reader reads a source and records what it finds.
type Reader struct {
	Store  *Store
	Source Source
	Now    func() time.Time
	Logger *slog.Logger
}

// Learner reads one learner's result and returns the decision that stands. When the
// platform has no record for the learner, that is an observation too: no score. When it
// cannot be read, the older decision is returned beside the SourceError, if there is one.
func (r *Reader) Learner(ctx context.Context, a Attachment, learner string) (Decided, error) {
	all, err := r.read(ctx, a, learner)
	if err != nil {
		last, lastErr := Latest(ctx, r.Store.db, a.OrganisationID, a.ID, learner)
		if lastErr != nil && !errors.Is(lastErr, ErrUndecided) {
			return Decided{}, errors.Join(err, lastErr)
		}
		return last, err
	}
	own := Observation{Learner: learner, Maximum: 0, Raw: []byte("null")}
	for _, o := range all {
		if o.Learner == learner {
			own = o
		}
	}
	return r.Store.Record(ctx, a, r.Source.Name(), own)
}

// All reads every result of the attachment and records each. A reading that fails keeps
// its reason with the attachment. It returns the number of records read.
func (r *Reader) All(ctx context.Context, a Attachment) (int, error) {
	all, err := r.read(ctx, a, "")
	if err != nil {
		return 0, errors.Join(err, r.Store.markRead(ctx, a, r.Now(), inWords(err)))
	}
	seen := make(map[string]bool, len(all))
	for _, o := range all {
		seen[o.Learner] = true
		if _, err := r.Store.Record(ctx, a, r.Source.Name(), o); err != nil {
			return 0, err
		}
	}
	if err := r.withdrawn(ctx, a, seen); err != nil {
		return 0, err
	}
	return len(all), r.Store.markRead(ctx, a, r.Now(), "")
}

// inWords is the sentence for people that an error brings with it, or its text.
func inWords(err error) string {
	var spoken interface{ Sentence() string }
	if errors.As(err, &spoken) {
		return spoken.Sentence()
	}
	return err.Error()
}

// withdrawn records "no score" for learners whose grade has disappeared: Moodle leaves
// out users without a grade, so a grade that was taken back is a missing record.
func (r *Reader) withdrawn(ctx context.Context, a Attachment, seen map[string]bool) error {
	standing, err := r.Store.Standing(ctx, a.OrganisationID, a.ID)
	if err != nil {
		return err
	}
	for _, d := range standing {
		if seen[d.Learner] || !d.Evidence.Score.Valid {
			continue
		}
		if _, err := r.Store.Record(ctx, a, r.Source.Name(), Observation{Learner: d.Learner, Raw: []byte("null")}); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) read(ctx context.Context, a Attachment, learner string) ([]Observation, error) {
	lineItem, all, err := r.Source.Read(ctx, a, learner)
	if err != nil {
		return nil, &SourceError{Source: r.Source.Name(), Err: err}
	}
	if lineItem != a.LineItemURL {
		if err := r.Store.bindLineItem(ctx, a, lineItem); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Loop reads every attachment once per interval until ctx ends: a grade that was given
// without the learner opening the activity is found too. A platform that cannot be read
// does not hold up the others.
func (r *Reader) Loop(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(max(interval/10, time.Second))
	defer tick.Stop()
	for {
		r.round(ctx, interval)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

const perRound = 100

func (r *Reader) round(ctx context.Context, interval time.Duration) {
	due, err := r.Store.Due(ctx, r.Now().Add(-interval), perRound)
	if err != nil {
		if ctx.Err() == nil {
			r.Logger.ErrorContext(ctx, "reading of grades cannot start", "err", err)
		}
		return
	}
	for _, a := range due {
		if ctx.Err() != nil {
			return
		}
		n, err := r.All(ctx, a)
		if err != nil && ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "grades not read", "attachment", a.ID, "err", err)
			continue
		}
		r.Logger.DebugContext(ctx, "grades read", "attachment", a.ID, "records", n)
	}
}
