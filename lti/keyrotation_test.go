package lti_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
)

func (r *rig) rotation() lti.KeyRotation {
	return lti.KeyRotation{Store: r.store, Now: r.clock.Now(), Rand: rand.Reader, Actor: "operator"}
}

// published returns the kids of the key set that the tool serves.
func (r *rig) published(t *testing.T) []string {
	t.Helper()
	o := r.do(httptest.NewRequest(http.MethodGet, toolURL+"/lti/jwks", nil))
	h := o.rec.Header()
	if o.rec.Code != 200 || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "public, max-age=300" {
		t.Fatalf("answered %d %v: %v", o.rec.Code, h, o.problem)
	}
	if body := o.rec.Body.String(); strings.Contains(body, `"d"`) || strings.Contains(body, `"p"`) {
		t.Fatalf("private parts published: %s", body)
	}
	set := must(jwk.Parse(o.rec.Body.Bytes()))
	var kids []string
	for i := range set.Len() {
		key, _ := set.Key(i)
		if key.Algorithm().String() != "RS256" || key.KeyUsage() != "sig" {
			t.Errorf("published %v", key)
		}
		kids = append(kids, key.KeyID())
	}
	return kids
}

// TestKeyLife follows a rotation from hour to hour: published for a day before it signs,
// and the old one for a day after.
func TestKeyLife(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.signedBy(t) // signs at once
	r.clock.advance(time.Hour)
	second := must(r.rotation().Rotate(t.Context()))
	began := r.clock.Now()
	_, err := r.rotation().Rotate(t.Context())
	rotating, ok := errors.AsType[*lti.RotatingError](err)
	if !ok || rotating.KID != second.KID || rotating.Previous != first || !rotating.SignsAt.Equal(began.Add(24*time.Hour)) ||
		!strings.Contains(err.Error(), "2026-11-25T10:00:00Z") {
		t.Errorf("a second rotation: %v", err)
	}
	for _, at := range []struct {
		after     time.Duration
		signs     string
		published []string
		words     []string
	}{
		{time.Minute, first, []string{first, second.KID}, []string{"signs, until 2026-11-25 10:00 UTC", "published, signs from 2026-11-25 10:00 UTC"}},
		{24*time.Hour - time.Second, first, []string{first, second.KID}, nil},
		{24 * time.Hour, second.KID, []string{first, second.KID}, []string{"retired, published until 2026-11-26 10:00 UTC", "signs"}},
		{48*time.Hour - time.Minute, second.KID, []string{first, second.KID}, nil},
		{48*time.Hour + time.Minute, second.KID, []string{second.KID}, []string{"retired, no longer published", "signs"}},
	} {
		r.clock.advance(began.Add(at.after).Sub(r.clock.Now()))
		if got := r.signedBy(t); got != at.signs {
			t.Errorf("after %v %s signs, want %s", at.after, got, at.signs)
		}
		if diff := cmp.Diff(at.published, r.published(t)); diff != "" {
			t.Errorf("published after %v (-want +got):\n%s", at.after, diff)
		}
		if at.words == nil {
			continue
		}
		var words []string
		for _, k := range lti.DescribeKeys(must(r.store.AllToolKeys(t.Context())), r.clock.Now()) {
			words = append(words, k.Words)
		}
		if diff := cmp.Diff(at.words, words); diff != "" {
			t.Errorf("described after %v (-want +got):\n%s", at.after, diff)
		}
	}
	third := must(r.rotation().Rotate(t.Context())) // the next one may begin
	if _, err := r.store.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := lti.DescribeKeys(must(r.store.AllToolKeys(t.Context())), r.clock.Now()); len(got) != 2 || got[0].KID != second.KID || got[1].KID != third.KID {
		t.Errorf("after the sweep: %v", got)
	}
	assertAudit(t, r, "tool key made "+first, "tool key retired "+first, "tool key made "+second.KID, "tool key retired "+second.KID, "tool key made "+third.KID)
}

func assertAudit(t *testing.T, r *rig, want ...string) {
	t.Helper()
	var got []string
	err := r.db.Select(t.Context(), &got, `select action || ' ' || subject from audit where action like 'tool key%' order by id`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("audit trail (-want +got):\n%s", diff)
	}
}

// TestLeakedKey replaces at once, in the middle of a rotation too.
func TestLeakedKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.signedBy(t)
	r.clock.advance(time.Hour)
	second := must(r.rotation().Rotate(t.Context()))
	third := must(r.rotation().Replace(t.Context()))
	r.clock.advance(time.Minute) // other processes have seen it
	if got := r.signedBy(t); got != third.KID {
		t.Errorf("%s signs, want %s", got, third.KID)
	}
	if diff := cmp.Diff([]string{third.KID}, r.published(t)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	assertAudit(t, r, "tool key made "+first, "tool key retired "+first, "tool key made "+second.KID,
		"tool key withdrawn "+first, "tool key withdrawn "+second.KID, "tool key made "+third.KID)
}

// TestRotateOld: however many processes ask, one rotation happens.
func TestRotateOld(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const maxAge = 180 * 24 * time.Hour
	rotates := func(want bool) {
		t.Helper()
		if got := must(r.rotation().RotateOld(t.Context(), maxAge)); got != want {
			t.Errorf("at %v: rotated %v, want %v", r.clock.Now(), got, want)
		}
	}
	rotates(false) // no key at all
	r.signedBy(t)
	r.clock.advance(maxAge - time.Second)
	rotates(false)
	if must(r.rotation().RotateOld(t.Context(), 0)) {
		t.Error("rotated with 0, which means never")
	}
	r.clock.advance(time.Second)
	var done sync.Map
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if must(r.rotation().RotateOld(t.Context(), maxAge)) {
				done.Store(i, true)
			}
		})
	}
	wg.Wait()
	n := 0
	done.Range(func(any, any) bool { n++; return true })
	if keys := must(r.store.AllToolKeys(t.Context())); n != 1 || len(keys) != 2 {
		t.Errorf("%d rotated, %d keys", n, len(keys))
	}
	r.clock.advance(25 * time.Hour)
	rotates(false) // the new one is young
}

