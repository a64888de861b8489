package grading

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// ErrRule is returned for a rule that asks for nothing or for more than everything.
var ErrRule = errors.New("the least score must be more than 0 and at most 100 per cent")

// Observation is what a source read about one learner, before it is kept.
type Observation struct {
	Learner string // LTI subject
	Score   sql.NullFloat64
	Maximum float64
	Raw     []byte // the record as the platform sent it
}

// Evidence is an observation that is kept: who, what, when and the raw record with its
// SHA-256, so that a decision can be explained years later.
type Evidence struct {
	ID             string          `db:"id"`
	OrganisationID string          `db:"organisation_id"`
	AttachmentID   string          `db:"attachment_id"`
	Learner        string          `db:"learner"`
	Source         string          `db:"source"` // "ags-results"
	Score          sql.NullFloat64 `db:"score"`
	Maximum        float64         `db:"maximum"`
	Raw            string          `db:"raw"`
	RawSHA256      string          `db:"raw_sha256"` // hex
	ObservedAt     time.Time       `db:"observed_at"`
}

// Decided is a decision as it is kept.
type Decided struct {
	Decision
	ID        string
	VersionID string
	Learner   string
	Evidence  Evidence
	At        time.Time
}

// Completion is what a claim is opened for.
type Completion struct {
	OrganisationID, AttachmentID, DecisionID, VersionID, RegistrationID, Learner string
	At                                                                           time.Time
}

// Claims opens a claim for a completion, inside the transaction that stores the
// decision. Opening a claim that is there already does nothing. Issuance implements it.
type Claims interface {
	Open(ctx context.Context, tx *sqldb.Tx, c Completion) error
}

// Store keeps attachments, evidence and decisions.
type Store struct {
	db     *sqldb.DB
	claims Claims
	now    func() time.Time
}

// NewStore returns a store on db that opens claims through claims.
func NewStore(db *sqldb.DB, claims Claims, now func() time.Time) *Store {
	return &Store{db: db, claims: claims, now: now}
}

// Record keeps an observation as evidence, decides, and when the decision is a new one
// stores it, with the claim it opens, in the same transaction. An observation that is no
// news changes nothing and returns the decision that stands, see news.
func (s *Store) Record(ctx context.Context, a Attachment, source string, o Observation) (Decided, error) {
	d, isNews, err := s.judge(ctx, s.db, a, source, o)
	if err != nil || !isNews {
		return d, err
	}
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) error { return s.store(ctx, tx, a, &d) })
	if err != nil {
		return Decided{}, fmt.Errorf("store decision: %w", err)
	}
	return d, nil
}

// RecordIn is Record inside a transaction of the caller, who notes something beside it.
func (s *Store) RecordIn(ctx context.Context, tx *sqldb.Tx, a Attachment, source string, o Observation) (Decided, error) {
	d, isNews, err := s.judge(ctx, tx, a, source, o)
	if err != nil || !isNews {
		return d, err
	}
	if err := s.store(ctx, tx, a, &d); err != nil {
		return Decided{}, fmt.Errorf("store decision: %w", err)
	}
	return d, nil
}

// judge decides on an observation, or returns the decision that stands when it is no news.
func (s *Store) judge(ctx context.Context, q sqldb.Queryer, a Attachment, source string, o Observation) (d Decided, isNews bool, err error) {
	sum := sha256.Sum256(o.Raw)
	e := Evidence{
		ID: uuid.Must(uuid.NewV7()).String(), OrganisationID: a.OrganisationID, AttachmentID: a.ID, Learner: o.Learner, Source: source,
		Score: o.Score, Maximum: o.Maximum, Raw: string(o.Raw), RawSHA256: hex.EncodeToString(sum[:]), ObservedAt: sqldb.UTC(s.now()),
	}
	last, err := Latest(ctx, q, a.OrganisationID, a.ID, o.Learner)
	if err == nil {
		if isNews, err = news(ctx, q, a, last, e); err == nil && !isNews {
			return last, false, nil
		}
	}
	if err != nil && !errors.Is(err, ErrUndecided) {
		return Decided{}, false, err
	}
	return Decided{
		Decision: Decide(a.Rule(), e), ID: uuid.Must(uuid.NewV7()).String(), VersionID: a.VersionID,
		Learner: o.Learner, Evidence: e, At: e.ObservedAt,
	}, true, nil
}

// news says whether e is to be decided on although last stands. Where several sources speak
// of one learner, a gradebook and a file of grades, the newest word counts: what a source
// has said before is not new because it is read again, and its silence takes back only what
// it has said itself.
func news(ctx context.Context, q sqldb.Queryer, a Attachment, last Decided, e Evidence) (bool, error) {
	if last.Evidence.Source == e.Source {
		return last.Evidence.RawSHA256 != e.RawSHA256 || last.VersionID != a.VersionID, nil
	}
	if !e.Score.Valid {
		return false, nil
	}
	own, err := oneDecided(ctx, q, decidedColumns+` where d.organisation_id = ? and d.attachment_id = ? and d.learner = ? and e.source = ? order by d.decided_at desc, d.id desc limit 1`,
		a.OrganisationID, a.ID, e.Learner, e.Source)
	if errors.Is(err, ErrUndecided) {
		return true, nil
	}
	return err == nil && own.Evidence.RawSHA256 != e.RawSHA256, err
}

