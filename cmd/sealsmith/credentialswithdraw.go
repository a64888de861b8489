package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/templates"
)

type credentialsSuspendCommand struct {
	Organisation string   `help:"Slug; not needed while there is one organisation."`
	Reason       string   `help:"Why, as a code that everybody is told: ${enum}." enum:"awarded_in_error,wrong_person,wrong_content,misconduct,holder_request,other" required:""`
	Because      string   `help:"More words, for everybody who checks the credential and for its holder: name nobody. Needed with the reason other."`
	DryRun       bool     `help:"Say what would be done, and do nothing."`
	By           string   `help:"Your name, for the audit trail."`
	IDs          []string `arg:"" name:"id" help:"Ids of credentials, or addresses of their public pages."`
}

// Run suspends credentials.
func (c credentialsSuspendCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return (&withdrawing{act: issuance.ActSuspend, organisation: c.Organisation, reason: issuance.Reason(c.Reason), words: c.Because, names: c.IDs, dryRun: c.DryRun, by: c.By}).run(ctx, s, out)
}

type credentialsReinstateCommand struct {
	Organisation string   `help:"Slug; not needed while there is one organisation."`
	Because      string   `help:"Why, for the history that credentials show prints."`
	DryRun       bool     `help:"Say what would be done, and do nothing."`
	By           string   `help:"Your name, for the audit trail."`
	IDs          []string `arg:"" name:"id" help:"Ids of credentials, or addresses of their public pages."`
}

// Run reinstates credentials.
func (c credentialsReinstateCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return (&withdrawing{act: issuance.ActReinstate, organisation: c.Organisation, words: c.Because, names: c.IDs, dryRun: c.DryRun, by: c.By}).run(ctx, s, out)
}

// withdrawing is one act on several credentials.
type withdrawing struct {
	act          issuance.Act
	organisation string
	reason       issuance.Reason
	words        string
	names        []string
	dryRun       bool
	by           string
	waits        []string // ids that take two people
}

// run does it to each credential by itself. What is refused is told, and the rest is done all
// the same: whoever names a hundred and mistypes one need not wait with the others.
func (w *withdrawing) run(ctx context.Context, s *Settings, out streams) error {
	by, err := operatorName(w.by)
	if err != nil {
		return err
	}
	return s.withDesk(ctx, w.organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		order := issuance.Withdrawal{OrganisationID: o.ID, Reason: w.reason, Words: w.words, By: by}
		if err := order.Check(w.act); err != nil {
			return err
		}
		var errs []error
		done, seen := 0, map[string]bool{}
		for _, name := range w.names {
			now, err := desk.Find(ctx, o.ID, name)
			if err == nil && seen[now.CredentialID] {
				continue // by its id and by its page
			}
			seen[now.CredentialID] = true
			order.CredentialID = now.CredentialID
			if err == nil {
				err = w.one(ctx, desk, now, order, out)
			}
			if errors.Is(err, issuance.ErrSecondPerson) {
				w.waits = append(w.waits, now.CredentialID)
				continue
			}
			if err != nil {
				errs = append(errs, about("credential", name, "credentials list", err))
				continue
			}
			done++
		}
		if err := w.ask(ctx, desk, order, out); err != nil {
			errs = append(errs, byName(err))
		}
		if why := w.why(); why != "" {
			out.printf("Everybody who checks reads: %s\n", why)
		}
		switch {
		case w.dryRun:
			out.printf("Nothing was done: %d would be %s, %d would be refused.\n", done, w.act, len(errs))
		case len(w.waits) > 0:
			out.printf("%d %s, %d wait for a second person, %d refused.\n", done, w.act, len(w.waits), len(errs))
		default:
			out.printf("%d %s, %d refused.\n", done, w.act, len(errs))
		}
		return errors.Join(errs...)
	})
}

// one does it to one credential, or finds out whether it could be done.
func (w *withdrawing) one(ctx context.Context, desk *issuance.Desk, now issuance.Standing, order issuance.Withdrawal, out streams) error {
	if w.dryRun {
		if err := now.May(w.act); err != nil {
			return err
		}
		two := ""
		if w.act == issuance.ActRevoke {
			p, err := desk.Preview(ctx, issuance.Selection{OrganisationID: now.OrganisationID, IDs: []string{now.CredentialID}}, 0)
			if err != nil {
				return err
			}
			if p.Second {
				two = ", once a second person has confirmed it"
			}
		}
		out.printf("%s, sealed %s, %s: would be %s%s.\n", now.CredentialID, now.SealedAt.Format(time.DateOnly), say(now.InForce), w.act, two)
		return nil
	}
	do := map[issuance.Act]func(context.Context, issuance.Withdrawal) (issuance.Standing, error){
		issuance.ActRevoke: desk.Revoke, issuance.ActSuspend: desk.Suspend, issuance.ActReinstate: desk.Reinstate,
	}[w.act]
	after, err := do(ctx, order)
	if err != nil {
		return err
	}
	out.printf("%s, sealed %s, %s: is %s since %s.\n", now.CredentialID, now.SealedAt.Format(time.DateOnly), say(now.InForce), say(after.InForce), after.Since.Format(time.RFC3339))
	return nil
}

// ask makes one order of what takes two people.
func (w *withdrawing) ask(ctx context.Context, desk *issuance.Desk, order issuance.Withdrawal, out streams) error {
	if len(w.waits) == 0 {
		return nil
	}
	asked, err := desk.AskRevoke(ctx, issuance.Ask{
		Selection: issuance.Selection{OrganisationID: order.OrganisationID, IDs: w.waits}, Reason: order.Reason, Words: order.Words, By: order.By, Expect: len(w.waits),
	})
	if err != nil {
		w.waits = nil
		return fmt.Errorf("ask for a second person: %w", err)
	}
	sayWaiting(asked, out)
	return nil
}

// why is what people read about a withdrawal.
func (w *withdrawing) why() string {
	if w.act == issuance.ActReinstate {
		return ""
	}
	return issuance.Standing{Reason: w.reason, Words: w.words}.Because()
}
