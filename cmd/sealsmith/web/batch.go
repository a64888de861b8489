package web

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
)

// batchPage is one batch: its dry run, its progress, its report.
type batchPage struct {
	Tabs         tabs
	At           string // address of the session
	ID, Name     string
	Title        Words // of the micro-credential
	Course       string
	Kind         batch.Kind
	Stage        string
	Award        bool
	File, SHA256 string // of an import
	Digest       string
	By           string // who made it
	Made         time.Time
	Confirmed    string // by whom; empty: by nobody
	StartsAt     time.Time
	Later        bool // StartsAt lies ahead
	Counts       batch.Counts
	Groups       []batchGroup // why rows are left out, by cause
	Todo, Others []batchRow
	More         int    // rows that are not shown
	Admin        bool   // may confirm, pause and go on
	Mine         bool   // may cancel
	Live, Eta    string // the page follows its progress
	Sealing      sealingNotice
	Paused       string // why, in words
	Held         string // what else than this page holds it: "organisation" or "everybody"; empty: nothing
	Resumable    bool   // it is paused by itself
	Trouble      string // of the last page of rows
	Need         float64
}

type batchGroup struct {
	Words string
	N     int
}

type batchRow struct {
	Number         int
	Who            string
	Known          bool // Who is a name
	Score          string
	Stands         batch.Stands
	Outcome        string // in words
	Words, ClaimID string
}

// rowsShown is how many rows of each part are on the page; the report has all.
const rowsShown = 100

// stage is where a batch is, for people: draft, scheduled, paused, running, sealing,
// finished or cancelled.
func stage(b batch.Batch, n batch.Counts, now time.Time, paused bool) string {
	switch {
	case b.State == batch.Draft || b.State == batch.Cancelled && n.Over():
		return string(b.State)
	case n.Over() && b.State != batch.Running:
		return string(batch.Finished)
	case paused:
		return "paused"
	case b.State == batch.Running && b.StartsAt.After(now):
		return "scheduled"
	case b.State == batch.Running:
		return string(batch.Running)
	}
	return "sealing"
}

// oneBatch is a batch that the visitor may see: an administrator those of the organisation,
// a teacher those of the activity.
func (s *Web) oneBatch(r *http.Request, v *visit) (batch.Batch, error) {
	b, err := s.deps.Batches.Batch(r.Context(), v.organisation.ID, mux.Vars(r)["id"])
	if err != nil || v.launch.IsAdmin() {
		return b, err
	}
	a, err := s.deps.Grading.Launched(r.Context(), v.launch)
	if err != nil {
		return b, err
	}
	if a.ID != b.AttachmentID {
		return b, batch.ErrNotFound
	}
	return b, nil
}

// batch shows one batch.
func (s *Web) batch(w http.ResponseWriter, r *http.Request, v *visit) error {
	b, err := s.oneBatch(r, v)
	if err != nil {
		return err
	}
	page, err := s.batchPage(r.Context(), v, b)
	if err != nil {
		return err
	}
	f := v.frame()
	if page.Live != "" {
		f.Script, f.Refresh = liveScript, refreshSeconds
	}
	return s.show(w, r, http.StatusOK, view{name: "batch", frame: f, page: &page})
}

func (s *Web) batchPage(ctx context.Context, v *visit, b batch.Batch) (batchPage, error) {
	at, err := s.batchAt(ctx, v, b)
	if err != nil {
		return batchPage{}, err
	}
	a, err := s.deps.Grading.Attachment(ctx, b.OrganisationID, b.AttachmentID)
	if err != nil {
		return batchPage{}, err
	}
	version, err := s.deps.Templates.Version(ctx, b.OrganisationID, a.VersionID)
	if err != nil {
		return batchPage{}, err
	}
	page := batchPage{
		ID: b.ID, Name: b.Title, Title: words(version.Content.Title), Course: a.ContextTitle, Kind: b.Kind, Stage: at.stage, Award: b.Award,
		File: b.FileName, SHA256: b.FileSHA256, Digest: b.Digest, By: who(v, b.CreatedBy), Made: b.CreatedAt, At: v.path(""), StartsAt: b.StartsAt,
		Later: b.StartsAt.After(s.deps.Now()), Counts: at.counts, Groups: groups(at.counts), Admin: v.launch.IsAdmin(),
		Mine: v.launch.IsAdmin() || b.CreatedBy == v.actor(), Eta: at.eta, Trouble: b.LastError, Need: a.MinPercent,
	}
	if at.paused != nil {
		page.Paused, page.Held, page.Resumable = pausedBy(v, *at.paused), at.held, at.own
	}
	if b.ConfirmedBy != "" {
		page.Confirmed = who(v, b.ConfirmedBy)
	}
	if page.Stage == "running" || page.Stage == "sealing" {
		page.Live = v.path("batches/"+b.ID) + "/state?shown=" + page.Stage
		if page.Sealing, err = s.sealingNotice(ctx, v.organisation); err != nil {
			return page, err
		}
	}
	if page.Admin {
		if page.Tabs, err = s.tabs(ctx, v, "batches"); err != nil {
			return page, err
		}
	}
	return page, s.batchRows(ctx, v, b, &page)
}

// batchRows puts the first rows of a batch on its page. Rows that are done have no names of
// their own: those are what the platform tells now.
func (s *Web) batchRows(ctx context.Context, v *visit, b batch.Batch, page *batchPage) error {
	names := s.names(ctx, v).names
	for _, part := range []struct {
		todo bool
		to   *[]batchRow
	}{{true, &page.Todo}, {false, &page.Others}} {
		rows, err := s.deps.Batches.Some(ctx, b.OrganisationID, b.ID, part.todo, rowsShown)
		if err != nil {
			return err
		}
		for _, r := range rows {
			*part.to = append(*part.to, newBatchRow(r, names))
		}
	}
	page.More = page.Counts.Rows - len(page.Todo) - len(page.Others)
	return nil
}

