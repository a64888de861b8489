package ltistore_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

var start = time.Date(2026, 11, 24, 9, 0, 0, 123456000, time.UTC)

type suite struct {
	*testing.T
	db    *sqldb.DB
	store *ltistore.Store
	now   time.Time
}

func each(t *testing.T, test func(s *suite)) {
	t.Helper()
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := &suite{T: t, db: db, now: start}
		s.store = ltistore.New(db, func() time.Time { return s.now })
		for _, id := range []string{"org-1", "org-2"} {
			_, err := db.Exec(t.Context(), `insert into organisations (id, slug, profile, created_at) values (?, ?, ?, ?)`,
				id, id, "{}", sqldb.UTC(start))
			s.must(err)
		}
		test(s)
	})
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) registration() lti.Registration {
	return lti.Registration{
		OrganisationID: "org-1", Name: "Moodle", Issuer: "https://lms.example.edu", ClientID: "c-1",
		AuthURL: "https://lms.example.edu/auth", TokenURL: "https://lms.example.edu/token",
		JWKSURL: "https://lms.example.edu/jwks", TokenAudience: "https://api.example.edu", Deployments: []string{"1"},
	}
}

func (s *suite) added() lti.Registration {
	s.Helper()
	r, err := s.store.AddRegistration(s.Context(), s.registration())
	s.must(err)
	return r
}

func (s *suite) session(r lti.Registration, id string) lti.Session {
	return lti.Session{
		ID: id, CreatedAt: s.now, ExpiresAt: s.now.Add(time.Hour),
		Launch: lti.Launch{
			RegistrationID: r.ID, OrganisationID: r.OrganisationID, MessageType: lti.MessageDeepLinking,
			User: lti.User{Subject: "7", Name: "Zoë \u0000 Ñandú"}, Roles: []string{"Learner"},
			DeepLinking: &lti.DeepLinkingSettings{Data: new(`"a\u0000 <&>"`), AcceptMultiple: new(false)}, IssuedAt: s.now,
		},
	}
}

func TestRegistrations(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		want := s.registration()
		want.ID, want.CreatedAt, want.Status = r.ID, start, lti.StatusActive
		if diff := cmp.Diff(want, r); diff != "" || len(r.ID) != 36 {
			s.Errorf("added (-want +got):\n%s", diff)
		}
		shown, err := s.store.Registration(s.Context(), "org-1", r.ID)
		s.must(err)
		if diff := cmp.Diff(r, shown); diff != "" {
			s.Errorf("shown (-added +shown):\n%s", diff)
		}
		all, err := s.store.AllRegistrations(s.Context(), "org-1")
		s.must(err)
		if diff := cmp.Diff([]lti.Registration{r}, all); diff != "" {
			s.Errorf("all (-want +got):\n%s", diff)
		}
		for _, client := range []string{"", "c-1"} {
			found, err := s.store.Registrations(s.Context(), r.Issuer, client)
			s.must(err)
			if diff := cmp.Diff([]lti.Registration{r}, found); diff != "" {
				s.Errorf("found by client %q (-want +got):\n%s", client, diff)
			}
		}
		for _, key := range [][2]string{{r.Issuer + "/", "c-1"}, {r.Issuer, "c-2"}, {strings.ToUpper(r.Issuer), ""}, {"", ""}} {
			found, err := s.store.Registrations(s.Context(), key[0], key[1])
			s.must(err)
			if len(found) != 0 {
				s.Errorf("%q found %v", key, found)
			}
		}
	})
}

