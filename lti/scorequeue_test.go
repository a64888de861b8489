package lti_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// gradebook is one Moodle column: whole seconds, 409, and a teacher whose word wins.
type gradebook struct {
	mu       sync.Mutex
	grades   map[string]grade
	next     []reply        // faults, one per score
	always   func() reply   // fault for every score, unless its status is empty
	onScore  func()         // while a score is being taken
	inFlight map[string]int // scores per path
	most     int
}

type grade struct {
	score, maximum float64
	at             time.Time
	overridden     bool
}

func (g *gradebook) handle(r sent) reply {
	method, address, _ := strings.Cut(r.line, " ")
	u := must(url.Parse(address))
	if method == "GET" {
		return g.results(u.Query().Get("user_id"))
	}
	g.mu.Lock()
	g.inFlight[u.Path]++
	g.most = max(g.most, g.inFlight[u.Path])
	g.mu.Unlock()
	if g.onScore != nil {
		g.onScore()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight[u.Path]--
	if g.always != nil {
		if fault := g.always(); fault.status != "" {
			return fault
		}
	}
	if len(g.next) > 0 {
		fault := g.next[0]
		g.next = g.next[1:]
		if fault.status != "" {
			return fault
		}
	}
	var s struct {
		UserID                   string
		ScoreGiven, ScoreMaximum float64
		Timestamp                time.Time
	}
	if err := json.Unmarshal([]byte(r.body), &s); err != nil {
		return reply{status: "400 Bad Request"}
	}
	old, known := g.grades[s.UserID]
	if known && old.at.Unix() >= s.Timestamp.Unix() {
		return reply{status: "409 Refusing score with an earlier timestamp", body: "[]"}
	}
	if !old.overridden {
		g.grades[s.UserID] = grade{score: s.ScoreGiven, maximum: s.ScoreMaximum, at: s.Timestamp}
	}
	return reply{}
}

func (g *gradebook) results(user string) reply {
	g.mu.Lock()
	defer g.mu.Unlock()
	rows := []map[string]any{}
	if found, ok := g.grades[user]; ok {
		rows = append(rows, map[string]any{"userId": user, "resultScore": found.score, "resultMaximum": found.maximum, "timestamp": found.at.Format(time.RFC3339)})
	}
	return reply{body: string(must(json.Marshal(rows)))}
}

func (g *gradebook) shows(user string) float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.grades[user].score
}

// queueRig is a queue on a real store before a gradebook.
type queueRig struct {
	*rig
	book  *gradebook
	wire  *script
	queue *lti.ScoreQueue
	now   *clock
}

func newQueue(t *testing.T) *queueRig {
	t.Helper()
	r := newRigAt(t, toolURL, lti.Registration{Issuer: issuer, ClientID: clientID, ProductFamily: "moodle"})
	q := &queueRig{rig: r, now: r.clock, book: &gradebook{grades: map[string]grade{}, inFlight: map[string]int{}}}
	q.wire = &script{tb: t, handle: q.book.handle}
	q.queue = lti.NewScoreQueue(servicesOver(t, r.clock, q.wire), r.store)
	return q
}

func (q *queueRig) want(user string, given float64) {
	q.tb.Helper()
	score := full(given)
	score.UserID = user
	if err := q.queue.Want(q.tb.Context(), q.reg, itemURL, score); err != nil {
		q.tb.Fatal(err)
	}
}

// send works on what is due and expects so many rows.
func (q *queueRig) send(rows int) {
	q.tb.Helper()
	if n, err := q.queue.SendDue(q.tb.Context()); err != nil || n != rows {
		q.tb.Errorf("%d rows were due (%v), want %d", n, err, rows)
	}
}

// row returns state, versions and the beginning of the error of one learner.
func (q *queueRig) row(user string) lti.WantedScore {
	q.tb.Helper()
	for _, w := range must(q.store.Scores(q.tb.Context(), q.reg, itemURL)) {
		if w.Score.UserID == user {
			return w
		}
	}
	q.tb.Fatalf("no score of %s", user)
	return lti.WantedScore{}
}

func (q *queueRig) expect(user string, state lti.ScoreState, sentVersion int, words string) {
	q.tb.Helper()
	w := q.row(user)
	if w.State != state || w.SentVersion != sentVersion || !strings.Contains(w.LastError, words) || (words == "") != (w.LastError == "") {
		q.tb.Errorf("%s: %s, sent %d of %d, %q; want %s, %d, %q", user, w.State, w.SentVersion, w.Version, w.LastError, state, sentVersion, words)
	}
}

