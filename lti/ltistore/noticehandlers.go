package ltistore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// KeepNoticeHandler stores what became of putting a handler (PNS 1.0, section 4); the time
// is now. When a notice was heard last stays as it was.
func (s *Store) KeepNoticeHandler(ctx context.Context, h lti.StoredNoticeHandler) error {
	_, err := s.db.Exec(ctx, `insert into notice_handlers (
			organisation_id, registration_id, deployment_id, notice_type, service_url, handler, put_at, heard_at, last_error
		) values (?, ?, ?, ?, ?, ?, ?, null, ?)
		on conflict (registration_id, deployment_id, notice_type) do update set
			service_url = excluded.service_url,
			handler = excluded.handler,
			put_at = excluded.put_at,
			last_error = excluded.last_error
		where notice_handlers.organisation_id = excluded.organisation_id`,
		h.OrganisationID, h.RegistrationID, h.DeploymentID, h.Type, h.ServiceURL, h.Handler, sqldb.UTC(s.now()), h.LastError)
	if err != nil {
		return fmt.Errorf("keep a notice handler: %w", err)
	}
	return nil
}

// NoticeHandlers returns the handlers of the registration, of all its deployments.
func (s *Store) NoticeHandlers(ctx context.Context, r lti.Registration) ([]lti.StoredNoticeHandler, error) {
	var rows []struct {
		DeploymentID string       `db:"deployment_id"`
		Type         string       `db:"notice_type"`
		ServiceURL   string       `db:"service_url"`
		Handler      string       `db:"handler"`
		PutAt        time.Time    `db:"put_at"`
		HeardAt      sql.NullTime `db:"heard_at"`
		LastError    string       `db:"last_error"`
	}
	err := s.db.Select(ctx, &rows, `select deployment_id, notice_type, service_url, handler, put_at, heard_at, last_error
		from notice_handlers where organisation_id = ? and registration_id = ?
		order by deployment_id, notice_type`, r.OrganisationID, r.ID)
	if err != nil {
		return nil, fmt.Errorf("select the notice handlers: %w", err)
	}
	list := make([]lti.StoredNoticeHandler, 0, len(rows))
	for _, row := range rows {
		h := lti.StoredNoticeHandler{
			OrganisationID: r.OrganisationID, RegistrationID: r.ID, DeploymentID: row.DeploymentID, ServiceURL: row.ServiceURL,
			NoticeHandler: lti.NoticeHandler{Type: row.Type, Handler: row.Handler}, PutAt: row.PutAt.UTC(), LastError: row.LastError,
		}
		if row.HeardAt.Valid {
			h.HeardAt = row.HeardAt.Time.UTC()
		}
		list = append(list, h)
	}
	return list, nil
}

// HearNotice notes that a notice of the type has come just now, so that an administrator
// sees that the way is open. Without a handler of that type nothing is noted.
func (s *Store) HearNotice(ctx context.Context, r lti.Registration, deploymentID, noticeType string) error {
	_, err := s.db.Exec(ctx, `update notice_handlers set heard_at = ?
		where organisation_id = ? and registration_id = ? and deployment_id = ? and notice_type = ?`,
		sqldb.UTC(s.now()), r.OrganisationID, r.ID, deploymentID, noticeType)
	if err != nil {
		return fmt.Errorf("note a notice: %w", err)
	}
	return nil
}
