package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/csvfile"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/fetch"
)

// draftFlags are those of commands that make a batch.
type draftFlags struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	Activity     string `required:"" help:"Id of the activity, as batches activities lists it."`
	Title        string `required:"" help:"What the batch is called in lists and in the report."`
	NotBefore    string `help:"Day (2006-01-02, from 0:00 UTC) before which nothing is done. Learners see it."`
	DryRun       bool   `help:"Show what would be done, and drop the batch again."`
	JSON         bool   `name:"json" help:"Print JSON."`
}

var errNotBefore = errors.New("--not-before takes a day from today on, written as 2026-12-04")

func (f draftFlags) order(ctx context.Context, b workbench) (batch.Order, error) {
	a, err := b.grading.Attachment(ctx, b.org.ID, f.Activity)
	if err != nil {
		return batch.Order{}, fmt.Errorf("activity %s: %w", f.Activity, err)
	}
	o := batch.Order{Attachment: a, Title: f.Title, By: operator}
	if f.NotBefore == "" {
		return o, nil
	}
	o.StartsAt, err = time.Parse(time.DateOnly, f.NotBefore)
	if err != nil || o.StartsAt.Before(time.Now().UTC().Truncate(24*time.Hour)) {
		return o, errNotBefore
	}
	return o, nil
}

// shown prints the draft, and says how to confirm it or drops it.
func (f draftFlags) shown(ctx context.Context, b workbench, draft batch.Batch, out streams) error {
	if err := b.show(ctx, out, draft, f.JSON); err != nil {
		return err
	}
	if f.DryRun {
		_, err := b.batches.Cancel(ctx, draft.OrganisationID, draft.ID, operator)
		return err
	}
	if f.JSON {
		return nil
	}
	n, err := b.batches.Counts(ctx, draft.OrganisationID, draft.ID)
	if err != nil {
		return err
	}
	of := ofOrganisation(f.Organisation)
	if n.ToDo == 0 {
		out.printf("\nNothing would be done. Why, row by row: sealsmith batches report %s%s\n", draft.ID, of)
		return nil
	}
	out.printf("\nNothing is done yet. Look at all rows: sealsmith batches report %s%s\nThen: sealsmith batches confirm %s %s%s\n", draft.ID, of, draft.ID, draft.Digest, of)
	return nil
}

// people are the learners of the course of an activity, as its platform tells them now.
func (s *Settings) people(ctx context.Context, b workbench, a grading.Attachment, out streams) (csvfile.People, error) {
	if a.MembershipsURL == "" {
		return csvfile.Nobody("The learning platform has not shared who is in the course; open the activity there once, as a teacher."), nil
	}
	store, err := s.openKeys(ctx, b.db) // a token request is signed
	if err != nil {
		return csvfile.People{}, err
	}
	r, err := store.Registration(ctx, b.org.ID, a.RegistrationID)
	if err != nil {
		return csvfile.People{}, err
	}
	public, err := s.publicURL()
	if err != nil {
		return csvfile.People{}, err
	}
	clients := fetch.NewClients(fetch.Config{AllowLoopback: loopback(public.Hostname())})
	services, err := lti.NewServices(lti.ServiceDeps{
		Keys: store, HTTP: func(r lti.Registration) *http.Client { return clients.For(r.Settings.PrivateHosts) },
		Now: time.Now, Rand: rand.Reader, Logger: newLogger(out.err, s.level()),
	})
	if err != nil {
		return csvfile.People{}, err
	}
	list, err := services.Members(ctx, r, a.MembershipsURL, lti.MemberQuery{})
	if refused, is := errors.AsType[*lti.ServiceError](err); is {
		return csvfile.Nobody(refused.Sentence()), nil
	}
	return csvfile.Learners(list), err
}

type batchesAwardCommand struct{ draftFlags }

// Run makes the dry run of an award.
func (c batchesAwardCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withBatches(ctx, c.Organisation, func(b workbench) error {
		order, err := c.order(ctx, b)
		if err != nil {
			return err
		}
		people, err := s.people(ctx, b, order.Attachment, out)
		if err != nil {
			return err
		}
		draft, err := b.batches.DraftAward(ctx, order, people)
		if err != nil {
			return err
		}
		return c.shown(ctx, b, draft, out)
	})
}

type batchesImportCommand struct {
	draftFlags

	Award   bool    `help:"Award at once to who has reached what is asked. Else they can claim."`
	Maximum float64 `help:"Most that can be reached, for rows that do not say it; 100 if not given."`
	File    string  `arg:"" help:"CSV file; - reads standard input."`
}

