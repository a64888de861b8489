package grading

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// AttachmentState says whether an attachment counts.
type AttachmentState string

// The states of an attachment. A copied course brings its activities along, but what it
// promises is a new decision: until a teacher has confirmed it, nothing is read and
// nothing can be claimed.
const (
	AttachmentActive AttachmentState = "active"
	AttachmentDraft  AttachmentState = "draft"
)

// ErrDraft is returned where a learner opens an activity whose copy no teacher has
// confirmed yet.
var ErrDraft = errors.New("the course was copied, and its teacher has not confirmed the micro-credential yet")

// CopyCourse makes drafts in a new course of all attachments of the courses it was copied
// from, which the platform names in the notice of a copy. Courses of another deployment
// are none of them. It may be called again; it returns how many drafts were made.
func (s *Store) CopyCourse(ctx context.Context, r lti.Registration, n lti.Notice) (int, error) {
	if len(n.OriginContexts) == 0 || n.Context.ID == "" {
		return 0, nil
	}
	query, args, err := sqlx.In(attachmentColumns+` where organisation_id = ? and registration_id = ? and deployment_id = ?
		and state = ? and context_id in (?) order by created_at`,
		r.OrganisationID, r.ID, n.DeploymentID, AttachmentActive, n.OriginContexts)
	if err != nil {
		return 0, fmt.Errorf("ask for the attachments of a copied course: %w", err)
	}
	var sources []Attachment
	if err := s.db.Select(ctx, &sources, query, args...); err != nil {
		return 0, fmt.Errorf("list the attachments of a copied course: %w", err)
	}
	made := 0
	for _, source := range sources {
		draft := source.copyTo(n.Context, "", s.now)
		fresh, err := s.addDraft(ctx, draft, "platform:"+r.ID)
		if err != nil {
			return made, err
		}
		if fresh {
			made++
		}
	}
	return made, nil
}

// copyTo is the draft of a in another place. Line items are the platform's to name.
func (a Attachment) copyTo(course lti.Context, link string, now func() time.Time) Attachment {
	root := a.ID
	if a.CopiedFrom != "" { // the activity still carries the id of the first
		root = a.CopiedFrom
	}
	return Attachment{
		ID: uuid.Must(uuid.NewV7()).String(), OrganisationID: a.OrganisationID, RegistrationID: a.RegistrationID, DeploymentID: a.DeploymentID,
		ContextID: course.ID, ContextTitle: course.Title, ResourceLinkID: link, TemplateID: a.TemplateID, VersionID: a.VersionID,
		MinPercent: a.MinPercent, Mark: a.Mark, CreatedBy: a.CreatedBy, CreatedAt: sqldb.UTC(now()), State: AttachmentDraft, CopiedFrom: root,
	}
}

// addDraft stores a draft unless there is one for the same activity in the same place.
func (s *Store) addDraft(ctx context.Context, a Attachment, by string) (bool, error) {
	fresh := false
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		// A draft that a notice made knows no link yet; the launch of its activity finds it.
		var there int
		err := tx.Get(ctx, &there, `select count(*) from attachments where organisation_id = ? and registration_id = ?
			and copied_from = ? and context_id = ? and (resource_link_id = ? or ? = '')`,
			a.OrganisationID, a.RegistrationID, a.CopiedFrom, a.ContextID, a.ResourceLinkID, a.ResourceLinkID)
		if err != nil || there > 0 {
			return err
		}
		n, err := insertAttachment(ctx, tx, a)
		if err != nil || n == 0 {
			return err
		}
		fresh = true
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: a.OrganisationID, At: a.CreatedAt, Actor: by, Action: "micro-credential copied with its course",
			Subject: a.ID, Detail: "draft, from activity " + a.CopiedFrom,
		})
	})
	if err != nil {
		return false, fmt.Errorf("store the draft of a copied activity: %w", err)
	}
	return fresh, nil
}

// copied makes the draft of an activity that was launched from a place it was not attached
// in: the course was copied, or the activity within the course.
func (s *Store) copied(ctx context.Context, l lti.Launch, key string) (Attachment, error) {
	var source Attachment
	err := s.db.Get(ctx, &source, attachmentColumns+` where organisation_id = ? and id = ? and registration_id = ? and deployment_id = ?`,
		l.OrganisationID, key, l.RegistrationID, l.DeploymentID)
	if err := notFound(err, "find the origin of an attachment"); err != nil {
		return Attachment{}, err
	}
	if l.ResourceLink.ID == "" || l.Context.ID == "" {
		return Attachment{}, ErrNotFound
	}
	if _, err := s.addDraft(ctx, source.copyTo(l.Context, l.ResourceLink.ID, s.now), actor(l)); err != nil {
		return Attachment{}, err
	}
	return s.find(ctx, l)
}

// Confirm makes a draft count, in the words of its teacher: with this version and rule.
// One that counts already is left as it is.
func (s *Store) Confirm(ctx context.Context, l lti.Launch, a Attachment) error {
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `update attachments set state = ?, created_by = ? where organisation_id = ? and id = ? and state = ?`,
			AttachmentActive, l.User.Subject, a.OrganisationID, a.ID, AttachmentDraft)
		if err != nil {
			return fmt.Errorf("confirm an attachment: %w", err)
		}
		if n == 0 {
			return nil
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: a.OrganisationID, At: sqldb.UTC(s.now()), Actor: actor(l), Action: "copied micro-credential confirmed",
			Subject: a.ID, Detail: "template version " + a.VersionID,
		})
	})
}

// Origin is the title of the course that a draft was copied from; empty: not known.
func (s *Store) Origin(ctx context.Context, a Attachment) (string, error) {
	if a.CopiedFrom == "" {
		return "", nil
	}
	var title string
	err := s.db.Get(ctx, &title, `select context_title from attachments where organisation_id = ? and id = ?`, a.OrganisationID, a.CopiedFrom)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the course a draft came from: %w", err)
	}
	return title, nil
}
