package issuance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// Errors that people can meet.
var (
	ErrNotFound    = errors.New("there is no such claim or credential")
	ErrNotComplete = errors.New("what is asked for this micro-credential is not reached any more")
	ErrState       = errors.New("this claim has moved on; open the page again")
	ErrName        = errors.New("the name has to have 1 to 120 letters and no control characters")
)

// Claim is a learner's right to one credential, and how far it has come.
type Claim struct {
	ID             string       `db:"id"`
	OrganisationID string       `db:"organisation_id"`
	AttachmentID   string       `db:"attachment_id"`
	DecisionID     string       `db:"decision_id"`
	VersionID      string       `db:"version_id"` // frozen: the version it was decided on
	RegistrationID string       `db:"registration_id"`
	Learner        string       `db:"learner"` // LTI subject
	State          State        `db:"state"`
	GivenName      string       `db:"given_name"`
	FamilyName     string       `db:"family_name"`
	ConsentAt      sql.NullTime `db:"consent_at"`
	Attempts       int          `db:"attempts"`
	NotBefore      time.Time    `db:"not_before"`
	LeaseToken     string       `db:"lease_token"`
	LeaseUntil     sql.NullTime `db:"lease_until"`
	LastError      string       `db:"last_error"` // in words, for an operator
	BatchID        string       `db:"batch_id"`   // line in which it waits; empty: its learner has claimed it
	Revision       int          `db:"revision"`   // of its content; 1 until the name is corrected or it is renewed
	Term           int          `db:"term"`       // revision with which its present term began: 1, or that of the last renewal
	CreatedAt      time.Time    `db:"created_at"`
	UpdatedAt      time.Time    `db:"updated_at"`
}

const claimNames = `id, organisation_id, attachment_id, decision_id, version_id, registration_id, learner, state,
	given_name, family_name, consent_at, attempts, not_before, lease_token, lease_until, last_error, batch_id, revision, term, created_at, updated_at`

// Credential is what a claim became, in one revision of it. Payload is set before the key is touched and never
// changes: from when it is sealed it is taken out of the sealed file. Sealed is set once.
type Credential struct {
	ID             string              `db:"id"` // UUID
	OrganisationID string              `db:"organisation_id"`
	ClaimID        string              `db:"claim_id"`
	IssuedAt       time.Time           `db:"issued_at"`
	ValidUntil     sql.NullTime        `db:"valid_until"` // as the payload says; null: it does not end
	Payload        []byte              `db:"payload"`
	PayloadSHA256  string              `db:"payload_sha256"`
	KeyID          string              `db:"key_id"` // hex SHA-256 of the seal certificate; empty until sealed
	Sealed         []byte              `db:"sealed"` // at the highest level reached so far
	Level          templates.SealLevel `db:"level"`  // of Sealed
	Goal           templates.SealLevel `db:"goal"`   // the level it will have
	SealedAt       sql.NullTime        `db:"sealed_at"`
	Link           string              `db:"link"`     // name of the public page
	Revision       int                 `db:"revision"` // of the claim
	Replaces       string              `db:"replaces"` // UUID of the credential whose place it takes; empty: of none
	CreatedAt      time.Time           `db:"created_at"`
}

//nolint:gosec // G101: a query, no secret
const credentialFrom = `select k.id, k.organisation_id, k.claim_id, k.issued_at, k.valid_until, k.payload, k.payload_sha256, k.key_id,
	case when coalesce(p.file_object, '') <> '' then null else coalesce(p.file, k.sealed) end as sealed,
	coalesce(p.level, 'B') as level, coalesce(p.goal, 'B') as goal, k.sealed_at, k.link, k.revision, coalesce(k.replaces, '') as replaces, k.created_at,
	k.sealed_object, k.sealed_sha256, k.sealed_bytes, k.erased_at, p.file_object, p.file_sha256, p.file_bytes
	from credentials k left join credential_proofs p on p.credential_id = k.id where `

// Name is a learner's name as it will stand in the credential. Given may be empty for
// people who have one name only.
type Name struct{ Given, Family string }

// Full is the given name followed by the family name, or the only one there is.
func (n Name) Full() string { return strings.TrimSpace(n.Given + " " + n.Family) }

// Clean returns the name with outer and doubled spaces removed, or ErrName.
func (n Name) Clean() (Name, error) {
	out := Name{Given: strings.Join(strings.Fields(n.Given), " "), Family: strings.Join(strings.Fields(n.Family), " ")}
	for _, s := range []string{out.Given, out.Family} {
		if !utf8.ValidString(s) || utf8.RuneCountInString(s) > 120 || strings.ContainsFunc(s, hidden) {
			return Name{}, ErrName
		}
	}
	if !strings.ContainsFunc(out.Family, unicode.IsLetter) {
		return Name{}, ErrName
	}
	return out, nil
}

