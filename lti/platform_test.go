package lti_test

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/demolms"
	"github.com/sealsmith/sealsmith/lti/fetch"
)

// column puts an activity with a column into course 2 of a running demo platform and
// registers it in r.reg. It returns what calls its services, the platform, and the
// addresses of the column and of the list of columns.
func column(t *testing.T, r *rig) (s *lti.Services, lms *demolms.LMS, item, items string) {
	t.Helper()
	tool := httptest.NewServer(r.router)
	t.Cleanup(tool.Close)
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { handler.ServeHTTP(w, req) }))
	t.Cleanup(server.Close)
	lms = must(demolms.New(demolms.Config{Issuer: server.URL, Now: r.clock.Now, Tools: []demolms.Tool{{
		ClientID: "sealsmith", Name: "Sealsmith", LoginURL: tool.URL + "/lti/login", LaunchURL: tool.URL + "/lti/launch", JWKSURL: tool.URL + "/lti/jwks",
	}}}))
	handler = lms.Handler()
	auth, token, jwks := lms.URLs()
	r.reg = must(r.store.AddRegistration(t.Context(), lti.Registration{
		OrganisationID: organisation, Name: "Demo", Issuer: lms.Issuer(), ClientID: "sealsmith",
		AuthURL: auth, TokenURL: token, JWKSURL: jwks, ProductFamily: "moodle",
	}))
	s = must(lti.NewServices(lti.ServiceDeps{
		Keys: r.store, HTTP: anyPlatform(fetch.New(fetch.Config{AllowLoopback: true})), Now: r.clock.Now, Rand: rand.Reader, Logger: slog.New(slog.DiscardHandler),
	}))
	must(lms.Place("2", "sealsmith", demolms.ContentItem{Title: "Badge", LineItem: &demolms.ItemLineItem{ScoreMaximum: 100, ResourceID: "a-1", Tag: "claimed"}}))
	item = must(lms.LineItemURL(lms.LineItems("2")[0].ID))
	return s, lms, item, regexp.MustCompile(`/lineitems/\d+/lineitem`).ReplaceAllString(item, "/lineitems")
}

// TestServicesOverHTTP plays columns, scores and the queue against the demo platform,
// which behaves as Moodle does.
func TestServicesOverHTTP(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, lms, item, items := column(t, r)
	found, created, err := s.EnsureLineItem(t.Context(), r.reg, items, lti.LineItem{Label: "Badge", ScoreMaximum: 100, ResourceID: "a-1", Tag: "claimed"})
	if err != nil || created || found.ID != item {
		t.Fatalf("got %+v, %v, %v", found, created, err)
	}
	if _, err := s.UpdateLineItem(t.Context(), r.reg, item, func(i *lti.LineItem) { i.Label = "Badge, claimed" }); err != nil {
		t.Error(err)
	}
	if after := lms.LineItems("2")[0]; after.Label != "Badge, claimed" || after.Activity == "" || after.ResourceID != "a-1" {
		t.Errorf("changed: %+v", after)
	}
	queue := lti.NewScoreQueue(s, r.store)
	state := func(want lti.ScoreState, shown float64) {
		t.Helper()
		if _, err := queue.SendDue(t.Context()); err != nil {
			t.Error(err)
		}
		results, err := s.Results(t.Context(), r.reg, item, "8")
		rows := must(r.store.Scores(t.Context(), r.reg, item))
		if err != nil || len(results) != 1 || *results[0].Score != shown || rows[0].State != want {
			t.Errorf("%s (%s), results %+v, %v; want %s and %v", rows[0].State, rows[0].LastError, results, err, want, shown)
		}
	}
	wish := func(given float64) {
		t.Helper()
		score := full(given)
		score.UserID = "8"
		if err := queue.Want(t.Context(), r.reg, item, score); err != nil {
			t.Error(err)
		}
	}
	wish(30) // of 60
	state(lti.ScoreSent, 50)
	wish(60)
	state(lti.ScoreSent, 100)
	if err := lms.SetGrade(lms.LineItems("2")[0].ID, "jan", new(59.0)); err != nil { // the teacher decides otherwise
		t.Fatal(err)
	}
	r.clock.advance(time.Minute)
	wish(45)
	state(lti.ScoreWaiting, 59)
	r.clock.advance(time.Minute)
	state(lti.ScoreOverridden, 59)

	second, created, err := s.EnsureLineItem(t.Context(), r.reg, items, lti.LineItem{Label: "Mark", ScoreMaximum: 1, ResourceID: "a-1-mark"})
	if err != nil || !created {
		t.Fatalf("got %+v, %v, %v", second, created, err)
	}
	if err := s.DeleteLineItem(t.Context(), r.reg, second.ID, "a-1-mark"); err != nil || len(lms.LineItems("2")) != 1 {
		t.Errorf("deleted: %v, %+v", err, lms.LineItems("2"))
	}
}
