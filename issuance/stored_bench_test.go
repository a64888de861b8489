package issuance_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
	"github.com/sealsmith/sealsmith/templates"
)

// BenchmarkStored measures what a claim costs, and the questions of the pages, with few and
// with many credentials stored: databases of each size stand side by side and take turns, so
// that other work on the machine slows all of them. SEALSMITH_TEST_STORED are the sizes;
// `.ci/go-bench` names 10000, 100000 and 1000000. The rows are made by SQL. Artefacts have 256 bytes
// each, so that a machine holds them: what is measured is what stands around them, which is all there is
// in the rows once artefacts are objects.
func BenchmarkStored(b *testing.B) {
	sizes := []int{1000, 10000}
	if text := os.Getenv("SEALSMITH_TEST_STORED"); text != "" {
		sizes = nil
		for word := range strings.FieldsSeq(text) {
			n, err := strconv.Atoi(word)
			check(b, err)
			sizes = append(sizes, n)
		}
	}
	b.Run("sqlite", func(b *testing.B) { measureStored(b, sizes, sqldbtest.SQLite) })
	b.Run("postgres", func(b *testing.B) { measureStored(b, sizes, sqldbtest.Postgres) })
}

const storedRounds = 150

func measureStored(b *testing.B, sizes []int, open func(testing.TB) *sqldb.DB) {
	b.Helper()
	all := make([]*stored, len(sizes))
	for i, n := range sizes {
		all[i] = newStored(b, open(b), n)
	}
	for _, op := range slices.Concat(storedOps(), searchOps()) {
		took := make([][]time.Duration, len(all))
		for round := range storedRounds + 10 {
			for i, s := range all {
				before := time.Now()
				check(b, op.do(s))
				if d := time.Since(before); round >= 10 { // the first ones prepare statements
					took[i] = append(took[i], d)
				}
			}
		}
		report(b, op.name, sizes, took)
	}
	sums := map[string][][]time.Duration{}
	steps := []string{"open", "confirm", "lease", "intent", "keep", "claim"}
	for _, step := range steps {
		sums[step] = make([][]time.Duration, len(all))
	}
	for round := range storedRounds + 10 {
		for i, s := range all {
			for step, d := range s.claimSteps(round) {
				if round >= 10 {
					sums[step][i] = append(sums[step][i], d)
				}
			}
		}
	}
	for _, step := range steps {
		report(b, step, sizes, sums[step])
	}
	for i, s := range all {
		s.bytes(b, sizes[i])
	}
}

// report prints the median, and its ratio to that of the smallest database.
func report(b *testing.B, name string, sizes []int, took [][]time.Duration) {
	b.Helper()
	middle := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)/2].Nanoseconds()) / 1000
	}
	first := middle(took[0])
	for i, n := range sizes {
		b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(middle(took[i]), "us_p50")
			b.ReportMetric(middle(took[i])/first, "ratio")
		})
	}
}

// stored is an office with many credentials.
type stored struct {
	*office
	tb      testing.TB
	work    *issuance.Worker
	carrier *issuance.Artefacts
	n       int
	some    []storedSample
	random  *rand.Rand
	between string // a place in the list of credentials
}

type storedSample struct {
	ID      string `db:"id"`
	ClaimID string `db:"claim_id"`
	Link    string `db:"link"`
	Learner string `db:"learner"`
	Class   string `db:"attachment_id"`
	Family  string `db:"family_name"`
}

const classSize = 50

