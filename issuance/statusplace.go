package issuance

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/sealsmith/sealsmith/issuance/status"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

const (
	// firstEntries and laterEntries are how long lists are. The first one is as short as lists may
	// be: most organisations never need a second.
	firstEntries = status.MinEntries
	laterEntries = 1 << 20
	// fullShare of the places are given in one list: as many stay free, and nobody can say which.
	fullShare = 2
	// collisions in a row after which a list is counted. In one that is half full every sixteenth
	// credential meets as many.
	collisions = 4
	// placeTries is after how many an error is better than going on: with half of the places free
	// this happens never.
	placeTries = 256
)

var errNoPlace = errors.New("no free place was found in the status list; it is tried again")

// enlist gives a sealed credential its place in a status list of its organisation, for ever, in
// the transaction that keeps it; nothing when it has one. Of the free places each is as likely.
//
// The row of the list is not written for it, or all workers of an organisation would wait for
// each other's commits: how full a list is, is counted when free places become hard to find.
func enlist(ctx context.Context, tx *sqldb.Tx, organisationID, credentialID string, now time.Time) error {
	list, err := openList(ctx, tx, organisationID, now)
	if err != nil {
		return err
	}
	for try := 1; try <= placeTries; try++ {
		index, err := rand.Int(rand.Reader, big.NewInt(int64(list.Entries)))
		if err != nil {
			return fmt.Errorf("read randomness: %w", err)
		}
		n, err := tx.Exec(ctx, `insert into status_entries (credential_id, organisation_id, list_id, idx, status, assigned_at)
			values (?, ?, ?, ?, ?, ?) on conflict do nothing`, credentialID, organisationID, list.ID, index.Int64(), status.Valid, now)
		if err != nil {
			return fmt.Errorf("give a place in the status list: %w", err)
		}
		if n == 1 {
			return nil
		}
		if placed, err := hasPlace(ctx, tx, organisationID, credentialID); err != nil || placed {
			return err
		}
		if try%collisions == 0 {
			if list, err = list.count(ctx, tx, now); err != nil {
				return err
			}
		}
	}
	return errNoPlace
}

func hasPlace(ctx context.Context, q sqldb.Queryer, organisationID, credentialID string) (bool, error) {
	var n int
	if err := q.Get(ctx, &n, `select count(*) from status_entries where organisation_id = ? and credential_id = ?`, organisationID, credentialID); err != nil {
		return false, fmt.Errorf("look for the place in the status list: %w", err)
	}
	return n > 0, nil
}

// placeList is a list that takes more credentials.
type placeList struct {
	ID             string `db:"id"`
	OrganisationID string `db:"organisation_id"`
	Number         int    `db:"number"`
	Entries        int    `db:"entries"`
}

// openList returns the list of the organisation that is not full, and opens one if need be. Of
// two that open one at the same moment, the second waits for the first and takes its list.
func openList(ctx context.Context, tx *sqldb.Tx, organisationID string, now time.Time) (placeList, error) {
	list, err := findList(ctx, tx, organisationID)
	if !errors.Is(err, sql.ErrNoRows) {
		return list, err
	}
	// The number first, and then once more the list: one that was opened in between is found, and
	// one that is opened from now on has the same number.
	var last int
	if err := tx.Get(ctx, &last, `select coalesce(max(number), 0) from status_lists where organisation_id = ?`, organisationID); err != nil {
		return list, fmt.Errorf("number a status list: %w", err)
	}
	if list, err = findList(ctx, tx, organisationID); !errors.Is(err, sql.ErrNoRows) {
		return list, err
	}
	name := make([]byte, 16)
	if _, err := rand.Read(name); err != nil {
		return list, fmt.Errorf("read randomness: %w", err)
	}
	id, entries := hex.EncodeToString(name), firstEntries
	if last > 0 {
		entries = laterEntries
	}
	n, err := tx.Exec(ctx, `insert into status_lists (id, organisation_id, number, entries, version, signed_version, not_before, renew_at, attempts, last_error, created_at, updated_at)
		values (?, ?, ?, ?, 1, 0, ?, ?, 0, '', ?, ?) on conflict (organisation_id, number) do nothing`, id, organisationID, last+1, entries, now, now, now, now)
	if err != nil {
		return list, fmt.Errorf("open a status list: %w", err)
	}
	if n == 1 {
		err := sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: organisationID, At: now, Actor: "worker", Action: "status list opened", Subject: id, Detail: fmt.Sprintf("number %d, %d entries", last+1, entries),
		})
		if err != nil {
			return list, err
		}
	}
	return findList(ctx, tx, organisationID)
}

