package grading

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// CustomKey is the custom parameter of our content items that carries the attachment's
// id: platforms give no id back for an item, its first launch is the first news of it.
const CustomKey = "attachment"

// ErrNotFound is returned for an attachment that does not exist or belongs to another
// organisation or registration.
var ErrNotFound = errors.New("this activity is not attached to a micro-credential")

// Attachment joins an activity of a course to a template version and a rule.
type Attachment struct {
	ID             string       `db:"id"`
	OrganisationID string       `db:"organisation_id"`
	RegistrationID string       `db:"registration_id"`
	DeploymentID   string       `db:"deployment_id"`
	ContextID      string       `db:"context_id"`
	ContextTitle   string       `db:"context_title"`
	ResourceLinkID string       `db:"resource_link_id"` // empty until the first launch
	TemplateID     string       `db:"template_id"`
	VersionID      string       `db:"version_id"`
	MinPercent     float64      `db:"min_percent"`
	LineItemURL    string       `db:"line_item_url"`  // AGS line item; empty: none named yet
	LineItemsURL   string       `db:"line_items_url"` // AGS line item container
	CreatedBy      string       `db:"created_by"`     // LTI subject of the teacher
	CreatedAt      time.Time    `db:"created_at"`
	ReadAt         sql.NullTime `db:"read_at"`    // last reading of all results, also one that failed
	ReadError      string       `db:"read_error"` // why the last reading failed, in words
	// State is draft until a teacher has confirmed what came with a copied course.
	State      AttachmentState `db:"state"`
	CopiedFrom string          `db:"copied_from"` // id that the copied activity carries; empty: no copy
	// Mark says that the platform is told who has claimed, in a column of its own; MarkURL
	// is that column, empty until it was made. It is never the column that is read.
	Mark    bool         `db:"mark"`
	MarkURL string       `db:"mark_url"`
	MarkAt  sql.NullTime `db:"mark_at"` // claims up to then were handed on
	// MembershipsURL is where the platform tells who is in the course (NRPS), as of the last
	// launch; empty: it does not.
	MembershipsURL string `db:"memberships_url"`
}

// Rule returns what earns the credential in this course.
func (a Attachment) Rule() templates.Rule { return templates.Rule{MinPercent: a.MinPercent} }

const attachmentColumns = `select id, organisation_id, registration_id, deployment_id, context_id, context_title,
	resource_link_id, template_id, version_id, min_percent, line_item_url, line_items_url, created_by, created_at,
	read_at, read_error, state, copied_from, mark, mark_url, mark_at, memberships_url from attachments`

// Choice is what a teacher decides about an activity.
type Choice struct {
	Version templates.Version
	Rule    templates.Rule
	Mark    bool // tell the platform who has claimed, in a column of its own
}

// Attach stores the teacher's choice: by deep linking before the platform is told of it, so
// that the first launch of the new activity always finds it, or for the activity that was
// launched, where a platform has no deep linking. An attachment whose activity the teacher
// then does not save is never launched and does no harm.
func (s *Store) Attach(ctx context.Context, l lti.Launch, c Choice) (Attachment, error) {
	version, rule := c.Version, c.Rule
	if !(rule.MinPercent > 0 && rule.MinPercent <= 100) {
		return Attachment{}, ErrRule
	}
	if version.OrganisationID != l.OrganisationID {
		return Attachment{}, templates.ErrNotFound
	}
	a := Attachment{
		ID: uuid.Must(uuid.NewV7()).String(), OrganisationID: l.OrganisationID, RegistrationID: l.RegistrationID,
		DeploymentID: l.DeploymentID, ContextID: l.Context.ID, ContextTitle: l.Context.Title,
		TemplateID: version.TemplateID, VersionID: version.ID, MinPercent: rule.MinPercent, Mark: c.Mark,
		LineItemsURL: l.AGS.LineItems, MembershipsURL: l.NRPS.URL, CreatedBy: l.User.Subject, CreatedAt: sqldb.UTC(s.now()), State: AttachmentActive,
	}
	if l.DeepLinking == nil { // the activity is there already
		a.ResourceLinkID, a.LineItemURL = l.ResourceLink.ID, l.AGS.LineItem
	}
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		if _, err := insertAttachment(ctx, tx, a); err != nil {
			return err
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: a.OrganisationID, At: a.CreatedAt,
			Actor: actor(l), Action: "micro-credential attached", Subject: a.ID, Detail: "template version " + a.VersionID,
		})
	})
	if err != nil {
		return Attachment{}, fmt.Errorf("attach template: %w", err)
	}
	return a, nil
}