func newStored(tb testing.TB, db *sqldb.DB, n int) *stored {
	tb.Helper()
	s := &stored{office: newOffice(tb, db), tb: tb, n: n, random: rand.New(rand.NewPCG(1, 2))}
	s.clock.run()
	s.work = s.worker(tb)
	s.carrier = &issuance.Artefacts{DB: db, Now: s.clock.Now, Logger: slog.New(slog.DiscardHandler), Quiet: time.Hour}
	begun := time.Now()
	for from := 0; from < n; from += 50_000 {
		s.fill(tb, from, min(from+50_000, n))
	}
	s.fillWords(tb)
	if !db.Embedded() {
		_, err := db.Exec(tb.Context(), `vacuum analyze`)
		check(tb, err)
	}
	for range 200 {
		var one storedSample
		check(tb, db.Get(tb.Context(), &one, `select k.id, k.claim_id, k.link, c.learner, c.attachment_id, c.family_name from credentials k join claims c on c.id = k.claim_id where k.claim_id = ?`,
			storedClaim(1+s.random.IntN(n))))
		s.some = append(s.some, one)
	}
	tb.Logf("%d credentials made in %s", n, time.Since(begun).Round(time.Second))
	return s
}

func storedClaim(i int) string { return fmt.Sprintf("01a00000-0000-7000-8000-%d", 100_000_000_000+i) }

