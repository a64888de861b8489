package ltistore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

type toolKeyRow struct {
	KID       string       `db:"kid"`
	Private   []byte       `db:"private"`
	Encrypted bool         `db:"encrypted"`
	CreatedAt time.Time    `db:"created_at"`
	UseFrom   sql.NullTime `db:"use_from"`
	RetiredAt sql.NullTime `db:"retired_at"`
}

const selectToolKeys = `select kid, private, encrypted, created_at, use_from, retired_at from tool_keys `

func (r toolKeyRow) key() lti.ToolKey {
	k := lti.ToolKey{KID: r.KID, CreatedAt: r.CreatedAt.UTC()}
	if r.UseFrom.Valid {
		k.UseFrom = r.UseFrom.Time.UTC()
	}
	if r.RetiredAt.Valid {
		k.RetiredAt = r.RetiredAt.Time.UTC()
	}
	return k
}

// open returns the private key of the row.
func (r toolKeyRow) open(b *Box) ([]byte, error) {
	if !r.Encrypted {
		return r.Private, nil
	}
	plain, err := b.open(r.Private, toolKeyPlace(r.KID))
	if err != nil {
		return nil, fmt.Errorf("tool key %s is %w", r.KID, err)
	}
	return plain, nil
}

func toolKeyPlace(kid string) string { return "tool key\x00" + kid }

// publishedKeys selects what has to be published at now, the oldest first.
func publishedKeys(ctx context.Context, q sqldb.Queryer, now time.Time) ([]toolKeyRow, error) {
	var rows []toolKeyRow
	err := q.Select(ctx, &rows, selectToolKeys+`where retired_at is null or retired_at > ? order by created_at, kid`,
		sqldb.UTC(now.Add(-lti.KeyOverlap)))
	if err != nil {
		return nil, fmt.Errorf("select the tool keys: %w", err)
	}
	return rows, nil
}

// ToolKeys implements lti.KeyStore.
func (s *Store) ToolKeys(ctx context.Context) ([]lti.ToolKey, error) {
	rows, err := publishedKeys(ctx, s.db, s.now())
	if err != nil {
		return nil, err
	}
	keys := make([]lti.ToolKey, 0, len(rows))
	for _, r := range rows {
		k := r.key()
		if k.Private, err = r.open(s.box); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// AllToolKeys returns the keys that there are, the oldest first, without their private
// parts: it needs no Box.
func (s *Store) AllToolKeys(ctx context.Context) ([]lti.ToolKey, error) {
	var rows []toolKeyRow
	if err := s.db.Select(ctx, &rows, selectToolKeys+`order by created_at, kid`); err != nil {
		return nil, fmt.Errorf("select the tool keys: %w", err)
	}
	keys := make([]lti.ToolKey, 0, len(rows))
	for _, r := range rows {
		keys = append(keys, r.key())
	}
	return keys, nil
}

// ChangeToolKeys implements lti.KeyStore. What is changed gets into the audit trail.
func (s *Store) ChangeToolKeys(ctx context.Context, plan func(have []lti.ToolKey) (lti.KeyChange, error)) error {
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		now := s.now()
		if err := lockKeys(ctx, tx, now); err != nil {
			return err
		}
		rows, err := publishedKeys(ctx, tx, now)
		if err != nil {
			return err
		}
		have := make([]lti.ToolKey, 0, len(rows))
		for _, r := range rows {
			if r.Encrypted && s.box == nil {
				return fmt.Errorf("tool key %s is %w", r.KID, errNoBox)
			}
			have = append(have, r.key())
		}
		change, err := plan(have)
		if err != nil {
			return err
		}
		return s.apply(ctx, tx, change)
	})
}

// lockKeys lets one transaction at a time change keys. The row stands for the table: an
// empty table has no row to lock, and the first key is what two processes race for.
func lockKeys(ctx context.Context, tx *sqldb.Tx, now time.Time) error {
	_, err := tx.Exec(ctx, `insert into secrets (name, value, created_at) values ('tool-keys-lock', ?, ?)
		on conflict (name) do update set created_at = excluded.created_at`, []byte{}, sqldb.UTC(now))
	if err != nil {
		return fmt.Errorf("lock the tool keys: %w", err)
	}
	return nil
}

func (s *Store) apply(ctx context.Context, tx *sqldb.Tx, c lti.KeyChange) error {
	audit := func(action, kid, detail string) error {
		return sqldb.Audit(ctx, tx, sqldb.Event{At: s.now(), Actor: c.Actor, Action: action, Subject: kid, Detail: detail})
	}
	for _, kid := range c.Withdraw {
		if _, err := tx.Exec(ctx, `delete from tool_keys where kid = ?`, kid); err != nil {
			return fmt.Errorf("withdraw tool key %s: %w", kid, err)
		}
		if err := audit("tool key withdrawn", kid, "no longer published"); err != nil {
			return err
		}
	}
	for _, kid := range c.Retire {
		// A retirement is not put off by a later one.
		n, err := tx.Exec(ctx, `update tool_keys set retired_at = ? where kid = ? and (retired_at is null or retired_at > ?)`,
			sqldb.UTC(c.RetireAt), kid, sqldb.UTC(c.RetireAt))
		if err != nil {
			return fmt.Errorf("retire tool key %s: %w", kid, err)
		}
		if n == 0 {
			continue
		}
		if err := audit("tool key retired", kid, "signs until "+sqldb.UTC(c.RetireAt).Format(time.RFC3339)); err != nil {
			return err
		}
	}
	if c.Add == nil {
		return nil
	}
	if err := s.insertToolKey(ctx, tx, *c.Add); err != nil {
		return err
	}
	return audit("tool key made", c.Add.KID, "signs from "+sqldb.UTC(c.Add.UseFrom).Format(time.RFC3339))
}