// hidden reports characters that would let a name show as something else than it is:
// control characters, bidirectional overrides and other invisible ones.
func hidden(r rune) bool {
	return unicode.IsControl(r) || (unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d') ||
		unicode.In(r, unicode.Co, unicode.Other_Default_Ignorable_Code_Point) // Hangul fillers are letters, and show as nothing
}

// Queue carries the ids of claims to workers. It may lose or double them.
type Queue interface {
	// Offer puts ids into the queue unless it is long: then they wait in the rows for
	// their turn, and the relay of a worker takes them.
	Offer(ctx context.Context, ids ...string) error
}

// Desk keeps claims and credentials: everything but the sealing itself.
type Desk struct {
	db      *sqldb.DB
	queue   Queue
	now     func() time.Time
	logger  *slog.Logger
	crowd   crowd
	objects Objects // nil: all bytes are in the database
}

// NewDesk returns a desk on db that offers queued claims to queue.
func NewDesk(db *sqldb.DB, queue Queue, now func() time.Time, logger *slog.Logger) *Desk {
	return &Desk{db: db, queue: queue, now: now, logger: logger}
}

// WithObjects lets d find files that were carried to an object store, and returns it.
func (d *Desk) WithObjects(objects Objects) *Desk {
	d.objects = objects
	return d
}

// Open implements grading.Claims.
func (d *Desk) Open(ctx context.Context, tx *sqldb.Tx, c grading.Completion) error {
	at := sqldb.UTC(c.At)
	id := uuid.Must(uuid.NewV7()).String()
	n, err := tx.Exec(ctx, `insert into claims (id, organisation_id, attachment_id, decision_id, version_id, registration_id, learner, state,
		given_name, family_name, attempts, not_before, lease_token, last_error, created_at, updated_at)
		values (?, ?, ?, ?, ?, ?, ?, ?, '', '', 0, ?, '', '', ?, ?) on conflict (attachment_id, learner) do nothing`,
		id, c.OrganisationID, c.AttachmentID, c.DecisionID, c.VersionID, c.RegistrationID, c.Learner, Open, at, at, at)
	if err != nil {
		return fmt.Errorf("open claim: %w", err)
	}
	if n == 0 {
		// The claim is there. While it waits for the learner it follows the newest decision.
		_, err := tx.Exec(ctx, `update claims set decision_id = ?, version_id = ?, updated_at = ? where organisation_id = ? and attachment_id = ? and learner = ? and state = ?`,
			c.DecisionID, c.VersionID, at, c.OrganisationID, c.AttachmentID, c.Learner, Open)
		if err != nil {
			return fmt.Errorf("refresh open claim: %w", err)
		}
		return nil
	}
	return sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: c.OrganisationID, At: at, Actor: "rule", Action: "claim opened", Subject: id, Detail: "decision " + c.DecisionID})
}

// OfLearner returns the learner's claim of an attachment, or ErrNotFound.
func (d *Desk) OfLearner(ctx context.Context, organisationID, attachmentID, learner string) (Claim, error) {
	return d.claim(ctx, d.db, `select `+claimNames+` from claims where organisation_id = ? and attachment_id = ? and learner = ?`, organisationID, attachmentID, learner)
}

// OfAttachment returns all claims of an attachment, by learner.
func (d *Desk) OfAttachment(ctx context.Context, organisationID, attachmentID string) ([]Claim, error) {
	var all []Claim
	err := d.db.Select(ctx, &all, `select `+claimNames+` from claims where organisation_id = ? and attachment_id = ? order by learner`, organisationID, attachmentID)
	if err != nil {
		return nil, fmt.Errorf("list claims: %w", err)
	}
	return all, nil
}

// ClaimedSince returns the LTI subjects whose claim of the attachment was sealed after t, or
// whose credential came back into force after t. What was revoked, or is suspended now, is not
// among them. It implements agsmarks.Claimed.
func (d *Desk) ClaimedSince(ctx context.Context, organisationID, attachmentID string, t time.Time) ([]string, error) {
	var learners []string
	at := sqldb.UTC(t)
	err := d.db.Select(ctx, &learners, `select c.learner `+standingJoin+` where `+thisOrganisation+` and c.attachment_id = ? and c.state <> ? and k.replaced_by is null and k.sealed_at is not null
		and coalesce(w.kind, '') <> ? and (w.at > ? or exists (select 1 from credentials f where f.claim_id = c.id and f.revision = 1 and f.sealed_at > ?)) order by k.sealed_at`,
		organisationID, attachmentID, Revoked, ActSuspend, at, at)
	if err != nil {
		return nil, fmt.Errorf("list who has claimed: %w", err)
	}
	return learners, nil
}