// fill makes credentials from+1 to until, with all that stands behind them.
func (s *stored) fill(tb testing.TB, from, until int) {
	tb.Helper()
	dialect := []string{"{rand}", "md5(random()::text)", "{blob}", "decode(repeat(md5(random()::text), 16), 'hex')", "{at}", "timestamptz '2026-01-01 00:00:00Z' + i * interval '1 second'"}
	if s.db.Embedded() {
		dialect = []string{"{rand}", "lower(hex(randomblob(16)))", "{blob}", "randomblob(256)", "{at}", "datetime('2026-01-01', '+' || i || ' seconds') || '+00:00'"}
	}
	words := strings.NewReplacer(dialect...)
	series := `with recursive s(i) as (select cast(? as bigint) union all select i + 1 from s where i < cast(? as bigint)) `
	first, last := storedClaim(from), storedClaim(until)
	mark := func(kind string) []any {
		return []any{strings.Replace(first, "-7000-", "-"+kind+"-", 1), strings.Replace(last, "-7000-", "-"+kind+"-", 1)}
	}
	for _, do := range []struct {
		query string
		args  []any
	}{
		{
			`insert into attachments (id, organisation_id, registration_id, deployment_id, context_id, context_title, resource_link_id, template_id, version_id, min_percent, line_item_url, line_items_url, created_by, created_at, read_error)
			` + series + `select 'a-' || i, '` + s.org.ID + `', 'r-polder', '1', 'course-' || i, 'Course', 'link-' || i, '` + s.version.TemplateID + `', '` + s.version.ID + `', 55, 'https://lms.example/lineitems/' || i, '', 'teacher', {at}, '' from s`,
			[]any{from / classSize, until/classSize - 1},
		},
		{
			`insert into evidence (id, organisation_id, attachment_id, learner, source, score, maximum, raw, raw_sha256, observed_at)
			` + series + `select '01a00000-0000-7001-8000-' || (100000000000 + i), '` + s.org.ID + `', 'a-' || ((i - 1) / ` + strconv.Itoa(classSize) + `), {rand} || 'abcd', 'agsresults', 80, 100,
			'{"id":"https://lms.example/lineitems/1/results/' || i || '","userId":"{rand}","resultScore":80,"resultMaximum":100,"scoreOf":"https://lms.example/lineitems/1"}', {rand} || {rand}, {at} from s`,
			[]any{from + 1, until},
		},
		{`insert into decisions (id, organisation_id, attachment_id, evidence_id, version_id, learner, complete, reasons, rule, decided_at)
			select replace(id, '-7001-', '-7002-'), organisation_id, attachment_id, id, '` + s.version.ID + `', learner, true, '[{"code":"score-reached","percent":80,"need":55}]', '{"min_percent":55}', observed_at
			from evidence where id > ? and id <= ?`, mark("7001")},
		{`insert into claims (id, organisation_id, attachment_id, decision_id, version_id, registration_id, learner, state, given_name, family_name, consent_at, attempts, not_before, lease_token, last_error, created_at, updated_at)
			select replace(id, '-7002-', '-7000-'), organisation_id, attachment_id, id, version_id, 'r-polder', learner,
			case cast(substr(id, 25) as bigint) % 100 when 2 then 'revoked' else case cast(substr(id, 25) as bigint) % 2 when 0 then 'sealed' else 'delivered' end end,
			'Noor', 'van den ' || substr({rand}, 1, 8), decided_at, 1, decided_at, '', '', decided_at, decided_at from decisions where id > ? and id <= ?`, mark("7002")},
		{`insert into credentials (id, organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, sealed, sealed_at, link, created_at)
			select {rand} || 'abcd', organisation_id, id, created_at, {blob}, {rand} || {rand}, {rand} || {rand}, {blob}, updated_at, {rand}, created_at from claims where id > ? and id <= ?`, mark("7000")},
		{`insert into credential_proofs (credential_id, organisation_id, goal, level, file, not_before, attempts, last_error, updated_at)
			select id, organisation_id, 'LTA', 'LTA', {blob}, '9999-01-01 00:00:00+00:00', 0, '', created_at from credentials where claim_id > ? and claim_id <= ?`, mark("7000")},
		{`insert into credential_pdfs (credential_id, organisation_id, file, key_id, level, made_at)
			select id, organisation_id, {blob}, key_id, 'T', created_at from credentials where claim_id > ? and claim_id <= ? and cast(substr(claim_id, 25) as bigint) % 10 = 0`, mark("7000")},
		{`insert into withdrawals (credential_id, number, organisation_id, kind, reason, words, actor, at)
			select id, 1, organisation_id, case cast(substr(claim_id, 25) as bigint) % 100 when 1 then 'suspended' else 'revoked' end, 'awarded_in_error', '', 'operator', created_at
			from credentials where claim_id > ? and claim_id <= ? and cast(substr(claim_id, 25) as bigint) % 100 in (1, 2)`, mark("7000")},
		{`insert into credential_words (organisation_id, word, credential_id) select k.organisation_id, substr(c.family_name, 9), k.id from credentials k join claims c on c.id = k.claim_id where k.claim_id > ? and k.claim_id <= ?`, mark("7000")},
		{`insert into audit (organisation_id, at, actor, action, subject, detail) select organisation_id, created_at, 'rule', 'claim opened', id, 'decision ' || decision_id from claims where id > ? and id <= ?`, mark("7000")},
		{`insert into audit (organisation_id, at, actor, action, subject, detail) select organisation_id, created_at, 'learner', 'claim confirmed', id, '' from claims where id > ? and id <= ?`, mark("7000")},
		{`insert into audit (organisation_id, at, actor, action, subject, detail) select organisation_id, created_at, 'worker', 'sealing begun', claim_id, 'credential ' || id || ' sha256 ' || payload_sha256 from credentials where claim_id > ? and claim_id <= ?`, mark("7000")},
		{`insert into audit (organisation_id, at, actor, action, subject, detail) select organisation_id, created_at, 'worker', 'credential sealed', claim_id, 'credential ' || id || ' key ' || key_id from credentials where claim_id > ? and claim_id <= ?`, mark("7000")},
		{`insert into audit_chain (seq, audit_id, hash, linked_at) select audit_id, audit_id, {rand} || {rand}, (select at from audit where id = audit_id) from audit_pending`, nil},
		{`delete from audit_pending`, nil},
		{`update audit_head set seq = (select max(seq) from audit_chain)`, nil},
	} {
		_, err := s.db.Exec(tb.Context(), words.Replace(do.query), do.args...)
		if err != nil {
			tb.Fatalf("%v\n%s", err, do.query)
		}
	}
}

