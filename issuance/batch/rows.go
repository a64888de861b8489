package batch

import (
	"context"
	"errors"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/csvfile"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// awardRow awards to one learner, on what stands now.
func (s *Store) awardRow(ctx context.Context, tx *sqldb.Tx, b Batch, r row) (done, error) {
	c, err := s.desk.Award(ctx, tx, issuance.Award{
		OrganisationID: b.OrganisationID, AttachmentID: b.AttachmentID, Learner: r.Learner, Name: r.name(), BatchID: b.ID, By: b.ConfirmedBy,
	})
	switch {
	case err == nil:
		return done{Awarded, r.Words, c.ID}, nil
	case errors.Is(err, issuance.ErrName):
		return done{NoName, "", ""}, nil
	case errors.Is(err, issuance.ErrNotComplete), errors.Is(err, issuance.ErrNotFound), errors.Is(err, grading.ErrUndecided):
		return done{NotComplete, "The result has been lowered since the list was shown.", ""}, nil
	case errors.Is(err, issuance.ErrState) && (c.State == issuance.Revoked || c.State == issuance.Replaced):
		return done{Withdrawn, "", c.ID}, nil
	case errors.Is(err, issuance.ErrState):
		return done{HasClaimed, "", c.ID}, nil
	}
	return done{}, err
}

// importRow keeps the result of one learner as evidence, decides, and awards if asked.
func (s *Store) importRow(ctx context.Context, tx *sqldb.Tx, b Batch, a grading.Attachment, r row) (done, error) {
	standing, err := grading.Latest(ctx, tx, b.OrganisationID, b.AttachmentID, r.Learner)
	if err != nil && !errors.Is(err, grading.ErrUndecided) {
		return done{}, err
	}
	if standing.Complete && !judge(a, r).Complete {
		return done{BetterOne, "The result of the file would take back what stands as complete.", ""}, nil
	}
	d, err := s.grading.RecordIn(ctx, tx, a, csvfile.Source, grading.Observation{Learner: r.Learner, Score: r.Score, Maximum: r.Maximum, Raw: []byte(r.Raw)})
	if err != nil {
		return done{}, err
	}
	if !d.Complete {
		return done{Imported, reasons(d), ""}, nil
	}
	if !b.Award {
		return done{Completed, r.Words, ""}, nil
	}
	out, err := s.awardRow(ctx, tx, b, r)
	if out.outcome == NoName {
		out.words = "The result is kept; the learner can claim."
	}
	return out, err
}
