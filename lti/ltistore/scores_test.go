package ltistore_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

const column = "https://lms.example.edu/7/item?type_id=1"

func score(learner string, given float64) lti.Score {
	return lti.Score{
		UserID: learner, ScoreGiven: &given, ScoreMaximum: 100, Comment: "Zoë <&>", ActivityProgress: lti.ActivityCompleted,
		GradingProgress: lti.GradingFull, SubmittedAt: start.Add(-time.Hour),
	}
}

func (s *suite) want(r lti.Registration, learner string, given float64) {
	s.Helper()
	s.must(s.store.WantScore(s.Context(), lti.WantedScore{
		OrganisationID: r.OrganisationID, RegistrationID: r.ID, LineItemURL: column, Score: score(learner, given),
	}))
}

func (s *suite) due(n int) []lti.WantedScore {
	s.Helper()
	list, err := s.store.DueScores(s.Context(), 100)
	s.must(err)
	if len(list) != n {
		s.Fatalf("%d scores are due, want %d: %+v", len(list), n, list)
	}
	return list
}

func (s *suite) score(r lti.Registration, learner string) lti.WantedScore {
	s.Helper()
	list, err := s.store.LearnerScores(s.Context(), r, learner)
	s.must(err)
	if len(list) != 1 {
		s.Fatalf("%d scores of %s", len(list), learner)
	}
	return list[0]
}

// lease takes the only due score for a minute.
func (s *suite) lease() lti.WantedScore {
	s.Helper()
	w := s.due(1)[0]
	ok, err := s.store.LeaseScore(s.Context(), w, s.now.Add(time.Minute))
	s.must(err)
	if !ok {
		s.Fatal("not leased")
	}
	w.Attempts++
	return w
}

func TestWantScore(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		s.want(r, "7", 30)
		want := lti.WantedScore{
			OrganisationID: "org-1", RegistrationID: r.ID, LineItemURL: column, Score: score("7", 30),
			Version: 1, NotBefore: start, State: lti.ScoreWaiting, UpdatedAt: start,
		}
		if diff := cmp.Diff([]lti.WantedScore{want}, s.due(1)); diff != "" {
			s.Errorf("due (-want +got):\n%s", diff)
		}
		s.now = s.now.Add(time.Second)
		s.want(r, "7", 30) // the same again
		if diff := cmp.Diff([]lti.WantedScore{want}, s.due(1)); diff != "" {
			s.Errorf("wanted again (-want +got):\n%s", diff)
		}
		s.want(r, "7", 40)
		want.Version, want.UpdatedAt, want.Score = 2, s.now, score("7", 40)
		if diff := cmp.Diff([]lti.WantedScore{want}, s.due(1)); diff != "" {
			s.Errorf("another (-want +got):\n%s", diff)
		}
		stranger := lti.WantedScore{OrganisationID: "org-2", RegistrationID: r.ID, LineItemURL: column, Score: score("7", 90)}
		s.must(s.store.WantScore(s.Context(), stranger))
		if got := s.due(1)[0]; *got.Score.ScoreGiven != 40 {
			s.Error("another organisation changed the score")
		}
	})
}

func TestLeaseScore(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		s.want(r, "7", 30)
		w := s.due(1)[0]
		var won sync.Map
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				ok, err := s.store.LeaseScore(s.Context(), w, s.now.Add(time.Minute))
				if err != nil {
					s.Error(err)
				}
				if ok {
					won.Store(i, true)
				}
			})
		}
		all.Wait()
		n := 0
		won.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			s.Errorf("%d leases, want 1", n)
		}
		s.due(0)
		s.now = s.now.Add(time.Minute)
		if again := s.due(1)[0]; again.Attempts != 1 {
			s.Errorf("got %+v", again)
		}
	})
}

func TestSettleScore(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		s.want(r, "7", 30)
		w := s.lease()
		w.State, w.SentVersion, w.SentStamp, w.Attempts = lti.ScoreSent, 1, s.now.Add(time.Microsecond), 0
		s.must(s.store.SettleScore(s.Context(), w))
		s.due(0)
		w.UpdatedAt = s.now
		if diff := cmp.Diff(w, s.score(r, "7")); diff != "" {
			s.Errorf("settled (-want +got):\n%s", diff)
		}

		s.want(r, "7", 40)
		w = s.lease()
		s.want(r, "7", 50) // while 40 is on its way
		s.due(0)
		w.State, w.SentVersion, w.SentStamp, w.Attempts = lti.ScoreSent, 2, s.now.Add(time.Second), 0
		s.must(s.store.SettleScore(s.Context(), w))
		got := s.due(1)[0] // the newer is due at once, and knows what was sent
		if *got.Score.ScoreGiven != 50 || got.Version != 3 || got.SentVersion != 2 || !got.SentStamp.Equal(w.SentStamp) || got.Attempts != 0 {
			s.Errorf("got %+v", got)
		}

		w = s.lease()
		s.want(r, "7", 60) // while 50 meets a busy platform
		w.NotBefore = s.now.Add(time.Hour)
		s.must(s.store.SettleScore(s.Context(), w))
		s.due(0)
		s.now = s.now.Add(time.Hour)
		if got := s.due(1)[0]; *got.Score.ScoreGiven != 60 || got.SentVersion != 2 {
			s.Errorf("got %+v", got)
		}
	})
}

