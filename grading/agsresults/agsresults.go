// Package agsresults reads grades through the LTI Assignment and Grade Services (AGS 2.0,
// section 3.3): the results of the grade column that belongs to the attached activity.
//
// The column is the platform's: teachers type into it, a formula fills it, or activities
// feed it. This package finds it (by the line item of the launch, else by our resource id,
// else it asks the platform to make one) and reads it. It never writes a score: that would
// silently win over a formula (house rule 5).
//
// It deliberately does not know rules or decisions. It fails with *lti.ServiceError, whose
// Sentence is for people, and with ErrNoColumn when the platform offers no grade service.
package agsresults

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/templates"
)

// ErrNoColumn is returned when the platform named neither a line item nor a place for one.
var ErrNoColumn = errors.New("the learning platform offers no grade column to this activity: its administrator has to allow the tool to use grades (Assignment and Grade Services)")

// Tag marks our line items.
const Tag = "sealsmith"

// columnMaximum is the maximum of a column that we ask for; teachers may change it.
const columnMaximum = 100

// Services is the part of lti.Services that is used here.
type Services interface {
	LineItems(ctx context.Context, r lti.Registration, lineItemsURL string, f lti.LineItemFilter) ([]lti.LineItem, error)
	CreateLineItem(ctx context.Context, r lti.Registration, lineItemsURL string, item lti.LineItem) (lti.LineItem, error)
	Results(ctx context.Context, r lti.Registration, lineItemURL, userID string) ([]lti.Result, error)
}

// Registrations finds the platform of an attachment.
type Registrations interface {
	Registration(ctx context.Context, organisationID, id string) (lti.Registration, error)
}

// Versions finds the template version of an attachment, for the name of a new column.
type Versions interface {
	Version(ctx context.Context, organisationID, versionID string) (templates.Version, error)
}

// Source reads results. It implements grading.Source.
type Source struct {
	services      Services
	registrations Registrations
	versions      Versions
}

// New returns a source.
func New(s Services, r Registrations, v Versions) *Source {
	return &Source{services: s, registrations: r, versions: v}
}

// Name implements grading.Source.
func (*Source) Name() string { return "ags-results" }

// Read implements grading.Source.
func (s *Source) Read(ctx context.Context, a grading.Attachment, learner string) (string, []grading.Observation, error) {
	r, err := s.registrations.Registration(ctx, a.OrganisationID, a.RegistrationID)
	if err != nil {
		return "", nil, fmt.Errorf("find the platform: %w", err)
	}
	column := a.LineItemURL
	if column == "" {
		if column, err = s.column(ctx, r, a); err != nil {
			return "", nil, err
		}
	}
	results, err := s.services.Results(ctx, r, column, learner)
	if gone(err) && a.LineItemsURL != "" { // deleted, or the course was restored: look for it once more
		if column, err = s.column(ctx, r, a); err != nil {
			return "", nil, err
		}
		results, err = s.services.Results(ctx, r, column, learner)
	}
	if err != nil {
		return "", nil, err
	}
	all := make([]grading.Observation, 0, len(results))
	for _, result := range results {
		// A platform may ignore the user_id filter.
		if learner != "" && result.UserID != learner {
			continue
		}
		o := grading.Observation{Learner: result.UserID, Maximum: result.Maximum, Raw: result.Raw}
		if result.Score != nil {
			o.Score = sql.NullFloat64{Float64: *result.Score, Valid: true}
		}
		all = append(all, o)
	}
	return column, all, nil
}

// column finds the column by our resource id, or makes it: find before create, because
// platforms accept doubles.
func (s *Source) column(ctx context.Context, r lti.Registration, a grading.Attachment) (string, error) {
	if a.LineItemsURL == "" {
		return "", ErrNoColumn
	}
	found, err := s.find(ctx, r, a)
	if found != "" || err != nil {
		return found, err
	}
	version, err := s.versions.Version(ctx, a.OrganisationID, a.VersionID)
	if err != nil {
		return "", fmt.Errorf("find the template: %w", err)
	}
	content := version.Content
	item, err := s.services.CreateLineItem(ctx, r, a.LineItemsURL, lti.LineItem{
		Label: content.Title.In(content.Languages[0]), ScoreMaximum: columnMaximum, ResourceID: a.ID, Tag: Tag, ResourceLinkID: a.ResourceLinkID,
	})
	if err != nil {
		return "", err
	}
	return item.ID, nil
}

// find looks for the column by our resource id. In a copied course it still has that of the
// activity it was copied from, and is told from that one by its link.
func (s *Source) find(ctx context.Context, r lti.Registration, a grading.Attachment) (string, error) {
	for _, resource := range []string{a.ID, a.CopiedFrom} {
		if resource == "" {
			continue
		}
		items, err := s.services.LineItems(ctx, r, a.LineItemsURL, lti.LineItemFilter{ResourceID: resource})
		if err != nil {
			return "", err
		}
		for _, item := range items {
			ours := resource == a.ID || item.ResourceLinkID != "" && item.ResourceLinkID == a.ResourceLinkID
			if item.ResourceID == resource && ours && item.ID != "" { // a platform may ignore the filter
				return item.ID, nil
			}
		}
	}
	return "", nil
}

func gone(err error) bool {
	refused, ok := errors.AsType[*lti.ServiceError](err)
	return ok && refused.Reason == lti.ReasonGone
}
