package ltistore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

var _ lti.NoticeStore = (*Store)(nil)

// SeenNotice implements lti.NoticeStore.
func (s *Store) SeenNotice(ctx context.Context, r lti.Registration, n lti.Notice) (bool, error) {
	var seen int
	err := s.db.Get(ctx, &seen, `select count(*) from notices where registration_id = ? and notice_id = ?`, r.ID, n.ID)
	if err != nil {
		return false, fmt.Errorf("look for a notice: %w", err)
	}
	return seen > 0, nil
}

// MarkNotice implements lti.NoticeStore.
func (s *Store) MarkNotice(ctx context.Context, r lti.Registration, n lti.Notice) error {
	now := sqldb.UTC(s.now())
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `insert into notices (registration_id, notice_id, notice_type, received_at)
			values (?, ?, ?, ?) on conflict do nothing`, r.ID, n.ID, n.Type, now)
		if err != nil {
			return fmt.Errorf("note a notice: %w", err)
		}
		_, err = tx.Exec(ctx, `update notice_handlers set heard_at = ?
			where organisation_id = ? and registration_id = ? and deployment_id = ? and notice_type = ?`,
			now, r.OrganisationID, r.ID, n.DeploymentID, n.Type)
		if err != nil {
			return fmt.Errorf("note that notices arrive: %w", err)
		}
		return nil
	})
}

type handlerRow struct {
	OrganisationID string       `db:"organisation_id"`
	RegistrationID string       `db:"registration_id"`
	DeploymentID   string       `db:"deployment_id"`
	NoticeType     string       `db:"notice_type"`
	ServiceURL     string       `db:"service_url"`
	Handler        string       `db:"handler"`
	PutAt          sql.NullTime `db:"put_at"`
	HeardAt        sql.NullTime `db:"heard_at"`
	LastError      string       `db:"last_error"`
}

func (r handlerRow) subscription() lti.Subscription {
	s := lti.Subscription{
		OrganisationID: r.OrganisationID, RegistrationID: r.RegistrationID, DeploymentID: r.DeploymentID,
		Type: r.NoticeType, ServiceURL: r.ServiceURL, Handler: r.Handler, Trouble: r.LastError,
	}
	if r.PutAt.Valid {
		s.PutAt = r.PutAt.Time.UTC()
	}
	if r.HeardAt.Valid {
		s.HeardAt = r.HeardAt.Time.UTC()
	}
	return s
}

const selectHandlers = `select organisation_id, registration_id, deployment_id, notice_type, service_url, handler,
	put_at, heard_at, last_error from notice_handlers `

// WantNotices implements lti.SubscriptionStore.
func (s *Store) WantNotices(ctx context.Context, w lti.Subscription) error {
	// What is wanted already is left alone without a write: every launch of a teacher asks.
	var same int
	err := s.db.Get(ctx, &same, `select count(*) from notice_handlers where organisation_id = ? and registration_id = ?
		and deployment_id = ? and notice_type = ? and service_url = ? and handler = ?`,
		w.OrganisationID, w.RegistrationID, w.DeploymentID, w.Type, w.ServiceURL, w.Handler)
	if err != nil || same > 0 {
		return err
	}
	_, err = s.db.Exec(ctx, `insert into notice_handlers (organisation_id, registration_id, deployment_id, notice_type, service_url, handler, last_error)
		values (?, ?, ?, ?, ?, ?, '') on conflict (registration_id, deployment_id, notice_type)
		do update set service_url = excluded.service_url, handler = excluded.handler, put_at = null, last_error = ''`,
		w.OrganisationID, w.RegistrationID, w.DeploymentID, w.Type, w.ServiceURL, w.Handler)
	if err != nil {
		return fmt.Errorf("want notices: %w", err)
	}
	return nil
}

// DueSubscriptions implements lti.SubscriptionStore.
func (s *Store) DueSubscriptions(ctx context.Context, limit int) ([]lti.Subscription, error) {
	var rows []handlerRow
	err := s.db.Select(ctx, &rows, selectHandlers+`where put_at is null and last_error = '' order by registration_id, deployment_id, notice_type limit ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("select subscriptions: %w", err)
	}
	return subscriptions(rows), nil
}

// PutSubscription implements lti.SubscriptionStore.
func (s *Store) PutSubscription(ctx context.Context, w lti.Subscription, trouble string) error {
	at := sql.NullTime{Time: sqldb.UTC(s.now()), Valid: trouble == ""}
	_, err := s.db.Exec(ctx, `update notice_handlers set put_at = ?, last_error = ?
		where organisation_id = ? and registration_id = ? and deployment_id = ? and notice_type = ?`,
		at, trouble, w.OrganisationID, w.RegistrationID, w.DeploymentID, w.Type)
	if err != nil {
		return fmt.Errorf("note a subscription: %w", err)
	}
	return nil
}

// RetrySubscriptions makes the failed subscriptions of one registration due again.
func (s *Store) RetrySubscriptions(ctx context.Context, organisationID, registrationID string) error {
	_, err := s.db.Exec(ctx, `update notice_handlers set put_at = null, last_error = '' where organisation_id = ? and registration_id = ?`,
		organisationID, registrationID)
	if err != nil {
		return fmt.Errorf("retry subscriptions: %w", err)
	}
	return nil
}

// Subscriptions returns those of one registration.
func (s *Store) Subscriptions(ctx context.Context, organisationID, registrationID string) ([]lti.Subscription, error) {
	var rows []handlerRow
	err := s.db.Select(ctx, &rows, selectHandlers+`where organisation_id = ? and registration_id = ? order by deployment_id, notice_type`,
		organisationID, registrationID)
	if err != nil {
		return nil, fmt.Errorf("select subscriptions: %w", err)
	}
	return subscriptions(rows), nil
}

func subscriptions(rows []handlerRow) []lti.Subscription {
	list := make([]lti.Subscription, 0, len(rows))
	for _, r := range rows {
		list = append(list, r.subscription())
	}
	return list
}

// HeardSince reports whether a notice of this type has come since then.
func (s *Store) HeardSince(ctx context.Context, organisationID, registrationID, noticeType string, since time.Time) (bool, error) {
	var heard int
	err := s.db.Get(ctx, &heard, `select count(*) from notice_handlers where organisation_id = ? and registration_id = ? and notice_type = ? and heard_at >= ?`,
		organisationID, registrationID, noticeType, sqldb.UTC(since))
	if err != nil {
		return false, fmt.Errorf("look for a notice: %w", err)
	}
	return heard > 0, nil
}
