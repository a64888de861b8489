package issuance

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// InForce says in a word whether a credential counts now. The words are told to programs and
// never change.
type InForce string

// How a credential may stand.
const (
	StandsInForce   InForce = "in_force"
	StandsSuspended InForce = "suspended"
	StandsRevoked   InForce = "revoked"
	StandsReplaced  InForce = "replaced"
	standsNowhere   InForce = "" // not sealed yet
)

// Standing is how a credential stands now.
type Standing struct {
	CredentialID   string // UUID
	OrganisationID string
	ClaimID        string
	VersionID      string // of the template, as it was sealed
	AttachmentID   string
	Link           string // name of the public page
	InForce        InForce
	Since          time.Time // of InForce; of a credential never withdrawn: when it was sealed
	SealedAt       time.Time
	// Reason and Words are those of the last withdrawal, and empty when there was none.
	Reason Reason
	Words  string
	// ReplacedBy took its place, and Replaces is whose place it took; both mostly empty.
	ReplacedBy, Replaces Successor

	state   State
	number  int    // of the last withdrawal
	payload string // hex SHA-256
}

// Successor is the credential before or after another one, whose name was wrong.
type Successor struct {
	CredentialID string // UUID; empty: there is none
	Link         string // name of the public page; empty: not to be told to everybody
}

// URN is the id of the credential as it stands in its file; empty when there is none.
func (s Successor) URN() string {
	if s.CredentialID == "" {
		return ""
	}
	return urn + s.CredentialID
}

// Withdrawn reports whether the credential does not count now.
func (s Standing) Withdrawn() bool { return s.InForce != StandsInForce }

// HidesPerson reports whether nobody is to be told by us whose name is in the credential: it
// does not count, because it was awarded to the wrong person.
func (s Standing) HidesPerson() bool { return s.Withdrawn() && s.Reason == ReasonWrongPerson }

// May returns nil when act may be done to the credential now, else ErrState in words that fit.
func (s Standing) May(act Act) error {
	since := " since " + day(s.Since)
	switch s.InForce {
	case standsNowhere:
		return refused{"it is not sealed yet, there is nothing to withdraw"}
	case StandsRevoked:
		return refused{"it is revoked" + since + ", and nothing brings it back"}
	case StandsReplaced:
		return refused{"it is replaced by another one" + since + "; name that one"}
	case StandsSuspended:
		if act == ActSuspend {
			return refused{"it is suspended already" + since}
		}
	case StandsInForce:
		if act == ActReinstate {
			return refused{"it is not suspended"}
		}
	}
	return nil
}

// Because says in sentences why the credential stands as it does: the words of the reason, and
// those of whoever withdrew it. It is empty when no reason is known.
func (s Standing) Because() string {
	words := s.Words
	// Pages go on after it with sentences of their own.
	if last, _ := utf8.DecodeLastRuneInString(words); unicode.IsLetter(last) || unicode.IsDigit(last) {
		words += "."
	}
	return strings.TrimSpace(s.Reason.Words() + " " + words)
}

type standingRow struct {
	ID             string       `db:"id"`
	OrganisationID string       `db:"organisation_id"`
	ClaimID        string       `db:"claim_id"`
	VersionID      string       `db:"version_id"`
	AttachmentID   string       `db:"attachment_id"`
	Link           string       `db:"link"`
	PayloadSHA256  string       `db:"payload_sha256"`
	SealedAt       sql.NullTime `db:"sealed_at"`
	State          State        `db:"state"`
	UpdatedAt      time.Time    `db:"updated_at"`
	Number         int          `db:"number"`
	Kind           Act          `db:"kind"`
	Reason         Reason       `db:"reason"`
	Words          string       `db:"words"`
	At             sql.NullTime `db:"at"`
	ReplacedBy     string       `db:"replaced_by"`
	ReplacedAt     sql.NullTime `db:"replaced_at"`
	NextLink       string       `db:"next_link"`
	Replaces       string       `db:"replaces"`
	LastLink       string       `db:"last_link"`
	Evidence       Evidence     `db:"evidence"` // for which it took the place of another one
}

const standingFrom = `select ` + standingColumns + standingJoin + ` where `

const standingColumns = `k.id, k.organisation_id, k.claim_id, c.version_id, c.attachment_id, k.link, k.payload_sha256, k.sealed_at, c.state, c.updated_at,
	coalesce(w.number, 0) as number, coalesce(w.kind, '') as kind, coalesce(w.reason, '') as reason, coalesce(w.words, '') as words, w.at,
	coalesce(k.replaced_by, '') as replaced_by, k.replaced_at, coalesce(n.link, '') as next_link,
	coalesce(k.replaces, '') as replaces, coalesce(l.link, '') as last_link, coalesce(o.evidence, '') as evidence`

const standingJoin = `
	from credentials k join claims c on c.id = k.claim_id and c.organisation_id = k.organisation_id
	left join withdrawals w on w.credential_id = k.id and w.number = (select max(x.number) from withdrawals x where x.credential_id = k.id)
	left join credentials n on n.id = k.replaced_by left join credentials l on l.id = k.replaces
	left join corrections o on k.revision > 1 and o.claim_id = k.claim_id and o.revision = k.revision`

