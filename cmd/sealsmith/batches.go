package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

type batchesCommand struct {
	Activities batchesActivitiesCommand `cmd:"" help:"List the activities of courses to which a micro-credential is attached."`
	Award      batchesAwardCommand      `cmd:"" help:"Make a batch for all who have finished an activity and have not claimed. Nothing is awarded before it is confirmed."`
	Import     batchesImportCommand     `cmd:"" help:"Make a batch of a CSV file of results. Nothing is imported before it is confirmed."`
	Confirm    batchesConfirmCommand    `cmd:"" help:"Let a batch run, exactly as it was shown."`
	List       batchesListCommand       `cmd:"" help:"List batches, the newest first."`
	Show       batchesShowCommand       `cmd:"" help:"Show how far a batch is, and why learners are left out."`
	Pause      batchesPauseCommand      `cmd:"" help:"Keep a batch from going on."`
	Resume     batchesResumeCommand     `cmd:"" help:"Let a paused batch go on."`
	Cancel     batchesCancelCommand     `cmd:"" help:"End a batch. What it has done stays done."`
	Report     batchesReportCommand     `cmd:"" help:"Print every row of a batch with what came of it, as CSV."`
}

// workbench is what commands about batches work with.
type workbench struct {
	db      *sqldb.DB
	org     templates.Organisation
	grading *grading.Store
	desk    *issuance.Desk
	batches *batch.Store
}

func (s *Settings) withBatches(ctx context.Context, slug string, do func(workbench) error) error {
	return s.withOrganisation(ctx, slug, func(db *sqldb.DB, _ *templates.Store, o templates.Organisation) error {
		b := workbench{db: db, org: o, desk: newSweptDesk(db)}
		b.grading = grading.NewStore(db, b.desk, time.Now)
		b.batches = batch.NewStore(db, b.grading, b.desk, time.Now, slog.New(slog.DiscardHandler))
		return do(b)
	})
}

// shownBatch is a batch for operators.
type shownBatch struct {
	ID         string         `json:"id"`
	Kind       batch.Kind     `json:"kind"`
	Title      string         `json:"title"`
	State      batch.State    `json:"state"`
	Activity   string         `json:"activity"`
	Made       time.Time      `json:"made"`
	By         string         `json:"by"`
	Confirmed  string         `json:"confirmed_by,omitempty"`
	Pauses     []queuePause   `json:"pauses,omitempty"` // that hold it; the first has to end first
	StartsAt   time.Time      `json:"starts_at"`
	File       string         `json:"file,omitempty"`
	FileSHA256 string         `json:"file_sha256,omitempty"`
	Digest     string         `json:"digest"`
	Rows       int            `json:"rows"`
	ToDo       int            `json:"to_do"`
	Waiting    int            `json:"waiting"`
	Sealed     int            `json:"sealed"`
	Stopped    int            `json:"stopped"`
	Imported   int            `json:"imported_only"`
	Left       int            `json:"left_out"`
	Why        map[string]int `json:"why,omitempty"` // left out, by outcome
	Trouble    string         `json:"trouble,omitempty"`
}

func (b workbench) describe(ctx context.Context, one batch.Batch) (shownBatch, error) {
	n, err := b.batches.Counts(ctx, one.OrganisationID, one.ID)
	if err != nil {
		return shownBatch{}, err
	}
	out := shownBatch{
		ID: one.ID, Kind: one.Kind, Title: one.Title, State: one.State, Activity: one.AttachmentID, Made: one.CreatedAt.UTC(), By: one.CreatedBy, Confirmed: one.ConfirmedBy,
		StartsAt: one.StartsAt.UTC(), File: one.FileName, FileSHA256: one.FileSHA256, Digest: one.Digest,
		Rows: n.Rows, ToDo: n.ToDo, Waiting: n.Waiting, Sealed: n.Sealed, Stopped: n.Stopped, Imported: n.Kept, Left: n.Left, Why: map[string]int{}, Trouble: one.LastError,
	}
	if out.Pauses, err = b.pauses(ctx, one, n); err != nil {
		return shownBatch{}, err
	}
	for o, many := range n.By {
		switch o {
		case batch.ToDo, batch.Awarded, batch.Imported, batch.Completed:
		default:
			out.Why[o.Words()] = many
		}
	}
	return out, nil
}

