package issuance_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/queuetest"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
	"github.com/sealsmith/sealsmith/templates"
	"github.com/sealsmith/sealsmith/templates/starter"
)

// clock is set by hand, until it runs.
type clock struct {
	mu    sync.Mutex
	at    time.Time
	since time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		return c.at
	}
	return c.at.Add(time.Since(c.since))
}

// run lets the clock go, in a bubble of synctest.
func (c *clock) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = time.Now()
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// softToken is a token in memory that can be taken away, break, and do something before
// each signature.
type softToken struct {
	mu     sync.Mutex
	mint   mint
	paused bool
	broken error
	before func()
	signed int
}

func (s *softToken) Key(context.Context) (hsm.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused {
		return hsm.Key{}, &hsm.PausedError{State: hsm.StateAbsent, Reason: "the token is not plugged in"}
	}
	return hsm.Key{ID: s.mint.leaf.SerialNumber.String(), Alg: "ES256", Chain: []*x509.Certificate{s.mint.leaf}}, nil
}

func (s *softToken) Usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.paused
}

func (s *softToken) Sign(ctx context.Context, keyID string, input ...[]byte) ([]byte, error) {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before()
	}
	if _, err := s.Key(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	s.signed++
	return s.mint.Sign(ctx, keyID, input...)
}

func (s *softToken) set(change func(*softToken)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *softToken) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signed
}

// few is n, or a fifth of it when the tests are to be short: under the race detector a page takes
// ten times as long.
func few(n int) int {
	if testing.Short() {
		return n / 5
	}
	return n
}

var renderer = sync.OnceValues(elm.NewRenderer)

// office is one organisation with a template, a course activity and everything that
// seals, on one database.
type office struct {
	db         *sqldb.DB
	clock      *clock
	queue      *queuetest.Memory
	desk       *issuance.Desk
	templates  *templates.Store
	grading    *grading.Store
	token      *softToken
	org        templates.Organisation
	version    templates.Version
	attachment grading.Attachment
}

func newOffice(tb testing.TB, db *sqldb.DB) *office {
	tb.Helper()
	o := &office{db: db, clock: &clock{at: sealedAt}, queue: new(queuetest.Memory), token: &softToken{mint: newMint(tb, nil)}}
	o.desk = issuance.NewDesk(db, o.queue, o.clock.Now, slog.New(slog.DiscardHandler))
	o.templates = templates.NewStore(db, o.clock.Now)
	o.grading = grading.NewStore(db, o.desk, o.clock.Now)
	o.org, o.version, o.attachment = o.open(tb, "polder")
	return o
}

// open adds an organisation with one attached template.
func (o *office) open(tb testing.TB, slug string) (templates.Organisation, templates.Version, grading.Attachment) {
	tb.Helper()
	org, err := o.templates.AddOrganisation(tb.Context(), templates.Organisation{
		Slug: slug, Name: templates.Text{"en": "Polder University of Technology"}, Country: "NL", Identifier: "NTRNL-12345678",
	})
	check(tb, err)
	all, err := starter.All()
	check(tb, err)
	version, err := o.templates.Add(tb.Context(), org.ID, all[0].Slug, all[0].Content, "operator")
	check(tb, err)
	_, err = o.db.Exec(tb.Context(), `insert into registrations (id, organisation_id, name, issuer, client_id, auth_url, token_url, jwks_url, token_audience, created_at)
		values (?, ?, 'LMS', 'https://lms.example', ?, '', '', '', '', ?)`, "r-"+slug, org.ID, slug, o.clock.Now())
	check(tb, err)
	attachment, err := o.grading.Attach(tb.Context(), lti.Launch{
		OrganisationID: org.ID, RegistrationID: "r-" + slug, DeploymentID: "1",
		Context: lti.Context{ID: "course"}, User: lti.User{Subject: "teacher"},
	}, grading.Choice{Version: version, Rule: templates.Rule{MinPercent: 55}})
	check(tb, err)
	return org, version, attachment
}

// grade records a score for the learner.
func (o *office) grade(tb testing.TB, learner string, score float64) grading.Decided {
	tb.Helper()
	raw, err := json.Marshal(map[string]any{"userId": learner, "resultScore": score})
	check(tb, err)
	d, err := o.grading.Record(tb.Context(), o.attachment, "test", grading.Observation{
		Learner: learner, Score: sql.NullFloat64{Float64: score, Valid: true}, Maximum: 100, Raw: raw,
	})
	check(tb, err)
	return d
}

var noor = issuance.Name{Given: "Noor", Family: "van den Berg"}

// claim is a claim in the queue.
func (o *office) claim(tb testing.TB, learner string) issuance.Claim {
	tb.Helper()
	o.grade(tb, learner, 80)
	c, err := o.desk.Confirm(tb.Context(), o.org.ID, o.attachment.ID, learner, noor)
	check(tb, err)
	return c
}

func (o *office) claims(tb testing.TB, n int) []issuance.Claim {
	tb.Helper()
	all := make([]issuance.Claim, n)
	for i := range all {
		all[i] = o.claim(tb, fmt.Sprintf("learner-%03d", i))
	}
	return all
}

// now returns the claim as it stands.
func (o *office) now(tb testing.TB, c issuance.Claim) issuance.Claim {
	tb.Helper()
	c, err := o.desk.OfLearner(tb.Context(), c.OrganisationID, c.AttachmentID, c.Learner)
	check(tb, err)
	return c
}

func (o *office) wantState(tb testing.TB, c issuance.Claim, want issuance.State) issuance.Claim {
	tb.Helper()
	c = o.now(tb, c)
	if c.State != want {
		tb.Errorf("claim is %s (%s), want %s", c.State, c.LastError, want)
	}
	return c
}

// sealed wants a sealed, genuine credential and returns it.
func (o *office) sealed(tb testing.TB, c issuance.Claim) issuance.Credential {
	tb.Helper()
	o.wantState(tb, c, issuance.Sealed)
	cred, err := o.desk.Credential(tb.Context(), c.OrganisationID, c.ID)
	check(tb, err)
	r := issuance.Verify(cred.Sealed, issuance.VerifyOptions{Trust: o.token.mint.pool(), Now: o.clock.Now()})
	if r.Verdict != issuance.VerdictValid {
		tb.Fatalf("verdict %s: %s %v", r.Verdict, r.Headline, outcomes(r))
	}
	return cred
}

func (o *office) worker(tb testing.TB) *issuance.Worker {
	tb.Helper()
	pages, err := renderer()
	check(tb, err)
	return &issuance.Worker{
		DB: o.db, Templates: o.templates, Jobs: o.queue, Sealer: o.token, Pages: pages,
		PublicURL: &url.URL{Scheme: "https", Host: "seal.polder.example"}, Parallel: 2,
		Lease: 2 * time.Minute, Sweep: time.Minute, Now: o.clock.Now, Logger: slog.New(slog.DiscardHandler),
	}
}

// audits counts the lines of the audit trail about subject.
func (o *office) audits(tb testing.TB, action, subject string) int {
	tb.Helper()
	var n int
	check(tb, o.db.Get(tb.Context(), &n, `select count(*) from audit where action = ? and subject = ?`, action, subject))
	return n
}

// nameOwner changes whom a seal certificate belongs to.
func nameOwner(organisation, id, country string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject.Organization, c.Subject.Country = []string{organisation}, []string{country}
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{identifier(id)}
	}
}

func newOfficeOnSQLite(tb testing.TB) *office {
	tb.Helper()
	return newOffice(tb, sqldbtest.SQLite(tb))
}