// claimSteps takes one learner from the grade to the stored seal, without the signature, and
// says how long each step took.
func (s *stored) claimSteps(round int) map[string]time.Duration {
	ctx := s.tb.Context()
	took := map[string]time.Duration{}
	var c issuance.Claim
	cred := issuance.Credential{
		ID: uuid.NewString(), OrganisationID: s.org.ID, IssuedAt: s.clock.Now(), Payload: make([]byte, 256), PayloadSHA256: strings.Repeat("ab", 32), Link: strings.ReplaceAll(uuid.NewString(), "-", ""),
		CreatedAt: sqldb.UTC(s.clock.Now()), Goal: templates.SealLTA,
	}
	learner := fmt.Sprintf("bench-%d", round)
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"open", func() error { s.grade(s.tb, learner, 80); return nil }},
		{"confirm", func() (err error) { c, err = s.desk.Confirm(ctx, s.org.ID, s.attachment.ID, learner, noor); return err }},
		{"lease", func() (err error) { c, err = s.work.Take(ctx, c.ID); return err }},
		{"intent", func() error { cred.ClaimID = c.ID; return s.work.Intend(ctx, c, cred) }},
		{"keep", func() error {
			cred.Sealed, cred.KeyID = make([]byte, 256), strings.Repeat("cd", 32)
			return s.work.Keep(ctx, c, cred)
		}},
	} {
		before := time.Now()
		check(s.tb, step.do())
		took[step.name] = time.Since(before)
		took["claim"] += took[step.name]
	}
	return took
}

type storedOp struct {
	name string
	do   func(s *stored) error
}

// storedOps are the questions that pages, workers and commands ask often.
func storedOps() []storedOp {
	ask := func(do func(ctx context.Context, s *stored, one storedSample) error) func(s *stored) error {
		return func(s *stored) error { return do(s.tb.Context(), s, s.some[s.random.IntN(len(s.some))]) }
	}
	list := func(which issuance.InForce) func(s *stored) error {
		return func(s *stored) error { return second(s.desk.Credentials(s.tb.Context(), s.org.ID, which, 50)) }
	}
	return []storedOp{
		{"page of the learner", ask(func(ctx context.Context, s *stored, one storedSample) error {
			_, err := s.desk.OfLearner(ctx, s.org.ID, one.Class, one.Learner)
			check(s.tb, err)
			return second(s.desk.Credential(ctx, s.org.ID, one.ClaimID))
		})},
		{"public page", ask(func(ctx context.Context, s *stored, one storedSample) error {
			return second(s.desk.Published(ctx, one.Link))
		})},
		{"status by id", ask(func(ctx context.Context, s *stored, one storedSample) error {
			return second(s.desk.Find(ctx, s.org.ID, one.ID))
		})},
		{"class", ask(func(ctx context.Context, s *stored, one storedSample) error {
			claims, err := s.desk.OfAttachment(ctx, s.org.ID, one.Class)
			if len(claims) != classSize {
				s.tb.Errorf("a class of %d", len(claims))
			}
			check(s.tb, err)
			return second(s.grading.Standing(ctx, s.org.ID, one.Class))
		})},
		{"cohort", ask(func(ctx context.Context, s *stored, one storedSample) error {
			return second(s.desk.Cohort(ctx, s.org.ID, one.Class))
		})},
		{"class, withdrawn", ask(func(ctx context.Context, s *stored, one storedSample) error {
			return second(s.desk.WithdrawnOf(ctx, s.org.ID, one.Class))
		})},
		{"search, newest", func(s *stored) error { return s.search(s.tb.Context(), issuance.Search{}) }},
		{"search, suspended", func(s *stored) error {
			return s.search(s.tb.Context(), issuance.Search{InForce: issuance.StandsSuspended})
		}},
		{"search, by name", func(s *stored) error {
			return s.search(s.tb.Context(), issuance.Search{Name: s.some[s.random.IntN(len(s.some))].Family})
		}},
		{"search, of a class", ask(func(ctx context.Context, s *stored, one storedSample) error {
			return s.search(ctx, issuance.Search{AttachmentID: one.Class})
		})},
		{"marks", ask(func(ctx context.Context, s *stored, one storedSample) error {
			return second(s.desk.ClaimedSince(ctx, s.org.ID, one.Class, s.clock.Now().Add(-time.Hour)))
		})},
		{"person", ask(func(ctx context.Context, s *stored, one storedSample) error {
			return second(s.desk.OfPerson(ctx, s.org.ID, "r-polder", one.Learner))
		})},
		{"decisions of a person", ask(func(ctx context.Context, s *stored, one storedSample) error {
			return second(s.grading.OfPerson(ctx, s.org.ID, "r-polder", one.Learner))
		})},
		{"load", func(s *stored) error { return second(s.desk.Load(s.tb.Context())) }},
		{"load of an organisation", func(s *stored) error { return second(s.desk.LoadOf(s.tb.Context(), s.org.ID)) }},
		{"queue list", func(s *stored) error { return second(s.desk.InQueue(s.tb.Context(), s.org.ID, nil, 50)) }},
		{"pace", func(s *stored) error { return second(s.desk.Pace(s.tb.Context(), s.org.ID)) }},
		{"relay", func(s *stored) error { return s.work.SweepOnce(s.tb.Context()) }},
		{"proofs that wait", func(s *stored) error { return second(s.desk.Proofs(s.tb.Context(), s.org.ID)) }},
		{"proofs that are due", func(s *stored) error {
			return second((&issuance.Preserver{DB: s.db, Now: s.clock.Now, Logger: slog.New(slog.DiscardHandler)}).RunOnce(s.tb.Context()))
		}},
		{"credentials, newest", list("")},
		{"credentials in force", list(issuance.StandsInForce)},
		{"credentials suspended", list(issuance.StandsSuspended)},
		{"credentials revoked", list(issuance.StandsRevoked)},
		{"artefacts to carry", func(s *stored) error { return second(s.carrier.Waiting(s.tb.Context(), 50)) }},
		{"audit, newest", func(s *stored) error {
			return second(s.db.ListAudit(s.tb.Context(), sqldb.AuditFilter{OrganisationID: s.org.ID}, 50))
		}},
		{"audit of a claim", ask(func(ctx context.Context, s *stored, one storedSample) error {
			return second(s.db.ListAudit(ctx, sqldb.AuditFilter{OrganisationID: s.org.ID, Subject: one.ClaimID}, 50))
		})},
	}
}