func newBatchRow(r batch.Row, names map[string]string) batchRow {
	row := batchRow{Number: r.Number, Who: cmp.Or(r.Name(), names[r.Learner]), Stands: r.Stands, Outcome: r.Says(), Words: cmp.Or(r.Trouble, r.Words), ClaimID: r.ClaimID}
	row.Known = row.Who != ""
	if !row.Known {
		row.Who = cmp.Or(r.Learner, r.Shown)
	}
	if r.Maximum > 0 {
		row.Score = percent(float64(int(r.Percent*10))/10) + " %"
	}
	return row
}

// groups says how many rows are left out for which cause, the most frequent first.
func groups(n batch.Counts) []batchGroup {
	var out []batchGroup
	for o, many := range n.By {
		switch o {
		case batch.ToDo, batch.Awarded, batch.Imported, batch.Completed:
		default:
			out = append(out, batchGroup{capital(o.Words()), many})
		}
	}
	slices.SortFunc(out, func(a, b batchGroup) int { return cmp.Or(b.N-a.N, cmp.Compare(a.Words, b.Words)) })
	return out
}

// batchStanding is how far a batch is.
type batchStanding struct {
	stage, eta string
	counts     batch.Counts
	paused     *issuance.Pause
	held       string // as on the page
	own        bool   // one of its own is among the pauses
}

// pause keeps the widest of the pauses that hold a batch: as long as that one stands, ending a
// narrower one changes nothing.
func (at *batchStanding) pause(all []issuance.Pause, b batch.Batch) {
	for i, p := range all {
		if !p.Holds(b.OrganisationID, b.ID) {
			continue
		}
		if at.paused == nil {
			at.paused = &all[i]
		}
		at.own = at.own || p.BatchID != ""
	}
	switch {
	case at.paused == nil || at.paused.BatchID != "":
	case at.paused.OrganisationID != "":
		at.held = "organisation"
	default:
		at.held = "everybody"
	}
}

func (s *Web) batchAt(ctx context.Context, v *visit, b batch.Batch) (batchStanding, error) {
	n, err := s.deps.Batches.Counts(ctx, b.OrganisationID, b.ID)
	if err != nil {
		return batchStanding{}, err
	}
	pauses, err := s.deps.Desk.Pauses(ctx, b.OrganisationID)
	if err != nil {
		return batchStanding{}, err
	}
	at := batchStanding{counts: n}
	if b.State != batch.Draft {
		at.pause(pauses, b)
	}
	at.stage = stage(b, n, s.deps.Now(), at.paused != nil)
	at.eta = "in a moment"
	if left := n.Waiting + n.ToDo; left > 0 && b.Award {
		at.eta = untilAll(left, s.deps.Sealing(v.organisation.Slug))
	}
	return at, nil
}

// untilAll says when the last of many is sealed, after "is done".
func untilAll(left int, sealing SealingStatus) string {
	if sealing.Paused {
		return "as soon as sealing goes on"
	}
	return "in " + untilSealed(left, sealing.Rate)
}

// batchState answers one server-sent event, as state does for a claim.
func (s *Web) batchState(w http.ResponseWriter, r *http.Request, v *visit) error {
	b, err := s.oneBatch(r, v)
	if err != nil {
		return err
	}
	at, err := s.batchAt(r.Context(), v, b)
	if err != nil {
		return err
	}
	data, err := json.Marshal(liveState{Done: at.stage != r.URL.Query().Get("shown"), Position: at.counts.Sealed + at.counts.Kept, Eta: at.eta, Percent: at.counts.Percent()})
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, err = fmt.Fprintf(w, "retry: 2000\ndata: %s\n\n", data)
	return s.gone(r, err)
}

// batchAct is what a person does to a batch.
type batchAct func(ctx context.Context, v *visit, b batch.Batch, r *http.Request) error

func (s *Web) batchDo(do batchAct) visitAction {
	return func(w http.ResponseWriter, r *http.Request, v *visit) error {
		if err := parseForm(r); err != nil {
			return err
		}
		b, err := s.oneBatch(r, v)
		if err != nil {
			return err
		}
		if err := do(r.Context(), v, b, r); err != nil {
			return err
		}
		return see303(w, r, v.path("batches/"+b.ID))
	}
}

func (s *Web) confirmBatch(ctx context.Context, v *visit, b batch.Batch, r *http.Request) error {
	_, err := s.deps.Batches.Confirm(ctx, b.OrganisationID, b.ID, r.PostForm.Get("digest"), v.actor())
	return err
}

// cancelBatch is for who made the batch, and for administrators.
func (s *Web) cancelBatch(ctx context.Context, v *visit, b batch.Batch, _ *http.Request) error {
	if !v.launch.IsAdmin() && b.CreatedBy != v.actor() {
		return errRole
	}
	_, err := s.deps.Batches.Cancel(ctx, b.OrganisationID, b.ID, v.actor())
	return err
}

func (s *Web) pauseBatch(ctx context.Context, v *visit, b batch.Batch, r *http.Request) error {
	return s.deps.Desk.Pause(ctx, issuance.Pause{OrganisationID: b.OrganisationID, BatchID: b.ID, Words: r.PostForm.Get("words"), By: v.actor()})
}

func (s *Web) resumeBatch(ctx context.Context, v *visit, b batch.Batch, _ *http.Request) error {
	return s.deps.Desk.Resume(ctx, b.OrganisationID, b.ID, v.actor())
}