func TestQueueSends(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	q.want("7", 30)
	q.want("8", 60)
	q.send(2)
	q.expect("7", lti.ScoreSent, 1, "")
	q.want("7", 30) // the same again
	q.send(0)
	for i := range 3 { // three wishes within a second: Moodle tells only seconds apart
		q.want("7", float64(31+i))
		q.send(1)
	}
	q.expect("7", lti.ScoreSent, 4, "")
	if q.book.shows("7") != 33 || q.book.shows("8") != 60 {
		t.Errorf("the platform shows %v", q.book.grades)
	}
	if got := q.row("7").SentStamp; !got.Equal(start.Add(3 * time.Second)) {
		t.Errorf("the last stamp is %v", got)
	}
	for _, line := range q.wire.lines() {
		if strings.Contains(line, "limit") {
			t.Errorf("a limit was sent: %s", line)
		}
	}
	if q.wire.tokenCount() != 1 {
		t.Errorf("%d tokens", q.wire.tokenCount())
	}
	if err := q.queue.Want(t.Context(), q.reg, itemURL, lti.Score{}); err == nil {
		t.Error("a score that cannot be sent was taken")
	}
	if err := q.queue.Want(t.Context(), q.reg, "http://lms.example.edu/", full(1)); err == nil {
		t.Error("an address without TLS was taken")
	}
}

func TestQueueSeesOverrides(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	q.book.grades["7"] = grade{score: 59, maximum: 60, at: start.Add(-time.Hour), overridden: true}
	q.want("7", 30)
	q.send(1)
	q.expect("7", lti.ScoreWaiting, 1, "the platform shows 59 of 60") // results may lag
	q.send(0)
	q.now.advance(time.Minute)
	q.send(1)
	q.expect("7", lti.ScoreOverridden, 1, "the platform shows 59 of 60")
	q.want("7", 30)
	q.send(0)
	q.now.advance(24 * time.Hour)
	q.send(0)
	q.want("7", 40) // another wish counts anew
	q.send(1)
	q.expect("7", lti.ScoreWaiting, 2, "the platform shows 59 of 60")
	q.book.grades["7"] = grade{score: 40, maximum: 60, at: q.now.Now()} // given up meanwhile
	q.now.advance(time.Minute)
	q.send(1)
	q.expect("7", lti.ScoreSent, 2, "")
	scores := 0
	for _, line := range q.wire.lines() {
		if strings.HasPrefix(line, "POST") {
			scores++
		}
	}
	if scores != 2 {
		t.Errorf("%d scores were sent, want 2", scores)
	}
}

func TestQueueKeepsRefusals(t *testing.T) { // S9, M48
	t.Parallel()
	q := newQueue(t)
	q.book.next = []reply{{status: "400 Incorrect score received{}", body: "[]"}, {status: "404 Not Found"}}
	q.want("7", 30)
	q.send(1)
	q.expect("7", lti.ScoreRefused, 0, `rejected: The learning platform refused the request. "Incorrect score received"`)
	q.now.advance(48 * time.Hour)
	q.send(0)
	q.want("7", 30) // the same once more is a new try
	q.send(1)
	q.expect("7", lti.ScoreRefused, 0, "gone: The grade column does not exist")
	if n, err := q.store.RetryScores(t.Context(), q.reg); n != 1 || err != nil {
		t.Errorf("retry: %d, %v", n, err)
	}
	q.send(1)
	q.expect("7", lti.ScoreSent, 2, "")
}

func TestQueueObeysRetryAfter(t *testing.T) { // S11
	t.Parallel()
	q := newQueue(t)
	for i := range 5 {
		q.want(fmt.Sprint(i), 30)
	}
	q.book.next = []reply{{}, {status: "503 Service Unavailable", header: map[string]string{"Retry-After": "600"}}}
	q.send(5)
	if got := len(q.book.grades); got != 1 {
		t.Errorf("%d scores arrived, want the first only", got)
	}
	q.now.advance(10*time.Minute - time.Second)
	q.want("9", 30) // a new wish must not break the pause
	q.send(1)
	if got := len(q.book.grades); got != 1 {
		t.Errorf("%d scores arrived before the time", got)
	}
	q.now.advance(time.Minute)
	for range 3 {
		if _, err := q.queue.SendDue(t.Context()); err != nil {
			t.Error(err)
		}
		q.now.advance(time.Minute)
	}
	if got := len(q.book.grades); got != 6 {
		t.Errorf("%d scores arrived, want 6", got)
	}
}