// pauses are those that hold a batch which has work left.
func (b workbench) pauses(ctx context.Context, one batch.Batch, n batch.Counts) ([]queuePause, error) {
	if one.State == batch.Draft || n.Over() && one.State != batch.Running {
		return nil, nil
	}
	all, err := b.desk.Pauses(ctx, one.OrganisationID)
	if err != nil {
		return nil, err
	}
	return describePauses(slices.DeleteFunc(all, func(p issuance.Pause) bool { return !p.Holds(one.OrganisationID, one.ID) })), nil
}

func (b workbench) show(ctx context.Context, out streams, one batch.Batch, asJSON bool) error {
	shown, err := b.describe(ctx, one)
	if err != nil {
		return err
	}
	if asJSON {
		return out.printJSON(shown)
	}
	t := newTable(out.out, "BATCH", shown.ID)
	t.row("title", shown.Title)
	t.row("kind", string(shown.Kind))
	t.row("state", string(shown.State))
	for _, p := range shown.Pauses {
		t.row("paused", fmt.Sprintf("for %s since %s by %s. %s", p.For, p.Since.Format(time.RFC3339), p.By, p.Words))
	}
	t.row("activity", shown.Activity)
	t.row("made", shown.Made.Format(time.RFC3339)+" by "+shown.By)
	if shown.Confirmed != "" {
		t.row("confirmed", "by "+shown.Confirmed)
	}
	if shown.StartsAt.After(shown.Made) {
		t.row("not before", shown.StartsAt.Format(time.RFC3339))
	}
	if shown.File != "" {
		t.row("file", shown.File+", SHA-256 "+shown.FileSHA256)
	}
	t.row("rows", fmt.Sprintf("%d: %d to do, %d waiting for the seal, %d sealed, %d imported only, %d stopped, %d left out",
		shown.Rows, shown.ToDo, shown.Waiting, shown.Sealed, shown.Imported, shown.Stopped, shown.Left))
	for _, words := range sortedWords(shown.Why) {
		t.row("left out", fmt.Sprintf("%d: %s", shown.Why[words], words))
	}
	t.row("digest", shown.Digest)
	if shown.Trouble != "" {
		t.row("trouble", shown.Trouble)
	}
	return t.Flush()
}

type batchesActivitiesCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	Limit        int    `help:"How many at most." default:"100"`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// shownActivity is an attachment for operators.
type shownActivity struct {
	ID     string    `json:"id"`
	Course string    `json:"course"`
	Title  string    `json:"title"`
	Since  time.Time `json:"since"`
}

// Run lists activities.
func (c batchesActivitiesCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withBatches(ctx, c.Organisation, func(b workbench) error {
		found, err := b.grading.Attachments(ctx, b.org.ID, c.Limit)
		if err != nil {
			return err
		}
		store := templates.NewStore(b.db, time.Now)
		all := make([]shownActivity, 0, len(found))
		for _, a := range found {
			version, err := store.Version(ctx, b.org.ID, a.VersionID)
			if err != nil {
				return err
			}
			all = append(all, shownActivity{ID: a.ID, Course: a.ContextTitle, Title: version.Content.Title.In("en"), Since: a.CreatedAt.UTC()})
		}
		if c.JSON {
			return out.printJSON(struct {
				Activities []shownActivity `json:"activities"`
			}{all})
		}
		t := newTable(out.out, "ACTIVITY", "COURSE", "MICRO-CREDENTIAL", "SINCE")
		for _, a := range all {
			t.row(a.ID, a.Course, a.Title, a.Since.Format(time.DateOnly))
		}
		return t.Flush()
	})
}

type batchesListCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	Activity     string `help:"Only those of this activity."`
	Limit        int    `help:"How many at most." default:"50"`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// Run lists batches.
func (c batchesListCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withBatches(ctx, c.Organisation, func(b workbench) error {
		found, err := b.batches.List(ctx, b.org.ID, c.Activity, c.Limit)
		if err != nil {
			return err
		}
		all := make([]shownBatch, 0, len(found))
		for _, one := range found {
			shown, err := b.describe(ctx, one)
			if err != nil {
				return err
			}
			all = append(all, shown)
		}
		if c.JSON {
			return out.printJSON(struct {
				Batches []shownBatch `json:"batches"`
			}{all})
		}
		if len(all) == 0 {
			out.printf("There is no batch.\n")
			return nil
		}
		t := newTable(out.out, "BATCH", "TITLE", "KIND", "STATE", "ROWS", "SEALED", "STOPPED", "LEFT OUT")
		for _, one := range all {
			t.row(one.ID, one.Title, string(one.Kind), string(one.State), fmt.Sprint(one.Rows), fmt.Sprint(one.Sealed), fmt.Sprint(one.Stopped), fmt.Sprint(one.Left))
		}
		return t.Flush()
	})
}
