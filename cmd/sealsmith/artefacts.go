package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/sealsmith/sealsmith/cmd/sealsmith/web"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/s3store"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// artefactQuiet is how long what is made stays in the database at least: it is read most, and
// added to, in its first minutes.
const artefactQuiet = 5 * time.Minute

// openObjects opens the object store of the settings; without one the store is nil. It does
// not connect.
func (s *Settings) openObjects() (objects issuance.Objects, keep bool, err error) {
	if s.Artefacts == "" {
		return nil, false, nil
	}
	at, err := s3store.ParseAddress(s.Artefacts)
	if err != nil {
		return nil, false, fmt.Errorf("--artefacts: %w", err)
	}
	keys := s3store.Keys{AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
	if s.StoreKeys != "" {
		if keys, err = s3store.ReadKeys(s.StoreKeys); err != nil {
			return nil, false, fmt.Errorf("--artefact-keys: %w", err)
		}
	}
	store, err := s3store.Open(at, keys)
	if err != nil {
		return nil, false, fmt.Errorf("--artefacts: %w", err)
	}
	return store, at.Keep, nil
}

// carrier is what carries artefacts in this process.
func (a *app) carrier() *issuance.Artefacts {
	return &issuance.Artefacts{
		DB: a.db, Objects: a.objects, Now: time.Now, Logger: a.logger, Keep: a.keepArtefacts, Quiet: artefactQuiet, Every: 15 * time.Second, Parallel: 8,
	}
}

// carry moves artefacts to the object store until ctx ends.
func (a *app) carry(ctx context.Context) { a.carrier().Run(ctx) }

// objectStore says for /readyz how the object store is; none is no part.
func (a *app) objectStore(ctx context.Context) []web.Component {
	if a.objects == nil {
		return nil
	}
	const most = 10_000
	store := part("object store", a.objects.Ping(ctx))
	if !store.OK {
		store.Words = "sealing goes on and what is made stays in the database; files that were carried cannot be read: " + store.Words
	}
	waiting, err := a.carrier().Waiting(ctx, most)
	switch {
	case err != nil || waiting == 0 || a.keepArtefacts:
	case waiting == most:
		store.Words += fmt.Sprintf("; %d files and more wait to be carried", most)
	default:
		store.Words += fmt.Sprintf("; %d files wait to be carried", waiting)
	}
	return []web.Component{store}
}

type artefactsCommand struct {
	Status artefactsStatusCommand `cmd:"" help:"Count where the files are: in the database or in the object store. Reads all rows."`
	Move   artefactsMoveCommand   `cmd:"" help:"Carry files to the object store or back to the database, beside running servers; may be stopped and started again."`
	Verify artefactsVerifyCommand `cmd:"" help:"Read every file and compare it with hashes and seals. Exit 0 whole, 1 damaged, 2 not readable."`
	Erase  artefactsEraseCommand  `cmd:"" help:"Erase the files of a credential, and the name in its claim, for good."`
}

// withArtefacts opens database and object store.
func (s *Settings) withArtefacts(ctx context.Context, out streams, do func(a *issuance.Artefacts) error) error {
	objects, keep, err := s.openObjects()
	if err != nil {
		return err
	}
	return s.withDatabase(ctx, func(db *sqldb.DB) error {
		return do(&issuance.Artefacts{DB: db, Objects: objects, Now: time.Now, Logger: newLogger(out.err, s.level()), Keep: keep, Parallel: 8})
	})
}

type artefactsStatusCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run counts.
func (c artefactsStatusCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withArtefacts(ctx, out, func(a *issuance.Artefacts) error {
		status, err := a.Status(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return out.printJSON(status)
		}
		t := newTable(out.out, "FILES", "DATABASE", "OBJECTS", "BYTES OF OBJECTS")
		for _, n := range status.Counts {
			t.row(string(n.Kind), fmt.Sprint(n.Database), fmt.Sprint(n.Objects), fmt.Sprint(n.ObjectsBytes))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if status.Leftovers > 0 {
			out.printf("%d objects are not needed any more; sealsmith serve and worker delete them.\n", status.Leftovers)
		}
		if status.Erased > 0 {
			out.printf("The files of %d credentials were erased.\n", status.Erased)
		}
		if a.Objects != nil {
			out.printf("The object store %s.\n", plain(part("", a.Objects.Ping(ctx)).Words))
		}
		return nil
	})
}

type artefactsMoveCommand struct {
	To     string `help:"objects or database." enum:"objects,database" required:""`
	Limit  int    `help:"How many files at most; 0: all." default:"0"`
	DryRun bool   `help:"Say what would be carried, and carry nothing."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Run carries.
func (c artefactsMoveCommand) Run(ctx context.Context, s *Settings, out streams) error {
	if c.Limit < 0 {
		return errors.New("--limit must be 0 or more")
	}
	return s.withArtefacts(ctx, out, func(a *issuance.Artefacts) error {
		if a.Objects == nil {
			return errors.New("no object store is set up: name it with --artefacts or SEALSMITH_ARTEFACTS")
		}
		if c.To == "database" && !a.Keep {
			return errors.New("running servers would carry the files to the object store again: add move=no to SEALSMITH_ARTEFACTS of all servers and workers, restart them, then run this with the same address")
		}
		if c.DryRun {
			return c.dry(ctx, a, out)
		}
		begun := time.Now()
		a.Progress = func(sum issuance.Carried) {
			fmt.Fprintf(out.err, "%d files, %d bytes, %.0f a second\n", sum.Artefacts, sum.Bytes, float64(sum.Artefacts)/time.Since(begun).Seconds())
		}
		carry := a.ToObjects
		if c.To == "database" {
			carry = a.ToDatabase
		}
		done, err := carry(ctx, c.Limit)
		if err == nil {
			_, err = a.Tidy(ctx)
		}
		if err == nil && done.Damaged > 0 {
			err = fmt.Errorf("%d files are damaged and stay where they are: sealsmith artefacts verify names them", done.Damaged)
		}
		if err != nil {
			return fmt.Errorf("%d files were carried; %w", done.Artefacts, err)
		}
		return c.print(out, done)
	})
}

func (c artefactsMoveCommand) print(out streams, done issuance.Carried) error {
	if c.JSON {
		return out.printJSON(done)
	}
	out.printf("%d files were carried, %d bytes.\n", done.Artefacts, done.Bytes)
	return nil
}

// dry counts what would be carried.
func (c artefactsMoveCommand) dry(ctx context.Context, a *issuance.Artefacts, out streams) error {
	most := c.Limit
	if most == 0 {
		most = math.MaxInt32
	}
	n := 0
	var err error
	if c.To == "objects" {
		n, err = a.Waiting(ctx, most)
	} else {
		var status issuance.ArtefactStatus
		status, err = a.Status(ctx)
		for _, kind := range status.Counts {
			n += int(kind.Objects)
		}
		n = min(n, most)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return out.printJSON(map[string]int{"would_carry": n})
	}
	out.printf("%d files would be carried to the %s. Nothing was changed.\n", n, map[string]string{"objects": "object store", "database": "database"}[c.To])
	return nil
}

type artefactsVerifyCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run reads everything.
func (c artefactsVerifyCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withArtefacts(ctx, out, func(a *issuance.Artefacts) error {
		report, err := a.Verify(ctx)
		if err != nil {
			fmt.Fprintln(out.err, "sealsmith:", err)
			return exitCode(2)
		}
		if c.JSON {
			if err := out.printJSON(report); err != nil {
				return err
			}
		} else {
			c.print(out, report)
		}
		if len(report.Faults) > 0 {
			return exitCode(1)
		}
		return nil
	})
}

func (c artefactsVerifyCommand) print(out streams, report issuance.ArtefactReport) {
	for _, f := range report.Faults {
		where := "in the database"
		if f.Object != "" {
			where = "object " + f.Object
		}
		out.printf("DAMAGED: %s of credential %s, %s: %s\n", f.Kind, f.CredentialID, where, plain(f.Words))
	}
	for _, name := range report.Strangers {
		out.printf("No row names the object %s.\n", plain(name))
	}
	if len(report.Faults) == 0 {
		out.printf("All %d files are whole, %d bytes.\n", report.Checked, report.Bytes)
		return
	}
	out.printf("%d of %d files are damaged. Restore them from a backup of the database or the object store; nothing of them is given out until then.\n", len(report.Faults), report.Checked)
}

type artefactsEraseCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the credential, or the address of its public page."`
	Yes          bool   `help:"Erase. Without it nothing is done, and what would be erased is said."`
}

// Run erases.
func (c artefactsEraseCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		now, err := desk.Find(ctx, o.ID, c.ID)
		if err != nil {
			return about("credential", c.ID, "credentials list", err)
		}
		if !c.Yes {
			out.printf("The sealed file and the PDF of credential %s, sealed %s, would be gone for good, here and for everybody who asks this server; files that its holder has stay valid.\nTo erase them add --yes.\n",
				now.CredentialID, now.SealedAt.Format(time.DateOnly))
			return nil
		}
		return s.withArtefacts(ctx, out, func(a *issuance.Artefacts) error {
			if err := a.Erase(ctx, o.ID, now.CredentialID, "operator"); err != nil {
				return about("credential", c.ID, "credentials list", err)
			}
			out.printf("The files of credential %s are erased. Objects in the object store are deleted within minutes by sealsmith serve and worker; backups keep them as long as backups are kept.\n", now.CredentialID)
			return nil
		})
	})
}
