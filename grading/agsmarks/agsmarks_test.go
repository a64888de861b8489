package agsmarks_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/agsmarks"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/demolms"
	"github.com/sealsmith/sealsmith/lti/fetch"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
	"github.com/sealsmith/sealsmith/templates"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// activities keeps one attachment, as the store of grading does.
type activities struct {
	one     grading.Attachment
	origin  grading.Attachment
	stopped bool
}

func (s *activities) Marked(context.Context) ([]grading.Attachment, error) {
	if s.stopped {
		return nil, nil
	}
	return []grading.Attachment{s.one}, nil
}

func (s *activities) SetMarks(_ context.Context, _ grading.Attachment, column string, until time.Time) error {
	s.one.MarkURL, s.one.MarkAt = column, sql.NullTime{Time: until, Valid: !until.IsZero()}
	return nil
}

func (s *activities) StopMarks(context.Context, grading.Attachment) error {
	s.stopped = true
	return nil
}

func (s *activities) Attachment(_ context.Context, _, id string) (grading.Attachment, error) {
	if id != s.origin.ID {
		return grading.Attachment{}, grading.ErrNotFound
	}
	return s.origin, nil
}

// claimed says who has claimed, and since when it was asked.
type claimed struct {
	learners []string
	since    time.Time
}

func (c *claimed) ClaimedSince(_ context.Context, _, _ string, t time.Time) ([]string, error) {
	c.since = t
	return c.learners, nil
}

type books struct{}

func (books) Version(context.Context, string, string) (templates.Version, error) {
	return templates.Version{Content: templates.Content{Title: templates.Text{"nl": "Voedsel"}, Languages: []string{"nl"}}}, nil
}

// school is a demo LMS with an activity, and a marker that works on it.
type school struct {
	*demolms.LMS
	marker  *agsmarks.Marker
	queue   *lti.ScoreQueue
	store   *ltistore.Store
	reg     lti.Registration
	keeps   *activities
	claimed *claimed
	now     time.Time
}

func newSchool(t *testing.T) *school {
	t.Helper()
	s := &school{now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), claimed: &claimed{}, keeps: &activities{}}
	clock := func() time.Time { return s.now }
	var platform http.Handler
	router := mux.NewRouter()
	lmsServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { platform.ServeHTTP(w, r) }))
	t.Cleanup(lmsServer.Close)
	toolServer := httptest.NewServer(router)
	t.Cleanup(toolServer.Close)
	var err error
	s.LMS, err = demolms.New(demolms.Config{Issuer: lmsServer.URL, Now: clock, Tools: []demolms.Tool{{
		ClientID: "sealsmith", LoginURL: toolServer.URL + "/lti/login", LaunchURL: toolServer.URL + "/lti/launch", JWKSURL: toolServer.URL + "/lti/jwks",
	}}})
	must(t, err)
	platform = s.Handler()

	db := sqldbtest.SQLite(t)
	s.store = ltistore.New(db, clock)
	plain, logger := fetch.New(fetch.Config{AllowLoopback: true}), slog.New(slog.NewTextHandler(t.Output(), nil))
	client := func(lti.Registration) *http.Client { return plain }
	public, err := url.Parse(toolServer.URL)
	must(t, err)
	tool, err := lti.New(lti.Deps{
		PublicURL: public, Store: s.store, HTTP: client, Secret: make([]byte, 32), Now: clock, Rand: rand.Reader, Logger: logger,
		TraceID: func(context.Context) string { return "" }, Trace: func(lti.Trace) {}, Page: func(http.ResponseWriter, *http.Request, lti.Page) {},
		Notices: s.store, Notice: func(context.Context, lti.Registration, lti.Notice) error { return nil },
		Enter: func(http.ResponseWriter, *http.Request, lti.Session) {}, Problem: func(http.ResponseWriter, *http.Request, error) {},
	})
	must(t, err)
	tool.Mount(router)
	organisation, err := templates.NewStore(db, clock).AddOrganisation(t.Context(), templates.Organisation{
		Slug: "polder", Name: templates.Text{"en": "Polder"}, Country: "NL", Identifier: "NTRNL-12345678",
	})
	must(t, err)
	auth, token, keys := s.URLs()
	s.reg, err = s.store.AddRegistration(t.Context(), lti.Registration{
		OrganisationID: organisation.ID, Name: "Polder Moodle", Issuer: s.Issuer(), ClientID: "sealsmith", ProductFamily: "moodle",
		AuthURL: auth, TokenURL: token, JWKSURL: keys, Deployments: []string{"1"},
	})
	must(t, err)
	services, err := lti.NewServices(lti.ServiceDeps{Keys: s.store, HTTP: client, Now: clock, Rand: rand.Reader, Logger: logger})
	must(t, err)
	s.queue = lti.NewScoreQueue(services, s.store)
	_, err = s.Place("2", "sealsmith", demolms.ContentItem{Title: "Record", LineItem: &demolms.ItemLineItem{ScoreMaximum: 100, ResourceID: "a-1"}})
	must(t, err)
	read, err := s.LineItemURL(s.LineItems("2")[0].ID)
	must(t, err)
	s.keeps.one = grading.Attachment{
		ID: "a-1", OrganisationID: organisation.ID, RegistrationID: s.reg.ID, VersionID: "v-1", ContextID: "2", Mark: true,
		LineItemURL: read, LineItemsURL: regexp.MustCompile(`/\d+/lineitem\?`).ReplaceAllString(read, "?"),
	}
	s.marker = &agsmarks.Marker{
		Claimed: s.claimed, Attachments: s.keeps, Columns: services, Scores: s.queue, Outcomes: s.store, Versions: books{}, Now: clock, Logger: logger,
	}
	return s
}

