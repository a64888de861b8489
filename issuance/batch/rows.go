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
		return done{outcome: Awarded, words: r.Words, claimID: c.ID}, nil
	case errors.Is(err, issuance.ErrName):
		return done{outcome: NoName}, nil
	case errors.Is(err, issuance.ErrNotComplete), errors.Is(err, issuance.ErrNotFound), errors.Is(err, grading.ErrUndecided):
		return done{outcome: NotComplete, words: "The result has been lowered since the list was shown."}, nil
	case errors.Is(err, issuance.ErrState) && c.State == issuance.Revoked:
		return done{outcome: Withdrawn, claimID: c.ID}, nil
	case errors.Is(err, issuance.ErrState):
		return done{outcome: HasClaimed, claimID: c.ID}, nil
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
		return done{outcome: BetterOne, words: "The result of the file would take back what stands as complete."}, nil
	}
	d, err := s.grading.RecordIn(ctx, tx, a, csvfile.Source, grading.Observation{Learner: r.Learner, Score: r.Score, Maximum: r.Maximum, Raw: []byte(r.Raw)})
	if err != nil {
		return done{}, err
	}
	if !d.Complete {
		return done{outcome: Imported, words: reasons(d)}, nil
	}
	if !b.Award {
		return done{outcome: Completed, words: r.Words}, nil
	}
	out, err := s.awardRow(ctx, tx, b, r)
	if out.outcome == NoName {
		out.words = "The result is kept; the learner can claim."
	}
	return out, err
}

// renewRow renews the credential of one learner, on what stands now.
func (s *Store) renewRow(ctx context.Context, tx *sqldb.Tx, b Batch, r row) (done, error) {
	own, err := s.desk.OfLearner(ctx, b.OrganisationID, b.AttachmentID, r.Learner)
	if err != nil {
		return done{}, err
	}
	c, e, err := s.desk.Renew(ctx, tx, issuance.Renewal{OrganisationID: b.OrganisationID, ClaimID: own.ID, BatchID: b.ID, By: b.ConfirmedBy})
	switch {
	case err == nil:
		return done{outcome: Awarded, claimID: c.ID, revision: c.Revision}, nil
	case errors.Is(err, issuance.ErrNotComplete):
		return done{outcome: OldResult}, nil
	case errors.Is(err, issuance.ErrState) && c.State == issuance.Revoked:
		return done{outcome: Withdrawn}, nil
	case errors.Is(err, issuance.ErrState) && (e.CredentialID == "" || !e.Soon(s.now())):
		return done{outcome: StillGood}, nil
	case errors.Is(err, issuance.ErrState):
		return done{outcome: NotNow, words: err.Error() + "."}, nil
	}
	return done{}, err
}
