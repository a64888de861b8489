package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/starter"
)

type organisationsCommand struct {
	Add  organisationsAddCommand  `cmd:"" help:"Add an organisation."`
	List organisationsListCommand `cmd:"" help:"List all organisations."`
	Seal organisationsSealCommand `cmd:"" help:"Say how the credentials of an organisation are sealed from now on."`

	Revoking organisationsRevokingCommand `cmd:"" help:"Say how many people it takes to revoke a credential of an organisation."`
}

type organisationsRevokingCommand struct {
	Slug   string `arg:"" help:"Short name of the organisation."`
	People int    `help:"2: somebody else has to confirm; 1: only where the template of the credential says so." enum:"1,2" required:""`
	By     string `help:"Your name, for the audit trail."`
}

// Run changes the rule for what is asked for from now on.
func (c organisationsRevokingCommand) Run(ctx context.Context, s *Settings, out streams) error {
	by, err := operatorName(c.By)
	if err != nil {
		return err
	}
	return s.withOrganisation(ctx, c.Slug, func(_ *sqldb.DB, store *templates.Store, o templates.Organisation) error {
		if err := store.SetSecondPerson(ctx, o.ID, c.People == 2, by); err != nil { //nolint:mnd // two people
			return err
		}
		if c.People == 1 {
			out.printf("One person revokes a credential of %s, unless its template asks for two. What waits goes on waiting.\n", o.Slug)
			return nil
		}
		out.printf("Revoking a credential of %s takes two people from now on.\n", o.Slug)
		return nil
	})
}

type organisationsSealCommand struct {
	Slug       string `arg:"" help:"Short name of the organisation."`
	Level      string `help:"JAdES level that each credential reaches: B, T, LT, LTA, or highest: what the server is set up for." enum:"B,T,LT,LTA,highest" required:""`
	LegacyTime bool   `help:"Write the time of sealing as sigT, for readers of before July 2025. Readers of today then see no baseline level."`
}

// Run changes how an organisation seals; what is sealed stays as it is.
func (c organisationsSealCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withOrganisation(ctx, c.Slug, func(_ *sqldb.DB, store *templates.Store, o templates.Organisation) error {
		policy := templates.SealPolicy{LegacyTime: c.LegacyTime}
		if c.Level != "highest" {
			policy.Level = templates.SealLevel(c.Level)
		}
		if err := store.SetSeal(ctx, o.ID, policy, "operator"); err != nil {
			return err
		}
		out.printf("Credentials of %s are sealed at level %s from now on; those that are sealed stay as they are.\n", o.Slug, c.Level)
		if policy.LegacyTime {
			out.printf("Their time stands in sigT: readers that follow the rules of today will not call them baseline.\n")
		}
		return nil
	})
}

type organisationsAddCommand struct {
	Slug         string `arg:"" help:"Short name, for addresses and commands: a-z, 0-9, hyphens."`
	Name         string `required:"" help:"Legal name."`
	Country      string `required:"" help:"Country, two letters (ISO 3166-1)."`
	Identifier   string `required:"" help:"organisationIdentifier as in an eSeal certificate, for example NTRNL-12345678."`
	Registration string `help:"Number in the national register."`
	Address      string `help:"Postal address in one line."`
	Homepage     string `help:"https address."`
	Email        string `help:"Address of the office."`
	Starters     bool   `help:"Give it the templates that come with Sealsmith." negatable:"" default:"true"`
}

// Run adds the organisation.
func (c organisationsAddCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDatabase(ctx, func(db *sqldb.DB) error {
		store := templates.NewStore(db, time.Now)
		o, err := store.AddOrganisation(ctx, templates.Organisation{
			Slug: c.Slug, Name: templates.Text{"en": c.Name}, Country: c.Country, Identifier: c.Identifier,
			Registration: c.Registration, Address: c.Address, Homepage: c.Homepage, Email: c.Email,
		})
		if err != nil {
			return err
		}
		if c.Starters {
			if err := addStarters(ctx, store, o.ID); err != nil {
				return err
			}
		}
		out.printf("Added organisation %s.\nNext: sealsmith platforms add --organisation %s --issuer … (see --help)\n", o.Slug, o.Slug)
		return nil
	})
}

// addStarters gives an organisation the templates that come with the program.
func addStarters(ctx context.Context, store *templates.Store, organisationID string) error {
	all, err := starter.All()
	if err != nil {
		return fmt.Errorf("read the starter templates: %w", err)
	}
	for _, t := range all {
		_, err := store.Add(ctx, organisationID, t.Slug, t.Content, "operator")
		if err != nil && !errors.Is(err, templates.ErrDuplicate) {
			return err
		}
	}
	return nil
}

type organisationsListCommand struct{}

