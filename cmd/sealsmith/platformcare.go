package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// onePlatform is what the commands about one platform have in common.
type onePlatform struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the platform."`
}

// with finds the platform of the command.
func (c onePlatform) with(ctx context.Context, s *Settings, do func(*ltistore.Store, lti.Registration) error) error {
	return s.withOrganisation(ctx, c.Organisation, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		store := ltistore.New(db, time.Now)
		r, err := store.Registration(ctx, o.ID, c.ID)
		if err != nil {
			return fmt.Errorf("platform %s of %s: %w", c.ID, o.Slug, err)
		}
		return do(store, r)
	})
}

// change brings the platform from one state to another.
func (c onePlatform) change(ctx context.Context, s *Settings, from, to lti.Status, then func(lti.Registration)) error {
	return c.with(ctx, s, func(store *ltistore.Store, r lti.Registration) error {
		if r.Status != from {
			return fmt.Errorf("platform %s is %s", r.ID, state(r))
		}
		if err := store.SetStatus(ctx, r.OrganisationID, r.ID, to, operator); err != nil {
			return fmt.Errorf("platform %s: %w", r.ID, err)
		}
		then(r)
		return nil
	})
}

const operator = "operator" // in the audit trail

// state says how a platform is.
func state(r lti.Registration) string {
	if r.Status == lti.StatusPending {
		return "waits for confirmation"
	}
	return string(r.Status)
}

// exceptions are the settings as text, empty when there are none.
func exceptions(s lti.Settings) string {
	text, err := json.Marshal(s)
	if err != nil || string(text) == "{}" {
		return ""
	}
	return string(text)
}

type platformsConfirmCommand struct{ onePlatform }

// Run confirms the platform.
func (c platformsConfirmCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.change(ctx, s, lti.StatusPending, lti.StatusActive, func(r lti.Registration) {
		out.printf("Confirmed platform %s: %s may bring people in.\n", r.ID, r.Issuer)
		if foreign := r.ForeignHosts(); len(foreign) > 0 {
			out.printf("Its keys, tokens or logins come from other hosts than the issuer: %s. If that surprises you: sealsmith platforms pause %s\n", strings.Join(foreign, ", "), r.ID)
		}
		if i, ok := lti.ManualInstructions(r.Quirks().Family, lti.ToolAddresses{}); ok {
			out.printf("\nWhat the administrator of the LMS may still have to do:\n")
			for _, step := range i.After {
				out.printf("  %s\n", step)
			}
		}
	})
}

type platformsPauseCommand struct{ onePlatform }

// Run pauses the platform.
func (c platformsPauseCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.change(ctx, s, lti.StatusActive, lti.StatusPaused, func(r lti.Registration) {
		out.printf("Paused platform %s. Nobody comes in through it until: sealsmith platforms resume %s\n", r.ID, r.ID)
	})
}

type platformsResumeCommand struct{ onePlatform }

// Run ends the pause.
func (c platformsResumeCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.change(ctx, s, lti.StatusPaused, lti.StatusActive, func(r lti.Registration) {
		out.printf("Platform %s is active again.\n", r.ID)
	})
}

type platformsApproveCommand struct {
	onePlatform
	Deployment []string `required:"" sep:"none" help:"Deployment id, exactly; may be given several times."`
}

// Run approves deployments.
func (c platformsApproveCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.with(ctx, s, func(store *ltistore.Store, r lti.Registration) error {
		for _, d := range c.Deployment {
			if err := store.ApproveDeployment(ctx, r.OrganisationID, r.ID, d, operator); err != nil {
				return fmt.Errorf("approve deployment %q: %w", d, err)
			}
			out.printf("Approved deployment %s.\n", d)
		}
		return nil
	})
}

type platformsSetCommand struct {
	onePlatform
	Host            []string `help:"Further host of the platform, of its services and pages; .example.edu stands for all below. Replaces the hosts that were named before; an empty one removes them."`
	PrivateHost     []string `help:"Host that may have an address in a private network: an LMS on the premises. It opens that network to what the LMS asks this server to fetch. Replaces, as --host."`
	Algorithm       []string `help:"Algorithm that id_tokens may be signed with, beside others named: RS256 to RS512, ES256 to ES512. Replaces, as --host."`
	Skew            *int     `help:"Difference of the clocks that is tolerated, in seconds, at most 180; 0 is 60." placeholder:"SECONDS"`
	TrustedAudience []string `help:"What may stand in aud beside our client id. Replaces, as --host."`
	TrustedAZP      []string `name:"trusted-azp" help:"What may stand in azp instead of our client id. Replaces, as --host."`
	Deployments     string   `help:"New deployments: ask waits for approval, auto does not, default is as the product requires." enum:",ask,auto,default" default:""`
}

// Run changes the settings.
func (c platformsSetCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.with(ctx, s, func(store *ltistore.Store, r lti.Registration) error {
		settings := c.onto(r.Settings)
		if exceptions(settings) != exceptions(r.Settings) {
			if err := store.SetSettings(ctx, r.OrganisationID, r.ID, settings, operator); err != nil {
				return fmt.Errorf("platform %s: %w", r.ID, err)
			}
		}
		if c.PrivateHost != nil {
			settings.PrivateHosts = named(c.PrivateHost)
			if err := store.SetPrivateHosts(ctx, r.OrganisationID, r.ID, settings.PrivateHosts, operator); err != nil {
				return fmt.Errorf("platform %s: %w", r.ID, err)
			}
		}
		text := exceptions(settings)
		if text == "" {
			text = "none"
		}
		out.printf("Exceptions of platform %s: %s\n", r.ID, text)
		return nil
	})
}

// onto changes what the command names.
func (c platformsSetCommand) onto(s lti.Settings) lti.Settings {
	for _, list := range []struct {
		given []string
		into  *[]string
	}{{c.Host, &s.Hosts}, {c.Algorithm, &s.Algorithms}, {c.TrustedAudience, &s.TrustedAudiences}, {c.TrustedAZP, &s.TrustedAZP}} {
		if list.given != nil {
			*list.into = named(list.given)
		}
	}
	if c.Skew != nil {
		s.ClockSkew = *c.Skew
	}
	switch c.Deployments {
	case "ask", "auto":
		s.Deployments = lti.DeploymentPolicy(c.Deployments)
	case "default":
		s.Deployments = ""
	}
	return s
}

// named leaves out the empty entries, by which a list is emptied.
func named(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
}
