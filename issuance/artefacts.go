package issuance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// Artefacts carries the bytes of credentials between their rows and an object store, looks
// whether they are all there, and erases them. Sealing knows nothing of it: what is made is
// stored in its row, in the transaction that says so, and carried afterwards. So an object
// store that is away stops nothing and no signature is lost to it.
//
// An artefact is written to the store and read back before its row says where it is; the
// column is emptied by compare-and-swap in the same statement. Several processes may do so at
// once, and a process may be killed anywhere: what it leaves behind is an object that no row
// names, never a row that names no object.
type Artefacts struct {
	DB      *sqldb.DB
	Objects Objects          // nil: there is no object store; Status and Erase work
	Now     func() time.Time // the clock
	Logger  *slog.Logger
	// Keep lets what is in the database stay there: Run deletes leftovers only.
	Keep bool
	// Quiet is how old an artefact is before Run and ToObjects carry it: young ones are read
	// and added to. 0: none is too young.
	Quiet    time.Duration
	Every    time.Duration // how often Run looks
	Parallel int           // objects at once
	// Progress, when set, is told after each batch what was carried so far.
	Progress func(Carried)
	// Step, when set, is called before each step ("put", "swap", "delete"); an error ends the
	// work there as kill -9 would. Tests kill with it.
	Step func(name string) error
}

// artefactBatch is how many artefacts are carried in one transaction. Their bytes are in
// memory meanwhile: some 10 MB.
const artefactBatch = 50

// leftoverRest is how long an object stays that no row names any more: longer than somebody
// who has just read the row needs to fetch it.
const leftoverRest = 10 * time.Minute

// Carried is what was carried.
type Carried struct {
	Artefacts int   `json:"artefacts"`
	Bytes     int64 `json:"bytes"`
	Damaged   int   `json:"damaged"` // left where they are, for Verify to name
}

// Run carries what is made to the object store until ctx ends, and deletes objects that were
// let go of.
func (a *Artefacts) Run(ctx context.Context) {
	if a.Objects == nil {
		return
	}
	away := false
	for ctx.Err() == nil {
		err := a.RunOnce(ctx)
		if ctx.Err() == nil && away != (err != nil) {
			away = err != nil
			a.Logger.WarnContext(ctx, "artefacts stay in the database while the object store is away", "away", away, "err", err)
		}
		pause(ctx, a.Every)
	}
}

// RunOnce carries what is there to carry, and deletes what was let go of.
func (a *Artefacts) RunOnce(ctx context.Context) error {
	if !a.Keep {
		if _, err := a.ToObjects(ctx, 0); err != nil {
			return err
		}
	}
	_, err := a.Tidy(ctx)
	return err
}

// parcel is one artefact on its way.
type parcel struct {
	CredentialID   string    `db:"credential_id"`
	OrganisationID string    `db:"organisation_id"`
	At             time.Time `db:"at"` // what it is ordered by
	Moves          int       `db:"moves"`
	Body           []byte    `db:"body"`
	PayloadSHA256  string    `db:"payload_sha256"`
	Object         string    `db:"object"`
	SHA256         string    `db:"sha256"`
	Bytes          int64     `db:"bytes"`

	kind ArtefactKind
	name string // of the object; empty: damaged
}

func (p parcel) place() place { return place{Object: p.Object, SHA256: p.SHA256, Bytes: p.Bytes} }

// shelf says how the artefacts of one kind lie in the database.
type shelf struct {
	kind ArtefactKind
	// from names the tables, with t as the row of the artefact and k as that of the credential;
	// id, at and column are what it is called by, ordered by, and kept in.
	from, id, at, column string
	object, table        string // prefix of the columns about the object
	// here is the condition of the index over what is in the row.
	here string
}

func shelves() []shelf {
	return []shelf{
		{
			kind: ArtefactSealed, from: `credentials t join credentials k on k.id = t.id`, id: `id`, at: `sealed_at`, column: `sealed`,
			object: `sealed`, table: `credentials`, here: `t.sealed_object = '' and t.sealed is not null`,
		},
		{
			kind: ArtefactProofs, from: `credential_proofs t join credentials k on k.id = t.credential_id`, id: `credential_id`, at: `updated_at`, column: `file`,
			object: `file`, table: `credential_proofs`, here: `t.file_object = '' and t.file is not null`,
		},
		{
			kind: ArtefactPDF, from: `credential_pdfs t join credentials k on k.id = t.credential_id`, id: `credential_id`, at: `made_at`, column: `file`,
			object: `file`, table: `credential_pdfs`, here: `t.file_object = ''`,
		},
	}
}

