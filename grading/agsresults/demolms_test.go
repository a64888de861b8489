package agsresults_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/grading/agsresults"
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

// school is a learning platform that runs, with our tool registered, and a source that
// reads it over HTTP.
type school struct {
	*demolms.LMS
	source     *agsresults.Source
	attachment grading.Attachment
	ahead      atomic.Int64 // of the clock by which services are called, nanoseconds
}

func newSchool(t *testing.T) *school {
	t.Helper()
	var lmsHandler, toolHandler http.Handler
	lmsServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { lmsHandler.ServeHTTP(w, r) }))
	t.Cleanup(lmsServer.Close)
	toolServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { toolHandler.ServeHTTP(w, r) }))
	t.Cleanup(toolServer.Close)
	public, err := url.Parse(toolServer.URL)
	must(t, err)

	db := sqldbtest.SQLite(t)
	store := ltistore.New(db, time.Now)
	client, logger := fetch.New(fetch.Config{AllowLoopback: true}), slog.New(slog.DiscardHandler)
	tool, err := lti.New(lti.Deps{
		PublicURL: public, Store: store, HTTP: func(lti.Registration) *http.Client { return client }, Secret: make([]byte, 32), Now: time.Now, Rand: rand.Reader, Logger: logger,
		TraceID: func(context.Context) string { return "trace" }, Trace: func(lti.Trace) {}, Page: func(http.ResponseWriter, *http.Request, lti.Page) {},
		Notices: store, Notice: func(context.Context, lti.Registration, lti.Notice) error { return nil },
		Enter: func(http.ResponseWriter, *http.Request, lti.Session) {},
		Problem: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		},
	})
	must(t, err)
	router := mux.NewRouter()
	tool.Mount(router)
	toolHandler = router

	lms, err := demolms.New(demolms.Config{Issuer: lmsServer.URL, Now: time.Now, Tools: []demolms.Tool{{
		ClientID: "sealsmith", Name: "Sealsmith", LoginURL: toolServer.URL + "/lti/login", LaunchURL: toolServer.URL + "/lti/launch", JWKSURL: toolServer.URL + "/lti/jwks",
	}}})
	must(t, err)
	lmsHandler = lms.Handler()

	organisation, err := templates.NewStore(db, time.Now).AddOrganisation(t.Context(), templates.Organisation{
		Slug: "polder", Name: templates.Text{"en": "Polder"}, Country: "NL", Identifier: "NTRNL-12345678",
	})
	must(t, err)
	auth, token, jwks := lms.URLs()
	r, err := store.AddRegistration(t.Context(), lti.Registration{
		OrganisationID: organisation.ID, Name: "Polder Moodle", Issuer: lms.Issuer(),
		ClientID: "sealsmith", AuthURL: auth, TokenURL: token, JWKSURL: jwks, Deployments: []string{"1"},
	})
	must(t, err)
	s := &school{}
	now := func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
	services, err := lti.NewServices(lti.ServiceDeps{Keys: store, HTTP: func(lti.Registration) *http.Client { return client }, Now: now, Rand: rand.Reader, Logger: logger})
	must(t, err)
	s.LMS, s.source, s.attachment = lms, agsresults.New(services, store, books{}), grading.Attachment{
		ID: "a-1", OrganisationID: organisation.ID, RegistrationID: r.ID, VersionID: "v-1",
	}
	return s
}

func (s *school) read(tb testing.TB, learner string) []grading.Observation {
	tb.Helper()
	column, all, err := s.source.Read(tb.Context(), s.attachment, learner)
	must(tb, err)
	s.attachment.LineItemURL = column
	return all
}

