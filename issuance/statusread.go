package issuance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/issuance/status"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// ErrListUnsigned says that a status list is there and that nothing of it can be given out: it was
// never signed yet, or what was signed has run out while the token was away.
var ErrListUnsigned = errors.New("the status list is not signed at the moment; it will be when the seal token is back")

// StatusPlace is where a credential stands in the status lists of its organisation.
type StatusPlace struct {
	ListID string `db:"list_id"`
	Index  int    `db:"idx"`
}

// Place returns where the sealed credential with this id (a UUID) stands in status lists, or
// ErrNotFound: also of one that was sealed by an older release moments ago. As with Standing,
// whoever knows the id may ask.
func (d *Desk) Place(ctx context.Context, credentialID string) (StatusPlace, error) {
	id, err := uuid.Parse(credentialID)
	if err != nil || id.String() != strings.ToLower(credentialID) {
		return StatusPlace{}, ErrNotFound
	}
	var p StatusPlace
	err = d.db.Get(ctx, &p, `select e.list_id, e.idx from status_entries e join credentials k on k.id = e.credential_id and k.organisation_id = e.organisation_id
		where k.id = ? and k.sealed_at is not null`, id.String())
	if errors.Is(err, sql.ErrNoRows) {
		return StatusPlace{}, ErrNotFound
	}
	if err != nil {
		return StatusPlace{}, fmt.Errorf("read the place in the status list: %w", err)
	}
	return p, nil
}

// SignedStatus is one signed text of a status list.
type SignedStatus struct {
	File      []byte    `db:"file"`   // a compact JWS
	Digest    string    `db:"digest"` // of what it says, without signature and times
	KeyID     string    `db:"key_id"` // hex SHA-256 of the certificate that signed it
	SignedAt  time.Time `db:"signed_at"`
	ExpiresAt time.Time `db:"expires_at"`
}

// SignedStatus returns a text of a list as it was signed last: for everybody, as a list tells of
// nobody. It fails with ErrNotFound, and with ErrListUnsigned when there is nothing that counts.
func (d *Desk) SignedStatus(ctx context.Context, listID string, kind StatusKind) (SignedStatus, error) {
	var s SignedStatus
	err := d.db.Get(ctx, &s, `select file, digest, key_id, signed_at, expires_at from status_tokens where list_id = ? and kind = ?`, listID, kind)
	if errors.Is(err, sql.ErrNoRows) {
		var lists int
		if err := d.db.Get(ctx, &lists, `select count(*) from status_lists where id = ?`, listID); err != nil {
			return SignedStatus{}, fmt.Errorf("look for a status list: %w", err)
		}
		if lists == 0 {
			return SignedStatus{}, ErrNotFound
		}
		return SignedStatus{}, ErrListUnsigned
	}
	if err != nil {
		return SignedStatus{}, fmt.Errorf("read a signed status list: %w", err)
	}
	if !d.now().Before(s.ExpiresAt) {
		return SignedStatus{}, ErrListUnsigned
	}
	return s, nil
}

// StatusList is a status list for operators.
type StatusList struct {
	ID             string       `db:"id"`
	OrganisationID string       `db:"organisation_id"`
	Number         int          `db:"number"`
	Entries        int          `db:"entries"` // places
	Given          int          `db:"given"`   // that credentials have
	Revoked        int          `db:"revoked"`
	Suspended      int          `db:"suspended"`
	FullAt         sql.NullTime `db:"full_at"`
	ExpiresAt      sql.NullTime `db:"expires_at"` // of what is signed; not valid: nothing is signed
	Behind         int64        `db:"behind"`     // changes that what is signed does not tell
	LastError      string       `db:"last_error"` // of the last try to sign, in words
	CreatedAt      time.Time    `db:"created_at"`
}

// StatusLists lists the status lists of an organisation, the oldest first.
func (d *Desk) StatusLists(ctx context.Context, organisationID string) ([]StatusList, error) {
	var all []StatusList
	err := d.db.Select(ctx, &all, `select l.id, l.organisation_id, l.number, l.entries, l.full_at, l.expires_at, l.version - l.signed_version as behind, l.last_error, l.created_at,
		(select count(*) from status_entries e where e.list_id = l.id) as given,
		(select count(*) from status_entries e where e.list_id = l.id and e.status <> 0 and e.status = 1) as revoked,
		(select count(*) from status_entries e where e.list_id = l.id and e.status <> 0 and e.status = 2) as suspended
		from status_lists l where l.organisation_id = ? order by l.number`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list status lists: %w", err)
	}
	return all, nil
}

