package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

type queueCommand struct {
	List   queueListCommand   `cmd:"" help:"List what waits for the seal, with the reason."`
	Show   queueShowCommand   `cmd:"" help:"Show one claim."`
	Retry  queueRetryCommand  `cmd:"" help:"Put claims that have stopped back into the queue, or have proofs tried at once."`
	Drop   queueDropCommand   `cmd:"" help:"Take claims out of the queue; their learners are asked anew."`
	Pause  queuePauseCommand  `cmd:"" help:"Let nothing more be sealed until resume; what has begun is finished."`
	Resume queueResumeCommand `cmd:"" help:"End a pause."`
}

// swept is the queue of commands that run beside a server: the row says that a claim is due,
// and the relay of a worker reads the row.
type swept struct{}

// Offer implements issuance.Queue.
func (swept) Offer(context.Context, ...string) error { return nil }

func (s *Settings) withDesk(ctx context.Context, slug string, do func(*issuance.Desk, templates.Organisation) error) error {
	objects, _, err := s.openObjects()
	if err != nil {
		return err
	}
	return s.withOrganisation(ctx, slug, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		return do(newSweptDesk(db).WithObjects(objects), o)
	})
}

func newSweptDesk(db *sqldb.DB) *issuance.Desk {
	return issuance.NewDesk(db, swept{}, time.Now, slog.New(slog.DiscardHandler))
}

// queuedClaim is a claim for operators: whose it is, the LMS knows.
type queuedClaim struct {
	ID       string    `json:"id"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"` // the learner has claimed it
	Attempts int       `json:"attempts"`
	NextTry  time.Time `json:"next_try,omitzero"`
	Why      string    `json:"why,omitempty"` // the last attempt came to nothing
}

func describeClaim(c issuance.Claim) queuedClaim {
	since := c.ConsentAt.Time
	if !c.ConsentAt.Valid { // awarded by a batch
		since = c.CreatedAt
	}
	q := queuedClaim{ID: c.ID, State: string(c.State), Since: since.UTC(), Attempts: c.Attempts, Why: c.Cause()}
	if c.State == issuance.Queued {
		q.NextTry = c.NotBefore.UTC()
	}
	return q
}

type queueListCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	State        string `help:"queued, sealing or failed." enum:",queued,sealing,failed" default:""`
	Limit        int    `help:"How many at most." default:"100"`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// Run lists the queue.
func (c queueListCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		var states []issuance.State
		if c.State != "" {
			states = append(states, issuance.State(c.State))
		}
		claims, err := desk.InQueue(ctx, o.ID, states, c.Limit)
		if err != nil {
			return err
		}
		all := make([]queuedClaim, len(claims))
		for i := range claims {
			all[i] = describeClaim(claims[i])
		}
		proofs, err := desk.Proofs(ctx, o.ID)
		if err != nil {
			return err
		}
		pauses, err := desk.Pauses(ctx, o.ID)
		if err != nil {
			return err
		}
		load, err := desk.LoadOf(ctx, o.ID)
		if err != nil {
			return err
		}
		if c.JSON {
			return out.printJSON(struct {
				Waiting       int           `json:"waiting"` // those being sealed too
				Sealing       int           `json:"sealing"`
				Failed        int           `json:"failed"`
				Claims        []queuedClaim `json:"claims"`
				Pauses        []queuePause  `json:"pauses"`
				ProofsWaiting int           `json:"proofs_waiting"`
				ProofsTrouble string        `json:"proofs_trouble,omitempty"`
			}{load.Waiting, load.Sealing, load.Failed, all, describePauses(pauses), proofs.Waiting, proofs.LastError})
		}
		for _, p := range describePauses(pauses) {
			out.printf("Sealing is paused for %s since %s by %s. %s\n", p.For, p.Since.Format("2006-01-02 15:04"), p.By, p.Words)
		}
		return c.print(out, all, load, proofs)
	})
}

// print never lets a part of the queue pass for all of it.
func (c queueListCommand) print(out streams, all []queuedClaim, load issuance.Load, proofs issuance.ProofLoad) error {
	if load.Waiting+load.Failed == 0 {
		out.printf("Nothing waits for the seal.\n")
	}
	if len(all) > 0 {
		t := newTable(out.out, "CLAIM", "STATE", "SINCE", "ATTEMPTS", "WHY")
		for _, q := range all {
			t.row(q.ID, q.State, q.Since.Format("2006-01-02 15:04"), fmt.Sprint(q.Attempts), q.Why)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if load.Waiting+load.Failed > 0 {
		out.printf("%d wait for the seal, %d of those are being sealed, %d have stopped; %d are shown.", load.Waiting, load.Sealing, load.Failed, len(all))
		if len(all) < load.Waiting+load.Failed {
			out.printf(" --state and --limit show others.")
		}
		out.printf("\n")
	}
	if proofs.Waiting > 0 || proofs.LastError != "" {
		out.printf("%d sealed credentials wait for proofs", proofs.Waiting)
		if proofs.LastError != "" {
			out.printf("; last trouble: %s", proofs.LastError)
		}
		out.printf("\n")
	}
	return nil
}

type queueShowCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the claim."`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// Run shows a claim.
func (c queueShowCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		claim, err := desk.Claim(ctx, o.ID, c.ID)
		if err != nil {
			return about("claim", c.ID, "queue list", err)
		}
		q := describeClaim(claim)
		if c.JSON {
			return out.printJSON(q)
		}
		t := newTable(out.out, "CLAIM", q.ID)
		t.row("state", q.State)
		if !q.Since.IsZero() {
			t.row("since", q.Since.Format(time.RFC3339))
		}
		t.row("attempts", fmt.Sprint(q.Attempts))
		if !q.NextTry.IsZero() {
			t.row("next try", q.NextTry.Format(time.RFC3339))
		}
		if q.Why != "" {
			t.row("why", q.Why)
		}
		return t.Flush()
	})
}

type queueRetryCommand struct {
	Organisation string   `help:"Slug; not needed while there is one organisation."`
	IDs          []string `arg:"" optional:"" name:"id" help:"Ids of claims that have failed."`
	Failed       bool     `help:"All claims of the organisation that have failed."`
	Proofs       bool     `help:"All sealed credentials that wait for time-stamps or revocation data."`
}

// Run puts claims back into the queue. What is named twice or does not wait is told, and the
// rest is done all the same.
func (c queueRetryCommand) Run(ctx context.Context, s *Settings, out streams) error {
	if len(c.IDs) == 0 && !c.Failed && !c.Proofs {
		return errors.New("say what to retry: ids of claims, --failed, or --proofs")
	}
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		var errs []error
		done := 0
		if c.Failed {
			n, err := desk.RetryFailed(ctx, o.ID, operator)
			if err != nil {
				return err
			}
			done += n
		}
		for _, id := range c.IDs {
			switch err := desk.Retry(ctx, o.ID, id, operator); {
			case errors.Is(err, issuance.ErrState):
				errs = append(errs, fmt.Errorf("claim %s has not failed", id))
			case err != nil:
				errs = append(errs, about("claim", id, "queue list", err))
			default:
				done++
			}
		}
		if len(c.IDs) > 0 || c.Failed {
			out.printf("%d claims are in the queue again.\n", done)
		}
		if c.Proofs {
			n, err := desk.RetryProofs(ctx, o.ID, operator)
			if err != nil {
				return errors.Join(append(errs, err)...)
			}
			out.printf("%d sealed credentials are tried again at once.\n", n)
		}
		return errors.Join(errs...)
	})
}
