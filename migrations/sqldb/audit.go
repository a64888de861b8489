package sqldb

import (
	"context"
	"fmt"
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

// Audit appends an event. Call it with the transaction of the change it records.
func Audit(ctx context.Context, q Queryer, e Event) error {
	_, err := q.Exec(ctx, `insert into audit (organisation_id, at, actor, action, subject, detail) values (?, ?, ?, ?, ?, ?)`,
		e.OrganisationID, UTC(e.At), e.Actor, e.Action, e.Subject, e.Detail)
	if err != nil {
		return fmt.Errorf("write the audit trail: %w", err)
	}
	return nil
}