// columns of a parcel.
func (s shelf) columns() string {
	return `t.` + s.id + ` as credential_id, t.organisation_id, t.` + s.at + ` as at, t.` + s.object + `_moves as moves, t.` + s.column + ` as body, k.payload_sha256, t.` +
		s.object + `_object as object, t.` + s.object + `_sha256 as sha256, t.` + s.object + `_bytes as bytes`
}

// ripe is the condition on what may be carried: proofs that more is to be added to stay.
func (s shelf) ripe() string {
	if s.kind == ArtefactProofs {
		return s.here + ` and t.level = t.goal and t.lease_until is null`
	}
	return s.here
}

// ToObjects carries what is in the database to the object store, the oldest first; at most
// limit artefacts, 0 for all. It fails with ErrFileAway; what was carried until then stays.
func (a *Artefacts) ToObjects(ctx context.Context, limit int) (total Carried, err error) {
	if a.Objects == nil {
		return total, fmt.Errorf("%w: none is set up", ErrFileAway)
	}
	for _, s := range shelves() {
		last := parcel{}
		for limit == 0 || total.Artefacts < limit {
			batch, err := a.hereAfter(ctx, s, last, size(limit, total.Artefacts))
			if err != nil {
				return total, err
			}
			if len(batch) == 0 {
				break
			}
			last = batch[len(batch)-1]
			if err := a.carryOut(ctx, s, batch, &total); err != nil {
				return total, err
			}
		}
	}
	return total, nil
}

// size is how many are left of limit, at most a batch.
func size(limit, done int) int {
	if limit == 0 {
		return artefactBatch
	}
	return min(artefactBatch, limit-done)
}

// hereAfter lists artefacts that are in their rows, from the index that holds no others.
func (a *Artefacts) hereAfter(ctx context.Context, s shelf, last parcel, limit int) ([]parcel, error) {
	var batch []parcel
	err := a.DB.Select(ctx, &batch, `select `+s.columns()+` from `+s.from+` where `+s.ripe()+` and t.`+s.at+` <= ? and (t.`+s.at+` > ? or t.`+s.at+` = ? and t.`+s.id+` > ?)
		order by t.`+s.at+`, t.`+s.id+` limit ?`, sqldb.UTC(a.Now().Add(-a.Quiet)), last.At, last.At, last.CredentialID, limit)
	if err != nil {
		return nil, fmt.Errorf("list artefacts in the database: %w", err)
	}
	for i := range batch {
		batch[i].kind = s.kind
	}
	return batch, nil
}

// carryOut puts a batch into the store and lets the rows say so.
func (a *Artefacts) carryOut(ctx context.Context, s shelf, batch []parcel, total *Carried) error {
	err := a.each(ctx, batch, func(_ int, p *parcel) error {
		if words := p.wrong(); words != "" {
			a.Logger.ErrorContext(ctx, "an artefact is damaged and stays where it is", "credential_id", p.CredentialID, "kind", p.kind, "why", words)
			return nil
		}
		return a.put(ctx, p)
	})
	if err != nil {
		return err
	}
	if err := a.step("swap"); err != nil {
		return err
	}
	var done Carried
	err = a.DB.InTx(ctx, func(tx *sqldb.Tx) error {
		done = Carried{}
		sums := map[string]Carried{}
		for _, p := range batch {
			if p.name == "" {
				done.Damaged++
				continue
			}
			n, err := s.swapOut(ctx, tx, p)
			if err != nil {
				return fmt.Errorf("say that an artefact is an object: %w", err)
			}
			if n == 1 {
				count(sums, p, int64(len(p.Body)), &done)
			}
		}
		return a.audit(ctx, tx, "artefacts carried to objects", sums)
	})
	a.add(total, done, err)
	return err
}

func count(sums map[string]Carried, p parcel, bytes int64, done *Carried) {
	sum := sums[p.OrganisationID]
	sum.Artefacts, sum.Bytes = sum.Artefacts+1, sum.Bytes+bytes
	sums[p.OrganisationID] = sum
	done.Artefacts, done.Bytes = done.Artefacts+1, done.Bytes+bytes
}

