package lti_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// What a flood does, in numbers that a test can afford.

// TestColdCacheReadsOnce: a course of two hundred opens an activity, and nobody has come
// from its platform before (K9).
func TestColdCacheReadsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() { r.launchWith("k1", platformKey()).session(t) })
	}
	wg.Wait()
	if n := r.jwks.count(); n != 1 {
		t.Errorf("read %d times, want 1", n)
	}
	if n := countSessions(t, r); n != 200 {
		t.Errorf("%d sessions, want 200", n)
	}
}

// TestKidFlood: whoever makes up kids, all at once, has the platform asked once a minute,
// and honest launches go on (J3).
func TestKidFlood(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.launch(nil).session(t)
	flood := func(minute int) {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				r.launchWith(fmt.Sprint("made-up-", minute, "-", i), otherKey()).expect(t, "a made-up kid", lti.CodeKIDUnknown)
			})
		}
		wg.Wait()
		r.launch(nil).session(t)
	}
	for minute := range 3 {
		flood(minute)
		if n := r.jwks.count(); n != 1+minute {
			t.Errorf("minute %d: read %d times, want %d", minute, n, 1+minute)
		}
		r.clock.advance(time.Minute)
	}
	if n := countSessions(t, r); n != 4 {
		t.Errorf("%d sessions, want 4", n)
	}
}

// askedStore counts how often the store is asked for registrations.
type askedStore struct {
	lti.Store
	asked atomic.Int64
}

func (s *askedStore) Registrations(ctx context.Context, issuer, clientID string) ([]lti.Registration, error) {
	s.asked.Add(1)
	return s.Store.Registrations(ctx, issuer, clientID)
}

func (s *askedStore) RegistrationByKey(ctx context.Context, key string) (lti.Registration, error) {
	s.asked.Add(1)
	return s.Store.RegistrationByKey(ctx, key)
}