// WithdrawnOf returns how those credentials of an attachment stand that were revoked or are
// suspended; what was replaced has another one that counts. The state of a claim does not say
// that one is suspended.
func (d *Desk) WithdrawnOf(ctx context.Context, organisationID, attachmentID string) ([]Standing, error) {
	var rows []standingRow
	err := d.db.Select(ctx, &rows, standingFrom+thisOrganisation+` and k.id in (select l.credential_id from credential_listing l
		where l.organisation_id = ? and l.attachment_id = ? and l.standing in (?, ?))`, organisationID, organisationID, attachmentID, StandsSuspended, StandsRevoked)
	if err != nil {
		return nil, fmt.Errorf("list what does not count: %w", err)
	}
	all := make([]Standing, len(rows))
	for i := range rows {
		all[i] = rows[i].standing()
	}
	return all, nil
}

// OfPerson returns the claims of a person who came through the registration: for who asks
// what is kept about them.
func (d *Desk) OfPerson(ctx context.Context, organisationID, registrationID, learner string) ([]Claim, error) {
	var all []Claim
	err := d.db.Select(ctx, &all, `select `+claimNames+` from claims where organisation_id = ? and registration_id = ? and learner = ? order by created_at`,
		organisationID, registrationID, learner)
	if err != nil {
		return nil, fmt.Errorf("list claims of a person: %w", err)
	}
	return all, nil
}

func (d *Desk) claim(ctx context.Context, q sqldb.Queryer, query string, args ...any) (Claim, error) {
	var c Claim
	err := q.Get(ctx, &c, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return Claim{}, ErrNotFound
	}
	if err != nil {
		return Claim{}, fmt.Errorf("read claim: %w", err)
	}
	return c, nil
}

func (d *Desk) byID(ctx context.Context, q sqldb.Queryer, organisationID, id string) (Claim, error) {
	return d.claim(ctx, q, `select `+claimNames+` from claims where organisation_id = ? and id = ?`, organisationID, id)
}

// Confirm is the learner's claim: the name is kept, the claim is queued, and after the
// commit its id is offered to the queue. Confirming again what is queued or further does
// nothing and returns the claim as it is. It fails with ErrNotComplete when the decision
// that stands is no longer a completion: the grade was taken back in the meantime.
//
// A queue that cannot be reached is no failure: the row is the truth and the sweeper
// offers it again.
func (d *Desk) Confirm(ctx context.Context, organisationID, attachmentID, learner string, name Name) (Claim, error) {
	name, err := name.Clean()
	if err != nil {
		return Claim{}, err
	}
	var c Claim
	fresh := false
	err = d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		c, err = d.claim(ctx, tx, `select `+claimNames+` from claims where organisation_id = ? and attachment_id = ? and learner = ?`, organisationID, attachmentID, learner)
		if err != nil || c.State != Open {
			return err
		}
		standing, err := grading.Latest(ctx, tx, organisationID, attachmentID, learner)
		if err != nil {
			return err
		}
		if !standing.Complete {
			return ErrNotComplete
		}
		at := sqldb.UTC(d.now())
		c.DecisionID, c.VersionID = standing.ID, standing.VersionID
		due, err := sealedFrom(ctx, tx, c, at)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `update claims set state = ?, given_name = ?, family_name = ?, consent_at = ?, decision_id = ?, version_id = ?, not_before = ?, updated_at = ?
			where organisation_id = ? and id = ? and state = ?`, Queued, name.Given, name.Family, at, c.DecisionID, c.VersionID, due, at, organisationID, c.ID, Open)
		if err != nil {
			return fmt.Errorf("queue claim: %w", err)
		}
		if n == 0 { // confirmed at the same moment from another tab
			c, err = d.byID(ctx, tx, organisationID, c.ID)
			return err
		}
		fresh = true
		c.State, c.GivenName, c.FamilyName, c.ConsentAt, c.NotBefore, c.UpdatedAt = Queued, name.Given, name.Family, sql.NullTime{Time: at, Valid: true}, due, at
		return sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: organisationID, At: at, Actor: "learner", Action: "claim confirmed", Subject: c.ID})
	})
	if err != nil {
		return Claim{}, err
	}
	if fresh {
		d.offer(ctx, c.ID)
	}
	return c, nil
}