// add adds a batch that was committed.
func (a *Artefacts) add(total *Carried, more Carried, err error) {
	if err != nil {
		return
	}
	total.Artefacts, total.Bytes, total.Damaged = total.Artefacts+more.Artefacts, total.Bytes+more.Bytes, total.Damaged+more.Damaged
	if a.Progress != nil {
		a.Progress(*total)
	}
}

// put writes the object and reads it back: only then may a row say that it is there.
func (a *Artefacts) put(ctx context.Context, p *parcel) error {
	if err := a.step("put"); err != nil {
		return err
	}
	at := place{SHA256: digest(p.Body), Bytes: int64(len(p.Body))}
	at.Object = objectName(p.OrganisationID, p.CredentialID, p.kind, p.Moves, at.SHA256)
	if err := a.Objects.Put(ctx, at.Object, p.Body); err != nil {
		return fmt.Errorf("write %s: %w", at.Object, err)
	}
	if _, err := fetch(ctx, a.Objects, at); err != nil {
		return fmt.Errorf("read back what was written: %w", err)
	}
	p.name, p.SHA256 = at.Object, at.SHA256
	return nil
}

// swapOut lets the row say that the artefact is an object, if it is still the one that was read.
func (s shelf) swapOut(ctx context.Context, tx *sqldb.Tx, p parcel) (int64, error) {
	empty, args := s.column+` = null`, []any{}
	switch s.kind {
	case ArtefactSealed: // the payload is inside
		empty, args = `sealed = null, payload = ?`, append(args, []byte{})
	case ArtefactPDF:
		empty, args = `file = ?`, append(args, []byte{})
	case ArtefactProofs:
	}
	args = append(args, p.name, p.SHA256, len(p.Body), p.OrganisationID, p.CredentialID, p.Moves, p.At)
	return tx.Exec(ctx, `update `+s.table+` set `+empty+`, `+s.object+`_object = ?, `+s.object+`_sha256 = ?, `+s.object+`_bytes = ?, `+s.object+`_moves = `+s.object+`_moves + 1
		where organisation_id = ? and `+s.id+` = ? and `+s.object+`_object = '' and `+s.object+`_moves = ? and `+s.at+` = ? and `+s.column+` is not null`, args...)
}

// ToDatabase carries objects back into their rows; at most limit, 0 for all. An object that is
// missing or damaged stays where it is and is counted. It fails with ErrFileAway.
func (a *Artefacts) ToDatabase(ctx context.Context, limit int) (total Carried, err error) {
	for _, s := range shelves() {
		last := ""
		for limit == 0 || total.Artefacts < limit {
			batch, err := a.after(ctx, s, last, s.object+`_object <> ''`, size(limit, total.Artefacts))
			if err != nil {
				return total, err
			}
			if len(batch) == 0 {
				break
			}
			last = batch[len(batch)-1].CredentialID
			if err := a.carryBack(ctx, s, batch, &total); err != nil {
				return total, err
			}
		}
	}
	return total, nil
}

// after lists artefacts in the order of their credentials.
func (a *Artefacts) after(ctx context.Context, s shelf, last, condition string, limit int) ([]parcel, error) {
	var batch []parcel
	err := a.DB.Select(ctx, &batch, `select `+s.columns()+` from `+s.from+` where t.`+s.id+` > ? and t.`+condition+` order by t.`+s.id+` limit ?`, last, limit)
	if err != nil {
		return nil, fmt.Errorf("list artefacts: %w", err)
	}
	for i := range batch {
		batch[i].kind = s.kind
	}
	return batch, nil
}

