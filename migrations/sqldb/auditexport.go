package sqldb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// AuditFilter chooses rows of the audit trail; what is zero chooses all.
type AuditFilter struct {
	OrganisationID         string
	Actor, Action, Subject string    // equal to
	Since, Until           time.Time // At is not before Since, and before Until
}

// where returns conditions on alias a, beginning with " and", and their arguments.
func (f AuditFilter) where() (string, []any) {
	var conditions strings.Builder
	var args []any
	add := func(set bool, condition string, arg any) {
		if set {
			conditions.WriteString(" and " + condition)
			args = append(args, arg)
		}
	}
	add(f.OrganisationID != "", "a.organisation_id = ?", f.OrganisationID)
	add(f.Actor != "", "a.actor = ?", f.Actor)
	add(f.Action != "", "a.action = ?", f.Action)
	add(f.Subject != "", "a.subject = ?", f.Subject)
	add(!f.Since.IsZero(), "a.at >= ?", UTC(f.Since))
	add(!f.Until.IsZero(), "a.at < ?", UTC(f.Until))
	return conditions.String(), args
}

// fits is where in Go.
func (f AuditFilter) fits(s storedLink) bool {
	return (f.OrganisationID == "" || f.OrganisationID == s.Org.String) && (f.Actor == "" || f.Actor == s.Actor.String) &&
		(f.Action == "" || f.Action == s.Action.String) && (f.Subject == "" || f.Subject == s.Subject.String) &&
		(f.Since.IsZero() || !s.At.Time.Before(UTC(f.Since))) && (f.Until.IsZero() || s.At.Time.Before(UTC(f.Until)))
}

// ListAudit returns the newest rows that the filter chooses, newest first, at most limit.
// Links have Seq 0 and no hash when the row is not linked yet; Prev is always empty.
func (db *DB) ListAudit(ctx context.Context, f AuditFilter, limit int) ([]AuditLink, error) {
	conditions, args := f.where()
	var rows []struct {
		auditRow
		Seq  int64  `db:"seq"`
		Hash string `db:"hash"`
	}
	err := db.Select(ctx, &rows, `select `+auditColumns+`, coalesce(c.seq, 0) as seq, coalesce(c.hash, '') as hash
		from audit a left join audit_chain c on c.audit_id = a.id where 1 = 1`+conditions+` order by a.id desc limit ?`, append(args, limit)...)
	if err != nil {
		return nil, wrapAudit("list the audit trail", err)
	}
	all := make([]AuditLink, len(rows))
	for i, row := range rows {
		all[i] = row.link(row.Seq, "", time.Time{})
		all[i].Hash, all[i].LinkedAt = row.Hash, ""
	}
	return all, nil
}

// auditFormat names the form of an export.
const auditFormat = "sealsmith-audit-export-1"

// AuditExport is the first line of an export: what follows it.
type AuditExport struct {
	Format    string `json:"format"`
	Filtered  bool   `json:"filtered"`   // links were left out
	Links     int64  `json:"links"`      // that follow, one AuditLink a line
	HeadSeq   int64  `json:"head_seq"`   // of the chain when it was exported
	HeadHash  string `json:"head_hash"`  // of the chain when it was exported
	NotLinked int64  `json:"not_linked"` // rows that waited for their link, and are not in the export
}

// ExportAudit writes the linked rows that the filter chooses as JSON lines: AuditExport first,
// then AuditLinks. It reads a batch at a time, and goes up to the head of when it began. A
// link whose row is gone ends it with an error: see VerifyAudit.
func (db *DB) ExportAudit(ctx context.Context, f AuditFilter, w io.Writer) (AuditExport, error) {
	head := AuditExport{Format: auditFormat, Filtered: f != AuditFilter{}}
	var state auditHead
	if err := db.Get(ctx, &state, `select seq, hash from audit_head where id = 1`); err != nil {
		return head, wrapAudit("read the head", err)
	}
	head.HeadSeq, head.HeadHash = state.Seq, state.Hash
	conditions, args := f.where()
	err := errors.Join(
		db.Get(ctx, &head.Links, `select count(*) from audit_chain c join audit a on a.id = c.audit_id where c.seq <= ?`+conditions, append([]any{state.Seq}, args...)...),
		db.Get(ctx, &head.NotLinked, `select count(*) from audit_pending`))
	if err != nil {
		return head, wrapAudit("count the audit trail", err)
	}
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(head); err != nil {
		return head, wrapAudit("write the export", err)
	}
	prev := AuditGenesis
	err = db.links(ctx, 0, state.Seq, func(batch []storedLink) (bool, error) {
		for _, s := range batch {
			if !s.There.Valid {
				return false, fmt.Errorf("row %d, link %d, is missing: see sealsmith audit verify", s.AuditID, s.Seq)
			}
			if f.fits(s) {
				if err := encoder.Encode(s.link(prev)); err != nil {
					return false, wrapAudit("write the export", err)
				}
			}
			prev = s.Hash
		}
		return true, nil
	})
	if err != nil {
		return head, err
	}
	return head, wrapAudit("write the export", buffered.Flush())
}

