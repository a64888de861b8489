// Package agsmarks shows in a platform's grade book who has claimed the micro-credential: 1
// of 1 in a column of its own, where the teacher has asked for that.
//
// The column is made by this tool (found by its resource id before), stands beside the
// activity and is never the one that is read: a score that a tool writes may win over a
// formula for good (house rule 5). A teacher who deletes it has decided: nothing is written
// for that activity any more.
//
// The package deliberately does not know how scores travel: lti.ScoreQueue keeps what is
// wanted until the platform has taken it. It does not know claims either: Claimed tells
// who has one that is sealed. It fails with errors of the database; what a platform refuses
// is logged and tried again in the next round.
package agsmarks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/templates"
)

// Tag marks the columns made here.
const Tag = "sealsmith-claimed"

// resourceSuffix makes the resource id of the column from that of the activity.
const resourceSuffix = "-claimed"

const (
	interval = 20 * time.Second
	overlap  = time.Minute // claims are handed on twice rather than not at all
)

// Claimed tells who has claimed. Issuance implements it.
type Claimed interface {
	// ClaimedSince returns the LTI subjects whose claim of the attachment was sealed after t.
	ClaimedSince(ctx context.Context, organisationID, attachmentID string, t time.Time) ([]string, error)
}

// Attachments keeps activities: *grading.Store.
type Attachments interface {
	// Marked returns the attachments whose teachers asked for the column.
	Marked(ctx context.Context) ([]grading.Attachment, error)
	// SetMarks notes the column and until when claims were handed on.
	SetMarks(ctx context.Context, a grading.Attachment, columnURL string, until time.Time) error
	// StopMarks ends it for an attachment.
	StopMarks(ctx context.Context, a grading.Attachment) error
}

// Columns makes columns: *lti.Services.
type Columns interface {
	EnsureLineItem(ctx context.Context, r lti.Registration, lineItemsURL string, want lti.LineItem) (lti.LineItem, bool, error)
}

// Scores keeps scores that are wanted: *lti.ScoreQueue and *ltistore.Store.
type Scores interface {
	Want(ctx context.Context, r lti.Registration, lineItemURL string, score lti.Score) error
}

// Outcomes tells what became of them.
type Outcomes interface {
	Scores(ctx context.Context, r lti.Registration, lineItemURL string) ([]lti.WantedScore, error)
	Registration(ctx context.Context, organisationID, id string) (lti.Registration, error)
}

// Versions finds the template version of an attachment, for the name of the column.
type Versions interface {
	Version(ctx context.Context, organisationID, versionID string) (templates.Version, error)
}

// Marker hands on who has claimed. All fields are required.
type Marker struct {
	Claimed     Claimed
	Attachments Attachments
	Columns     Columns
	Scores      Scores
	Outcomes    Outcomes
	Versions    Versions
	Now         func() time.Time
	Logger      *slog.Logger
}

// Run works until ctx ends.
func (m *Marker) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := m.Round(ctx); err != nil && ctx.Err() == nil {
				m.Logger.WarnContext(ctx, "claims not shown in grade books", "err", err)
			}
		}
	}
}

// Round hands on what is new, for every activity once. A platform in trouble does not hold
// up the others.
func (m *Marker) Round(ctx context.Context) error {
	all, err := m.Attachments.Marked(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range all {
		err := m.one(ctx, a)
		if refused, ok := errors.AsType[*lti.ServiceError](err); ok {
			m.Logger.InfoContext(ctx, "a column for claims is refused", "attachment", a.ID, "err", refused)
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (m *Marker) one(ctx context.Context, a grading.Attachment) error {
	now, since := m.Now(), time.Time{}
	if a.MarkAt.Valid {
		since = a.MarkAt.Time.Add(-overlap)
	}
	learners, err := m.Claimed.ClaimedSince(ctx, a.OrganisationID, a.ID, since)
	if err != nil || len(learners) == 0 {
		return err
	}
	r, err := m.Outcomes.Registration(ctx, a.OrganisationID, a.RegistrationID)
	if err != nil {
		return err
	}
	column := a.MarkURL
	if column == "" {
		if column, err = m.column(ctx, r, a); err != nil {
			return err
		}
	} else if gone, err := m.deleted(ctx, r, column); err != nil || gone {
		if gone {
			m.Logger.InfoContext(ctx, "the column for claims was deleted in the platform", "attachment", a.ID)
			return m.Attachments.StopMarks(ctx, a)
		}
		return err
	}
	one := 1.0
	for _, learner := range learners {
		err := m.Scores.Want(ctx, r, column, lti.Score{
			UserID: learner, ScoreGiven: &one, ScoreMaximum: 1, ActivityProgress: lti.ActivityCompleted, GradingProgress: lti.GradingFull,
		})
		if err != nil {
			return err
		}
	}
	return m.Attachments.SetMarks(ctx, a, column, now)
}

func (m *Marker) column(ctx context.Context, r lti.Registration, a grading.Attachment) (string, error) {
	if a.LineItemsURL == "" {
		return "", nil
	}
	version, err := m.Versions.Version(ctx, a.OrganisationID, a.VersionID)
	if err != nil {
		return "", fmt.Errorf("find the template: %w", err)
	}
	content := version.Content
	// Not bound to the resource link: with two columns on a link Moodle names neither in a
	// launch.
	item, _, err := m.Columns.EnsureLineItem(ctx, r, a.LineItemsURL, lti.LineItem{
		Label: content.Title.In(content.Languages[0]) + " (claimed)", ScoreMaximum: 1, ResourceID: a.ID + resourceSuffix, Tag: Tag,
	})
	if err != nil {
		return "", err
	}
	if item.ID == a.LineItemURL {
		return "", fmt.Errorf("the platform answers with the column that is read, %s", item.ID)
	}
	return item.ID, m.Attachments.SetMarks(ctx, a, item.ID, a.MarkAt.Time)
}

// deleted reports whether the platform has answered that the column is gone.
func (m *Marker) deleted(ctx context.Context, r lti.Registration, column string) (bool, error) {
	wanted, err := m.Outcomes.Scores(ctx, r, column)
	if err != nil {
		return false, err
	}
	for _, w := range wanted {
		if w.State == lti.ScoreRefused && strings.HasPrefix(w.LastError, lti.ReasonGone) {
			return true, nil
		}
	}
	return false, nil
}