func TestAddAgain(t *testing.T) {
	each(t, func(s *suite) {
		first := s.added()
		s.now = s.now.Add(time.Hour)
		changed := s.registration()
		changed.Name, changed.JWKSURL, changed.Deployments = "Moodle 2", "https://lms.example.edu/jwks2", []string{"2", "1"}
		second, err := s.store.AddRegistration(s.Context(), changed)
		s.must(err)
		want := changed
		want.ID, want.CreatedAt, want.Deployments, want.Status = first.ID, first.CreatedAt, []string{"1", "2"}, lti.StatusActive
		if diff := cmp.Diff(want, second); diff != "" {
			s.Errorf("second (-want +got):\n%s", diff)
		}
		changed.OrganisationID = "org-2" // R21: never overwrite another organisation's
		changed.Name = "Mine now"
		if _, err := s.store.AddRegistration(s.Context(), changed); !errors.Is(err, ltistore.ErrTaken) {
			s.Errorf("another organisation got %v, want ErrTaken", err)
		}
		after, err := s.store.Registration(s.Context(), "org-1", first.ID)
		s.must(err)
		if diff := cmp.Diff(second, after); diff != "" {
			s.Errorf("after the refusal (-before +after):\n%s", diff)
		}
		bad := s.registration()
		bad.AuthURL = "javascript:alert(1)"
		if _, err := s.store.AddRegistration(s.Context(), bad); err == nil {
			s.Error("an unusable registration was stored")
		}
	})
}

func TestTenancy(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		if _, err := s.store.Registration(s.Context(), "org-2", r.ID); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("shown to another organisation: %v", err)
		}
		if all, err := s.store.AllRegistrations(s.Context(), "org-2"); err != nil || len(all) != 0 {
			s.Errorf("listed for another organisation: %v, %v", all, err)
		}
		if err := s.store.RemoveRegistration(s.Context(), "org-2", r.ID); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("removed by another organisation: %v", err)
		}
		other := r
		other.OrganisationID = "org-2"
		if approved, err := s.store.SeeDeployment(s.Context(), other, "9", true); !errors.Is(err, lti.ErrNotFound) || approved {
			s.Errorf("a deployment of another organisation: %v, %v", approved, err)
		}
	})
}

func TestDeployments(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		see := func(id string, approve, want bool) {
			s.Helper()
			if got, err := s.store.SeeDeployment(s.Context(), r, id, approve); err != nil || got != want {
				s.Errorf("deployment %q: approved %v, %v", id, got, err)
			}
		}
		see("1", false, true)
		see("2", false, false)
		see("2", true, false) // what waits is not approved by being seen again
		see("3", true, true)
		for i := range 150 {
			see(fmt.Sprint("flood-", i), false, false)
		}
		got, err := s.store.RegistrationByKey(s.Context(), r.ID)
		s.must(err)
		if diff := cmp.Diff([]string{"1", "3"}, got.Deployments); diff != "" || len(got.Pending) != 100 {
			s.Errorf("%d wait, approved (-want +got):\n%s", len(got.Pending), diff)
		}
		r.Deployments = []string{"2"}
		r, err = s.store.AddRegistration(s.Context(), r)
		s.must(err)
		see("2", false, true)
	})
}

func TestRemoveRegistration(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		s.must(s.store.OpenSession(s.Context(), s.session(r, "id-1"), "h"))
		s.must(s.store.RemoveRegistration(s.Context(), "org-1", r.ID))
		if err := s.store.RemoveRegistration(s.Context(), "org-1", r.ID); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("removed twice: %v", err)
		}
		if _, err := s.store.RegistrationByKey(s.Context(), r.ID); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("found by its id: %v", err)
		}
		if _, _, err := s.store.Session(s.Context(), "id-1"); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("its session: %v", err)
		}
	})
}

func TestOpenSession(t *testing.T) {
	each(t, func(s *suite) {
		want := s.session(s.added(), "id-1")
		s.must(s.store.OpenSession(s.Context(), want, "hash-1"))
		got, hash, err := s.store.Session(s.Context(), "id-1")
		s.must(err)
		if diff := cmp.Diff(want, got); diff != "" || hash != "hash-1" {
			s.Errorf("hash %q, session (-want +got):\n%s", hash, diff)
		}
		second := want
		second.Launch.User.Subject = "8"
		if err := s.store.OpenSession(s.Context(), second, "hash-2"); !errors.Is(err, lti.ErrSpent) {
			s.Errorf("the same id twice: %v", err)
		}
		if got, hash, err := s.store.Session(s.Context(), "id-1"); err != nil || hash != "hash-1" || got.Launch.User.Subject != "7" {
			s.Errorf("the second changed the first: %v, %v", got.Launch, err)
		}
	})
}