func (d *Desk) offer(ctx context.Context, ids ...string) {
	if err := d.queue.Offer(ctx, ids...); err != nil {
		d.logger.WarnContext(ctx, "queue not reached, the sweeper will offer the claims again", "claims", len(ids), "err", err)
	}
}

// Credential returns what the claim became: the newest one that is sealed; while none is, the
// intent (Sealed nil). It fails with ErrNotFound, ErrFileAway, ErrFileDamaged and ErrFileErased.
func (d *Desk) Credential(ctx context.Context, organisationID, claimID string) (Credential, error) {
	return openCredential(ctx, d.db, d.objects, `k.organisation_id = ? and k.claim_id = ? order by (k.sealed_at is null), k.revision desc limit 1`, organisationID, claimID)
}

// Published returns the sealed credential behind a public link, or ErrNotFound. Whoever
// has the link may see it; a link has 128 random bits. Other errors are those of Credential.
func (d *Desk) Published(ctx context.Context, link string) (Credential, error) {
	return openCredential(ctx, d.db, d.objects, `k.link = ? and k.sealed_at is not null`, link)
}

// credential reads what the rows tell of one credential, or ErrNotFound: the bytes are missing
// when they are objects. The condition names the columns of credentials by k.
func credential(ctx context.Context, q sqldb.Queryer, condition string, args ...any) (Credential, error) {
	row, err := readCredential(ctx, q, condition, args...)
	return row.Credential, err
}

func readCredential(ctx context.Context, q sqldb.Queryer, condition string, args ...any) (credentialRow, error) {
	var row credentialRow
	err := q.Get(ctx, &row, credentialFrom+condition, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return credentialRow{}, ErrNotFound
	}
	if err != nil {
		return credentialRow{}, fmt.Errorf("read credential: %w", err)
	}
	return row, nil
}

// MarkDelivered notes that the learner has fetched the sealed file. Doing it again, or
// before there is one, changes nothing.
func (d *Desk) MarkDelivered(ctx context.Context, organisationID, claimID string) error {
	return d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		at := sqldb.UTC(d.now())
		n, err := tx.Exec(ctx, `update claims set state = ?, updated_at = ? where organisation_id = ? and id = ? and state = ?`, Delivered, at, organisationID, claimID, Sealed)
		if err != nil {
			return fmt.Errorf("mark delivered: %w", err)
		}
		if n == 0 {
			_, err := d.byID(ctx, tx, organisationID, claimID)
			return err
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: organisationID, At: at, Actor: "learner", Action: "credential fetched", Subject: claimID})
	})
}

// Load is how much waits for the token.
type Load struct {
	Waiting int `db:"waiting"` // queued or being sealed
	Sealing int `db:"sealing"` // of those, being sealed
	Failed  int `db:"failed"`
}

// Load counts over all organisations, for readiness and the pages that say how many wait.
func (d *Desk) Load(ctx context.Context) (Load, error) { return d.load(ctx, ``) }

// LoadOf counts the claims of one organisation.
func (d *Desk) LoadOf(ctx context.Context, organisationID string) (Load, error) {
	return d.load(ctx, ` and organisation_id = ?`, organisationID)
}

func (d *Desk) load(ctx context.Context, whose string, args ...any) (Load, error) {
	var l Load
	err := d.db.Get(ctx, &l, `select coalesce(sum(case when state in (?, ?) then 1 else 0 end), 0) as waiting, coalesce(sum(case when state = ? then 1 else 0 end), 0) as sealing,
		coalesce(sum(case when state = ? then 1 else 0 end), 0) as failed from claims where state in (?, ?, ?)`+whose,
		append([]any{Queued, Sealing, Sealing, Failed, Queued, Sealing, Failed}, args...)...)
	if err != nil {
		return Load{}, fmt.Errorf("count claims: %w", err)
	}
	return l, nil
}

// Retry puts a failed claim back into the queue, by hand. A claim that has not failed is
// ErrState.
func (d *Desk) Retry(ctx context.Context, organisationID, claimID, by string) error {
	err := d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		at := sqldb.UTC(d.now())
		n, err := tx.Exec(ctx, `update claims set state = ?, attempts = 0, not_before = ?, last_error = '', updated_at = ? where organisation_id = ? and id = ? and state = ?`,
			Queued, at, at, organisationID, claimID, Failed)
		if err != nil {
			return fmt.Errorf("retry claim: %w", err)
		}
		if n == 0 {
			if _, err := d.byID(ctx, tx, organisationID, claimID); err != nil {
				return err
			}
			return ErrState
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: organisationID, At: at, Actor: by, Action: "claim retried", Subject: claimID})
	})
	if err != nil {
		return err
	}
	d.offer(ctx, claimID)
	return nil
}
