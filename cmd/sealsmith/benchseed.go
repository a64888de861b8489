package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/lti"
)

// benchCourse is a course with learners.
type benchCourse struct {
	app        *app
	attachment grading.Attachment
	learners   int
}

// openCourse makes a course in an empty database.
func openCourse(ctx context.Context, a *app) (*benchCourse, error) {
	m := members()[0]
	o, err := a.templates.AddOrganisation(ctx, m.organisation)
	if err != nil {
		return nil, err
	}
	if err := addStarters(ctx, a.templates, o.ID); err != nil {
		return nil, err
	}
	versions, err := a.templates.List(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	const lms = "https://lms.example"
	r, err := a.lti.AddRegistration(ctx, lti.Registration{
		OrganisationID: o.ID, Name: "bench", Issuer: lms, ClientID: "bench",
		AuthURL: lms + "/auth", TokenURL: lms + "/token", JWKSURL: lms + "/jwks", Deployments: []string{"1"},
	})
	if err != nil {
		return nil, err
	}
	attachment, err := a.grading.Attach(ctx, lti.Launch{
		RegistrationID: r.ID, OrganisationID: o.ID, DeploymentID: "1",
		Context: lti.Context{ID: "2"}, User: lti.User{Subject: "3"},
	}, grading.Choice{Version: versions[0], Rule: versions[0].Content.Rule})
	if err != nil {
		return nil, err
	}
	return &benchCourse{app: a, attachment: attachment}, nil
}

// seed brings n more learners to a confirmed claim, through the same methods as launches and
// pages use.
func (c *benchCourse) seed(ctx context.Context, n int) error {
	for range n {
		c.learners++
		learner := fmt.Sprint(1000 + c.learners)
		_, err := c.app.grading.Record(ctx, c.attachment, "bench", grading.Observation{
			Learner: learner,
			Score:   sql.NullFloat64{Float64: 60 + float64(c.learners%41), Valid: true}, Maximum: 100, Raw: []byte(`{"userId":"` + learner + `"}`),
		})
		if err != nil {
			return err
		}
		_, err = c.app.desk.Confirm(ctx, c.attachment.OrganisationID, c.attachment.ID, learner, issuance.Name{Given: "Learner", Family: "Number " + learner})
		if err != nil {
			return err
		}
	}
	return nil
}