// Run lists organisations.
func (organisationsListCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDatabase(ctx, func(db *sqldb.DB) error {
		all, err := templates.NewStore(db, time.Now).Organisations(ctx)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			out.printf("There is no organisation yet: sealsmith organisations add --help\n")
			return nil
		}
		t := newTable(out.out, "SLUG", "NAME", "COUNTRY", "IDENTIFIER", "SEAL", "REVOKING")
		for _, o := range all {
			people := "one person"
			if o.SecondPerson {
				people = "two people"
			}
			t.row(o.Slug, o.Name.In("en"), o.Country, o.Identifier, cmp.Or(string(o.Seal.Level), "highest"), people)
		}
		return t.Flush()
	})
}

type templatesCommand struct {
	List templatesListCommand `cmd:"" help:"List the templates of an organisation."`
	Show templatesShowCommand `cmd:"" help:"Print the newest version of a template as JSON."`
	Add  templatesAddCommand  `cmd:"" help:"Add a template from a JSON file, in the form that show prints."`
}

type templatesListCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
}

// Run lists templates.
func (c templatesListCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withOrganisation(ctx, c.Organisation, func(_ *sqldb.DB, store *templates.Store, o templates.Organisation) error {
		all, err := store.List(ctx, o.ID)
		if err != nil {
			return err
		}
		t := newTable(out.out, "ID", "TITLE", "VERSION", "ECTS", "EQF")
		for _, v := range all {
			t.row(v.TemplateID, v.Content.Title.In("en"), v.Number, v.Content.ECTS, v.Content.EQF)
		}
		return t.Flush()
	})
}

type templatesShowCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the template."`
}

// Run prints a template.
func (c templatesShowCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withOrganisation(ctx, c.Organisation, func(_ *sqldb.DB, store *templates.Store, o templates.Organisation) error {
		v, err := store.Newest(ctx, o.ID, c.ID)
		if err != nil {
			return err
		}
		encoder := json.NewEncoder(out.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v.Content)
	})
}

type templatesAddCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	Slug         string `arg:"" help:"Short name of the template."`
	File         string `arg:"" type:"existingfile" help:"JSON file."`
}

// Run adds a template.
func (c templatesAddCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withOrganisation(ctx, c.Organisation, func(_ *sqldb.DB, store *templates.Store, o templates.Organisation) error {
		file, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("open the template: %w", err)
		}
		defer file.Close()
		decoder := json.NewDecoder(io.LimitReader(file, 1<<20))
		decoder.DisallowUnknownFields()
		var content templates.Content
		if err := decoder.Decode(&content); err != nil {
			return fmt.Errorf("read the template %s: %w", c.File, err)
		}
		v, err := store.Add(ctx, o.ID, c.Slug, content, "operator")
		if err != nil {
			return err
		}
		out.printf("Added template %s: %s\n", v.TemplateID, content.Title.In("en"))
		return nil
	})
}

// withDatabase opens the database for a command and closes it.
func (s *Settings) withDatabase(ctx context.Context, do func(*sqldb.DB) error) error {
	db, err := s.openDatabase(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close())
}

// withOrganisation finds the organisation that a command is about: the named one, or the
// only one there is.
func (s *Settings) withOrganisation(ctx context.Context, slug string, do func(*sqldb.DB, *templates.Store, templates.Organisation) error) error {
	return s.withDatabase(ctx, func(db *sqldb.DB) error {
		store := templates.NewStore(db, time.Now)
		all, err := store.Organisations(ctx)
		if err != nil {
			return err
		}
		if slug == "" && len(all) == 1 {
			return do(db, store, all[0])
		}
		for _, o := range all {
			if o.Slug == slug {
				return do(db, store, o)
			}
		}
		switch {
		case len(all) == 0:
			return errors.New("there is no organisation yet: sealsmith organisations add --help")
		case slug == "":
			return errors.New("there are several organisations: name one with --organisation (sealsmith organisations list)")
		default:
			return fmt.Errorf("there is no organisation %q (sealsmith organisations list)", slug)
		}
	})
}

// about says which of many an error is about, and of one that is not there who lists those that are.
func about(what, id, list string, err error) error {
	if errors.Is(err, issuance.ErrNotFound) {
		return fmt.Errorf("%s %s: there is none in this organisation (sealsmith %s)", what, id, list)
	}
	return fmt.Errorf("%s %s: %w", what, id, err)
}

// ofOrganisation is the flag with which another command means the same organisation, behind a blank.
func ofOrganisation(slug string) string {
	if slug == "" {
		return ""
	}
	return " --organisation " + slug
}

// table aligns columns for people.
type table struct{ *tabwriter.Writer }

// newTable begins a table; without head it has none.
func newTable(w io.Writer, head ...any) table {
	t := table{tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)}
	if len(head) > 0 {
		t.row(head...)
	}
	return t
}

func (t table) row(cells ...any) {
	for i, cell := range cells {
		if i > 0 {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, cell)
	}
	fmt.Fprintln(t)
}
