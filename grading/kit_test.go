package grading_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/starter"
)

var start = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// clock is set by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// claims notes what was opened, and writes a line that a roll-back takes away.
type claims struct {
	opened []grading.Completion
	fail   error
}

func (c *claims) Open(ctx context.Context, tx *sqldb.Tx, done grading.Completion) error {
	c.opened = append(c.opened, done)
	err := sqldb.Audit(ctx, tx, sqldb.Event{OrganisationID: done.OrganisationID, At: done.At, Action: "opened", Subject: done.DecisionID})
	return errors.Join(err, c.fail)
}

// course is an organisation with a platform, a template and its store of grades.
type course struct {
	db        *sqldb.DB
	clock     *clock
	claims    *claims
	store     *grading.Store
	templates *templates.Store
	version   templates.Version
}

func each(t *testing.T, test func(t *testing.T, c *course)) {
	t.Helper()
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := &course{db: db, clock: &clock{at: start}, claims: new(claims)}
		c.store = grading.NewStore(db, c.claims, c.clock.Now)
		c.templates = templates.NewStore(db, c.clock.Now)
		c.version = c.organisation(t, "polder")
		test(t, c)
	})
}

// organisation adds one, with a template and the registrations r-<slug> and x-<slug>.
func (c *course) organisation(tb testing.TB, slug string) templates.Version {
	tb.Helper()
	org, err := c.templates.AddOrganisation(tb.Context(), templates.Organisation{
		Slug: slug, Name: templates.Text{"en": slug}, Country: "NL", Identifier: "NTRNL-12345678",
	})
	must(tb, err)
	all, err := starter.All()
	must(tb, err)
	version, err := c.templates.Add(tb.Context(), org.ID, all[0].Slug, all[0].Content, "operator")
	must(tb, err)
	for _, id := range []string{"r-" + slug, "x-" + slug} {
		_, err = c.db.Exec(tb.Context(), `insert into registrations (id, organisation_id, name, issuer, client_id, auth_url, token_url, jwks_url, token_audience, created_at)
			values (?, ?, 'LMS', 'https://lms.example', ?, '', '', '', '', ?)`, id, org.ID, id, c.clock.Now())
		must(tb, err)
	}
	return version
}

// launch is a launch of the course by its teacher, with nothing known of an activity.
func (c *course) launch() lti.Launch {
	return lti.Launch{
		OrganisationID: c.version.OrganisationID, RegistrationID: "r-polder", DeploymentID: "1", User: lti.User{Subject: "teacher"},
		Context: lti.Context{ID: "course-1", Title: "Food systems"}, AGS: lti.AGS{LineItems: "https://lms.example/items"},
	}
}

func (c *course) attach(tb testing.TB) grading.Attachment {
	tb.Helper()
	a, err := c.store.Attach(tb.Context(), c.launch(), grading.Choice{Version: c.version, Rule: templates.Rule{MinPercent: 55}})
	must(tb, err)
	return a
}

func (c *course) reload(tb testing.TB, a grading.Attachment) grading.Attachment {
	tb.Helper()
	a, err := c.store.Attachment(tb.Context(), a.OrganisationID, a.ID)
	must(tb, err)
	return a
}

func (c *course) rows(tb testing.TB, table string) int {
	tb.Helper()
	var n int
	must(tb, c.db.Get(tb.Context(), &n, "select count(*) from "+table))
	return n
}

// observed is a record of a score out of 100.
func observed(tb testing.TB, learner string, score float64) grading.Observation {
	tb.Helper()
	raw, err := json.Marshal(map[string]any{"userId": learner, "resultScore": score})
	must(tb, err)
	return grading.Observation{Learner: learner, Score: sql.NullFloat64{Float64: score, Valid: true}, Maximum: 100, Raw: raw}
}

func (c *course) record(tb testing.TB, a grading.Attachment, learner string, score float64) grading.Decided {
	tb.Helper()
	d, err := c.store.Record(tb.Context(), a, "ags-results", observed(tb, learner, score))
	must(tb, err)
	return d
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func wantErr(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("got %v, want %v", err, want)
	}
}
