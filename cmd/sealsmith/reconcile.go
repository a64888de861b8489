package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/sealbook"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// reconcileCommand compares the seal books with a database that was restored.
type reconcileCommand struct {
	Books  []string `arg:"" optional:"" name:"file" help:"Seal books of further machines with workers; that of this one is always read." type:"existingfile"`
	DryRun bool     `help:"Say what would be done, and do nothing."`
	GoOn   bool     `help:"Let sealing go on although credentials are left that cannot be brought back."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

// reconciled is the result.
type reconciled struct {
	Known    int      `json:"known"`
	Recalled int      `json:"recalled"`
	NoClaim  []string `json:"no_claim,omitempty"`         // ids of credentials
	Other    []string `json:"other_credential,omitempty"` // ids of credentials

	NoCorrection []string `json:"no_correction,omitempty"` // ids of credentials
	GoesOn       bool     `json:"goes_on"`
	Paused       bool     `json:"paused"` // by a person, which goes on
}

// Run brings back what can be, and ends the pause when nothing is left or the operator says so.
func (c reconcileCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDatabase(ctx, func(db *sqldb.DB) error {
		desk := issuance.NewDesk(db, swept{}, time.Now, slog.New(slog.DiscardHandler))
		result, err := c.reconcile(ctx, desk, *s.book())
		if err != nil {
			return err
		}
		if c.JSON {
			err = out.printJSON(result)
		} else {
			c.print(out, result)
		}
		if err == nil && !result.GoesOn && !c.DryRun {
			err = exitCode(1)
		}
		return err
	})
}

func (c reconcileCommand) reconcile(ctx context.Context, desk *issuance.Desk, own sealbook.Book) (reconciled, error) {
	var result reconciled
	seen := map[string]bool{}
	books := []sealbook.Book{own}
	for _, path := range c.Books {
		book := sealbook.Book{Path: path}
		if err := book.Check(); err != nil {
			return result, err
		}
		books = append(books, book)
	}
	for _, book := range books {
		err := book.Each(func(n sealbook.Note) error {
			if seen[n.CredentialID] {
				return nil
			}
			seen[n.CredentialID] = true
			outcome, err := desk.Recall(ctx, n, "operator", c.DryRun)
			switch outcome {
			case issuance.RecallKnown:
				result.Known++
			case issuance.RecallDone:
				result.Recalled++
			case issuance.RecallNoClaim:
				result.NoClaim = append(result.NoClaim, n.CredentialID)
			case issuance.RecallOther:
				result.Other = append(result.Other, n.CredentialID)
			case issuance.RecallNoCorrection:
				result.NoCorrection = append(result.NoCorrection, n.CredentialID)
			}
			return err
		})
		if err != nil {
			return result, err
		}
	}
	if c.DryRun || len(result.NoClaim)+len(result.Other)+len(result.NoCorrection) > 0 && !c.GoOn {
		return result, nil
	}
	if c.GoOn {
		if err := own.Add(sealbook.Note{At: time.Now().UTC(), Reconciled: true}); err != nil {
			return result, err
		}
	}
	result.GoesOn = true
	var err error
	result.Paused, err = goOn(ctx, desk)
	return result, err
}

// goOn ends the pause that a worker has begun. Those that people have begun stay.
func goOn(ctx context.Context, desk *issuance.Desk) (others bool, err error) {
	all, err := desk.Pauses(ctx, "")
	if err != nil {
		return false, err
	}
	for _, p := range all {
		if p.OrganisationID != "" || p.BatchID != "" || p.By != issuance.WorkerPaused {
			others = true
			continue
		}
		if err := desk.Resume(ctx, "", "", operator); err != nil {
			return others, err
		}
	}
	return others, nil
}

func (c reconcileCommand) print(out streams, r reconciled) {
	out.printf("%d credentials of the seal books are in the database.\n", r.Known)
	verb := "were brought back: their learners get the same credential again, with its id, link and date"
	if c.DryRun {
		verb = "would be brought back"
	}
	out.printf("%d %s.\n", r.Recalled, verb)
	list := func(ids []string, words string) {
		if len(ids) == 0 {
			return
		}
		out.printf("%d %s\n", len(ids), words)
		for _, id := range ids {
			out.printf("  %s\n", id)
		}
	}
	list(r.NoClaim, "have no claim yet. Claims are opened when grades are read, at the next launch or within ten minutes while sealsmith serve runs; then run this again:")
	list(r.NoCorrection, "are corrected ones, and the correction of the name is not in the database. Confirm it again, then run this again:")
	list(r.Other, "were sealed again under another id before this was noticed. Both files verify; withdraw one with sealsmith credentials revoke:")
	switch {
	case r.GoesOn && r.Paused:
		out.printf("Sealing goes on, but for what somebody has paused: sealsmith queue list says what.\n")
	case r.GoesOn:
		out.printf("Sealing goes on.\n")
	case !c.DryRun:
		out.printf("Sealing stays paused. With --go-on it goes on, and these learners may get a second credential.\n")
	}
}