func TestQueueBacksOff(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	q.book.always = func() reply { return reply{status: "502 Bad Gateway"} } // what a user id without digits makes of Moodle
	q.want("x", 30)
	var last time.Duration
	for attempt := 1; attempt <= 12; attempt++ {
		q.send(1)
		w := q.row("x")
		wait := w.NotBefore.Sub(q.now.Now())
		if wait < last || wait < 30*time.Second || wait > 90*time.Minute || w.Attempts != attempt {
			t.Errorf("attempt %d (%d): wait %v after %v", attempt, w.Attempts, wait, last)
		}
		last = min(wait, time.Hour)
		q.now.advance(wait)
	}
	q.book.next = nil
	if w := q.row("x"); w.State != lti.ScoreWaiting || !strings.Contains(w.LastError, "busy") {
		t.Errorf("got %+v", w)
	}
	w := q.row("x")
	w.Attempts = 249
	if err := q.store.SettleScore(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	q.send(1)
	q.expect("x", lti.ScoreRefused, 0, "busy") // not for ever
}

func TestQueueLeavesTroubleAlone(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	for i := range 10 {
		q.want(fmt.Sprint(i), 30)
	}
	q.book.always = func() reply { return reply{status: "500 Internal Server Error"} }
	q.send(10)
	if n := len(q.wire.lines()); n != 3 {
		t.Errorf("%d calls to a platform in trouble, want 3", n)
	}
	q.send(0)
	q.book.always = nil
	q.now.advance(2 * time.Minute)
	q.send(10)
	if len(q.book.grades) != 10 {
		t.Errorf("%d scores arrived, want 10", len(q.book.grades))
	}
}

func TestQueueWaitsForAdministrators(t *testing.T) { // S1
	t.Parallel()
	q := newQueue(t)
	q.wire.tokens = []reply{{status: "400 Bad Request", body: `{"error":"invalid_client"}`}}
	q.want("7", 30)
	q.want("8", 30)
	q.send(2)
	q.now.advance(59 * time.Minute)
	q.send(0)
	if n := q.wire.tokenCount(); n != 1 {
		t.Errorf("%d token requests", n)
	}
	q.now.advance(time.Hour)
	q.send(2)
	q.expect("7", lti.ScoreSent, 1, "")

	q.reg.Status = lti.StatusPaused
	if _, err := q.db.Exec(t.Context(), `update registrations set status = 'paused'`); err != nil {
		t.Fatal(err)
	}
	q.now.advance(time.Minute) // beyond the cache of registrations
	q.want("7", 50)
	q.send(1)
	q.expect("7", lti.ScoreWaiting, 1, "")
	if q.book.shows("7") != 30 {
		t.Error("a paused registration was written to")
	}
}

func TestQueueLosesNoWish(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	q.want("7", 30)
	var once sync.Once
	q.book.onScore = func() { once.Do(func() { q.want("7", 50) }) } // while 30 is on its way
	q.send(1)
	w := q.row("7")
	if w.State != lti.ScoreWaiting || w.Version != 2 || w.SentVersion != 1 || w.SentStamp.IsZero() {
		t.Errorf("got %+v", w)
	}
	q.send(1)
	q.expect("7", lti.ScoreSent, 2, "")
	if q.book.shows("7") != 50 {
		t.Errorf("the platform shows %v", q.book.shows("7"))
	}
}

// TestQueueSurvives: a process that ends between taking a score and noting what came of it
// leaves a lease behind, which runs out.
func TestQueueSurvives(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	q.want("7", 30)
	ctx, kill := context.WithCancel(t.Context())
	q.book.onScore = kill // the score arrives, and nobody is there to hear it
	if _, err := q.queue.SendDue(ctx); err != nil {
		t.Error(err)
	}
	q.book.onScore = nil
	due := must(q.store.DueScores(t.Context(), 10))
	if len(due) != 1 || due[0].State != lti.ScoreWaiting {
		t.Fatalf("after a shutdown: %+v", due)
	}
	if ok, err := q.store.LeaseScore(t.Context(), due[0], q.now.Now().Add(2*time.Minute)); !ok || err != nil {
		t.Fatalf("lease: %v, %v", ok, err)
	}
	q.send(0)
	q.now.advance(2 * time.Minute)
	q.send(1)
	q.expect("7", lti.ScoreSent, 1, "")
}

func TestQueueIsSequentialPerRegistration(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	for i := range 20 {
		q.want(fmt.Sprint(i), 30)
	}
	var all sync.WaitGroup
	for range 4 { // several processes on one database send nothing twice
		all.Go(func() {
			if _, err := q.queue.SendDue(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	posts := 0
	for _, line := range q.wire.lines() {
		if strings.HasPrefix(line, "POST") {
			posts++
		}
	}
	if posts != 20 {
		t.Errorf("%d scores were sent, want 20", posts)
	}
	one := newQueue(t)
	for i := range 5 {
		one.want(fmt.Sprint(i), 30)
	}
	one.send(5)
	if one.book.most != 1 {
		t.Errorf("%d at once", one.book.most)
	}
}

func TestQueueRuns(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	arrived := make(chan struct{}, 10)
	q.book.onScore = func() { arrived <- struct{}{} }
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		q.queue.Run(ctx)
		close(done)
	}()
	for i := range 3 { // each wakes it
		q.want(fmt.Sprint(i), 30)
		select {
		case <-arrived:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was sent")
		}
	}
	stop()
	<-done
}
