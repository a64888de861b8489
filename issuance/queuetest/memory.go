package queuetest

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
)

// Memory is a queue in memory. The zero value is empty and ready, and it is safe for
// concurrent use.
type Memory struct {
	mu      sync.Mutex
	waiting []issuance.Job
	held    map[string]issuance.Job
	pushed  int
	down    error
	changed chan struct{} // closed at a change
}

// Break makes every call fail with err, until Break(nil).
func (m *Memory) Break(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
	m.tell()
}

// Lose forgets all jobs, as a Redis that was emptied.
func (m *Memory) Lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting, m.held = nil, nil
}

// Expire gives back what is handed out, as from dead workers.
func (m *Memory) Expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.held {
		m.waiting = append(m.waiting, j)
	}
	m.held = nil
	m.tell()
}

// Long is the length from which on Offer leaves ids to the relay.
const Long = 16

// Offer implements issuance.Queue.
func (m *Memory) Offer(ctx context.Context, ids ...string) error {
	n, err := m.Len(ctx)
	if err != nil || n+int64(len(ids)) > Long {
		return err
	}
	return m.Push(ctx, ids...)
}

// Push implements issuance.Jobs.
func (m *Memory) Push(_ context.Context, ids ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	for _, id := range ids {
		m.pushed++
		m.waiting = append(m.waiting, issuance.Job{ID: id, Receipt: strconv.Itoa(m.pushed)})
	}
	m.tell()
	return nil
}

// Next implements issuance.Jobs.
func (m *Memory) Next(ctx context.Context, limit int, wait time.Duration) ([]issuance.Job, error) {
	end := time.NewTimer(wait)
	defer end.Stop()
	for {
		jobs, changed, err := m.take(limit)
		if err != nil || len(jobs) > 0 {
			return jobs, err
		}
		select {
		case <-changed:
		case <-end.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (m *Memory) take(limit int) ([]issuance.Job, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return nil, nil, m.down
	}
	if m.held == nil {
		m.held = make(map[string]issuance.Job)
	}
	n := min(limit, len(m.waiting))
	jobs := m.waiting[:n:n]
	m.waiting = m.waiting[n:]
	for _, j := range jobs {
		m.held[j.Receipt] = j
	}
	if m.changed == nil {
		m.changed = make(chan struct{})
	}
	return jobs, m.changed, nil
}

// Done implements issuance.Jobs.
func (m *Memory) Done(_ context.Context, jobs ...issuance.Job) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	for _, j := range jobs {
		delete(m.held, j.Receipt)
	}
	return nil
}

// IDs implements issuance.Jobs.
func (m *Memory) IDs(_ context.Context, limit int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for _, j := range m.held {
		ids = append(ids, j.ID)
	}
	for _, j := range m.waiting {
		ids = append(ids, j.ID)
	}
	return ids[:min(limit, len(ids))], m.down
}

// Len implements issuance.Jobs.
func (m *Memory) Len(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.waiting) + len(m.held)), m.down
}

// tell wakes all that wait; m.mu is held.
func (m *Memory) tell() {
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}