// findList returns the newest list of the organisation that is not full, or sql.ErrNoRows.
func findList(ctx context.Context, q sqldb.Queryer, organisationID string) (list placeList, err error) {
	err = q.Get(ctx, &list, `select id, organisation_id, number, entries from status_lists where organisation_id = ? and full_at is null order by number desc limit 1`, organisationID)
	if err != nil {
		return list, fmt.Errorf("look for a status list: %w", err)
	}
	return list, nil
}

// count closes a list in which half of the places are given, and returns the one that follows.
func (l placeList) count(ctx context.Context, tx *sqldb.Tx, now time.Time) (placeList, error) {
	var given int
	if err := tx.Get(ctx, &given, `select count(*) from status_entries where organisation_id = ? and list_id = ?`, l.OrganisationID, l.ID); err != nil {
		return l, fmt.Errorf("count a status list: %w", err)
	}
	if given < l.Entries/fullShare {
		return l, nil
	}
	if _, err := tx.Exec(ctx, `update status_lists set full_at = ?, updated_at = ? where organisation_id = ? and id = ? and full_at is null`, now, now, l.OrganisationID, l.ID); err != nil {
		return l, fmt.Errorf("close a status list: %w", err)
	}
	return openList(ctx, tx, l.OrganisationID, now)
}

// fillBatch is how many credentials get their places in one go.
const fillBatch = 200

// Fill gives places to credentials that were sealed before there were lists, or by a release that
// does not know them: all, or those sealed since. What goes wrong with one does not keep it from
// the others.
func (s *StatusSigner) Fill(ctx context.Context, since time.Time) error {
	var errs []error
	for after := ""; ctx.Err() == nil; {
		var missing []struct {
			ID             string `db:"id"`
			OrganisationID string `db:"organisation_id"`
		}
		err := s.DB.Select(ctx, &missing, `select k.id, k.organisation_id from organisations o join credentials k on k.organisation_id = o.id left join status_entries e on e.credential_id = k.id
			where k.sealed_at >= ? and k.id > ? and e.credential_id is null order by k.id limit ?`, sqldb.UTC(since), after, fillBatch)
		if err != nil {
			return fmt.Errorf("look for credentials without a place in a status list: %w", err)
		}
		if len(missing) == 0 {
			break
		}
		for _, k := range missing {
			if err := s.fillOne(ctx, k.OrganisationID, k.ID); err != nil && len(errs) < 10 {
				errs = append(errs, fmt.Errorf("credential %s: %w", k.ID, err))
			}
			after = k.ID
		}
		s.Logger.InfoContext(ctx, "credentials get their places in status lists", "credentials", len(missing))
	}
	return errors.Join(errs...)
}

// fillOne gives one credential its place, with the value that fits. It holds the row of the claim
// as whoever withdraws does, so that no withdrawal falls in between.
func (s *StatusSigner) fillOne(ctx context.Context, organisationID, credentialID string) error {
	return s.DB.InTx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `update claims set state = state where organisation_id = ? and id = (select claim_id from credentials where organisation_id = ? and id = ?)`,
			organisationID, organisationID, credentialID)
		if err != nil {
			return fmt.Errorf("take the claim: %w", err)
		}
		now := sqldb.UTC(s.Now())
		stands, err := ofOrganisation(ctx, tx, organisationID, credentialID)
		if err != nil {
			return err
		}
		if placed, err := hasPlace(ctx, tx, organisationID, credentialID); err != nil || placed {
			return err
		}
		if err := enlist(ctx, tx, organisationID, credentialID, now); err != nil {
			return err
		}
		if value := stands.value(); value != status.Valid {
			_, err := tx.Exec(ctx, `update status_entries set status = ? where organisation_id = ? and credential_id = ?`, value, organisationID, credentialID)
			if err != nil {
				return fmt.Errorf("set a value of the status list: %w", err)
			}
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: organisationID, At: now, Actor: "server", Action: "credential placed in a status list", Subject: stands.ClaimID, Detail: "credential " + credentialID,
		})
	})
}

// value is how a credential stands in a status list. What was replaced is as invalid as what was
// revoked: it never comes back.
func (s Standing) value() status.Value {
	switch s.InForce {
	case StandsRevoked, StandsReplaced:
		return status.Invalid
	case StandsSuspended:
		return status.Suspended
	case StandsInForce, standsNowhere:
	}
	return status.Valid
}