// flooded is a rig as it is in operation: traces go through the database, requests are
// counted, and nothing is collected by the test.
func flooded(t *testing.T) (*rig, *askedStore, func()) {
	t.Helper()
	r := newRig(t)
	traces := r.store.NewTraces(slog.New(slog.DiscardHandler))
	store := &askedStore{Store: r.store}
	number := atomic.Int64{}
	r.deps.Store, r.deps.Trace = store, traces.Add
	r.deps.TraceID = func(context.Context) string { return fmt.Sprint("trace-", number.Add(1)) }
	tool, err := lti.New(r.deps)
	if err != nil {
		t.Fatal(err)
	}
	r.tool, r.router = tool, newRouter(tool)
	return r, store, func() {
		t.Helper()
		if err := traces.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestJunkLoginsLeaveNoRows: four thousand logins, of known and unknown platforms, leave
// no row in any table, and no more memory than the answers that the store keeps (L18).
// They are not in parallel with others, who would be measured, too.
func TestJunkLoginsLeaveNoRows(t *testing.T) { //nolint:paralleltest // as said
	r, store, flush := flooded(t)
	before := r.written(t)
	huge := strings.Repeat("x", 200<<10)
	kinds := []struct {
		name   string
		change func(f url.Values, i int)
		status int
		asks   int64 // of the store, at most
	}{
		{"known, random hints", func(f url.Values, i int) { f.Set("login_hint", fmt.Sprint("hint-", i)) }, 302, 1},
		{"unknown issuer", func(f url.Values, i int) { f.Set("iss", fmt.Sprintf("https://Lms-%d.example", i)) }, 400, 8},
		{"unknown client", func(f url.Values, i int) {
			f.Set("client_id", fmt.Sprint("client-of-nobody-", i))
			f.Set("iss", "https://x.example")
		}, 400, 8},
		{"issuer of 200 KB", func(f url.Values, i int) { f.Set("iss", fmt.Sprint("https://", i, huge)) }, 413, 0},
		{"client of 8 KB", func(f url.Values, i int) { f.Set("client_id", fmt.Sprint(i, huge[:8000])) }, 400, 0},
		{"deployment and storage", func(f url.Values, i int) {
			f.Set("lti_deployment_id", fmt.Sprint(i))
			f.Set("lti_storage_target", "_parent")
		}, 302, 1},
	}
	round := func(from, to int) {
		for i := from; i < to; i++ {
			kind := kinds[i%len(kinds)]
			form := r.loginForm()
			kind.change(form, i)
			asked := store.asked.Load()
			req := httptest.NewRequest(http.MethodPost, toolURL+"/lti/login", strings.NewReader(form.Encode()))
			req.Header.Set("Content-Type", formType)
			rec := httptest.NewRecorder()
			r.router.ServeHTTP(rec, req)
			if rec.Code != kind.status {
				t.Fatalf("%s: got %d, want %d", kind.name, rec.Code, kind.status)
			}
			if n := store.asked.Load() - asked; n > kind.asks {
				t.Fatalf("%s: the store was asked %d times", kind.name, n)
			}
			if i%100 == 0 {
				r.clock.advance(100 * time.Millisecond) // 1,000 logins a second
			}
		}
	}
	round(0, 1000)
	small := heap()
	round(1000, 4000)
	flush()
	if after := r.written(t); after != before {
		t.Errorf("written: %s, before %s", after, before)
	}
	// 4,096 answers of some hundred bytes are what may be kept.
	if large := heap(); large > small+8<<20 {
		t.Errorf("the heap grew from %d to %d KB", small>>10, large>>10)
	}
	r.launch(nil).session(t)
}

// TestJunkOfAKnownPlatformIsBounded: what is traced, because administrators should see it,
// is the newest of each registration only.
func TestJunkOfAKnownPlatformIsBounded(t *testing.T) {
	t.Parallel()
	r, _, flush := flooded(t)
	form := r.loginForm()
	form.Set("iss", issuer+"/")
	for i := range 600 {
		r.post("/lti/login", form).expect(t, "a slash too many", lti.CodePlatformUnknown)
		if i%40 == 0 {
			flush()
		}
	}
	flush()
	var n int
	if err := r.db.Get(t.Context(), &n, `select count(*) from launch_traces`); err != nil {
		t.Fatal(err)
	}
	if n == 0 || n > 200 {
		t.Errorf("%d traces, want 1 to 200", n)
	}
}

// TestNoticeFlood: bodies full of tokens of nobody, and of tokens that name a known
// platform and are not from it, write nothing but a bounded number of traces; a token with
// thousands of audiences makes the store look four times.
func TestNoticeFlood(t *testing.T) {
	t.Parallel()
	r, store, flush := flooded(t)
	unsigned := func(change func(m map[string]any)) string {
		m := r.noticeBase("n")
		change(m)
		return segment(`{"alg":"RS256","kid":"made-up"}`) + "." + segment(string(must(json.Marshal(m)))) + ".AAAA"
	}
	post := func(tokens ...string) {
		t.Helper()
		if o := r.notify(tokens...); o.rec.Code != http.StatusAccepted {
			t.Errorf("got %d, %v", o.rec.Code, o.problem)
		}
	}
	before := r.written(t)
	audiences := make([]string, 5000)
	for i := range audiences {
		audiences[i] = fmt.Sprint("client-of-nobody-", i)
	}
	post(unsigned(set("aud", audiences)))
	if n := store.asked.Load(); n > 4 {
		t.Errorf("the store was asked %d times for one notice", n)
	}
	for round := range 10 {
		var stranger, forged []string
		for i := range 50 {
			stranger = append(stranger, unsigned(set("iss", fmt.Sprintf("https://lms-%d-%d.example", round, i))), "x.y.z")
			forged = append(forged, unsigned(set(claim+"deployment_id", fmt.Sprint(i))), unsigned(drop(claim+"notice")))
		}
		post(stranger...)
		if after := r.written(t); after != before {
			t.Fatalf("strangers: written %s, before %s", after, before)
		}
		post(forged...)
	}
	if n := r.jwks.count(); n != 1 {
		t.Errorf("the key set was read %d times, want 1", n)
	}
	if after := r.written(t); after != before || len(r.notices) != 0 {
		t.Errorf("%d dealt with, written %s, before %s", len(r.notices), after, before)
	}
	flush()
	var n int
	if err := r.db.Get(t.Context(), &n, `select count(*) from launch_traces`); err != nil || n > 200 {
		t.Errorf("%d traces, %v", n, err)
	}
	post(r.noticeToken(r.noticeBase("n")))
	r.clock.advance(time.Minute)
	post(r.noticeToken(r.noticeBase("m")))
	if len(r.notices) != 2 {
		t.Errorf("%d good notices were dealt with, want 2", len(r.notices))
	}
}
