package batch_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/csvfile"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/batch"
	"github.com/sealsmith/sealsmith/issuance/queuetest"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/starter"
)

var start = time.Date(2026, time.November, 28, 12, 0, 0, 0, time.UTC)

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

// course is an activity with everything that batches need, on one database.
type course struct {
	db         *sqldb.DB
	clock      *clock
	desk       *issuance.Desk
	grading    *grading.Store
	templates  *templates.Store
	batches    *batch.Store
	attachment grading.Attachment
}

func each(t *testing.T, test func(t *testing.T, c *course)) {
	t.Helper()
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := &course{db: db, clock: &clock{at: start}}
		c.desk = issuance.NewDesk(db, new(queuetest.Memory), c.clock.Now, slog.New(slog.DiscardHandler))
		c.templates = templates.NewStore(db, c.clock.Now)
		c.grading = grading.NewStore(db, c.desk, c.clock.Now)
		c.batches = c.server()
		c.attachment = c.open(t, "polder")
		test(t, c)
	})
}

// server is one more process on the same database.
func (c *course) server() *batch.Store {
	return batch.NewStore(c.db, c.grading, c.desk, c.clock.Now, slog.New(slog.DiscardHandler))
}

// open adds an organisation with one attached template.
func (c *course) open(tb testing.TB, slug string) grading.Attachment {
	tb.Helper()
	org, err := c.templates.AddOrganisation(tb.Context(), templates.Organisation{Slug: slug, Name: templates.Text{"en": slug}, Country: "NL", Identifier: "NTRNL-12345678"})
	must(tb, err)
	all, err := starter.All()
	must(tb, err)
	version, err := c.templates.Add(tb.Context(), org.ID, all[0].Slug, all[0].Content, "operator")
	must(tb, err)
	_, err = c.db.Exec(tb.Context(), `insert into registrations (id, organisation_id, name, issuer, client_id, auth_url, token_url, jwks_url, token_audience, created_at)
		values (?, ?, 'LMS', 'https://lms.example', ?, '', '', '', '', ?)`, "r-"+slug, org.ID, slug, c.clock.Now())
	must(tb, err)
	a, err := c.grading.Attach(tb.Context(), lti.Launch{
		OrganisationID: org.ID, RegistrationID: "r-" + slug, DeploymentID: "1", Context: lti.Context{ID: "course"}, User: lti.User{Subject: "teacher"},
	}, grading.Choice{Version: version, Rule: templates.Rule{MinPercent: 55}})
	must(tb, err)
	return a
}

func (c *course) grade(tb testing.TB, learner string, score float64) {
	tb.Helper()
	raw, err := json.Marshal(map[string]any{"userId": learner, "resultScore": score})
	must(tb, err)
	_, err = c.grading.Record(tb.Context(), c.attachment, "ags-results", grading.Observation{Learner: learner, Score: sql.NullFloat64{Float64: score, Valid: true}, Maximum: 100, Raw: raw})
	must(tb, err)
}

// finished gives n learners, named learner-0000 and so on, a score that is enough.
func (c *course) finished(tb testing.TB, n int) {
	tb.Helper()
	for i := range n {
		c.grade(tb, learner(i), 80)
	}
}

func learner(i int) string { return fmt.Sprintf("learner-%04d", i) }

// people are n learners with names, and whom else the test has.
func people(n int, others ...lti.Member) csvfile.People {
	var r lti.Roster
	for i := range n {
		r.Members = append(r.Members, member(learner(i), "Noor", fmt.Sprintf("Berg %04d", i)))
	}
	r.Members = append(r.Members, others...)
	return csvfile.Learners(r)
}

func member(subject, given, family string) lti.Member {
	return lti.Member{UserID: subject, Status: lti.MemberActive, Roles: []string{"Learner"}, GivenName: given, FamilyName: family, Email: subject + "@polder.example", SourcedID: "s-" + subject}
}

func (c *course) order(title string) batch.Order {
	return batch.Order{Attachment: c.attachment, Title: title, By: "lms:r-polder:teacher"}
}

// confirmed is a batch that somebody said yes to.
func (c *course) confirmed(tb testing.TB, b batch.Batch, err error) batch.Batch {
	tb.Helper()
	must(tb, err)
	b, err = c.batches.Confirm(tb.Context(), b.OrganisationID, b.ID, b.Digest, "lms:r-polder:admin")
	must(tb, err)
	return b
}

// work goes on until nothing is due.
func (c *course) work(tb testing.TB, s *batch.Store) {
	tb.Helper()
	for {
		worked, err := s.Work(tb.Context())
		must(tb, err)
		if !worked {
			return
		}
	}
}

func (c *course) wantState(tb testing.TB, b batch.Batch, want batch.State) batch.Batch {
	tb.Helper()
	now, err := c.batches.Batch(tb.Context(), b.OrganisationID, b.ID)
	must(tb, err)
	if now.State != want {
		tb.Errorf("the batch is %s (%s), want %s", now.State, now.LastError, want)
	}
	return now
}

func (c *course) counts(tb testing.TB, b batch.Batch) batch.Counts {
	tb.Helper()
	n, err := c.batches.Counts(tb.Context(), b.OrganisationID, b.ID)
	must(tb, err)
	return n
}

// outcomes are those of all rows, by whom they are about.
func (c *course) outcomes(tb testing.TB, b batch.Batch) map[string]batch.Outcome {
	tb.Helper()
	rows, err := c.batches.Rows(tb.Context(), b.OrganisationID, b.ID, 0, 1_000_000)
	must(tb, err)
	out := map[string]batch.Outcome{}
	for _, r := range rows {
		who := r.Learner
		if who == "" {
			who = r.Shown
		}
		out[who] = r.Outcome
	}
	return out
}

func (c *course) wantOutcomes(tb testing.TB, b batch.Batch, want map[string]batch.Outcome) {
	tb.Helper()
	got := c.outcomes(tb, b)
	if len(got) != len(want) {
		tb.Errorf("%d rows, want %d: %v", len(got), len(want), got)
	}
	for who, outcome := range want {
		if got[who] != outcome {
			tb.Errorf("%s: %q, want %q", who, got[who], outcome)
		}
	}
}

// number runs a query that counts.
func (c *course) number(tb testing.TB, query string, args ...any) int {
	tb.Helper()
	var n int
	must(tb, c.db.Get(tb.Context(), &n, query, args...))
	return n
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
