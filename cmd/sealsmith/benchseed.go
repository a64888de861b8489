package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/lti"
)

// seedClaims brings n learners of one course to a confirmed claim, through the same
// methods as launches and pages use.
func seedClaims(ctx context.Context, a *app, n int) error {
	m := members()[0]
	o, err := a.templates.AddOrganisation(ctx, m.organisation)
	if err != nil {
		return err
	}
	if err := addStarters(ctx, a.templates, o.ID); err != nil {
		return err
	}
	versions, err := a.templates.List(ctx, o.ID)
	if err != nil {
		return err
	}
	const lms = "https://lms.example"
	r, err := a.lti.AddRegistration(ctx, lti.Registration{
		OrganisationID: o.ID, Name: "bench", Issuer: lms, ClientID: "bench",
		AuthURL: lms + "/auth", TokenURL: lms + "/token", JWKSURL: lms + "/jwks", Deployments: []string{"1"},
	})
	if err != nil {
		return err
	}
	attachment, err := a.grading.Attach(ctx, lti.Launch{
		RegistrationID: r.ID, OrganisationID: o.ID, DeploymentID: "1",
		Context: lti.Context{ID: "2"}, User: lti.User{Subject: "3"},
	}, grading.Choice{Version: versions[0], Rule: versions[0].Content.Rule})
	if err != nil {
		return err
	}
	for i := range n {
		learner := fmt.Sprint(1000 + i)
		_, err := a.grading.Record(ctx, attachment, "bench", grading.Observation{
			Learner: learner,
			Score:   sql.NullFloat64{Float64: 80, Valid: true}, Maximum: 100, Raw: []byte(`{"userId":"` + learner + `"}`),
		})
		if err != nil {
			return err
		}
		_, err = a.desk.Confirm(ctx, o.ID, attachment.ID, learner, issuance.Name{Given: "Learner", Family: "Number " + learner})
		if err != nil {
			return err
		}
	}
	return nil
}
