package ltistore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

const (
	tracesKept   = 200             // per registration
	tracesWait   = 50              // per registration, until they are written
	traceSources = 1000            // registrations that may wait at once
	traceFlush   = 2 * time.Second // from a launch to its row
)

// Traces keeps the newest traces of each registration. A launch only puts its trace into
// memory; Run writes them in one transaction every two seconds. So a flood of launches
// costs a bounded number of rows, and nobody waits. What a killed process had not written
// yet is lost: traces are for finding faults, not for the record.
type Traces struct {
	store *Store
	log   *slog.Logger

	mu      sync.Mutex
	waiting map[string][]lti.Trace // by registration, oldest first
	dropped int
}

// NewTraces returns the traces of the store.
func (s *Store) NewTraces(log *slog.Logger) *Traces {
	return &Traces{store: s, log: log, waiting: map[string][]lti.Trace{}}
}

// Add notes a trace; it is the Trace of lti.Deps.
func (t *Traces) Add(tr lti.Trace) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list, known := t.waiting[tr.RegistrationID]
	if !known && len(t.waiting) >= traceSources {
		t.dropped++
		return
	}
	if len(list) >= tracesWait { // the newest tell most
		copy(list, list[1:])
		list = list[:len(list)-1]
		t.dropped++
	}
	t.waiting[tr.RegistrationID] = append(list, tr)
}

// Run writes what waits until ctx ends, and then once more.
func (t *Traces) Run(ctx context.Context) {
	tick := time.NewTicker(traceFlush)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, stop := context.WithTimeout(context.WithoutCancel(ctx), traceFlush)
			defer stop()
			t.flush(last)
			return
		case <-tick.C:
			t.flush(ctx)
		}
	}
}

func (t *Traces) flush(ctx context.Context) {
	if err := t.Flush(ctx); err != nil && ctx.Err() == nil {
		t.log.WarnContext(ctx, "launch traces not written", "err", err)
	}
}

// Flush writes what waits.
func (t *Traces) Flush(ctx context.Context) error {
	t.mu.Lock()
	waiting, dropped := t.waiting, t.dropped
	t.waiting, t.dropped = map[string][]lti.Trace{}, 0
	t.mu.Unlock()
	if len(waiting) == 0 {
		return nil
	}
	if dropped > 0 {
		t.log.InfoContext(ctx, "older launch traces dropped", "count", dropped)
	}
	var errs []error
	for registration, list := range waiting {
		errs = append(errs, t.write(ctx, registration, list))
	}
	return errors.Join(errs...)
}

// write stores the traces of one registration, unless it is gone by now, and keeps the
// number of rows within bounds.
func (t *Traces) write(ctx context.Context, registration string, list []lti.Trace) error {
	return t.store.db.InTx(ctx, func(tx *sqldb.Tx) error {
		var there int
		if err := tx.Get(ctx, &there, `select count(*) from registrations where id = ?`, registration); err != nil || there == 0 {
			return err
		}
		for _, tr := range list {
			detail, err := json.Marshal(tr)
			if err != nil {
				return fmt.Errorf("encode a trace: %w", err)
			}
			_, err = tx.Exec(ctx, `insert into launch_traces (id, organisation_id, registration_id, at, code, detail)
				values (?, ?, ?, ?, ?, ?) on conflict (id) do nothing`,
				tr.ID, tr.OrganisationID, registration, sqldb.UTC(tr.At), tr.Code, string(detail))
			if err != nil {
				return fmt.Errorf("insert a trace: %w", err)
			}
		}
		_, err := tx.Exec(ctx, `delete from launch_traces where registration_id = ? and id not in (
			select id from launch_traces where registration_id = ? order by at desc, id limit ?)`, registration, registration, tracesKept)
		if err != nil {
			return fmt.Errorf("delete old traces: %w", err)
		}
		return nil
	})
}

// LastTraces returns the newest traces of the registration, newest first, at most limit;
// with onlyRefused those that were refused. A trace appears up to two seconds late.
func (s *Store) LastTraces(ctx context.Context, organisationID, registrationID string, onlyRefused bool, limit int) ([]lti.Trace, error) {
	query := `select detail from launch_traces where organisation_id = ? and registration_id = ?`
	if onlyRefused {
		query += ` and code <> ''`
	}
	var rows []string
	err := s.db.Select(ctx, &rows, query+` order by at desc, id limit ?`, organisationID, registrationID, limit)
	if err != nil {
		return nil, fmt.Errorf("select traces: %w", err)
	}
	list := make([]lti.Trace, 0, len(rows))
	for _, row := range rows {
		tr := lti.Trace{OrganisationID: organisationID, RegistrationID: registrationID}
		if err := json.Unmarshal([]byte(row), &tr); err != nil {
			return nil, fmt.Errorf("decode a trace: %w", err)
		}
		list = append(list, tr)
	}
	return list, nil
}

// Lately is what has happened to a registration.
type Lately struct {
	LastLaunch time.Time // the newest that succeeded; zero: none that is remembered
	Refused    int       // logins, launches and notices since the given time; no more are counted than are kept
}

// Lately sums up the traces of the registration.
func (s *Store) Lately(ctx context.Context, organisationID, registrationID string, since time.Time) (Lately, error) {
	var sum Lately
	err := s.db.Get(ctx, &sum.Refused, `select count(*) from launch_traces
		where organisation_id = ? and registration_id = ? and code <> '' and at >= ?`, organisationID, registrationID, sqldb.UTC(since))
	if err != nil {
		return Lately{}, fmt.Errorf("count the refused: %w", err)
	}
	// The kind stands in the detail, which Flush has written; a value that says the same
	// has its quotation marks escaped there.
	var at []time.Time
	err = s.db.Select(ctx, &at, `select at from launch_traces
		where organisation_id = ? and registration_id = ? and code = '' and detail like ? order by at desc limit 1`,
		organisationID, registrationID, `%"kind":"`+string(lti.TraceLaunch)+`"%`)
	if err != nil {
		return Lately{}, fmt.Errorf("select the last launch: %w", err)
	}
	if len(at) > 0 {
		sum.LastLaunch = at[0].UTC()
	}
	return sum, nil
}

// FindTrace returns the trace with the id that a person read from their page, or
// lti.ErrNotFound.
func (s *Store) FindTrace(ctx context.Context, organisationID, id string) (lti.Trace, error) {
	var rows []struct {
		Registration string `db:"registration_id"`
		Detail       string `db:"detail"`
	}
	err := s.db.Select(ctx, &rows, `select registration_id, detail from launch_traces where organisation_id = ? and id = ?`, organisationID, id)
	if err != nil {
		return lti.Trace{}, fmt.Errorf("select a trace: %w", err)
	}
	if len(rows) == 0 {
		return lti.Trace{}, fmt.Errorf("trace %s: %w", id, lti.ErrNotFound)
	}
	tr := lti.Trace{OrganisationID: organisationID, RegistrationID: rows[0].Registration}
	if err := json.Unmarshal([]byte(rows[0].Detail), &tr); err != nil {
		return lti.Trace{}, fmt.Errorf("decode a trace: %w", err)
	}
	return tr, nil
}
