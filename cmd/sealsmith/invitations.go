package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

type platformsInviteCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	Name         string `help:"Name of the platform, for people. Default: the host of the LMS."`
	Days         int    `help:"How long the address is good for." default:"7"`
}

const maxInviteDays = 90

// Run makes the invitation.
func (c platformsInviteCommand) Run(ctx context.Context, s *Settings, out streams) error {
	if c.Days < 1 || c.Days > maxInviteDays {
		return fmt.Errorf("--days must be 1 to %d, not %d", maxInviteDays, c.Days)
	}
	public, err := s.publicURL()
	if err != nil {
		return err
	}
	return s.withOrganisation(ctx, c.Organisation, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		life := time.Duration(c.Days) * 24 * time.Hour
		ticket, err := ltistore.New(db, time.Now).Invite(ctx, o.ID, c.Name, operator, life)
		if err != nil {
			return err
		}
		out.printf("Invitation of %s, for one LMS, good for %d days. The address is shown this once:\n\n  %s\n\n", o.Slug, c.Days, public.JoinPath("lti", "register", ticket))
		out.printf("Where the administrator of the LMS pastes it:\n")
		t := newTable(out.out)
		for _, i := range lti.AllInstructions(lti.AddressesOf(public, "")) {
			where := i.Register
			if where == "" {
				where = "by hand: sealsmith platforms instructions --lms " + i.Family
			}
			t.row("  "+i.Name, where)
		}
		if err := t.Flush(); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		out.printf("\nWhat registers with it waits until: sealsmith platforms confirm ID (sealsmith platforms list)\n")
		return nil
	})
}

type platformsInvitationsCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	Revoke       string `help:"Withdraw the invitation with this id." placeholder:"ID"`
}

// Run lists invitations, or withdraws one.
func (c platformsInvitationsCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withOrganisation(ctx, c.Organisation, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		store := ltistore.New(db, time.Now)
		if c.Revoke != "" {
			if err := store.RevokeInvitation(ctx, o.ID, c.Revoke, operator); err != nil {
				return err
			}
			out.printf("Withdrew invitation %s.\n", c.Revoke)
			return nil
		}
		open, err := store.Invitations(ctx, o.ID)
		if err != nil {
			return err
		}
		if len(open) == 0 {
			out.printf("No invitation is open: sealsmith platforms invite --help\n")
			return nil
		}
		t := newTable(out.out, "ID", "NAME", "BY", "GOOD UNTIL")
		for _, i := range open {
			t.row(i.ID, i.Name, i.CreatedBy, i.ExpiresAt.Format(time.DateTime+" MST"))
		}
		return t.Flush()
	})
}

type platformsInstructionsCommand struct {
	LMS string `name:"lms" required:"" help:"moodle, canvas, brightspace, blackboard, sakai, ilias or openedx." placeholder:"NAME"`
}

// Run prints the instructions.
func (c platformsInstructionsCommand) Run(s *Settings, out streams) error {
	public, err := s.publicURL()
	if err != nil {
		return err
	}
	i, ok := lti.ManualInstructions(c.LMS, lti.AddressesOf(public, ""))
	if !ok {
		var known []string
		for _, i := range lti.AllInstructions(lti.ToolAddresses{}) {
			known = append(known, i.Family)
		}
		return errors.New("there are instructions for " + strings.Join(known, ", ") + " only; any other LMS needs the same values: sealsmith platforms show")
	}
	out.printf("%s: %s\n\n", i.Name, i.Where)
	t := newTable(out.out)
	for _, f := range i.Fields {
		for n, line := range strings.Split(f.Value, "\n") {
			label := "  " + f.Label
			if n > 0 {
				label = ""
			}
			t.row(label, line)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	out.printf("\nThen register it here: sealsmith platforms add, with what %s shows:\n", i.Name)
	t = newTable(out.out)
	for _, r := range i.Returns {
		t.row("  "+r.Flag, r.Label)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	out.printf("\nAfterwards:\n")
	for _, step := range i.After {
		out.printf("  %s\n", step)
	}
	return nil
}
