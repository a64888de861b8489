package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
)

// correctEvery says how many of those who claim at the desk find that their name is wrong when it
// is sealed: one of so many.
const correctEvery = 20

// corrected is the number of claims that become two credentials, of which the second takes the
// place of the first.
func (p *crowd) corrected() int { return (p.claims - p.pages + correctEvery - 1) / correctEvery }

// correct lets learners ask for another name once they see theirs, and staff confirm it.
func (p *crowd) correct(ctx context.Context, a *app) error {
	for i := 0; i < p.claims-p.pages; i += correctEvery {
		if err := p.untilSealed(ctx, a, deskLearner(i)); err != nil {
			return err
		}
		if err := p.persist(ctx, func() error { return p.correctOne(ctx, a, deskLearner(i)) }); err != nil {
			return err
		}
	}
	return nil
}

func (p *crowd) untilSealed(ctx context.Context, a *app, learner string) error {
	for {
		c, err := a.desk.OfLearner(ctx, p.organisationID, p.attachment.ID, learner)
		if err == nil && (c.State == issuance.Sealed || c.State == issuance.Delivered) {
			return nil
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return fmt.Errorf("the claim of %s is %s: %w", learner, c.State, context.Cause(ctx))
		}
	}
}

// correctOne goes on from wherever an attempt before it was broken off.
func (p *crowd) correctOne(ctx context.Context, a *app, learner string) error {
	c, err := a.desk.OfLearner(ctx, p.organisationID, p.attachment.ID, learner)
	if err != nil {
		return err
	}
	asked, err := a.desk.CorrectionsOf(ctx, p.organisationID, c.ID)
	if err != nil {
		return err
	}
	if len(asked) == 0 {
		x, err := a.desk.Propose(ctx, issuance.Proposal{
			OrganisationID: p.organisationID, ClaimID: c.ID, By: issuance.ByLearner, Words: "It is spelled otherwise.",
			Name: issuance.Name{Given: "Corrected", Family: "Learner " + learner},
		})
		if err != nil {
			return err
		}
		asked = append(asked, x)
	}
	if asked[0].State != issuance.CorrectionAsked {
		return nil
	}
	_, err = a.desk.ConfirmCorrection(ctx, issuance.Ruling{
		OrganisationID: p.organisationID, CorrectionID: asked[0].ID, Evidence: issuance.EvidencePassport, Reference: "desk " + learner, Words: "It is put right.", By: "crashrun",
	})
	return err
}
