package ltistore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

const (
	cacheLife = 5 * time.Second // so long a change made by another process may take
	cacheSize = 4096            // answers; anybody can ask for made-up issuers
)

// cache keeps answers about registrations for a moment: every login and every launch asks
// the same. That there is none is an answer, too.
type cache struct {
	mu      sync.Mutex
	answers map[string]cached
	none    map[string]cached // that there is none; apart, so that made-up issuers push nothing out
}

type cached struct {
	list []lti.Registration
	at   time.Time
}

func newCache() *cache { return &cache{answers: map[string]cached{}, none: map[string]cached{}} }

func (c *cache) get(key string, now time.Time) ([]lti.Registration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.answers[key]
	if !ok {
		a, ok = c.none[key]
	}
	age := now.Sub(a.at)
	return a.list, ok && age >= 0 && age < cacheLife
}

func (c *cache) put(key string, list []lti.Registration, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answers := c.answers
	if len(list) == 0 {
		answers = c.none
	}
	if len(answers) >= cacheSize {
		clear(answers)
	}
	delete(c.none, key)
	answers[key] = cached{list, now}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.answers)
	clear(c.none)
}

// forget drops all answers: a registration may stand under several questions.
func (s *Store) forget() { s.known.clear() }

// find answers a question about registrations, from the cache or the database.
func (s *Store) find(ctx context.Context, where string, args ...string) ([]lti.Registration, error) {
	key := where + "\x00" + strings.Join(args, "\x00")
	now := s.now()
	if list, ok := s.known.get(key, now); ok {
		return list, nil
	}
	values := make([]any, len(args))
	for i, a := range args {
		values[i] = a
	}
	list, err := selectRegistrations(ctx, s.db, where+` order by id`, values...)
	if err != nil {
		return nil, err
	}
	// Who waits for a confirmation tries again at once: only what may be used is remembered.
	if !slices.ContainsFunc(list, func(r lti.Registration) bool { return r.Status != lti.StatusActive }) {
		s.known.put(key, list, now)
	}
	return list, nil
}

// Registrations implements lti.Store, across organisations: the pair of issuer and client
// id is unique in the database.
func (s *Store) Registrations(ctx context.Context, issuer, clientID string) ([]lti.Registration, error) {
	if clientID != "" {
		return s.find(ctx, `where issuer = ? and client_id = ?`, issuer, clientID)
	}
	return s.find(ctx, `where issuer = ?`, issuer)
}

// RegistrationByKey implements lti.Store, across organisations: a key stands in the login
// address of one registration, and an id in a state that we have signed.
func (s *Store) RegistrationByKey(ctx context.Context, key string) (lti.Registration, error) {
	list, err := s.find(ctx, `where id = ? or (login_key = ? and login_key <> '')`, key, key)
	if err != nil {
		return lti.Registration{}, err
	}
	if len(list) == 0 {
		return lti.Registration{}, lti.ErrNotFound
	}
	return list[0], nil
}

// SeeDeployment implements lti.Store.
func (s *Store) SeeDeployment(ctx context.Context, r lti.Registration, deploymentID string, approve bool) (bool, error) {
	status := deploymentPending
	if approve {
		status = deploymentApproved
	}
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		var owned, waiting int
		err := tx.Get(ctx, &owned, `select count(*) from registrations where organisation_id = ? and id = ?`, r.OrganisationID, r.ID)
		if err != nil {
			return fmt.Errorf("find the registration: %w", err)
		}
		if owned == 0 {
			return fmt.Errorf("registration %s: %w", r.ID, lti.ErrNotFound)
		}
		err = tx.Get(ctx, &waiting, `select count(*) from deployments where organisation_id = ? and registration_id = ? and status = ?`,
			r.OrganisationID, r.ID, deploymentPending)
		if err != nil {
			return fmt.Errorf("count the deployments that wait: %w", err)
		}
		if waiting < maxPendingDeployments {
			_, err = tx.Exec(ctx, `insert into deployments (organisation_id, registration_id, deployment_id, created_at, status)
				values (?, ?, ?, ?, ?) on conflict (registration_id, deployment_id) do nothing`,
				r.OrganisationID, r.ID, deploymentID, sqldb.UTC(s.now()), status)
			if err != nil {
				return fmt.Errorf("note a deployment: %w", err)
			}
		}
		err = tx.Get(ctx, &status, `select status from deployments where organisation_id = ? and registration_id = ? and deployment_id = ?`,
			r.OrganisationID, r.ID, deploymentID)
		if errors.Is(err, sql.ErrNoRows) { // too many wait already
			status, err = deploymentPending, nil
		}
		return err
	})
	if err != nil {
		return false, err
	}
	s.forget()
	return status == deploymentApproved, nil
}

// maxPendingDeployments bounds how many unknown deployments are noted per registration:
// under a shared client id anybody can bring their own.
const maxPendingDeployments = 100
