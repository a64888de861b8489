package issuance

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// RemindBefore is how long before its end a credential is called ending: in the course, to
// its holder, and in the lists of staff. There is no mail: the learning platform's people
// have the addresses, and the list is theirs to send from.
const RemindBefore = 60 * 24 * time.Hour

// Ending is a credential that is in force, or was until it ended, and has an end.
type Ending struct {
	CredentialID string       `db:"id"`
	ClaimID      string       `db:"claim_id"`
	AttachmentID string       `db:"attachment_id"`
	Learner      string       `db:"learner"` // LTI subject
	GivenName    string       `db:"given_name"`
	FamilyName   string       `db:"family_name"`
	SealedAt     time.Time    `db:"sealed_at"`
	ValidUntil   time.Time    `db:"valid_until"`
	Complete     bool         `db:"complete"`   // the decision that stands now
	DecidedAt    sql.NullTime `db:"decided_at"` // of that decision
}

// Ended says that the end has passed.
func (e Ending) Ended(now time.Time) bool { return !e.ValidUntil.After(now) }

// Soon says that the end has passed or is near.
func (e Ending) Soon(now time.Time) bool { return !e.ValidUntil.After(now.Add(RemindBefore)) }

// Renewable says that its holder has fulfilled the rule anew: what stands was decided after
// the credential was sealed, and is a completion.
func (e Ending) Renewable() bool {
	return e.Complete && e.DecidedAt.Valid && e.DecidedAt.Time.After(e.SealedAt)
}

// endingFrom reads credentials that stand for their claims, together with the decision that stands.
const endingFrom = `select k.id, k.claim_id, c.attachment_id, c.learner, c.given_name, c.family_name, k.sealed_at, k.valid_until,
	coalesce(d.complete, ?) as complete, d.decided_at
	from credentials k join claims c on c.id = k.claim_id and c.organisation_id = k.organisation_id
	left join decisions d on d.id = (select l.id from decisions l where l.attachment_id = c.attachment_id and l.learner = c.learner order by l.decided_at desc, l.id desc limit 1)
	where c.state <> ? and k.sealed_at is not null and k.replaced_by is null and k.valid_until is not null and k.organisation_id = ?`

// Ending lists the credentials of an organisation, or of one attachment of it, that end
// before a time, those that end first first; at most limit. Who has renewed is not in it.
func (d *Desk) Ending(ctx context.Context, organisationID, attachmentID string, before time.Time, limit int) ([]Ending, error) {
	query, args := endingFrom+` and k.valid_until < ?`, []any{false, Revoked, organisationID, sqldb.UTC(before)}
	if attachmentID != "" {
		query, args = query+` and c.attachment_id = ?`, append(args, attachmentID)
	}
	var all []Ending
	if err := d.db.Select(ctx, &all, query+` order by k.valid_until, k.id limit ?`, append(args, limit)...); err != nil {
		return nil, fmt.Errorf("list what ends: %w", err)
	}
	return all, nil
}

// EndOf returns how the sealed credential of a claim ends, or ErrNotFound when it has no end.
func (d *Desk) EndOf(ctx context.Context, organisationID, claimID string) (Ending, error) {
	return endOf(ctx, d.db, organisationID, claimID)
}

func endOf(ctx context.Context, q sqldb.Queryer, organisationID, claimID string) (Ending, error) {
	var all []Ending
	err := q.Select(ctx, &all, endingFrom+` and c.id = ? order by k.sealed_at desc limit 1`, false, Revoked, organisationID, claimID)
	if err != nil {
		return Ending{}, fmt.Errorf("read how a credential ends: %w", err)
	}
	if len(all) == 0 {
		return Ending{}, ErrNotFound
	}
	return all[0], nil
}

// Inert keeps a spreadsheet from computing what somebody has written: a cell of a table that
// we give out and that begins like a formula gets an apostrophe.
func Inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
