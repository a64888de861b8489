package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// AuditReport is what came of walking the chain.
type AuditReport struct {
	// Whole says that no break was found, and that the noted head was, if one was given. It
	// does not say that the whole end was not rewritten: only a head noted elsewhere does.
	Whole     bool        `json:"whole"`
	Break     *AuditBreak `json:"break,omitempty"` // the first one
	Links     int64       `json:"links"`           // that were checked
	LeftOut   int64       `json:"left_out"`        // by the filter of an export
	NotLinked int64       `json:"not_linked"`      // rows that wait for their link, when it was read or exported
	Head      string      `json:"head"`            // hash of the last link checked: to be noted elsewhere
	HeadSeq   int64       `json:"head_seq"`
	Noted     *NotedHead  `json:"noted,omitempty"`

	wanted string
}

// AuditBreak is where the chain does not hold.
type AuditBreak struct {
	Kind  string `json:"kind"` // changed, missing, inserted, head, noted
	Seq   int64  `json:"seq"`  // of the link; 0: none
	ID    int64  `json:"id"`   // of the row; 0: not known
	Words string `json:"words"`
}

// NotedHead is where the head that somebody noted earlier stands.
type NotedHead struct {
	Found    bool   `json:"found"`
	Seq      int64  `json:"seq,omitempty"`
	LinkedAt string `json:"linked_at,omitempty"`
}

func (r *AuditReport) broken(kind string, seq, id int64, format string, args ...any) {
	if r.Break == nil {
		r.Break = &AuditBreak{Kind: kind, Seq: seq, ID: id, Words: fmt.Sprintf(format, args...)}
	}
}

// passed takes a link that holds.
func (r *AuditReport) passed(l AuditLink) {
	r.Links++
	r.Head, r.HeadSeq = l.Hash, l.Seq
	if r.Noted != nil && l.Hash == r.wanted {
		*r.Noted = NotedHead{Found: true, Seq: l.Seq, LinkedAt: l.LinkedAt}
	}
}

// newReport begins a report; noted is empty or the hash to look for.
func newReport(noted string) *AuditReport {
	r := &AuditReport{Head: AuditGenesis, wanted: noted}
	if noted != "" {
		r.Noted = &NotedHead{Found: noted == AuditGenesis}
	}
	return r
}

func (r *AuditReport) end() AuditReport {
	if r.Break == nil && r.Noted != nil && !r.Noted.Found {
		r.broken("noted", 0, 0, "The chain fits in itself, but the noted head is not in it: what was noted was rewritten or cut off, or it is the head of another database.")
	}
	r.Whole = r.Break == nil
	return *r
}

// storedLink is a row of audit_chain with what its row in audit says now; null when that is gone.
type storedLink struct {
	Seq      int64          `db:"seq"`
	AuditID  int64          `db:"audit_id"`
	Hash     string         `db:"hash"`
	LinkedAt time.Time      `db:"linked_at"`
	There    sql.NullInt64  `db:"id"`
	Org      sql.NullString `db:"organisation_id"`
	At       sql.NullTime   `db:"at"`
	Actor    sql.NullString `db:"actor"`
	Action   sql.NullString `db:"action"`
	Subject  sql.NullString `db:"subject"`
	Detail   sql.NullString `db:"detail"`
}

// link returns the link as it is stored, with prev before it.
func (s storedLink) link(prev string) AuditLink {
	row := auditRow{
		ID: s.AuditID, OrganisationID: s.Org.String, At: s.At.Time, Actor: s.Actor.String, Action: s.Action.String, Subject: s.Subject.String, Detail: s.Detail.String,
	}
	l := row.link(s.Seq, prev, s.LinkedAt)
	l.Hash = s.Hash
	return l
}

const linkColumns = `c.seq, c.audit_id, c.hash, c.linked_at, ` + auditColumns

// links reads the chain from after seq to last, a batch at a time, until do says stop.
func (db *DB) links(ctx context.Context, after, last int64, do func([]storedLink) (more bool, err error)) error {
	for {
		var batch []storedLink
		err := db.Select(ctx, &batch, `select `+linkColumns+` from audit_chain c left join audit a on a.id = c.audit_id
			where c.seq > ? and c.seq <= ? order by c.seq limit ?`, after, last, auditBatch)
		if err != nil {
			return wrapAudit("read the chain", err)
		}
		if len(batch) == 0 {
			return nil
		}
		if more, err := do(batch); err != nil || !more {
			return err
		}
		after = batch[len(batch)-1].Seq
	}
}