// shows reports whether the column has 1 for the learner.
func (s *school) shows(item int, learner string) bool {
	grade, err := s.Grade(item, learner)
	return err == nil && grade.Score != nil && *grade.Score == 1
}

func (s *school) round(t *testing.T) {
	t.Helper()
	must(t, s.marker.Round(t.Context()))
	_, err := s.queue.SendDue(t.Context())
	must(t, err)
	s.now = s.now.Add(2 * time.Minute)
}

func TestClaimsAreShown(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.round(t)
	if len(s.LineItems("2")) != 1 {
		t.Error("a column was made for nobody")
	}
	s.claimed.learners = []string{"7"}
	s.round(t)
	s.claimed.learners = []string{"7", "8"} // the last minute is handed on twice
	s.round(t)
	items := s.LineItems("2")
	if len(items) != 2 || items[1].ResourceID != "a-1-claimed" || items[1].Tag != agsmarks.Tag || items[1].Label != "Voedsel (claimed)" || items[1].Max != 1 {
		t.Fatalf("columns %+v", items)
	}
	for learner, want := range map[string]bool{"7": true, "8": true, "9": false} {
		if got := s.shows(items[1].ID, learner); got != want {
			t.Errorf("learner %s in the column: %v", learner, got)
		}
		if grade, err := s.Grade(items[0].ID, learner); err != nil || grade.Score != nil {
			t.Errorf("learner %s got a score in the column that is read", learner)
		}
	}
	if want := s.now.Add(-5 * time.Minute); !s.claimed.since.Equal(want) {
		t.Errorf("asked for claims since %v, want %v", s.claimed.since, want)
	}
}

// TestDeletedColumn: a teacher who deletes the column has decided.
func TestDeletedColumn(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.claimed.learners = []string{"7"}
	s.round(t)
	must(t, s.DeleteLineItem(s.LineItems("2")[1].ID))
	s.claimed.learners = []string{"7", "8"}
	for range 3 {
		s.round(t)
	}
	if !s.keeps.stopped || len(s.LineItems("2")) != 1 {
		t.Errorf("stopped %v, columns %+v", s.keeps.stopped, s.LineItems("2"))
	}
}

// TestCopiedCourse uses the column that came with the copy, and none of another activity.
func TestCopiedCourse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ origin, resource string }{{"1", "root-claimed"}, {"2", "a-1-claimed"}, {"", "a-1-claimed"}} {
		s := newSchool(t)
		s.keeps.one.CopiedFrom = "root"
		if tt.origin != "" {
			s.keeps.origin = grading.Attachment{ID: "root", ContextID: tt.origin}
		}
		s.claimed.learners = []string{"7"}
		s.round(t)
		if items := s.LineItems("2"); len(items) != 2 || items[1].ResourceID != tt.resource {
			t.Errorf("origin in course %q: columns %+v", tt.origin, items)
		}
	}
}

func TestPlatformInTrouble(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.claimed.learners = []string{"7"}
	must(t, s.Set(demolms.EndpointError, demolms.On))
	s.round(t)
	s.Reset()
	s.now = s.now.Add(5 * time.Minute)
	s.round(t)
	if items := s.LineItems("2"); len(items) != 2 {
		t.Fatalf("columns %+v", items)
	}
	if !s.shows(s.LineItems("2")[1].ID, "7") {
		t.Error("the claim is not shown after the platform came back")
	}
}
