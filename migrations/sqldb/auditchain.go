package sqldb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// AuditLink is one row of the audit trail with its place in the chain, as `audit export`
// writes it: one JSON object a line, the fields in this order. Times are RFC 3339 in UTC with
// as many decimals as they need; Hash covers the very text that stands here.
type AuditLink struct {
	Seq          int64  `json:"seq"` // 1, 2, 3 … in the order of linking
	ID           int64  `json:"id"`  // of the row; on PostgreSQL not in the order of commits
	At           string `json:"at"`
	Organisation string `json:"organisation"` // id; empty: the server itself
	Actor        string `json:"actor"`
	Action       string `json:"action"`
	Subject      string `json:"subject"`
	Detail       string `json:"detail"`
	LinkedAt     string `json:"linked_at"`
	Prev         string `json:"prev"` // Hash of link Seq-1; of the first: AuditGenesis
	Hash         string `json:"hash"` // lower-case hex of what Sum computes
}

// AuditGenesis is the hash before the first link: 64 zeros.
const AuditGenesis = "0000000000000000000000000000000000000000000000000000000000000000"

// auditDomain begins what is hashed, so that no other hash of ours is mistaken for one.
const auditDomain = "sealsmith-audit-1"

// Sum returns the hash that the link should have: lower-case hex of SHA-256 over netstrings
// (the number of bytes in decimal, ":", the bytes, ","), which no two different rows share,
// of: "sealsmith-audit-1", Prev, Seq, ID, At, Organisation, Actor, Action, Subject, Detail,
// LinkedAt; numbers in decimal.
func (l AuditLink) Sum() string {
	h := sha256.New()
	for _, field := range []string{
		auditDomain, l.Prev, strconv.FormatInt(l.Seq, 10), strconv.FormatInt(l.ID, 10), l.At,
		l.Organisation, l.Actor, l.Action, l.Subject, l.Detail, l.LinkedAt,
	} {
		_, _ = fmt.Fprintf(h, "%d:%s,", len(field), field) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))
}

// auditRow is a row of audit, and of audit_chain where it has one.
type auditRow struct {
	ID             int64     `db:"id"`
	OrganisationID string    `db:"organisation_id"`
	At             time.Time `db:"at"`
	Actor          string    `db:"actor"`
	Action         string    `db:"action"`
	Subject        string    `db:"subject"`
	Detail         string    `db:"detail"`
}

const auditColumns = `a.id, a.organisation_id, a.at, a.actor, a.action, a.subject, a.detail`

// link makes the link that follows the given one.
func (r auditRow) link(seq int64, prev string, at time.Time) AuditLink {
	return AuditLink{
		Seq: seq, ID: r.ID, At: stamp(r.At), Organisation: text(r.OrganisationID), Actor: text(r.Actor), Action: text(r.Action),
		Subject: text(r.Subject), Detail: text(r.Detail), LinkedAt: stamp(at), Prev: prev,
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// auditBatch is how many rows are linked in one transaction, and read at once by whoever
// walks the chain: it bounds memory, and how long SQLite's only writer is taken.
const auditBatch = 500

// AuditChainer links rows of the audit trail into a chain of hashes: a row that is changed,
// deleted, inserted or moved later does not fit any more, and VerifyAudit says which.
//
// It runs beside the writers, so that they do not wait for each other: a row is linked after
// its commit, within Every when one chainer runs. On PostgreSQL a row may be committed after
// one with a greater id; the order of the chain is therefore that of linking, with numbers of
// its own. Several chainers may run: one at a time holds the row of the head. That is a lock
// of the database and no lease, because nothing but SQL is waited for while it is held: a
// process that dies gives it back with its connection, and no clock is asked.
type AuditChainer struct {
	DB     *DB
	Every  time.Duration    // how often the database is asked for new rows
	Now    func() time.Time // the clock
	Logger *slog.Logger
	// Step, when set, is called before a batch is committed; an error ends it there as kill -9
	// would. Tests kill with it.
	Step func() error
}

// Run links until ctx ends. What fails is logged and tried again.
func (c *AuditChainer) Run(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := c.Link(ctx)
		if err != nil && ctx.Err() == nil {
			c.Logger.WarnContext(ctx, "audit trail not linked; it is tried again", "err", err)
		}
		if n < auditBatch || err != nil {
			c.pause(ctx)
		}
	}
}

func (c *AuditChainer) pause(ctx context.Context) {
	timer := time.NewTimer(c.Every)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Link links one batch of at most 500 rows in one transaction, and returns how many.
func (c *AuditChainer) Link(ctx context.Context) (int, error) {
	var waiting []int64
	// Asked outside a transaction: mostly there is nothing, and no lock is needed to know it.
	if err := c.DB.Select(ctx, &waiting, `select audit_id from audit_pending limit 1`); err != nil || len(waiting) == 0 {
		return 0, wrapAudit("look for rows that are not linked", err)
	}
	linked := 0
	err := c.DB.InTx(ctx, func(tx *Tx) error {
		var head auditHead
		if err := tx.Get(ctx, &head, `update audit_head set seq = seq where id = 1 returning seq, hash`); err != nil {
			return fmt.Errorf("hold the head: %w", err)
		}
		var rows []auditRow
		err := tx.Select(ctx, &rows, `select `+auditColumns+` from audit_pending p join audit a on a.id = p.audit_id order by p.audit_id limit ?`, auditBatch)
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := appendLinks(ctx, tx, head, rows, UTC(c.Now())); err != nil {
			return err
		}
		linked = len(rows)
		if c.Step != nil {
			return c.Step()
		}
		return nil
	})
	if err != nil {
		return 0, wrapAudit("link the audit trail", err)
	}
	return linked, nil
}

type auditHead struct {
	Seq  int64  `db:"seq"`
	Hash string `db:"hash"`
}

func appendLinks(ctx context.Context, tx *Tx, head auditHead, rows []auditRow, now time.Time) error {
	first := head.Seq
	args := make([]any, 0, 4*len(rows))
	for _, row := range rows {
		link := row.link(head.Seq+1, head.Hash, now)
		head = auditHead{link.Seq, link.Sum()}
		args = append(args, link.Seq, link.ID, head.Hash, now)
	}
	values := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", len(rows)), ", ")
	if _, err := tx.Exec(ctx, `insert into audit_chain (seq, audit_id, hash, linked_at) values `+values, args...); err != nil {
		return fmt.Errorf("write links: %w", err)
	}
	n, err := tx.Exec(ctx, `delete from audit_pending where audit_id in (select audit_id from audit_chain where seq > ?)`, first)
	if err != nil {
		return fmt.Errorf("note what is linked: %w", err)
	}
	if n != int64(len(rows)) {
		return fmt.Errorf("%d of %d linked rows were waiting", n, len(rows))
	}
	if _, err := tx.Exec(ctx, `update audit_head set seq = ?, hash = ? where id = 1`, head.Seq, head.Hash); err != nil {
		return fmt.Errorf("move the head: %w", err)
	}
	return nil
}

func wrapAudit(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
