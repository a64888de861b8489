package ltistore_test

import (
	"errors"
	"fmt"
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

func (s *suite) state(r lti.Registration, hash string) lti.LoginState {
	s.Helper()
	r.Deployments = nil
	st := lti.LoginState{
		StateHash: hash, NonceHash: "n", BrowserHash: "b", Registration: r, TargetLinkURI: "https://tool.example.edu/",
		DeploymentHint: "1", CreatedAt: s.now, ExpiresAt: s.now.Add(10 * time.Minute),
	}
	s.must(s.store.CreateState(s.Context(), st))
	return st
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
		want.ID, want.CreatedAt = r.ID, start
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
		r.Deployments = nil
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
		want.ID, want.CreatedAt, want.Deployments = first.ID, first.CreatedAt, []string{"1", "2"}
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
		for _, tt := range []struct {
			reg        lti.Registration
			deployment string
			want       bool
		}{{r, "1", true}, {r, "2", false}, {r, "", false}, {other, "1", false}} {
			if got, err := s.store.HasDeployment(s.Context(), tt.reg, tt.deployment); err != nil || got != tt.want {
				s.Errorf("deployment %q of %s: %v, %v", tt.deployment, tt.reg.OrganisationID, got, err)
			}
		}
		s.state(r, "s-1")
		if err := s.store.OpenSession(s.Context(), "s-1", s.session(other, "id-1"), "h"); !errors.Is(err, lti.ErrSpent) {
			s.Errorf("a session of another organisation spent the state: %v", err)
		}
	})
}

func TestRemoveRegistration(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		s.state(r, "s-1")
		s.state(r, "s-2")
		s.must(s.store.OpenSession(s.Context(), "s-1", s.session(r, "id-1"), "h"))
		s.must(s.store.RemoveRegistration(s.Context(), "org-1", r.ID))
		if err := s.store.RemoveRegistration(s.Context(), "org-1", r.ID); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("removed twice: %v", err)
		}
		if _, err := s.store.State(s.Context(), "s-2"); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("its login state: %v", err)
		}
		if _, _, err := s.store.Session(s.Context(), "id-1"); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("its session: %v", err)
		}
	})
}

func TestStates(t *testing.T) {
	each(t, func(s *suite) {
		want := s.state(s.added(), "s-1")
		got, err := s.store.State(s.Context(), "s-1")
		s.must(err)
		if diff := cmp.Diff(want, got); diff != "" {
			s.Errorf("state (-want +got):\n%s", diff)
		}
		if _, err := s.store.State(s.Context(), "s-2"); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("unknown state: %v", err)
		}
		if err := s.store.CreateState(s.Context(), want); err == nil {
			s.Error("the same state was stored twice")
		}
	})
}

func TestOpenSession(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		s.state(r, "s-1")
		want := s.session(r, "id-1")
		s.must(s.store.OpenSession(s.Context(), "s-1", want, "hash-1"))
		got, hash, err := s.store.Session(s.Context(), "id-1")
		s.must(err)
		if diff := cmp.Diff(want, got); diff != "" || hash != "hash-1" {
			s.Errorf("hash %q, session (-want +got):\n%s", hash, diff)
		}
		st, err := s.store.State(s.Context(), "s-1")
		s.must(err)
		if !st.UsedAt.Equal(want.CreatedAt) {
			s.Errorf("spent at %v, want %v", st.UsedAt, want.CreatedAt)
		}
		if err := s.store.OpenSession(s.Context(), "s-1", s.session(r, "id-2"), "h"); !errors.Is(err, lti.ErrSpent) {
			s.Errorf("spent twice: %v", err)
		}
		if err := s.store.OpenSession(s.Context(), "unknown", s.session(r, "id-2"), "h"); !errors.Is(err, lti.ErrSpent) {
			s.Errorf("unknown state: %v", err)
		}
		s.state(r, "s-2")
		if err := s.store.OpenSession(s.Context(), "s-2", s.session(r, "id-1"), "h"); err == nil {
			s.Error("two sessions of one id")
		}
		if st, err := s.store.State(s.Context(), "s-2"); err != nil || !st.UsedAt.IsZero() {
			s.Errorf("a session that was not stored spent its state: %v, %v", st.UsedAt, err)
		}
		s.now = s.now.Add(10 * time.Minute)
		if err := s.store.OpenSession(s.Context(), "s-2", s.session(r, "id-2"), "h"); !errors.Is(err, lti.ErrSpent) {
			s.Errorf("expired state: %v", err)
		}
		if _, _, err := s.store.Session(s.Context(), "id-2"); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("a refused session was stored: %v", err)
		}
	})
}

func TestOpenSessionRace(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		s.state(r, "s-1")
		const n = 20
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { errs[i] = s.store.OpenSession(s.Context(), "s-1", s.session(r, fmt.Sprint("id-", i)), "h") })
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
		s.state(r, "s-1")
		s.must(s.store.OpenSession(s.Context(), "s-1", s.session(r, "id-1"), "h"))
		s.now = s.now.Add(5 * time.Minute)
		s.state(r, "s-2")
		for _, tt := range []struct {
			wait time.Duration
			want int64
		}{{0, 0}, {5 * time.Minute, 1}, {5 * time.Minute, 1}, {44 * time.Minute, 0}, {time.Minute, 1}, {time.Hour, 0}} {
			s.now = s.now.Add(tt.wait)
			if n, err := s.store.Sweep(s.Context()); err != nil || n != tt.want {
				s.Errorf("at %v: swept %d (%v), want %d", s.now.Sub(start), n, err, tt.want)
			}
		}
	})
}

func TestToolKeys(t *testing.T) {
	each(t, func(s *suite) {
		old := lti.ToolKey{KID: "b", Private: []byte{1, 0, 2}, CreatedAt: start}
		young := lti.ToolKey{KID: "a", Private: []byte{3}, CreatedAt: start.Add(time.Second)}
		s.must(s.store.AddToolKey(s.Context(), young))
		s.must(s.store.AddToolKey(s.Context(), old))
		if err := s.store.AddToolKey(s.Context(), old); err == nil {
			s.Error("the same key was stored twice")
		}
		check := func(want ...lti.ToolKey) {
			s.Helper()
			got, err := s.store.ToolKeys(s.Context())
			s.must(err)
			if diff := cmp.Diff(want, got); diff != "" {
				s.Errorf("keys (-want +got):\n%s", diff)
			}
		}
		check(old, young)
		s.must(s.store.RetireToolKey(s.Context(), "b"))
		for _, kid := range []string{"b", "unknown"} {
			if err := s.store.RetireToolKey(s.Context(), kid); !errors.Is(err, lti.ErrNotFound) {
				s.Errorf("retire %s: %v", kid, err)
			}
		}
		old.RetiredAt = start
		check(old, young)
		s.now = s.now.Add(24 * time.Hour)
		check(young)
	})
}
