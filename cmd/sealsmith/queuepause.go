package main

import (
	"context"
	"errors"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

type queueDropCommand struct {
	Organisation string   `help:"Slug; not needed while there is one organisation."`
	IDs          []string `arg:"" name:"id" help:"Ids of claims that wait or have failed."`
}

// Run drops claims. What is not in the queue is told, and the rest is done all the same.
func (c queueDropCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		var errs []error
		for _, id := range c.IDs {
			if err := desk.Drop(ctx, o.ID, id, operator); err != nil {
				errs = append(errs, about("claim", id, "queue list", err))
			}
		}
		out.printf("%d claims were dropped; their learners can claim again.\n", len(c.IDs)-len(errs))
		return errors.Join(errs...)
	})
}

// queueLine says what is paused or resumed.
type queueLine struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	Batch        string `help:"Only this batch, by its id."`
	Everything   bool   `help:"All organisations of this installation."`
}

var errBatchOfAll = errors.New("a batch belongs to one organisation: name --everything or --batch, not both")

// do calls with the organisation whose line it is, empty for everything.
func (c queueLine) do(ctx context.Context, s *Settings, do func(desk *issuance.Desk, organisationID string) error) error {
	if c.Everything && c.Batch != "" {
		return errBatchOfAll
	}
	if c.Everything {
		return s.withDatabase(ctx, func(db *sqldb.DB) error { return do(newSweptDesk(db), "") })
	}
	if c.Batch != "" {
		return oneBatch{Organisation: c.Organisation, ID: c.Batch}.do(ctx, s, func(b workbench, one batch.Batch) error { return do(b.desk, one.OrganisationID) })
	}
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error { return do(desk, o.ID) })
}

// flags are those with which another command means the same line.
func (c queueLine) flags() string {
	out := ofOrganisation(c.Organisation)
	if c.Batch != "" {
		out += " --batch " + c.Batch
	}
	if c.Everything {
		out += " --everything"
	}
	return out
}

type queuePauseCommand struct {
	queueLine

	Words string `arg:"" optional:"" help:"Why, for everybody who waits."`
}

// Run pauses.
func (c queuePauseCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.do(ctx, s, func(desk *issuance.Desk, organisationID string) error {
		if err := desk.Pause(ctx, issuance.Pause{OrganisationID: organisationID, BatchID: c.Batch, Words: c.Words, By: operator}); err != nil {
			return err
		}
		out.printf("Nothing more is sealed from now on; what has begun is finished. It goes on after: sealsmith queue resume%s\n", c.flags())
		if c.Batch == "" && !c.Everything {
			out.printf("Before the token is taken out, wait until nothing is being sealed: sealsmith queue list --state sealing%s\n", c.flags())
		}
		return nil
	})
}

type queueResumeCommand struct{ queueLine }

// Run ends a pause.
func (c queueResumeCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.do(ctx, s, func(desk *issuance.Desk, organisationID string) error {
		if err := desk.Resume(ctx, organisationID, c.Batch, operator); err != nil {
			return err
		}
		out.printf("Sealing goes on.\n")
		return nil
	})
}

// queuePause is a pause for operators.
type queuePause struct {
	For   string    `json:"for"`
	Batch string    `json:"batch,omitempty"`
	Words string    `json:"words,omitempty"`
	By    string    `json:"by"`
	Since time.Time `json:"since"`
}

func describePauses(all []issuance.Pause) []queuePause {
	out := make([]queuePause, len(all))
	for i, p := range all {
		out[i] = queuePause{For: "the organisation", Batch: p.BatchID, Words: p.Words, By: p.By, Since: p.At.UTC()}
		switch {
		case p.OrganisationID == "":
			out[i].For = "everybody"
		case p.BatchID != "":
			out[i].For = "the batch " + p.BatchID
		}
	}
	return out
}