func (r standingRow) standing() Standing {
	s := Standing{
		CredentialID: r.ID, OrganisationID: r.OrganisationID, ClaimID: r.ClaimID, VersionID: r.VersionID, AttachmentID: r.AttachmentID, Link: r.Link, SealedAt: r.SealedAt.Time.UTC(),
		Reason: r.Reason, Words: r.Words, state: r.State, number: r.Number, payload: r.PayloadSHA256,
	}
	if r.Replaces != "" {
		s.Replaces.CredentialID = r.Replaces
		if !r.Evidence.discreet() {
			s.Replaces.Link = r.LastLink
		}
	}
	switch {
	case !r.SealedAt.Valid:
		return s
	case r.ReplacedBy != "":
		s.InForce, s.Since = StandsReplaced, r.ReplacedAt.Time.UTC()
		s.ReplacedBy = Successor{CredentialID: r.ReplacedBy, Link: r.NextLink}
	case r.State == Revoked:
		s.InForce, s.Since = StandsRevoked, r.UpdatedAt.UTC()
	case r.Kind == ActSuspend:
		s.InForce, s.Since = StandsSuspended, r.At.Time.UTC()
	case r.Kind == ActReinstate:
		s.InForce, s.Since = StandsInForce, r.At.Time.UTC()
	default:
		s.InForce, s.Since = StandsInForce, s.SealedAt
	}
	return s
}

// Standing returns how the sealed credential with this id (a UUID) stands, or ErrNotFound.
// Whoever knows the id may ask: it is in the sealed file, and has 122 random bits.
func (d *Desk) Standing(ctx context.Context, credentialID string) (Standing, error) {
	id, err := uuid.Parse(credentialID)
	if err != nil || id.String() != strings.ToLower(credentialID) {
		return Standing{}, ErrNotFound
	}
	return standing(ctx, d.db, `k.id = ? and k.sealed_at is not null`, id.String())
}

// Find returns how a credential of the organisation stands, also one that is not sealed yet:
// by its id, by the id as it is in the file, or by the address of its public page. It fails
// with ErrNotFound.
func (d *Desk) Find(ctx context.Context, organisationID, name string) (Standing, error) {
	name = strings.TrimPrefix(strings.TrimSpace(name), urn)
	name = strings.TrimRight(name, "/")
	link := name[strings.LastIndex(name, "/")+1:]
	return standing(ctx, d.db, `k.organisation_id = ? and (k.id = ? or k.link = ?)`, organisationID, strings.ToLower(name), link)
}

// Credentials lists the sealed credentials of an organisation, the newest first: those that
// stand as said, or all when which is empty; at most limit. Each list is read from the end of an
// index, however many there are.
func (d *Desk) Credentials(ctx context.Context, organisationID string, which InForce, limit int) ([]Standing, error) {
	condition, args := `l.organisation_id = ?`, []any{organisationID, organisationID}
	switch which {
	case "":
	case StandsInForce, StandsSuspended, StandsRevoked, StandsReplaced:
		condition, args = condition+` and l.standing = ?`, append(args, which)
	default:
		return nil, fmt.Errorf("%w: no credential stands %q", ErrState, which)
	}
	var rows []standingRow
	err := d.db.Select(ctx, &rows, standingFrom+`k.organisation_id = ? and k.id in (select l.credential_id from credential_listing l where `+condition+`
		order by l.sealed_at desc, l.credential_id desc limit ?) order by k.sealed_at desc, k.id desc`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("list credentials: %w", err)
	}
	all := make([]Standing, len(rows))
	for i := range rows {
		all[i] = rows[i].standing()
	}
	return all, nil
}

// Withdrawn is one line of what was done to a credential.
type Withdrawn struct {
	Act    Act       `db:"kind"`
	Reason Reason    `db:"reason"`
	Words  string    `db:"words"`
	By     string    `db:"actor"`
	At     time.Time `db:"at"`
	// RequestID is the order that it carried out, and Second who confirmed that; both may be empty.
	RequestID string `db:"request_id"`
	Second    string `db:"confirmed_by"`
}

// Withdrawals returns all that was done to a credential, in order: for operators.
func (d *Desk) Withdrawals(ctx context.Context, organisationID, credentialID string) ([]Withdrawn, error) {
	return withdrawals(ctx, d.db, organisationID, credentialID)
}

func withdrawals(ctx context.Context, q sqldb.Queryer, organisationID, credentialID string) ([]Withdrawn, error) {
	var all []Withdrawn
	err := q.Select(ctx, &all, `select kind, reason, words, actor, at, request_id, confirmed_by from withdrawals where organisation_id = ? and credential_id = ? order by number`, organisationID, credentialID)
	if err != nil {
		return nil, fmt.Errorf("list withdrawals: %w", err)
	}
	return all, nil
}