func TestScoreStates(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		for _, tt := range []struct {
			state lti.ScoreState
			given float64
			due   int
		}{
			{lti.ScoreSent, 30, 0},
			{lti.ScoreOverridden, 30, 0},
			{lti.ScoreOverridden, 31, 1},
			{lti.ScoreRefused, 30, 1}, // the same again is a new try
		} {
			learner := fmt.Sprint(tt.state, tt.given)
			s.want(r, learner, 30)
			w := s.lease()
			w.State, w.LastError, w.SentVersion = tt.state, "words", 1
			s.must(s.store.SettleScore(s.Context(), w))
			s.want(r, learner, tt.given)
			if list := s.due(tt.due); tt.due == 1 {
				if list[0].Version != 2 || list[0].LastError != "" || list[0].Attempts != 0 {
					s.Errorf("%s: %+v", learner, list[0])
				}
				w = s.lease()
				w.State = lti.ScoreSent
				s.must(s.store.SettleScore(s.Context(), w))
			}
		}
	})
}

func TestScoresOfARegistration(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		other := s.registration()
		other.Issuer, other.OrganisationID = "https://other.example.edu", "org-2"
		other, err := s.store.AddRegistration(s.Context(), other)
		s.must(err)
		s.want(r, "7", 30)
		s.want(r, "8", 30)
		s.want(other, "7", 30)
		stranger := r
		stranger.OrganisationID = "org-2"
		s.must(s.store.DelayScores(s.Context(), stranger, s.now.Add(time.Hour)))
		s.due(3)
		s.must(s.store.DelayScores(s.Context(), r, s.now.Add(time.Hour)))
		s.must(s.store.DelayScores(s.Context(), r, s.now.Add(time.Minute))) // never earlier
		if w := s.due(1)[0]; w.RegistrationID != other.ID {
			s.Errorf("due: %+v", w)
		}
		if n, err := s.store.RetryScores(s.Context(), r); n != 2 || err != nil {
			s.Errorf("retried %d, %v", n, err)
		}
		s.due(3)
		if n, err := s.store.RetryScores(s.Context(), stranger); n != 0 || err != nil {
			s.Errorf("another organisation retried %d, %v", n, err)
		}
		for reg, want := range map[*lti.Registration]string{&r: "7 8", &other: "7", &stranger: ""} {
			list, err := s.store.Scores(s.Context(), *reg, column)
			s.must(err)
			all, err := s.store.Scores(s.Context(), *reg, "")
			s.must(err)
			var learners []string
			for _, w := range list {
				learners = append(learners, w.Score.UserID)
			}
			if got := strings.Join(learners, " "); got != want || len(all) != len(list) {
				s.Errorf("scores %q, want %q", got, want)
			}
		}
		if n, err := s.store.ForgetScores(s.Context(), stranger, "7"); n != 0 || err != nil {
			s.Errorf("another organisation forgot %d, %v", n, err)
		}
		if n, err := s.store.ForgetScores(s.Context(), r, "7"); n != 1 || err != nil {
			s.Errorf("forgot %d, %v", n, err)
		}
		s.must(s.store.RemoveRegistration(s.Context(), "org-1", r.ID))
		if w := s.due(1)[0]; w.RegistrationID != other.ID {
			s.Errorf("left: %+v", w)
		}
	})
}

func TestMoveScores(t *testing.T) { // M48
	each(t, func(s *suite) {
		r := s.added()
		s.want(r, "7", 30)
		w := s.lease()
		w.State, w.SentVersion, w.SentStamp, w.LastError = lti.ScoreRefused, 0, s.now, "gone"
		s.must(s.store.SettleScore(s.Context(), w))
		s.want(r, "8", 80)
		const anew = "https://lms.example.edu/7/item2"
		s.must(s.store.WantScore(s.Context(), lti.WantedScore{OrganisationID: "org-1", RegistrationID: r.ID, LineItemURL: anew, Score: score("8", 90)}))
		s.must(s.store.MoveScores(s.Context(), r, column, anew))
		for _, w := range s.due(2) {
			want := map[string]float64{"7": 30, "8": 90}[w.Score.UserID]
			if w.LineItemURL != anew || *w.Score.ScoreGiven != want || w.Version != 1 || !w.SentStamp.IsZero() || w.LastError != "" {
				s.Errorf("moved: %+v", w)
			}
		}
	})
}
