package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

type platformsCommand struct {
	Invite       platformsInviteCommand       `cmd:"" help:"Make an address with which an LMS registers itself (LTI Dynamic Registration), once."`
	Invitations  platformsInvitationsCommand  `cmd:"" help:"List open invitations, or withdraw one."`
	Instructions platformsInstructionsCommand `cmd:"" help:"Print how the tool is entered into an LMS by hand, field by field."`
	Add          platformsAddCommand          `cmd:"" help:"Register an LMS, and print what its administrator needs. Adding the same issuer and client id again updates it."`
	List         platformsListCommand         `cmd:"" help:"List registered platforms."`
	Show         platformsShowCommand         `cmd:"" help:"Show one platform, and what its administrator needs."`
	Check        platformsCheckCommand        `cmd:"" help:"Try key set, clock, access tokens and notices of a platform."`
	Confirm      platformsConfirmCommand      `cmd:"" help:"Let a platform in that registered itself."`
	Pause        platformsPauseCommand        `cmd:"" help:"Let nobody in through a platform for a while. Nothing is lost."`
	Resume       platformsResumeCommand       `cmd:"" help:"End a pause."`
	Approve      platformsApproveCommand      `cmd:"" help:"Let a deployment of a platform in."`
	Set          platformsSetCommand          `cmd:"" help:"Make exceptions for a platform. What is not named stays as it is."`
	Remove       platformsRemoveCommand       `cmd:"" help:"Remove a platform that nothing was issued through."`
	LTI11        platformsLTI11Command        `cmd:"" name:"lti11" help:"Consumer keys that a platform had under LTI 1.1."`
}

type platformsAddCommand struct {
	Organisation string   `help:"Slug; not needed while there is one organisation."`
	Name         string   `help:"Name for people. Default: the host of the issuer."`
	Issuer       string   `required:"" help:"Issuer, exactly as the LMS states it."`
	ClientID     string   `required:"" name:"client-id" help:"Client id that the LMS gave to the tool."`
	AuthURL      string   `required:"" name:"auth-url" help:"Authentication request URL (OIDC authorization endpoint)."`
	TokenURL     string   `required:"" name:"token-url" help:"Access token URL."`
	JWKSURL      string   `required:"" name:"jwks-url" help:"Public key set URL."`
	Audience     string   `help:"Audience of access token requests, where it is not the token URL (Brightspace)."`
	Deployment   []string `required:"" help:"Deployment id; may be given several times."`
}

// Run registers the platform.
func (c platformsAddCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withOrganisation(ctx, c.Organisation, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		name := c.Name
		if name == "" {
			name = strings.TrimPrefix(strings.TrimPrefix(c.Issuer, "https://"), "http://")
		}
		r, err := ltistore.New(db, time.Now).AddRegistration(ctx, lti.Registration{
			OrganisationID: o.ID, Name: name, Issuer: c.Issuer, ClientID: c.ClientID, AuthURL: c.AuthURL, TokenURL: c.TokenURL,
			JWKSURL: c.JWKSURL, TokenAudience: c.Audience, Deployments: c.Deployment,
		})
		if err != nil {
			return err
		}
		return s.printPlatform(out, o, r)
	})
}

func (s *Settings) printPlatform(out streams, o templates.Organisation, r lti.Registration) error {
	public, err := s.publicURL()
	if err != nil {
		return err
	}
	out.printf("Platform %s of %s\n", r.ID, o.Slug)
	t := newTable(out.out)
	for _, row := range [][2]string{
		{"name", r.Name},
		{"issuer", r.Issuer},
		{"client id", r.ClientID},
		{"authentication request URL", r.AuthURL},
		{"access token URL", r.TokenURL},
		{"public key set URL", r.JWKSURL},
		{"token audience", r.TokenAudience},
		{"deployments", strings.Join(r.Deployments, ", ")},
		{"deployments that wait", strings.Join(r.Pending, ", ")},
		{"state", state(r)},
		{"product", r.Quirks().Name},
		{"on other hosts than the issuer", strings.Join(r.ForeignHosts(), ", ")},
		{"exceptions", exceptions(r.Settings)},
	} {
		if row[1] != "" {
			t.row("  "+row[0], row[1])
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	out.printf("\nWhat the administrator of the LMS enters (LTI 1.3):\n")
	t = newTable(out.out)
	a := lti.AddressesOf(public, r.LoginKey)
	for _, row := range [][2]string{
		{"tool URL", a.Launch}, {"initiate login URL", a.Login}, {"redirection URI", a.Launch}, {"content selection URL (deep linking)", a.Launch}, {"public keyset URL", a.Keys},
	} {
		t.row("  "+row[0], row[1])
	}
	t.row("  services", "Assignment and Grade Services: read grades and manage own columns; share name: always")
	return t.Flush()
}

type platformsListCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
}

// Run lists platforms.
func (c platformsListCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withOrganisation(ctx, c.Organisation, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		all, err := ltistore.New(db, time.Now).AllRegistrations(ctx, o.ID)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			out.printf("No platform is registered yet: sealsmith platforms invite --help, or add --help\n")
			return nil
		}
		t := newTable(out.out, "ID", "NAME", "ISSUER", "CLIENT ID", "DEPLOYMENTS", "STATE")
		for _, r := range all {
			t.row(r.ID, r.Name, r.Issuer, r.ClientID, strings.Join(r.Deployments, ", "), state(r))
		}
		return t.Flush()
	})
}

type platformsShowCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the platform."`
}

// Run shows a platform.
func (c platformsShowCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withOrganisation(ctx, c.Organisation, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		r, err := ltistore.New(db, time.Now).Registration(ctx, o.ID, c.ID)
		if err != nil {
			return fmt.Errorf("platform %s of %s: %w", c.ID, o.Slug, err)
		}
		return s.printPlatform(out, o, r)
	})
}

type platformsRemoveCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the platform."`
}

// Run removes a platform.
func (c platformsRemoveCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withOrganisation(ctx, c.Organisation, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		if err := ltistore.New(db, time.Now).RemoveRegistration(ctx, o.ID, c.ID); err != nil {
			return fmt.Errorf("remove platform %s: %w", c.ID, err)
		}
		out.printf("Removed platform %s.\n", c.ID)
		return nil
	})
}