// Run makes the dry run of an import.
func (c batchesImportCommand) Run(ctx context.Context, s *Settings, out streams) error {
	file, err := readLimited(c.File)
	if err != nil {
		return err
	}
	return s.withBatches(ctx, c.Organisation, func(b workbench) error {
		order, err := c.order(ctx, b)
		if err != nil {
			return err
		}
		people, err := s.people(ctx, b, order.Attachment, out)
		if err != nil {
			return err
		}
		if people.Why != "" {
			standing, err := b.grading.Standing(ctx, b.org.ID, order.Attachment.ID)
			if err != nil {
				return err
			}
			for _, d := range standing {
				people = people.With(d.Learner)
			}
		}
		table, err := csvfile.Read(file, csvfile.Options{People: people, Maximum: c.Maximum, Now: time.Now()})
		if err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
		if !c.JSON {
			for _, remark := range table.Remarks {
				out.printf("%s\n", remark)
			}
		}
		draft, err := b.batches.DraftImport(ctx, order, batch.Import{FileName: filepath.Base(c.File), Table: table, Award: c.Award})
		if err != nil {
			return err
		}
		return c.shown(ctx, b, draft, out)
	})
}

// readLimited reads a file, or standard input, a little further than may be used.
func readLimited(path string) ([]byte, error) {
	from := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read the file of results: %w", err)
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	file, err := io.ReadAll(io.LimitReader(from, csvfile.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the file of results: %w", err)
	}
	return file, nil
}

// oneBatch names one batch.
type oneBatch struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the batch."`
}

func (c oneBatch) do(ctx context.Context, s *Settings, do func(b workbench, one batch.Batch) error) error {
	return s.withBatches(ctx, c.Organisation, func(b workbench) error {
		one, err := b.batches.Batch(ctx, b.org.ID, c.ID)
		if err != nil {
			return fmt.Errorf("batch %s: %w", c.ID, err)
		}
		return do(b, one)
	})
}

type batchesConfirmCommand struct {
	oneBatch

	Digest string `arg:"" help:"SHA-256 over what was shown, as award, import and show print it."`
}

// Run confirms a batch.
func (c batchesConfirmCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.do(ctx, s, func(b workbench, one batch.Batch) error {
		one, err := b.batches.Confirm(ctx, one.OrganisationID, one.ID, c.Digest, operator)
		if err != nil {
			return err
		}
		n, err := b.batches.Counts(ctx, one.OrganisationID, one.ID)
		if err != nil {
			return err
		}
		out.printf("Batch %s runs: %d rows. A running server works through them.\n", one.ID, n.ToDo)
		return nil
	})
}

type batchesShowCommand struct {
	oneBatch

	JSON bool `name:"json" help:"Print JSON."`
}

// Run shows a batch.
func (c batchesShowCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.do(ctx, s, func(b workbench, one batch.Batch) error { return b.show(ctx, out, one, c.JSON) })
}

type batchesPauseCommand struct {
	oneBatch

	Words string `arg:"" optional:"" help:"Why, for everybody who waits."`
}

// Run pauses a batch.
func (c batchesPauseCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.do(ctx, s, func(b workbench, one batch.Batch) error {
		if err := b.desk.Pause(ctx, issuance.Pause{OrganisationID: one.OrganisationID, BatchID: one.ID, Words: c.Words, By: operator}); err != nil {
			return err
		}
		out.printf("Batch %s is paused; what has begun is finished.\n", one.ID)
		return nil
	})
}

type batchesResumeCommand struct{ oneBatch }

// Run lets a batch go on.
func (c batchesResumeCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.do(ctx, s, func(b workbench, one batch.Batch) error {
		if err := b.desk.Resume(ctx, one.OrganisationID, one.ID, operator); err != nil {
			return err
		}
		out.printf("Batch %s goes on.\n", one.ID)
		return nil
	})
}

type batchesCancelCommand struct{ oneBatch }

// Run cancels a batch.
func (c batchesCancelCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.do(ctx, s, func(b workbench, one batch.Batch) error {
		if _, err := b.batches.Cancel(ctx, one.OrganisationID, one.ID, operator); err != nil {
			return err
		}
		out.printf("Batch %s is cancelled. What it has done stays done.\n", one.ID)
		return nil
	})
}

type batchesReportCommand struct{ oneBatch }

// Run prints the report.
func (c batchesReportCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return c.do(ctx, s, func(b workbench, one batch.Batch) error {
		return b.batches.WriteReport(ctx, one.OrganisationID, one.ID, out.out)
	})
}

// sortedWords are the causes, the most frequent first.
func sortedWords(why map[string]int) []string {
	return slices.SortedFunc(maps.Keys(why), func(x, y string) int { return cmp.Or(why[y]-why[x], cmp.Compare(x, y)) })
}