// store writes evidence, decision and claim. The same raw record may come again after
// another one in between (a grade lowered and raised again): it keeps its first row.
func (s *Store) store(ctx context.Context, tx *sqldb.Tx, a Attachment, d *Decided) error {
	e := d.Evidence
	n, err := tx.Exec(ctx, `insert into evidence (id, organisation_id, attachment_id, learner, source, score, maximum, raw, raw_sha256, observed_at)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (attachment_id, learner, source, raw_sha256) do nothing`,
		e.ID, e.OrganisationID, e.AttachmentID, e.Learner, e.Source, e.Score, e.Maximum, e.Raw, e.RawSHA256, e.ObservedAt)
	if err != nil {
		return fmt.Errorf("keep evidence: %w", err)
	}
	if n == 0 {
		err := tx.Get(ctx, &d.Evidence.ID, `select id from evidence where organisation_id = ? and attachment_id = ? and learner = ? and source = ? and raw_sha256 = ?`,
			e.OrganisationID, e.AttachmentID, e.Learner, e.Source, e.RawSHA256)
		if err != nil {
			return fmt.Errorf("find evidence: %w", err)
		}
	}
	reasons, err := json.Marshal(d.Reasons)
	if err != nil {
		return fmt.Errorf("encode reasons: %w", err)
	}
	rule, err := json.Marshal(a.Rule())
	if err != nil {
		return fmt.Errorf("encode rule: %w", err)
	}
	_, err = tx.Exec(ctx, `insert into decisions (id, organisation_id, attachment_id, evidence_id, version_id, learner, complete, reasons, rule, decided_at)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, d.ID, e.OrganisationID, e.AttachmentID, d.Evidence.ID, d.VersionID, d.Learner, d.Complete, string(reasons), string(rule), d.At)
	if err != nil {
		return fmt.Errorf("store decision: %w", err)
	}
	if !d.Complete {
		return nil
	}
	return s.claims.Open(ctx, tx, Completion{
		OrganisationID: a.OrganisationID, AttachmentID: a.ID, DecisionID: d.ID,
		VersionID: d.VersionID, RegistrationID: a.RegistrationID, Learner: d.Learner, At: d.At,
	})
}

// ErrUndecided is returned when nothing was ever decided about the learner.
var ErrUndecided = errors.New("nothing was decided about this learner yet")

type decidedRow struct {
	Evidence
	DecisionID string    `db:"decision_id"`
	VersionID  string    `db:"version_id"`
	Complete   bool      `db:"complete"`
	Reasons    string    `db:"reasons"`
	DecidedAt  time.Time `db:"decided_at"`
}

func (r decidedRow) decided() (Decided, error) {
	d := Decided{ID: r.DecisionID, VersionID: r.VersionID, Learner: r.Learner, Evidence: r.Evidence, At: r.DecidedAt.UTC()}
	d.Complete = r.Complete
	if err := json.Unmarshal([]byte(r.Reasons), &d.Reasons); err != nil {
		return Decided{}, fmt.Errorf("decode reasons of decision %s: %w", d.ID, err)
	}
	return d, nil
}

const decidedColumns = `select e.id, e.organisation_id, e.attachment_id, e.learner, e.source, e.score, e.maximum, e.raw, e.raw_sha256, e.observed_at,
	d.id as decision_id, d.version_id, d.complete, d.reasons, d.decided_at
	from decisions d join evidence e on e.id = d.evidence_id`

// Latest returns the decision that stands for the learner, or ErrUndecided.
func Latest(ctx context.Context, q sqldb.Queryer, organisationID, attachmentID, learner string) (Decided, error) {
	return oneDecided(ctx, q, decidedColumns+` where d.organisation_id = ? and d.attachment_id = ? and d.learner = ? order by d.decided_at desc, d.id desc limit 1`,
		organisationID, attachmentID, learner)
}

// ByID returns the decision with this id, or ErrUndecided.
func ByID(ctx context.Context, q sqldb.Queryer, organisationID, id string) (Decided, error) {
	return oneDecided(ctx, q, decidedColumns+` where d.organisation_id = ? and d.id = ?`, organisationID, id)
}

func oneDecided(ctx context.Context, q sqldb.Queryer, query string, args ...any) (Decided, error) {
	var row decidedRow
	err := q.Get(ctx, &row, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return Decided{}, ErrUndecided
	}
	if err != nil {
		return Decided{}, fmt.Errorf("read decision: %w", err)
	}
	return row.decided()
}

// Standing returns the decision that stands for every learner of the attachment about
// whom something was decided, by learner.
func (s *Store) Standing(ctx context.Context, organisationID, attachmentID string) ([]Decided, error) {
	return allDecided(ctx, s.db, decidedColumns+` where d.organisation_id = ? and d.attachment_id = ? and d.id =
		(select l.id from decisions l where l.attachment_id = d.attachment_id and l.learner = d.learner order by l.decided_at desc, l.id desc limit 1)
		order by d.learner`, organisationID, attachmentID)
}

// OfPerson returns every decision about a person who came through the registration, the
// newest first: for who asks what is kept about them.
func (s *Store) OfPerson(ctx context.Context, organisationID, registrationID, learner string) ([]Decided, error) {
	return allDecided(ctx, s.db, decidedColumns+` join attachments a on a.id = d.attachment_id and a.organisation_id = d.organisation_id
		where d.organisation_id = ? and a.registration_id = ? and d.learner = ? order by d.decided_at desc, d.id desc`, organisationID, registrationID, learner)
}

func allDecided(ctx context.Context, q sqldb.Queryer, query string, args ...any) ([]Decided, error) {
	var rows []decidedRow
	if err := q.Select(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("list decisions: %w", err)
	}
	all := make([]Decided, 0, len(rows))
	for _, row := range rows {
		d, err := row.decided()
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}
