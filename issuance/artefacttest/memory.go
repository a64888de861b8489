package artefacttest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/sealsmith/sealsmith/issuance"
)

// Memory is an object store in memory. The zero value is empty; methods may be called at once.
type Memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	away    error
	puts    int
}

// Away makes all requests fail, as those to a store that is down; nil ends that.
func (m *Memory) Away(cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = cause
}

// Spoil changes one object; a nil body takes it away.
func (m *Memory) Spoil(name string, body []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if body == nil {
		delete(m.objects, name)
		return
	}
	m.objects[name] = body
}

// Names lists all objects in order.
func (m *Memory) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.objects))
}

// Puts counts what was written, also what was there already.
func (m *Memory) Puts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.puts
}

func (m *Memory) gone() error {
	if m.away != nil {
		return fmt.Errorf("%w: %w", issuance.ErrFileAway, m.away)
	}
	return nil
}

// Put implements issuance.Objects.
func (m *Memory) Put(_ context.Context, name string, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.gone(); err != nil {
		return err
	}
	if m.objects == nil {
		m.objects = map[string][]byte{}
	}
	m.objects[name] = bytes.Clone(body)
	m.puts++
	return nil
}

// Get implements issuance.Objects.
func (m *Memory) Get(_ context.Context, name string, limit int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.gone(); err != nil {
		return nil, err
	}
	body, there := m.objects[name]
	if !there {
		return nil, issuance.ErrNoObject
	}
	if int64(len(body)) > limit {
		return nil, issuance.ErrFileDamaged
	}
	return bytes.Clone(body), nil
}

// Delete implements issuance.Objects.
func (m *Memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.gone(); err != nil {
		return err
	}
	delete(m.objects, name)
	return nil
}

// List implements issuance.Objects.
func (m *Memory) List(_ context.Context, after string, limit int) ([]issuance.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.gone(); err != nil {
		return nil, err
	}
	all := []issuance.Object{}
	for _, name := range slices.Sorted(maps.Keys(m.objects)) {
		if name > after && len(all) < limit {
			all = append(all, issuance.Object{Name: name, Bytes: int64(len(m.objects[name]))})
		}
	}
	return all, nil
}

// Ping implements issuance.Objects.
func (m *Memory) Ping(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone()
}