// Launched finds the attachment of a launched activity, by our custom key or by the
// resource link, and keeps what the platform told of the activity: its link and its line
// item may have changed since. What a launch leaves out stays as it was. An activity that
// was copied becomes a draft: the copy is a new decision for its teacher. A key of another
// organisation, registration or deployment is ErrNotFound.
func (s *Store) Launched(ctx context.Context, l lti.Launch) (Attachment, error) {
	a, err := s.find(ctx, l)
	if key := l.Custom[CustomKey]; errors.Is(err, ErrNotFound) && key != "" {
		a, err = s.copied(ctx, l, key)
	}
	if err != nil {
		return Attachment{}, err
	}
	was := a
	a.ResourceLinkID = cmp.Or(l.ResourceLink.ID, a.ResourceLinkID)
	a.LineItemURL = cmp.Or(l.AGS.LineItem, a.LineItemURL)
	a.LineItemsURL = cmp.Or(l.AGS.LineItems, a.LineItemsURL)
	a.ContextTitle = cmp.Or(l.Context.Title, a.ContextTitle)
	a.MembershipsURL = cmp.Or(l.NRPS.URL, a.MembershipsURL)
	if a == was {
		return a, nil
	}
	_, err = s.db.Exec(ctx, `update attachments set resource_link_id = ?, line_item_url = ?, line_items_url = ?, context_title = ?, memberships_url = ?
		where organisation_id = ? and id = ?`, a.ResourceLinkID, a.LineItemURL, a.LineItemsURL, a.ContextTitle, a.MembershipsURL, a.OrganisationID, a.ID)
	if err != nil {
		return Attachment{}, fmt.Errorf("refresh attachment: %w", err)
	}
	return a, nil
}

// insertAttachment stores a, and returns 0 when the same copy is there already.
func insertAttachment(ctx context.Context, tx *sqldb.Tx, a Attachment) (int64, error) {
	return tx.Exec(ctx, `insert into attachments (id, organisation_id, registration_id, deployment_id, context_id, context_title,
		resource_link_id, template_id, version_id, min_percent, line_item_url, line_items_url, created_by, created_at, read_error,
		state, copied_from, mark, mark_url, memberships_url)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, '', ?) on conflict do nothing`,
		a.ID, a.OrganisationID, a.RegistrationID, a.DeploymentID, a.ContextID, a.ContextTitle, a.ResourceLinkID,
		a.TemplateID, a.VersionID, a.MinPercent, a.LineItemURL, a.LineItemsURL, a.CreatedBy, a.CreatedAt,
		a.State, a.CopiedFrom, a.Mark, a.MembershipsURL)
}

func (s *Store) find(ctx context.Context, l lti.Launch) (Attachment, error) {
	// Which of several counts: the one that the activity names, then the newest of this
	// link, then a draft that a notice has made for it.
	key, link := l.Custom[CustomKey], l.ResourceLink.ID
	var a Attachment
	err := s.db.Get(ctx, &a, attachmentColumns+` where organisation_id = ? and registration_id = ? and deployment_id = ? and context_id = ?
		and ((id = ? and resource_link_id in ('', ?)) or (resource_link_id = ? and resource_link_id <> '')
			or (copied_from = ? and copied_from <> '' and resource_link_id = ''))
		order by case when id = ? then 0 when resource_link_id <> '' then 1 else 2 end, created_at desc, id desc limit 1`,
		l.OrganisationID, l.RegistrationID, l.DeploymentID, l.Context.ID, key, link, link, key, key)
	return a, notFound(err, "find attachment")
}