func (s *Store) insertToolKey(ctx context.Context, tx *sqldb.Tx, k lti.ToolKey) error {
	private := []byte(k.Private)
	if s.box != nil {
		private = s.box.seal(private, toolKeyPlace(k.KID))
	}
	_, err := tx.Exec(ctx, `insert into tool_keys (kid, private, encrypted, created_at, use_from, retired_at) values (?, ?, ?, ?, ?, ?)`,
		k.KID, private, s.box != nil, sqldb.UTC(k.CreatedAt), nullTime(k.UseFrom), nullTime(k.RetiredAt))
	if err != nil {
		return fmt.Errorf("insert a tool key: %w", err)
	}
	return nil
}

func nullTime(t time.Time) sql.NullTime {
	return sql.NullTime{Time: sqldb.UTC(t), Valid: !t.IsZero()}
}

// Sealed returns how many values in the database are sealed: to open them takes the key
// file they were sealed with.
func (s *Store) Sealed(ctx context.Context) (int, error) {
	var n int
	err := s.db.Get(ctx, &n, `select (select count(*) from tool_keys where encrypted = ?) +
		(select count(*) from lti11_keys where substr(secret, 1, 1) <> ?)`, true, []byte{formPlain})
	if err != nil {
		return 0, fmt.Errorf("count what is sealed: %w", err)
	}
	return n, nil
}

// SealPlain seals every private key and shared secret that is stored plain, and returns how
// many. All that are sealed are opened first: when one does not open, nothing is changed,
// and IsWrongBox tells whether the key file is the reason. Call it at start-up.
func (s *Store) SealPlain(ctx context.Context) (int, error) { return s.sealAll(ctx, false, "server") }

// Rewrap seals everything with the first key of the Box that is not sealed with it yet, and
// returns how many values it changed. It fails as SealPlain does.
func (s *Store) Rewrap(ctx context.Context) (int, error) { return s.sealAll(ctx, true, "operator") }

func (s *Store) sealAll(ctx context.Context, rewrap bool, actor string) (int, error) {
	if s.box == nil {
		return 0, errors.New("seal the keys: no key file was given")
	}
	changed := 0
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		if err := lockKeys(ctx, tx, s.now()); err != nil {
			return err
		}
		tools, err := s.sealToolKeys(ctx, tx, rewrap)
		if err != nil {
			return err
		}
		shared, err := s.sealLTI11(ctx, tx, rewrap)
		if err != nil {
			return err
		}
		if changed = tools + shared; changed == 0 {
			return nil
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			At: s.now(), Actor: actor, Action: "keys sealed", Subject: "key file",
			Detail: fmt.Sprintf("%d tool keys and %d LTI 1.1 secrets sealed with its first key", tools, shared),
		})
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}

// IsWrongBox reports whether err of a Store comes from a value that this Box, or no Box at
// all, cannot open because it was sealed with another key file.
func IsWrongBox(err error) bool { return errors.Is(err, errWrongBox) || errors.Is(err, errNoBox) }

func (s *Store) sealToolKeys(ctx context.Context, tx *sqldb.Tx, rewrap bool) (int, error) {
	var rows []toolKeyRow
	if err := tx.Select(ctx, &rows, selectToolKeys+`order by kid`); err != nil {
		return 0, fmt.Errorf("select the tool keys: %w", err)
	}
	changed := 0
	for _, r := range rows {
		plain, err := r.open(s.box)
		if err != nil {
			return 0, err
		}
		if r.Encrypted && (!rewrap || s.box.newest(r.Private)) {
			continue
		}
		_, err = tx.Exec(ctx, `update tool_keys set private = ?, encrypted = ? where kid = ?`, s.box.seal(plain, toolKeyPlace(r.KID)), true, r.KID)
		if err != nil {
			return 0, fmt.Errorf("seal tool key %s: %w", r.KID, err)
		}
		changed++
	}
	return changed, nil
}

// ForgetSealed deletes what is sealed, for when the key file is lost for good, and returns
// how much went. The tool makes a new key when it next needs one; shared secrets of LTI 1.1
// have to be entered again.
func (s *Store) ForgetSealed(ctx context.Context) (int, error) {
	var tools, shared int64
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		err := lockKeys(ctx, tx, s.now())
		if err != nil {
			return err
		}
		if tools, err = tx.Exec(ctx, `delete from tool_keys where encrypted = ?`, true); err != nil {
			return fmt.Errorf("delete the tool keys: %w", err)
		}
		if shared, err = tx.Exec(ctx, `delete from lti11_keys where substr(secret, 1, 1) <> ?`, []byte{formPlain}); err != nil {
			return fmt.Errorf("delete the LTI 1.1 secrets: %w", err)
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			At: s.now(), Actor: "operator", Action: "sealed keys forgotten", Subject: "key file",
			Detail: fmt.Sprintf("%d tool keys and %d LTI 1.1 secrets deleted", tools, shared),
		})
	})
	return int(tools + shared), err
}