// SignedStatuses returns what is signed of a list of the organisation, by kind; the index, too.
func (d *Desk) SignedStatuses(ctx context.Context, organisationID, listID string) (map[StatusKind]SignedStatus, error) {
	var rows []struct {
		SignedStatus
		Kind StatusKind `db:"kind"`
	}
	err := d.db.Select(ctx, &rows, `select kind, file, digest, key_id, signed_at, expires_at from status_tokens where organisation_id = ? and list_id = ?`, organisationID, listID)
	if err != nil {
		return nil, fmt.Errorf("read what is signed of a status list: %w", err)
	}
	all := map[StatusKind]SignedStatus{}
	for _, r := range rows {
		all[r.Kind] = r.SignedStatus
	}
	return all, nil
}

// StatusHealth is how the status lists are as a whole.
type StatusHealth struct {
	Lists   int `db:"lists"`
	Behind  int `db:"behind"` // of which what is signed is older than some change
	Expired int `db:"gone"`   // that nobody can use: nothing is signed, or it has run out
	// Until is when the first of them runs out, of those that can be used; not valid: none can be.
	Until     sql.NullTime `db:"until"`
	LastError string       `db:"-"` // of one that cannot be signed, in words
}

// OK says whether the lists are what they should be: a list that changed a moment ago is.
func (h StatusHealth) OK() bool { return h.LastError == "" && h.Expired == 0 }

// Words say it in a sentence.
func (h StatusHealth) Words() string {
	if h.Lists == 0 {
		return "there are none yet"
	}
	words := fmt.Sprintf("%d signed", h.Lists-h.Expired)
	if h.Until.Valid {
		words += ", valid until " + moment(h.Until.Time)
	}
	if h.Behind > 0 && h.LastError != "" {
		words += "; " + some(h.Behind, "does", "do") + " not tell of the last withdrawals yet"
	}
	if h.Expired > 0 {
		words += "; " + some(h.Expired, "is", "are") + " of no use: nothing is signed, or it has run out"
	}
	if h.LastError != "" {
		words += "; signing waits: " + h.LastError
	}
	return words
}

// some says how many lists, with a verb.
func some(n int, one, many string) string {
	if n == 1 {
		return "one " + one
	}
	return fmt.Sprint(n, " ", many)
}

// StatusHealth looks at the lists of an organisation, or of all ("").
func (d *Desk) StatusHealth(ctx context.Context, organisationID string) (StatusHealth, error) {
	now := sqldb.UTC(d.now())
	whose, args := ``, []any{}
	if organisationID != "" {
		whose, args = ` where organisation_id = ?`, []any{organisationID}
	}
	var h StatusHealth
	var rows []struct {
		ExpiresAt sql.NullTime `db:"expires_at"`
		Behind    int64        `db:"behind"`
		LastError string       `db:"last_error"`
		CreatedAt time.Time    `db:"created_at"`
	}
	if err := d.db.Select(ctx, &rows, `select expires_at, version - signed_version as behind, last_error, created_at from status_lists`+whose+` order by id`, args...); err != nil {
		return h, fmt.Errorf("look at the status lists: %w", err)
	}
	h.Lists = len(rows)
	for _, r := range rows {
		if r.Behind > 0 {
			h.Behind++
		}
		switch {
		case !r.ExpiresAt.Valid && r.LastError == "" && now.Sub(r.CreatedAt) < statusSettle: // opened a moment ago
		case !r.ExpiresAt.Valid || !now.Before(r.ExpiresAt.Time):
			h.Expired++
		case !h.Until.Valid || r.ExpiresAt.Time.Before(h.Until.Time):
			h.Until = sql.NullTime{Time: r.ExpiresAt.Time.UTC(), Valid: true}
		}
		if h.LastError == "" {
			h.LastError = r.LastError
		}
	}
	return h, nil
}

// Places returns the places in a list of the organisation that were given until then.
func (d *Desk) Places(ctx context.Context, organisationID, listID string, until time.Time) (*status.Places, error) {
	return statusPlaces(ctx, d.db, organisationID, listID, until)
}

// SealSamples returns one sealed credential for each key that has sealed for the organisation, the
// newest of those with the highest level: its file carries the certificates of the key, and what
// was known of their revocation.
func (d *Desk) SealSamples(ctx context.Context, organisationID string) ([]Credential, error) {
	var keys []string
	err := d.db.Select(ctx, &keys, `select distinct key_id from credentials where organisation_id = ? and sealed_at is not null order by key_id`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list the keys that have sealed: %w", err)
	}
	all := make([]Credential, len(keys))
	for i, key := range keys {
		// Names of higher levels are longer: B and T, LT, LTA.
		all[i], err = credential(ctx, d.db, `k.organisation_id = ? and k.key_id = ? and k.sealed_at is not null
			order by length(coalesce(p.level, 'B')) desc, k.sealed_at desc, k.id limit 1`, organisationID, key)
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