func (a *Artefacts) carryBack(ctx context.Context, s shelf, batch []parcel, total *Carried) error {
	payloads := make([][]byte, len(batch))
	err := a.each(ctx, batch, func(_ int, p *parcel) (err error) {
		body, err := fetch(ctx, a.Objects, p.place())
		p.Body = body // what was in the column is no file
		if errors.Is(err, ErrFileDamaged) {
			a.Logger.ErrorContext(ctx, "an object is missing or damaged", "credential_id", p.CredentialID, "kind", p.kind, "err", err)
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for i, p := range batch {
		if s.kind == ArtefactSealed && p.Body != nil {
			if payloads[i], err = payloadOf(p.Body, p.PayloadSHA256); err != nil {
				batch[i].Body = nil
			}
		}
	}
	if err := a.step("swap"); err != nil {
		return err
	}
	var done Carried
	err = a.DB.InTx(ctx, func(tx *sqldb.Tx) error {
		done = Carried{}
		sums := map[string]Carried{}
		for i, p := range batch {
			if p.Body == nil {
				done.Damaged++
				continue
			}
			n, err := s.swapBack(ctx, tx, p, payloads[i])
			if err != nil {
				return fmt.Errorf("put an artefact back into its row: %w", err)
			}
			if n == 0 {
				continue
			}
			count(sums, p, p.Bytes, &done)
			if err := leave(ctx, tx, p.OrganisationID, p.Object, a.Now()); err != nil {
				return err
			}
		}
		return a.audit(ctx, tx, "artefacts carried to the database", sums)
	})
	a.add(total, done, err)
	return err
}

func (s shelf) swapBack(ctx context.Context, tx *sqldb.Tx, p parcel, payload []byte) (int64, error) {
	set, args := s.column+` = ?`, []any{p.Body}
	if s.kind == ArtefactSealed {
		set, args = set+`, payload = ?`, append(args, payload)
	}
	args = append(args, p.OrganisationID, p.CredentialID, p.Object)
	return tx.Exec(ctx, `update `+s.table+` set `+set+`, `+s.object+`_object = '', `+s.object+`_sha256 = '', `+s.object+`_bytes = 0, `+s.object+`_moves = `+s.object+`_moves + 1
		where organisation_id = ? and `+s.id+` = ? and `+s.object+`_object = ?`, args...)
}

// leave notes that no row names the object any more; "" is none.
func leave(ctx context.Context, tx *sqldb.Tx, organisationID, object string, now time.Time) error {
	if object == "" {
		return nil
	}
	_, err := tx.Exec(ctx, `insert into artefact_leftovers (object, organisation_id, since) values (?, ?, ?) on conflict (object) do nothing`, object, organisationID, sqldb.UTC(now))
	if err != nil {
		return fmt.Errorf("note an object to be deleted: %w", err)
	}
	return nil
}

// Tidy deletes objects that were let go of some minutes ago. It returns how many.
func (a *Artefacts) Tidy(ctx context.Context) (int, error) {
	if a.Objects == nil {
		return 0, nil
	}
	done := 0
	for {
		var names []string
		err := a.DB.Select(ctx, &names, `select object from artefact_leftovers where since <= ? order by object limit ?`, sqldb.UTC(a.Now().Add(-leftoverRest)), artefactBatch)
		if err != nil {
			return done, fmt.Errorf("list objects to be deleted: %w", err)
		}
		for _, name := range names {
			if err := a.step("delete"); err != nil {
				return done, err
			}
			if err := a.Objects.Delete(ctx, name); err != nil {
				return done, fmt.Errorf("delete %s: %w", name, err)
			}
			if _, err := a.DB.Exec(ctx, `delete from artefact_leftovers where object = ?`, name); err != nil {
				return done, fmt.Errorf("note that an object is deleted: %w", err)
			}
			done++
		}
		if len(names) < artefactBatch {
			return done, nil
		}
	}
}

// each does all parcels, some at once, and returns the first error.
func (a *Artefacts) each(ctx context.Context, batch []parcel, do func(i int, p *parcel) error) error {
	todo := make(chan int)
	errs := make(chan error, len(batch))
	var all sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for range max(a.Parallel, 1) {
		all.Go(func() {
			for i := range todo {
				if err := do(i, &batch[i]); err != nil {
					errs <- err
					stop()
				}
			}
		})
	}
	for i := range batch {
		select {
		case todo <- i:
		case <-ctx.Done():
		}
	}
	close(todo)
	all.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return ctx.Err()
	}
}

// audit writes one line for each organisation whose artefacts were carried.
func (a *Artefacts) audit(ctx context.Context, tx *sqldb.Tx, action string, sums map[string]Carried) error {
	for organisation, sum := range sums {
		err := sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: organisation, At: a.Now(), Actor: "server", Action: action, Subject: organisation,
			Detail: fmt.Sprintf("%d artefacts, %d bytes", sum.Artefacts, sum.Bytes),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *Artefacts) step(name string) error { return stopAt(a.Step, name) }

// wrong says what is wrong with the bytes of an artefact, as far as they and the row tell; ""
// when nothing is.
func (p parcel) wrong() string {
	if p.kind == ArtefactPDF {
		if !strings.HasPrefix(string(p.Body[:min(len(p.Body), 5)]), "%PDF-") {
			return "it is no PDF"
		}
		return ""
	}
	if _, err := payloadOf(p.Body, p.PayloadSHA256); err != nil {
		return err.Error()
	}
	return ""
}
