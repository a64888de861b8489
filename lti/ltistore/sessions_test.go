package ltistore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/sealsmith/sealsmith/lti"
)

// TestSessionsTogether opens many sessions at once, a few of which cannot be stored: each
// gets its own answer, and nobody else's.
func TestSessionsTogether(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		gone := r
		gone.ID = "01a20e75-0000-7000-8000-000000000000"
		const n = 300
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				session := s.session(r, fmt.Sprint("id-", i))
				switch i % 10 {
				case 3:
					session = s.session(gone, session.ID)
				case 7:
					session = s.session(r, "one id for all")
				}
				errs[i] = s.store.OpenSession(s.Context(), session, fmt.Sprint("h-", i))
			})
		}
		wg.Wait()
		shared := 0
		for i, err := range errs {
			id := fmt.Sprint("id-", i)
			_, hash, found := s.store.Session(s.Context(), id)
			switch {
			case i%10 == 3:
				if err == nil || errors.Is(err, lti.ErrSpent) || !errors.Is(found, lti.ErrNotFound) {
					s.Errorf("%s of a registration that is gone: %v, found %v", id, err, found)
				}
			case i%10 == 7:
				if err == nil {
					shared++
				} else if !errors.Is(err, lti.ErrSpent) {
					s.Errorf("%s: %v", id, err)
				}
			case err != nil || found != nil || hash != fmt.Sprint("h-", i):
				s.Errorf("%s: %v, found %v with %q", id, err, found, hash)
			}
		}
		if shared != 1 {
			s.Errorf("%d sessions of one id", shared)
		}
	})
}
