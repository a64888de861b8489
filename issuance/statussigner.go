package issuance

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/status"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// StatusKind is one of the signed texts of a status list; it ends its address.
type StatusKind string

// The kinds.
const (
	StatusRevocation StatusKind = status.PurposeRevocation // W3C bitstring: revoked or replaced
	StatusSuspension StatusKind = status.PurposeSuspension // W3C bitstring: suspended
	StatusToken      StatusKind = "token"                  // IETF token list: all of that
	StatusIndex      StatusKind = "index"                  // which credential has which place; for the kit only
)

// StatusKinds lists the kinds that have an address.
func StatusKinds() []StatusKind { return []StatusKind{StatusRevocation, StatusSuspension, StatusToken} }

// StatusAddress is the public address of a signed list.
func StatusAddress(public *url.URL, listID string, kind StatusKind) string {
	return public.JoinPath("status", "lists", listID, string(kind)).String()
}

const (
	// statusValidity is how long a signed list counts, and after statusRenewal of that it is signed
	// anew: a token may be away for a day and a half before anybody is without a list.
	statusValidity = 48 * time.Hour
	statusRenewal  = 4 // the part of the validity: 12 hours
	// StatusTTL is how long copies of a list may be kept.
	StatusTTL = 15 * time.Minute
	// statusPause is between two signatures of one list: many withdrawals give one.
	statusPause = 30 * time.Second
	// statusLook is how often a list is looked at although nothing has changed, for its index.
	statusLook = time.Hour
	// statusSettle is how old a place is when it enters the index: all transactions that began
	// before it have ended, and clocks of several machines may differ.
	statusSettle = 5 * time.Minute
	// statusBackoff is the longest pause after something failed.
	statusBackoff = 10 * time.Minute
)

// StatusSigner signs the status lists of all organisations, each with the organisation's seal
// key: soon after something has changed, once for many changes, and before they run out. What
// was signed is served until it runs out, so a token that is away loses nothing and delays what
// is told. Several may work on one database; a list is worked on by one at a time.
type StatusSigner struct {
	DB        *sqldb.DB
	Templates *templates.Store
	// Sealer returns who signs for an organisation, by its slug: who seals its credentials.
	Sealer    func(slug string) Sealer
	PublicURL *url.URL         // of the lists
	Lease     time.Duration    // longer than four signatures and reading a million entries
	Every     time.Duration    // how often the database is asked for what is due
	Now       func() time.Time // the clock
	Logger    *slog.Logger
	// Step, when set, is called before each signature and before each store ("sign token", "store
	// token"); an error ends the attempt there as kill -9 would. Tests kill with it.
	Step func(name string) error
}

// dueList is a list while it is worked on.
type dueList struct {
	ID             string       `db:"id"`
	OrganisationID string       `db:"organisation_id"`
	Entries        int          `db:"entries"`
	FullAt         sql.NullTime `db:"full_at"`
	Version        int64        `db:"version"`
	RenewAt        time.Time    `db:"renew_at"`
	Attempts       int          `db:"attempts"`
	LeaseUntil     time.Time    `db:"lease_until"`
}

// Run works until ctx ends: it signs what is due, and once an hour gives places to credentials
// that have none.
func (s *StatusSigner) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() {
		var since time.Time // first all, then what a server of the release before has sealed meanwhile
		for ctx.Err() == nil {
			begun, wait := s.Now(), statusLook
			if err := s.Fill(ctx, since); err == nil {
				since = begun.Add(-statusLook)
			} else if ctx.Err() == nil {
				s.Logger.WarnContext(ctx, "credentials are not given places in status lists, it is tried again", "err", err)
				wait = time.Minute
			}
			pause(ctx, wait)
		}
	})
	both.Go(func() {
		for ctx.Err() == nil {
			if _, err := s.RunOnce(ctx); err != nil && ctx.Err() == nil {
				s.Logger.WarnContext(ctx, "status lists are not looked at", "err", err)
			}
			pause(ctx, s.Every)
		}
	})
	both.Wait()
}

// statusDue is what makes a list due. A time to wait for that is further away than any that is
// ever set was set by a clock that was wrong.
const statusDue = `(version <> signed_version or renew_at <= ?) and (not_before <= ? or not_before > ?) and (lease_until is null or lease_until <= ?)`

func dueArgs(now time.Time) []any { return []any{now, now, now.Add(2 * statusBackoff), now} }