// maxAuditLine is the longest line of an export that is read, in bytes.
const maxAuditLine = 16 << 20

// errAuditExport is for a file that is no export: to callers an error like any other.
var errAuditExport = errors.New("this is not an export of the audit trail")

// VerifyAuditExport checks an export without the database, a line at a time: that each link
// has the hash it should, and follows from the one before it. Links that a filter left out are
// counted; of them only the hashes at both ends are known. noted is as in VerifyAudit. The
// error says why the file cannot be read as an export.
func VerifyAuditExport(from io.Reader, noted string) (AuditReport, error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 64<<10), maxAuditLine)
	var head AuditExport
	if !lines.Scan() || !exactly(lines.Bytes(), &head) || head.Format != auditFormat {
		return AuditReport{}, errors.Join(errAuditExport, lines.Err())
	}
	r := newReport(noted)
	r.NotLinked = head.NotLinked
	for number := 2; r.Break == nil && lines.Scan(); number++ {
		var l AuditLink
		if !exactly(lines.Bytes(), &l) {
			return AuditReport{}, fmt.Errorf("%w: line %d is not as sealsmith writes it", errAuditExport, number)
		}
		if checkLine(r, l, head); r.Break == nil {
			if r.Noted != nil && l.Prev == r.wanted && !r.Noted.Found {
				*r.Noted = NotedHead{Found: true, Seq: l.Seq - 1}
			}
			r.passed(l)
		}
	}
	if err := lines.Err(); err != nil {
		return AuditReport{}, fmt.Errorf("read the export: %w", err)
	}
	checkEnd(r, head)
	return r.end(), nil
}

// exactly decodes a line, and reports whether encoding gives the same bytes again: a field
// that stands twice or is none of ours would be read differently by others.
func exactly[T any](line []byte, to *T) bool {
	if json.Unmarshal(line, to) != nil {
		return false
	}
	var again bytes.Buffer
	encoder := json.NewEncoder(&again)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(to) == nil && bytes.Equal(bytes.TrimSuffix(again.Bytes(), []byte("\n")), line)
}

// checkLine compares a link of an export with the one before it.
func checkLine(r *AuditReport, l AuditLink, head AuditExport) {
	gap := l.Seq - r.HeadSeq - 1
	switch {
	case gap < 0:
		r.broken("inserted", l.Seq, l.ID, "Link %d stands after link %d: it was inserted or moved.", l.Seq, r.HeadSeq)
	case gap > 0 && !head.Filtered:
		r.broken("missing", r.HeadSeq+1, 0, "Link %d is missing: after link %d comes %d.", r.HeadSeq+1, r.HeadSeq, l.Seq)
	case l.Sum() != l.Hash:
		r.broken("changed", l.Seq, l.ID, "%s", changed(l))
	case gap == 0 && l.Prev != r.Head:
		r.broken("inserted", l.Seq, l.ID, "Link %d does not follow from link %d: one of them was inserted or exchanged.", l.Seq, r.HeadSeq)
	default:
		r.LeftOut += gap
	}
}

// checkEnd compares what was read with what the first line promised.
func checkEnd(r *AuditReport, head AuditExport) {
	rest := head.HeadSeq - r.HeadSeq
	switch {
	case r.Links != head.Links:
		r.broken("missing", r.HeadSeq+1, 0, "The export promises %d links and has %d: it was cut off, or links were left out.", head.Links, r.Links)
	case rest < 0, rest > 0 && !head.Filtered, rest == 0 && r.Head != head.HeadHash:
		r.broken("head", r.HeadSeq, 0, "The export ends with link %d, and its first line says that the chain ended with link %d, hash %s.", r.HeadSeq, head.HeadSeq, head.HeadHash)
	default:
		r.LeftOut += rest
	}
}