// Attachment returns one attachment of the organisation.
func (s *Store) Attachment(ctx context.Context, organisationID, id string) (Attachment, error) {
	var a Attachment
	err := s.db.Get(ctx, &a, attachmentColumns+` where organisation_id = ? and id = ?`, organisationID, id)
	return a, notFound(err, "read attachment")
}

// Attachments returns the activities of an organisation, the newest first, at most limit:
// for operators.
func (s *Store) Attachments(ctx context.Context, organisationID string, limit int) ([]Attachment, error) {
	var all []Attachment
	if err := s.db.Select(ctx, &all, attachmentColumns+` where organisation_id = ? order by created_at desc, id desc limit ?`, organisationID, limit); err != nil {
		return nil, fmt.Errorf("list attachments: %w", err)
	}
	return all, nil
}

// Due returns the attachments of all organisations that have a line item and were not
// read completely since t, oldest reading first, at most limit: the work of the
// background loop.
func (s *Store) Due(ctx context.Context, t time.Time, limit int) ([]Attachment, error) {
	var all []Attachment
	err := s.db.Select(ctx, &all, attachmentColumns+` where line_item_url <> '' and state = 'active' and (read_at is null or read_at < ?)
		order by coalesce(read_at, created_at) limit ?`, sqldb.UTC(t), limit)
	if err != nil {
		return nil, fmt.Errorf("list attachments to read: %w", err)
	}
	return all, nil
}

// Marked returns the attachments of all organisations whose teachers asked for a column
// that shows who has claimed.
func (s *Store) Marked(ctx context.Context) ([]Attachment, error) {
	var all []Attachment
	err := s.db.Select(ctx, &all, attachmentColumns+` where mark and state = 'active' and line_items_url <> '' order by id`)
	if err != nil {
		return nil, fmt.Errorf("list attachments to mark: %w", err)
	}
	return all, nil
}

// SetMarks notes the column for claims and until when claims were handed on to it.
func (s *Store) SetMarks(ctx context.Context, a Attachment, columnURL string, until time.Time) error {
	at := sql.NullTime{Time: sqldb.UTC(until), Valid: !until.IsZero()}
	_, err := s.db.Exec(ctx, `update attachments set mark_url = ?, mark_at = ? where organisation_id = ? and id = ?`, columnURL, at, a.OrganisationID, a.ID)
	if err != nil {
		return fmt.Errorf("note the column for claims: %w", err)
	}
	return nil
}

// StopMarks ends the column for claims: it was deleted in the platform.
func (s *Store) StopMarks(ctx context.Context, a Attachment) error {
	_, err := s.db.Exec(ctx, `update attachments set mark = ? where organisation_id = ? and id = ?`, false, a.OrganisationID, a.ID)
	if err != nil {
		return fmt.Errorf("end the column for claims: %w", err)
	}
	return nil
}

// bindLineItem keeps a line item that was found by its resource id.
func (s *Store) bindLineItem(ctx context.Context, a Attachment, url string) error {
	_, err := s.db.Exec(ctx, `update attachments set line_item_url = ? where organisation_id = ? and id = ?`, url, a.OrganisationID, a.ID)
	if err != nil {
		return fmt.Errorf("keep line item: %w", err)
	}
	return nil
}

// markRead notes a reading: its time, and why it failed, empty for a success.
func (s *Store) markRead(ctx context.Context, a Attachment, at time.Time, trouble string) error {
	_, err := s.db.Exec(ctx, `update attachments set read_at = ?, read_error = ? where organisation_id = ? and id = ?`,
		sqldb.UTC(at), trouble, a.OrganisationID, a.ID)
	if err != nil {
		return fmt.Errorf("note the reading: %w", err)
	}
	return nil
}

func notFound(err error, doing string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

func actor(l lti.Launch) string { return "lms:" + l.RegistrationID + ":" + l.User.Subject }