// RunOnce looks once for lists that are due and works on them. It returns how many that were.
func (s *StatusSigner) RunOnce(ctx context.Context) (int, error) {
	now := sqldb.UTC(s.Now())
	var ids []string
	err := s.DB.Select(ctx, &ids, `select id from status_lists where `+statusDue+` order by not_before, id limit 50`, dueArgs(now)...)
	if err != nil {
		return 0, fmt.Errorf("list status lists that are due: %w", err)
	}
	for _, id := range ids {
		s.do(ctx, id)
	}
	return len(ids), nil
}

func (s *StatusSigner) do(ctx context.Context, id string) {
	defer func() {
		if cause := recover(); cause != nil {
			s.Logger.ErrorContext(ctx, "signing a status list panicked", "list", id, "panic", cause, "stack", string(debug.Stack()))
		}
	}()
	if ctx.Err() != nil {
		return // what is begun is finished, nothing else is begun
	}
	if err := s.Sign(context.WithoutCancel(ctx), id); err != nil {
		s.Logger.WarnContext(ctx, "status list not signed; it is tried again", "list", id, "err", err)
	}
}

// Sign brings what is signed of one list up to date; nothing when it is not due. The error is for
// the log; the row keeps it in words.
func (s *StatusSigner) Sign(ctx context.Context, listID string) error {
	list, err := s.take(ctx, listID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	next, err := s.update(ctx, &list)
	if _, dead := errors.AsType[*stopped](err); dead || errors.Is(err, errLeaseLost) {
		return err
	}
	if err != nil {
		return errors.Join(err, s.postpone(ctx, list, err))
	}
	return s.release(ctx, list, next)
}

// take leases a list by compare-and-swap.
func (s *StatusSigner) take(ctx context.Context, listID string) (dueList, error) {
	now := sqldb.UTC(s.Now())
	var list dueList
	err := s.DB.InTx(ctx, func(tx *sqldb.Tx) error {
		return tx.Get(ctx, &list, `update status_lists set lease_until = ?, attempts = attempts + 1, updated_at = ?
			where id = ? and `+statusDue+` returning id, organisation_id, entries, full_at, version, renew_at, attempts, lease_until`,
			append([]any{now.Add(s.Lease), now, listID}, dueArgs(now)...)...)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return dueList{}, ErrNotFound
	}
	if err != nil {
		return dueList{}, fmt.Errorf("lease a status list: %w", err)
	}
	return list, nil
}

// signedRow is what is known of a text that was signed.
type signedRow struct {
	Kind      StatusKind `db:"kind"`
	Digest    string     `db:"digest"`
	SignedAt  time.Time  `db:"signed_at"`
	ExpiresAt time.Time  `db:"expires_at"`
}

// holds says whether the text need not be signed anew: it says the same, its validity is not used up
// by more than a quarter, and it is not of a clock that was ahead.
func (r signedRow) holds(digest string, now time.Time) bool {
	return r.Digest == digest && !r.SignedAt.After(now) && now.Before(r.SignedAt.Add(r.ExpiresAt.Sub(r.SignedAt)/statusRenewal))
}

// signing is one attempt at one list.
type signing struct {
	list   *dueList
	key    hsm.Key
	sealer Sealer
	terms  status.Terms
	have   map[StatusKind]signedRow
}

// update signs what is not as it should be, and returns when to look again.
func (s *StatusSigner) update(ctx context.Context, list *dueList) (next time.Time, err error) {
	organisation, err := s.Templates.Organisation(ctx, list.OrganisationID)
	if err != nil {
		return next, err
	}
	w := signing{list: list, sealer: s.Sealer(organisation.Slug), have: map[StatusKind]signedRow{}}
	if w.key, err = w.sealer.Key(ctx); err != nil {
		return next, fmt.Errorf("ask for the key: %w", err)
	}
	now := sqldb.UTC(s.Now())
	at := now.Truncate(time.Second)
	until := at.Add(statusValidity)
	if end := w.key.Chain[0].NotAfter; end.Before(until) {
		until = end
	}
	w.terms = status.Terms{Key: jades.Key{ID: w.key.ID, Alg: w.key.Alg, Chain: w.key.Chain}, At: at, Until: until, TTL: StatusTTL}
	var rows []signedRow
	err = s.DB.Select(ctx, &rows, `select kind, digest, signed_at, expires_at from status_tokens where organisation_id = ? and list_id = ?`, list.OrganisationID, list.ID)
	if err != nil {
		return next, fmt.Errorf("read what is signed: %w", err)
	}
	for _, r := range rows {
		w.have[r.Kind] = r
	}
	if err := s.values(ctx, w); err != nil {
		return next, err
	}
	if _, indexed := w.have[StatusIndex]; indexed && now.Before(list.RenewAt) {
		return list.RenewAt, nil
	}
	return s.index(ctx, w)
}

// setEntry is an entry that is not valid.
type setEntry struct {
	Index int          `db:"idx"`
	Value status.Value `db:"status"`
}

// values signs the three texts that say how credentials stand.
func (s *StatusSigner) values(ctx context.Context, w signing) error {
	array, digests, err := readArray(ctx, s.DB, *w.list)
	if err != nil {
		return err
	}
	facts := hsm.InspectSeal(w.key.Chain[0])
	for _, kind := range StatusKinds() {
		if w.have[kind].holds(digests[kind], w.terms.At) {
			continue
		}
		uri := StatusAddress(s.PublicURL, w.list.ID, kind)
		err := s.one(ctx, w, kind, digests[kind], func() ([]byte, error) {
			if kind == StatusToken {
				return status.SignToken(ctx, w.sealer, w.terms, uri, array)
			}
			b := status.Bitstring{URI: uri, Purpose: string(kind), Issuer: elm.IssuerID(facts), Name: facts.Organisation}
			return status.SignBitstring(ctx, w.sealer, w.terms, b, array)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readArray reads all values of a list, and for each kind a digest of what it will say.
func readArray(ctx context.Context, q sqldb.Queryer, list dueList) (*status.Array, map[StatusKind]string, error) {
	var set []setEntry
	err := q.Select(ctx, &set, `select idx, status from status_entries where organisation_id = ? and list_id = ? and status <> 0 order by idx`, list.OrganisationID, list.ID)
	if err != nil {
		return nil, nil, fmt.Errorf("read the values of a status list: %w", err)
	}
	array := status.NewArray(list.Entries)
	var texts [4][]byte
	for _, e := range set {
		if err := array.Set(e.Index, e.Value); err != nil {
			return nil, nil, fmt.Errorf("entry of status list %s: %w", list.ID, err)
		}
		line := fmt.Appendf(nil, "%d %d\n", e.Index, e.Value)
		texts[0], texts[e.Value] = append(texts[0], line...), append(texts[e.Value], line...)
	}
	digests := map[StatusKind]string{}
	for kind, value := range map[StatusKind]status.Value{StatusToken: 0, StatusRevocation: status.Invalid, StatusSuspension: status.Suspended} {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d\n%s", kind, list.Entries, texts[value]))
		digests[kind] = hex.EncodeToString(sum[:])
	}
	return array, digests, nil
}

// index signs which credential has which place, and returns when to look again.
func (s *StatusSigner) index(ctx context.Context, w signing) (next time.Time, err error) {
	settled := w.terms.At.Add(-statusSettle)
	// Of a full list, what is in the index never changes: a million rows need not be read for it.
	have, full := w.have[StatusIndex], w.list.FullAt
	if full.Valid && have.SignedAt.After(full.Time.Add(2*statusSettle)) && have.holds(have.Digest, w.terms.At) {
		return w.terms.At.Add(statusLook), nil
	}
	places, err := statusPlaces(ctx, s.DB, w.list.OrganisationID, w.list.ID, settled)
	if err != nil {
		return next, err
	}
	x := status.NewIndex(places)
	x.Until = settled
	if !have.holds(x.Digest(), w.terms.At) {
		uri := StatusAddress(s.PublicURL, w.list.ID, StatusToken)
		err := s.one(ctx, w, StatusIndex, x.Digest(), func() ([]byte, error) { return status.SignIndex(ctx, w.sealer, w.terms, uri, x) })
		if err != nil {
			return next, err
		}
	}
	if x.Entries == 0 { // the list was opened a moment ago
		return w.terms.At.Add(statusSettle + time.Minute), nil
	}
	return w.terms.At.Add(statusLook), nil
}

// statusPage is how many places are read in one go: a list has a million.
const statusPage = 20_000

// statusPlaces reads the places in a list that were given until then.
func statusPlaces(ctx context.Context, q sqldb.Queryer, organisationID, listID string, until time.Time) (*status.Places, error) {
	places := new(status.Places)
	for last := -1; ; {
		var rows []struct {
			CredentialID string `db:"credential_id"`
			Index        int    `db:"idx"`
		}
		err := q.Select(ctx, &rows, `select credential_id, idx from status_entries where organisation_id = ? and list_id = ? and idx > ? and assigned_at <= ? order by idx limit ?`,
			organisationID, listID, last, until, statusPage)
		if err != nil {
			return nil, fmt.Errorf("read the places of a status list: %w", err)
		}
		for _, r := range rows {
			places.Add(urn+r.CredentialID, r.Index)
			last = r.Index
		}
		if len(rows) < statusPage {
			return places, nil
		}
	}
}

// one signs one text and stores it, if the lease still holds.
func (s *StatusSigner) one(ctx context.Context, w signing, kind StatusKind, digest string, make func() ([]byte, error)) error {
	if err := s.step("sign " + string(kind)); err != nil {
		return err
	}
	file, err := make()
	if err != nil {
		return err
	}
	if err := s.step("store " + string(kind)); err != nil {
		return err
	}
	return s.DB.InTx(ctx, func(tx *sqldb.Tx) error {
		now := sqldb.UTC(s.Now())
		n, err := tx.Exec(ctx, `update status_lists set updated_at = ? where organisation_id = ? and id = ? and lease_until = ?`, now, w.list.OrganisationID, w.list.ID, w.list.LeaseUntil)
		if err != nil {
			return fmt.Errorf("hold the lease of a status list: %w", err)
		}
		if n == 0 {
			return errLeaseLost
		}
		_, err = tx.Exec(ctx, `insert into status_tokens (list_id, kind, organisation_id, file, digest, key_id, signed_at, expires_at) values (?, ?, ?, ?, ?, ?, ?, ?)
			on conflict (list_id, kind) do update set file = excluded.file, digest = excluded.digest, key_id = excluded.key_id, signed_at = excluded.signed_at, expires_at = excluded.expires_at`,
			w.list.ID, kind, w.list.OrganisationID, file, digest, w.key.ID, w.terms.At, sqldb.UTC(w.terms.Until))
		if err != nil {
			return fmt.Errorf("store a signed status list: %w", err)
		}
		sum := sha256.Sum256(file)
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: w.list.OrganisationID, At: now, Actor: "server", Action: "status list signed", Subject: w.list.ID,
			Detail: string(kind) + " key " + w.key.ID + " sha256 " + hex.EncodeToString(sum[:]),
		})
	})
}

// release gives a list back: what is signed tells of the version that was taken.
func (s *StatusSigner) release(ctx context.Context, list dueList, next time.Time) error {
	now := sqldb.UTC(s.Now())
	_, err := s.DB.Exec(ctx, `update status_lists set signed_version = ?, not_before = ?, renew_at = ?, attempts = 0, last_error = '', lease_until = null, updated_at = ?,
		expires_at = (select min(expires_at) from status_tokens t where t.list_id = status_lists.id and t.kind <> ?)
		where organisation_id = ? and id = ? and lease_until = ?`,
		list.Version, now.Add(statusPause), sqldb.UTC(next), now, StatusIndex, list.OrganisationID, list.ID, list.LeaseUntil)
	if err != nil {
		return fmt.Errorf("release a status list: %w", err)
	}
	return nil
}

// postpone gives a list back after a failure. While the token is away it is asked again every
// statusPause; other troubles are given more and more time.
func (s *StatusSigner) postpone(ctx context.Context, list dueList, cause error) error {
	now := sqldb.UTC(s.Now())
	wait := min(statusPause<<min(list.Attempts-1, 8), statusBackoff)
	if errors.Is(cause, hsm.ErrPaused) {
		wait = statusPause
	}
	_, err := s.DB.Exec(ctx, `update status_lists set last_error = ?, not_before = ?, lease_until = null, updated_at = ? where organisation_id = ? and id = ? and lease_until = ?`,
		cause.Error(), now.Add(wait), now, list.OrganisationID, list.ID, list.LeaseUntil)
	if err != nil {
		return fmt.Errorf("postpone a status list: %w", err)
	}
	return nil
}

func (s *StatusSigner) step(name string) error { return stopAt(s.Step, name) }
