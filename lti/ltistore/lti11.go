package ltistore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// LTI11Key is a consumer key that a platform had under LTI 1.1. The shared secret that goes
// with it is not shown.
type LTI11Key struct {
	ID          string    `db:"id"`
	ConsumerKey string    `db:"consumer_key"`
	CreatedAt   time.Time `db:"created_at"`
}

type lti11Row struct {
	ID             string `db:"id"`
	RegistrationID string `db:"registration_id"`
	ConsumerKey    string `db:"consumer_key"`
	Secret         []byte `db:"secret"`
}

const selectLTI11 = `select id, registration_id, consumer_key, secret from lti11_keys `

// place is what the secret is sealed for: in another registration it does not open.
func (r lti11Row) place() string { return "lti11\x00" + r.RegistrationID + "\x00" + r.ConsumerKey }

func (r lti11Row) open(b *Box) ([]byte, error) {
	plain, err := b.open(r.Secret, r.place())
	if err != nil {
		return nil, fmt.Errorf("the LTI 1.1 secret %s is %w", r.ID, err)
	}
	return plain, nil
}

const maxLTI11 = 4096 // bytes of a consumer key or secret; both were typed by people

// AddLTI11Key notes a consumer key and its shared secret of the registration, so that the
// platform can prove who its users were under LTI 1.1. A key may have several secrets, as
// it has while one is being replaced; the same pair again changes nothing. It fails with
// lti.ErrNotFound when the organisation has no such registration.
func (s *Store) AddLTI11Key(ctx context.Context, organisationID, registrationID, consumerKey string, secret []byte) error {
	if consumerKey == "" || len(secret) == 0 || len(consumerKey) > maxLTI11 || len(secret) > maxLTI11 {
		return errors.New("an LTI 1.1 key has a consumer key and a secret, each at most 4096 bytes long")
	}
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		if err := s.lockRegistration(ctx, tx, organisationID, registrationID); err != nil {
			return err
		}
		known, err := s.lti11Secrets(ctx, tx, lti11Row{RegistrationID: registrationID, ConsumerKey: consumerKey}, organisationID)
		if err != nil {
			return err
		}
		for _, k := range known {
			if bytes.Equal(k, secret) {
				return nil
			}
		}
		row := lti11Row{ID: uuid.Must(uuid.NewV7()).String(), RegistrationID: registrationID, ConsumerKey: consumerKey}
		_, err = tx.Exec(ctx, `insert into lti11_keys (id, organisation_id, registration_id, consumer_key, secret, created_at)
			values (?, ?, ?, ?, ?, ?)`, row.ID, organisationID, registrationID, consumerKey, s.box.seal(secret, row.place()), sqldb.UTC(s.now()))
		if err != nil {
			return fmt.Errorf("insert an LTI 1.1 key: %w", err)
		}
		return s.auditLTI11(ctx, tx, organisationID, "lti 1.1 key added", row)
	})
}

// lockRegistration makes sure that the registration is the organisation's and stays until
// the end of the transaction.
func (s *Store) lockRegistration(ctx context.Context, tx *sqldb.Tx, organisationID, id string) error {
	n, err := tx.Exec(ctx, `update registrations set name = name where organisation_id = ? and id = ?`, organisationID, id)
	if err != nil {
		return fmt.Errorf("select the registration: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("registration %s: %w", id, lti.ErrNotFound)
	}
	return nil
}

func (s *Store) auditLTI11(ctx context.Context, tx *sqldb.Tx, organisationID, action string, row lti11Row) error {
	return sqldb.Audit(ctx, tx, sqldb.Event{
		OrganisationID: organisationID, At: s.now(), Actor: "operator", Action: action, Subject: row.RegistrationID,
		Detail: fmt.Sprintf("%s, consumer key %q", row.ID, row.ConsumerKey),
	})
}

// LTI11Keys lists the consumer keys of a registration of the organisation, the oldest first.
func (s *Store) LTI11Keys(ctx context.Context, organisationID, registrationID string) ([]LTI11Key, error) {
	var keys []LTI11Key
	err := s.db.Select(ctx, &keys, `select id, consumer_key, created_at from lti11_keys
		where organisation_id = ? and registration_id = ? order by created_at, id`, organisationID, registrationID)
	if err != nil {
		return nil, fmt.Errorf("select the LTI 1.1 keys: %w", err)
	}
	for i := range keys {
		keys[i].CreatedAt = keys[i].CreatedAt.UTC()
	}
	return keys, nil
}

// RemoveLTI11Key deletes a consumer key and its secret by the id that LTI11Keys tells; not
// there is lti.ErrNotFound.
func (s *Store) RemoveLTI11Key(ctx context.Context, organisationID, registrationID, id string) error {
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `delete from lti11_keys where organisation_id = ? and registration_id = ? and id = ?`, organisationID, registrationID, id)
		if err != nil {
			return fmt.Errorf("delete an LTI 1.1 key: %w", err)
		}
		if n == 0 {
			return fmt.Errorf("LTI 1.1 key %s: %w", id, lti.ErrNotFound)
		}
		return s.auditLTI11(ctx, tx, organisationID, "lti 1.1 key removed", lti11Row{ID: id, RegistrationID: registrationID})
	})
}

// LTI11Secrets implements lti.Store.
func (s *Store) LTI11Secrets(ctx context.Context, r lti.Registration, consumerKey string) ([][]byte, error) {
	return s.lti11Secrets(ctx, s.db, lti11Row{RegistrationID: r.ID, ConsumerKey: consumerKey}, r.OrganisationID)
}

func (s *Store) lti11Secrets(ctx context.Context, q sqldb.Queryer, of lti11Row, organisationID string) ([][]byte, error) {
	var rows []lti11Row
	err := q.Select(ctx, &rows, selectLTI11+`where organisation_id = ? and registration_id = ? and consumer_key = ? order by created_at, id`,
		organisationID, of.RegistrationID, of.ConsumerKey)
	if err != nil {
		return nil, fmt.Errorf("select the LTI 1.1 secrets: %w", err)
	}
	secrets := make([][]byte, 0, len(rows))
	for _, row := range rows {
		secret, err := row.open(s.box)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

func (s *Store) sealLTI11(ctx context.Context, tx *sqldb.Tx, rewrap bool) (int, error) {
	var rows []lti11Row
	if err := tx.Select(ctx, &rows, selectLTI11+`order by id`); err != nil {
		return 0, fmt.Errorf("select the LTI 1.1 secrets: %w", err)
	}
	changed := 0
	for _, row := range rows {
		plain, err := row.open(s.box)
		if err != nil {
			return 0, err
		}
		if !isPlain(row.Secret) && (!rewrap || s.box.newest(row.Secret)) {
			continue
		}
		if _, err := tx.Exec(ctx, `update lti11_keys set secret = ? where id = ?`, s.box.seal(plain, row.place()), row.ID); err != nil {
			return 0, fmt.Errorf("seal the LTI 1.1 secret %s: %w", row.ID, err)
		}
		changed++
	}
	return changed, nil
}