func (s *stored) search(ctx context.Context, q issuance.Search) error {
	q.OrganisationID, q.Limit = s.org.ID, 50
	_, _, err := s.desk.Search(ctx, q)
	return err
}

// bytes tells what the database takes for one credential: by table on PostgreSQL, with their
// indexes; the whole file on SQLite.
func (s *stored) bytes(b *testing.B, n int) {
	b.Helper()
	tell := func(name string, bytes int64) {
		b.Run(fmt.Sprintf("bytes of %s/%d", name, n), func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(bytes)/float64(n), "bytes_per_credential")
		})
	}
	if s.db.Embedded() {
		var pages, size int64
		check(b, s.db.Get(b.Context(), &pages, `select page_count from pragma_page_count()`))
		check(b, s.db.Get(b.Context(), &size, `select page_size from pragma_page_size()`))
		tell("the file", pages*size)
		return
	}
	var tables []struct {
		Name  string `db:"name"`
		Bytes int64  `db:"bytes"`
	}
	check(b, s.db.Select(b.Context(), &tables, `select c.relname as name, case when c.relkind = 'r' then pg_table_size(c.oid) else pg_relation_size(c.oid) end as bytes
		from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'i') order by c.relkind, c.relname`))
	for _, t := range tables {
		if t.Bytes > int64(n) { // more than a byte of each
			tell(t.Name, t.Bytes)
		}
	}
}

// What is measured with a million credentials works with a few.
func TestStored(t *testing.T) {
	s := newStored(t, sqldbtest.SQLite(t), 1000)
	for _, op := range slices.Concat(storedOps(), searchOps()) {
		if err := op.do(s); err != nil {
			t.Errorf("%s: %v", op.name, err)
		}
	}
}
