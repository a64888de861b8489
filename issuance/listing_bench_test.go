package issuance_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/issuance"
)

// fillWords puts the names of all credentials into the index of words: two that everybody has,
// and one of their own.
func (s *stored) fillWords(tb testing.TB) {
	tb.Helper()
	for _, query := range []string{
		`insert into credential_words (organisation_id, word, credential_id) select organisation_id, 'noor', id from credentials`,
		`insert into credential_words (organisation_id, word, credential_id) select organisation_id, 'berg', id from credentials`,
		`insert into credential_words (organisation_id, word, credential_id) select organisation_id, 'own' || substr(claim_id, 25), id from credentials`,
		`update credential_listing set named = true`,
	} {
		_, err := s.db.Exec(tb.Context(), query)
		check(tb, err)
	}
}

// searchOps are pages of fifty of the list that staff search.
func searchOps() []storedOp {
	search := func(change func(q *issuance.Search, one storedSample)) func(s *stored) error {
		return func(s *stored) error {
			q := issuance.Search{OrganisationID: s.org.ID, Limit: 50}
			change(&q, s.some[s.random.IntN(len(s.some))])
			page, _, err := s.desk.Search(s.tb.Context(), q)
			if err == nil && len(page) == 0 {
				s.tb.Errorf("nothing was found: %+v", q)
			}
			return err
		}
	}
	return []storedOp{
		{"search, first page", search(func(*issuance.Search, storedSample) {})},
		{"search, a page in between", func(s *stored) error {
			if s.between == "" {
				ctx := context.WithoutCancel(s.tb.Context())
				one, err := s.desk.Find(ctx, s.org.ID, s.some[0].ID)
				check(s.tb, err)
				_, s.between, err = s.desk.Search(ctx, issuance.Search{OrganisationID: s.org.ID, SealedUntil: one.SealedAt, Limit: 50})
				check(s.tb, err)
			}
			return search(func(q *issuance.Search, _ storedSample) { q.After = s.between })(s)
		}},
		{"search, suspended", search(func(q *issuance.Search, _ storedSample) { q.InForce = issuance.StandsSuspended })},
		{"search, a version", func(s *stored) error {
			return search(func(q *issuance.Search, _ storedSample) { q.VersionID = s.version.ID })(s)
		}},
		{"search, an activity", search(func(q *issuance.Search, one storedSample) { q.AttachmentID = one.Class })},
		{"search, a name of one", search(func(q *issuance.Search, one storedSample) {
			q.Name = "own" + one.ClaimID[strings.LastIndex(one.ClaimID, "-")+1:]
		})},
		{"search, a name of all", search(func(q *issuance.Search, _ storedSample) { q.Name = "noor ber" })},
		{"orders that wait", func(s *stored) error { return second(s.desk.OrdersWaiting(s.tb.Context(), s.org.ID)) }},
	}
}