func TestOverHTTP(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	_, err := s.Place("2", "sealsmith", demolms.ContentItem{Title: "Record", LineItem: &demolms.ItemLineItem{ScoreMaximum: 100, ResourceID: "a-1", Tag: agsresults.Tag}})
	must(t, err)
	item := s.LineItems("2")[0]
	address, err := s.LineItemURL(item.ID)
	must(t, err)
	// …/lineitems/7/lineitem?type_id=1 is in …/lineitems?type_id=1.
	form := regexp.MustCompile(`/lineitems/\d+/lineitem`)
	s.attachment.LineItemsURL = form.ReplaceAllString(address, "/lineitems")

	must(t, s.SetGrade(item.ID, "maija", new(57.5)))
	must(t, s.SetGrade(item.ID, "jan", new(30.0)))
	if all := s.read(t, ""); len(all) != 2 || s.attachment.LineItemURL != address {
		t.Errorf("read %+v from %s, want two from %s", all, s.attachment.LineItemURL, address)
	}
	if all := s.read(t, "7"); len(all) != 1 || all[0].Learner != "7" || all[0].Score.Float64 != 57.5 || all[0].Maximum != 100 {
		t.Errorf("maija: %+v", all)
	}
	if all := s.read(t, "9"); len(all) != 0 {
		t.Errorf("erika has no grade: %+v", all)
	}
	must(t, s.SetGrade(item.ID, "maija", nil))
	if all := s.read(t, "7"); len(all) > 0 && all[0].Score.Valid {
		t.Errorf("taken back: %+v", all)
	}

	s.attachment.LineItemURL = form.ReplaceAllString(address, "/lineitems/999/lineitem") // as after a deleted column
	if all := s.read(t, ""); s.attachment.LineItemURL != address {
		t.Errorf("column %s, %+v, want %s", s.attachment.LineItemURL, all, address)
	}
	s.faults(t)
	s.another(t)
}

// faults: each refusal of the platform has its reason, and a token that was refused once
// is asked for again without anybody's help.
func (s *school) faults(t *testing.T) {
	t.Helper()
	for knob, reason := range map[demolms.Knob]string{
		demolms.ResultsError: lti.ReasonBusy, demolms.ResultsHTML: lti.ReasonAnswer, demolms.ResultsDenied: lti.ReasonUnauthorized,
		demolms.ResultsForbidden: lti.ReasonForbidden, demolms.ResultsBusy: lti.ReasonBusy, demolms.ResultsGarbage: lti.ReasonAnswer,
	} {
		must(t, s.Set(knob, demolms.On))
		_, _, err := s.source.Read(t.Context(), s.attachment, "")
		if refused, ok := errors.AsType[*lti.ServiceError](err); !ok || refused.Reason != reason || refused.Sentence() == "" {
			t.Errorf("%s: got %v, want %s", knob, err, reason)
		}
		s.Reset()
		if knob == demolms.ResultsBusy { // it asked for a second, and gets it
			if _, _, err := s.source.Read(t.Context(), s.attachment, ""); err == nil {
				t.Error("called before the time")
			}
			s.ahead.Add(int64(time.Second))
		}
	}
	must(t, s.Set(demolms.ResultsDenied, demolms.Once))
	if all := s.read(t, "8"); len(all) != 1 || all[0].Score.Float64 != 30 {
		t.Errorf("after one 401: %+v", all)
	}
	s.RevokeTokens()
	if all := s.read(t, "8"); len(all) != 1 {
		t.Errorf("after the tokens were revoked: %+v", all)
	}
}

// another attachment of the same course has no column: it is made once, and found then.
func (s *school) another(t *testing.T) {
	t.Helper()
	s.attachment.ID, s.attachment.LineItemURL = "a-2", ""
	var first string
	for range 2 {
		s.attachment.LineItemURL = ""
		if all := s.read(t, ""); len(all) != 0 {
			t.Errorf("a new column has %+v", all)
		}
		if first != "" && first != s.attachment.LineItemURL {
			t.Errorf("made twice: %s and %s", first, s.attachment.LineItemURL)
		}
		first = s.attachment.LineItemURL
	}
	items := s.LineItems("2")
	if len(items) != 2 || items[1].ResourceID != "a-2" || items[1].Tag != agsresults.Tag || items[1].Label != "Voedsel" || items[1].Max != 100 {
		t.Errorf("columns %+v", items)
	}
}