// VerifyAudit walks the chain of the database and says where it breaks first. noted is empty,
// or a head that was noted earlier and must be in the chain. It changes nothing, reads a batch
// at a time, and may run while rows are written and linked. The error is the database's.
func (db *DB) VerifyAudit(ctx context.Context, noted string) (AuditReport, error) {
	r := newReport(noted)
	var state struct {
		auditHead
		Last int64 `db:"last"`
	}
	err := db.Get(ctx, &state, `select h.seq, h.hash, (select coalesce(max(seq), 0) from audit_chain) as last from audit_head h where h.id = 1`)
	if errors.Is(err, sql.ErrNoRows) {
		r.broken("head", 0, 0, "The row of the head is gone.")
		err = nil
	}
	if err != nil {
		return AuditReport{}, wrapAudit("read the head", err)
	}
	err = db.links(ctx, 0, state.Last, func(batch []storedLink) (bool, error) {
		for _, s := range batch {
			if s.check(r); r.Break != nil {
				return false, db.explain(ctx, r, s)
			}
			r.passed(s.link(r.Head))
		}
		return true, nil
	})
	if err != nil {
		return AuditReport{}, err
	}
	if r.HeadSeq != state.Seq || r.Head != state.Hash {
		r.broken("head", r.HeadSeq, 0, "The chain ends with link %d, but the head says %d: links were cut off or put on at the end.", r.HeadSeq, state.Seq)
	}
	if err := db.checkOutside(ctx, r); err != nil {
		return AuditReport{}, err
	}
	return r.end(), nil
}

// check compares one link with what came before it.
func (s storedLink) check(r *AuditReport) {
	switch want := r.HeadSeq + 1; {
	case s.Seq != want:
		r.broken("missing", want, 0, "Link %d is missing: after link %d comes %d.", want, r.HeadSeq, s.Seq)
	case !s.There.Valid:
		r.broken("missing", s.Seq, s.AuditID, "Row %d, link %d of %s, is missing: it was deleted after it was linked.", s.AuditID, s.Seq, stamp(s.LinkedAt))
	default:
		if l := s.link(r.Head); l.Sum() != l.Hash {
			r.broken("changed", s.Seq, s.AuditID, "%s", changed(l))
		}
	}
}

func changed(l AuditLink) string {
	return fmt.Sprintf("Row %d, link %d, is not what was linked. Now it says: %s, %s, %s, %s.", l.ID, l.Seq, l.At, l.Actor, l.Action, l.Subject)
}

// explain looks at the link after one that does not fit. When that follows from the hash that
// is stored here, only this row differs; otherwise the order of links was touched.
func (db *DB) explain(ctx context.Context, r *AuditReport, s storedLink) error {
	if r.Break.Kind != "changed" {
		return nil
	}
	var next storedLink
	err := db.Get(ctx, &next, `select `+linkColumns+` from audit_chain c left join audit a on a.id = c.audit_id where c.seq = ?`, s.Seq+1)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return wrapAudit("read the chain", err)
	}
	if l := next.link(s.Hash); l.Sum() == l.Hash {
		r.Break.Words += " The link after it fits, so this row was changed."
	} else {
		r.Break.Words += " The link after it does not fit either: rows were inserted, exchanged or changed here."
	}
	return nil
}

// checkOutside looks for rows that are in the table and neither linked nor waiting for it, for
// waiting rows that are gone, and counts those that wait.
func (db *DB) checkOutside(ctx context.Context, r *AuditReport) error {
	var stray, gone int64
	err := db.Get(ctx, &stray, `select coalesce(min(a.id), 0) from audit a where not exists (select 1 from audit_chain c where c.audit_id = a.id)
		and not exists (select 1 from audit_pending p where p.audit_id = a.id)`)
	if err != nil {
		return wrapAudit("look for rows outside the chain", err)
	}
	if stray != 0 {
		r.broken("inserted", 0, stray, "Row %d is in the table and not in the chain, and does not wait for its link: it was inserted with the triggers off.", stray)
	}
	err = db.Get(ctx, &gone, `select coalesce(min(p.audit_id), 0) from audit_pending p where not exists (select 1 from audit a where a.id = p.audit_id)`)
	if err != nil {
		return wrapAudit("look for rows that are gone", err)
	}
	if gone != 0 {
		r.broken("missing", 0, gone, "Row %d is missing: it was deleted before it was linked.", gone)
	}
	return wrapAudit("count rows that are not linked", db.Get(ctx, &r.NotLinked, `select count(*) from audit_pending`))
}
