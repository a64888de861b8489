package sqldb

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Event is one line of the audit trail: who did what to which thing. No names or
// addresses of people go into it; learners appear by claim.
type Event struct {
	OrganisationID string // empty: the server itself
	At             time.Time
	Actor          string // "worker", "operator", or "lms:<registration>:<subject>"
	Action         string // verb in the past tense: "claim sealed"
	Subject        string // id of what it was done to
	Detail         string // plain text
}

// Audit appends an event. Call it with the transaction of the change it records. The row is
// linked into the chain later, by an AuditChainer. Bytes that are no text are replaced by
// U+FFFD: PostgreSQL would refuse them, and the change with them.
func Audit(ctx context.Context, q Queryer, e Event) error {
	_, err := q.Exec(ctx, `insert into audit (organisation_id, at, actor, action, subject, detail) values (?, ?, ?, ?, ?, ?)`,
		text(e.OrganisationID), UTC(e.At), text(e.Actor), text(e.Action), text(e.Subject), text(e.Detail))
	if err != nil {
		return fmt.Errorf("write the audit trail: %w", err)
	}
	return nil
}

// text makes s what both databases and JSON carry unchanged.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