func TestOpenSessionRace(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		const n = 20
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { errs[i] = s.store.OpenSession(s.Context(), s.session(r, "id-1"), fmt.Sprint("h-", i)) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, lti.ErrSpent) {
				s.Errorf("a loser got %v", err)
			}
		}
		if won != 1 {
			s.Errorf("%d won, want 1", won)
		}
	})
}

func TestSweep(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		s.must(s.store.OpenSession(s.Context(), s.session(r, "id-1"), "h"))
		traces := s.store.NewTraces(slog.New(slog.DiscardHandler))
		traces.Add(lti.Trace{ID: "t-1", RegistrationID: r.ID, OrganisationID: r.OrganisationID, At: s.now})
		s.must(traces.Flush(s.Context()))
		for _, tt := range []struct {
			wait time.Duration
			want int64
		}{{0, 0}, {59 * time.Minute, 0}, {time.Minute, 1}, {29 * 24 * time.Hour, 0}, {24 * time.Hour, 1}, {time.Hour, 0}} {
			s.now = s.now.Add(tt.wait)
			if n, err := s.store.Sweep(s.Context()); err != nil || n != tt.want {
				s.Errorf("at %v: swept %d (%v), want %d", s.now.Sub(start), n, err, tt.want)
			}
		}
	})
}

func TestTraces(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		traces := s.store.NewTraces(slog.New(slog.DiscardHandler))
		add := func(from, to int) {
			for i := from; i < to; i++ {
				code := ""
				if i%2 == 1 {
					code = lti.CodeNonceMismatch
				}
				traces.Add(lti.Trace{
					ID: fmt.Sprintf("t-%03d", i), RegistrationID: r.ID, OrganisationID: r.OrganisationID,
					At: start.Add(time.Duration(i) * time.Second), Kind: lti.TraceLaunch, Code: code, Claims: []string{"iss"},
				})
			}
			s.must(traces.Flush(s.Context()))
		}
		add(0, 30)
		got, err := s.store.LastTraces(s.Context(), "org-1", r.ID, false, 2)
		s.must(err)
		if len(got) != 2 || got[0].ID != "t-029" || got[0].Code != lti.CodeNonceMismatch || got[1].ID != "t-028" || got[0].Claims[0] != "iss" {
			s.Errorf("got %+v", got)
		}
		if got, err := s.store.LastTraces(s.Context(), "org-1", r.ID, true, 100); err != nil || len(got) != 15 {
			s.Errorf("%d refused, %v", len(got), err)
		}
		if got, err := s.store.LastTraces(s.Context(), "org-2", r.ID, false, 100); err != nil || len(got) != 0 {
			s.Errorf("another organisation sees %d, %v", len(got), err)
		}
		if got, err := s.store.FindTrace(s.Context(), "org-1", "t-007"); err != nil || got.RegistrationID != r.ID {
			s.Errorf("found %+v, %v", got, err)
		}
		if _, err := s.store.FindTrace(s.Context(), "org-2", "t-007"); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("found by another organisation: %v", err)
		}
		add(30, 1000) // a flood between two writings leaves its newest
		for i := range 5 {
			add(1000+40*i, 1040+40*i)
		}
		var rows int
		s.must(s.db.Get(s.Context(), &rows, `select count(*) from launch_traces`))
		if rows != 200 {
			s.Errorf("%d rows are kept", rows)
		}
		traces.Add(lti.Trace{ID: "gone", RegistrationID: "gone", OrganisationID: "org-1", At: s.now})
		s.must(traces.Flush(s.Context()))
	})
}
