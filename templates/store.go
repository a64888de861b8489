package templates

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// ErrNotFound is returned for what does not exist or belongs to another organisation.
var ErrNotFound = errors.New("no such template or organisation")

// ErrDuplicate is returned when a slug is taken.
var ErrDuplicate = errors.New("this short name is taken")

// ErrSlug is returned for a slug that is not 2 to 64 of a-z, 0-9 and inner hyphens.
var ErrSlug = errors.New("a short name has 2 to 64 characters, a-z, 0-9 and hyphens inside")

var slugForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}[a-z0-9]$`)

// Store keeps organisations, templates and their versions.
type Store struct {
	db  *sqldb.DB
	now func() time.Time
}

// NewStore returns a store on db. now gives the time of creation.
func NewStore(db *sqldb.DB, now func() time.Time) *Store { return &Store{db: db, now: now} }

// AddOrganisation adds o under its slug and returns it with its id. o is validated first.
func (s *Store) AddOrganisation(ctx context.Context, o Organisation) (Organisation, error) {
	if !slugForm.MatchString(o.Slug) {
		return Organisation{}, ErrSlug
	}
	if err := o.Validate(); err != nil {
		return Organisation{}, err
	}
	profile, err := json.Marshal(o)
	if err != nil {
		return Organisation{}, fmt.Errorf("encode organisation: %w", err)
	}
	o.ID, o.CreatedAt = uuid.Must(uuid.NewV7()).String(), sqldb.UTC(s.now())
	_, err = s.db.Exec(ctx, `insert into organisations (id, slug, profile, created_at) values (?, ?, ?, ?)`,
		o.ID, o.Slug, string(profile), o.CreatedAt)
	if sqldb.IsDuplicate(err) {
		return Organisation{}, ErrDuplicate
	}
	if err != nil {
		return Organisation{}, fmt.Errorf("add organisation %s: %w", o.Slug, err)
	}
	return o, nil
}

// SetSeal changes how the credentials of an organisation are sealed from now on; those that
// are sealed stay as they are. by is who did it, for the audit trail.
func (s *Store) SetSeal(ctx context.Context, organisationID string, policy SealPolicy, by string) error {
	e := sqldb.Event{Actor: by, Action: "seal policy changed", Detail: fmt.Sprintf("level %s, legacy time %t", policy.Level, policy.LegacyTime)}
	return s.change(ctx, organisationID, e, func(o *Organisation) { o.Seal = policy })
}

// SetSecondPerson says whether revoking any credential of an organisation needs a second
// person. It holds for what is asked for from now on. by is who did it, for the audit trail.
func (s *Store) SetSecondPerson(ctx context.Context, organisationID string, needed bool, by string) error {
	e := sqldb.Event{Actor: by, Action: "rule of revoking changed", Detail: fmt.Sprintf("second person %t", needed)}
	return s.change(ctx, organisationID, e, func(o *Organisation) { o.SecondPerson = needed })
}

// change stores a changed organisation together with the line about it.
func (s *Store) change(ctx context.Context, organisationID string, e sqldb.Event, set func(*Organisation)) error {
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		o, err := readOrganisation(ctx, tx, `id = ?`, organisationID)
		if err != nil {
			return err
		}
		set(&o)
		if err := o.Validate(); err != nil {
			return err
		}
		profile, err := json.Marshal(o)
		if err != nil {
			return fmt.Errorf("encode organisation: %w", err)
		}
		if _, err := tx.Exec(ctx, `update organisations set profile = ? where id = ?`, string(profile), organisationID); err != nil {
			return fmt.Errorf("change organisation %s: %w", o.Slug, err)
		}
		e.OrganisationID, e.At, e.Subject = organisationID, s.now(), o.Slug
		return sqldb.Audit(ctx, tx, e)
	})
}

type organisationRow struct {
	ID        string    `db:"id"`
	Slug      string    `db:"slug"`
	Profile   string    `db:"profile"`
	CreatedAt time.Time `db:"created_at"`
}

func (r organisationRow) organisation() (Organisation, error) {
	var o Organisation
	if err := json.Unmarshal([]byte(r.Profile), &o); err != nil {
		return Organisation{}, fmt.Errorf("decode organisation %s: %w", r.Slug, err)
	}
	o.ID, o.Slug, o.CreatedAt = r.ID, r.Slug, r.CreatedAt.UTC()
	return o, nil
}

// Organisation returns the organisation with this id.
func (s *Store) Organisation(ctx context.Context, id string) (Organisation, error) {
	return readOrganisation(ctx, s.db, `id = ?`, id)
}

// OrganisationBySlug returns the organisation with this slug.
func (s *Store) OrganisationBySlug(ctx context.Context, slug string) (Organisation, error) {
	return readOrganisation(ctx, s.db, `slug = ?`, slug)
}

func readOrganisation(ctx context.Context, q sqldb.Queryer, condition, key string) (Organisation, error) {
	var row organisationRow
	err := q.Get(ctx, &row, `select id, slug, profile, created_at from organisations where `+condition, key)
	if errors.Is(err, sql.ErrNoRows) {
		return Organisation{}, ErrNotFound
	}
	if err != nil {
		return Organisation{}, fmt.Errorf("read organisation: %w", err)
	}
	return row.organisation()
}

// Organisations returns all organisations by slug. It is for the operator, who sees all.
func (s *Store) Organisations(ctx context.Context) ([]Organisation, error) {
	var rows []organisationRow
	if err := s.db.Select(ctx, &rows, `select id, slug, profile, created_at from organisations order by slug`); err != nil {
		return nil, fmt.Errorf("list organisations: %w", err)
	}
	all := make([]Organisation, 0, len(rows))
	for _, row := range rows {
		o, err := row.organisation()
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

// Add makes a template with its first version. content is validated first.
func (s *Store) Add(ctx context.Context, organisationID, slug string, content Content, by string) (Version, error) {
	if !slugForm.MatchString(slug) {
		return Version{}, ErrSlug
	}
	v, encoded, err := s.version(organisationID, content, by)
	if err != nil {
		return Version{}, err
	}
	v.TemplateID, v.Number = uuid.Must(uuid.NewV7()).String(), 1
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `insert into templates (id, organisation_id, slug, created_at) values (?, ?, ?, ?)`,
			v.TemplateID, organisationID, slug, v.CreatedAt)
		if err != nil {
			return err
		}
		if err := insertVersion(ctx, tx, v, encoded); err != nil {
			return err
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: organisationID, At: v.CreatedAt, Actor: by,
			Action: "template added", Subject: v.TemplateID, Detail: slug,
		})
	})
	if sqldb.IsDuplicate(err) {
		return Version{}, ErrDuplicate
	}
	if err != nil {
		return Version{}, fmt.Errorf("add template %s: %w", slug, err)
	}
	return v, nil
}

// Save stores content as the next version of the template; when nothing changed it
// returns the newest version as it is.
func (s *Store) Save(ctx context.Context, organisationID, templateID string, content Content, by string) (Version, error) {
	v, encoded, err := s.version(organisationID, content, by)
	if err != nil {
		return Version{}, err
	}
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		newest, err := one(ctx, tx, versionColumns+` where organisation_id = ? and template_id = ? order by number desc limit 1`, organisationID, templateID)
		if err != nil {
			return err
		}
		old, err := json.Marshal(newest.Content)
		if err != nil {
			return fmt.Errorf("encode the newest version: %w", err)
		}
		if bytes.Equal(old, encoded) {
			v = newest
			return nil
		}
		v.TemplateID, v.Number = templateID, newest.Number+1
		if err := insertVersion(ctx, tx, v, encoded); err != nil {
			return err
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: organisationID, At: v.CreatedAt, Actor: by,
			Action: "template version saved", Subject: templateID, Detail: fmt.Sprintf("version %d", v.Number),
		})
	})
	if sqldb.IsDuplicate(err) {
		return Version{}, fmt.Errorf("somebody else saved this template at the same moment; open it again: %w", ErrDuplicate)
	}
	if err != nil {
		return Version{}, fmt.Errorf("save template: %w", err)
	}
	return v, nil
}

func (s *Store) version(organisationID string, content Content, by string) (Version, []byte, error) {
	if err := content.Validate(); err != nil {
		return Version{}, nil, err
	}
	encoded, err := json.Marshal(content)
	if err != nil {
		return Version{}, nil, fmt.Errorf("encode template: %w", err)
	}
	return Version{
		ID: uuid.Must(uuid.NewV7()).String(), OrganisationID: organisationID, Content: content,
		CreatedBy: by, CreatedAt: sqldb.UTC(s.now()),
	}, encoded, nil
}

func insertVersion(ctx context.Context, tx *sqldb.Tx, v Version, content []byte) error {
	_, err := tx.Exec(ctx, `insert into template_versions (id, organisation_id, template_id, number, content, created_by, created_at)
		values (?, ?, ?, ?, ?, ?, ?)`, v.ID, v.OrganisationID, v.TemplateID, v.Number, string(content), v.CreatedBy, v.CreatedAt)
	return err
}

const versionColumns = `select id, organisation_id, template_id, number, content, created_by, created_at from template_versions`

type versionRow struct {
	ID             string    `db:"id"`
	OrganisationID string    `db:"organisation_id"`
	TemplateID     string    `db:"template_id"`
	Number         int       `db:"number"`
	Content        string    `db:"content"`
	CreatedBy      string    `db:"created_by"`
	CreatedAt      time.Time `db:"created_at"`
}

func (r versionRow) version() (Version, error) {
	v := Version{
		ID: r.ID, OrganisationID: r.OrganisationID, TemplateID: r.TemplateID, Number: r.Number,
		CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt.UTC(),
	}
	if err := json.Unmarshal([]byte(r.Content), &v.Content); err != nil {
		return Version{}, fmt.Errorf("decode template version %s: %w", r.ID, err)
	}
	return v, nil
}

func one(ctx context.Context, q sqldb.Queryer, query string, args ...any) (Version, error) {
	var row versionRow
	err := q.Get(ctx, &row, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return Version{}, ErrNotFound
	}
	if err != nil {
		return Version{}, fmt.Errorf("read template version: %w", err)
	}
	return row.version()
}

// Newest returns the newest version of a template.
func (s *Store) Newest(ctx context.Context, organisationID, templateID string) (Version, error) {
	return one(ctx, s.db, versionColumns+` where organisation_id = ? and template_id = ? order by number desc limit 1`, organisationID, templateID)
}

// Version returns one version by its id.
func (s *Store) Version(ctx context.Context, organisationID, versionID string) (Version, error) {
	return one(ctx, s.db, versionColumns+` where organisation_id = ? and id = ?`, organisationID, versionID)
}

// List returns the newest version of every template of the organisation, oldest template first.
func (s *Store) List(ctx context.Context, organisationID string) ([]Version, error) {
	var rows []versionRow
	err := s.db.Select(ctx, &rows, versionColumns+` v where organisation_id = ? and number =
		(select max(number) from template_versions w where w.template_id = v.template_id) order by template_id`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	return versions(rows)
}

// Versions returns every version of every template of the organisation, oldest template and
// newest version first.
func (s *Store) Versions(ctx context.Context, organisationID string) ([]Version, error) {
	var rows []versionRow
	err := s.db.Select(ctx, &rows, versionColumns+` where organisation_id = ? order by template_id, number desc`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list template versions: %w", err)
	}
	return versions(rows)
}

func versions(rows []versionRow) ([]Version, error) {
	all := make([]Version, 0, len(rows))
	for _, row := range rows {
		v, err := row.version()
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
