package grading_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
	"github.com/sealsmith/sealsmith/templates"
)

// source answers with what the test put there.
type source struct {
	column string
	all    []grading.Observation
	fail   error
	asked  []string // attachment and learner
}

func (*source) Name() string { return "ags-results" }

func (s *source) Read(_ context.Context, a grading.Attachment, learner string) (string, []grading.Observation, error) {
	s.asked = append(s.asked, a.ID+" "+learner)
	if s.fail != nil {
		return "", nil, s.fail
	}
	return s.column, s.all, nil
}

func (c *course) reader(s *source) *grading.Reader {
	return &grading.Reader{Store: c.store, Source: s, Now: c.clock.Now, Logger: slog.New(slog.DiscardHandler)}
}

func TestReaderLearner(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		s := &source{column: "https://lms.example/items/7"}
		r := c.reader(s)
		d, err := r.Learner(t.Context(), a, "noor") // no record is an observation too
		must(t, err)
		if d.Complete || d.Reasons[0].Code != grading.BecauseNoScore || d.Evidence.Raw != "null" {
			t.Errorf("decision %+v", d)
		}
		a = c.reload(t, a)
		if a.LineItemURL != s.column || a.ReadAt.Valid { // one learner is not a complete reading
			t.Errorf("attachment %+v", a)
		}
		s.all = []grading.Observation{observed(t, "sam", 90), observed(t, "noor", 60)}
		if d, err = r.Learner(t.Context(), a, "noor"); err != nil || !d.Complete || d.Evidence.Score.Float64 != 60 {
			t.Errorf("decision %+v, %v", d, err)
		}
		if _, err := grading.Latest(t.Context(), c.db, a.OrganisationID, a.ID, "sam"); !errors.Is(err, grading.ErrUndecided) {
			t.Errorf("sam was not asked for: %v", err)
		}
		s.all = nil
		if d, err = r.Learner(t.Context(), a, "noor"); err != nil || d.Complete {
			t.Errorf("withdrawn: %+v, %v", d, err)
		}
	})
}

// A platform that cannot be read changes no decision.
func TestReaderLearnerKeepsTheOldDecision(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		s := &source{fail: errors.New("the platform is being repaired")}
		r := c.reader(s)
		none, err := r.Learner(t.Context(), a, "noor")
		wantSource(t, err, s.fail)
		if none.ID != "" || none.Complete {
			t.Errorf("decision out of nothing: %+v", none)
		}
		d := c.record(t, a, "noor", 60)
		kept, err := r.Learner(t.Context(), a, "noor")
		wantSource(t, err, s.fail)
		if kept.ID != d.ID || !kept.Complete {
			t.Errorf("decision %+v, want %s", kept, d.ID)
		}
		if c.rows(t, "decisions") != 1 {
			t.Errorf("%d decisions", c.rows(t, "decisions"))
		}
	})
}

func wantSource(tb testing.TB, err, cause error) {
	tb.Helper()
	refused, ok := errors.AsType[*grading.SourceError](err)
	if !ok || refused.Source != "ags-results" || !errors.Is(err, cause) {
		tb.Errorf("got %v", err)
	}
}

func TestReaderAll(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		s := &source{column: "https://lms.example/items/7", all: []grading.Observation{
			observed(t, "lee", 30), observed(t, "noor", 60), {Learner: "sam", Maximum: 100, Raw: []byte(`{"userId":"sam"}`)},
		}}
		r := c.reader(s)
		n, err := r.All(t.Context(), a)
		must(t, err)
		wantStanding(t, c, a, "lee score-below", "noor score-reached", "sam score-missing")
		a = c.reload(t, a)
		if n != 3 || a.LineItemURL != s.column || !a.ReadAt.Valid || !a.ReadAt.Time.Equal(start) || a.ReadError != "" {
			t.Errorf("%d records, attachment %+v", n, a)
		}

		c.clock.add(time.Minute) // noor's grade is taken back: her record is missing
		s.all = s.all[:1]
		_, err = r.All(t.Context(), a)
		must(t, err)
		wantStanding(t, c, a, "lee score-below", "noor score-missing", "sam score-missing")
		decisions := c.rows(t, "decisions")
		if decisions != 4 {
			t.Errorf("%d decisions, want 4", decisions)
		}
		_, err = r.All(t.Context(), a)
		must(t, err)
		if c.rows(t, "decisions") != decisions {
			t.Error("reading the same again decided again")
		}
	})
}

func wantStanding(tb testing.TB, c *course, a grading.Attachment, want ...string) {
	tb.Helper()
	all, err := c.store.Standing(tb.Context(), a.OrganisationID, a.ID)
	must(tb, err)
	var got []string
	for _, d := range all {
		got = append(got, d.Learner+" "+d.Reasons[0].Code)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("standing (-want +got):\n%s", diff)
	}
}

// spoken is an error that has a sentence for people.
type spoken struct{ error }

func (spoken) Sentence() string { return "The learning platform is busy." }

func TestReaderAllKeepsTheTrouble(t *testing.T) {
	each(t, func(t *testing.T, c *course) {
		a := c.attach(t)
		c.record(t, a, "noor", 60)
		s := &source{column: "https://lms.example/items/7", fail: spoken{errors.New("503 from the platform")}}
		r := c.reader(s)
		n, err := r.All(t.Context(), a)
		wantSource(t, err, s.fail)
		got := c.reload(t, a)
		if n != 0 || got.ReadError != "The learning platform is busy." {
			t.Errorf("%d records, %q", n, got.ReadError)
		}
		s.fail = errors.New("no such host") // nobody has put it in words
		_, err = r.All(t.Context(), a)
		wantSource(t, err, s.fail)
		if got = c.reload(t, a); !strings.Contains(got.ReadError, "no such host") {
			t.Errorf("trouble %q", got.ReadError)
		}
		wantStanding(t, c, a, "noor score-reached")
		s.fail = nil
		s.all = []grading.Observation{observed(t, "noor", 60)}
		_, err = r.All(t.Context(), got)
		must(t, err)
		if got = c.reload(t, a); got.ReadError != "" {
			t.Errorf("after a success: %q", got.ReadError)
		}
	})
}

// The loop reads each attachment once per interval, also those that fail.
func TestReaderLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := sqldbtest.SQLite(t)
		c := &course{db: db, clock: &clock{at: start}, claims: new(claims)}
		c.store, c.templates = grading.NewStore(db, c.claims, time.Now), templates.NewStore(db, time.Now)
		c.version = c.organisation(t, "polder")
		a := c.attach(t)
		_, err := c.store.Launched(t.Context(), started(c, a))
		must(t, err)
		s := &source{column: "https://lms.example/items/7", fail: errors.New("down")}
		r := c.reader(s)
		r.Now = time.Now
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			r.Loop(ctx, time.Hour)
			close(ended)
		}()
		time.Sleep(10*time.Hour + time.Minute)
		stop()
		<-ended
		if n := len(s.asked); n < 8 || n > 11 {
			t.Errorf("read %d times in ten hours", n)
		}
	})
}