// TestFirstKeyIsOne: processes that start together agree on one first key.
func TestFirstKeyIsOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	kids := make([]string, 6)
	var wg sync.WaitGroup
	for i := range kids {
		other := r.anotherProcess(t)
		wg.Go(func() { kids[i] = other.signedBy(t) })
	}
	wg.Wait()
	if len(slices.Compact(kids)) != 1 {
		t.Errorf("signed by %v", kids)
	}
}

// anotherProcess is a tool of its own on the same database.
func (r *rig) anotherProcess(t *testing.T) *rig {
	t.Helper()
	other := &rig{tb: t, db: r.db, clock: r.clock, reg: r.reg, public: r.public, keyID: r.keyID, deps: r.deps}
	other.store = ltistore.New(r.db, r.clock.Now)
	other.deps.Store = other.store
	other.tool = must(lti.New(other.deps))
	other.router = newRouter(other.tool)
	return other
}

// TestRotationIsSeen: another process signs with the replacement within a minute.
func TestRotationIsSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := r.anotherProcess(t)
	if r.signedBy(t) != other.signedBy(t) {
		t.Fatal("two processes sign with two keys")
	}
	fresh := must(r.rotation().Replace(t.Context()))
	r.clock.advance(time.Minute)
	for _, p := range []*rig{r, other} {
		if got := p.signedBy(t); got != fresh.KID {
			t.Errorf("%s signs, want %s", got, fresh.KID)
		}
	}
}

// TestClockSetBack: a key that seems to come from the future signs rather than none.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.signedBy(t)
	r.clock.advance(-48 * time.Hour)
	if got := r.anotherProcess(t).signedBy(t); got != first {
		t.Errorf("%s signs, want %s", got, first)
	}
	if n := len(must(r.store.AllToolKeys(t.Context()))); n != 1 {
		t.Errorf("%d keys", n)
	}
}

func TestKeySetIsRevalidated(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ask := func(method, etag string) outcome {
		req := httptest.NewRequest(method, toolURL+"/lti/jwks", nil)
		if etag != "" {
			req.Header.Set("If-None-Match", etag)
		}
		return r.do(req)
	}
	full := ask(http.MethodGet, "")
	etag := full.rec.Header().Get("ETag")
	if len(etag) < 10 || etag[0] != '"' {
		t.Fatalf("ETag %q", etag)
	}
	if head := ask(http.MethodHead, ""); head.rec.Code != 200 || head.rec.Body.Len() != 0 || head.rec.Header().Get("ETag") != etag {
		t.Errorf("HEAD: %d, %d bytes, ETag %q", head.rec.Code, head.rec.Body.Len(), head.rec.Header().Get("ETag"))
	}
	same := ask(http.MethodGet, `"other", W/`+etag)
	if same.rec.Code != http.StatusNotModified || same.rec.Body.Len() != 0 || same.rec.Header().Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("unchanged: %d %v", same.rec.Code, same.rec.Header())
	}
	if other := r.anotherProcess(t); other.do(httptest.NewRequest(http.MethodGet, toolURL+"/lti/jwks", nil)).rec.Header().Get("ETag") != etag {
		t.Error("another process has another ETag for the same keys")
	}
	if _, err := r.rotation().Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(time.Minute)
	if changed := ask(http.MethodGet, etag); changed.rec.Code != 200 || changed.rec.Header().Get("ETag") == etag {
		t.Errorf("after a rotation: %d", changed.rec.Code)
	}
	if post := ask(http.MethodPost, ""); post.check(t).Code != lti.CodeMethod || post.rec.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", post.rec.Code)
	}
}

// lostStore fails, as a database does that is away.
type lostStore struct{ lti.KeyStore }

var errLost = errors.New("away")

func (lostStore) ToolKeys(context.Context) ([]lti.ToolKey, error) { return nil, errLost }

func TestRotationFails(t *testing.T) {
	t.Parallel()
	lost := lti.KeyRotation{Store: lostStore{}, Now: start, Rand: rand.Reader, Actor: "operator"}
	if _, err := lost.Rotate(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("rotate: %v", err)
	}
	if _, err := lost.RotateOld(t.Context(), time.Hour); !errors.Is(err, errLost) {
		t.Errorf("rotate old: %v", err)
	}
}

// TestSecretsAreNotPrinted prints a key in every way there is.
func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	key := lti.ToolKey{KID: "kid-1", Private: lti.Secret("PRIVATE")}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "key", key, "private", key.Private)
	slog.New(slog.NewTextHandler(&log, nil)).Info("key", "key", key, "private", key.Private)
	for _, got := range []string{
		fmt.Sprintf("%v", key), fmt.Sprintf("%+v", key), fmt.Sprintf("%#v", key), fmt.Sprintf("%s %x %q %d", key, key.Private, key.Private, key.Private),
		string(must(json.Marshal(key))), log.String(),
	} {
		if strings.Contains(got, "PRIVATE") || strings.Contains(got, "50524956") || strings.Contains(got, "80 82 73") ||
			strings.Contains(got, "UFJJVkFURQ") || !strings.Contains(got, "redacted") || !strings.Contains(got, "kid-1") {
			t.Errorf("printed %s", got)
		}
	}
}
